"""Transforms of pictures by torchvision on Pillow's images: the numbers that were drawn, and what came of them.

Writes augment.json.gz. pip install torch torchvision numpy "pillow==13.0.0"
"""

import gzip
import json
import pathlib

import numpy as np
import torch
from PIL import Image
from torchvision import transforms as T
from torchvision.transforms import functional as F

HERE = pathlib.Path(__file__).parent
draw = np.random.RandomState(11)
W, H = 22, 17
y, x = np.mgrid[0:H, 0:W]
colours = np.stack([x * 11, y * 14, (x + y) * 6], -1) + draw.randint(-40, 41, (H, W, 3))
pictures = [np.clip(colours, 0, 255).astype(np.uint8), draw.randint(0, 256, (H, W, 3)).astype(np.uint8), draw.randint(0, 256, (H, W)).astype(np.uint8)]
images = [Image.fromarray(p) for p in pictures]

drawn = []
uniform, randint = torch.Tensor.uniform_, torch.randint


def recording_uniform(self, *arguments):
    out = uniform(self, *arguments)
    drawn.append(float(out.item()))
    return out


def recording_randint(*arguments, **options):
    out = randint(*arguments, **options)
    drawn.append(int(out.item()))
    return out


def recorded(function):
    """What a function gives, and the numbers that it drew."""
    drawn.clear()
    torch.Tensor.uniform_, torch.randint = recording_uniform, recording_randint
    try:
        return function(), list(drawn)
    finally:
        torch.Tensor.uniform_, torch.randint = uniform, randint


torch.manual_seed(5)
changes = []
for number, image in enumerate(images):
    for name, function, factors in (
        ("Brightness", F.adjust_brightness, (0.0, 0.37, 0.6, 1.0, 1.4, 1.77)),
        ("Contrast", F.adjust_contrast, (0.0, 0.41, 0.6, 1.0, 1.4, 1.93)),
        ("Saturation", F.adjust_saturation, (0.0, 0.23, 0.6, 1.0, 1.4, 1.81)),
        ("Hue", F.adjust_hue, (-0.5, -0.31, -0.1, 0.0, 0.07, 0.1, 0.46)),
    ):
        for factor in factors:
            out = np.asarray(function(image, factor))
            changes.append({"picture": number, "name": name, "factor": factor, "out": out.tobytes().hex()})
    out = np.asarray(F.rgb_to_grayscale(image, 3)) if number < 2 else pictures[number]
    changes.append({"picture": number, "name": "Grayscale", "factor": 0.0, "out": out.tobytes().hex()})

blurs = []
for number, image in enumerate(images):
    for side, sigma in ((3, 0.1), (3, 1.3), (5, 0.7), (9, 2.0), (23, 1.1)):
        out = np.asarray(F.gaussian_blur(image, [side, side], [sigma, sigma]))
        blurs.append({"picture": number, "side": side, "sigma": sigma, "out": out.tobytes().hex()})

crops = []
for number in range(60):
    # Of the last, no try fits.
    width, height = ((500, 375), (375, 500), (32, 32), (640, 31), (20, 700), (3, 2))[number % 6]
    scale = (0.08, 1.0) if number < 40 else (0.9, 2.5)
    ratio = (3 / 4, 4 / 3)
    image = Image.new("L", (width, height))
    (top, left, h, w), numbers = recorded(lambda: T.RandomResizedCrop.get_params(image, list(scale), list(ratio)))
    crops.append({"size": [width, height], "scale": scale, "ratio": ratio, "drawn": numbers, "region": [left, top, w, h]})

erased = []
for number in range(30):
    width, height = ((224, 224), (32, 20), (5, 60), (2, 2))[number % 4]
    scale, ratio = ((0.02, 0.33), (0.3, 3.3)) if number < 20 else ((0.5, 1.5), (0.3, 3.3))
    image = torch.zeros(3, height, width)
    (top, left, h, w, _), numbers = recorded(lambda: T.RandomErasing.get_params(image, scale, ratio, [0.0]))
    whole = (h, w) == (height, width)
    region = None if whole else [left, top, w, h]
    erased.append({"size": [width, height], "scale": scale, "ratio": ratio, "drawn": numbers, "region": region})

table = {
    "size": [W, H],
    "pictures": [p.tobytes().hex() for p in pictures],
    "changes": changes,
    "blurs": blurs,
    "crops": crops,
    "erased": erased,
}
(HERE / "augment.json.gz").write_bytes(gzip.compress(json.dumps(table).encode(), 9, mtime=0))
print((HERE / "augment.json.gz").stat().st_size, "bytes", sum(len(c["drawn"]) == 20 for c in crops), "crops without a try that fits,", sum(e["region"] is None for e in erased), "not erased")
