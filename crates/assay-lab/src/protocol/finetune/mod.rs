//! `Finetune`: the whole network trained on the task.

mod choose;
mod fit;
mod search;
mod training;
mod trial;

pub use choose::ChooseTrial;
#[cfg(test)]
pub use choose::Chosen;
pub use fit::{FinetuneBackbone, ScoreFinetuned};
pub use training::Training;
#[cfg(test)]
pub use trial::Trial;
pub use trial::TryHyperparameters;

use assay_config::Checker;
use assay_data::RandomResizedCrop;
use assay_engine::Output;
use assay_nn::{Backbone, Decay, Groups, ImageSize, Optimizer, Schedule, Scope};
use schemars::JsonSchema;
use serde::Deserialize;

use self::search::Search;
use super::linear::{HoldOut, Parts, check_parts, classes_of};
use crate::plan::{CellPlan, PlanError, Protocol};
use crate::results::{CalibrationRule, Evaluation, Resampling};

/// The backbone and a linear classifier behind it, trained together on the task. Learning rate, weight decay and augmentation are
/// chosen on the validation split (or on a part of the training split), the network is trained again on both with the best of
/// them, and the test split is looked at once. Defaults are those of Ericsson et al. (CVPR 2021), but for the search: theirs is
/// `Study`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Finetune {
    /// Learning rates, weight decays and augmentations that are tried. Default: `Coarse`.
    pub search: Search,
    /// Number of optimisation steps of each training. Default: 5000.
    pub steps: u32,
    /// Number of images in a step; the last of an epoch may have fewer. Default: 64.
    pub batch: u32,
    /// Rule that turns gradients into changes of parameters. Default: `Sgd(momentum: 0.9, nesterov: true)`.
    pub optimizer: Optimizer,
    /// Course of the learning rate over the steps. Default: `(decay: Cosine, warmup_steps: 0)`.
    pub schedule: Schedule,
    /// Part of the network that is trained; the rest stays as it is. Default: `All`.
    pub trained: TrainedPart,
    /// Factor of the learning rate for each stage or block that a parameter is before the classifier. Default: 1.0.
    pub layer_decay: f64,
    /// Weight decay of biases, normalisations, tokens and positions as well. Default: true.
    pub decay_vectors: bool,
    /// Largest norm of the gradient; longer ones are scaled down to it. Default: none.
    pub clip_norm: Option<f64>,
    /// Random views of training images where there is augmentation; without it, images are prepared as for the test. Default:
    /// `(flip: 0.5, ratio: [0.75, 1.3333333333333333], scale: [0.08, 1.0])`.
    pub augmentation: RandomResizedCrop,
    /// Part of the training images that becomes the validation split of a dataset without one. Default: `(fraction:
    /// 0.2, seed: 0)`.
    pub validation: HoldOut,
    /// Part of all images that becomes the test split of a dataset without splits; the others are then training images.
    /// Default: `(fraction: 0.2, seed: 0)`.
    pub test: HoldOut,
    /// Number of times that the test images are resampled for the intervals of metrics. Default: 1000.
    pub resamples: u32,
    /// Seed of the classifier's first weights, of the order of images, of augmentation and of the resampling. Default: 0.
    pub seed: u64,
}

impl Default for Finetune {
    fn default() -> Self {
        Self {
            search: Search::Coarse,
            steps: 5000,
            batch: 64,
            optimizer: Optimizer::Sgd { momentum: 0.9, nesterov: true },
            schedule: Schedule::default(),
            trained: TrainedPart::All,
            layer_decay: 1.0,
            decay_vectors: true,
            clip_norm: None,
            augmentation: RandomResizedCrop::default(),
            validation: HoldOut::default(),
            test: HoldOut::default(),
            resamples: 1000,
            seed: 0,
        }
    }
}

/// Part of a network that is trained, with the classifier. Batch normalisation in the rest uses the statistics that it came with.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub enum TrainedPart {
    /// All of it.
    #[default]
    All,
    /// The stage or block of this name, all that follow it, and what comes after them: `From("layer4")`, `From("block9")`.
    From(String),
    /// The classifier alone.
    Head,
    /// Factors and summands of normalisations.
    Norms,
}

impl TrainedPart {
    fn scope(&self, backbone: &Backbone) -> Result<Scope, String> {
        let name = match self {
            Self::All => return Ok(Scope::All),
            Self::Norms => return Ok(Scope::Norms),
            Self::Head => return Ok(Scope::Head),
            Self::From(name) => name,
        };
        let names: Vec<String> = backbone.stages().into_iter().map(|stage| stage.name).collect();
        match names.iter().position(|stage| stage == name) {
            Some(place) => Ok(Scope::From(place + 1)),
            None => Err(format!("{} has no stage {name:?}: there are {}", backbone.name(), names.join(", "))),
        }
    }
}

impl Protocol for Finetune {
    fn check(&self, at: &Checker<'_>) {
        self.search.check(&at.field("search"));
        at.field("steps").expect((1..=10_000_000).contains(&self.steps), "must be from 1 to 10,000,000");
        at.field("batch").expect((1..=65_536).contains(&self.batch), "must be from 1 to 65,536");
        at.field("schedule.warmup_steps").expect(self.schedule.warmup_steps < self.steps, "must be fewer than `steps`");
        let is_factor = self.layer_decay > 0.0 && self.layer_decay <= 1.0;
        at.field("layer_decay").expect(is_factor, "must be greater than 0 and at most 1");
        let is_norm = self.clip_norm.is_none_or(|norm| norm > 0.0 && norm.is_finite());
        at.field("clip_norm").expect(is_norm, "must be a positive number");
        if let Optimizer::Sgd { momentum, .. } = self.optimizer {
            at.field("optimizer")
                .expect((0.0..1.0).contains(&momentum), "must have a `momentum` of at least 0 and less than 1");
        }
        if let Some(problem) = self.augmentation.invalid_because() {
            at.field("augmentation").expect(false, &format!("is not possible: {problem}"));
        }
        let has_numbers = match &self.schedule.decay {
            Decay::Poly(power) => *power > 0.0 && power.is_finite(),
            Decay::MultiStep { factor, .. } => *factor >= 0.0 && factor.is_finite(),
            Decay::Constant | Decay::Cosine => true,
        };
        at.field("schedule.decay").expect(has_numbers, "must have a positive power, or a factor that is not negative");
        check_parts(at, self.validation, self.test, self.resamples);
    }

    fn plan(&self, cell: &mut CellPlan<'_, '_>) -> Result<Output<Evaluation>, PlanError> {
        cell.expect_labels()?;
        let metric = cell.metric()?;
        let parts = Parts::new(cell.data(), self.validation, self.test).map_err(|message| cell.task_error(message))?;
        parts.check(cell.data(), metric).map_err(|message| cell.task_error(message))?;
        let all = parts.all();
        let classes = classes_of(cell.data(), &all, metric);
        let training = self.training(cell, &all)?;
        let names = cell.names().clone();
        let label = |step: &str| format!("{step}/{}/{}/{}", names.model, names.task, names.protocol);
        let candidates = self.search.candidates();
        let mut trials = Vec::new();
        for (i, candidate) in candidates.iter().enumerate().filter(|_| candidates.len() > 1) {
            let trial = TryHyperparameters {
                training: training.clone(),
                fit: cell.labelled(&parts.fit, &classes),
                validation: cell.labelled(&parts.validation, &classes),
                candidate: *candidate,
                metric,
            };
            trials.push(cell.add(format!("{}/{}", label("try"), i + 1), trial)?);
        }
        let choice = match trials.is_empty() {
            true => None,
            false => Some(cell.add(label("choose"), ChooseTrial { trials: trials.clone() })?),
        };
        let fit = FinetuneBackbone {
            training: training.clone(),
            fit: cell.labelled(&all, &classes),
            candidates: candidates.clone(),
            choice,
        };
        let network = cell.add(label("finetune"), fit)?;
        let test = Training { images: cell.images(&parts.test), ..training };
        let score = ScoreFinetuned {
            network,
            test: cell.labelled(&parts.test, &classes),
            training: test,
            candidates,
            trials,
            choice,
            metric,
            calibration: CalibrationRule::Validation,
            resampling: Resampling { resamples: self.resamples, seed: self.seed },
        };
        cell.add_evaluation(score)
    }
}

impl Finetune {
    /// What all trainings of an evaluation share.
    fn training(&self, cell: &mut CellPlan<'_, '_>, samples: &[u32]) -> Result<Training, PlanError> {
        let (backbone, input, point) = cell.network()?;
        if backbone == Backbone::Pixels {
            return Err(cell.model_error("`Pixels` has no weights that could be trained".to_owned()));
        }
        if !point.is_end() {
            let message = "finetuning trains the features at the end of the network: leave `layer` and `pool` out";
            return Err(cell.model_error(message.to_owned()));
        }
        let image = cell.image()?;
        let size = ImageSize { height: image.crop_px.height as usize, width: image.crop_px.width as usize };
        if let Some(problem) = backbone.training_problem(size) {
            return Err(cell.model_error(problem));
        }
        let is_by_stage =
            [(matches!(self.trained, TrainedPart::From(_)), "trained"), (self.layer_decay != 1.0, "layer_decay")];
        if let Some((_, field)) = is_by_stage.into_iter().find(|(is, _)| *is && !backbone.numbers_stages()) {
            let message = format!(
                "the names of the tensors of {} do not say which stage they belong to: train `All`, `Head` or `Norms`, without \
                 `layer_decay`",
                backbone.name()
            );
            return Err(cell.protocol_error(field, message));
        }
        let scope = self.trained.scope(&backbone).map_err(|message| cell.protocol_error("trained", message))?;
        Ok(Training {
            weights: cell.start()?,
            images: cell.images(samples),
            image,
            backbone,
            input,
            steps: self.steps,
            batch: self.batch,
            optimizer: self.optimizer,
            schedule: self.schedule.clone(),
            groups: Groups { scope, decays_vectors: self.decay_vectors, layer_decay: self.layer_decay },
            clip_norm: self.clip_norm,
            augmentation: self.augmentation,
            seed: self.seed,
            numeric: cell.training_arithmetic(),
        })
    }
}
