//! The first directory of a TIFF: its tags and their numbers.

use std::collections::BTreeMap;

use crate::decode::ImageError;
use crate::formats::fields::Fields;

/// Tags that are looked at.
pub(super) mod tag {
    pub const WIDTH: u16 = 256;
    pub const HEIGHT: u16 = 257;
    pub const BITS: u16 = 258;
    pub const COMPRESSION: u16 = 259;
    pub const PHOTOMETRIC: u16 = 262;
    pub const FILL_ORDER: u16 = 266;
    pub const STRIP_OFFSETS: u16 = 273;
    pub const ORIENTATION: u16 = 274;
    pub const SAMPLES: u16 = 277;
    pub const ROWS_PER_STRIP: u16 = 278;
    pub const STRIP_LENGTHS: u16 = 279;
    pub const PLANES: u16 = 284;
    pub const T4_OPTIONS: u16 = 292;
    pub const PREDICTOR: u16 = 317;
    pub const PALETTE: u16 = 320;
    pub const TILE_WIDTH: u16 = 322;
    pub const TILE_HEIGHT: u16 = 323;
    pub const TILE_OFFSETS: u16 = 324;
    pub const TILE_LENGTHS: u16 = 325;
    pub const EXTRA_SAMPLES: u16 = 338;
    pub const SAMPLE_FORMAT: u16 = 339;
    pub const JPEG_TABLES: u16 = 347;
}

/// The tags of the first page.
pub(super) struct Directory<'a> {
    pub fields: Fields<'a>,
    /// Bytes of a value, their number, and where they are.
    entries: BTreeMap<u16, (usize, usize, usize)>,
}

impl<'a> Directory<'a> {
    /// Order of bytes, and whether it is a BigTIFF.
    pub fn order(bytes: &[u8]) -> Option<(bool, bool)> {
        match bytes.get(..4)? {
            b"II*\0" => Some((false, false)),
            b"MM\0*" => Some((true, false)),
            b"II+\0" => Some((false, true)),
            b"MM\0+" => Some((true, true)),
            _ => None,
        }
    }

    /// Reads the tags of the first page.
    pub fn first(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let (big_endian, is_big) =
            Self::order(bytes).ok_or_else(|| ImageError::Damaged("it does not begin as a TIFF".to_owned()))?;
        let fields = Fields { bytes, big_endian };
        // In a BigTIFF, offsets and counts have eight bytes.
        let (word, head, entry) = if is_big { (8, 8, 20) } else { (4, 4, 12) };
        let at = fields.number(head, word)? as usize;
        let count_bytes = if is_big { 8 } else { 2 };
        let count = fields.number(at, count_bytes)?.min(65_535) as usize;
        let mut entries = BTreeMap::new();
        for i in 0..count {
            let at = at.saturating_add(count_bytes + i * entry);
            let (name, kind) = (fields.u16(at)?, fields.u16(at + 2)?);
            let size = match kind {
                1 | 2 | 6 | 7 => 1,
                3 | 8 => 2,
                4 | 9 | 13 => 4,
                16..=18 => 8,
                _ => continue,
            };
            let count = fields.number(at + 4, word)? as usize;
            let place = at + 4 + word;
            let is_inside = count.checked_mul(size).is_some_and(|length| length <= word);
            let place = if is_inside { place } else { fields.number(place, word)? as usize };
            entries.insert(name, (size, count, place));
        }
        Ok(Self { fields, entries })
    }

    /// All numbers of a tag.
    pub fn list(&self, tag: u16) -> Result<Option<Vec<u64>>, ImageError> {
        let Some(&(size, count, at)) = self.entries.get(&tag) else { return Ok(None) };
        self.fields.slice(at, count.saturating_mul(size))?;
        (0..count).map(|i| self.fields.number(at + i * size, size)).collect::<Result<_, _>>().map(Some)
    }

    /// The first number of a tag.
    pub fn one(&self, tag: u16) -> Result<Option<u64>, ImageError> {
        match self.entries.get(&tag) {
            Some(&(size, count, at)) if count > 0 => self.fields.number(at, size).map(Some),
            _ => Ok(None),
        }
    }

    /// The bytes of a tag.
    pub fn bytes(&self, tag: u16) -> Result<Option<&'a [u8]>, ImageError> {
        let Some(&(size, count, at)) = self.entries.get(&tag) else { return Ok(None) };
        self.fields.slice(at, count.saturating_mul(size)).map(Some)
    }
}
