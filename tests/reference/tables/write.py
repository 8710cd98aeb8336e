"""Tables with images inside, as the libraries that people use write them, and what these libraries read of them.

Run: python tests/reference/tables/write.py (needs datasets, huggingface_hub, numpy, pillow, pyarrow, webdataset)
It stands in a folder of its own, since `datasets.py` beside it would be taken for the library. Written with datasets 5.2.0, huggingface_hub 2.4.0, pyarrow 26.0.1, webdataset 1.0.2, Pillow 13.0.0.

`files/expected.json` holds, for each folder, the split, the class (a name, or a list of them) and the first pixel of every image.
"""

import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import webdataset as wds
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Sequence, load_dataset, load_from_disk
from huggingface_hub import scan_cache_dir, snapshot_download
from huggingface_hub.file_download import repo_folder_name
from PIL import Image as Pil

ROOT = Path(__file__).parent / "files"
NAMES = ["zebra", "ant", "Café"]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
EXPECTED = {}


def png(number):
    out = io.BytesIO()
    Pil.fromarray(np.full((2, 2, 3), (number, 255 - number, 7), np.uint8)).save(out, "PNG")
    return out.getvalue()


def first_pixel(image):
    return list(np.asarray(image.convert("RGB"))[0, 0].tolist())


def split(start, labels, names=NAMES):
    features = Features({"image": Image(), "label": ClassLabel(names=names)})
    images = [{"bytes": png(start + i), "path": None} for i in range(len(labels))]
    return Dataset.from_dict({"image": images, "label": labels}, features=features)


def rows(dataset, split_name, label="label"):
    """What `datasets` reads: -1 is a class that is not known."""
    feature = dataset.features[label]
    for row in dataset:
        value = row[label]
        if isinstance(value, list):
            shown = [feature.feature.names[v] for v in value]
        else:
            shown = None if value is None or value < 0 else feature.names[value]
        yield [split_name, shown, first_pixel(row["image"])]


def expect(name, parts, label="label"):
    EXPECTED[name] = [row for split_name, part in parts.items() for row in rows(part, split_name, label)]


def hub_cache():
    """A dataset as `push_to_hub` names its files, in the cache as `snapshot_download` leaves it."""
    repo = ROOT / "hub" / repo_folder_name(repo_id="org/animals", repo_type="dataset")
    snapshot, blobs = repo / "snapshots" / COMMIT, repo / "blobs"
    (snapshot / "data").mkdir(parents=True)
    blobs.mkdir()
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(COMMIT)
    parts = {"train": split(0, [0, 1, 2, 0]), "validation": split(10, [2, 1]), "test": split(20, [-1, -1])}
    for name, part in parts.items():
        shards = 2 if name == "train" else 1
        for shard in range(shards):
            file = f"{name}-{shard:05}-of-{shards:05}.parquet"
            part.shard(shards, shard, contiguous=True).to_parquet(blobs / file)
            os.symlink(f"../../../blobs/{file}", snapshot / "data" / file)
    found = Path(snapshot_download("org/animals", repo_type="dataset", cache_dir=ROOT / "hub", local_files_only=True))
    assert found.resolve() == snapshot.resolve()
    assert not scan_cache_dir(ROOT / "hub").warnings
    read = load_dataset("parquet", data_dir=str(snapshot / "data"))
    expect("hub", {"train": read["train"], "val": read["validation"], "test": read["test"]})


def arrow():
    parts = DatasetDict({"train": split(30, [2, 0, 1, 1]), "test": split(40, [1, 2])})
    parts.save_to_disk(ROOT / "arrow", num_shards={"train": 2, "test": 1})
    read = load_from_disk(ROOT / "arrow")
    expect("arrow", {"train": read["train"], "test": read["test"]})
    features = Features({"image": Image(), "label": Sequence(ClassLabel(names=NAMES))})
    images = [{"bytes": png(50 + i), "path": None} for i in range(3)]
    several = Dataset.from_dict({"image": images, "label": [[0, 2], [], [1]]}, features=features)
    several.save_to_disk(ROOT / "arrow_several")
    expect("arrow_several", {"whole": load_from_disk(ROOT / "arrow_several")})
    (ROOT / "several").mkdir()
    several.to_parquet(ROOT / "several" / "train.parquet")
    expect("several", {"train": load_dataset("parquet", data_files=str(ROOT / "several/train.parquet"))["train"]})


def codecs():
    for codec in ["gzip", "zstd", "lz4", "brotli", "snappy", "none"]:
        part = split(60, [0, 1, 2])
        folder = ROOT / "codecs" / codec / "default" / "train"
        folder.mkdir(parents=True)
        table = part.data.table.replace_schema_metadata(part.data.table.schema.metadata)
        pq.write_table(table, folder / "0000.parquet", compression=codec)
        EXPECTED[f"codecs/{codec}"] = list(rows(part, "train"))


def disagreeing():
    """Two files whose indices mean other names."""
    (ROOT / "disagreeing").mkdir()
    parts = {"train": split(70, [0, 1, 2]), "test": split(80, [0, 1, 2], ["ant", "Café", "zebra"])}
    for name, part in parts.items():
        part.to_parquet(ROOT / "disagreeing" / f"{name}-00000-of-00001.parquet")
    read = {name: load_dataset("parquet", data_files=str(ROOT / f"disagreeing/{name}-00000-of-00001.parquet"))["train"] for name in parts}
    expect("disagreeing", read)


def web():
    for name, start, labels in [("train", 90, [0, 1, 2]), ("test", 100, [2, 0])]:
        folder = ROOT / "web" / name
        folder.mkdir(parents=True)
        with wds.ShardWriter(f"{folder}/%06d.tar", maxcount=2, verbose=0) as sink:
            for i, label in enumerate(labels):
                sink.write({"__key__": f"sample{i:03}", "png": png(start + i), "cls": str(label), "json": {"label": NAMES[label], "n": i}})
    (ROOT / "web" / "classnames.txt").write_text("".join(f"{name}\n" for name in NAMES), encoding="utf-8")
    found = []
    for name in ["train", "test"]:
        tars = sorted(str(p) for p in (ROOT / "web" / name).glob("*.tar"))
        for image, label in wds.WebDataset(tars, shardshuffle=False).decode("pil").to_tuple("png", "cls"):
            found.append([name, NAMES[label], first_pixel(image)])
    EXPECTED["web"] = found


if __name__ == "__main__":
    shutil.rmtree(ROOT, ignore_errors=True)
    ROOT.mkdir()
    hub_cache()
    arrow()
    codecs()
    disagreeing()
    web()
    for leftover in ROOT.rglob("*.lock"):
        leftover.unlink()
    (ROOT / "expected.json").write_text(json.dumps(EXPECTED, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
