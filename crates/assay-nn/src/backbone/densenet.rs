//! DenseNet (Huang et al. 2017).
//!
//! Names follow torchvision, and timm's are the same (`features.conv0`, `features.denseblock1.denselayer1.conv1`, …, `classifier`);
//! so do older files, which have `norm.1` for `norm1` inside a layer.

use crate::batch_norm::BatchNorm;
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
use crate::layers::{Conv, ConvBn, ConvSpec, Edges, halve, max_pool};
use assay_weights::{Checkpoint, Naming, Translated};

/// Channels inside a layer, for each channel that it adds.
const BOTTLENECK: usize = 4;

/// Parameters of a DenseNet. Default: those of DenseNet-121.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DenseNet {
    /// Number of layers in each of the four blocks: `[6, 12, 32, 32]` in DenseNet-169, `[6, 12, 48, 32]` in DenseNet-201,
    /// `[6, 12, 36, 24]` in DenseNet-161. Default: `[6, 12, 24, 16]`.
    #[serde(default = "depths")]
    pub depths: [u32; 4],
    /// Number of channels that each layer adds: 48 in DenseNet-161. Default: 32.
    #[serde(default = "growth")]
    pub growth: u32,
    /// Number of channels after the first convolution: 96 in DenseNet-161. Default: 64.
    #[serde(default = "width")]
    pub width: u32,
}

fn depths() -> [u32; 4] {
    [6, 12, 24, 16]
}

fn growth() -> u32 {
    32
}

fn width() -> u32 {
    64
}

impl DenseNet {
    /// Channels that go into each block and come out of it; half of the latter go into the next.
    fn channels(&self) -> [[usize; 2]; 4] {
        let mut input = self.width as usize;
        self.depths.map(|depth| {
            let output = input + depth as usize * self.growth as usize;
            let channels = [input, output];
            input = output / 2;
            channels
        })
    }
}

impl Architecture for DenseNet {
    fn name(&self) -> &'static str {
        "DenseNet"
    }

    fn build(&self, builder: &mut Builder<'_>) -> Option<Net> {
        Some(Net::DenseNet(DenseNetNet::build(builder, self)))
    }

    fn stages(&self) -> Vec<StageInfo> {
        let stage = |(i, [_, channels]): (usize, [usize; 2])| StageInfo {
            name: format!("layer{}", i + 1),
            channels,
            stride: 4usize << i,
            rounds_up: false,
        };
        self.channels().into_iter().enumerate().map(stage).collect()
    }

    /// The stem rounds up, and what comes after it down.
    fn map_size(&self, stage: &StageInfo, image: ImageSize) -> ImageSize {
        image.map(|side| side.div_ceil(4) / (stage.stride / 4))
    }

    fn largest_map(&self, image: ImageSize) -> usize {
        let stem = self.width as usize * image.map(|side| side.div_ceil(2)).area();
        let inner = BOTTLENECK * self.growth as usize;
        let map = |stage: &StageInfo| stage.channels.max(inner) * self.map_size(stage, image).area();
        self.stages().iter().map(map).fold(stem, usize::max)
    }

    fn min_image_size(&self) -> usize {
        29
    }

    fn classifier(&self) -> Option<&'static str> {
        Some("classifier")
    }

    fn namings(&self) -> Vec<Naming> {
        namings()
    }

    fn invalid_because(&self) -> Option<&'static str> {
        if self.depths.iter().any(|d| !(1..=200).contains(d)) {
            Some("`depths` must be from 1 to 200")
        } else if !(1..=1024).contains(&self.growth) || !(2..=2048).contains(&self.width) {
            Some("`growth` must be from 1 to 1024, and `width` from 2 to 2048")
        } else {
            None
        }
    }
}

/// The DenseNet whose tensors are in the file.
pub fn infer(checkpoint: &Checkpoint) -> Option<Backbone> {
    let shapes = Shapes::beside("features.denseblock1.denselayer1.conv1.weight", checkpoint, &namings())?;
    let layer = |block, i| format!("features.denseblock{block}.denselayer{}.conv1.weight", i + 1);
    let depths = [1, 2, 3, 4].map(|block| shapes.count(|i| layer(block, i)));
    let growth = u32::try_from(shapes.first("features.denseblock1.denselayer1.conv2.weight")?).ok()?;
    let width = u32::try_from(shapes.first("features.conv0.weight")?).ok()?;
    let spec = DenseNet { depths, growth, width };
    Some(Backbone::DenseNet(spec)).filter(|backbone| backbone.invalid_because().is_none())
}

fn namings() -> Vec<Naming> {
    vec![Naming { name: "torchvision before 0.5", advice: None, translate: Box::new(older) }]
}

/// `denselayer1.norm.1.weight`, as the files have it that torchvision still hands out.
fn older(tensors: &Tensors) -> Option<Translated<'_>> {
    const PARTS: [(&str, &str); 4] =
        [(".norm.1.", ".norm1."), (".norm.2.", ".norm2."), (".conv.1.", ".conv1."), (".conv.2.", ".conv2.")];
    tensors.keys().any(|name| name.contains("denselayer1.norm.1.")).then(|| {
        renamed(tensors, |name| {
            let (old, new) = PARTS.iter().find(|(old, _)| name.contains("denselayer") && name.contains(old))?;
            Some((name.replacen(old, new, 1), Layout::Same))
        })
    })
}

/// The network.
#[derive(Module, Debug)]
pub struct DenseNetNet {
    stem: ConvBn,
    blocks: Vec<Block>,
    /// Absent when tensors are only listed.
    norm: Option<BatchNorm>,
}

#[derive(Module, Debug)]
struct Block {
    /// What comes before it, but for the first.
    transition: Option<Transition>,
    layers: Vec<Layer>,
}

#[derive(Module, Debug)]
struct Transition {
    norm: Option<BatchNorm>,
    conv: Conv,
}

#[derive(Module, Debug)]
struct Layer {
    norm: Option<BatchNorm>,
    first: ConvBn,
    second: Conv,
}

fn normalised(x: Tensor<4>, norm: Option<&BatchNorm>) -> Tensor<4> {
    relu(norm.map_or(x.clone(), |norm| norm.forward(x)))
}

impl DenseNetNet {
    fn build(builder: &mut Builder<'_>, spec: &DenseNet) -> Self {
        let stem = ConvSpec::new(3, spec.width as usize, 7, 2);
        let stem = ConvBn::build(builder, "features.conv0", "features.norm0", stem);
        let channels = spec.channels();
        let mut blocks: Vec<Block> = Vec::new();
        for (i, depth) in spec.depths.into_iter().enumerate() {
            let transition = i.checked_sub(1).map(|before| Transition::build(builder, before, channels[before][1]));
            let growth = spec.growth as usize;
            let layer = |j: usize| {
                let name = format!("features.denseblock{}.denselayer{}", i + 1, j + 1);
                Layer::build(builder, &name, channels[i][0] + j * growth, growth)
            };
            blocks.push(Block { transition, layers: (0..depth as usize).map(layer).collect() });
        }
        let norm = BatchNorm::build(builder, "features.norm5", channels[3][1], 1e-5);
        Self { stem, blocks, norm }
    }
}

impl Network for DenseNetNet {
    fn depth(&self) -> usize {
        self.blocks.len()
    }

    /// The last map is normalised, as the network does before it pools it.
    fn stages(&self, x: Tensor<4>, wanted: &[usize]) -> Vec<Tensor<4>> {
        let x = max_pool(relu(self.stem.forward(x)), 3, 2, Edges::Half);
        let mut maps = after_steps(x, wanted, |i, x| self.blocks[i - 1].forward(x));
        for (map, _) in maps.iter_mut().zip(wanted).filter(|(_, stage)| **stage == self.blocks.len()) {
            *map = normalised(map.clone(), self.norm.as_ref());
        }
        maps
    }

    fn prepare(&mut self, _image: ImageSize) {
        self.stem.fold();
        self.blocks.iter_mut().flat_map(|block| &mut block.layers).for_each(|layer| layer.first.fold());
    }
}

impl Block {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = match &self.transition {
            Some(transition) => halve(transition.conv.forward(normalised(x, transition.norm.as_ref())), false),
            None => x,
        };
        self.layers.iter().fold(x, |x, layer| Tensor::cat(vec![x.clone(), layer.forward(x)], 1))
    }
}

impl Transition {
    fn build(builder: &mut Builder<'_>, i: usize, input: usize) -> Self {
        let name = format!("features.transition{}", i + 1);
        let norm = BatchNorm::build(builder, &format!("{name}.norm"), input, 1e-5);
        Self { norm, conv: Conv::build(builder, &format!("{name}.conv"), ConvSpec::new(input, input / 2, 1, 1)) }
    }
}

impl Layer {
    fn build(builder: &mut Builder<'_>, name: &str, input: usize, growth: usize) -> Self {
        let inner = BOTTLENECK * growth;
        let at = |part: &str| format!("{name}.{part}");
        Self {
            norm: BatchNorm::build(builder, &at("norm1"), input, 1e-5),
            first: ConvBn::build(builder, &at("conv1"), &at("norm2"), ConvSpec::new(input, inner, 1, 1)),
            second: Conv::build(builder, &at("conv2"), ConvSpec::new(inner, growth, 3, 1)),
        }
    }

    /// The channels that it adds.
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.second.forward(relu(self.first.forward(normalised(x, self.norm.as_ref()))))
    }
}
