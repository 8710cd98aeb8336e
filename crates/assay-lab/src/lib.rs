//! Where the parts meet: what may stand in an experiment, and the steps that it becomes.
//!
//! [`Lab::load`] reads a file and reports everything that is wrong with it; [`Lab::plan`] looks at the data and the weights
//! that it names and turns it into a plan; the engine runs that; [`Results`] reads the scores back.

mod check;
mod data;
mod dataset;
mod experiment;
mod inspect;
mod labelled;
mod metric;
mod model;
mod pictures;
mod planner;
mod protocol;
mod reference;
mod results;
mod steps;
mod task;
mod weights;
mod world;

pub use check::{DataReport, check_data};
pub use dataset::DatasetSpec;
pub use experiment::{Cell, Experiment};
pub use inspect::{GuessReport, TensorReport, WeightsReport, convert_weights, inspect_weights};
pub use labelled::Labels;
pub use metric::{Measured, Metric};
pub use model::{About, FileWeights, ModelSpec, Normalization, Polarity, Weights};
pub use planner::{Lab, Planned};
pub use protocol::{More, Predictions, Protocol, Scores, Summary};
pub use reference::{Described, Parameter, models, protocols, tasks};
pub use results::{ResultCell, Results};
pub use steps::{TrainBackbone, WeightsArtifact};
pub use task::{OnBadImage, TaskSpec};
pub use world::World;

/// Devices, from `assay-nn`.
pub use assay_nn::device;
