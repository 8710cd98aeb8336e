//! Two models on the same items, and corrections for many comparisons.

use crate::Stream;
use crate::distributions::{coin, t_two_sided};
use crate::metrics::{Bounds, Statistic, bounds_of, resampled_values};
use crate::one_number::mean_and_error;

/// Comparison of two classifiers by the items that only one of them has right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct McNemar {
    /// Two-sided exact p (McNemar 1947, binomial).
    pub exact: f64,
    /// Mid-p, which rejects as often as it says (Fagerland et al. 2013).
    pub mid: f64,
    /// Difference of the shares of right items.
    pub difference: f64,
    /// Its standard error.
    pub error: f64,
}

/// Compares by `only_first` and `only_second` of `items` items; p is 1 where no item tells them apart.
pub fn mcnemar(only_first: u64, only_second: u64, items: u64) -> McNemar {
    let (b, c, n) = (only_first as f64, only_second as f64, items as f64);
    let (k, m) = (only_first.min(only_second), only_first + only_second);
    let (below, point) = coin(k, m);
    // The point in the middle is on both sides: 2 · P(X ≤ k) − P(X = k) is 1 there.
    let mid = if only_first == only_second { 1.0 } else { 2.0 * below - point };
    McNemar {
        exact: (2.0 * below).min(1.0),
        mid,
        difference: (b - c) / n,
        error: (b + c - (b - c) * (b - c) / n).max(0.0).sqrt() / n,
    }
}

/// A difference with its interval and two-sided p.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paired {
    /// First less second.
    pub difference: f64,
    /// 95 % interval.
    pub bounds: Bounds,
    /// Two-sided p of no difference.
    pub p: f64,
}

/// Paired bootstrap of two statistics of the same `n` items: both see the same draws.
/// p = 2 · min(#{δ ≤ 0} + 1, #{δ ≥ 0} + 1) / (B + 1), at most 1; draws in which a statistic is not finite are left out.
///
/// # Panics
/// When `n` or `resamples` is zero.
pub fn paired_bootstrap(n: usize, resamples: usize, seed: u64, first: Statistic<'_>, second: Statistic<'_>) -> Paired {
    let difference = |counts: &[u32]| first(counts) - second(counts);
    let mut drawn = resampled_values(n, resamples, seed, &[&difference]).remove(0);
    drawn.retain(|d| d.is_finite());
    let count = |keep: &dyn Fn(&f64) -> bool| drawn.iter().filter(|d| keep(d)).count() as f64 + 1.0;
    let p = 2.0 * count(&|d| *d <= 0.0).min(count(&|d| *d >= 0.0)) / (drawn.len() as f64 + 1.0);
    Paired { difference: difference(&vec![1; n]), bounds: bounds_of(drawn), p: p.min(1.0) }
}

/// Student's t on paired differences. With no spread, p is 1 where all differences are 0, and else 0; NaN with fewer than
/// two pairs.
///
/// # Panics
/// When the lengths differ.
pub fn paired_t(first: &[f64], second: &[f64]) -> Paired {
    let differences = less(first, second);
    let (difference, error) = mean_and_error(&differences);
    let (_, bounds) = crate::t_interval(&differences, 0.95);
    let p = if error == 0.0 && differences.len() > 1 {
        f64::from(u8::from(difference == 0.0))
    } else {
        t_two_sided(difference / error, differences.len() as f64 - 1.0)
    };
    Paired { difference, bounds, p }
}

/// Most pairs for which all changes of signs are gone through.
const MAX_EXACT_PAIRS: usize = 20;

/// Two-sided p of the mean paired difference when the sign of each is left to chance: exact for up to 20 pairs, else from
/// `draws` seeded draws, of which the observed one counts as one.
///
/// # Panics
/// When the lengths differ.
pub fn sign_flips(first: &[f64], second: &[f64], draws: usize, seed: u64) -> f64 {
    let differences = less(first, second);
    let observed = differences.iter().sum::<f64>().abs();
    // Sums that are equal but for rounding count as equal.
    let enough = observed - 1e-12 * differences.iter().map(|d| d.abs()).sum::<f64>();
    let n = differences.len();
    if n <= MAX_EXACT_PAIRS {
        let sum = |signs: u64| {
            differences.iter().enumerate().map(|(i, d)| if signs >> i & 1 == 1 { -d } else { *d }).sum::<f64>()
        };
        return (0..1u64 << n).filter(|s| sum(*s).abs() >= enough).count() as f64 / (1u64 << n) as f64;
    }
    let mut stream = Stream::new("sign flips", &[seed]);
    let mut draw = || differences.iter().map(|d| if stream.chance(0.5) { -d } else { *d }).sum::<f64>().abs();
    let extreme = (0..draws).filter(|_| draw() >= enough).count();
    (extreme as f64 + 1.0) / (draws as f64 + 1.0)
}

/// p-values that hold for a family of comparisons (Holm 1979), in the order given.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let order = rising(p);
    let (mut adjusted, mut largest) = (vec![0.0; p.len()], 0.0f64);
    for (i, at) in order.iter().enumerate() {
        largest = largest.max((p[*at] * (p.len() - i) as f64).min(1.0));
        adjusted[*at] = largest;
    }
    adjusted
}

/// p-values that bound the share of false discoveries (Benjamini and Hochberg 1995), in the order given.
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    let order = rising(p);
    let (mut adjusted, mut least) = (vec![0.0; p.len()], 1.0f64);
    for (i, at) in order.iter().enumerate().rev() {
        least = least.min(p[*at] * p.len() as f64 / (i + 1) as f64);
        adjusted[*at] = least;
    }
    adjusted
}

fn rising(p: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    order
}

fn less(first: &[f64], second: &[f64]) -> Vec<f64> {
    assert_eq!(first.len(), second.len(), "one value of each model for each item");
    first.iter().zip(second).map(|(a, b)| a - b).collect()
}
