"""Shuffles of `range(n)` by numpy's legacy generator. Needs numpy. Writes numpy_shuffle.json."""

import hashlib
import json
from pathlib import Path

import numpy as np

# Sizes of the training lists that Ericsson et al. (CVPR 2021) split with seed 0, and of the test lists that they calibrate on.
STUDY = [50000, 8144, 75750, 3680, 19850, 3060, 2416, 10000, 3333, 3669, 25250, 6149, 8041, 1880, 6728]
OTHER = [(seed, n) for seed in (0, 1, 42, 2**31, 2**32 - 1) for n in (2, 3, 10, 255, 256, 257, 1000, 65537)]


def shuffled(seed, n):
    np.random.seed(seed)
    items = list(range(n))
    np.random.shuffle(items)
    bytes_ = np.array(items, "<u4").tobytes()
    held_out = np.array(items[: int(np.floor(0.2 * n))], "<u4").tobytes()
    return {
        "seed": seed,
        "n": n,
        "first": items[:8],
        "last": items[-1],
        "sha256": hashlib.sha256(bytes_).hexdigest(),
        "sha256_of_first_fifth": hashlib.sha256(held_out).hexdigest(),
    }


rows = [shuffled(0, n) for n in STUDY] + [shuffled(seed, n) for seed, n in OTHER]
Path(__file__).with_suffix(".json").write_text("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n")
