//! Vision transformers (Dosovitskiy et al. 2021): one network for all of them, as `spec` says what it is made of.
//!
//! What an experiment says of them is in `params`, the published configurations in `presets`. Names follow timm (`cls_token`,
//! `pos_embed`, `blocks.N.attn.qkv`, …), which DINO, MAE, DeiT and DINOv2 share; those of CLIP follow OpenAI
//! (`class_embedding`, `transformer.resblocks.N`, …); other libraries' are translated in `names`. `recognise` finds out what a
//! file holds, and `settle` what its tensors do not say.

mod attention;
mod block;
mod clip_names;
mod mlp;
mod names;
mod norm;
mod params;
mod presets;
mod recognise;
mod relative;
mod rotary;
mod settle;
mod spec;
mod tensors;

use burn::module::{Module, Param, ParamId};
use burn::tensor::{Tensor, TensorData};

use super::architecture::{Network, after_steps};
use super::point::{FeaturePoint, Pool, pool_tokens};
use super::positions::{Positions, resize};
use crate::builder::{Builder, Init};
use crate::input::ImageSize;
use crate::layers::{Conv, ConvSpec, Edges};

use attention::AttentionPool;
use block::Block;
use norm::Norm;
use rotary::{Rotary, Rotation};
use spec::End;

pub use params::{Clip, DinoV2, Family, Transformer, ViT, ViTSize};
pub use recognise::recognise;
pub use settle::{settle_clip, settle_dino_v2, settle_transformer, settle_vit};
pub use spec::Spec;

/// The network.
#[derive(Module, Debug)]
pub struct ViTNet {
    patches: Conv,
    patch_norm: Option<Norm>,
    class_token: Option<Param<Tensor<1>>>,
    registers: Option<Param<Tensor<2>>>,
    /// Of the class token, where it has one, then of the grid: T × D.
    embedding: Option<Param<Tensor<2>>>,
    pre_norm: Option<Norm>,
    blocks: Vec<Block>,
    norm: Norm,
    attention_pool: Option<AttentionPool>,
    projection: Option<Param<Tensor<2>>>,
    patch: usize,
    /// Tokens that are not of patches.
    prefix: usize,
    /// Tokens in front of the grid in `embedding`.
    embedded_prefix: usize,
    /// Features of an attention head.
    head_width: usize,
    /// The grid that `embedding` is for.
    #[module(skip)]
    known_grid: ImageSize,
    #[module(skip)]
    positions: Positions,
    #[module(skip)]
    rotary: Option<Rotary>,
    #[module(skip)]
    end: End,
    #[module(skip)]
    pool: Pool,
}

const SMALL: Init = Init::Normal(0.02);

impl ViTNet {
    fn build(builder: &mut Builder<'_>, spec: &Spec) -> Self {
        let (names, width) = (spec.names, spec.shape.width);
        let [token_lead, lead] = names.lead;
        let conv = ConvSpec {
            bias: spec.has_patch_bias,
            edges: Edges::None,
            init: |fan_in, _| Init::UniformFanIn(fan_in),
            ..ConvSpec::new(3, width, spec.patch, spec.patch)
        };
        let patches = Conv::build(builder, names.patches, conv);
        let patch_norm = spec.has_patch_norm.then(|| Norm::build(builder, "patch_embed.norm", width, spec.norm));
        let class_token = spec.has_class_token.then(|| builder.squeezed(names.class_token, token_lead, [width], SMALL));
        let embedding = spec.embedding.map(|embedding| {
            let tokens = spec.patches(ImageSize::square(spec.trained_at)) + embedding.prefix();
            builder.squeezed(names.embedding, lead, [tokens, width], SMALL)
        });
        let registers =
            (spec.registers > 0).then(|| builder.squeezed(names.registers, lead, [spec.registers, width], SMALL));
        let pre_norm = spec.has_pre_norm.then(|| Norm::build(builder, names.pre_norm, width, spec.norm));
        let blocks = (0..spec.shape.depth).map(|i| Block::build(builder, spec, names, i)).collect();
        let norm =
            Norm::build(builder, if spec.end == End::PooledNorm { "fc_norm" } else { names.norm }, width, spec.norm);
        let attention_pool = match spec.end {
            End::Attention(activation) => Some(AttentionPool::build(builder, spec, activation)),
            _ => None,
        };
        let projection =
            spec.projected.map(|output| builder.parameter("proj", [width, output], Init::UniformFanIn(width)));
        Self {
            patches,
            patch_norm,
            class_token,
            registers,
            embedding,
            pre_norm,
            blocks,
            norm,
            attention_pool,
            projection,
            patch: spec.patch,
            prefix: spec.prefix(),
            embedded_prefix: spec.embedding.map_or(0, spec::Embedding::prefix),
            head_width: width / spec.shape.heads.max(1),
            known_grid: ImageSize::square(spec.trained_at / spec.patch.max(1)),
            positions: spec.positions,
            rotary: spec.rotary,
            end: spec.end,
            pool: spec.pool,
        }
    }

    /// The tokens that go into the first block, and the grid of those that are patches.
    fn embed(&self, x: Tensor<4>) -> (Tensor<3>, ImageSize) {
        let x = self.patches.forward(x);
        let [b, d, h, w] = x.dims();
        let grid = ImageSize { height: h, width: w };
        let mut x = x.reshape([b, d, h * w]).swap_dims(1, 2);
        if let Some(norm) = &self.patch_norm {
            x = norm.forward(x);
        }
        let class = self.class_token.as_ref().map(|token| {
            let token: Tensor<3> = token.val().unsqueeze();
            token.expand([b, 1, d])
        });
        let positions = self.embedding(grid).map(Tensor::unsqueeze::<3>);
        let (mut front, mut x) = match (class, positions) {
            (Some(class), Some(positions)) if self.embedded_prefix == 1 => {
                let all = Tensor::cat(vec![class, x], 1) + positions;
                (vec![all.clone().slice([0..b, 0..1])], all.slice([0..b, 1..h * w + 1]))
            }
            (class, Some(positions)) => (class.into_iter().collect(), x + positions),
            (class, None) => (class.into_iter().collect(), x),
        };
        if let Some(registers) = &self.registers {
            let registers: Tensor<3> = registers.val().unsqueeze();
            let count = registers.dims()[1];
            front.push(registers.expand([b, count, d]));
        }
        if !front.is_empty() {
            front.push(x);
            x = Tensor::cat(front, 1);
        }
        if let Some(norm) = &self.pre_norm {
            x = norm.forward(x);
        }
        (x, grid)
    }

    /// The tokens after the wanted blocks, normalised as at the end of the network unless they are wanted `raw`; and the grid of
    /// those that are patches.
    fn tokens(&self, x: Tensor<4>, wanted: &[usize], is_raw: bool) -> (Vec<Tensor<3>>, ImageSize) {
        let (x, grid) = self.embed(x);
        let device = x.device();
        let rotation = self.rotary.map(|kind| Rotation::new(kind, grid, self.prefix, self.head_width, &device));
        let found = after_steps(x, wanted, |i, x| self.blocks[i - 1].forward(x, rotation.as_ref()));
        if is_raw || self.end == End::PooledNorm {
            return (found, grid);
        }
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

    /// Position embeddings for a grid of this size.
    fn embedding(&self, grid: ImageSize) -> Option<Tensor<2>> {
        let embedding = self.embedding.as_ref()?;
        let [_, dim] = embedding.dims();
        if grid == self.known_grid {
            return Some(embedding.val());
        }
        let numbers: Vec<f32> = embedding.val().into_data().iter::<f32>().collect();
        let (class, known) = numbers.split_at(self.embedded_prefix * dim);
        let resized = [class, &resize(known, (self.known_grid, grid), dim, self.positions)].concat();
        let shape = [grid.area() + self.embedded_prefix, dim];
        Some(Tensor::from_data(TensorData::new(resized, shape), &embedding.val().device()))
    }

    /// Pools the tokens after a block to one row, normalised as at the end of the network unless they are wanted `raw`.
    fn pooled(&self, tokens: Tensor<3>, pool: Pool, is_raw: bool) -> Tensor<2> {
        let width = tokens.dims()[2];
        let row = match (&self.attention_pool, pool) {
            (Some(attention), Pool::Attention) => attention.forward(tokens),
            _ => pool_tokens(tokens, self.prefix, pool),
        };
        if is_raw || self.end != End::PooledNorm {
            return row;
        }
        // Of several parts in a row, each is normalised by itself.
        let [b, all] = row.dims();
        self.norm.forward(row.reshape([b, all / width, width])).reshape([b, all])
    }
}

impl Network for ViTNet {
    fn depth(&self) -> usize {
        self.blocks.len()
    }

    /// Class and register tokens are left out; maps are normalised as at the end of the network where that comes before its pool,
    /// and not projected.
    fn stages(&self, x: Tensor<4>, wanted: &[usize]) -> Vec<Tensor<4>> {
        let (found, ImageSize { height, width }) = self.tokens(x, wanted, false);
        let map = |tokens: Tensor<3>| {
            let [b, t, d] = tokens.dims();
            let patches = tokens.slice([0..b, self.prefix..t]);
            patches.swap_dims(1, 2).reshape([b, d, height, width])
        };
        found.into_iter().map(map).collect()
    }

    /// Position embeddings are resized once.
    fn prepare(&mut self, image: ImageSize) {
        let grid = image.map(|side| side / self.patch);
        if let Some(embedding) = self.embedding(grid) {
            self.embedding = Some(Param::initialized(ParamId::new(), embedding));
        }
        self.known_grid = grid;
    }

    fn pool(&self) -> Pool {
        self.pool
    }

    /// Of the last blocks, class tokens or averages stand side by side, the earliest first; of class token and average, the
    /// average is that of the last block alone, as in the evaluation of DINOv2.
    fn features(&self, x: Tensor<4>, point: &FeaturePoint) -> Tensor<2> {
        let (depth, pool) = (self.depth(), point.pool.unwrap_or(self.pool));
        if let Some(last) = point.last {
            let wanted: Vec<usize> = (depth + 1 - last..=depth).collect();
            let found = self.tokens(x, &wanted, point.is_raw).0;
            let each = if pool == Pool::ClsGap { Pool::Cls } else { pool };
            let average = found.last().filter(|_| pool == Pool::ClsGap).map(|tokens| (tokens.clone(), Pool::Gap));
            let rows = found.into_iter().map(|tokens| (tokens, each)).chain(average);
            let rows = rows.map(|(tokens, pool)| self.pooled(tokens, pool, point.is_raw));
            return Tensor::cat(rows.collect(), 1);
        }
        let mut tokens = self.tokens(x, &[point.layer.unwrap_or(depth)], point.is_raw).0.remove(0);
        if point.is_at_end() {
            tokens = self.project(tokens);
        }
        self.pooled(tokens, pool, point.is_raw)
    }
}
