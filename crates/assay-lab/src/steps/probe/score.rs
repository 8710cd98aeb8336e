//! What a fitted probe makes of the test images.

use assay_engine::{Context, Leaf, Output, Step};
use serde::Serialize;
use serde_json::json;

use super::{FittedProbe, Selection, scaled};
use crate::labelled::{LabelledImages, Labels};
use crate::metric::{CalibrationRule, Metric, Resampling, judge_classes, judge_marks};
use crate::protocol::{More, Predictions, Scores};
use crate::steps::extract::{FeatureTable, Features};
use crate::world::World;

/// Classifies the test images and judges the result.
#[derive(Serialize)]
pub struct ScoreProbe {
    /// Features of the images.
    pub features: Vec<Output<Features>>,
    /// The test images.
    pub test: Leaf<LabelledImages>,
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

impl Step<World> for ScoreProbe {
    const KIND: &'static str = "linear";
    const VERSION: u32 = 1;
    type Output = Scores;

    fn run(&self, context: &Context<'_, World>) -> anyhow::Result<Scores> {
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
            Labels::Marks(marks) => judge_marks(&logits, marks, test.classes.len(), self.metric, self.resampling),
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
        let of = if self.metric.is_of_marks() { "classes" } else { "images" };
        let predictions = Predictions {
            images: test.images.clone(),
            labels: test.labels.clone(),
            classes: test.classes.clone(),
            logits,
        };
        Scores::judged(self.metric.name(), judged.metrics, judged.values, of, More { detail, predictions })
    }
}
