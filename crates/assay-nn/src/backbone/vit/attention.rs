//! Attention of the blocks of transformers, and the attention pool at their end.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;

use super::mlp::{Mlp, MlpSpec};
use super::norm::{Norm, NormSpec};
use super::relative::RelativeBias;
use super::rotary::Rotation;
use super::spec::{QkvBias, Spec};
use super::tensors::Names;
use crate::backbone::unsaid::Activation;
use crate::builder::{Builder, Init};
use crate::layers::Linear;

/// Attention over tokens.
#[derive(Module, Debug)]
pub struct Attention {
    /// Queries, keys and values in one matrix, or in three.
    qkv: Vec<Linear>,
    /// Of queries and values, where keys have none and the matrix is one.
    biases: Option<[Param<Tensor<1>>; 2]>,
    relative: Option<RelativeBias>,
    norm: Option<Norm>,
    out: Linear,
    heads: usize,
}

impl Attention {
    /// Builds the attention of the block called `block`.
    pub fn build(builder: &mut Builder<'_>, spec: &Spec, names: &Names, block: &str) -> Self {
        let width = spec.shape.width;
        let at = |part: &str| format!("{block}.{part}");
        let shape = [width, width];
        let qkv = if spec.is_split {
            let mut linear = |part: &str, has_bias: bool| {
                let bias = has_bias.then(|| at(&format!("attn.{part}_proj.bias")));
                Linear::build(builder, &at(&format!("attn.{part}_proj.weight")), bias.as_deref(), shape)
            };
            let (some, all) = (spec.qkv_bias != QkvBias::None, spec.qkv_bias == QkvBias::All);
            vec![linear("q", some), linear("k", all), linear("v", some)]
        } else {
            let bias = (spec.qkv_bias == QkvBias::All).then(|| at(names.qkv[1]));
            vec![Linear::build(builder, &at(names.qkv[0]), bias.as_deref(), [width, 3 * width])]
        };
        let has_two = spec.qkv_bias == QkvBias::QueryValue && !spec.is_split;
        let biases = has_two
            .then(|| ["attn.q_bias", "attn.v_bias"].map(|bias| builder.parameter(&at(bias), [width], Init::Zeros)));
        let relative = spec
            .relative_side
            .map(|side| RelativeBias::build(builder, &at("attn.relative_position_bias_table"), side, spec.shape.heads));
        let norm = spec.has_inner_norm.then(|| Norm::build(builder, &at("attn.norm"), width, spec.norm));
        let out_bias = spec.has_biases.then(|| at(&format!("{}.bias", names.out)));
        let out = Linear::build(builder, &at(&format!("{}.weight", names.out)), out_bias.as_deref(), shape);
        Self { qkv, biases, relative, norm, out, heads: spec.shape.heads }
    }

    /// B × T × D → B × T × D
    pub fn forward(&self, x: Tensor<3>, rotation: Option<&Rotation>) -> Tensor<3> {
        let [b, t, d] = x.dims();
        let each = d / self.heads;
        let [q, k, v] = self.queries_keys_values(x);
        let turned = |x: Tensor<4>| match rotation {
            Some(rotation) => rotation.turn(x),
            None => x,
        };
        let (q, k) = (turned(q) * (each as f64).powf(-0.5), turned(k));
        let mut scores = q.matmul(k.swap_dims(2, 3));
        if let Some(relative) = &self.relative {
            scores = scores + relative.bias();
        }
        let mut y = softmax(scores, 3).matmul(v).swap_dims(1, 2).reshape([b, t, d]);
        if let Some(norm) = &self.norm {
            y = norm.forward(y);
        }
        self.out.forward(y)
    }

    /// B × T × D → B × heads × T × D/heads each
    fn queries_keys_values(&self, x: Tensor<3>) -> [Tensor<4>; 3] {
        let [b, t, d] = x.dims();
        let (heads, each) = (self.heads, d / self.heads);
        if let [q, k, v] = &self.qkv[..] {
            return [q, k, v].map(|layer| layer.forward(x.clone()).reshape([b, t, heads, each]).swap_dims(1, 2));
        }
        let mut qkv = self.qkv[0].forward(x);
        if let Some([of_queries, of_values]) = &self.biases {
            let none = of_queries.val().zeros_like();
            qkv = qkv + Tensor::cat(vec![of_queries.val(), none, of_values.val()], 0).unsqueeze();
        }
        let qkv = qkv.reshape([b, t, 3, d]);
        [0, 1, 2].map(|i| {
            let part = qkv.clone().slice([0..b, 0..t, i..i + 1]).reshape([b, t, heads, each]);
            part.swap_dims(1, 2)
        })
    }
}

/// Pool by attention of one learnt query over all tokens, and a hidden layer after it, as SigLIP has it.
#[derive(Module, Debug)]
pub struct AttentionPool {
    query: Param<Tensor<2>>,
    q: Linear,
    kv: Linear,
    out: Linear,
    norm: Norm,
    mlp: Mlp,
    heads: usize,
}

impl AttentionPool {
    /// Builds the pool under timm's names.
    pub fn build(builder: &mut Builder<'_>, spec: &Spec, activation: Activation) -> Self {
        let (width, norm): (usize, NormSpec) = (spec.shape.width, spec.norm);
        Self {
            query: builder.squeezed("attn_pool.latent", &[1], [1, width], Init::Normal(0.02)),
            q: Linear::named(builder, "attn_pool.q", [width, width]),
            kv: Linear::named(builder, "attn_pool.kv", [width, 2 * width]),
            out: Linear::named(builder, "attn_pool.proj", [width, width]),
            norm: Norm::build(builder, "attn_pool.norm", width, norm),
            mlp: Mlp::build(
                builder,
                "attn_pool.mlp",
                ["fc1", "fc2"],
                [width, spec.shape.hidden],
                (MlpSpec::Plain(activation), norm, true),
            ),
            heads: spec.shape.heads,
        }
    }

    /// B × T × D → B × D
    pub fn forward(&self, x: Tensor<3>) -> Tensor<2> {
        let [b, t, d] = x.dims();
        let (heads, each) = (self.heads, d / self.heads);
        let query: Tensor<3> = self.query.val().unsqueeze();
        let q = self.q.forward(query).reshape([1, heads, 1, each]) * (each as f64).powf(-0.5);
        let kv = self.kv.forward(x).reshape([b, t, 2, d]);
        let part = |i: usize| kv.clone().slice([0..b, 0..t, i..i + 1]).reshape([b, t, heads, each]).swap_dims(1, 2);
        let scores = q.expand([b, heads, 1, each]).matmul(part(0).swap_dims(2, 3));
        let y = softmax(scores, 3).matmul(part(1)).swap_dims(1, 2).reshape([b, 1, d]);
        let y = self.out.forward(y);
        let y = y.clone() + self.mlp.forward(self.norm.forward(y));
        y.reshape([b, d])
    }
}
