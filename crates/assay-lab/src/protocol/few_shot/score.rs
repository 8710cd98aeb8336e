//! Few-shot accuracy from cached features.

use assay_engine::{Context, Cost, External, Output, Step};
use assay_nn::device::{DeviceChoice, open};
use assay_nn::{Episodes, FewShotRule, few_shot_accuracies};
use serde::Serialize;

use super::episodes::EpisodeList;
use crate::outside::TaskData;
use crate::results::Scores;
use crate::steps::{FeatureTable, Features, Runtime};

/// Classifies the queries of every episode.
#[derive(Serialize)]
pub struct ScoreFewShot {
    /// Features of all images of the task.
    pub features: Vec<Output<Features>>,
    /// Which image is which sample.
    pub manifest: External<TaskData>,
    /// The episodes.
    pub episodes: Output<EpisodeList>,
    /// How a query is classified.
    pub rule: FewShotRule,
    /// Number of episodes, for predictions of cost.
    #[serde(skip)]
    pub count: u32,
}

impl Step<Runtime> for ScoreFewShot {
    const KIND: &'static str = "few-shot";
    const VERSION: u32 = 1;
    type Output = Scores;

    fn cost(&self) -> Cost {
        Cost { group: "episodes".to_owned(), units: f64::from(self.count.max(1)) }
    }

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Scores> {
        let manifest = &context.open(&self.manifest).manifest;
        let EpisodeList(episodes) = context.load(&self.episodes)?;
        episodes.validate(manifest.samples.len())?;
        let table = FeatureTable::load(context, &self.features, manifest)?;
        let device = open(DeviceChoice::Cpu).map_err(anyhow::Error::msg)?.device;
        let asked = Episodes {
            ways: episodes.ways,
            shots: episodes.shots,
            support: &episodes.support,
            queries: &episodes.queries,
            query_ways: &episodes.query_ways,
        };
        Ok(Scores::of_episodes(few_shot_accuracies(&table.values, table.dim, asked, self.rule, &device)))
    }
}
