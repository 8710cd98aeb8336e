//! The network of a ResNet.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use super::{Antialias, ResNet, ResNetBlock, ResNetStem, Shortcut, StrideIn};
use crate::backbone::architecture::{Network, after_steps};
use crate::builder::Builder;
use crate::input::ImageSize;
use crate::layers::{
    Activation, ConvBn, ConvSpec, Edges, SqueezeExcite, SqueezeSpec, blur, divisible, halve, max_pool,
};

/// The network.
#[derive(Module, Debug)]
pub struct ResNetNet {
    stem: Vec<ConvBn>,
    stages: Vec<Vec<Residual>>,
    #[module(skip)]
    pool: StemPool,
}

/// Pool after the stem.
#[derive(Clone, Copy, Debug)]
enum StemPool {
    None,
    /// Maxima of 3×3 pixels, two apart.
    Max(Edges),
    Antialiased(Antialias),
}

#[derive(Module, Debug)]
struct Residual {
    convs: Vec<ConvBn>,
    squeeze: Option<SqueezeExcite>,
    downsample: Option<ConvBn>,
    /// True if the shortcut is halved before its convolution.
    is_pooled: bool,
    /// The convolution after which the map is halved, and how.
    #[module(skip)]
    antialias: Option<(usize, Antialias)>,
}

impl ResNetNet {
    /// Builds the network.
    pub fn build(builder: &mut Builder<'_>, spec: &ResNet) -> Self {
        let stem = stem(builder, spec);
        let mut input = spec.stem_channels();
        let mut stages = Vec::new();
        for (stage, depth) in spec.depths.iter().enumerate() {
            let mut blocks = Vec::new();
            for i in 0..*depth {
                blocks.push(Residual::build(builder, spec, (stage, i), input));
                input = spec.channels(stage + 1);
            }
            stages.push(blocks);
        }
        let pool = match (&spec.stem, spec.antialias()) {
            (ResNetStem::Small | ResNetStem::SmallPadded, _) => StemPool::None,
            (_, Antialias::Plain) => StemPool::Max(spec.padding.pool()),
            (_, antialias) => StemPool::Antialiased(antialias),
        };
        Self { stem, stages, pool }
    }
}

fn stem(builder: &mut Builder<'_>, spec: &ResNet) -> Vec<ConvBn> {
    let edges = spec.padding.conv();
    let conv = |input, output, kernel, stride| ConvSpec { edges, ..ConvSpec::new(input, output, kernel, stride) };
    let width = spec.stem_channels();
    let layers = match spec.stem {
        ResNetStem::Usual => vec![("conv1", "bn1", conv(3, width, 7, 2))],
        ResNetStem::Small | ResNetStem::SmallPooled => vec![("conv1", "bn1", conv(3, width, 3, 1))],
        ResNetStem::SmallPadded => {
            vec![("conv1", "bn1", ConvSpec { edges: Edges::Fixed(2), ..conv(3, width, 3, 1) })]
        }
        ResNetStem::Deep { widths: [first, second, _] } => {
            let [first, second] = [first, second].map(|width| width as usize);
            vec![
                ("conv1.0", "conv1.1", conv(3, first, 3, 2)),
                ("conv1.3", "conv1.4", conv(first, second, 3, 1)),
                ("conv1.6", "bn1", conv(second, width, 3, 1)),
            ]
        }
    };
    layers.into_iter().map(|(conv, bn, spec)| ConvBn::build(builder, conv, bn, spec)).collect()
}

impl Network for ResNetNet {
    fn depth(&self) -> usize {
        self.stages.len()
    }

    fn stages(&self, x: Tensor<4>, wanted: &[usize]) -> Vec<Tensor<4>> {
        let x = self.stem.iter().fold(x, |x, conv| relu(conv.forward(x)));
        let x = match self.pool {
            StemPool::None => x,
            StemPool::Max(edges) => max_pool(x, 3, 2, edges),
            // timm has no maxima there before means of 2×2 pixels.
            StemPool::Antialiased(Antialias::AvgPool) => halve(x, false),
            StemPool::Antialiased(_) => blur(max_pool(x, 3, 1, Edges::Half)),
        };
        after_steps(x, wanted, |i, x| self.stages[i - 1].iter().fold(x, |x, block| block.forward(x)))
    }

    fn prepare(&mut self, _image: ImageSize) {
        self.stem.iter_mut().for_each(ConvBn::fold);
        for block in self.stages.iter_mut().flatten() {
            block.convs.iter_mut().chain(&mut block.downsample).for_each(ConvBn::fold);
        }
    }
}

impl Residual {
    fn build(builder: &mut Builder<'_>, spec: &ResNet, (stage, i): (usize, u32), input: usize) -> Self {
        let name = format!("layer{}.{i}", stage + 1);
        let is_first = stage > 0 && i == 0;
        let stride = if is_first { spec.stride(stage + 1) / spec.stride(stage) } else { 1 };
        let output = spec.channels(stage + 1);
        let build = |(j, conv)| ConvBn::build(builder, &format!("{name}.conv{j}"), &format!("{name}.bn{j}"), conv);
        let convs: Vec<ConvBn> = (1..).zip(convs(spec, (stage, is_first), stride, input)).map(build).collect();
        let squeeze = spec.squeeze.map(|divisor| {
            let inner = divisible(output as f64 / f64::from(divisor), 8, 0.0);
            let names = ["fc1", "fc2"];
            let spec = SqueezeSpec { channels: [output, inner], names, activation: Activation::Relu, is_hard: false };
            SqueezeExcite::build(builder, &format!("{name}.se"), spec)
        });
        let is_pooled = spec.shortcut == Shortcut::AvgPool && stride > 1;
        let downsample = spec.has_shortcut(stage, i).then(|| {
            let stride = if is_pooled { 1 } else { stride };
            let shortcut = ConvSpec { stride, edges: spec.padding.conv(), ..ConvSpec::new(input, output, 1, 1) };
            let [conv, bn] = spec.shortcut.names();
            ConvBn::build(builder, &format!("{name}.downsample.{conv}"), &format!("{name}.downsample.{bn}"), shortcut)
        });
        let strided = if spec.block == ResNetBlock::Basic { 0 } else { 1 };
        let is_antialiased = stride > 1 && spec.antialias() != Antialias::Plain;
        let antialias = is_antialiased.then(|| (strided, spec.antialias()));
        Self { convs, squeeze, downsample, is_pooled, antialias }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let last = self.convs.len() - 1;
        let mut y = x.clone();
        for (i, conv) in self.convs[..last].iter().enumerate() {
            y = relu(conv.forward(y));
            y = match self.antialias {
                Some((at, Antialias::AvgPool)) if at == i => halve(y, false),
                Some((at, Antialias::Blur)) if at == i => blur(y),
                _ => y,
            };
        }
        y = self.convs[last].forward(y);
        if let Some(squeeze) = &self.squeeze {
            y = squeeze.forward(y);
        }
        let x = if self.is_pooled { halve(x, true) } else { x };
        let shortcut = match &self.downsample {
            Some(conv) => conv.forward(x),
            None => x,
        };
        relu(y + shortcut)
    }
}

/// The convolutions of a block of this stage; the first block of a later stage takes the step.
fn convs(spec: &ResNet, (stage, is_first): (usize, bool), stride: usize, input: usize) -> Vec<ConvSpec> {
    let (inner, output) = (spec.inner(stage), spec.channels(stage + 1));
    let conv = |[a, b]: [usize; 2], kernel| ConvSpec { edges: spec.padding.conv(), ..ConvSpec::new(a, b, kernel, 1) };
    // What is antialiased takes its step after the convolution.
    let step = if spec.antialias() == Antialias::Plain { stride } else { 1 };
    // The convolution that has the stride, or would have it, sees the map of the stage before and is as dilated as that.
    let dilation = spec.dilation(if is_first { stage - 1 } else { stage });
    match spec.block {
        ResNetBlock::Basic => vec![
            ConvSpec { stride: step, dilation, ..conv([input, output], 3) },
            ConvSpec { dilation: spec.dilation(stage), ..conv([output, output], 3) },
        ],
        ResNetBlock::Bottleneck => {
            let steps = if spec.stride_in == StrideIn::Conv1 { [step, 1] } else { [1, step] };
            vec![
                ConvSpec { stride: steps[0], ..conv([input, inner], 1) },
                ConvSpec { stride: steps[1], groups: spec.groups as usize, dilation, ..conv([inner, inner], 3) },
                conv([inner, output], 1),
            ]
        }
    }
}
