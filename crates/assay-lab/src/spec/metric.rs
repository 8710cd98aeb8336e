//! What a task is judged by.

use assay_stats::metrics::MetricId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a task is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Metric {
    /// Share of images whose class is predicted.
    Top1,
    /// Mean over classes of the share of their images whose class is predicted.
    MeanPerClass,
    /// Mean over classes of the 11-point average precision, difficult objects counted as absent and the precision at recall 0
    /// taken as 1: as the code of Ericsson et al. (CVPR 2021) has it.
    MeanAp11,
    /// Mean over classes of the 11-point average precision of the VOC 2007 development kit; difficult objects do not count.
    MeanAp11Kit,
    /// Mean over classes of the area under precision and recall; difficult objects counted as absent.
    MeanAp,
}

impl Metric {
    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Top1 => "top1",
            Self::MeanPerClass => "mean_per_class",
            Self::MeanAp11 => "map11",
            Self::MeanAp11Kit => "map11_kit",
            Self::MeanAp => "map",
        }
    }

    /// Its entry in the catalogue.
    pub fn id(self) -> MetricId {
        MetricId::of(self.name())
    }

    /// Whether it is for images that show several classes.
    pub fn is_multi_label(self) -> bool {
        !matches!(self, Self::Top1 | Self::MeanPerClass)
    }
}
