//! The results of an experiment, read back from the store: each cell with its state.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use assay_engine::{Entry, Output, StepKey, StepWarning, Store};

use super::evaluation::{Evaluation, Summary};
use crate::spec::Cell;

/// An evaluation as it was planned.
#[derive(Clone, Debug)]
pub struct PlannedCell {
    /// Names of its model, task and protocol.
    pub cell: Cell,
    /// The step that its evaluation comes from, or why there is none.
    pub evaluation: Result<Output<Evaluation>, LeftOut>,
    /// Steps with exhibits of their own, such as the curve of a grid.
    pub exhibits: Vec<ExhibitSource>,
    /// The linear classifier that the protocol fits, if it does.
    pub probe: Option<ProbeSource>,
    /// Warnings of the plan that stay with the result.
    pub warnings: Vec<String>,
    /// What was taken for granted of its model.
    pub notes: Vec<String>,
}

/// A fitted linear classifier in the store.
#[derive(Clone, Debug)]
pub struct ProbeSource {
    /// The file with its weights and biases.
    pub file: ExhibitSource,
    /// Indices of its K classes among those of the dataset.
    pub classes: Vec<u32>,
    /// True if rows of features are scaled to length 1 before all else.
    pub normalize: bool,
}

/// Why a cell is not evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// Files that it needs are not there.
    NotAvailable(String),
    /// The protocol, the task and the model do not fit together.
    Impossible(String),
}

/// A step that has an exhibit among its files.
#[derive(Clone, Debug)]
pub struct ExhibitSource {
    /// Kind of the step.
    pub kind: &'static str,
    /// Key of the step.
    pub key: StepKey,
    /// The file.
    pub file: &'static str,
}

/// The results of an experiment, as far as they are in the store.
#[derive(Clone, Debug)]
pub struct Results {
    /// Names of the models, in order.
    pub models: Vec<String>,
    /// Pairs of task and protocol, in order.
    pub columns: Vec<(String, String)>,
    /// One for each evaluation.
    pub cells: Vec<ResultCell>,
}

/// One evaluation.
#[derive(Clone, Debug)]
pub struct ResultCell {
    /// Names of the model, the task and the protocol.
    pub cell: Cell,
    /// The step that it comes from: its key, and its folder in the store, where its items and exhibits are. Absent where the
    /// cell is left out.
    pub step: Option<(String, PathBuf)>,
    /// State of the evaluation.
    pub state: CellState,
    /// Warnings of the plan, and of the steps that the evaluation comes from.
    pub warnings: Vec<String>,
    /// What was taken for granted of its model.
    pub notes: Vec<String>,
}

/// State of a cell.
#[derive(Clone, Debug, PartialEq)]
pub enum CellState {
    /// The cell has been evaluated.
    Done(Summary),
    /// A step that it needs failed; why.
    Failed(String),
    /// The cell has not been run; with the reason, where that is known.
    NotRun(Option<String>),
    /// The cell's entry in the store is damaged; with a description of the damage.
    Damaged(String),
    /// The protocol, the task and the model do not fit together; why.
    Impossible(String),
}

impl CellState {
    /// The word for the state in JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Failed(_) => "failed",
            Self::NotRun(_) => "not_run",
            Self::Damaged(_) => "damaged",
            Self::Impossible(_) => "impossible",
        }
    }

    /// The numbers of an evaluated cell.
    pub fn summary(&self) -> Option<&Summary> {
        if let Self::Done(summary) = self { Some(summary) } else { None }
    }

    /// Why there are no numbers, where that is known.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Done(_) => None,
            Self::NotRun(reason) => reason.as_deref(),
            Self::Failed(reason) | Self::Damaged(reason) | Self::Impossible(reason) => Some(reason),
        }
    }
}

impl Results {
    /// Reads what is there, but for what has been `seen` already. `failures` says of steps that a run has just tried and not
    /// made why that is.
    pub fn read(
        planned: &[PlannedCell],
        store: &Store,
        failures: &HashMap<StepKey, String>,
        seen_already: &SeenResults,
    ) -> Self {
        let (mut models, mut columns): (Vec<String>, Vec<(String, String)>) = Default::default();
        let mut seen = HashSet::new();
        for PlannedCell { cell, .. } in planned {
            if seen.insert((cell.model.as_str(), "")) {
                models.push(cell.model.clone());
            }
            if seen.insert((cell.task.as_str(), cell.protocol.as_str())) {
                columns.push((cell.task.clone(), cell.protocol.clone()));
            }
        }
        let cells = planned.iter().map(|planned| ResultCell::read(planned, store, failures, seen_already)).collect();
        Self { models, columns, cells }
    }

    /// The cell of a model in a column.
    pub fn find(&self, model: &str, (task, protocol): (&str, &str)) -> Option<&ResultCell> {
        self.cells.iter().find(|c| {
            (c.cell.model.as_str(), c.cell.task.as_str(), c.cell.protocol.as_str()) == (model, task, protocol)
        })
    }
}

impl ResultCell {
    fn read(
        planned: &PlannedCell,
        store: &Store,
        failures: &HashMap<StepKey, String>,
        seen_already: &SeenResults,
    ) -> Self {
        let (cell, notes) = (planned.cell.clone(), planned.notes.clone());
        let none = |state| Self { cell: cell.clone(), step: None, state, warnings: Vec::new(), notes: Vec::new() };
        let output = match &planned.evaluation {
            Ok(output) => output,
            Err(LeftOut::NotAvailable(why)) => {
                return none(CellState::NotRun(Some(why.clone())));
            }
            Err(LeftOut::Impossible(why)) => {
                return none(CellState::Impossible(why.clone()));
            }
        };
        let failed = || failures.get(&output.key()).cloned();
        let read = || match store.entry(output.kind(), output.key()) {
            Ok(None) => (failed().map_or(CellState::NotRun(None), CellState::Failed), Vec::new()),
            Ok(Some(entry)) => state_of(&entry),
            Err(error) => (CellState::Damaged(format!("{error:#}")), Vec::new()),
        };
        let (state, of_steps) = seen_already.of(output.key()).unwrap_or_else(read);
        let warnings = planned.warnings.iter().cloned().chain(of_steps).collect();
        Self { cell, step: Some((output.key().to_string(), store.folder_of(output))), state, warnings, notes }
    }
}

/// The state that an entry gives its cell, and the warnings that come with it.
fn state_of(entry: &Entry) -> (CellState, Vec<String>) {
    match entry.files.get(Evaluation::SUMMARY) {
        Ok(summary) => state_by(&summary, &entry.provenance.warnings),
        Err(error) => (CellState::Damaged(format!("{error:#}")), Vec::new()),
    }
}

fn state_by(summary: &[u8], warnings: &[StepWarning]) -> (CellState, Vec<String>) {
    let summary = Summary::from_bytes(summary);
    let state = summary.map_or_else(|error| CellState::Damaged(format!("{error:#}")), CellState::Done);
    (state, warnings.iter().map(|StepWarning { label, message }| format!("{label}: {message}")).collect())
}

/// Results that a run has met in the store, so that they are read once.
#[derive(Debug, Default)]
pub struct SeenResults(Mutex<HashMap<StepKey, (CellState, Vec<String>)>>);

impl SeenResults {
    /// Takes note of an evaluation: of the file with its numbers, and its warnings.
    pub fn note(&self, key: StepKey, summary: &[u8], warnings: &[StepWarning]) {
        let seen = state_by(summary, warnings);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, seen);
    }

    fn of(&self, key: StepKey) -> Option<(CellState, Vec<String>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }
}
