//! Logits of test images judged: the metric of the task, and all the others with their intervals.

use assay_data::Presence;
use assay_stats::metrics::{
    Binning, Bounds, Calibration, MetricId, Outcomes, PrecisionRule, Statistic, bootstrap, cross_fitted_calibration,
    mean_average_precision,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evaluation::{Evaluation, Interval, IntervalMethod, Items, Measure, PerItem};
use super::exhibit::{Confusion, Exhibit, PerClass, Predictions, Reliability, ReliabilityBin, ScoreKind};
use crate::outside::{LabelledImages, Labels};
use crate::spec::Metric;

/// Bins of the expected calibration error.
const BINS: usize = 15;

impl Metric {
    fn rule(self) -> PrecisionRule {
        match self {
            Self::MeanAp11Kit => PrecisionRule::ElevenPoint,
            Self::MeanAp => PrecisionRule::AllPoint,
            _ => PrecisionRule::ElevenPointAppended,
        }
    }

    /// The value of the metric for N × K logits.
    pub fn of(self, logits: &[f64], labels: &Labels, classes: usize) -> f64 {
        match labels {
            Labels::Classes(truth) => {
                let outcomes = Outcomes::of_logits(logits, truth, classes, 1.0);
                let once = outcomes.once();
                if self == Self::MeanPerClass { outcomes.mean_per_class(&once) } else { outcomes.top(1, &once) }
            }
            Labels::MultiLabel(marks) => {
                self.precision(logits, marks, classes)(&vec![1; marks.len() / classes.max(1)]).0
            }
        }
    }

    fn precision(
        self,
        logits: &[f64],
        marks: &[Presence],
        classes: usize,
    ) -> impl Fn(&[u32]) -> (f64, Vec<f64>) + use<> {
        let counts = |mark: &Presence| match mark {
            Presence::Difficult if self == Self::MeanAp11Kit => None,
            mark => Some(*mark == Presence::Present),
        };
        let marks: Vec<Option<bool>> = marks.iter().map(counts).collect();
        mean_average_precision(logits, &marks, classes, self.rule())
    }
}

/// Images on which the temperature of predicted probabilities is fitted, so that they mean what they say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CalibrationRule {
    /// The validation images, with the classifier that was fitted without them.
    #[default]
    Validation,
    /// Fifths of the test images: a temperature is fitted on each and judged on the other four, as in the code of
    /// Ericsson et al. (CVPR 2021).
    TestCrossValidated,
}

/// Resampling of test images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Resampling {
    /// Number of draws.
    pub resamples: u32,
    /// Seed of the draws.
    pub seed: u64,
}

/// A classifier, judged.
struct Judged {
    /// All metrics.
    pub measures: Vec<Measure>,
    /// Items that the metric of the task is the mean of: 1 or 0 for each image, or the average precision of each class
    /// that has images, with the place of that class among the K.
    pub items: Vec<(usize, f64)>,
    /// Kind of the items.
    pub over: Items,
    /// Exhibits to look at.
    pub exhibits: Vec<Exhibit>,
}

type Named<'a> = (&'static str, Box<dyn Fn(&[u32]) -> f64 + 'a>);

fn measured(n: usize, over: Items, count: usize, resampling: Resampling, named: &[Named<'_>]) -> Vec<Measure> {
    let once = vec![1; n];
    let statistics: Vec<Statistic<'_>> = named.iter().map(|(_, f)| &**f as Statistic<'_>).collect();
    let bounds = bootstrap(n, resampling.resamples as usize, resampling.seed, &statistics);
    let interval = |Bounds { low, high }| {
        let half_width = (high - low) / 2.0;
        half_width.is_finite().then_some(Interval { low, high, half_width, method: IntervalMethod::Bootstrap })
    };
    let one = |((name, f), b): (&Named<'_>, Bounds)| Measure {
        metric: MetricId::of(name),
        value: f(&once),
        interval: interval(b),
        over,
        count,
    };
    named.iter().zip(bounds).map(one).collect()
}

/// Judges N × K logits of images, and keeps them: the metric of the task first, the others beside it, each test image or class an
/// item. The exhibits are those of the judgement, `more`, and the predictions themselves.
///
/// # Errors
/// When a number is not finite.
pub fn evaluate_logits(
    images: &LabelledImages,
    logits: &[f64],
    metric: Metric,
    rule: (Option<f64>, CalibrationRule),
    resampling: Resampling,
    more: Vec<Exhibit>,
) -> anyhow::Result<Evaluation> {
    let LabelledImages { images, labels, classes, .. } = images;
    let judged = match labels {
        Labels::Classes(truth) => judge_classes(logits, truth, classes, metric, rule, resampling),
        Labels::MultiLabel(shown) => judge_multi_label(logits, shown, classes, metric, resampling),
    };
    let digest = |place: usize| match judged.over {
        Items::Classes => PerItem::class_digest(classes[place]),
        _ => images[place],
    };
    let (digests, values) = judged.items.iter().map(|(place, value)| (digest(*place), *value)).unzip();
    let per_item = PerItem { over: judged.over, digests, values };
    let predictions = Predictions {
        images: images.clone(),
        labels: labels.clone(),
        classes: classes.clone(),
        kind: ScoreKind::Logits,
        scores: logits.iter().map(|logit| *logit as f32).collect(),
        predicted: None,
    };
    let exhibits = judged.exhibits.into_iter().chain(more).chain([Exhibit::Predictions(predictions)]).collect();
    Evaluation::new(metric.id(), judged.measures, Some(per_item), exhibits)
}

/// Judges N × K logits of images of one class each, counted among `classes`.
fn judge_classes(
    logits: &[f64],
    truth: &[u32],
    classes: &[u32],
    metric: Metric,
    (temperature, calibration): (Option<f64>, CalibrationRule),
    resampling: Resampling,
) -> Judged {
    let k = classes.len();
    let plain = Outcomes::of_logits(logits, truth, k, 1.0);
    let bins = |of: &Outcomes| [Binning::EqualWidth, Binning::EqualMass].map(|b| Calibration::new(of, b, BINS));
    let plain_bins = bins(&plain);
    let scaled = temperature.map(|t| Outcomes::of_logits(logits, truth, k, t));
    let scaled_bins = scaled.as_ref().map(bins);
    let mut named: Vec<Named<'_>> = vec![
        ("top1", Box::new(|c| plain.top(1, c))),
        ("mean_per_class", Box::new(|c| plain.mean_per_class(c))),
        ("nll", Box::new(|c| plain.mean_nll(c))),
        ("brier", Box::new(|c| plain.mean_brier(c))),
        ("ece", Box::new(|c| plain_bins[0].error(c))),
        ("ece_equal_mass", Box::new(|c| plain_bins[1].error(c))),
    ];
    if k > 5 {
        named.insert(1, ("top5", Box::new(|c| plain.top(5, c))));
    }
    if let (Some(scaled), Some(bins)) = (&scaled, &scaled_bins) {
        named.push(("nll_scaled", Box::new(|c| scaled.mean_nll(c))));
        named.push(("brier_scaled", Box::new(|c| scaled.mean_brier(c))));
        named.push(("ece_scaled", Box::new(|c| bins[0].error(c))));
        named.push(("ece_equal_mass_scaled", Box::new(|c| bins[1].error(c))));
    }
    let mut measures = measured(truth.len(), Items::Images, truth.len(), resampling, &named);
    if calibration == CalibrationRule::TestCrossValidated
        && let Some((before, after)) = cross_fitted_calibration(logits, truth, k, BINS)
    {
        for (name, value) in [("ece", before), ("ece_scaled", after)] {
            let id = MetricId::of(name);
            measures.retain(|m| m.metric != id);
            measures.push(Measure::new(id, value, Items::Images, truth.len()));
        }
    }
    let once = plain.once();
    let curve =
        |bins: &[Calibration; 2]| bins[0].curve(&once).into_iter().map(ReliabilityBin::from).collect::<Vec<_>>();
    let per_class = plain.per_class(&once).into_iter().map(|a| a.is_finite().then_some(a)).collect();
    let exhibits = vec![
        Exhibit::PerClass(PerClass { metric: metric.id(), classes: classes.to_vec(), values: per_class }),
        Exhibit::Confusion(Confusion {
            classes: classes.to_vec(),
            counts: plain.confusion().counts.chunks(k.max(1)).map(<[u64]>::to_vec).collect(),
        }),
        Exhibit::Reliability(Reliability {
            before: curve(&plain_bins),
            after: scaled_bins.as_ref().map(curve),
            temperature,
        }),
    ];
    let right = |(i, (t, p)): (usize, (&u32, &u32))| (i, f64::from(u8::from(t == p)));
    let items = truth.iter().zip(&plain.predicted).enumerate().map(right).collect();
    drop(named);
    Judged { measures, items, over: Items::Images, exhibits }
}

/// Judges N × K logits of images that show several of `classes`; `metric` decides what is told of each class.
fn judge_multi_label(
    logits: &[f64],
    shown: &[Presence],
    classes: &[u32],
    metric: Metric,
    resampling: Resampling,
) -> Judged {
    let k = classes.len();
    let all = [Metric::MeanAp11, Metric::MeanAp11Kit, Metric::MeanAp];
    let precisions = all.map(|m| (m.name(), m.precision(logits, shown, k)));
    let named: Vec<Named<'_>> = precisions
        .iter()
        .map(|(name, f)| (*name, Box::new(|c: &[u32]| f(c).0) as Box<dyn Fn(&[u32]) -> f64>))
        .collect();
    let n = shown.len() / k.max(1);
    let each = metric.precision(logits, shown, k)(&vec![1; n]).1;
    let items: Vec<(usize, f64)> = each.iter().copied().enumerate().filter(|(_, a)| a.is_finite()).collect();
    let values = each.iter().map(|a| a.is_finite().then_some(*a)).collect();
    let exhibits = vec![Exhibit::PerClass(PerClass { metric: metric.id(), classes: classes.to_vec(), values })];
    Judged {
        measures: measured(n, Items::Classes, items.len(), resampling, &named),
        items,
        over: Items::Classes,
        exhibits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESAMPLING: Resampling = Resampling { resamples: 200, seed: 0 };

    #[test]
    fn classes_are_judged_by_name() {
        // Three images of class 0, one of class 1; the last image of class 0 is taken for 1.
        let logits = [2.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 3.0];
        let truth = [0, 0, 0, 1];
        let rule = (Some(2.0), CalibrationRule::Validation);
        let judged = judge_classes(&logits, &truth, &[4, 9], Metric::Top1, rule, RESAMPLING);
        let value = |name: &str| judged.measures.iter().find(|m| m.metric.id() == name).unwrap().value;
        assert_eq!(value("top1"), 0.75);
        assert!((value("mean_per_class") - (2.0 / 3.0 + 1.0) / 2.0).abs() < 1e-15);
        let confusion = Confusion { classes: vec![4, 9], counts: vec![vec![2, 1], vec![0, 1]] };
        assert!(judged.exhibits.contains(&Exhibit::Confusion(confusion)));
        assert_eq!(judged.items, [(0, 1.0), (1, 1.0), (2, 0.0), (3, 1.0)]);
        assert_ne!(value("nll"), value("nll_scaled"));
        let labels = Labels::Classes(truth.to_vec());
        assert_eq!(Metric::Top1.of(&logits, &labels, 2), 0.75);
        assert!((Metric::MeanPerClass.of(&logits, &labels, 2) - 5.0 / 6.0).abs() < 1e-15);
    }

    #[test]
    fn difficult_objects_count_as_absent_or_not_at_all() {
        use Presence::{Absent, Difficult, Present};
        // By falling score: difficult, present, absent.
        let marks = [Difficult, Present, Absent];
        let logits = [3.0, 2.0, 1.0];
        let of = |metric: Metric| metric.of(&logits, &Labels::MultiLabel(marks.to_vec()), 1);
        assert_eq!(of(Metric::MeanAp11Kit), 1.0);
        assert_eq!(of(Metric::MeanAp), 0.5);
        assert!((of(Metric::MeanAp11) - (1.0 + 10.0 * 0.5) / 11.0).abs() < 1e-15);
    }
}
