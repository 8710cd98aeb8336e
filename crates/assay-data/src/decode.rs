//! Image files to pixels, with the mode conversions that Pillow makes.

use std::borrow::Cow;
use std::io::{self, Cursor};

use image::{DynamicImage, ImageReader, Limits};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::jpeg;
use crate::png_chunks::without_profiles;

/// Version of decoded and resized pixels, which is in every key that depends on them. Raise it whenever the same file and the
/// same [`ImageSpec`](crate::ImageSpec) give other pixels, or an image is refused that was not, or the reverse.
pub const PIXELS: u32 = 2; // 1 – decoders in Rust for JPEG; 2 – libjpeg

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
    #[error("its content is not an image (PNG, JPEG, BMP, WebP or TIFF){0}")]
    NotAnImage(String),
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
    /// Decodes an image file. Alpha is dropped, palettes are looked up, 16 bits become the upper 8, and EXIF rotation is
    /// ignored, as `PIL.Image.open(..).convert(..)` does.
    ///
    /// # Errors
    /// When the bytes are no image, a damaged one, or one too large.
    pub fn decode(bytes: &[u8], color: Color) -> Result<Self, ImageError> {
        if bytes.is_empty() {
            return Err(ImageError::Empty);
        }
        if bytes.starts_with(&[0xff, 0xd8])
            && let Some(picture) = jpeg::decode(bytes)?
        {
            return Ok(picture.into_color(color));
        }
        if is_empty_bitmap(bytes) {
            return Err(ImageError::Damaged("it has no pixels".to_owned()));
        }
        let bytes = if bytes.starts_with(b"\x89PNG") { without_profiles(bytes) } else { Cow::Borrowed(bytes) };
        let mut reader =
            ImageReader::new(Cursor::new(&*bytes)).with_guessed_format().map_err(ImageError::Unreadable)?;
        if reader.format().is_none() {
            let text = bytes.iter().take(64).all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace());
            return Err(ImageError::NotAnImage(if text { ", it is text".to_owned() } else { String::new() }));
        }
        let mut limits = Limits::default();
        limits.max_image_width = Some(MAX_SIDE_PX);
        limits.max_image_height = Some(MAX_SIDE_PX);
        limits.max_alloc = Some(MAX_BYTES);
        reader.limits(limits);
        let decoded = reader.decode().map_err(|error| match error {
            image::ImageError::Limits(limit) => ImageError::TooLarge(format!(
                "{limit}; at most {MAX_SIDE_PX} pixels a side and {MAX_BYTES} bytes are decoded"
            )),
            image::ImageError::Unsupported(error) => ImageError::NotAnImage(format!(", {error}")),
            other => ImageError::Damaged(other.to_string()),
        })?;
        if decoded.width() == 0 || decoded.height() == 0 {
            return Err(ImageError::Damaged(format!("it has {}×{} pixels", decoded.width(), decoded.height())));
        }
        Ok(Self::from_dynamic(decoded).into_color(color))
    }

    fn from_dynamic(image: DynamicImage) -> Self {
        let (width, height) = (image.width() as usize, image.height() as usize);
        let upper = |data: Vec<u16>| data.into_iter().map(|v| (v >> 8) as u8).collect::<Vec<u8>>();
        let (channels, data): (usize, Vec<u8>) = match image {
            DynamicImage::ImageLuma8(buffer) => (1, buffer.into_raw()),
            DynamicImage::ImageLumaA8(buffer) => (1, drop_last(buffer.as_raw(), 2)),
            DynamicImage::ImageRgb8(buffer) => (3, buffer.into_raw()),
            DynamicImage::ImageRgba8(buffer) => (3, drop_last(buffer.as_raw(), 4)),
            DynamicImage::ImageLuma16(buffer) => (1, upper(buffer.into_raw())),
            DynamicImage::ImageLumaA16(buffer) => (1, drop_last(&upper(buffer.into_raw()), 2)),
            DynamicImage::ImageRgb16(buffer) => (3, upper(buffer.into_raw())),
            DynamicImage::ImageRgba16(buffer) => (3, drop_last(&upper(buffer.into_raw()), 4)),
            other => (3, other.into_rgb8().into_raw()),
        };
        Self { width, height, channels, data }
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

/// Tells whether it is a BMP without width or height, which the decoder calls a feature that it does not have.
fn is_empty_bitmap(bytes: &[u8]) -> bool {
    let is_zero = |at: usize| bytes.get(at..at + 4) == Some(&[0; 4]);
    bytes.starts_with(b"BM") && (is_zero(18) || is_zero(22))
}

fn luma(rgb: &[u8]) -> u8 {
    let [r, g, b] = [rgb[0], rgb[1], rgb[2]].map(u32::from);
    ((19_595 * r + 38_470 * g + 7_471 * b + 0x8000) >> 16) as u8
}

fn drop_last(data: &[u8], channels: usize) -> Vec<u8> {
    data.chunks_exact(channels).flat_map(|pixel| &pixel[..channels - 1]).copied().collect()
}
