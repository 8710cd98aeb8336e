//! Nearest-neighbour accuracy from cached features.

use assay_engine::{Content, Context, Output, Step};
use assay_nn::device::{DeviceChoice, open};
use assay_nn::{KnnVotes, knn_votes};
use serde::Serialize;

use crate::outside::LabelledImages;
use crate::results::{Evaluation, Predictions, ScoreKind};
use crate::steps::{FeatureTable, Features, LabStep, Runtime, WrittenIn};

/// Classifies the test split by its neighbours in the training split.
#[derive(Serialize)]
pub struct ScoreKnn {
    /// Features of the images.
    pub features: Vec<Output<Features>>,
    /// Images to look among.
    pub train: Content<LabelledImages>,
    /// Images to classify.
    pub test: Content<LabelledImages>,
    /// Number of neighbours.
    pub k: u32,
    /// Temperature of the votes.
    pub temperature: f64,
}

impl LabStep for ScoreKnn {
    const WRITTEN_IN: &'static [(&'static str, WrittenIn)] =
        &[("/train", WrittenIn::Dataset), ("/test", WrittenIn::Dataset)];
}

impl Step<Runtime> for ScoreKnn {
    const KIND: &'static str = "knn";
    const VERSION: u32 = 3; // 1 – `Scores`; 2 – `Evaluation`; 3 – votes relative to the nearest, which are kept
    type Output = Evaluation;

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Evaluation> {
        let (train, test) = (self.train.value(), self.test.value());
        let seen = FeatureTable::rows(context, &self.features, train)?;
        let asked = FeatureTable::rows(context, &self.features, test)?;
        let device = open(DeviceChoice::Cpu).map_err(anyhow::Error::msg)?.device;
        let rule = (self.k as usize, self.temperature);
        let known = (seen.values.as_slice(), train.classes()?);
        let KnnVotes { votes, predicted } =
            knn_votes(known, &asked.values, (seen.dim, test.classes.len()), rule, &device);
        Evaluation::of_predictions(Predictions {
            images: test.images.clone(),
            labels: test.labels.clone(),
            classes: test.classes.clone(),
            kind: ScoreKind::Votes,
            scores: votes,
            predicted: Some(predicted),
        })
    }
}
