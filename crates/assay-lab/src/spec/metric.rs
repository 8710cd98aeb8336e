//! Metric that a task is judged by.

use assay_stats::metrics::MetricId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Metric that a task is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Metric {
    /// Top-1 accuracy: the share of images whose class is predicted.
    Top1,
    /// Mean per-class accuracy: the mean over classes of the share of their images whose class is predicted.
    MeanPerClass,
    /// 11-point mean average precision over classes, as the code of Ericsson et al. (CVPR 2021) has it: difficult
    /// objects count as absent, and the precision at recall 0 as 1.
    MeanAp11,
    /// 11-point mean average precision over classes, as the development kit of VOC 2007 has it: difficult objects do
    /// not count.
    MeanAp11Kit,
    /// Mean average precision over classes: the area under the curve of precision and recall; difficult objects count
    /// as absent.
    MeanAp,
}

impl Metric {
    /// The metric's name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Top1 => "top1",
            Self::MeanPerClass => "mean_per_class",
            Self::MeanAp11 => "map11",
            Self::MeanAp11Kit => "map11_kit",
            Self::MeanAp => "map",
        }
    }

    /// The metric's entry in the catalogue.
    pub fn id(self) -> MetricId {
        MetricId::of(self.name())
    }

    /// True if the metric is for images that show several classes.
    pub fn is_multi_label(self) -> bool {
        !matches!(self, Self::Top1 | Self::MeanPerClass)
    }
}
