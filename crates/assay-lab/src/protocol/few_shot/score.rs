//! Few-shot accuracy from cached features.

use assay_engine::{Content, Context, Cost, Output, Step};
use assay_nn::device::{DeviceChoice, open};
use assay_nn::{Episodes, FewShotRule, few_shot_accuracies};
use assay_stats::metrics::MetricId;
use serde::Serialize;

use super::episodes::EpisodeList;
use crate::outside::TaskData;
use crate::results::{Evaluation, Items, PerItem};
use crate::steps::{FeatureTable, Features, LabStep, Runtime, WrittenIn};

/// Classifies the queries of every episode.
#[derive(Serialize)]
pub struct ScoreFewShot {
    /// Features of all images of the task.
    pub features: Vec<Output<Features>>,
    /// Samples of the task, which say what image each is.
    pub manifest: Content<TaskData>,
    /// The episodes.
    pub episodes: Output<EpisodeList>,
    /// Classification of queries.
    pub rule: FewShotRule,
    /// Number of episodes, for predictions of cost.
    #[serde(skip)]
    pub count: u32,
}

impl LabStep for ScoreFewShot {
    const WRITTEN_IN: &'static [(&'static str, WrittenIn)] = &[("/manifest", WrittenIn::Dataset)];
}

impl Step<Runtime> for ScoreFewShot {
    const KIND: &'static str = "few-shot";
    const VERSION: u32 = 3; // 1 – `Scores`; 2 – `Evaluation`; 3 – features of any unit
    type Output = Evaluation;

    fn cost(&self) -> Cost {
        Cost { group: "episodes".to_owned(), units: f64::from(self.count.max(1)) }
    }

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Evaluation> {
        let manifest = &self.manifest.value().manifest;
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
        let values = few_shot_accuracies(&table.values, table.dim, asked, self.rule, &device);
        let image = |sample: &u32| manifest.samples[*sample as usize].digest.as_bytes();
        let (support_each, queries_each) = (episodes.ways * episodes.shots, episodes.queries_each());
        let digest = |e: usize| {
            let support = episodes.support[e * support_each..][..support_each].iter().map(image);
            let queries = e * queries_each..(e + 1) * queries_each;
            let ways = episodes.query_ways[queries.clone()].iter().copied();
            PerItem::episode_digest(support, episodes.queries[queries].iter().map(image).zip(ways))
        };
        let digests = (0..episodes.len()).map(digest).collect();
        Evaluation::of_mean(MetricId::of("accuracy"), PerItem { over: Items::Episodes, digests, values })
    }
}
