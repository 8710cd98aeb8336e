//! Nearest-neighbour accuracy from cached features.

use assay_data::Split;
use assay_engine::{Context, External, Output, Step};
use assay_nn::device::{DeviceChoice, open};
use assay_nn::knn_predictions;
use serde::Serialize;

use crate::outside::TaskData;
use crate::results::Scores;
use crate::steps::{FeatureTable, Features, Runtime};

/// Classifies the test split by its neighbours in the training split.
#[derive(Serialize)]
pub struct ScoreKnn {
    /// Features of all images of the task.
    pub features: Vec<Output<Features>>,
    /// Which image is which sample.
    pub manifest: External<TaskData>,
    /// Number of neighbours.
    pub k: u32,
    /// Temperature of the votes.
    pub temperature: f64,
}

impl Step<Runtime> for ScoreKnn {
    const KIND: &'static str = "knn";
    const VERSION: u32 = 1;
    type Output = Scores;

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Scores> {
        let manifest = &context.open(&self.manifest).manifest;
        let table = FeatureTable::load(context, &self.features, manifest)?;
        let (labels, train) = table.split(manifest, Split::Train);
        let (truth, test) = table.split(manifest, Split::Test);
        let device = open(DeviceChoice::Cpu).map_err(anyhow::Error::msg)?.device;
        let predicted =
            knn_predictions(&train, &labels, &test, table.dim, (self.k as usize, self.temperature), &device);
        Ok(Scores::of_images(&predicted, &truth))
    }
}
