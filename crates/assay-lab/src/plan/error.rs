//! Problems of an experiment that only data and weights can show.

use assay_config::Problems;

use crate::spec::Experiment;

/// Why something cannot be planned.
#[derive(Clone, Debug)]
pub(crate) struct PlanError {
    /// Kind of the problem.
    pub kind: PlanErrorKind,
    /// Path in the experiment, such as `tasks.birds.dataset`; empty for nowhere.
    pub path: String,
    /// Description of the problem.
    pub message: String,
    /// Advice on the problem.
    pub help: Option<String>,
}

/// Kind of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlanErrorKind {
    /// Files that are named cannot be read, or are not all there.
    Unavailable,
    /// A model, a task and a protocol do not fit together.
    Impossible,
    /// The entry is wrong, whatever it is used with.
    Wrong,
}

impl PlanError {
    /// Makes the problem of an entry that is wrong.
    pub fn wrong(path: impl Into<String>, message: impl Into<String>, help: Option<String>) -> Self {
        Self { kind: PlanErrorKind::Wrong, path: path.into(), message: message.into(), help }
    }

    /// A model, a task and a protocol do not fit together.
    pub fn impossible(path: impl Into<String>, message: impl Into<String>, help: Option<String>) -> Self {
        Self { kind: PlanErrorKind::Impossible, ..Self::wrong(path, message, help) }
    }

    /// Files cannot be read.
    pub fn unavailable(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: PlanErrorKind::Unavailable, ..Self::wrong(path, message, None) }
    }

    /// Notes it among the problems of the experiment; the same at the same place is noted once.
    pub fn note(self, experiment: &Experiment) {
        let problems: &Problems = &experiment.document.problems;
        match experiment.document.place(&self.path) {
            Some(place) => problems.add(&place, self.message, "here", self.help),
            None => problems.add_unplaced(self.message, self.help),
        }
    }
}
