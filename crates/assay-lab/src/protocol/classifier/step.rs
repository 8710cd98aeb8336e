//! Accuracy of a checkpoint's own classifier.

use assay_data::Split;
use assay_engine::{Context, External, Output, Step};
use assay_nn::Head;
use serde::Serialize;

use crate::outside::{CheckpointPlace, TaskData};
use crate::results::Scores;
use crate::steps::{FeatureTable, Features, Runtime};

/// Classifies by the last layer that came with the weights.
#[derive(Serialize)]
pub struct Classify {
    /// Features of all images of the task.
    pub features: Vec<Output<Features>>,
    /// Which image is which sample.
    pub manifest: External<TaskData>,
    /// The weights with their classifier.
    pub head: External<CheckpointPlace>,
    /// Name of the classifier in the checkpoint.
    pub layer: &'static str,
    /// Which split is classified.
    pub split: Split,
}

impl Step<Runtime> for Classify {
    const KIND: &'static str = "classify";
    const VERSION: u32 = 1;
    type Output = Scores;

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Scores> {
        let manifest = &context.open(&self.manifest).manifest;
        let table = FeatureTable::load(context, &self.features, manifest)?;
        let head = Head::take(&context.open(&self.head).load()?, self.layer, table.dim).map_err(anyhow::Error::msg)?;
        anyhow::ensure!(
            head.classes() == manifest.classes.len(),
            "the classifier knows {} classes, and the task has {}: this protocol is for the dataset that the model was trained on",
            head.classes(),
            manifest.classes.len()
        );
        let (truth, features) = table.split(manifest, self.split);
        Ok(Scores::of_images(&head.predict(&features), &truth))
    }
}
