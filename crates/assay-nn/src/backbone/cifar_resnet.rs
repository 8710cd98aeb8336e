//! The ResNets for CIFAR of He et al. (2016, §4.2): three stages of 16, 32 and 64 channels, shortcuts without parameters
//! (option A: every second pixel, missing channels zero on both sides).
//!
//! Names follow github.com/akamaster/pytorch_resnet_cifar10: `conv1`, `bn1`, `layerS.B.conv1`, …, `linear`.

use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::{Tensor, s};

use super::Net;
use super::architecture::{Architecture, Network, StageInfo, after_steps};
use crate::builder::{Builder, Init};
use crate::input::ImageSize;
use crate::layers::{ConvBn, ConvSpec};

/// Channels of each stage.
const WIDTHS: [usize; 3] = [16, 32, 64];

/// A CIFAR ResNet of depth 6n + 2.
pub struct CifarResNet {
    /// Name of the network as written in an experiment.
    pub name: &'static str,
    /// n, the blocks in each of the three stages.
    pub blocks: usize,
}

impl Architecture for CifarResNet {
    fn numbers_stages(&self) -> bool {
        true
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn build(&self, builder: &mut Builder<'_>) -> Option<Net> {
        Some(Net::CifarResNet(CifarResNetNet::build(builder, self.blocks)))
    }

    fn stages(&self) -> Vec<StageInfo> {
        let stage = |(i, channels)| StageInfo {
            name: format!("layer{}", i + 1),
            channels,
            stride: 1usize << i,
            rounds_up: true,
        };
        WIDTHS.into_iter().enumerate().map(stage).collect()
    }

    fn largest_map(&self, image: ImageSize) -> usize {
        WIDTHS[0] * image.area()
    }

    fn min_image_size(&self) -> usize {
        4
    }

    fn has_points(&self) -> bool {
        false
    }

    fn classifier(&self) -> Option<&'static str> {
        Some("linear")
    }
}

/// The network.
#[derive(Module, Debug)]
pub struct CifarResNetNet {
    stem: ConvBn,
    stages: Vec<Vec<Block>>,
}

#[derive(Module, Debug)]
struct Block {
    first: ConvBn,
    second: ConvBn,
    stride: usize,
    added: usize,
}

fn conv3(input: usize, output: usize, stride: usize) -> ConvSpec {
    ConvSpec { init: |fan_in, _| Init::Kaiming(fan_in), ..ConvSpec::new(input, output, 3, stride) }
}

impl CifarResNetNet {
    fn build(builder: &mut Builder<'_>, n: usize) -> Self {
        let stem = ConvBn::build(builder, "conv1", "bn1", conv3(3, WIDTHS[0], 1));
        let mut stages = Vec::new();
        let mut input = WIDTHS[0];
        for (stage, width) in WIDTHS.into_iter().enumerate() {
            let mut blocks = Vec::new();
            for i in 0..n {
                let stride = if stage > 0 && i == 0 { 2 } else { 1 };
                let name = format!("layer{}.{i}", stage + 1);
                let mut conv =
                    |j: usize, spec| ConvBn::build(builder, &format!("{name}.conv{j}"), &format!("{name}.bn{j}"), spec);
                let first = conv(1, conv3(input, width, stride));
                let second = conv(2, conv3(width, width, 1));
                blocks.push(Block { first, second, stride, added: width - input });
                input = width;
            }
            stages.push(blocks);
        }
        Self { stem, stages }
    }
}

impl Network for CifarResNetNet {
    fn depth(&self) -> usize {
        self.stages.len()
    }

    fn stages(&self, x: Tensor<4>, wanted: &[usize]) -> Vec<Tensor<4>> {
        let x = relu(self.stem.forward(x));
        after_steps(x, wanted, |i, x| self.stages[i - 1].iter().fold(x, |x, block| block.forward(x)))
    }

    fn prepare(&mut self, _image: ImageSize) {
        self.stem.fold();
        for block in self.stages.iter_mut().flatten() {
            block.first.fold();
            block.second.fold();
        }
    }
}

impl Block {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.second.forward(relu(self.first.forward(x.clone())));
        relu(y + self.shortcut(x))
    }

    fn shortcut(&self, x: Tensor<4>) -> Tensor<4> {
        let x = if self.stride == 2 { x.slice(s![.., .., 0..;2, 0..;2]) } else { x };
        if self.added == 0 {
            return x;
        }
        let [b, _, h, w] = x.dims();
        let zeros = Tensor::zeros([b, self.added / 2, h, w], &x.device());
        Tensor::cat(vec![zeros.clone(), x, zeros], 1)
    }
}
