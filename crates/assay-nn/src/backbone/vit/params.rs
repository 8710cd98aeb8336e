//! Parameters of vision transformers, as an experiment has them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::spec::Shape;
use crate::backbone::positions::Positions;
use crate::backbone::unsaid::Activation;

/// Size of a vision transformer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ViTSize {
    /// 192 features, 12 blocks, 3 attention heads.
    Tiny,
    /// 384 features, 12 blocks, 6 attention heads.
    Small,
    /// The same with gated hidden layers (SwiGLU), of DINOv3.
    SmallPlus,
    /// 768 features, 12 blocks, 12 attention heads.
    Base,
    /// 1024 features, 24 blocks, 16 attention heads; 8 of AIMv2.
    Large,
    /// 1152 features, 27 blocks, 16 attention heads and 4304 hidden features, of SigLIP.
    So400M,
    /// 1280 features, 32 blocks, 16 attention heads; of AIMv2 1536 features, 24 blocks, 12 heads.
    Huge,
    /// 1280 features, 32 blocks, 20 attention heads and gated hidden layers, of DINOv3.
    HugePlus,
    /// 1536 features, 40 blocks, 24 attention heads and gated hidden layers, of DINOv2.
    Giant,
    /// 1408 features, 40 blocks, 16 attention heads and 6144 hidden features: `ViT-g-14` of open_clip.
    LittleG,
    /// 1664 features, 48 blocks, 16 attention heads and 8192 hidden features: `ViT-bigG-14` of open_clip.
    BigG,
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
    /// The numbers of the size, with hidden layers of four times the width where it has no others.
    pub(super) fn shape(&self) -> Shape {
        let (width, depth, heads, hidden) = match self {
            Self::Tiny => (192, 12, 3, 768),
            Self::Small | Self::SmallPlus => (384, 12, 6, 1536),
            Self::Base => (768, 12, 12, 3072),
            Self::Large => (1024, 24, 16, 4096),
            Self::So400M => (1152, 27, 16, 4304),
            Self::Huge => (1280, 32, 16, 5120),
            Self::HugePlus => (1280, 32, 20, 5120),
            Self::Giant => (1536, 40, 24, 4096),
            Self::LittleG => (1408, 40, 16, 6144),
            Self::BigG => (1664, 48, 16, 8192),
            Self::Custom { width, depth, heads } => (*width, *depth, *heads, width.saturating_mul(4)),
        };
        let [width, depth, heads, hidden] = [width, depth, heads, hidden].map(|n| n as usize);
        Shape { width, depth, heads, hidden }
    }
}

/// Parameters of a vision transformer. It takes images whose sides are multiples of `patch`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// Interpolation of position embeddings for images of another size than `trained_at`. No tensor tells it: DINO has
    /// `BicubicOffset` and timm `BicubicAntialias` under the same names, so that the default is told where it matters. Default:
    /// `Bicubic`.
    #[serde(default, serialize_with = "usual_positions")]
    pub positions: Option<Positions>,
    /// Number that is added to variances before their root is taken. Default: what a configuration file beside the weights says;
    /// else 1e-12 for weights under the names of Hugging Face, as its models have it, and 1e-6 for all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
}

/// Keys hold the default as if it were written.
fn usual_positions<S: Serializer>(positions: &Option<Positions>, serializer: S) -> Result<S::Ok, S::Error> {
    positions.unwrap_or_default().serialize(serializer)
}

impl ViT {
    /// Epsilon of timm, DINO, MAE and DeiT.
    pub(super) const EPSILON: f64 = 1e-6;
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
    /// registers; without, `BicubicOffset`, as its authors do, and `Bicubic` for weights under the names of Hugging Face.
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

/// Published family of vision transformers, which differ in more than size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Family {
    /// DINOv3 (Siméoni et al. 2025): rotary positions, a class token and 4 registers. Features: the class token, as its authors
    /// evaluate it; `pool: Gap` gives those of timm, `ClsGap` both. Patches of 16 pixels.
    DinoV3,
    /// SigLIP and SigLIP 2 (Zhai et al. 2023; Tschannen et al. 2025) with images of one size: no class token; features are
    /// those of its attention pool. Patches of 16 pixels.
    SigLip,
    /// DeiT-3 (Touvron et al. 2022): scaled layers; positions are added to patches alone. Features: the class token. Patches
    /// of 16 pixels.
    Deit3,
    /// BEiT and BEiTv2 (Bao et al. 2021; Peng et al. 2022), and data2vec of images: relative positions in attention; it takes
    /// images of `trained_at` alone. Features: the average of the patches, normalised after it. Patches of 16 pixels.
    Beit,
    /// EVA-02 (Fang et al. 2023): rotary and learnt positions, gated hidden layers. Features: the average of the patches,
    /// normalised after it. Patches of 14 pixels.
    Eva02,
    /// Image tower of EVA-02-CLIP (Sun et al. 2023). Features: the class token, before the projection. Patches of 16 pixels.
    Eva02Clip,
    /// AIMv2 (Fini et al. 2024): no class token, gated hidden layers without biases. Features: the average of the patches.
    /// Patches of 14 pixels.
    AimV2,
    /// I-JEPA (Assran et al. 2023), and every transformer without class token whose patches are averaged. Patches of 14
    /// pixels.
    IJepa,
    /// MAE fine-tuned with averaged patches (He et al. 2022), and all that are normalised after the average (`fc_norm`).
    /// Patches of 16 pixels.
    MaeFineTuned,
}

impl Family {
    /// All of them.
    pub(super) const ALL: [Self; 9] = [
        Self::DinoV3,
        Self::SigLip,
        Self::Deit3,
        Self::Beit,
        Self::Eva02,
        Self::Eva02Clip,
        Self::AimV2,
        Self::IJepa,
        Self::MaeFineTuned,
    ];

    /// The sizes that are published.
    pub(super) fn sizes(self) -> &'static [ViTSize] {
        use ViTSize::{Base, Huge, HugePlus, Large, Small, SmallPlus, So400M, Tiny};
        match self {
            Self::DinoV3 => &[Small, SmallPlus, Base, Large, HugePlus],
            Self::SigLip => &[Base, Large, So400M],
            Self::Deit3 => &[Small, Base, Large, Huge],
            Self::Beit | Self::Eva02Clip => &[Base, Large],
            Self::Eva02 => &[Tiny, Small, Base, Large],
            Self::AimV2 => &[Large, Huge],
            Self::IJepa => &[Tiny, Small, Base, Large, So400M, Huge],
            Self::MaeFineTuned => &[Base, Large, Huge],
        }
    }
}

/// Parameters of a vision transformer of a published family. It takes images whose sides are multiples of `patch`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Transformer {
    /// Family, which says all that is not written.
    pub family: Family,
    /// Size of the network.
    pub size: ViTSize,
    /// Number of blocks, where there are not those of `size`. Default: those of `size`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<u32>,
    /// Side of a patch, in pixels. Default: that of the family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<u32>,
    /// Side of the images that the checkpoint was trained on, in pixels; learnt position embeddings are resized for others.
    /// Default: 224.
    #[serde(default = "image_224")]
    pub trained_at: u32,
    /// Interpolation of learnt position embeddings for images of another size than `trained_at`. Default: `Bicubic` for weights
    /// under the names of Hugging Face, as it does, and `BicubicAntialias` for all others, as timm does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positions: Option<Positions>,
    /// Activation function of hidden layers that are not gated. Default: what a configuration file beside the weights says; of
    /// `SigLip` else `GeluTanh`, as it was trained (some of timm's have `Gelu`), and `Gelu` of all other families.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// Number that is added to variances before their root is taken. Default: what a configuration file beside the weights says;
    /// else 1e-5 of `DinoV3` and `AimV2`, and 1e-6 of all other families.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    /// Rounding of the periods of rotary positions to bfloat16, as in the files of DINOv3's authors. Default: true for those
    /// files, which hold the periods; false for all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounded_periods: Option<bool>,
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
