//! Vision transformers (Dosovitskiy et al. 2021): DINO, MAE, DeiT, timm's; DINOv2 with or without registers; CLIP's image tower.
//!
//! Names follow timm (`cls_token`, `pos_embed`, `blocks.N.attn.qkv`, …), which DINO, MAE, DeiT and DINOv2 share; those of CLIP
//! follow OpenAI (`class_embedding`, `transformer.resblocks.N`, …). Hugging Face's are translated in `names`. What an experiment
//! says of them is in `spec`.

mod settle;
mod spec;

use burn::module::{Module, Param, ParamId};
use burn::nn::LayerNorm;
use burn::tensor::activation::{gelu, gelu_approximate, sigmoid, softmax};
use burn::tensor::{Tensor, TensorData};

use super::architecture::{Network, after_steps};
use super::point::{FeaturePoint, Pool, pool_tokens};
use super::positions::{Positions, resize};
use super::unsaid::Activation;
use crate::builder::{Builder, Init};
use crate::input::ImageSize;
use crate::layers::{Conv, ConvSpec, Edges, Linear, layer_norm};

pub use settle::settle_clip;
use spec::Kind;
pub use spec::{Clip, DinoV2, Spec, ViT, ViTSize};

/// The network.
#[derive(Module, Debug)]
pub struct ViTNet {
    patches: Conv,
    class_token: Param<Tensor<1>>,
    registers: Option<Param<Tensor<2>>>,
    /// Of the class token, then of the grid: T × D.
    embedding: Param<Tensor<2>>,
    pre_norm: Option<LayerNorm>,
    blocks: Vec<Block>,
    norm: LayerNorm,
    projection: Option<Param<Tensor<2>>>,
    patch: usize,
    /// The grid that `embedding` is for.
    #[module(skip)]
    known_grid: ImageSize,
    #[module(skip)]
    positions: Positions,
}

#[derive(Module, Debug)]
struct Block {
    norms: [LayerNorm; 2],
    qkv: Linear,
    out: Linear,
    expand: Linear,
    shrink: Linear,
    scales: Option<[Param<Tensor<1>>; 2]>,
    heads: usize,
    #[module(skip)]
    activation: Activation,
}

/// Names that the original authors have for tensors.
struct Names {
    patches: &'static str,
    class_token: &'static str,
    embedding: &'static str,
    block: &'static str,
    norms: [&'static str; 2],
    qkv: [&'static str; 2],
    out: &'static str,
    mlp: [&'static str; 2],
    norm: &'static str,
}

const TIMM: Names = Names {
    patches: "patch_embed.proj",
    class_token: "cls_token",
    embedding: "pos_embed",
    block: "blocks",
    norms: ["norm1", "norm2"],
    qkv: ["attn.qkv.weight", "attn.qkv.bias"],
    out: "attn.proj",
    mlp: ["mlp.fc1", "mlp.fc2"],
    norm: "norm",
};

const CLIP: Names = Names {
    patches: "conv1",
    class_token: "class_embedding",
    embedding: "positional_embedding",
    block: "transformer.resblocks",
    norms: ["ln_1", "ln_2"],
    qkv: ["attn.in_proj_weight", "attn.in_proj_bias"],
    out: "attn.out_proj",
    mlp: ["mlp.c_fc", "mlp.c_proj"],
    norm: "ln_post",
};

const SMALL: Init = Init::Normal(0.02);

impl ViTNet {
    fn build(builder: &mut Builder<'_>, spec: &Spec) -> Self {
        let is_clip = spec.kind == Kind::Clip;
        let names = if is_clip { CLIP } else { TIMM };
        let epsilon = spec.epsilon;
        let width = spec.shape.width;
        let conv = ConvSpec {
            bias: !is_clip,
            edges: Edges::None,
            init: |fan_in, _| Init::UniformFanIn(fan_in),
            ..ConvSpec::new(3, width, spec.patch, spec.patch)
        };
        let patches = Conv::build(builder, names.patches, conv);
        let positions = spec.patches(ImageSize::square(spec.trained_at)) + 1;
        // Where timm has axes of one, the builder takes them away.
        let lead: &[usize] = if is_clip { &[] } else { &[1] };
        let token_lead: &[usize] = if is_clip { &[] } else { &[1, 1] };
        let class_token = builder.squeezed(names.class_token, token_lead, [width], SMALL);
        let embedding = builder.squeezed(names.embedding, lead, [positions, width], SMALL);
        let registers =
            (spec.registers > 0).then(|| builder.squeezed("register_tokens", lead, [spec.registers, width], SMALL));
        let pre_norm = is_clip.then(|| layer_norm(builder, "ln_pre", width, epsilon));
        let blocks = (0..spec.shape.depth).map(|i| Block::build(builder, spec, &names, i, epsilon)).collect();
        let norm = layer_norm(builder, names.norm, width, epsilon);
        let projection =
            spec.projected.map(|output| builder.parameter("proj", [width, output], Init::UniformFanIn(width)));
        Self {
            patches,
            class_token,
            registers,
            embedding,
            pre_norm,
            blocks,
            norm,
            projection,
            patch: spec.patch,
            known_grid: ImageSize::square(spec.trained_at / spec.patch),
            positions: spec.positions,
        }
    }

    /// The tokens that go into the first block, and the grid of those that are patches.
    fn embed(&self, x: Tensor<4>) -> (Tensor<3>, ImageSize) {
        let x = self.patches.forward(x);
        let [b, d, h, w] = x.dims();
        let grid = ImageSize { height: h, width: w };
        let x = x.reshape([b, d, h * w]).swap_dims(1, 2);
        let class: Tensor<3> = self.class_token.val().unsqueeze();
        let x = Tensor::cat(vec![class.expand([b, 1, d]), x], 1);
        let mut x = x + self.embedding(grid).unsqueeze();
        if let Some(registers) = &self.registers {
            let registers: Tensor<3> = registers.val().unsqueeze();
            let count = registers.dims()[1];
            let (class, patches) = (x.clone().slice([0..b, 0..1]), x.slice([0..b, 1..h * w + 1]));
            x = Tensor::cat(vec![class, registers.expand([b, count, d]), patches], 1);
        }
        if let Some(norm) = &self.pre_norm {
            x = norm.forward(x);
        }
        (x, grid)
    }

    /// The tokens after the wanted blocks, normalised, as at the end of the network; and the grid of those that are patches.
    fn tokens(&self, x: Tensor<4>, wanted: &[usize]) -> (Vec<Tensor<3>>, ImageSize) {
        let (x, grid) = self.embed(x);
        let found = after_steps(x, wanted, |i, x| self.blocks[i - 1].forward(x));
        // Deviation: CLIP normalises the class token alone, which gives the same class token.
        (found.into_iter().map(|tokens| self.norm.forward(tokens)).collect(), grid)
    }

    fn project(&self, tokens: Tensor<3>) -> Tensor<3> {
        let Some(projection) = &self.projection else { return tokens };
        let [b, t, d] = tokens.dims();
        let projected = tokens.reshape([b * t, d]).matmul(projection.val());
        let output = projected.dims()[1];
        projected.reshape([b, t, output])
    }

    /// Tokens that are not of patches: the class token and the registers.
    fn prefix_tokens(&self) -> usize {
        1 + self.registers.as_ref().map_or(0, |registers| registers.dims()[0])
    }

    /// Position embeddings for a grid of this size.
    fn embedding(&self, grid: ImageSize) -> Tensor<2> {
        let [_, dim] = self.embedding.dims();
        if grid == self.known_grid {
            return self.embedding.val();
        }
        let numbers: Vec<f32> = self.embedding.val().into_data().iter::<f32>().collect();
        let (class, known) = numbers.split_at(dim);
        let resized = [class, &resize(known, (self.known_grid, grid), dim, self.positions)].concat();
        Tensor::from_data(TensorData::new(resized, [grid.area() + 1, dim]), &self.embedding.val().device())
    }
}

impl Network for ViTNet {
    fn depth(&self) -> usize {
        self.blocks.len()
    }

    /// Class and register tokens are left out; maps are normalised as at the end of the network, and not projected.
    fn stages(&self, x: Tensor<4>, wanted: &[usize]) -> Vec<Tensor<4>> {
        let (found, ImageSize { height, width }) = self.tokens(x, wanted);
        let map = |tokens: Tensor<3>| {
            let [b, t, d] = tokens.dims();
            let patches = tokens.slice([0..b, self.prefix_tokens()..t]);
            patches.swap_dims(1, 2).reshape([b, d, height, width])
        };
        found.into_iter().map(map).collect()
    }

    /// Position embeddings are resized once.
    fn prepare(&mut self, image: ImageSize) {
        let grid = image.map(|side| side / self.patch);
        self.embedding = Param::initialized(ParamId::new(), self.embedding(grid));
        self.known_grid = grid;
    }

    fn pool(&self) -> Pool {
        Pool::Cls
    }

    fn features(&self, x: Tensor<4>, point: &FeaturePoint) -> Tensor<2> {
        let mut tokens = self.tokens(x, &[point.layer.unwrap_or(self.depth())]).0.remove(0);
        if point.layer.is_none() {
            tokens = self.project(tokens);
        }
        pool_tokens(tokens, self.prefix_tokens(), point.pool.unwrap_or(Pool::Cls))
    }
}

impl Block {
    fn build(builder: &mut Builder<'_>, spec: &Spec, names: &Names, index: usize, epsilon: f64) -> Self {
        let width = spec.shape.width;
        let name = format!("{}.{index}", names.block);
        let at = |part: &str| format!("{name}.{part}");
        let norms = names.norms.map(|norm| layer_norm(builder, &at(norm), width, epsilon));
        let qkv = Linear::build(builder, &at(names.qkv[0]), Some(&at(names.qkv[1])), [width, 3 * width]);
        let out = Linear::named(builder, &at(names.out), [width, width]);
        let expand = Linear::named(builder, &at(names.mlp[0]), [width, 4 * width]);
        let shrink = Linear::named(builder, &at(names.mlp[1]), [4 * width, width]);
        let scales = (spec.kind == Kind::DinoV2)
            .then(|| ["ls1.gamma", "ls2.gamma"].map(|scale| builder.parameter(&at(scale), [width], Init::Ones)));
        Self { norms, qkv, out, expand, shrink, scales, heads: spec.shape.heads, activation: spec.activation }
    }

    /// B × T × D → B × T × D
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let scaled = |y: Tensor<3>, i: usize| match &self.scales {
            Some(scales) => y * scales[i].val().unsqueeze(),
            None => y,
        };
        let attention = self.attention(self.norms[0].forward(x.clone()));
        let x = x + scaled(attention, 0);
        let y = self.expand.forward(self.norms[1].forward(x.clone()));
        let y = match self.activation {
            Activation::Gelu => gelu(y),
            Activation::QuickGelu => y.clone() * sigmoid(y * 1.702),
            Activation::GeluTanh => gelu_approximate(y),
        };
        x + scaled(self.shrink.forward(y), 1)
    }

    fn attention(&self, x: Tensor<3>) -> Tensor<3> {
        let [b, t, d] = x.dims();
        let (heads, each) = (self.heads, d / self.heads);
        let qkv = self.qkv.forward(x).reshape([b, t, 3, heads * each]);
        let part = |i: usize| {
            let part = qkv.clone().slice([0..b, 0..t, i..i + 1]).reshape([b, t, heads, each]);
            part.swap_dims(1, 2)
        };
        let (q, k, v) = (part(0) * (each as f64).powf(-0.5), part(1), part(2));
        let weights = softmax(q.matmul(k.swap_dims(2, 3)), 3);
        self.out.forward(weights.matmul(v).swap_dims(1, 2).reshape([b, t, d]))
    }
}
