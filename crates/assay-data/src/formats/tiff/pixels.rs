//! Kinds of pixels of a TIFF, and what becomes of them. The list is that of Pillow: what is not in it is not read.

use super::Layout;
use super::directory::{Directory, tag};
use crate::decode::{Color, ImageError, Picture};
use crate::formats::modes::{
    clip, clip_float, cmyk, grey_of_bits, look_up, picture as made_of, unmultiplied, unpacked, ycbcr,
};

/// What the values of a pixel are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// Grey of up to 8 bits; `inverted` where 0 is white.
    Grey {
        inverted: bool,
    },
    /// Whole numbers, which are clipped. Pillow does not look at which end is white.
    Whole {
        signed: bool,
    },
    /// Floating numbers, which are clipped.
    Float,
    Palette,
    Rgb,
    /// RGB that is multiplied by alpha.
    Multiplied,
    Cmyk,
    YCbCr,
}

/// Finds the kind of pixels, how many values they have, and the bits of a value.
pub(super) fn kind(directory: &Directory<'_>, is_planar: bool) -> Result<(Kind, usize, usize), ImageError> {
    let list = |tag: u16, default: u64| Ok::<_, ImageError>(directory.list(tag)?.unwrap_or_else(|| vec![default]));
    let photometric = directory.one(tag::PHOTOMETRIC)?.unwrap_or(0);
    let samples = directory.one(tag::SAMPLES)?.unwrap_or(1);
    let bits = list(tag::BITS, 1)?;
    let format = list(tag::SAMPLE_FORMAT, 1)?;
    let extra = directory.list(tag::EXTRA_SAMPLES)?.unwrap_or_default();
    let order = directory.one(tag::FILL_ORDER)?.unwrap_or(1);
    let not_read = || {
        ImageError::NotRead(format!(
            "a TIFF with photometric interpretation {photometric}, {samples} values of {bits:?} bits, sample format {format:?} \
             and extra samples {extra:?} is not read"
        ))
    };
    let same = |list: &[u64]| list.iter().all(|v| Some(v) == list.first());
    if !(1..=6).contains(&samples) || !same(&bits) || !same(&format) || (bits.len() as u64) < samples && bits.len() != 1
    {
        return Err(not_read());
    }
    let big = directory.fields.big_endian;
    let (Some(bits), Some(format)) = (bits.first().copied(), format.first().copied()) else { return Err(not_read()) };
    let colours = match photometric {
        2 | 6 | 8 => 3,
        5 => 4,
        _ => 1,
    };
    // Other channels may be anything at the end; the first may be alpha.
    let ends_in_zeros = extra.iter().skip(1).all(|v| *v == 0);
    let beside = samples.checked_sub(colours).ok_or_else(not_read)?;
    let fits = extra.len() as u64 == beside && ends_in_zeros;
    let alpha = extra.first().copied();
    let kind = match (photometric, beside, bits, format, order) {
        (0 | 1, 0, 1 | 2 | 4 | 8, 1, 1 | 2) if fits => Kind::Grey { inverted: photometric == 0 },
        (1, 0, 8, 2, 1) if fits => Kind::Grey { inverted: false },
        (1, 0, 12, 1, 1) if fits && !big => Kind::Whole { signed: false },
        (0 | 1, 0, 16, 1, 1) if fits && (photometric == 1 || !big) => Kind::Whole { signed: false },
        (1, 0, 16, 1, 2) if fits && !big => Kind::Whole { signed: false },
        (1, 0, 16, 2, 1) if fits => Kind::Whole { signed: true },
        (1, 0, 32, 1, 1) if fits && !big => Kind::Whole { signed: true },
        (1, 0, 32, 2, 1) if fits => Kind::Whole { signed: true },
        (0 | 1, 0, 32, 3, 1) if fits => Kind::Float,
        (1, 1, 8, 1, 1) if fits && matches!(alpha, Some(0 | 2)) => Kind::Grey { inverted: false },
        (2, 0, 8, 1, 1 | 2) | (2, 0, 16, 1, 1) if fits => Kind::Rgb,
        (2, 1, 8 | 16, 1, 1) if extra.is_empty() || alpha == Some(999) && bits == 8 => Kind::Rgb,
        (2, 1..=3, 8, 1, 1) | (2, 1, 16, 1, 1) if fits && alpha == Some(1) => Kind::Multiplied,
        (2, 1..=3, 8, 1, 1) | (2, 1, 16, 1, 1) if fits && matches!(alpha, Some(0 | 2)) => Kind::Rgb,
        (3, 0, 1 | 2 | 4 | 8, 1, 1 | 2) if fits => Kind::Palette,
        (3, 1, 8, 1, 1) if fits && matches!(alpha, Some(0 | 2)) => Kind::Palette,
        (5, 0, 8 | 16, 1, 1) if fits => Kind::Cmyk,
        (5, 1 | 2, 8, 1, 1) if fits && alpha == Some(0) => Kind::Cmyk,
        (6, 0, 8, 1, 1) if fits => Kind::YCbCr,
        _ => return Err(not_read()),
    };
    if is_planar && bits < 8 && samples > 1 {
        return Err(not_read());
    }
    Ok((kind, samples as usize, bits as usize))
}

/// Makes a picture of unpacked values.
pub(super) fn picture(
    layout: &Layout,
    directory: &Directory<'_>,
    data: &[u8],
    color: Color,
) -> Result<Picture, ImageError> {
    let &Layout { size, kind, samples, bits, .. } = layout;
    let big = directory.fields.big_endian;
    let grey = |values: Vec<u8>| made_of(size, 1, values);
    let rgb = |values: Vec<u8>| made_of(size, 3, values);
    let small = || {
        let rows = data.chunks_exact((size.0 * samples * bits).div_ceil(8));
        // Of values of a byte, only the first of a pixel is meant.
        rows.flat_map(|row| unpacked(row, bits, size.0 * samples)).step_by(samples)
    };
    let bytes = || upper(data, bits, big);
    match kind {
        Kind::Grey { inverted } => {
            grey(small().map(|v| grey_of_bits(v, bits)).map(|v| if inverted { 255 - v } else { v }).collect())
        }
        Kind::Whole { .. } if bits == 12 => {
            let rows = data.chunks_exact((size.0 * 12).div_ceil(8));
            grey(rows.flat_map(|row| twelve_bits(row, size.0)).map(|v| clip(i64::from(v))).collect())
        }
        Kind::Whole { signed } => grey(data.chunks_exact(bits / 8).map(|v| clip(whole(v, big, signed))).collect()),
        Kind::Float => {
            grey(data.chunks_exact(4).map(|v| clip_float(f32::from_bits(whole(v, big, false) as u32))).collect())
        }
        Kind::Palette => {
            let colors = palette(directory)?;
            rgb(small().flat_map(|v| look_up(&colors, v)).collect())
        }
        Kind::Rgb => rgb(bytes().chunks_exact(samples).flat_map(|p| [p[0], p[1], p[2]]).collect()),
        Kind::Multiplied => {
            let pixel = |p: &[u8]| [p[0], p[1], p[2]].map(|v| unmultiplied(v, p[3]));
            rgb(bytes().chunks_exact(samples).flat_map(pixel).collect())
        }
        Kind::Cmyk => rgb(bytes().chunks_exact(samples).flat_map(cmyk).collect()),
        // libjpeg has made RGB of them already.
        Kind::YCbCr if layout.compression.is_jpeg() => rgb(data.to_vec()),
        Kind::YCbCr if color == Color::Grey => grey(data.iter().step_by(3).copied().collect()),
        Kind::YCbCr => rgb(data.chunks_exact(3).flat_map(ycbcr).collect()),
    }
}

/// Reads a number of up to four bytes.
fn whole(bytes: &[u8], big: bool, signed: bool) -> i64 {
    let join = |sum: i64, byte: &u8| sum << 8 | i64::from(*byte);
    let value = if big { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) };
    let span = 1i64 << (8 * bytes.len());
    if signed && value >= span / 2 { value - span } else { value }
}

/// Bytes, of values of 16 bits the upper one.
fn upper(data: &[u8], bits: usize, big: bool) -> Vec<u8> {
    if bits == 16 { data.iter().skip(usize::from(!big)).step_by(2).copied().collect() } else { data.to_vec() }
}

/// Values of 12 bits, two in three bytes.
fn twelve_bits(row: &[u8], count: usize) -> impl Iterator<Item = u16> + '_ {
    (0..count).map(move |i| {
        let at = |byte: usize| u16::from(row.get(byte).copied().unwrap_or_default());
        let first = i / 2 * 3;
        if i % 2 == 0 { at(first) << 4 | at(first + 1) >> 4 } else { (at(first + 1) & 15) << 8 | at(first + 2) }
    })
}

/// The palette: all reds, then all greens, then all blues, of 16 bits each.
fn palette(directory: &Directory<'_>) -> Result<Vec<[u8; 3]>, ImageError> {
    let values = directory.list(tag::PALETTE)?;
    let values = values.ok_or_else(|| ImageError::Damaged("it has no palette".to_owned()))?;
    let third = values.len() / 3;
    Ok((0..third)
        .map(|i| [values[i], values[third + i], values[2 * third + i]].map(|v| (v / 256).min(255) as u8))
        .collect())
}
