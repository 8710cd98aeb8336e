//! What makes one vision transformer differ from another, and what that says of the architecture.

use super::ViTNet;
use super::mlp::MlpSpec;
use super::norm::NormSpec;
use super::rotary::Rotary;
use super::tensors::Names;
use crate::backbone::Net;
use crate::backbone::architecture::{Architecture, StageInfo};
use crate::backbone::point::{FeaturePoint, Pool};
use crate::backbone::positions::Positions;
use crate::backbone::unsaid::Activation;
use crate::builder::Builder;
use crate::input::ImageSize;

/// Sizes of a transformer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Features of a token.
    pub width: usize,
    /// Blocks.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
    /// Features of the hidden layer of a block; of a gated one, after the gate.
    pub hidden: usize,
}

/// Biases of queries, keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QkvBias {
    /// Of all three.
    All,
    /// Of queries and values.
    QueryValue,
    /// None.
    None,
}

/// What comes after the last block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Tokens are normalised, then pooled.
    Norm,
    /// Tokens are pooled, then normalised.
    PooledNorm,
    /// Tokens are normalised, then pooled by attention, whose hidden layer has this function.
    Attention(Activation),
}

/// Libraries whose names are understood besides those that the builder asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Transformers with the names of timm.
    Vit,
    /// DINOv2.
    DinoV2,
    /// CLIP.
    Clip,
    /// One of the families.
    Family(super::Family),
}

/// A vision transformer.
pub struct Spec {
    /// Name of the backbone as written in an experiment.
    pub name: &'static str,
    pub names: &'static Names,
    pub known: Known,
    pub shape: Shape,
    pub patch: usize,
    pub trained_at: usize,
    pub has_patch_bias: bool,
    /// Normalisation of patches before positions are added.
    pub has_patch_norm: bool,
    pub has_class_token: bool,
    pub registers: usize,
    /// Learnt position embeddings: of the patches alone, or of the class token as well.
    pub embedding: Option<Embedding>,
    pub positions: Positions,
    pub rotary: Option<Rotary>,
    /// Side of the grid of relative positions.
    pub relative_side: Option<usize>,
    pub has_pre_norm: bool,
    pub norm: NormSpec,
    /// True if queries, keys and values have a matrix each.
    pub is_split: bool,
    pub qkv_bias: QkvBias,
    /// True with a normalisation in the attention, before its last layer.
    pub has_inner_norm: bool,
    /// True if the last layer of attention and hidden layers have biases.
    pub has_biases: bool,
    pub mlp: MlpSpec,
    /// Names of the scales of both parts of a block.
    pub scales: Option<[&'static str; 2]>,
    pub end: End,
    pub pool: Pool,
    pub projected: Option<usize>,
    pub classifier: Option<&'static str>,
    pub ignored: &'static [&'static str],
}

/// Tokens that learnt position embeddings are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Embedding {
    /// Patches.
    Patches,
    /// The class token and patches.
    ClassAndPatches,
}

impl Embedding {
    /// Tokens in front of the patches that it is for.
    pub fn prefix(self) -> usize {
        usize::from(self == Self::ClassAndPatches)
    }
}

impl Spec {
    /// Patches of an image.
    pub fn patches(&self, image: ImageSize) -> usize {
        image.map(|side| side / self.patch.max(1)).area()
    }

    /// Tokens that are not of patches.
    pub fn prefix(&self) -> usize {
        usize::from(self.has_class_token) + self.registers
    }
}

impl Architecture for Spec {
    fn numbers_stages(&self) -> bool {
        true
    }

    fn name(&self) -> &'static str {
        self.name
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
        let has_learnt = self.embedding.is_some();
        has_learnt.then(|| (ImageSize::square(self.trained_at / self.patch), self.patch))
    }

    /// The hidden layer of a block, or the weights of its attention.
    fn largest_map(&self, image: ImageSize) -> usize {
        let tokens = self.patches(image) + self.prefix();
        let gate = if matches!(self.mlp, MlpSpec::Packed) { 2 } else { 1 };
        tokens * (gate * self.shape.hidden).max(3 * self.shape.width).max(self.shape.heads * tokens)
    }

    fn min_image_size(&self) -> usize {
        self.patch
    }

    fn pool(&self) -> Pool {
        self.pool
    }

    fn has_class_token(&self) -> bool {
        self.has_class_token
    }

    fn has_last_stages(&self) -> bool {
        true
    }

    fn end_channels(&self) -> Option<usize> {
        self.projected
    }

    fn classifier(&self) -> Option<&'static str> {
        self.classifier
    }

    fn namings(&self) -> Vec<assay_weights::Naming> {
        super::names::of(self)
    }

    /// The decoder of MAE, the token for hidden patches, and the projection of CLIP where features are those before it.
    fn ignored(&self) -> &'static [&'static str] {
        self.ignored
    }

    fn size_problem(&self, image: ImageSize) -> Option<String> {
        let (patch, only) = (self.patch, ImageSize::square(self.trained_at));
        let is_multiple = image.height.is_multiple_of(patch) && image.width.is_multiple_of(patch);
        if image.shorter_side() < patch {
            Some(format!("needs images of at least {patch}×{patch} pixels, and these have {image}"))
        } else if !is_multiple {
            Some(format!("cuts images into patches of {patch}×{patch} pixels, and {image} is no multiple of that"))
        } else if self.relative_side.is_some() && image != only {
            Some(format!("has relative positions for images of {only} alone (`trained_at`), and these have {image}"))
        } else {
            None
        }
    }

    fn invalid_because(&self) -> Option<&'static str> {
        let Shape { width, depth, heads, .. } = self.shape;
        if !(1..=8192).contains(&width) || !(1..=128).contains(&depth) {
            Some("`width` must be from 1 to 8192, and `depth` from 1 to 128")
        } else if heads == 0 || !width.is_multiple_of(heads) {
            Some("`width` must be a multiple of `heads`")
        } else if self.rotary.is_some() && !(width / heads).is_multiple_of(4) {
            Some("with rotary positions, `width` must be a multiple of four times `heads`")
        } else if !(1..=64).contains(&self.patch) {
            Some("`patch` must be from 1 to 64 pixels")
        } else if !(self.patch..=4096).contains(&self.trained_at) {
            Some("`trained_at` must be at least `patch`, and at most 4096 pixels")
        } else if self.registers > 64 {
            Some("`registers` must be at most 64")
        } else if !(0.0..=1.0).contains(&self.norm.epsilon) {
            Some("`epsilon` must be from 0 to 1")
        } else if self.projected.is_some_and(|n| !(1..=8192).contains(&n)) {
            Some("`projected` must be from 1 to 8192")
        } else {
            None
        }
    }

    fn features(&self, _channels: usize, image: ImageSize, point: &FeaturePoint) -> usize {
        let end = self.projected.filter(|_| point.is_at_end()).unwrap_or(self.shape.width);
        let pool = point.pool.unwrap_or(self.pool);
        let stages = point.last.unwrap_or(1);
        let more = if pool == Pool::ClsGap { stages + 1 } else { stages * pool.features(1, self.patches(image)) };
        end * more
    }
}
