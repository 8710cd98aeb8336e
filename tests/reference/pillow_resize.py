"""Resized images by Pillow: every filter, up and down, grey and RGB.

To be run twice, with Pillow up to 12 (pillow_resize.*) and with Pillow 13 (pillow_resize_13.*), which takes tall images the other way
round."""

import json
import pathlib

import numpy as np
import PIL
from PIL import Image

from hashing import pixels

HERE = pathlib.Path(__file__).parent
FILTERS = {
    "Nearest": Image.Resampling.NEAREST,
    "Bilinear": Image.Resampling.BILINEAR,
    "Bicubic": Image.Resampling.BICUBIC,
    "Lanczos": Image.Resampling.LANCZOS,
}
# width, height, channels -> width, height
CASES = [
    (37, 23, 3, 16, 16),
    (37, 23, 1, 64, 50),
    (105, 105, 1, 28, 28),
    (32, 32, 3, 45, 40),
    (100, 9, 1, 13, 30),
    (1, 1, 3, 5, 4),
    (3, 50, 1, 3, 7),
    (50, 3, 1, 7, 3),
    # The last height whose rows Pillow 13 takes first, and the first whose columns.
    (37, 44, 1, 30, 30),
    (37, 45, 1, 30, 30),
    (30, 31, 1, 40, 30),
    (40, 30, 1, 30, 31),
    (20, 120, 3, 16, 16),
]

index, blob = [], b""
for number, (w, h, c, to_w, to_h) in enumerate(CASES):
    # Smooth in half of the cases, noise in the others: noise finds rounding, smoothness finds shifts.
    data = pixels(w * h * c, 1000 + number).reshape(h, w, c)
    if number % 2:
        y, x = np.mgrid[0:h, 0:w]
        data = np.stack([(x * (3 + k) + y * 5 + data[:, :, k] // 8) % 256 for k in range(c)], axis=2).astype(np.uint8)
    image = Image.fromarray(data[:, :, 0] if c == 1 else data)
    for name, method in FILTERS.items():
        out = np.asarray(image.resize((to_w, to_h), method)).tobytes()
        index.append({"case": number, "from": [w, h, c], "to": [to_w, to_h], "filter": name, "offset": len(blob), "length": len(out)})
        blob += out
NAME = "pillow_resize" if int(PIL.__version__.split(".")[0]) <= 12 else "pillow_resize_13"
(HERE / f"{NAME}.bin").write_bytes(blob)
(HERE / f"{NAME}.json").write_text(json.dumps(index, indent=0) + "\n")
