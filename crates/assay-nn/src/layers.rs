//! The layers that backbones are made of, built by name and foldable for inference.

use burn::module::{Module, Param, ParamId};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, PaddingConfig2d};
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Tensor, TensorData};

use crate::builder::{Builder, Init};

/// A convolution and the batch normalisation after it.
#[derive(Module, Debug)]
pub struct ConvBn {
    conv: Conv2d,
    bn: Option<BatchNorm>,
}

/// What distinguishes one convolution from another.
#[derive(Clone, Copy, Debug)]
pub struct ConvSpec {
    /// Channels in and out.
    pub channels: [usize; 2],
    /// Side of the square kernel.
    pub kernel: usize,
    /// Step.
    pub stride: usize,
    /// Whether it has a bias.
    pub bias: bool,
    /// How its weights are drawn.
    pub init: fn(fan_in: usize, fan_out: usize) -> Init,
}

impl ConvBn {
    /// Builds the convolution called `conv` and the normalisation called `bn`; padded by half the kernel.
    pub fn build(builder: &mut Builder<'_>, conv: &str, bn: &str, spec: ConvSpec) -> Self {
        let ConvSpec { channels: [input, output], kernel, stride, bias, init } = spec;
        let padding = kernel / 2;
        let mut layer = Conv2dConfig::new([input, output], [kernel, kernel])
            .with_stride([stride, stride])
            .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
            .with_bias(false)
            .init(builder.device);
        let fan_in = input * kernel * kernel;
        layer.weight = builder.parameter(
            &format!("{conv}.weight"),
            [output, input, kernel, kernel],
            init(fan_in, output * kernel * kernel),
        );
        layer.bias = bias.then(|| builder.parameter(&format!("{conv}.bias"), [output], Init::UniformFanIn(fan_in)));
        let mut norm = BatchNormConfig::new(output).init(builder.device);
        norm.gamma = builder.parameter(&format!("{bn}.weight"), [output], Init::Ones);
        norm.beta = builder.parameter(&format!("{bn}.bias"), [output], Init::Zeros);
        norm.running_mean = builder.statistic(&format!("{bn}.running_mean"), output, Init::Zeros);
        norm.running_var = builder.statistic(&format!("{bn}.running_var"), output, Init::Ones);
        Self { conv: layer, bn: Some(norm) }
    }

    /// B × C × H × W → B × C' × H' × W'
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.conv.forward(x);
        match &self.bn {
            Some(bn) => bn.forward(x),
            None => x,
        }
    }

    /// The same function with the normalisation folded into the convolution, which saves four passes over the activations.
    pub fn fold(mut self) -> Self {
        let Some(bn) = self.bn.take() else { return self };
        let device = self.conv.weight.val().device();
        let numbers = |t: Tensor<1>| t.into_data().iter::<f32>().map(f64::from).collect::<Vec<_>>();
        let (gamma, beta) = (numbers(bn.gamma.val()), numbers(bn.beta.val()));
        let (mean, variance) = (numbers(bn.running_mean.value()), numbers(bn.running_var.value()));
        let scale: Vec<f64> = gamma.iter().zip(&variance).map(|(g, v)| g / (v + bn.epsilon).sqrt()).collect();
        let shape = self.conv.weight.dims();
        let each = shape[1] * shape[2] * shape[3];
        let weight: Vec<f32> = self
            .conv
            .weight
            .val()
            .into_data()
            .iter::<f32>()
            .enumerate()
            .map(|(i, w)| (f64::from(w) * scale[i / each]) as f32)
            .collect();
        let old_bias = self.conv.bias.as_ref().map_or_else(|| vec![0.0; shape[0]], |b| numbers(b.val()));
        let bias: Vec<f32> = (0..shape[0]).map(|c| (beta[c] + (old_bias[c] - mean[c]) * scale[c]) as f32).collect();
        let channels = shape[0];
        self.conv.weight =
            Param::initialized(ParamId::new(), Tensor::from_data(TensorData::new(weight, shape), &device));
        self.conv.bias =
            Some(Param::initialized(ParamId::new(), Tensor::from_data(TensorData::new(bias, [channels]), &device)));
        self
    }
}

/// Mean over height and width: B × C × H × W → B × C
pub fn global_average_pool(x: Tensor<4>) -> Tensor<2> {
    let [b, c, h, w] = x.dims();
    x.reshape([b, c, h * w]).mean_dim(2).reshape([b, c])
}

/// Max pooling with a square window, rounding sizes down.
pub fn max_pool(x: Tensor<4>, kernel: usize, stride: usize, padding: usize) -> Tensor<4> {
    let mut options = MaxPoolOptions::new([kernel, kernel]);
    options.stride = [stride, stride];
    options.padding = [(padding, padding); 2];
    max_pool2d(x, options)
}
