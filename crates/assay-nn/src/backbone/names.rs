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
    /// A matrix that we have as a kernel of 1×1.
    Kernel,
    /// A kernel of 1×1 that we have as a matrix.
    Matrix,
    /// A vector that we have with three axes of one before it.
    Last,
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
        (Layout::Kernel, 2) => tensor.reshaped(&[tensor.shape[0], tensor.shape[1], 1, 1]),
        (Layout::Matrix, 4) => tensor.reshaped(&[tensor.shape[0], tensor.shape[1]]),
        (Layout::Last, 1) => tensor.reshaped(&[1, 1, 1, tensor.shape[0]]),
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

/// Puts tensors whose names end in `parts` into one, along the first axis.
pub(super) fn join<const N: usize>(tensors: &mut Translated<'_>, parts: &[String; N], whole: &str) {
    let roots: Vec<String> =
        tensors.keys().filter_map(|name| name.strip_suffix(parts[0].as_str())).map(str::to_owned).collect();
    for root in roots {
        let names = parts.each_ref().map(|part| format!("{root}{part}"));
        let found: Vec<&RawTensor> = names.iter().filter_map(|name| tensors.get(name).map(Cow::as_ref)).collect();
        // Where one is missing, all keep their names and are reported.
        if let (true, Some(tensor)) = (found.len() == N, RawTensor::joined(&found)) {
            names.iter().for_each(|name| {
                tensors.remove(name);
            });
            tensors.insert(format!("{root}{whole}"), Cow::Owned(tensor));
        }
    }
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
