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
/// * 2 – batch normalisation keeps the unbiased variance of the batch, as torch does; weights of heads are D' × D.
pub const TRAINING: u32 = 2;

mod backbone;
mod batch_norm;
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
    Activation, Antialias, Backbone, CONV4_WIDTH, Clip, ClipResNet, ClipResNetSize, Config, Conv4, ConvNeXt,
    ConvNeXtSize, ConvNeXtV2, DenseNet, DinoV2, EfficientNet, EfficientNetSize, Family, FeaturePoint, Library,
    MobileNetV2, MobileNetV3, MobileNetV3Size, Net, Origin, Pool, Positions, RegNet, RegNetSize, ResNet, ResNetBlock,
    ResNetStem, Settled, Shortcut, StageInfo, StrideIn, Swin, SwinSize, SwinV2, Transformer, Unsaid, Vgg, ViT, ViTSize,
};
pub use builder::{Builder, Values, random_tensors};
pub use extract::{Extractor, extract};
pub use heads::{
    Episodes, FewShotClassifier, FewShotDistance, FewShotRule, Head, KnnVotes, few_shot_accuracies, knn_predictions,
    knn_votes, normalise_rows,
};
pub use identify::{Guess, identify};
pub use input::{ImageSize, InputSpec, Range};
pub use layers::Padding;
pub use train::{
    Answers, Batch, Checkpoints, Decay, Groups, Objective, Optimizer, Schedule, Scope, TrainError, TrainSpec, Trained,
    TrainingHooks, from_safetensors, train,
};
