//! Training a backbone and a head: from nothing or from a checkpoint, all of it or a part, with labels or by SimCLR (Chen et al.
//! 2020).
//!
//! Batches are a function of the step number, so that a training that was interrupted goes on exactly as it would have.

mod groups;
mod learner;
mod loss;
mod optimizer;
mod saved;
mod schedule;

use std::collections::BTreeMap;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};

use crate::backbone::{Backbone, FeaturePoint};
use crate::builder::{Builder, Values, collect};
use crate::input::ImageSize;
use assay_weights::{RawTensor, TensorShape};

pub use groups::{Groups, Scope};
pub use loss::{Answers, Objective};
pub use optimizer::Optimizer;
pub use saved::from_safetensors;
pub use schedule::{Decay, Schedule};

use groups::Division;
use learner::{HEAD, Learner};
use optimizer::Updates;
use saved::Saved;

/// Parameters of training.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainSpec {
    /// Loss that is minimised, which also says what head the backbone gets.
    pub objective: Objective,
    /// Number of steps.
    pub steps: u32,
    /// Rule that turns gradients into changes of parameters.
    pub optimizer: Optimizer,
    /// Learning rate, before the schedule.
    pub lr: f64,
    /// Course of the learning rate over the steps.
    pub schedule: Schedule,
    /// Weight decay: λ of a penalty of λ/2·‖p‖² for SGD and Adam, decoupled for AdamW.
    pub weight_decay: f64,
    /// Parameters that are trained, and those that have rates of their own.
    pub groups: Groups,
    /// Largest norm of the gradient of all parameters together; longer ones are scaled down to it. Absent for no limit.
    pub clip_norm: Option<f64>,
    /// Seed of initial weights that are drawn.
    pub seed: u64,
}

/// Inputs of one step: B × C × H × W numbers; for contrastive objectives, the second half are other views of the first.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The numbers.
    pub images: Vec<f32>,
    /// Shape of one image: channels, height and width.
    pub shape: [usize; 3],
    /// What the images show; unused by contrastive objectives.
    pub answers: Answers,
}

/// Hooks of training to the world outside.
pub struct TrainingHooks<'a> {
    /// Makes the batch of a step.
    pub batch: &'a (dyn Fn(u32) -> anyhow::Result<Batch> + Sync),
    /// Told the number of steps done and the loss of the last; an error ends the training.
    pub tick: &'a dyn Fn(u32, f32) -> anyhow::Result<()>,
    /// Folder to keep a checkpoint in, and the number of steps between two.
    pub resume: Option<(&'a dyn Checkpoints, u32)>,
}

/// A place that keeps one checkpoint of a training.
pub trait Checkpoints {
    /// Keeps `bytes` in place of those kept before. A kill leaves the ones or the others.
    ///
    /// # Errors
    /// When they cannot be kept.
    fn save(&self, bytes: &[u8]) -> anyhow::Result<()>;

    /// Loads what was kept last; `None` when nothing was, or it is damaged.
    fn load(&self) -> Option<Vec<u8>>;
}

/// A trained network.
#[derive(Clone, Debug)]
pub struct Trained {
    /// Tensors of the backbone, by the names of its original library.
    pub tensors: BTreeMap<String, RawTensor>,
    /// Tensors of the head: `head.0.weight` (D' × D) and `head.0.bias`, and `head.2` of a head of two layers.
    pub head: BTreeMap<String, RawTensor>,
    /// Loss of every step.
    pub losses: Vec<f32>,
}

/// Why training stopped.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// There is nothing to train.
    #[error("{0} has no parameters to train")]
    NoParameters(&'static str),
    /// The loss is no number any more.
    #[error("the loss became {loss} at step {step}: lower `lr`")]
    Diverged {
        /// At which step.
        step: u32,
        /// The loss.
        loss: f32,
    },
}

/// Trains `backbone` and a new head on batches from `hooks`. The backbone begins with the tensors of `start`, which have been
/// audited, or with random ones.
///
/// # Errors
/// When the loss diverges, a hook fails, or the checkpoint cannot be kept.
pub fn train(
    backbone: &Backbone,
    start: Option<&BTreeMap<String, RawTensor>>,
    spec: &TrainSpec,
    hooks: &TrainingHooks<'_>,
    device: &Device,
) -> anyhow::Result<Trained> {
    let device = device.clone().autodiff();
    let [channels, height, width] = (hooks.batch)(0)?.shape;
    let features = backbone.features(channels, ImageSize { height, width }, &FeaturePoint::END).unwrap_or(0);
    let restored = hooks.resume.and_then(|(kept, _)| Saved::load(kept, spec.steps));
    let values = match (&restored, start) {
        (Some(saved), _) => Values::Given(&saved.tensors),
        (None, Some(start)) => Values::Start(start, spec.seed),
        (None, None) => Values::Random(spec.seed),
    };
    let division = Division::new(&spec.groups, backbone);
    let frozen = |name: &str| !division.trains(name);
    let mut builder = Builder::new(&device, values).freezing(&frozen);
    let mut learner = Learner::build(&mut builder, backbone, features, spec.objective)
        .ok_or(TrainError::NoParameters(backbone.name()))?;
    let known = builder.by_id();
    let groups = known.iter().map(|(id, tensor)| (*id, division.rates(tensor))).collect();
    let mut updates = Updates::new(spec.optimizer, groups);
    let mut losses = Vec::new();
    if let Some(saved) = &restored {
        updates.restore(&saved.tensors, &known, &device);
        losses.clone_from(&saved.losses);
    }
    while losses.len() < spec.steps as usize {
        let step = losses.len() as u32;
        let (gradients, loss) = differentiate(&learner, &(hooks.batch)(step)?, spec.objective, &device);
        if !loss.is_finite() {
            return Err(TrainError::Diverged { step, loss }.into());
        }
        let lr = spec.lr * spec.schedule.factor(step, spec.steps);
        learner = updates.step(learner, gradients, lr, spec.weight_decay, spec.clip_norm);
        losses.push(loss);
        (hooks.tick)(step + 1, loss)?;
        if let Some((kept, every)) = hooks.resume
            && (step + 1).is_multiple_of(every.max(1))
        {
            let mut tensors = settled(&learner, &known);
            updates.save(&mut tensors, &known);
            Saved { tensors, losses: losses.clone() }.store(kept)?;
        }
    }
    let (head, tensors) = settled(&learner, &known).into_iter().partition(|(name, _)| name.starts_with(HEAD));
    Ok(Trained { tensors, head, losses })
}

/// Gradients of the loss of a batch, and the loss.
fn differentiate(learner: &Learner, batch: &Batch, objective: Objective, device: &Device) -> (GradientsParams, f32) {
    let [channels, height, width] = batch.shape;
    let count = batch.images.len() / (channels * height * width);
    let x = Tensor::<4>::from_data(TensorData::new(batch.images.clone(), [count, channels, height, width]), device);
    let loss = objective.loss(learner.forward(x), &batch.answers, device);
    let value = loss.clone().inner().into_scalar::<f32>();
    (GradientsParams::from_grads(loss.backward(), learner), value)
}

/// The tensors of a learner as they are read back.
fn settled(learner: &Learner, known: &BTreeMap<u64, TensorShape>) -> BTreeMap<String, RawTensor> {
    collect(&learner.valid(), known)
}
