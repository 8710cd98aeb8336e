//! Numbers at places of a file. A place beyond the end is damage, never a panic.

use crate::decode::ImageError;

/// A file whose numbers are read by place.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    pub bytes: &'a [u8],
    /// Tells whether the first byte of a number is the highest.
    pub big_endian: bool,
}

impl<'a> Fields<'a> {
    /// Numbers have their lowest byte first.
    pub fn little(bytes: &'a [u8]) -> Self {
        Self { bytes, big_endian: false }
    }

    /// The bytes from `at` on, `length` of them.
    pub fn slice(self, at: usize, length: usize) -> Result<&'a [u8], ImageError> {
        at.checked_add(length).and_then(|end| self.bytes.get(at..end)).ok_or_else(|| {
            ImageError::Damaged(format!(
                "it is cut off: {length} bytes are needed at {at}, and it has {}",
                self.bytes.len()
            ))
        })
    }

    /// The bytes from `at` on, `length` of them or as many as there are.
    pub fn at_most(self, at: usize, length: usize) -> &'a [u8] {
        let rest = self.bytes.get(at..).unwrap_or_default();
        &rest[..length.min(rest.len())]
    }

    /// An unsigned number of up to eight bytes.
    pub fn number(self, at: usize, length: usize) -> Result<u64, ImageError> {
        let bytes = self.slice(at, length)?.iter();
        let join = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Ok(if self.big_endian { bytes.fold(0, join) } else { bytes.rev().fold(0, join) })
    }

    pub fn u8(self, at: usize) -> Result<u8, ImageError> {
        Ok(self.slice(at, 1)?[0])
    }

    pub fn u16(self, at: usize) -> Result<u16, ImageError> {
        Ok(self.number(at, 2)? as u16)
    }

    pub fn u32(self, at: usize) -> Result<u32, ImageError> {
        Ok(self.number(at, 4)? as u32)
    }
}
