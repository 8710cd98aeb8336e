//! Windows and OS/2 bitmaps: 1, 4, 8, 16, 24 and 32 bits, run lengths, bit fields, rows from either end.

use super::fields::Fields;
use super::modes::{check_size, look_up, picture, rgb_555, rgb_565, unpacked};
use crate::decode::{ImageError, Picture};

/// Sizes of headers that are known.
const HEADERS: [u32; 7] = [12, 40, 52, 56, 64, 108, 124];
/// Bytes of the header of the file, before that of the bitmap.
const FILE_HEADER: usize = 14;

/// What makes red, green and blue of the bytes of a pixel.
type ToRgb = fn(&[u8]) -> [u8; 3];

/// What the header of a bitmap says.
struct Header {
    size: (usize, usize),
    is_top_down: bool,
    bits: u16,
    compression: u32,
    masks: [u32; 4],
    palette: Vec<[u8; 3]>,
    /// Where the pixels begin.
    pixels_at: usize,
}

/// Tells whether a file begins with the header of a bitmap, without that of a file.
pub(super) fn is_bare_bitmap(bytes: &[u8]) -> bool {
    Fields::little(bytes).u32(0).is_ok_and(|size| HEADERS.contains(&size))
}

/// Decodes a file that begins with `BM`.
pub(super) fn decode(bytes: &[u8]) -> Result<Picture, ImageError> {
    let offset = Fields::little(bytes).u32(10)? as usize;
    let header = Header::read(bytes, FILE_HEADER, offset, 1)?;
    header.decode(bytes)
}

/// Decodes a bitmap whose header begins at `at`. `shares` is 2 in icons, where the height counts a mask too.
///
/// Returns the pixels, and where they begin in the file.
pub(super) fn decode_bare(bytes: &[u8], at: usize, shares: u32) -> Result<(Picture, usize), ImageError> {
    let header = Header::read(bytes, at, 0, shares)?;
    Ok((header.decode(bytes)?, header.pixels_at))
}

impl Header {
    fn read(bytes: &[u8], at: usize, offset: usize, shares: u32) -> Result<Self, ImageError> {
        let fields = Fields::little(bytes);
        let length = fields.u32(at)?;
        if !HEADERS.contains(&length) {
            return Err(ImageError::NotRead(format!("a BMP with a header of {length} bytes is not read")));
        }
        fields.slice(at, length as usize)?;
        let mut next = at + length as usize;
        let is_old = length == 12;
        let (width, height, bits) = if is_old {
            (u32::from(fields.u16(at + 4)?), u32::from(fields.u16(at + 6)?), fields.u16(at + 10)?)
        } else {
            (fields.u32(at + 4)?, fields.u32(at + 8)?, fields.u16(at + 14)?)
        };
        let is_top_down = !is_old && height >> 24 == 0xff;
        let height = if is_top_down { height.wrapping_neg() } else { height };
        let (compression, colors) = if is_old { (0, 0) } else { (fields.u32(at + 16)?, fields.u32(at + 32)?) };
        let mut masks = [0; 4];
        if compression == 3 {
            // The masks follow a header of 40 bytes, and are part of a longer one.
            let count = if length >= 56 { 4 } else { 3 };
            for (i, mask) in masks.iter_mut().enumerate().take(count) {
                *mask = fields.u32(at + 40 + 4 * i)?;
            }
            next = next.max(at + 52);
        }
        let size = check_size(u64::from(width), u64::from(height / shares))?;
        let (palette, after) = palette(fields, next, bits, colors, if is_old { 3 } else { 4 })?;
        let pixels_at = match offset {
            0 => after,
            // The colours are passed over where the file says that pixels follow its header at once.
            _ if offset == FILE_HEADER + length as usize => after.max(offset),
            _ => offset,
        };
        Ok(Self { size, is_top_down, bits, compression, masks, palette, pixels_at })
    }

    fn decode(&self, bytes: &[u8]) -> Result<Picture, ImageError> {
        let (width, height) = self.size;
        let to_rgb = self.layout()?;
        let packed = if self.is_run_lengths() {
            Vec::new()
        } else {
            Fields::little(bytes).slice(self.pixels_at, self.needed_bytes())?.to_vec()
        };
        let indices = if self.is_run_lengths() { self.unpack_runs(bytes)? } else { Vec::new() };
        let stride = (width * usize::from(self.bits)).div_ceil(32) * 4;
        let mut data = Vec::with_capacity(width * height * 3);
        for y in 0..height {
            let from = if self.is_top_down { y } else { height - 1 - y };
            if self.is_run_lengths() {
                let row = &indices[from * width..][..width];
                data.extend(row.iter().flat_map(|v| look_up(&self.palette, *v)));
            } else if self.bits <= 8 {
                let row = unpacked(&packed[from * stride..], usize::from(self.bits), width);
                data.extend(row.flat_map(|v| look_up(&self.palette, v)));
            } else {
                let step = usize::from(self.bits / 8);
                let row = packed[from * stride..][..width * step].chunks_exact(step);
                data.extend(row.flat_map(to_rgb));
            }
        }
        picture(self.size, 3, data)
    }

    fn is_run_lengths(&self) -> bool {
        matches!(self.compression, 1 | 2)
    }

    /// Bytes of all rows; the padding of the last may be missing.
    fn needed_bytes(&self) -> usize {
        let (width, height) = self.size;
        let bits = width * usize::from(self.bits);
        bits.div_ceil(32) * 4 * (height - 1) + bits.div_ceil(8)
    }

    /// Chooses what makes RGB of the bytes of a pixel of more than 8 bits.
    fn layout(&self) -> Result<ToRgb, ImageError> {
        let not_read = |what: String| Err(ImageError::NotRead(format!("a BMP with {what} is not read")));
        let [red, green, blue, alpha] = self.masks;
        Ok(match (self.bits, self.compression) {
            (1 | 4 | 8, 0) | (8, 1) | (4, 2) => |_| [0; 3],
            (16, 0) => |p| rgb_555(u16::from_le_bytes([p[0], p[1]])),
            (24 | 32, 0) => |p| [p[2], p[1], p[0]],
            (16 | 24 | 32, 3) => match (self.bits, red, green, blue, alpha) {
                (16, 0xf800, 0x7e0, 0x1f, _) => |p| rgb_565(u16::from_le_bytes([p[0], p[1]])),
                (16, 0x7c00, 0x3e0, 0x1f, _) => |p| rgb_555(u16::from_le_bytes([p[0], p[1]])),
                (24, 0xff_0000, 0xff00, 0xff, _)
                | (32, 0xff_0000, 0xff00, 0xff, 0 | 0xff00_0000)
                | (32, 0, 0, 0, 0) => |p| [p[2], p[1], p[0]],
                (32, 0xff00_0000, 0xff_0000, 0xff00, 0 | 0xff) => |p| [p[3], p[2], p[1]],
                (32, 0xff00_0000, 0xff00, 0xff, 0 | 0xff_0000) => |p| [p[3], p[1], p[0]],
                (32, 0xff, 0xff00, 0xff_0000, 0xff00_0000) => |p| [p[0], p[1], p[2]],
                _ => return not_read(format!("the bit fields {red:#x}, {green:#x}, {blue:#x}, {alpha:#x}")),
            },
            (bits, compression) => return not_read(format!("{bits} bits a pixel and compression {compression}")),
        })
    }

    /// Unpacks run lengths, one value a pixel.
    fn unpack_runs(&self, bytes: &[u8]) -> Result<Vec<u8>, ImageError> {
        let (width, height) = self.size;
        let total = width * height;
        let is_half = self.compression == 2;
        let mut out = Vec::new();
        let (mut at, mut x) = (self.pixels_at, 0);
        while let (true, Some(&[count, value])) = (out.len() < total, bytes.get(at..at + 2)) {
            at += 2;
            match (count, value) {
                (0, 0) => {
                    out.resize(out.len().next_multiple_of(width), 0);
                    x = 0;
                }
                (0, 1) => break,
                (0, 2) => {
                    let Some(&[right, up]) = bytes.get(at..at + 2) else { break };
                    at += 2;
                    let skipped = usize::from(right) + usize::from(up) * width;
                    out.resize(out.len() + skipped.min(total - out.len()), 0);
                    x = out.len() % width;
                }
                (0, count) => {
                    let count = usize::from(count);
                    let taken = count.min(total - out.len());
                    let packed = Fields::little(bytes).at_most(at, if is_half { taken.div_ceil(2) } else { taken });
                    let bits = if is_half { 4 } else { 8 };
                    out.extend(unpacked(packed, bits, taken.min(packed.len() * 8 / bits)));
                    at += packed.len();
                    at += at % 2;
                    x += count;
                }
                (count, value) => {
                    let count = usize::from(count).min(width.saturating_sub(x));
                    let pair = if is_half { [value >> 4, value & 15] } else { [value; 2] };
                    out.extend(pair.iter().cycle().take(count));
                    x += count;
                }
            }
        }
        if out.len() < total {
            return Err(ImageError::Damaged(format!("its runs make {} pixels, and {total} are needed", out.len())));
        }
        Ok(out)
    }
}

/// Reads the colours of a bitmap of up to 8 bits, and tells where they end.
fn palette(
    fields: Fields<'_>,
    at: usize,
    bits: u16,
    colors: u32,
    entry: usize,
) -> Result<(Vec<[u8; 3]>, usize), ImageError> {
    if bits > 8 {
        return Ok((Vec::new(), at));
    }
    let colors = if colors == 0 { 1 << bits } else { colors };
    if colors > 65_536 {
        return Err(ImageError::Damaged(format!("it has {colors} colours")));
    }
    let bytes = fields.at_most(at, entry * colors as usize);
    Ok((bytes.chunks_exact(entry).map(|c| [c[2], c[1], c[0]]).collect(), at + entry * colors as usize))
}
