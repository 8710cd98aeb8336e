//! Correlations between two measures of the same models, with intervals: the models are few.

use crate::Stream;
use crate::distributions::{normal_cdf, normal_quantile, t_two_sided};
use crate::metrics::Bounds;
use crate::rank::ranks_with_ties;

/// ln(p / (1 − p)). A share of 0 or 1, which has none, is taken for half an item of `items` from it.
pub fn logit(share: f64, items: Option<u64>) -> f64 {
    let p = items.map_or(share, |n| share.clamp(0.5 / n as f64, 1.0 - 0.5 / n as f64));
    libm::log(p / (1.0 - p))
}

/// Pearson's r; NaN where one side does not vary.
///
/// # Panics
/// When the lengths differ.
pub fn pearson(x: &[f64], y: &[f64]) -> f64 {
    assert_eq!(x.len(), y.len(), "two values for each model");
    let centred = |v: &[f64]| -> Vec<f64> {
        let mean = v.iter().sum::<f64>() / v.len() as f64;
        let size = v.iter().fold(0.0f64, |m, a| m.max((a - mean).abs()));
        // What is left of equal values is rounding. The size of the rest is taken out, so that no square leaves the range.
        let noise = 1e-14 * v.iter().fold(0.0f64, |m, a| m.max(a.abs()));
        v.iter().map(|a| if size > noise { (a - mean) / size } else { 0.0 }).collect()
    };
    let (x, y) = (centred(x), centred(y));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    (dot(&x, &y) / (dot(&x, &x) * dot(&y, &y)).sqrt()).clamp(-1.0, 1.0)
}

/// Spearman's ρ: Pearson's r of the ranks, means for ties.
pub fn spearman(x: &[f64], y: &[f64]) -> f64 {
    pearson(&ranks_with_ties(x, 0.0).0, &ranks_with_ties(y, 0.0).0)
}

/// Kendall's τ-b; NaN where one side does not vary.
pub fn kendall(x: &[f64], y: &[f64]) -> f64 {
    weighted(x, y, |_, _| 1.0)
}

/// Weighted τ with additive hyperbolic weights (Vigna 2015): exchanges among the best count most. The mean of both rankings, by
/// x and by y, as `scipy.stats.weightedtau`.
pub fn weighted_tau(x: &[f64], y: &[f64]) -> f64 {
    let by = |first: &[f64], second: &[f64]| {
        let mut order: Vec<usize> = (0..first.len()).collect();
        order.sort_by(|a, b| first[*b].total_cmp(&first[*a]).then(second[*b].total_cmp(&second[*a])));
        let mut weights = vec![0.0; first.len()];
        order.iter().enumerate().for_each(|(rank, at)| weights[*at] = 1.0 / (rank as f64 + 1.0));
        weighted(x, y, |i, j| weights[i] + weights[j])
    };
    0.5 * (by(x, y) + by(y, x))
}

fn weighted(x: &[f64], y: &[f64], weight: impl Fn(usize, usize) -> f64) -> f64 {
    assert_eq!(x.len(), y.len(), "two values for each model");
    let sign = |a: f64, b: f64| f64::from(i8::from(a > b) - i8::from(a < b));
    let (mut both, mut of_x, mut of_y) = (0.0, 0.0, 0.0);
    for i in 0..x.len() {
        for j in 0..i {
            let (dx, dy, w) = (sign(x[i], x[j]), sign(y[i], y[j]), weight(i, j));
            both += w * dx * dy;
            of_x += w * dx * dx;
            of_y += w * dy * dy;
        }
    }
    both / (of_x * of_y).sqrt()
}

/// Kind of correlation that an interval is for, which decides the standard error of its Fisher transform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Correlation {
    /// Pearson's r: 1 / √(n − 3) (Fisher 1921).
    Pearson,
    /// Spearman's ρ: √((1 + ρ²/2) / (n − 3)) (Bonett and Wright 2000).
    Spearman,
    /// Kendall's τ: √(0.437 / (n − 4)) (Fieller et al. 1957).
    Kendall,
}

/// 95 % interval of a correlation of `n` models by Fisher's transform; NaN where n is too small.
pub fn fisher_interval(r: f64, n: usize, kind: Correlation) -> Bounds {
    let n = n as f64;
    let error = match kind {
        Correlation::Pearson => (1.0 / (n - 3.0)).sqrt(),
        Correlation::Spearman => ((1.0 + r * r / 2.0) / (n - 3.0)).sqrt(),
        Correlation::Kendall => (0.437 / (n - 4.0)).sqrt(),
    };
    let half = normal_quantile(0.975) * error;
    if !half.is_finite() {
        return Bounds { low: f64::NAN, high: f64::NAN };
    }
    Bounds { low: libm::tanh(libm::atanh(r) - half), high: libm::tanh(libm::atanh(r) + half) }
}

/// p of no correlation by Student's t on n − 2 degrees of freedom: for Pearson's r of normal values.
pub fn pearson_p(r: f64, n: usize) -> f64 {
    let df = n as f64 - 2.0;
    t_two_sided(r * (df / ((1.0 - r) * (1.0 + r))).sqrt(), df)
}

/// 95 % interval of a statistic of paired values, by bootstrap of the pairs with bias and acceleration taken out (BCa, Efron
/// 1987). Draws in which the statistic is not finite are left out.
pub fn bca_interval(
    x: &[f64],
    y: &[f64],
    statistic: &dyn Fn(&[f64], &[f64]) -> f64,
    draws: usize,
    seed: u64,
) -> Bounds {
    let n = x.len();
    let take = |places: &[usize]| -> f64 {
        let pick = |v: &[f64]| places.iter().map(|i| v[*i]).collect::<Vec<_>>();
        statistic(&pick(x), &pick(y))
    };
    let mut stream = Stream::new("bca", &[seed]);
    let mut drawn: Vec<f64> = (0..draws).map(|_| take(&(0..n).map(|_| stream.below(n)).collect::<Vec<_>>())).collect();
    drawn.retain(|d| d.is_finite());
    drawn.sort_unstable_by(f64::total_cmp);
    let observed = statistic(x, y);
    let below = drawn.iter().filter(|d| **d < observed).count() as f64;
    let equal = drawn.iter().filter(|d| **d == observed).count() as f64;
    let bias = normal_quantile((below + 0.5 * equal) / drawn.len() as f64);
    let left_out: Vec<f64> =
        (0..n).map(|out| take(&(0..n).filter(|i| *i != out).collect::<Vec<_>>())).filter(|v| v.is_finite()).collect();
    let mean = left_out.iter().sum::<f64>() / left_out.len() as f64;
    let power = |p: i32| left_out.iter().map(|v| (mean - v).powi(p)).sum::<f64>();
    let acceleration = if power(2) > 0.0 { power(3) / (6.0 * power(2).powf(1.5)) } else { 0.0 };
    let at = |p: f64| {
        let z = bias + normal_quantile(p);
        crate::metrics::percentile(&drawn, normal_cdf(bias + z / (1.0 - acceleration * z)))
    };
    Bounds { low: at(0.025), high: at(0.975) }
}

/// Two correlations with the same axis compared: r(x, a) against r(x, b), where a and b correlate too.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dependent {
    /// Williams' t with n − 3 degrees of freedom (Williams 1959, Steiger 1980), and its two-sided p.
    pub williams: (f64, f64),
    /// Meng's z (Meng, Rosenthal and Rubin 1992), and its two-sided p.
    pub meng: (f64, f64),
    /// Steiger's z with the mean correlation (Steiger 1980), and its two-sided p.
    pub steiger: (f64, f64),
}

/// Compares `xa` with `xb`, both with x, given `ab`, over `n` models.
pub fn compare_dependent(xa: f64, xb: f64, ab: f64, n: usize) -> Dependent {
    let n = n as f64;
    let determinant = 1.0 - xa * xa - xb * xb - ab * ab + 2.0 * xa * xb * ab;
    let mean = 0.5 * (xa + xb);
    let t = (xa - xb)
        * ((n - 1.0) * (1.0 + ab) / (2.0 * (n - 1.0) / (n - 3.0) * determinant + mean * mean * (1.0 - ab).powi(3)))
            .sqrt();
    let difference = libm::atanh(xa) - libm::atanh(xb);
    let square = 0.5 * (xa * xa + xb * xb);
    let f = ((1.0 - ab) / (2.0 * (1.0 - square))).min(1.0);
    let h = (1.0 - f * square) / (1.0 - square);
    let meng = difference * ((n - 3.0) / (2.0 * (1.0 - ab) * h)).sqrt();
    let m2 = mean * mean;
    let covariance = (ab * (1.0 - 2.0 * m2) - 0.5 * m2 * (1.0 - 2.0 * m2 - ab * ab)) / ((1.0 - m2) * (1.0 - m2));
    let steiger = difference * ((n - 3.0) / (2.0 - 2.0 * covariance)).sqrt();
    let two_sided = |z: f64| (z, 2.0 * normal_cdf(-z.abs()));
    Dependent { williams: (t, t_two_sided(t, n - 3.0)), meng: two_sided(meng), steiger: two_sided(steiger) }
}
