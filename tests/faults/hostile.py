"""Files that were made to hurt: weights, pickles, images, archives, tables, experiments and names; and files with random mistakes."""

import base64
import collections
import io
import json
import os
import pickle
import random
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib

from bench import GB, TINY, Tally, chunk, folder_of_images, numbers, picture, png, write
from seeds import SEEDS


# Weights.

def pickles(marker):
    """Pickles that run code, or never end, when Python reads them."""
    command = f"touch {marker}"
    encoded = command.encode()

    class Call:
        def __init__(self, function, *arguments):
            self.called = function, arguments

        def __reduce__(self):
            return self.called

    class State:
        def __reduce__(self):
            return dict, (), {"x": Call(os.system, command)}

    for protocol in range(6):
        yield f"system-{protocol}", pickle.dumps(Call(os.system, command), protocol)
        yield f"eval-{protocol}", pickle.dumps(Call(eval, f"__import__('os').system({command!r})"), protocol)
        yield f"nested-{protocol}", pickle.dumps({"state_dict": {"a": [Call(exec, f"import os; os.system({command!r})")]}}, protocol)
        yield f"state-{protocol}", pickle.dumps({"w": State()}, protocol)
    yield from {
        "inst": b"(S'" + encoded + b"'\nios\nsystem\n.",
        "obj": b"(cos\nsystem\nS'" + encoded + b"'\no.",
        "build": b"ccollections\nOrderedDict\n)R(S'__setstate__'\ncos\nsystem\ndbS'" + encoded + b"'\nb.",
        "stack-global": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c" + bytes([len(encoded)]) + encoded + b"\x85R.",
        "dotted": b"\x80\x04\x8c\x08builtins\x8c\x0d__import__.sys\x93)R.",
        "getattr": b"cbuiltins\ngetattr\n(cos\nS'system'\ntR(S'" + encoded + b"'\ntR.",
        "extension": b"\x80\x02\x82\x01.",
        "torch-load": b"ctorch.serialization\nload\n(S'" + encoded + b"'\ntR.",
        "numpy-load": b"cnumpy\nload\n(S'/etc/passwd'\ntR.",
        "codecs": b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x06\x00\x00\x00latin1\x86R.",
        "frame-lies": b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"N.",
        "bytes-lie": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b".",
        "text-lies": b"\x80\x04\x8d" + struct.pack("<Q", (1 << 64) - 1) + b".",
        "long-lies": b"\x80\x02\x8b" + struct.pack("<i", (1 << 31) - 1) + b".",
        "long-negative": b"\x80\x02\x8b" + struct.pack("<i", -5) + b".",
        "memo-lies": b"\x80\x02Nr" + struct.pack("<I", (1 << 32) - 1) + b".",
        "memo-missing": b"\x80\x02j" + struct.pack("<I", (1 << 32) - 1) + b".",
        "deep-lists": b"\x80\x02" + b"]" * 2_000_000 + b"a" * 1_999_999 + b".",
        "deep-tuples": b"\x80\x02N" + b"\x85" * 2_000_000 + b".",
        "deep-marks": b"\x80\x02" + b"(" * 2_000_000 + b"t" * 2_000_000 + b".",
        # Each level holds the one below ten times: 10^60 values in 200 bytes.
        "laughs": b"\x80\x02]q\x000" + b"".join(b"](" + (b"h" + bytes([i])) * 10 + b"eq" + bytes([i + 1]) + b"0" for i in range(60)) + b"h\x3c.",
        "laughs-of-dicts": b"\x80\x02}q\x000" + b"".join(
            b"}(" + b"".join(b"K" + bytes([k]) + b"h" + bytes([i]) for k in range(10)) + b"uq" + bytes([i + 1]) + b"0" for i in range(60)) + b"h\x3c.",
        "itself": b"\x80\x02]q\x00h\x00a.",
        "copies": b"\x80\x02N" + b"2" * 5_000_000 + b".",
        "empty": b"",
        "stop": b".",
    }.items()


def archive(program, members=()):
    """A file as `torch.save` writes it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("archive/data.pkl", program)
        file.writestr("archive/version", "3\n")
        for name, data in members:
            file.writestr(name, data)
    return out.getvalue()


def tensor(key="0", count=6, size=(2, 3), stride=(3, 1), offset=0):
    """The pickle of one tensor, with numbers of our choosing."""
    def number(value):
        return b"J" + struct.pack("<i", value) if -(1 << 31) <= value < 1 << 31 else b"\x8a\x08" + value.to_bytes(8, "little", signed=True)

    def several(values):
        return b"(" + b"".join(map(number, values)) + b"t"
    name = key.encode()
    return (b"\x80\x02}X\x09\x00\x00\x00fc.weightctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX"
            + struct.pack("<I", len(name)) + name + b"X\x03\x00\x00\x00cpu" + number(count) + b"tQ" + number(offset) + several(size)
            + several(stride) + b"\x89ccollections\nOrderedDict\n)RtRs.")


def safetensors(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def npz(members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members:
            file.writestr(name, data)
    return out.getvalue()


def npy(header, data=b""):
    text = header.encode("latin-1")
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) & 0xFFFF) + text + data


def array(dtype="'<f4'", shape="(6,)", data=b""):
    return npz([("a.npy", npy(f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}\n", data))])


def bomb(name, size):
    """An archive whose member inflates to `size` zeros."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        member = zipfile.ZipInfo(name)
        member.compress_type = zipfile.ZIP_DEFLATED
        with file.open(member, "w", force_zip64=True) as stream:
            for _ in range(size >> 24):
                stream.write(bytes(16 << 20))
    return out.getvalue()


def weights(marker):
    for name, data in pickles(marker):
        yield f"{name}.pkl", data
        yield f"{name}.pth", archive(data)
    zeros = bytes(24)
    tensors = {"count": {"count": 1 << 60}, "size": {"size": (1 << 31, 1 << 31)}, "size-overflow": {"size": (1 << 62, 4)}, "size-negative": {"size": (-1, 3)},
               "stride-zero": {"size": (1 << 20, 1 << 20), "stride": (0, 0)}, "stride": {"stride": (1 << 62, 1)}, "stride-negative": {"stride": (-3, 1)},
               "offset": {"offset": 1 << 62}, "offset-negative": {"offset": -1}, "key-up": {"key": "../../../../etc/passwd"},
               "broadcast": {"size": (30000, 30000), "stride": (0, 0), "count": 1}}
    for name, lie in tensors.items():
        yield f"tensor-{name}.pth", archive(tensor(**lie), [("archive/data/0", zeros)])
    yield "tensor-missing.pth", archive(tensor())
    yield "bomb.pth", bomb("archive/data.pkl", 4 * GB)
    yield "members.pth", archive(tensor(), [("archive/data/0", zeros), ("../../outside", b"x"), ("/tmp/absolute", b"x"), ("a\x1b[31mb\n", b"x")])
    one = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
    text = json.dumps(one).encode()
    for name, data in {
        "header-huge": safetensors({"a": one}, zeros, length=1 << 63), "header-4g": safetensors({"a": one}, zeros, length=4 * GB),
        "past": safetensors({"a": {**one, "data_offsets": [0, 1 << 60]}}, zeros), "backwards": safetensors({"a": {**one, "data_offsets": [24, 0]}}, zeros),
        "overlap": safetensors({"a": one, "b": one}, zeros), "hole": safetensors({"a": {**one, "data_offsets": [24, 48]}}, zeros * 2),
        "overflow": safetensors({"a": {**one, "shape": [1 << 62, 8]}}, zeros), "shape": safetensors({"a": {**one, "shape": [1 << 30, 1 << 30]}}, zeros),
        "nothing": safetensors({"a": {"dtype": "F32", "shape": [0, 1 << 62], "data_offsets": [0, 0]}}),
        "deep": safetensors(b'{"a":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}"),
        "many": safetensors({f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(300_000)}),
        "twice": safetensors(b'{"a":' + text + b',"a":' + text + b"}", zeros),
        "escape": safetensors({"fc\u001b]0;owned\u0007\u001b[31m.weight\n": one}, zeros), "not-utf8": safetensors(b'{"\xff\xfe":' + text + b"}", zeros),
    }.items():
        yield f"{name}.safetensors", data
    for name, data in {
        "shape": array(shape="(1073741824, 1073741824)"), "overflow": array(shape="(9223372036854775807, 9, 9)"), "negative": array(shape="(-1,)", data=zeros),
        "object": array("'|O'", "(1,)", pickle.dumps([1])), "code": array(f"__import__('os').system('touch {marker}')", "(1,)"),
        "up": npz([("../../evil.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }\n", zeros)), ("/abs.npy", b"")]),
        "deep": npz([("a.npy", npy("(" * 60000))]), "bomb": bomb("a.npy", 8 * GB),
    }.items():
        yield f"{name}.npz", data


# Images.

def images():
    zeros = zlib.compressobj(9)
    inflated = b"".join([zeros.compress(bytes(1 << 24)) for _ in range(200)] + [zeros.flush()])
    filled = chunk(b"IHDR", struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)) + chunk(b"IDAT", inflated) + chunk(b"IEND", b"")
    yield "bomb.png", png(60000, 60000, b"")
    yield "filled.png", b"\x89PNG\r\n\x1a\n" + filled
    yield "max.png", png((1 << 31) - 1, (1 << 31) - 1, b"")
    yield "zero.png", png(0, 0, b"")
    yield "text.png", png(4, 4, b"\0" * 52, extra=chunk(b"zTXt", b"k\0\0" + inflated[:1 << 20]))
    yield "profile.png", png(4, 4, b"\0" * 52, extra=chunk(b"iCCP", b"k\0\0" + inflated))
    screen = b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + bytes(6)
    frame = b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x02\x02\x44\x01\x00"
    yield "frames.gif", screen + frame * 20000 + b";"
    for bits in (8, 64):
        fields = [(256, 4, 1, 60000), (257, 4, 1, 60000), (258, 3, 1, bits), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8), (277, 3, 1, 1),
                  (278, 4, 1, 60000), (279, 4, 1, 3600000000)]
        directory = struct.pack("<H", len(fields)) + b"".join(struct.pack("<HHII", *field) for field in fields)
        yield f"lying-{bits}.tif", b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<I", 8)
    empty = struct.pack("<H", 0)
    yield "chain.tif", b"II*\0" + struct.pack("<I", 8) + b"".join(empty + struct.pack("<I", 14 + 6 * i) for i in range(200000)) + empty + struct.pack("<I", 8)
    yield "bomb.jpg", SEEDS["jpg"].replace(b"\x00\x10\x00\x10\x03", b"\xff\xff\xff\xff\x03", 1)
    yield "bomb.bmp", b"BM" + struct.pack("<IHHIIiiHHIIiiII", 1 << 30, 0, 0, 54, 40, 60000, 60000, 1, 24, 0, 0, 0, 0, 0, 0)
    yield "runs.bmp", b"BM" + struct.pack("<IHHIIiiHHIIiiII", 1 << 30, 0, 0, 1078, 40, 30000, 30000, 1, 8, 1, 0, 0, 0, 256, 0) + bytes(1024) + b"\xff\x01" * 4
    yield "bomb.webp", b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8L" + struct.pack("<I", 10) + b"\x2f\xff\xff\xff\x0f\0\0\0\0\0"
    yield "bomb.ppm", b"P6 60000 60000 255\n"
    yield "digits.ppm", b"P6 99999999999999999999 1 255\n"
    yield "empty.png", b""


class Watch:
    """Runs commands on hostile files and looks at what they cost and what they let through."""

    def __init__(self, bench):
        self.bench, self.tally, self.home = bench, Tally(), bench.fresh("hostile")
        self.marker = os.path.join(self.home, "OWNED")
        self.peak, self.slowest = (0, ""), (0.0, "")

    def look(self, name, ran, most_seconds=25):
        tally = self.tally
        tally.rounds += 1
        self.peak, self.slowest = max(self.peak, (ran.rss, name)), max(self.slowest, (ran.seconds, name))
        bad = []
        if tally.judge(ran):
            if ran.code is not None and ran.code < 0:
                bad.append(f"killed by signal {-ran.code}")
            if ran.seconds > most_seconds:
                bad.append(f"{ran.seconds:.0f} s")
        else:
            tally.note(f"… by {name}")
        if ran.rss > 2 * GB:
            bad.append(f"{ran.rss / GB:.1f} GiB")
        if any(c in ran.err + ran.out for c in "\x1b\x07\r"):
            bad.append("control characters reach the terminal")
        if os.path.exists(self.marker):
            tally.wrong += 1
            os.remove(self.marker)
            bad.append("CODE WAS RUN")
        if bad:
            tally.lost += 1
            tally.note(f"{name}: " + ", ".join(bad))
        self.bench.detail(fault="hostile_files", name=name, code=ran.code, rss_mib=ran.rss >> 20, seconds=round(ran.seconds, 2), bad=bad, message=ran.last(220))
        return ran

    def inspect(self, path):
        return self.bench.assay("weights", "inspect", path, memory=6 * GB, timeout=60)

    def run(self, file, *more, form="json", timeout=90):
        return self.bench.run(file, self.bench.fresh("hostile-store"), *more, form=form, memory=6 * GB, timeout=timeout)


def experiment(dataset, image="size: 16, resize: Stretch"):
    return (f'(tasks: {{ "t": (dataset: {dataset}, image: ({image})) }}, models: {{ "p": (backbone: Pixels) }}, '
            'protocols: { "f": FewShot(ways: 2, shots: 1, queries: 1, episodes: 20) })')


def try_weights(watch):
    for name, data in weights(watch.marker):
        path = write(os.path.join(watch.home, "weights", name), data)
        watch.look(name, watch.inspect(path))
        if re.search("bomb|laughs|broadcast", name):
            watch.look(f"{name}, converted", watch.bench.assay("weights", "convert", path, "--to", os.path.join(watch.home, "out.safetensors"), memory=6 * GB, timeout=60))
        os.remove(path)
    pipe = os.path.join(watch.home, "pipe.pth")
    os.mkfifo(pipe)
    for path in ("/dev/zero", pipe):
        watch.look(f"weights {os.path.basename(path)}", watch.bench.assay("weights", "inspect", path, memory=6 * GB, timeout=20))


def try_images(watch, good):
    for name, data in images():
        root = watch.bench.fresh("hostile/images")
        shutil.copytree(good, root)
        write(os.path.join(root, "class00", name), data)
        watch.look(name, watch.run(write(os.path.join(watch.home, "images.ron"), TINY % "images")))
    root = os.path.join(watch.home, "special")
    shutil.copytree(good, root)
    file, place = write(os.path.join(watch.home, "special.ron"), TINY % "special"), os.path.join(root, "class00", "x.png")
    for name, make in {"link to /dev/zero": lambda: os.symlink("/dev/zero", place), "pipe": lambda: os.mkfifo(place), "loop of links": lambda: os.symlink("..", place)}.items():
        make()
        watch.look(f"folder with a {name}", watch.run(file, timeout=30))
        os.remove(place)


def tar(members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        for name, data, kind in members:
            member = tarfile.TarInfo(name)
            if kind:
                member.type, member.linkname = kind, data
                file.addfile(member)
            else:
                member.size = len(data)
                file.addfile(member, io.BytesIO(data))
    return out.getvalue()


def try_archives(watch):
    rng, home = random.Random(1), os.path.join(watch.home, "archives")
    drawing = picture(rng)
    drawings = [(f"images_background/A/character{c:02}/0000_{d:02}.png", picture(rng)) for c in range(2) for d in range(4)]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, data in drawings + [("../../../outside.png", drawing), (home + "/absolute.png", drawing), ("images_background/A/../../../up/x/y.png", drawing)]:
            file.writestr(name, data)
        link = zipfile.ZipInfo("images_background/A/character00/link_09.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(link, "/etc/passwd")
    ends = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 65535, 65535, 0xFFFFFFF0, 10, 0)
    zips = {"slip.zip": out.getvalue(), "bomb.zip": bomb("images_background/A/character00/0000_01.png", 8 * GB), "broken.zip": b"PK\x03\x04" + bytes(100),
            "lying.zip": out.getvalue()[:-22] + ends}
    for name, data in zips.items():
        path = write(os.path.join(home, name), data)
        watch.look(name, watch.run(write(os.path.join(home, "zip.ron"), experiment(f'Omniglot(sources: ["{path}"])', "size: 16, resize: Stretch, color: Grey"))), 60)
    plain = [(f"2750/{c}/{c}_{i}.jpg", SEEDS["jpg"] + bytes([i]), None) for c in ("Forest", "River") for i in range(1, 5)]
    tars = {"slip.tar": [(n, SEEDS["jpg"], None) for n in ("../../outside.jpg", "/tmp/faults-absolute.jpg", "2750/Forest/../../../up.jpg")],
            "links.tar": [("2750/Forest/Forest_9.jpg", "/etc/passwd", tarfile.SYMTYPE), ("2750/Forest/Forest_8.jpg", "../../../../etc/shadow", tarfile.LNKTYPE)],
            "devices.tar": [("2750/Forest/Forest_7.jpg", "", tarfile.CHRTYPE), ("2750/Forest/Forest_6.jpg", "", tarfile.FIFOTYPE)]}
    for name, more in tars.items():
        path = write(os.path.join(home, name), tar(plain + more))
        watch.look(name, watch.run(write(os.path.join(home, "tar.ron"), experiment(f'EuroSat(root: "{path}")'))))
    member = tarfile.TarInfo("2750/Forest/Forest_1.jpg")
    member.size = 6 * GB
    path = write(os.path.join(home, "sparse.tar"), member.tobuf())
    os.truncate(path, 6 * GB + 2048)
    watch.look("sparse.tar", watch.run(write(os.path.join(home, "tar.ron"), experiment(f'EuroSat(root: "{path}")'))), 60)
    os.remove(path)
    known = set(zips) | set(tars) | {"zip.ron", "tar.ron"}
    if set(os.listdir(home)) - known or os.path.exists("/tmp/faults-absolute.jpg"):
        watch.tally.wrong += 1
        watch.tally.note(f"files appeared outside: {sorted(set(os.listdir(home)) - known)}")


def try_tables(watch):
    home, whole = watch.home, SEEDS["parquet"]
    file = write(os.path.join(home, "table.ron"), experiment('Parquet(path: "x.parquet")', "size: 4, resize: Stretch"))
    files = {"footer": whole[:-8] + struct.pack("<I", 0x7FFFFFFF) + b"PAR1", "negative": whole[:-8] + struct.pack("<I", 0xFFFFFFFF) + b"PAR1",
             "cut": whole[:len(whole) // 2], "empty": b"", "magic": b"PAR1PAR1", "varints": whole[:-40] + b"\xff" * 28 + whole[-12:]}
    footer = len(whole) - 8 - struct.unpack("<I", whole[-8:-4])[0]
    files.update({f"varint at {at}": whole[:at] + b"\xff\xff\xff\xff\x7f" + whole[at + 5:] for at in range(footer, len(whole) - 8, 9)})
    for name, data in files.items():
        write(os.path.join(home, "x.parquet"), data)
        watch.look(f"parquet {name}", watch.run(file))
    file = write(os.path.join(home, "csv.ron"), experiment('Csv(path: "x.csv", image: "file", label: "label")'))
    rows = ["file,label"] + [f"good/class{c:02}/{i:04}.png,{c}" for c in range(2) for i in range(3)]
    for name, text in {"up": "\n".join(rows + ["../../../../../../etc/passwd,0"]), "absolute": "\n".join(rows + ["/etc/passwd,0"]), "quote": 'file,label\n"' + "a" * 10_000_000,
                       "nul": "file,label\n\0,\0\n", "escape": "\n".join(rows + ["\x1b[31mred\x1b]0;owned\x07.png,0"]), "crlf": "\r\n".join(rows),
                       "mark": "\ufeff" + "\n".join(rows), "columns": "a," * 2_000_000 + "file,label\n"}.items():
        write(os.path.join(home, "x.csv"), text)
        ran = watch.look(f"csv {name}", watch.run(file))
        if name in ("crlf", "mark"):
            watch.tally.check(f"csv {name} is taken", numbers(ran.out) is not None, ran)
    path = write(os.path.join(home, "x.csv"), "file,label\n")
    os.truncate(path, GB)
    watch.look("csv line of 1 GB", watch.run(file), 60)
    os.remove(path)


def try_experiments(watch):
    home, bench = watch.home, watch.bench

    def plan(name, text):
        path = write(os.path.join(home, f"{name}.ron"), text)
        ran = bench.assay("plan", path, "--store", bench.path("hostile-store"), memory=6 * GB, timeout=60)
        return watch.look(f"experiment {name}", ran)
    for name, text in {
        "parens": "(" * 1_000_000, "brackets": "(tasks: " + "[" * 1_000_000, "comments": "/*" * 500_000, "somes": "Some(" * 500_000, "maps": '{"a":' * 300_000,
        "text": '(tasks: {"' + "a" * 100_000_000 + '": 1})', "spaces": " " * 100_000_000, "zeros": bytes(1_000_000), "raw": "r" + "#" * 1_000_000 + '"',
        "models": '(models: {' + "".join(f'"m{i}": (backbone: Pixels),' for i in range(100_000)) + "})", "not-utf8": b"(tasks: {\xff\xfe})",
        "number": '(protocols: {"f": FewShot(ways: ' + "9" * 1_000_000 + ")})", "exponent": '(protocols: {"f": FewShot(episodes: 1e999999999)})',
        "mistakes": "(models: {" + "".join(f'"m{i}": (backbon: Pixels),' for i in range(20_000)) + "})",
        "mistakes-in-lines": "(models: {" + "".join(f'"m{i}": (backbon: Pixels),\n' for i in range(20_000)) + "})",
    }.items():
        plan(name, text)
        os.remove(os.path.join(home, f"{name}.ron"))
    write(os.path.join(home, "two.ron"), '(include: ["one.ron"])')
    for name, included in {"cycle": "cycle.ron", "one": "two.ron", "device": "/dev/zero", "passwd": "/etc/passwd", "folder": "."}.items():
        ran = plan(name, f'(include: ["{included}"])')
        watch.tally.check(f"include {name} shows nothing of the file", "root:x" not in ran.err, ran)
    for i in range(25):
        write(os.path.join(home, f"doubled{i}.ron"), f'(include: ["doubled{i + 1}.ron", "doubled{i + 1}.ron"])')
    write(os.path.join(home, "doubled25.ron"), "()")
    plan("doubled-25-times", '(include: ["doubled0.ron"])')
    file = write(os.path.join(home, "values.ron"), TINY % "good")
    for value in ("protocols.f.episodes=4000000000", "protocols.f.ways=4000000000", "protocols.f.shots=4294967295", "tasks.t.image.size=4000000000", "tasks.t.image.size=60000"):
        watch.look(value, watch.run(file, "--set", value, timeout=30))


def try_names(watch, good):
    home, tally = watch.home, watch.tally
    root = os.path.join(home, "names")
    shutil.copytree(good, root)
    odd = write(os.path.join(root, "class00", "a\x1b[31m\x1b]0;owned\x07\nerror: forged.png"), b"broken")
    file = write(os.path.join(home, "names.ron"), TINY % "names")
    for form in ("table", "csv", "markdown", "json"):
        ran = watch.look(f"file name with escapes, {form}", watch.run(file, form=form))
        tally.check("no line is forged by a file name", "\nerror: forged" not in ran.err, ran)
    os.remove(odd)
    os.rename(os.path.join(root, "class01"), os.path.join(root, "class\x1b[31m|,\"\n1"))
    write(os.path.join(root.encode(), b"class00", b"\xff\xfe.png"), picture(random.Random(0)))
    watch.look("file name that is not UTF-8", watch.run(file))
    names = {"comma": "a,b", "bars": "a|b", "quote": 'a\\"b', "up": "../../up", "escape": "\\u{1b}[31mred\\u{7}", "newline": "a\\nb", "return": "a\\rb", "nul": "a\\u{0}b",
             "formula": "=cmd|' /C calc'!A0", "backwards": "a\\u{202e}b", "empty": "", "long": "x" * 100_000, "slash": "a/b", "star": "a*", "space": " a "}
    lines = {}
    for name, text in names.items():
        file = write(os.path.join(home, "model.ron"), (TINY % "good").replace('"pixels"', f'"{text}"'))
        for form in ("table", "csv", "markdown"):
            ran = watch.look(f"model name {name}, {form}", watch.bench.run(file, watch.bench.path("names-store"), form=form))
            if ran.code == 0:
                usual = lines.setdefault(form, ran.out.count("\n"))
                quoted = form == "csv" and name in ("newline", "return")
                tally.check(f"model name {name}: {form} keeps its lines", ran.out.count("\n") == usual or quoted, ran)


def hostile_files(bench):
    """Hostile weights, images, archives, tables, experiments and names: no code is run, nothing is written outside, no size believed."""
    watch = Watch(bench)
    good = folder_of_images(os.path.join(watch.home, "good"), 2, 3)
    try_weights(watch)
    try_images(watch, good)
    try_archives(watch)
    try_tables(watch)
    try_experiments(watch)
    try_names(watch, good)
    watch.tally.note(f"peak {watch.peak[0] / GB:.2f} GiB ({watch.peak[1]}), slowest {watch.slowest[0]:.1f} s ({watch.slowest[1]})")
    return watch.tally


# Mutations.

def mutate(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        if not data:
            break
        at, kind = rng.randrange(len(data)), rng.randrange(6)
        if kind <= 1:
            data[at] = rng.randrange(256)
        elif kind == 2:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 3:
            data[at:at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"))
        elif kind == 4:
            del data[at:at + rng.randrange(1, 9)]
        else:
            data[at:at] = data[at:at + rng.randrange(1, 9)]
    return bytes(data)


def with_right_sums(data):
    """A PNG whose chunks have the sums that they should have, so that what lies behind them is reached."""
    out, at = bytearray(data[:8]), 8
    while at + 8 <= len(data):
        size = struct.unpack(">I", data[at:at + 4])[0]
        body = data[at + 4:at + 8 + size]
        out += data[at:at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + size
    return bytes(out)


def mutation_targets(bench, home):
    """Each kind of file, a good one, and how a changed one is given to the program."""
    good = folder_of_images(os.path.join(home, "good"), 2, 3)
    store = bench.path("mutation-store")
    tables = {"csv": experiment('Csv(path: "x.csv", root: "..", image: "file", label: "label", split: "split")'),
              "parquet": experiment('Parquet(path: "x.parquet")', "size: 4, resize: Stretch")}
    for kind, text in tables.items():
        write(os.path.join(home, kind, "x.ron"), text)
    for kind in ("png", "jpg"):
        shutil.copytree(good, os.path.join(home, kind, "images"))
        write(os.path.join(home, kind, "x.ron"), TINY % "images")
    shutil.copytree(os.path.join(bench.experiments, "weights"), os.path.join(home, "weights"))
    small = safetensors({"fc.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "fc.bias": {"dtype": "F16", "shape": [4], "data_offsets": [24, 32]},
                         "__metadata__": {"a": "b"}}, bytes(32))
    rows = "file,label,split\n" + "\n".join(f'good/class{c:02}/{i:04}.png,"c{c}",train' for c in range(2) for i in range(3))
    with open(bench.few, "rb") as file:
        few = file.read()
    limits = {"memory": 6 * GB, "timeout": 25}

    def inspected(kind):
        return lambda data: bench.assay("weights", "inspect", write(os.path.join(home, f"x.{kind.split('-')[0]}"), data), **limits)

    def planned(data):
        return bench.assay("plan", write(os.path.join(home, "x.ron"), data), "--store", store, **limits)

    def ran(kind, *place):
        def act(data):
            write(os.path.join(home, kind, *place), data)
            return bench.run(os.path.join(home, kind, "x.ron"), store, **limits)
        return act
    for kind, seed in {"safetensors": small, "pth": SEEDS["pth"], "pth-old": SEEDS["pth-old"], "npz": SEEDS["npz"]}.items():
        yield kind, seed, inspected(kind)
    yield "png", picture(random.Random(0), 12), ran("png", "images", "class00", "x.png")
    yield "jpg", SEEDS["jpg"], ran("jpg", "images", "class00", "x.jpg")
    yield "parquet", SEEDS["parquet"], ran("parquet", "x.parquet")
    yield "csv", rows.encode(), ran("csv", "x.csv")
    yield "ron", few, planned


def mutations(bench):
    """Files of nine formats with random mistakes: no panic, no hang, no memory without bounds."""
    tally, rng, home = Tally(), bench.random(), bench.fresh("mutations")
    for kind, seed, act in mutation_targets(bench, home):
        codes, peak, slowest = collections.Counter(), 0, 0.0
        for i in range(bench.times(300)):
            # The first is the seed itself, which must be taken.
            data = mutate(rng, seed) if i else seed
            ran = act(with_right_sums(data) if kind == "png" and i % 2 else data)
            codes[ran.code] += 1
            peak, slowest = max(peak, ran.rss), max(slowest, ran.seconds)
            holds = ran.seconds < 20 and ran.rss < 2 * GB and (ran.code or 0) >= 0 and (i or ran.code == 0)
            if not tally.check(f"{kind} {i}", holds, ran):
                write(os.path.join(bench.scratch, "found", f"{i}.{kind}"), data)
                bench.detail(fault="mutations", kind=kind, i=i, message=ran.err[-500:], data=base64.b85encode(data).decode()[:4000])
        print(f"    {kind}: exit codes {dict(codes)}, peak {peak >> 20} MiB, slowest {slowest:.2f} s", flush=True)
    return tally
