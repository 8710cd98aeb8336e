//! Normalisation of tokens: of layers (Ba et al. 2016), or by the root of the mean square alone (Zhang & Sennrich 2019).

use burn::module::{Module, Param};
use burn::nn::LayerNorm;
use burn::tensor::Tensor;

use crate::builder::{Builder, Init};
use crate::layers::layer_norm;

/// Kind of a normalisation, and what is added to the variance.
#[derive(Clone, Copy, Debug)]
pub struct NormSpec {
    /// True for the root of the mean square, which has no mean and no bias.
    pub is_rms: bool,
    /// Number that is added to the variance, or to the mean square.
    pub epsilon: f64,
}

/// A normalisation over the features of each token.
#[derive(Module, Debug)]
pub enum Norm {
    /// By mean and variance.
    Layer(LayerNorm),
    /// By the mean square.
    Rms(Rms),
}

/// A normalisation by the mean square.
#[derive(Module, Debug)]
pub struct Rms {
    scale: Param<Tensor<1>>,
    epsilon: f64,
}

impl Norm {
    /// Builds the normalisation called `name` over so many features.
    pub fn build(builder: &mut Builder<'_>, name: &str, features: usize, spec: NormSpec) -> Self {
        if spec.is_rms {
            let scale = builder.parameter(&format!("{name}.weight"), [features], Init::Ones);
            Self::Rms(Rms { scale, epsilon: spec.epsilon })
        } else {
            Self::Layer(layer_norm(builder, name, features, spec.epsilon))
        }
    }

    /// … × D → … × D
    pub fn forward<const R: usize>(&self, x: Tensor<R>) -> Tensor<R> {
        match self {
            Self::Layer(norm) => norm.forward(x),
            Self::Rms(Rms { scale, epsilon }) => {
                let square = x.clone().powi_scalar(2).mean_dim(R - 1);
                x / (square + *epsilon).sqrt() * scale.val().unsqueeze()
            }
        }
    }
}
