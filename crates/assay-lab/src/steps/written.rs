//! Steps of the laboratory, which know where in the file they are written.

use assay_engine::{Step, WrittenAt};

use super::Runtime;
use crate::spec::quote;

/// A part of an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WrittenIn {
    /// The model.
    Model,
    /// The weights of the model.
    Weights,
    /// The backbone of the model.
    Backbone,
    /// The task.
    Task,
    /// The preparation of the task's images.
    Image,
    /// The dataset of the task.
    Dataset,
    /// The protocol.
    Protocol,
}

/// A step of this crate.
pub(crate) trait LabStep: Step<Runtime> {
    /// The entry that the step as a whole is written in.
    const ROOT: WrittenIn = WrittenIn::Protocol;
    /// Parts of its recipe (JSON pointers) that are written elsewhere.
    const WRITTEN_IN: &'static [(&'static str, WrittenIn)] = &[];
}

/// Names of what a step is made for; those that do not matter to it are empty.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Names<'n> {
    /// The model.
    pub model: &'n str,
    /// The task.
    pub task: &'n str,
    /// The protocol.
    pub protocol: &'n str,
}

impl Names<'_> {
    /// Path of a part in the experiment.
    pub fn path(self, part: WrittenIn) -> String {
        let (model, task) = (quote(self.model), quote(self.task));
        match part {
            WrittenIn::Model => format!("models.{model}"),
            WrittenIn::Weights => format!("models.{model}.weights"),
            WrittenIn::Backbone => format!("models.{model}.backbone"),
            WrittenIn::Task => format!("tasks.{task}"),
            WrittenIn::Image => format!("tasks.{task}.image"),
            WrittenIn::Dataset => format!("tasks.{task}.dataset"),
            WrittenIn::Protocol => format!("protocols.{}", quote(self.protocol)),
        }
    }

    /// The kind of a step with the names that it is written under.
    pub fn that_matter<S: LabStep>(self) -> String {
        let of_model = |part: WrittenIn| matches!(part, WrittenIn::Model | WrittenIn::Weights | WrittenIn::Backbone);
        let has_model = of_model(S::ROOT) || S::WRITTEN_IN.iter().any(|(_, part)| of_model(*part));
        let parts = [S::KIND, if has_model { self.model } else { "" }, self.task, self.protocol];
        parts.join("\0")
    }

    /// The places where the parts of a step are written.
    pub fn written_at<S: LabStep>(self) -> Vec<WrittenAt> {
        let parts = std::iter::once(("", S::ROOT)).chain(S::WRITTEN_IN.iter().copied());
        parts.map(|(part, written)| WrittenAt::new(part, self.path(written))).collect()
    }
}
