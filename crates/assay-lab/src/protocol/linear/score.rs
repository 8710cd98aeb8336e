//! What a fitted probe makes of the test images.

use assay_engine::{Context, External, Output, Step};
use serde::Serialize;
use serde_json::json;

use super::rule::scaled;
use super::{FittedProbe, Selection};
use crate::outside::{LabelledImages, Labels};
use crate::results::{CalibrationRule, More, Predictions, Resampling, Scores, judge_classes, judge_multi_label};
use crate::spec::Metric;
use crate::steps::{FeatureTable, Features, Runtime};

/// Classifies the test images and judges the result.
#[derive(Serialize)]
pub struct ScoreProbe {
    /// Features of the images.
    pub features: Vec<Output<Features>>,
    /// The test images.
    pub test: External<LabelledImages>,
    /// The classifier.
    pub classifier: Output<FittedProbe>,
    /// What was chosen; the temperature is from there.
    pub selection: Output<Selection>,
    /// Whether features are scaled to length 1 first.
    pub normalize: bool,
    /// What is reported.
    pub metric: Metric,
    /// How probabilities are made to mean what they say.
    pub calibration: CalibrationRule,
    /// How the intervals are found.
    pub resampling: Resampling,
}

impl Step<Runtime> for ScoreProbe {
    const KIND: &'static str = "linear";
    const VERSION: u32 = 1;
    type Output = Scores;

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Scores> {
        let test = context.open(&self.test);
        let Selection { report, .. } = context.load(&self.selection)?;
        let FittedProbe { linear, solved } = context.load(&self.classifier)?;
        let table = FeatureTable::rows(context, &self.features, test)?;
        anyhow::ensure!(table.dim == linear.dim(), "the classifier is for features of another length");
        let logits = linear.logits(&scaled(table.values, table.dim, self.normalize));
        let judged = match &test.labels {
            Labels::Classes(truth) => {
                judge_classes(&logits, truth, test.classes.len(), report.temperature, self.calibration, self.resampling)
            }
            Labels::MultiLabel(marks) => {
                judge_multi_label(&logits, marks, test.classes.len(), self.metric, self.resampling)
            }
        };
        let detail = json!({
            "metric": self.metric.name(),
            "selection": report,
            "fit": solved,
            "classes": test.classes,
            "per_class": judged.per_class,
            "confusion": judged.confusion,
            "reliability": judged.reliability.map(|[before, after]| json!({ "before": before, "after": after })),
        });
        let of = if self.metric.is_multi_label() { "classes" } else { "images" };
        let predictions = Predictions {
            images: test.images.clone(),
            labels: test.labels.clone(),
            classes: test.classes.clone(),
            logits,
        };
        Scores::judged(self.metric.name(), judged.metrics, judged.values, of, More { detail, predictions })
    }
}
