"""Features, labels, ids and splits as numpy, pandas and safetensors write them, with what numpy reads from them.

    python3 tests/reference/feature_files.py
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

OUT = Path(__file__).parent / "feature_files"
ROWS, DIM = 9, 5


def main():
    OUT.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    # Halves, so that every type holds them without rounding.
    x = (rng.integers(-200, 200, (ROWS, DIM)) / 2).astype(np.float32)
    x[7] = x[1]  # a row that is there twice
    labels = np.array(["ant", "bee", "cat"])[np.arange(ROWS) % 3]
    numbers = np.arange(ROWS) % 3
    ids = np.array([f"{name}/ü{i}.png" for i, name in enumerate(labels)])
    split = np.array(["train"] * 5 + ["val"] + ["test"] * 3)
    np.save(OUT / "f32.npy", x)
    np.save(OUT / "f16.npy", x.astype(np.float16))
    np.save(OUT / "f64-big.npy", x.astype(">f8"))
    np.save(OUT / "fortran.npy", np.asfortranarray(x))
    np.save(OUT / "fortran-f16-big.npy", np.asfortranarray(x.astype(">f2")))
    np.save(OUT / "i16.npy", (2 * x).astype(np.int16))
    everything = dict(x=x, y=numbers, ids=ids, split=split, classes=np.array(["ant", "bee", "cat"]))
    np.savez(OUT / "all.npz", **everything)
    np.savez_compressed(OUT / "packed.npz", **{**everything, "x": np.asfortranarray(x)})
    np.savez(OUT / "alone.npz", x)
    save_file({"x": x, "y": numbers, "half": x.astype(np.float16)}, OUT / "all.safetensors")
    table = pd.DataFrame({"x": list(x), "y": numbers, "label": labels, "ids": ids, "split": split})
    table.to_parquet(OUT / "all.parquet", row_group_size=4)
    table.assign(x=list(x.astype(np.float64))).to_parquet(OUT / "double.parquet")
    table[["ids", "label", "split", "y"]].to_csv(OUT / "rows.csv", index=False)
    (OUT / "names.txt").write_text("".join(f"{name}\n" for name in ["ant", "bee", "cat"]))
    (OUT / "labels.txt").write_text("".join(f"{name}\n" for name in labels))
    np.save(OUT / "y.npy", numbers)
    np.save(OUT / "y-float.npy", numbers.astype(np.float64))
    np.save(OUT / "y-bytes.npy", labels.astype("S"))
    np.save(OUT / "y-names.npy", labels)
    marks = np.eye(3, dtype=np.int64)[numbers]
    np.save(OUT / "one-hot.npy", marks)
    marks[0] = [1, -1, 1]
    np.save(OUT / "marks.npy", marks)
    # Embeddings of the classes and of another, in an order of their own, and what they come to.
    names = ["cat", "ant", "dog", "bee"]
    embeddings = rng.standard_normal((4, DIM)).astype(np.float32)
    np.savez(OUT / "embeddings.npz", x=embeddings, classes=np.array(names))
    save_file({"text_features": embeddings}, OUT / "embeddings.safetensors")
    (OUT / "embeddings.txt").write_text("".join(f"{name}\n" for name in names))
    ordered = embeddings[[names.index(name) for name in ["ant", "bee", "cat"]]].astype(np.float64)
    unit = lambda rows: rows / np.linalg.norm(rows, axis=1, keepdims=True)
    logits = 100 * unit(x.astype(np.float64)) @ unit(ordered).T
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    right = logits.argmax(axis=1) == numbers
    zero_shot = dict(top1=right.mean(), nll=-np.log(shares[np.arange(ROWS), numbers]).mean())
    expected = dict(
        zero_shot=zero_shot, x=x.tolist(), y=numbers.tolist(), ids=ids.tolist(), split=split.tolist(), marks=marks.tolist())
    (OUT / "expected.json").write_text(json.dumps(expected))
    # What is refused.
    bad = x.copy()
    bad[6, 2] = np.nan
    np.save(OUT / "bad-nan.npy", bad)
    bad[6, 2] = np.inf
    np.save(OUT / "bad-inf-fortran.npy", np.asfortranarray(bad))
    huge = x.astype(np.float64)
    huge[3, 4] = 1e300
    np.save(OUT / "bad-huge.npy", huge)
    np.save(OUT / "bad-maps.npy", x.reshape(ROWS, DIM, 1, 1))
    np.save(OUT / "bad-objects.npy", labels.astype(object), allow_pickle=True)
    uneven = pd.DataFrame({"x": [[1.0, 2.0], [3.0]], "y": [0, 1]})
    uneven.to_parquet(OUT / "bad-uneven.parquet")


if __name__ == "__main__":
    main()
