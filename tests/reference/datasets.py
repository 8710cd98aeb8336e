"""Miniatures of the official layouts of recognition datasets, written by the writers that made the originals, and what
torchvision (where it reads the layout) or the rule of Ericsson et al. (CVPR 2021) lists in them."""

import csv
import io
import json
import pathlib
import pickle
import shutil
import struct
import tarfile
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.io
import torchvision.datasets as tv
from PIL import Image

from hashing import pixels

OUT = pathlib.Path(__file__).parent / "datasets"
shutil.rmtree(OUT, ignore_errors=True)
OUT.mkdir()
expected = {}
drawn = 0
LARGE, SMALL = (34, 28), (32, 32)


def image(kind, size=LARGE):
    """A picture that tells its class: stripes of a direction, in a colour of its own."""
    global drawn
    drawn += 1
    width, height = size
    y, x = np.mgrid[0:height, 0:width]
    along = [x, y, x + y, x - y][kind % 4]
    base = 127 + 80 * np.sin(along * (0.5 + 0.4 * kind))
    noise = pixels(height * width * 3, drawn).reshape(height, width, 3) / 8
    shift = np.array([30, -20, 10]) * (kind - 1)
    return Image.fromarray(np.clip(base[:, :, None] + shift + noise, 0, 255).astype(np.uint8))


def put(path, kind, size=LARGE, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"quality": 60} if path.suffix == ".jpg" else options
    image(kind, size).save(path, **options)


def text(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def listed(name, rows):
    """Rows of (split, path, class name or class names)."""
    expected[name] = [[split, str(path), what] for split, path, what in rows]


def split_of(i):
    return ["train", "train", "train", "val", "val", "test", "test"][i]


# FGVC-Aircraft: names with spaces and slashes.
root = OUT / "aircraft" / "data"
names, lists, k = ["Boeing 707-320", "F/A-18"], {"train": [], "val": [], "test": []}, 0
for i in range(7):
    for kind, name in enumerate(names):
        k += 1
        put(root / "images" / f"{k:07d}.jpg", kind)
        lists[split_of(i)].append(f"{k:07d} {name}")
for split, lines in lists.items():
    text(root / f"images_variant_{split}.txt", lines)
text(root / "variants.txt", names)
rows = []
for split in ["train", "val", "test"]:
    data = object.__new__(tv.FGVCAircraft)
    with open(root / "variants.txt") as f:
        known = [line.strip() for line in f]
    for line in open(root / f"images_variant_{split}.txt"):
        label, name = line.strip().split(" ", 1)
        assert name in known
        rows.append((split, f"data/images/{label}.jpg", name))
# torchvision itself, from the folder that it wants.
tv_root = OUT / "tv"
shutil.copytree(OUT / "aircraft", tv_root / "fgvc-aircraft-2013b")
for split in ["train", "val", "test"]:
    data = tv.FGVCAircraft(tv_root, split=split)
    found = [(split, str(pathlib.Path(f).relative_to(tv_root / "fgvc-aircraft-2013b")), data.classes[t])
             for f, t in zip(data._image_files, data._labels)]
    assert found == [r for r in rows if r[0] == split]
shutil.rmtree(tv_root)
listed("aircraft", rows)

# Caltech-101 with the study's lists: the first has lines twice.
root = OUT / "caltech101"
train, test = [], []
for kind, name in enumerate(["BACKGROUND_Google", "Faces", "accordion"]):
    for i in range(1, 7):
        put(root / "caltech101/101_ObjectCategories" / name / f"image_{i:04d}.jpg", kind)
        (train if i <= 4 else test).append(f"{name}/image_{i:04d}.jpg")
text(root / "train.txt", train + [train[0], train[5]])
text(root / "test.txt", test)
rows = [("train", "caltech101/101_ObjectCategories/" + l, l.split("/")[0]) for l in train]
rows += [("test", "caltech101/101_ObjectCategories/" + l, l.split("/")[0]) for l in test]
listed("caltech101", rows)

# Cars: MATLAB struct arrays.
root = OUT / "cars"
rows, cars = [], ["AM General Hummer SUV 2000", "Ford F-150 Regular Cab, 2012"]
(root / "devkit").mkdir(parents=True)
fields = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname"]
for split, file, n in [("train", "cars_train_annos.mat", 10), ("test", "cars_test_annos_withlabels.mat", 4)]:
    annotations = np.zeros((1, n), dtype=[(f, object) for f in fields])
    for i in range(n):
        kind, name = i % 2, f"{i + 1:05d}.jpg"
        put(root / f"cars_{split}" / name, kind)
        annotations[0, i] = (np.uint8(3), np.uint16(4), np.uint16(300), np.uint16(200), np.uint8(kind + 1), name)
        rows.append((split, f"cars_{split}/{name}", cars[kind]))
    scipy.io.savemat(root / "devkit" / file, {"annotations": annotations}, do_compression=split == "train")
names = np.empty((1, 2), dtype=object)
names[0, :] = cars
scipy.io.savemat(root / "devkit" / "cars_meta.mat", {"class_names": names})
shutil.copytree(root, tv_root / "stanford_cars")
shutil.copy(root / "devkit/cars_test_annos_withlabels.mat", tv_root / "stanford_cars/cars_test_annos_withlabels.mat")
for split in ["train", "test"]:
    data = tv.StanfordCars(tv_root, split=split)
    found = [(split, str(pathlib.Path(f).relative_to(tv_root / "stanford_cars")), data.classes[t]) for f, t in data._samples]
    assert found == [r for r in rows if r[0] == split]
shutil.rmtree(tv_root)
listed("cars", rows)


# CIFAR: Python pickles as Python 2 wrote them (protocol 2, byte strings), and the binary version.
def python2_pickle(value):
    """What cPickle of Python 2 with protocol 2 makes of dicts, lists, ints, byte strings and uint8 matrices."""
    def binary(raw):
        return (b"U" + bytes([len(raw)]) if len(raw) < 256 else b"T" + struct.pack("<i", len(raw))) + raw

    def one(value):
        if isinstance(value, dict):
            return b"}(" + b"".join(one(k) + one(v) for k, v in value.items()) + b"u"
        if isinstance(value, list):
            return b"](" + b"".join(map(one, value)) + b"e"
        if isinstance(value, int):
            return b"K" + bytes([value])
        if isinstance(value, str):
            return binary(value.encode())
        shape = b"".join(b"M" + struct.pack("<H", n) for n in value.shape) + b"\x86"
        dtype = b"cnumpy\ndtype\n(" + binary(b"u1") + b"K\x00K\x01tR(K\x03" + binary(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        new = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + binary(b"b") + b"tR"
        return new + b"(K\x01" + shape + dtype + b"\x89" + binary(value.tobytes()) + b"tb"

    return b"\x80\x02" + one(value) + b"."


def cifar(name, folder, batches, fine):
    label_key = "fine_labels" if fine else "labels"
    for version in ["python", "binary"]:
        (OUT / f"{name}_{version}" / folder[version]).mkdir(parents=True)
    meta = {"fine_label_names": ["apple", "bear"], "coarse_label_names": ["food", "animals"]} if fine else {"label_names": ["airplane", "cat"]}
    rows = []
    for split, file, binary_file, n in batches:
        pictures = [image(i % 2, SMALL) for i in range(n)]
        data = np.stack([np.asarray(p).transpose(2, 0, 1).reshape(-1) for p in pictures])
        labels = [i % 2 for i in range(n)]
        batch = {"batch_label": file, label_key: labels, "data": data, "filenames": [f"{i}.png" for i in range(n)]}
        if fine:
            batch["coarse_labels"] = labels[::-1]
        python_file = OUT / f"{name}_python" / folder["python"] / file
        # The last training batch as Python 3 writes it, which people who make their own have.
        python_file.write_bytes(pickle.dumps(batch, protocol=2) if file == "data_batch_5" else python2_pickle(batch))
        head = (lambda l: bytes([labels[::-1][l], labels[l]])) if fine else (lambda l: bytes([labels[l]]))
        with open(OUT / f"{name}_binary" / folder["binary"] / binary_file, "wb") as f:
            for i in range(n):
                f.write(head(i) + data[i].tobytes())
        names = meta["fine_label_names" if fine else "label_names"]
        read = pickle.loads(python_file.read_bytes(), encoding="latin1")
        assert (read["data"] == data).all()
        rows += [(split, f"{file}/{i}", names[l]) for i, l in enumerate(read[label_key])]
    (OUT / f"{name}_python" / folder["python"] / ("meta" if fine else "batches.meta")).write_bytes(python2_pickle(meta))
    binary_root = OUT / f"{name}_binary" / folder["binary"]
    for key, values in meta.items():
        text(binary_root / ("batches.meta.txt" if not fine else f"{key}.txt"), values)
    listed(name, rows)


cifar("cifar10", {"python": "cifar-10-batches-py", "binary": "cifar-10-batches-bin"},
      [("train", f"data_batch_{i}", f"data_batch_{i}.bin", 2) for i in range(1, 6)] + [("test", "test_batch", "test_batch.bin", 4)], False)
cifar("cifar100", {"python": "cifar-100-python", "binary": "cifar-100-binary"},
      [("train", "train", "train.bin", 10), ("test", "test", "test.bin", 4)], True)

# DTD, partition 1 of ten.
root = OUT / "dtd"
lists = {"train": [], "val": [], "test": []}
for kind, name in enumerate(["banded", "zigzagged"]):
    for i in range(7):
        put(root / "images" / name / f"{name}_{i:04d}.jpg", kind)
        lists[split_of(i)].append(f"{name}/{name}_{i:04d}.jpg")
for split, lines in lists.items():
    text(root / "labels" / f"{split}1.txt", lines)
shutil.copytree(root, tv_root / "dtd" / "dtd")
rows = []
for split in ["train", "val", "test"]:
    data = tv.DTD(tv_root, split=split)
    rows += [(split, str(pathlib.Path(f).relative_to(tv_root / "dtd/dtd")), data.classes[t]) for f, t in zip(data._image_files, data._labels)]
shutil.rmtree(tv_root)
listed("dtd", rows)

# Flowers-102: splits and labels in MATLAB files.
root = OUT / "flowers102"
labels, ids = [], {"trnid": [], "valid": [], "tstid": []}
for i in range(1, 15):
    put(root / "jpg" / f"image_{i:05d}.jpg", i % 2)
    labels.append(1 + i % 2)
    ids[{"train": "trnid", "val": "valid", "test": "tstid"}[split_of((i - 1) // 2)]].append(i)
scipy.io.savemat(root / "imagelabels.mat", {"labels": np.array([labels], dtype=np.uint8)}, do_compression=True)
scipy.io.savemat(root / "setid.mat", {k: np.array([v], dtype=np.uint16) for k, v in ids.items()}, do_compression=True)
shutil.copytree(root, tv_root / "flowers-102")
rows = []
for split in ["train", "val", "test"]:
    data = object.__new__(tv.Flowers102)
    data._split, data.root, data._base_folder = split, tv_root, tv_root / "flowers-102"
    data._images_folder, data.transform, data.target_transform, data.transforms = data._base_folder / "jpg", None, None, None
    data._check_integrity = lambda: True
    tv.Flowers102.__init__(data, tv_root, split=split)
    rows += [(split, str(pathlib.Path(f).relative_to(data._base_folder)), str(t + 1)) for f, t in zip(data._image_files, data._labels)]
shutil.rmtree(tv_root)
listed("flowers102", rows)

# Food-101, in a tar.
root = OUT / "food101" / "food-101"
meta = {"train": {}, "test": {}}
# The official file does not sort its classes.
for kind, name in [(1, "waffles"), (0, "apple_pie")]:
    for i in range(6):
        put(root / "images" / name / f"{100 * kind + i}.jpg", kind)
        meta["train" if i < 4 else "test"].setdefault(name, []).append(f"{name}/{100 * kind + i}")
(root / "meta").mkdir()
for split, entries in meta.items():
    (root / "meta" / f"{split}.json").write_text(json.dumps(entries))
text(root / "meta/classes.txt", meta["train"])
shutil.copytree(OUT / "food101", tv_root)
rows = []
for split in ["train", "test"]:
    data = tv.Food101(tv_root, split=split)
    rows += [(split, "food-101/" + str(pathlib.Path(f).relative_to(tv_root / "food-101")), data.classes[t]) for f, t in zip(data._image_files, data._labels)]
shutil.rmtree(tv_root)
listed("food101", rows)
with tarfile.open(OUT / "food-101.tar", "w") as tar:
    for path in sorted((OUT / "food101").rglob("*")):
        info = tarfile.TarInfo(str(path.relative_to(OUT / "food101")))
        if path.is_file():
            info.size = path.stat().st_size
            tar.addfile(info, io.BytesIO(path.read_bytes()))
shutil.rmtree(OUT / "food101")

# Pets: one picture is CMYK, one has a palette.
root = OUT / "pets"
lists = {"trainval": ["#Image CLASS-ID SPECIES BREED ID"], "test": []}
for kind, name in enumerate(["Abyssinian", "american_bulldog"]):
    for i in range(1, 8):
        path = root / "images" / f"{name}_{i}.jpg"
        put(path, kind)
        if i == 2:
            Image.open(path).convert("CMYK").save(path, quality=60)
        if i == 3:
            Image.open(path).quantize(16).save(path, "PNG")
        lists["trainval" if i <= 5 else "test"].append(f"{name}_{i} {kind + 1} {kind + 1} 1")
for split, lines in lists.items():
    text(root / "annotations" / f"{split}.txt", lines)
rows = []
for split in ["trainval", "test"]:
    for line in lists[split]:
        if not line.startswith("#"):
            name, label, _, _ = line.split()
            rows.append(("train" if split == "trainval" else "test", f"images/{name}.jpg", name.rsplit("_", 1)[0]))
listed("pets", rows)

# SUN397: classes with folders in them, one name inside another.
root = OUT / "sun397"
names = ["/a/abbey", "/c/church/indoor", "/c/church/outdoor"]
train, test = [], []
for kind, name in enumerate(names):
    for i in range(6):
        line = f"{name}/sun_{kind}{i:03d}.jpg"
        put(root / line[1:], kind)
        (train if i < 4 else test).append(line)
text(root / "ClassName.txt", names)
text(root / "Training_01.txt", train)
text(root / "Testing_01.txt", test)
rows = [(s, l[1:], l.rsplit("/", 1)[0][3:]) for s, lines in [("train", train), ("test", test)] for l in lines]
listed("sun397", rows)

# VOC 2007: lists of each class with 1, 0 (difficult), -1.
root = OUT / "voc2007" / "VOCdevkit/VOC2007"
marks = {"aeroplane": [], "bicycle": [], "bird": []}
rows = []
for i in range(1, 19):
    split = ["train", "val", "test"][(i - 1) // 6]
    put(root / "JPEGImages" / f"{i:06d}.jpg", i % 3)
    shown = {"aeroplane": 1 if i % 3 == 0 else -1, "bicycle": 1 if i % 3 == 1 else -1, "bird": 1 if i % 2 else -1}
    if i % 7 == 0:
        shown["bird"] = 0
    for name, mark in shown.items():
        marks[name].append((split, f"{i:06d} {mark:2d}"))
    objects = "".join(f"<object><name>{n}</name><difficult>{int(m == 0)}</difficult></object>" for n, m in shown.items() if m >= 0)
    text(root / "Annotations" / f"{i:06d}.xml", [f"<annotation><filename>{i:06d}.jpg</filename>{objects}</annotation>"])
    rows.append((split, f"JPEGImages/{i:06d}.jpg", [n for n, m in shown.items() if m == 1]))
for name, lines in marks.items():
    for split in ["train", "val", "test"]:
        text(root / "ImageSets/Main" / f"{name}_{split}.txt", [line for s, line in lines if s == split])
for split in ["train", "val", "test"]:
    text(root / "ImageSets/Main" / f"{split}.txt", [f"{i:06d}" for i in range(1, 19) if ["train", "val", "test"][(i - 1) // 6] == split])
    data = tv.VOCDetection(OUT / "voc2007", year="2007", image_set=split)
    assert [pathlib.Path(p).name for p in data.images] == [pathlib.Path(r[1]).name for r in rows if r[0] == split]
    for i, row in enumerate(r for r in rows if r[0] == split):
        objects = data[i][1]["annotation"].get("object", [])
        assert [o["name"] for o in objects if o["difficult"] == "0"] == row[2]
listed("voc2007", rows)

# The four few-shot sets of CD-FSL.
for name, inner, suffix in [("cropdiseases", "dataset/train", ".jpg"), ("eurosat", "2750", ".jpg")]:
    rows = []
    for kind, what in enumerate(["Apple___Apple_scab", "Tomato___healthy"] if name == "cropdiseases" else ["AnnualCrop", "River"]):
        for i in range(6):
            put(OUT / name / inner / what / f"{what}_{i}{suffix}", kind)
    data = tv.ImageFolder(OUT / name / inner)
    listed(name, [("whole", str(pathlib.Path(f).relative_to(OUT / name)), data.classes[t]) for f, t in data.samples])
with zipfile.ZipFile(OUT / "EuroSAT.zip", "w") as z:
    for path in sorted((OUT / "eurosat").rglob("*.jpg")):
        z.writestr(zipfile.ZipInfo(str(path.relative_to(OUT / "eurosat"))), path.read_bytes())
shutil.rmtree(OUT / "eurosat")

root = OUT / "isic2018"
names = ["MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC"]
rows, lines = [], ["image," + ",".join(names)]
for i in range(12):
    put(root / "ISIC2018_Task3_Training_Input" / f"ISIC_{i:07d}.jpg", i % 2)
    lines.append(f"ISIC_{i:07d}," + ",".join("1.0" if k == i % 2 else "0.0" for k in range(7)))
    rows.append(("whole", f"ISIC2018_Task3_Training_Input/ISIC_{i:07d}.jpg", names[i % 2]))
text(root / "ISIC2018_Task3_Training_GroundTruth/ISIC2018_Task3_Training_GroundTruth.csv", lines)
listed("isic2018", rows)

root = OUT / "chestx"
rows = []
(root / "images").mkdir(parents=True)
with open(root / "Data_Entry_2017.csv", "w", newline="") as f:
    writer = csv.writer(f)
    writer.writerow(["Image Index", "Finding Labels", "Follow-up #", "Patient ID"])
    for i in range(16):
        what = ["Atelectasis", "Cardiomegaly", "Atelectasis|Effusion", "No Finding"][i % 4 if i >= 12 else i % 2]
        name = f"{i:08d}_000.png"
        image(i % 2).convert("L").save(root / "images" / name)
        writer.writerow([name, what, i, i])
        if "|" not in what and what != "No Finding":
            rows.append(("whole", f"images/{name}", what))
listed("chestx", rows)

# A table with names that need quotes.
root = OUT / "csv"
rows = []
with open(OUT.joinpath("csv_images").with_suffix(".csv"), "w", newline="") as f:
    writer = csv.writer(f)
    writer.writerow(["file", "what is seen", "part"])
    for i in range(14):
        name, what, split = f'pictures/odd, "name" {i}.png', ['cat, "tabby"', "dog"][i % 2], ["train"] * 8 + ["val"] * 2 + ["test"] * 4
        put(root / name, i % 2)
        writer.writerow([name, what, split[i]])
        rows.append((split[i], name, what))
shutil.move(OUT / "csv_images.csv", root / "labels.csv")
listed("csv", rows)

# Parquet with embedded images, as `datasets` writes it: struct<bytes, path>, class names in the schema's metadata.
root = OUT / "parquet" / "data"
root.mkdir(parents=True)
rows = []
features = {"image": {"_type": "Image"}, "label": {"names": ["no", "yes"], "_type": "ClassLabel"}}
schema = pa.schema(
    [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), ("label", pa.int64())],
    metadata={"huggingface": json.dumps({"info": {"features": features}})},
)
for split, n in [("train", 10), ("test", 4)]:
    cells, labels = [], []
    for i in range(n):
        out = io.BytesIO()
        image(i % 2).save(out, "PNG" if i % 3 else "JPEG")
        cells.append({"bytes": out.getvalue(), "path": f"{i}.png"})
        labels.append(i % 2)
        rows.append((split, f"data/{split}-00000-of-00001.parquet/{i}", ["no", "yes"][i % 2]))
    pq.write_table(pa.table({"image": cells, "label": labels}, schema=schema), root / f"{split}-00000-of-00001.parquet", row_group_size=4)
listed("parquet", rows)
cells = pa.table({"image": [cells[0], None], "label": [0, 1]}, schema=schema)
(OUT / "bad").mkdir()
pq.write_table(cells, OUT / "bad/null-image.parquet")
scipy.io.savemat(OUT / "bad/whole.mat", {"labels": np.arange(40, dtype=np.float64)[None], "text": "a name"}, do_compression=True)
(OUT / "bad/v73.mat").write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n")

(OUT / "expected.json").write_text(json.dumps(expected, indent=0))
print(sum(f.stat().st_size for f in OUT.rglob("*") if f.is_file()), "bytes in", sum(f.is_file() for f in OUT.rglob("*")), "files")
