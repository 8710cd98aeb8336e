//! Evaluation of a fitted probe on the test images.

use assay_data::Presence;
use assay_engine::{Content, Context, Json, Output, Step};
use serde::Serialize;

use super::choose::Choice;
use super::fit::FittedProbe;
use super::probe::scaled;
use crate::outside::{LabelledImages, Labels};
use crate::results::{
    CalibrationRule, Evaluation, Exhibit, Items, PerItem, Predictions, Resampling, judge_classes, judge_multi_label,
};
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
        let judged = match &test.labels {
            Labels::Classes(truth) => {
                let rule = (temperature, self.calibration);
                judge_classes(&logits, truth, &test.classes, self.metric, rule, self.resampling)
            }
            Labels::MultiLabel(shown) => judge_multi_label(&logits, shown, &test.classes, self.metric, self.resampling),
        };
        warn_left_out(context, test);
        let digest = |place: usize| match judged.over {
            Items::Classes => PerItem::class_digest(test.classes[place]),
            _ => test.images[place],
        };
        let (digests, values) = judged.items.iter().map(|(place, value)| (digest(*place), *value)).unzip();
        let mut exhibits = judged.exhibits;
        exhibits.push(Exhibit::Predictions(Predictions {
            images: test.images.clone(),
            labels: test.labels.clone(),
            classes: test.classes.clone(),
            logits: logits.iter().map(|l| *l as f32).collect(),
        }));
        let per_item = PerItem { over: judged.over, digests, values };
        Evaluation::new(self.metric.id(), judged.measures, Some(per_item), exhibits)
    }
}

/// Warns of classes that no test image shows: they are no part of means over classes.
fn warn_left_out(context: &Context<'_, Runtime>, test: &LabelledImages) {
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
