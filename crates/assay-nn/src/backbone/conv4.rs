//! Conv-4: four blocks of 3×3 convolution with bias, batch normalisation, ReLU and 2×2 max pooling; flattened.
//!
//! Names: `i.0` the convolution of block i, `i.1` its normalisation, as `nn.Sequential` counts them.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Net;
use super::architecture::{Architecture, Network, StageInfo, after_steps};
use super::point::Pool;
use crate::builder::{Builder, Init};
use crate::input::ImageSize;
use crate::layers::{ConvBn, ConvSpec, Edges, max_pool};

/// Default of `Conv4(width)`: channels of each block.
pub const CONV4_WIDTH: u32 = 64;

/// Parameters of Conv-4.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conv4 {
    /// Number of channels of the images: 1 for grey, 3 for RGB. Default: 3.
    #[serde(default = "rgb")]
    pub channels: u32,
    /// Number of channels of every block. Default: 64.
    #[serde(default = "width")]
    pub width: u32,
}

/// Number of blocks.
const BLOCKS: usize = 4;

impl Architecture for Conv4 {
    fn numbers_stages(&self) -> bool {
        true
    }

    fn name(&self) -> &'static str {
        "Conv4"
    }

    fn build(&self, builder: &mut Builder<'_>) -> Option<Net> {
        Some(Net::Conv4(Conv4Net::build(builder, self)))
    }

    fn stages(&self) -> Vec<StageInfo> {
        let channels = self.width as usize;
        let stage = |i| StageInfo { name: format!("block{i}"), channels, stride: 1usize << i, rounds_up: false };
        (1..=BLOCKS).map(stage).collect()
    }

    fn largest_map(&self, image: ImageSize) -> usize {
        self.width as usize * image.area()
    }

    fn min_image_size(&self) -> usize {
        16
    }

    fn pool(&self) -> Pool {
        Pool::Flat
    }

    fn has_points(&self) -> bool {
        false
    }

    fn channels(&self) -> Option<usize> {
        Some(self.channels as usize)
    }

    fn invalid_because(&self) -> Option<&'static str> {
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
    fn build(builder: &mut Builder<'_>, spec: &Conv4) -> Self {
        let width = spec.width as usize;
        let mut block = |i: usize| {
            let input = if i == 0 { spec.channels as usize } else { width };
            let init = |fan_in, _| Init::UniformFanIn(fan_in);
            let conv = ConvSpec { bias: true, init, ..ConvSpec::new(input, width, 3, 1) };
            ConvBn::build(builder, &format!("{i}.0"), &format!("{i}.1"), conv)
        };
        Self { blocks: (0..BLOCKS).map(&mut block).collect() }
    }
}

impl Network for Conv4Net {
    fn depth(&self) -> usize {
        self.blocks.len()
    }

    fn stages(&self, x: Tensor<4>, wanted: &[usize]) -> Vec<Tensor<4>> {
        after_steps(x, wanted, |i, x| max_pool(relu(self.blocks[i - 1].forward(x)), 2, 2, Edges::None))
    }

    fn prepare(&mut self, _image: ImageSize) {
        self.blocks.iter_mut().for_each(ConvBn::fold);
    }

    fn pool(&self) -> Pool {
        Pool::Flat
    }
}
