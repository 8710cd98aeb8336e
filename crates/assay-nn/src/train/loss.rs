//! Losses.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Loss that is minimised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Objective {
    /// Cross-entropy of a linear classifier of images of one class each.
    Classes {
        /// Number of classes.
        classes: usize,
    },
    /// Binary cross-entropy of each class, averaged over images and classes, for images of several classes.
    MultiLabel {
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

/// What B images show.
#[derive(Clone, Debug, PartialEq)]
pub enum Answers {
    /// B indices of classes.
    Classes(Vec<u32>),
    /// B × K values, 1 where the image shows the class and 0 elsewhere.
    MultiLabel(Vec<f32>),
}

impl Objective {
    /// Computes the mean loss of the head's output, B × K.
    pub(super) fn loss(self, output: Tensor<2>, answers: &Answers, device: &Device) -> Tensor<1> {
        match (self, answers) {
            (Self::Contrastive { temperature, .. }, _) => nt_xent(output, temperature, device),
            (_, Answers::Classes(classes)) => {
                cross_entropy(output, classes.iter().map(|c| i64::from(*c)).collect(), device)
            }
            (_, Answers::MultiLabel(shown)) => binary_cross_entropy(output, shown, device),
        }
    }
}

/// `torch.nn.functional.cross_entropy`.
fn cross_entropy(logits: Tensor<2>, targets: Vec<i64>, device: &Device) -> Tensor<1> {
    let count = targets.len();
    let targets = Tensor::<2, Int>::from_data(TensorData::new(targets, [count, 1]), device);
    log_softmax(logits, 1).gather(1, targets).mean().neg()
}

/// `torch.nn.functional.binary_cross_entropy_with_logits`: max(z, 0) − z·y + ln(1 + exp(−|z|)), averaged over all.
fn binary_cross_entropy(logits: Tensor<2>, shown: &[f32], device: &Device) -> Tensor<1> {
    let shown = Tensor::<2>::from_data(TensorData::new(shown.to_vec(), logits.dims()), device);
    let rest = logits.clone().abs().neg().exp().log1p();
    (logits.clone().clamp_min(0.0) - logits * shown + rest).mean()
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
