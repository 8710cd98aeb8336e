//! Protocols: how a model is judged on a task. One file each.

mod classifier;
mod few_shot;
mod finetune;
mod knn;
mod linear;
#[cfg(test)]
mod round_trips;
#[cfg(test)]
mod toy;
mod zero_shot;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::plan::Protocol;
use assay_config::Checker;

/// A protocol of an experiment.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub enum ProtocolSpec {
    /// Few-shot classification: accuracy over many episodes, each with a few labelled images of a few classes.
    FewShot(few_shot::FewShot),
    /// Nearest neighbours: accuracy on the test split of votes of the closest training images, as in the evaluation of
    /// DINO.
    Knn(knn::Knn),
    /// Linear probe: a linear classifier of features, chosen on validation images, fitted on training and validation
    /// images, and scored once on test images.
    Linear(linear::Linear),
    /// Finetuning: the whole network trained on the task, with values chosen on validation images, and scored once on test
    /// images.
    Finetune(finetune::Finetune),
    /// The checkpoint's own classifier: accuracy of the last layer that came with the weights, which shows that weights
    /// and preprocessing are right.
    Classifier(classifier::Classifier),
    /// Zero-shot classification: accuracy of the nearest class embedding, such as that of the name of a class.
    ZeroShot(zero_shot::ZeroShot),
}

impl ProtocolSpec {
    pub(crate) fn protocol(&self) -> &dyn Protocol {
        match self {
            Self::FewShot(protocol) => protocol,
            Self::Knn(protocol) => protocol,
            Self::Linear(protocol) => protocol,
            Self::Finetune(protocol) => protocol,
            Self::Classifier(protocol) => protocol,
            Self::ZeroShot(protocol) => protocol,
        }
    }

    pub(crate) fn check(&self, at: &Checker<'_>) {
        self.protocol().check(at);
    }
}
