//! What the tensors of a transformer do not say, and the defaults of each origin.

use super::spec::Clip;
use crate::backbone::Backbone;
use crate::backbone::positions::Positions;
use crate::backbone::unsaid::{Activation, Origin, Settled, Unsaid};

/// The activation function of an image tower of CLIP is in no tensor: OpenAI trained with QuickGELU, most of open_clip's models
/// with GELU, and both are found under the names of OpenAI, of Hugging Face and of timm.
pub fn settle_clip(spec: &Clip, origin: &Origin) -> Result<Settled, Unsaid> {
    let said = origin.config.as_ref().and_then(|config| Some((config.activation?, config.file.as_str())));
    let openai = origin.is_openai.then_some((Activation::QuickGelu, "the file is one of OpenAI's own"));
    let (mut notes, mut contradictions) = (Vec::new(), Vec::new());
    let activation = match (spec.activation, said, openai) {
        (Some(written), said, openai) => {
            let other = said
                .map(|(a, file)| (a, format!("{file} says")))
                .or(openai.map(|(a, why)| (a, format!("{why}, which means"))));
            if let Some((other, why)) = other.filter(|(other, _)| *other != written) {
                contradictions.push(format!("`activation: {written:?}` is written, and {why} {other:?}"));
            }
            written
        }
        (None, Some((said, file)), _) => {
            notes.push(format!("activation {said:?}: {file} says so"));
            said
        }
        (None, None, Some((known, why))) => {
            notes.push(format!("activation {known:?}: {why}"));
            known
        }
        (None, None, None) => return Err(activation_of_clip()),
    };
    let mut settled = spec.with_activation(activation);
    settled.epsilon = spec.epsilon.or_else(|| origin.config.as_ref()?.epsilon).filter(|e| *e != Clip::EPSILON);
    if spec.positions.is_none() && origin.naming.as_deref() != Some("Hugging Face") {
        settled.positions = Some(Positions::BicubicAntialias);
    }
    Ok(Settled { backbone: Backbone::Clip(settled), notes, contradictions })
}

fn activation_of_clip() -> Unsaid {
    Unsaid {
        question: "the tensors do not tell which activation function its blocks have, and there are two: QuickGelu \
                   (OpenAI's weights, and models of open_clip called `…-quickgelu`) and Gelu (other models of open_clip: \
                   LAION, DataComp and most others)"
            .to_owned(),
        help: "write it as `backbone: Clip(activation: QuickGelu, …)` or `Clip(activation: Gelu, …)`, or put the model's own \
               configuration beside the file: `config.json` says it as `hidden_act`, `open_clip_config.json` as `quick_gelu`"
            .to_owned(),
    }
}
