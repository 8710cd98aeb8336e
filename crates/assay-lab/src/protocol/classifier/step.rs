//! Accuracy of a checkpoint's own classifier.

use std::collections::HashSet;

use assay_engine::{Content, Context, External, Output, Step};
use assay_nn::Head;
use assay_stats::metrics::MetricId;
use serde::Serialize;

use super::outputs::{Answers, Outputs};
use crate::outside::{CheckpointPlace, LabelledImages};
use crate::results::{Evaluation, Items, PerItem, Predictions, ScoreKind};
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
    /// Its outputs for the classes of the task; absent where they are those, in their order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Outputs>,
    /// Right outputs of each image; absent where the one of its class is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<Content<Answers>>,
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
        let (known, classes) =
            (self.outputs.as_ref().map_or(images.classes.len(), |o| o.count as usize), images.classes.len());
        let what = if self.outputs.is_some() { "names in `outputs`" } else { "classes in the task" };
        anyhow::ensure!(
            head.classes() == known,
            "the classifier has {} outputs, and there are {known} {what}: this protocol is for the classes that the model was \
             trained on",
            head.classes()
        );
        // Outputs of the task's classes first, then those of others.
        let mut order: Vec<u32> = match &self.outputs {
            None => (0..known as u32).collect(),
            Some(outputs) => outputs.of_classes.clone(),
        };
        if self.outputs.as_ref().is_some_and(|outputs| !outputs.subset) {
            let own: HashSet<u32> = order.iter().copied().collect();
            order.extend((0..known as u32).filter(|output| !own.contains(output)));
        }
        let (scores, predicted) = head.select(&order).predict(&table.values);
        if let Some(answers) = &self.answers {
            let is_right = |(p, right): (&u32, &Vec<u32>)| f64::from(u8::from(right.contains(&order[*p as usize])));
            let values = predicted.iter().zip(&answers.value().0).map(is_right).collect();
            return of_images(images, values);
        }
        if order.len() > classes {
            let truth = images.classes()?;
            return of_images(images, predicted.iter().zip(truth).map(|(p, t)| f64::from(u8::from(p == t))).collect());
        }
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

/// Accuracy by what each image contributes.
fn of_images(images: &LabelledImages, values: Vec<f64>) -> anyhow::Result<Evaluation> {
    let per_item = PerItem { over: Items::Images, digests: images.images.clone(), values };
    Evaluation::of_mean(MetricId::of("accuracy"), per_item)
}
