//! Names that others have for the tensors of ResNets, besides those of TensorFlow and Haiku.

use super::super::names::{Layout, Tensors, renamed};
use assay_weights::{Naming, Translated};

/// The namings.
pub fn all() -> Vec<Naming> {
    vec![
        Naming { name: "Hugging Face", advice: None, translate: Box::new(hugging_face) },
        Naming { name: "Sequential", advice: None, translate: Box::new(sequential) },
        Naming { name: "pytorch-cifar", advice: None, translate: Box::new(shortcuts) },
    ]
}

/// `encoder.stages.0.layers.0.layer.0.convolution.weight` and the like.
fn hugging_face(tensors: &Tensors) -> Option<Translated<'_>> {
    tensors.keys().any(|name| name.contains("embedder.embedder.convolution.")).then_some(())?;
    let rule = |name: &str| {
        let kind = |conv: &str, bn: &str, rest: &str| {
            let (part, leaf) = rest.split_once('.')?;
            match part {
                "convolution" => Some(format!("{conv}.{leaf}")),
                "normalization" => Some(format!("{bn}.{leaf}")),
                _ => None,
            }
        };
        if let Some((root, rest)) = name.split_once("embedder.embedder.") {
            return Some((format!("{root}{}", kind("conv1", "bn1", rest)?), Layout::Same));
        }
        let (root, rest) = name.split_once("encoder.stages.")?;
        let [stage, "layers", block, rest] = rest.splitn(4, '.').collect::<Vec<_>>()[..] else { return None };
        let stage = stage.parse::<usize>().ok()? + 1;
        let part = match rest.strip_prefix("shortcut.") {
            Some(rest) => kind("downsample.0", "downsample.1", rest)?,
            None => {
                let (layer, rest) = rest.strip_prefix("layer.")?.split_once('.')?;
                let layer = layer.parse::<usize>().ok()? + 1;
                kind(&format!("conv{layer}"), &format!("bn{layer}"), rest)?
            }
        };
        Some((format!("{root}layer{stage}.{block}.{part}"), Layout::Same))
    };
    Some(renamed(tensors, rule))
}

/// The children of a ResNet in a row, `0.weight`, `1.weight`, `4.0.conv1.weight`, as lightly and MoCo's notebooks have them: the
/// stages are numbered without a gap, from where it may be.
fn sequential(tensors: &Tensors) -> Option<Translated<'_>> {
    let stage_of = |name: &str| {
        let (root, _) = name.split_once(".0.conv1.weight").filter(|(_, rest)| rest.is_empty())?;
        let (prefix, number) = root.rsplit_once('.').map_or(("", root), |(prefix, number)| (prefix, number));
        Some((if prefix.is_empty() { String::new() } else { format!("{prefix}.") }, number.parse::<usize>().ok()?))
    };
    let mut stages: Vec<(String, usize)> = tensors.keys().filter_map(|name| stage_of(name)).collect();
    stages.retain(|(prefix, _)| tensors.get(&format!("{prefix}0.weight")).is_some_and(|t| t.shape.len() == 4));
    let firsts: std::collections::BTreeMap<&str, usize> =
        stages.iter().rev().map(|(prefix, number)| (prefix.as_str(), *number)).collect();
    stages.first()?;
    let rule = |name: &str| {
        let (prefix, first) = firsts.iter().filter(|(prefix, _)| name.starts_with(**prefix)).max()?;
        let (number, rest) = name[prefix.len()..].split_once('.')?;
        let ours = match number.parse::<usize>().ok()? {
            0 => "conv1".to_owned(),
            1 => "bn1".to_owned(),
            number => format!("layer{}", number.checked_sub(*first)? + 1),
        };
        Some((format!("{prefix}{ours}.{}", rest.replacen("shortcut.", "downsample.", 1)), Layout::Same))
    };
    Some(renamed(tensors, rule))
}

/// `layer2.0.shortcut.0.weight`, as pytorch-cifar and SupContrast call it.
fn shortcuts(tensors: &Tensors) -> Option<Translated<'_>> {
    let is_theirs = |name: &String| name.contains("layer2.0.shortcut.0.weight");
    tensors.keys().any(is_theirs).then(|| {
        renamed(tensors, |name| {
            name.contains("layer").then(|| (name.replacen(".shortcut.", ".downsample.", 1), Layout::Same))
        })
    })
}
