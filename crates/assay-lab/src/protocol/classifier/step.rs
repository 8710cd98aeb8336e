//! Accuracy of a checkpoint's own classifier.

use assay_engine::{Content, Context, External, Output, Step};
use assay_nn::Head;
use serde::Serialize;

use crate::outside::{CheckpointPlace, LabelledImages};
use crate::results::{Evaluation, Predictions, ScoreKind};
use crate::steps::{FeatureTable, Features, LabStep, Runtime, WrittenIn};

/// Classifies by the last layer that came with the weights.
#[derive(Serialize)]
pub struct Classify {
    /// Features of the images.
    pub features: Vec<Output<Features>>,
    /// Images to classify; their classes are all those of the dataset.
    pub images: Content<LabelledImages>,
    /// The weights with their classifier.
    pub head: External<CheckpointPlace>,
    /// Name of the classifier in the checkpoint.
    pub layer: &'static str,
}

impl LabStep for Classify {
    const WRITTEN_IN: &'static [(&'static str, WrittenIn)] =
        &[("/images", WrittenIn::Dataset), ("/head", WrittenIn::Weights)];
}

impl Step<Runtime> for Classify {
    const KIND: &'static str = "classify";
    const VERSION: u32 = 3; // 1 – `Scores`; 2 – `Evaluation`; 3 – keeps the logits
    type Output = Evaluation;

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Evaluation> {
        let images = self.images.value();
        let table = FeatureTable::rows(context, &self.features, images)?;
        let head = Head::take(&context.open(&self.head).load(self.head.digest())?, self.layer, table.dim)
            .map_err(anyhow::Error::msg)?;
        anyhow::ensure!(
            head.classes() == images.classes.len(),
            "the classifier knows {} classes, and the task has {}: this protocol is for the dataset that the model was trained on",
            head.classes(),
            images.classes.len()
        );
        let (scores, predicted) = head.predict(&table.values);
        Evaluation::of_predictions(Predictions {
            images: images.images.clone(),
            labels: images.labels.clone(),
            classes: images.classes.clone(),
            kind: ScoreKind::Logits,
            scores,
            predicted: Some(predicted),
        })
    }
}
