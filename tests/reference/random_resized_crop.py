"""Windows of torchvision's RandomResizedCrop for given random numbers.

Each case is [width, height, draws, [left, top, width, height of the window]]. Draws are, in the order in which torchvision asks
for them: the share of the range of the area, the share of the range of the logarithm of the shape, and, for a window that fits,
the row and the column. Run with torch and torchvision; writes random_resized_crop.json beside this file.
"""

import json
import math
import random
from pathlib import Path

import torch
from torchvision.transforms import RandomResizedCrop

SCALE, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)


def one(width, height, rng):
    draws = []

    class Replayed(torch.Tensor):
        pass

    def uniform(self, low, high):
        share = rng.randrange(1 << 20) / (1 << 20)
        draws.append(share)
        return torch.tensor([low + (high - low) * share], dtype=torch.float64)

    def randint(low, high, size):
        drawn = rng.randrange(low, high)
        draws.append(drawn)
        return torch.tensor([drawn])

    plain = torch.empty, torch.randint, torch.Tensor.uniform_
    torch.Tensor.uniform_, torch.randint = uniform, randint
    torch.empty = lambda n: plain[0](n, dtype=torch.float64)
    # The bounds of the shape are logarithms in single precision otherwise.
    log = torch.log
    torch.log = lambda x: torch.tensor([math.log(v) for v in RATIO], dtype=torch.float64)
    try:
        top, left, h, w = RandomResizedCrop.get_params(torch.zeros(1, height, width), list(SCALE), list(RATIO))
    finally:
        torch.empty, torch.randint, torch.Tensor.uniform_ = plain
        torch.log = log
    return [width, height, draws, [left, top, w, h]]


if __name__ == "__main__":
    rng = random.Random(0)
    sizes = [(500, 375), (32, 32), (375, 500), (1000, 20), (20, 1000), (1, 1), (3, 2), (224, 225)]
    cases = [one(*sizes[i % len(sizes)], rng) for i in range(40)]
    Path(__file__).with_suffix(".json").write_text(json.dumps(cases, separators=(",", ":")).replace("]],[", "]],\n[") + "\n")
