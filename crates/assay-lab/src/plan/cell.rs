//! The view that a protocol has of one evaluation while it plans it.

use std::collections::BTreeSet;
use std::sync::Arc;

use assay_config::Checker;
use assay_data::{ImageSpec, Manifest, Split};
use assay_engine::{Content, Digest, External, Output, Step};
use assay_nn::{Backbone, FeaturePoint, InputSpec};

use super::inputs::Ready;
use super::{PRECISION, PlanError, Planner};
use crate::outside::{CheckpointPlace, LabelledImages, ShardImages, TaskData};
use crate::results::{Evaluation, ExhibitSource, ProbeSource};
use crate::spec::{Cell, Metric};
use crate::steps::{Arithmetic, Features, LabStep, Names, Runtime, WeightsRecipe, WrittenIn};

/// A protocol: it checks its parameters, and plans the steps of an evaluation.
pub(crate) trait Protocol {
    /// Checks its parameters.
    fn check(&self, at: &Checker<'_>);

    /// Adds its steps to the plan; returns the one with the evaluation.
    fn plan(&self, cell: &mut CellPlan<'_, '_>) -> Result<Output<Evaluation>, PlanError>;
}

/// What a protocol leaves beside an evaluation.
#[derive(Default)]
pub(crate) struct CellParts {
    /// Exhibits that its steps have of their own.
    pub exhibits: Vec<ExhibitSource>,
    /// The linear classifier that it fits.
    pub probe: Option<ProbeSource>,
    /// Warnings that stay with the result.
    pub warnings: Vec<String>,
    /// Notes for whoever looks at the plan.
    pub notes: Vec<String>,
}

/// Plan of one evaluation, which a protocol asks for features, labels and weights. What it does not ask for is not
/// planned.
pub(crate) struct CellPlan<'p, 'a> {
    planner: &'p mut Planner<'a>,
    cell: &'p Cell,
    data: Arc<TaskData>,
    exhibits: Vec<ExhibitSource>,
    probe: Option<ProbeSource>,
    warnings: Vec<String>,
    notes: Vec<String>,
}

impl<'p, 'a> CellPlan<'p, 'a> {
    pub fn new(planner: &'p mut Planner<'a>, cell: &'p Cell, data: Arc<TaskData>) -> Self {
        Self { planner, cell, data, exhibits: Vec::new(), probe: None, warnings: Vec::new(), notes: Vec::new() }
    }

    /// What the protocol leaves beside the evaluation.
    pub fn into_parts(self) -> CellParts {
        let Self { exhibits, probe, warnings, notes, .. } = self;
        CellParts { exhibits, probe, warnings, notes }
    }

    /// Warns of what the protocol does on this task: now, and with the result. The same for every model is told once.
    pub fn warn(&mut self, message: &str) {
        self.warnings.push(format!("{} on task {:?}: {message}", self.cell.protocol, self.cell.task));
    }

    /// Tells whoever looks at the plan what the protocol does on this task.
    pub fn note(&mut self, message: &str) {
        self.notes.push(format!("{} on task {:?}: {message}", self.cell.protocol, self.cell.task));
    }

    /// Tells whether the task names the splits that it uses.
    pub fn names_splits(&self) -> bool {
        !self.planner.experiment.tasks[&self.cell.task].subset.splits.is_empty()
    }

    /// Names of the model, the task and the protocol.
    pub fn names(&self) -> &Cell {
        self.cell
    }

    fn written(&self) -> Names<'p> {
        Names { model: &self.cell.model, task: &self.cell.task, protocol: &self.cell.protocol }
    }

    /// The samples of the task.
    pub fn data(&self) -> &Manifest {
        &self.data.manifest
    }

    /// Indices of the samples of a split.
    pub fn split(&self, split: Split) -> Vec<u32> {
        let samples = self.data.manifest.samples.iter().enumerate().filter(|(_, s)| s.split == split);
        samples.map(|(i, _)| i as u32).collect()
    }

    /// The samples as an input of a step.
    pub fn manifest(&self) -> Content<TaskData> {
        Content::new(self.data.digest, Arc::clone(&self.data))
    }

    /// Some samples, by index, with all that is known of them and nothing of the others.
    #[cfg_attr(not(test), expect(dead_code, reason = "asked for by protocols that train or predict densely"))]
    pub fn samples(&self, samples: &[u32]) -> Content<Manifest> {
        let Manifest { classes, samples: all, .. } = &self.data.manifest;
        let samples = samples.iter().map(|i| all[*i as usize].clone()).collect();
        let chosen = Manifest { classes: classes.clone(), samples, ..Manifest::default() };
        Content::new(Digest::from_bytes(*chosen.digest().as_bytes()), Arc::new(chosen))
    }

    /// The image files of these samples, by index: the pieces that they are in.
    pub fn images(&self, samples: &[u32]) -> Vec<External<ShardImages>> {
        self.data.shards_of(samples).into_iter().map(|piece| self.data.shards[piece as usize].clone()).collect()
    }

    /// The preparation of the task's images.
    pub fn image(&self) -> Result<ImageSpec, PlanError> {
        let image = self.planner.experiment.tasks[&self.cell.task].image();
        image.ok_or_else(|| {
            self.task_error(format!("{:?} is for images, and the task has features", self.cell.protocol))
        })
    }

    /// Some samples, by index, with their labels and nothing of the others; their classes are all among `classes`.
    pub fn labelled(&self, samples: &[u32], classes: &[u32]) -> Content<LabelledImages> {
        LabelledImages::leaf(&self.data.manifest, samples, classes)
    }

    /// Indices of all classes of the task.
    pub fn all_classes(&self) -> Vec<u32> {
        (0..self.data.manifest.classes.len() as u32).collect()
    }

    /// The features of all images of the task.
    pub fn features(&mut self) -> Result<Vec<Output<Features>>, PlanError> {
        self.features_in(&(0..self.data.shards.len() as u32).collect(), None)
    }

    /// The features of these samples, by index: the pieces that their images are in.
    pub fn features_of(&mut self, samples: &[u32]) -> Result<Vec<Output<Features>>, PlanError> {
        self.features_in(&self.data.shards_of(samples), None)
    }

    /// The features of these samples at another point of the network than the model says.
    #[cfg_attr(not(test), expect(dead_code, reason = "asked for by protocols that train or predict densely"))]
    pub fn features_at(&mut self, samples: &[u32], point: &FeaturePoint) -> Result<Vec<Output<Features>>, PlanError> {
        self.features_in(&self.data.shards_of(samples), Some(point))
    }

    fn features_in(
        &mut self,
        pieces: &BTreeSet<u32>,
        point: Option<&FeaturePoint>,
    ) -> Result<Vec<Output<Features>>, PlanError> {
        self.planner.features((&self.cell.model, &self.cell.task), &self.data, pieces, point)
    }

    /// The network of the model, the way from pixels to its input, and the point where its features are taken. The task's images
    /// are of a size that it can take.
    pub fn network(&mut self) -> Result<(Backbone, InputSpec, FeaturePoint), PlanError> {
        let image = self.image()?;
        self.planner.network(self.written(), &image)
    }

    /// Arithmetic of training.
    pub fn training_arithmetic(&self) -> Arithmetic {
        Arithmetic::training(PRECISION)
    }

    /// The weights of the model, as a start of training.
    pub fn start(&mut self) -> Result<WeightsRecipe, PlanError> {
        Ok(self.planner.weights(&self.cell.model)?.into())
    }

    /// The metric that the task is judged by.
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
        Err(PlanError::wrong(
            format!("{}.metric", self.written().path(WrittenIn::Task)),
            format!("`{metric:?}` does not fit: the images of task {:?} {these}", self.cell.task),
            Some(format!("use {fitting}, or leave it out")),
        ))
    }

    /// Refuses a task whose images do not show one class each.
    pub fn expect_one_class_each(&self) -> Result<(), PlanError> {
        let protocol = &self.cell.protocol;
        if self.data.manifest.is_multi_label() {
            return Err(
                self.task_error(format!("{protocol:?} is for images of one class each, and these show several"))
            );
        }
        self.expect_labels()
    }

    /// Refuses a task with images of which no class is known.
    pub fn expect_labels(&self) -> Result<(), PlanError> {
        match self.data.manifest.samples.iter().find(|s| s.label().is_none()) {
            None => Ok(()),
            Some(sample) => Err(self.task_error(format!(
                "{:?} needs the class of every image, and {} has none",
                self.cell.protocol, sample.path
            ))),
        }
    }

    /// The name of a step that is the same for every model; with the model where models have samples of their own.
    pub fn shared_label(&self, step: &str) -> String {
        let Cell { model, task, protocol } = self.cell;
        match self.planner.experiment.data_name(task, model) == *task {
            true => format!("{step}/{task}/{protocol}"),
            false => format!("{step}/{model}/{task}/{protocol}"),
        }
    }

    /// Refuses a task with test images of a class that has no image to learn from; indices of samples.
    pub fn expect_learnt(&self, train: &[u32], test: &[u32]) -> Result<(), PlanError> {
        let manifest = self.data();
        let classes = |part: &[u32]| -> BTreeSet<u32> {
            part.iter().filter_map(|i| manifest.samples[*i as usize].class()).collect()
        };
        let learnt = classes(train);
        let missing: Vec<u32> = classes(test).difference(&learnt).copied().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let some: Vec<&str> = missing.iter().take(5).map(|c| manifest.classes[*c as usize].as_str()).collect();
        let count = missing.len();
        Err(self.task_error(format!(
            "{count} of the classes of the test images have no image to learn from: {}",
            some.join(", ")
        )))
    }

    /// A step of this protocol on this task that is the same for every model; `plan` adds it the first time.
    pub fn once<T: 'static>(
        &mut self,
        plan: impl FnOnce(&mut Self) -> Result<Output<T>, PlanError>,
    ) -> Result<Output<T>, PlanError> {
        let name = (self.cell.task.clone(), self.cell.protocol.clone(), self.data.digest);
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
            let message = format!(
                "protocol {:?} needs the features that the classifier was trained on, and model {model:?} has those of another \
                 `layer` or `pool`",
                self.cell.protocol
            );
            return Err(PlanError::impossible(
                self.written().path(WrittenIn::Model),
                message,
                Some(EXCLUDE.to_owned()),
            ));
        }
        let layer = spec.backbone.classifier();
        let found = match self.planner.weights(model)? {
            Ready::File(facts, _) => facts.with_head,
            _ => None,
        };
        found.zip(layer).ok_or_else(|| {
            let message = format!(
                "protocol {:?} needs weights from a file with a classifier, and model {model:?} has none",
                self.cell.protocol
            );
            PlanError::impossible(self.written().path(WrittenIn::Weights), message, Some(EXCLUDE.to_owned()))
        })
    }

    /// Adds a step of the protocol's own.
    pub fn add<S: LabStep>(&mut self, label: String, step: S) -> Result<Output<S::Output>, PlanError> {
        let names = self.written();
        self.planner.add(label, step, names)
    }

    /// Adds the step that ends in the evaluation.
    pub fn add_evaluation<S: LabStep + Step<Runtime, Output = Evaluation>>(
        &mut self,
        step: S,
    ) -> Result<Output<Evaluation>, PlanError> {
        let Cell { model, task, protocol } = self.cell;
        self.add(format!("score/{model}/{task}/{protocol}"), step)
    }

    /// Names an exhibit among the files of a step as one of this evaluation.
    pub fn exhibit<T>(&mut self, of: &Output<T>, file: &'static str) {
        self.exhibits.push(ExhibitSource { kind: of.kind(), key: of.key(), file });
    }

    /// Names the file of a step with a linear classifier of features: arrays `weight` (K × D) and `bias` (K).
    pub fn probe<T>(&mut self, of: &Output<T>, file: &'static str, classes: &[u32], normalize: bool) {
        let file = ExhibitSource { kind: of.kind(), key: of.key(), file };
        self.probe = Some(ProbeSource { file, classes: classes.to_vec(), normalize });
    }

    /// The protocol does not fit the task.
    pub fn protocol_error(&self, field: &str, message: String) -> PlanError {
        let dot = if field.is_empty() { "" } else { "." };
        let path = format!("{}{dot}{field}", self.written().path(WrittenIn::Protocol));
        PlanError::impossible(path, format!("on task {:?}: {message}", self.cell.task), None)
    }

    /// The task does not fit the protocol until its file says more; `help` is what it may say.
    pub fn task_question(&self, message: String, help: &str) -> PlanError {
        PlanError::impossible(self.written().path(WrittenIn::Dataset), message, Some(help.to_owned()))
    }

    /// The model does not fit the protocol.
    pub fn model_error(&self, message: String) -> PlanError {
        PlanError::impossible(self.written().path(WrittenIn::Model), message, Some(EXCLUDE.to_owned()))
    }

    /// The task does not fit the protocol.
    pub fn task_error(&self, message: String) -> PlanError {
        PlanError::impossible(self.written().path(WrittenIn::Dataset), message, Some(EXCLUDE.to_owned()))
    }
}

const EXCLUDE: &str = "leave the pair out with `exclude`";
