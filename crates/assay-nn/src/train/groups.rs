//! Which parameters are trained, and which have a rate or a decay of their own.

use std::collections::BTreeSet;

use assay_weights::TensorShape;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::learner::HEAD;
use crate::backbone::Backbone;

/// Parameters that are trained; the others stay as they are, and batch normalisation among them does not follow the batch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub enum Scope {
    /// All of them.
    #[default]
    All,
    /// The last stages or blocks of the backbone, from this one on, what comes after them, and the head: `From(4)` trains
    /// `layer4` of a ResNet.
    From(usize),
    /// The head alone; the backbone gives the features that it gives without training.
    Head,
    /// Factors and summands of normalisations, and the head.
    Norms,
}

/// Division of the parameters of a network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Groups {
    /// Parameters that are trained.
    pub scope: Scope,
    /// True if weight decay is for vectors as well (biases, normalisations), false if it is for matrices and filters alone,
    /// without tokens and positions.
    pub decays_vectors: bool,
    /// Factor of the learning rate for each stage or block that a parameter is before the head: the head has the rate itself,
    /// block l of L has `layer_decay` to the power L + 1 − l, and what is before all blocks to the power L + 1. 1 for none.
    pub layer_decay: f64,
}

impl Default for Groups {
    fn default() -> Self {
        Self { scope: Scope::All, decays_vectors: true, layer_decay: 1.0 }
    }
}

/// Rates of one parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rates {
    /// Factor of the learning rate.
    pub lr: f64,
    /// True if its weights decay.
    pub decays: bool,
}

/// The groups of a backbone's tensors.
pub(super) struct Division<'a> {
    groups: &'a Groups,
    /// Number of stages or blocks.
    depth: usize,
    /// True if stages are called `layer1` and so on, as in a ResNet; else the first number of a name counts.
    has_layers: bool,
    /// Names of the normalisations.
    norms: BTreeSet<String>,
}

impl<'a> Division<'a> {
    pub(super) fn new(groups: &'a Groups, backbone: &Backbone) -> Self {
        let tensors = backbone.tensors();
        let has_layers = tensors.iter().any(|tensor| tensor.name.split('.').any(|part| layer_number(part).is_some()));
        // Of all layers, normalisations alone have a weight with one axis.
        let is_factor = |tensor: &&TensorShape| tensor.shape.len() == 1;
        let norms = tensors.iter().filter(is_factor).filter_map(|tensor| tensor.name.strip_suffix(".weight"));
        Self { groups, depth: backbone.stages().len(), has_layers, norms: norms.map(str::to_owned).collect() }
    }

    /// Tells whether the tensor or layer called `name` is trained.
    pub(super) fn trains(&self, name: &str) -> bool {
        let layer = || name.strip_suffix(".weight").or_else(|| name.strip_suffix(".bias")).unwrap_or(name);
        name.starts_with(HEAD)
            || match self.groups.scope {
                Scope::All => true,
                Scope::From(stage) => self.stage_of(name) >= stage,
                Scope::Head => false,
                Scope::Norms => self.norms.contains(layer()),
            }
    }

    /// The rates of a parameter.
    pub(super) fn rates(&self, tensor: &TensorShape) -> Rates {
        let TensorShape { name, shape } = tensor;
        let is_vector = shape.iter().filter(|side| **side > 1).count() <= 1;
        let is_place =
            ["pos_embed", "position", "cls_token", "class_embedding", "register"].iter().any(|w| name.contains(w));
        let before = if name.starts_with(HEAD) { 0 } else { self.depth + 1 - self.stage_of(name) };
        Rates {
            lr: libm::pow(self.groups.layer_decay, before as f64),
            decays: self.groups.decays_vectors || !(is_vector || is_place),
        }
    }

    /// Number of the stage or block that a tensor belongs to, from 1: 0 before all of them, the last one's after them.
    fn stage_of(&self, name: &str) -> usize {
        let number = |part: &str| match self.has_layers {
            true => layer_number(part),
            false => part.parse::<usize>().ok().map(|index| index + 1),
        };
        let is_after = || AFTER.contains(&name.split('.').next().unwrap_or(name));
        match name.split('.').find_map(number) {
            Some(stage) if !is_after() => stage.min(self.depth),
            _ if is_after() => self.depth,
            _ => 0,
        }
    }
}

/// First parts of the names of what comes after all stages.
const AFTER: [&str; 5] = ["norm", "ln_post", "fc_norm", "proj", "attn_pool"];

/// The number in `layer3`.
fn layer_number(part: &str) -> Option<usize> {
    part.strip_prefix("layer")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backbone(json: &str) -> Backbone {
        serde_json::from_str(json).unwrap()
    }

    const VIT: &str =
        r#"{"ViT": {"size": {"Custom": {"width": 12, "depth": 3, "heads": 2}}, "patch": 8, "trained_at": 32}}"#;

    #[test]
    fn every_tensor_belongs_to_a_stage() {
        let cases = [
            (r#""ResNet18""#, "conv1.weight 0, layer1.0.bn1.bias 1, layer3.0.downsample.1.weight 3"),
            (
                r#"{"ResNet": {"stem": {"Deep": {"widths": [32, 32, 64]}}}}"#,
                "conv1.0.weight 0, layer2.0.conv1.weight 2",
            ),
            (r#""ResNet20""#, "bn1.weight 0, layer3.2.conv2.weight 3"),
            (VIT, "cls_token 0, pos_embed 0, patch_embed.proj.weight 0, blocks.0.norm1.weight 1, norm.bias 3"),
            (r#"{"Clip": {}}"#, "conv1.weight 0, transformer.resblocks.11.ln_1.weight 12, ln_post.bias 12"),
            (
                r#"{"Transformer": {"family": "SigLip", "size": "Base"}}"#,
                "attn_pool.mlp.fc1.weight 12, blocks.4.norm1.weight 5",
            ),
            (r#"{"ConvNeXt": {"size": "Tiny"}}"#, "downsample_layers.0.0.weight 1, stages.3.2.gamma 4, norm.weight 4"),
        ];
        for (json, expected) in cases {
            let (groups, backbone) = (Groups::default(), backbone(json));
            assert!(backbone.numbers_stages(), "{json}");
            let division = Division::new(&groups, &backbone);
            for one in expected.split(", ") {
                let (name, stage) = one.split_once(' ').unwrap();
                assert!(backbone.tensors().iter().any(|tensor| tensor.name == name), "{json} has no {name}");
                assert_eq!(division.stage_of(name).to_string(), stage, "{json} {name}");
            }
            let all: BTreeSet<usize> = backbone.tensors().iter().map(|t| division.stage_of(&t.name)).collect();
            assert!((1..=backbone.stages().len()).all(|stage| all.contains(&stage)), "{json}: {all:?}");
        }
        assert!(!backbone(r#"{"MobileNetV2": {}}"#).numbers_stages());
    }

    #[test]
    fn scopes_and_rates() {
        let resnet = backbone(r#""ResNet18""#);
        let trained = |scope: Scope, names: &[&str]| -> Vec<bool> {
            let groups = Groups { scope, ..Groups::default() };
            let division = Division::new(&groups, &resnet);
            names.iter().map(|name| division.trains(name)).collect()
        };
        let names = ["conv1.weight", "bn1", "layer3.0.downsample.1.bias", "layer4.0.conv1.weight", "head.0.weight"];
        assert_eq!(trained(Scope::All, &names), [true; 5]);
        assert_eq!(trained(Scope::From(4), &names), [false, false, false, true, true]);
        assert_eq!(trained(Scope::Head, &names), [false, false, false, false, true]);
        assert_eq!(trained(Scope::Norms, &names), [false, true, true, false, true]);
        let groups = Groups { scope: Scope::All, decays_vectors: false, layer_decay: 0.5 };
        let vit = backbone(VIT);
        let division = Division::new(&groups, &vit);
        let rates = |name: &str, shape: &[usize]| {
            let rates = division.rates(&TensorShape { name: name.to_owned(), shape: shape.to_vec() });
            (rates.lr, rates.decays)
        };
        assert_eq!(rates("head.0.weight", &[5, 8]), (1.0, true));
        assert_eq!(rates("head.0.bias", &[5]), (1.0, false));
        assert_eq!(rates("blocks.2.attn.qkv.weight", &[24, 8]), (0.5, true));
        assert_eq!(rates("blocks.0.norm1.weight", &[8]), (0.125, false));
        assert_eq!(rates("pos_embed", &[1, 5, 8]), (0.0625, false));
        assert_eq!(rates("patch_embed.proj.weight", &[8, 3, 4, 4]), (0.0625, true));
    }
}
