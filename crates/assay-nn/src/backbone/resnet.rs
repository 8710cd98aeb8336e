//! torchvision's ResNets (He et al. 2016), version 1.5: the stride of a bottleneck is in its 3×3 convolution.
//!
//! Names follow torchvision: `conv1`, `bn1`, `layerS.B.convI`, `layerS.B.downsample.0`, …, `fc`.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use crate::builder::{Builder, Init};
use crate::layers::{ConvBn, ConvSpec, global_average_pool, max_pool};

/// The network.
#[derive(Module, Debug)]
pub struct ResNet {
    stem: ConvBn,
    blocks: Vec<Residual>,
}

/// Which kind of block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// 3×3, 3×3.
    Basic,
    /// 1×1, 3×3, 1×1 with four times the width.
    Bottleneck,
}

impl Block {
    fn expansion(self) -> usize {
        match self {
            Self::Basic => 1,
            Self::Bottleneck => 4,
        }
    }
}

#[derive(Module, Debug)]
struct Residual {
    convs: Vec<ConvBn>,
    downsample: Option<ConvBn>,
}

fn conv(input: usize, output: usize, kernel: usize, stride: usize) -> ConvSpec {
    ConvSpec { channels: [input, output], kernel, stride, bias: false, init: |_, fan_out| Init::Kaiming(fan_out) }
}

impl ResNet {
    pub(super) fn build(builder: &mut Builder<'_>, block: Block, depths: [usize; 4]) -> Self {
        let stem = ConvBn::build(builder, "conv1", "bn1", conv(3, 64, 7, 2));
        let mut blocks = Vec::new();
        let mut input = 64;
        for (stage, depth) in depths.into_iter().enumerate() {
            let width = 64 << stage;
            for i in 0..depth {
                let stride = if stage > 0 && i == 0 { 2 } else { 1 };
                blocks.push(Residual::build(
                    builder,
                    &format!("layer{}.{i}", stage + 1),
                    block,
                    [input, width],
                    stride,
                ));
                input = width * block.expansion();
            }
        }
        Self { stem, blocks }
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = relu(self.stem.forward(x));
        let x = max_pool(x, 3, 2, 1);
        global_average_pool(self.blocks.iter().fold(x, |x, block| block.forward(x)))
    }

    pub(super) fn fold(self) -> Self {
        Self { stem: self.stem.fold(), blocks: self.blocks.into_iter().map(Residual::fold).collect() }
    }
}

impl Residual {
    fn build(builder: &mut Builder<'_>, name: &str, block: Block, [input, width]: [usize; 2], stride: usize) -> Self {
        let output = width * block.expansion();
        let specs = match block {
            Block::Basic => vec![conv(input, width, 3, stride), conv(width, width, 3, 1)],
            Block::Bottleneck => {
                vec![conv(input, width, 1, 1), conv(width, width, 3, stride), conv(width, output, 1, 1)]
            }
        };
        let named = |builder: &mut Builder<'_>, (i, spec)| {
            ConvBn::build(builder, &format!("{name}.conv{i}"), &format!("{name}.bn{i}"), spec)
        };
        let convs = (1..).zip(specs).map(|each| named(builder, each)).collect();
        let downsample = (stride != 1 || input != output).then(|| {
            ConvBn::build(
                builder,
                &format!("{name}.downsample.0"),
                &format!("{name}.downsample.1"),
                conv(input, output, 1, stride),
            )
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
