//! From an experiment file to a plan.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use assay_config::{Document, Environment, Override, Problem};
use assay_engine::{Digest, Facts, Output, Plan, Store};
use indexmap::IndexMap;

use crate::outside::TaskData;
use crate::plan::{Finished, PiecesOfFeatures, Planner};
use crate::protocol::ProtocolSpec;
use crate::results::{
    ExportTable, ItemRow, PlannedCell, exported_features, exported_predictions, exported_probe, item_rows,
};
use crate::spec::{Cell, Experiment};
use crate::steps::{Runtime, WeightsArtifact};

/// An experiment without problems.
pub struct Lab {
    experiment: Experiment,
    protocols: IndexMap<String, ProtocolSpec>,
    available: bool,
}

/// An experiment as a plan.
pub struct Planned {
    /// The steps.
    pub plan: Plan<Runtime>,
    /// Evaluations, each with the output that it will be in.
    pub cells: Vec<PlannedCell>,
    /// Digests of shards whose images several steps read.
    pub shared_images: HashSet<Digest>,
    /// Weights that are trained, by the name of their model.
    pub trained: Vec<(String, Output<WeightsArtifact>)>,
    /// Warnings for a person.
    pub warnings: Vec<String>,
    /// What was taken from where weights come from, such as the activation function of a network, the versions of datasets,
    /// and the classes that outputs stand for, for a person.
    pub notes: Vec<String>,
    data: HashMap<Cell, Arc<TaskData>>,
    features: HashMap<(String, String), PiecesOfFeatures>,
    /// The file, to find places in.
    pub document: Document,
}

impl Planned {
    /// The contribution of each item to an evaluation: `None` when it has not been run, no rows where it keeps none or is left
    /// out.
    ///
    /// # Errors
    /// When the evaluation is damaged.
    pub fn items(&self, cell: &PlannedCell, store: &Store) -> anyhow::Result<Option<Vec<ItemRow>>> {
        match self.data.get(&cell.cell) {
            Some(data) => item_rows(cell, data, store),
            None => Ok(Some(Vec::new())),
        }
    }
}

/// Something to export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exported {
    /// Predictions for every image that was classified.
    Predictions,
    /// The linear classifier that was fitted.
    Probe,
}

impl Planned {
    /// The features of a model on a task, as far as protocols ask for them.
    ///
    /// # Errors
    /// When no evaluation has these, or the features are not all in the store.
    pub fn features(&self, model: &str, task: &str, store: &Store) -> anyhow::Result<ExportTable> {
        let cell = self.cells.iter().find(|cell| (cell.cell.model.as_str(), cell.cell.task.as_str()) == (model, task));
        let data = cell.and_then(|cell| self.data.get(&cell.cell));
        let data = data.with_context(|| format!("the experiment does not evaluate {model} on {task}"))?;
        let pieces = self.features.get(&(model.to_owned(), task.to_owned()));
        exported_features(data, pieces.context("no protocol asks for features of these")?, store)
    }

    /// The predictions or the linear classifier of an evaluation.
    ///
    /// # Errors
    /// When there are none, or they are not in the store.
    pub fn exported(&self, cell: &PlannedCell, what: Exported, store: &Store) -> anyhow::Result<ExportTable> {
        let data = self.data.get(&cell.cell).context("it is left out")?;
        match what {
            Exported::Predictions => exported_predictions(cell, data, store),
            Exported::Probe => exported_probe(cell, data, store),
        }
    }
}

impl Lab {
    /// Reads an experiment. With `available`, evaluations whose files are not there, or whose parts do not fit together, are
    /// left out instead of being problems.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(
        path: &Path,
        overrides: &[Override],
        environment: Environment,
        available: bool,
    ) -> Result<Self, Vec<Problem>> {
        let (experiment, protocols) = Experiment::load(path, overrides, environment, available, ProtocolSpec::check);
        if experiment.document.problems.is_empty() {
            Ok(Self { experiment, protocols, available })
        } else {
            Err(experiment.document.problems.into_list())
        }
    }

    /// The evaluations, as names of a model, a task and a protocol.
    pub fn cells(&self) -> &[Cell] {
        &self.experiment.cells
    }

    /// Looks at the data and the weights and makes a plan. Only facts are written to the store.
    ///
    /// # Errors
    /// Everything that does not fit.
    pub fn plan(self, store: &Store) -> Result<Planned, Vec<Problem>> {
        let facts = Facts::open(store.facts_folder());
        let mut planner = Planner::new(&self.experiment, &facts);
        let plan = |cell: &Cell| planner.cell(cell, self.protocols[&cell.protocol].protocol(), self.available);
        let cells: Vec<PlannedCell> = self.experiment.cells.iter().filter_map(plan).collect();
        let Finished { plan, trained, data, features, shared_images, warnings: found, notes } = planner.finish(&cells);
        let mut warnings = self.experiment.document.notes();
        warnings.extend(found);
        let saved = facts.save();
        warnings.extend(
            facts.take_moved().into_iter().map(|(path, to)| {
                format!("{} is no part of a store; it was moved to {}", path.display(), to.display())
            }),
        );
        if let Err(error) = saved {
            warnings
                .push(format!("what was learnt of the files could not be kept ({error}); they will be hashed again"));
        }
        let document = self.experiment.document;
        if document.problems.is_empty() {
            Ok(Planned { plan, cells, shared_images, trained, warnings, notes, data, features, document })
        } else {
            Err(document.problems.into_list())
        }
    }
}
