//! The published vision transformers.

use super::mlp::MlpSpec;
use super::norm::NormSpec;
use super::params::{Clip, DinoV2, Family, Transformer, ViT, ViTSize};
use super::rotary::Rotary;
use super::spec::{Embedding, End, Known, QkvBias, Shape, Spec};
use super::tensors;
use crate::backbone::point::Pool;
use crate::backbone::positions::Positions;
use crate::backbone::unsaid::Activation;

/// What only pretraining needs: a token for hidden patches, the decoder of MAE, the head that guesses patches.
const PRETRAINING: &[&str] = &["mask_token", "decoder", "lm_head"];

impl Spec {
    /// A plain transformer of timm: class token, learnt positions, GELU.
    fn plain(name: &'static str, shape: Shape, patch: u32, trained_at: u32) -> Self {
        Self {
            name,
            names: &tensors::TIMM,
            known: Known::Vit,
            shape,
            patch: patch as usize,
            trained_at: trained_at as usize,
            has_patch_bias: true,
            has_patch_norm: false,
            has_class_token: true,
            registers: 0,
            embedding: Some(Embedding::ClassAndPatches),
            positions: Positions::BicubicAntialias,
            rotary: None,
            relative_side: None,
            has_pre_norm: false,
            norm: NormSpec { is_rms: false, epsilon: 1e-6 },
            is_split: false,
            qkv_bias: QkvBias::All,
            has_inner_norm: false,
            has_biases: true,
            mlp: MlpSpec::Plain(Activation::Gelu),
            scales: None,
            end: End::Norm,
            pool: Pool::Cls,
            projected: None,
            classifier: None,
            ignored: PRETRAINING,
        }
    }
}

impl From<&ViT> for Spec {
    fn from(spec: &ViT) -> Self {
        Self {
            positions: spec.positions.unwrap_or_default(),
            norm: NormSpec { is_rms: false, epsilon: spec.epsilon.unwrap_or(ViT::EPSILON) },
            classifier: Some("head"),
            ..Self::plain("ViT", spec.size.shape(), spec.patch, spec.trained_at)
        }
    }
}

impl From<&DinoV2> for Spec {
    fn from(spec: &DinoV2) -> Self {
        let usual = if spec.registers > 0 { Positions::BicubicAntialias } else { Positions::BicubicOffset };
        let is_gated = spec.size == ViTSize::Giant;
        Self {
            names: &tensors::DINOV2,
            known: Known::DinoV2,
            positions: spec.positions.unwrap_or(usual),
            registers: spec.registers as usize,
            mlp: if is_gated { MlpSpec::Packed } else { MlpSpec::Plain(Activation::Gelu) },
            scales: Some(["ls1.gamma", "ls2.gamma"]),
            ..Self::plain("DinoV2", spec.size.shape(), spec.patch, spec.trained_at)
        }
    }
}

impl From<&Clip> for Spec {
    fn from(spec: &Clip) -> Self {
        Self {
            names: &tensors::CLIP,
            known: Known::Clip,
            has_patch_bias: false,
            has_pre_norm: true,
            positions: spec.positions.unwrap_or_default(),
            norm: NormSpec { is_rms: false, epsilon: spec.epsilon.unwrap_or(Clip::EPSILON) },
            mlp: MlpSpec::Plain(spec.activation.unwrap_or(Activation::QuickGelu)),
            projected: spec.projected.map(|n| n as usize),
            ignored: &["proj", "embeddings.position_ids"],
            ..Self::plain("Clip", spec.size.shape(), spec.patch, spec.trained_at)
        }
    }
}

impl From<&Transformer> for Spec {
    fn from(params: &Transformer) -> Self {
        let mut shape = params.family.shape(&params.size);
        shape.depth = params.depth.map_or(shape.depth, |depth| depth as usize);
        let patch = params.patch.unwrap_or(params.family.patch());
        let plain = Self::plain("Transformer", shape, patch, params.trained_at);
        let plain = Self { known: Known::Family(params.family), ..plain };
        let mut spec = params.family.preset(plain, params);
        spec.norm.epsilon = params.epsilon.unwrap_or(spec.norm.epsilon);
        spec.positions = params.positions.unwrap_or(spec.positions);
        if let (MlpSpec::Plain(_), Some(activation)) = (spec.mlp, params.activation) {
            spec.mlp = MlpSpec::Plain(activation);
        }
        spec
    }
}

impl Transformer {
    /// Tells whether its hidden layers are gated, by the function of SwiGLU.
    pub(super) fn is_gated(&self) -> bool {
        !matches!(Spec::from(self).mlp, MlpSpec::Plain(_))
    }
}

impl Family {
    /// Side of a patch.
    pub(super) fn patch(self) -> u32 {
        match self {
            Self::Eva02 | Self::AimV2 | Self::IJepa => 14,
            _ => 16,
        }
    }

    /// Words in the names that libraries have for models of it.
    pub(super) fn words(self) -> &'static [&'static str] {
        match self {
            Self::DinoV3 => &["dinov3"],
            Self::SigLip => &["siglip"],
            Self::Deit3 => &["deit3"],
            Self::Beit => &["beit", "data2vec"],
            Self::Eva02 | Self::Eva02Clip => &["eva"],
            Self::AimV2 => &["aim"],
            Self::IJepa => &["jepa", "vit", "siglip"],
            Self::MaeFineTuned => &["vit"],
        }
    }

    /// The numbers of a size, which are not the same in all families.
    pub(super) fn shape(self, size: &ViTSize) -> Shape {
        let shape = size.shape();
        let Shape { width, .. } = shape;
        match (self, size) {
            (Self::AimV2, ViTSize::Large) => Shape { heads: 8, hidden: 2816, ..shape },
            (Self::AimV2, ViTSize::Huge) => Shape { width: 1536, depth: 24, heads: 12, hidden: 4096 },
            (Self::AimV2, _) => Shape { hidden: width * 11 / 4, ..shape },
            (Self::Eva02 | Self::Eva02Clip, _) => Shape { hidden: width * 8 / 3, ..shape },
            (_, ViTSize::Giant) => Shape { hidden: 4 * width, ..shape },
            _ => shape,
        }
    }

    /// The published configuration, made of a plain transformer.
    fn preset(self, plain: Spec, params: &Transformer) -> Spec {
        match self {
            Self::DinoV3 => dino_v3(plain, params),
            Self::SigLip => {
                let activation = params.activation.unwrap_or(Activation::GeluTanh);
                Spec {
                    has_class_token: false,
                    embedding: Some(Embedding::Patches),
                    mlp: MlpSpec::Plain(activation),
                    end: End::Attention(activation),
                    pool: Pool::Attention,
                    ..plain
                }
            }
            Self::Deit3 => Spec {
                embedding: Some(Embedding::Patches),
                scales: Some(["ls1.gamma", "ls2.gamma"]),
                classifier: Some("head"),
                ..plain
            },
            Self::Beit => Spec {
                embedding: None,
                relative_side: Some((plain.trained_at / plain.patch.max(1)).max(1)),
                qkv_bias: QkvBias::QueryValue,
                scales: Some(["gamma_1", "gamma_2"]),
                end: End::PooledNorm,
                pool: Pool::Gap,
                classifier: Some("head"),
                ..plain
            },
            Self::Eva02 | Self::Eva02Clip => self.eva02(plain),
            Self::AimV2 => Spec {
                has_patch_norm: true,
                norm: NormSpec { is_rms: true, epsilon: 1e-5 },
                qkv_bias: QkvBias::None,
                has_biases: false,
                mlp: MlpSpec::Gated { has_norm: false },
                ..averaged(plain)
            },
            Self::IJepa => averaged(plain),
            Self::MaeFineTuned => Spec { end: End::PooledNorm, pool: Pool::Gap, classifier: Some("head"), ..plain },
        }
    }

    /// The small ones have their matrices in one, and no normalisation in the hidden layer.
    fn eva02(self, plain: Spec) -> Spec {
        let (is_large, is_clip) = (plain.shape.width >= 768, self == Self::Eva02Clip);
        let (end, pool) = if is_clip { (End::Norm, Pool::Cls) } else { (End::PooledNorm, Pool::Gap) };
        Spec {
            rotary: Some(Rotary::Eva02 { side: 16 }),
            qkv_bias: QkvBias::QueryValue,
            is_split: is_large,
            mlp: if is_large { MlpSpec::Gated { has_norm: true } } else { MlpSpec::Packed },
            has_inner_norm: is_clip,
            end,
            pool,
            classifier: (!is_clip).then_some("head"),
            ..plain
        }
    }
}

fn dino_v3(plain: Spec, params: &Transformer) -> Spec {
    let is_gated = matches!(params.size, ViTSize::SmallPlus | ViTSize::HugePlus);
    let is_rounded = params.rounded_periods.unwrap_or(false);
    Spec {
        registers: 4,
        embedding: None,
        rotary: Some(if is_rounded { Rotary::DinoV3Rounded } else { Rotary::DinoV3 }),
        norm: NormSpec { is_rms: false, epsilon: 1e-5 },
        qkv_bias: QkvBias::QueryValue,
        mlp: if is_gated { MlpSpec::Gated { has_norm: false } } else { plain.mlp },
        scales: Some(["gamma_1", "gamma_2"]),
        ..plain
    }
}

/// Without a class token; features are the average of the patches.
fn averaged(plain: Spec) -> Spec {
    Spec {
        has_class_token: false,
        embedding: Some(Embedding::Patches),
        pool: Pool::Gap,
        classifier: Some("head"),
        ..plain
    }
}
