//! From models and tasks to steps: protocols ask for what they need, and it is planned once for all that need it.

mod cell;
mod error;
mod inputs;

pub(crate) use cell::{CellPlan, Protocol};
pub(crate) use error::{PlanError, PlanErrorKind};

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use assay_engine::{Digest, Facts, Output, Plan, WrittenAt};

use self::inputs::Ready;
use crate::outside::{Declared, TaskData};
use crate::results::{LeftOut, PlannedCell};
use crate::spec::{Cell, Experiment};
use crate::steps::{Features, LabStep, Names, Runtime, WeightsArtifact};

/// Precision of all arithmetic so far.
const PRECISION: &str = "f32";

/// Plans the evaluations of an experiment. What several of them need is remembered by name: steps with the same recipe are one
/// step anyhow, and names save looking twice.
pub(crate) struct Planner<'a> {
    experiment: &'a Experiment,
    facts: &'a Facts,
    plan: Plan<Runtime>,
    /// By the dataset and what is used of it, so that tasks that differ in preprocessing alone share it.
    data: HashMap<String, Result<Arc<TaskData>, PlanError>>,
    weights: HashMap<String, Result<Ready, PlanError>>,
    features: HashMap<String, Vec<Option<Output<Features>>>>,
    /// By the name of a task.
    tasks: HashMap<String, Arc<TaskData>>,
    /// Steps that are the same for every model, by task and protocol.
    shared: HashMap<(String, String), Box<dyn Any>>,
    /// Number of steps that read the images of a shard.
    readers: HashMap<Digest, u32>,
    /// Places where steps are written, by their kind and the names that matter to it.
    written: HashMap<String, Vec<WrittenAt>>,
    warnings: Vec<String>,
    notes: Vec<String>,
    /// Warnings that belong beside the results of a model, by its name.
    of_models: HashMap<String, Vec<String>>,
    /// What the files beside the weights of a model say, by its name.
    declared: HashMap<String, Declared>,
}

/// Result of a planner.
pub(crate) struct Finished {
    pub plan: Plan<Runtime>,
    /// Weights that are trained, by the name of their model.
    pub trained: Vec<(String, Output<WeightsArtifact>)>,
    /// The samples of every task that was looked at, by name.
    pub tasks: HashMap<String, Arc<TaskData>>,
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
            of_models: HashMap::new(),
            declared: HashMap::new(),
        }
    }

    /// Takes note of what is told now and beside every result of a model.
    fn warn_of_model(&mut self, name: &str, what: &str) {
        let warning = format!("model {name:?}: {what}");
        self.of_models.entry(name.to_owned()).or_default().push(warning.clone());
        self.warnings.push(warning);
    }

    /// Plans one evaluation. With `available`, what cannot be evaluated is left out; else it is a problem of the experiment.
    pub fn cell(&mut self, cell: &Cell, protocol: &dyn Protocol, available: bool) -> Option<PlannedCell> {
        let mut exhibits = Vec::new();
        let planned = self.task_data(&cell.task).and_then(|data| {
            let mut one = CellPlan::new(self, cell, data);
            let output = protocol.plan(&mut one)?;
            exhibits = one.into_exhibits();
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
        let warnings = self.of_models.get(&cell.model).cloned().unwrap_or_default();
        Some(PlannedCell { cell: cell.clone(), evaluation, exhibits, warnings })
    }

    /// Ends planning: `cells` are what is wanted.
    pub fn finish(mut self, cells: &[PlannedCell]) -> Finished {
        self.plan.want_all(cells.iter().filter_map(|cell| cell.evaluation.as_ref().ok()));
        let of = |(name, ready)| if let Ok(Ready::Trained(output)) = ready { Some((name, output)) } else { None };
        let mut trained: Vec<_> = self.weights.into_iter().filter_map(of).collect();
        trained.sort_by(|a, b| a.0.cmp(&b.0));
        let shared_images = self.readers.into_iter().filter(|(_, count)| *count > 1).map(|(shard, _)| shard).collect();
        Finished {
            plan: self.plan,
            trained,
            tasks: self.tasks,
            shared_images,
            warnings: self.warnings,
            notes: self.notes,
        }
    }

    fn add<S: LabStep>(&mut self, label: String, step: S, names: Names<'_>) -> Result<Output<S::Output>, PlanError> {
        let key = names.that_matter::<S>();
        let written = match self.written.get(&key) {
            Some(written) => written.clone(),
            None => self.written.entry(key).or_insert(names.written_at::<S>()).clone(),
        };
        self.plan
            .add(label, step, written)
            .map_err(|error| PlanError::wrong(names.path(S::ROOT), error.to_string(), None))
    }
}
