//! Percentile bootstrap over items.

use crate::Stream;

/// The middle 95 % of a resampled statistic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// 2.5th percentile.
    pub low: f64,
    /// 97.5th percentile.
    pub high: f64,
}

/// A number that depends on how often each item counts.
pub type Statistic<'a> = &'a dyn Fn(&[u32]) -> f64;

/// Percentile bootstrap (Efron 1979): draws `n` items with replacement, `resamples` times, evaluates every statistic on how
/// often each item was drawn, and takes the 2.5th and 97.5th percentile (linear between order statistics, as
/// `numpy.percentile`). All statistics see the same draws. A value that is not finite in a resample (no item of any class,
/// say) is left out of its percentiles.
///
/// # Panics
/// When `n` or `resamples` is zero.
pub fn bootstrap(n: usize, resamples: usize, seed: u64, statistics: &[Statistic<'_>]) -> Vec<Bounds> {
    resampled_values(n, resamples, seed, statistics).into_iter().map(bounds).collect()
}

/// Every statistic of every draw of [`bootstrap`].
pub(crate) fn resampled_values(n: usize, resamples: usize, seed: u64, statistics: &[Statistic<'_>]) -> Vec<Vec<f64>> {
    let places: Vec<usize> = (0..n).collect();
    values(n, &[places], resamples, Stream::new("bootstrap", &[seed]), statistics)
}

/// As [`bootstrap`], where as many items are drawn of each stratum as it has: for classes whose sizes are by design. `strata`
/// tells the stratum of each item.
///
/// # Panics
/// When there is no item or `resamples` is zero.
pub fn stratified_bootstrap(strata: &[u32], resamples: usize, seed: u64, statistics: &[Statistic<'_>]) -> Vec<Bounds> {
    let count = strata.iter().max().map_or(0, |s| *s as usize + 1);
    let mut places = vec![Vec::new(); count];
    strata.iter().enumerate().for_each(|(i, s)| places[*s as usize].push(i));
    let stream = Stream::new("stratified bootstrap", &[seed]);
    values(strata.len(), &places, resamples, stream, statistics).into_iter().map(bounds).collect()
}

fn values(
    n: usize,
    strata: &[Vec<usize>],
    resamples: usize,
    mut stream: Stream,
    statistics: &[Statistic<'_>],
) -> Vec<Vec<f64>> {
    assert!(n > 0 && resamples > 0, "there must be items to draw");
    let mut values = vec![Vec::with_capacity(resamples); statistics.len()];
    let mut counts = vec![0u32; n];
    for _ in 0..resamples {
        counts.fill(0);
        for places in strata {
            for _ in places {
                counts[places[stream.below(places.len())]] += 1;
            }
        }
        for (statistic, values) in statistics.iter().zip(&mut values) {
            values.push(statistic(&counts));
        }
    }
    values
}

pub(crate) fn bounds(mut values: Vec<f64>) -> Bounds {
    values.retain(|v| v.is_finite());
    values.sort_unstable_by(f64::total_cmp);
    Bounds { low: percentile(&values, 0.025), high: percentile(&values, 0.975) }
}

/// The `q`-quantile of sorted values.
pub(crate) fn percentile(sorted: &[f64], q: f64) -> f64 {
    if sorted.is_empty() {
        return f64::NAN;
    }
    let at = q * (sorted.len() - 1) as f64;
    let (below, share) = (at.floor() as usize, at.fract());
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + share * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_numpys() {
        // numpy.percentile([1, 2, 4, 8, 16], [2.5, 97.5])
        let sorted = [1.0, 2.0, 4.0, 8.0, 16.0];
        assert!((percentile(&sorted, 0.025) - 1.1).abs() < 1e-12);
        assert!((percentile(&sorted, 0.975) - 15.2).abs() < 1e-12);
    }

    #[test]
    fn a_share_has_its_binomial_interval_and_the_seed_decides() {
        let right: Vec<bool> = (0..400).map(|i| i % 4 != 0).collect();
        let share = |counts: &[u32]| {
            let hits: u32 = counts.iter().zip(&right).filter(|(_, r)| **r).map(|(c, _)| c).sum();
            f64::from(hits) / 400.0
        };
        let found = bootstrap(400, 2000, 0, &[&share])[0];
        let half = 1.96 * (0.75f64 * 0.25 / 400.0).sqrt();
        assert!((found.low - (0.75 - half)).abs() < 0.006 && (found.high - (0.75 + half)).abs() < 0.006, "{found:?}");
        assert_eq!(found, bootstrap(400, 2000, 0, &[&share])[0]);
        assert_ne!(found, bootstrap(400, 2000, 1, &[&share])[0]);
    }
}
