//! Backbones: networks without their classifiers.
//!
//! One file each; names of tensors are those of the library that the checkpoints come from, and `names` knows those of others.

mod cifar_resnet;
mod conv4;
mod convnext;
mod mobilenet;
mod names;
mod point;
mod positions;
mod resnet;
mod vit;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::builder::{Builder, Values};
use assay_weights::{Naming, TensorShape, Wanted};

pub use conv4::{CONV4_WIDTH, Conv4};
pub use convnext::{ConvNeXt, ConvNeXtSize};
pub use mobilenet::MobileNetV2;
use point::Activation;
pub use point::{FeaturePoint, Pool};
pub use positions::Positions;
pub use resnet::{ResNet, ResNetBlock};
pub use vit::{Clip, DinoV2, ViT, ViTSize};

/// A network without its classifier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// torchvision's ResNet-101; 2048 features.
    ResNet101,
    /// torchvision's ResNet-152; 2048 features.
    ResNet152,
    /// torchvision's Wide ResNet-50-2; 2048 features.
    WideResNet50,
    /// torchvision's ResNeXt-50, 32×4d; 2048 features.
    ResNeXt50,
    /// A ResNet with other numbers, or padded as TensorFlow does it: `ResNet(padding: TfSame)` is a ResNet-50 of Haiku.
    ResNet(ResNet),
    /// Vision transformer: DINO, MAE, DeiT, timm's and Hugging Face's; 384 features when `Small`, 768 when `Base`.
    ViT(ViT),
    /// Vision transformer of DINOv2, with or without registers.
    DinoV2(DinoV2),
    /// Image tower of CLIP; 768 features before, 512 after the projection that it shares with texts.
    Clip(Clip),
    /// ConvNeXt; 768 features when `Tiny` or `Small`, 1024 when `Base`.
    ConvNeXt(ConvNeXt),
    /// torchvision's MobileNetV2; 1280 features.
    MobileNetV2(MobileNetV2),
}

/// A built backbone.
#[derive(Module, Debug)]
pub enum Net {
    /// See [`Backbone::Conv4`].
    Conv4(conv4::Conv4Net),
    /// See [`Backbone::ResNet20`].
    CifarResNet(cifar_resnet::CifarResNet),
    /// See [`Backbone::ResNet`].
    ResNet(resnet::ResNetNet),
    /// See [`Backbone::ViT`], [`Backbone::DinoV2`] and [`Backbone::Clip`].
    ViT(vit::ViTNet),
    /// See [`Backbone::ConvNeXt`].
    ConvNeXt(convnext::ConvNeXtNet),
    /// See [`Backbone::MobileNetV2`].
    MobileNetV2(mobilenet::MobileNetV2Net),
}

/// What the variants come down to.
enum Family {
    Pixels,
    Conv4(Conv4),
    /// Blocks in each of three stages.
    CifarResNet(usize),
    ResNet(ResNet),
    ViT(vit::Spec),
    ConvNeXt(ConvNeXt),
    MobileNetV2(MobileNetV2),
}

impl Backbone {
    /// Those that have a name of their own, for guesses at what a file holds; sizes that are rarely met are left out.
    pub fn known() -> Vec<Self> {
        let vit = |size, patch| ViT { size, patch, trained_at: 224, positions: Positions::default() };
        let dino_v2 = |size, registers| DinoV2 { size, registers, patch: 14, trained_at: 518, positions: None };
        let clip = |patch| Clip { size: ViTSize::Base, patch, trained_at: 224, projected: Some(512) };
        let mut all = vec![
            Self::ResNet20,
            Self::ResNet32,
            Self::ResNet44,
            Self::ResNet56,
            Self::ResNet18,
            Self::ResNet34,
            Self::ResNet50,
            Self::ResNet101,
            Self::ResNet152,
            Self::WideResNet50,
            Self::ResNeXt50,
            Self::MobileNetV2(MobileNetV2 { width: 1.0 }),
        ];
        all.extend([(ViTSize::Small, 8), (ViTSize::Base, 8)].map(|(size, patch)| Self::ViT(vit(size, patch))));
        for size in [ViTSize::Tiny, ViTSize::Small, ViTSize::Base, ViTSize::Large] {
            all.push(Self::ViT(vit(size, 16)));
        }
        for size in [ViTSize::Small, ViTSize::Base, ViTSize::Large] {
            all.extend([0, 4].map(|registers| Self::DinoV2(dino_v2(size.clone(), registers))));
        }
        all.extend([32, 16].map(|patch| Self::Clip(clip(patch))));
        for size in [ConvNeXtSize::Tiny, ConvNeXtSize::Small, ConvNeXtSize::Base, ConvNeXtSize::Large] {
            all.push(Self::ConvNeXt(ConvNeXt { size }));
        }
        all
    }

    fn family(&self) -> Family {
        match self {
            Self::Pixels => Family::Pixels,
            Self::Conv4(spec) => Family::Conv4(spec.clone()),
            Self::ResNet20 => Family::CifarResNet(3),
            Self::ResNet32 => Family::CifarResNet(5),
            Self::ResNet44 => Family::CifarResNet(7),
            Self::ResNet56 => Family::CifarResNet(9),
            Self::ResNet18 => Family::ResNet(ResNet::resnet18()),
            Self::ResNet34 => Family::ResNet(ResNet::resnet34()),
            Self::ResNet50 => Family::ResNet(ResNet::resnet50()),
            Self::ResNet101 => Family::ResNet(ResNet::resnet101()),
            Self::ResNet152 => Family::ResNet(ResNet::resnet152()),
            Self::WideResNet50 => Family::ResNet(ResNet::wide_resnet50_2()),
            Self::ResNeXt50 => Family::ResNet(ResNet::resnext50_32x4d()),
            Self::ResNet(spec) => Family::ResNet(spec.clone()),
            Self::ViT(spec) => Family::ViT(spec.into()),
            Self::DinoV2(spec) => Family::ViT(spec.into()),
            Self::Clip(spec) => Family::ViT(spec.into()),
            Self::ConvNeXt(spec) => Family::ConvNeXt(spec.clone()),
            Self::MobileNetV2(spec) => Family::MobileNetV2(spec.clone()),
        }
    }

    /// Builds it; `None` for [`Pixels`](Self::Pixels), which has nothing to build.
    pub fn build(&self, builder: &mut Builder<'_>) -> Option<Net> {
        Some(match self.family() {
            Family::Pixels => return None,
            Family::Conv4(spec) => Net::Conv4(conv4::Conv4Net::build(builder, &spec)),
            Family::CifarResNet(blocks) => Net::CifarResNet(cifar_resnet::CifarResNet::build(builder, blocks)),
            Family::ResNet(spec) => Net::ResNet(resnet::ResNetNet::build(builder, &spec)),
            Family::ViT(spec) => Net::ViT(vit::ViTNet::build(builder, &spec)),
            Family::ConvNeXt(spec) => Net::ConvNeXt(convnext::ConvNeXtNet::build(builder, &spec)),
            Family::MobileNetV2(spec) => Net::MobileNetV2(mobilenet::MobileNetV2Net::build(builder, &spec)),
        })
    }

    /// The tensors that a checkpoint must have.
    pub fn tensors(&self, device: &Device) -> Vec<TensorShape> {
        let mut builder = Builder::new(device, Values::Listed);
        self.build(&mut builder);
        builder.shapes().to_vec()
    }

    /// What is wanted of a checkpoint.
    pub fn wanted(&self, device: &Device) -> Wanted {
        let optional = self.classifier().map(|name| vec![format!("{name}.weight"), format!("{name}.bias")]);
        Wanted {
            tensors: self.tensors(device),
            optional: optional.unwrap_or_default(),
            ignored: self.ignored(),
            namings: self.namings(),
        }
    }

    fn namings(&self) -> Vec<Naming> {
        match self {
            Self::Clip(_) => names::of_clip(),
            _ => match self.family() {
                Family::ResNet(spec) => names::of_resnet(&spec),
                Family::ViT(_) => names::of_vit(),
                Family::ConvNeXt(_) => names::of_convnext(),
                _ => Vec::new(),
            },
        }
    }

    /// Beginnings of names of what only pretraining needs: the decoder of MAE, the token for hidden patches, and the projection
    /// of CLIP where features are those before it.
    fn ignored(&self) -> &'static [&'static str] {
        match self {
            Self::ViT(_) | Self::DinoV2(_) => &["mask_token", "decoder"],
            Self::Clip(_) => &["proj", "embeddings.position_ids"],
            _ => &[],
        }
    }

    /// Channels of its input; `None` when it takes any.
    pub fn channels(&self) -> Option<usize> {
        match self {
            Self::Pixels => None,
            Self::Conv4(spec) => Some(spec.channels as usize),
            _ => Some(3),
        }
    }

    /// What is wrong with its parameters.
    pub fn invalid_because(&self) -> Option<&'static str> {
        match self.family() {
            Family::Pixels | Family::CifarResNet(_) => None,
            Family::Conv4(spec) => spec.invalid_because(),
            Family::ResNet(spec) => spec.invalid_because(),
            Family::ViT(spec) => spec.invalid_because(),
            Family::ConvNeXt(spec) => spec.invalid_because(),
            Family::MobileNetV2(spec) => spec.invalid_because(),
        }
    }

    /// Pixels that an image must at least have on a side.
    pub fn min_image_size(&self) -> usize {
        match self.family() {
            Family::Pixels => 1,
            Family::Conv4(_) => 16,
            Family::CifarResNet(_) => 4,
            Family::ResNet(_) | Family::ConvNeXt(_) | Family::MobileNetV2(_) => 32,
            Family::ViT(spec) => spec.min_image_size(),
        }
    }

    /// Where its features are taken for a layer and a pool as written: a layer is `layer3` or, of a transformer, `block7`.
    ///
    /// # Errors
    /// Says what may be written.
    pub fn point(&self, layer: Option<&str>, pool: Option<Pool>) -> Result<FeaturePoint, String> {
        let (word, count) = match self.family() {
            Family::ResNet(_) | Family::ConvNeXt(_) => ("layer", 4),
            Family::ViT(ref spec) => ("block", spec.depth()),
            _ => ("", 0),
        };
        let is_vit = word == "block";
        if count == 0 && (layer.is_some() || pool.is_some()) {
            return Err(format!("the features of {} are those of its last layer, as it pools them", self.name()));
        }
        if pool.is_some_and(Pool::needs_class_token) && !is_vit {
            return Err(format!("{} has no class token: use `Gap`, `GeM(…)` or `Flat`", self.name()));
        }
        if let Some(Pool::GeM { p }) = pool
            && !(0.1..=100.0).contains(&p)
        {
            return Err("the power of `GeM` must be from 0.1 to 100".to_owned());
        }
        let layer = match layer {
            None => None,
            Some(text) => {
                let number = text.strip_prefix(word).and_then(|n| n.parse().ok()).filter(|n| (1..=count).contains(n));
                Some(number.ok_or_else(|| {
                    format!("{} has no layer {text:?}: there are {word}1 to {word}{count}", self.name())
                })?)
            }
        };
        // The end of the network is the end, however it is written, but for what comes after the last stage of a ConvNeXt.
        let layer =
            layer.filter(|n| is_vit && *n != count || !is_vit && (*n != 4 || matches!(self, Self::ConvNeXt(_))));
        let usual = if is_vit { Pool::Cls } else { Pool::Gap };
        Ok(FeaturePoint { layer, pool: pool.filter(|p| *p != usual) })
    }

    /// Number of features for an input of `channels` × `side` × `side`; `None` when the input is too small.
    pub fn features(&self, channels: usize, side: usize, point: &FeaturePoint) -> Option<usize> {
        if side < self.min_image_size() {
            return None;
        }
        let square = |side: usize| side * side;
        let pool = point.pool;
        Some(match self.family() {
            Family::Pixels => channels * square(side),
            Family::Conv4(spec) => spec.width as usize * square(side / 16),
            Family::CifarResNet(_) => 64,
            Family::ResNet(spec) => {
                let stage = point.layer.unwrap_or(4);
                pool.unwrap_or(Pool::Gap).features(spec.channels(stage), square(spec.side(stage, side)))
            }
            Family::ViT(spec) => {
                pool.unwrap_or(Pool::Cls).features(spec.width(point.layer.is_none()), spec.patches(side)?)
            }
            Family::ConvNeXt(spec) => {
                let stage = point.layer.unwrap_or(4);
                pool.unwrap_or(Pool::Gap).features(spec.channels(stage), square(ConvNeXt::side(stage, side)))
            }
            Family::MobileNetV2(spec) => spec.features(),
        })
    }

    /// Name of its own classifier in checkpoints, such as `fc`.
    pub fn classifier(&self) -> Option<&'static str> {
        match self.family() {
            Family::Pixels | Family::Conv4(_) => None,
            Family::CifarResNet(_) => Some("linear"),
            Family::ResNet(_) => Some("fc"),
            Family::ViT(_) if matches!(self, Self::ViT(_)) => Some("head"),
            Family::ViT(_) => None,
            Family::ConvNeXt(_) => Some("head"),
            Family::MobileNetV2(_) => Some("classifier.1"),
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
            Self::ResNet101 => "ResNet101",
            Self::ResNet152 => "ResNet152",
            Self::WideResNet50 => "WideResNet50",
            Self::ResNeXt50 => "ResNeXt50",
            Self::ResNet(_) => "ResNet",
            Self::ViT(_) => "ViT",
            Self::DinoV2(_) => "DinoV2",
            Self::Clip(_) => "Clip",
            Self::ConvNeXt(_) => "ConvNeXt",
            Self::MobileNetV2(_) => "MobileNetV2",
        }
    }
}

impl Net {
    /// B × C × H × W → B × D
    pub fn forward(&self, x: Tensor<4>, point: &FeaturePoint) -> Tensor<2> {
        let pooled = |activation: Activation, usual| activation.pool(point.pool.unwrap_or(usual));
        match self {
            Self::Conv4(net) => net.forward(x),
            Self::CifarResNet(net) => net.forward(x),
            Self::ResNet(net) => pooled(net.forward(x, point), Pool::Gap),
            Self::ViT(net) => pooled(net.forward(x, point), Pool::Cls),
            Self::ConvNeXt(net) => {
                let features = pooled(net.forward(x, point), Pool::Gap);
                // The norm at the end is made for pooled features.
                if point.is_end() { net.finish(features) } else { features }
            }
            Self::MobileNetV2(net) => pooled(net.forward(x), Pool::Gap),
        }
    }

    /// The same function for inference on images of this side: batch normalisation folded into the convolutions, position
    /// embeddings resized.
    pub fn for_inference(self, side: usize) -> Self {
        match self {
            Self::Conv4(net) => Self::Conv4(net.fold()),
            Self::CifarResNet(net) => Self::CifarResNet(net.fold()),
            Self::ResNet(net) => Self::ResNet(net.fold()),
            Self::ViT(net) => Self::ViT(net.for_side(side)),
            Self::ConvNeXt(net) => Self::ConvNeXt(net),
            Self::MobileNetV2(net) => Self::MobileNetV2(net.fold()),
        }
    }
}
