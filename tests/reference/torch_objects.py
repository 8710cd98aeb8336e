"""Files by torch.save as Lightning and its users write them: objects of many libraries beside and among the weights."""

import argparse
import collections
import decimal
import enum
import fractions
import functools
import pathlib
import sys
import types
import uuid

import numpy as np
import torch

from hashing import tensors
from torch_backbones import Conv4

OUT = pathlib.Path(__file__).parent / "checkpoints"
# A library that whoever reads the file does not have.
library = types.ModuleType("somebody.elses")
sys.modules["somebody"] = types.ModuleType("somebody")
sys.modules[library.__name__] = library


def theirs(kind):
    kind.__module__, kind.__qualname__ = library.__name__, kind.__name__
    setattr(library, kind.__name__, kind)
    return kind


@theirs
class ModelCheckpoint:
    def __init__(self):
        self.best = 1.0


@theirs
class Stage(enum.Enum):
    FIT = 1


@theirs
class Options(dict):
    pass


@theirs
class Slots:
    __slots__ = ("a",)


Pair = theirs(collections.namedtuple("Pair", "a b"))
slots = Slots()
slots.a = 1
shapes = {k: tuple(v.shape) for k, v in Conv4(1, 2).state_dict().items() if not k.endswith("num_batches_tracked")}
state = {f"model.{k}": torch.from_numpy(v) for k, v in tensors(shapes).items()}
marked = torch.nn.Parameter(state["model.0.0.bias"])
marked.mark = "an attribute, which changes how torch writes it"
state["model.0.0.bias"] = marked
objects = [
    ModelCheckpoint(), Stage.FIT, Options(a=1), slots, Pair(1, 2), ModelCheckpoint, collections.Counter("ab"),
    collections.deque([1]), functools.partial(print, 1), np.mean, torch.nn.CrossEntropyLoss(), np.random.RandomState(0),
    np.random.default_rng(0), np.float64(1.5), np.zeros(3), argparse.Namespace(a=pathlib.PurePosixPath("x")),
    torch.device("cpu"), torch.float32, torch.Size([1, 2]), {1, 2}, 1j, torch.strided, ValueError("x"), Ellipsis,
    types.SimpleNamespace(a=1), decimal.Decimal("1.5"), fractions.Fraction(1, 3), uuid.UUID(int=7), 1 << 100,
    torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), torch.ones(2).to(torch.float8_e4m3fn),
    torch.ones(2).to_sparse(), torch.ones(2, dtype=torch.complex64),
]  # fmt: skip
file = {
    "hyper_parameters": objects,
    "callbacks": {ModelCheckpoint: {"best": 1.0}},
    "state_dict": {**state, "loss": ModelCheckpoint(), "queue": torch.ones(2).to(torch.float8_e5m2)},
}
torch.save(file, OUT / "objects.ckpt")
# The old format has no room for what has no storage of its own kind.
objects[-3:] = []
file["state_dict"].pop("queue")
torch.save(file, OUT / "objects_legacy.ckpt", _use_new_zipfile_serialization=False)
