//! Targa: grey, palettes, 16, 24 and 32 bits, plain or in run lengths, rows from either end.

use super::fields::Fields;
use super::modes::{check_size, grey_of_bits, keep_first, look_up, picture, rgb_555, unpacked};
use crate::decode::{ImageError, Picture};

const HEADER: usize = 18;

/// Tells whether a file may be a Targa, which has no signature: the fields of its header must all make sense.
pub(super) fn may_be_targa(bytes: &[u8]) -> bool {
    let Some(header) = bytes.get(..HEADER) else { return false };
    let (kind, depth) = (header[2], header[16]);
    let is_known = matches!((kind & !8, depth), (1, 8) | (2, 16 | 24 | 32) | (3, 1 | 8 | 16));
    let has_size = header[12..14] != [0; 2] && header[14..16] != [0; 2];
    let map_fits = if header[1] == 1 { matches!(header[7], 16 | 24 | 32) } else { kind & !8 != 1 };
    header[1] <= 1 && is_known && has_size && map_fits
}

/// Decodes a Targa.
pub(super) fn decode(bytes: &[u8]) -> Result<Picture, ImageError> {
    let fields = Fields::little(bytes);
    let (kind, depth, flags) = (fields.u8(2)?, usize::from(fields.u8(16)?), fields.u8(17)?);
    let (width, height) = check_size(u64::from(fields.u16(12)?), u64::from(fields.u16(14)?))?;
    let mut at = HEADER + usize::from(fields.u8(0)?);
    let mut colors = Vec::new();
    if fields.u8(1)? == 1 {
        let (first, count, bits) = (fields.u16(3)?, usize::from(fields.u16(5)?), usize::from(fields.u8(7)?));
        let entry = bits.div_ceil(8).max(1);
        colors.resize(usize::from(first), [0; 3]);
        colors.extend(fields.at_most(at, count * entry).chunks_exact(entry).map(color));
        at += count * entry;
    }
    let stride = (width * depth).div_ceil(8);
    let rows = if kind & 8 == 0 {
        fields.slice(at, stride * height)?.to_vec()
    } else {
        unpack_runs(bytes.get(at..).unwrap_or_default(), depth.div_ceil(8), stride, height)?
    };
    let (channels, mut data) = match (kind & !8, depth) {
        (1, _) => (3, rows.iter().flat_map(|v| look_up(&colors, *v)).collect()),
        (2, _) => (3, rows.chunks_exact(depth / 8).flat_map(color).collect()),
        (_, 1) => {
            (1, rows.chunks_exact(stride).flat_map(|row| unpacked(row, 1, width)).map(|v| grey_of_bits(v, 1)).collect())
        }
        (_, 16) => (1, keep_first(&rows, 2, 1)),
        _ => (1, rows),
    };
    let row = width * channels;
    if flags & 0x20 == 0 {
        data = data.chunks_exact(row).rev().flatten().copied().collect::<Vec<u8>>();
    }
    if flags & 0x10 != 0 {
        data = data.chunks_exact(row).flat_map(|r| r.chunks_exact(channels).rev().flatten()).copied().collect();
    }
    picture((width, height), channels, data)
}

/// A colour of two, three or four bytes, blue first.
fn color(bytes: &[u8]) -> [u8; 3] {
    match *bytes {
        [low, high] => rgb_555(u16::from_le_bytes([low, high])),
        [blue, green, red, ..] => [red, green, blue],
        _ => [0; 3],
    }
}

/// Unpacks run lengths. A run that goes on in the next row is damage, values that do are not, as for Pillow.
fn unpack_runs(bytes: &[u8], pixel: usize, stride: usize, height: usize) -> Result<Vec<u8>, ImageError> {
    let length = stride * height;
    let mut out = Vec::new();
    let mut rest = bytes;
    while out.len() < length {
        let Some((&head, after)) = rest.split_first() else { break };
        let count = usize::from(head & 0x7f) + 1;
        let is_run = head & 0x80 != 0;
        if is_run && out.len() % stride + count * pixel > stride {
            return Err(ImageError::Damaged("a run in it goes beyond the end of its row".to_owned()));
        }
        let taken = if is_run { pixel } else { count * pixel };
        let Some((values, after)) = after.split_at_checked(taken) else { break };
        out.extend(values.iter().cycle().take(count * pixel));
        rest = after;
    }
    if out.len() < length {
        return Err(ImageError::Damaged(format!("its runs make {} bytes, and {length} are needed", out.len())));
    }
    out.truncate(length);
    Ok(out)
}
