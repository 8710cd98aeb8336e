//! From an experiment file to a plan.

use std::path::Path;

use assay_config::{Document, Environment, Override, Problem};
use assay_engine::{Facts, Output, Plan, Store};
use indexmap::IndexMap;

use crate::plan::Planner;
use crate::protocol::ProtocolSpec;
use crate::results::Scores;
use crate::spec::{Cell, Experiment};
use crate::steps::{Runtime, WeightsArtifact};

/// An experiment without problems.
pub struct Lab {
    experiment: Experiment,
    protocols: IndexMap<String, ProtocolSpec>,
}

/// An experiment as a plan.
pub struct Planned {
    /// The steps.
    pub plan: Plan<Runtime>,
    /// What is evaluated, and where its scores will be.
    pub cells: Vec<(Cell, Output<Scores>)>,
    /// Weights that are trained, by the name of their model.
    pub trained: Vec<(String, Output<WeightsArtifact>)>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// The file, to find places in.
    pub document: Document,
}

impl Lab {
    /// Reads an experiment.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path, overrides: &[Override], environment: Environment) -> Result<Self, Vec<Problem>> {
        let (experiment, protocols) = Experiment::load(path, overrides, environment, ProtocolSpec::check);
        if experiment.document.problems.is_empty() {
            Ok(Self { experiment, protocols })
        } else {
            Err(experiment.document.problems.into_list())
        }
    }

    /// What is evaluated.
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
        let mut cells = Vec::new();
        planner.share_features();
        for cell in &self.experiment.cells {
            match planner.cell(cell, self.protocols[&cell.protocol].protocol()) {
                Ok(scores) => cells.push((cell.clone(), scores)),
                Err(error) => planner.note(error),
            }
        }
        planner.plan.want_all(cells.iter().map(|(_, scores)| scores));
        let (plan, trained, mut warnings) = planner.finish();
        if let Err(error) = facts.save() {
            warnings
                .push(format!("what was learnt of the files could not be kept ({error}); they will be hashed again"));
        }
        let document = self.experiment.document;
        if document.problems.is_empty() {
            Ok(Planned { plan, cells, trained, warnings, document })
        } else {
            Err(document.problems.into_list())
        }
    }
}
