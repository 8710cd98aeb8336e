//! torchvision's ResNets (He et al. 2016), version 1.5: the stride of a bottleneck is in its 3×3 convolution. With other
//! numbers they are Wide ResNets (Zagoruyko and Komodakis 2016) and ResNeXts (Xie et al. 2017).
//!
//! Names follow torchvision: `conv1`, `bn1`, `layerS.B.convI`, `layerS.B.downsample.0`, …, `fc`.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::point::{Activation, FeaturePoint};
use crate::builder::Builder;
use crate::layers::{ConvBn, ConvSpec, Padding, max_pool};

/// Which kind of block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ResNetBlock {
    /// 3×3, 3×3, as in ResNet-18 and -34.
    Basic,
    /// 1×1, 3×3, 1×1 with four times the width, as in the deeper ones.
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

/// Parameters of a ResNet; where nothing is said, those of ResNet-50.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResNet {
    /// Kind of block.
    #[serde(default)]
    pub block: ResNetBlock,
    /// Blocks in each of the four stages.
    #[serde(default = "depths")]
    pub depths: [u32; 4],
    /// Channels of the first stage; every stage has twice those of the one before.
    #[serde(default = "width")]
    pub width: u32,
    /// Groups of the 3×3 convolutions, 32 in ResNeXt-50.
    #[serde(default = "groups")]
    pub groups: u32,
    /// Channels of a group in the first stage when `width` is 64; 4 in ResNeXt-50, 128 in Wide ResNet-50-2.
    #[serde(default = "group_width")]
    pub group_width: u32,
    /// How the edges of images are padded.
    #[serde(default)]
    pub padding: Padding,
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
        Self { block, depths, width: 64, groups: 1, group_width: 64, padding: Padding::Torch }
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
    pub(super) fn channels(&self, stage: usize) -> usize {
        ((self.width as usize) << (stage - 1)) * self.block.expansion()
    }

    /// Channels inside the blocks of the stage with this number, from 0.
    fn inner(&self, stage: usize) -> usize {
        ((self.width as usize) << stage) * self.group_width as usize / 64 * self.groups as usize
    }

    /// Pixels on a side after this stage, of so many before the network.
    pub(super) fn side(&self, stage: usize, side: usize) -> usize {
        (0..=stage).fold(side, |side, _| side.div_ceil(2))
    }

    /// What is wrong with the numbers.
    pub(super) fn invalid_because(&self) -> Option<&'static str> {
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
    pub(super) fn build(builder: &mut Builder<'_>, spec: &ResNet) -> Self {
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

    pub(super) fn forward(&self, x: Tensor<4>, point: &FeaturePoint) -> Activation {
        let x = relu(self.stem.forward(x));
        let x = max_pool(x, 3, 2, self.padding.pool());
        let stages = &self.stages[..point.layer.unwrap_or(self.stages.len())];
        Activation::Map(stages.iter().flatten().fold(x, |x, block| block.forward(x)))
    }

    pub(super) fn fold(self) -> Self {
        let stages = self.stages.into_iter().map(|blocks| blocks.into_iter().map(Residual::fold).collect());
        Self { stem: self.stem.fold(), stages: stages.collect(), padding: self.padding }
    }
}

impl Residual {
    fn build(builder: &mut Builder<'_>, spec: &ResNet, (stage, i): (usize, u32), input: usize) -> Self {
        let name = format!("layer{}.{i}", stage + 1);
        let (inner, output) = (spec.inner(stage), spec.channels(stage + 1));
        let stride = if stage > 0 && i == 0 { 2 } else { 1 };
        let conv = |[a, b]: [usize; 2], kernel, stride| ConvSpec {
            edges: spec.padding.conv(),
            ..ConvSpec::new(a, b, kernel, stride)
        };
        let specs = match spec.block {
            ResNetBlock::Basic => vec![conv([input, output], 3, stride), conv([output, output], 3, 1)],
            ResNetBlock::Bottleneck => vec![
                conv([input, inner], 1, 1),
                ConvSpec { groups: spec.groups as usize, ..conv([inner, inner], 3, stride) },
                conv([inner, output], 1, 1),
            ],
        };
        let build = |(j, conv)| ConvBn::build(builder, &format!("{name}.conv{j}"), &format!("{name}.bn{j}"), conv);
        let convs = (1..).zip(specs).map(build).collect();
        let downsample = spec.has_shortcut(stage, i).then(|| {
            let shortcut = conv([input, output], 1, stride);
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

    fn fold(self) -> Self {
        Self {
            convs: self.convs.into_iter().map(ConvBn::fold).collect(),
            downsample: self.downsample.map(ConvBn::fold),
        }
    }
}
