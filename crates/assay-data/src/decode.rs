//! Image files to pixels, with the mode conversions that Pillow makes.

use std::io;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::formats;

/// Version of decoded and resized pixels, which is in every key that depends on them. Raise it whenever the same file and the
/// same [`ImageSpec`](crate::ImageSpec) give other pixels, or an image is refused that was not, or the reverse.
pub const PIXELS: u32 = 3; // 1 – decoders in Rust for JPEG; 2 – libjpeg; 3 – modes of all containers as Pillow 13

/// The values of a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Color {
    /// Shades of grey: luma by ITU-R 601-2, as Pillow's mode `L`; one channel.
    Grey,
    /// Red, green and blue; three channels.
    Rgb,
}

impl Color {
    /// Counts the values in a pixel.
    pub fn channels(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
        }
    }
}

/// Reasons why an image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file could not be read at all.
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    /// The file is empty.
    #[error("the file is empty")]
    Empty,
    /// The content is no image of a known format.
    #[error("its content is not an image (JPEG, PNG, GIF, WebP, TIFF, BMP, PNM, ICO, TGA or QOI){0}")]
    NotAnImage(String),
    /// The image is of a kind that is not read.
    #[error("{0}")]
    NotRead(String),
    /// The image is too large to be decoded safely.
    #[error("it is too large: {0}")]
    TooLarge(String),
    /// The image is damaged.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// The content is not what the plan was made with.
    #[error("its content is not what it was when the experiment was planned; nothing was kept of this step: run again")]
    Changed,
    /// The preprocessing does not apply to an image of this size.
    #[error("{0}")]
    Unsuitable(String),
}

impl ImageError {
    /// Tells whether the content itself is at fault, so that the same bytes fail again. A file that changed, or could not be read
    /// this time, says nothing about the image that was planned.
    pub fn is_of_the_content(&self) -> bool {
        !matches!(self, Self::Unreadable(_) | Self::Changed)
    }
}

/// Decoded pixels, row by row, channels last, 8 bits each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Channels: 1 or 3.
    pub channels: usize,
    /// height × width × channels values.
    pub data: Vec<u8>,
}

/// An image with a longer side is refused.
pub(crate) const MAX_SIDE_PX: u32 = 32_768;
/// An image whose pixels take more memory is refused.
pub(crate) const MAX_BYTES: u64 = 1 << 30;

impl Picture {
    /// Decodes an image file, as `PIL.Image.open(..).convert(..)` of Pillow 13 does: alpha is dropped, palettes are looked up,
    /// grey of 16 bits is clipped to 255 and colours of 16 bits keep their upper 8, of an animation the first frame is taken,
    /// and rotation by EXIF is ignored, but for the orientation of a TIFF.
    ///
    /// # Errors
    /// When the bytes are no image, one that is not read, a damaged one, or one too large.
    pub fn decode(bytes: &[u8], color: Color) -> Result<Self, ImageError> {
        if bytes.is_empty() {
            return Err(ImageError::Empty);
        }
        Ok(formats::decode(bytes, color)?.into_color(color))
    }

    /// Converts the picture to `color`: grey from RGB by (19595 R + 38470 G + 7471 B + 2¹⁵) / 2¹⁶, as Pillow's `rgb2l`.
    pub fn into_color(self, color: Color) -> Self {
        let data = match (self.channels, color) {
            (1, Color::Grey) | (3, Color::Rgb) => return self,
            (1, Color::Rgb) => self.data.iter().flat_map(|v| [*v; 3]).collect(),
            _ => self.data.chunks_exact(3).map(luma).collect(),
        };
        Self { channels: color.channels(), data, ..self }
    }
}

fn luma(rgb: &[u8]) -> u8 {
    let [r, g, b] = [rgb[0], rgb[1], rgb[2]].map(u32::from);
    ((19_595 * r + 38_470 * g + 7_471 * b + 0x8000) >> 16) as u8
}
