//! Accuracy of a checkpoint's own classifier.

use assay_data::Split;
use assay_engine::{Context, Leaf, Output, Step};
use assay_nn::Head;
use serde::Serialize;

use super::extract::{FeatureTable, Features};
use crate::data::TaskData;
use crate::protocol::Scores;
use crate::weights::CheckpointPlace;
use crate::world::World;

/// Classifies by the last layer that came with the weights.
#[derive(Serialize)]
pub struct Classify {
    /// Features of all images of the task.
    pub features: Vec<Output<Features>>,
    /// Which image is which sample.
    pub manifest: Leaf<TaskData>,
    /// The weights with their classifier.
    pub head: Leaf<CheckpointPlace>,
    /// Name of the classifier in the checkpoint.
    pub layer: &'static str,
    /// Which split is classified.
    pub split: Split,
}

impl Step<World> for Classify {
    const KIND: &'static str = "classify";
    const VERSION: u32 = 1;
    type Output = Scores;

    fn run(&self, context: &Context<'_, World>) -> anyhow::Result<Scores> {
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
