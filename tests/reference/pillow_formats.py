"""Small pictures in every container, mode and packing that Pillow reads, and what Pillow 13 makes of them.

Writes formats.json.gz: of each file its bytes, and the values of convert("RGB") in hexadecimal, those of convert("L") where they are
not the grey of the former, or the error.
pip install numpy "pillow==13.0.0"
"""

import gzip
import io
import json
import pathlib
import struct
import zlib

import numpy as np
import PIL
from PIL import Image

assert PIL.__version__.startswith("13."), PIL.__version__
HERE = pathlib.Path(__file__).parent
W, H = 8, 6
draw = np.random.RandomState(13)
y, x = np.mgrid[0:H, 0:W]
base = np.clip(np.stack([x * 30, y * 40, (x + y) * 18], -1) + draw.randint(-12, 13, (H, W, 3)), 0, 255).astype(np.uint8)
noise = draw.randint(0, 65536, (H, W, 4)).astype(np.uint16)
rgb = Image.fromarray(base)
grey = Image.fromarray(base[..., 1].copy())
bilevel = rgb.convert("1")
rgba = Image.merge("RGBA", (*rgb.split(), Image.fromarray((x * 36).astype(np.uint8))))
few = rgb.quantize(16)
files = {}


def saved(image, container, **options):
    stream = io.BytesIO()
    image.save(stream, container, **options)
    return stream.getvalue()


def save(name, image, container, **options):
    files[name] = saved(image, container, **options)


def packed(values, bits):
    """Values of a few bits, row by row, the first in the highest bits."""
    rows = [np.unpackbits(row[:, None], axis=1)[:, 8 - bits :].reshape(-1) for row in values.astype(np.uint8)]
    return [np.packbits(row).tobytes() for row in rows]


def jpegs():
    for quality, subsampling in ((30, 2), (75, 1), (95, 0)):
        save(f"sub{subsampling}.jpg", rgb, "JPEG", quality=quality, subsampling=subsampling)
        save(f"progressive{subsampling}.jpg", rgb, "JPEG", quality=quality, subsampling=subsampling, progressive=True)
    save("grey.jpg", grey, "JPEG")
    save("rgb_kept.jpg", rgb, "JPEG", keep_rgb=True)
    save("restart.jpg", rgb, "JPEG", restart_marker_rows=1)
    save("cmyk.jpg", rgb.convert("CMYK"), "JPEG", quality=95)
    cmyk = bytearray(files["cmyk.jpg"])
    adobe = cmyk.find(b"Adobe")
    files["ycck.jpg"] = bytes(cmyk[: adobe + 11]) + b"\x02" + bytes(cmyk[adobe + 12 :])
    files["cmyk_not_adobe.jpg"] = bytes(cmyk[: adobe - 4]) + bytes(cmyk[adobe + 12 :])
    exif = Image.Exif()
    exif[0x112] = 6
    save("turned_by_exif.jpg", rgb, "JPEG", exif=exif)
    save("turned_by_exif.png", rgb, "PNG", exif=exif)
    save("turned_by_exif.webp", rgb, "WEBP", lossless=True, exif=exif)
    plain = files["sub2.jpg"]
    files["bytes_after.jpg"] = plain + b"\0rest" * 9
    files["bytes_before.jpg"] = b"\0\0" + plain
    files["no_end.jpg"] = plain[:-2]
    for share in (30, 60, 90):
        files[f"cut_{share}.jpg"] = plain[: len(plain) * share // 100]
    frame = plain.find(b"\xff\xc0")
    files["twelve_bits.jpg"] = plain[: frame + 4] + b"\x0c" + plain[frame + 5 :]
    files["no_width.jpg"] = plain[: frame + 7] + b"\0\0" + plain[frame + 9 :]
    save("several.mpo", rgb, "MPO", save_all=True, append_images=[rgb.transpose(0)])


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(depth, kind, rows, extra=b"", interlace=0, width=W, height=H):
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlace)
    raw = b"".join(b"\0" + row for row in rows)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def adam7(values):
    steps = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    return [values[top::down, left::right] for left, top, right, down in steps if left < W and top < H]


def pngs():
    palette = draw.randint(0, 256, 768).astype(np.uint8).tobytes()
    for bits in (1, 2, 4, 8):
        values = base[..., 0] >> (8 - bits)
        files[f"grey{bits}.png"] = png(bits, 0, packed(values, bits))
        files[f"palette{bits}.png"] = png(bits, 3, packed(values, bits), chunk(b"PLTE", palette[: 3 << bits]))
        passes = [row for part in adam7(values) for row in packed(part, bits)]
        files[f"grey{bits}_interlaced.png"] = png(bits, 0, passes, interlace=1)
    files["palette_short.png"] = png(8, 3, packed(base[..., 0] >> 4, 8), chunk(b"PLTE", palette[:27]))
    files["palette_transparent.png"] = png(4, 3, packed(base[..., 0] >> 4, 4), chunk(b"PLTE", palette[:48]) + chunk(b"tRNS", b"\0\x80\xff"))
    for name, values in (("", noise), ("_low", noise >> 7)):
        deep = values.astype(">u2")
        for kind, channels in ((0, 1), (2, 3), (4, 2), (6, 4)):
            rows = [row.tobytes() for row in deep[..., :channels]]
            files[f"kind{kind}_16{name}.png"] = png(16, kind, rows)
    files["grey16_transparent.png"] = png(16, 0, [r.tobytes() for r in noise[..., 0].astype(">u2")], chunk(b"tRNS", b"\0\1"))
    passes = [row.tobytes() for part in adam7(base) for row in part]
    files["rgb_interlaced.png"] = png(8, 2, passes, interlace=1)
    passes = [row.astype(">u2").tobytes() for part in adam7(noise) for row in part]
    files["rgba16_interlaced.png"] = png(16, 6, passes, interlace=1)
    rows = [row.tobytes() for row in base]
    save("rgb.png", rgb, "PNG")
    save("rgb_transparent.png", rgb, "PNG", transparency=tuple(map(int, base[0, 0])))
    save("grey_transparent.png", grey, "PNG", transparency=int(base[0, 0, 1]))
    save("rgba.png", rgba, "PNG")
    save("grey_alpha.png", rgba.convert("LA"), "PNG")
    save("animated.png", rgb, "PNG", save_all=True, append_images=[rgb.transpose(0)])
    save("animated_default.png", rgb, "PNG", save_all=True, default_image=True, append_images=[rgb.transpose(0)])
    files["gamma.png"] = png(8, 2, rows, chunk(b"gAMA", struct.pack(">I", 100000)) + chunk(b"sRGB", b"\0"))
    files["profile.png"] = png(8, 2, rows, chunk(b"iCCP", b"p\0\0" + zlib.compress(b"no profile")))
    whole = files["gamma.png"]
    at = whole.find(b"gAMA")
    files["gamma_bad_sum.png"] = whole[: at + 8] + b"\1\2\3\4" + whole[at + 12 :]
    plain = png(8, 2, rows)
    end = plain.find(b"IEND") - 4
    files["pixels_bad_sum.png"] = plain[: end - 4] + b"\1\2\3\4" + plain[end:]
    files["pixels_bad_adler.png"] = plain[: end - 5] + bytes([plain[end - 5] ^ 1]) + plain[end - 4 :]
    files["no_end.png"] = plain[:end]
    files["cut.png"] = plain[: end - 30]
    files["cut_before_pixels.png"] = plain[:30]
    files["no_height.png"] = png(8, 2, [], height=0)
    files["pixels_in_parts.png"] = parts(plain)


def parts(plain):
    at, end = plain.find(b"IDAT") + 4, plain.find(b"IEND") - 8
    pixels = plain[at:end]
    return plain[: at - 8] + b"".join(chunk(b"IDAT", pixels[i : i + 10]) for i in range(0, len(pixels), 10)) + plain[end + 4 :]


def bitmap(bits, rows, compression=0, masks=(), palette=b"", height=H, header=40, colors=0, width=W, offset=None):
    rows = b"".join(row + b"\0" * (-len(row) % 4) for row in rows)
    if header == 12:
        head = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        head = struct.pack("<IiiHHIIiiII", header, width, height, 1, bits, compression, len(rows), 0, 0, colors, 0)
        head += struct.pack(f"<{len(masks)}I", *masks)
        head += b"\0" * (header - len(head))
    at = 14 + len(head) + len(palette) if offset is None else offset
    return b"BM" + struct.pack("<IHHI", at + len(rows), 0, 0, at) + head + palette + rows


def bmps():
    flipped = base[::-1]
    colors = draw.randint(0, 256, (256, 4)).astype(np.uint8)
    for bits in (1, 4, 8):
        rows = packed(flipped[..., 0] >> (8 - bits), bits)
        palette = colors[: 1 << bits]
        files[f"palette{bits}.bmp"] = bitmap(bits, rows, palette=palette.tobytes())
        files[f"os2_{bits}.bmp"] = bitmap(bits, rows, palette=palette[:, :3].tobytes(), header=12)
    rows = packed(flipped[..., 0] >> 4, 8)
    files["palette_short.bmp"] = bitmap(8, rows, palette=colors[:9].tobytes(), colors=9)
    files["palette_long_header.bmp"] = bitmap(8, rows, palette=colors.tobytes(), header=124)
    files["palette_offset_at_header.bmp"] = bitmap(8, rows, palette=colors.tobytes(), offset=54)
    save("bilevel.bmp", bilevel, "BMP")
    save("grey.bmp", grey, "BMP")
    five = [flipped[..., i].astype(np.uint16) >> 3 for i in range(3)]
    files["555.bmp"] = bitmap(16, [r.tobytes() for r in five[0] << 10 | five[1] << 5 | five[2]])
    six = flipped[..., 1].astype(np.uint16) >> 2
    files["555_fields.bmp"] = bitmap(16, [r.tobytes() for r in five[0] << 10 | five[1] << 5 | five[2]], 3, (0x7C00, 0x3E0, 0x1F))
    files["565_fields.bmp"] = bitmap(16, [r.tobytes() for r in five[0] << 11 | six << 5 | five[2]], 3, (0xF800, 0x7E0, 0x1F))
    files["444_fields.bmp"] = bitmap(16, [r.tobytes() for r in five[0]], 3, (0xF00, 0xF0, 0xF))
    save("rgb.bmp", rgb, "BMP")
    save("rgba.bmp", rgba, "BMP")
    save("bare.dib", rgb, "DIB")
    files["top_down.bmp"] = bitmap(24, [r.tobytes() for r in base[..., ::-1]], height=-H)
    files["os2_24.bmp"] = bitmap(24, [r.tobytes() for r in flipped[..., ::-1]], header=12)
    files["fields_24.bmp"] = bitmap(24, [r.tobytes() for r in flipped[..., ::-1]], 3, (0xFF0000, 0xFF00, 0xFF))
    four = np.concatenate([flipped[..., ::-1], flipped[..., :1]], -1)
    for name, masks in (
        ("bgrx", (0xFF0000, 0xFF00, 0xFF)),
        ("xbgr", (0xFF000000, 0xFF0000, 0xFF00)),
        ("bgxr", (0xFF000000, 0xFF00, 0xFF)),
        ("zero", (0, 0, 0)),
        ("odd", (0xFF0, 0xFF000, 0xFF)),
    ):
        files[f"fields_{name}.bmp"] = bitmap(32, [r.tobytes() for r in four], 3, masks)
    for name, masks in (
        ("abgr", (0xFF000000, 0xFF0000, 0xFF00, 0xFF)),
        ("rgba", (0xFF, 0xFF00, 0xFF0000, 0xFF000000)),
        ("bgra", (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
        ("bgar", (0xFF000000, 0xFF00, 0xFF, 0xFF0000)),
    ):
        files[f"fields_{name}.bmp"] = bitmap(32, [r.tobytes() for r in four], 3, masks, header=108)
    runs = b"".join(bytes([3, i, 0, 3, i + 1, i + 2, i, 0, 2, 7, 0, 0]) for i in range(H)) + b"\0\1"
    files["runs8.bmp"] = bitmap(8, [runs], 1, palette=colors.tobytes())
    runs = b"".join(bytes([5, 0x12 + i, 0, 3, 0x3F, 0x50, 0, 0]) for i in range(H)) + b"\0\1"
    files["runs4.bmp"] = bitmap(4, [runs], 2, palette=colors[:16].tobytes())
    delta = bytes([4, 9, 0, 2, 2, 1, 2, 5]) + bytes([0, 0, 8, 3] * 4) + b"\0\1"
    files["runs_skip.bmp"] = bitmap(8, [delta], 1, palette=colors.tobytes())
    files["runs_too_long.bmp"] = bitmap(8, [bytes([200, 5, 0, 0] * H) + b"\0\1"], 1, palette=colors.tobytes())
    files["runs_end_early.bmp"] = bitmap(8, [bytes([8, 5, 0, 1])], 1, palette=colors.tobytes())
    files["no_height.bmp"] = bitmap(24, [], height=0)
    files["two_bits.bmp"] = bitmap(2, packed(flipped[..., 0] >> 6, 2), palette=colors[:4].tobytes())
    files["cut.bmp"] = files["rgb.bmp"][:-5]


def portable_maps():
    text = lambda values: b" ".join(str(int(v)).encode() for v in np.ravel(values)) + b"\n"
    size = b"%d %d\n" % (W, H)
    bits = (base[..., 0] > 100).astype(np.uint8)
    files["p1.pbm"] = b"P1\n# bits\n" + size + b"".join(b"%d" % v for v in bits.ravel())
    files["p4.pbm"] = b"P4\n" + size + np.packbits(bits, axis=1).tobytes()
    files["p4_narrow.pbm"] = b"P4 5 6 " + np.packbits(bits[:, :5], axis=1).tobytes()
    for most in (1, 15, 100, 255, 300, 1023, 65535):
        values = (base.astype(np.uint64) * most + 77) // 255 % (most + 1)
        kind = ">u2" if most > 255 else "u1"
        head = size + b"%d\n" % most
        files[f"p2_{most}.pgm"] = b"P2\n" + head + text(values[..., 0])
        files[f"p3_{most}.ppm"] = b"P3\n" + head + text(values)
        files[f"p5_{most}.pgm"] = b"P5\n" + head + values[..., 0].astype(kind).tobytes()
        files[f"p6_{most}.ppm"] = b"P6\n" + head + values.astype(kind).tobytes()
    files["p5_above.pgm"] = b"P5\n" + size + b"100\n" + base[..., 0].tobytes()
    files["p2_above.pgm"] = b"P2\n" + size + b"100\n" + text(base[..., 0])
    files["comments.ppm"] = b"P6 # one\n# two\n" + size + b"# three\n255\n" + base.tobytes()
    files["cmyk.ppm"] = b"P0CMYK\n" + size + b"255\n" + noise.astype(np.uint8).tobytes()
    files["float_little.pfm"] = b"Pf\n" + size + b"-1.0\n" + (noise[..., 0] / 200.0 - 20).astype("<f4").tobytes()
    files["float_big.pfm"] = b"Pf\n" + size + b"2.5\n" + (noise[..., 0] / 200.0 - 20).astype(">f4").tobytes()
    files["float_colour.pfm"] = b"PF\n" + size + b"-1.0\n" + base.astype("<f4").tobytes()
    for name, depth, kind in (("grey", 1, b"GRAYSCALE"), ("rgb", 3, b"RGB")):
        head = b"P7\nWIDTH %d\nHEIGHT %d\nDEPTH %d\nMAXVAL 255\nTUPLTYPE %s\nENDHDR\n" % (W, H, depth, kind)
        files[f"{name}.pam"] = head + base[..., :depth].tobytes()
    files["no_width.ppm"] = b"P6\n0 6\n255\n"
    files["no_height.pgm"] = b"P2\n8 0\n255\n"
    files["no_maximum.pgm"] = b"P5\n" + size + b"0\n" + base[..., 0].tobytes()
    files["cut.ppm"] = files["p6_255.ppm"][:-1]
    files["cut_text.ppm"] = files["p3_255.ppm"][:-10]


def gifs():
    save("plain.gif", rgb, "GIF")
    save("grey.gif", grey, "GIF")
    save("interlaced.gif", few, "GIF", interlace=1)
    save("straight.gif", few, "GIF", interlace=0)
    save("transparent.gif", few, "GIF", transparency=3)
    save("animated.gif", few, "GIF", save_all=True, append_images=[few.transpose(0), few.transpose(1)], duration=50, disposal=2)
    whole = saved(few.crop((0, 0, 5, 4)), "GIF", interlace=0)
    header = bytearray(whole)
    struct.pack_into("<HH", header, 6, W, H)
    at = whole.find(b",", 13 + (3 << ((whole[10] & 7) + 1)))
    for name, place in (("small_frame", (0, 0)), ("moved_frame", (2, 1)), ("frame_beyond", (6, 5))):
        moved = bytearray(header)
        struct.pack_into("<HH", moved, at + 1, *place)
        files[f"{name}.gif"] = bytes(moved)
        control = b"!\xf9\x04\x01\0\0\x05\0"
        files[f"{name}_transparent.gif"] = bytes(moved[:at]) + control + bytes(moved[at:])
    files["version87.gif"] = b"GIF87a" + files["straight.gif"][6:]
    local = files["straight.gif"]
    length = 3 << ((local[10] & 7) + 1)
    at = local.find(b",", 13 + length)
    files["local_palette.gif"] = local[:10] + bytes([local[10] & 0x7F]) + local[11:13] + local[13 + length : at + 9] + bytes([0x80 | local[10] & 7]) + local[13 : 13 + length] + local[at + 10 :]
    files["no_palette.gif"] = local[:10] + bytes([local[10] & 0x7F]) + local[11:13] + local[13 + length :]
    ramp = bytes(v for i in range(length // 3) for v in (i, i, i))
    files["ramp_palette.gif"] = local[:13] + ramp + local[13 + length :]
    files["no_end.gif"] = local[:-1]
    files["cut.gif"] = local[:-6]
    files["no_frame.gif"] = local[: 13 + length] + b";"


def tiff(entries, strips, order="<", page=0, big=False):
    """A TIFF of these tags, with strips or tiles after them."""
    tags = {256: W, 257: H, 277: 1, 278: H, **entries}
    word, code = (8, "Q") if big else (4, "I")
    mark = {"<": b"II", ">": b"MM"}[order]
    head = mark + (struct.pack(order + "HHHQ", 43, 8, 0, 16) if big else struct.pack(order + "HI", 42, 8))
    tiled = 322 in tags
    if tiled:
        del tags[278]
    lengths = [len(s) for s in strips]
    tags[325 if tiled else 279] = lengths
    tags[324 if tiled else 273] = lengths
    tags = dict(sorted((k, v) for k, v in tags.items() if v is not None))
    start = len(head) + (8 if big else 2) + len(tags) * (20 if big else 12) + word
    extra = b""

    def value(tag, number):
        nonlocal extra
        if isinstance(number, bytes):
            kind, count, data = 7, len(number), number
        else:
            number = number if isinstance(number, (list, tuple)) else [number]
            short = tag not in (273, 279, 324, 325)
            kind, count = (3 if short else 4), len(number)
            data = struct.pack(order + str(count) + ("H" if short else "I"), *number)
        if len(data) > word:
            place, extra = start + len(extra), extra + data + b"\0" * (-len(data) % 2)
            data = struct.pack(order + code, place)
        return struct.pack(order + "HH" + code, tag, kind, count) + data.ljust(word, b"\0")

    fields = {tag: value(tag, number) for tag, number in tags.items() if tag not in (273, 324)}
    room = (len(strips) * 4 if len(strips) * 4 > word else 0)
    at, offsets = start + len(extra) + room, []
    for strip in strips:
        offsets.append(at)
        at += len(strip)
    tag = 324 if tiled else 273
    fields[tag] = value(tag, offsets)
    body = b"".join(fields[t] for t in tags)
    return head + struct.pack(order + ("Q" if big else "H"), len(tags)) + body + b"\0" * word + extra + b"".join(strips)


def tiffs():
    rows = lambda values: b"".join(packed(values, 8))
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "zstd", "lzma", "jpeg"):
        save(f"{compression}.tif", rgb, "TIFF", compression=compression)
    save("jpeg_grey.tif", grey, "TIFF", compression="jpeg")
    save("jpeg_cmyk.tif", rgb.convert("CMYK"), "TIFF", compression="jpeg")
    save("jpeg_ycbcr.tif", rgb.convert("YCbCr"), "TIFF", compression="jpeg")
    save("jpeg_ycbcr_sharp.tif", rgb.convert("YCbCr"), "TIFF", compression="jpeg", quality=95)
    for compression in ("tiff_ccitt", "group3", "group4", "raw", "tiff_lzw"):
        save(f"bilevel_{compression}.tif", bilevel, "TIFF", compression=compression)
        save(f"bilevel_white_{compression}.tif", bilevel, "TIFF", compression=compression, tiffinfo={262: 0})
    save("predictor.tif", rgb, "TIFF", compression="tiff_lzw", tiffinfo={317: 2})
    save("predictor_deflate.tif", rgb, "TIFF", compression="tiff_adobe_deflate", tiffinfo={317: 2})
    deep = Image.fromarray(noise[..., 0].copy())
    save("predictor_16.tif", deep, "TIFF", compression="tiff_lzw", tiffinfo={317: 2})
    save("predictor_float.tif", Image.fromarray((noise[..., 0] / 200.0).astype("float32")), "TIFF", compression="tiff_lzw", tiffinfo={317: 3})
    save("float_deflate.tif", Image.fromarray((noise[..., 0] / 200.0).astype("float32")), "TIFF", compression="tiff_adobe_deflate")
    save("several.tif", rgb, "TIFF", save_all=True, append_images=[rgb.transpose(0)])
    save("palette.tif", few, "TIFF")
    save("lab.tif", Image.frombytes("LAB", (W, H), base.tobytes()), "TIFF")
    for number in range(1, 9):
        save(f"turned{number}.tif", rgb, "TIFF", tiffinfo={274: number})
    save("turned6_lzw.tif", rgb, "TIFF", compression="tiff_lzw", tiffinfo={274: 6})
    for order, name in (("<", "little"), (">", "big")):
        put = lambda what, entries, data: files.__setitem__(f"{what}_{name}.tif", tiff(entries, [data], order))
        for bits in (1, 2, 4, 8):
            data = b"".join(packed(base[..., 0] >> (8 - bits), bits))
            for photometric in (0, 1):
                put(f"grey{bits}_{photometric}", {258: bits, 262: photometric}, data)
            put(f"grey{bits}_reversed", {258: bits, 262: 1, 266: 2}, data)
            palette = draw.randint(0, 65536, 3 << bits).tolist()
            put(f"palette{bits}", {258: bits, 262: 3, 320: palette}, data)
        u2, i2, u4, f4 = (order + kind for kind in ("u2", "i2", "u4", "f4"))
        small = (noise >> 7).astype(np.uint16)
        put("grey16", {258: 16, 262: 1}, small[..., 0].astype(u2).tobytes())
        put("grey16_white", {258: 16, 262: 0}, small[..., 0].astype(u2).tobytes())
        put("grey16_reversed", {258: 16, 262: 1, 266: 2}, small[..., 0].astype(u2).tobytes())
        put("signed16", {258: 16, 262: 1, 339: 2}, (small[..., 0].astype(np.int16) - 100).astype(i2).tobytes())
        put("grey32", {258: 32, 262: 1}, (small[..., 0].astype(np.int64) * 2**23 % 2**32 + small[..., 0] % 300).astype(u4).tobytes())
        put("signed32", {258: 32, 262: 1, 339: 2}, (small[..., 0].astype(np.int32) - 100).astype(order + "i4").tobytes())
        put("float", {258: 32, 262: 1, 339: 3}, (noise[..., 0] / 200.0 - 20).astype(f4).tobytes())
        put("float_white", {258: 32, 262: 0, 339: 3}, (noise[..., 0] / 200.0 - 20).astype(f4).tobytes())
        put("float64", {258: 64, 262: 1, 339: 3}, (noise[..., 0] / 200.0).astype(order + "f8").tobytes())
        put("float16", {258: 16, 262: 1, 339: 3}, (noise[..., 0] / 200.0).astype(order + "f2").tobytes())
        twelve = b"".join(packed12(row) for row in small[..., 0])
        put("grey12", {258: 12, 262: 1}, twelve)
        put("rgb16", {258: (16,) * 3, 262: 2, 277: 3}, noise[..., :3].astype(u2).tobytes())
        put("cmyk", {258: (8,) * 4, 262: 5, 277: 4}, noise.astype(np.uint8).tobytes())
        put("cmyk16", {258: (16,) * 4, 262: 5, 277: 4}, noise.astype(u2).tobytes())
        put("rgb_reversed", {258: (8,) * 3, 262: 2, 277: 3, 266: 2}, base.tobytes())
        for extra in (0, 1, 2, 999):
            put(f"rgb_extra{extra}", {258: (8,) * 4, 262: 2, 277: 4, 338: extra}, noise.astype(np.uint8).tobytes())
            put(f"rgb16_extra{extra}", {258: (16,) * 4, 262: 2, 277: 4, 338: extra}, noise.astype(u2).tobytes())
            put(f"grey_extra{extra}", {258: (8,) * 2, 262: 1, 277: 2, 338: extra}, noise[..., :2].astype(np.uint8).tobytes())
            put(f"palette_extra{extra}", {258: (8,) * 2, 262: 3, 277: 2, 338: extra, 320: draw.randint(0, 65536, 768).tolist()}, noise[..., :2].astype(np.uint8).tobytes())
        put("rgb_no_extra", {258: (8,) * 4, 262: 2, 277: 4}, noise.astype(np.uint8).tobytes())
        five = np.concatenate([noise, noise[..., :1]], -1).astype(np.uint8).tobytes()
        for extra in ((0, 0), (1, 0), (2, 0), (0, 2)):
            put(f"rgb_extra{extra[0]}{extra[1]}", {258: (8,) * 5, 262: 2, 277: 5, 338: extra}, five)
        put("cmyk_extra", {258: (8,) * 5, 262: 5, 277: 5, 338: 0}, five)
        put("ycbcr", {258: (8,) * 3, 262: 6, 277: 3, 530: (1, 1)}, base.tobytes())
        put("one_bits_value", {258: 8, 262: 2, 277: 3}, base.tobytes())
        files[f"bigtiff_{name}.tif"] = tiff({258: (8,) * 3, 262: 2, 277: 3}, [base.tobytes()], order, big=True)
        planes = [base[..., i].tobytes() for i in range(3)]
        files[f"planes_{name}.tif"] = tiff({258: (8,) * 3, 262: 2, 277: 3, 284: 2}, planes, order)
        planes = [zlib.compress(noise[..., i].astype(u2).tobytes()) for i in range(3)]
        files[f"planes16_deflate_{name}.tif"] = tiff({258: (16,) * 3, 262: 2, 277: 3, 284: 2, 259: 8}, planes, order)
        files[f"grey16_deflate_{name}.tif"] = tiff({258: 16, 262: 1, 259: 8}, [zlib.compress(small[..., 0].astype(u2).tobytes())], order)
        files[f"rgb16_deflate_{name}.tif"] = tiff({258: (16,) * 3, 262: 2, 277: 3, 259: 8}, [zlib.compress(noise[..., :3].astype(u2).tobytes())], order)
    strips = [base[i : i + 4].tobytes() for i in (0, 4)]
    common = {258: (8,) * 3, 262: 2, 277: 3}
    files["strips.tif"] = tiff({**common, 278: 4}, strips)
    files["strips_deflate.tif"] = tiff({**common, 278: 4, 259: 8}, [zlib.compress(s) for s in strips])
    wide = np.zeros((16, 16, 3), np.uint8)
    wide[:H, :W] = base
    files["tile.tif"] = tiff({**common, 322: 16, 323: 16}, [wide.tobytes()])
    files["tile_deflate.tif"] = tiff({**common, 259: 8, 322: 16, 323: 16}, [zlib.compress(wide.tobytes())])
    large = draw.randint(0, 256, (20, 24, 3)).astype(np.uint8)
    full = np.zeros((32, 32, 3), np.uint8)
    full[:20, :24] = large
    tiles = [full[t : t + 16, l : l + 16].tobytes() for t in (0, 16) for l in (0, 16)]
    for name, pack in (("tiles", lambda t: t), ("tiles_deflate", zlib.compress)):
        files[f"{name}.tif"] = tiff({**common, 256: 24, 257: 20, 259: 1 if name == "tiles" else 8, 322: 16, 323: 16}, [pack(t) for t in tiles])
    files["strips_missing.tif"] = tiff({**common, 278: 4}, strips[:1])
    files["cut.tif"] = tiff(common, [base.tobytes()])[:-3]
    files["cut_deflate.tif"] = tiff({**common, 259: 8}, [zlib.compress(base.tobytes())[:-40]])
    files["no_width.tif"] = tiff({**common, 256: 0}, [b""])
    files["unknown_packing.tif"] = tiff({**common, 259: 32809}, [base.tobytes()])
    files["no_photometric.tif"] = tiff({258: 8}, [base[..., 0].tobytes()])


def packed12(row):
    pairs = row.reshape(-1, 2) & 0xFFF
    return b"".join(bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255]) for a, b in pairs.tolist())


def others():
    save("lossy.webp", rgb, "WEBP", quality=60)
    save("lossy_sharp.webp", rgb, "WEBP", quality=100)
    save("lossless.webp", rgb, "WEBP", lossless=True)
    save("alpha.webp", rgba, "WEBP", lossless=True, exact=True)
    save("alpha_lossy.webp", rgba, "WEBP", quality=80)
    save("animated.webp", rgb, "WEBP", save_all=True, append_images=[rgb.transpose(0)], lossless=True)
    save("animated_alpha.webp", rgba, "WEBP", save_all=True, append_images=[rgba.transpose(0)], lossless=True, exact=True)
    save("animated_lossy.webp", rgb, "WEBP", save_all=True, append_images=[rgb.transpose(0)], quality=70)
    files["cut.webp"] = files["lossless.webp"][:-10]
    save("plain.qoi", rgb, "QOI")
    save("alpha.qoi", rgba, "QOI")
    runs = np.repeat(base[:, :2], 4, axis=1)
    save("runs.qoi", Image.fromarray(runs), "QOI")
    files["cut.qoi"] = files["plain.qoi"][:-12]
    for compression in (None, "tga_rle"):
        name = "runs" if compression else "plain"
        for mode, image in (("rgb", Image.fromarray(runs)), ("rgba", rgba), ("grey", grey), ("grey_alpha", rgba.convert("LA")), ("palette", few), ("bilevel", bilevel)):
            if not (compression and mode == "bilevel"):
                save(f"{name}_{mode}.tga", image, "TGA", compression=compression)
        save(f"{name}_top.tga", Image.fromarray(runs), "TGA", compression=compression, orientation=1)
    plain = bytearray(files["plain_rgb.tga"])
    for flags in (0x10, 0x30):
        plain[17] = flags
        files[f"flags_{flags:x}.tga"] = bytes(plain)
    five = [base[..., i].astype(np.uint16) >> 3 for i in range(3)]
    head = struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, W, H, 16, 0)
    files["555.tga"] = head + (five[0] << 10 | five[1] << 5 | five[2] | 0x8000).astype("<u2").tobytes()
    index = (base[..., 0] >> 4).astype(np.uint8).tobytes()
    colors = draw.randint(0, 256, 64).astype(np.uint8).tobytes()
    for bits in (16, 24, 32):
        head = struct.pack("<BBBHHBHHHHBB", 3, 1, 1, 2, 14, bits, 0, 0, W, H, 8, 0x20)
        files[f"palette{bits}.tga"] = head + b"abc" + colors[: 14 * bits // 8] + index
    across = b"".join(bytes([0x80 | 11, i, i + 1, i + 2]) for i in (0, 50, 100, 150))
    files["runs_across_rows.tga"] = struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, W, H, 24, 0) + across
    files["cut.tga"] = files["plain_rgb.tga"][:60]
    square = rgb.resize((16, 16), Image.NEAREST)
    save("png.ico", square, "ICO")
    save("bmp.ico", square, "ICO", bitmap_format="bmp")
    save("bmp_rgba.ico", rgba.resize((16, 16), Image.NEAREST), "ICO", bitmap_format="bmp")
    save("bmp_palette.ico", few.resize((16, 16), Image.NEAREST), "ICO", bitmap_format="bmp")
    save("bmp_bilevel.ico", bilevel.resize((16, 16), Image.NEAREST), "ICO", bitmap_format="bmp")
    save("several.ico", rgb.resize((32, 32), Image.NEAREST), "ICO", sizes=[(16, 16), (32, 32)])
    files["cut.ico"] = files["bmp.ico"][:-40]
    save("avif.avif", rgb, "AVIF")
    save("jp2.jp2", rgb, "JPEG2000")
    save("pcx.pcx", rgb, "PCX")
    save("sgi.sgi", rgb, "SGI")
    save("dds.dds", rgb, "DDS")
    save("xbm.xbm", bilevel, "XBM")
    files["page.jpg"] = b"<!DOCTYPE html><html>404</html>"
    files["pointer.jpg"] = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"
    files["empty.jpg"] = b""
    files["zeros.jpg"] = bytes(64)
    files["gif_inside.jpg"] = files["plain.gif"]


def expected(content):
    try:
        image = Image.open(io.BytesIO(content))
        image.load()
        colours, shades = image.convert("RGB"), image.convert("L")
        found = {"mode": image.mode, "size": [image.width, image.height], "rgb": colours.tobytes().hex()}
        return found if shades.tobytes() == colours.convert("L").tobytes() else found | {"grey": shades.tobytes().hex()}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}".split(" <_io")[0][:80]}


for make in (jpegs, pngs, bmps, portable_maps, gifs, tiffs, others):
    make()
table = {name: {"bytes": content.hex(), **expected(content)} for name, content in files.items()}
text = json.dumps(table, indent=0).encode()
(HERE / "formats.json.gz").write_bytes(gzip.compress(text, 9, mtime=0))
print(len(files), "files,", (HERE / "formats.json.gz").stat().st_size, "bytes")
