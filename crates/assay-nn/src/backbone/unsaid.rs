//! What the tensors of a network do not say: which of several functions of the same shape its authors computed.
//!
//! It is written in the experiment, said by a configuration file beside the weights, or follows from where the weights come
//! from. Where none of these tells and there are several usual answers, nothing is assumed: [`Unsaid`] asks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Backbone, vit};
use crate::input::ImageSize;
use assay_weights::Checkpoint;

/// Activation function of the hidden layers of a transformer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Activation {
    /// x·Φ(x), by the error function (Hendrycks & Gimpel 2016), `nn.GELU` of torch. For timm, DINO, MAE and most of open_clip.
    Gelu,
    /// x·σ(1.702·x). For the CLIP of OpenAI, and the models of open_clip whose names end in `-quickgelu`.
    QuickGelu,
    /// GELU approximated by a hyperbolic tangent, `gelu_pytorch_tanh` of Hugging Face. For SigLIP.
    GeluTanh,
}

/// What is known of the origin of weights, besides shapes and values of tensors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Library whose names the tensors have, where those are not the backbone's own.
    pub naming: Option<String>,
    /// True if the file holds what only OpenAI's own files of CLIP hold: `input_resolution`, `context_length`, `vocab_size`.
    pub is_openai: bool,
    /// True if the file holds the periods of rotary positions, as those of DINOv3's authors do.
    pub has_periods: bool,
    /// What a configuration file beside the weights says.
    pub config: Option<Config>,
    /// Name of the weights file, without its ending.
    #[serde(default)]
    pub file: Option<String>,
    /// Architecture that the `config.json` beside the weights names, as timm writes it.
    #[serde(default)]
    pub architecture: Option<String>,
}

/// What the configuration file of a model says of its network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Name of the file.
    pub file: String,
    /// What kind of model it is of: the `model_type` of Hugging Face, or the architecture of timm.
    #[serde(default)]
    pub kind: Option<String>,
    /// Activation function, if it says one.
    pub activation: Option<Activation>,
    /// Epsilon of the normalisation, if it says one.
    pub epsilon: Option<f64>,
}

impl Origin {
    /// What a checkpoint tells by its names; `naming` is the library that they are from.
    pub fn of(checkpoint: &Checkpoint, naming: Option<&str>) -> Self {
        let of_openai = ["input_resolution", "context_length", "vocab_size"];
        let is_openai = of_openai.iter().all(|name| checkpoint.tensors.contains_key(*name));
        let has_periods = checkpoint.tensors.keys().any(|name| name.ends_with("rope_embed.periods"));
        Self { naming: naming.map(str::to_owned), is_openai, has_periods, ..Self::default() }
    }
}

impl Config {
    /// Tells whether it is of a model whose kind has one of these words in its name; or does not say.
    pub(super) fn is_of(&self, words: &[&str]) -> bool {
        self.kind.as_ref().is_none_or(|kind| words.iter().any(|word| kind.to_lowercase().contains(word)))
    }
}

/// A question that only the experiment can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsaid {
    /// What is not known, with the possible answers.
    pub question: String,
    /// Where the answer is to be found, and how it is written.
    pub help: String,
}

/// A backbone of which all is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// The backbone, as recipes hold it.
    pub backbone: Backbone,
    /// What was taken from the origin of the weights, for a person.
    pub notes: Vec<String>,
    /// What a configuration file contradicts.
    pub contradictions: Vec<String>,
}

impl Settled {
    /// A backbone of which there was nothing to ask.
    pub(super) fn plain(backbone: Backbone) -> Self {
        Self { backbone, notes: Vec::new(), contradictions: Vec::new() }
    }
}

impl Backbone {
    /// The backbone with all that its weights do not say filled in from where they come from.
    ///
    /// # Errors
    /// Asks where that does not tell and there are several usual answers.
    pub fn settled(&self, origin: &Origin) -> Result<Settled, Unsaid> {
        match self {
            Self::Clip(spec) => vit::settle_clip(spec, origin),
            Self::ViT(spec) => Ok(vit::settle_vit(spec, origin)),
            Self::DinoV2(spec) => Ok(vit::settle_dino_v2(spec, origin)),
            Self::Transformer(spec) => Ok(vit::settle_transformer(spec, origin)),
            _ => self.read(origin),
        }
    }

    /// A warning that positions are resized by a default that may not be that of the origin, where images of this size make
    /// that matter and neither the parameters nor the origin tell.
    pub fn doubt_for(&self, origin: &Origin, image: ImageSize) -> Option<String> {
        let Self::ViT(spec) = self else { return None };
        let side = spec.trained_at as usize;
        let is_known = spec.positions.is_some() || origin.naming.is_some() || image == ImageSize::square(side);
        (!is_known).then(|| {
            format!(
                "images of {image} are not those of {side}×{side} that it was trained on, and no tensor tells how its positions \
                 are resized: Bicubic is taken, as in MAE and DeiT; DINO has BicubicOffset, and timm BicubicAntialias. \
                 Write `positions: Bicubic` or the other in `ViT(…)`"
            )
        })
    }

    /// The backbone for weights that are made here: what is not written has its documented default.
    pub fn settled_for_new_weights(&self) -> Self {
        match self {
            Self::Clip(spec) => Self::Clip(spec.with_activation(spec.activation.unwrap_or(Activation::QuickGelu))),
            _ => self.clone(),
        }
    }
}
