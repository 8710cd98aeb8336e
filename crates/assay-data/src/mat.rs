//! MATLAB files of version 5 (what MATLAB saves unless it is told `-v7.3`): numbers, texts, cells and structs.
//!
//! Written against "MAT-File Format" (The MathWorks). No maintained crate reads the struct arrays that datasets have.

use std::io::Read;

use anyhow::{bail, ensure};

/// A value of a MATLAB file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Numbers, column by column.
    Numbers(Vec<f64>),
    /// A text.
    Text(String),
    /// A cell array.
    Cells(Vec<Value>),
    /// A struct array: names of the fields, and for each element a value for each field.
    Structs(Vec<String>, Vec<Vec<Value>>),
    /// Something else, such as an object or a sparse matrix.
    Other,
}

/// Most bytes that a compressed element may unpack to.
const MAX_BYTES: u64 = 256 << 20;
/// Values inside values.
const DEEPEST: usize = 16;

const INT8: u32 = 1;
const UINT8: u32 = 2;
const INT16: u32 = 3;
const UINT16: u32 = 4;
const INT32: u32 = 5;
const UINT32: u32 = 6;
const SINGLE: u32 = 7;
const DOUBLE: u32 = 9;
const INT64: u32 = 12;
const UINT64: u32 = 13;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
const UTF8: u32 = 16;
const UTF16: u32 = 17;

/// Reads the variables of a file, by name.
///
/// # Errors
/// When it is no MATLAB file of version 5, is damaged, or unpacks to too much.
pub(crate) fn read(bytes: &[u8]) -> anyhow::Result<Vec<(String, Value)>> {
    if bytes.starts_with(b"MATLAB 7.3") || bytes.starts_with(b"\x89HDF") {
        bail!(
            "it is a MATLAB 7.3 file (HDF5), which is not read: open it in MATLAB or Octave and save it with `save -v7`, or take the file as its authors distribute it"
        );
    }
    ensure!(bytes.len() >= 128 && bytes.starts_with(b"MATLAB 5.0"), "it is not a MATLAB 5 file");
    ensure!(&bytes[126..128] == b"IM", "its numbers are in big-endian order, which is not read");
    let mut rest = &bytes[128..];
    let mut variables = Vec::new();
    while !rest.is_empty() {
        let (kind, data) = element(&mut rest)?;
        let unpacked;
        let data = match kind {
            COMPRESSED => {
                unpacked = inflate(data)?;
                let mut inner = unpacked.as_slice();
                let (kind, data) = element(&mut inner)?;
                if kind == MATRIX { data.to_vec() } else { continue }
            }
            MATRIX => data.to_vec(),
            _ => continue,
        };
        variables.push(matrix(&data, 0)?);
    }
    Ok(variables)
}

/// Reads one variable.
///
/// # Errors
/// Those of [`read`], or when it is not there.
pub(crate) fn variable(bytes: &[u8], name: &str) -> anyhow::Result<Value> {
    let variables = read(bytes)?;
    let names: Vec<String> = variables.iter().map(|(n, _)| n.clone()).collect();
    let found = variables.into_iter().find(|(n, _)| n == name);
    found.map(|(_, value)| value).ok_or_else(|| anyhow::anyhow!("it has no variable {name:?}, but {names:?}"))
}

fn inflate(data: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut out = Vec::new();
    flate2::read::ZlibDecoder::new(data)
        .take(MAX_BYTES + 1)
        .read_to_end(&mut out)
        .map_err(|e| anyhow::anyhow!("it is truncated or damaged: {e}"))?;
    ensure!(out.len() as u64 <= MAX_BYTES, "a variable unpacks to more than {MAX_BYTES} bytes");
    Ok(out)
}

fn cut<'a>(bytes: &mut &'a [u8], length: usize) -> anyhow::Result<&'a [u8]> {
    ensure!(bytes.len() >= length, "it is truncated or damaged: it ends in the middle of a value");
    let (taken, rest) = bytes.split_at(length);
    *bytes = rest;
    Ok(taken)
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("four bytes"))
}

/// Takes a data element: its type and its bytes.
fn element<'a>(bytes: &mut &'a [u8]) -> anyhow::Result<(u32, &'a [u8])> {
    let tag = cut(bytes, 4)?;
    let first = word(tag);
    if first >> 16 != 0 {
        // Up to four bytes, in the tag itself.
        let (kind, length) = (first & 0xffff, (first >> 16) as usize);
        let data = cut(bytes, 4)?;
        ensure!(length <= 4, "it is damaged: a small value of {length} bytes");
        return Ok((kind, &data[..length]));
    }
    let length = word(cut(bytes, 4)?) as usize;
    let data = cut(bytes, length)?;
    // Compressed elements are not padded; the padding of the last one may be missing.
    let padding = if first == COMPRESSED { 0 } else { (8 - length % 8) % 8 };
    cut(bytes, padding.min(bytes.len()))?;
    Ok((first, data))
}

fn numbers(kind: u32, data: &[u8]) -> anyhow::Result<Vec<f64>> {
    fn of<const N: usize>(data: &[u8], f: fn([u8; N]) -> f64) -> Vec<f64> {
        data.chunks_exact(N).map(|c| f(c.try_into().expect("N bytes"))).collect()
    }
    Ok(match kind {
        INT8 => of(data, |b: [u8; 1]| f64::from(b[0] as i8)),
        UINT8 | UTF8 => of(data, |b: [u8; 1]| f64::from(b[0])),
        INT16 => of(data, |b| f64::from(i16::from_le_bytes(b))),
        UINT16 | UTF16 => of(data, |b| f64::from(u16::from_le_bytes(b))),
        INT32 => of(data, |b| f64::from(i32::from_le_bytes(b))),
        UINT32 => of(data, |b| f64::from(u32::from_le_bytes(b))),
        SINGLE => of(data, |b| f64::from(f32::from_le_bytes(b))),
        DOUBLE => of(data, f64::from_le_bytes),
        INT64 => of(data, |b| i64::from_le_bytes(b) as f64),
        UINT64 => of(data, |b| u64::from_le_bytes(b) as f64),
        other => bail!("it is damaged: numbers of type {other}"),
    })
}

fn text(kind: u32, data: &[u8]) -> anyhow::Result<String> {
    if kind == UTF8 || kind == UINT8 || kind == INT8 {
        return Ok(String::from_utf8_lossy(data).into_owned());
    }
    let units: Vec<u16> = numbers(kind, data)?.into_iter().map(|v| v as u16).collect();
    Ok(String::from_utf16_lossy(&units))
}

/// Reads the content of a matrix element: its name and its value.
fn matrix(data: &[u8], depth: usize) -> anyhow::Result<(String, Value)> {
    ensure!(depth < DEEPEST, "it is damaged: values are inside each other more than {DEEPEST} deep");
    if data.is_empty() {
        return Ok((String::new(), Value::Numbers(Vec::new())));
    }
    let mut rest = data;
    let (_, flags) = element(&mut rest)?;
    ensure!(flags.len() == 8, "it is damaged: a value without flags");
    let class = word(&flags[..4]) & 0xff;
    let (kind, shape) = element(&mut rest)?;
    let shape = numbers(kind, shape)?;
    ensure!(shape.len() <= 32 && shape.iter().all(|n| *n >= 0.0), "it is damaged: a value without a shape");
    let count = shape.iter().product::<f64>();
    // Every element takes at least a byte.
    ensure!(count <= MAX_BYTES as f64, "it is damaged: a value of {count} elements");
    let count = count as usize;
    let (_, name) = element(&mut rest)?;
    let name = String::from_utf8_lossy(name).into_owned();
    let value = match class {
        1 => {
            let mut cells = Vec::new();
            for _ in 0..count {
                cells.push(inner(&mut rest, depth)?);
            }
            Value::Cells(cells)
        }
        2 => structs(&mut rest, count, depth)?,
        4 => {
            let (kind, data) = element(&mut rest)?;
            Value::Text(text(kind, data)?)
        }
        6..=15 => {
            let (kind, data) = element(&mut rest)?;
            let values = numbers(kind, data)?;
            ensure!(values.len() == count, "it is damaged: {} numbers for {count} places", values.len());
            Value::Numbers(values)
        }
        _ => Value::Other,
    };
    Ok((name, value))
}

fn inner(rest: &mut &[u8], depth: usize) -> anyhow::Result<Value> {
    let (kind, data) = element(rest)?;
    ensure!(kind == MATRIX, "it is damaged: a cell that holds no value");
    Ok(matrix(data, depth + 1)?.1)
}

fn structs(rest: &mut &[u8], count: usize, depth: usize) -> anyhow::Result<Value> {
    let (kind, length) = element(rest)?;
    let length = numbers(kind, length)?.first().copied().unwrap_or(0.0) as usize;
    let (_, names) = element(rest)?;
    ensure!(length > 0 && length <= 64, "it is damaged: names of fields of {length} bytes");
    let name = |chunk: &[u8]| String::from_utf8_lossy(chunk.split(|b| *b == 0).next().unwrap_or(&[])).into_owned();
    let names: Vec<String> = names.chunks_exact(length).map(name).collect();
    ensure!(!names.is_empty() || count == 0, "it is damaged: a struct without fields");
    let mut all = Vec::new();
    for _ in 0..count {
        let mut fields = Vec::with_capacity(names.len());
        for _ in &names {
            fields.push(inner(rest, depth)?);
        }
        all.push(fields);
    }
    Ok(Value::Structs(names, all))
}

impl Value {
    /// Gives the numbers, where it is some.
    pub fn numbers(&self) -> Option<&[f64]> {
        if let Self::Numbers(values) = self { Some(values) } else { None }
    }

    /// Gives whole numbers of at least `least`, where it is some.
    pub fn indices(&self, least: u32) -> Option<Vec<u32>> {
        let whole =
            |v: &f64| (v.fract() == 0.0 && *v >= f64::from(least) && *v <= f64::from(u32::MAX)).then_some(*v as u32);
        self.numbers()?.iter().map(whole).collect()
    }

    /// Gives the text, where it is one.
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn file(name: &str) -> Vec<u8> {
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/datasets").join(name)).unwrap()
    }

    #[test]
    fn what_scipy_writes_is_read() {
        let bytes = file("bad/whole.mat");
        let expected: Vec<f64> = (0..40).map(f64::from).collect();
        assert_eq!(variable(&bytes, "labels").unwrap().numbers().unwrap(), expected);
        assert_eq!(variable(&bytes, "text").unwrap().text(), Some("a name"));
        assert!(variable(&bytes, "labelz").unwrap_err().to_string().contains("\"labels\""));
    }

    #[test]
    fn damage_is_an_error_wherever_it_is() {
        let bytes = file("bad/whole.mat");
        for length in (0..bytes.len()).filter(|l| *l != 128) {
            let cut = read(&bytes[..length]);
            assert!(cut.is_err() || cut.unwrap().len() < 2, "cut at {length}");
        }
        let flat = file("cars/devkit/cars_test_annos_withlabels.mat");
        for at in 128..flat.len() {
            let mut bytes = flat.clone();
            bytes[at] ^= 0xff;
            let _ = read(&bytes);
        }
        let error = read(&file("bad/v73.mat")).unwrap_err().to_string();
        assert!(error.contains("7.3") && error.contains("save -v7"), "{error}");
        assert!(read(b"\x00\x01nonsense").unwrap_err().to_string().contains("not a MATLAB 5 file"));
    }
}
