//! `Knn`: weighted nearest neighbours.

mod step;

pub use step::ScoreKnn;

use assay_data::Split;
use assay_engine::Output;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::plan::{CellPlan, PlanError, Protocol};
use crate::results::Evaluation;
use assay_config::Checker;

/// Classifies the test split by the nearest images of the training split: cosine, votes weighted by exp(cosine /
/// temperature). Needs a task with both splits.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Knn {
    /// Number of neighbours that vote. Default: 20.
    pub k: u32,
    /// Temperature of the votes: a small one gives the closest neighbours more weight. Default: 0.07.
    pub temperature: f64,
}

impl Default for Knn {
    fn default() -> Self {
        Self { k: 20, temperature: 0.07 }
    }
}

impl Protocol for Knn {
    fn check(&self, at: &Checker<'_>) {
        at.field("k").expect(self.k >= 1, "must be at least 1");
        at.field("temperature").expect(self.temperature > 0.0, "must be greater than zero");
    }

    fn plan(&self, cell: &mut CellPlan<'_, '_>) -> Result<Output<Evaluation>, PlanError> {
        cell.expect_one_class_each()?;
        let (train, test) = (cell.data().count(Split::Train), cell.data().count(Split::Test));
        if train == 0 || test == 0 {
            return Err(cell.task_error(format!(
                "`Knn` needs a train and a test split, and there are {train} and {test} images in them"
            )));
        }
        if self.k as usize > train {
            return Err(cell.protocol_error("k", format!("`k` is {}, and there are {train} training images", self.k)));
        }
        let (train, test) = (cell.split(Split::Train), cell.split(Split::Test));
        cell.expect_learnt(&train, &test)?;
        let score = ScoreKnn {
            features: cell.features_of(&[train.as_slice(), &test].concat())?,
            train: cell.labelled(&train, &cell.all_classes()),
            test: cell.labelled(&test, &cell.all_classes()),
            k: self.k,
            temperature: self.temperature,
        };
        cell.add_evaluation(score)
    }
}
