//! Training a backbone on the images of a task.

mod images;
mod loader;
mod order;

use std::collections::BTreeMap;

use anyhow::Context as _;
use assay_data::ImageSpec;
use assay_data::augment::Views;
use assay_engine::{Artifact, ArtifactFiles, Content, Context, Cost, External, Needs, Scratch, Step, Threads};
use assay_nn::{
    Answers, Backbone, Batch, Checkpoints, Groups, InputSpec, Objective, Optimizer, RawTensor, Schedule, TrainSpec,
    Trained, TrainingHooks, from_safetensors, to_safetensors, train,
};
use assay_stats::Stream;
use serde::Serialize;

use super::{Arithmetic, LabStep, Runtime, WrittenIn};
use crate::outside::{LabelledImages, Labels, ShardImages};

pub(crate) use images::TrainingImages;
pub(crate) use loader::with_batches_ahead;
pub(crate) use order::Order;

/// Objective of training, as far as it matters.
#[derive(Clone, Debug, Serialize)]
pub enum TrainRecipe {
    /// Cross-entropy over the classes of the task.
    Supervised,
    /// NT-Xent between two views.
    SimClr {
        /// Temperature of the similarities.
        temperature: f64,
        /// Features of the head's output.
        projection: u32,
    },
}

/// Trains a backbone from nothing.
#[derive(Serialize)]
pub struct TrainBackbone {
    /// The network.
    pub backbone: Backbone,
    /// The way from pixels to the network's input.
    pub input: InputSpec,
    /// Preparation of images.
    pub image: ImageSpec,
    /// The images.
    pub images: Vec<External<ShardImages>>,
    /// Images that are learnt from, in order, with their labels.
    pub labels: Content<LabelledImages>,
    /// Objective of training.
    pub method: TrainRecipe,
    /// Number of steps.
    pub steps: u32,
    /// Images in a step.
    pub batch: u32,
    /// Learning rate at the beginning.
    pub lr: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Seed of everything random in it.
    pub seed: u64,
    /// Random views.
    pub views: Views,
    /// Arithmetic that the weights are computed with.
    pub numeric: Arithmetic,
}

/// Number of steps between checkpoints to resume from.
const CHECKPOINT_EVERY: u32 = 50;

impl LabStep for TrainBackbone {
    const ROOT: WrittenIn = WrittenIn::Weights;
    const WRITTEN_IN: &'static [(&'static str, WrittenIn)] = &[
        ("/backbone", WrittenIn::Backbone),
        ("/input", WrittenIn::Model),
        ("/image", WrittenIn::Image),
        ("/images", WrittenIn::Dataset),
        ("/labels", WrittenIn::Dataset),
    ];
}

impl Step<Runtime> for TrainBackbone {
    const KIND: &'static str = "weights";
    const VERSION: u32 = 2; // 2 – the images are inputs, and versions of pixels and of training are named in the recipe
    type Output = WeightsArtifact;

    fn needs(&self) -> Needs {
        Needs { threads: Threads::All, device: true, ..Needs::default() }
    }

    fn cost(&self) -> Cost {
        let views = if matches!(self.method, TrainRecipe::SimClr { .. }) { 2.0 } else { 1.0 };
        Cost {
            group: format!("{} {} px", self.backbone.name(), self.image.crop_px),
            units: f64::from(self.steps) * f64::from(self.batch) * views,
        }
    }

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<WeightsArtifact> {
        let labelled = self.labels.value();
        let images = TrainingImages::find(context, &self.images, labelled, &self.image)?;
        let labels = match &labelled.labels {
            Labels::Classes(labels) => labels.clone(),
            Labels::MultiLabel(_) => vec![0; images.len()],
        };
        let objective = match self.method {
            TrainRecipe::Supervised => Objective::Classes { classes: labelled.classes.len() },
            TrainRecipe::SimClr { temperature, projection } => {
                Objective::Contrastive { projection: projection as usize, temperature }
            }
        };
        let spec = TrainSpec {
            objective,
            steps: self.steps,
            optimizer: Optimizer::Adam,
            lr: self.lr,
            schedule: Schedule::default(),
            weight_decay: self.weight_decay,
            groups: Groups::default(),
            clip_norm: None,
            seed: self.seed,
        };
        let order = Order::of_full_batches(images.len(), self.batch as usize, self.seed);
        let draw = |step: u32| self.draw(step, &images, &labels, &order);
        let trained = train_resumably(context, (&self.backbone, None), &spec, &draw)?;
        Ok(WeightsArtifact { tensors: trained.tensors, losses: trained.losses })
    }
}

impl TrainBackbone {
    /// The batch of a step, a function of its number alone.
    fn draw(&self, step: u32, images: &TrainingImages<'_>, labels: &[u32], order: &Order) -> anyhow::Result<Batch> {
        let chosen = order.of_step(step);
        let views = if matches!(self.method, TrainRecipe::SimClr { .. }) { 2 } else { 1 };
        let (channels, side) = (self.image.color.channels(), self.image.crop_px.width as usize);
        let mut numbers = Vec::with_capacity(chosen.len() * views * channels * side * side);
        for view in 0..views as u64 {
            for (i, index) in chosen.iter().enumerate() {
                let mut stream = Stream::new("view", &[self.seed, step.into(), i as u64, view]);
                let image = self.input.apply(&images.prepared(*index)?.data, channels);
                numbers.extend(self.views.draw(&image, channels, side, &mut stream));
            }
        }
        let answers = Answers::Classes(chosen.iter().map(|i| labels[*i]).collect());
        Ok(Batch { images: numbers, shape: [channels, side, side], answers })
    }
}

/// Trains a backbone from some tensors, or from nothing, on the device of the step. Batches are made ahead on the step's threads;
/// what is done so far is kept, so that an interrupted training goes on.
///
/// # Errors
/// Those of training and of `draw`, and when the run is cancelled.
pub(crate) fn train_resumably(
    context: &Context<'_, Runtime>,
    (backbone, start): (&Backbone, Option<&BTreeMap<String, RawTensor>>),
    spec: &TrainSpec,
    draw: &(dyn Fn(u32) -> anyhow::Result<Batch> + Sync),
) -> anyhow::Result<Trained> {
    let kept = Kept(context.scratch()?);
    let tick = |done: u32, _loss: f32| {
        context.progress(u64::from(done), u64::from(spec.steps), "steps");
        context.check_cancelled().map_err(anyhow::Error::from)
    };
    let device = &context.runtime().devices[context.device()].device;
    with_batches_ahead(draw, spec.steps, context.threads(), |batch| {
        let hooks = TrainingHooks { batch, tick: &tick, resume: Some((&kept, CHECKPOINT_EVERY)) };
        train(backbone, start, spec, &hooks, device)
    })
}

/// The checkpoint of an interrupted training.
struct Kept<'a>(Scratch<'a>);

impl Kept<'_> {
    const FILE: &'static str = "training.safetensors";
}

impl Checkpoints for Kept<'_> {
    fn save(&self, bytes: &[u8]) -> anyhow::Result<()> {
        self.0.save(Self::FILE, bytes)
    }

    fn load(&self) -> Option<Vec<u8>> {
        self.0.load(Self::FILE)
    }
}

/// Trained weights in the store.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightsArtifact {
    /// The backbone's tensors.
    pub tensors: BTreeMap<String, RawTensor>,
    /// Loss of every step.
    pub losses: Vec<f32>,
}

impl WeightsArtifact {
    /// Name of the file with the tensors.
    pub const FILE: &'static str = "weights.safetensors";
}

impl Artifact for WeightsArtifact {
    fn write(&self, files: &mut ArtifactFiles) -> anyhow::Result<()> {
        files.put_plain(Self::FILE, to_safetensors(&self.tensors)?)?;
        files.put("losses.json", serde_json::to_vec(&self.losses)?)
    }

    fn read(files: &ArtifactFiles) -> anyhow::Result<Self> {
        let tensors = from_safetensors(&files.get(Self::FILE)?)?;
        let losses =
            serde_json::from_slice(&files.get("losses.json")?).context("losses.json is not what was expected")?;
        Ok(Self { tensors, losses })
    }
}
