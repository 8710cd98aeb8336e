//! What Pillow makes of the values of its modes when it converts them to RGB or grey.
//!
//! Each function is the arithmetic of one mode; which file has which mode is for its decoder to say.

use crate::decode::{ImageError, MAX_BYTES, MAX_SIDE_PX, Picture};

/// Checks the size of a picture before any memory is taken for it.
///
/// # Errors
/// When a side is zero, or the picture is too large to be decoded safely.
pub(super) fn check_size(width: u64, height: u64) -> Result<(usize, usize), ImageError> {
    if width == 0 || height == 0 {
        return Err(ImageError::Damaged(format!("it has {width}×{height} pixels")));
    }
    if width.max(height) > u64::from(MAX_SIDE_PX) || width * height * 3 > MAX_BYTES {
        return Err(ImageError::TooLarge(format!(
            "{width}×{height} pixels; at most {MAX_SIDE_PX} pixels a side and {MAX_BYTES} bytes are decoded"
        )));
    }
    Ok((width as usize, height as usize))
}

/// Makes a picture of rows of one or three channels.
///
/// # Errors
/// When there are fewer values than pixels.
pub(super) fn picture(size: (usize, usize), channels: usize, mut data: Vec<u8>) -> Result<Picture, ImageError> {
    let (width, height) = size;
    let needed = width * height * channels;
    if data.len() < needed {
        return Err(ImageError::Damaged(format!("it has {} values, and {needed} are needed", data.len())));
    }
    data.truncate(needed);
    Ok(Picture { width, height, channels, data })
}

/// Takes the first `kept` of every `channels` values.
pub(super) fn keep_first(data: &[u8], channels: usize, kept: usize) -> Vec<u8> {
    data.chunks_exact(channels).flat_map(|pixel| &pixel[..kept]).copied().collect()
}

/// Modes `I` and `I;16`: values are clipped, not scaled.
pub(super) fn clip(value: i64) -> u8 {
    value.clamp(0, 255) as u8
}

/// Mode `F`: the fraction is dropped, then values are clipped; what is no number is 0.
pub(super) fn clip_float(value: f32) -> u8 {
    value as u8
}

/// A × B / 255, rounded as Pillow's `MULDIV255` rounds it.
fn times(a: u8, b: u8) -> u8 {
    let product = u32::from(a) * u32::from(b) + 128;
    (((product >> 8) + product) >> 8) as u8
}

/// Mode `CMYK`, where 255 is full ink.
pub(super) fn cmyk(pixel: &[u8]) -> [u8; 3] {
    let light = 255 - pixel[3];
    [0, 1, 2].map(|ink| light - times(pixel[ink], light))
}

/// Mode `YCbCr`: tables of the JFIF factors with six fractional bits, as Pillow has them.
pub(super) fn ycbcr(pixel: &[u8]) -> [u8; 3] {
    let part = |value: u8, factor: f64| ((f64::from(value) - 128.0) * factor * 64.0 + 0.5) as i64;
    let (y, cb, cr) = (i64::from(pixel[0]), pixel[1], pixel[2]);
    let green = part(cb, -0.34414) + part(cr, -0.71414);
    [y + (part(cr, 1.402) >> 6), y + (green >> 6), y + (part(cb, 1.772) >> 6)].map(clip)
}

/// Mode `RGBa`: colours that were multiplied by alpha are divided by it; where alpha is 0, they stay as they are.
pub(super) fn unmultiplied(value: u8, alpha: u8) -> u8 {
    match alpha {
        0 | 255 => value,
        _ => (255 * u32::from(value) / u32::from(alpha)).min(255) as u8,
    }
}

/// A field of five or six bits of a pixel of sixteen, stretched to 255.
pub(super) fn stretched(value: u16, shift: u32, bits: u32) -> u8 {
    let most = (1u32 << bits) - 1;
    ((u32::from(value >> shift) & most) * 255 / most) as u8
}

/// Three fields of five bits, blue lowest.
pub(super) fn rgb_555(value: u16) -> [u8; 3] {
    [stretched(value, 10, 5), stretched(value, 5, 5), stretched(value, 0, 5)]
}

/// Three fields of five, six and five bits, blue lowest.
pub(super) fn rgb_565(value: u16) -> [u8; 3] {
    [stretched(value, 11, 5), stretched(value, 5, 6), stretched(value, 0, 5)]
}

/// Values of 1, 2, 4 or 8 bits, the first in the highest bits of a byte.
pub(super) fn unpacked(row: &[u8], bits: usize, count: usize) -> impl Iterator<Item = u8> + '_ {
    let mask = (0xffu16 >> (8 - bits)) as u8;
    (0..count).map(move |i| {
        let at = i * bits;
        row.get(at / 8).map_or(0, |byte| byte >> (8 - bits - at % 8) & mask)
    })
}

/// Grey of 1, 2, 4 or 8 bits, stretched to 255.
pub(super) fn grey_of_bits(value: u8, bits: usize) -> u8 {
    value * (255 / ((1u16 << bits) - 1)) as u8
}

/// Colours that a value stands for; one beyond the end of the palette is black.
pub(super) fn look_up(palette: &[[u8; 3]], value: u8) -> [u8; 3] {
    palette.get(usize::from(value)).copied().unwrap_or_default()
}
