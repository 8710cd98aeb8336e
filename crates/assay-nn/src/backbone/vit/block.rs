//! Blocks of transformers.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::attention::Attention;
use super::mlp::Mlp;
use super::norm::Norm;
use super::rotary::Rotation;
use super::spec::Spec;
use super::tensors::Names;
use crate::builder::{Builder, Init};

/// Attention and a hidden layer, each normalised before and added to what went in.
#[derive(Module, Debug)]
pub struct Block {
    norms: [Norm; 2],
    attention: Attention,
    mlp: Mlp,
    scales: Option<[Param<Tensor<1>>; 2]>,
}

impl Block {
    /// Builds the block of this number, from 0.
    pub fn build(builder: &mut Builder<'_>, spec: &Spec, names: &Names, index: usize) -> Self {
        let width = spec.shape.width;
        let block = format!("{}.{index}", names.block);
        let at = |part: &str| format!("{block}.{part}");
        let norms = names.norms.map(|norm| Norm::build(builder, &at(norm), width, spec.norm));
        let attention = Attention::build(builder, spec, names, &block);
        let mlp = Mlp::build(
            builder,
            &at("mlp"),
            names.mlp,
            [width, spec.shape.hidden],
            (spec.mlp, spec.norm, spec.has_biases),
        );
        let scales = spec.scales.map(|scales| scales.map(|scale| builder.parameter(&at(scale), [width], Init::Ones)));
        Self { norms, attention, mlp, scales }
    }

    /// B × T × D → B × T × D
    pub fn forward(&self, x: Tensor<3>, rotation: Option<&Rotation>) -> Tensor<3> {
        let scaled = |y: Tensor<3>, i: usize| match &self.scales {
            Some(scales) => y * scales[i].val().unsqueeze(),
            None => y,
        };
        let attention = self.attention.forward(self.norms[0].forward(x.clone()), rotation);
        let x = x + scaled(attention, 0);
        let y = self.mlp.forward(self.norms[1].forward(x.clone()));
        x + scaled(y, 1)
    }
}
