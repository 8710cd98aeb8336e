//! WebP: lossy, lossless, with alpha, and the first frame of an animation.

use std::io::Cursor;

use image_webp::{DecodingError, WebPDecoder};

use super::fields::Fields;
use super::modes::{check_size, keep_first, picture};
use crate::decode::{ImageError, MAX_BYTES, Picture};

/// Decodes a file that begins as RIFF with `WEBP`.
pub(super) fn decode(bytes: &[u8]) -> Result<Picture, ImageError> {
    let damaged = |error: DecodingError| ImageError::Damaged(error.to_string());
    let fields = Fields::little(bytes);
    fields.slice(8, fields.u32(4)? as usize)?;
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(damaged)?;
    decoder.set_memory_limit(MAX_BYTES as usize);
    let (width, height) = decoder.dimensions();
    let size = check_size(u64::from(width), u64::from(height))?;
    let channels = if decoder.has_alpha() { 4 } else { 3 };
    let mut data = vec![0; size.0 * size.1 * channels];
    decoder.read_image(&mut data).map_err(damaged)?;
    picture(size, 3, if channels == 4 { keep_first(&data, 4, 3) } else { data })
}
