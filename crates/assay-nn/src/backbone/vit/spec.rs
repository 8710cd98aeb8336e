//! Parameters of vision transformers, and what they say of the architecture.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ViTNet;
use crate::backbone::architecture::{Architecture, StageInfo};
use crate::backbone::point::Pool;
use crate::backbone::positions::Positions;
use crate::backbone::unsaid::Activation;
use crate::backbone::{Net, names};
use crate::builder::Builder;
use crate::input::ImageSize;

/// Size of a vision transformer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ViTSize {
    /// 192 features, 12 blocks, 3 attention heads.
    Tiny,
    /// 384 features, 12 blocks, 6 attention heads.
    Small,
    /// 768 features, 12 blocks, 12 attention heads.
    Base,
    /// 1024 features, 24 blocks, 16 attention heads.
    Large,
    /// 1280 features, 32 blocks, 16 attention heads.
    Huge,
    /// Any other size.
    Custom {
        /// Number of features of each token.
        width: u32,
        /// Number of blocks.
        depth: u32,
        /// Number of attention heads of a block; `width` is a multiple of it.
        heads: u32,
    },
}

impl ViTSize {
    fn shape(&self) -> Shape {
        let (width, depth, heads) = match self {
            Self::Tiny => (192, 12, 3),
            Self::Small => (384, 12, 6),
            Self::Base => (768, 12, 12),
            Self::Large => (1024, 24, 16),
            Self::Huge => (1280, 32, 16),
            Self::Custom { width, depth, heads } => (*width, *depth, *heads),
        };
        Shape { width: width as usize, depth: depth as usize, heads: heads as usize }
    }
}

/// Numbers of a [`ViTSize`].
pub(super) struct Shape {
    pub(super) width: usize,
    pub(super) depth: usize,
    pub(super) heads: usize,
}

/// Parameters of a vision transformer. It takes images whose sides are multiples of `patch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ViT {
    /// Size of the network.
    pub size: ViTSize,
    /// Side of a patch, in pixels. Default: 16.
    #[serde(default = "patch_16")]
    pub patch: u32,
    /// Side of the images that the checkpoint was trained on, in pixels; position embeddings are resized for others. Default:
    /// 224.
    #[serde(default = "image_224")]
    pub trained_at: u32,
    /// Interpolation of position embeddings for images of another size than `trained_at`. Default: `Bicubic`.
    #[serde(default)]
    pub positions: Positions,
}

/// Parameters of a DINOv2 transformer. It takes images whose sides are multiples of `patch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DinoV2 {
    /// Size of the network.
    pub size: ViTSize,
    /// Number of register tokens: 4 in checkpoints with registers. Default: 0.
    #[serde(default)]
    pub registers: u32,
    /// Side of a patch, in pixels. Default: 14.
    #[serde(default = "patch_14")]
    pub patch: u32,
    /// Side of the images that the checkpoint was trained on, in pixels; position embeddings are resized for others. Default:
    /// 518.
    #[serde(default = "image_518")]
    pub trained_at: u32,
    /// Interpolation of position embeddings for images of another size than `trained_at`. Default: `BicubicAntialias` with
    /// registers, `BicubicOffset` without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positions: Option<Positions>,
}

/// Parameters of the image tower of CLIP. It takes images whose sides are multiples of `patch`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clip {
    /// Size of the network. Default: `Base`.
    #[serde(default = "base")]
    pub size: ViTSize,
    /// Side of a patch, in pixels; 32 or 16 in published checkpoints. Default: 32.
    #[serde(default = "patch_32")]
    pub patch: u32,
    /// Side of the images that the checkpoint was trained on, in pixels; position embeddings are resized for others. Default:
    /// 224.
    #[serde(default = "image_224")]
    pub trained_at: u32,
    /// Number of features of the space that images share with texts, 512 in published checkpoints of `Base`; features are
    /// projected into it. Default: no projection, as in the linear probes of Radford et al. (2021).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projected: Option<u32>,
    /// Activation function of its blocks, which no tensor tells: `QuickGelu` for the weights of OpenAI and models of open_clip called
    /// `…-quickgelu`, `Gelu` for other models of open_clip. Default: what a configuration file beside the weights says; `QuickGelu`
    /// for OpenAI's own files and for weights that are not from a file; else it has to be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// Number that is added to variances before their root is taken. Default: what a configuration file beside the weights says,
    /// else 1e-5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    /// Interpolation of position embeddings for images of another size than `trained_at`. Default: `BicubicAntialias`, as open_clip
    /// and timm do; `Bicubic` for weights under the names of Hugging Face, as it does, and for weights that are not from a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positions: Option<Positions>,
}

impl Clip {
    /// Epsilon of all published ones.
    pub(super) const EPSILON: f64 = 1e-5;

    /// The same with this activation function. QuickGELU is not written: keys of it are as they were when there was no other.
    pub(in crate::backbone) fn with_activation(&self, activation: Activation) -> Self {
        Self { activation: Some(activation).filter(|a| *a != Activation::QuickGelu), ..self.clone() }
    }
}

fn patch_14() -> u32 {
    14
}

fn patch_16() -> u32 {
    16
}

fn patch_32() -> u32 {
    32
}

fn image_224() -> u32 {
    224
}

fn image_518() -> u32 {
    518
}

fn base() -> ViTSize {
    ViTSize::Base
}

/// Parameters that the three kinds of transformers have in common.
pub struct Spec {
    pub(super) shape: Shape,
    pub(super) patch: usize,
    pub(super) trained_at: usize,
    pub(super) positions: Positions,
    pub(super) registers: usize,
    pub(super) kind: Kind,
    pub(super) projected: Option<usize>,
    pub(super) activation: Activation,
    pub(super) epsilon: f64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Timm,
    DinoV2,
    Clip,
}

impl From<&ViT> for Spec {
    fn from(spec: &ViT) -> Self {
        Self {
            shape: spec.size.shape(),
            patch: spec.patch as usize,
            trained_at: spec.trained_at as usize,
            positions: spec.positions,
            registers: 0,
            kind: Kind::Timm,
            projected: None,
            activation: Activation::Gelu,
            epsilon: 1e-6,
        }
    }
}

impl From<&DinoV2> for Spec {
    fn from(spec: &DinoV2) -> Self {
        let usual = if spec.registers > 0 { Positions::BicubicAntialias } else { Positions::BicubicOffset };
        Self {
            shape: spec.size.shape(),
            patch: spec.patch as usize,
            trained_at: spec.trained_at as usize,
            positions: spec.positions.unwrap_or(usual),
            registers: spec.registers as usize,
            kind: Kind::DinoV2,
            projected: None,
            activation: Activation::Gelu,
            epsilon: 1e-6,
        }
    }
}

impl From<&Clip> for Spec {
    fn from(spec: &Clip) -> Self {
        Self {
            shape: spec.size.shape(),
            patch: spec.patch as usize,
            trained_at: spec.trained_at as usize,
            positions: spec.positions.unwrap_or_default(),
            registers: 0,
            kind: Kind::Clip,
            projected: spec.projected.map(|n| n as usize),
            activation: spec.activation.unwrap_or(Activation::QuickGelu),
            epsilon: spec.epsilon.unwrap_or(Clip::EPSILON),
        }
    }
}

impl Spec {
    /// Patches of an image.
    pub(super) fn patches(&self, image: ImageSize) -> usize {
        image.map(|side| side / self.patch.max(1)).area()
    }
}

impl Architecture for Spec {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Timm => "ViT",
            Kind::DinoV2 => "DinoV2",
            Kind::Clip => "Clip",
        }
    }

    fn build(&self, builder: &mut Builder<'_>) -> Option<Net> {
        Some(Net::ViT(ViTNet::build(builder, self)))
    }

    fn stages(&self) -> Vec<StageInfo> {
        let (channels, stride) = (self.shape.width, self.patch);
        let stage = |i| StageInfo { name: format!("block{i}"), channels, stride, rounds_up: false };
        (1..=self.shape.depth).map(stage).collect()
    }

    fn position_grid(&self) -> Option<(ImageSize, usize)> {
        Some((ImageSize::square(self.trained_at / self.patch), self.patch))
    }

    /// The hidden layer of a block, or the weights of its attention.
    fn largest_map(&self, image: ImageSize) -> usize {
        let tokens = self.patches(image) + 1 + self.registers;
        tokens * (4 * self.shape.width).max(self.shape.heads * tokens)
    }

    fn min_image_size(&self) -> usize {
        self.patch
    }

    fn pool(&self) -> Pool {
        Pool::Cls
    }

    fn end_channels(&self) -> Option<usize> {
        self.projected
    }

    fn classifier(&self) -> Option<&'static str> {
        (self.kind == Kind::Timm).then_some("head")
    }

    fn namings(&self) -> Vec<assay_weights::Naming> {
        if self.kind == Kind::Clip { names::of_clip() } else { names::of_vit() }
    }

    /// The decoder of MAE, the token for hidden patches, and the projection of CLIP where features are those before it.
    fn ignored(&self) -> &'static [&'static str] {
        if self.kind == Kind::Clip { &["proj", "embeddings.position_ids"] } else { &["mask_token", "decoder"] }
    }

    fn size_problem(&self, image: ImageSize) -> Option<String> {
        let patch = self.patch;
        let is_multiple = image.height.is_multiple_of(patch) && image.width.is_multiple_of(patch);
        if image.shorter_side() < patch {
            Some(format!("needs images of at least {patch}×{patch} pixels, and these have {image}"))
        } else if !is_multiple {
            Some(format!("cuts images into patches of {patch}×{patch} pixels, and {image} is no multiple of that"))
        } else {
            None
        }
    }

    fn invalid_because(&self) -> Option<&'static str> {
        let Shape { width, depth, heads } = self.shape;
        if !(1..=8192).contains(&width) || !(1..=128).contains(&depth) {
            Some("`width` must be from 1 to 8192, and `depth` from 1 to 128")
        } else if heads == 0 || !width.is_multiple_of(heads) {
            Some("`width` must be a multiple of `heads`")
        } else if !(1..=64).contains(&self.patch) {
            Some("`patch` must be from 1 to 64 pixels")
        } else if !(self.patch..=4096).contains(&self.trained_at) {
            Some("`trained_at` must be at least `patch`, and at most 4096 pixels")
        } else if self.registers > 64 {
            Some("`registers` must be at most 64")
        } else if !(0.0..=1.0).contains(&self.epsilon) {
            Some("`epsilon` must be from 0 to 1")
        } else if self.projected.is_some_and(|n| !(1..=8192).contains(&n)) {
            Some("`projected` must be from 1 to 8192")
        } else {
            None
        }
    }
}
