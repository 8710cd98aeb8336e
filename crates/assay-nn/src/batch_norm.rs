//! Batch normalisation as `torch.nn.BatchNorm2d` has it, running statistics included.

use burn::module::{Module, Param, RunningState};
use burn::tensor::Tensor;
use burn::tensor::module::{batch_norm, batch_norm_train};

use crate::builder::{Builder, Init};

/// Share that a batch has of the running statistics after it.
const MOMENTUM: f64 = 0.1;

/// Batch normalisation over the channels of B × C × H × W maps (Ioffe & Szegedy 2015).
///
/// On a device that differentiates it normalises by the batch, whose variance is biased (divided by n), and moves the running
/// statistics a tenth of the way to it, for which the variance is unbiased (divided by n − 1), as torch does. Elsewhere, and
/// where it is frozen, it normalises by the running statistics.
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// C factors.
    pub gamma: Param<Tensor<1>>,
    /// C summands.
    pub beta: Param<Tensor<1>>,
    /// C means.
    pub running_mean: RunningState<Tensor<1>>,
    /// C variances.
    pub running_var: RunningState<Tensor<1>>,
    /// Added to variances.
    pub epsilon: f64,
    #[module(skip)]
    frozen: bool,
}

impl BatchNorm {
    /// Builds the normalisation called `name`, which adds `epsilon` to variances; `None` when tensors are only listed.
    pub fn build(builder: &mut Builder<'_>, name: &str, channels: usize, epsilon: f64) -> Option<Self> {
        let gamma = builder.parameter(&format!("{name}.weight"), [channels], Init::Ones);
        let beta = builder.parameter(&format!("{name}.bias"), [channels], Init::Zeros);
        let running_mean = builder.statistic(&format!("{name}.running_mean"), channels, Init::Zeros);
        let running_var = builder.statistic(&format!("{name}.running_var"), channels, Init::Ones);
        let frozen = builder.is_frozen(name);
        Some(Self { gamma, beta, running_mean: running_mean?, running_var: running_var?, epsilon, frozen })
    }

    /// B × C × H × W → B × C × H × W
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (gamma, beta) = (self.gamma.val(), self.beta.val());
        if self.frozen || !x.device().is_autodiff() {
            return batch_norm(x, gamma, beta, self.running_mean.value(), self.running_var.value(), self.epsilon);
        }
        let [b, _, h, w] = x.dims();
        let n = (b * h * w) as f64;
        let batch = batch_norm_train(x, gamma, beta, self.epsilon);
        // A single value a channel has no variance; torch refuses it, and here it leaves the running variance to shrink.
        let unbiased = n / (n - 1.0).max(1.0);
        mix(&self.running_mean, batch.mean, 1.0);
        mix(&self.running_var, batch.variance, unbiased);
        batch.output
    }
}

/// Moves a running statistic to that of the batch times `factor`. The value is settled at once: what is left for later is lost
/// when the network is written down.
fn mix(running: &RunningState<Tensor<1>>, batch: Tensor<1>, factor: f64) {
    let old = running.value_sync().mul_scalar(1.0 - MOMENTUM);
    running.update(old.add(batch.detach().mul_scalar(MOMENTUM * factor)).detach());
    running.value_sync();
}
