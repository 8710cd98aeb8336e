//! TIFF and BigTIFF, the first page: strips or tiles, one plane or several, the kinds of pixels that Pillow reads.
//!
//! Pillow turns a TIFF as its orientation says, of all containers only this one; so do we.

mod compression;
mod directory;
mod pixels;

use compression::Compression;
use directory::{Directory, tag};
use pixels::Kind;

use super::modes::check_size;
use crate::decode::{Color, ImageError, MAX_BYTES, Picture};

/// Where the values of a TIFF are, and in what form.
struct Layout {
    size: (usize, usize),
    kind: Kind,
    /// Values of a pixel.
    samples: usize,
    /// Bits of a value.
    bits: usize,
    /// Tells whether each channel lies by itself.
    is_planar: bool,
    compression: Compression,
    /// Width and height of a strip or tile.
    chunk: (usize, usize),
    offsets: Vec<u64>,
    lengths: Vec<u64>,
}

/// Tells whether a file begins as a TIFF.
pub(super) fn is_tiff(bytes: &[u8]) -> bool {
    Directory::order(bytes).is_some()
}

/// Decodes the first page of a TIFF.
pub(super) fn decode(bytes: &[u8], color: Color) -> Result<Picture, ImageError> {
    let directory = Directory::first(bytes)?;
    let layout = Layout::read(&directory)?;
    let data = layout.unpack(&directory)?;
    let picture = pixels::picture(&layout, &directory, &data, color)?;
    Ok(oriented(picture, directory.one(tag::ORIENTATION)?.unwrap_or(1)))
}

impl Layout {
    fn read(directory: &Directory<'_>) -> Result<Self, ImageError> {
        let needed = |tag: u16, what: &str| {
            directory.one(tag)?.ok_or_else(|| ImageError::Damaged(format!("it does not say its {what}")))
        };
        let size = check_size(needed(tag::WIDTH, "width")?, needed(tag::HEIGHT, "height")?)?;
        let compression = Compression::read(directory)?;
        let is_planar = directory.one(tag::PLANES)?.unwrap_or(1) == 2;
        let (kind, samples, bits) = pixels::kind(directory, is_planar)?;
        if kind == Kind::YCbCr && !compression.is_plain() && !compression.is_jpeg() {
            return Err(ImageError::NotRead("a TIFF with packed YCbCr is not read".to_owned()));
        }
        let is_tiled = directory.one(tag::TILE_OFFSETS)?.is_some() && directory.one(tag::STRIP_OFFSETS)?.is_none();
        let (offsets, lengths, chunk) = if is_tiled {
            let side = |tag: u16| Ok::<_, ImageError>(directory.one(tag)?.unwrap_or(0));
            let chunk = check_size(side(tag::TILE_WIDTH)?, side(tag::TILE_HEIGHT)?)?;
            (tag::TILE_OFFSETS, tag::TILE_LENGTHS, chunk)
        } else {
            let rows = directory.one(tag::ROWS_PER_STRIP)?.unwrap_or(u64::MAX).min(size.1 as u64);
            (tag::STRIP_OFFSETS, tag::STRIP_LENGTHS, check_size(size.0 as u64, rows)?)
        };
        let list = |tag: u16| Ok::<_, ImageError>(directory.list(tag)?.unwrap_or_default());
        let (offsets, lengths) = (list(offsets)?, list(lengths)?);
        Ok(Self { size, kind, samples, bits, is_planar, compression, chunk, offsets, lengths })
    }

    /// Counts the values of a pixel in one plane.
    fn samples_together(&self) -> usize {
        if self.is_planar { 1 } else { self.samples }
    }

    /// Counts the bytes of a row of a plane.
    fn row_bytes(&self, width: usize) -> usize {
        (width * self.samples_together() * self.bits).div_ceil(8)
    }

    /// Unpacks all pixels: rows that each begin with a byte of their own, the values of a pixel side by side.
    fn unpack(&self, directory: &Directory<'_>) -> Result<Vec<u8>, ImageError> {
        let (width, height) = self.size;
        let planes = if self.is_planar { self.samples } else { 1 };
        let (across, down) = (width.div_ceil(self.chunk.0), height.div_ceil(self.chunk.1));
        if self.offsets.len() < across * down * planes {
            return Err(ImageError::Damaged(format!(
                "it names {} strips or tiles, and {} are needed",
                self.offsets.len(),
                across * down * planes
            )));
        }
        let stride = self.row_bytes(width);
        if ((stride * height * planes) as u64) > MAX_BYTES
            || across > 1 && self.row_bytes(self.chunk.0) * 8 != self.chunk.0 * self.samples_together() * self.bits
        {
            return Err(ImageError::TooLarge("its tiles, or its pixels".to_owned()));
        }
        let mut all = Vec::new();
        for plane in 0..planes {
            let mut rows = vec![0; stride * height];
            for part in 0..across * down {
                let (x, y) = (part % across * self.chunk.0, part / across * self.chunk.1);
                let is_tiled = across > 1 || self.chunk.0 != width;
                let chunk_rows = if is_tiled { self.chunk.1 } else { self.chunk.1.min(height - y) };
                let chunk = self.chunk(directory, plane * across * down + part, chunk_rows)?;
                let chunk_stride = self.row_bytes(self.chunk.0);
                let (from, taken) = (self.row_bytes(x), self.row_bytes(width) - self.row_bytes(x));
                for (row, to) in chunk.chunks_exact(chunk_stride).zip(rows[y * stride..].chunks_exact_mut(stride)) {
                    let taken = taken.min(chunk_stride);
                    to[from..from + taken].copy_from_slice(&row[..taken]);
                }
            }
            all.push(rows);
        }
        Ok(if planes == 1 { all.swap_remove(0) } else { interleaved(&all, self.bits.div_ceil(8)) })
    }

    /// Unpacks a strip or tile of so many rows.
    fn chunk(&self, directory: &Directory<'_>, number: usize, rows: usize) -> Result<Vec<u8>, ImageError> {
        let needed = self.row_bytes(self.chunk.0) * rows;
        if needed as u64 > MAX_BYTES {
            return Err(ImageError::TooLarge(format!("a strip or tile of {needed} bytes")));
        }
        let at = usize::try_from(self.offsets[number]).unwrap_or(usize::MAX);
        let length = if self.compression.is_plain() {
            needed
        } else {
            self.lengths.get(number).map_or(usize::MAX, |length| usize::try_from(*length).unwrap_or(usize::MAX))
        };
        let packed = directory.fields.at_most(at, length);
        let chunk = self.compression.unpack(packed, self, (self.chunk.0, rows), directory)?;
        if chunk.len() < needed {
            return Err(ImageError::Damaged(format!(
                "strip or tile {number} has {} bytes, and {needed} are needed",
                chunk.len()
            )));
        }
        Ok(chunk)
    }
}

/// Puts the values of planes side by side.
fn interleaved(planes: &[Vec<u8>], step: usize) -> Vec<u8> {
    let values = planes[0].len() / step;
    (0..values).flat_map(|i| planes.iter().flat_map(move |plane| &plane[i * step..(i + 1) * step])).copied().collect()
}

/// Turns a picture as the number of an orientation says.
fn oriented(picture: Picture, orientation: u64) -> Picture {
    let (w, h, c) = (picture.width, picture.height, picture.channels);
    let (width, height) = if (5..=8).contains(&orientation) { (h, w) } else { (w, h) };
    let from: fn(usize, usize, usize, usize) -> (usize, usize) = match orientation {
        2 => |x, y, w, _| (w - 1 - x, y),
        3 => |x, y, w, h| (w - 1 - x, h - 1 - y),
        4 => |x, y, _, h| (x, h - 1 - y),
        5 => |x, y, _, _| (y, x),
        6 => |x, y, _, h| (y, h - 1 - x),
        7 => |x, y, w, h| (w - 1 - y, h - 1 - x),
        8 => |x, y, w, _| (w - 1 - y, x),
        _ => return picture,
    };
    let mut data = Vec::with_capacity(picture.data.len());
    for y in 0..height {
        for x in 0..width {
            let (x, y) = from(x, y, w, h);
            data.extend_from_slice(&picture.data[(y * w + x) * c..][..c]);
        }
    }
    Picture { width, height, channels: c, data }
}
