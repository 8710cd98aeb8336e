//! Accuracies and the intervals around their means.

/// A mean with the half-width of its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Mean.
    pub mean: f64,
    /// Half-width of the 95 % interval.
    pub half_width: f64,
}

/// Mean of `values` and 1.96 · σ / √n, with σ² the mean squared deviation (ddof 0), as Ericsson et al. (CVPR 2021) report
/// few-shot accuracies. An empty slice gives zeros.
pub fn mean_interval(values: &[f64]) -> Interval {
    if values.is_empty() {
        return Interval { mean: 0.0, half_width: 0.0 };
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
    Interval { mean, half_width: 1.96 * variance.sqrt() / n.sqrt() }
}

/// Share of predictions that equal their label; zero when there are none.
///
/// # Panics
/// When the lengths differ.
pub fn accuracy(predicted: &[u32], labels: &[u32]) -> f64 {
    assert_eq!(predicted.len(), labels.len(), "one prediction for each label");
    if labels.is_empty() {
        return 0.0;
    }
    let right = predicted.iter().zip(labels).filter(|(p, l)| p == l).count();
    right as f64 / labels.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_by_hand() {
        // mean 0.5, σ² = (0.25 + 0 + 0.25) / 3
        let Interval { mean, half_width } = mean_interval(&[0.0, 0.5, 1.0]);
        assert!((mean - 0.5).abs() < 1e-15);
        assert!((half_width - 1.96 * (0.5f64 / 3.0).sqrt() / 3f64.sqrt()).abs() < 1e-15);
        assert_eq!(mean_interval(&[]), Interval { mean: 0.0, half_width: 0.0 });
    }

    #[test]
    fn accuracy_by_hand() {
        assert_eq!(accuracy(&[1, 2, 3, 3], &[1, 2, 0, 3]), 0.75);
        assert_eq!(accuracy(&[], &[]), 0.0);
    }
}
