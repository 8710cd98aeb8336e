//! Swin transformers (Liu et al. 2021) and Swin V2 (Liu et al. 2022).
//!
//! Names follow timm (`patch_embed.proj`, `layers.1.downsample.reduction`, `layers.0.blocks.0.attn.qkv`, …, `norm`, `head.fc`), but
//! for the biases of version 2, which are `attn.qkv.bias` as in torchvision. Those of torchvision, of the authors and of Hugging
//! Face are translated in `names`.
//!
//! Maps that windows do not fit are padded before they are shifted, as torchvision and the authors' code for detection do it.
//! timm's networks take images of one size, for which that makes no difference.

mod names;
mod net;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::architecture::{Architecture, StageInfo};
use super::reading::Shapes;
use super::{Backbone, Net, Origin, Unsaid};
use crate::builder::Builder;
use crate::input::ImageSize;
use assay_weights::{Checkpoint, Naming};

pub use net::SwinNet;

/// Side of a patch, in pixels.
const PATCH: usize = 4;

/// Size of a Swin transformer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SwinSize {
    /// Four stages with 2, 2, 6 and 2 blocks; 96 channels and 3 heads in the first.
    Tiny,
    /// Four stages with 2, 2, 18 and 2 blocks; 96 channels and 3 heads in the first.
    Small,
    /// Four stages with 2, 2, 18 and 2 blocks; 128 channels and 4 heads in the first.
    Base,
    /// Four stages with 2, 2, 18 and 2 blocks; 192 channels and 6 heads in the first.
    Large,
    /// Any other size.
    Custom {
        /// Number of blocks in each of the four stages.
        depths: [u32; 4],
        /// Number of channels of the first stage; each later stage has twice as many as the one before.
        width: u32,
        /// Number of attention heads of the first stage; each later stage has twice as many as the one before.
        heads: u32,
    },
}

/// Parameters of a Swin transformer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Swin {
    /// Size of the network.
    pub size: SwinSize,
    /// Side of the windows of attention, in patches. Default: 7.
    #[serde(default = "seven")]
    pub window: u32,
}

/// Parameters of a Swin V2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SwinV2 {
    /// Size of the network.
    pub size: SwinSize,
    /// Side of the windows of attention, in patches; tensors do not tell it. Default: 8, for files in the names of torchvision; of
    /// all others it must be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<u32>,
    /// Side of the images that the checkpoint was trained on, in pixels: where its last maps are smaller than a window, windows
    /// are smaller. Default: 256.
    #[serde(default = "image_256")]
    pub trained_at: u32,
    /// Side of the windows before the checkpoint was trained with larger ones: 12 where it is called `window12to16`. Default: that
    /// of `window`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pretrained_window: Option<u32>,
}

fn seven() -> u32 {
    7
}

fn image_256() -> u32 {
    256
}

/// Parameters that both versions have.
#[derive(Clone)]
pub struct Spec {
    depths: [u32; 4],
    width: usize,
    heads: usize,
    /// Of each stage.
    windows: [usize; 4],
    /// True for version 2.
    is_v2: bool,
    /// Windows of each stage by which version 2 measures distances.
    known_windows: [usize; 4],
    /// What is written of version 2.
    written: Option<SwinV2>,
}

impl SwinSize {
    const NAMED: [Self; 4] = [Self::Tiny, Self::Small, Self::Base, Self::Large];

    fn shape(&self) -> ([u32; 4], usize, usize) {
        match self {
            Self::Tiny => ([2, 2, 6, 2], 96, 3),
            Self::Small => ([2, 2, 18, 2], 96, 3),
            Self::Base => ([2, 2, 18, 2], 128, 4),
            Self::Large => ([2, 2, 18, 2], 192, 6),
            Self::Custom { depths, width, heads } => (*depths, *width as usize, *heads as usize),
        }
    }
}

impl From<&Swin> for Spec {
    fn from(spec: &Swin) -> Self {
        let (depths, width, heads) = spec.size.shape();
        let windows = [spec.window as usize; 4];
        Self { depths, width, heads, windows, is_v2: false, known_windows: windows, written: None }
    }
}

impl From<&SwinV2> for Spec {
    fn from(spec: &SwinV2) -> Self {
        let (depths, width, heads) = spec.size.shape();
        let window = spec.window.unwrap_or(8) as usize;
        let windows = [0, 1, 2, 3].map(|stage| window.min(spec.trained_at as usize / (PATCH << stage)));
        let known_windows = match spec.pretrained_window.map(|window| window as usize) {
            // The last maps were half a window then.
            Some(window) => [window, window, window, window / 2],
            None => windows,
        };
        Self { depths, width, heads, windows, is_v2: true, known_windows, written: Some(spec.clone()) }
    }
}

impl Architecture for Spec {
    fn name(&self) -> &'static str {
        if self.is_v2 { "SwinV2" } else { "Swin" }
    }

    fn build(&self, builder: &mut Builder<'_>) -> Option<Net> {
        Some(Net::Swin(SwinNet::build(builder, self)))
    }

    fn stages(&self) -> Vec<StageInfo> {
        let stage = |i| StageInfo {
            name: format!("layer{}", i + 1),
            channels: self.width << i,
            stride: PATCH << i,
            rounds_up: false,
        };
        (0..4).map(stage).collect()
    }

    /// Patches round down, and what is merged of them up.
    fn map_size(&self, stage: &StageInfo, image: ImageSize) -> ImageSize {
        image.map(|side| (side / PATCH).div_ceil(stage.stride / PATCH))
    }

    /// The hidden layer of a block, or the weights of its attention.
    fn largest_map(&self, image: ImageSize) -> usize {
        let map = |(i, stage): (usize, &StageInfo)| {
            let window = self.windows[i].max(1);
            let padded = self.map_size(stage, image).map(|side| side.next_multiple_of(window)).area();
            padded * (4 * stage.channels).max((self.heads << i) * window * window)
        };
        self.stages().iter().enumerate().map(map).max().unwrap_or(0)
    }

    fn min_image_size(&self) -> usize {
        PATCH
    }

    /// The norm at the end is that of each place before they are pooled.
    fn goes_on_after_stages(&self) -> bool {
        true
    }

    fn classifier(&self) -> Option<&'static str> {
        Some("head.fc")
    }

    fn namings(&self) -> Vec<Naming> {
        names::all(self.is_v2)
    }

    /// The token for hidden patches, of SimMIM.
    fn ignored(&self) -> &'static [&'static str] {
        &["mask_token", "decoder"]
    }

    fn reading(&self, origin: &Origin) -> Result<Option<String>, Unsaid> {
        self.written.as_ref().map_or(Ok(None), |spec| reading(spec, origin))
    }

    fn invalid_because(&self) -> Option<&'static str> {
        let is_multiple = self.heads > 0 && self.width.is_multiple_of(self.heads);
        if self.depths.iter().any(|d| !(1..=200).contains(d)) || !(1..=2048).contains(&self.width) {
            Some("`depths` must be from 1 to 200, and `width` from 1 to 2048")
        } else if !is_multiple {
            Some("`width` must be a multiple of `heads`")
        } else if self.windows.iter().chain(&self.known_windows).any(|window| !(1..=64).contains(window)) {
            Some("`window` must be from 1 to 64, and `trained_at` at least 32")
        } else {
            None
        }
    }
}

/// How the tensors of version 2 are read, which do not tell the windows.
fn reading(spec: &SwinV2, told: &Origin) -> Result<Option<String>, Unsaid> {
    let error = |question: String, help: &str| Err(Unsaid { question, help: help.to_owned() });
    if let (Some(word), None) = (told.word_with(&["window12to"]), spec.pretrained_window) {
        let what = format!("it is called {word:?}: its distances are measured by the windows of its first training");
        return error(what, "say `pretrained_window: 12`, and the `window` and `trained_at` of the second training");
    }
    let Some(window) = spec.window else {
        let is_certain = told.naming.as_deref() == Some("torchvision");
        return if is_certain {
            Ok(None)
        } else {
            let what = "tensors do not tell the side of the windows of a SwinV2".to_owned();
            error(what, "say `window`, and `trained_at` where it is not 256: timm's names have both, as in window8_256")
        };
    };
    Ok(Some(format!("read with windows of {window} patches, trained on images of {} pixels", spec.trained_at)))
}

/// The Swin transformer whose tensors are in the file.
pub fn infer(checkpoint: &Checkpoint) -> Option<Backbone> {
    let number = |n: usize| u32::try_from(n).ok();
    let shapes = Shapes::beside("layers.0.blocks.0.attn.qkv.weight", checkpoint, &names::all(false))?;
    let depths = [0, 1, 2, 3].map(|stage| shapes.count(|i| format!("layers.{stage}.blocks.{i}.attn.qkv.weight")));
    let width = number(*shapes.of("layers.0.blocks.0.attn.qkv.weight")?.get(1)?)?;
    let of_size = |heads| {
        let named = SwinSize::NAMED.into_iter().find(|size| size.shape() == (depths, width as usize, heads as usize));
        named.unwrap_or(SwinSize::Custom { depths, width, heads })
    };
    let backbone = match shapes.of("layers.0.blocks.0.attn.relative_position_bias_table") {
        Some([places, heads]) => {
            let window = number(places.isqrt().div_ceil(2))?;
            Backbone::Swin(Swin { size: of_size(number(*heads)?), window })
        }
        _ => {
            let heads = number(shapes.first("layers.0.blocks.0.attn.logit_scale")?)?;
            Backbone::SwinV2(SwinV2 { size: of_size(heads), window: None, trained_at: 256, pretrained_window: None })
        }
    };
    Some(backbone).filter(|backbone| backbone.invalid_because().is_none())
}
