"""Files with the structure of the study's torch checkpoints, around a small ResNet, and the features of torch.

What a published file holds besides the backbone is there as well: heads, prototypes, a second encoder, a queue, a memory, an
optimizer, arguments. The ages of the formats are those of the published files.
"""

import argparse
import collections
import json
import pathlib

import numpy as np
import torch

from backbones import Bottleneck, Widened
from hashing import hashed, tensors

OUT = pathlib.Path(__file__).parent / "fourteen"
DEPTHS, WIDTH, SIDE = [1, 2, 1, 1], 2, 50
LEGACY = {"_use_new_zipfile_serialization": False}


def backbone(stream):
    """A ResNet whose weights depend on `stream`, and its tensors without `fc`."""
    net = Widened(Bottleneck, DEPTHS, WIDTH)
    net.fc = torch.nn.Identity()
    state = net.state_dict()
    shapes = {k: tuple(v.shape) for k, v in state.items() if not k.endswith("num_batches_tracked")}
    values = tensors({f"{stream}.{k}": v for k, v in shapes.items()}, 1000 * stream)
    net.load_state_dict({k: torch.from_numpy(values[f"{stream}.{k}"]) for k in shapes}, strict=False)
    return net.eval(), net.state_dict()


def extra(shape, stream):
    return torch.from_numpy(hashed(int(np.prod(shape)), stream).astype(np.float32).reshape(shape))


def prefixed(prefix, state):
    return collections.OrderedDict((prefix + k, v) for k, v in state.items())


def optimizer(state):
    """What SGD with momentum keeps."""
    parameters = [torch.nn.Parameter(v.clone()) for v in state.values() if v.dim() > 1][:4]
    sgd = torch.optim.SGD(parameters, lr=0.03, momentum=0.9)
    sum(p.sum() for p in parameters).backward()
    sgd.step()
    return sgd.state_dict()


def main():
    OUT.mkdir(exist_ok=True)
    x = torch.from_numpy(hashed(2 * 3 * SIDE * SIDE, 77).astype(np.float32).reshape(2, 3, SIDE, SIDE))
    features = {}

    def save(name, file, stream, make, **options):
        net, state = backbone(stream)
        torch.save(make(state), OUT / file, **options)
        with torch.no_grad():
            y = net(x).numpy()
        print(name, y.shape, float(np.abs(y).max()), (OUT / file).stat().st_size)
        features[name] = {"file": file, "side": SIDE, "features": [[float(f"{v:.7g}") for v in row] for row in y]}

    fc = {"fc.weight": extra((5, 64), 1), "fc.bias": extra((5,), 2)}
    save("supervised", "supervised.pth", 1, lambda s: collections.OrderedDict(s, **fc), **LEGACY)

    def moco(stream, head):
        def make(state):
            other = {k: v * 1.5 for k, v in state.items()}
            both = prefixed("module.encoder_q.", {**state, **head})
            both.update(prefixed("module.encoder_k.", {**other, **head}))
            both.update({"module.queue": extra((8, 32), 3), "module.queue_ptr": torch.tensor([16])})
            return {"epoch": 200, "arch": "resnet50", "state_dict": both, "optimizer": optimizer(state)}

        return make

    mlp = {"fc.0.weight": extra((64, 64), 4), "fc.0.bias": extra((64,), 5), "fc.2.weight": extra((8, 64), 6), "fc.2.bias": extra((8,), 7)}
    save("moco-v1", "moco-v1.pth.tar", 2, moco(2, fc), **LEGACY)
    save("moco-v2", "moco-v2.pth.tar", 3, moco(3, mlp), **LEGACY)
    save("pcl-v1", "pcl-v1.pth.tar", 4, moco(4, fc), **LEGACY)
    save("pcl-v2", "pcl-v2.pth.tar", 5, moco(5, mlp), **LEGACY)

    def pycontrast(heads):
        def make(state):
            model = prefixed("module.encoder.", state)
            model.update(heads)
            options = argparse.Namespace(lr=0.03, method="InsDis", cosine=False, lr_decay_epochs=[120, 160], world_size=8)
            memory = {"memory": extra((10, 8), 8), "params": torch.tensor([4, 0.07])}
            return {"opt": options, "model": model, "contrast": memory, "optimizer": optimizer(state), "epoch": 200}

        return make

    head = {"module.head.1.weight": extra((8, 64), 9), "module.head.1.bias": extra((8,), 10)}
    jigsaw = {"module.head_jig.fc1.0.weight": extra((8, 64), 11), "module.head_jig.fc2.weight": extra((8, 72), 12), "module.jigsaw.weight": extra((2,), 13)}
    save("insdis", "insdis.pth", 6, pycontrast(head), **LEGACY)
    save("pirl", "pirl.pth", 7, pycontrast({**head, **jigsaw}), **LEGACY)
    save("infomin", "infomin.pth", 8, pycontrast({**head, **jigsaw}), **LEGACY)

    projection = {
        "module.projection_head.0.weight": extra((16, 64), 14), "module.projection_head.0.bias": extra((16,), 15),
        "module.projection_head.1.running_mean": extra((16,), 16), "module.projection_head.1.num_batches_tracked": torch.tensor(7),
        "module.projection_head.3.weight": extra((8, 16), 17), "module.projection_head.3.bias": extra((8,), 18),
    }
    flat = lambda more: lambda state: collections.OrderedDict(prefixed("module.", state), **projection, **more)
    save("swav", "swav.pth.tar", 9, flat({"module.prototypes.weight": extra((30, 8), 19)}), **LEGACY)
    several = {f"module.prototypes.prototypes{i}.weight": extra((30, 8), 20 + i) for i in range(3)}
    save("deepcluster-v2", "deepcluster-v2.pth.tar", 10, flat(several), **LEGACY)
    save("sela-v2", "sela-v2.pth.tar", 11, flat(several))
    save("simclr-v1 converted", "simclr-v1-converted.pth", 12, lambda s: {"state_dict": collections.OrderedDict(s, **fc)}, **LEGACY)
    (OUT / "torch.json").write_text(json.dumps(features) + "\n")


if __name__ == "__main__":
    main()
