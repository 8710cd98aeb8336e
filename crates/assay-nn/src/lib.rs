//! Networks: devices, backbones, weights files, feature extraction, heads and training, on Burn.
//!
//! **Invariants.** This crate neither reads nor writes the store and knows nothing of steps or experiments. `cfg(feature)` is
//! found in `device` alone. All randomness comes from a seed in the arguments.

/// The version of the arithmetic of the forward pass: raised whenever features of the same weights and pixels change, in however
/// few digits. Whatever keeps features by a key has it in the key.
///
/// * 1 – Burn 0.22.1; batch normalisation folded into the convolutions in double precision; position embeddings resized as in
///   `positions`.
pub const FORWARD: u32 = 1;

/// The version of the arithmetic of training: raised whenever the same recipe and images give other weights.
///
/// * 1 – Burn 0.22.1; Adam with L2 decay in the gradient, learning rate on a cosine to zero; initial weights from a stream of
///   `assay-stats` for each tensor.
pub const TRAINING: u32 = 1;

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
    AuditError, Checkpoint, CheckpointError, Choice, Choices, Dtype, Found, Naming, RawTensor, TensorFilter,
    TensorShape, Unfit, Wanted, choices, find, select, to_safetensors,
};
pub use backbone::{
    Activation, Backbone, CONV4_WIDTH, Clip, Config, Conv4, ConvNeXt, ConvNeXtSize, DinoV2, Family, FeaturePoint,
    MobileNetV2, Net, Origin, Pool, Positions, ResNet, ResNetBlock, Settled, StageInfo, Transformer, Unsaid, ViT,
    ViTSize,
};
pub use builder::{Builder, Values};
pub use extract::{Extractor, extract};
pub use heads::{
    Episodes, FewShotClassifier, FewShotDistance, FewShotRule, Head, few_shot_accuracies, knn_predictions,
    normalise_rows,
};
pub use identify::{Guess, identify};
pub use input::{ImageSize, InputSpec, Range};
pub use layers::Padding;
pub use train::{Batch, Checkpoints, Loss, TrainError, TrainSpec, Trained, TrainingHooks, from_safetensors, train};
