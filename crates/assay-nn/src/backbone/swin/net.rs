//! The network of a Swin transformer.

use burn::module::{Module, Param};
use burn::nn::LayerNorm;
use burn::tensor::activation::{gelu, relu, sigmoid, softmax};
use burn::tensor::ops::PadMode;
use burn::tensor::{Int, Tensor, TensorData};

use super::{PATCH, Spec};
use crate::backbone::architecture::{Network, after_steps};
use crate::backbone::point::{FeaturePoint, pool_map};
use crate::builder::{Builder, Init};
use crate::input::ImageSize;
use crate::layers::{Conv, ConvSpec, Edges, Linear, layer_norm};

const EPSILON: f64 = 1e-5;
/// Added to the weights of places that were no neighbours before the shift.
const FAR: f32 = -100.0;
/// Channels inside the network that gives version 2 its biases.
const HIDDEN: usize = 512;

/// The network.
#[derive(Module, Debug)]
pub struct SwinNet {
    patches: Conv,
    patch_norm: LayerNorm,
    stages: Vec<Stage>,
    norm: LayerNorm,
}

#[derive(Module, Debug)]
struct Stage {
    /// What comes before it, but for the first.
    merging: Option<Merging>,
    blocks: Vec<Block>,
}

/// Makes one place of 2×2.
#[derive(Module, Debug)]
struct Merging {
    norm: LayerNorm,
    reduction: Linear,
    is_v2: bool,
}

#[derive(Module, Debug)]
struct Block {
    attention: Attention,
    norms: [LayerNorm; 2],
    expand: Linear,
    shrink: Linear,
    is_v2: bool,
    is_shifted: bool,
}

#[derive(Module, Debug)]
struct Attention {
    qkv: Linear,
    out: Linear,
    bias: Bias,
    heads: usize,
    /// Side of a window.
    window: usize,
}

/// Biases of the attention between two places of a window.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "one a block, and Burn's modules are not boxed")]
enum Bias {
    /// Of version 1: (2w − 1)² × heads.
    Table(Param<Tensor<2>>),
    /// Of version 2.
    Continuous(Continuous),
}

#[derive(Module, Debug)]
struct Continuous {
    /// Biases of queries, keys and values; those of keys are not used.
    qkv: Param<Tensor<1>>,
    scale: Param<Tensor<3>>,
    first: Linear,
    second: Linear,
    /// The window by which distances are measured.
    known: usize,
}

impl SwinNet {
    pub(super) fn build(builder: &mut Builder<'_>, spec: &Spec) -> Self {
        let conv = ConvSpec {
            bias: true,
            edges: Edges::None,
            init: |fan_in, _| Init::UniformFanIn(fan_in),
            ..ConvSpec::new(3, spec.width, PATCH, PATCH)
        };
        let patches = Conv::build(builder, "patch_embed.proj", conv);
        let patch_norm = layer_norm(builder, "patch_embed.norm", spec.width, EPSILON);
        let stages = (0..4).map(|stage| Stage::build(builder, spec, stage)).collect();
        let norm = layer_norm(builder, "norm", spec.width << 3, EPSILON);
        Self { patches, patch_norm, stages, norm }
    }
}

impl Network for SwinNet {
    fn depth(&self) -> usize {
        self.stages.len()
    }

    fn stages(&self, x: Tensor<4>, wanted: &[usize]) -> Vec<Tensor<4>> {
        let x = self.patch_norm.forward(self.patches.forward(x).permute([0, 2, 3, 1]));
        let found = after_steps(x, wanted, |i, x| self.stages[i - 1].forward(x));
        found.into_iter().map(|x| x.permute([0, 3, 1, 2])).collect()
    }

    /// There is nothing to fold.
    fn prepare(&mut self, _image: ImageSize) {}

    /// The last map is normalised at its end alone.
    fn features(&self, x: Tensor<4>, point: &FeaturePoint) -> Tensor<2> {
        let mut map = Network::stages(self, x, &[point.layer.unwrap_or(self.depth())]).remove(0);
        if point.layer.is_none() {
            map = self.norm.forward(map.permute([0, 2, 3, 1])).permute([0, 3, 1, 2]);
        }
        pool_map(map, point.pool.unwrap_or_else(|| self.pool()))
    }
}

impl Stage {
    fn build(builder: &mut Builder<'_>, spec: &Spec, stage: usize) -> Self {
        let merging = (stage > 0).then(|| {
            let (input, name) = (spec.width << (stage - 1), format!("layers.{stage}.downsample"));
            let normalised = if spec.is_v2 { 2 * input } else { 4 * input };
            Merging {
                norm: layer_norm(builder, &format!("{name}.norm"), normalised, EPSILON),
                reduction: Linear::build(builder, &format!("{name}.reduction.weight"), None, [4 * input, 2 * input]),
                is_v2: spec.is_v2,
            }
        });
        let blocks = (0..spec.depths[stage] as usize).map(|i| Block::build(builder, spec, stage, i)).collect();
        Self { merging, blocks }
    }

    /// B × H × W × C → B × H' × W' × C'
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = match &self.merging {
            Some(merging) => merging.forward(x),
            None => x,
        };
        self.blocks.iter().fold(x, |x, block| block.forward(x))
    }
}

impl Merging {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [b, h, w, c] = x.dims();
        let [height, width] = [h, w].map(|side| side.div_ceil(2));
        let x = padded(x, [2 * height - h, 2 * width - w]);
        let x = x.reshape([b, height, 2, width, 2, c]).permute([0, 1, 3, 4, 2, 5]);
        let x = x.reshape([b, height * width, 4 * c]);
        let x = if self.is_v2 {
            self.norm.forward(self.reduction.forward(x))
        } else {
            self.reduction.forward(self.norm.forward(x))
        };
        x.reshape([b, height, width, 2 * c])
    }
}

impl Block {
    fn build(builder: &mut Builder<'_>, spec: &Spec, stage: usize, i: usize) -> Self {
        let (name, width) = (format!("layers.{stage}.blocks.{i}"), spec.width << stage);
        let at = |part: &str| format!("{name}.{part}");
        Self {
            attention: Attention::build(builder, spec, stage, &at("attn")),
            norms: ["norm1", "norm2"].map(|norm| layer_norm(builder, &at(norm), width, EPSILON)),
            expand: Linear::named(builder, &at("mlp.fc1"), [width, 4 * width]),
            shrink: Linear::named(builder, &at("mlp.fc2"), [4 * width, width]),
            is_v2: spec.is_v2,
            is_shifted: i % 2 == 1,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [first, second] = &self.norms;
        let shape = x.dims();
        let [b, h, w, c] = shape;
        let hidden = |y: Tensor<4>| {
            let y = self.expand.forward(y.reshape([b, h * w, c]));
            self.shrink.forward(gelu(y)).reshape(shape)
        };
        if self.is_v2 {
            let x = x.clone() + first.forward(self.attend(x));
            x.clone() + second.forward(hidden(x))
        } else {
            let x = x.clone() + self.attend(first.forward(x));
            x.clone() + hidden(second.forward(x))
        }
    }

    /// Attention within windows, every second time of a shifted map.
    fn attend(&self, x: Tensor<4>) -> Tensor<4> {
        let side = self.attention.window;
        let [b, h, w, c] = x.dims();
        let [height, width] = [h, w].map(|length| length.next_multiple_of(side));
        let x = padded(x, [height - h, width - w]);
        let shift = [height, width].map(|length| if self.is_shifted && side < length { side / 2 } else { 0 });
        let x = rolled(x, shift);
        let mask = (shift != [0, 0]).then(|| mask([height, width], shift, side, &x.device()));
        let x = x.reshape([b, height / side, side, width / side, side, c]).permute([0, 1, 3, 2, 4, 5]);
        let windows = height / side * (width / side);
        let x = self.attention.forward(x.reshape([b * windows, side * side, c]), mask);
        let x = x.reshape([b, height / side, width / side, side, side, c]).permute([0, 1, 3, 2, 4, 5]);
        let back = [(height, 0), (width, 1)].map(|(length, i)| (length - shift[i]) % length);
        rolled(x.reshape([b, height, width, c]), back).slice([0..b, 0..h, 0..w])
    }
}

impl Attention {
    fn build(builder: &mut Builder<'_>, spec: &Spec, stage: usize, name: &str) -> Self {
        let at = |part: &str| format!("{name}.{part}");
        let (width, heads, window) = (spec.width << stage, spec.heads << stage, spec.windows[stage]);
        let (weight, bias) = (at("qkv.weight"), at("qkv.bias"));
        let qkv = Linear::build(builder, &weight, (!spec.is_v2).then_some(bias.as_str()), [width, 3 * width]);
        let out = Linear::named(builder, &at("proj"), [width, width]);
        let bias = if spec.is_v2 {
            let layer = |part: &str| at(&format!("cpb_mlp.{part}"));
            Bias::Continuous(Continuous {
                qkv: builder.parameter(&bias, [3 * width], Init::Zeros),
                scale: builder.parameter(&at("logit_scale"), [heads, 1, 1], Init::Constant(10.0f32.ln())),
                first: Linear::named(builder, &layer("0"), [2, HIDDEN]),
                second: Linear::build(builder, &layer("2.weight"), None, [HIDDEN, heads]),
                known: spec.known_windows[stage],
            })
        } else {
            let places = (2 * window - 1) * (2 * window - 1);
            Bias::Table(builder.parameter(&at("relative_position_bias_table"), [places, heads], Init::Normal(0.02)))
        };
        Self { qkv, out, bias, heads, window }
    }

    /// N × w² × C → the same, of windows; the mask is of those of one image.
    fn forward(&self, x: Tensor<3>, mask: Option<Tensor<3>>) -> Tensor<3> {
        let [n, t, c] = x.dims();
        let heads = self.heads;
        let mut qkv = self.qkv.forward(x);
        if let Bias::Continuous(bias) = &self.bias {
            qkv = qkv + bias.of_inputs();
        }
        let qkv = qkv.reshape([n, t, 3, c]);
        let part =
            |i: usize| qkv.clone().slice([0..n, 0..t, i..i + 1]).reshape([n, t, heads, c / heads]).swap_dims(1, 2);
        let [q, k, v] = [0, 1, 2].map(part);
        let weights = match &self.bias {
            Bias::Table(_) => (q * ((c / heads) as f64).powf(-0.5)).matmul(k.swap_dims(2, 3)),
            Bias::Continuous(bias) => {
                let scale = bias.scale.val().clamp_max(100.0f32.ln()).exp();
                unit(q).matmul(unit(k).swap_dims(2, 3)) * scale.unsqueeze()
            }
        };
        let mut weights: Tensor<4> = weights + self.biases(&v.device()).unsqueeze();
        if let Some(mask) = mask {
            let windows = mask.dims()[0];
            let mask = mask.reshape([1, windows, 1, t, t]);
            weights = (weights.reshape([n / windows, windows, heads, t, t]) + mask).reshape([n, heads, t, t]);
        }
        self.out.forward(softmax(weights, 3).matmul(v).swap_dims(1, 2).reshape([n, t, c]))
    }

    /// heads × w² × w²
    fn biases(&self, device: &burn::tensor::Device) -> Tensor<3> {
        let (window, places) = (self.window, self.window * self.window);
        let table = match &self.bias {
            Bias::Table(table) => table.val(),
            Bias::Continuous(bias) => bias.table(window, device),
        };
        let row = 2 * window - 1;
        let index = |i: usize| {
            let at = |place: usize| [place / window, place % window];
            let ([y, x], [to_y, to_x]) = (at(i / places), at(i % places));
            ((y + window - 1 - to_y) * row + x + window - 1 - to_x) as i32
        };
        let indices: Vec<i32> = (0..places * places).map(index).collect();
        let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [places * places]), device);
        table.select(0, indices).reshape([places, places, self.heads]).permute([2, 0, 1])
    }
}

impl Continuous {
    /// Biases of queries and values, and none of keys: 1 × 1 × 3C
    fn of_inputs(&self) -> Tensor<3> {
        let bias = self.qkv.val();
        let third = bias.dims()[0] / 3;
        let part = |i: usize| bias.clone().narrow(0, i * third, third);
        let (queries, keys, values) = (part(0), part(1).zeros_like(), part(2));
        Tensor::cat(vec![queries, keys, values], 0).unsqueeze()
    }

    /// Biases for all distances: (2w − 1)² × heads
    fn table(&self, window: usize, device: &burn::tensor::Device) -> Tensor<2> {
        let row = 2 * window - 1;
        let far = (self.known.max(2) - 1) as f64;
        let coordinate = |i: usize| {
            let distance = (i as f64 - (window - 1) as f64) / far * 8.0;
            (distance.signum() * (distance.abs() + 1.0).log2() / 3.0) as f32
        };
        let places: Vec<f32> = (0..row * row).flat_map(|i| [coordinate(i / row), coordinate(i % row)]).collect();
        let places = Tensor::<3>::from_data(TensorData::new(places, [1, row * row, 2]), device);
        let biases = self.second.forward(relu(self.first.forward(places)));
        let heads = biases.dims()[2];
        sigmoid(biases.reshape([row * row, heads])) * 16.0
    }
}

/// Rows of length 1.
fn unit(x: Tensor<4>) -> Tensor<4> {
    let length = (x.clone() * x.clone()).sum_dim(3).sqrt().clamp_min(1e-12);
    x / length
}

/// Zeros below and to the right.
fn padded(x: Tensor<4>, [below, right]: [usize; 2]) -> Tensor<4> {
    if [below, right] == [0, 0] { x } else { x.pad([(0, below), (0, right), (0, 0)], PadMode::Constant(0.0)) }
}

/// The map with its first rows and columns at the end.
fn rolled(x: Tensor<4>, shift: [usize; 2]) -> Tensor<4> {
    let roll = |x: Tensor<4>, dim: usize, by: usize| {
        if by == 0 {
            return x;
        }
        let length = x.dims()[dim];
        Tensor::cat(vec![x.clone().narrow(dim, by, length - by), x.narrow(dim, 0, by)], dim)
    };
    roll(roll(x, 1, shift[0]), 2, shift[1])
}

/// What is added to the weights of attention in each window of a shifted map: windows × w² × w²
fn mask(size: [usize; 2], shift: [usize; 2], side: usize, device: &burn::tensor::Device) -> Tensor<3> {
    // Windows that hold the seam have parts that were not neighbours.
    let part = |dim: usize, at: usize| {
        let (length, shift) = (size[dim], shift[dim]);
        if shift == 0 || at < length - side { 0 } else { 1 + usize::from(at >= length - shift) }
    };
    let columns = size[1] / side;
    let (windows, places) = (size[0] / side * columns, side * side);
    let parts_of = |window: usize, place: usize| {
        let (y, x) = (window / columns * side + place / side, window % columns * side + place % side);
        (part(0, y), part(1, x))
    };
    let mut numbers = Vec::with_capacity(windows * places * places);
    for window in 0..windows {
        let parts: Vec<_> = (0..places).map(|place| parts_of(window, place)).collect();
        for a in &parts {
            numbers.extend(parts.iter().map(|b| if a == b { 0.0 } else { FAR }));
        }
    }
    Tensor::from_data(TensorData::new(numbers, [windows, places, places]), device)
}
