//! Backbones: networks without their classifiers.
//!
//! One file each; names of tensors are those of the library that the checkpoints come from.

mod cifar_resnet;
mod conv4;
mod resnet;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::builder::{Builder, Values};
use crate::checkpoint::TensorShape;

pub use conv4::{CONV4_WIDTH, Conv4};

/// A network without its classifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Backbone {
    /// No network: the pixels themselves, flattened.
    Pixels,
    /// Four convolutions of 3×3, as few-shot learning has used since Vinyals et al. (2016); flattened.
    Conv4(Conv4),
    /// CIFAR ResNet of depth 20 (He et al. 2016, §4.2) with shortcuts of option A; 64 features.
    ResNet20,
    /// CIFAR ResNet of depth 32; 64 features.
    ResNet32,
    /// CIFAR ResNet of depth 44; 64 features.
    ResNet44,
    /// CIFAR ResNet of depth 56; 64 features.
    ResNet56,
    /// torchvision's ResNet-18; 512 features.
    ResNet18,
    /// torchvision's ResNet-34; 512 features.
    ResNet34,
    /// torchvision's ResNet-50 (v1.5: the stride is in the 3×3 convolution); 2048 features.
    ResNet50,
}

/// A built backbone.
#[derive(Module, Debug)]
pub enum Net {
    /// See [`Backbone::Conv4`].
    Conv4(conv4::Conv4Net),
    /// See [`Backbone::ResNet20`].
    CifarResNet(cifar_resnet::CifarResNet),
    /// See [`Backbone::ResNet50`].
    ResNet(resnet::ResNet),
}

impl Backbone {
    /// Builds it; `None` for [`Pixels`](Self::Pixels), which has nothing to build.
    pub fn build(&self, builder: &mut Builder<'_>) -> Option<Net> {
        Some(match self {
            Self::Pixels => return None,
            Self::Conv4(spec) => Net::Conv4(conv4::Conv4Net::build(builder, spec)),
            Self::ResNet20 => Net::CifarResNet(cifar_resnet::CifarResNet::build(builder, 3)),
            Self::ResNet32 => Net::CifarResNet(cifar_resnet::CifarResNet::build(builder, 5)),
            Self::ResNet44 => Net::CifarResNet(cifar_resnet::CifarResNet::build(builder, 7)),
            Self::ResNet56 => Net::CifarResNet(cifar_resnet::CifarResNet::build(builder, 9)),
            Self::ResNet18 => Net::ResNet(resnet::ResNet::build(builder, resnet::Block::Basic, [2, 2, 2, 2])),
            Self::ResNet34 => Net::ResNet(resnet::ResNet::build(builder, resnet::Block::Basic, [3, 4, 6, 3])),
            Self::ResNet50 => Net::ResNet(resnet::ResNet::build(builder, resnet::Block::Bottleneck, [3, 4, 6, 3])),
        })
    }

    /// The tensors that a checkpoint must have.
    pub fn tensors(&self, device: &Device) -> Vec<TensorShape> {
        let mut builder = Builder::new(device, Values::Zeros);
        self.build(&mut builder);
        builder.shapes().to_vec()
    }

    /// Channels of its input; `None` when it takes any.
    pub fn channels(&self) -> Option<usize> {
        match self {
            Self::Pixels => None,
            Self::Conv4(spec) => Some(spec.channels as usize),
            _ => Some(3),
        }
    }

    /// Number of features for an input of `channels` × `side` × `side`; `None` when the input is too small.
    pub fn features(&self, channels: usize, side: usize) -> Option<usize> {
        match self {
            Self::Pixels => Some(channels * side * side),
            Self::Conv4(spec) => (side >= 16).then(|| spec.width as usize * (side / 16) * (side / 16)),
            Self::ResNet20 | Self::ResNet32 | Self::ResNet44 | Self::ResNet56 => (side >= 4).then_some(64),
            Self::ResNet18 | Self::ResNet34 => (side >= 32).then_some(512),
            Self::ResNet50 => (side >= 32).then_some(2048),
        }
    }

    /// Name of its own classifier in checkpoints, such as `fc`.
    pub fn classifier(&self) -> Option<&'static str> {
        match self {
            Self::Pixels | Self::Conv4(_) => None,
            Self::ResNet20 | Self::ResNet32 | Self::ResNet44 | Self::ResNet56 => Some("linear"),
            Self::ResNet18 | Self::ResNet34 | Self::ResNet50 => Some("fc"),
        }
    }

    /// Its name as written in an experiment.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pixels => "Pixels",
            Self::Conv4(_) => "Conv4",
            Self::ResNet20 => "ResNet20",
            Self::ResNet32 => "ResNet32",
            Self::ResNet44 => "ResNet44",
            Self::ResNet56 => "ResNet56",
            Self::ResNet18 => "ResNet18",
            Self::ResNet34 => "ResNet34",
            Self::ResNet50 => "ResNet50",
        }
    }
}

impl Net {
    /// B × C × H × W → B × D
    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        match self {
            Self::Conv4(net) => net.forward(x),
            Self::CifarResNet(net) => net.forward(x),
            Self::ResNet(net) => net.forward(x),
        }
    }

    /// The same function for inference: batch normalisation folded into the convolutions.
    pub fn fold(self) -> Self {
        match self {
            Self::Conv4(net) => Self::Conv4(net.fold()),
            Self::CifarResNet(net) => Self::CifarResNet(net.fold()),
            Self::ResNet(net) => Self::ResNet(net.fold()),
        }
    }
}
