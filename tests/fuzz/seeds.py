"""Small files of every kind, for a fuzzer to start from."""

import collections
import io
import pathlib
import pickle
import struct

import numpy as np
import torch
from safetensors.torch import save

HERE = pathlib.Path(__file__).parent
SMALL = collections.OrderedDict([("conv1.weight", torch.ones(2, 1, 3, 3)), ("bn1.bias", torch.zeros(2).half()), ("n", torch.tensor(3))])


def write(target, name, data):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def torch_bytes(value, **options):
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def main():
    nested = {"state_dict": SMALL, "epoch": 3, "view": SMALL["conv1.weight"].transpose(0, 2)}
    write("checkpoint", "zip.pth", torch_bytes(nested))
    legacy = torch_bytes(nested, _use_new_zipfile_serialization=False)
    write("checkpoint", "legacy.pth", legacy)
    write("checkpoint", "safetensors", save(SMALL))
    for name, saver in [("npz", np.savez), ("compressed.npz", np.savez_compressed)]:
        file = io.BytesIO()
        saver(file, a=np.arange(6, dtype=np.float32).reshape(2, 3), b=np.asfortranarray(np.arange(6.0).reshape(2, 3)))
        write("checkpoint", name, file.getvalue())
    arrays = {"online_params": {"net/~/conv": {"w": np.ones((2, 2), np.float32)}}, "step": 7, "rate": 0.1, "none": None, "big": 1 << 80}
    for protocol in range(6):
        data = pickle.dumps(arrays, protocol=protocol)
        write("pickle", f"protocol-{protocol}", data)
        write("checkpoint", f"arrays-{protocol}.pkl", data)
    write("pickle", "tensors", legacy)
    write("pickle", "objects", pickle.dumps([(1, "a"), {"x": {1, 2}}, collections.OrderedDict(a=1), b"bytes", True], protocol=2))
    folder = HERE.parent / "reference" / "fourteen" / "simclr-v1"
    index = (folder / "model.ckpt-225206.index").read_bytes()
    numbers = (folder / "model.ckpt-225206.data-00000-of-00001").read_bytes()
    write("tensorflow", "simclr", struct.pack("<H", len(index)) + index + numbers[:20000])


if __name__ == "__main__":
    main()
