//! ConvNeXt (Liu et al. 2022), ConvNeXt V2 (Woo et al. 2023), and the ConvNeXts of DINOv3.
//!
//! Names follow the authors (`downsample_layers.0.0`, `stages.S.B.dwconv`, `norm`, …, `head`); those of timm, torchvision and
//! Hugging Face are translated in `names`.

mod names;

use burn::module::{Module, Param};
use burn::nn::LayerNorm;
use burn::tensor::Tensor;
use burn::tensor::activation::gelu;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::architecture::{Architecture, Network, StageInfo, after_steps};
use super::reading::Shapes;
use super::{Backbone, Net};
use crate::builder::{Builder, Init};
use crate::input::ImageSize;
use crate::layers::{Conv, ConvSpec, Edges, Linear, layer_norm};
use assay_weights::Checkpoint;

const EPSILON: f64 = 1e-6;

/// Size of a ConvNeXt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConvNeXtSize {
    /// Four stages with 2, 2, 6 and 2 blocks of 40, 80, 160 and 320 channels.
    Atto,
    /// Four stages with 2, 2, 6 and 2 blocks of 48, 96, 192 and 384 channels.
    Femto,
    /// Four stages with 2, 2, 6 and 2 blocks of 64, 128, 256 and 512 channels.
    Pico,
    /// Four stages with 2, 2, 8 and 2 blocks of 80, 160, 320 and 640 channels.
    Nano,
    /// Four stages with 3, 3, 9 and 3 blocks of 96, 192, 384 and 768 channels.
    Tiny,
    /// Four stages with 3, 3, 27 and 3 blocks of 96, 192, 384 and 768 channels.
    Small,
    /// Four stages with 3, 3, 27 and 3 blocks of 128, 256, 512 and 1024 channels.
    Base,
    /// Four stages with 3, 3, 27 and 3 blocks of 192, 384, 768 and 1536 channels.
    Large,
    /// Four stages with 3, 3, 27 and 3 blocks of 256, 512, 1024 and 2048 channels.
    XLarge,
    /// Four stages with 3, 3, 27 and 3 blocks of 352, 704, 1408 and 2816 channels.
    Huge,
    /// Any other size.
    Custom {
        /// Number of blocks in each of the four stages.
        depths: [u32; 4],
        /// Number of channels of the first stage; each later stage has twice as many as the one before.
        width: u32,
    },
}

/// Parameters of a ConvNeXt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConvNeXt {
    /// Size of the network.
    pub size: ConvNeXtSize,
}

/// Parameters of a ConvNeXt V2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConvNeXtV2 {
    /// Size of the network.
    pub size: ConvNeXtSize,
}

impl ConvNeXtSize {
    /// Those that have a name.
    pub(super) const NAMED: [Self; 10] = [
        Self::Atto,
        Self::Femto,
        Self::Pico,
        Self::Nano,
        Self::Tiny,
        Self::Small,
        Self::Base,
        Self::Large,
        Self::XLarge,
        Self::Huge,
    ];
}

/// Parameters that both versions have.
pub struct Spec {
    depths: [u32; 4],
    width: usize,
    /// True for version 2, which normalises responses instead of scaling what blocks add.
    is_v2: bool,
}

impl Spec {
    fn new(size: &ConvNeXtSize, is_v2: bool) -> Self {
        let (depths, width) = match size {
            ConvNeXtSize::Atto => ([2, 2, 6, 2], 40),
            ConvNeXtSize::Femto => ([2, 2, 6, 2], 48),
            ConvNeXtSize::Pico => ([2, 2, 6, 2], 64),
            ConvNeXtSize::Nano => ([2, 2, 8, 2], 80),
            ConvNeXtSize::Tiny => ([3, 3, 9, 3], 96),
            ConvNeXtSize::Small => ([3, 3, 27, 3], 96),
            ConvNeXtSize::Base => ([3, 3, 27, 3], 128),
            ConvNeXtSize::Large => ([3, 3, 27, 3], 192),
            ConvNeXtSize::XLarge => ([3, 3, 27, 3], 256),
            ConvNeXtSize::Huge => ([3, 3, 27, 3], 352),
            ConvNeXtSize::Custom { depths, width } => (*depths, *width as usize),
        };
        Self { depths, width, is_v2 }
    }
}

impl From<&ConvNeXt> for Spec {
    fn from(spec: &ConvNeXt) -> Self {
        Self::new(&spec.size, false)
    }
}

impl From<&ConvNeXtV2> for Spec {
    fn from(spec: &ConvNeXtV2) -> Self {
        Self::new(&spec.size, true)
    }
}

impl Architecture for Spec {
    fn numbers_stages(&self) -> bool {
        true
    }

    fn name(&self) -> &'static str {
        if self.is_v2 { "ConvNeXtV2" } else { "ConvNeXt" }
    }

    fn build(&self, builder: &mut Builder<'_>) -> Option<Net> {
        Some(Net::ConvNeXt(ConvNeXtNet::build(builder, self)))
    }

    fn stages(&self) -> Vec<StageInfo> {
        let width = self.width;
        let stage = |i| StageInfo {
            name: format!("layer{}", i + 1),
            channels: width << i,
            stride: 4usize << i,
            rounds_up: false,
        };
        (0..4).map(stage).collect()
    }

    /// Inside its blocks, there are four times as many channels as between them.
    fn largest_map(&self, image: ImageSize) -> usize {
        self.stages().iter().map(|stage| 4 * stage.channels * stage.map_size(image).area()).max().unwrap_or(0)
    }

    fn min_image_size(&self) -> usize {
        32
    }

    /// The norm at the end is made for pooled features.
    fn goes_on_after_stages(&self) -> bool {
        true
    }

    fn classifier(&self) -> Option<&'static str> {
        Some("head")
    }

    fn namings(&self) -> Vec<assay_weights::Naming> {
        names::all()
    }

    fn invalid_because(&self) -> Option<&'static str> {
        if self.depths.iter().any(|d| !(1..=200).contains(d)) || !(1..=1024).contains(&self.width) {
            Some("`depths` must be from 1 to 200, and `width` from 1 to 1024")
        } else {
            None
        }
    }
}

/// The ConvNeXt whose tensors are in the file, of a size that has no name; the others are known.
pub fn infer(checkpoint: &Checkpoint) -> Option<Backbone> {
    let shapes = Shapes::beside("downsample_layers.0.0.weight", checkpoint, &names::all())?;
    let depths = [0, 1, 2, 3].map(|stage| shapes.count(|i| format!("stages.{stage}.{i}.dwconv.weight")));
    let width = u32::try_from(shapes.first("downsample_layers.0.0.weight")?).ok()?;
    let is_v2 = shapes.of("stages.0.0.grn.gamma").is_some();
    let shape = (depths, width as usize);
    let of = |size: &ConvNeXtSize| {
        let Spec { depths, width, .. } = Spec::new(size, is_v2);
        (depths, width)
    };
    let size = ConvNeXtSize::NAMED.into_iter().find(|size| of(size) == shape);
    let size = size.unwrap_or(ConvNeXtSize::Custom { depths, width });
    let backbone =
        if is_v2 { Backbone::ConvNeXtV2(ConvNeXtV2 { size }) } else { Backbone::ConvNeXt(ConvNeXt { size }) };
    Some(backbone).filter(|backbone| backbone.invalid_because().is_none())
}

/// The network.
#[derive(Module, Debug)]
pub struct ConvNeXtNet {
    stages: Vec<Stage>,
    stem_norm: LayerNorm,
    norm: LayerNorm,
}

#[derive(Module, Debug)]
struct Stage {
    /// Before the convolution; after it in the stem.
    norm: Option<LayerNorm>,
    down: Conv,
    blocks: Vec<Block>,
}

#[derive(Module, Debug)]
struct Block {
    depthwise: Conv,
    norm: LayerNorm,
    expand: Linear,
    shrink: Linear,
    /// Of version 1.
    scale: Option<Param<Tensor<1>>>,
    /// Scale and offset of version 2's normalisation of responses.
    response: Option<[Param<Tensor<1>>; 2]>,
}

fn conv(input: usize, output: usize, kernel: usize, stride: usize) -> ConvSpec {
    ConvSpec {
        bias: true,
        edges: Edges::None,
        init: |_, _| Init::Normal(0.02),
        ..ConvSpec::new(input, output, kernel, stride)
    }
}

impl ConvNeXtNet {
    fn build(builder: &mut Builder<'_>, spec: &Spec) -> Self {
        let Spec { depths, width, is_v2 } = *spec;
        let stem = Conv::build(builder, "downsample_layers.0.0", conv(3, width, 4, 4));
        let stem_norm = layer_norm(builder, "downsample_layers.0.1", width, EPSILON);
        let mut downs = vec![(None, stem)];
        for stage in 1..4 {
            let (input, output) = (width << (stage - 1), width << stage);
            let norm = layer_norm(builder, &format!("downsample_layers.{stage}.0"), input, EPSILON);
            downs.push((
                Some(norm),
                Conv::build(builder, &format!("downsample_layers.{stage}.1"), conv(input, output, 2, 2)),
            ));
        }
        let mut stages = Vec::new();
        for (stage, (norm, down)) in downs.into_iter().enumerate() {
            let block = |i| Block::build(builder, &format!("stages.{stage}.{i}"), width << stage, is_v2);
            stages.push(Stage { norm, down, blocks: (0..depths[stage]).map(block).collect() });
        }
        let norm = layer_norm(builder, "norm", width << 3, EPSILON);
        Self { stages, stem_norm, norm }
    }

    fn stage(&self, i: usize, mut x: Tensor<4>) -> Tensor<4> {
        let stage = &self.stages[i];
        if let Some(norm) = &stage.norm {
            x = normalised(x, norm);
        }
        x = stage.down.forward(x);
        if i == 0 {
            x = normalised(x, &self.stem_norm);
        }
        stage.blocks.iter().fold(x, |x, block| block.forward(x))
    }
}

impl Network for ConvNeXtNet {
    fn depth(&self) -> usize {
        self.stages.len()
    }

    fn stages(&self, x: Tensor<4>, wanted: &[usize]) -> Vec<Tensor<4>> {
        after_steps(x, wanted, |i, x| self.stage(i - 1, x))
    }

    /// There is nothing to fold.
    fn prepare(&mut self, _image: ImageSize) {}

    fn finish(&self, features: Tensor<2>) -> Tensor<2> {
        self.norm.forward(features)
    }
}

impl Block {
    fn build(builder: &mut Builder<'_>, name: &str, width: usize, is_v2: bool) -> Self {
        let depthwise = ConvSpec { groups: width, edges: Edges::Half, ..conv(width, width, 7, 1) };
        Self {
            depthwise: Conv::build(builder, &format!("{name}.dwconv"), depthwise),
            norm: layer_norm(builder, &format!("{name}.norm"), width, EPSILON),
            expand: Linear::named(builder, &format!("{name}.pwconv1"), [width, 4 * width]),
            shrink: Linear::named(builder, &format!("{name}.pwconv2"), [4 * width, width]),
            scale: (!is_v2).then(|| builder.parameter(&format!("{name}.gamma"), [width], Init::Constant(1e-6))),
            response: is_v2.then(|| {
                ["gamma", "beta"]
                    .map(|part| builder.squeezed(&format!("{name}.grn.{part}"), &[1, 1, 1], [4 * width], Init::Zeros))
            }),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.depthwise.forward(x.clone());
        let [b, c, h, w] = y.dims();
        let y = self.norm.forward(positions(y));
        let y = gelu(self.expand.forward(y));
        let y = match &self.response {
            Some([gamma, beta]) => {
                // The length of each channel over the image, against the mean of all channels.
                let length = (y.clone() * y.clone()).sum_dim(1).sqrt();
                let relative = length.clone() / (length.mean_dim(2) + EPSILON);
                y.clone() + y * relative * gamma.val().unsqueeze() + beta.val().unsqueeze()
            }
            None => y,
        };
        let y = self.shrink.forward(y);
        let y = match &self.scale {
            Some(scale) => y * scale.val().unsqueeze(),
            None => y,
        };
        x + y.swap_dims(1, 2).reshape([b, c, h, w])
    }
}

/// B × C × H × W → B × HW × C
fn positions(x: Tensor<4>) -> Tensor<3> {
    let [b, c, h, w] = x.dims();
    x.reshape([b, c, h * w]).swap_dims(1, 2)
}

/// Normalised over channels.
fn normalised(x: Tensor<4>, norm: &LayerNorm) -> Tensor<4> {
    let [b, c, h, w] = x.dims();
    norm.forward(positions(x)).swap_dims(1, 2).reshape([b, c, h, w])
}
