"""Numbers that Rust and Python can both make: an integer hash of an index and a stream."""

import numpy as np


def hashed(count, stream):
    """`count` numbers in [-1, 1), as float64."""
    i = np.arange(count, dtype=np.uint64)
    h = (i * np.uint64(2654435761) + np.uint64(stream) * np.uint64(40503) + np.uint64(12345)) & np.uint64(0xFFFFFFFF)
    for _ in range(2):
        h ^= h >> np.uint64(16)
        h = (h * np.uint64(0x45D9F3B)) & np.uint64(0xFFFFFFFF)
    h ^= h >> np.uint64(16)
    return h.astype(np.float64) / 2.0**31 - 1.0


def pixels(count, stream):
    """`count` bytes."""
    return ((hashed(count, stream) + 1.0) * 128.0).astype(np.uint8)


def tensors(shapes, first=0):
    """Values for named tensors, by their position in the order of names, from the stream after `first` on."""
    out = {}
    for k, name in enumerate(sorted(shapes)):
        shape = shapes[name]
        v = hashed(int(np.prod(shape, dtype=np.int64)), first + k + 1)
        if name.endswith("running_var"):
            v = 1.0 + 0.3 * v
        elif len(shape) == 1 and name.endswith("weight"):
            v = 1.0 + 0.1 * v
        elif len(shape) == 1:
            v = 0.1 * v
        else:
            v = v * (6.0 / np.prod(shape[1:])) ** 0.5
        out[name] = v.astype(np.float32).reshape(shape)
    return out
