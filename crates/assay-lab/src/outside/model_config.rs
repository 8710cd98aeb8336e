//! What the configuration file of a model says of its network: `config.json` of Hugging Face or timm, or `open_clip_config.json`.
//!
//! It is looked for in the folder of the weights file. What is in it answers questions that the tensors leave open; it decides
//! nothing that an experiment says.

use std::path::Path;

use assay_nn::{Activation, Config};
use serde_json::Value;

use super::declared::{belongs, json};

/// The names of configuration files, the most exact first.
const NAMES: [&str; 2] = ["open_clip_config.json", "config.json"];

/// What the configuration beside a weights file says; `None` when there is none of its own, or nothing of use in it.
pub fn beside(weights: &Path) -> Option<Config> {
    let folder = weights.parent().filter(|folder| belongs(weights, folder))?;
    NAMES.iter().find_map(|name| parse(name, &json(&folder.join(name))?))
}

/// What a `config.json` of Hugging Face or timm, or an `open_clip_config.json`, says; `None` when it says nothing of use.
fn parse(file: &str, json: &Value) -> Option<Config> {
    let text = |json: &Value, name: &str| json.get(name).and_then(Value::as_str).map(str::to_owned);
    let vision = json.get("vision_config").filter(|v| v.is_object()).unwrap_or(json);
    let model_type = [vision, json].into_iter().find_map(|v| text(v, "model_type"));
    let open_clip = json.get("model_cfg");
    // A tower of timm, by itself or in a model of open_clip.
    let tower = open_clip.and_then(|model| text(model.get("vision_cfg")?, "timm_model_name"));
    let tower = tower.or_else(|| text(json, "architecture"));
    let activation = match (text(vision, "hidden_act"), &tower, open_clip) {
        (Some(name), ..) => activation_named(&name),
        (None, Some(tower), _) => activation_of_timm(tower),
        (None, None, Some(model)) => {
            let is_quick = model.get("quick_gelu").and_then(Value::as_bool).unwrap_or(false);
            Some(if is_quick { Activation::QuickGelu } else { Activation::Gelu })
        }
        // What has its default is not always written.
        (None, None, None) if model_type.as_deref().is_some_and(|kind| kind.starts_with("clip")) => {
            Some(Activation::QuickGelu)
        }
        (None, None, None) => None,
    };
    let epsilon = vision.get("layer_norm_eps").or_else(|| vision.get("rms_norm_eps")).and_then(Value::as_f64);
    let epsilon = epsilon.filter(|e| (0.0..=1.0).contains(e));
    let kind = model_type.or(tower).or_else(|| open_clip.map(|_| "clip".to_owned()));
    (activation.is_some() || epsilon.is_some()).then(|| Config { file: file.to_owned(), kind, activation, epsilon })
}

/// The activation function that Hugging Face calls so.
fn activation_named(name: &str) -> Option<Activation> {
    match name {
        "quick_gelu" => Some(Activation::QuickGelu),
        "gelu" => Some(Activation::Gelu),
        "gelu_pytorch_tanh" | "gelu_new" | "gelu_fast" => Some(Activation::GeluTanh),
        _ => None,
    }
}

/// The activation function of timm's architecture of this name, where it is a CLIP or a SigLIP.
fn activation_of_timm(architecture: &str) -> Option<Activation> {
    const TANH: [&str; 5] = [
        "base_patch32_siglip",
        "large_patch16_siglip_512",
        "large_patch16_siglip_gap_512",
        "so400m_patch16_siglip",
        "giantopt",
    ];
    let is_tanh = TANH.iter().any(|part| architecture.contains(part));
    if architecture.contains("siglip") {
        Some(if is_tanh { Activation::GeluTanh } else { Activation::Gelu })
    } else if architecture.contains("clip") {
        Some(if architecture.contains("quickgelu") { Activation::QuickGelu } else { Activation::Gelu })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_of_each_library() {
        use Activation::{Gelu, GeluTanh, QuickGelu};
        for (json, expected) in [
            (
                r#"{"vision_config": {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-5}}"#,
                Some((Some(QuickGelu), Some(1e-5))),
            ),
            (r#"{"model_type": "clip", "vision_config": {"hidden_act": "gelu"}}"#, Some((Some(Gelu), None))),
            (r#"{"model_type": "clip", "vision_config": {}}"#, Some((Some(QuickGelu), None))),
            (r#"{"model_type": "clip_vision_model"}"#, Some((Some(QuickGelu), None))),
            (
                r#"{"model_type": "siglip", "vision_config": {"hidden_act": "gelu_pytorch_tanh"}}"#,
                Some((Some(GeluTanh), None)),
            ),
            (r#"{"model_cfg": {"embed_dim": 512, "quick_gelu": true}}"#, Some((Some(QuickGelu), None))),
            (r#"{"model_cfg": {"embed_dim": 512}}"#, Some((Some(Gelu), None))),
            (
                r#"{"model_cfg": {"vision_cfg": {"timm_model_name": "vit_base_patch32_siglip_256"}}}"#,
                Some((Some(GeluTanh), None)),
            ),
            (r#"{"architecture": "vit_base_patch16_clip_quickgelu_224"}"#, Some((Some(QuickGelu), None))),
            (r#"{"architecture": "vit_base_patch16_clip_224"}"#, Some((Some(Gelu), None))),
            (r#"{"architecture": "vit_base_patch16_siglip_224"}"#, Some((Some(Gelu), None))),
            (r#"{"architecture": "vit_so400m_patch16_siglip_384"}"#, Some((Some(GeluTanh), None))),
            (r#"{"architecture": "vit_base_patch16_224"}"#, None),
            (r#"{"hidden_act": "mish", "layer_norm_eps": 1e-12}"#, Some((None, Some(1e-12)))),
            (r#"{"hidden_act": 3, "layer_norm_eps": -1.0}"#, None),
            ("[]", None),
        ] {
            let found = parse("config.json", &serde_json::from_str(json).unwrap());
            assert_eq!(found.map(|c| (c.activation, c.epsilon)), expected, "{json}");
        }
    }
}
