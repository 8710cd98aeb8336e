//! GIF: the first frame on its canvas, as `PIL.Image.open` gives it.

use weezl::BitOrder;
use weezl::decode::Decoder;

use super::fields::Fields;
use super::lzw;
use super::modes::{check_size, look_up, picture};
use crate::decode::{ImageError, Picture};

/// Bytes of the description of the screen.
const SCREEN: usize = 13;

/// Decodes a file that begins with `GIF87a` or `GIF89a`.
pub(super) fn decode(bytes: &[u8]) -> Result<Picture, ImageError> {
    let fields = Fields::little(bytes);
    let screen = (fields.u16(6)?, fields.u16(8)?);
    let (global, mut at) = palette(fields, SCREEN, fields.u8(10)?);
    let mut transparent = None;
    loop {
        match fields.u8(at)? {
            b',' => break,
            b';' => return Err(ImageError::Damaged("it has no frame".to_owned())),
            b'!' => {
                let is_control = fields.u8(at + 1)? == 249;
                if is_control && fields.u8(at + 2)? >= 4 && fields.u8(at + 3)? & 1 == 1 {
                    transparent = Some(fields.u8(at + 6)?);
                }
                at = blocks(bytes, at + 2, |_| {});
            }
            _ => at += 1,
        }
    }
    let frame = [1, 3, 5, 7].map(|place| fields.u16(at + place).map(usize::from));
    let [left, top, width, height] = frame;
    let (left, top, width, height) = (left?, top?, width?, height?);
    check_size(width as u64, height as u64)?;
    let size = (usize::from(screen.0).max(left + width), usize::from(screen.1).max(top + height));
    check_size(size.0 as u64, size.1 as u64)?;
    let flags = fields.u8(at + 9)?;
    let (local, at) = palette(fields, at + 10, flags);
    let colors = local.or(global);
    let indices = unpack(bytes, at, width * height)?;
    let mut canvas = vec![transparent.unwrap_or(0); size.0 * size.1];
    for (row, y) in indices.chunks_exact(width).zip(rows(height, flags & 0x40 != 0)) {
        canvas[(top + y) * size.0 + left..][..width].copy_from_slice(row);
    }
    match colors {
        None => picture(size, 1, canvas),
        Some(colors) => picture(size, 3, canvas.iter().flat_map(|v| look_up(&colors, *v)).collect()),
    }
}

/// Reads a palette, if the flags say that there is one, and tells where it ends.
fn palette(fields: Fields<'_>, at: usize, flags: u8) -> (Option<Vec<[u8; 3]>>, usize) {
    if flags & 0x80 == 0 {
        return (None, at);
    }
    let length = 3 << ((flags & 7) + 1);
    let colors = fields.at_most(at, length).chunks_exact(3).map(|c| [c[0], c[1], c[2]]).collect();
    (Some(colors), at + length)
}

/// Walks over blocks that each begin with their length, and tells where they end. One that is cut off is left out.
fn blocks<'a>(bytes: &'a [u8], mut at: usize, mut each: impl FnMut(&'a [u8])) -> usize {
    while let Some(length) = bytes.get(at).map(|b| usize::from(*b)).filter(|length| *length > 0) {
        let Some(block) = bytes.get(at + 1..at + 1 + length) else { break };
        each(block);
        at += 1 + length;
    }
    at + 1
}

/// Unpacks the values of `count` pixels.
fn unpack(bytes: &[u8], at: usize, count: usize) -> Result<Vec<u8>, ImageError> {
    let bits = Fields::little(bytes).u8(at)?;
    if bits > 8 {
        return Err(ImageError::Damaged(format!("its codes begin with {bits} bits")));
    }
    let mut packed = Vec::new();
    blocks(bytes, at + 1, |block| packed.extend_from_slice(block));
    lzw::unpack(Decoder::new(BitOrder::Lsb, bits), &packed, count)
}

/// The order in which rows come.
fn rows(height: usize, is_interlaced: bool) -> Vec<usize> {
    if !is_interlaced {
        return (0..height).collect();
    }
    [(0, 8), (4, 8), (2, 4), (1, 2)].into_iter().flat_map(|(first, step)| (first..height).step_by(step)).collect()
}
