//! Evaluation of a fitted probe on the test images.

use assay_data::Presence;
use assay_engine::{Content, Context, Json, Output, Step};
use serde::Serialize;

use super::choose::Choice;
use super::fit::FittedProbe;
use super::probe::scaled;
use crate::outside::{LabelledImages, Labels};
use crate::results::{CalibrationRule, Evaluation, Resampling, evaluate_logits};
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
    const VERSION: u32 = 3; // 1 – `Scores`; 2 – `Evaluation`; 3 – logits in double precision, temperatures of any size
    type Output = Evaluation;

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Evaluation> {
        let test = self.test.value();
        let Json(Choice { temperature, .. }) = context.load(&self.choice)?;
        let FittedProbe { linear, .. } = context.load(&self.classifier)?;
        let table = FeatureTable::rows(context, &self.features, test)?;
        anyhow::ensure!(table.dim == linear.dim(), "the classifier is for features of another length");
        let logits = linear.logits(&scaled(table.values, table.dim, self.normalize));
        warn_left_out(context, test);
        let rule = (temperature, self.calibration);
        evaluate_logits(test, &logits, self.metric, rule, self.resampling, Vec::new())
    }
}

/// Warns of classes that no test image shows: they are no part of means over classes.
pub(in crate::protocol) fn warn_left_out(context: &Context<'_, Runtime>, test: &LabelledImages) {
    let mut shown = vec![false; test.classes.len()];
    match &test.labels {
        Labels::Classes(truth) => truth.iter().for_each(|t| shown[*t as usize] = true),
        Labels::MultiLabel(marks) => {
            let k = shown.len().max(1);
            marks.iter().enumerate().for_each(|(at, m)| shown[at % k] |= *m == Presence::Present);
        }
    }
    let absent: Vec<u32> = test.classes.iter().zip(&shown).filter(|(_, s)| !**s).map(|(c, _)| *c).collect();
    if !absent.is_empty() {
        context.warn(format!(
            "{} of {} classes are on no test image, and left out of means over classes: number {absent:?} (from 0)",
            absent.len(),
            shown.len()
        ));
    }
}
