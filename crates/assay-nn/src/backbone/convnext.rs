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

use super::architecture::{Architecture, Network, StageInfo, after_steps};
use super::{Net, names};
use crate::builder::{Builder, Init};
use crate::input::ImageSize;
use crate::layers::{Conv, ConvSpec, Edges, Linear, layer_norm};

const EPSILON: f64 = 1e-6;

/// Size of a ConvNeXt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConvNeXtSize {
    /// Four stages with 3, 3, 9 and 3 blocks of 96, 192, 384 and 768 channels.
    Tiny,
    /// Four stages with 3, 3, 27 and 3 blocks of 96, 192, 384 and 768 channels.
    Small,
    /// Four stages with 3, 3, 27 and 3 blocks of 128, 256, 512 and 1024 channels.
    Base,
    /// Four stages with 3, 3, 27 and 3 blocks of 192, 384, 768 and 1536 channels.
    Large,
    /// Any other size.
    Custom {
        /// Number of blocks in each of the four stages.
        depths: [u32; 4],
        /// Number of channels of the first stage; each later stage has twice as many as the one before.
        width: u32,
    },
}

/// Parameters of a ConvNeXt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConvNeXt {
    /// Size of the network.
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
}

impl Architecture for ConvNeXt {
    fn name(&self) -> &'static str {
        "ConvNeXt"
    }

    fn build(&self, builder: &mut Builder<'_>) -> Option<Net> {
        Some(Net::ConvNeXt(ConvNeXtNet::build(builder, self)))
    }

    fn stages(&self) -> Vec<StageInfo> {
        let width = self.shape().1;
        let stage = |i| StageInfo {
            name: format!("layer{}", i + 1),
            channels: width << i,
            stride: 4usize << i,
            rounds_up: false,
        };
        (0..4).map(stage).collect()
    }

    /// Inside its blocks, there are four times as many channels as between them.
    fn largest_map(&self, image: ImageSize) -> usize {
        self.stages().iter().map(|stage| 4 * stage.channels * stage.map_size(image).area()).max().unwrap_or(0)
    }

    fn min_image_size(&self) -> usize {
        32
    }

    /// The norm at the end is made for pooled features.
    fn goes_on_after_stages(&self) -> bool {
        true
    }

    fn classifier(&self) -> Option<&'static str> {
        Some("head")
    }

    fn namings(&self) -> Vec<assay_weights::Naming> {
        names::of_convnext()
    }

    fn invalid_because(&self) -> Option<&'static str> {
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
    fn build(builder: &mut Builder<'_>, spec: &ConvNeXt) -> Self {
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

    fn stage(&self, i: usize, mut x: Tensor<4>) -> Tensor<4> {
        let stage = &self.stages[i];
        if let Some(norm) = &stage.norm {
            x = normalised(x, norm);
        }
        x = stage.down.forward(x);
        if i == 0 {
            x = normalised(x, &self.stem_norm);
        }
        stage.blocks.iter().fold(x, |x, block| block.forward(x))
    }
}

impl Network for ConvNeXtNet {
    fn depth(&self) -> usize {
        self.stages.len()
    }

    fn stages(&self, x: Tensor<4>, wanted: &[usize]) -> Vec<Tensor<4>> {
        after_steps(x, wanted, |i, x| self.stage(i - 1, x))
    }

    /// There is nothing to fold.
    fn prepare(&mut self, _image: ImageSize) {}

    fn finish(&self, features: Tensor<2>) -> Tensor<2> {
        self.norm.forward(features)
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
