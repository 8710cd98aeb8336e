//! ICO: the largest picture of an icon, a PNG or a bitmap.

use super::fields::Fields;
use super::{bmp, png};
use crate::decode::{ImageError, Picture};

/// Decodes an icon. Its mask is transparency, and is dropped as such.
pub(super) fn decode(bytes: &[u8]) -> Result<Picture, ImageError> {
    let fields = Fields::little(bytes);
    let side = |at: usize| fields.u8(at).map(|side| if side == 0 { 256 } else { u32::from(side) });
    let mut entries = Vec::new();
    for at in (0..usize::from(fields.u16(4)?)).map(|i| 6 + 16 * i) {
        let (colors, bits) = (fields.u8(at + 2)?, fields.u16(at + 6)?);
        let depth = match (bits, colors) {
            (0, 0) => 256,
            (0, colors) => u32::from(colors).next_power_of_two().trailing_zeros().max(1),
            (bits, _) => u32::from(bits),
        };
        entries.push((
            side(at)? * side(at + 1)?,
            depth,
            bits,
            fields.u32(at + 8)? as usize,
            fields.u32(at + 12)? as usize,
        ));
    }
    // The largest; of these, the first with the fewest bits.
    entries.sort_by_key(|(area, depth, ..)| (std::cmp::Reverse(*area), *depth));
    let Some(&(_, _, bits, length, at)) = entries.first() else {
        return Err(ImageError::Damaged("it has no picture".to_owned()));
    };
    let content = bytes.get(at..).unwrap_or_default();
    if content.starts_with(png::SIGNATURE) {
        return png::decode(content);
    }
    let (picture, pixels_at) = bmp::decode_bare(bytes, at, 2)?;
    let (mask_at, mask) = match bits {
        32 => (pixels_at, picture.width * picture.height * 4),
        _ => {
            let mask = picture.width.div_ceil(32) * 4 * picture.height;
            ((at + length).saturating_sub(mask), mask)
        }
    };
    fields.slice(mask_at, mask)?;
    Ok(picture)
}
