//! `Classifier`: the checkpoint's own last layer.

mod outputs;
mod step;

pub use step::Classify;

use assay_config::{Checker, UserPath};
use assay_data::Split;
use assay_engine::Output;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::plan::{CellPlan, PlanError, Protocol};
use crate::results::Evaluation;
use crate::spec::{Cell, of_cell};

/// Classifies by the last layer that came with the weights; for a task with classes that the model was trained on. Without
/// `outputs`, the classes of the task are those of the model, in their order.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Classifier {
    /// Split that is classified; `Whole` for a dataset without splits. Default: `Test`.
    pub split: Split,
    /// File with the names of the classifier's outputs in their order, such as the 1000 WordNet ids of ImageNet: a line each,
    /// or JSON. Classes of the task are found among them by name. `{model}` in the path stands for the name of the model.
    /// Default: none.
    pub outputs: Option<UserPath>,
    /// Choice among the outputs of the task's classes alone, as for ImageNet-A and -R; with false, an image whose greatest
    /// output is of another class is wrong. Default: none, and it must be said where the task has fewer classes.
    pub subset: Option<bool>,
    /// File with several right outputs for each image (ReaL, Beyer et al. 2020): a list of lists in JSON, in the order of the
    /// numbers in the images' names; images without a right one are left out. Default: none.
    pub real: Option<UserPath>,
}

impl Default for Classifier {
    fn default() -> Self {
        Self { split: Split::Test, outputs: None, subset: None, real: None }
    }
}

impl Protocol for Classifier {
    fn check(&self, at: &Checker<'_>) {
        at.field("subset").expect(self.subset.is_none() || self.outputs.is_some(), "needs `outputs`");
        at.field("real").expect(self.real.is_none() || self.outputs.is_some(), "needs `outputs`");
    }

    fn plan(&self, cell: &mut CellPlan<'_, '_>) -> Result<Output<Evaluation>, PlanError> {
        cell.expect_one_class_each()?;
        if cell.data().count(self.split) == 0 {
            return Err(cell.protocol_error("split", format!("the task has no images in its split `{:?}`", self.split)));
        }
        let (head, layer) = cell.head()?;
        let names = cell.names().clone();
        let path = |path: &Option<UserPath>| Some(of_cell(path.as_ref()?, &names.model, &names.task).0);
        let outputs = match path(&self.outputs) {
            None => None,
            Some(file) => Some(
                outputs::of_classes(&file, &cell.data().classes, self.subset)
                    .map_err(|error| cell.protocol_error("outputs", format!("{error:#}")))?,
            ),
        };
        let mut samples = cell.split(self.split);
        let answers = match path(&self.real) {
            None => None,
            Some(file) => {
                let (kept, answers) = outputs::answers(&file, cell.data(), &samples)
                    .map_err(|error| cell.protocol_error("real", format!("{error:#}")))?;
                let left_out = samples.len() - kept.len();
                if left_out > 0 {
                    let Cell { task, protocol, .. } = &names;
                    cell.warn(format!(
                        "{left_out} images of task {task:?} have no right answer for {protocol:?} and are left out"
                    ));
                }
                samples = kept;
                Some(answers)
            }
        };
        let classify = Classify {
            features: cell.features_of(&samples)?,
            images: cell.labelled(&samples, &cell.all_classes()),
            head,
            layer,
            outputs,
            answers,
        };
        cell.add_evaluation(classify)
    }
}
