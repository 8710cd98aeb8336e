//! torchvision's ResNets (He et al. 2016), version 1.5: the stride of a bottleneck is in its 3×3 convolution. With other
//! numbers they are Wide ResNets (Zagoruyko and Komodakis 2016) and ResNeXts (Xie et al. 2017). Dilated, the last stages keep
//! the resolution of the one before (Yu et al. 2017), as torchvision's `replace_stride_with_dilation` does it.
//!
//! Names follow torchvision: `conv1`, `bn1`, `layerS.B.convI`, `layerS.B.downsample.0`, …, `fc`.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::architecture::{Architecture, Network, StageInfo, after_steps};
use super::{Net, names};
use crate::builder::Builder;
use crate::input::ImageSize;
use crate::layers::{ConvBn, ConvSpec, Padding, max_pool};

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
        Self { block, depths, width: 64, groups: 1, group_width: 64, padding: Padding::Torch, output_stride: 32 }
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
        (2 << stage).min((self.output_stride as usize).max(1))
    }

    /// Dilation of the 3×3 convolutions in the stage with this number, from 0: what its stride lacks.
    fn dilation(&self, stage: usize) -> usize {
        (4 << stage) / self.stride(stage + 1)
    }

    /// What is wrong with the numbers.
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
            None
        }
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
                    layers.push((format!("{block}.downsample.0"), format!("{block}.downsample.1")));
                }
                layers.extend((1..=convs).map(|j| (format!("{block}.conv{j}"), format!("{block}.bn{j}"))));
            }
        }
        layers
    }

    /// Whether the shortcut of this block is a convolution.
    fn has_shortcut(&self, stage: usize, block: u32) -> bool {
        block == 0 && (stage > 0 || self.block.expansion() > 1)
    }
}

/// A ResNet under its name in experiments.
pub struct NamedResNet {
    name: &'static str,
    spec: ResNet,
}

impl Architecture for NamedResNet {
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
        let area = |stride| image.map(|side| side.div_ceil(stride)).area();
        let stem = self.spec.width as usize * area(2);
        let stage = |i| {
            let (inner, output) = (self.spec.inner(i), self.spec.channels(i + 1));
            // The first convolution of a stage has the resolution of the stage before.
            let before = if i == 0 { 4 } else { self.spec.stride(i) };
            (inner * area(before)).max(output * area(self.spec.stride(i + 1)))
        };
        (0..4).map(stage).fold(stem, usize::max)
    }

    fn min_image_size(&self) -> usize {
        32
    }

    fn classifier(&self) -> Option<&'static str> {
        Some("fc")
    }

    fn namings(&self) -> Vec<assay_weights::Naming> {
        names::of_resnet(&self.spec)
    }

    fn invalid_because(&self) -> Option<&'static str> {
        self.spec.invalid_because()
    }
}

/// The network.
#[derive(Module, Debug)]
pub struct ResNetNet {
    stem: ConvBn,
    stages: Vec<Vec<Residual>>,
    #[module(skip)]
    padding: Padding,
}

#[derive(Module, Debug)]
struct Residual {
    convs: Vec<ConvBn>,
    downsample: Option<ConvBn>,
}

impl ResNetNet {
    fn build(builder: &mut Builder<'_>, spec: &ResNet) -> Self {
        let stem = ConvSpec { edges: spec.padding.conv(), ..ConvSpec::new(3, spec.width as usize, 7, 2) };
        let stem = ConvBn::build(builder, "conv1", "bn1", stem);
        let mut input = spec.width as usize;
        let mut stages = Vec::new();
        for (stage, depth) in spec.depths.iter().enumerate() {
            let mut blocks = Vec::new();
            for i in 0..*depth {
                blocks.push(Residual::build(builder, spec, (stage, i), input));
                input = spec.channels(stage + 1);
            }
            stages.push(blocks);
        }
        Self { stem, stages, padding: spec.padding }
    }
}

impl Network for ResNetNet {
    fn depth(&self) -> usize {
        self.stages.len()
    }

    fn stages(&self, x: Tensor<4>, wanted: &[usize]) -> Vec<Tensor<4>> {
        let x = relu(self.stem.forward(x));
        let x = max_pool(x, 3, 2, self.padding.pool());
        after_steps(x, wanted, |i, x| self.stages[i - 1].iter().fold(x, |x, block| block.forward(x)))
    }

    fn prepare(&mut self, _image: ImageSize) {
        self.stem.fold();
        for block in self.stages.iter_mut().flatten() {
            block.convs.iter_mut().chain(&mut block.downsample).for_each(ConvBn::fold);
        }
    }
}

impl Residual {
    fn build(builder: &mut Builder<'_>, spec: &ResNet, (stage, i): (usize, u32), input: usize) -> Self {
        let name = format!("layer{}.{i}", stage + 1);
        let (inner, output) = (spec.inner(stage), spec.channels(stage + 1));
        let conv =
            |[a, b]: [usize; 2], kernel| ConvSpec { edges: spec.padding.conv(), ..ConvSpec::new(a, b, kernel, 1) };
        let is_first = stage > 0 && i == 0;
        let stride = if is_first { spec.stride(stage + 1) / spec.stride(stage) } else { 1 };
        // The convolution that has the stride, or would have it, sees the map of the stage before and is as dilated as that.
        let strided =
            |conv| ConvSpec { stride, dilation: spec.dilation(if is_first { stage - 1 } else { stage }), ..conv };
        let specs = match spec.block {
            ResNetBlock::Basic => vec![
                strided(conv([input, output], 3)),
                ConvSpec { dilation: spec.dilation(stage), ..conv([output, output], 3) },
            ],
            ResNetBlock::Bottleneck => vec![
                conv([input, inner], 1),
                ConvSpec { groups: spec.groups as usize, ..strided(conv([inner, inner], 3)) },
                conv([inner, output], 1),
            ],
        };
        let build = |(j, conv)| ConvBn::build(builder, &format!("{name}.conv{j}"), &format!("{name}.bn{j}"), conv);
        let convs = (1..).zip(specs).map(build).collect();
        let downsample = spec.has_shortcut(stage, i).then(|| {
            let shortcut = ConvSpec { stride, ..conv([input, output], 1) };
            ConvBn::build(builder, &format!("{name}.downsample.0"), &format!("{name}.downsample.1"), shortcut)
        });
        Self { convs, downsample }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let last = self.convs.len() - 1;
        let y = self.convs[..last].iter().fold(x.clone(), |y, conv| relu(conv.forward(y)));
        let y = self.convs[last].forward(y);
        let shortcut = match &self.downsample {
            Some(conv) => conv.forward(x),
            None => x,
        };
        relu(y + shortcut)
    }
}
