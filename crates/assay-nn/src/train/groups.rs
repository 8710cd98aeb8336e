//! Which parameters are trained, and which have a rate or a decay of their own.

use assay_weights::TensorShape;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::learner::HEAD;

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

impl Groups {
    /// Tells whether the tensor or layer called `name`, of a backbone of `depth` stages, is trained.
    pub(super) fn trains(&self, name: &str, depth: usize) -> bool {
        name.starts_with(HEAD)
            || match self.scope {
                Scope::All => true,
                Scope::From(stage) => stage_of(name, depth) >= stage,
                Scope::Head => false,
                Scope::Norms => is_norm(name),
            }
    }

    /// The rates of a parameter.
    pub(super) fn of(&self, tensor: &TensorShape, depth: usize) -> Rates {
        let TensorShape { name, shape } = tensor;
        let is_vector = shape.iter().filter(|side| **side > 1).count() <= 1;
        let is_place =
            ["pos_embed", "position", "cls_token", "class_embedding", "register"].iter().any(|w| name.contains(w));
        let before = if name.starts_with(HEAD) { 0 } else { depth + 1 - stage_of(name, depth) };
        Rates {
            lr: libm::pow(self.layer_decay, before as f64),
            decays: self.decays_vectors || !(is_vector || is_place),
        }
    }
}

fn is_norm(name: &str) -> bool {
    let layers = name.split('.').rev().skip_while(|part| matches!(*part, "weight" | "bias")).take(1);
    layers.into_iter().any(|layer| layer.contains("norm") || layer.contains("bn") || layer.starts_with("ln_"))
}

/// Number of the stage or block that a tensor belongs to, from 1: 0 before all of them, the last one's after them.
fn stage_of(name: &str, depth: usize) -> usize {
    let number = |part: &str| match part.strip_prefix("layer").filter(|rest| !rest.is_empty()) {
        Some(rest) => rest.parse::<usize>().ok(),
        None => part.parse::<usize>().ok().map(|index| index + 1),
    };
    match name.split('.').find_map(number) {
        Some(stage) => stage.min(depth),
        None if ["norm.", "norm", "ln_post", "ln_post.", "fc_norm", "fc_norm.", "proj"]
            .iter()
            .any(|last| name == *last || (last.ends_with('.') && name.starts_with(last))) =>
        {
            depth
        }
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_belong_to_stages() {
        let cases = [
            ("conv1.weight", 4, 0),
            ("bn1", 4, 0),
            ("layer3.0.conv1.weight", 4, 3),
            ("patch_embed.proj.weight", 12, 0),
            ("cls_token", 12, 0),
            ("blocks.0.norm1.weight", 12, 1),
            ("blocks.11.mlp.fc2.bias", 12, 12),
            ("norm.weight", 12, 12),
            ("transformer.resblocks.3.ln_1.weight", 12, 4),
            ("ln_post.bias", 12, 12),
            ("proj", 12, 12),
        ];
        for (name, depth, stage) in cases {
            assert_eq!(stage_of(name, depth), stage, "{name}");
        }
    }

    #[test]
    fn scopes_and_rates() {
        let trained = |scope: Scope, names: &[&str]| -> Vec<bool> {
            let groups = Groups { scope, ..Groups::default() };
            names.iter().map(|name| groups.trains(name, 4)).collect()
        };
        let names = ["conv1.weight", "bn1", "layer3.0.bn2.weight", "layer4.0.conv1.weight", "head.0.weight"];
        assert_eq!(trained(Scope::All, &names), [true; 5]);
        assert_eq!(trained(Scope::From(4), &names), [false, false, false, true, true]);
        assert_eq!(trained(Scope::Head, &names), [false, false, false, false, true]);
        assert_eq!(trained(Scope::Norms, &names), [false, true, true, false, true]);
        let groups = Groups { scope: Scope::All, decays_vectors: false, layer_decay: 0.5 };
        let rates = |name: &str, shape: &[usize]| {
            let rates = groups.of(&TensorShape { name: name.to_owned(), shape: shape.to_vec() }, 2);
            (rates.lr, rates.decays)
        };
        assert_eq!(rates("head.0.weight", &[5, 8]), (1.0, true));
        assert_eq!(rates("head.0.bias", &[5]), (1.0, false));
        assert_eq!(rates("blocks.1.attn.qkv.weight", &[24, 8]), (0.5, true));
        assert_eq!(rates("blocks.0.norm1.weight", &[8]), (0.25, false));
        assert_eq!(rates("pos_embed", &[1, 5, 8]), (0.125, false));
        assert_eq!(rates("patch_embed.proj.weight", &[8, 3, 4, 4]), (0.125, true));
    }
}
