//! Few-shot accuracy from cached features.

use assay_engine::{Context, Cost, Leaf, Output, Step};
use assay_nn::device::{DeviceChoice, open};
use assay_nn::{FewShotRule, Trials, few_shot_accuracies};
use serde::Serialize;

use super::episodes::EpisodeList;
use super::extract::{FeatureTable, Features};
use crate::data::TaskData;
use crate::protocol::Scores;
use crate::world::World;

/// Classifies the queries of every episode.
#[derive(Serialize)]
pub struct ScoreFewShot {
    /// Features of all images of the task.
    pub features: Vec<Output<Features>>,
    /// Which image is which sample.
    pub manifest: Leaf<TaskData>,
    /// The episodes.
    pub episodes: Output<EpisodeList>,
    /// How a query is classified.
    pub rule: FewShotRule,
    /// Number of episodes, for predictions of cost.
    #[serde(skip)]
    pub count: u32,
}

impl Step<World> for ScoreFewShot {
    const KIND: &'static str = "few-shot";
    const VERSION: u32 = 1;
    type Output = Scores;

    fn cost(&self) -> Cost {
        Cost { group: "episodes".to_owned(), units: f64::from(self.count.max(1)) }
    }

    fn run(&self, context: &Context<'_, World>) -> anyhow::Result<Scores> {
        let manifest = &context.open(&self.manifest).manifest;
        let EpisodeList(episodes) = context.load(&self.episodes)?;
        let table = FeatureTable::load(context, &self.features, manifest)?;
        let device = open(DeviceChoice::Cpu).map_err(anyhow::Error::msg)?.device;
        let trials = Trials {
            ways: episodes.ways,
            shots: episodes.shots,
            support: &episodes.support,
            queries: &episodes.queries,
            query_ways: &episodes.query_ways,
        };
        Ok(Scores::of_episodes(few_shot_accuracies(&table.values, table.dim, trials, self.rule, &device)))
    }
}
