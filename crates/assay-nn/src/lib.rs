//! Networks: devices, backbones, weights files, feature extraction, heads and training, on Burn.
//!
//! **Invariants.** This crate neither reads nor writes the store and knows nothing of steps or experiments. `cfg(feature)` is
//! found in `device` alone. All randomness comes from a seed in the arguments.

mod backbone;
mod builder;
pub mod device;
mod extract;
mod heads;
mod identify;
mod input;
mod layers;
mod train;

pub use assay_weights::{
    AuditError, Checkpoint, CheckpointError, Dtype, Found, Naming, RawTensor, TensorFilter, TensorShape, Wanted,
    select, to_safetensors,
};
pub use backbone::{
    Backbone, CONV4_WIDTH, Clip, Conv4, ConvNeXt, ConvNeXtSize, DinoV2, FeaturePoint, MobileNetV2, Net, Pool,
    Positions, ResNet, ResNetBlock, ViT, ViTSize,
};
pub use builder::{Builder, Values};
pub use extract::{Extractor, batch_size, extract};
pub use heads::{
    Episodes, FewShotClassifier, FewShotDistance, FewShotRule, Head, few_shot_accuracies, knn_predictions,
    normalise_rows,
};
pub use identify::{Guess, identify};
pub use input::{InputSpec, Range};
pub use layers::Padding;
pub use train::{Batch, Checkpoints, Loss, TrainError, TrainSpec, Trained, TrainingHooks, from_safetensors, train};
