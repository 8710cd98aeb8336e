//! Rules that turn gradients into changes of parameters.
//!
//! They are our own: Burn's cannot be restored onto a chosen device, which resuming needs.

use std::collections::BTreeMap;

use assay_weights::{Dtype, RawTensor, TensorShape};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::groups::Rates;

/// Rule that turns gradients into changes of parameters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub enum Optimizer {
    /// Stochastic gradient descent as `torch.optim.SGD`: the decay is added to the gradient, the first velocity is the first
    /// gradient, later ones are `momentum` times the last and the gradient.
    Sgd {
        /// Share of the last velocity. Default: 0.9.
        #[serde(default = "momentum")]
        momentum: f64,
        /// True if the change is that of the velocity one step on (Nesterov). Default: true.
        #[serde(default = "nesterov")]
        nesterov: bool,
    },
    /// Adam as `torch.optim.Adam` (Kingma & Ba 2015: β 0.9 and 0.999, ε 1e-8): the decay is added to the gradient.
    Adam,
    /// AdamW as `torch.optim.AdamW` (Loshchilov & Hutter 2019: β 0.9 and 0.999, ε 1e-8): the decay is apart from the gradient.
    AdamW,
}

fn momentum() -> f64 {
    0.9
}

fn nesterov() -> bool {
    true
}

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// Beginning of the names of what an optimizer keeps, in checkpoints.
const PREFIX: &str = "optimizer.";

/// Applies an optimizer, and keeps what it remembers.
pub(super) struct Updates {
    optimizer: Optimizer,
    groups: BTreeMap<u64, Rates>,
    steps: i32,
    /// Of each parameter, by id: its velocity, or its first and second moment.
    memory: BTreeMap<u64, Vec<Tensor<1>>>,
}

impl Updates {
    pub(super) fn new(optimizer: Optimizer, groups: BTreeMap<u64, Rates>) -> Self {
        Self { optimizer, groups, steps: 0, memory: BTreeMap::new() }
    }

    /// Changes the parameters of `module` that have gradients.
    pub(super) fn step<M: Module>(
        &mut self,
        module: M,
        mut gradients: GradientsParams,
        lr: f64,
        weight_decay: f64,
        clip_norm: Option<f64>,
    ) -> M {
        self.steps += 1;
        let scale = clip_norm.map_or(1.0, |most| clip(&module, &gradients, most));
        struct Mapper<'a> {
            updates: &'a mut Updates,
            gradients: &'a mut GradientsParams,
            lr: f64,
            weight_decay: f64,
            scale: f64,
        }
        impl ModuleMapper for Mapper<'_> {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                let Some(gradient) = self.gradients.remove::<D>(param.id) else { return param };
                let id = param.id.val();
                let gradient = if self.scale < 1.0 { gradient.mul_scalar(self.scale) } else { gradient };
                param.map(|value| {
                    let updated = self.updates.update(id, value.inner(), gradient, self.lr, self.weight_decay);
                    Tensor::from_inner(updated).require_grad()
                })
            }
        }
        module.map(&mut Mapper { updates: self, gradients: &mut gradients, lr, weight_decay, scale })
    }

    fn update<const D: usize>(
        &mut self,
        id: u64,
        value: Tensor<D>,
        gradient: Tensor<D>,
        lr: f64,
        decay: f64,
    ) -> Tensor<D> {
        let shape = value.shape();
        let count = shape.num_elements();
        let (value, gradient): (Tensor<1>, Tensor<1>) = (value.reshape([count]), gradient.reshape([count]));
        let rates = self.groups.get(&id).copied().unwrap_or(Rates { lr: 1.0, decays: true });
        let (lr, decay) = (lr * rates.lr, if rates.decays { decay } else { 0.0 });
        let memory = self.memory.remove(&id).unwrap_or_default();
        let coupled = |gradient: Tensor<1>, value: &Tensor<1>| {
            if decay == 0.0 { gradient } else { gradient + value.clone().mul_scalar(decay) }
        };
        let (value, memory) = match self.optimizer {
            Optimizer::Sgd { momentum, nesterov } => {
                let gradient = coupled(gradient, &value);
                sgd(value, gradient, memory, (lr, momentum, nesterov))
            }
            Optimizer::Adam => {
                let gradient = coupled(gradient, &value);
                adam(value, gradient, memory, lr, self.steps)
            }
            Optimizer::AdamW => adam(value.mul_scalar(1.0 - lr * decay), gradient, memory, lr, self.steps),
        };
        self.memory.insert(id, memory);
        value.reshape(shape)
    }

    /// Adds what is remembered to the tensors of a checkpoint.
    pub(super) fn save(&self, tensors: &mut BTreeMap<String, RawTensor>, known: &BTreeMap<u64, TensorShape>) {
        for (id, memory) in &self.memory {
            for (i, kept) in memory.iter().enumerate() {
                let values: Vec<f32> = kept.clone().into_data().iter::<f32>().collect();
                let shape = vec![values.len()];
                let bytes = values.into_iter().flat_map(f32::to_le_bytes).collect();
                tensors
                    .insert(format!("{PREFIX}{i}.{}", known[id].name), RawTensor { dtype: Dtype::F32, shape, bytes });
            }
        }
        let steps = (self.steps as f32).to_le_bytes().to_vec();
        tensors.insert(format!("{PREFIX}steps"), RawTensor { dtype: Dtype::F32, shape: vec![1], bytes: steps });
    }

    /// Remembers what a checkpoint holds.
    pub(super) fn restore(
        &mut self,
        tensors: &BTreeMap<String, RawTensor>,
        known: &BTreeMap<u64, TensorShape>,
        device: &Device,
    ) {
        let device = device.clone().inner();
        for (id, TensorShape { name, .. }) in known {
            let kept = (0..2).map_while(|i| {
                let values = tensors.get(&format!("{PREFIX}{i}.{name}"))?.to_f32();
                let count = values.len();
                Some(Tensor::<1>::from_data(TensorData::new(values, [count]), &device))
            });
            let kept: Vec<_> = kept.collect();
            if !kept.is_empty() {
                self.memory.insert(*id, kept);
            }
        }
        self.steps = tensors.get(&format!("{PREFIX}steps")).map_or(0, |t| t.to_f32()[0] as i32);
    }
}

type Changed = (Tensor<1>, Vec<Tensor<1>>);

fn sgd(
    value: Tensor<1>,
    gradient: Tensor<1>,
    memory: Vec<Tensor<1>>,
    (lr, momentum, nesterov): (f64, f64, bool),
) -> Changed {
    let velocity = match memory.into_iter().next() {
        Some(last) if momentum != 0.0 => last.mul_scalar(momentum) + gradient.clone(),
        _ => gradient.clone(),
    };
    let change = if nesterov { gradient + velocity.clone().mul_scalar(momentum) } else { velocity.clone() };
    let memory = if momentum == 0.0 { Vec::new() } else { vec![velocity] };
    (value - change.mul_scalar(lr), memory)
}

fn adam(value: Tensor<1>, gradient: Tensor<1>, memory: Vec<Tensor<1>>, lr: f64, steps: i32) -> Changed {
    let zeros = || gradient.zeros_like();
    let mut memory = memory.into_iter();
    let (m, v) = (memory.next().unwrap_or_else(zeros), memory.next().unwrap_or_else(zeros));
    let m = m.mul_scalar(BETA_1) + gradient.clone().mul_scalar(1.0 - BETA_1);
    let v = v.mul_scalar(BETA_2) + gradient.powi_scalar(2).mul_scalar(1.0 - BETA_2);
    let m_hat = m.clone().div_scalar(1.0 - BETA_1.powi(steps));
    let v_hat = v.clone().div_scalar(1.0 - BETA_2.powi(steps));
    (value - m_hat.mul_scalar(lr) / v_hat.sqrt().add_scalar(EPSILON), vec![m, v])
}

/// The factor that brings the norm of all gradients down to `most`, as `torch.nn.utils.clip_grad_norm_`; 1 when it is below.
fn clip<M: Module>(module: &M, gradients: &GradientsParams, most: f64) -> f64 {
    struct Squares<'a> {
        gradients: &'a GradientsParams,
        sum: f64,
    }
    impl ModuleVisitor for Squares<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.gradients.get::<D>(param.id) {
                self.sum += f64::from(gradient.powi_scalar(2).sum().into_scalar::<f32>());
            }
        }
    }
    let mut squares = Squares { gradients, sum: 0.0 };
    module.visit(&mut squares);
    (most / (squares.sum.sqrt() + 1e-6)).min(1.0)
}
