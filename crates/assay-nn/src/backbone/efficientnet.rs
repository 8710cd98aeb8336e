//! EfficientNet (Tan and Le 2019) and EfficientNetV2 (Tan and Le 2021).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::architecture::{Architecture, StageInfo};
use super::mbconv::{BlockSpec, Kind, Library, MbNet, Plan, reading};
use super::{Backbone, Net, Origin, Unsaid};
use crate::builder::Builder;
use crate::input::ImageSize;
use crate::layers::{Activation, divisible};
use assay_weights::{Checkpoint, Naming};

/// Size of an EfficientNet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EfficientNetSize {
    /// Made for images of 224×224 pixels.
    B0,
    /// Made for images of 240×240 pixels.
    B1,
    /// Made for images of 260×260 pixels.
    B2,
    /// Made for images of 300×300 pixels.
    B3,
    /// Made for images of 380×380 pixels.
    B4,
    /// Made for images of 456×456 pixels.
    B5,
    /// Made for images of 528×528 pixels.
    B6,
    /// Made for images of 600×600 pixels.
    B7,
    /// Made for images of 672×672 pixels.
    B8,
    /// Made for images of 384×384 pixels.
    V2S,
    /// Made for images of 480×480 pixels.
    V2M,
    /// Made for images of 480×480 pixels.
    V2L,
    /// Made for images of 512×512 pixels.
    V2XL,
    /// Made for images of 224×224 pixels.
    V2B0,
    /// Made for images of 240×240 pixels.
    V2B1,
    /// Made for images of 260×260 pixels.
    V2B2,
    /// Made for images of 300×300 pixels.
    V2B3,
}

/// Parameters of an EfficientNet. It gives 1280 features when `B0`, `B1` or of version 2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EfficientNet {
    /// Size of the network; `V2…` is EfficientNetV2.
    pub size: EfficientNetSize,
    /// Library that the weights were trained with, whose padding and epsilon tensors do not tell. Default: `Torchvision`, for
    /// files in its names; of all others it must be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library: Option<Library>,
}

/// Stages: kind, expansion, kernel, step, channels, blocks.
type Stage = (Kind, usize, usize, usize, usize, usize);

const INVERTED: Kind = Kind::Inverted;
const FUSED: Kind = Kind::Fused;
const PLAIN: Kind = Kind::Plain;

const V1: [Stage; 7] = [
    (Kind::Depthwise, 1, 3, 1, 16, 1),
    (INVERTED, 6, 3, 2, 24, 2),
    (INVERTED, 6, 5, 2, 40, 2),
    (INVERTED, 6, 3, 2, 80, 3),
    (INVERTED, 6, 5, 1, 112, 3),
    (INVERTED, 6, 5, 2, 192, 4),
    (INVERTED, 6, 3, 1, 320, 1),
];

const V2_BASE: [Stage; 6] = [
    (PLAIN, 1, 3, 1, 16, 1),
    (FUSED, 4, 3, 2, 32, 2),
    (FUSED, 4, 3, 2, 48, 2),
    (INVERTED, 4, 3, 2, 96, 3),
    (INVERTED, 6, 3, 1, 112, 5),
    (INVERTED, 6, 3, 2, 192, 8),
];

/// The stages of the larger networks of version 2, from their channels and blocks.
fn v2(shapes: &[(usize, usize)]) -> Vec<Stage> {
    let kinds = [
        (PLAIN, 1, 1),
        (FUSED, 4, 2),
        (FUSED, 4, 2),
        (INVERTED, 4, 2),
        (INVERTED, 6, 1),
        (INVERTED, 6, 2),
        (INVERTED, 6, 1),
    ];
    let stage = |((kind, expansion, stride), (channels, depth)): ((Kind, usize, usize), &(usize, usize))| {
        (kind, expansion, 3, stride, *channels, *depth)
    };
    kinds.into_iter().zip(shapes).map(stage).collect()
}

impl EfficientNetSize {
    const ALL: [Self; 17] = [
        Self::B0,
        Self::B1,
        Self::B2,
        Self::B3,
        Self::B4,
        Self::B5,
        Self::B6,
        Self::B7,
        Self::B8,
        Self::V2S,
        Self::V2M,
        Self::V2L,
        Self::V2XL,
        Self::V2B0,
        Self::V2B1,
        Self::V2B2,
        Self::V2B3,
    ];

    /// Stages, factors on channels and on blocks, and channels after the first convolution before the factor.
    fn shape(self) -> (Vec<Stage>, f64, f64, usize) {
        let v1 = |width, depth| (V1.to_vec(), width, depth, 32);
        let base = |width, depth| (V2_BASE.to_vec(), width, depth, 32);
        match self {
            Self::B0 => v1(1.0, 1.0),
            Self::B1 => v1(1.0, 1.1),
            Self::B2 => v1(1.1, 1.2),
            Self::B3 => v1(1.2, 1.4),
            Self::B4 => v1(1.4, 1.8),
            Self::B5 => v1(1.6, 2.2),
            Self::B6 => v1(1.8, 2.6),
            Self::B7 => v1(2.0, 3.1),
            Self::B8 => v1(2.2, 3.6),
            Self::V2S => (v2(&[(24, 2), (48, 4), (64, 4), (128, 6), (160, 9), (256, 15)]), 1.0, 1.0, 24),
            Self::V2M => (v2(&[(24, 3), (48, 5), (80, 5), (160, 7), (176, 14), (304, 18), (512, 5)]), 1.0, 1.0, 24),
            Self::V2L => (v2(&[(32, 4), (64, 7), (96, 7), (192, 10), (224, 19), (384, 25), (640, 7)]), 1.0, 1.0, 32),
            Self::V2XL => (v2(&[(32, 4), (64, 8), (96, 8), (192, 16), (256, 24), (512, 32), (640, 8)]), 1.0, 1.0, 32),
            Self::V2B0 => base(1.0, 1.0),
            Self::V2B1 => base(1.0, 1.1),
            Self::V2B2 => base(1.1, 1.2),
            Self::V2B3 => base(1.2, 1.4),
        }
    }

    /// Number that torchvision adds to variances.
    fn epsilon(self) -> f64 {
        if self as usize >= Self::B5 as usize { 1e-3 } else { 1e-5 }
    }
}

impl EfficientNet {
    fn plan(&self) -> Plan {
        let (stages, width, depth, stem) = self.size.shape();
        // The small networks of version 2 never round up to keep a tenth.
        let least = if self.size as usize >= EfficientNetSize::V2B0 as usize { 0.0 } else { 0.9 };
        let scaled = |channels: usize| divisible(channels as f64 * width, 8, least);
        let mut input = scaled(stem);
        let mut groups = Vec::new();
        for (kind, expansion, kernel, stride, channels, blocks) in stages {
            let mut group = Vec::new();
            for i in 0..(blocks as f64 * depth).ceil() as usize {
                let squeeze = matches!(kind, Kind::Inverted | Kind::Depthwise)
                    .then(|| (input as f64 / 4.0).round_ties_even() as usize);
                let output = scaled(channels);
                group.push(BlockSpec {
                    kind,
                    kernel,
                    stride: if i == 0 { stride } else { 1 },
                    channels: [input, input * expansion, output],
                    squeeze,
                    activation: Activation::Silu,
                });
                input = output;
            }
            groups.push(group);
        }
        Plan {
            stem: scaled(stem),
            groups,
            activation: Activation::Silu,
            is_hard: false,
            head: Some(scaled(1280)),
            hidden: None,
            library: self.library.unwrap_or(Library::Torchvision),
            epsilon: self.size.epsilon(),
        }
    }
}

impl Architecture for EfficientNet {
    fn name(&self) -> &'static str {
        "EfficientNet"
    }

    fn build(&self, builder: &mut Builder<'_>) -> Option<Net> {
        Some(Net::Mb(MbNet::build(builder, &self.plan())))
    }

    fn stages(&self) -> Vec<StageInfo> {
        stages(&self.plan())
    }

    fn largest_map(&self, image: ImageSize) -> usize {
        self.plan().largest_map(image)
    }

    fn min_image_size(&self) -> usize {
        1
    }

    fn classifier(&self) -> Option<&'static str> {
        Some("classifier")
    }

    fn namings(&self) -> Vec<Naming> {
        self.plan().namings()
    }

    fn reading(&self, origin: &Origin) -> Result<Option<String>, Unsaid> {
        reading(self.library, origin)
    }
}

/// The stages of a network, as their places tell.
pub fn stages(plan: &Plan) -> Vec<StageInfo> {
    let stage = |(i, (_, channels)): (usize, (usize, usize))| StageInfo {
        name: format!("layer{}", i + 1),
        channels,
        stride: 4usize << i,
        rounds_up: true,
    };
    plan.stages().into_iter().enumerate().map(stage).collect()
}

/// All sizes, where a file has a name that these networks have.
pub fn candidates(checkpoint: &Checkpoint) -> Vec<Backbone> {
    let is_first = |name: &String| name.ends_with("conv_stem.weight") || name.ends_with("features.0.0.weight");
    if !checkpoint.tensors.keys().any(is_first) {
        return Vec::new();
    }
    let all = EfficientNetSize::ALL.into_iter();
    all.map(|size| Backbone::EfficientNet(EfficientNet { size, library: None })).collect()
}
