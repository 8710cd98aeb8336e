//! Evaluation of a fitted probe on the test images.

use assay_engine::{Content, Context, Json, Output, Step};
use serde::Serialize;

use super::choose::Choice;
use super::fit::FittedProbe;
use super::probe::scaled;
use crate::outside::LabelledImages;
use crate::results::{CalibrationRule, Evaluation, Predictions, Resampling, evaluate_logits};
use crate::spec::Metric;
use crate::steps::{FeatureTable, Features, LabStep, Runtime, WrittenIn};

/// Classifies the test images and judges the result.
#[derive(Serialize)]
pub struct ScoreProbe {
    /// Features of the images.
    pub features: Vec<Output<Features>>,
    /// The test images.
    pub test: Content<LabelledImages>,
    /// The classifier.
    pub classifier: Output<FittedProbe>,
    /// Choice of the value, which the temperature is from.
    pub choice: Output<Json<Choice>>,
    /// True if rows of features are scaled to length 1, before all else.
    pub normalize: bool,
    /// Metric that is reported first.
    pub metric: Metric,
    /// Images on which probabilities are calibrated.
    pub calibration: CalibrationRule,
    /// Resampling that the intervals come from.
    pub resampling: Resampling,
}

impl LabStep for ScoreProbe {
    const WRITTEN_IN: &'static [(&'static str, WrittenIn)] =
        &[("/test", WrittenIn::Dataset), ("/metric", WrittenIn::Task)];
}

impl Step<Runtime> for ScoreProbe {
    const KIND: &'static str = "linear";
    const VERSION: u32 = 2; // 1 – `Scores`; 2 – `Evaluation`
    type Output = Evaluation;

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Evaluation> {
        let test = self.test.value();
        let Json(Choice { temperature, .. }) = context.load(&self.choice)?;
        let FittedProbe { linear, .. } = context.load(&self.classifier)?;
        let table = FeatureTable::rows(context, &self.features, test)?;
        anyhow::ensure!(table.dim == linear.dim(), "the classifier is for features of another length");
        let logits = linear.logits(&scaled(table.values, table.dim, self.normalize));
        let predictions = Predictions {
            images: test.images.clone(),
            labels: test.labels.clone(),
            classes: test.classes.clone(),
            logits,
        };
        evaluate_logits(predictions, self.metric, (temperature, self.calibration), self.resampling, Vec::new())
    }
}
