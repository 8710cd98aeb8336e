"""Turns the list of published numbers (one a row, given as argument) into crates/assay-stats/data/published.csv: a row for each
column of a table. Figures alone are carried over. Then prints what the tests of `published` expect, by numpy and scipy."""

import csv
import sys
from pathlib import Path

import numpy as np
from scipy import stats

rows = list(csv.DictReader(open(sys.argv[1])))
models = list(dict.fromkeys(r["model"] for r in rows))
columns = {}
for r in rows:
    table = r["source"].split("Table ")[1].split(" ")[0]
    key = (table, r["task"], r["dataset"], r["protocol"], r["metric"], r["shots"], "D1" if "suspect" in r["source"] else "")
    columns.setdefault(key, {})[r["model"]] = r["value"] + ("±" + r["ci95_halfwidth"] if r["ci95_halfwidth"] else "")
out = Path(__file__).parents[2] / "crates/assay-stats/data/published.csv"
with open(out, "w", newline="") as file:
    w = csv.writer(file, lineterminator="\n")
    w.writerow(["table", "task", "dataset", "protocol", "metric", "shots", "suspect", "source", *models])
    for key, values in columns.items():
        source = "arXiv 2011.13377v2, Table " + key[0]
        w.writerow([*key, source, *(values[m] for m in models)])

value = lambda key, m: float(columns[key][m].split("±")[0])
of = lambda **want: [k for k in columns if all(k[{"table": 0, "task": 1, "dataset": 2, "protocol": 3, "metric": 4, "shots": 5}[n]] == v for n, v in want.items())]
logit = lambda p: np.log(p / (1 - p))
get = lambda k: np.array([value(k, m) for m in models])
x = logit(get(of(task="imagenet_top1_reported")[0]) / 100)


def axis(keys):
    return np.mean([logit(get(k) / 100) for k in keys], axis=0)


for name, keys in {
    "linear": [k for k in of(task="manyshot_linear") if k[2] != "AVG11"],
    "finetune": [k for k in of(task="manyshot_finetune") if k[2] != "AVG11"],
    "kornblith 20": of(task="fewshot_kornblith", shots="20"),
    "cdfsl 20": of(task="fewshot_cdfsl", shots="20"),
    "detection frozen": of(task="detection", protocol="frozen"),
    "detection finetune": of(task="detection", protocol="finetune"),
    "segmentation": of(task="segmentation"),
}.items():
    y = axis(keys)
    print(name, len(keys), stats.pearsonr(x, y)[0], stats.spearmanr(x, y)[0], stats.pearsonr(x[:-1], y[:-1])[0])
for k in of(task="detection") + of(task="surface_normals") + of(task="segmentation"):
    v = get(k)
    y = -v if k[4].endswith("deg") else logit(v / 100)
    print(k[1:5], stats.pearsonr(x, y)[0])
normals = [(-get(k) if k[4].endswith("deg") else logit(get(k) / 100)) for k in of(task="surface_normals")]
print("normals", stats.pearsonr(x, np.mean(normals, axis=0))[0], stats.pearsonr(x, np.mean(normals[2:], axis=0))[0])
lin = axis([k for k in of(task="manyshot_linear") if k[2] != "AVG11"])
for k in of(task="analysis"):
    v = get(k)
    y = v if k[4].startswith("mse") else logit(v if k[4].startswith("lpips") else v / 100)
    print(k[4], "ImageNet %.4f linear %.4f" % (stats.pearsonr(x, y)[0], stats.pearsonr(lin, y)[0]))
for t in ("manyshot_linear", "manyshot_finetune"):
    mean = np.mean([get(k) for k in of(task=t) if k[2] != "AVG11"], axis=0)
    print(t, np.abs(mean - get(of(task=t, dataset="AVG11")[0])).max())
    print(stats.rankdata(-get(of(task=t, dataset="AVG11")[0])))
print(models)
