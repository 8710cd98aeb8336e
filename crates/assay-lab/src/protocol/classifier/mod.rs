//! `Classifier`: the checkpoint's own last layer.

mod step;

pub use step::Classify;

use assay_data::Split;
use assay_engine::Output;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::plan::{CellPlan, PlanError, Protocol};
use crate::results::Evaluation;
use assay_config::Checker;

/// Classifies by the last layer that came with the weights; for a task with the classes that the model was trained on, in
/// their order.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Classifier {
    /// Split that is classified; `Whole` for a dataset without splits. Default: `Test`.
    pub split: Split,
}

impl Default for Classifier {
    fn default() -> Self {
        Self { split: Split::Test }
    }
}

impl Protocol for Classifier {
    fn check(&self, _at: &Checker<'_>) {}

    fn plan(&self, cell: &mut CellPlan<'_, '_>) -> Result<Output<Evaluation>, PlanError> {
        cell.expect_one_class_each()?;
        if cell.data().count(self.split) == 0 {
            return Err(cell.protocol_error("split", format!("the task has no images in its split `{:?}`", self.split)));
        }
        let (head, layer) = cell.head()?;
        let samples = cell.split(self.split);
        let classify = Classify {
            features: cell.features_of(&samples)?,
            images: cell.labelled(&samples, &cell.all_classes()),
            head,
            layer,
        };
        cell.add_evaluation(classify)
    }
}
