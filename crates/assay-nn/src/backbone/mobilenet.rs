//! MobileNetV2 (Sandler et al. 2018) as torchvision and timm have it.
//!
//! Names follow torchvision: `features.0.0`, `features.N.conv.0.0`, …, `classifier.1`; timm's are translated.

use std::collections::HashMap;

use burn::module::Module;
use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::architecture::{Architecture, Network, StageInfo, after_steps};
use super::mbconv::translated;
use super::{Backbone, Net};
use crate::builder::Builder;
use crate::input::ImageSize;
use crate::layers::{ConvBn, ConvSpec, divisible};
use assay_weights::{Checkpoint, Naming};

/// Blocks after which a map is at stride 4, 8 and 16; the last stage is the end of the network.
const STAGE_ENDS: [usize; 3] = [3, 6, 13];

/// Expansion, channels, blocks and step of each stage.
const STAGES: [[usize; 4]; 7] =
    [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1]];

/// Parameters of a MobileNetV2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MobileNetV2 {
    /// Factor on the channels of the published network. Default: 1.0.
    #[serde(default = "one")]
    pub width: f32,
}

fn one() -> f32 {
    1.0
}

impl MobileNetV2 {
    fn scaled(&self, channels: usize) -> usize {
        divisible(channels as f64 * f64::from(self.width), 8, 0.9)
    }

    /// Channels of the last map.
    fn last_channels(&self) -> usize {
        divisible(1280.0 * f64::from(self.width).max(1.0), 8, 0.9)
    }

    /// torchvision's names of layers, by timm's.
    fn names_of_timm(&self) -> HashMap<String, String> {
        let mut table = vec![("conv_stem".to_owned(), "features.0.0".to_owned())];
        table.push(("bn1".to_owned(), "features.0.1".to_owned()));
        let mut at = 1;
        for (i, [expansion, _, depth, _]) in STAGES.into_iter().enumerate() {
            for j in 0..depth {
                let convs: &[&str] =
                    if expansion == 1 { &["conv_dw", "conv_pw"] } else { &["conv_pw", "conv_dw", "conv_pwl"] };
                for (k, conv) in convs.iter().enumerate() {
                    let theirs = |layer: &str| format!("blocks.{i}.{j}.{layer}");
                    // The last convolution of a block has no number below its own.
                    let ours = if k + 1 == convs.len() {
                        [format!("features.{at}.conv.{k}"), format!("features.{at}.conv.{}", k + 1)]
                    } else {
                        [0, 1].map(|part| format!("features.{at}.conv.{k}.{part}"))
                    };
                    table.extend([theirs(conv), theirs(&format!("bn{}", k + 1))].into_iter().zip(ours));
                }
                at += 1;
            }
        }
        table.push(("conv_head".to_owned(), format!("features.{at}.0")));
        table.push(("bn2".to_owned(), format!("features.{at}.1")));
        table.push(("classifier".to_owned(), "classifier.1".to_owned()));
        table.into_iter().collect()
    }

    /// Channels in, inside and out of every block, and its step.
    fn blocks(&self) -> Vec<([usize; 3], usize)> {
        let mut input = self.scaled(32);
        let mut blocks = Vec::new();
        for [expansion, channels, depth, step] in STAGES {
            let output = self.scaled(channels);
            for i in 0..depth {
                blocks.push(([input, input * expansion, output], if i == 0 { step } else { 1 }));
                input = output;
            }
        }
        blocks
    }
}

impl Architecture for MobileNetV2 {
    fn name(&self) -> &'static str {
        "MobileNetV2"
    }

    fn build(&self, builder: &mut Builder<'_>) -> Option<Net> {
        Some(Net::MobileNetV2(MobileNetV2Net::build(builder, self)))
    }

    fn stages(&self) -> Vec<StageInfo> {
        let blocks = self.blocks();
        let channels = STAGE_ENDS.map(|end| blocks[end - 1].0[2]).into_iter().chain([self.last_channels()]);
        let stage = |(i, channels)| StageInfo {
            name: format!("layer{}", i + 1),
            channels,
            stride: 4usize << i,
            rounds_up: true,
        };
        channels.enumerate().map(stage).collect()
    }

    fn largest_map(&self, image: ImageSize) -> usize {
        let mut stride = 2;
        let mut largest = 0;
        for ([_, inner, output], step) in self.blocks() {
            let area = |stride| image.map(|side| side.div_ceil(stride)).area();
            largest = largest.max(inner * area(stride));
            stride *= step;
            largest = largest.max(inner.max(output) * area(stride));
        }
        largest.max(self.last_channels() * image.map(|side| side.div_ceil(stride)).area())
    }

    fn min_image_size(&self) -> usize {
        32
    }

    fn has_points(&self) -> bool {
        false
    }

    fn classifier(&self) -> Option<&'static str> {
        Some("classifier.1")
    }

    fn namings(&self) -> Vec<Naming> {
        let table = self.names_of_timm();
        vec![Naming {
            name: "timm",
            advice: None,
            translate: Box::new(move |tensors| translated(tensors, "conv_stem.weight", &table)),
        }]
    }

    fn invalid_because(&self) -> Option<&'static str> {
        (!(0.05..=4.0).contains(&self.width)).then_some("`width` must be from 0.05 to 4")
    }
}

/// The published widths, where a file has a name that these networks have.
pub fn candidates(checkpoint: &Checkpoint) -> Vec<Backbone> {
    let is_first = |name: &String| name.ends_with("conv_stem.weight") || name.ends_with("features.0.0.weight");
    if !checkpoint.tensors.keys().any(is_first) {
        return Vec::new();
    }
    [0.35, 0.5, 0.75, 1.4].map(|width| Backbone::MobileNetV2(MobileNetV2 { width })).into()
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
    fn build(builder: &mut Builder<'_>, spec: &MobileNetV2) -> Self {
        let stem = ConvSpec::new(3, spec.scaled(32), 3, 2);
        let first = ConvBn::build(builder, "features.0.0", "features.0.1", stem);
        let shapes = spec.blocks();
        let mut block = |(i, (channels, stride)): (usize, &([usize; 3], usize))| {
            Block::build(builder, &format!("features.{}.conv", i + 1), *channels, *stride)
        };
        let blocks: Vec<Block> = shapes.iter().enumerate().map(&mut block).collect();
        let at = blocks.len() + 1;
        let last = ConvSpec::new(shapes[blocks.len() - 1].0[2], spec.last_channels(), 1, 1);
        let last = ConvBn::build(builder, &format!("features.{at}.0"), &format!("features.{at}.1"), last);
        Self { first, blocks, last }
    }

    fn stage(&self, i: usize, x: Tensor<4>) -> Tensor<4> {
        let begin = if i == 0 { 0 } else { STAGE_ENDS[i - 1] };
        match STAGE_ENDS.get(i) {
            Some(end) => self.blocks[begin..*end].iter().fold(x, |x, block| block.forward(x)),
            None => {
                let x = self.blocks[begin..].iter().fold(x, |x, block| block.forward(x));
                relu6(self.last.forward(x))
            }
        }
    }
}

impl Network for MobileNetV2Net {
    fn depth(&self) -> usize {
        STAGE_ENDS.len() + 1
    }

    fn stages(&self, x: Tensor<4>, wanted: &[usize]) -> Vec<Tensor<4>> {
        after_steps(relu6(self.first.forward(x)), wanted, |i, x| self.stage(i - 1, x))
    }

    fn prepare(&mut self, _image: ImageSize) {
        self.first.fold();
        self.blocks.iter_mut().flat_map(|block| &mut block.convs).for_each(ConvBn::fold);
        self.last.fold();
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
