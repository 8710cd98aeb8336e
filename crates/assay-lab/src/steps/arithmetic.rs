//! The versions of arithmetic that several steps share: a change of one of them reaches every recipe that rests on it.

use serde::Serialize;

/// The arithmetic that numbers are computed with, as far as it can change them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Arithmetic {
    /// Type of all numbers.
    precision: &'static str,
    /// Version of the forward pass of networks.
    forward: u32,
    /// Version of training, for steps that train.
    #[serde(skip_serializing_if = "Option::is_none")]
    training: Option<u32>,
}

impl Arithmetic {
    /// The arithmetic of a forward pass.
    pub fn forward(precision: &'static str) -> Self {
        Self { precision, forward: assay_nn::FORWARD, training: None }
    }

    /// The arithmetic of training.
    pub fn training(precision: &'static str) -> Self {
        Self { training: Some(assay_nn::TRAINING), ..Self::forward(precision) }
    }
}
