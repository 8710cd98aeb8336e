//! From an experiment file to a plan.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use assay_config::{Document, Environment, Override, Problem};
use assay_engine::{Digest, Facts, Output, Plan, Store};
use indexmap::IndexMap;

use crate::outside::TaskData;
use crate::plan::{Finished, Planner};
use crate::protocol::ProtocolSpec;
use crate::results::{ItemRow, PlannedCell, item_rows};
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
    tasks: HashMap<String, Arc<TaskData>>,
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
        match self.tasks.get(&cell.cell.task) {
            Some(data) => item_rows(cell, data, store),
            None => Ok(Some(Vec::new())),
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
        let Finished { plan, trained, tasks, shared_images, warnings: found, notes } = planner.finish(&cells);
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
            Ok(Planned { plan, cells, shared_images, trained, warnings, notes, tasks, document })
        } else {
            Err(document.problems.into_list())
        }
    }
}
