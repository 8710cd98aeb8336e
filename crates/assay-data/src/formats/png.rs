//! PNG: every depth and colour type, interlaced or not; of an animation, the picture that a reader without animation shows.

use std::io::Cursor;

use png::{BitDepth, ColorType, DecodeOptions, DecodingError, Limits, Transformations};

use super::modes::{check_size, clip, grey_of_bits, keep_first, look_up, picture, unpacked};
use super::png_chunks::essential;
use crate::decode::{ImageError, MAX_BYTES, Picture};

/// The bytes that a PNG begins with.
pub(crate) const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// The values of a PNG as they are stored: palettes are not looked up.
pub(crate) struct RawPng {
    pub width: usize,
    pub height: usize,
    pub color: ColorType,
    pub depth: BitDepth,
    /// Rows that each begin with a byte of their own.
    pub data: Vec<u8>,
    palette: Vec<[u8; 3]>,
}

impl RawPng {
    /// Unpacks a PNG. Transparency, profiles and gamma are ignored.
    ///
    /// # Errors
    /// When it is damaged or too large.
    pub fn decode(bytes: &[u8]) -> Result<Self, ImageError> {
        let damaged = |error: DecodingError| match error {
            DecodingError::LimitsExceeded => ImageError::TooLarge(format!("more than {MAX_BYTES} bytes")),
            other => ImageError::Damaged(other.to_string()),
        };
        let bytes = essential(bytes)?;
        let mut options = DecodeOptions::default();
        options.set_ignore_adler32(false);
        let mut decoder = png::Decoder::new_with_options(Cursor::new(&bytes), options);
        decoder.set_limits(Limits { bytes: MAX_BYTES as usize });
        decoder.set_transformations(Transformations::IDENTITY);
        let header = decoder.read_header_info().map_err(damaged)?;
        let (width, height) = check_size(u64::from(header.width), u64::from(header.height))?;
        let mut reader = decoder.read_info().map_err(damaged)?;
        let length = reader.output_buffer_size().filter(|length| *length as u64 <= MAX_BYTES);
        let mut data = vec![0; length.ok_or_else(|| ImageError::TooLarge(format!("more than {MAX_BYTES} bytes")))?];
        let info = reader.next_frame(&mut data).map_err(damaged)?;
        // The stream of pixels ends with a checksum over them.
        reader.finish().map_err(damaged)?;
        data.truncate(info.buffer_size());
        let colors = reader.info().palette.as_deref().unwrap_or_default();
        let palette = colors.chunks_exact(3).map(|c| [c[0], c[1], c[2]]).collect();
        Ok(Self { width, height, color: info.color_type, depth: info.bit_depth, data, palette })
    }

    /// Gives one value a pixel of up to 8 bits, of a PNG of one channel.
    pub fn values(&self) -> impl Iterator<Item = u8> + '_ {
        let bits = self.depth as usize;
        let rows = self.data.chunks_exact((self.width * bits).div_ceil(8));
        rows.flat_map(move |row| unpacked(row, bits, self.width))
    }

    /// The upper bytes of values of 16 bits, or all of them.
    fn upper(self) -> Vec<u8> {
        if self.depth == BitDepth::Sixteen { self.data.into_iter().step_by(2).collect() } else { self.data }
    }
}

/// Decodes a PNG. Of 16 bits, grey is clipped and colours keep their upper 8, as with Pillow's modes `I;16` and `RGB;16B`.
pub(super) fn decode(bytes: &[u8]) -> Result<Picture, ImageError> {
    let raw = RawPng::decode(bytes)?;
    let size = (raw.width, raw.height);
    let bits = raw.depth as usize;
    let (channels, data) = match raw.color {
        ColorType::Grayscale if bits == 16 => {
            let values = raw.data.chunks_exact(2).map(|v| clip(i64::from(u16::from_be_bytes([v[0], v[1]]))));
            (1, values.collect())
        }
        ColorType::Grayscale => (1, raw.values().map(|v| grey_of_bits(v, bits)).collect()),
        ColorType::Indexed => (3, raw.values().flat_map(|v| look_up(&raw.palette, v)).collect()),
        ColorType::GrayscaleAlpha => (1, keep_first(&raw.upper(), 2, 1)),
        ColorType::Rgb => (3, raw.upper()),
        ColorType::Rgba => (3, keep_first(&raw.upper(), 4, 3)),
    };
    picture(size, channels, data)
}
