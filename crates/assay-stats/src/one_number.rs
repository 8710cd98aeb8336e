//! Intervals of one number: shares, means of episodes, means over seeds.

use crate::distributions::{beta_quantile, normal_quantile, t_quantile};
use crate::metrics::Bounds;

/// Wilson's score interval of `right` of `all` (Wilson 1927); the whole of [0, 1] without items.
pub fn wilson(right: u64, all: u64, confidence: f64) -> Bounds {
    if all == 0 {
        return Bounds { low: 0.0, high: 1.0 };
    }
    let (n, p) = (all as f64, right as f64 / all as f64);
    let z = normal_quantile(0.5 + 0.5 * confidence);
    let middle = p + z * z / (2.0 * n);
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let whole = 1.0 + z * z / n;
    // At the ends the interval touches 0 or 1, which rounding would miss.
    Bounds {
        low: if right == 0 { 0.0 } else { (middle - half) / whole },
        high: if right == all { 1.0 } else { (middle + half) / whole },
    }
}

/// The exact interval of `right` of `all` (Clopper and Pearson 1934); the whole of [0, 1] without items.
pub fn clopper_pearson(right: u64, all: u64, confidence: f64) -> Bounds {
    let (k, n, tail) = (right as f64, all as f64, 0.5 - 0.5 * confidence);
    Bounds {
        low: if right == 0 { 0.0 } else { beta_quantile(tail, k, n - k + 1.0) },
        high: if right == all { 1.0 } else { beta_quantile(1.0 - tail, k + 1.0, n - k) },
    }
}

/// Mean of values that are independent draws, and its interval mean ± t · s / √n with s² over n − 1. NaN bounds with fewer than
/// two values.
pub fn t_interval(values: &[f64], confidence: f64) -> (f64, Bounds) {
    let (mean, se) = mean_and_error(values);
    let t = if values.len() < 2 { f64::NAN } else { t_quantile(0.5 + 0.5 * confidence, values.len() as f64 - 1.0) };
    (mean, Bounds { low: mean - t * se, high: mean + t * se })
}

/// The same with the normal quantile in place of Student's.
pub fn normal_interval(values: &[f64], confidence: f64) -> (f64, Bounds) {
    let (mean, se) = mean_and_error(values);
    let z = normal_quantile(0.5 + 0.5 * confidence);
    (mean, Bounds { low: mean - z * se, high: mean + z * se })
}

/// Mean over seeds of each seed's mean over items, with its interval and where its variance comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OverSeeds {
    /// Mean of the means.
    pub mean: f64,
    /// Interval by Student's t over the means of seeds.
    pub bounds: Bounds,
    /// Variance between seeds beyond what the items of each explain; 0 where it would be negative.
    pub between: f64,
    /// Mean over seeds of the variance of a seed's mean that its items explain.
    pub within: f64,
}

/// Seeds as a level of their own: items of one seed are not independent of each other, so the interval counts seeds, not
/// items. NaN bounds with fewer than two seeds.
pub fn over_seeds(seeds: &[Vec<f64>], confidence: f64) -> OverSeeds {
    let each: Vec<(f64, f64)> = seeds.iter().map(|items| mean_and_error(items)).collect();
    let means: Vec<f64> = each.iter().map(|e| e.0).collect();
    let (mean, bounds) = t_interval(&means, confidence);
    let within = each.iter().map(|e| e.1 * e.1).sum::<f64>() / each.len() as f64;
    let between = mean_and_error(&means).1.powi(2) * means.len() as f64;
    OverSeeds { mean, bounds, between: (between - within).max(0.0), within }
}

/// Mean and s / √n, with s² over n − 1.
pub(crate) fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let square = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>();
    (mean, (square / (n - 1.0) / n).sqrt())
}
