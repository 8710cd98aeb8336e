//! ConvNeXt (Liu et al. 2022).
//!
//! Names follow the authors (`downsample_layers.0.0`, `stages.S.B.dwconv`, `norm`, …, `head`); those of timm and torchvision are
//! translated in `names`.

use burn::module::{Module, Param};
use burn::nn::LayerNorm;
use burn::tensor::Tensor;
use burn::tensor::activation::gelu;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::point::{Activation, FeaturePoint};
use crate::builder::{Builder, Init};
use crate::layers::{Conv, ConvSpec, Edges, Linear, layer_norm};

const EPSILON: f64 = 1e-6;

/// How large a ConvNeXt is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConvNeXtSize {
    /// 3, 3, 9, 3 blocks of 96, 192, 384, 768 channels.
    Tiny,
    /// 3, 3, 27, 3 blocks of 96, 192, 384, 768 channels.
    Small,
    /// 3, 3, 27, 3 blocks of 128, 256, 512, 1024 channels.
    Base,
    /// 3, 3, 27, 3 blocks of 192, 384, 768, 1536 channels.
    Large,
    /// Any other.
    Custom {
        /// Blocks of each stage.
        depths: [u32; 4],
        /// Channels of the first stage; every stage has twice those of the one before.
        width: u32,
    },
}

/// Parameters of a ConvNeXt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConvNeXt {
    /// How large it is.
    pub size: ConvNeXtSize,
}

impl ConvNeXt {
    fn shape(&self) -> ([u32; 4], usize) {
        match &self.size {
            ConvNeXtSize::Tiny => ([3, 3, 9, 3], 96),
            ConvNeXtSize::Small => ([3, 3, 27, 3], 96),
            ConvNeXtSize::Base => ([3, 3, 27, 3], 128),
            ConvNeXtSize::Large => ([3, 3, 27, 3], 192),
            ConvNeXtSize::Custom { depths, width } => (*depths, *width as usize),
        }
    }

    /// Channels after the stage with this number, from 1.
    pub(super) fn channels(&self, stage: usize) -> usize {
        self.shape().1 << (stage - 1)
    }

    /// Pixels on a side after this stage, of so many before the network.
    pub(super) fn side(stage: usize, side: usize) -> usize {
        (1..stage).fold(side / 4, |side, _| side / 2)
    }

    /// What is wrong with the numbers.
    pub(super) fn invalid_because(&self) -> Option<&'static str> {
        let (depths, width) = self.shape();
        if depths.iter().any(|d| !(1..=200).contains(d)) || !(1..=1024).contains(&width) {
            Some("`depths` must be from 1 to 200, and `width` from 1 to 1024")
        } else {
            None
        }
    }
}

/// The network.
#[derive(Module, Debug)]
pub struct ConvNeXtNet {
    stages: Vec<Stage>,
    stem_norm: LayerNorm,
    norm: LayerNorm,
}

#[derive(Module, Debug)]
struct Stage {
    /// Before the convolution; after it in the stem.
    norm: Option<LayerNorm>,
    down: Conv,
    blocks: Vec<Block>,
}

#[derive(Module, Debug)]
struct Block {
    depthwise: Conv,
    norm: LayerNorm,
    expand: Linear,
    shrink: Linear,
    scale: Param<Tensor<1>>,
}

fn conv(input: usize, output: usize, kernel: usize, stride: usize) -> ConvSpec {
    ConvSpec {
        bias: true,
        edges: Edges::None,
        init: |_, _| Init::Normal(0.02),
        ..ConvSpec::new(input, output, kernel, stride)
    }
}

impl ConvNeXtNet {
    pub(super) fn build(builder: &mut Builder<'_>, spec: &ConvNeXt) -> Self {
        let (depths, width) = spec.shape();
        let stem = Conv::build(builder, "downsample_layers.0.0", conv(3, width, 4, 4));
        let stem_norm = layer_norm(builder, "downsample_layers.0.1", width, EPSILON);
        let mut downs = vec![(None, stem)];
        for stage in 1..4 {
            let (input, output) = (width << (stage - 1), width << stage);
            let norm = layer_norm(builder, &format!("downsample_layers.{stage}.0"), input, EPSILON);
            downs.push((
                Some(norm),
                Conv::build(builder, &format!("downsample_layers.{stage}.1"), conv(input, output, 2, 2)),
            ));
        }
        let mut stages = Vec::new();
        for (stage, (norm, down)) in downs.into_iter().enumerate() {
            let block = |i| Block::build(builder, &format!("stages.{stage}.{i}"), width << stage);
            stages.push(Stage { norm, down, blocks: (0..depths[stage]).map(block).collect() });
        }
        let norm = layer_norm(builder, "norm", width << 3, EPSILON);
        Self { stages, stem_norm, norm }
    }

    pub(super) fn forward(&self, x: Tensor<4>, point: &FeaturePoint) -> Activation {
        let mut x = x;
        for (i, stage) in self.stages[..point.layer.unwrap_or(self.stages.len())].iter().enumerate() {
            if let Some(norm) = &stage.norm {
                x = normalised(x, norm);
            }
            x = stage.down.forward(x);
            if i == 0 {
                x = normalised(x, &self.stem_norm);
            }
            x = stage.blocks.iter().fold(x, |x, block| block.forward(x));
        }
        Activation::Map(x)
    }

    /// What comes after the pool, at the end of the network: B × D → B × D
    pub(super) fn finish(&self, x: Tensor<2>) -> Tensor<2> {
        self.norm.forward(x)
    }
}

impl Block {
    fn build(builder: &mut Builder<'_>, name: &str, width: usize) -> Self {
        let depthwise = ConvSpec { groups: width, edges: Edges::Half, ..conv(width, width, 7, 1) };
        Self {
            depthwise: Conv::build(builder, &format!("{name}.dwconv"), depthwise),
            norm: layer_norm(builder, &format!("{name}.norm"), width, EPSILON),
            expand: Linear::named(builder, &format!("{name}.pwconv1"), [width, 4 * width]),
            shrink: Linear::named(builder, &format!("{name}.pwconv2"), [4 * width, width]),
            scale: builder.parameter(&format!("{name}.gamma"), [width], Init::Constant(1e-6)),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.depthwise.forward(x.clone());
        let [b, c, h, w] = y.dims();
        let y = self.norm.forward(positions(y));
        let y = self.shrink.forward(gelu(self.expand.forward(y))) * self.scale.val().unsqueeze();
        x + y.swap_dims(1, 2).reshape([b, c, h, w])
    }
}

/// B × C × H × W → B × HW × C
fn positions(x: Tensor<4>) -> Tensor<3> {
    let [b, c, h, w] = x.dims();
    x.reshape([b, c, h * w]).swap_dims(1, 2)
}

/// Normalised over channels.
fn normalised(x: Tensor<4>, norm: &LayerNorm) -> Tensor<4> {
    let [b, c, h, w] = x.dims();
    norm.forward(positions(x)).swap_dims(1, 2).reshape([b, c, h, w])
}
