//! Models: a backbone, its weights, and what it expects as input.

use assay_config::UserPath;
use assay_data::augment::Views;
use assay_nn::{Backbone, FeaturePoint, InputSpec, Pool, Range};
use schemars::JsonSchema;
use serde::Deserialize;

use assay_config::Checker;

/// A model of an experiment.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// The network without its classifier.
    pub backbone: Backbone,
    /// Where its weights come from. `Pixels` has none.
    #[serde(default)]
    pub weights: Option<Weights>,
    /// Where features are taken: `layer1` to `layer4`, or `block1` to the last of a transformer. The end of the network where
    /// nothing is said.
    #[serde(default)]
    pub layer: Option<String>,
    /// How positions become one row of features; what the network itself does where nothing is said.
    #[serde(default)]
    pub pool: Option<Pool>,
    /// What is known of the weights; changes no result.
    #[serde(default)]
    pub about: About,
    /// Mean and standard deviation of the channels; `Usual` where nothing is said.
    #[serde(default)]
    pub normalization: Normalization,
    /// What the pixel values 0 and 255 become before normalisation.
    #[serde(default)]
    pub range: Range,
    /// Whether dark and light are exchanged before anything else (ink = 1).
    #[serde(default)]
    pub polarity: Polarity,
}

/// What is known of weights.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Where the file is to be had; told when it is missing.
    #[serde(default)]
    pub url: Option<String>,
    /// Top-1 accuracy on ImageNet in percent, as its authors report it for a linear classifier.
    #[serde(default)]
    pub imagenet_top1: Option<f64>,
    /// Epochs of pretraining.
    #[serde(default)]
    pub epochs: Option<u32>,
    /// The paper.
    #[serde(default)]
    pub citation: Option<String>,
    /// What else to know.
    #[serde(default)]
    pub note: Option<String>,
}

/// Where weights come from.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub enum Weights {
    /// Drawn from a seed, as the backbone's authors initialise it.
    Random {
        /// Different seeds give different weights.
        seed: u64,
    },
    /// A torch file (`.pth`, `.pth.tar`, `.th`), `.safetensors` (of several, the index), `.npz`, a pickle of arrays, or a
    /// TensorFlow checkpoint (its `.index`).
    File(FileWeights),
    /// Trained here, before anything that needs them.
    Trained(TrainedWeights),
}

/// Weights in a file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileWeights {
    /// The file.
    pub path: UserPath,
    /// Key of the state dict in a torch file; without it the usual ones are tried (`state_dict`, `model`, …).
    #[serde(default)]
    pub container: Option<String>,
    /// Beginning of the names of the backbone's tensors, such as `module.encoder_q.`; without it, it is guessed.
    #[serde(default)]
    pub prefix: Option<String>,
    /// After the prefix: beginnings of names that do not belong to the backbone. Heads (`fc`, `projection`, …) are known.
    #[serde(default)]
    pub drop: Vec<String>,
    /// After the prefix: beginnings of names to replace, as pairs.
    #[serde(default)]
    pub rename: Vec<(String, String)>,
}

/// Weights trained here.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainedWeights {
    /// What is minimised.
    pub method: Method,
    /// Name of the task whose images are learnt from.
    pub on: String,
    /// Number of steps.
    pub steps: u32,
    /// Images in a step.
    #[serde(default = "batch")]
    pub batch: u32,
    /// Learning rate of Adam at the beginning; it falls to zero on a cosine.
    #[serde(default = "lr")]
    pub lr: f64,
    /// Weight decay on every parameter.
    #[serde(default)]
    pub weight_decay: f64,
    /// Seed of the initial weights, the order of images and the views.
    #[serde(default)]
    pub seed: u64,
    /// Random views of images.
    #[serde(default)]
    pub views: Views,
}

fn batch() -> u32 {
    64
}

fn lr() -> f64 {
    1e-3
}

/// What training minimises.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub enum Method {
    /// Cross-entropy of a linear classifier over the task's classes.
    Supervised,
    /// Agreement between two views of an image (Chen et al. 2020).
    SimClr(SimClr),
}

/// Parameters of SimCLR.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SimClr {
    /// Temperature of the similarities.
    #[serde(default = "temperature")]
    pub temperature: f64,
    /// Features of the projection head's output.
    #[serde(default = "projection")]
    pub projection: u32,
}

fn temperature() -> f64 {
    0.2
}

fn projection() -> u32 {
    64
}

/// Mean and standard deviation of input channels.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub enum Normalization {
    /// What the backbone is usually trained with: `None` for `Pixels` and `Conv4`, `Clip` for CLIP, `ImageNet` for all others.
    #[default]
    Usual,
    /// Neither.
    None,
    /// ImageNet's: mean 0.485, 0.456, 0.406; standard deviation 0.229, 0.224, 0.225.
    ImageNet,
    /// CLIP's: mean 0.48145466, 0.4578275, 0.40821073; standard deviation 0.26862954, 0.26130258, 0.27577711.
    Clip,
    /// These, one number for each channel.
    MeanStd {
        /// Subtracted from each channel.
        mean: Vec<f32>,
        /// Divides each channel.
        std: Vec<f32>,
    },
}

/// Which end of the range is light.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Polarity {
    /// Light is large, as files have it.
    #[default]
    AsStored,
    /// Dark is large: ink = 1.
    Inverted,
}

impl ModelSpec {
    /// How pixels become its input.
    pub fn input(&self) -> InputSpec {
        let usual = match self.backbone {
            Backbone::Pixels | Backbone::Conv4(_) => Normalization::None,
            Backbone::Clip(_) => Normalization::Clip,
            _ => Normalization::ImageNet,
        };
        let chosen = if self.normalization == Normalization::Usual { &usual } else { &self.normalization };
        let (mean, std) = match chosen {
            Normalization::Usual | Normalization::None => (vec![], vec![]),
            Normalization::ImageNet => (vec![0.485, 0.456, 0.406], vec![0.229, 0.224, 0.225]),
            Normalization::Clip => {
                (vec![0.481_454_66, 0.457_827_5, 0.408_210_73], vec![0.268_629_55, 0.261_302_6, 0.275_777_1])
            }
            Normalization::MeanStd { mean, std } => (mean.clone(), std.clone()),
        };
        InputSpec { range: self.range, invert: self.polarity == Polarity::Inverted, mean, std }
    }

    /// Where its features are taken.
    ///
    /// # Errors
    /// When the backbone has no such layer or cannot pool so.
    pub fn point(&self) -> Result<FeaturePoint, String> {
        self.backbone.point(self.layer.as_deref(), self.pool)
    }

    pub(crate) fn check(&self, at: &Checker<'_>) {
        if let Some(invalid_because) = self.backbone.invalid_because() {
            at.field("backbone").problem(invalid_because, "here");
        } else if let Err(what) = self.point() {
            at.field(if self.layer.is_some() { "layer" } else { "pool" }).problem(&what, "here");
        }
        match (&self.backbone, &self.weights) {
            (Backbone::Pixels, Some(_)) => at.field("weights").problem("`Pixels` has no weights", "leave this out"),
            (Backbone::Pixels, None) | (_, Some(Weights::Random { .. } | Weights::File(_))) => {}
            (backbone, None) => at.problem(
                &format!("`{}` needs weights", backbone.name()),
                "add `weights: Random(seed: 0)`, `File(path: …)` or `Trained(…)`",
            ),
            (_, Some(Weights::Trained(trained))) => trained.check(&at.field("weights")),
        }
        if let Normalization::MeanStd { mean, std } = &self.normalization {
            let at = at.field("normalization");
            at.expect(
                mean.len() == std.len() && [1, 3].contains(&mean.len()),
                "must give a mean and a standard deviation for each channel",
            );
            at.field("std").expect(std.iter().all(|s| *s > 0.0), "must be greater than zero");
        }
    }
}

impl TrainedWeights {
    fn check(&self, at: &Checker<'_>) {
        at.field("steps").expect((1..=10_000_000).contains(&self.steps), "must be from 1 to 10,000,000");
        at.field("batch").expect((2..=65_536).contains(&self.batch), "must be from 2 to 65,536");
        at.field("lr").expect(self.lr > 0.0, "must be greater than zero");
        at.field("weight_decay").expect(self.weight_decay >= 0.0, "must not be negative");
        let v = &self.views;
        let views = [
            ("rotate_degrees", v.rotate_degrees, 180.0),
            ("scale", v.scale, 0.9),
            ("shear", v.shear, 2.0),
            ("shift", v.shift, 1.0),
            ("erase", v.erase, 1.0),
        ];
        for (name, value, most) in views {
            at.field(&format!("views.{name}"))
                .expect((0.0..=most).contains(&value), &format!("must be from 0 to {most}"));
        }
        if let Method::SimClr(method) = &self.method {
            at.field("method.temperature").expect(method.temperature > 0.0, "must be greater than zero");
            at.field("method.projection").expect((1..=8192).contains(&method.projection), "must be from 1 to 8192");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model as an experiment has it; fields that are no names of variants are as in JSON.
    fn model(json: serde_json::Value) -> ModelSpec {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn the_usual_normalisation_is_that_of_the_backbone() {
        let conv4 = serde_json::json!({ "Conv4": { "channels": 1 } });
        let clip = serde_json::json!({ "Clip": { "size": "Base", "patch": 32 } });
        for (backbone, normalization, expected) in [
            ("Pixels".into(), "Usual", None),
            (conv4.clone(), "Usual", None),
            ("ResNet18".into(), "Usual", Some(0.485)),
            (clip.clone(), "Usual", Some(0.481_454_66)),
            (conv4, "ImageNet", Some(0.485)),
            (clip, "None", None),
            ("ResNet18".into(), "Clip", Some(0.481_454_66)),
        ] {
            let model = model(serde_json::json!({ "backbone": backbone, "normalization": normalization }));
            let InputSpec { mean, std, invert, range } = model.input();
            assert_eq!(mean.first().copied(), expected, "{backbone} {normalization}");
            assert_eq!((mean.len(), invert, range), (std.len(), false, Range::Unit));
        }
        let own = serde_json::json!({ "MeanStd": { "mean": [0.5], "std": [0.25] } });
        let own =
            model(serde_json::json!({ "backbone": "Pixels", "normalization": own, "polarity": "Inverted" })).input();
        assert_eq!((own.mean, own.std, own.invert), (vec![0.5], vec![0.25], true));
    }

    #[test]
    fn features_are_taken_where_the_backbone_has_a_layer() {
        let point = |layer: Option<&str>, pool: serde_json::Value| {
            model(serde_json::json!({ "backbone": "ResNet18", "layer": layer, "pool": pool })).point()
        };
        assert!(point(None, serde_json::Value::Null).unwrap().is_end());
        assert!(!point(Some("layer2"), serde_json::Value::Null).unwrap().is_end());
        assert!(point(Some("layer9"), serde_json::Value::Null).unwrap_err().contains("layer9"));
        assert!(point(None, "Cls".into()).is_err(), "it has no class token");
    }

    #[test]
    fn what_is_not_said_of_training_is_as_documented() {
        let trained = serde_json::json!({ "method": { "SimClr": {} }, "on": "t", "steps": 3 });
        let trained: TrainedWeights = serde_json::from_value(trained).unwrap();
        assert_eq!((trained.batch, trained.lr, trained.weight_decay, trained.seed), (64, 1e-3, 0.0, 0));
        let Method::SimClr(SimClr { temperature, projection }) = trained.method else { panic!("another method") };
        assert_eq!((temperature, projection), (0.2, 64));
    }
}
