//! Protocols: how a model is judged on a task. One file each.

mod classifier;
mod few_shot;
mod knn;
mod linear;
#[cfg(test)]
mod round_trips;
#[cfg(test)]
mod toy;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::plan::Protocol;
use assay_config::Checker;

/// A protocol of an experiment.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub enum ProtocolSpec {
    /// Accuracy over episodes of a few labelled images of a few classes.
    FewShot(few_shot::FewShot),
    /// Accuracy of weighted nearest neighbours on the test split, as in the evaluation of DINO.
    Knn(knn::Knn),
    /// A linear probe: chosen on validation images, fitted on training and validation images, scored once on test images.
    Linear(linear::Linear),
    /// Accuracy of the checkpoint's own last layer: shows that weights and preprocessing are right.
    Classifier(classifier::Classifier),
}

impl ProtocolSpec {
    pub(crate) fn protocol(&self) -> &dyn Protocol {
        match self {
            Self::FewShot(protocol) => protocol,
            Self::Knn(protocol) => protocol,
            Self::Linear(protocol) => protocol,
            Self::Classifier(protocol) => protocol,
        }
    }

    pub(crate) fn check(&self, at: &Checker<'_>) {
        self.protocol().check(at);
    }
}
