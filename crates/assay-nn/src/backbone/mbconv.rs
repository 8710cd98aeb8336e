//! Networks of inverted residual blocks (Sandler et al. 2018; Tan and Le 2019): what EfficientNet and MobileNetV3 have in common.
//!
//! Names follow timm: `conv_stem`, `bn1`, `blocks.S.B.conv_pw`, `conv_dw`, `conv_pwl`, `se.conv_reduce`, …, `conv_head`.

use std::collections::HashMap;

use burn::module::Module;
use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::architecture::{Network, after_steps};
use super::names::{Layout, Tensors, renamed};
use super::{Origin, Unsaid};
use crate::builder::Builder;
use crate::input::ImageSize;
use crate::layers::{Activation, Conv, ConvBn, ConvSpec, Edges, SqueezeExcite, SqueezeSpec};
use assay_weights::{Naming, Translated};

/// Library that weights were trained with, where libraries pad and normalise otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Library {
    /// torchvision: padding of torch; 0.001 is added to variances by MobileNetV3, EfficientNetV2 and EfficientNet-B5 and larger,
    /// 0.00001 by the others.
    Torchvision,
    /// timm's own training: padding of torch; 0.00001 is added to variances.
    Timm,
    /// TensorFlow, whose weights timm calls `tf_…`: padding `SAME`; 0.001 is added to variances.
    TensorFlow,
}

impl Library {
    /// Padding of convolutions.
    fn edges(self) -> Edges {
        if self == Self::TensorFlow { Edges::Same } else { Edges::Half }
    }

    /// Number that is added to variances, for weights of which torchvision adds `torchvision`.
    fn epsilon(self, torchvision: f64) -> f64 {
        match self {
            Self::Torchvision => torchvision,
            Self::Timm => 1e-5,
            Self::TensorFlow => 1e-3,
        }
    }
}

/// Kind of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One convolution.
    Plain,
    /// A convolution that widens and one of 1×1 that narrows.
    Fused,
    /// One convolution for each channel, and one of 1×1.
    Depthwise,
    /// `Depthwise` after a convolution of 1×1 that widens.
    Inverted,
}

/// A block.
#[derive(Clone, Copy, Debug)]
pub struct BlockSpec {
    /// Kind of block.
    pub kind: Kind,
    /// Side of the kernel that is not 1×1.
    pub kernel: usize,
    /// Step, in pixels.
    pub stride: usize,
    /// Channels that go in, are inside, and come out.
    pub channels: [usize; 3],
    /// Channels between the layers that weigh channels; absent where there are none.
    pub squeeze: Option<usize>,
    /// Function after its convolutions, but for the last of several.
    pub activation: Activation,
}

/// A network of such blocks.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Channels after the first convolution.
    pub stem: usize,
    /// The blocks, in the groups that timm has.
    pub groups: Vec<Vec<BlockSpec>>,
    /// Function after the first and the last convolution.
    pub activation: Activation,
    /// True if the weights of channels come from a sigmoid of straight pieces.
    pub is_hard: bool,
    /// Channels of the convolution after the blocks.
    pub head: Option<usize>,
    /// Channels of a layer after the pool.
    pub hidden: Option<usize>,
    /// Library that the weights were trained with.
    pub library: Library,
    /// Number that torchvision adds to variances.
    pub epsilon: f64,
}

impl Plan {
    fn blocks(&self) -> impl Iterator<Item = &BlockSpec> {
        self.groups.iter().flatten()
    }

    /// Channels of the last map.
    fn last_channels(&self) -> usize {
        self.head.unwrap_or_else(|| self.blocks().last().map_or(self.stem, |block| block.channels[2]))
    }

    /// Numbers of the groups after which maps have strides of 4, 8 and 16, the last of each, and the end, with their channels.
    pub fn stages(&self) -> Vec<(usize, usize)> {
        let mut stages = Vec::new();
        let mut stride = 2;
        for (i, group) in self.groups.iter().enumerate() {
            let steps = group.iter().map(|block| block.stride).product::<usize>();
            if steps > 1 && stride >= 4 {
                stages.push((i, self.groups[i - 1].last().map_or(0, |block| block.channels[2])));
            }
            stride *= steps;
        }
        stages.push((self.groups.len(), self.last_channels()));
        stages
    }

    /// Numbers in the largest map of an image.
    pub fn largest_map(&self, image: ImageSize) -> usize {
        let area = |stride| image.map(|side| side.div_ceil(stride)).area();
        let mut stride = 2;
        let mut largest = self.stem * area(stride);
        for block in self.blocks() {
            let widest = block.channels[1].max(block.channels[2]);
            let begin = if block.kind == Kind::Inverted { stride } else { stride * block.stride };
            largest = largest.max(widest * area(begin));
            stride *= block.stride;
        }
        largest.max(self.last_channels() * area(stride))
    }

    /// Names of the layers as timm has them, with those of torchvision and of `efficientnet_pytorch`.
    fn names(&self) -> Vec<[String; 3]> {
        let mut all = vec![
            ["conv_stem", "features.0.0", "_conv_stem"].map(str::to_owned),
            ["bn1", "features.0.1", "_bn0"].map(str::to_owned),
        ];
        let is_flat = self.hidden.is_some();
        let mut count = 0;
        for (i, group) in self.groups.iter().enumerate() {
            for (j, block) in group.iter().enumerate() {
                // torchvision's MobileNetV3 numbers blocks through, and has the last convolution outside of them.
                let is_last = is_flat && i + 1 == self.groups.len();
                let theirs = match (is_last, is_flat) {
                    (true, _) => format!("features.{}", count + 1),
                    (false, true) => format!("features.{}.block.", count + 1),
                    (false, false) => format!("features.{}.{j}.block.", i + 1),
                };
                all.extend(block.names(&format!("blocks.{i}.{j}"), &theirs, &format!("_blocks.{count}")));
                count += 1;
            }
        }
        let head = if is_flat { "classifier.0".to_owned() } else { format!("features.{}.0", self.groups.len() + 1) };
        all.push(["conv_head".to_owned(), head, "_conv_head".to_owned()]);
        all.push(["bn2".to_owned(), format!("features.{}.1", self.groups.len() + 1), "_bn1".to_owned()]);
        let classifier = if is_flat { "classifier.3" } else { "classifier.1" };
        all.push(["classifier", classifier, "_fc"].map(str::to_owned));
        all
    }

    /// The names of other libraries.
    pub fn namings(&self) -> Vec<Naming> {
        let names = self.names();
        let table = |theirs: usize| names.iter().map(|all| (all[theirs].clone(), all[0].clone())).collect();
        let (torchvision, pytorch) = (table(1), table(2));
        vec![
            Naming {
                name: TORCHVISION,
                advice: None,
                translate: Box::new(move |tensors| translated(tensors, "features.0.0.weight", &torchvision)),
            },
            Naming {
                name: "efficientnet_pytorch",
                advice: None,
                translate: Box::new(move |tensors| translated(tensors, "_conv_stem.weight", &pytorch)),
            },
        ]
    }
}

/// The name of torchvision's naming.
const TORCHVISION: &str = "torchvision";

/// Renames layers by a table of names, whatever is before them, where `anchor` is among the tensors.
pub fn translated<'t>(tensors: &'t Tensors, anchor: &str, table: &HashMap<String, String>) -> Option<Translated<'t>> {
    let is_anchor =
        |name: &String| name.strip_suffix(anchor).is_some_and(|root| root.is_empty() || root.ends_with('.'));
    tensors.keys().any(is_anchor).then_some(())?;
    let rule = |name: &str| {
        let (layer, leaf) = name.rsplit_once('.')?;
        let starts = std::iter::once(0).chain(layer.match_indices('.').map(|(i, _)| i + 1));
        let (start, ours) = starts.filter_map(|start| Some((start, table.get(&layer[start..])?))).next()?;
        // What is a matrix in one library is a kernel of 1×1 in the other.
        let layout = if ours == "conv_head" && leaf == "weight" { Layout::Kernel } else { Layout::Same };
        Some((format!("{}{ours}.{leaf}", &layer[..start]), layout))
    };
    Some(renamed(tensors, rule))
}

/// How the tensors of such a network are read.
///
/// # Errors
/// When the library is not written, and the names of the tensors do not tell it.
pub fn reading(library: Option<Library>, told: &Origin) -> Result<Option<String>, Unsaid> {
    const TENSORFLOW: &str = "`SAME` padding and an epsilon of 0.001";
    let word = told.word_with(&["efficientnet", "mobilenet"]);
    let says_tf = told.word_with(&["tf_", "tf-"]).is_some();
    let naming = told.naming.as_deref();
    let problem = match (library, naming) {
        (Some(Library::Timm | Library::Torchvision), _) if says_tf => {
            "is called tf_…, as timm calls weights of TensorFlow, and another `library` is written"
        }
        (Some(Library::TensorFlow), None) if word.is_some() && !says_tf => {
            return Ok(Some(format!(
                "read with {TENSORFLOW}, although it is not called tf_…, as timm calls weights of TensorFlow"
            )));
        }
        (Some(library), _) => {
            return Ok(Some(match library {
                Library::TensorFlow => format!("read as trained by TensorFlow, with {TENSORFLOW}"),
                Library::Timm => {
                    "read as trained by timm, with the padding of torch and an epsilon of 0.00001".to_owned()
                }
                Library::Torchvision => "read as trained by torchvision, with its padding and epsilons".to_owned(),
            }));
        }
        (None, Some(TORCHVISION)) => return Ok(None),
        (None, Some(_)) => "has the names of efficientnet_pytorch, whose weights come from TensorFlow as a rule",
        (None, None) => {
            "has the names of timm, whose weights come from TensorFlow or from its own training, with other \
                         padding and another epsilon; their tensors are the same"
        }
    };
    let likely = if says_tf || naming.is_some_and(|naming| naming != TORCHVISION) {
        "`library: TensorFlow`, with which it agrees"
    } else {
        "`library: Timm`, or `library: TensorFlow` if timm calls it tf_…"
    };
    Err(Unsaid { question: format!("it {problem}"), help: format!("say who trained it: {likely}") })
}

impl BlockSpec {
    /// Names of its layers below these in timm, torchvision and `efficientnet_pytorch`.
    fn names(&self, timm: &str, torchvision: &str, pytorch: &str) -> Vec<[String; 3]> {
        let layers: &[[&str; 4]] = match self.kind {
            Kind::Plain => &[["conv", "bn1", "", ""]],
            Kind::Fused => &[["conv_exp", "bn1", "", ""], ["conv_pwl", "bn2", "", ""]],
            Kind::Depthwise => {
                &[["conv_dw", "bn1", "_depthwise_conv", "_bn1"], ["conv_pw", "bn2", "_project_conv", "_bn2"]]
            }
            Kind::Inverted => &[
                ["conv_pw", "bn1", "_expand_conv", "_bn0"],
                ["conv_dw", "bn2", "_depthwise_conv", "_bn1"],
                ["conv_pwl", "bn3", "_project_conv", "_bn2"],
            ],
        };
        let last = layers.len() - 1;
        let mut all = Vec::new();
        for (i, [conv, bn, theirs, their_bn]) in layers.iter().enumerate() {
            let at = i + usize::from(i == last && self.squeeze.is_some());
            // One convolution alone has no number of its own where it is outside of the blocks.
            let at = if torchvision.ends_with('.') { format!("{torchvision}{at}") } else { torchvision.to_owned() };
            all.push([format!("{timm}.{conv}"), format!("{at}.0"), format!("{pytorch}.{theirs}")]);
            all.push([format!("{timm}.{bn}"), format!("{at}.1"), format!("{pytorch}.{their_bn}")]);
        }
        if self.squeeze.is_some() {
            let at = format!("{torchvision}{last}");
            all.push([format!("{timm}.se.conv_reduce"), format!("{at}.fc1"), format!("{pytorch}._se_reduce")]);
            all.push([format!("{timm}.se.conv_expand"), format!("{at}.fc2"), format!("{pytorch}._se_expand")]);
        }
        all
    }
}

/// The network.
#[derive(Module, Debug)]
pub struct MbNet {
    stem: ConvBn,
    groups: Vec<Vec<Block>>,
    head: Option<ConvBn>,
    hidden: Option<Conv>,
    #[module(skip)]
    activation: Activation,
    /// Numbers of the groups at which stages end.
    #[module(skip)]
    ends: Vec<usize>,
}

#[derive(Module, Debug)]
struct Block {
    convs: Vec<ConvBn>,
    squeeze: Option<SqueezeExcite>,
    #[module(skip)]
    activation: Activation,
    is_residual: bool,
}

impl MbNet {
    /// Builds the network.
    pub fn build(builder: &mut Builder<'_>, plan: &Plan) -> Self {
        let (edges, epsilon) = (plan.library.edges(), plan.library.epsilon(plan.epsilon));
        let stem = ConvSpec { edges, epsilon, ..ConvSpec::new(3, plan.stem, 3, 2) };
        let stem = ConvBn::build(builder, "conv_stem", "bn1", stem);
        let mut groups = Vec::new();
        for (i, group) in plan.groups.iter().enumerate() {
            let block = |(j, spec)| Block::build(builder, &format!("blocks.{i}.{j}"), spec, plan);
            groups.push(group.iter().enumerate().map(block).collect());
        }
        let input = plan.blocks().last().map_or(plan.stem, |block| block.channels[2]);
        let head = plan.head.map(|output| {
            ConvBn::build(builder, "conv_head", "bn2", ConvSpec { epsilon, ..ConvSpec::new(input, output, 1, 1) })
        });
        let hidden = plan.hidden.map(|output| {
            Conv::build(builder, "conv_head", ConvSpec { bias: true, ..ConvSpec::new(input, output, 1, 1) })
        });
        let ends = plan.stages().into_iter().map(|(end, _)| end).collect();
        Self { stem, groups, head, hidden, activation: plan.activation, ends }
    }

    fn stage(&self, i: usize, x: Tensor<4>) -> Tensor<4> {
        let begin = i.checked_sub(1).map_or(0, |before| self.ends[before]);
        let x = self.groups[begin..self.ends[i]].iter().flatten().fold(x, |x, block| block.forward(x));
        match &self.head {
            Some(head) if i + 1 == self.ends.len() => self.activation.apply(head.forward(x)),
            _ => x,
        }
    }
}

impl Network for MbNet {
    fn depth(&self) -> usize {
        self.ends.len()
    }

    fn stages(&self, x: Tensor<4>, wanted: &[usize]) -> Vec<Tensor<4>> {
        after_steps(self.activation.apply(self.stem.forward(x)), wanted, |i, x| self.stage(i - 1, x))
    }

    fn prepare(&mut self, _image: ImageSize) {
        self.stem.fold();
        self.groups.iter_mut().flatten().flat_map(|block| &mut block.convs).for_each(ConvBn::fold);
        self.head.iter_mut().for_each(ConvBn::fold);
    }

    fn finish(&self, features: Tensor<2>) -> Tensor<2> {
        let Some(hidden) = &self.hidden else { return features };
        let [b, d] = features.dims();
        let hidden = self.activation.apply(hidden.forward(features.reshape([b, d, 1, 1])));
        let output = hidden.dims()[1];
        hidden.reshape([b, output])
    }
}

impl Block {
    fn build(builder: &mut Builder<'_>, name: &str, spec: &BlockSpec, plan: &Plan) -> Self {
        let (edges, epsilon) = (plan.library.edges(), plan.library.epsilon(plan.epsilon));
        let BlockSpec { kind, kernel, stride, channels: [input, inner, output], .. } = *spec;
        let conv =
            |input, output, kernel, stride| ConvSpec { edges, epsilon, ..ConvSpec::new(input, output, kernel, stride) };
        let depthwise = ConvSpec { groups: inner, ..conv(inner, inner, kernel, stride) };
        let specs = match kind {
            Kind::Plain => vec![conv(input, output, kernel, stride)],
            Kind::Fused => vec![conv(input, inner, kernel, stride), conv(inner, output, 1, 1)],
            Kind::Depthwise => vec![depthwise, conv(inner, output, 1, 1)],
            Kind::Inverted => vec![conv(input, inner, 1, 1), depthwise, conv(inner, output, 1, 1)],
        };
        let names: Vec<String> =
            spec.names(name, ".", "").into_iter().map(|[name, ..]| name).filter(|n| !n.contains(".se.")).collect();
        let build = |(spec, names): (ConvSpec, &[String])| ConvBn::build(builder, &names[0], &names[1], spec);
        let convs = specs.into_iter().zip(names.chunks_exact(2)).map(build).collect();
        let squeeze = spec.squeeze.map(|between| {
            let names = ["conv_reduce", "conv_expand"];
            // MobileNetV3 has ReLU there, whatever it has elsewhere.
            let activation = if plan.is_hard { Activation::Relu } else { spec.activation };
            let spec = SqueezeSpec { channels: [inner, between], names, activation, is_hard: plan.is_hard };
            SqueezeExcite::build(builder, &format!("{name}.se"), spec)
        });
        let is_residual = stride == 1 && input == output && (kind != Kind::Plain || plan.hidden.is_none());
        Self { convs, squeeze, activation: spec.activation, is_residual }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let last = self.convs.len() - 1;
        let mut y = x.clone();
        for (i, conv) in self.convs.iter().enumerate() {
            if let (true, Some(squeeze)) = (i == last, &self.squeeze) {
                y = squeeze.forward(y);
            }
            y = conv.forward(y);
            if i < last || last == 0 {
                y = self.activation.apply(y);
            }
        }
        if self.is_residual { x + y } else { y }
    }
}
