//! How the strips and tiles of a TIFF are packed.

use std::borrow::Cow;
use std::convert::Infallible;
use std::io::Read;

use fax::Color;
use fax::decoder::Group3Decoder;
use flate2::read::ZlibDecoder;
use weezl::BitOrder;
use weezl::decode::Decoder;

use super::Layout;
use super::directory::{Directory, tag};
use super::pixels::Kind;
use crate::decode::ImageError;
use crate::formats::jpeg::{self, Colours};
use crate::formats::lzw;

#[derive(Clone, Copy, PartialEq)]
enum Scheme {
    Plain,
    Group3,
    Group4,
    Lzw,
    Jpeg,
    Deflate,
    PackBits,
}

/// The way in which strips and tiles are packed.
#[derive(Clone, Copy)]
pub(super) struct Compression {
    scheme: Scheme,
    /// 1 none, 2 differences of values, 3 differences of the bytes of floating numbers.
    predictor: u64,
    /// Tells whether the first bit of a byte is the lowest.
    is_reversed: bool,
}

impl Compression {
    pub fn read(directory: &Directory<'_>) -> Result<Self, ImageError> {
        let not_read = |what: &str| Err(ImageError::NotRead(format!("a TIFF packed by {what} is not read")));
        let scheme = match directory.one(tag::COMPRESSION)?.unwrap_or(1) {
            1 => Scheme::Plain,
            2 => return not_read("CCITT run lengths"),
            3 if directory.one(tag::T4_OPTIONS)?.unwrap_or(0) & 1 == 1 => {
                return not_read("CCITT group 3 in two dimensions");
            }
            3 => Scheme::Group3,
            4 => Scheme::Group4,
            5 => Scheme::Lzw,
            6 => return not_read("JPEG in the old way"),
            7 => Scheme::Jpeg,
            8 | 32_946 => Scheme::Deflate,
            32_773 => Scheme::PackBits,
            34_925 => return not_read("LZMA"),
            50_000 => return not_read("Zstandard"),
            50_001 => return not_read("WebP"),
            other => return not_read(&format!("the scheme {other}")),
        };
        let predictor = match scheme {
            Scheme::Lzw | Scheme::Deflate => directory.one(tag::PREDICTOR)?.unwrap_or(1),
            _ => 1,
        };
        if !(1..=3).contains(&predictor) {
            return not_read(&format!("the predictor {predictor}"));
        }
        Ok(Self { scheme, predictor, is_reversed: directory.one(tag::FILL_ORDER)?.unwrap_or(1) == 2 })
    }

    pub fn is_plain(self) -> bool {
        self.scheme == Scheme::Plain
    }

    pub fn is_jpeg(self) -> bool {
        self.scheme == Scheme::Jpeg
    }

    /// Unpacks a strip or tile of `size` pixels.
    pub fn unpack(
        self,
        packed: &[u8],
        layout: &Layout,
        size: (usize, usize),
        directory: &Directory<'_>,
    ) -> Result<Vec<u8>, ImageError> {
        let is_reversed = self.is_reversed && self.scheme != Scheme::Jpeg;
        let packed = if is_reversed {
            Cow::Owned(packed.iter().map(|byte| byte.reverse_bits()).collect())
        } else {
            Cow::Borrowed(packed)
        };
        let length = layout.row_bytes(size.0) * size.1;
        let mut data = match self.scheme {
            Scheme::Plain => packed.into_owned(),
            Scheme::Group3 | Scheme::Group4 => self.fax(&packed, layout, size)?,
            Scheme::Lzw => lzw::unpack(Decoder::with_tiff_size_switch(BitOrder::Msb, 8), &packed, length)?,
            Scheme::Jpeg => return jpeg_part(&packed, layout, size, directory),
            Scheme::Deflate => inflate(&packed, length)?,
            Scheme::PackBits => unpack_bits(&packed, length),
        };
        let row = layout.row_bytes(size.0);
        for row in data.chunks_exact_mut(row) {
            undo_predictor(
                row,
                self.predictor,
                layout.samples_together(),
                layout.bits / 8,
                directory.fields.big_endian,
            )?;
        }
        Ok(data)
    }

    /// Unpacks the runs of white and black of a fax. Bits are 1 for black.
    fn fax(self, packed: &[u8], layout: &Layout, size: (usize, usize)) -> Result<Vec<u8>, ImageError> {
        if layout.bits != 1 || layout.samples_together() != 1 {
            return Err(ImageError::Damaged("a fax has one bit a pixel".to_owned()));
        }
        let stride = layout.row_bytes(size.0);
        let mut data = Vec::new();
        let mut row = |transitions: &[u16]| {
            if data.len() == stride * size.1 {
                return;
            }
            let at = data.len();
            data.resize(at + stride, 0u8);
            for (x, color) in fax::decoder::pels(transitions, size.0 as u16).enumerate() {
                if color == Color::Black {
                    data[at + x / 8] |= 0x80 >> (x % 8);
                }
            }
        };
        let input = packed.iter().copied();
        if self.scheme == Scheme::Group4 {
            fax::decoder::decode_g4(input, size.0 as u16, Some(size.1 as u16), row);
        } else if let Ok(mut decoder) = Group3Decoder::new(input.map(Ok::<u8, Infallible>)) {
            for _ in 0..size.1 {
                let end = decoder.advance();
                // No end of line need follow the last row.
                if end.is_err() && decoder.transitions().last() != Some(&(size.0 as u16)) {
                    break;
                }
                row(decoder.transitions());
            }
        }
        Ok(data)
    }
}

fn inflate(packed: &[u8], length: usize) -> Result<Vec<u8>, ImageError> {
    let mut data = Vec::new();
    ZlibDecoder::new(packed)
        .take(length as u64)
        .read_to_end(&mut data)
        .map_err(|error| ImageError::Damaged(format!("a strip or tile does not unpack: {error}")))?;
    Ok(data)
}

fn unpack_bits(packed: &[u8], length: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = packed;
    while let (true, Some((&head, after))) = (out.len() < length, rest.split_first()) {
        let count = match head {
            0..0x80 => usize::from(head) + 1,
            0x80 => 0,
            _ => 1,
        };
        let Some((values, after)) = after.split_at_checked(count) else { break };
        let repeated = if head > 0x80 { 257 - usize::from(head) } else { count };
        out.extend(values.iter().cycle().take(repeated));
        rest = after;
    }
    out
}

/// Adds up the differences of a row. `width` is the bytes of a value.
fn undo_predictor(row: &mut [u8], kind: u64, samples: usize, width: usize, big_endian: bool) -> Result<(), ImageError> {
    match (kind, width) {
        (1, _) => {}
        (2, 1 | 2 | 4) => {
            let read = |bytes: &[u8]| {
                let join = |sum: u32, byte: &u8| sum << 8 | u32::from(*byte);
                if big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) }
            };
            for at in (samples * width..row.len()).step_by(width) {
                let before = read(&row[at - samples * width..][..width]);
                let sum = read(&row[at..][..width]).wrapping_add(before);
                let bytes = if big_endian { sum.to_be_bytes() } else { sum.to_le_bytes() };
                let bytes = if big_endian { &bytes[4 - width..] } else { &bytes[..width] };
                row[at..at + width].copy_from_slice(bytes);
            }
        }
        (3, 4) => {
            for at in samples..row.len() {
                row[at] = row[at].wrapping_add(row[at - samples]);
            }
            // The bytes of all values lie apart, the highest first.
            let apart = row.to_vec();
            let values = row.len() / width;
            for (i, value) in row.chunks_exact_mut(width).enumerate() {
                for (byte, to) in value.iter_mut().enumerate() {
                    *to = apart[(if big_endian { byte } else { width - 1 - byte }) * values + i];
                }
            }
        }
        (kind, width) => {
            return Err(ImageError::NotRead(format!(
                "a TIFF with predictor {kind} for {} bits is not read",
                width * 8
            )));
        }
    }
    Ok(())
}

/// Decodes a strip or tile that is a JPEG without its tables.
fn jpeg_part(
    packed: &[u8],
    layout: &Layout,
    (width, rows): (usize, usize),
    directory: &Directory<'_>,
) -> Result<Vec<u8>, ImageError> {
    let tables = directory.bytes(tag::JPEG_TABLES)?.unwrap_or_default();
    let tables = tables.strip_suffix(&[0xff, 0xd9]).unwrap_or(tables);
    let whole = match (tables.is_empty(), packed.strip_prefix(&[0xff, 0xd8])) {
        (false, Some(rest)) => Cow::Owned([tables, rest].concat()),
        _ => Cow::Borrowed(packed),
    };
    let colours = if layout.kind == Kind::YCbCr { Colours::Usual } else { Colours::Stored };
    let part = jpeg::samples(&whole, colours)?;
    if part.size.0 != width || part.size.1 < rows || part.channels != layout.samples_together() || layout.bits != 8 {
        return Err(ImageError::Damaged(format!(
            "a JPEG in it has {}×{} pixels of {} channels, and {width}×{rows} of {} are needed",
            part.size.0,
            part.size.1,
            part.channels,
            layout.samples_together()
        )));
    }
    Ok(part.data)
}
