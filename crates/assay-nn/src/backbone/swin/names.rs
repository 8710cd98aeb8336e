//! Names that others have for the tensors of Swin transformers.

use std::borrow::Cow;

use super::super::names::{Layout, Tensors, cut, join, renamed, replaced};
use assay_weights::{Naming, RawTensor, Translated};

/// Tables that follow from the size of windows.
const TABLES: [&str; 4] = ["relative_position_index", "relative_coords_table", "attn_mask", "k_bias"];

/// The namings, of version 1 or 2.
pub fn all(is_v2: bool) -> Vec<Naming> {
    let mut all = vec![
        Naming { name: "torchvision", advice: None, translate: Box::new(torchvision) },
        Naming { name: "Hugging Face", advice: None, translate: Box::new(hugging_face) },
        Naming { name: "the authors", advice: None, translate: Box::new(authors) },
    ];
    if is_v2 {
        all.push(Naming { name: "timm", advice: None, translate: Box::new(timm_v2) });
    }
    all
}

/// What follows from the size of windows is left out, and the biases of version 2, which has none of keys, are joined.
fn complete<'t>(mut tensors: Translated<'t>, [q, k, v]: [&str; 3]) -> Translated<'t> {
    tensors.retain(|name, _| !TABLES.iter().any(|table| name.ends_with(table)));
    let firsts: Vec<String> = tensors.keys().filter(|name| name.ends_with(q)).cloned().collect();
    for first in firsts {
        let last = first.replace(q, v);
        if tensors.contains_key(&first.replace(q, k)) {
            continue;
        }
        let join = |q: &RawTensor| {
            let keys = RawTensor { bytes: vec![0; q.bytes.len()], ..q.clone() };
            RawTensor::joined(&[q, &keys, tensors.get(&last)?])
        };
        if let Some(whole) = tensors.get(&first).and_then(|q| join(q)) {
            tensors.remove(&last);
            tensors.insert(first.replace(q, "attn.qkv.bias"), Cow::Owned(whole));
            tensors.remove(&first);
        }
    }
    tensors
}

const BIASES: [&str; 3] = ["attn.q_bias", "attn.k_bias", "attn.v_bias"];

fn timm_v2(tensors: &Tensors) -> Option<Translated<'_>> {
    let is_theirs = |name: &String| name.ends_with("layers.0.blocks.0.attn.q_bias");
    tensors.keys().any(is_theirs).then(|| complete(renamed(tensors, |_| None), BIASES))
}

/// As timm, but that patches are merged at the end of a stage, not at the beginning of the next.
fn authors(tensors: &Tensors) -> Option<Translated<'_>> {
    let is_theirs = |name: &String| name.ends_with("layers.0.downsample.reduction.weight");
    tensors.keys().any(is_theirs).then_some(())?;
    let rule = |name: &str| {
        let (root, rest) = cut(name, &["layers.", "head."])?;
        if let Some(rest) = rest.strip_prefix("head.") {
            return (root.is_empty() || root.ends_with('.')).then(|| (format!("{root}head.fc.{rest}"), Layout::Same));
        }
        let (stage, part) = rest.strip_prefix("layers.")?.split_once('.')?;
        let part = part.strip_prefix("downsample.")?;
        let stage = stage.parse::<u32>().ok()? + 1;
        Some((format!("{root}layers.{stage}.downsample.{part}"), Layout::Same))
    };
    Some(complete(renamed(tensors, rule), BIASES))
}

/// `features.1.0.attn.qkv.weight`, with what merges patches between the stages.
fn torchvision(tensors: &Tensors) -> Option<Translated<'_>> {
    tensors.keys().any(|name| name.contains("features.1.0.attn.qkv.")).then_some(())?;
    let rule = |name: &str| {
        let (root, rest) = cut(name, &["features.", "head."])?;
        if let Some(rest) = rest.strip_prefix("head.") {
            return Some((format!("{root}head.fc.{rest}"), Layout::Same));
        }
        let (index, rest) = rest.strip_prefix("features.")?.split_once('.')?;
        let index: u32 = index.parse().ok()?;
        let ours = match (index, index % 2) {
            (0, _) => replaced(rest, &[("0.", "patch_embed.proj."), ("2.", "patch_embed.norm.")])?,
            (_, 0) => format!("layers.{}.downsample.{rest}", index / 2),
            _ => {
                let (block, part) = rest.split_once('.')?;
                let part = replaced(part, &[("mlp.0.", "mlp.fc1."), ("mlp.3.", "mlp.fc2.")]).unwrap_or(part.to_owned());
                format!("layers.{}.blocks.{block}.{part}", index / 2)
            }
        };
        Some((format!("{root}{ours}"), Layout::Same))
    };
    Some(complete(renamed(tensors, rule), BIASES))
}

/// `encoder.layers.0.blocks.0.attention.self.query.weight`, and what version 5 of transformers calls it.
fn hugging_face(tensors: &Tensors) -> Option<Translated<'_>> {
    const BLOCK: [(&str, &str); 17] = [
        ("layernorm_before.", "norm1."),
        ("layernorm_after.", "norm2."),
        ("attention.output.dense.", "attn.proj."),
        ("attention.self.query.", "attn.query."),
        ("attention.self.key.", "attn.key."),
        ("attention.self.value.", "attn.value."),
        ("attention.self.continuous_position_bias_mlp.", "attn.cpb_mlp."),
        ("attention.self.", "attn."),
        ("attention.q_proj.", "attn.query."),
        ("attention.k_proj.", "attn.key."),
        ("attention.v_proj.", "attn.value."),
        ("attention.o_proj.", "attn.proj."),
        ("attention.relative_position_bias.", "attn."),
        ("mlp.", "mlp."),
        ("intermediate.dense.", "mlp.fc1."),
        ("output.dense.", "mlp.fc2."),
        ("downsample.", "downsample."),
    ];
    const OUTSIDE: [(&str, &str); 5] = [
        ("embeddings.patch_embeddings.projection.", "patch_embed.proj."),
        ("embeddings.norm.", "patch_embed.norm."),
        ("embeddings.mask_token", "mask_token"),
        ("layernorm.", "norm."),
        ("classifier.", "head.fc."),
    ];
    tensors.keys().any(|name| name.contains("encoder.layers.0.blocks.0.attention.")).then_some(())?;
    let rule = |name: &str| {
        let (root, rest) = cut(name, &["embeddings.", "encoder.layers."]).or_else(|| {
            cut(name, &["layernorm.", "classifier."]).filter(|(root, _)| root.is_empty() || root.ends_with('.'))
        })?;
        let ours = match rest.strip_prefix("encoder.layers.").and_then(|rest| rest.split_once('.')) {
            Some((stage, part)) => match part.strip_prefix("blocks.").and_then(|part| part.split_once('.')) {
                Some((block, part)) => format!("layers.{stage}.blocks.{block}.{}", replaced(part, &BLOCK)?),
                None => format!("layers.{}.{}", stage.parse::<u32>().ok()? + 1, replaced(part, &BLOCK)?),
            },
            None => replaced(rest, &OUTSIDE)?,
        };
        Some((format!("{root}{ours}"), Layout::Same))
    };
    // Before the matrices, since the keys of version 2 have no biases.
    let mut ours = complete(renamed(tensors, rule), ["attn.query.bias", "attn.key.bias", "attn.value.bias"]);
    for leaf in ["weight", "bias"] {
        let parts = ["query", "key", "value"].map(|part| format!("attn.{part}.{leaf}"));
        join(&mut ours, &parts, &format!("attn.qkv.{leaf}"));
    }
    Some(ours)
}
