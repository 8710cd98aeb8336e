//! The header of numpy's own format, which is a Python dict of plain values in front of the numbers.

use std::io::Read;

/// Header of an array in numpy's format 1 to 3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NpyHeader {
    /// Type of the numbers as numpy writes it, such as `<f4`.
    pub descr: String,
    /// True if the first axis is the one whose numbers lie side by side.
    pub is_fortran: bool,
    /// Shape of the array; empty for a scalar.
    pub shape: Vec<usize>,
    /// Bytes in front of the numbers: magic, version, length and header.
    pub length: u64,
}

/// A header is one line; numpy itself stops at 10,000 characters.
const MAX_HEADER: usize = 1 << 16;

impl NpyHeader {
    /// The first bytes of a file in numpy's format.
    pub const MAGIC: &'static [u8] = b"\x93NUMPY";

    /// Reads magic, version, length and header; what follows are the numbers.
    ///
    /// # Errors
    /// A part of a sentence that begins with the array.
    pub fn read(file: &mut impl Read) -> Result<Self, String> {
        let mut exact = |n: usize| -> Result<Vec<u8>, String> {
            let mut bytes = Vec::new();
            file.by_ref().take(n as u64).read_to_end(&mut bytes).map_err(|e| format!("cannot be unpacked: {e}"))?;
            if bytes.len() == n { Ok(bytes) } else { Err("ends early".to_owned()) }
        };
        let start = exact(8)?;
        if !start.starts_with(Self::MAGIC) {
            return Err("is not in numpy's format".to_owned());
        }
        let (length, width) = match start[6] {
            1 => (usize::from(u16::from_le_bytes(exact(2)?.try_into().expect("two bytes"))), 2),
            _ => (u32::from_le_bytes(exact(4)?.try_into().expect("four bytes")) as usize, 4),
        };
        if length > MAX_HEADER {
            return Err("has a header that is too long".to_owned());
        }
        let text = String::from_utf8(exact(length)?).map_err(|_| "has a damaged header".to_owned())?;
        Self::parse(&text, 8 + width + length as u64)
            .ok_or_else(|| format!("has a header that is not read: {}", text.trim()))
    }

    /// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`
    fn parse(text: &str, length: u64) -> Option<Self> {
        let after = |key: &str| Some(text.split_once(&format!("'{key}':"))?.1.trim_start());
        let descr = after("descr")?.strip_prefix('\'')?.split_once('\'')?.0.to_owned();
        let is_fortran = match after("fortran_order")? {
            rest if rest.starts_with("True") => true,
            rest if rest.starts_with("False") => false,
            _ => return None,
        };
        let shape = after("shape")?.strip_prefix('(')?.split_once(')')?.0;
        let numbers = shape.split(',').map(str::trim).filter(|n| !n.is_empty());
        let shape = numbers.map(|n| n.parse().ok()).collect::<Option<_>>()?;
        Some(Self { descr, is_fortran, shape, length })
    }
}
