//! Protocols: how a model is judged on a task. One file each.

mod classifier;
mod few_shot;
mod knn;
mod linear;
mod scores;

use assay_engine::Output;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::experiment::Checker;
use crate::planner::{CellPlan, PlanError};

pub use scores::{More, Predictions, Scores, Summary};

/// A protocol of an experiment.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub enum Protocol {
    /// Accuracy over episodes of a few labelled images of a few classes.
    FewShot(few_shot::FewShot),
    /// Accuracy of weighted nearest neighbours on the test split, as in the evaluation of DINO.
    Knn(knn::Knn),
    /// A linear probe: chosen on validation images, fitted on training and validation images, scored once on test images.
    Linear(linear::Linear),
    /// Accuracy of the checkpoint's own last layer: shows that weights and preprocessing are right.
    Classifier(classifier::Classifier),
}

/// What every protocol does.
pub(crate) trait Protocolled {
    /// Checks its parameters.
    fn check(&self, at: &Checker<'_>);

    /// Adds its steps to the plan; returns the one with the scores.
    fn plan(&self, cell: &mut CellPlan<'_, '_>) -> Result<Output<Scores>, PlanError>;
}

impl Protocol {
    pub(crate) fn inner(&self) -> &dyn Protocolled {
        match self {
            Self::FewShot(protocol) => protocol,
            Self::Knn(protocol) => protocol,
            Self::Linear(protocol) => protocol,
            Self::Classifier(protocol) => protocol,
        }
    }

    pub(crate) fn check(&self, at: &Checker<'_>) {
        self.inner().check(at);
    }
}
