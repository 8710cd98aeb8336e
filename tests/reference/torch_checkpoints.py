"""Files by torch.save, new and old, with what published checkpoints have around their weights."""

import argparse
import collections
import json
import pathlib

import torch

from hashing import hashed, tensors
from torch_backbones import Conv4

OUT = pathlib.Path(__file__).parent / "checkpoints"
OUT.mkdir(exist_ok=True)
net = Conv4(1, 2)
shapes = {k: tuple(v.shape) for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
values = {k: torch.from_numpy(v) for k, v in tensors(shapes).items()}
state = collections.OrderedDict(net.state_dict())
state.update(values)
optimizer = torch.optim.Adam(net.parameters())
net(torch.zeros(1, 1, 16, 16)).sum().backward()
optimizer.step()

moco = {f"module.encoder_q.{k}": v for k, v in state.items()}
moco.update({f"module.encoder_k.{k}": v * 2 for k, v in state.items()})
moco["module.queue"] = torch.zeros(4, 8)
moco["module.encoder_q.fc.0.weight"] = torch.zeros(2, 2)
training = {
    "epoch": 7,
    "arch": "conv4",
    "state_dict": moco,
    "optimizer": optimizer.state_dict(),
    "args": argparse.Namespace(lr=0.1, dist=None, schedule=[120, 160]),
    "best": torch.tensor(0.5).item(),
}
torch.save(training, OUT / "moco_zip.pth.tar")
torch.save(training, OUT / "moco_legacy.pth.tar", _use_new_zipfile_serialization=False)
torch.save(state, OUT / "flat.pth")
torch.save({k: v.half() if v.is_floating_point() else v for k, v in state.items()}, OUT / "half.pth")
torch.save({k: v.bfloat16() if v.is_floating_point() else v for k, v in state.items()}, OUT / "bfloat16.pth")
# Views: a transposed tensor, and two parts of one storage.
base = torch.from_numpy(hashed(24, 5).astype("float32")).reshape(4, 6)
torch.save({"model": {"transposed": base.t(), "head": base[:2], "tail": base[2:], "scalar": torch.tensor(3), "parameter": torch.nn.Parameter(base[0])}}, OUT / "views.pth")
expected = {
    "values": {k: v.reshape(-1).tolist() for k, v in values.items()},
    "transposed": base.t().reshape(-1).tolist(),
    "tail": base[2:].reshape(-1).tolist(),
}
(OUT / "expected.json").write_text(json.dumps(expected) + "\n")
