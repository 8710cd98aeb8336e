//! From models and tasks to steps: protocols ask for what they need, and it is planned once for all that need it.

mod cell;
mod error;
mod inputs;

pub(crate) use cell::{CellParts, CellPlan, Protocol};
pub(crate) use error::{PlanError, PlanErrorKind};

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use assay_data::Split;
use assay_engine::{Digest, Facts, Output, Plan, WrittenAt};

use self::inputs::Ready;
use crate::outside::{Declared, TaskData};
use crate::results::{LeftOut, PlannedCell};
use crate::spec::{Cell, Experiment, Weights};
use crate::steps::{Features, LabStep, Names, Runtime, WeightsArtifact};

/// Precision of all arithmetic so far.
const PRECISION: &str = "f32";

/// Features of the pieces of a task, those that were asked for.
pub(crate) type PiecesOfFeatures = Vec<Option<Output<Features>>>;

/// Plans the evaluations of an experiment. What several of them need is remembered by name: steps with the same recipe are one
/// step anyhow, and names save looking twice.
pub(crate) struct Planner<'a> {
    experiment: &'a Experiment,
    facts: &'a Facts,
    plan: Plan<Runtime>,
    /// By the dataset and what is used of it, so that tasks that differ in preprocessing alone share it.
    data: HashMap<String, Result<Arc<TaskData>, PlanError>>,
    weights: HashMap<String, Result<Ready, PlanError>>,
    /// By the model, the task, and the point of the network where it is not the model's own.
    features: HashMap<(String, String, String), PiecesOfFeatures>,
    /// By [`data_name`](Experiment::data_name).
    tasks: HashMap<String, Arc<TaskData>>,
    /// Steps that are the same for every model, by task, protocol and samples.
    shared: HashMap<(String, String, Digest), Box<dyn Any>>,
    /// Number of steps that read the images of a shard.
    readers: HashMap<Digest, u32>,
    /// Places where steps are written, by their kind and the names that matter to it.
    written: HashMap<String, Arc<[WrittenAt]>>,
    warnings: Vec<String>,
    notes: Vec<String>,
    /// Warnings that stay with the results of a model, by its name.
    model_warnings: HashMap<String, Vec<String>>,
    /// Notes that stay with the results of a model, by its name.
    model_notes: HashMap<String, Vec<String>>,
    /// What the files beside the weights of a model say, by its name.
    declared: HashMap<String, Declared>,
}

/// Result of a planner.
pub(crate) struct Finished {
    pub plan: Plan<Runtime>,
    /// Weights that are trained, by the name of their model.
    pub trained: Vec<(String, Output<WeightsArtifact>)>,
    /// The samples of every evaluation.
    pub data: HashMap<Cell, Arc<TaskData>>,
    /// The features of every model on every task, in the order of the pieces; absent where no protocol asks for a piece.
    pub features: HashMap<(String, String), PiecesOfFeatures>,
    /// Digests of shards whose images several steps read.
    pub shared_images: HashSet<Digest>,
    /// Warnings for a person.
    pub warnings: Vec<String>,
    /// What was taken for granted, for a person.
    pub notes: Vec<String>,
}

impl<'a> Planner<'a> {
    pub fn new(experiment: &'a Experiment, facts: &'a Facts) -> Self {
        Self {
            experiment,
            facts,
            plan: Plan::default(),
            data: HashMap::new(),
            weights: HashMap::new(),
            features: HashMap::new(),
            tasks: HashMap::new(),
            shared: HashMap::new(),
            readers: HashMap::new(),
            written: HashMap::new(),
            warnings: Vec::new(),
            notes: Vec::new(),
            model_warnings: HashMap::new(),
            model_notes: HashMap::new(),
            declared: HashMap::new(),
        }
    }

    /// Warns of a model: now, and with each of its results.
    fn warn_of_model(&mut self, model: &str, warning: String) {
        self.warnings.push(warning.clone());
        self.model_warnings.entry(model.to_owned()).or_default().push(warning);
    }

    /// Tells how many of the images that a cell is judged by its model was trained on; a task's own Test split is told elsewhere.
    fn trained_on_tested(&self, cell: &Cell) -> Option<String> {
        let Some(Weights::Trained(trained)) = &self.experiment.models[&cell.model].weights else { return None };
        let (seen, data) = (self.tasks.get(&trained.on)?, self.tasks.get(&cell.task)?);
        if trained.on == cell.task {
            return None;
        }
        let seen: HashSet<_> = seen.manifest.samples.iter().map(|sample| sample.digest).collect();
        let has_test = data.manifest.count(Split::Test) > 0;
        let judged = data.manifest.samples.iter().filter(|sample| !has_test || sample.split == Split::Test);
        let (count, again) = judged
            .fold((0, 0), |(count, again), sample| (count + 1, again + usize::from(seen.contains(&sample.digest))));
        let (model, task, on) = (&cell.model, &cell.task, &trained.on);
        let what = if has_test { "test images" } else { "images" };
        (again > 0).then(|| {
            format!(
                "model {model:?}: it was trained on {again} of the {count} {what} of task {task:?}, which are in {on:?} too"
            )
        })
    }

    /// Everything that stays with the results of a cell.
    fn warnings_of(&self, cell: &Cell, own: Vec<String>) -> Vec<String> {
        let task = self.tasks.get(&cell.task).map(|data| data.warnings()).unwrap_or_default();
        let task = task.into_iter().map(|warning| format!("task {:?}: {warning}", cell.task));
        task.chain(self.model_warnings.get(&cell.model).into_iter().flatten().cloned()).chain(own).collect()
    }

    /// Takes note of what was taken for granted of a model, now and beside every result of it.
    fn note_of_model(&mut self, name: &str, what: &str) {
        let note = format!("model {name:?}: {what}");
        self.model_notes.entry(name.to_owned()).or_default().push(note.clone());
        self.notes.push(note);
    }

    /// Plans one evaluation. With `available`, what cannot be evaluated is left out; else it is a problem of the experiment.
    pub fn cell(&mut self, cell: &Cell, protocol: &dyn Protocol, available: bool) -> Option<PlannedCell> {
        let mut parts = CellParts::default();
        let planned =
            self.fits_features(cell).and_then(|()| self.task_data(&cell.task, &cell.model)).and_then(|data| {
                let mut one = CellPlan::new(self, cell, data);
                let output = protocol.plan(&mut one)?;
                parts = one.into_parts();
                Ok(output)
            });
        let evaluation = match planned {
            Ok(output) => Ok(output),
            Err(error) if available && error.kind == PlanErrorKind::Unavailable => {
                Err(LeftOut::NotAvailable(error.message))
            }
            Err(error) if available && error.kind == PlanErrorKind::Impossible => {
                Err(LeftOut::Impossible(error.message))
            }
            Err(error) => {
                error.note(self.experiment);
                return None;
            }
        };
        let CellParts { exhibits, probe, warnings: mut own, notes } = parts;
        own.extend(self.trained_on_tested(cell));
        for (told, of_cell) in [(&mut self.warnings, &own), (&mut self.notes, &notes)] {
            for one in of_cell {
                if !told.contains(one) {
                    told.push(one.clone());
                }
            }
        }
        let warnings = self.warnings_of(cell, own);
        let notes = self.model_notes.get(&cell.model).cloned().unwrap_or_default();
        Some(PlannedCell { cell: cell.clone(), evaluation, exhibits, probe, warnings, notes })
    }

    /// Ends planning: `cells` are what is wanted.
    pub fn finish(mut self, cells: &[PlannedCell]) -> Finished {
        self.plan.want_all(cells.iter().filter_map(|cell| cell.evaluation.as_ref().ok()));
        // What a cell asked for that then turned out not to be possible.
        self.plan.keep_needed();
        let plan = &self.plan;
        let of = |(name, ready)| match ready {
            Ok(Ready::Trained(output)) if plan.node(output.key()).is_some() => Some((name, output)),
            _ => None,
        };
        let mut trained: Vec<_> = self.weights.into_iter().filter_map(of).collect();
        trained.sort_by(|a, b| a.0.cmp(&b.0));
        let shared_images = self.readers.into_iter().filter(|(_, count)| *count > 1).map(|(shard, _)| shard).collect();
        let of = |cell: &PlannedCell| {
            let data = self.tasks.get(&self.experiment.data_name(&cell.cell.task, &cell.cell.model))?;
            Some((cell.cell.clone(), Arc::clone(data)))
        };
        let data = cells.iter().filter_map(of).collect();
        let features = self.features.into_iter().filter(|((.., point), _)| point.is_empty());
        let features = features.map(|((model, task, _), pieces)| ((model, task), pieces)).collect();
        Finished { plan: self.plan, trained, data, features, shared_images, warnings: self.warnings, notes: self.notes }
    }

    fn add<S: LabStep>(&mut self, label: String, step: S, names: Names<'_>) -> Result<Output<S::Output>, PlanError> {
        let key = names.that_matter::<S>();
        let written = match self.written.get(&key) {
            Some(written) => Arc::clone(written),
            None => Arc::clone(self.written.entry(key).or_insert(names.written_at::<S>().into())),
        };
        self.plan
            .add(label, step, written)
            .map_err(|error| PlanError::wrong(names.path(S::ROOT), error.to_string(), None))
    }
}
