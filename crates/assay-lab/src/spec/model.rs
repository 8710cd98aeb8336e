//! Models: a backbone, its weights, and what it expects as input.

use std::path::PathBuf;

use assay_config::UserPath;
use assay_data::augment::Views;
use assay_nn::{Backbone, Family, FeaturePoint, InputSpec, Pool, Range, Transformer};
use schemars::JsonSchema;
use serde::Deserialize;

use assay_config::Checker;

/// A model of an experiment: a network, its weights, and the numbers that it takes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// Network that turns an image into features, without its classifier.
    pub backbone: Backbone,
    /// Weights of the network; every backbone but `Pixels` and `Given` needs some. Default: none.
    #[serde(default)]
    pub weights: Option<Weights>,
    /// Layer whose output becomes the features: `"layer1"` to the last stage of a convolutional network or a Swin;
    /// `"block1"` to the last block of a transformer or `Conv4`. Of a transformer also `"last4"`: the pooled features of the
    /// last 4 blocks side by side, as DINO's evaluation has it with `pool: Cls` and DINOv2's with `ClsGap`. Tokens are normalised
    /// as at the end of the network; `"block7 raw"` and `"last4 raw"` are without that. Default: the end of the network.
    #[serde(default)]
    pub layer: Option<String>,
    /// Reduction of the layer's map to one row of features. Default: that of the network itself.
    #[serde(default)]
    pub pool: Option<Pool>,
    /// Facts about the weights, for people; they change no result. Default: none.
    #[serde(default)]
    pub about: About,
    /// Mean and standard deviation by which the channels of images are normalised. Default: `Usual`.
    #[serde(default)]
    pub normalization: Normalization,
    /// Numbers that the pixel values 0 to 255 become, before normalisation. Default: `Unit`.
    #[serde(default)]
    pub range: Range,
    /// Exchange of dark and light, before all else. Default: `AsStored`.
    #[serde(default)]
    pub polarity: Polarity,
}

/// Facts about weights, for people.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Address that the file can be downloaded from; told when the file is missing. Default: none.
    #[serde(default)]
    pub url: Option<String>,
    /// Top-1 accuracy on ImageNet in percent, as the authors of the weights report it for a linear classifier. Default:
    /// none.
    #[serde(default)]
    pub imagenet_top1: Option<f64>,
    /// Number of epochs of pretraining. Default: none.
    #[serde(default)]
    pub epochs: Option<u32>,
    /// Paper that the weights come from. Default: none.
    #[serde(default)]
    pub citation: Option<String>,
    /// Anything else worth knowing. Default: none.
    #[serde(default)]
    pub note: Option<String>,
}

/// Source of a network's weights.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub enum Weights {
    /// Random weights, drawn as the authors of the backbone initialise it.
    Random {
        /// Seed of the draws; different seeds give different weights.
        seed: u64,
    },
    /// Weights from a file: of torch (`.pth`, `.pth.tar`, `.th`), `.safetensors` (of several, the index), `.npz`, a
    /// pickle of arrays, or a TensorFlow checkpoint (its `.index`); of several files, their `.index.json` or their folder.
    File(FileWeights),
    /// Weights of a repository of the Hugging Face hub that is in the local cache; nothing is downloaded. Its own
    /// `preprocessor_config.json` or timm's `pretrained_cfg` says the usual normalisation.
    Hub(HubWeights),
    /// Weights that `torch.hub` has downloaded, in its local cache.
    TorchHub(TorchHubWeights),
    /// Weights that Assay trains itself, before anything that needs them.
    Trained(TrainedWeights),
}

/// Weights in a file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileWeights {
    /// Path of the file.
    pub path: UserPath,
    /// Key of the state dict in a torch file; `""` is the file as a whole. Default: the only one that holds the backbone.
    #[serde(default)]
    pub container: Option<String>,
    /// Prefix of the names of the backbone's tensors, such as `"module.encoder_q."`. Default: guessed.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Beginnings of the names, after the prefix, of tensors that are not part of the backbone; the usual heads (`fc`,
    /// `projection`, …) are left out anyway. Default: `[]`.
    #[serde(default)]
    pub drop: Vec<String>,
    /// Beginnings of names, after the prefix, to replace by others, as pairs such as `("encoder.", "layer.")`. Default:
    /// `[]`.
    #[serde(default)]
    pub rename: Vec<(String, String)>,
}

/// Weights in the local cache of the Hugging Face hub.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HubWeights {
    /// Name of the repository, such as `"timm/resnet50.a1_in1k"`.
    pub repo: String,
    /// Branch, tag or commit. Default: `"main"`, as it was when it was downloaded.
    #[serde(default)]
    pub revision: Option<String>,
    /// Name of the weights file in the repository. Default: `model.safetensors` or what else is usual, else the only one.
    #[serde(default)]
    pub file: Option<String>,
    /// Key of the state dict in a torch file, as of `File`. Default: the only one that holds the backbone.
    #[serde(default)]
    pub container: Option<String>,
    /// Prefix of the names of the backbone's tensors, as of `File`. Default: guessed.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Beginnings of the names of tensors that are not part of the backbone, as of `File`. Default: `[]`.
    #[serde(default)]
    pub drop: Vec<String>,
    /// Beginnings of names to replace by others, as of `File`. Default: `[]`.
    #[serde(default)]
    pub rename: Vec<(String, String)>,
}

/// Weights in the local cache of `torch.hub`: `hub/checkpoints` of `TORCH_HOME`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TorchHubWeights {
    /// Name of the file, such as `"resnet50-11ad3fa6.pth"`.
    pub file: String,
    /// Key of the state dict in a torch file, as of `File`. Default: the only one that holds the backbone.
    #[serde(default)]
    pub container: Option<String>,
    /// Prefix of the names of the backbone's tensors, as of `File`. Default: guessed.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Beginnings of the names of tensors that are not part of the backbone, as of `File`. Default: `[]`.
    #[serde(default)]
    pub drop: Vec<String>,
    /// Beginnings of names to replace by others, as of `File`. Default: `[]`.
    #[serde(default)]
    pub rename: Vec<(String, String)>,
}

impl HubWeights {
    /// The weights as a file that has been found.
    pub fn at(&self, path: PathBuf) -> FileWeights {
        let Self { container, prefix, drop, rename, .. } = self.clone();
        FileWeights { path: UserPath(path), container, prefix, drop, rename }
    }
}

impl TorchHubWeights {
    /// The weights as a file that has been found.
    pub fn at(&self, path: PathBuf) -> FileWeights {
        let Self { container, prefix, drop, rename, .. } = self.clone();
        FileWeights { path: UserPath(path), container, prefix, drop, rename }
    }
}

/// Weights trained here.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainedWeights {
    /// Objective of the training.
    pub method: Method,
    /// Name of the task whose images are trained on.
    pub on: String,
    /// Number of optimisation steps.
    pub steps: u32,
    /// Number of images in a step. Default: 64.
    #[serde(default = "batch")]
    pub batch: u32,
    /// Learning rate of Adam at the first step; it falls to zero on a cosine. Default: 0.001.
    #[serde(default = "lr")]
    pub lr: f64,
    /// Weight decay on every parameter. Default: 0.0.
    #[serde(default)]
    pub weight_decay: f64,
    /// Seed of the initial weights, the order of images and the views. Default: 0.
    #[serde(default)]
    pub seed: u64,
    /// Random changes that make a view of an image (data augmentation). Default: `(erase: 0.0, rotate_degrees: 15.0,
    /// scale: 0.15, shear: 0.2, shift: 0.1)`.
    #[serde(default)]
    pub views: Views,
}

fn batch() -> u32 {
    64
}

fn lr() -> f64 {
    1e-3
}

/// Objective of training.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub enum Method {
    /// Supervised training: cross-entropy of a linear classifier over the task's classes.
    Supervised,
    /// SimCLR, training without labels: two views of an image agree more than views of different images (Chen et al.
    /// 2020).
    SimClr(SimClr),
}

/// Parameters of SimCLR.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SimClr {
    /// Temperature that similarities of views are divided by. Default: 0.2.
    #[serde(default = "temperature")]
    pub temperature: f64,
    /// Number of features that the projection head puts out. Default: 64.
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
    /// Normalisation that the model's own configuration beside its weights names; else the one that the backbone is usually
    /// trained with: `None` for `Pixels` and `Conv4`; `Clip` for `Clip`, `ClipResNet` and the families `Eva02`, `Eva02Clip` and
    /// `AimV2`; means and deviations of 0.5 for `SigLip`; `ImageNet` for all others. Transformers trained by timm's `augreg`, and
    /// the first BEiT, have 0.5 as well: write `MeanStd`.
    #[default]
    Usual,
    /// No normalisation.
    None,
    /// Statistics of ImageNet: mean 0.485, 0.456, 0.406; standard deviation 0.229, 0.224, 0.225.
    ImageNet,
    /// Statistics of CLIP's images: mean 0.48145466, 0.4578275, 0.40821073; standard deviation 0.26862954, 0.26130258,
    /// 0.27577711.
    Clip,
    /// Statistics given as numbers, one for each channel.
    MeanStd {
        /// Numbers that are subtracted from the channels.
        mean: Vec<f32>,
        /// Numbers that the channels are divided by after that.
        std: Vec<f32>,
    },
}

/// Direction of brightness in a network's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Polarity {
    /// Light pixels are large numbers, as image files have it.
    #[default]
    AsStored,
    /// Dark pixels are large numbers, so that black ink is 1.
    Inverted,
}

impl ModelSpec {
    /// The way from pixels to the network's input.
    pub fn input(&self) -> InputSpec {
        let usual = match self.backbone {
            Backbone::Pixels | Backbone::Given | Backbone::Conv4(_) => Normalization::None,
            Backbone::Clip(_) | Backbone::ClipResNet(_) => Normalization::Clip,
            Backbone::Transformer(Transformer { family, .. }) => match family {
                Family::Eva02 | Family::Eva02Clip | Family::AimV2 => Normalization::Clip,
                Family::SigLip => Normalization::MeanStd { mean: vec![0.5; 3], std: vec![0.5; 3] },
                _ => Normalization::ImageNet,
            },
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

    /// The way from pixels to the network's input, where the model's own configuration names this mean and standard deviation.
    pub fn input_as_declared(&self, mean: &[f32], std: &[f32]) -> InputSpec {
        match self.normalization {
            Normalization::Usual => InputSpec { mean: mean.to_vec(), std: std.to_vec(), ..self.input() },
            _ => self.input(),
        }
    }

    /// The point of the network where features are taken.
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
            (none @ (Backbone::Pixels | Backbone::Given), Some(_)) => {
                at.field("weights").problem(&format!("`{}` has no weights", none.name()), "leave this out");
            }
            (Backbone::Pixels | Backbone::Given, None)
            | (_, Some(Weights::Random { .. } | Weights::File(_) | Weights::Hub(_) | Weights::TorchHub(_))) => {}
            (backbone, None) => at.problem(
                &format!("`{}` needs weights", backbone.name()),
                "add `weights: File(path: …)`, `Hub(repo: …)` or `Trained(…)`; `Random(seed: 0)` is a network that has learnt nothing",
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
        let family = |name: &str| serde_json::json!({ "Transformer": { "family": name, "size": "Base" } });
        for (backbone, normalization, expected) in [
            ("Pixels".into(), "Usual", None),
            (conv4.clone(), "Usual", None),
            ("ResNet18".into(), "Usual", Some(0.485)),
            (clip.clone(), "Usual", Some(0.481_454_66)),
            (family("Eva02"), "Usual", Some(0.481_454_66)),
            (family("SigLip"), "Usual", Some(0.5)),
            (family("DinoV3"), "Usual", Some(0.485)),
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
