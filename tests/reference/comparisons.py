"""Tests, intervals and correlations. Needs numpy, scipy, statsmodels, scikit-posthocs, baycomp. Writes comparisons.json."""

import json
import warnings
from pathlib import Path

import numpy as np
import scikit_posthocs as sp
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

warnings.filterwarnings("ignore")
rng = np.random.default_rng(5)


def f(v):
    return None if not np.isfinite(v) else float(v)


def rows(a):
    return [f(v) for v in np.asarray(a, float).ravel()]


quantiles = [1e-300, 1e-20, 1e-9, 0.001, 0.025, 0.3, 0.5, 0.9, 0.975, 1 - 1e-9]
distributions = {
    "normal_cdf": [[z, f(stats.norm.cdf(z))] for z in (-38.0, -12.0, -3.0, -0.1, 0.0, 1.96, 6.0)],
    "normal_quantile": [[p, f(stats.norm.ppf(p))] for p in quantiles],
    "t": [[t, df, f(2 * stats.t.sf(t, df))] for t in (0.0, 0.3, 2.0, 15.0, 1e5) for df in (1.0, 2.5, 13.0, 599.0, 1e6)],
    "t_quantile": [[p, df, f(stats.t.ppf(p, df))] for p in (0.5001, 0.9, 0.975, 0.9999) for df in (1.0, 4.0, 599.0)],
    "f": [[x, a, b, f(stats.f.sf(x, a, b))] for x in (0.1, 1.0, 7.949640, 300.0) for a, b in ((3.0, 15.0), (13.0, 130.0), (1.0, 1.0))],
    "chi2": [[x, df, f(stats.chi2.sf(x, df))] for x in (0.01, 3.0, 11.05, 200.0, 1200.0) for df in (1.0, 3.0, 13.0, 100.0)],
    "beta": [[x, a, b, f(stats.beta.cdf(x, a, b))] for x in (1e-8, 0.2, 0.81, 0.999) for a, b in ((0.5, 0.5), (81.0, 20.0), (1.0, 300.0), (2e4, 1e4))],
    "studentised_range": [[q, k, f(stats.studentized_range.sf(q, k, np.inf))] for q in (0.5, 2.0, 3.314493, 4.7, 7.0) for k in (2, 3, 14, 50)],
}
intervals = [
    [k, n, c, *rows(proportion_confint(k, n, 1 - c, "wilson")), *rows(stats.binomtest(k, n).proportion_ci(c, "exact"))]
    for k, n in ((81, 100), (0, 7), (7, 7), (1, 100000), (99999, 100000), (3, 6), (500000, 1000000))
    for c in (0.95, 0.99)
]
episodes = np.round(rng.beta(8, 3, 40), 4)
m, se = episodes.mean(), episodes.std(ddof=1) / 40**0.5
means = {
    "values": rows(episodes),
    "t": rows(stats.t.interval(0.95, 39, m, se)),
    "normal": rows(stats.norm.interval(0.95, m, se)),
}
pairs = [[b, c, f(mcnemar([[50, b], [c, 7]], exact=True).pvalue),
          f(min(1, 2 * stats.binom.cdf(min(b, c), b + c, 0.5) - stats.binom.pmf(min(b, c), b + c, 0.5)) if b != c else 1)]
         for b, c in ((9, 21), (0, 0), (5, 5), (0, 1), (0, 12), (300, 400), (5000, 5300), (21, 9))]
other = np.round(episodes + rng.normal(0.01, 0.05, 40), 3)
small = np.round(rng.normal(0.4, 1, 9), 2)
flips = stats.permutation_test((small, np.zeros(9)), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=np.inf)
paired = {
    "first": rows(episodes), "second": rows(other),
    "t": f(stats.ttest_rel(episodes, other).pvalue), "interval": rows(stats.ttest_rel(episodes, other).confidence_interval()),
    "small": rows(small), "sign_flips": f(flips.pvalue),
}
families = [
    {"p": p, "holm": rows(multipletests(p, method="holm")[1]), "bh": rows(multipletests(p, method="fdr_bh")[1])}
    for p in ([0.01, 0.04, 0.03], [0.5], [1.0, 0.9, 0.02, 0.02, 0.02], [0.0, 1e-12, 0.3, 0.3], [])
    if p
]

A = np.array([[.82, .80, .75, .79], [.61, .66, .60, .60], [.93, .90, .88, .91], [.55, .57, .50, .52], [.78, .74, .70, .77], [.88, .86, .86, .84]])
no_ties = np.round(rng.normal(size=(11, 7)) + np.arange(7) * 0.3, 6)


def tables(t):
    n, k = t.shape
    chi = stats.friedmanchisquare(*t.T)
    ranks = stats.rankdata(-t, axis=1)
    plain = 12 * n / (k * (k + 1)) * ((ranks.mean(0) - (k + 1) / 2) ** 2).sum()
    F = (n - 1) * plain / (n * (k - 1) - plain)
    nemenyi = sp.posthoc_nemenyi_friedman(t).to_numpy()
    # Figures are decimal: what they differ by is rounded before it is ranked.
    exact = [f(stats.wilcoxon(np.round(t[:, a] - t[:, b], 10), method=stats.PermutationMethod(n_resamples=10**9)).pvalue)
             for a in range(k) for b in range(a + 1, k)]
    normal = [f(stats.wilcoxon(np.round(t[:, a] - t[:, b], 10), method="approx").pvalue) for a in range(k) for b in range(a + 1, k)]
    return {
        "table": rows(t), "models": k, "mean_ranks": rows(ranks.mean(0)), "chi2": [f(chi.statistic), f(chi.pvalue)],
        "F": [f(F), f(stats.f.sf(F, k - 1, (k - 1) * (n - 1)))], "nemenyi": [f(nemenyi[a, b]) for a in range(k) for b in range(a + 1, k)],
        "exact": exact, "normal": normal, "cd": f(stats.studentized_range.ppf(0.95, k, np.inf) * np.sqrt(k * (k + 1) / (12 * n))),
    }


def correlations(x, y):
    x, y = np.array(x), np.array(y)
    r = stats.pearsonr(x, y)
    return {"x": rows(x), "y": rows(y), "pearson": f(r.statistic), "pearson_p": f(r.pvalue),
            "fisher": rows(r.confidence_interval(0.95)) if len(x) > 3 else None,
            "spearman": f(stats.spearmanr(x, y).statistic), "kendall": f(stats.kendalltau(x, y).statistic),
            "weighted": f(stats.weightedtau(x, y).statistic)}


x = np.round(rng.normal(size=14), 3)
y = np.round(0.6 * x + rng.normal(size=14), 3)
bca = stats.bootstrap((x, y), lambda a, b: stats.pearsonr(a, b)[0], paired=True, vectorized=False, n_resamples=20000, method="BCa", rng=1)
result = {
    "distributions": distributions, "intervals": intervals, "means": means, "mcnemar": pairs, "paired": paired,
    "families": families, "tables": [tables(A), tables(no_ties)],
    "correlations": [
        correlations([3.1, 2.0, 1.5, 4.0, 0.2], [80, 70, 75, 85, 60]), correlations(x, y),
        correlations([1, 1, 2, 2, 3, 3, 3], [2, 1, 1, 4, 4, 4, 9]), correlations(x * 1e-150, y * 1e150),
        correlations([1, 2, 3, 4], [4, 3, 2, 1]),
    ],
    "bca": rows(bca.confidence_interval),
}
try:
    import baycomp

    d = no_ties[:, 6] - no_ties[:, 0]
    result["bayes"] = [rows(baycomp.two_on_multiple(no_ties[:, 0], no_ties[:, 6], rope=r, nsamples=200000)) for r in (0.1, 0.5)]
except Exception as e:
    print("without baycomp", e)
Path(__file__).with_suffix(".json").write_text(json.dumps(result) + "\n")
