//! Catalogue of metrics: name, unit and direction of each. Tables, plots and comparisons ask here; nothing else may
//! assume that a metric lies between 0 and 1, or that more of it is better.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Unit that a metric is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A share, from 0 to 1; people see percent.
    Fraction,
    /// Angles.
    Degrees,
    /// Natural logarithms of probabilities.
    Nats,
    /// Metres.
    Metres,
    /// A number without a unit.
    Score,
    /// A count.
    Count,
    /// Time.
    Seconds,
}

impl Unit {
    /// Factor from stored values to those that people see.
    pub fn scale(self) -> f64 {
        if self == Self::Fraction { 100.0 } else { 1.0 }
    }

    /// The sign of the unit in a sentence such as "top1 in %"; empty for plain numbers.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Fraction => "%",
            Self::Degrees => "degrees",
            Self::Nats => "nats",
            Self::Metres => "m",
            Self::Seconds => "s",
            Self::Score | Self::Count => "",
        }
    }
}

/// Direction in which a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
}

impl Better {
    /// Tells whether `a` is better than `b`; nothing is better than what is not finite, but for what is.
    pub fn prefers(self, a: f64, b: f64) -> bool {
        match (a.is_finite(), b.is_finite()) {
            (true, true) if self == Self::Higher => a > b,
            (true, true) => a < b,
            (finite, _) => finite,
        }
    }
}

/// One metric.
#[derive(Debug, PartialEq, Eq)]
pub struct MetricInfo {
    /// Name of the metric in files and tables.
    pub id: &'static str,
    /// Name of the metric for people.
    pub title: &'static str,
    /// Unit that the metric is measured in.
    pub unit: Unit,
    /// Direction in which the metric is better.
    pub better: Better,
    /// Definition of the metric.
    pub doc: &'static str,
}

const fn higher(id: &'static str, title: &'static str, unit: Unit, doc: &'static str) -> MetricInfo {
    MetricInfo { id, title, unit, better: Better::Higher, doc }
}

const fn lower(id: &'static str, title: &'static str, unit: Unit, doc: &'static str) -> MetricInfo {
    MetricInfo { id, title, unit, better: Better::Lower, doc }
}

/// All metrics.
pub const METRICS: &[MetricInfo] = &[
    higher(
        "accuracy",
        "accuracy",
        Unit::Fraction,
        "Share of images, or mean share of queries of an episode, whose class is predicted.",
    ),
    higher("top1", "top-1 accuracy", Unit::Fraction, "Share of images whose class is predicted."),
    higher("top5", "top-5 accuracy", Unit::Fraction, "Share of images whose class is among the five predicted first."),
    higher(
        "mean_per_class",
        "mean per-class accuracy",
        Unit::Fraction,
        "Mean over classes of the share of their images whose class is predicted.",
    ),
    higher(
        "map11",
        "11-point mAP",
        Unit::Fraction,
        "Mean over classes of 11-point average precision, difficult objects counted as absent, precision at recall 0 taken as 1.",
    ),
    higher(
        "map11_kit",
        "11-point mAP (VOC kit)",
        Unit::Fraction,
        "Mean over classes of 11-point average precision of the VOC 2007 development kit; difficult objects do not count.",
    ),
    higher("map", "mAP", Unit::Fraction, "Mean over classes of the area under precision and recall."),
    lower("nll", "negative log-likelihood", Unit::Nats, "Mean of −log probability of the right class."),
    lower(
        "nll_scaled",
        "negative log-likelihood after temperature scaling",
        Unit::Nats,
        "As `nll`, with logits divided by the fitted temperature.",
    ),
    lower(
        "brier",
        "Brier score",
        Unit::Score,
        "Mean over images of the sum of squared differences between probabilities and the one-hot class, from 0 to 2.",
    ),
    lower(
        "brier_scaled",
        "Brier score after temperature scaling",
        Unit::Score,
        "As `brier`, with logits divided by the fitted temperature.",
    ),
    lower(
        "ece",
        "expected calibration error",
        Unit::Fraction,
        "Mean over 15 bins of equal width of |confidence − accuracy|, weighted by images (Guo et al. 2017).",
    ),
    lower(
        "ece_scaled",
        "expected calibration error after temperature scaling",
        Unit::Fraction,
        "As `ece`, with logits divided by the fitted temperature.",
    ),
    lower(
        "ece_equal_mass",
        "expected calibration error, equal mass",
        Unit::Fraction,
        "As `ece`, over 15 bins with equally many images.",
    ),
    lower(
        "ece_equal_mass_scaled",
        "expected calibration error, equal mass, after temperature scaling",
        Unit::Fraction,
        "As `ece_equal_mass`, with logits divided by the fitted temperature.",
    ),
    higher(
        "miou",
        "mean IoU",
        Unit::Fraction,
        "Mean over classes of intersection over union of predicted and labelled pixels.",
    ),
    higher("pixel_accuracy", "pixel accuracy", Unit::Fraction, "Share of labelled pixels whose class is predicted."),
    lower("angle_mean", "mean angle", Unit::Degrees, "Mean angle between predicted and true surface normals."),
    lower("angle_median", "median angle", Unit::Degrees, "Median angle between predicted and true surface normals."),
    lower("rmse", "RMSE", Unit::Metres, "Root of the mean squared difference between predicted and true depth."),
    higher(
        "ap",
        "AP",
        Unit::Fraction,
        "Mean over classes and IoU thresholds from 0.5 to 0.95 of the average precision of detections.",
    ),
    higher(
        "ap50",
        "AP50",
        Unit::Fraction,
        "Mean over classes of the average precision of detections at an IoU of 0.5.",
    ),
    higher(
        "ap75",
        "AP75",
        Unit::Fraction,
        "Mean over classes of the average precision of detections at an IoU of 0.75.",
    ),
];

/// A metric of the catalogue; written as its id.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MetricId(&'static MetricInfo);

impl MetricId {
    /// The metric called `id`.
    ///
    /// # Panics
    /// When the catalogue has none, which is a bug of the caller; what was read is looked up by [`FromStr`].
    pub fn of(id: &str) -> Self {
        id.parse().expect("a metric of the catalogue")
    }

    /// The entry of the metric.
    pub fn info(self) -> &'static MetricInfo {
        self.0
    }

    /// Name of the metric in files and tables.
    pub fn id(self) -> &'static str {
        self.0.id
    }
}

/// A metric that the catalogue does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownMetric(String);

impl fmt::Display for UnknownMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no metric is called {:?}", self.0)
    }
}

impl std::error::Error for UnknownMetric {}

impl FromStr for MetricId {
    type Err = UnknownMetric;

    fn from_str(id: &str) -> Result<Self, UnknownMetric> {
        METRICS.iter().find(|m| m.id == id).map(Self).ok_or_else(|| UnknownMetric(id.to_owned()))
    }
}

impl fmt::Display for MetricId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl fmt::Debug for MetricId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl Serialize for MetricId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

impl<'de> Deserialize<'de> for MetricId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_distinct_words_and_read_back() {
        let ids: BTreeSet<&str> = METRICS.iter().map(|m| m.id).collect();
        assert_eq!(ids.len(), METRICS.len());
        for metric in METRICS {
            assert!(
                metric.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
                "{}",
                metric.id
            );
            assert!(metric.doc.ends_with('.') && !metric.title.is_empty(), "{}", metric.id);
            let text = serde_json::to_string(&MetricId::of(metric.id)).unwrap();
            assert_eq!(serde_json::from_str::<MetricId>(&text).unwrap().id(), metric.id);
        }
        assert!("top_1".parse::<MetricId>().unwrap_err().to_string().contains("\"top_1\""));
    }

    #[test]
    fn the_better_of_two() {
        assert!(Better::Higher.prefers(2.0, 1.0) && !Better::Higher.prefers(1.0, 1.0));
        assert!(Better::Lower.prefers(1.0, 2.0) && !Better::Lower.prefers(f64::NAN, 2.0));
        assert!(Better::Lower.prefers(1.0, f64::INFINITY));
    }
}
