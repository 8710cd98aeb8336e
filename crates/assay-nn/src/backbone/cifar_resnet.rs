//! The ResNets for CIFAR of He et al. (2016, §4.2): three stages of 16, 32 and 64 channels, shortcuts without parameters
//! (option A: every second pixel, missing channels zero on both sides).
//!
//! Names follow github.com/akamaster/pytorch_resnet_cifar10: `conv1`, `bn1`, `layerS.B.conv1`, …, `linear`.

use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::{Tensor, s};

use crate::builder::{Builder, Init};
use crate::layers::{ConvBn, ConvSpec, global_average_pool};

/// The network.
#[derive(Module, Debug)]
pub struct CifarResNet {
    stem: ConvBn,
    blocks: Vec<Block>,
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

impl CifarResNet {
    /// Depth 6n + 2.
    pub(super) fn build(builder: &mut Builder<'_>, n: usize) -> Self {
        let stem = ConvBn::build(builder, "conv1", "bn1", conv3(3, 16, 1));
        let mut blocks = Vec::new();
        let mut input = 16;
        for (stage, width) in [16, 32, 64].into_iter().enumerate() {
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
        }
        Self { stem, blocks }
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = relu(self.stem.forward(x));
        global_average_pool(self.blocks.iter().fold(x, |x, block| block.forward(x)))
    }

    pub(super) fn fold(self) -> Self {
        let fold = |b: Block| Block { first: b.first.fold(), second: b.second.fold(), ..b };
        Self { stem: self.stem.fold(), blocks: self.blocks.into_iter().map(fold).collect() }
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
