"""Logistic regression to 30 digits, over 41 orders of magnitude of C times the square of the features' unit.

Needs numpy, mpmath (gmpy2 makes it quicker). Writes solvers.json. Newton's method with step halving on the exact single-precision
features; nothing but the definition: min Σ loss(W x + b) + λ/2 ‖W‖², λ = 1/C for classes and 1/(2C) for each question.
"""

import json
from pathlib import Path

import mpmath as mp
import numpy as np

mp.mp.dps = 120
EXPONENTS = range(-20, 21)


def softmax_rows(z):
    out = []
    for row in z:
        top = max(row)
        e = [mp.exp(v - top) for v in row]
        s = mp.fsum(e)
        out.append(([v / s for v in e], top + mp.log(s)))
    return out


class Problem:
    """One softmax; a question is one of two classes without the second's weights."""

    def __init__(self, x, y, classes, ways):
        self.x = [[mp.mpf(float(v)) for v in row] + [mp.mpf(1)] for row in x]
        self.y, self.k, self.ways, self.d = y, classes, ways, len(x[0])

    def logits(self, w, x):
        z = [[mp.fdot(w[k], row) for k in range(self.ways)] for row in x]
        return z if self.ways == self.k else [row + [mp.mpf(0)] for row in z]

    def objective(self, w, penalty):
        z = self.logits(w, self.x)
        loss = mp.fsum(log_sum - row[y] for row, (_, log_sum), y in zip(z, softmax_rows(z), self.y))
        return loss + penalty / 2 * mp.fsum(v * v for row in w for v in row[:-1])

    def step(self, w, penalty):
        width, ways = self.d + 1, self.ways
        size = width * ways
        g, h = mp.zeros(size, 1), mp.zeros(size, size)
        p = [row for row, _ in softmax_rows(self.logits(w, self.x))]
        for x, p, y in zip(self.x, p, self.y):
            for a in range(ways):
                r = p[a] - (1 if y == a else 0)
                for i in range(width):
                    g[a * width + i] += r * x[i]
                for b in range(a + 1):
                    c = p[a] * ((1 if a == b else 0) - p[b])
                    for i in range(width):
                        for j in range(width):
                            h[a * width + i, b * width + j] += c * x[i] * x[j]
        for a in range(ways):
            for b in range(a):
                for i in range(width):
                    for j in range(width):
                        h[b * width + j, a * width + i] = h[a * width + i, b * width + j]
            for i in range(self.d):
                g[a * width + i] += penalty * w[a][i]
                h[a * width + i, a * width + i] += penalty
        if ways == self.k:
            # All intercepts together are free: hold their sum at zero.
            total = mp.fsum(row[-1] for row in w)
            for a in range(ways):
                g[a * width + self.d] += total
                for b in range(ways):
                    h[a * width + self.d, b * width + self.d] += 1
        s = mp.lu_solve(h, g)
        return g, [[s[a * width + i] for i in range(width)] for a in range(ways)]

    def solve(self, w, penalty):
        value = self.objective(w, penalty)
        for _ in range(400):
            g, s = self.step(w, penalty)
            gain = mp.fsum(g[a * (self.d + 1) + i] * s[a][i] for a in range(self.ways) for i in range(self.d + 1)) / 2
            if gain <= mp.mpf(10) ** -40 * penalty * mp.fsum(v * v for row in w for v in row[:-1]):
                return w, value
            t = mp.mpf(1)
            while True:
                moved = [[v - t * d for v, d in zip(row, step)] for row, step in zip(w, s)]
                now = self.objective(moved, penalty)
                if now < value or t < mp.mpf(10) ** -30:
                    break
                t /= 2
            w, value = moved, now
        raise SystemExit("Newton's method did not converge")

    def without_weights(self):
        counts = [sum(1 for y in self.y if y == k) for k in range(self.k)]
        logs = [mp.log(c) for c in counts]
        shift = mp.fsum(logs) / self.k if self.ways == self.k else logs[-1]
        return [[mp.mpf(0)] * self.d + [l - shift] for l in logs[: self.ways]]

    def path(self):
        """W, b less the intercepts without weights, objective, and what weights win, for each exponent."""
        w = none = self.without_weights()
        alone = self.objective(none, mp.mpf(0))
        for e in EXPONENTS:
            penalty = (1 if self.ways == self.k else mp.mpf(1) / 2) * mp.mpf(10) ** -e
            w, value = self.solve(w, penalty)
            yield w, [row[-1] - n[-1] for row, n in zip(w, none)], value, alone - value


def short(v):
    return float(mp.nstr(v, 12))


def case(name, x, y, classes, marks=None):
    x = np.asarray(x, np.float32)
    parts = [Problem(x, y, classes, classes)] if marks is None else [
        Problem(x, [0 if m else 1 for m in column], 2, 1) for column in np.asarray(marks).T
    ]
    rows = []
    for e, solved in zip(EXPONENTS, zip(*(p.path() for p in parts))):
        rows.append({
            "exponent": e,
            "weight": [short(v) for s in solved for row in s[0] for v in row[:-1]],
            "bias_change": [short(v) for s in solved for v in s[1]],
            "objective": short(mp.fsum(s[2] for s in solved)),
            "won": short(mp.fsum(s[3] for s in solved)),
        })
    labels = {"labels": list(map(int, y))} if marks is None else {"marks": np.asarray(marks).astype(int).ravel().tolist()}
    return {"name": name, "dim": x.shape[1], "classes": classes, "features": [float(v) for v in x.ravel()], **labels, "path": rows}


rng = np.random.default_rng(11)
y = np.arange(18) % 3
balanced = np.round(rng.normal(size=(18, 3)) + 0.8 * np.eye(3)[y], 3)
skewed_y = np.array([0] * 9 + [1] * 5 + [2] * 3)
skewed = np.round(rng.normal(size=(17, 2)) + np.eye(3)[skewed_y][:, :2], 3)
# A column twice, a constant one, and all of them far from zero.
skewed = np.column_stack([skewed[:, 0] + 50, skewed[:, 0] + 50, skewed[:, 1], np.full(17, 0.1)])
wide_y = np.array([0, 0, 0, 1, 1, 2, 2])
wide = np.round(rng.normal(size=(7, 9)) + 1, 3)
asked = np.round(rng.normal(size=(20, 3)), 3)
marks = rng.random((20, 3)) < 1 / (1 + np.exp(-asked + [0, 0, 1.5]))
result = [
    case("balanced", balanced, y, 3),
    case("duplicate and constant columns", skewed, skewed_y, 3),
    case("fewer rows than features", wide, wide_y, 3),
    case("questions", asked, None, 3, marks),
]
Path(__file__).with_suffix(".json").write_text(json.dumps(result) + "\n")
