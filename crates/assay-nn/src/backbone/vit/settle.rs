//! What the tensors of a transformer do not say, and the defaults of each origin.

use super::params::{Clip, DinoV2, Family, Transformer, ViT};
use crate::backbone::Backbone;
use crate::backbone::positions::Positions;
use crate::backbone::unsaid::{Activation, Origin, Settled, Unsaid};

/// The name that translations from Hugging Face have.
const HUGGING_FACE: &str = "Hugging Face";

/// The activation function of an image tower of CLIP is in no tensor: OpenAI trained with QuickGELU, most of open_clip's models
/// with GELU, and both are found under the names of OpenAI, of Hugging Face and of timm.
pub fn settle_clip(spec: &Clip, origin: &Origin) -> Result<Settled, Unsaid> {
    let config = origin
        .config
        .as_ref()
        .filter(|config| config.is_of(&["clip"]) && !(config.kind.is_some() && config.is_of(&["siglip"])));
    let said = config.and_then(|config| Some((config.activation?, config.file.as_str())));
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
    settled.epsilon = spec.epsilon.or_else(|| config?.epsilon).filter(|e| *e != Clip::EPSILON);
    if spec.positions.is_none() && origin.naming.as_deref() != Some(HUGGING_FACE) {
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

/// Hugging Face's transformers of these names are built with an epsilon of their own.
pub fn settle_vit(spec: &ViT, origin: &Origin) -> Settled {
    let is_hugging_face = origin.naming.as_deref() == Some(HUGGING_FACE);
    let of_origin = is_hugging_face.then_some((1e-12, "Hugging Face's names"));
    let config = origin.config.as_ref().filter(|config| config.is_of(&["vit", "deit", "dino"]));
    let said = config.and_then(|config| Some((config.epsilon?, config.file.as_str())));
    let mut settled = Settled::plain(Backbone::ViT(spec.clone()));
    if let (None, Some((epsilon, by))) = (spec.epsilon, said.or(of_origin)) {
        settled.notes.push(format!("epsilon {epsilon:e}: by {by}"));
        let epsilon = Some(epsilon).filter(|epsilon| *epsilon != ViT::EPSILON);
        settled.backbone = Backbone::ViT(ViT { epsilon, ..spec.clone() });
    }
    settled
}

/// Hugging Face resizes positions of DINOv2 without registers otherwise than its authors.
pub fn settle_dino_v2(spec: &DinoV2, origin: &Origin) -> Settled {
    let positions = match origin.naming.as_deref() {
        Some(HUGGING_FACE) if spec.registers == 0 => Some(Positions::Bicubic),
        _ => None,
    };
    Settled::plain(Backbone::DinoV2(DinoV2 { positions: spec.positions.or(positions), ..spec.clone() }))
}

/// The defaults of each library for a transformer of a family.
pub fn settle_transformer(spec: &Transformer, origin: &Origin) -> Settled {
    let is_hugging_face = origin.naming.as_deref() == Some(HUGGING_FACE);
    let config = origin.config.as_ref().filter(|config| config.is_of(spec.family.words()));
    let mut settled = spec.clone();
    let mut notes = Vec::new();
    let mut contradictions = Vec::new();
    let said = config.and_then(|config| Some((config.activation?, config.file.as_str())));
    let usual = if spec.family == Family::SigLip { Activation::GeluTanh } else { Activation::Gelu };
    match (spec.activation, said) {
        _ if spec.is_gated() => {}
        (Some(written), Some((known, file))) if written != known => {
            contradictions.push(format!("`activation: {written:?}` is written, and {file} says {known:?}"));
        }
        (None, Some((known, file))) => notes.push(format!("activation {known:?}: {file} says so")),
        (None, None) if !is_hugging_face && matches!(spec.family, Family::SigLip | Family::IJepa) => {
            notes.push(format!(
                "activation {usual:?}: as its authors trained it; timm computes some towers of SigLIP with {:?}",
                if usual == Activation::Gelu { Activation::GeluTanh } else { Activation::Gelu }
            ))
        }
        _ => {}
    }
    let activation = spec.activation.or(said.map(|(known, _)| known).filter(|_| !spec.is_gated()));
    settled.activation = activation.filter(|activation| *activation != usual);
    if is_hugging_face && spec.positions.is_none() {
        settled.positions = Some(Positions::Bicubic);
    }
    if spec.epsilon.is_none() {
        let of_origin = is_hugging_face && matches!(spec.family, Family::Beit | Family::IJepa);
        settled.epsilon = config.and_then(|config| config.epsilon).or(of_origin.then_some(1e-12));
    }
    if spec.family == Family::DinoV3 && spec.rounded_periods.is_none() {
        settled.rounded_periods = origin.has_periods.then_some(true);
        notes.extend(
            origin.has_periods.then(|| "periods of positions rounded to bfloat16: as the file holds them".to_owned()),
        );
    }
    Settled { backbone: Backbone::Transformer(settled), notes, contradictions }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::unsaid::Config;

    /// The defaults of each origin.
    #[test]
    fn defaults_follow_the_origin() {
        let hf = Some("Hugging Face");
        let (gelu, eps) = (Some((Some(Activation::Gelu), None)), Some((None, Some(1e-5))));
        for (written, naming, config, expected) in [
            (r#"{"ViT":{"size":"Small"}}"#, None, None, r#""positions":"Bicubic"}"#),
            (r#"{"ViT":{"size":"Small"}}"#, hf, None, r#""epsilon":1e-12}"#),
            (r#"{"ViT":{"size":"Small"}}"#, hf, eps, r#""epsilon":0.00001}"#),
            (r#"{"ViT":{"size":"Small","epsilon":1e-6}}"#, hf, eps, r#""epsilon":1e-6}"#),
            (r#"{"DinoV2":{"size":"Small"}}"#, None, None, r#""trained_at":518}"#),
            (r#"{"DinoV2":{"size":"Small"}}"#, hf, None, r#""positions":"Bicubic"}"#),
            (r#"{"DinoV2":{"size":"Small","registers":4}}"#, hf, None, r#""trained_at":518}"#),
            (
                r#"{"Clip":{"activation":"QuickGelu"}}"#,
                hf,
                None,
                r#"{"Clip":{"size":"Base","patch":32,"trained_at":224}}"#,
            ),
            (r#"{"Clip":{}}"#, None, gelu, r#""activation":"Gelu","positions":"BicubicAntialias"}"#),
            (r#"{"Clip":{"activation":"Gelu"}}"#, hf, eps, r#""activation":"Gelu"}"#),
            (r#"{"Transformer":{"family":"SigLip","size":"Base"}}"#, hf, None, r#""positions":"Bicubic"}"#),
            (r#"{"Transformer":{"family":"SigLip","size":"Base"}}"#, None, None, r#""trained_at":224}"#),
            (r#"{"Transformer":{"family":"SigLip","size":"Base"}}"#, None, gelu, r#""activation":"Gelu"}"#),
            (
                r#"{"Transformer":{"family":"Beit","size":"Base"}}"#,
                hf,
                None,
                r#""positions":"Bicubic","epsilon":1e-12}"#,
            ),
            (r#"{"Transformer":{"family":"DinoV3","size":"Base"}}"#, None, None, r#""trained_at":224}"#),
        ] {
            let backbone: Backbone = serde_json::from_str(written).unwrap();
            let config = config.map(|(activation, epsilon)| Config {
                file: "config.json".into(),
                kind: None,
                activation,
                epsilon,
            });
            let origin = Origin { naming: naming.map(str::to_owned), config, ..Origin::default() };
            let settled = serde_json::to_string(&backbone.settled(&origin).unwrap().backbone).unwrap();
            assert!(
                settled.trim_end_matches('}').ends_with(expected.trim_end_matches('}')),
                "{written} {naming:?}: {settled}"
            );
        }
        let asked = serde_json::from_str::<Backbone>(r#"{"Clip":{}}"#).unwrap().settled(&Origin::default());
        assert!(asked.unwrap_err().question.contains("QuickGelu"));
        // A configuration of another model says nothing.
        let kind = |kind: &str| {
            Some(Config { kind: Some(kind.to_owned()), activation: Some(Activation::Gelu), ..Config::default() })
        };
        let clip: Backbone = serde_json::from_str(r#"{"Clip":{}}"#).unwrap();
        for (of, is_settled) in [("clip_vision_model", true), ("vit", false), ("siglip", false)] {
            let origin = Origin { config: kind(of), ..Origin::default() };
            assert_eq!(clip.settled(&origin).is_ok(), is_settled, "{of}");
        }
        let periods = Origin { has_periods: true, ..Origin::default() };
        let dino: Backbone = serde_json::from_str(r#"{"Transformer":{"family":"DinoV3","size":"Base"}}"#).unwrap();
        assert!(
            serde_json::to_string(&dino.settled(&periods).unwrap().backbone)
                .unwrap()
                .contains(r#""rounded_periods":true"#)
        );
    }
}
