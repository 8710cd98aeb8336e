//! Few-shot episodes as steps, so that every model is asked the same.

use assay_data::{EpisodeShape, Episodes};
use assay_engine::{Artifact, ArtifactFiles, Content, Context, Step};
use safetensors::tensor::{Dtype, SafeTensors};
use serde::Serialize;

use crate::outside::TaskData;
use crate::steps::{Arrays, LabStep, Runtime, WrittenIn, array};

/// Draws episodes from a manifest.
#[derive(Serialize)]
pub struct DrawEpisodes {
    /// Samples that are drawn from.
    pub manifest: Content<TaskData>,
    /// Classes in an episode.
    pub ways: u32,
    /// Support images of each class.
    pub shots: u32,
    /// Query images of each class.
    pub queries: u32,
    /// Number of episodes.
    pub episodes: u32,
    /// Seed of the draws.
    pub seed: u64,
    /// Leaves out classes with too few images instead of failing.
    pub skip_small_classes: bool,
}

impl DrawEpisodes {
    /// The shape of the episodes.
    pub fn shape(&self) -> EpisodeShape {
        EpisodeShape {
            ways: self.ways,
            shots: self.shots,
            queries: self.queries,
            episodes: self.episodes,
            seed: self.seed,
            skip_small_classes: self.skip_small_classes,
        }
    }
}

impl LabStep for DrawEpisodes {
    const WRITTEN_IN: &'static [(&'static str, WrittenIn)] = &[("/manifest", WrittenIn::Dataset)];
}

impl Step<Runtime> for DrawEpisodes {
    const KIND: &'static str = "episodes";
    const VERSION: u32 = 1;
    type Output = EpisodeList;

    fn run(&self, _: &Context<'_, Runtime>) -> anyhow::Result<EpisodeList> {
        Ok(EpisodeList(Episodes::draw(&self.manifest.value().manifest, &self.shape())?))
    }
}

/// Takes the episodes that a dataset brings along.
#[derive(Serialize)]
pub struct OfficialEpisodes {
    /// The dataset.
    pub manifest: Content<TaskData>,
}

impl LabStep for OfficialEpisodes {
    const WRITTEN_IN: &'static [(&'static str, WrittenIn)] = &[("/manifest", WrittenIn::Dataset)];
}

impl Step<Runtime> for OfficialEpisodes {
    const KIND: &'static str = "official-episodes";
    const VERSION: u32 = 1;
    type Output = EpisodeList;

    fn run(&self, _: &Context<'_, Runtime>) -> anyhow::Result<EpisodeList> {
        Ok(EpisodeList(Episodes::official(&self.manifest.value().manifest)?))
    }
}

/// Episodes in the store.
#[derive(Clone, Debug, PartialEq)]
pub struct EpisodeList(pub Episodes);

const FILE: &str = "episodes.safetensors";

impl Artifact for EpisodeList {
    fn write(&self, files: &mut ArtifactFiles) -> anyhow::Result<()> {
        let Episodes { ways, shots, support, queries, query_ways } = &self.0;
        let episodes = self.0.len();
        let bytes = |list: &[u32]| list.iter().map(|v| v.to_le_bytes()).collect::<Vec<_>>();
        let arrays = Arrays::new()
            .with("support", Dtype::U32, &[episodes, *ways, *shots], bytes(support))
            .with("queries", Dtype::U32, &[episodes, self.0.queries_each()], bytes(queries))
            .with("query_ways", Dtype::U32, &[episodes, self.0.queries_each()], bytes(query_ways));
        files.put(FILE, arrays.to_bytes()?)
    }

    fn read(files: &ArtifactFiles) -> anyhow::Result<Self> {
        let bytes = files.get(FILE)?;
        let file = SafeTensors::deserialize(&bytes)?;
        let (shape, support) = array(&file, "support", u32::from_le_bytes)?;
        let (_, queries) = array(&file, "queries", u32::from_le_bytes)?;
        let (_, query_ways) = array(&file, "query_ways", u32::from_le_bytes)?;
        anyhow::ensure!(shape.len() == 3, "the shape of the episodes does not fit");
        Ok(Self(Episodes { ways: shape[1], shots: shape[2], support, queries, query_ways }))
    }
}
