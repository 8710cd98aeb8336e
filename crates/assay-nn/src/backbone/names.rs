//! Names that other libraries have for the tensors of our backbones, and the layouts of those tensors.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::resnet::ResNet;
use assay_weights::{Naming, RawTensor, Translated};

pub(super) type Tensors = BTreeMap<String, RawTensor>;

/// Layout of a tensor where it comes from.
#[derive(Clone, Copy)]
pub(super) enum Layout {
    /// The layout that we have as well.
    Same,
    /// A convolution of TensorFlow or Haiku: rows, columns, input, output. Or a matrix: input, output.
    InputOutput,
    /// With axes of one that we do not have.
    Flat,
    /// With an axis of one before those that we have.
    Rows,
}

/// Under our name and in our layout.
fn laid_out(tensor: &RawTensor, layout: Layout) -> Cow<'_, RawTensor> {
    if tensor.bytes.is_empty() {
        return Cow::Owned(RawTensor { shape: shape_laid_out(&tensor.shape, layout), ..tensor.clone() });
    }
    let changed = match (layout, tensor.shape.len()) {
        (Layout::InputOutput, 4) => Some(tensor.permuted(&[3, 2, 0, 1])),
        (Layout::InputOutput, 2) => Some(tensor.permuted(&[1, 0])),
        (Layout::Rows, 3) => tensor.reshaped(&tensor.shape[1..]),
        (Layout::Flat, _) => tensor.reshaped(&[tensor.shape.iter().product()]),
        _ => None,
    };
    changed.map_or(Cow::Borrowed(tensor), Cow::Owned)
}

/// The shape of a tensor in our layout, where its values are not looked at.
fn shape_laid_out(shape: &[usize], layout: Layout) -> Vec<usize> {
    match (layout, shape) {
        (Layout::InputOutput, [h, w, input, output]) => vec![*output, *input, *h, *w],
        (Layout::InputOutput, [input, output]) => vec![*output, *input],
        (Layout::Rows, [_, rows, columns]) => vec![*rows, *columns],
        (Layout::Flat, _) => vec![shape.iter().product()],
        _ => shape.to_vec(),
    }
}

/// Renames what `rule` knows; the rest keeps its name.
pub(super) fn renamed(tensors: &Tensors, rule: impl Fn(&str) -> Option<(String, Layout)>) -> Translated<'_> {
    let translate = |(name, tensor): (&String, _)| match rule(name) {
        Some((name, layout)) => (name, laid_out(tensor, layout)),
        None => (name.clone(), Cow::Borrowed(tensor)),
    };
    tensors.iter().map(translate).collect()
}

/// Replaces the first of these beginnings that fits.
pub(super) fn replaced(name: &str, rules: &[(&str, &str)]) -> Option<String> {
    rules.iter().find_map(|(from, to)| Some(format!("{to}{}", name.strip_prefix(from)?)))
}

/// `text` cut before the first occurrence of one of `marks`.
pub(super) fn cut<'t>(text: &'t str, marks: &[&str]) -> Option<(&'t str, &'t str)> {
    let at = marks.iter().filter_map(|mark| text.find(mark)).min()?;
    Some(text.split_at(at))
}

/// The names of ResNets besides torchvision's.
pub fn of_resnet(spec: &ResNet) -> Vec<Naming> {
    let layers = spec.layers();
    vec![
        Naming {
            name: "Haiku",
            advice: Some("Haiku pads otherwise than torch: `ResNet(padding: TfSame)` with the numbers of this one"),
            translate: Box::new(haiku),
        },
        Naming {
            name: "SimCLR (TensorFlow)",
            advice: Some(
                "SimCLR pads otherwise than torch: `ResNet(padding: TfSamePool)` with the numbers of this one",
            ),
            translate: Box::new(move |tensors| simclr(tensors, &layers)),
        },
    ]
}

/// `online_params.res_net50/~/block_group_0/~/block_0/~/conv_0.w`, as Haiku's `ResNet` names it in BYOL's checkpoints; becomes
/// `online.layer1.0.conv1.weight`. Statistics are in a tree beside it, `online_state`.
fn haiku(tensors: &Tensors) -> Option<Translated<'_>> {
    tensors.keys().any(|name| name.contains("block_group_")).then(|| renamed(tensors, haiku_name))
}

fn haiku_name(name: &str) -> Option<(String, Layout)> {
    let (path, leaf) = name.rsplit_once('.')?;
    let (tree, module) = path.split_once('.').unwrap_or(("", path));
    let module = module.replace("/~/", "/");
    let mut parts: Vec<&str> = module.split('/').collect();
    let statistic = ["mean_ema", "var_ema"].contains(parts.last()?).then(|| parts.pop()).flatten();
    let (leaf, layout) = match (statistic, leaf) {
        (None, "w") => ("weight", Layout::InputOutput),
        (None, "b") => ("bias", Layout::Same),
        (None, "scale") => ("weight", Layout::Flat),
        (None, "offset") => ("bias", Layout::Flat),
        (Some("mean_ema"), "average") => ("running_mean", Layout::Flat),
        (Some("var_ema"), "average") => ("running_var", Layout::Flat),
        _ => return None,
    };
    let number = |part: &str, before: &str| part.strip_prefix(before)?.parse::<usize>().ok();
    let layer = match parts[..] {
        [.., group, block, layer] if number(group, "block_group_").is_some() => {
            let (group, block) = (number(group, "block_group_")?, number(block, "block_")?);
            let layer = match layer {
                "shortcut_conv" => "downsample.0".to_owned(),
                "shortcut_batchnorm" => "downsample.1".to_owned(),
                _ => match (number(layer, "conv_"), number(layer, "batchnorm_")) {
                    (Some(i), _) => format!("conv{}", i + 1),
                    (_, Some(i)) => format!("bn{}", i + 1),
                    _ => return None,
                },
            };
            format!("layer{}.{block}.{layer}", group + 1)
        }
        [.., "initial_conv" | "initial_conv_1"] => "conv1".to_owned(),
        [.., "initial_batchnorm" | "initial_batchnorm_1"] => "bn1".to_owned(),
        [.., "logits" | "classifier"] => "fc".to_owned(),
        _ => return None,
    };
    let tree = tree.strip_suffix("_params").or_else(|| tree.strip_suffix("_state")).unwrap_or(tree);
    let dot = if tree.is_empty() { "" } else { "." };
    Some((format!("{tree}{dot}{layer}.{leaf}"), layout))
}

/// `base_model/conv2d_12/kernel`: SimCLR's layers, counted in the order in which its code makes them.
fn simclr<'t>(tensors: &'t Tensors, layers: &[(String, String)]) -> Option<Translated<'t>> {
    let is_one = |name: &String| name == "conv2d/kernel" || name.ends_with("/conv2d/kernel");
    tensors.keys().any(is_one).then(|| renamed(tensors, |name| simclr_name(name, layers)))
}

fn simclr_name(name: &str, layers: &[(String, String)]) -> Option<(String, Layout)> {
    let (path, leaf) = name.rsplit_once('/')?;
    let (scope, layer) = path.rsplit_once('/').unwrap_or(("", path));
    let index = |before: &str| match layer.strip_prefix(before)? {
        "" => Some(0),
        rest => rest.strip_prefix('_')?.parse::<usize>().ok(),
    };
    let (ours, leaf, layout) = match (leaf, index("conv2d"), index("batch_normalization")) {
        ("kernel", Some(i), _) => (layers.get(i).map(|l| &l.0), "weight", Layout::InputOutput),
        ("gamma", _, Some(i)) => (layers.get(i).map(|l| &l.1), "weight", Layout::Same),
        ("beta", _, Some(i)) => (layers.get(i).map(|l| &l.1), "bias", Layout::Same),
        ("moving_mean", _, Some(i)) => (layers.get(i).map(|l| &l.1), "running_mean", Layout::Same),
        ("moving_variance", _, Some(i)) => (layers.get(i).map(|l| &l.1), "running_var", Layout::Same),
        _ => return None,
    };
    // A layer too many keeps its own name, beside the others, so that it is left over.
    let ours = ours.map_or(layer, String::as_str);
    let scope = scope.replace('/', ".");
    let dot = if scope.is_empty() { "" } else { "." };
    Some((format!("{scope}{dot}{ours}.{leaf}"), layout))
}

/// The names of ConvNeXts besides their authors'.
pub fn of_convnext() -> Vec<Naming> {
    vec![
        Naming { name: "timm", advice: None, translate: Box::new(timm_convnext) },
        Naming { name: "torchvision", advice: None, translate: Box::new(torchvision_convnext) },
    ]
}

fn timm_convnext(tensors: &Tensors) -> Option<Translated<'_>> {
    const BLOCK: [(&str, &str); 5] = [
        ("conv_dw.", "dwconv."),
        ("norm.", "norm."),
        ("mlp.fc1.", "pwconv1."),
        ("mlp.fc2.", "pwconv2."),
        ("gamma", "gamma"),
    ];
    const OUTSIDE: [(&str, &str); 3] =
        [("stem.", "downsample_layers.0."), ("head.norm.", "norm."), ("head.fc.", "head.")];
    tensors.keys().any(|name| name.contains(".conv_dw.")).then_some(())?;
    let rule = |name: &str| {
        let (root, rest) = cut(name, &["stem.", "stages.", "head."])?;
        let ours = match rest.strip_prefix("stages.").and_then(|rest| rest.split_once('.')) {
            Some((stage, part)) => match part.strip_prefix("blocks.").and_then(|part| part.split_once('.')) {
                Some((block, part)) => format!("stages.{stage}.{block}.{}", replaced(part, &BLOCK)?),
                None => format!("downsample_layers.{stage}.{}", part.strip_prefix("downsample.")?),
            },
            None => replaced(rest, &OUTSIDE)?,
        };
        Some((format!("{root}{ours}"), Layout::Same))
    };
    Some(renamed(tensors, rule))
}

fn torchvision_convnext(tensors: &Tensors) -> Option<Translated<'_>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_haiku_and_tensorflow() {
        let haiku = |name: &str| haiku_name(name).map(|(name, _)| name);
        for (theirs, ours) in [
            ("online_params.res_net50/~/initial_conv.w", Some("online.conv1.weight")),
            ("online_params.res_net50/~/block_group_1/~/block_3/~/conv_2.w", Some("online.layer2.3.conv3.weight")),
            (
                "t_state.r/~/block_group_0/~/block_0/~/shortcut_batchnorm/~/var_ema.average",
                Some("t.layer1.0.downsample.1.running_var"),
            ),
            ("t_state.r/~/initial_batchnorm/~/mean_ema.hidden", None),
            ("online_params.projector/linear.w", None),
        ] {
            assert_eq!(haiku(theirs).as_deref(), ours, "{theirs}");
        }
        let layers = ResNet::resnet50().layers();
        assert_eq!(layers.len(), 53);
        let simclr = |name: &str| simclr_name(name, &layers).map(|(name, _)| name);
        for (theirs, ours) in [
            ("base_model/conv2d/kernel", Some("base_model.conv1.weight")),
            ("base_model/conv2d_1/kernel", Some("base_model.layer1.0.downsample.0.weight")),
            ("base_model/batch_normalization_4/moving_variance", Some("base_model.layer1.0.bn3.running_var")),
            ("base_model/conv2d_52/kernel", Some("base_model.layer4.2.conv3.weight")),
            ("base_model/conv2d_53/kernel", Some("base_model.conv2d_53.weight")),
            ("base_model/conv2d/kernel/Momentum", None),
            ("global_step", None),
        ] {
            assert_eq!(simclr(theirs).as_deref(), ours, "{theirs}");
        }
    }
}
