"""Reads what `assay export` writes with numpy, pandas and safetensors, and classifies with scikit-learn.

    cargo build --workspace --bin assay
    python3 tests/reference/exports.py target/debug/assay

There is no fixture: the script fails where a number differs. What is exported is imported again by `tests/features.rs`.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

EXPERIMENT = """(
    tasks: { "glyphs": (
        dataset: Glyphs(alphabets: 2, characters: 8, drawers: 10, test_drawers: 3),
        image: (size: 28, resize: None, color: Grey),
    ) },
    models: { "conv": (backbone: Conv4(channels: 1, width: 4), weights: Random(seed: 0)) },
    protocols: {
        "linear": Linear(grid: Values([0.01, 1.0]), resamples: 50),
        "unit": Linear(solver: Ridge, normalize: true, resamples: 50),
        "knn": Knn(k: 5),
    },
)
"""


def main(assay):
    assay = Path(assay).resolve()
    folder = Path(tempfile.mkdtemp())
    (folder / "e.ron").write_text(EXPERIMENT)

    def run(*arguments):
        subprocess.run([assay, *arguments], cwd=folder, check=True, capture_output=True)

    run("run", "e.ron", "--device", "cpu")
    kinds = ["npz", "npy", "parquet", "safetensors", "csv"]
    for kind in kinds:
        # The companion of an .npy file is a .csv of the same name.
        run("export", "features", "e.ron", "conv", "glyphs", "--to", f"features-{kind}.{kind}")
    features = np.load(folder / "features-npz.npz")
    x, y = features["x"], features["y"]
    assert x.dtype == np.float32 and x.shape[0] == 160 and np.isfinite(x).all()
    assert np.array_equal(np.load(folder / "features-npy.npy"), x)
    assert np.array_equal(pd.read_csv(folder / "features-npy.csv")["y"], y)
    assert np.array_equal(load_file(folder / "features-safetensors.safetensors")["x"], x)
    table = pd.read_parquet(folder / "features-parquet.parquet")
    assert np.array_equal(np.stack(table["x"]), x) and (table["y"] == y).all()
    assert (table["ids"] == features["ids"]).all() and (table["split"] == features["split"]).all()
    assert (features["classes"][y] == features["label"]).all()
    lines = pd.read_csv(folder / "features-csv.csv")
    assert np.array_equal(lines.filter(regex="^x[0-9]+$").to_numpy(np.float32), x)
    test = features["split"] == "test"

    for protocol in ["linear", "unit"]:
        for what in ["probe", "predictions"]:
            run("export", what, "e.ron", "conv", "glyphs", protocol, "--to", f"{what}-{protocol}.npz")
        probe = np.load(folder / f"probe-{protocol}.npz")
        predictions = np.load(folder / f"predictions-{protocol}.npz")
        rows = normalize(x[test]) if probe["normalize"][0] else x[test]
        model = LogisticRegression()
        model.classes_, model.coef_, model.intercept_ = probe["classes"], probe["weight"], probe["bias"]
        model.n_features_in_ = x.shape[1]
        assert (model.predict(rows) == predictions["predicted_label"]).all()
        assert (predictions["ids"] == features["ids"][test]).all()
        assert (predictions["label"] == features["label"][test]).all()
        difference = np.abs(model.decision_function(rows) - predictions["logits"]).max()
        shares = np.abs(model.predict_proba(rows) - predictions["probabilities"]).max()
        print(f"{protocol}: {test.sum()} predictions equal; logits differ by {difference:.1e}, probabilities by {shares:.1e}")
        assert difference < 1e-4 and shares < 1e-5
    run("export", "predictions", "e.ron", "conv", "glyphs", "knn", "--to", "knn.csv")
    votes = pd.read_csv(folder / "knn.csv").filter(regex="^probabilities").to_numpy()
    assert np.allclose(votes.sum(axis=1), 1)
    print("numpy, pandas and safetensors read the same features from", ", ".join(kinds))


if __name__ == "__main__":
    main(sys.argv[1])
