//! Many models on many tasks (Demšar 2006): ranks, and tests of what they say.

use crate::Stream;
use crate::compare::holm;
use crate::distributions::{
    chi_squared_upper, f_upper, normal_cdf, studentised_range_quantile, studentised_range_upper,
};

/// Values that differ by less than this share of the largest are tied: differences of printed figures are not exact.
const TIE: f64 = 1e-12;

/// Ranks of values: 1 for the largest, means for ties.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    ranks_with_ties(&values.iter().map(|v| -v).collect::<Vec<_>>(), 0.0).0
}

/// Ranks from the smallest up, and the size of each group of ties.
pub(crate) fn ranks_with_ties(values: &[f64], tie: f64) -> (Vec<f64>, Vec<usize>) {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let near = tie * values.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let (mut ranks, mut groups) = (vec![0.0; values.len()], Vec::new());
    let mut from = 0;
    while from < order.len() {
        let to = (from..order.len()).take_while(|i| values[order[*i]] - values[order[from]] <= near).count() + from;
        order[from..to].iter().for_each(|at| ranks[*at] = (from + to + 1) as f64 / 2.0);
        groups.push(to - from);
        from = to;
    }
    (ranks, groups)
}

/// Friedman's test of equal mean ranks.
#[derive(Clone, Debug, PartialEq)]
pub struct Friedman {
    /// Mean rank of each model, 1 for the best.
    pub mean_ranks: Vec<f64>,
    /// χ² with the correction for ties, and its p. NaN where all values of every task are equal.
    pub chi_squared: (f64, f64),
    /// Iman and Davenport's F of χ² without that correction, and its p.
    pub f: (f64, f64),
}

/// Tests a table with a row of `models` values for each task, the larger the better.
///
/// # Panics
/// When the table is empty or has an incomplete row.
pub fn friedman(table: &[f64], models: usize) -> Friedman {
    assert!(!table.is_empty() && table.len().is_multiple_of(models), "a row of values for each task");
    let (n, k) = ((table.len() / models) as f64, models as f64);
    let mut sums = vec![0.0; models];
    let mut tied = 0.0;
    for row in table.chunks_exact(models) {
        let (ranks, groups) = ranks_with_ties(&row.iter().map(|v| -v).collect::<Vec<_>>(), TIE);
        sums.iter_mut().zip(ranks).for_each(|(s, r)| *s += r);
        tied += groups.iter().map(|t| (t * t * t - t) as f64).sum::<f64>();
    }
    let mean_ranks: Vec<f64> = sums.iter().map(|s| s / n).collect();
    let spread: f64 = mean_ranks.iter().map(|r| (r - (k + 1.0) / 2.0).powi(2)).sum();
    let plain = 12.0 * n / (k * (k + 1.0)) * spread;
    let chi = plain / (1.0 - tied / (n * k * (k * k - 1.0)));
    let f = (n - 1.0) * plain / (n * (k - 1.0) - plain);
    Friedman {
        mean_ranks,
        chi_squared: (chi, chi_squared_upper(chi, k - 1.0)),
        f: (f, f_upper(f, k - 1.0, (k - 1.0) * (n - 1.0))),
    }
}

/// Nemenyi's critical difference of mean ranks of `models` on `tasks`.
pub fn critical_difference(models: usize, tasks: usize, alpha: f64) -> f64 {
    let k = models as f64;
    studentised_range_quantile(alpha, models) * (k * (k + 1.0) / (12.0 * tasks as f64)).sqrt()
}

/// Nemenyi's p of a difference of two mean ranks.
pub fn nemenyi(difference: f64, models: usize, tasks: usize) -> f64 {
    let k = models as f64;
    studentised_range_upper(difference.abs() / (k * (k + 1.0) / (12.0 * tasks as f64)).sqrt(), models)
}

/// How p of a signed-rank sum is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedRankRule {
    /// Over all changes of signs of these ranks, ties included.
    Exact,
    /// The normal approximation with the correction for ties and none for continuity.
    Normal,
}

/// Wilcoxon's signed-rank test of paired differences: the smaller sum of ranks and its two-sided p. Differences of 0 are left
/// out; without others p is 1.
pub fn signed_rank(differences: &[f64], rule: SignedRankRule) -> (f64, f64) {
    let largest = differences.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let kept: Vec<f64> = differences.iter().copied().filter(|d| d.abs() > TIE * largest).collect();
    if kept.is_empty() {
        return (0.0, 1.0);
    }
    let (ranks, groups) = ranks_with_ties(&kept.iter().map(|d| d.abs()).collect::<Vec<_>>(), TIE);
    let sum = |sign: f64| ranks.iter().zip(&kept).filter(|(_, d)| **d * sign > 0.0).map(|(r, _)| r).sum::<f64>();
    let statistic = sum(1.0).min(sum(-1.0));
    let p = match rule {
        SignedRankRule::Exact => {
            // Twice the ranks are whole; ways[s] is the share of signs whose sum is s.
            let twice: Vec<usize> = ranks.iter().map(|r| (2.0 * r).round() as usize).collect();
            let mut ways = vec![0.0f64; twice.iter().sum::<usize>() + 1];
            ways[0] = 1.0;
            for rank in twice {
                for s in (0..ways.len()).rev() {
                    ways[s] = 0.5 * (ways[s] + if s >= rank { ways[s - rank] } else { 0.0 });
                }
            }
            2.0 * ways[..=(2.0 * statistic).round() as usize].iter().sum::<f64>()
        }
        SignedRankRule::Normal => {
            let n = ranks.len() as f64;
            let ties: f64 = groups.iter().map(|t| (t * t * t - t) as f64).sum();
            let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ties / 48.0;
            2.0 * normal_cdf((statistic - n * (n + 1.0) / 4.0) / variance.sqrt())
        }
    };
    (statistic, p.min(1.0))
}

/// All pairs of models by the exact signed-rank test across tasks, corrected by Holm's method: p of each pair, first model
/// before second.
pub fn signed_rank_pairs(table: &[f64], models: usize) -> Vec<((usize, usize), f64)> {
    let pairs: Vec<(usize, usize)> = (0..models).flat_map(|a| (a + 1..models).map(move |b| (a, b))).collect();
    let p = |(a, b): &(usize, usize)| {
        let differences: Vec<f64> = table.chunks_exact(models).map(|row| row[*a] - row[*b]).collect();
        signed_rank(&differences, SignedRankRule::Exact).1
    };
    let adjusted = holm(&pairs.iter().map(p).collect::<Vec<_>>());
    pairs.into_iter().zip(adjusted).collect()
}

/// True if no pair of `models` can be told apart on `tasks` by [`signed_rank_pairs`], whatever the values: the smallest
/// two-sided p is 2^(1 − tasks), and Holm's first threshold is `alpha` over the number of pairs.
pub fn signed_rank_pairs_cannot_reject(models: usize, tasks: usize, alpha: f64) -> bool {
    2f64.powi(1 - tasks as i32) > alpha / (models * (models - 1) / 2) as f64
}

/// Groups of models that are not told apart, as a critical-difference diagram draws them: the longest runs, by mean rank, in
/// which no pair differs. Runs of one are left out. Members are in order of rank.
pub fn groups(mean_ranks: &[f64], differ: &dyn Fn(usize, usize) -> bool) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..mean_ranks.len()).collect();
    order.sort_by(|a, b| mean_ranks[*a].total_cmp(&mean_ranks[*b]));
    let mut groups = Vec::new();
    let mut end = 0;
    for from in 0..order.len() {
        let alike = |to: usize| order[from..to].iter().all(|m| !differ(*m, order[to]));
        let mut to = from + 1;
        while to < order.len() && alike(to) {
            // Every pair: what joins must be like all who are there.
            to += 1;
        }
        if to > end && to - from > 1 {
            groups.push(order[from..to].to_vec());
        }
        end = end.max(to);
    }
    groups
}

/// Probabilities that the first of two models is worse, practically the same, or better on another task.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Posterior {
    /// The second is better.
    pub second: f64,
    /// They differ by no more than the region of practical equivalence.
    pub same: f64,
    /// The first is better.
    pub first: f64,
}

/// Bayesian signed-rank test (Benavoli et al. 2017) of the first model's values less the second's: a Dirichlet process with a
/// prior of strength 1 at no difference, and `rope` as the region of practical equivalence; shares of `draws` seeded draws in
/// which each outcome is the most probable (ties are shared).
pub fn bayesian_signed_rank(differences: &[f64], rope: f64, draws: usize, seed: u64) -> Posterior {
    let z: Vec<f64> = std::iter::once(0.0).chain(differences.iter().copied()).collect();
    let mut stream = Stream::new("bayesian signed rank", &[seed]);
    let mut wins = [0.0f64; 3];
    for _ in 0..draws {
        // Dirichlet(1, …, 1) as exponential variables over their sum.
        let weights: Vec<f64> = z.iter().map(|_| -libm::log(1.0 - stream.unit())).collect();
        let mut theta = [0.0f64; 3];
        for (a, w) in z.iter().zip(&weights) {
            for (b, v) in z.iter().zip(&weights) {
                let sum = a + b;
                theta[if sum < -2.0 * rope {
                    0
                } else if sum > 2.0 * rope {
                    2
                } else {
                    1
                }] += w * v;
            }
        }
        let top = theta.iter().copied().fold(0.0, f64::max);
        let tied = theta.iter().filter(|t| **t == top).count() as f64;
        wins.iter_mut().zip(theta).filter(|(_, t)| *t == top).for_each(|(w, _)| *w += 1.0 / tied);
    }
    let [second, same, first] = wins.map(|w| w / draws as f64);
    Posterior { second, same, first }
}
