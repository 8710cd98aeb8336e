"""Predictions of scikit-learn's classifiers and of the weighted vote of DINO, on hashed features."""

import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from hashing import hashed

N, D, K = 120, 17, 6
labels = np.arange(N) % K
x = hashed(N * D, 9).reshape(N, D) + 0.35 * hashed(K * D, 10).reshape(K, D)[labels] + 1.0
x = x.astype(np.float32)
train, test = slice(0, 60), slice(60, N)
out = {"n": N, "dim": D, "classes": K, "split": 60}
unit = x / np.linalg.norm(x, axis=1, keepdims=True)
x64 = x.astype(np.float64)
out["nearest_mean_euclidean"] = NearestCentroid().fit(x64[train], labels[train]).predict(x64[test]).tolist()
out["nearest_mean_normalized"] = NearestCentroid().fit(unit[train], labels[train]).predict(unit[test]).tolist()
for metric in ("euclidean", "cosine"):
    out[f"nearest_support_{metric}"] = KNeighborsClassifier(1, metric=metric).fit(x64[train], labels[train]).predict(x64[test]).tolist()


def vote(k, temperature):
    a, b = F.normalize(torch.from_numpy(x[train])), F.normalize(torch.from_numpy(x[test]))
    similarity, neighbours = (b @ a.T).topk(k)
    one_hot = F.one_hot(torch.from_numpy(labels[train])[neighbours], K).double()
    weights = (similarity.double() / temperature).exp().unsqueeze(2)
    return (one_hot * weights).sum(1).argmax(1).tolist()


out["knn"] = {"5": vote(5, 0.07), "20": vote(20, 0.07)}
(pathlib.Path(__file__).parent / "heads.json").write_text(json.dumps(out) + "\n")
