//! What is trained: a backbone and the head behind it.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use super::Objective;
use crate::backbone::{Backbone, FeaturePoint, Net};
use crate::builder::{Builder, Init};

/// Beginning of the names of a head's tensors.
pub(super) const HEAD: &str = "head.";

/// A linear layer. The weight is D' × D, and both are drawn as `torch.nn.Linear` draws them.
#[derive(Module, Debug)]
struct Layer {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl Layer {
    fn build(builder: &mut Builder<'_>, name: &str, [input, output]: [usize; 2]) -> Self {
        let drawn = Init::UniformFanIn(input);
        let weight = builder.parameter(&format!("{HEAD}{name}.weight"), [output, input], drawn);
        Self { weight, bias: builder.parameter(&format!("{HEAD}{name}.bias"), [output], drawn) }
    }

    /// B × D → B × D'
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight.val().transpose()) + self.bias.val().unsqueeze()
    }
}

/// A backbone with its head: one linear layer, or two with a ReLU between them for contrastive objectives.
#[derive(Module, Debug)]
pub(super) struct Learner {
    net: Net,
    first: Layer,
    second: Option<Layer>,
}

impl Learner {
    pub(super) fn build(
        builder: &mut Builder<'_>,
        backbone: &Backbone,
        features: usize,
        objective: Objective,
    ) -> Option<Self> {
        let net = backbone.build(builder)?;
        let (first, second) = match objective {
            Objective::Classes { classes } | Objective::MultiLabel { classes } => (classes, None),
            Objective::Contrastive { projection, .. } => (features, Some(projection)),
        };
        let layer = |builder: &mut Builder<'_>, name, shape| Layer::build(builder, name, shape);
        Some(Self {
            net,
            first: layer(builder, "0", [features, first]),
            second: second.map(|output| layer(builder, "2", [first, output])),
        })
    }

    /// B × C × H × W → B × K
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = self.first.forward(self.net.forward(x, &FeaturePoint::END));
        match &self.second {
            Some(second) => second.forward(relu(x)),
            None => x,
        }
    }
}
