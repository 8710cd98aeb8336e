//! Metrics of logits: the one that a task is judged by, and all the others with their intervals.

use assay_data::Presence;
use assay_stats::metrics::{
    Binning, Calibration, CalibrationBin, Outcomes, PrecisionRule, Statistic, bootstrap, cross_fitted_calibration,
    mean_average_precision,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::outside::Labels;
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

    /// Its value for N × K logits.
    pub fn of(self, logits: &[f32], labels: &Labels, classes: usize) -> f64 {
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
        logits: &[f32],
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

/// A metric with the middle 95 % of its values over resampled test images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// 2.5th percentile of the resamples; absent where nothing was resampled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// 97.5th percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
}

/// How probabilities are made to mean what they say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CalibrationRule {
    /// A temperature fitted on the validation images, by the classifier that was fitted without them.
    #[default]
    Validation,
    /// Temperatures fitted on fifths of the test images and judged on the others: as the code of Ericsson et al. (CVPR 2021).
    TestCrossValidated,
}

/// Resampling of test images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Resampling {
    /// How often.
    pub resamples: u32,
    /// Seed of the draws.
    pub seed: u64,
}

/// All metrics of a classifier, and what they are made from.
pub struct Judgement {
    /// All metrics.
    pub metrics: Vec<Measured>,
    /// The metric in each class; absent for a class without images.
    pub per_class: Vec<Option<f64>>,
    /// Rows are right classes, columns predicted ones; empty where images show several classes.
    pub confusion: Vec<Vec<u64>>,
    /// Reliability curve, as it is and with the temperature.
    pub reliability: Option<[Vec<Bin>; 2]>,
    /// What the metric is the mean of: 1 or 0 for each image, or the average precision of each class.
    pub values: Vec<f64>,
}

/// One bin of a reliability curve.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bin {
    /// Number of images.
    pub count: u64,
    /// Their mean confidence.
    pub confidence: f64,
    /// Share of them that was right.
    pub accuracy: f64,
}

impl From<CalibrationBin> for Bin {
    fn from(bin: CalibrationBin) -> Self {
        Self { count: bin.count, confidence: bin.confidence, accuracy: bin.accuracy }
    }
}

type Named<'a> = (&'static str, Box<dyn Fn(&[u32]) -> f64 + 'a>);

fn measured(n: usize, resampling: Resampling, named: &[Named<'_>]) -> Vec<Measured> {
    let once = vec![1; n];
    let statistics: Vec<Statistic<'_>> = named.iter().map(|(_, f)| &**f as Statistic<'_>).collect();
    let bounds = bootstrap(n, resampling.resamples as usize, resampling.seed, &statistics);
    let finite = |v: f64| v.is_finite().then_some(v);
    let one = |((name, f), b): (&Named<'_>, assay_stats::metrics::Bounds)| Measured {
        name: (*name).to_owned(),
        value: f(&once),
        low: finite(b.low),
        high: finite(b.high),
    };
    named.iter().zip(bounds).map(one).collect()
}

/// Judges N × K logits of images of one class each.
pub fn judge_classes(
    logits: &[f32],
    truth: &[u32],
    classes: usize,
    temperature: Option<f64>,
    calibration: CalibrationRule,
    resampling: Resampling,
) -> Judgement {
    let plain = Outcomes::of_logits(logits, truth, classes, 1.0);
    let bins = |of: &Outcomes| [Binning::EqualWidth, Binning::EqualMass].map(|b| Calibration::new(of, b, BINS));
    let plain_bins = bins(&plain);
    let scaled = temperature.map(|t| Outcomes::of_logits(logits, truth, classes, t));
    let scaled_bins = scaled.as_ref().map(bins);
    let mut named: Vec<Named<'_>> = vec![
        ("top1", Box::new(|c| plain.top(1, c))),
        ("mean_per_class", Box::new(|c| plain.mean_per_class(c))),
        ("nll", Box::new(|c| plain.mean_nll(c))),
        ("brier", Box::new(|c| plain.mean_brier(c))),
        ("ece", Box::new(|c| plain_bins[0].error(c))),
        ("ece_equal_mass", Box::new(|c| plain_bins[1].error(c))),
    ];
    if classes > 5 {
        named.insert(1, ("top5", Box::new(|c| plain.top(5, c))));
    }
    if let (Some(scaled), Some(bins)) = (&scaled, &scaled_bins) {
        named.push(("nll_scaled", Box::new(|c| scaled.mean_nll(c))));
        named.push(("brier_scaled", Box::new(|c| scaled.mean_brier(c))));
        named.push(("ece_scaled", Box::new(|c| bins[0].error(c))));
        named.push(("ece_equal_mass_scaled", Box::new(|c| bins[1].error(c))));
    }
    let mut metrics = measured(truth.len(), resampling, &named);
    if calibration == CalibrationRule::TestCrossValidated
        && let Some((before, after)) = cross_fitted_calibration(logits, truth, classes, BINS)
    {
        for (name, value) in [("ece", before), ("ece_scaled", after)] {
            metrics.retain(|m| m.name != name);
            metrics.push(Measured { name: name.to_owned(), value, low: None, high: None });
        }
    }
    let once = plain.once();
    let curve = |bins: &[Calibration; 2]| bins[0].curve(&once).into_iter().map(Bin::from).collect::<Vec<_>>();
    let reliability = scaled_bins.as_ref().map(|scaled| [curve(&plain_bins), curve(scaled)]);
    let right = |(t, p): (&u32, &u32)| f64::from(u8::from(t == p));
    Judgement {
        metrics,
        per_class: plain.per_class(&once).into_iter().map(|a| a.is_finite().then_some(a)).collect(),
        confusion: plain.confusion().counts.chunks(classes.max(1)).map(<[u64]>::to_vec).collect(),
        reliability,
        values: truth.iter().zip(&plain.predicted).map(right).collect(),
    }
}

/// Judges N × K logits of images that show several classes; `metric` decides what is told of each class.
pub fn judge_multi_label(
    logits: &[f32],
    marks: &[Presence],
    classes: usize,
    metric: Metric,
    resampling: Resampling,
) -> Judgement {
    let all = [Metric::MeanAp11, Metric::MeanAp11Kit, Metric::MeanAp];
    let precisions = all.map(|m| (m.name(), m.precision(logits, marks, classes)));
    let named: Vec<Named<'_>> = precisions
        .iter()
        .map(|(name, f)| (*name, Box::new(|c: &[u32]| f(c).0) as Box<dyn Fn(&[u32]) -> f64>))
        .collect();
    let n = marks.len() / classes.max(1);
    let each = metric.precision(logits, marks, classes)(&vec![1; n]).1;
    Judgement {
        metrics: measured(n, resampling, &named),
        per_class: each.iter().map(|a| a.is_finite().then_some(*a)).collect(),
        confusion: Vec::new(),
        reliability: None,
        values: each.into_iter().filter(|a| a.is_finite()).collect(),
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
        let judged = judge_classes(&logits, &truth, 2, Some(2.0), CalibrationRule::Validation, RESAMPLING);
        let value = |name: &str| judged.metrics.iter().find(|m| m.name == name).unwrap().value;
        assert_eq!(value("top1"), 0.75);
        assert!((value("mean_per_class") - (2.0 / 3.0 + 1.0) / 2.0).abs() < 1e-15);
        assert_eq!(judged.confusion, [[2, 1], [0, 1]]);
        assert_eq!(judged.values, [1.0, 1.0, 0.0, 1.0]);
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
