//! Backbones: networks without their classifiers.
//!
//! One file each, with what the architecture says of itself and what its network can do (`architecture`). Names of tensors are
//! those of the library that the checkpoints come from; `names` knows those of others. A new architecture is a file, a variant of
//! [`Backbone`] with its arm in `architecture()`, and a variant of [`Net`] with its two arms.

mod architecture;
mod cifar_resnet;
mod clip_resnet;
mod conv4;
mod convnext;
mod densenet;
mod efficientnet;
mod mbconv;
mod mobilenet;
mod mobilenet_v3;
mod names;
mod pixels;
mod point;
mod positions;
mod reading;
mod regnet;
mod resnet;
mod swin;
mod unsaid;
mod vgg;
mod vit;

use burn::module::Module;
use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::builder::Builder;
use crate::input::ImageSize;
use assay_weights::{Checkpoint, TensorShape, Wanted};

pub use architecture::StageInfo;
use architecture::{Architecture, Network};
use cifar_resnet::CifarResNet;

pub use clip_resnet::{ClipResNet, ClipResNetSize};
pub use conv4::{CONV4_WIDTH, Conv4};
pub use convnext::{ConvNeXt, ConvNeXtSize, ConvNeXtV2};
pub use densenet::DenseNet;
pub use efficientnet::{EfficientNet, EfficientNetSize};
pub use mbconv::Library;
pub use mobilenet::MobileNetV2;
pub use mobilenet_v3::{MobileNetV3, MobileNetV3Size};
pub use point::{FeaturePoint, Pool};
pub use positions::Positions;
pub use regnet::{RegNet, RegNetSize};
pub use resnet::{Antialias, ResNet, ResNetBlock, ResNetStem, Shortcut, StrideIn};
pub use swin::{Swin, SwinSize, SwinV2};
pub use unsaid::{Activation, Config, Origin, Settled, Unsaid};
pub use vgg::Vgg;
pub use vit::{Clip, DinoV2, Family, Transformer, ViT, ViTSize};

/// Network that turns an image into features, without its classifier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub enum Backbone {
    /// No network: the features are the pixels of the image. A baseline that needs no weights.
    Pixels,
    /// No network: the features come with the task, whose dataset is `Features(…)`.
    Given,
    /// Conv-4 of few-shot learning (Vinyals et al. 2016): four blocks of 3×3 convolution, normalisation, ReLU and 2×2 max pool; all
    /// numbers of the last map are features.
    Conv4(Conv4),
    /// ResNet-20 for images of CIFAR (He et al. 2016, §4.2), with shortcuts of option A; 64 features.
    ResNet20,
    /// ResNet-32 for images of CIFAR; 64 features.
    ResNet32,
    /// ResNet-44 for images of CIFAR; 64 features.
    ResNet44,
    /// ResNet-56 for images of CIFAR; 64 features.
    ResNet56,
    /// ResNet-18 of torchvision (He et al. 2016); 512 features.
    ResNet18,
    /// ResNet-34 of torchvision; 512 features.
    ResNet34,
    /// ResNet-50 of torchvision (version 1.5, with the stride in the 3×3 convolution); 2048 features.
    ResNet50,
    /// ResNet-101 of torchvision; 2048 features.
    ResNet101,
    /// ResNet-152 of torchvision; 2048 features.
    ResNet152,
    /// Wide ResNet-50-2 of torchvision; 2048 features.
    WideResNet50,
    /// ResNeXt-50 32×4d of torchvision; 2048 features.
    ResNeXt50,
    /// ResNet of any depth, width, padding or output stride: `ResNet(padding: TfSame)` is a ResNet-50 of Haiku,
    /// `ResNet(output_stride: 8)` a dilated ResNet-50.
    ResNet(ResNet),
    /// Vision transformer as DINO, MAE, DeiT, timm and Hugging Face have it; 384 features when `Small`, 768 when `Base`. The sides
    /// of images are multiples of `patch`.
    ViT(ViT),
    /// Vision transformer of DINOv2, with or without registers; 384 features when `Small`, 768 when `Base`. The sides of images are
    /// multiples of `patch`.
    DinoV2(DinoV2),
    /// Image tower of CLIP; 768 features when `Base`, 512 after the projection into the space that images share with texts. The
    /// sides of images are multiples of `patch`.
    Clip(Clip),
    /// Vision transformer of another published family: DINOv3, SigLIP, DeiT-3, BEiT, EVA-02, AIMv2, I-JEPA and others. The sides
    /// of images are multiples of `patch`.
    Transformer(Transformer),
    /// ConvNeXt (Liu et al. 2022); 768 features when `Tiny` or `Small`, 1024 when `Base`.
    ConvNeXt(ConvNeXt),
    /// ConvNeXt V2 (Woo et al. 2023); 768 features when `Tiny`, 1024 when `Base`.
    ConvNeXtV2(ConvNeXtV2),
    /// MobileNetV2 of torchvision and timm; 1280 features.
    MobileNetV2(MobileNetV2),
    /// MobileNetV3 (Howard et al. 2019); 1280 features when `Large`, 1024 when `Small`.
    MobileNetV3(MobileNetV3),
    /// EfficientNet (Tan and Le 2019) and EfficientNetV2 (2021); 1280 features when `B0` or of version 2.
    EfficientNet(EfficientNet),
    /// RegNetX and RegNetY (Radosavovic et al. 2020), among them SEER's and SWAG's; 440 features when `Y400MF`, 3024 when `Y16GF`.
    RegNet(RegNet),
    /// DenseNet (Huang et al. 2017); 1024 features when it has 121 layers.
    DenseNet(DenseNet),
    /// VGG (Simonyan and Zisserman 2015), without its fully connected layers; 512 features.
    Vgg(Vgg),
    /// Swin transformer (Liu et al. 2021); 768 features when `Tiny` or `Small`, 1024 when `Base`.
    Swin(Swin),
    /// Swin transformer V2 (Liu et al. 2022); 768 features when `Tiny` or `Small`, 1024 when `Base`.
    SwinV2(SwinV2),
    /// ResNet of CLIP, with attention in place of the average; 1024 features when `RN50`. The sides of images are multiples of 32.
    ClipResNet(ClipResNet),
}

/// A built backbone.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "one a model, and Burn's modules are not boxed")]
pub enum Net {
    /// See [`Backbone::Conv4`].
    Conv4(conv4::Conv4Net),
    /// See [`Backbone::ResNet20`].
    CifarResNet(cifar_resnet::CifarResNetNet),
    /// See [`Backbone::ResNet`].
    ResNet(resnet::ResNetNet),
    /// See [`Backbone::ViT`], [`Backbone::DinoV2`], [`Backbone::Clip`] and [`Backbone::Transformer`].
    ViT(vit::ViTNet),
    /// See [`Backbone::ConvNeXt`].
    ConvNeXt(convnext::ConvNeXtNet),
    /// See [`Backbone::MobileNetV2`].
    MobileNetV2(mobilenet::MobileNetV2Net),
    /// See [`Backbone::EfficientNet`] and [`Backbone::MobileNetV3`].
    Mb(mbconv::MbNet),
    /// See [`Backbone::RegNet`].
    RegNet(regnet::RegNetNet),
    /// See [`Backbone::DenseNet`].
    DenseNet(densenet::DenseNetNet),
    /// See [`Backbone::Vgg`].
    Vgg(vgg::VggNet),
    /// See [`Backbone::Swin`] and [`Backbone::SwinV2`].
    Swin(swin::SwinNet),
    /// See [`Backbone::ClipResNet`].
    ClipResNet(clip_resnet::ClipResNetNet),
}

/// End of the name of a layer whose tokens are wanted without the normalisation at the end of the network.
const RAW: &str = " raw";

impl Backbone {
    /// The convolutional backbones that have a name of their own, for guesses at what a file holds; sizes that are rarely met
    /// are left out. Transformers are told by their tensors.
    pub fn known() -> Vec<Self> {
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
        for size in ConvNeXtSize::NAMED {
            all.push(Self::ConvNeXt(ConvNeXt { size: size.clone() }));
            all.push(Self::ConvNeXtV2(ConvNeXtV2 { size }));
        }
        all
    }

    /// The transformers that a file may hold, from names and shapes of its tensors.
    pub(crate) fn transformers_in(checkpoint: &Checkpoint) -> Vec<Self> {
        vit::recognise(checkpoint)
    }

    /// The architecture that the variant comes down to.
    fn architecture(&self) -> Box<dyn Architecture> {
        match self {
            Self::Pixels => Box::new(pixels::Pixels { name: "Pixels" }),
            Self::Given => Box::new(pixels::Pixels { name: "Given" }),
            Self::Conv4(spec) => Box::new(spec.clone()),
            Self::ResNet20 => Box::new(CifarResNet { name: "ResNet20", blocks: 3 }),
            Self::ResNet32 => Box::new(CifarResNet { name: "ResNet32", blocks: 5 }),
            Self::ResNet44 => Box::new(CifarResNet { name: "ResNet44", blocks: 7 }),
            Self::ResNet56 => Box::new(CifarResNet { name: "ResNet56", blocks: 9 }),
            Self::ResNet18 => Box::new(ResNet::resnet18().named("ResNet18")),
            Self::ResNet34 => Box::new(ResNet::resnet34().named("ResNet34")),
            Self::ResNet50 => Box::new(ResNet::resnet50().named("ResNet50")),
            Self::ResNet101 => Box::new(ResNet::resnet101().named("ResNet101")),
            Self::ResNet152 => Box::new(ResNet::resnet152().named("ResNet152")),
            Self::WideResNet50 => Box::new(ResNet::wide_resnet50_2().named("WideResNet50")),
            Self::ResNeXt50 => Box::new(ResNet::resnext50_32x4d().named("ResNeXt50")),
            Self::ResNet(spec) => Box::new(spec.clone().named("ResNet")),
            Self::ViT(spec) => Box::new(vit::Spec::from(spec)),
            Self::DinoV2(spec) => Box::new(vit::Spec::from(spec)),
            Self::Clip(spec) => Box::new(vit::Spec::from(spec)),
            Self::Transformer(spec) => Box::new(vit::Spec::from(spec)),
            Self::ConvNeXt(spec) => Box::new(convnext::Spec::from(spec)),
            Self::ConvNeXtV2(spec) => Box::new(convnext::Spec::from(spec)),
            Self::MobileNetV2(spec) => Box::new(spec.clone()),
            Self::MobileNetV3(spec) => Box::new(spec.clone()),
            Self::EfficientNet(spec) => Box::new(spec.clone()),
            Self::RegNet(spec) => Box::new(spec.clone()),
            Self::DenseNet(spec) => Box::new(spec.clone()),
            Self::Vgg(spec) => Box::new(spec.clone()),
            Self::Swin(spec) => Box::new(swin::Spec::from(spec)),
            Self::SwinV2(spec) => Box::new(swin::Spec::from(spec)),
            Self::ClipResNet(spec) => Box::new(spec.clone()),
        }
    }

    /// Builds it; `None` for [`Pixels`](Self::Pixels), which has nothing to build.
    pub fn build(&self, builder: &mut Builder<'_>) -> Option<Net> {
        self.architecture().build(builder)
    }

    /// The tensors that a checkpoint must have. No device is opened.
    pub fn tensors(&self) -> Vec<TensorShape> {
        let mut builder = Builder::listing();
        self.build(&mut builder);
        builder.shapes().to_vec()
    }

    /// The tensors that are wanted of a checkpoint. No device is opened.
    pub fn wanted(&self) -> Wanted {
        let architecture = self.architecture();
        let optional = architecture.classifier().map(|name| vec![format!("{name}.weight"), format!("{name}.bias")]);
        Wanted {
            tensors: self.tensors(),
            optional: optional.unwrap_or_default(),
            ignored: architecture.ignored(),
            namings: architecture.namings(),
        }
    }

    /// The name of the backbone as written in an experiment.
    pub fn name(&self) -> &'static str {
        self.architecture().name()
    }

    /// Channels of its input; `None` when it takes any.
    pub fn channels(&self) -> Option<usize> {
        self.architecture().channels()
    }

    /// Name of its own classifier in checkpoints, such as `fc`.
    pub fn classifier(&self) -> Option<&'static str> {
        self.architecture().classifier()
    }

    /// The places whose maps [`Net::stages`] gives, from the image to the end; none of [`Pixels`](Self::Pixels).
    pub fn stages(&self) -> Vec<StageInfo> {
        self.architecture().stages()
    }

    /// The backbones that the shapes of a file speak of, whatever its numbers of layers and channels.
    pub(crate) fn inferred(checkpoint: &Checkpoint) -> Vec<Self> {
        let inferred = [
            resnet::infer,
            clip_resnet::infer,
            convnext::infer,
            regnet::infer,
            densenet::infer,
            vgg::infer,
            swin::infer,
        ]
        .map(|infer| infer(checkpoint));
        let mut all: Vec<Self> = inferred.into_iter().flatten().collect();
        all.extend(mobilenet::candidates(checkpoint));
        all.extend(mobilenet_v3::candidates(checkpoint));
        all.extend(efficientnet::candidates(checkpoint));
        all
    }

    /// Size of the map of one of its stages for an image of this size.
    pub fn map_size(&self, stage: &StageInfo, image: ImageSize) -> ImageSize {
        self.architecture().map_size(stage, image)
    }

    /// The reason why the parameters are invalid, if they are.
    pub fn invalid_because(&self) -> Option<&'static str> {
        self.architecture().invalid_because()
    }

    /// Pixels that an image must at least have on each side.
    pub fn min_image_size(&self) -> usize {
        self.architecture().min_image_size()
    }

    /// Why it cannot take images of this size: they are too small, or the patches of a transformer do not fit them. The end of a
    /// sentence that begins with its name.
    pub fn size_problem(&self, image: ImageSize) -> Option<String> {
        self.architecture().size_problem(image)
    }

    /// Tells whether its stages can be trained apart from each other: the names of its tensors say which stage they belong to.
    pub fn numbers_stages(&self) -> bool {
        self.architecture().numbers_stages()
    }

    /// Why it cannot be trained on images of this size, though it can take them.
    pub fn training_problem(&self, image: ImageSize) -> Option<String> {
        let trained_at =
            self.architecture().position_grid().filter(|(known, patch)| image.map(|side| side / patch) != *known);
        trained_at.map(|(known, patch)| {
            format!(
                "its {} has position embeddings for images of {} pixels, which can be used on other sizes but not be trained on \
                 them: prepare images in that size",
                self.name(),
                known.map(|side| side * patch)
            )
        })
    }

    /// Bytes of the largest tensor that one image of this size becomes on its way, the image itself among them.
    pub fn largest_bytes(&self, channels: usize, image: ImageSize) -> u64 {
        (self.architecture().largest_map(image).max(channels * image.area()) * size_of::<f32>()) as u64
    }

    /// The point of the network where features are taken for a layer and a pool as written: a layer is `layer3` or, of
    /// a transformer, `block7`.
    ///
    /// # Errors
    /// Says what may be written.
    pub fn point(&self, layer: Option<&str>, pool: Option<Pool>) -> Result<FeaturePoint, String> {
        let architecture = self.architecture();
        let usual = architecture.pool();
        if !architecture.has_points() && (layer.is_some() || pool.is_some()) {
            return Err(format!("the features of {} are those of its last layer, as it pools them", self.name()));
        }
        let is_other_pool = pool.is_some_and(Pool::needs_class_token) && pool != Some(usual);
        if is_other_pool && !architecture.has_class_token() {
            return Err(format!("{} has no class token: use `Gap`, `GeM(…)` or `Flat`", self.name()));
        }
        if let Some(Pool::GeM { p }) = pool
            && !(0.1..=100.0).contains(&p)
        {
            return Err("the power of `GeM` must be from 0.1 to 100".to_owned());
        }
        if pool == Some(Pool::Attention) && usual != Pool::Attention {
            return Err(format!("{} has no attention pool", self.name()));
        }
        let is_raw = architecture.has_last_stages() && layer.is_some_and(|name| name.ends_with(RAW));
        let layer = layer.map(|name| if is_raw { &name[..name.len() - RAW.len()] } else { name });
        let last = layer.filter(|_| architecture.has_last_stages()).and_then(|name| name.strip_prefix("last"));
        let last = last.map(|count| self.last_stages(count)).transpose()?;
        let layer = layer.filter(|_| last.is_none()).map(|name| self.stage_number(name)).transpose()?;
        // The end of the network is the end, however it is written, but for what comes after the last stage of a ConvNeXt.
        let is_end = |number: &usize| *number == self.stages().len() && !architecture.goes_on_after_stages() && !is_raw;
        let point = FeaturePoint {
            layer: layer.filter(|number| !is_end(number)),
            pool: pool.filter(|pool| *pool != usual),
            last: last.filter(|count| *count > 1 || is_raw),
            is_raw,
        };
        if point.pool.unwrap_or(usual) == Pool::Attention && !point.is_at_end() {
            return Err(format!(
                "the attention pool of {} is at its end: of a layer, name another `pool`",
                self.name()
            ));
        }
        Ok(point)
    }

    /// Number of last stages, from what stands behind `last`.
    fn last_stages(&self, count: &str) -> Result<usize, String> {
        let depth = self.stages().len();
        let count = count.parse().ok().filter(|count| (1..=depth).contains(count));
        count
            .ok_or_else(|| format!("{} has {depth} blocks: the last of them are `last1` to `last{depth}`", self.name()))
    }

    /// Number of the stage with this name, from 1.
    fn stage_number(&self, name: &str) -> Result<usize, String> {
        let stages = self.stages();
        let found = stages.iter().position(|stage| stage.name == name);
        found.map(|i| i + 1).ok_or_else(|| match (stages.first(), stages.last()) {
            (Some(first), Some(last)) => {
                format!("{} has no layer {name:?}: there are {} to {}", self.name(), first.name, last.name)
            }
            _ => format!("{} has no layers", self.name()),
        })
    }

    /// Number of features for an input of `channels` × height × width; `None` when it cannot take that.
    pub fn features(&self, channels: usize, image: ImageSize, point: &FeaturePoint) -> Option<usize> {
        let architecture = self.architecture();
        architecture.size_problem(image).is_none().then(|| architecture.features(channels, image, point))
    }
}

impl Net {
    fn network(&self) -> &dyn Network {
        match self {
            Self::Conv4(net) => net,
            Self::CifarResNet(net) => net,
            Self::ResNet(net) => net,
            Self::ViT(net) => net,
            Self::ConvNeXt(net) => net,
            Self::MobileNetV2(net) => net,
            Self::Mb(net) => net,
            Self::RegNet(net) => net,
            Self::DenseNet(net) => net,
            Self::Vgg(net) => net,
            Self::Swin(net) => net,
            Self::ClipResNet(net) => net,
        }
    }

    fn network_mut(&mut self) -> &mut dyn Network {
        match self {
            Self::Conv4(net) => net,
            Self::CifarResNet(net) => net,
            Self::ResNet(net) => net,
            Self::ViT(net) => net,
            Self::ConvNeXt(net) => net,
            Self::MobileNetV2(net) => net,
            Self::Mb(net) => net,
            Self::RegNet(net) => net,
            Self::DenseNet(net) => net,
            Self::Vgg(net) => net,
            Self::Swin(net) => net,
            Self::ClipResNet(net) => net,
        }
    }

    /// Features: B × C × H × W → B × D
    pub fn forward(&self, x: Tensor<4>, point: &FeaturePoint) -> Tensor<2> {
        self.network().features(x, point)
    }

    /// The maps of several stages, for images of any height and width that [`Backbone::size_problem`] lets pass:
    /// B × C × H × W → B × C' × H' × W' each, in the order of `wanted`.
    ///
    /// Stages count from 1 and are those of [`Backbone::stages`], which tells C' and H/H'. Of a transformer, they are the patches
    /// after its blocks, normalised as at the end of the network, without class and register tokens. What comes after the last
    /// stage wanted is not computed.
    ///
    /// # Panics
    /// When there is no such stage.
    pub fn stages(&self, x: Tensor<4>, wanted: &[usize]) -> Vec<Tensor<4>> {
        let network = self.network();
        let depth = network.depth();
        assert!(wanted.iter().all(|stage| (1..=depth).contains(stage)), "stages count from 1 to {depth}: {wanted:?}");
        network.stages(x, wanted)
    }

    /// The same function for inference on images of this size: batch normalisation folded into the convolutions, position
    /// embeddings resized.
    pub fn for_inference(mut self, image: ImageSize) -> Self {
        self.network_mut().prepare(image);
        self
    }
}
