//! `Classifier`: the checkpoint's own last layer.

mod outputs;
mod step;

pub use step::Classify;

use assay_config::{Checker, UserPath};
use assay_data::{ClassOrder, Split};
use assay_engine::Output;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::plan::{CellPlan, PlanError, Protocol};
use crate::results::Evaluation;
use crate::spec::of_cell;

/// Classifies by the last layer that came with the weights; for a task with classes that the model was trained on. Without
/// `outputs`, they are all of the model's, in their order: output c is class c. Where the order is in doubt, `classes` of the task or
/// `outputs` must say it; `assay plan` shows it.
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
        if self.outputs.is_none() {
            expect_sure_order(cell)?;
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
                    cell.warn(&format!("{left_out} images have no right answer and are left out"));
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

/// Number of classes that are shown beside the outputs.
const SHOWN: usize = 6;

/// Shows the classes beside the outputs, and refuses an order that was guessed where another is as likely.
fn expect_sure_order(cell: &mut CellPlan<'_, '_>) -> Result<(), PlanError> {
    let (task, protocol) = (cell.names().task.clone(), cell.names().protocol.clone());
    let manifest = cell.data();
    if manifest.order == ClassOrder::Disputed {
        let message = format!(
            "{protocol:?} takes output c for class c, and the files of task {task:?} list the classes in different orders"
        );
        let help = "give the order of the checkpoint with `classes: File(\"names.txt\")`, or a list of names";
        return Err(cell.task_question(message, help));
    }
    if manifest.order_is_ambiguous() {
        let mut as_text = manifest.classes.clone();
        as_text.sort();
        let first = |names: &[String]| names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
        let message = format!(
            "{protocol:?} takes output c for class c, and the classes of task {task:?} are whole numbers, which have two usual orders: {}, … \
             by value, and {}, … as text",
            first(&manifest.classes),
            first(&as_text)
        );
        let help = "say `classes: Numeric` where output c is the c-th number, or `classes: Text` where the checkpoint was trained with torchvision's `ImageFolder` on these folders";
        return Err(cell.task_question(message, help));
    }
    let numbers: Option<Vec<i64>> = manifest.classes.iter().map(|name| name.parse().ok()).collect();
    let gap = numbers.filter(|numbers| numbers.iter().zip(0..).any(|(number, at)| *number != at));
    let last = manifest.classes.len().saturating_sub(1);
    let outputs: Vec<String> =
        manifest.classes.iter().take(SHOWN).enumerate().map(|(c, name)| format!("{c} = {name}")).collect();
    let end = manifest.classes.last().filter(|_| last >= SHOWN).map(|name| format!(", … {last} = {name}"));
    cell.note(&format!("outputs are classes: {}{}", outputs.join(", "), end.unwrap_or_default()));
    if let Some(numbers) = gap
        && let (Some(first), Some(highest)) = (numbers.iter().min(), numbers.iter().max())
    {
        cell.warn(&format!(
            "classes are whole numbers from {first} to {highest}, and not those from 0 on in their order, so that output c is not class \
             number c: `assay plan` shows which it is"
        ));
    }
    Ok(())
}
