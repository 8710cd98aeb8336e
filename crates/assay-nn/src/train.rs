//! Training a backbone from nothing: with labels, or self-supervised by SimCLR (Chen et al. 2020).
//!
//! Batches are a function of the step number, so that a training that was interrupted goes on exactly as it would have.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::nn::{Linear, LinearConfig};
use burn::optim::GradientsParams;
use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::backbone::{Backbone, FeaturePoint, Net};
use crate::builder::{Builder, Init, Values, collect};
use crate::input::ImageSize;
use assay_weights::{Checkpoint, Dtype, RawTensor, TensorShape, to_safetensors};

/// Loss that is minimised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// Cross-entropy of a linear classifier.
    Labels {
        /// Number of classes.
        classes: usize,
    },
    /// NT-Xent between two views of each image, behind a head of two layers.
    Contrastive {
        /// Features of the head's output.
        projection: usize,
        /// Temperature of the similarities.
        temperature: f64,
    },
}

/// Parameters of training: Adam (Kingma & Ba 2015: β 0.9 and 0.999, ε 1e-8), learning rate on a cosine from `lr` to
/// zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainSpec {
    /// Loss that is minimised.
    pub loss: Loss,
    /// Number of steps.
    pub steps: u32,
    /// Learning rate at the beginning.
    pub lr: f64,
    /// Added to the gradient of every parameter, times the parameter.
    pub weight_decay: f64,
    /// Seed of the initial weights.
    pub seed: u64,
}

/// Inputs of one step: B × C × H × W numbers; for contrastive losses, the second half are other views of the first.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The numbers.
    pub images: Vec<f32>,
    /// Shape of one image: channels, height and width.
    pub shape: [usize; 3],
    /// Class of each image; unused by contrastive losses.
    pub labels: Vec<u32>,
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

/// A trained backbone.
#[derive(Clone, Debug)]
pub struct Trained {
    /// Tensors of the network.
    pub tensors: BTreeMap<String, RawTensor>,
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

#[derive(Module, Debug)]
struct Learner {
    net: Net,
    first: Linear,
    second: Option<Linear>,
}

fn linear(builder: &mut Builder<'_>, name: &str, input: usize, output: usize) -> Linear {
    let mut layer = LinearConfig::new(input, output).init(builder.device());
    layer.weight = builder.parameter(&format!("{name}.weight"), [input, output], Init::UniformFanIn(input));
    layer.bias = Some(builder.parameter(&format!("{name}.bias"), [output], Init::UniformFanIn(input)));
    layer
}

impl Learner {
    fn build(builder: &mut Builder<'_>, backbone: &Backbone, features: usize, loss: Loss) -> Option<Self> {
        let net = backbone.build(builder)?;
        let (hidden, second) = match loss {
            Loss::Labels { classes } => (classes, None),
            Loss::Contrastive { projection, .. } => (features, Some(projection)),
        };
        let first = linear(builder, "head.0", features, hidden);
        Some(Self { net, first, second: second.map(|n| linear(builder, "head.2", hidden, n)) })
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = self.first.forward(self.net.forward(x, &FeaturePoint::END));
        match &self.second {
            Some(second) => second.forward(relu(x)),
            None => x,
        }
    }
}

fn cross_entropy(logits: Tensor<2>, targets: Vec<i64>, device: &Device) -> Tensor<1> {
    let count = targets.len();
    let targets = Tensor::<2, Int>::from_data(TensorData::new(targets, [count, 1]), device);
    log_softmax(logits, 1).gather(1, targets).mean().neg()
}

/// NT-Xent (Chen et al. 2020, eq. 1): rows i and i + B/2 are two views of one image.
fn nt_xent(z: Tensor<2>, temperature: f64, device: &Device) -> Tensor<1> {
    let [count, _] = z.dims();
    let length = z.clone().powi_scalar(2).sum_dim(1).add_scalar(1e-12).sqrt();
    let z = z / length;
    let itself = Tensor::<2>::eye(count, device).mul_scalar(1e9);
    let logits = z.clone().matmul(z.transpose()).div_scalar(temperature) - itself;
    let targets = (0..count).map(|i| ((i + count / 2) % count) as i64).collect();
    cross_entropy(logits, targets, device)
}

/// Trains `backbone` on batches from `hooks`.
///
/// # Errors
/// When the loss diverges, a hook fails, or the checkpoint cannot be kept.
pub fn train(
    backbone: &Backbone,
    spec: &TrainSpec,
    hooks: &TrainingHooks<'_>,
    device: &Device,
) -> anyhow::Result<Trained> {
    let device = device.clone().autodiff();
    let [channels, height, width] = (hooks.batch)(0)?.shape;
    let features = backbone.features(channels, ImageSize { height, width }, &FeaturePoint::END).unwrap_or(0);
    let restored = hooks.resume.and_then(|(kept, _)| Saved::load(kept, spec.steps));
    let values = restored.as_ref().map_or(Values::Random(spec.seed), |saved| Values::Given(&saved.tensors));
    let mut builder = Builder::new(&device, values);
    let mut learner =
        Learner::build(&mut builder, backbone, features, spec.loss).ok_or(TrainError::NoParameters(backbone.name()))?;
    let known = builder.by_id();
    let mut adam = Adam::default();
    let mut losses = Vec::new();
    if let Some(saved) = &restored {
        adam.restore(&saved.tensors, &known, &device);
        losses.clone_from(&saved.losses);
    }
    while losses.len() < spec.steps as usize {
        let step = losses.len() as u32;
        let batch = (hooks.batch)(step)?;
        let loss = batch_loss(&learner, &batch, spec.loss, &device);
        let value = loss.clone().inner().into_scalar::<f32>();
        if !value.is_finite() {
            return Err(TrainError::Diverged { step, loss: value }.into());
        }
        let grads = GradientsParams::from_grads(loss.backward(), &learner);
        let progress = f64::from(step) / f64::from(spec.steps);
        let lr = spec.lr * 0.5 * (1.0 + libm::cos(std::f64::consts::PI * progress));
        learner = adam.step(learner, grads, lr, spec.weight_decay);
        losses.push(value);
        (hooks.tick)(step + 1, value)?;
        if let Some((kept, every)) = hooks.resume
            && (step + 1).is_multiple_of(every.max(1))
        {
            let mut tensors = settled(&learner, &known);
            adam.save(&mut tensors, &known);
            Saved { tensors, losses: losses.clone() }.store(kept)?;
        }
    }
    let mut tensors = settled(&learner, &known);
    tensors.retain(|name, _| !name.starts_with("head."));
    Ok(Trained { tensors, losses })
}

/// The tensors of a learner. Running statistics hold their last update back until the module is asked to be valid.
fn settled(learner: &Learner, known: &BTreeMap<u64, TensorShape>) -> BTreeMap<String, RawTensor> {
    collect(&learner.valid(), known)
}

fn batch_loss(learner: &Learner, batch: &Batch, loss: Loss, device: &Device) -> Tensor<1> {
    let [channels, height, width] = batch.shape;
    let count = batch.images.len() / (channels * height * width);
    let x = Tensor::<4>::from_data(TensorData::new(batch.images.clone(), [count, channels, height, width]), device);
    let y = learner.forward(x);
    match loss {
        Loss::Labels { .. } => cross_entropy(y, batch.labels.iter().map(|l| i64::from(*l)).collect(), device),
        Loss::Contrastive { temperature, .. } => nt_xent(y, temperature, device),
    }
}

/// Burn's own Adam cannot be restored onto a chosen device, which resuming needs; this one can.
#[derive(Default)]
struct Adam {
    steps: i32,
    /// First and second moment of each parameter, by id.
    moments: BTreeMap<u64, (Tensor<1>, Tensor<1>)>,
}

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

impl Adam {
    fn step(&mut self, learner: Learner, mut grads: GradientsParams, lr: f64, weight_decay: f64) -> Learner {
        self.steps += 1;
        struct Update<'a> {
            adam: &'a mut Adam,
            grads: &'a mut GradientsParams,
            lr: f64,
            weight_decay: f64,
        }
        impl ModuleMapper for Update<'_> {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                match self.grads.remove::<D>(param.id) {
                    Some(grad) => {
                        let id = param.id.val();
                        param.map(|value| {
                            let updated = self.adam.update(id, value.inner(), grad, self.lr, self.weight_decay);
                            Tensor::from_inner(updated).require_grad()
                        })
                    }
                    None => param,
                }
            }
        }
        learner.map(&mut Update { adam: self, grads: &mut grads, lr, weight_decay })
    }

    fn update<const D: usize>(
        &mut self,
        id: u64,
        value: Tensor<D>,
        grad: Tensor<D>,
        lr: f64,
        weight_decay: f64,
    ) -> Tensor<D> {
        let shape = value.shape();
        let count = shape.num_elements();
        let value: Tensor<1> = value.reshape([count]);
        let grad: Tensor<1> = grad.reshape([count]) + value.clone().mul_scalar(weight_decay);
        let (m, v) = self.moments.remove(&id).unwrap_or_else(|| (grad.zeros_like(), grad.zeros_like()));
        let m = m.mul_scalar(BETA_1) + grad.clone().mul_scalar(1.0 - BETA_1);
        let v = v.mul_scalar(BETA_2) + grad.powi_scalar(2).mul_scalar(1.0 - BETA_2);
        let m_hat = m.clone().div_scalar(1.0 - BETA_1.powi(self.steps));
        let v_hat = v.clone().div_scalar(1.0 - BETA_2.powi(self.steps));
        self.moments.insert(id, (m, v));
        (value - m_hat.mul_scalar(lr) / v_hat.sqrt().add_scalar(EPSILON)).reshape(shape)
    }

    fn save(&self, tensors: &mut BTreeMap<String, RawTensor>, known: &BTreeMap<u64, TensorShape>) {
        for (id, (m, v)) in &self.moments {
            for (which, moment) in [("m", m), ("v", v)] {
                let values: Vec<f32> = moment.clone().into_data().iter::<f32>().collect();
                let shape = vec![values.len()];
                let bytes = values.into_iter().flat_map(f32::to_le_bytes).collect();
                tensors
                    .insert(format!("adam.{which}.{}", known[id].name), RawTensor { dtype: Dtype::F32, shape, bytes });
            }
        }
    }

    fn restore(&mut self, tensors: &BTreeMap<String, RawTensor>, known: &BTreeMap<u64, TensorShape>, device: &Device) {
        let device = device.clone().inner();
        for (id, TensorShape { name, .. }) in known {
            let moment = |which: &str| {
                let values = tensors.get(&format!("adam.{which}.{name}"))?.to_f32();
                let count = values.len();
                Some(Tensor::<1>::from_data(TensorData::new(values, [count]), &device))
            };
            if let (Some(m), Some(v)) = (moment("m"), moment("v")) {
                self.moments.insert(*id, (m, v));
            }
        }
        self.steps = tensors.get("adam.steps").map_or(0, |t| t.to_f32()[0] as i32);
    }
}

/// The state of an interrupted training.
struct Saved {
    tensors: BTreeMap<String, RawTensor>,
    losses: Vec<f32>,
}

impl Saved {
    fn store(mut self, kept: &dyn Checkpoints) -> anyhow::Result<()> {
        let numbers = |values: &[f32]| RawTensor {
            dtype: Dtype::F32,
            shape: vec![values.len()],
            bytes: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        };
        self.tensors.insert("adam.steps".to_owned(), numbers(&[self.losses.len() as f32]));
        self.tensors.insert("losses".to_owned(), numbers(&self.losses));
        kept.save(&to_safetensors(&self.tensors)?)
    }

    /// Loads what was kept, if anything usable was.
    fn load(kept: &dyn Checkpoints, steps: u32) -> Option<Self> {
        let mut tensors = from_safetensors(&kept.load()?).ok()?;
        let losses = tensors.remove("losses")?.to_f32();
        (losses.len() <= steps as usize).then_some(Self { tensors, losses })
    }
}

/// Reads the bytes of a safetensors file.
///
/// # Errors
/// When they are damaged.
pub fn from_safetensors(bytes: &[u8]) -> anyhow::Result<BTreeMap<String, RawTensor>> {
    Ok(Checkpoint::from_bytes(bytes, None)?.tensors)
}
