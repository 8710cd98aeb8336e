"""Two one-shot runs in the layout of Omniglot's `all_runs.zip`, each of 3 classes and 12 × 12 pixels, as `runs.zip` beside this file."""

import pathlib
import struct
import zipfile
import zlib

SIDE = 12


def png(pixels):
    """A grey PNG of 8 bits whose bytes depend on nothing but the pixels: stored, not compressed."""
    chunk = lambda kind, body: struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)
    rows = b"".join(b"\0" + bytes(row) for row in pixels)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 0)) + chunk(b"IEND", b"")


def drawing(kind, drawer):
    """A stroke whose direction is the class, and whose place and darkness are the drawer's."""
    dx, dy = [(1, 0), (0, 1), (1, 1)][kind % 3]
    at = lambda x, y: abs(dy * (x - 5 - drawer) - dx * (y - 5 + drawer)) <= 1 + kind // 3
    return [[20 * drawer if at(x, y) else 255 for x in range(SIDE)] for y in range(SIDE)]


with zipfile.ZipFile(pathlib.Path(__file__).with_name("runs.zip"), "w") as archive:
    put = lambda name, data: archive.writestr(zipfile.ZipInfo(name), data)
    for run in (1, 2):
        lines = []
        for item in range(3):
            kind = (item + run) % 3
            put(f"run{run:02}/training/class{item + 1:02}.png", png(drawing(item + 3 * (run - 1), 0)))
            put(f"run{run:02}/test/item{item + 1:02}.png", png(drawing(kind + 3 * (run - 1), item + 1)))
            lines.append(f"run{run:02}/test/item{item + 1:02}.png run{run:02}/training/class{kind + 1:02}.png\n")
        put(f"run{run:02}/class_labels.txt", "".join(lines))
