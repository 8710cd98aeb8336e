"""Linear probes of small features. Needs numpy, scipy, scikit-learn. Writes probes.json."""

import json
import warnings
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import NearestCentroid

warnings.filterwarnings("ignore")
rng = np.random.default_rng(3)
N, TEST, D, K = 150, 40, 23, 6
y = rng.integers(0, K, N + TEST)
y[:K] = np.arange(K)
mix = rng.normal(size=(8, D))
latent = 1.1 * rng.normal(size=(K, 8))[y] + rng.normal(size=(N + TEST, 8))
# Non-negative, far from zero mean, with one large feature: what features of networks are like.
x = np.maximum(latent @ mix + 0.5 * rng.normal(size=(N + TEST, D)) + 1, 0)
x[:, 0] *= 10
x = np.round(x, 3).astype(np.float32)
marks = rng.random((N + TEST, 4)) < expit(latent[:, :4] - 0.5)
train, test = x[:N].astype(float), x[N:].astype(float)
GRID = [1e-5, 1e-3, 1e-1, 1e1, 1e3, 1e5]


def logistic(c):
    model = LogisticRegression(C=c, tol=1e-10, max_iter=100000).fit(train, y[:N])
    p = model.predict_log_proba(train)[np.arange(N), y[:N]]
    return {
        "c": c,
        "objective": float(-p.sum() + (model.coef_**2).sum() / (2 * c)),
        "log_probabilities": model.predict_log_proba(test).ravel().tolist(),
    }


def binary(c):
    total, decisions = 0.0, []
    for k in range(marks.shape[1]):
        t = marks[:N, k]
        model = LogisticRegression(C=2 * c, tol=1e-10, max_iter=100000).fit(train, t)
        z = model.decision_function(train)
        total += np.logaddexp(0, np.where(t, -z, z)).sum() + (model.coef_**2).sum() / (4 * c)
        decisions.append(model.decision_function(test).tolist())
    return {"c": c, "objective": float(total), "decisions": np.array(decisions).T.ravel().tolist()}


# The large feature would keep L-BFGS from converging, and what it reaches after 100 iterations is not stable.
even = x[:N].copy()
even[:, 0] /= np.float32(10)
even = even.astype(float)


def study_path(targets, count, loss_and_residual, penalty):
    """scikit-learn 0.22: L-BFGS-B on the sum of losses, warm-started along falling C."""
    w = np.zeros((count, D + 1))
    out = []
    for c in sorted(GRID, reverse=True):
        def f(flat):
            w = flat.reshape(count, D + 1)
            loss, r = loss_and_residual(even @ w[:, :D].T + w[:, D], targets)
            g = np.hstack([r.T @ even + penalty(c) * w[:, :D], r.sum(0)[:, None]])
            return loss + penalty(c) / 2 * (w[:, :D] ** 2).sum(), g.ravel()

        result = minimize(f, w.ravel(), method="L-BFGS-B", jac=True, options={"gtol": 1e-4, "maxiter": 100})
        w = result.x.reshape(count, D + 1)
        out.append({"c": c, "objective": float(result.fun), "iterations": int(result.nit)})
    return out


def softmax_loss(z, t):
    p = softmax(z, 1)
    p[np.arange(N), t] -= 1
    return -log_softmax(z, 1)[np.arange(N), t].sum(), p


def one_mark(z, t):
    return np.logaddexp(0, np.where(t, -z[:, 0], z[:, 0])).sum(), (expit(z[:, 0]) - t)[:, None]


ridge = [RidgeClassifier(alpha=a, solver="svd").fit(train, y[:N]) for a in (1e-3, 1.0, 1e3)]
lda = [LinearDiscriminantAnalysis(solver="lsqr", shrinkage=s).fit(train, y[:N]) for s in (0.0, 0.1, 0.7)]
separate = [study_path(marks[:N, k], 1, one_mark, lambda c: 0.5 / c) for k in range(marks.shape[1])]
result = {
    "n": N,
    "dim": D,
    "classes": K,
    "features": [float(v) for v in x.ravel()],
    "labels": y.tolist(),
    "marks": marks.astype(int).ravel().tolist(),
    "questions": marks.shape[1],
    "logistic": [logistic(c) for c in GRID],
    "binary": [binary(c) for c in GRID],
    "study_path": study_path(y[:N], K, softmax_loss, lambda c: 1 / c),
    "study_path_binary": [
        {"c": rows[0]["c"], "objective": sum(r["objective"] for r in rows)} for rows in zip(*separate)
    ],
    "ridge": [{"lambda": a.alpha, "decisions": a.decision_function(test).ravel().tolist()} for a in ridge],
    "lda": [
        {"shrinkage": m.shrinkage, "log_probabilities": m.predict_log_proba(test).ravel().tolist()} for m in lda
    ],
    "centroid": NearestCentroid().fit(train, y[:N]).predict(test).tolist(),
}
Path(__file__).with_suffix(".json").write_text(json.dumps(result) + "\n")
