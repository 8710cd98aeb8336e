//! The content of an experiment file: models, tasks, and which of them are evaluated.
//!
//! **Invariant.** Nothing here looks at data or weights; what can be told from the text alone is told here.

mod classes;
mod dataset;
mod experiment;
mod features;
mod metric;
mod model;
mod task;

pub use classes::{ClassesSpec, FolderSplits, read_list};
pub use dataset::DatasetSpec;
pub use experiment::{Cell, Experiment, quote};
pub use features::{FeatureFiles, of_cell};
pub use metric::Metric;
pub use model::{
    About, FileWeights, HubWeights, Method, ModelSpec, Normalization, Polarity, TorchHubWeights, TrainedWeights,
    Weights,
};
pub use task::{OnBadImage, TaskSpec};
