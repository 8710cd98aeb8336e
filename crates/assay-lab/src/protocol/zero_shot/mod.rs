//! `ZeroShot`: nearest class embedding.

mod step;

pub use step::ScoreZeroShot;

use assay_config::{Checker, UserPath};
use assay_data::Split;
use assay_engine::Output;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::outside::ClassEmbeddings;
use crate::plan::{CellPlan, PlanError, Protocol};
use crate::results::{Evaluation, Resampling};
use crate::spec::of_cell;

/// Classifies by the class embedding with the greatest cosine, as CLIP does with embeddings of class names; for models whose
/// features are in the space of the embeddings. Nothing is learnt.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ZeroShot {
    /// File with a row of D numbers for each class (`.npy`, `.npz`, `.safetensors` or Parquet), already averaged where a class
    /// has several texts. `{model}` and `{task}` in the path stand for their names.
    pub embeddings: UserPath,
    /// Name of the rows in a file that holds several arrays. Default: `"x"`.
    #[serde(default = "key")]
    pub key: String,
    /// File with the names of the classes in the order of the rows; rows and classes of the task are matched by name. Default:
    /// the array `classes` of `embeddings`.
    #[serde(default)]
    pub class_names: Option<UserPath>,
    /// Split that is classified; `Whole` for a dataset without splits. Default: `Test`.
    #[serde(default = "split")]
    pub split: Split,
    /// Factor of cosines in logits, which probabilities depend on and predictions do not. Default: 100.0.
    #[serde(default = "logit_scale")]
    pub logit_scale: f64,
    /// Number of times that the images are resampled for the intervals of metrics. Default: 1000.
    #[serde(default = "resamples")]
    pub resamples: u32,
    /// Seed of the resampling. Default: 0.
    #[serde(default)]
    pub seed: u64,
}

fn key() -> String {
    "x".to_owned()
}

fn split() -> Split {
    Split::Test
}

fn logit_scale() -> f64 {
    100.0
}

fn resamples() -> u32 {
    1000
}

impl Protocol for ZeroShot {
    fn check(&self, at: &Checker<'_>) {
        let is_scale = self.logit_scale > 0.0 && self.logit_scale <= 1e6;
        at.field("logit_scale").expect(is_scale, "must be greater than 0 and at most 1,000,000");
        at.field("resamples").expect((1..=100_000).contains(&self.resamples), "must be from 1 to 100,000");
    }

    fn plan(&self, cell: &mut CellPlan<'_, '_>) -> Result<Output<Evaluation>, PlanError> {
        cell.expect_one_class_each()?;
        let metric = cell.metric()?;
        let samples = cell.split(self.split);
        if samples.is_empty() {
            return Err(cell.protocol_error("split", format!("the task has no images in its split `{:?}`", self.split)));
        }
        let names = cell.names().clone();
        let [file, class_names] = [Some(&self.embeddings), self.class_names.as_ref()]
            .map(|path| Some(of_cell(path?, &names.model, &names.task).0));
        let read = ClassEmbeddings::read(&file.unwrap_or_default(), &self.key, class_names.as_deref(), cell.data());
        let (embeddings, others) = read.map_err(|error| cell.protocol_error("embeddings", format!("{error:#}")))?;
        if others > 0 {
            cell.warn(&format!("{others} rows of the class embeddings are of no class, and are left out"));
        }
        let score = ScoreZeroShot {
            features: cell.features_of(&samples)?,
            images: cell.labelled(&samples, &cell.all_classes()),
            embeddings,
            logit_scale: self.logit_scale,
            metric,
            resampling: Resampling { resamples: self.resamples, seed: self.seed },
        };
        cell.add_evaluation(score)
    }
}
