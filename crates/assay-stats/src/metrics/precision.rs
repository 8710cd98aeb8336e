//! Average precision of a ranking.

/// Rule by which precision and recall become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrecisionRule {
    /// Mean over recalls t ∈ {0, 0.1, …, 1} of the largest precision at recall ≥ t, where a point (recall 0, precision 1) is
    /// appended, so the term of t = 0 is 1: `sklearn.metrics.precision_recall_curve` as used by Ericsson et al. (CVPR 2021).
    ElevenPointAppended,
    /// The same without the appended point: the VOC 2007 development kit.
    ElevenPoint,
    /// Σ (Rₙ − Rₙ₋₁) Pₙ: `sklearn.metrics.average_precision_score`.
    AllPoint,
}

/// Average precision of `scores`, with every item as often as `counts` says; items of equal score are ranked together. NaN
/// without positives.
///
/// # Panics
/// When the lengths differ.
pub fn average_precision<L: Copy + PartialOrd + Into<f64>>(
    scores: &[L],
    positive: &[bool],
    counts: &[u32],
    rule: PrecisionRule,
) -> f64 {
    Ranking::new(scores, positive).average_precision(counts, rule)
}

/// Items by falling score, sorted once to be counted many times.
struct Ranking {
    /// Place, whether positive, whether the next item has another score.
    items: Vec<(usize, bool, bool)>,
}

impl Ranking {
    fn new<L: Copy + PartialOrd + Into<f64>>(scores: &[L], positive: &[bool]) -> Self {
        assert_eq!(scores.len(), positive.len(), "one score for each item");
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|a, b| {
            let (a, b): (f64, f64) = (scores[*a].into(), scores[*b].into());
            b.total_cmp(&a)
        });
        let last = |i: usize| order.get(i + 1).is_none_or(|next| scores[*next] != scores[order[i]]);
        let items = order.iter().enumerate().map(|(i, place)| (*place, positive[*place], last(i))).collect();
        Self { items }
    }

    fn average_precision(&self, counts: &[u32], rule: PrecisionRule) -> f64 {
        let positives: u64 = self.items.iter().filter(|i| i.1).map(|i| u64::from(counts[i.0])).sum();
        if positives == 0 {
            return f64::NAN;
        }
        // Points (recall, precision) where the score changes, by rising recall.
        let (mut hits, mut seen, mut before) = (0u64, 0u64, 0u64);
        let mut points: Vec<(f64, f64)> = Vec::new();
        let mut area = 0.0;
        for (place, positive, last) in &self.items {
            let count = u64::from(counts[*place]);
            seen += count;
            hits += if *positive { count } else { 0 };
            if *last && seen > 0 {
                let precision = hits as f64 / seen as f64;
                area += (hits - before) as f64 / positives as f64 * precision;
                before = hits;
                points.push((hits as f64 / positives as f64, precision));
            }
        }
        match rule {
            PrecisionRule::AllPoint => area,
            PrecisionRule::ElevenPoint => eleven(&points, 0.0),
            PrecisionRule::ElevenPointAppended => eleven(&points, 1.0),
        }
    }
}

/// `at_zero` is the precision of the point at recall 0.
fn eleven(points: &[(f64, f64)], at_zero: f64) -> f64 {
    let mut sum = 0.0;
    let (mut best, mut next) = (0.0f64, points.len());
    for i in (0..=10u32).rev() {
        // 0.1 · 3 is not 0.3; both references compare with this product.
        let t = f64::from(i) * 0.1;
        while next > 0 && points[next - 1].0 >= t {
            next -= 1;
            best = best.max(points[next].1);
        }
        sum += if i == 0 { best.max(at_zero) } else { best };
    }
    sum / 11.0
}

/// Mean of the average precisions of K classes: N × K `scores`, N × K `marks` that are `None` where an item does not count for
/// the class. Returns a function of counts, for the bootstrap. Classes without positives are left out of the mean.
///
/// # Panics
/// When the lengths differ.
pub fn mean_average_precision<L: Copy + PartialOrd + Into<f64>>(
    scores: &[L],
    marks: &[Option<bool>],
    classes: usize,
    rule: PrecisionRule,
) -> impl Fn(&[u32]) -> (f64, Vec<f64>) + use<L> {
    assert_eq!(scores.len(), marks.len(), "one score for each mark");
    let rankings: Vec<(Ranking, Vec<usize>)> = (0..classes)
        .map(|class| {
            let of_class = || (0..scores.len() / classes.max(1)).map(|i| i * classes + class);
            let places: Vec<usize> = of_class().filter(|at| marks[*at].is_some()).collect();
            let class_scores: Vec<L> = places.iter().map(|at| scores[*at]).collect();
            let positive: Vec<bool> = places.iter().map(|at| marks[*at] == Some(true)).collect();
            (Ranking::new(&class_scores, &positive), places.iter().map(|at| at / classes).collect())
        })
        .collect();
    move |counts| {
        let each: Vec<f64> = rankings
            .iter()
            .map(|(ranking, items)| {
                let counts: Vec<u32> = items.iter().map(|i| counts[*i]).collect();
                ranking.average_precision(&counts, rule)
            })
            .collect();
        let known: Vec<f64> = each.iter().copied().filter(|a| !a.is_nan()).collect();
        (known.iter().sum::<f64>() / known.len() as f64, each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // Ranked: hit, miss, hit: precisions 1, 1/2, 2/3 at recalls 1/2, 1/2, 1.
        let ap = |rule| average_precision(&[0.9, 0.8, 0.7], &[true, false, true], &[1, 1, 1], rule);
        assert!((ap(PrecisionRule::AllPoint) - (0.5 + 0.5 * 2.0 / 3.0)).abs() < 1e-15);
        assert!((ap(PrecisionRule::ElevenPoint) - (6.0 + 5.0 * 2.0 / 3.0) / 11.0).abs() < 1e-15);
        // The appended point counts where the best-ranked item is a miss.
        let miss_first = |rule| average_precision(&[0.9, 0.8], &[false, true], &[1, 1], rule);
        assert!((miss_first(PrecisionRule::ElevenPoint) - 0.5).abs() < 1e-15);
        assert!((miss_first(PrecisionRule::ElevenPointAppended) - (1.0 + 10.0 * 0.5) / 11.0).abs() < 1e-15);
        // −0 and 0 are equal, and ranked together.
        let zeros = |scores: [f64; 2]| average_precision(&scores, &[false, true], &[1, 1], PrecisionRule::AllPoint);
        assert_eq!((zeros([0.0, -0.0]), zeros([-0.0, 0.0])), (0.5, 0.5));
        // The size of scores does not matter.
        let small =
            |size: f64| average_precision(&[size * 2.0, size], &[false, true], &[1, 1], PrecisionRule::AllPoint);
        assert_eq!((small(1e-300), small(1e300)), (0.5, 0.5));
        assert!(average_precision(&[0.5], &[false], &[1], PrecisionRule::AllPoint).is_nan());
    }
}
