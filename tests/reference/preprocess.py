"""Thirty image files of the kinds that datasets hold, and what Pillow with torchvision makes of them: resized, cropped, as
normalised tensors. Photographs cannot be committed; these have smooth gradients, edges, texture and saturated colours.

To be run with Pillow up to 11: version 13 resizes the columns of tall images before the rows, so that bytes differ from those of all
versions before it, which published numbers were made with."""

import io
import json
import pathlib
import shutil
import struct
import zlib

import numpy as np
import PIL
import torch
from PIL import Image
from torchvision import transforms as T

from hashing import pixels

assert int(PIL.__version__.split(".")[0]) <= 11

OUT = pathlib.Path(__file__).parent / "preprocess"
shutil.rmtree(OUT, ignore_errors=True)
OUT.mkdir()
SIZE, CROP = 28, 24
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def scene(width, height, stream):
    """Gradients, a disc with a hard edge, texture, and colours up to saturation."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    u, v = x / width, y / height
    phase = stream * 1.7
    rgb = np.stack([127 + 120 * np.sin(6 * u + phase), 127 + 120 * np.cos(5 * v - phase), 127 + 120 * np.sin(7 * (u - v) + 2 * phase)], axis=2)
    disc = (u - 0.5) ** 2 + (v - 0.45) ** 2 < 0.07
    rgb[disc] = [[250, 20, 30], [10, 240, 60], [20, 40, 250], [250, 250, 10]][stream % 4]
    noise = pixels(width * height, stream).reshape(height, width, 1).astype(float) - 128
    return Image.fromarray(np.clip(rgb + noise * (0.05 + 0.1 * (stream % 3)), 0, 255).astype(np.uint8))


files = {}


def jpeg(name, image, **options):
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    files[name] = out.getvalue()


def png(name, image, **options):
    out = io.BytesIO()
    image.save(out, "PNG", **options)
    files[name] = out.getvalue()


sizes = [(61, 47), (48, 64), (33, 33), (75, 40), (40, 79), (57, 57)]
k = 0
for subsampling in [0, 1, 2]:
    for progressive in [False, True]:
        for quality in [55, 80, 95]:
            w, h = sizes[k % len(sizes)]
            name = f"jpeg-{['444', '422', '420'][subsampling]}-{'progressive' if progressive else 'baseline'}-{quality}.jpg"
            jpeg(name, scene(w, h, k), quality=quality, subsampling=subsampling, progressive=progressive)
            k += 1
jpeg("jpeg-grey.jpg", scene(50, 41, 20).convert("L"), quality=80)
jpeg("jpeg-cmyk.jpg", scene(44, 52, 21).convert("CMYK"), quality=85)
exif = Image.Exif()
exif[0x0112] = 6
jpeg("jpeg-exif-rotated.jpg", scene(60, 38, 22), quality=85, exif=exif)
jpeg("jpeg-tall.jpg", scene(29, 111, 23), quality=75)
png("png-rgb.png", scene(53, 45, 24))
png("png-grey.png", scene(39, 62, 25).convert("L"))
png("png-palette.png", scene(47, 47, 26).quantize(32))
png("png-rgba.png", scene(51, 36, 27).convert("RGBA"))
png("png-one-bit.png", scene(64, 49, 28).convert("1"))
sixteen = (np.asarray(scene(37, 55, 29)).astype(np.uint16) * 257 + pixels(37 * 55 * 3, 29).reshape(55, 37, 3)).astype(np.uint16)


def png16(array):
    """A 16-bit RGB PNG, which Pillow reads but does not write."""
    height, width, _ = array.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


files["png-16-bit.png"] = png16(sixteen)
jpeg("jpeg-as.png", scene(46, 43, 30), quality=80)
png("png-as.jpg", scene(43, 46, 31))

many = T.Compose([T.Resize(SIZE, interpolation=T.InterpolationMode.BICUBIC), T.CenterCrop(CROP), T.ToTensor(), T.Normalize(MEAN, STD)])
few = T.Compose([T.Resize([SIZE, SIZE]), T.CenterCrop(CROP), T.ToTensor(), T.Normalize(MEAN, STD)])
names = sorted(files)
tensors = []
for name in names:
    (OUT / name).write_bytes(files[name])
    image = Image.open(OUT / name).convert("RGB")
    tensors += [many(image), few(image)]
torch.stack(tensors).numpy().astype("<f2").tofile(OUT / "expected.f16")
(OUT / "expected.json").write_text(json.dumps({"size": SIZE, "crop": CROP, "mean": MEAN, "std": STD, "files": names}))
print(len(names), "files,", sum(f.stat().st_size for f in OUT.iterdir()), "bytes")
