//! What the files beside weights say of the images that a network takes: `preprocessor_config.json` of Hugging Face,
//! `open_clip_config.json`, and the `pretrained_cfg` of timm in `config.json`.
//!
//! They are believed where they belong to the weights: these have the name that such a repository gives them, or are the only ones
//! in their folder.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use assay_nn::Checkpoint;
use serde_json::Value;

/// A configuration file larger than this is passed over.
const MAX_BYTES: u64 = 1 << 20;
/// Entries of a folder that are looked at.
const MAX_ENTRIES: usize = 10_000;

/// What the files beside weights say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Declared {
    /// Name of the network's architecture, as its library has it.
    pub architecture: Option<String>,
    /// Mean and standard deviation of the channels, both empty for none, and the file that says so.
    pub normalization: Option<(Vec<f32>, Vec<f32>, String)>,
    /// Size, crop and filter of images, for a person.
    pub images: Option<String>,
    /// The way in which the weights are rounded.
    pub quantized: Option<String>,
}

impl Declared {
    /// Reads what is beside a weights file; nothing of what does not belong to it.
    pub fn beside(weights: &Path) -> Self {
        let Some(folder) = weights.parent().filter(|folder| belongs(weights, folder)) else { return Self::default() };
        let config = json(&folder.join("config.json")).unwrap_or_default();
        let open_clip = json(&folder.join("open_clip_config.json")).unwrap_or_default();
        let processor = json(&folder.join("preprocessor_config.json")).unwrap_or_default();
        let sources = [
            (&processor, "preprocessor_config.json"),
            (&open_clip["preprocess_cfg"], "open_clip_config.json"),
            (&config["pretrained_cfg"], "config.json"),
        ];
        let first = |of: fn(&Value) -> Option<String>| sources.iter().find_map(|(json, _)| of(json));
        Self {
            architecture: architecture(&config),
            normalization: sources
                .iter()
                .find_map(|(json, file)| normalization(json).map(|(mean, std)| (mean, std, (*file).to_owned()))),
            images: first(images),
            quantized: config
                .get("quantization_config")
                .filter(|q| q.is_object())
                .map(|q| q["quant_method"].as_str().unwrap_or("an unknown method").chars().take(40).collect()),
        }
    }

    /// Sentences for a person.
    pub fn notes(&self) -> Vec<String> {
        let named = self.architecture.as_ref().map(|name| format!("its configuration calls it {name}"));
        let images = self.images.as_ref().map(|images| format!("its configuration takes images of {images}"));
        let normalization = self.normalization.as_ref().map(|(mean, std, file)| match mean.is_empty() {
            true => format!("{file} says that channels are not normalised"),
            false => format!("{file} says `normalization: MeanStd(mean: {mean:?}, std: {std:?})`"),
        });
        named.into_iter().chain(images).chain(normalization).collect()
    }
}

/// Tells whether configurations in this folder are those of these weights.
pub(super) fn belongs(weights: &Path, folder: &Path) -> bool {
    let name = weights.file_name().unwrap_or_default().to_string_lossy();
    let is_usual = ["model.", "pytorch_model", "open_clip_", "model-"].iter().any(|start| name.starts_with(start));
    let entries = folder.read_dir().into_iter().flatten().flatten().take(MAX_ENTRIES);
    let names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    is_usual || Checkpoint::among(&names).is_ok_and(|only| only == name)
}

pub(super) fn json(path: &Path) -> Option<Value> {
    let is_small = path.metadata().is_ok_and(|found| found.is_file() && found.len() <= MAX_BYTES);
    let mut text = Vec::new();
    File::open(path).ok().filter(|_| is_small)?.take(MAX_BYTES).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

fn architecture(config: &Value) -> Option<String> {
    let named = config["architecture"].as_str().or_else(|| config["architectures"][0].as_str());
    named.or_else(|| config["model_type"].as_str()).map(|name| name.chars().take(80).collect())
}

/// Mean and standard deviation for numbers from 0 to 1; empty where the file says that there are none.
fn normalization(json: &Value) -> Option<(Vec<f32>, Vec<f32>)> {
    let numbers = |names: [&str; 2]| -> Option<Vec<f32>> {
        let list = names.iter().find_map(|name| json.get(name)?.as_array())?;
        let numbers: Option<Vec<f32>> = list.iter().map(|n| n.as_f64().map(|n| n as f32)).collect();
        numbers.filter(|n| [1, 3].contains(&n.len()) && n.iter().all(|n| n.is_finite()))
    };
    let is_unit = json.get("rescale_factor").and_then(Value::as_f64).is_none_or(|f| (f * 255.0 - 1.0).abs() < 1e-3);
    if !is_unit {
        return None;
    }
    if json.get("do_normalize").and_then(Value::as_bool) == Some(false) {
        return Some((Vec::new(), Vec::new()));
    }
    let (mean, std) = (numbers(["image_mean", "mean"])?, numbers(["image_std", "std"])?);
    (mean.len() == std.len() && std.iter().all(|s| *s > 0.0)).then_some((mean, std))
}

/// What is done to images, in words.
fn images(json: &Value) -> Option<String> {
    let side = |value: &Value| {
        let at = |key: &str| value.get(key).and_then(Value::as_u64);
        let list = || value.as_array()?.last()?.as_u64();
        value.as_u64().or_else(list).or_else(|| at("shortest_edge")).or_else(|| at("height"))
    };
    let of = |key: &str| json.get(key).and_then(side);
    // Numbers of Pillow.
    let filter = match (json["resample"].as_u64(), json["interpolation"].as_str()) {
        (Some(0), _) => Some("nearest"),
        (Some(1), _) => Some("lanczos"),
        (Some(2), _) => Some("bilinear"),
        (Some(3), _) => Some("bicubic"),
        (_, Some(name)) => ["nearest", "lanczos", "bilinear", "bicubic"].into_iter().find(|known| *known == name),
        _ => None,
    };
    let parts = [
        of("size").map(|size| format!("{size} px")),
        of("input_size").map(|size| format!("{size} px")),
        of("crop_size").map(|size| format!("cut to {size} px")),
        json["crop_pct"].as_f64().map(|part| format!("{part} of them kept at the centre")),
        filter.map(|filter| format!("resized by {filter}")),
    ];
    let said: Vec<String> = parts.into_iter().flatten().collect();
    (!said.is_empty()).then(|| said.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_of_each_library() {
        let half = || Some((vec![0.5; 3], vec![0.5; 3]));
        for (json, normal, said) in [
            (
                r#"{"do_normalize": true, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "size": {"height": 224, "width": 224}, "resample": 3}"#,
                half(),
                Some("224 px, resized by bicubic"),
            ),
            (
                r#"{"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "input_size": [3, 256, 256], "crop_pct": 0.9, "interpolation": "bicubic"}"#,
                half(),
                Some("256 px, 0.9 of them kept at the centre, resized by bicubic"),
            ),
            (r#"{"size": {"shortest_edge": 256}, "crop_size": 224}"#, None, Some("256 px, cut to 224 px")),
            (
                r#"{"do_normalize": false, "image_mean": [0.5, 0.5, 0.5], "image_std": [1, 1, 1]}"#,
                Some((vec![], vec![])),
                None,
            ),
            (r#"{"rescale_factor": 0.00784, "image_mean": [0.5], "image_std": [0.5]}"#, None, None),
            (r#"{"image_mean": [0.5, 0.5, 0.5], "image_std": [0, 1, 1]}"#, None, None),
            (r#"{"image_mean": "x", "size": "y", "interpolation": 3}"#, None, None),
            ("null", None, None),
        ] {
            let json: Value = serde_json::from_str(json).unwrap();
            assert_eq!((normalization(&json), images(&json).as_deref()), (normal, said), "{json}");
        }
    }

    #[test]
    fn a_configuration_belongs_to_weights_of_its_own_name_or_to_the_only_ones() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        put("config.json", r#"{"architecture": "resnet50d", "quantization_config": {"quant_method": "gptq"}}"#);
        let architecture = |name: &str| Declared::beside(&folder.path().join(name)).architecture;
        put("a.pth", "");
        assert_eq!(architecture("a.pth").as_deref(), Some("resnet50d"));
        assert_eq!(Declared::beside(&folder.path().join("a.pth")).quantized.as_deref(), Some("gptq"));
        put("b.pth", "");
        assert_eq!(architecture("a.pth"), None);
        assert_eq!(architecture("model.safetensors").as_deref(), Some("resnet50d"));
    }
}
