//! Training of a network on labelled images, and its predictions.

use std::borrow::Cow;
use std::collections::BTreeMap;

use assay_data::{ImageSpec, Presence, RandomResizedCrop};
use assay_engine::{Context, Cost, External};
use assay_nn::{
    Answers, Backbone, Batch, Builder, Extractor, Groups, ImageSize, InputSpec, Objective, Optimizer, RawTensor,
    Schedule, TrainSpec, Trained, Values, extract, random_tensors,
};
use assay_probe::Linear;
use assay_stats::Stream;
use serde::Serialize;

use super::search::Hyperparameters;
use crate::outside::{LabelledImages, Labels, ShardImages};
use crate::steps::{Arithmetic, Order, Runtime, TrainingImages, WeightsRecipe, train_resumably};

/// What all trainings of an evaluation share.
#[derive(Clone, Serialize)]
pub struct Training {
    /// The network.
    pub backbone: Backbone,
    /// Weights that it begins with.
    pub weights: WeightsRecipe,
    /// The way from pixels to the network's input.
    pub input: InputSpec,
    /// Preparation of images.
    pub image: ImageSpec,
    /// The images.
    pub images: Vec<External<ShardImages>>,
    /// Number of steps.
    pub steps: u32,
    /// Most images in a step.
    pub batch: u32,
    /// Rule that turns gradients into changes of parameters.
    pub optimizer: Optimizer,
    /// Course of the learning rate.
    pub schedule: Schedule,
    /// Parameters that are trained, and those with rates of their own.
    pub groups: Groups,
    /// Largest norm of the gradient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// Random views of training images.
    pub augmentation: RandomResizedCrop,
    /// Seed of everything random in it.
    pub seed: u64,
    /// Arithmetic that the weights are computed with.
    pub numeric: Arithmetic,
}

/// Where the parts of a [`Training`], the field `training` of a step, are written.
macro_rules! written_in {
    ($(($part:literal, $written:ident)),* $(,)?) => {
        &[
            ("/training/backbone", WrittenIn::Backbone),
            ("/training/weights", WrittenIn::Weights),
            ("/training/input", WrittenIn::Model),
            ("/training/image", WrittenIn::Image),
            ("/training/images", WrittenIn::Dataset),
            $(($part, WrittenIn::$written)),*
        ]
    };
}
pub(super) use written_in;

/// Tensors of a trained network: of the backbone, and `head.0.weight` (K × D) and `head.0.bias`.
pub(super) type Network = BTreeMap<String, RawTensor>;

impl Training {
    /// Cost of one training.
    pub(super) fn cost(&self) -> Cost {
        Cost {
            group: format!("train {} {} px", self.backbone.name(), self.image.crop_px),
            units: f64::from(self.steps) * f64::from(self.batch),
        }
    }

    /// Trains on `fit` with some values.
    ///
    /// # Errors
    /// When the loss diverges, an image cannot be decoded, or the run is cancelled.
    pub(super) fn run(
        &self,
        context: &Context<'_, Runtime>,
        fit: &LabelledImages,
        candidate: Hyperparameters,
    ) -> anyhow::Result<Trained> {
        let images = TrainingImages::find(context, &self.images, fit, &self.image)?;
        let classes = fit.classes.len();
        let spec = TrainSpec {
            objective: match fit.labels {
                Labels::Classes(_) => Objective::Classes { classes },
                Labels::MultiLabel(_) => Objective::MultiLabel { classes },
            },
            steps: self.steps,
            optimizer: self.optimizer,
            lr: candidate.lr,
            schedule: self.schedule.clone(),
            weight_decay: candidate.weight_decay,
            groups: self.groups.clone(),
            clip_norm: self.clip_norm,
            seed: self.seed,
        };
        let device = &context.runtime().devices[context.device()].device;
        let start: Cow<'_, Network> = match &self.weights {
            WeightsRecipe::None => anyhow::bail!("the network has no weights to begin with"),
            WeightsRecipe::Random(seed) => Cow::Owned(random_tensors(&self.backbone, *seed, device)),
            WeightsRecipe::Tensors(leaf) => Cow::Owned(context.open(leaf).load(leaf.digest())?),
            WeightsRecipe::Trained(output) => Cow::Owned(context.load(output)?.tensors),
        };
        let order = Order::of_all(images.len(), self.batch as usize, self.seed);
        let draw = |step: u32| self.draw(step, &images, &fit.labels, classes, candidate, &order);
        train_resumably(context, (&self.backbone, Some(&start)), &spec, &draw)
    }

    /// The batch of a step, a function of its number alone.
    fn draw(
        &self,
        step: u32,
        images: &TrainingImages<'_>,
        labels: &Labels,
        classes: usize,
        candidate: Hyperparameters,
        order: &Order,
    ) -> anyhow::Result<Batch> {
        let chosen = order.of_step(step);
        let channels = self.image.color.channels();
        let mut numbers = Vec::new();
        for (i, index) in chosen.iter().enumerate() {
            let pixels = if candidate.augment {
                let mut stream = Stream::new("augment", &[self.seed, step.into(), i as u64]);
                let picture = images.decoded(*index)?;
                let rule = (self.image.filter, self.image.pillow);
                self.augmentation.draw(&picture, self.image.crop_px, rule, &mut stream).data
            } else {
                images.prepared(*index)?.data.clone()
            };
            numbers.extend(self.input.apply(&pixels, channels));
        }
        let answers = match labels {
            Labels::Classes(labels) => Answers::Classes(chosen.iter().map(|i| labels[*i]).collect()),
            Labels::MultiLabel(shown) => {
                let row = |i: &usize| shown[i * classes..][..classes].iter();
                let shows = |p: &Presence| if *p == Presence::Present { 1.0 } else { 0.0 };
                Answers::MultiLabel(chosen.iter().flat_map(row).map(shows).collect())
            }
        };
        let size = self.image.crop_px;
        Ok(Batch { images: numbers, shape: [channels, size.height as usize, size.width as usize], answers })
    }

    /// N × K logits of some images.
    ///
    /// # Errors
    /// When an image cannot be decoded, a logit is not finite, or the run is cancelled.
    pub(super) fn logits(
        &self,
        context: &Context<'_, Runtime>,
        network: &Network,
        images: &LabelledImages,
    ) -> anyhow::Result<Vec<f64>> {
        let device = context.runtime().devices[context.device()].clone();
        let net = self.backbone.build(&mut Builder::new(&device.device, Values::Given(network)));
        let size = self.image.crop_px;
        let size = ImageSize { height: size.height as usize, width: size.width as usize };
        let channels = self.image.color.channels();
        let extractor = Extractor::new(&self.backbone, net, device, channels, size);
        let found = TrainingImages::find(context, &self.images, images, &self.image)?;
        let load = |i: usize| Ok(self.input.apply(&found.prepared(i)?.data, channels));
        let cancelled = context.canceller();
        let tick = |_: usize| cancelled().map_err(anyhow::Error::from);
        let features = extract(&extractor, found.len(), context.threads(), load, tick)?;
        let part = |name: &str| -> anyhow::Result<Vec<f64>> {
            let tensor = network.get(name).ok_or_else(|| anyhow::anyhow!("the network has no {name}"))?;
            Ok(tensor.to_f32().into_iter().map(f64::from).collect())
        };
        let linear = Linear { weight: part("head.0.weight")?, bias: part("head.0.bias")? };
        let logits = linear.logits(&features);
        match logits.iter().position(|v| !v.is_finite()) {
            Some(bad) => anyhow::bail!("the logits of {} are not finite", images.names[bad / images.classes.len()]),
            None => Ok(logits),
        }
    }
}
