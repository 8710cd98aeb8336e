//! RegNetX and RegNetY (Radosavovic et al. 2020), among them those of SEER and SWAG.
//!
//! Names follow timm (`stem.conv`, `s1.b1.conv1.conv`, `s1.b1.se.fc1`, `s1.b1.downsample.conv`, …, `head.fc`); those of
//! torchvision, and those of Classy Vision and VISSL, in which SEER and SWAG are published, are translated.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::architecture::{Architecture, Network, StageInfo, after_steps};
use super::names::{Layout, Tensors, renamed};
use super::reading::Shapes;
use super::{Backbone, Net};
use crate::builder::Builder;
use crate::input::ImageSize;
use crate::layers::{Activation, ConvBn, ConvSpec, SqueezeExcite, SqueezeSpec};
use assay_weights::{Checkpoint, Naming, Translated};

/// Channels after the stem.
const STEM: usize = 32;

/// Size of a RegNet: `X` without layers that weigh channels, `Y` with them, and its multiplications and additions for an image of
/// 224×224.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RegNetSize {
    /// 200 million multiplications; 368 features.
    X200MF,
    /// 400 million multiplications; 384 features.
    X400MF,
    /// 600 million multiplications; 528 features.
    X600MF,
    /// 800 million multiplications; 672 features.
    X800MF,
    /// 1.6 billion multiplications; 912 features.
    X1600MF,
    /// 3.2 billion multiplications; 1008 features.
    X3200MF,
    /// 4 billion multiplications; 1360 features.
    X4000MF,
    /// 6.4 billion multiplications; 1624 features.
    X6400MF,
    /// 8 billion multiplications; 1920 features.
    X8000MF,
    /// 12 billion multiplications; 2240 features.
    X12GF,
    /// 16 billion multiplications; 2048 features.
    X16GF,
    /// 32 billion multiplications; 2520 features.
    X32GF,
    /// 200 million multiplications; 368 features.
    Y200MF,
    /// 400 million multiplications; 440 features.
    Y400MF,
    /// 600 million multiplications; 608 features.
    Y600MF,
    /// 800 million multiplications; 768 features.
    Y800MF,
    /// 1.6 billion multiplications; 888 features.
    Y1600MF,
    /// 3.2 billion multiplications; 1512 features.
    Y3200MF,
    /// 4 billion multiplications; 1088 features.
    Y4000MF,
    /// 6.4 billion multiplications; 1296 features.
    Y6400MF,
    /// 8 billion multiplications; 2016 features.
    Y8000MF,
    /// 12 billion multiplications; 2240 features.
    Y12GF,
    /// 16 billion multiplications; 3024 features.
    Y16GF,
    /// 32 billion multiplications; 3712 features.
    Y32GF,
    /// 64 billion multiplications; 4920 features.
    Y64GF,
    /// 128 billion multiplications; 7392 features.
    Y128GF,
    /// 256 billion multiplications; 10444 features.
    Y256GF,
    /// Any other size; torchvision's `x_400mf`, `y_800mf` and `y_8gf` are a little different from all others'.
    Custom {
        /// Number of blocks in each of the four stages.
        depths: [u32; 4],
        /// Number of channels after each of the four stages.
        widths: [u32; 4],
        /// Number of channels of a group of the 3×3 convolutions.
        group_width: u32,
        /// Whether channels are weighed (squeeze and excitation), as in `Y`.
        squeeze: bool,
    },
}

/// Parameters of a RegNet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegNet {
    /// Size of the network.
    pub size: RegNetSize,
}

/// Numbers of a [`RegNetSize`].
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shape {
    depths: [u32; 4],
    widths: [u32; 4],
    group_width: u32,
    squeeze: bool,
}

/// A published size, with depths, widths, channels of a group, and whether channels are weighed.
type Published = (RegNetSize, [u32; 4], [u32; 4], u32, bool);

impl RegNetSize {
    /// Those that are published.
    fn published() -> [Published; 27] {
        use RegNetSize as S;
        [
            (S::X200MF, [1, 1, 4, 7], [24, 56, 152, 368], 8, false),
            (S::X400MF, [1, 2, 7, 12], [32, 64, 160, 384], 16, false),
            (S::X600MF, [1, 3, 5, 7], [48, 96, 240, 528], 24, false),
            (S::X800MF, [1, 3, 7, 5], [64, 128, 288, 672], 16, false),
            (S::X1600MF, [2, 4, 10, 2], [72, 168, 408, 912], 24, false),
            (S::X3200MF, [2, 6, 15, 2], [96, 192, 432, 1008], 48, false),
            (S::X4000MF, [2, 5, 14, 2], [80, 240, 560, 1360], 40, false),
            (S::X6400MF, [2, 4, 10, 1], [168, 392, 784, 1624], 56, false),
            (S::X8000MF, [2, 5, 15, 1], [80, 240, 720, 1920], 120, false),
            (S::X12GF, [2, 5, 11, 1], [224, 448, 896, 2240], 112, false),
            (S::X16GF, [2, 6, 13, 1], [256, 512, 896, 2048], 128, false),
            (S::X32GF, [2, 7, 13, 1], [336, 672, 1344, 2520], 168, false),
            (S::Y200MF, [1, 1, 4, 7], [24, 56, 152, 368], 8, true),
            (S::Y400MF, [1, 3, 6, 6], [48, 104, 208, 440], 8, true),
            (S::Y600MF, [1, 3, 7, 4], [48, 112, 256, 608], 16, true),
            (S::Y800MF, [1, 3, 8, 2], [64, 128, 320, 768], 16, true),
            (S::Y1600MF, [2, 6, 17, 2], [48, 120, 336, 888], 24, true),
            (S::Y3200MF, [2, 5, 13, 1], [72, 216, 576, 1512], 24, true),
            (S::Y4000MF, [2, 6, 12, 2], [128, 192, 512, 1088], 64, true),
            (S::Y6400MF, [2, 7, 14, 2], [144, 288, 576, 1296], 72, true),
            (S::Y8000MF, [2, 4, 10, 1], [168, 448, 896, 2016], 56, true),
            (S::Y12GF, [2, 5, 11, 1], [224, 448, 896, 2240], 112, true),
            (S::Y16GF, [2, 4, 11, 1], [224, 448, 1232, 3024], 112, true),
            (S::Y32GF, [2, 5, 12, 1], [232, 696, 1392, 3712], 232, true),
            (S::Y64GF, [2, 5, 12, 1], [328, 984, 1968, 4920], 328, true),
            (S::Y128GF, [2, 7, 17, 1], [528, 1056, 2904, 7392], 264, true),
            (S::Y256GF, [2, 7, 17, 1], [746, 1492, 4103, 10444], 373, true),
        ]
    }

    fn shape(&self) -> Shape {
        if let Self::Custom { depths, widths, group_width, squeeze } = *self {
            return Shape { depths, widths, group_width, squeeze };
        }
        let found = Self::published().into_iter().find(|(size, ..)| size == self);
        let (_, depths, widths, group_width, squeeze) = found.expect("every other variant is in the table");
        Shape { depths, widths, group_width, squeeze }
    }

    fn of(shape: Shape) -> Self {
        let found = Self::published().into_iter().map(|(size, ..)| size).find(|size| size.shape() == shape);
        let Shape { depths, widths, group_width, squeeze } = shape;
        found.unwrap_or(Self::Custom { depths, widths, group_width, squeeze })
    }
}

impl Shape {
    fn widths(&self) -> [usize; 4] {
        self.widths.map(|width| width as usize)
    }

    /// Channels of a group in the stage with this number, from 0.
    fn group(&self, stage: usize) -> usize {
        (self.group_width as usize).min(self.widths()[stage]).max(1)
    }
}

impl Architecture for RegNet {
    fn name(&self) -> &'static str {
        "RegNet"
    }

    fn build(&self, builder: &mut Builder<'_>) -> Option<Net> {
        Some(Net::RegNet(RegNetNet::build(builder, self.size.shape())))
    }

    fn stages(&self) -> Vec<StageInfo> {
        let stage = |(i, channels)| StageInfo {
            name: format!("layer{}", i + 1),
            channels,
            stride: 4usize << i,
            rounds_up: true,
        };
        self.size.shape().widths().into_iter().enumerate().map(stage).collect()
    }

    /// The first convolution of a stage has the resolution of the stage before.
    fn largest_map(&self, image: ImageSize) -> usize {
        let area = |stride| image.map(|side| side.div_ceil(stride)).area();
        let stages = self.stages().into_iter().map(|stage| stage.channels * area(stage.stride / 2));
        stages.fold(STEM * area(2), usize::max)
    }

    fn min_image_size(&self) -> usize {
        1
    }

    fn classifier(&self) -> Option<&'static str> {
        Some("head.fc")
    }

    fn namings(&self) -> Vec<Naming> {
        namings()
    }

    fn invalid_because(&self) -> Option<&'static str> {
        let shape = self.size.shape();
        let is_multiple = (0..4).all(|stage| shape.widths()[stage].is_multiple_of(shape.group(stage)));
        if shape.depths.iter().any(|d| !(1..=200).contains(d)) || shape.widths.iter().any(|w| !(1..=16_384).contains(w))
        {
            Some("`depths` must be from 1 to 200, and `widths` from 1 to 16,384")
        } else if shape.group_width == 0 || !is_multiple {
            Some("`widths` must be multiples of `group_width`")
        } else {
            None
        }
    }
}

/// The RegNet whose tensors are in the file.
pub fn infer(checkpoint: &Checkpoint) -> Option<Backbone> {
    let shapes = Shapes::beside("s1.b1.conv1.conv.weight", checkpoint, &namings())?;
    let number = |n: usize| u32::try_from(n).ok();
    let depths = [1, 2, 3, 4].map(|stage| shapes.count(|i| format!("s{stage}.b{}.conv1.conv.weight", i + 1)));
    let width = |stage: u32| number(shapes.first(&format!("s{stage}.b1.conv3.conv.weight"))?);
    let widths = [width(1)?, width(2)?, width(3)?, width(4)?];
    let group_width = number(*shapes.of("s4.b1.conv2.conv.weight")?.get(1)?)?;
    let squeeze = shapes.of("s1.b1.se.fc1.weight").is_some();
    let size = RegNetSize::of(Shape { depths, widths, group_width, squeeze });
    Some(Backbone::RegNet(RegNet { size })).filter(|backbone| backbone.invalid_because().is_none())
}

fn namings() -> Vec<Naming> {
    vec![
        Naming { name: "torchvision", advice: None, translate: Box::new(torchvision) },
        Naming { name: "Classy Vision", advice: None, translate: Box::new(classy_vision) },
    ]
}

/// `stem.0.weight`, `trunk_output.block1.block1-0.f.a.0.weight`.
fn torchvision(tensors: &Tensors) -> Option<Translated<'_>> {
    let is_theirs = |name: &String| name.contains("trunk_output.block1.block1-0.f.a.0.");
    tensors.keys().any(is_theirs).then(|| renamed(tensors, |name| theirs(name, ["stem.", "trunk_output."], "fc.")))
}

/// `_feature_blocks.conv1.stem.0.weight`, `_feature_blocks.res2.block1-0.f.a.0.weight`, with the normalisation of a shortcut
/// beside its convolution.
fn classy_vision(tensors: &Tensors) -> Option<Translated<'_>> {
    let is_theirs = |name: &String| name.contains("_feature_blocks.") && name.contains("block1-0.f.a.0.");
    let begin = ["_feature_blocks.conv1.stem.", "_feature_blocks."];
    tensors.keys().any(is_theirs).then(|| renamed(tensors, |name| theirs(name, begin, "0.clf.0.")))
}

fn theirs(name: &str, [stem, trunk]: [&str; 2], head: &str) -> Option<(String, Layout)> {
    const PARTS: [(&str, &str); 14] = [
        ("f.a.0.", "conv1.conv."),
        ("f.a.1.", "conv1.bn."),
        ("f.b.0.", "conv2.conv."),
        ("f.b.1.", "conv2.bn."),
        ("f.se.excitation.0.", "se.fc1."),
        ("f.se.excitation.2.", "se.fc2."),
        ("f.se.", "se."),
        ("f.c.0.", "conv3.conv."),
        ("f.c.1.", "conv3.bn."),
        ("f.c.", "conv3.conv."),
        ("f.final_bn.", "conv3.bn."),
        ("proj.0.", "downsample.conv."),
        ("proj.1.", "downsample.bn."),
        ("proj.", "downsample.conv."),
    ];
    if let Some((root, rest)) = name.split_once(stem) {
        let (layer, leaf) = rest.split_once('.')?;
        let part = match layer {
            "0" => "conv",
            "1" => "bn",
            _ => return None,
        };
        return Some((format!("{root}stem.{part}.{leaf}"), Layout::Same));
    }
    if let Some((root, rest)) = name.split_once(trunk) {
        // `block1.block1-0.` or `res2.block1-0.`; the second number counts from 0.
        let (_, rest) = rest.split_once('.')?;
        let (block, rest) = rest.split_once('.')?;
        let (stage, index) = block.strip_prefix("block")?.split_once('-')?;
        let index = index.parse::<u32>().ok()? + 1;
        let part = super::names::replaced(rest, &PARTS).or_else(|| Some(format!("downsample.{rest}")))?;
        return Some((format!("{root}s{stage}.b{index}.{part}"), Layout::Same));
    }
    let (root, leaf) = name.rsplit_once(head)?;
    Some((format!("{root}head.fc.{leaf}"), Layout::Same))
}

/// The network.
#[derive(Module, Debug)]
pub struct RegNetNet {
    stem: ConvBn,
    stages: Vec<Vec<Block>>,
}

#[derive(Module, Debug)]
struct Block {
    convs: [ConvBn; 3],
    squeeze: Option<SqueezeExcite>,
    downsample: Option<ConvBn>,
}

fn conv_bn(builder: &mut Builder<'_>, name: &str, spec: ConvSpec) -> ConvBn {
    ConvBn::build(builder, &format!("{name}.conv"), &format!("{name}.bn"), spec)
}

impl RegNetNet {
    fn build(builder: &mut Builder<'_>, shape: Shape) -> Self {
        let stem = conv_bn(builder, "stem", ConvSpec::new(3, STEM, 3, 2));
        let mut input = STEM;
        let mut stages = Vec::new();
        for (stage, (depth, output)) in shape.depths.into_iter().zip(shape.widths()).enumerate() {
            let mut blocks = Vec::new();
            for i in 0..depth {
                let name = format!("s{}.b{}", stage + 1, i + 1);
                let stride = if i == 0 { 2 } else { 1 };
                blocks.push(Block::build(builder, &name, [input, output, shape.group(stage)], stride, shape.squeeze));
                input = output;
            }
            stages.push(blocks);
        }
        Self { stem, stages }
    }
}

impl Network for RegNetNet {
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
            block.convs.iter_mut().chain(&mut block.downsample).for_each(ConvBn::fold);
        }
    }
}

impl Block {
    fn build(
        builder: &mut Builder<'_>,
        name: &str,
        [input, output, group]: [usize; 3],
        stride: usize,
        squeeze: bool,
    ) -> Self {
        let mut conv = |part: &str, spec| conv_bn(builder, &format!("{name}.{part}"), spec);
        let grouped = ConvSpec { groups: output / group, ..ConvSpec::new(output, output, 3, stride) };
        let convs = [
            conv("conv1", ConvSpec::new(input, output, 1, 1)),
            conv("conv2", grouped),
            conv("conv3", ConvSpec::new(output, output, 1, 1)),
        ];
        let is_changed = input != output || stride > 1;
        let downsample = is_changed.then(|| conv("downsample", ConvSpec::new(input, output, 1, stride)));
        let squeeze = squeeze.then(|| {
            // A quarter of what goes into the block, halves to the even number, as Python rounds.
            let inner = (input as f64 / 4.0).round_ties_even() as usize;
            let (channels, names) = ([output, inner], ["fc1", "fc2"]);
            let spec = SqueezeSpec { channels, names, activation: Activation::Relu, is_hard: false };
            SqueezeExcite::build(builder, &format!("{name}.se"), spec)
        });
        Self { convs, squeeze, downsample }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [first, second, third] = &self.convs;
        let mut y = relu(second.forward(relu(first.forward(x.clone()))));
        if let Some(squeeze) = &self.squeeze {
            y = squeeze.forward(y);
        }
        let shortcut = match &self.downsample {
            Some(conv) => conv.forward(x),
            None => x,
        };
        relu(third.forward(y) + shortcut)
    }
}
