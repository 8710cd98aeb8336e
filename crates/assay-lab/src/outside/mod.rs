//! Inputs outside the experiment that planning looks at: datasets, weights files, and what is in them.
//!
//! **Invariant.** Nothing here plans a step. Everything found comes with the digest of what it was found to be.

mod called;
mod data_report;
mod declared;
mod embeddings;
mod inspect;
mod labelled;
mod model_config;
mod pictures;
mod task_data;
mod weights;

pub use data_report::{DataReport, check_data};
pub use declared::Declared;
pub use embeddings::ClassEmbeddings;
pub use inspect::{ChoiceReport, GuessReport, TensorReport, WeightsReport, convert_weights, inspect_weights};
pub use labelled::{LabelledImages, Labels};
pub use pictures::Pictures;
pub use task_data::{ShardImages, TaskData, decoded, prepare};
pub use weights::{CheckpointPlace, FileFacts, audit};
