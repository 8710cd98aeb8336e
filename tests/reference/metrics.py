"""Metrics of small sets of predictions. Needs numpy, scipy, scikit-learn, torch, torchmetrics, netcal. Writes metrics.json."""

import json
import warnings
from pathlib import Path

import numpy as np
import sklearn.metrics as sk
import torch
from netcal.metrics import ECE
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_calibration_error

warnings.filterwarnings("ignore")
rng = np.random.default_rng(0)
BINS = 15


def single_label(n, k, scale):
    y = rng.integers(0, k, n)
    logits = rng.normal(size=(n, k)) * scale
    logits[np.arange(n), y] += 1.5 * scale
    logits = logits.astype(np.float32)
    z = logits.astype(np.float64)
    p, logp = softmax(z, 1), log_softmax(z, 1)
    labels = np.arange(k)
    predicted = z.argmax(1)
    confusion = sk.confusion_matrix(y, predicted, labels=labels)
    nll = lambda beta: -log_softmax(z * beta, 1)[np.arange(n), y].mean()
    temperature = 1 / minimize_scalar(nll, bounds=(1e-3, 1e3), method="bounded", options={"xatol": 1e-12}).x
    confidence, right = p.max(1), predicted == y
    order = np.argsort(confidence, kind="stable")
    mass = sum(abs(right[b].mean() - confidence[b].mean()) * len(b) / n for b in np.array_split(order, BINS) if len(b))
    # The code of the study, in its order: folds of a shuffle with seed 0.
    np.random.seed(0)
    indices = list(range(n))
    np.random.shuffle(indices)
    before, after = [], []
    for i in range(5):
        fold = indices[i * (n // 5) : (i + 1) * (n // 5)]
        rest = indices[: i * (n // 5)] + indices[(i + 1) * (n // 5) :]
        fit = lambda beta: -log_softmax(z[fold] * beta, 1)[np.arange(len(fold)), y[fold]].mean()
        beta = minimize_scalar(fit, bounds=(1e-3, 1e3), method="bounded", options={"xatol": 1e-12}).x
        ece = lambda b: float(
            multiclass_calibration_error(torch.tensor(softmax(z[rest] * b, 1)), torch.tensor(y[rest]), k, BINS)
        )
        before.append(ece(1.0))
        after.append(ece(beta))
    one_hot = np.eye(k)[y]
    return {
        "classes": k,
        "logits": [float(v) for v in logits.ravel()],
        "truth": y.tolist(),
        "top1": sk.accuracy_score(y, predicted),
        "top5": sk.top_k_accuracy_score(y, p, k=5, labels=labels),
        "balanced": sk.balanced_accuracy_score(y, predicted),
        "mean_per_class_torchmetrics": float(
            multiclass_accuracy(torch.tensor(z), torch.tensor(y), k, average="macro")
        ),
        "per_class": (np.diag(confusion) / confusion.sum(1)).tolist(),
        "confusion": confusion.ravel().tolist(),
        "nll": sk.log_loss(y, p, labels=labels),
        "brier": float(((p - one_hot) ** 2).sum(1).mean()),
        "ece_torchmetrics": float(multiclass_calibration_error(torch.tensor(p), torch.tensor(y), k, BINS)),
        "ece_netcal": float(ECE(BINS).measure(p, y)),
        "ece_mass": float(mass),
        "temperature": temperature,
        "code_cv_test": [float(np.mean(before)), float(np.mean(after))],
    }


def ranking(n, share, ties):
    positive = rng.random(n) < share
    scores = rng.normal(size=n) + positive
    scores = (np.round(scores, 1) if ties else scores).astype(np.float32)
    precision, recall, _ = sk.precision_recall_curve(positive, scores)
    thresholds = np.linspace(0, 1, 11)
    appended = np.mean([precision[recall >= t].max() for t in thresholds])
    kit = np.mean([precision[:-1][recall[:-1] >= t].max() for t in thresholds])
    return {
        "scores": [float(v) for v in scores],
        "positive": positive.tolist(),
        "eleven_appended": float(appended),
        "eleven": float(kit),
        "all_point": float(sk.average_precision_score(positive, scores)),
    }


result = {
    "single_label": [single_label(200, 7, 1.0), single_label(83, 11, 4.0), single_label(60, 6, 0.2)],
    "ranking": [ranking(100, 0.1, False), ranking(100, 0.3, True), ranking(30, 0.5, True), ranking(50, 0.2, False)],
}
Path(__file__).with_suffix(".json").write_text(json.dumps(result) + "\n")
