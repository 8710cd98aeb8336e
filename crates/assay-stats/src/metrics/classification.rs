//! Metrics of single-label predictions.

/// Outcomes of a classifier, item by item.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcomes {
    /// Number of classes.
    pub classes: usize,
    /// Right class of each item.
    pub truth: Vec<u32>,
    /// Predicted class: the largest logit, the first of equals.
    pub predicted: Vec<u32>,
    /// Number of classes that come before the right one.
    pub rank: Vec<u32>,
    /// Probability of the predicted class.
    pub confidence: Vec<f64>,
    /// −log probability of the right class.
    pub nll: Vec<f64>,
    /// Σ (probability − one-hot)², from 0 to 2 (Brier 1950).
    pub brier: Vec<f64>,
}

impl Outcomes {
    /// From N × K logits, divided by `temperature`.
    ///
    /// # Panics
    /// When the number of logits is not N × K, or a label is not below K.
    pub fn of_logits<L: Copy + Into<f64>>(logits: &[L], truth: &[u32], classes: usize, temperature: f64) -> Self {
        assert_eq!(logits.len(), truth.len() * classes, "one logit for each item and class");
        let n = truth.len();
        let mut all = Self {
            classes,
            truth: truth.to_vec(),
            predicted: Vec::with_capacity(n),
            rank: Vec::with_capacity(n),
            confidence: Vec::with_capacity(n),
            nll: Vec::with_capacity(n),
            brier: Vec::with_capacity(n),
        };
        let mut row = vec![0.0f64; classes];
        for (logits, truth) in logits.chunks_exact(classes).zip(truth) {
            row.iter_mut().zip(logits).for_each(|(r, l)| *r = (*l).into());
            let truth = *truth as usize;
            assert!(truth < classes, "label {truth} of {classes} classes");
            let before = |(k, v): (usize, &f64)| *v > row[truth] || (*v == row[truth] && k < truth);
            let best = row.iter().enumerate().fold(0, |best, (k, v)| if *v > row[best] { k } else { best });
            // Differences come before the division, and 1 is added last: small ones keep their digits.
            let odds: Vec<f64> = row.iter().map(|v| libm::exp((v - row[best]) / temperature)).collect();
            let others: f64 = odds.iter().enumerate().filter(|(k, _)| *k != best).map(|(_, o)| o).sum();
            let sum = 1.0 + others;
            let squares: f64 = (0..classes).map(|k| (odds[k] / sum - f64::from(u8::from(k == truth))).powi(2)).sum();
            all.predicted.push(best as u32);
            all.rank.push(row.iter().enumerate().filter(|x| before(*x)).count() as u32);
            all.confidence.push(1.0 / sum);
            all.nll.push(libm::log1p(others) + (row[best] - row[truth]) / temperature);
            all.brier.push(squares);
        }
        all
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.truth.len()
    }

    /// Tells whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.truth.is_empty()
    }

    /// Counts that take every item once.
    pub fn once(&self) -> Vec<u32> {
        vec![1; self.len()]
    }

    /// Share of items whose right class is among the first `k`. NaN without items.
    pub fn top(&self, k: u32, counts: &[u32]) -> f64 {
        mean(self.rank.iter().map(|r| f64::from(u8::from(*r < k))), counts)
    }

    /// Mean −log probability of the right class.
    pub fn mean_nll(&self, counts: &[u32]) -> f64 {
        mean(self.nll.iter().copied(), counts)
    }

    /// Mean Brier score.
    pub fn mean_brier(&self, counts: &[u32]) -> f64 {
        mean(self.brier.iter().copied(), counts)
    }

    /// Share of right predictions in each class; NaN for a class without items.
    pub fn per_class(&self, counts: &[u32]) -> Vec<f64> {
        let mut right = vec![0u64; self.classes];
        let mut all = vec![0u64; self.classes];
        for ((truth, predicted), count) in self.truth.iter().zip(&self.predicted).zip(counts) {
            all[*truth as usize] += u64::from(*count);
            right[*truth as usize] += u64::from(if truth == predicted { *count } else { 0 });
        }
        right.iter().zip(all).map(|(r, a)| *r as f64 / a as f64).collect()
    }

    /// Mean of [`per_class`](Self::per_class) over the classes with items: `sklearn.metrics.balanced_accuracy_score`, and the
    /// "mean per-class accuracy" of many-shot transfer.
    pub fn mean_per_class(&self, counts: &[u32]) -> f64 {
        let (sum, classes) = self
            .per_class(counts)
            .into_iter()
            .filter(|a| !a.is_nan())
            .fold((0.0, 0u32), |(sum, classes), a| (sum + a, classes + 1));
        sum / f64::from(classes)
    }

    /// The classes that were taken for others.
    pub fn confusion(&self) -> Confusion {
        let mut counts = vec![0; self.classes * self.classes];
        for (truth, predicted) in self.truth.iter().zip(&self.predicted) {
            counts[*truth as usize * self.classes + *predicted as usize] += 1;
        }
        Confusion { classes: self.classes, counts }
    }
}

/// A confusion matrix: rows are right classes, columns predicted ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    /// K.
    pub classes: usize,
    /// K × K counts, row by row.
    pub counts: Vec<u64>,
}

fn mean(values: impl Iterator<Item = f64>, counts: &[u32]) -> f64 {
    let (mut sum, mut all) = (0.0, 0.0);
    for (value, count) in values.zip(counts) {
        sum += value * f64::from(*count);
        all += f64::from(*count);
    }
    sum / all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_have_no_scale() {
        // Logits and temperature of any size: softmax(0, ln 3) throughout.
        for size in [1e-300, 1e-12, 1.0, 1e12, 1e300] {
            for offset in [0.0, size] {
                let logits = [offset, offset + size * 3f64.ln()];
                let outcomes = Outcomes::of_logits(&logits, &[0], 2, size);
                assert!((outcomes.confidence[0] - 0.75).abs() < 1e-12 && (outcomes.nll[0] - 4f64.ln()).abs() < 1e-12);
                assert!((outcomes.brier[0] - 2.0 * 0.5625).abs() < 1e-12);
            }
        }
        // What is almost certain keeps its small loss.
        let nll = Outcomes::of_logits(&[80.0, 0.0], &[0], 2, 1.0).nll[0];
        assert!((nll / (-80f64).exp() - 1.0).abs() < 1e-12, "{nll}");
    }

    #[test]
    fn equal_logits_and_absent_classes() {
        let outcomes = Outcomes::of_logits(&[1.0, 1.0, 0.0, 0.0, 2.0, 2.0], &[1, 2], 3, 1.0);
        assert_eq!((outcomes.predicted.as_slice(), outcomes.rank.as_slice()), (&[0, 1][..], &[1, 1][..]));
        assert_eq!((outcomes.top(1, &[1, 1]), outcomes.top(2, &[1, 1])), (0.0, 1.0));
        assert_eq!(outcomes.mean_per_class(&[1, 1]), 0.0);
        assert!(outcomes.per_class(&[1, 0])[2].is_nan());
        assert_eq!(outcomes.confusion().counts, [0, 0, 0, 1, 0, 0, 0, 1, 0]);
    }
}
