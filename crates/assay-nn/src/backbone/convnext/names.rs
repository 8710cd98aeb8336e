//! Names that others have for the tensors of ConvNeXts.

use super::super::names::{Layout, Tensors, cut, renamed, replaced};
use assay_weights::{Naming, Translated};

/// The namings.
pub fn all() -> Vec<Naming> {
    vec![
        Naming { name: "timm", advice: None, translate: Box::new(timm) },
        Naming { name: "torchvision", advice: None, translate: Box::new(torchvision) },
        Naming { name: "Hugging Face", advice: None, translate: Box::new(hugging_face) },
        Naming { name: "Hugging Face (DINOv3)", advice: None, translate: Box::new(hugging_face_dinov3) },
        Naming { name: "DINOv3", advice: None, translate: Box::new(dinov3) },
    ]
}

fn timm(tensors: &Tensors) -> Option<Translated<'_>> {
    const BLOCK: [(&str, &str); 7] = [
        ("conv_dw.", "dwconv."),
        ("norm.", "norm."),
        ("mlp.fc1.", "pwconv1."),
        ("mlp.fc2.", "pwconv2."),
        ("mlp.grn.weight", "grn.gamma"),
        ("mlp.grn.bias", "grn.beta"),
        ("gamma", "gamma"),
    ];
    const OUTSIDE: [(&str, &str); 3] =
        [("stem.", "downsample_layers.0."), ("head.norm.", "norm."), ("head.fc.", "head.")];
    tensors.keys().any(|name| name.contains(".conv_dw.")).then_some(())?;
    let rule = |name: &str| {
        let (root, rest) = cut(name, &["stem.", "stages.", "head."])?;
        let (ours, layout) = match rest.strip_prefix("stages.").and_then(|rest| rest.split_once('.')) {
            Some((stage, part)) => match part.strip_prefix("blocks.").and_then(|part| part.split_once('.')) {
                // The small ones have kernels of 1×1 for matrices.
                Some((block, part)) => {
                    let layout = match part {
                        _ if part.starts_with("mlp.fc") => Layout::Matrix,
                        _ if part.starts_with("mlp.grn.") => Layout::Last,
                        _ => Layout::Same,
                    };
                    (format!("stages.{stage}.{block}.{}", replaced(part, &BLOCK)?), layout)
                }
                None => (format!("downsample_layers.{stage}.{}", part.strip_prefix("downsample.")?), Layout::Same),
            },
            None => (replaced(rest, &OUTSIDE)?, Layout::Same),
        };
        Some((format!("{root}{ours}"), layout))
    };
    Some(renamed(tensors, rule))
}

fn torchvision(tensors: &Tensors) -> Option<Translated<'_>> {
    const BLOCK: [(&str, &str); 4] =
        [("block.0.", "dwconv."), ("block.2.", "norm."), ("block.3.", "pwconv1."), ("block.5.", "pwconv2.")];
    tensors.keys().any(|name| name.contains("features.1.0.layer_scale")).then_some(())?;
    let rule = |name: &str| {
        let (root, rest) = cut(name, &["features.", "classifier."])?;
        if let Some(ours) = replaced(rest, &[("classifier.0.", "norm."), ("classifier.2.", "head.")]) {
            return Some((format!("{root}{ours}"), Layout::Same));
        }
        let (index, rest) = rest.strip_prefix("features.")?.split_once('.')?;
        let index: usize = index.parse().ok()?;
        if index.is_multiple_of(2) {
            return Some((format!("{root}downsample_layers.{}.{rest}", index / 2), Layout::Same));
        }
        let (block, part) = rest.split_once('.')?;
        let at = format!("{root}stages.{}.{block}.", index / 2);
        if part == "layer_scale" {
            return Some((format!("{at}gamma"), Layout::Flat));
        }
        Some((format!("{at}{}", replaced(part, &BLOCK)?), Layout::Same))
    };
    Some(renamed(tensors, rule))
}

/// `encoder.stages.0.layers.0.dwconv.weight` and the like, of version 1 and 2.
fn hugging_face(tensors: &Tensors) -> Option<Translated<'_>> {
    const BLOCK: [(&str, &str); 7] = [
        ("dwconv.", "dwconv."),
        ("layernorm.", "norm."),
        ("pwconv1.", "pwconv1."),
        ("pwconv2.", "pwconv2."),
        ("grn.weight", "grn.gamma"),
        ("grn.bias", "grn.beta"),
        ("layer_scale_parameter", "gamma"),
    ];
    const OUTSIDE: [(&str, &str); 4] = [
        ("embeddings.patch_embeddings.", "downsample_layers.0.0."),
        ("embeddings.layernorm.", "downsample_layers.0.1."),
        ("layernorm.", "norm."),
        ("classifier.", "head."),
    ];
    tensors.keys().any(|name| name.contains("encoder.stages.0.layers.0.dwconv.")).then_some(())?;
    let rule = |name: &str| {
        let (root, rest) = cut(name, &["embeddings.", "encoder.stages."]).or_else(|| {
            cut(name, &["layernorm.", "classifier."]).filter(|(root, _)| root.is_empty() || root.ends_with('.'))
        })?;
        let ours = match rest.strip_prefix("encoder.stages.").and_then(|rest| rest.split_once('.')) {
            Some((stage, part)) => match part.strip_prefix("layers.").and_then(|part| part.split_once('.')) {
                Some((block, part)) => format!("stages.{stage}.{block}.{}", replaced(part, &BLOCK)?),
                None => format!("downsample_layers.{stage}.{}", part.strip_prefix("downsampling_layer.")?),
            },
            None => replaced(rest, &OUTSIDE)?,
        };
        Some((format!("{root}{ours}"), Layout::Same))
    };
    Some(renamed(tensors, rule))
}

/// `stages.0.layers.0.depthwise_conv.weight`, and `stages.1.downsample_layers.0.weight`.
fn hugging_face_dinov3(tensors: &Tensors) -> Option<Translated<'_>> {
    const BLOCK: [(&str, &str); 5] = [
        ("depthwise_conv.", "dwconv."),
        ("layer_norm.", "norm."),
        ("pointwise_conv1.", "pwconv1."),
        ("pointwise_conv2.", "pwconv2."),
        ("gamma", "gamma"),
    ];
    tensors.keys().any(|name| name.contains("stages.0.layers.0.depthwise_conv.")).then_some(())?;
    let rule = |name: &str| {
        let Some((root, rest)) = cut(name, &["stages."]) else {
            let root = name.strip_suffix("layer_norm.weight").map(|root| format!("{root}norm.weight"));
            let root = root.or_else(|| name.strip_suffix("layer_norm.bias").map(|root| format!("{root}norm.bias")));
            return Some((root?, Layout::Same));
        };
        let (stage, part) = rest.strip_prefix("stages.")?.split_once('.')?;
        let ours = match part.strip_prefix("layers.").and_then(|part| part.split_once('.')) {
            Some((block, part)) => format!("stages.{stage}.{block}.{}", replaced(part, &BLOCK)?),
            None => format!("downsample_layers.{stage}.{}", part.strip_prefix("downsample_layers.")?),
        };
        // Version 5 of transformers has the stages, but not the last norm, below `model`.
        let root = root.strip_suffix("model.").unwrap_or(root);
        Some((format!("{root}{ours}"), Layout::Same))
    };
    Some(renamed(tensors, rule))
}

/// The authors' names of ConvNeXt, with the last norm twice: as `norm`, and as `norms.3` for those that want maps.
fn dinov3(tensors: &Tensors) -> Option<Translated<'_>> {
    let is_theirs = tensors.keys().any(|name| name.ends_with("norms.3.weight"));
    let has_blocks = tensors.keys().any(|name| name.contains("stages.0.0.dwconv."));
    (is_theirs && has_blocks).then(|| {
        let mut ours = renamed(tensors, |_| None);
        ours.retain(|name, _| !name.contains("norms.3."));
        ours
    })
}
