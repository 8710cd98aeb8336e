//! The steps that several protocols need, and what running steps are lent.

mod arithmetic;
mod arrays;
mod extract;
mod given;
mod runtime;
mod train;
mod written;

pub use arithmetic::Arithmetic;
pub(crate) use arrays::{Arrays, array};
pub use extract::{ExtractShard, FeatureTable, Features, ModelRecipe, WeightsRecipe};
pub use given::ReadFeatures;
pub use runtime::Runtime;
pub(crate) use train::{Order, TrainingImages, train_resumably};
pub use train::{TrainBackbone, TrainRecipe, WeightsArtifact};
pub(crate) use written::{LabStep, Names, WrittenIn};
