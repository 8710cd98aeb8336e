"""Image files of every mode that people have, and what Pillow makes of them as RGB and grey."""

import json
import pathlib

import numpy as np
from PIL import Image

from hashing import pixels

OUT = pathlib.Path(__file__).parent / "modes"
OUT.mkdir(exist_ok=True)
W, H = 16, 12


def smooth(channels, stream):
    y, x = np.mgrid[0:H, 0:W]
    noise = pixels(H * W * channels, stream).reshape(H, W, channels)
    return np.stack([(x * 9 + y * 7 + 40 * k + noise[:, :, k] // 16) % 256 for k in range(channels)], axis=2).astype(np.uint8)


rgb = Image.fromarray(smooth(3, 1))
files = {
    "rgb.png": rgb,
    "rgba.png": Image.fromarray(smooth(4, 2), "RGBA"),
    "grey.png": Image.fromarray(smooth(1, 3)[:, :, 0]),
    "grey_alpha.png": Image.fromarray(smooth(2, 4), "LA"),
    "one_bit.png": Image.fromarray(smooth(1, 5)[:, :, 0] > 127),
    "palette.png": rgb.quantize(16),
    "rgb.bmp": rgb,
    "grey.jpg": Image.fromarray(smooth(1, 6)[:, :, 0]),
    "rgb.jpg": rgb,
    "cmyk.jpg": rgb.convert("CMYK"),
    "one_pixel.png": Image.fromarray(np.array([[[10, 200, 30]]], dtype=np.uint8)),
}
expected = {}
for name, image in files.items():
    options = {"quality": 95, "subsampling": 0} if name.endswith("jpg") else {}
    image.save(OUT / name, **options)
    opened = Image.open(OUT / name)
    expected[name] = {mode: np.asarray(opened.convert(mode)).reshape(-1).tolist() for mode in ("RGB", "L")}
(OUT / "expected.json").write_text(json.dumps(expected) + "\n")
