"""Boxes by torchvision's transforms v2 and masks by Pillow, through resize, centre crop with padding and flip.

Writes geometry.json. pip install torch torchvision pillow numpy
"""

import json
from pathlib import Path

import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

IGNORE = 255
# Width and height of the source; what is done to it, in the words of `ImageSpec`.
CASES = [
    {"source": [7, 5], "resize": "Stretch", "size": [4, 9], "crop": [4, 9], "flip": False},
    {"source": [13, 6], "resize": "ShorterSide", "size": [8, 8], "crop": [6, 6], "flip": True},
    {"source": [6, 13], "resize": "ShorterSide", "size": [4, 4], "crop": [7, 7], "flip": True},
    {"source": [10, 10], "resize": "Stretch", "size": [5, 3], "crop": [8, 8], "flip": False},
    {"source": [9, 4], "resize": "Stretch", "size": [20, 11], "crop": [5, 17], "flip": True},
    {"source": [5, 8], "resize": "None", "size": [5, 8], "crop": [3, 10], "flip": True},
]
BOXES = [[0.0, 0.0, 1.0, 1.0], [0.1, 0.2, 0.6, 0.9], [0.45, 0.45, 0.55, 0.5], [0.9, 0.9, 1.0, 1.0], [0.0, 0.3, 0.2, 0.4]]


def mask_of(width, height):
    """Values that differ from pixel to pixel."""
    image = Image.new("L", (width, height))
    image.putdata([(x * 31 + y * 17) % 251 for y in range(height) for x in range(width)])
    return image


def padded_crop(image, crop):
    """torchvision's center_crop, with padding that is ignored instead of class 0."""
    marked = Image.new("L", image.size, 0)
    value = F.center_crop(image, [crop[1], crop[0]])
    padding = F.center_crop(Image.eval(marked, lambda _: 1), [crop[1], crop[0]])
    return Image.composite(value, Image.new("L", value.size, IGNORE), padding.point(lambda v: 255 * v))


def run(case):
    width, height = case["source"]
    boxes = torch.tensor([[a * width, b * height, c * width, d * height] for a, b, c, d in BOXES])
    boxes = tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(height, width))
    mask = mask_of(width, height)
    if case["resize"] == "Stretch":
        size = [case["size"][1], case["size"][0]]
    elif case["resize"] == "ShorterSide":
        size = [min(case["size"])]
    else:
        size = None
    if size:
        boxes = F.resize(boxes, size)
        # Of a mask the nearest pixel is meant as Pillow finds it: torch's own `nearest` takes another one.
        mask = mask.resize((boxes.canvas_size[1], boxes.canvas_size[0]), Image.NEAREST)
    crop = [case["crop"][1], case["crop"][0]]
    # torchvision pads images by half the difference rounded down, and shifts boxes by half of it rounded to even: where that
    # differs, its boxes leave their objects. Boxes are padded here as images are.
    height, width = boxes.canvas_size
    wide, high = max(crop[1] - width, 0), max(crop[0] - height, 0)
    boxes = F.pad(boxes, [wide // 2, high // 2, (wide + 1) // 2, (high + 1) // 2])
    boxes = F.clamp_bounding_boxes(F.center_crop(boxes, crop), clamping_mode="hard")
    mask = padded_crop(mask, case["crop"])
    if case["flip"]:
        boxes = F.horizontal_flip(boxes)
        mask = F.horizontal_flip(mask)
    return {**case, "input": BOXES, "boxes": boxes.tolist(), "mask": list(mask.getdata())}


if __name__ == "__main__":
    found = [run(case) for case in CASES]
    Path(__file__).with_name("geometry.json").write_text(json.dumps(found) + "\n")
