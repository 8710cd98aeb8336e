"""Pictures of several containers and modes for the miniature; what they decode to is compared with Pillow elsewhere
(`tests/reference/pillow_formats.py`). Run with numpy and Pillow; writes the folder pictures beside this file."""

import pathlib
import sys

import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "reference"))
from hashing import pixels  # noqa: E402

OUT = HERE / "pictures"
OUT.mkdir(exist_ok=True)
W, H = 16, 12


def smooth(channels, stream):
    y, x = np.mgrid[0:H, 0:W]
    noise = pixels(H * W * channels, stream).reshape(H, W, channels)
    return np.stack([(x * 9 + y * 7 + 40 * k + noise[:, :, k] // 16) % 256 for k in range(channels)], axis=2).astype(np.uint8)


rgb = Image.fromarray(smooth(3, 1))
grey = Image.fromarray(smooth(1, 6)[:, :, 0])
files = {
    "rgb.png": rgb,
    "rgba.png": Image.fromarray(smooth(4, 2), "RGBA"),
    "grey.png": Image.fromarray(smooth(1, 3)[:, :, 0]),
    "grey_alpha.png": Image.fromarray(smooth(2, 4), "LA"),
    "one_bit.png": Image.fromarray(smooth(1, 5)[:, :, 0] > 127),
    "palette.png": rgb.quantize(16),
    "rgb.bmp": rgb,
    "grey.jpg": grey,
    "rgb.jpg": rgb,
    "cmyk.jpg": rgb.convert("CMYK"),
    "one_pixel.png": Image.fromarray(np.array([[[10, 200, 30]]], dtype=np.uint8)),
    "palette.gif": rgb.quantize(16),
    "rgb.ppm": rgb,
    "rgb.webp": rgb,
    "rgb.tif": rgb,
    "lzw.tif": grey,
}
for name, image in files.items():
    options = {"jpg": {"quality": 95, "subsampling": 0}, "webp": {"lossless": True}}.get(name.split(".")[-1], {})
    options |= {"compression": "tiff_lzw"} if name == "lzw.tif" else {}
    image.save(OUT / name, **options)
