//! Hidden layers of the blocks of transformers.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::{gelu, gelu_approximate, sigmoid, silu};

use super::norm::{Norm, NormSpec};
use crate::backbone::unsaid::Activation;
use crate::builder::Builder;
use crate::layers::Linear;

/// Kind of the hidden layers.
#[derive(Clone, Copy, Debug)]
pub enum MlpSpec {
    /// Two layers with a function in between.
    Plain(Activation),
    /// SwiGLU (Shazeer 2020) with gate and value in one matrix, the gate first.
    Packed,
    /// SwiGLU with a matrix each for gate and value; with a normalisation of the hidden layer where there is one.
    Gated {
        /// True with the normalisation of EVA-02.
        has_norm: bool,
    },
}

/// Hidden layers of a block.
#[derive(Module, Debug)]
pub struct Mlp {
    /// The first layer; of a SwiGLU in two matrices, its gate.
    expand: Linear,
    value: Option<Linear>,
    norm: Option<Norm>,
    shrink: Linear,
    #[module(skip)]
    spec: MlpSpec,
}

impl Mlp {
    /// Builds the layers below `name`; `layers` are the names of the first (of the gate) and the last.
    pub fn build(
        builder: &mut Builder<'_>,
        name: &str,
        layers: [&str; 2],
        [width, hidden]: [usize; 2],
        (spec, norm, has_bias): (MlpSpec, NormSpec, bool),
    ) -> Self {
        let mut linear = |layer: &str, shape| {
            let bias = has_bias.then(|| format!("{name}.{layer}.bias"));
            Linear::build(builder, &format!("{name}.{layer}.weight"), bias.as_deref(), shape)
        };
        let (expand, value) = match spec {
            MlpSpec::Plain(_) => (linear(layers[0], [width, hidden]), None),
            MlpSpec::Packed => (linear(layers[0], [width, 2 * hidden]), None),
            MlpSpec::Gated { .. } => (
                linear(&format!("{}_g", layers[0]), [width, hidden]),
                Some(linear(&format!("{}_x", layers[0]), [width, hidden])),
            ),
        };
        let shrink = linear(layers[1], [hidden, width]);
        let norm = matches!(spec, MlpSpec::Gated { has_norm: true })
            .then(|| Norm::build(builder, &format!("{name}.norm"), hidden, norm));
        Self { expand, value, norm, shrink, spec }
    }

    /// B × T × D → B × T × D
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let first = self.expand.forward(x.clone());
        let mut hidden = match (self.spec, &self.value) {
            (MlpSpec::Plain(activation), _) => activate(first, activation),
            (_, Some(value)) => silu(first) * value.forward(x),
            (_, None) => {
                let [b, t, both] = first.dims();
                let half = |i: usize| first.clone().slice([0..b, 0..t, i * both / 2..(i + 1) * both / 2]);
                silu(half(0)) * half(1)
            }
        };
        if let Some(norm) = &self.norm {
            hidden = norm.forward(hidden);
        }
        self.shrink.forward(hidden)
    }
}

/// Applies an activation function.
pub fn activate<const R: usize>(x: Tensor<R>, activation: Activation) -> Tensor<R> {
    match activation {
        Activation::Gelu => gelu(x),
        Activation::QuickGelu => x.clone() * sigmoid(x * 1.702),
        Activation::GeluTanh => gelu_approximate(x),
    }
}
