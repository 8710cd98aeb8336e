//! The ResNets of CLIP (Radford et al. 2021): three convolutions first, means before every step, and attention in place of the
//! average at the end.
//!
//! What comes before the attention is a [`ResNet`] under its own names (`conv1.0`, …, `layer4.2.bn3`), the rest has OpenAI's
//! (`attnpool.q_proj`, …). OpenAI's, which open_clip has as well, and timm's are translated.

use burn::module::{Module, Param, ParamId};
use burn::tensor::activation::softmax;
use burn::tensor::{Tensor, TensorData};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::architecture::{Architecture, Network, StageInfo};
use super::names::{Layout, Tensors, renamed};
use super::point::{FeaturePoint, Pool, pool_map};
use super::positions::{Positions, resize};
use super::reading::Shapes;
use super::resnet::{Antialias, ResNet, ResNetNet, ResNetStem, Shortcut};
use super::{Backbone, Net};
use crate::builder::{Builder, Init};
use crate::input::ImageSize;
use crate::layers::Linear;
use assay_weights::{Checkpoint, Naming, Translated};

/// Pixels of the image for each pixel of the last map.
const STRIDE: usize = 32;
/// Features of an attention head.
const HEAD: usize = 64;

/// Size of a ResNet of CLIP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ClipResNetSize {
    /// ResNet-50 for images of 224×224 pixels; 1024 features.
    RN50,
    /// ResNet-101 for images of 224×224 pixels; 512 features.
    RN101,
    /// Four times the arithmetic of ResNet-50, for images of 288×288 pixels; 640 features.
    RN50x4,
    /// Sixteen times the arithmetic of ResNet-50, for images of 384×384 pixels; 768 features.
    RN50x16,
    /// Sixty-four times the arithmetic of ResNet-50, for images of 448×448 pixels; 1024 features.
    RN50x64,
    /// Any other size.
    Custom {
        /// Number of blocks in each of the four stages.
        depths: [u32; 4],
        /// Number of channels of the first stage inside its blocks; each later stage has twice as many as the one before.
        width: u32,
        /// Number of features.
        output: u32,
        /// Side of the images that the checkpoint was trained on, in pixels; position embeddings are resized for others, as
        /// open_clip does it.
        trained_at: u32,
    },
}

/// Parameters of a ResNet of CLIP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClipResNet {
    /// Size of the network. Default: `RN50`.
    #[serde(default = "rn50")]
    pub size: ClipResNetSize,
}

fn rn50() -> ClipResNetSize {
    ClipResNetSize::RN50
}

/// Depths, width, features, and the side of images.
type Shape = ([u32; 4], u32, u32, u32);

impl ClipResNetSize {
    const NAMED: [Self; 5] = [Self::RN50, Self::RN101, Self::RN50x4, Self::RN50x16, Self::RN50x64];

    fn shape(&self) -> Shape {
        match self {
            Self::RN50 => ([3, 4, 6, 3], 64, 1024, 224),
            Self::RN101 => ([3, 4, 23, 3], 64, 512, 224),
            Self::RN50x4 => ([4, 6, 10, 6], 80, 640, 288),
            Self::RN50x16 => ([6, 8, 18, 8], 96, 768, 384),
            Self::RN50x64 => ([3, 15, 36, 10], 128, 1024, 448),
            Self::Custom { depths, width, output, trained_at } => (*depths, *width, *output, *trained_at),
        }
    }
}

impl ClipResNet {
    /// What comes before the attention.
    fn trunk(&self) -> ResNet {
        let (depths, width, ..) = self.size.shape();
        ResNet {
            depths,
            width,
            stem: ResNetStem::Deep { widths: [width / 2, width / 2, width] },
            antialias: Some(Antialias::AvgPool),
            shortcut: Shortcut::AvgPool,
            ..ResNet::resnet50()
        }
    }
}

impl Architecture for ClipResNet {
    fn name(&self) -> &'static str {
        "ClipResNet"
    }

    fn build(&self, builder: &mut Builder<'_>) -> Option<Net> {
        Some(Net::ClipResNet(ClipResNetNet::build(builder, self)))
    }

    fn stages(&self) -> Vec<StageInfo> {
        self.trunk().named("").stages()
    }

    fn map_size(&self, stage: &StageInfo, image: ImageSize) -> ImageSize {
        self.trunk().named("").map_size(stage, image)
    }

    fn largest_map(&self, image: ImageSize) -> usize {
        self.trunk().named("").largest_map(image)
    }

    fn min_image_size(&self) -> usize {
        STRIDE
    }

    /// What attention pools is no token of a map, but takes its place.
    fn pool(&self) -> Pool {
        Pool::Cls
    }

    fn goes_on_after_stages(&self) -> bool {
        true
    }

    fn end_channels(&self) -> Option<usize> {
        Some(self.size.shape().2 as usize)
    }

    /// Channels at the end are those of the attention, which no other pool has.
    fn features(&self, _channels: usize, image: ImageSize, point: &FeaturePoint) -> usize {
        if point.is_end() {
            return self.size.shape().2 as usize;
        }
        let stages = self.stages();
        let stage = &stages[point.layer.unwrap_or(stages.len()) - 1];
        point.pool.unwrap_or(Pool::Gap).features(stage.channels, self.map_size(stage, image).area())
    }

    fn size_problem(&self, image: ImageSize) -> Option<String> {
        let fits = [image.height, image.width].iter().all(|side| side.is_multiple_of(STRIDE));
        let odd = || format!("needs sides that are multiples of {STRIDE}, and images have {image}");
        self.too_small(image).or_else(|| (!fits).then(odd))
    }

    fn namings(&self) -> Vec<Naming> {
        namings()
    }

    fn invalid_because(&self) -> Option<&'static str> {
        let (_, width, output, trained_at) = self.size.shape();
        if !width.is_multiple_of(2) || !(1..=8192).contains(&output) {
            Some("`width` must be even, and `output` from 1 to 8192")
        } else if !(32..=4096).contains(&trained_at) {
            Some("`trained_at` must be from 32 to 4096")
        } else {
            self.trunk().named("").invalid_because()
        }
    }
}

/// The ResNet of CLIP whose tensors are in the file.
pub fn infer(checkpoint: &Checkpoint) -> Option<Backbone> {
    let number = |n: usize| u32::try_from(n).ok();
    let shapes = Shapes::beside("attnpool.positional_embedding", checkpoint, &namings())?;
    let depths = [1, 2, 3, 4].map(|stage| shapes.count(|i| format!("layer{stage}.{i}.conv1.weight")));
    let width = number(shapes.first("layer1.0.conv1.weight")?)?;
    let output = number(shapes.first("attnpool.c_proj.weight")?)?;
    let places = shapes.first("attnpool.positional_embedding")?.checked_sub(1)?;
    let shape = (depths, width, output, number(places.isqrt() * STRIDE)?);
    let named = ClipResNetSize::NAMED.into_iter().find(|size| size.shape() == shape);
    let (depths, width, output, trained_at) = shape;
    let size = named.unwrap_or(ClipResNetSize::Custom { depths, width, output, trained_at });
    Some(Backbone::ClipResNet(ClipResNet { size })).filter(|backbone| backbone.invalid_because().is_none())
}

fn namings() -> Vec<Naming> {
    vec![
        Naming { name: "OpenAI", advice: None, translate: Box::new(openai) },
        Naming { name: "timm", advice: None, translate: Box::new(timm) },
    ]
}

/// Our names of the three first convolutions and of the normalisations after them.
const STEM: [[&str; 2]; 3] = [["conv1.0", "conv1.1"], ["conv1.3", "conv1.4"], ["conv1.6", "bn1"]];

/// The number of one of the three first layers.
fn stem(number: &str, is_norm: bool) -> Option<&'static str> {
    STEM.get(number.parse::<usize>().ok()?.checked_sub(1)?).map(|names| names[usize::from(is_norm)])
}

/// `visual.conv2.weight`, `visual.layer1.0.downsample.0.weight`.
fn openai(tensors: &Tensors) -> Option<Translated<'_>> {
    let anchor = "attnpool.positional_embedding";
    let roots: Vec<&str> = tensors.keys().filter_map(|name| name.strip_suffix(anchor)).collect();
    roots.first()?;
    let rule = |name: &str| {
        let (root, rest) = roots.iter().find_map(|root| Some((root, name.strip_prefix(root)?)))?;
        let (layer, leaf) = rest.rsplit_once('.')?;
        let ours = match (layer.strip_prefix("conv"), layer.strip_prefix("bn")) {
            (Some(number), _) => stem(number, false)?.to_owned(),
            (_, Some(number)) => stem(number, true)?.to_owned(),
            _ => match layer.rsplit_once("downsample.")? {
                (block, "0") => format!("{block}downsample.1"),
                (block, _) => format!("{block}downsample.2"),
            },
        };
        Some((format!("{root}{ours}.{leaf}"), Layout::Same))
    };
    Some(renamed(tensors, rule))
}

/// `stem.conv1.conv.weight`, `stages.0.0.conv2_kxk.bn.weight`, `head.q.weight`.
fn timm(tensors: &Tensors) -> Option<Translated<'_>> {
    let anchor = "stages.0.0.conv1_1x1.conv.weight";
    let roots: Vec<&str> = tensors.keys().filter_map(|name| name.strip_suffix(anchor)).collect();
    roots.first()?;
    let rule = |name: &str| {
        let (root, rest) = roots.iter().find_map(|root| Some((root, name.strip_prefix(root)?)))?;
        let parts: Vec<&str> = rest.split('.').collect();
        let ours = match parts[..] {
            ["stem", conv, kind, leaf] => format!("{}.{leaf}", stem(conv.strip_prefix("conv")?, kind == "bn")?),
            ["stages", stage, block, "shortcut", "conv", kind, leaf] => {
                let number = if kind == "bn" { 2 } else { 1 };
                format!("layer{}.{block}.downsample.{number}.{leaf}", stage.parse::<u32>().ok()? + 1)
            }
            ["stages", stage, block, conv, kind, leaf] => {
                let number = conv.strip_prefix("conv")?.split_once('_')?.0;
                let kind = if kind == "bn" { "bn" } else { "conv" };
                format!("layer{}.{block}.{kind}{number}.{leaf}", stage.parse::<u32>().ok()? + 1)
            }
            ["head", "pos_embed"] => "attnpool.positional_embedding".to_owned(),
            ["head", "proj", leaf] => format!("attnpool.c_proj.{leaf}"),
            ["head", part, leaf] => format!("attnpool.{part}_proj.{leaf}"),
            _ => return None,
        };
        Some((format!("{root}{ours}"), Layout::Same))
    };
    Some(renamed(tensors, rule))
}

/// The network.
#[derive(Module, Debug)]
pub struct ClipResNetNet {
    trunk: ResNetNet,
    pool: AttentionPool,
}

#[derive(Module, Debug)]
struct AttentionPool {
    /// Of the mean, then of the grid: T × D.
    embedding: Param<Tensor<2>>,
    /// Of queries, keys, values and the output.
    projections: [Linear; 4],
    /// The grid that `embedding` is for.
    #[module(skip)]
    known_grid: ImageSize,
}

impl ClipResNetNet {
    fn build(builder: &mut Builder<'_>, spec: &ClipResNet) -> Self {
        let (_, width, output, trained_at) = spec.size.shape();
        let trunk = ResNetNet::build(builder, &spec.trunk());
        let features = width as usize * STRIDE;
        let known_grid = ImageSize::square(trained_at as usize / STRIDE);
        let init = Init::Normal((features as f64).powf(-0.5));
        let embedding = builder.parameter("attnpool.positional_embedding", [known_grid.area() + 1, features], init);
        let projections = [("q", features), ("k", features), ("v", features), ("c", output as usize)]
            .map(|(part, output)| Linear::named(builder, &format!("attnpool.{part}_proj"), [features, output]));
        Self { trunk, pool: AttentionPool { embedding, projections, known_grid } }
    }
}

impl Network for ClipResNetNet {
    fn depth(&self) -> usize {
        self.trunk.depth()
    }

    fn stages(&self, x: Tensor<4>, wanted: &[usize]) -> Vec<Tensor<4>> {
        Network::stages(&self.trunk, x, wanted)
    }

    /// Position embeddings are resized once.
    fn prepare(&mut self, image: ImageSize) {
        self.trunk.prepare(image);
        let grid = image.map(|side| side / STRIDE);
        self.pool.embedding = Param::initialized(ParamId::new(), self.pool.embedding(grid));
        self.pool.known_grid = grid;
    }

    fn features(&self, x: Tensor<4>, point: &FeaturePoint) -> Tensor<2> {
        let map = Network::stages(self, x, &[point.layer.unwrap_or(self.depth())]).remove(0);
        if point.is_end() { self.pool.forward(map) } else { pool_map(map, point.pool.unwrap_or(Pool::Gap)) }
    }
}

impl AttentionPool {
    /// B × C × H × W → B × D
    fn forward(&self, map: Tensor<4>) -> Tensor<2> {
        let [b, c, height, width] = map.dims();
        let places = map.reshape([b, c, height * width]).swap_dims(1, 2);
        let tokens = Tensor::cat(vec![places.clone().mean_dim(1), places], 1);
        let tokens = tokens + self.embedding(ImageSize { height, width }).unsqueeze();
        let heads = c / HEAD.min(c);
        let split = |x: Tensor<3>| {
            let t = x.dims()[1];
            x.reshape([b, t, heads, c / heads]).swap_dims(1, 2)
        };
        let [queries, keys, values, output] = &self.projections;
        // The mean alone asks.
        let q = split(queries.forward(tokens.clone().narrow(1, 0, 1))) * ((c / heads) as f64).powf(-0.5);
        let (k, v) = (split(keys.forward(tokens.clone())), split(values.forward(tokens)));
        let pooled = softmax(q.matmul(k.swap_dims(2, 3)), 3).matmul(v).swap_dims(1, 2).reshape([b, 1, c]);
        let features = output.forward(pooled);
        let d = features.dims()[2];
        features.reshape([b, d])
    }

    /// Position embeddings for a grid of this size.
    fn embedding(&self, grid: ImageSize) -> Tensor<2> {
        let embedding = self.embedding.val();
        if grid == self.known_grid {
            return embedding;
        }
        let dim = embedding.dims()[1];
        let device = embedding.device();
        let numbers: Vec<f32> = embedding.into_data().iter::<f32>().collect();
        let (mean, known) = numbers.split_at(dim);
        let places = resize(known, (self.known_grid, grid), dim, Positions::BicubicAntialias);
        Tensor::from_data(TensorData::new([mean, &places].concat(), [grid.area() + 1, dim]), &device)
    }
}
