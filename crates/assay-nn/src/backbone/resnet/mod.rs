//! torchvision's ResNets (He et al. 2016), version 1.5: the stride of a bottleneck is in its 3×3 convolution. With other
//! numbers they are Wide ResNets (Zagoruyko and Komodakis 2016) and ResNeXts (Xie et al. 2017); with other stems and shortcuts
//! ResNet-C and -D (He et al. 2019) and the ResNets for CIFAR of contrastive learning; besides, antialiased ones (Zhang 2019)
//! and SE-ResNets (Hu et al. 2018). Dilated, the last stages keep the resolution of the one before (Yu et al. 2017), as
//! torchvision's `replace_stride_with_dilation` does it.
//!
//! Names follow torchvision and timm: `conv1`, `bn1`, `layerS.B.convI`, `layerS.B.downsample.0`, …, `fc`. Much of a ResNet is
//! not in its tensors: `reading` says how they are read.

mod infer;
mod names;
mod net;
mod reading;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::architecture::{Architecture, StageInfo};
use super::{Net, Origin, Unsaid};
use crate::builder::Builder;
use crate::input::ImageSize;
use crate::layers::Padding;

pub use infer::infer;
pub use net::ResNetNet;

/// Kind of block that a ResNet is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ResNetBlock {
    /// Two 3×3 convolutions, as in ResNet-18 and ResNet-34.
    Basic,
    /// Convolutions of 1×1, 3×3 and 1×1, the last with four times the channels, as in ResNet-50 and deeper networks.
    #[default]
    Bottleneck,
}

impl ResNetBlock {
    fn expansion(self) -> usize {
        match self {
            Self::Basic => 1,
            Self::Bottleneck => 4,
        }
    }
}

/// First layers of a ResNet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ResNetStem {
    /// A convolution of 7×7, two pixels apart, and a max pool.
    #[default]
    Usual,
    /// A convolution of 3×3 that keeps the size, and no pool: the ResNets for CIFAR of lightly, SimSiam, SupContrast and
    /// pytorch-cifar.
    Small,
    /// `Small`, padded by two pixels instead of one, so that maps are two pixels larger: the ResNets for CIFAR of solo-learn.
    SmallPadded,
    /// `Small` with a max pool after it.
    SmallPooled,
    /// Three convolutions of 3×3, the first two pixels apart, and a max pool: `[32, 32, 64]` in ResNet-C and -D.
    Deep {
        /// Number of channels after each of them.
        widths: [u32; 3],
    },
}

/// Filter before pixels are left out, against aliasing, where a block takes a step of two pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Antialias {
    /// No filter: the convolution itself takes the step.
    Plain,
    /// Means of 2×2 pixels after the convolution, and in place of the max pool: timm's `resnetaa50` and the like.
    AvgPool,
    /// Binomial filter of 3×3 after the convolution, and after the max pool: timm's `resnetblur50` and the like.
    Blur,
}

/// Shortcut of a block that changes the size of the map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Shortcut {
    /// A convolution of 1×1 that takes the step.
    #[default]
    Conv,
    /// Means of 2×2 pixels, then a convolution of 1×1: ResNet-D.
    AvgPool,
}

impl Shortcut {
    /// Names of the convolution and of the normalisation after it.
    fn names(self) -> [&'static str; 2] {
        match self {
            Self::Conv => ["0", "1"],
            Self::AvgPool => ["1", "2"],
        }
    }
}

/// Convolution of a bottleneck that takes the step of two pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StrideIn {
    /// The first, of 1×1, as in He et al. (2016), Caffe and Detectron.
    Conv1,
    /// The second, of 3×3, as in torchvision, timm and most others ("version 1.5").
    #[default]
    Conv2,
}

/// Parameters of a ResNet. Default: those of ResNet-50.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResNet {
    /// Kind of block. Default: `Bottleneck`.
    #[serde(default)]
    pub block: ResNetBlock,
    /// Number of blocks in each of the four stages. Default: `[3, 4, 6, 3]`.
    #[serde(default = "depths")]
    pub depths: [u32; 4],
    /// Number of channels of the first stage; each later stage has twice as many as the one before. Default: 64.
    #[serde(default = "width")]
    pub width: u32,
    /// Number of groups of the 3×3 convolutions; 32 in ResNeXt-50. Default: 1.
    #[serde(default = "groups")]
    pub groups: u32,
    /// Number of channels of a group in the first stage when `width` is 64; 4 in ResNeXt-50, 128 in Wide ResNet-50-2.
    /// Default: 64.
    #[serde(default = "group_width")]
    pub group_width: u32,
    /// Library whose padding of edges the weights were trained with. Default: `Torch`.
    #[serde(default)]
    pub padding: Padding,
    /// Pixels of the image for each pixel of the last map: 32, 16 or 8. With 16 the last stage is dilated, with 8 the last two,
    /// as dense predictions want it; weights are the same. Default: 32.
    #[serde(default = "output_stride", skip_serializing_if = "is_usual_stride")]
    pub output_stride: u32,
    /// First layers of the network. Default: `Usual`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stem: ResNetStem,
    /// Filter against aliasing where a step is taken; tensors do not tell it. Default: `Plain`, as far as the name of the file
    /// does not contradict it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub antialias: Option<Antialias>,
    /// Shortcut of blocks that change the size of the map. Default: `Conv`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shortcut: Shortcut,
    /// Convolution of a bottleneck that takes the step of two pixels; tensors do not tell it. Default: `Conv2`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stride_in: StrideIn,
    /// Divisor of the channels inside the layers that weigh channels after each block (squeeze and excitation): 16 in SE-ResNet-50.
    /// Default: no such layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub squeeze: Option<u32>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn output_stride() -> u32 {
    32
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_usual_stride(stride: &u32) -> bool {
    *stride == output_stride()
}

fn depths() -> [u32; 4] {
    [3, 4, 6, 3]
}

fn width() -> u32 {
    64
}

fn groups() -> u32 {
    1
}

fn group_width() -> u32 {
    64
}

impl ResNet {
    fn of(block: ResNetBlock, depths: [u32; 4]) -> Self {
        Self {
            block,
            depths,
            width: 64,
            groups: 1,
            group_width: 64,
            padding: Padding::Torch,
            output_stride: 32,
            stem: ResNetStem::Usual,
            antialias: None,
            shortcut: Shortcut::Conv,
            stride_in: StrideIn::Conv2,
            squeeze: None,
        }
    }

    pub(super) fn resnet18() -> Self {
        Self::of(ResNetBlock::Basic, [2, 2, 2, 2])
    }

    pub(super) fn resnet34() -> Self {
        Self::of(ResNetBlock::Basic, [3, 4, 6, 3])
    }

    pub(super) fn resnet50() -> Self {
        Self::of(ResNetBlock::Bottleneck, [3, 4, 6, 3])
    }

    pub(super) fn resnet101() -> Self {
        Self::of(ResNetBlock::Bottleneck, [3, 4, 23, 3])
    }

    pub(super) fn resnet152() -> Self {
        Self::of(ResNetBlock::Bottleneck, [3, 8, 36, 3])
    }

    pub(super) fn wide_resnet50_2() -> Self {
        Self { group_width: 128, ..Self::resnet50() }
    }

    pub(super) fn resnext50_32x4d() -> Self {
        Self { groups: 32, group_width: 4, ..Self::resnet50() }
    }

    fn antialias(&self) -> Antialias {
        self.antialias.unwrap_or(Antialias::Plain)
    }

    /// Channels after the stem.
    fn stem_channels(&self) -> usize {
        match self.stem {
            ResNetStem::Deep { widths } => widths[2] as usize,
            _ => self.width as usize,
        }
    }

    /// Pixels of the image for each pixel of the maps after the first convolution and after the stem.
    fn stem_strides(&self) -> [usize; 2] {
        match self.stem {
            ResNetStem::Usual | ResNetStem::Deep { .. } => [2, 4],
            ResNetStem::Small | ResNetStem::SmallPadded => [1, 1],
            ResNetStem::SmallPooled => [1, 2],
        }
    }

    /// Channels after the stage with this number, from 1.
    fn channels(&self, stage: usize) -> usize {
        ((self.width as usize) << (stage - 1)) * self.block.expansion()
    }

    /// Channels inside the blocks of the stage with this number, from 0.
    fn inner(&self, stage: usize) -> usize {
        ((self.width as usize) << stage) * self.group_width as usize / 64 * self.groups as usize
    }

    /// The architecture under the name that an experiment has for it.
    pub(super) fn named(self, name: &'static str) -> NamedResNet {
        NamedResNet { name, spec: self }
    }

    /// Pixels of the image for each pixel of the map after the stage with this number, from 1.
    fn stride(&self, stage: usize) -> usize {
        (self.stem_strides()[1] << (stage - 1)).min((self.output_stride as usize).max(1))
    }

    /// Dilation of the 3×3 convolutions in the stage with this number, from 0: what its stride lacks.
    fn dilation(&self, stage: usize) -> usize {
        (self.stem_strides()[1] << stage) / self.stride(stage + 1)
    }

    /// The reason why the numbers are invalid, if they are.
    fn invalid_because(&self) -> Option<&'static str> {
        if self.depths.iter().any(|d| !(1..=200).contains(d)) {
            Some("`depths` must be from 1 to 200")
        } else if !(1..=2048).contains(&self.width) {
            Some("`width` must be from 1 to 2048")
        } else if !(1..=256).contains(&self.groups) || !(1..=1024).contains(&self.group_width) {
            Some("`groups` must be from 1 to 256, and `group_width` from 1 to 1024")
        } else if self.width * self.group_width / 64 == 0 {
            Some("`width` × `group_width` must be 64 or more")
        } else if self.block == ResNetBlock::Basic && (self.groups, self.group_width) != (1, 64) {
            Some("`Basic` blocks have one group")
        } else if ![32, 16, 8].contains(&self.output_stride) {
            Some("`output_stride` must be 32, 16 or 8")
        } else {
            self.not_together()
        }
    }

    /// What of the parameters nobody has combined, so that it is not known how.
    fn not_together(&self) -> Option<&'static str> {
        let is_antialiased = self.antialias() != Antialias::Plain;
        if let ResNetStem::Deep { widths } = self.stem
            && widths.iter().any(|width| !(1..=2048).contains(width))
        {
            Some("`widths` of the stem must be from 1 to 2048")
        } else if self.squeeze.is_some_and(|divisor| !(1..=256).contains(&divisor)) {
            Some("`squeeze` must be from 1 to 256")
        } else if self.output_stride != 32 && (is_antialiased || self.shortcut == Shortcut::AvgPool || self.is_small())
        {
            Some("`output_stride` goes with plain steps, shortcuts of `Conv`, and stems that are not small")
        } else if is_antialiased && (self.is_small() || self.stride_in == StrideIn::Conv1) {
            Some("`antialias` goes with `stride_in: Conv2` and with stems that are not small")
        } else if self.stem == ResNetStem::SmallPadded && self.padding != Padding::Torch {
            Some("`stem: SmallPadded` goes with the padding of torch")
        } else {
            None
        }
    }

    fn is_small(&self) -> bool {
        self.stem_strides()[0] == 1
    }

    /// Names of the convolutions with those of the normalisations after them, in the order in which a network is written
    /// down that makes the shortcut of a block first.
    pub(super) fn layers(&self) -> Vec<(String, String)> {
        let mut layers = vec![("conv1".to_owned(), "bn1".to_owned())];
        let convs = if self.block == ResNetBlock::Basic { 2 } else { 3 };
        for (stage, depth) in self.depths.iter().enumerate() {
            for i in 0..*depth {
                let block = format!("layer{}.{i}", stage + 1);
                if self.has_shortcut(stage, i) {
                    let [conv, bn] = self.shortcut.names();
                    layers.push((format!("{block}.downsample.{conv}"), format!("{block}.downsample.{bn}")));
                }
                layers.extend((1..=convs).map(|j| (format!("{block}.conv{j}"), format!("{block}.bn{j}"))));
            }
        }
        layers
    }

    /// Tells whether the shortcut of this block is a convolution.
    fn has_shortcut(&self, stage: usize, block: u32) -> bool {
        block == 0 && (stage > 0 || self.stem_channels() != self.channels(1))
    }
}

/// A ResNet under its name in experiments.
pub struct NamedResNet {
    name: &'static str,
    spec: ResNet,
}

impl Architecture for NamedResNet {
    fn numbers_stages(&self) -> bool {
        true
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn build(&self, builder: &mut Builder<'_>) -> Option<Net> {
        Some(Net::ResNet(ResNetNet::build(builder, &self.spec)))
    }

    fn stages(&self) -> Vec<StageInfo> {
        let stage = |i| StageInfo {
            name: format!("layer{i}"),
            channels: self.spec.channels(i),
            stride: self.spec.stride(i),
            rounds_up: true,
        };
        (1..=4).map(stage).collect()
    }

    fn largest_map(&self, image: ImageSize) -> usize {
        let extra = if self.spec.stem == ResNetStem::SmallPadded { 2 } else { 0 };
        let area = |stride| image.map(|side| (side + extra).div_ceil(stride)).area();
        let [first, after_stem] = self.spec.stem_strides();
        let stem = self.spec.stem_channels() * area(first);
        let stage = |i| {
            let (inner, output) = (self.spec.inner(i), self.spec.channels(i + 1));
            // The first convolution of a stage has the resolution of the stage before.
            let before = if i == 0 { after_stem } else { self.spec.stride(i) };
            (inner * area(before)).max(output * area(self.spec.stride(i + 1)))
        };
        (0..4).map(stage).fold(stem, usize::max)
    }

    fn map_size(&self, stage: &StageInfo, image: ImageSize) -> ImageSize {
        match (&self.spec.stem, self.spec.antialias()) {
            (ResNetStem::SmallPadded, _) => image.map(|side| (side + 2).div_ceil(stage.stride)),
            (_, Antialias::AvgPool) => image.map(|side| (side + 1) / 32 * (32 / stage.stride)),
            _ => stage.map_size(image),
        }
    }

    fn min_image_size(&self) -> usize {
        if self.spec.is_small() { 1 } else { 32 }
    }

    /// Where means are taken of odd maps, those of the shortcut are a pixel larger, and timm fails.
    fn size_problem(&self, image: ImageSize) -> Option<String> {
        let is_even = |side: usize| (side.div_ceil(2) / 2).is_multiple_of(8);
        let fits = self.spec.antialias() != Antialias::AvgPool || is_even(image.height) && is_even(image.width);
        let odd = || format!("with `antialias: AvgPool` needs sides that are multiples of 32, and images have {image}");
        self.too_small(image).or_else(|| (!fits).then(odd))
    }

    fn classifier(&self) -> Option<&'static str> {
        Some("fc")
    }

    fn namings(&self) -> Vec<assay_weights::Naming> {
        let mut all = super::names::of_resnet(&self.spec);
        all.extend(names::all());
        all
    }

    /// The filter that older files of antialiased networks have beside their weights.
    fn ignored(&self) -> &'static [&'static str] {
        match self.spec.antialias() {
            Antialias::Blur => &["maxpool.1.filt", "layer2.0.aa.filt", "layer3.0.aa.filt", "layer4.0.aa.filt"],
            _ => &[],
        }
    }

    fn reading(&self, origin: &Origin) -> Result<Option<String>, Unsaid> {
        reading::reading(&self.spec, origin)
    }

    fn invalid_because(&self) -> Option<&'static str> {
        self.spec.invalid_because()
    }
}
