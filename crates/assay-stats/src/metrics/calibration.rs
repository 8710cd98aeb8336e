//! Calibration: do probabilities mean what they say?

use super::Outcomes;
use crate::legacy::LegacyNumpy;

/// Rule that puts confidences into bins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binning {
    /// Bins of equal width, closed above: (0, 1/15], (1/15, 2/15], … (Guo et al. 2017).
    EqualWidth,
    /// Bins of equally many items, cut as `numpy.array_split` cuts the sorted confidences.
    EqualMass,
}

/// One bin of a reliability curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CalibrationBin {
    /// Number of items.
    pub count: u64,
    /// Their mean confidence; 0 without items.
    pub confidence: f64,
    /// Share of them that was right; 0 without items.
    pub accuracy: f64,
}

/// Items sorted into bins once, to be counted many times.
#[derive(Clone, Debug)]
pub struct Calibration {
    binning: Binning,
    bins: usize,
    /// Confidence and whether it was right; sorted by confidence where bins are of equal mass.
    items: Vec<(f64, bool)>,
    /// For each of `items`, its place among the outcomes.
    places: Vec<usize>,
    /// Bins of items, where they do not depend on counts.
    fixed: Vec<usize>,
}

impl Calibration {
    /// Prepares the expected calibration error with `bins` bins.
    ///
    /// # Panics
    /// When `bins` is zero.
    pub fn new(outcomes: &Outcomes, binning: Binning, bins: usize) -> Self {
        assert!(bins > 0, "there must be a bin");
        let mut places: Vec<usize> = (0..outcomes.len()).collect();
        if binning == Binning::EqualMass {
            places.sort_by(|a, b| outcomes.confidence[*a].total_cmp(&outcomes.confidence[*b]));
        }
        let item = |i: &usize| (outcomes.confidence[*i], outcomes.truth[*i] == outcomes.predicted[*i]);
        let items: Vec<(f64, bool)> = places.iter().map(item).collect();
        let bin = |confidence: f64| {
            let edge = |i: usize| i as f64 / bins as f64;
            (0..bins).find(|i| confidence <= edge(i + 1)).unwrap_or(bins - 1)
        };
        let fixed = if binning == Binning::EqualWidth { items.iter().map(|i| bin(i.0)).collect() } else { Vec::new() };
        Self { binning, bins, items, places, fixed }
    }

    /// The reliability curve, with every item as often as `counts` says.
    pub fn curve(&self, counts: &[u32]) -> Vec<CalibrationBin> {
        let mut sums = vec![(0u64, 0.0, 0.0); self.bins];
        let mut add = |bin: usize, count: u64, (confidence, right): (f64, bool)| {
            let sum: &mut (u64, f64, f64) = &mut sums[bin];
            sum.0 += count;
            sum.1 += confidence * count as f64;
            sum.2 += if right { count as f64 } else { 0.0 };
        };
        match self.binning {
            Binning::EqualWidth => {
                for ((item, bin), place) in self.items.iter().zip(&self.fixed).zip(&self.places) {
                    add(*bin, u64::from(counts[*place]), *item);
                }
            }
            Binning::EqualMass => {
                let total: u64 = counts.iter().map(|c| u64::from(*c)).sum();
                let (size, larger) = (total / self.bins as u64, total % self.bins as u64);
                let room = |bin: usize| size + u64::from((bin as u64) < larger);
                let (mut bin, mut left) = (0, room(0));
                for (item, place) in self.items.iter().zip(&self.places) {
                    let mut count = u64::from(counts[*place]);
                    while count > 0 {
                        while left == 0 {
                            bin += 1;
                            left = room(bin);
                        }
                        let taken = count.min(left);
                        add(bin, taken, *item);
                        count -= taken;
                        left -= taken;
                    }
                }
            }
        }
        sums.into_iter()
            .map(|(count, confidence, right)| {
                let of = (count.max(1)) as f64;
                CalibrationBin { count, confidence: confidence / of, accuracy: right / of }
            })
            .collect()
    }

    /// Expected calibration error: Σ bins (share of items) · |accuracy − confidence| (Naeini et al. 2015).
    pub fn error(&self, counts: &[u32]) -> f64 {
        let curve = self.curve(counts);
        let all: u64 = curve.iter().map(|b| b.count).sum();
        curve.iter().map(|b| b.count as f64 / all as f64 * (b.accuracy - b.confidence).abs()).sum()
    }
}

/// Smallest and largest temperature that is tried, as shares of the largest difference between two logits of a row; what would
/// be beyond (all items right, say) is given as the end.
const TEMPERATURES: (f64, f64) = (1e-4, 1e2);

/// The temperature that minimises the mean negative log-likelihood of `logits / T` (Guo et al. 2017). The likelihood is
/// convex in 1/T; Newton's method, kept in a shrinking bracket, finds its minimum to 1e-10 relative. It lies between a
/// ten-thousandth and a hundred times the largest difference between two logits of a row, and is 1 where all are equal.
///
/// # Panics
/// When the number of logits is not N × K, or there is no item.
pub fn best_temperature<L: Copy + Into<f64>>(logits: &[L], truth: &[u32], classes: usize) -> f64 {
    assert!(!truth.is_empty() && logits.len() == truth.len() * classes, "one logit for each item and class");
    // Logits less the largest of their row, in units of the largest difference.
    let mut below: Vec<f64> = logits.iter().map(|l| (*l).into()).collect();
    for row in below.chunks_exact_mut(classes) {
        let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row.iter_mut().for_each(|v| *v -= top);
    }
    let unit = below.iter().fold(0.0f64, |m, v| m.max(-v));
    if !(unit > 0.0 && unit.is_finite()) {
        return 1.0;
    }
    below.iter_mut().for_each(|v| *v /= unit);
    unit * best_temperature_of_unit(&below, truth, classes)
}

fn best_temperature_of_unit(below: &[f64], truth: &[u32], classes: usize) -> f64 {
    // First and second derivative by β = 1/T.
    let derivatives = |beta: f64| {
        let (mut first, mut second) = (0.0, 0.0);
        for (row, truth) in below.chunks_exact(classes).zip(truth) {
            let (mut sum, mut mean, mut square) = (0.0, 0.0, 0.0);
            for below in row {
                let weight = libm::exp(beta * below);
                sum += weight;
                mean += weight * below;
                square += weight * below * below;
            }
            mean /= sum;
            first += mean - row[*truth as usize];
            second += square / sum - mean * mean;
        }
        (first, second)
    };
    let (mut low, mut high) = (1.0 / TEMPERATURES.1, 1.0 / TEMPERATURES.0);
    if derivatives(high).0 <= 0.0 {
        return TEMPERATURES.0;
    }
    if derivatives(low).0 >= 0.0 {
        return TEMPERATURES.1;
    }
    let mut beta = 10.0;
    for _ in 0..200 {
        let (first, second) = derivatives(beta);
        if first > 0.0 {
            high = beta
        } else {
            low = beta
        }
        let newton = beta - first / second;
        let next = if newton > low && newton < high { newton } else { (low * high).sqrt() };
        if (next - beta).abs() <= 1e-10 * beta || high - low <= 1e-10 * low {
            return 1.0 / next;
        }
        beta = next;
    }
    1.0 / beta
}

/// Expected calibration errors before and after a temperature that is fitted **on test items**, as the code of Ericsson et al.
/// (CVPR 2021) does: test items are shuffled by `numpy.random.seed(0)`, T is fitted on each fifth in turn, and the error with
/// `bins` equal-width bins is taken on the other four. Returns the means over the five folds; needs at least five items.
///
/// # Panics
/// When the number of logits is not N × K.
pub fn cross_fitted_calibration<L: Copy + Into<f64>>(
    logits: &[L],
    truth: &[u32],
    classes: usize,
    bins: usize,
) -> Option<(f64, f64)> {
    const FOLDS: usize = 5;
    let n = truth.len();
    let fold = n / FOLDS;
    if fold == 0 {
        return None;
    }
    let order = LegacyNumpy::shuffled_range(0, n);
    let take = |rows: &[usize]| {
        let logits: Vec<L> = rows.iter().flat_map(|i| &logits[i * classes..][..classes]).copied().collect();
        let truth: Vec<u32> = rows.iter().map(|i| truth[*i]).collect();
        (logits, truth)
    };
    let error = |(logits, truth): &(Vec<L>, Vec<u32>), temperature| {
        let outcomes = Outcomes::of_logits(logits, truth, classes, temperature);
        Calibration::new(&outcomes, Binning::EqualWidth, bins).error(&outcomes.once())
    };
    let (mut before, mut after) = (0.0, 0.0);
    for i in 0..FOLDS {
        let (from, to) = (i * fold, (i + 1) * fold);
        let (logits, truth) = take(&order[from..to]);
        let temperature = best_temperature(&logits, &truth, classes);
        let rest = take(&[&order[..from], &order[to..]].concat());
        before += error(&rest, 1.0);
        after += error(&rest, temperature);
    }
    Some((before / FOLDS as f64, after / FOLDS as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_mass_bins_split_items_that_count_more_than_once() {
        let logits = [0.0f32, 1.0, 0.0, 2.0, 0.0, 3.0];
        let outcomes = Outcomes::of_logits(&logits, &[1, 1, 0], 2, 1.0);
        let mass = Calibration::new(&outcomes, Binning::EqualMass, 2);
        let sizes = |counts: &[u32]| mass.curve(counts).iter().map(|b| b.count).collect::<Vec<_>>();
        assert_eq!(sizes(&[1, 1, 1]), [2, 1]);
        assert_eq!(sizes(&[0, 5, 0]), [3, 2]);
    }

    #[test]
    fn items_that_are_all_right_have_the_smallest_temperature() {
        let temperature = best_temperature(&[3.0, 0.0, 0.0, 3.0], &[0, 1], 2);
        assert_eq!(temperature, 3.0 * TEMPERATURES.0);
    }

    #[test]
    fn the_temperature_has_the_unit_of_the_logits() {
        let logits = [2.0, 0.5, -1.0, 0.3, 0.1, 1.9, -0.2, 0.4, 0.2];
        let fit = |size: f64| {
            let scaled: Vec<f64> = logits.iter().map(|l| l * size).collect();
            best_temperature(&scaled, &[0, 0, 1], 3) / size
        };
        for size in [1e-12, 1e-4, 1e6, 1e200] {
            assert!((fit(size) / fit(1.0) - 1.0).abs() < 1e-9, "{size:e}: {} {}", fit(size), fit(1.0));
        }
        assert_eq!(best_temperature(&[7.0, 7.0], &[0], 2), 1.0);
        assert_eq!(best_temperature(&[0.0, 5.0], &[0], 2), 5.0 * TEMPERATURES.1);
    }
}
