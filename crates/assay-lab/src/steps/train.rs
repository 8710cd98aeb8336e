//! Training a backbone on the images of a task.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use assay_data::augment::Views;
use assay_data::{ImageSpec, Sample};
use assay_engine::{Artifact, ArtifactFiles, Content, Context, Cost, External, Needs, Scratch, Step, Threads};
use assay_nn::{
    Backbone, Batch, Checkpoints, InputSpec, Loss, RawTensor, TrainSpec, TrainingHooks, from_safetensors,
    to_safetensors, train,
};
use assay_stats::Stream;
use serde::Serialize;

use super::{Arithmetic, LabStep, Runtime, WrittenIn};
use crate::outside::{LabelledImages, Labels, ShardImages, prepare};

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
        let images = self.prepared(context, labelled)?;
        let labels = match &labelled.labels {
            Labels::Classes(labels) => labels.clone(),
            Labels::MultiLabel(_) => vec![0; images.len()],
        };
        let loss = match self.method {
            TrainRecipe::Supervised => Loss::Labels { classes: labelled.classes.len() },
            TrainRecipe::SimClr { temperature, projection } => {
                Loss::Contrastive { projection: projection as usize, temperature }
            }
        };
        let batches = Batches { step: self, images: &images, labels: &labels, order: Mutex::default() };
        let spec = TrainSpec { loss, steps: self.steps, lr: self.lr, weight_decay: self.weight_decay, seed: self.seed };
        let kept = Kept(context.scratch()?);
        let tick = |done: u32, _loss: f32| {
            context.progress(u64::from(done), u64::from(self.steps), "steps");
            context.check_cancelled().map_err(anyhow::Error::from)
        };
        let hooks = TrainingHooks {
            batch: &|step| Ok(batches.draw(step)),
            tick: &tick,
            resume: Some((&kept, CHECKPOINT_EVERY)),
        };
        let trained = train(&self.backbone, &spec, &hooks, &context.runtime().devices[context.device()].device)?;
        Ok(WeightsArtifact { tensors: trained.tensors, losses: trained.losses })
    }
}

impl TrainBackbone {
    /// The images that are learnt from, decoded and prepared by all threads; a run that is interrupted hears of it at the next.
    fn prepared(&self, context: &Context<'_, Runtime>, labelled: &LabelledImages) -> anyhow::Result<Vec<Vec<u8>>> {
        let shards: Vec<&ShardImages> = self.images.iter().map(|images| context.open(images)).collect();
        let by_digest: HashMap<&[u8; 32], &Sample> =
            shards.iter().flat_map(|shard| &shard.samples).map(|s| (s.digest.as_bytes(), s)).collect();
        let find = |(digest, name): (&[u8; 32], &String)| {
            by_digest.get(digest).copied().with_context(|| format!("{name} is in none of the images of this step"))
        };
        let samples = labelled.images.iter().zip(&labelled.names).map(find).collect::<anyhow::Result<Vec<_>>>()?;
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (progress, cancelled) = (context.ticker(samples.len() as u64, "images"), context.canceller());
        let work = || -> anyhow::Result<Vec<(usize, Vec<u8>)>> {
            let mut mine = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(sample) = samples.get(at) else { return Ok(mine) };
                let prepared =
                    cancelled().map_err(anyhow::Error::from).and_then(|()| prepare(sample, &self.image, None));
                if prepared.is_err() {
                    next.store(samples.len(), Ordering::Relaxed);
                }
                mine.push((at, prepared?));
                progress(done.fetch_add(1, Ordering::Relaxed) as u64 + 1);
            }
        };
        let parts = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..context.threads().max(1)).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(|t| t.join().expect("decoding does not panic")).collect::<anyhow::Result<Vec<_>>>()
        })?;
        let mut all: Vec<(usize, Vec<u8>)> = parts.into_iter().flatten().collect();
        all.sort_unstable_by_key(|(at, _)| *at);
        Ok(all.into_iter().map(|(_, pixels)| pixels).collect())
    }
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

struct Batches<'a> {
    step: &'a TrainBackbone,
    images: &'a [Vec<u8>],
    labels: &'a [u32],
    /// The order of images in the epoch that was asked for last.
    order: Mutex<Option<(u64, Vec<usize>)>>,
}

impl Batches<'_> {
    /// A function of the step alone.
    fn draw(&self, step: u32) -> Batch {
        let recipe = self.step;
        let size = recipe.batch as usize;
        let each_epoch = (self.images.len() / size).max(1) as u64;
        let (epoch, at) = (u64::from(step) / each_epoch, (u64::from(step) % each_epoch) as usize);
        let chosen: Vec<usize> = self.epoch(epoch)[at * size..][..size].to_vec();
        let views = if matches!(recipe.method, TrainRecipe::SimClr { .. }) { 2 } else { 1 };
        let (channels, side) = (recipe.image.color.channels(), recipe.image.crop_px.width as usize);
        let mut images = Vec::with_capacity(size * views * channels * side * side);
        for view in 0..views as u64 {
            for (i, index) in chosen.iter().enumerate() {
                let mut stream = Stream::new("view", &[recipe.seed, step.into(), i as u64, view]);
                let image = recipe.input.apply(&self.images[*index], channels);
                images.extend(recipe.views.draw(&image, channels, side, &mut stream));
            }
        }
        Batch { images, shape: [channels, side, side], labels: chosen.iter().map(|i| self.labels[*i]).collect() }
    }

    fn epoch(&self, epoch: u64) -> Vec<usize> {
        let mut order = self.order.lock().expect("no panic while locked");
        match &*order {
            Some((known, list)) if *known == epoch => list.clone(),
            _ => {
                let mut all: Vec<usize> = (0..self.images.len()).collect();
                let count = all.len();
                let list = Stream::new("order", &[self.step.seed, epoch]).choose(&mut all, count);
                *order = Some((epoch, list.clone()));
                list
            }
        }
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
