//! MobileNetV3 (Howard et al. 2019).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::architecture::{Architecture, StageInfo};
use super::efficientnet::stages;
use super::mbconv::{BlockSpec, Kind, Library, MbNet, Plan, reading};
use super::{Backbone, Net, Origin, Unsaid};
use crate::builder::Builder;
use crate::input::ImageSize;
use crate::layers::{Activation, divisible};
use assay_weights::{Checkpoint, Naming};

/// Size of a MobileNetV3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MobileNetV3Size {
    /// 1024 features.
    Small,
    /// 1280 features.
    Large,
}

/// Parameters of a MobileNetV3. Features are those of the layer before the classifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MobileNetV3 {
    /// Size of the network.
    pub size: MobileNetV3Size,
    /// Library that the weights were trained with, whose padding and epsilon tensors do not tell. Default: `Torchvision`, for
    /// files in its names; of all others it must be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library: Option<Library>,
}

/// Channels after the first convolution.
const STEM: usize = 16;

/// Blocks: kernel, step, channels inside and out, whether channels are weighed.
type Block = (usize, usize, usize, usize, bool);

/// The groups of timm; those before the number have ReLU.
const SMALL: (&[&[Block]], usize) = (
    &[
        &[(3, 2, 16, 16, true)],
        &[(3, 2, 72, 24, false), (3, 1, 88, 24, false)],
        &[(5, 2, 96, 40, true), (5, 1, 240, 40, true), (5, 1, 240, 40, true)],
        &[(5, 1, 120, 48, true), (5, 1, 144, 48, true)],
        &[(5, 2, 288, 96, true), (5, 1, 576, 96, true), (5, 1, 576, 96, true)],
    ],
    2,
);
const LARGE: (&[&[Block]], usize) = (
    &[
        &[(3, 1, 16, 16, false)],
        &[(3, 2, 64, 24, false), (3, 1, 72, 24, false)],
        &[(5, 2, 72, 40, true), (5, 1, 120, 40, true), (5, 1, 120, 40, true)],
        &[(3, 2, 240, 80, false), (3, 1, 200, 80, false), (3, 1, 184, 80, false), (3, 1, 184, 80, false)],
        &[(3, 1, 480, 112, true), (3, 1, 672, 112, true)],
        &[(5, 2, 672, 160, true), (5, 1, 960, 160, true), (5, 1, 960, 160, true)],
    ],
    3,
);

impl MobileNetV3 {
    fn plan(&self) -> Plan {
        let ((shape, with_relu), hidden) = match self.size {
            MobileNetV3Size::Small => (SMALL, 1024),
            MobileNetV3Size::Large => (LARGE, 1280),
        };
        let mut input = STEM;
        let mut groups: Vec<Vec<BlockSpec>> = Vec::new();
        for (i, blocks) in shape.iter().enumerate() {
            let activation = if i < with_relu { Activation::Relu } else { Activation::HardSwish };
            let mut group = Vec::new();
            for (kernel, stride, inner, output, squeeze) in blocks.iter().copied() {
                let kind = if i == 0 { Kind::Depthwise } else { Kind::Inverted };
                let squeeze = squeeze.then(|| divisible((inner / 4) as f64, 8, 0.9));
                group.push(BlockSpec { kind, kernel, stride, channels: [input, inner, output], squeeze, activation });
                input = output;
            }
            groups.push(group);
        }
        groups.push(vec![BlockSpec {
            kind: Kind::Plain,
            kernel: 1,
            stride: 1,
            channels: [input, input, 6 * input],
            squeeze: None,
            activation: Activation::HardSwish,
        }]);
        Plan {
            stem: STEM,
            groups,
            activation: Activation::HardSwish,
            is_hard: true,
            head: None,
            hidden: Some(hidden),
            library: self.library.unwrap_or(Library::Torchvision),
            epsilon: 1e-3,
        }
    }
}

impl Architecture for MobileNetV3 {
    fn name(&self) -> &'static str {
        "MobileNetV3"
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

    /// A layer comes after the pool.
    fn goes_on_after_stages(&self) -> bool {
        true
    }

    fn end_channels(&self) -> Option<usize> {
        self.plan().hidden
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

/// Both sizes, where a file has a name that these networks have.
pub fn candidates(checkpoint: &Checkpoint) -> Vec<Backbone> {
    let is_first = |name: &String| name.ends_with("conv_stem.weight") || name.ends_with("features.0.0.weight");
    if !checkpoint.tensors.keys().any(is_first) {
        return Vec::new();
    }
    let sizes = [MobileNetV3Size::Small, MobileNetV3Size::Large];
    sizes.map(|size| Backbone::MobileNetV3(MobileNetV3 { size, library: None })).into()
}
