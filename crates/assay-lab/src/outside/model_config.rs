//! What the configuration file of a model says of its network: `config.json` of Hugging Face or timm, or `open_clip_config.json`.
//!
//! It is looked for in the folder of the weights file. What is in it answers questions that the tensors leave open; it decides
//! nothing that an experiment says.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use assay_nn::{Activation, Config};
use serde_json::Value;

/// A configuration file larger than this is passed over.
const MAX_BYTES: u64 = 1 << 20;
/// The names of configuration files, the most exact first.
const NAMES: [&str; 2] = ["open_clip_config.json", "config.json"];

/// What the configuration beside a weights file says; `None` when there is none, or nothing of use in it.
pub fn beside(weights: &Path) -> Option<Config> {
    let folder = weights.parent()?;
    NAMES.iter().find_map(|name| {
        let path = folder.join(name);
        let is_small = path.metadata().is_ok_and(|found| found.is_file() && found.len() <= MAX_BYTES);
        let mut text = Vec::new();
        File::open(&path).ok().filter(|_| is_small)?.take(MAX_BYTES).read_to_end(&mut text).ok()?;
        parse(name, &serde_json::from_slice(&text).ok()?)
    })
}

/// What a `config.json` of Hugging Face or timm, or an `open_clip_config.json`, says; `None` when it says nothing of use.
fn parse(file: &str, json: &Value) -> Option<Config> {
    let vision = json.get("vision_config").filter(|v| v.is_object()).unwrap_or(json);
    let kind = [vision, json].iter().find_map(|v| v.get("model_type")?.as_str()).unwrap_or_default();
    let activation = match (vision.get("hidden_act").and_then(Value::as_str), json.get("model_cfg")) {
        (Some(name), _) => activation_named(name),
        (None, Some(open_clip)) => {
            let is_quick = open_clip.get("quick_gelu").and_then(Value::as_bool).unwrap_or(false);
            Some(if is_quick { Activation::QuickGelu } else { Activation::Gelu })
        }
        (None, None) if kind.starts_with("clip") => Some(Activation::QuickGelu),
        (None, None) => json.get("architecture").and_then(Value::as_str).and_then(activation_of_timm),
    };
    let epsilon = vision.get("layer_norm_eps").or_else(|| vision.get("rms_norm_eps")).and_then(Value::as_f64);
    let epsilon = epsilon.filter(|e| (0.0..=1.0).contains(e));
    (activation.is_some() || epsilon.is_some()).then(|| Config { file: file.to_owned(), activation, epsilon })
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

/// The activation function of timm's architecture of this name, where it is a CLIP.
fn activation_of_timm(architecture: &str) -> Option<Activation> {
    architecture
        .contains("clip")
        .then(|| if architecture.contains("quickgelu") { Activation::QuickGelu } else { Activation::Gelu })
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
            (r#"{"architecture": "vit_base_patch16_clip_quickgelu_224"}"#, Some((Some(QuickGelu), None))),
            (r#"{"architecture": "vit_base_patch16_clip_224"}"#, Some((Some(Gelu), None))),
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
