//! MobileNetV2 (Sandler et al. 2018) as torchvision has it.
//!
//! Names follow torchvision: `features.0.0`, `features.N.conv.0.0`, …, `classifier.1`.

use burn::module::Module;
use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::point::Activation;
use crate::builder::Builder;
use crate::layers::{ConvBn, ConvSpec};

/// Expansion, channels, blocks and step of each stage.
const STAGES: [[usize; 4]; 7] =
    [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1]];

/// Parameters of a MobileNetV2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MobileNetV2 {
    /// Channels relative to the published network.
    #[serde(default = "one")]
    pub width: f32,
}

fn one() -> f32 {
    1.0
}

impl MobileNetV2 {
    fn channels(&self, channels: usize) -> usize {
        divisible(channels as f64 * f64::from(self.width))
    }

    /// Features.
    pub(super) fn features(&self) -> usize {
        divisible(1280.0 * f64::from(self.width).max(1.0))
    }

    /// What is wrong with the numbers.
    pub(super) fn invalid_because(&self) -> Option<&'static str> {
        (!(0.05..=4.0).contains(&self.width)).then_some("`width` must be from 0.05 to 4")
    }
}

/// torchvision's `_make_divisible` by 8.
fn divisible(wanted: f64) -> usize {
    let rounded = ((wanted + 4.0) as usize / 8 * 8).max(8);
    if (rounded as f64) < 0.9 * wanted { rounded + 8 } else { rounded }
}

/// The network.
#[derive(Module, Debug)]
pub struct MobileNetV2Net {
    first: ConvBn,
    blocks: Vec<Block>,
    last: ConvBn,
}

#[derive(Module, Debug)]
struct Block {
    /// All but the last end in ReLU6.
    convs: Vec<ConvBn>,
    is_residual: bool,
}

fn relu6(x: Tensor<4>) -> Tensor<4> {
    x.clamp(0.0, 6.0)
}

impl MobileNetV2Net {
    pub(super) fn build(builder: &mut Builder<'_>, spec: &MobileNetV2) -> Self {
        let mut input = spec.channels(32);
        let first = ConvBn::build(builder, "features.0.0", "features.0.1", ConvSpec::new(3, input, 3, 2));
        let mut blocks = Vec::new();
        for [expansion, channels, depth, step] in STAGES {
            let output = spec.channels(channels);
            for i in 0..depth {
                let stride = if i == 0 { step } else { 1 };
                let name = format!("features.{}.conv", blocks.len() + 1);
                blocks.push(Block::build(builder, &name, [input, input * expansion, output], stride));
                input = output;
            }
        }
        let at = blocks.len() + 1;
        let last = ConvSpec::new(input, spec.features(), 1, 1);
        let last = ConvBn::build(builder, &format!("features.{at}.0"), &format!("features.{at}.1"), last);
        Self { first, blocks, last }
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Activation {
        let x = relu6(self.first.forward(x));
        let x = self.blocks.iter().fold(x, |x, block| block.forward(x));
        Activation::Map(relu6(self.last.forward(x)))
    }

    pub(super) fn fold(self) -> Self {
        let fold = |b: Block| Block { convs: b.convs.into_iter().map(ConvBn::fold).collect(), ..b };
        Self { first: self.first.fold(), blocks: self.blocks.into_iter().map(fold).collect(), last: self.last.fold() }
    }
}

impl Block {
    fn build(builder: &mut Builder<'_>, name: &str, [input, inner, output]: [usize; 3], stride: usize) -> Self {
        let mut convs = Vec::new();
        if inner != input {
            let widen = ConvSpec::new(input, inner, 1, 1);
            convs.push(ConvBn::build(builder, &format!("{name}.0.0"), &format!("{name}.0.1"), widen));
        }
        let at = convs.len();
        let depthwise = ConvSpec { groups: inner, ..ConvSpec::new(inner, inner, 3, stride) };
        convs.push(ConvBn::build(builder, &format!("{name}.{at}.0"), &format!("{name}.{at}.1"), depthwise));
        let narrow = ConvSpec::new(inner, output, 1, 1);
        convs.push(ConvBn::build(builder, &format!("{name}.{}", at + 1), &format!("{name}.{}", at + 2), narrow));
        Self { convs, is_residual: stride == 1 && input == output }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let last = self.convs.len() - 1;
        let y = self.convs[..last].iter().fold(x.clone(), |y, conv| relu6(conv.forward(y)));
        let y = self.convs[last].forward(y);
        if self.is_residual { x + y } else { y }
    }
}
