//! What a protocol sees of one evaluation while it plans it.

use std::sync::Arc;

use assay_config::Checker;
use assay_data::Manifest;
use assay_engine::{External, Output, Step, WrittenAt};

use super::{PlanError, Planner, Ready};
use crate::outside::{CheckpointPlace, TaskData};
use crate::results::Scores;
use crate::spec::{Cell, Metric, quote};
use crate::steps::{Features, Runtime};

/// What every protocol does.
pub(crate) trait Protocol {
    /// Checks its parameters.
    fn check(&self, at: &Checker<'_>);

    /// Adds its steps to the plan; returns the one with the scores.
    fn plan(&self, cell: &mut CellPlan<'_, '_>) -> Result<Output<Scores>, PlanError>;
}

/// What a protocol may ask for while it plans one evaluation.
pub(crate) struct CellPlan<'p, 'a> {
    planner: &'p mut Planner<'a>,
    cell: &'p Cell,
    data: Arc<TaskData>,
}

impl<'p, 'a> CellPlan<'p, 'a> {
    pub fn new(planner: &'p mut Planner<'a>, cell: &'p Cell, data: Arc<TaskData>) -> Self {
        Self { planner, cell, data }
    }

    /// Names of the model, the task and the protocol.
    pub fn names(&self) -> &Cell {
        self.cell
    }

    /// The samples of the task.
    pub fn data(&self) -> &Manifest {
        &self.data.manifest
    }

    /// The samples as an input of a step.
    pub fn manifest(&self) -> External<TaskData> {
        External::new(self.data.digest, Arc::clone(&self.data))
    }

    /// The features of all images of the task.
    pub fn features(&mut self) -> Result<Vec<Output<Features>>, PlanError> {
        self.planner.features(&self.cell.model, &self.cell.task, &self.data)
    }

    /// The features of these samples, by index: the pieces that their images are in.
    pub fn features_of(&mut self, samples: &[u32]) -> Result<Vec<Output<Features>>, PlanError> {
        let all = self.features()?;
        Ok(self.data.shards_of(samples).into_iter().map(|piece| all[piece as usize]).collect())
    }

    /// What the task is judged by.
    pub fn metric(&self) -> Result<Metric, PlanError> {
        let is_multi_label = self.data.manifest.is_multi_label();
        let default = if is_multi_label { Metric::MeanAp11 } else { Metric::Top1 };
        let metric = self.planner.experiment.tasks[&self.cell.task].metric.unwrap_or(default);
        if metric.is_multi_label() == is_multi_label {
            return Ok(metric);
        }
        let (these, fitting) = if is_multi_label {
            ("show several classes", "`MeanAp11`, `MeanAp11Kit` or `MeanAp`")
        } else {
            ("show one class each", "`Top1` or `MeanPerClass`")
        };
        Err(PlanError {
            path: format!("tasks.{}.metric", quote(&self.cell.task)),
            message: format!("`{metric:?}` does not fit: the images of task {:?} {these}", self.cell.task),
            help: Some(format!("use {fitting}, or leave it out")),
        })
    }

    /// Refuses a task whose images show several classes.
    pub fn expect_one_class_each(&self) -> Result<(), PlanError> {
        if self.data.manifest.is_multi_label() {
            let protocol = &self.cell.protocol;
            return Err(
                self.task_error(format!("{protocol:?} is for images of one class each, and these show several"))
            );
        }
        Ok(())
    }

    /// A step of this protocol on this task that is the same for every model; `plan` adds it the first time.
    pub fn once<T: 'static>(
        &mut self,
        plan: impl FnOnce(&mut Self) -> Result<Output<T>, PlanError>,
    ) -> Result<Output<T>, PlanError> {
        let name = (self.cell.task.clone(), self.cell.protocol.clone());
        if let Some(known) = self.planner.shared.get(&name).and_then(|known| known.downcast_ref()) {
            return Ok(*known);
        }
        let output = plan(self)?;
        self.planner.shared.insert(name, Box::new(output));
        Ok(output)
    }

    /// The checkpoint with its classifier, and the classifier's name.
    pub fn head(&mut self) -> Result<(External<CheckpointPlace>, &'static str), PlanError> {
        let model = &self.cell.model;
        let spec = &self.planner.experiment.models[model];
        if spec.point().is_ok_and(|point| !point.is_end()) {
            return Err(PlanError {
                path: format!("models.{}", quote(model)),
                message: format!(
                    "protocol {:?} needs the features that the classifier was trained on, and model {model:?} has those of \
                     another `layer` or `pool`",
                    self.cell.protocol
                ),
                help: Some("leave the pair out with `exclude`".to_owned()),
            });
        }
        let layer = spec.backbone.classifier();
        let found = match self.planner.weights(model)? {
            Ready::File(facts) => facts.with_head,
            _ => None,
        };
        found.zip(layer).ok_or_else(|| PlanError {
            path: format!("models.{}.weights", quote(model)),
            message: format!(
                "protocol {:?} needs weights from a file with a classifier, and model {model:?} has none",
                self.cell.protocol
            ),
            help: Some("leave the pair out with `exclude`".to_owned()),
        })
    }

    /// Adds a step of the protocol's own.
    pub fn add<S: Step<Runtime>>(&mut self, label: String, step: S) -> Result<Output<S::Output>, PlanError> {
        let protocol = format!("protocols.{}", quote(&self.cell.protocol));
        let task = format!("tasks.{}", quote(&self.cell.task));
        let written_at = vec![
            WrittenAt::new("", protocol.clone()),
            WrittenAt::new("/rule", protocol),
            WrittenAt::new("/manifest", format!("{task}.dataset")),
            WrittenAt::new("/fit", format!("{task}.dataset")),
            WrittenAt::new("/choose", format!("{task}.dataset")),
            WrittenAt::new("/test", format!("{task}.dataset")),
            WrittenAt::new("/metric", task),
        ];
        self.planner.plan.add(label, step, written_at).map_err(|error| self.protocol_error("", error.to_string()))
    }

    /// Adds the step that ends in scores.
    pub fn add_scores<S: Step<Runtime, Output = Scores>>(&mut self, step: S) -> Result<Output<Scores>, PlanError> {
        let Cell { model, task, protocol } = self.cell;
        self.add(format!("score/{model}/{task}/{protocol}"), step)
    }

    /// The protocol does not fit the task.
    pub fn protocol_error(&self, field: &str, message: String) -> PlanError {
        let dot = if field.is_empty() { "" } else { "." };
        let path = format!("protocols.{}{dot}{field}", quote(&self.cell.protocol));
        PlanError { path, message: format!("on task {:?}: {message}", self.cell.task), help: None }
    }

    /// The task does not fit the protocol.
    pub fn task_error(&self, message: String) -> PlanError {
        PlanError {
            path: format!("tasks.{}.dataset", quote(&self.cell.task)),
            message,
            help: Some("leave the pair out with `exclude`".to_owned()),
        }
    }
}
