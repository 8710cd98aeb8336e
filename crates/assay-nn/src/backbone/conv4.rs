//! Conv-4: four blocks of 3×3 convolution with bias, batch normalisation, ReLU and 2×2 max pooling; flattened.
//!
//! Names: `i.0` the convolution of block i, `i.1` its normalisation, as `nn.Sequential` counts them.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::builder::{Builder, Init};
use crate::layers::{ConvBn, ConvSpec, Edges, max_pool};

/// Channels of each block where nothing else is said.
pub const CONV4_WIDTH: u32 = 64;

/// Parameters of Conv-4.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conv4 {
    /// Channels of the input: 1 for grey, 3 for RGB.
    #[serde(default = "rgb")]
    pub channels: u32,
    /// Channels of every block.
    #[serde(default = "width")]
    pub width: u32,
}

impl Conv4 {
    /// What is wrong with the numbers.
    pub(super) fn invalid_because(&self) -> Option<&'static str> {
        if ![1, 3].contains(&self.channels) {
            Some("`channels` must be 1 (grey) or 3 (RGB)")
        } else if !(1..=4096).contains(&self.width) {
            Some("`width` must be from 1 to 4096")
        } else {
            None
        }
    }
}

fn rgb() -> u32 {
    3
}

fn width() -> u32 {
    CONV4_WIDTH
}

/// The network.
#[derive(Module, Debug)]
pub struct Conv4Net {
    blocks: Vec<ConvBn>,
}

impl Conv4Net {
    pub(super) fn build(builder: &mut Builder<'_>, spec: &Conv4) -> Self {
        let width = spec.width as usize;
        let mut block = |i: usize| {
            let input = if i == 0 { spec.channels as usize } else { width };
            let init = |fan_in, _| Init::UniformFanIn(fan_in);
            let conv = ConvSpec { bias: true, init, ..ConvSpec::new(input, width, 3, 1) };
            ConvBn::build(builder, &format!("{i}.0"), &format!("{i}.1"), conv)
        };
        Self { blocks: (0..4).map(&mut block).collect() }
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        self.blocks.iter().fold(x, |x, block| max_pool(relu(block.forward(x)), 2, 2, Edges::None)).flatten(1, 3)
    }

    pub(super) fn fold(self) -> Self {
        Self { blocks: self.blocks.into_iter().map(ConvBn::fold).collect() }
    }
}
