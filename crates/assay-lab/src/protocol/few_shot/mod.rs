//! `FewShot`: episodes of a few labelled images of a few classes.

mod episodes;
mod score;

pub use episodes::{DrawEpisodes, EpisodeList, OfficialEpisodes};
pub use score::ScoreFewShot;

use std::collections::{BTreeMap, BTreeSet};

use assay_data::{Episodes, Split};
use assay_engine::Output;
use assay_nn::{FewShotClassifier, FewShotDistance, FewShotRule};
use schemars::JsonSchema;
use serde::de::{EnumAccess, Error, VariantAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::plan::{CellPlan, PlanError, Protocol};
use crate::results::Evaluation;
use assay_config::Checker;

/// Few-shot classification of cached features; the same episodes for every model. Episodes are drawn from all images of the
/// task, of whatever split: `subset: (splits: [Test])` of the task leaves those of the test split. Defaults are those of Ericsson et al.
/// (CVPR 2021): 5 ways, 15 queries, 600 episodes, nearest class mean by squared Euclidean distance.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FewShot {
    /// Number of classes in an episode. Default: 5.
    pub ways: u32,
    /// Number of labelled (support) images of each class. Default: 5.
    pub shots: u32,
    /// Number of images of each class that are classified (queries). Default: 15.
    pub queries: u32,
    /// Number of episodes, or `Official` for a dataset that brings its own episodes, with ways, shots and queries of
    /// theirs. Default: 600.
    pub episodes: EpisodeCount,
    /// Seed of the draws of episodes. Default: 0.
    pub seed: u64,
    /// Rule that classifies a query. Default: `NearestMean`.
    pub classifier: FewShotClassifier,
    /// Distance between two rows of features. Default: `Euclidean`.
    pub distance: FewShotDistance,
    /// Scaling of every row of features to length 1, before all else. Default: false.
    pub normalize: bool,
    /// Treatment of classes with fewer than shots + queries images. Default: `Fail`.
    pub small_classes: SmallClasses,
}

impl Default for FewShot {
    fn default() -> Self {
        Self {
            ways: 5,
            shots: 5,
            queries: 15,
            episodes: EpisodeCount::Drawn(600),
            seed: 0,
            classifier: FewShotClassifier::default(),
            distance: FewShotDistance::default(),
            normalize: false,
            small_classes: SmallClasses::default(),
        }
    }
}

/// Treatment of classes that are too small for an episode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, Deserialize, JsonSchema)]
pub enum SmallClasses {
    /// The experiment is refused before anything runs.
    #[default]
    Fail,
    /// Such classes are not drawn.
    Skip,
}

/// Source of episodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpisodeCount {
    /// This number of episodes, drawn at random.
    Drawn(u32),
    /// The episodes that the dataset brings along.
    Official,
}

impl<'de> Deserialize<'de> for EpisodeCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrOfficial;
        impl<'de> Visitor<'de> for NumberOrOfficial {
            type Value = EpisodeCount;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number of episodes, or `Official`")
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<EpisodeCount, E> {
                u32::try_from(value).map(EpisodeCount::Drawn).map_err(|_| E::custom("so many episodes cannot be drawn"))
            }

            fn visit_unit<E: Error>(self) -> Result<EpisodeCount, E> {
                Ok(EpisodeCount::Official)
            }

            fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<EpisodeCount, A::Error> {
                let (name, variant) = data.variant::<String>()?;
                variant.unit_variant()?;
                if name == "Official" {
                    Ok(EpisodeCount::Official)
                } else {
                    Err(A::Error::custom(format!("expected a number of episodes or `Official`, found `{name}`")))
                }
            }
        }
        deserializer.deserialize_any(NumberOrOfficial)
    }
}

impl schemars::JsonSchema for EpisodeCount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "EpisodeCount".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["integer", "string"], "title": "number or Official" })
    }
}

impl serde::Serialize for EpisodeCount {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Drawn(count) => serializer.serialize_u32(*count),
            Self::Official => serializer.serialize_str("Official"),
        }
    }
}

impl Protocol for FewShot {
    fn check(&self, at: &Checker<'_>) {
        at.field("ways").expect((2..=10_000).contains(&self.ways), "must be from 2 to 10,000");
        at.field("shots").expect((1..=100_000).contains(&self.shots), "must be from 1 to 100,000");
        at.field("queries").expect((1..=100_000).contains(&self.queries), "must be from 1 to 100,000");
        if let EpisodeCount::Drawn(count) = self.episodes {
            at.field("episodes").expect((1..=10_000_000).contains(&count), "must be from 1 to 10,000,000");
            let images = u64::from(self.ways) * (u64::from(self.shots) + u64::from(self.queries)) * u64::from(count);
            at.field("episodes").expect(images <= 1 << 32, "must come to at most 4,294,967,296 images in all");
        }
    }

    fn plan(&self, cell: &mut CellPlan<'_, '_>) -> Result<Output<Evaluation>, PlanError> {
        cell.expect_one_class_each()?;
        if self.episodes != EpisodeCount::Official {
            tell_pooled_splits(cell)?;
        }
        let rule = FewShotRule { classifier: self.classifier, distance: self.distance, normalize: self.normalize };
        let manifest = cell.manifest();
        let episodes = cell.once(|cell| match self.episodes {
            EpisodeCount::Official => {
                Episodes::official(cell.data()).map_err(|e| cell.protocol_error("episodes", e.to_string()))?;
                let label = cell.shared_label("episodes");
                let manifest = cell.manifest();
                cell.add(label, OfficialEpisodes { manifest })
            }
            EpisodeCount::Drawn(count) => self.draw(cell, count),
        })?;
        let count = match self.episodes {
            EpisodeCount::Official => cell.data().official.len() as u32,
            EpisodeCount::Drawn(count) => count,
        };
        let features = cell.features()?;
        cell.add_evaluation(ScoreFewShot { features, manifest, episodes, rule, count })
    }
}

impl FewShot {
    fn draw(&self, cell: &mut CellPlan<'_, '_>, episodes: u32) -> Result<Output<EpisodeList>, PlanError> {
        let draw = DrawEpisodes {
            manifest: cell.manifest(),
            ways: self.ways,
            shots: self.shots,
            queries: self.queries,
            episodes,
            seed: self.seed,
            skip_small_classes: self.small_classes == SmallClasses::Skip,
        };
        Episodes::check(cell.data(), &draw.shape()).map_err(|e| cell.protocol_error("ways", e.to_string()))?;
        let label = cell.shared_label("episodes");
        cell.add(label, draw)
    }
}

/// Tells which splits episodes are drawn from together. Splits without a common class are base and novel classes, as in
/// mini-ImageNet, and there a benchmark draws from one of them, so the task must say which.
fn tell_pooled_splits(cell: &mut CellPlan<'_, '_>) -> Result<(), PlanError> {
    let mut classes: BTreeMap<Split, BTreeSet<u32>> = BTreeMap::new();
    for sample in &cell.data().samples {
        classes.entry(sample.split).or_default().extend(sample.class());
    }
    if classes.len() < 2 {
        return Ok(());
    }
    let names = classes.keys().map(|split| format!("{split:?}")).collect::<Vec<_>>().join(", ");
    let sets: Vec<&BTreeSet<u32>> = classes.values().collect();
    let are_disjoint = sets.iter().enumerate().all(|(i, one)| sets[i + 1..].iter().all(|other| one.is_disjoint(other)));
    if are_disjoint && !cell.names_splits() {
        let task = &cell.names().task;
        let message = format!(
            "the splits {names} of task {task:?} have no class in common, and episodes would be drawn from all their classes together"
        );
        let help = "`subset: (splits: [Test])` draws from the classes of the test split alone, as benchmarks with base and novel classes do; a list of all splits draws from all classes";
        return Err(cell.task_question(message, help));
    }
    if cell.names_splits() {
        cell.note(&format!("episodes are drawn from the images of {names} together"));
    } else {
        cell.warn(&format!(
            "episodes are drawn from the images of {names} together: `subset: (splits: [Test])` leaves those of the test split, and a list of all splits says that this is meant"
        ));
    }
    Ok(())
}
