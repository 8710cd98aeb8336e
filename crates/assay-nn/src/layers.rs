//! The layers that backbones are made of, built by name and foldable for inference.

use burn::module::{Module, Param, ParamId};
use burn::nn::{LayerNorm, LayerNormConfig};
use burn::tensor::activation::{hard_sigmoid, hard_swish, relu, sigmoid, silu};
use burn::tensor::module::{avg_pool2d, conv2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions, PadMode};
use burn::tensor::{Tensor, TensorData};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::batch_norm::BatchNorm;
use crate::builder::{Builder, Init};

/// Padding of the edges of images before convolutions and pools, which differs between libraries where a layer moves by
/// two pixels at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Padding {
    /// The same number of zeros on both sides, as in torch.
    #[default]
    Torch,
    /// `SAME` of TensorFlow and Haiku in every layer: as few zeros as are needed, an odd one after the image. For BYOL.
    TfSame,
    /// `SAME` for the max pool, and the padding of torch for convolutions. For SimCLR, whose code pads convolutions itself.
    TfSamePool,
}

/// Parameters of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct ConvSpec {
    /// Channels in and out.
    pub channels: [usize; 2],
    /// Side of the square kernel.
    pub kernel: usize,
    /// Step, in pixels.
    pub stride: usize,
    /// Distance of neighbouring weights of the kernel, in pixels.
    pub dilation: usize,
    /// Channels of the input are cut into as many parts that do not see each other.
    pub groups: usize,
    /// True if the convolution has a bias.
    pub bias: bool,
    /// Zeros around the input.
    pub edges: Edges,
    /// Number that is added to the variance by the batch normalisation after it.
    pub epsilon: f64,
    /// Distribution that the weights are drawn from.
    pub init: fn(fan_in: usize, fan_out: usize) -> Init,
}

impl ConvSpec {
    /// A convolution of one group without bias and dilation, padded by half its kernel.
    pub fn new(input: usize, output: usize, kernel: usize, stride: usize) -> Self {
        Self {
            channels: [input, output],
            kernel,
            stride,
            dilation: 1,
            groups: 1,
            bias: false,
            edges: Edges::Half,
            epsilon: 1e-5,
            init: |_, fan_out| Init::Kaiming(fan_out),
        }
    }
}

/// Zeros around the input of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edges {
    /// None.
    None,
    /// Half the kernel on every side.
    Half,
    /// So many on every side.
    Fixed(usize),
    /// TensorFlow's `SAME`.
    Same,
}

impl Padding {
    /// Of convolutions.
    pub fn conv(self) -> Edges {
        if self == Self::TfSame { Edges::Same } else { Edges::Half }
    }

    /// Of the pool.
    pub fn pool(self) -> Edges {
        if self == Self::Torch { Edges::Half } else { Edges::Same }
    }
}

impl Edges {
    /// Zeros before and after `size` pixels, for a kernel that reaches over so many.
    fn of(self, size: usize, kernel: usize, stride: usize) -> (usize, usize) {
        match self {
            Self::None => (0, 0),
            Self::Fixed(zeros) => (zeros, zeros),
            Self::Half => (kernel / 2, kernel / 2),
            Self::Same => {
                let total = ((size.div_ceil(stride) - 1) * stride + kernel).saturating_sub(size);
                (total / 2, total - total / 2)
            }
        }
    }
}

/// A convolution. The weight is C' × C/groups × k × k.
#[derive(Module, Debug)]
pub struct Conv {
    weight: Param<Tensor<4>>,
    bias: Option<Param<Tensor<1>>>,
    stride: usize,
    dilation: usize,
    groups: usize,
    #[module(skip)]
    edges: Edges,
}

impl Conv {
    /// Builds the convolution called `name`.
    pub fn build(builder: &mut Builder<'_>, name: &str, spec: ConvSpec) -> Self {
        let ConvSpec { channels: [input, output], kernel, stride, dilation, groups, bias, edges, init, .. } = spec;
        let fan_in = input / groups * kernel * kernel;
        let shape = [output, input / groups, kernel, kernel];
        let init = init(fan_in, output / groups * kernel * kernel);
        let weight = builder.parameter(&format!("{name}.weight"), shape, init);
        let bias = bias.then(|| builder.parameter(&format!("{name}.bias"), [output], Init::UniformFanIn(fan_in)));
        Self { weight, bias, stride, dilation, groups, edges }
    }

    /// B × C × H × W → B × C' × H' × W'
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let [_, _, kernel, _] = self.weight.dims();
        let reach = self.dilation * (kernel - 1) + 1;
        let padding = [height, width].map(|size| self.edges.of(size, reach, self.stride));
        let options =
            ConvOptions { stride: [self.stride; 2], padding, dilation: [self.dilation; 2], groups: self.groups };
        conv2d(x, self.weight.val(), self.bias.as_ref().map(Param::val), options)
    }
}

/// A convolution and the batch normalisation after it.
#[derive(Module, Debug)]
pub struct ConvBn {
    conv: Conv,
    bn: Option<BatchNorm>,
}

impl ConvBn {
    /// Builds the convolution called `conv` and the normalisation called `bn`.
    pub fn build(builder: &mut Builder<'_>, conv: &str, bn: &str, spec: ConvSpec) -> Self {
        let ([_, output], epsilon) = (spec.channels, spec.epsilon);
        let conv = Conv::build(builder, conv, spec);
        Self { conv, bn: BatchNorm::build(builder, bn, output, epsilon) }
    }

    /// B × C × H × W → B × C' × H' × W'
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.conv.forward(x);
        match &self.bn {
            Some(bn) => bn.forward(x),
            None => x,
        }
    }

    /// Folds the normalisation into the convolution, which is the same function and saves four passes over the activations.
    pub fn fold(&mut self) {
        let Some(bn) = self.bn.take() else { return };
        let device = self.conv.weight.val().device();
        let numbers = |t: Tensor<1>| t.into_data().iter::<f32>().map(f64::from).collect::<Vec<_>>();
        let (gamma, beta) = (numbers(bn.gamma.val()), numbers(bn.beta.val()));
        let (mean, variance) = (numbers(bn.running_mean.value()), numbers(bn.running_var.value()));
        let scale: Vec<f64> = gamma.iter().zip(&variance).map(|(g, v)| g / (v + bn.epsilon).sqrt()).collect();
        let shape = self.conv.weight.dims();
        let each = shape[1] * shape[2] * shape[3];
        let weight = self.conv.weight.val().into_data();
        let weight: Vec<f32> =
            weight.iter::<f32>().enumerate().map(|(i, w)| (f64::from(w) * scale[i / each]) as f32).collect();
        let old_bias = self.conv.bias.as_ref().map_or_else(|| vec![0.0; shape[0]], |b| numbers(b.val()));
        let bias: Vec<f32> = (0..shape[0]).map(|c| (beta[c] + (old_bias[c] - mean[c]) * scale[c]) as f32).collect();
        let channels = shape[0];
        self.conv.weight =
            Param::initialized(ParamId::new(), Tensor::from_data(TensorData::new(weight, shape), &device));
        self.conv.bias =
            Some(Param::initialized(ParamId::new(), Tensor::from_data(TensorData::new(bias, [channels]), &device)));
    }
}

/// Function that is applied to each number between layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// The larger of x and 0.
    Relu,
    /// x cut to 0…6.
    Relu6,
    /// x · sigmoid(x).
    Silu,
    /// x · (x cut to −3…3, plus 3) / 6.
    HardSwish,
}

impl Activation {
    /// The function of each number.
    pub fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Relu => relu(x),
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::Silu => silu(x),
            Self::HardSwish => hard_swish(x),
        }
    }
}

/// Parameters of a [`SqueezeExcite`].
#[derive(Clone, Copy, Debug)]
pub struct SqueezeSpec {
    /// Channels of the map, and those between the two layers.
    pub channels: [usize; 2],
    /// Names of the two layers.
    pub names: [&'static str; 2],
    /// Function between the layers.
    pub activation: Activation,
    /// True if the weights come from a sigmoid of straight pieces.
    pub is_hard: bool,
}

/// Weighs the channels of a map by two small layers that see its mean (Hu et al. 2018).
#[derive(Module, Debug)]
pub struct SqueezeExcite {
    layers: [Conv; 2],
    #[module(skip)]
    activation: Activation,
    is_hard: bool,
}

impl SqueezeExcite {
    /// Builds the layers, whose names begin with `name`.
    pub fn build(builder: &mut Builder<'_>, name: &str, spec: SqueezeSpec) -> Self {
        let SqueezeSpec { channels: [outer, inner], names: [first, second], activation, is_hard } = spec;
        let mut conv = |part: &str, input, output| {
            Conv::build(
                builder,
                &format!("{name}.{part}"),
                ConvSpec { bias: true, ..ConvSpec::new(input, output, 1, 1) },
            )
        };
        let layers = [conv(first, outer, inner), conv(second, inner, outer)];
        Self { layers, activation, is_hard }
    }

    /// B × C × H × W → B × C × H × W
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [b, c, _, _] = x.dims();
        let mean = global_average_pool(x.clone()).reshape([b, c, 1, 1]);
        let weights = self.layers[1].forward(self.activation.apply(self.layers[0].forward(mean)));
        let weights = if self.is_hard { hard_sigmoid(weights, 1.0 / 6.0, 0.5) } else { sigmoid(weights) };
        x * weights
    }
}

/// A linear layer. The weight is D' × D, as torch stores it.
#[derive(Module, Debug)]
pub struct Linear {
    weight: Param<Tensor<2>>,
    bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// Builds the layer whose weight and bias have these names.
    pub fn build(builder: &mut Builder<'_>, weight: &str, bias: Option<&str>, [input, output]: [usize; 2]) -> Self {
        let weight = builder.parameter(weight, [output, input], Init::UniformFanIn(input));
        let bias = bias.map(|name| builder.parameter(name, [output], Init::Zeros));
        Self { weight, bias }
    }

    /// Builds the layer called `name`, with a bias.
    pub fn named(builder: &mut Builder<'_>, name: &str, shape: [usize; 2]) -> Self {
        Self::build(builder, &format!("{name}.weight"), Some(&format!("{name}.bias")), shape)
    }

    /// B × T × D → B × T × D'
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [b, t, d] = x.dims();
        let y = x.reshape([b * t, d]).matmul(self.weight.val().transpose());
        let output = y.dims()[1];
        let y = match &self.bias {
            Some(bias) => y + bias.val().unsqueeze(),
            None => y,
        };
        y.reshape([b, t, output])
    }
}

/// Builds the layer normalisation called `name`.
pub fn layer_norm(builder: &mut Builder<'_>, name: &str, features: usize, epsilon: f64) -> LayerNorm {
    let mut norm = LayerNormConfig::new(features).with_epsilon(epsilon).init(builder.device());
    norm.gamma = builder.parameter(&format!("{name}.weight"), [features], Init::Ones);
    norm.beta = Some(builder.parameter(&format!("{name}.bias"), [features], Init::Zeros));
    norm
}

/// Mean over height and width: B × C × H × W → B × C
pub fn global_average_pool(x: Tensor<4>) -> Tensor<2> {
    let [b, c, h, w] = x.dims();
    x.reshape([b, c, h * w]).mean_dim(2).reshape([b, c])
}

/// Max pooling with a square window, rounding sizes down. What is padded never is the largest.
pub fn max_pool(x: Tensor<4>, kernel: usize, stride: usize, edges: Edges) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    let mut options = MaxPoolOptions::new([kernel, kernel]);
    options.stride = [stride, stride];
    options.padding = [height, width].map(|size| edges.of(size, kernel, stride));
    max_pool2d(x, options)
}

/// Means of windows of 2×2 pixels, two apart: the last row and column of an odd size are left out, or, rounding up, windows
/// of their own.
pub fn halve(x: Tensor<4>, rounds_up: bool) -> Tensor<4> {
    let mut options = AvgPoolOptions::new([2, 2]);
    options.ceil_mode = rounds_up;
    options.count_include_pad = false;
    avg_pool2d(x, options)
}

/// Every second pixel after a binomial filter of 3×3, edges mirrored (Zhang 2019).
pub fn blur(x: Tensor<4>) -> Tensor<4> {
    const TAPS: [f32; 3] = [0.25, 0.5, 0.25];
    let channels = x.dims()[1];
    let filter: Vec<f32> = TAPS.iter().flat_map(|row| TAPS.map(|column| row * column)).collect();
    let filter = Tensor::<4>::from_data(TensorData::new(filter, [1, 1, 3, 3]), &x.device());
    let options = ConvOptions { stride: [2; 2], padding: [(0, 0); 2], dilation: [1; 2], groups: channels };
    conv2d(x.pad([(1, 1), (1, 1)], PadMode::Reflect), filter.expand([channels, 1, 3, 3]), None, options)
}

/// `wanted` channels as the nearest multiple of `unit`, not below `least` of what is wanted: `_make_divisible` of torchvision
/// and timm.
pub fn divisible(wanted: f64, unit: usize, least: f64) -> usize {
    let rounded = ((wanted + unit as f64 / 2.0) as usize / unit * unit).max(unit);
    if (rounded as f64) < least * wanted { rounded + unit } else { rounded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensorflow_pads_as_little_as_it_can() {
        // Kernel 7, step 2 on 224 pixels: 112 windows need 229.
        assert_eq!(Edges::Same.of(224, 7, 2), (2, 3));
        assert_eq!(Edges::Same.of(112, 3, 2), (0, 1));
        assert_eq!(Edges::Same.of(113, 3, 2), (1, 1));
        assert_eq!(Edges::Same.of(56, 3, 1), (1, 1));
        assert_eq!(Edges::Same.of(56, 1, 2), (0, 0));
        assert_eq!(Edges::Half.of(224, 7, 2), (3, 3));
    }
}
