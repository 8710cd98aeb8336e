//! VGG (Simonyan and Zisserman 2015), with or without batch normalisation.
//!
//! Names follow torchvision, and timm's are the same but for the classifier (`features.0`, `features.1`, …). The three fully
//! connected layers are no part of the backbone: features are the means of the last map.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::architecture::{Architecture, Network, StageInfo, after_steps};
use super::reading::Shapes;
use super::{Backbone, Net};
use crate::builder::Builder;
use crate::input::ImageSize;
use crate::layers::{Conv, ConvBn, ConvSpec, Edges, max_pool};
use assay_weights::Checkpoint;

/// Channels of each stage.
const WIDTHS: [usize; 5] = [64, 128, 256, 512, 512];

/// Convolutions of each stage, for 11, 13, 16 and 19 layers with weights.
const DEPTHS: [(u32, [usize; 5]); 4] =
    [(11, [1, 1, 2, 2, 2]), (13, [2, 2, 2, 2, 2]), (16, [2, 2, 3, 3, 3]), (19, [2, 2, 4, 4, 4])];

/// Parameters of a VGG network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vgg {
    /// Number of layers with weights, the three of the classifier among them: 11, 13, 16 or 19. Default: 16.
    #[serde(default = "sixteen")]
    pub layers: u32,
    /// Whether each convolution is followed by a batch normalisation. Default: false.
    #[serde(default)]
    pub batch_norm: bool,
}

fn sixteen() -> u32 {
    16
}

impl Vgg {
    fn depths(&self) -> [usize; 5] {
        DEPTHS.iter().find(|(layers, _)| *layers == self.layers).map_or([0; 5], |(_, depths)| *depths)
    }
}

impl Architecture for Vgg {
    fn name(&self) -> &'static str {
        "Vgg"
    }

    fn build(&self, builder: &mut Builder<'_>) -> Option<Net> {
        Some(Net::Vgg(VggNet::build(builder, self)))
    }

    fn stages(&self) -> Vec<StageInfo> {
        let stage = |(i, channels)| StageInfo {
            name: format!("layer{}", i + 1),
            channels,
            stride: 2usize << i,
            rounds_up: false,
        };
        WIDTHS.into_iter().enumerate().map(stage).collect()
    }

    fn largest_map(&self, image: ImageSize) -> usize {
        WIDTHS[0] * image.area()
    }

    fn min_image_size(&self) -> usize {
        32
    }

    /// The fully connected layers of timm, which calls the first two of them so.
    fn ignored(&self) -> &'static [&'static str] {
        &["pre_logits."]
    }

    fn invalid_because(&self) -> Option<&'static str> {
        (self.depths() == [0; 5]).then_some("`layers` must be 11, 13, 16 or 19")
    }
}

/// The VGG network whose tensors are in the file.
pub fn infer(checkpoint: &Checkpoint) -> Option<Backbone> {
    let shapes = Shapes::beside("features.0.weight", checkpoint, &[])?;
    shapes.of("features.0.weight").filter(|shape| *shape == [WIDTHS[0], 3, 3, 3])?;
    let convs = (0..60).filter(|i| shapes.of(&format!("features.{i}.weight")).is_some_and(|shape| shape.len() == 4));
    let convs = convs.count();
    let batch_norm = shapes.of("features.1.running_mean").is_some();
    let (layers, _) = DEPTHS.iter().find(|(_, depths)| depths.iter().sum::<usize>() == convs)?;
    Some(Backbone::Vgg(Vgg { layers: *layers, batch_norm }))
}

/// The network.
#[derive(Module, Debug)]
pub struct VggNet {
    stages: Vec<Vec<Layer>>,
}

#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a dozen of them, and Burn's modules are not boxed")]
enum Layer {
    Plain(Conv),
    Normalised(ConvBn),
}

impl VggNet {
    fn build(builder: &mut Builder<'_>, spec: &Vgg) -> Self {
        let (mut at, mut input) = (0, 3);
        let mut stages = Vec::new();
        for (depth, output) in spec.depths().into_iter().zip(WIDTHS) {
            let mut layers = Vec::new();
            for _ in 0..depth {
                let name = |i: usize| format!("features.{i}");
                let conv = ConvSpec { bias: true, ..ConvSpec::new(input, output, 3, 1) };
                // The ReLU has a number as well.
                if spec.batch_norm {
                    layers.push(Layer::Normalised(ConvBn::build(builder, &name(at), &name(at + 1), conv)));
                    at += 3;
                } else {
                    layers.push(Layer::Plain(Conv::build(builder, &name(at), conv)));
                    at += 2;
                }
                input = output;
            }
            // So has the pool.
            at += 1;
            stages.push(layers);
        }
        Self { stages }
    }
}

impl Network for VggNet {
    fn depth(&self) -> usize {
        self.stages.len()
    }

    /// Each map is that after the pool of its stage.
    fn stages(&self, x: Tensor<4>, wanted: &[usize]) -> Vec<Tensor<4>> {
        after_steps(x, wanted, |i, x| {
            let x = self.stages[i - 1].iter().fold(x, |x, layer| relu(layer.forward(x)));
            max_pool(x, 2, 2, Edges::None)
        })
    }

    fn prepare(&mut self, _image: ImageSize) {
        for layer in self.stages.iter_mut().flatten() {
            if let Layer::Normalised(layer) = layer {
                layer.fold();
            }
        }
    }
}

impl Layer {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Plain(conv) => conv.forward(x),
            Self::Normalised(conv) => conv.forward(x),
        }
    }
}
