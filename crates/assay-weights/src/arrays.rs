//! Arrays of numpy: `.npz` archives, and pickles of nested dicts of arrays, such as Haiku's.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{Read, Seek};

use assay_pickle::{Array, Pickle, Value};

use crate::bytes::{open_zip, owned, reserved};
use crate::raw::strided;
use crate::unread::Unread;
use crate::{Checkpoint, CheckpointError, Dtype, RawTensor, damaged, find_dict, named};

/// Compressed members may unpack to this much in all.
const MAX_UNPACKED: u64 = 4 << 30;
const MAX_HEADER: usize = 1 << 16;

/// Reads all arrays of an archive.
pub fn read_npz(archive: impl Read + Seek) -> Result<Checkpoint, CheckpointError> {
    let mut zip = open_zip(archive)?;
    let (mut tensors, mut unread) = (BTreeMap::new(), BTreeMap::new());
    let mut left = MAX_UNPACKED;
    for index in 0..zip.len() {
        let mut member = zip.by_index(index).map_err(|e| damaged(e.to_string()))?;
        let name = member.name().map_err(|e| damaged(e.to_string()))?.into_owned();
        let Some(name) = name.strip_suffix(".npy") else { continue };
        match read_npy(&mut member, &mut left).map_err(|what| damaged(format!("the array {name} {what}")))? {
            Ok(tensor) => tensors.insert(name.to_owned(), tensor).map(|_| ()),
            Err(what) => unread.insert(name.to_owned(), what).map(|_| ()),
        };
    }
    Ok(Checkpoint { format: "npz", container: None, tensors, unread })
}

/// numpy's format 1 to 3: magic, version, length of the header, header, numbers.
fn read_npy(file: &mut impl Read, left: &mut u64) -> Result<Result<RawTensor, Unread>, String> {
    let mut exact = |n: usize| -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        file.by_ref().take(n as u64).read_to_end(&mut bytes).map_err(|e| format!("cannot be unpacked: {e}"))?;
        if bytes.len() == n { Ok(bytes) } else { Err("ends early".to_owned()) }
    };
    let start = exact(8)?;
    if !start.starts_with(b"\x93NUMPY") {
        return Err("is not in numpy's format".to_owned());
    }
    let length = match start[6] {
        1 => usize::from(u16::from_le_bytes(exact(2)?.try_into().expect("two bytes"))),
        _ => u32::from_le_bytes(exact(4)?.try_into().expect("four bytes")) as usize,
    };
    if length > MAX_HEADER {
        return Err("has a header that is too long".to_owned());
    }
    let header = String::from_utf8(exact(length)?).map_err(|_| "has a damaged header".to_owned())?;
    let header = Header::parse(&header).ok_or_else(|| format!("has a header that is not read: {}", header.trim()))?;
    let Some(dtype) = dtype(&header.dtype) else { return Ok(Err(Unread::of_type(&header.dtype))) };
    let size = byte_count(&header.shape, dtype)?;
    *left = left.checked_sub(size as u64).ok_or("is too large")?;
    from_array(dtype, &header.shape, header.is_fortran, exact(size)?.into()).map(Ok)
}

struct Header {
    dtype: String,
    is_fortran: bool,
    shape: Vec<usize>,
}

impl Header {
    /// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`
    fn parse(text: &str) -> Option<Self> {
        let after = |key: &str| Some(text.split_once(&format!("'{key}':"))?.1.trim_start());
        let dtype = after("descr")?.strip_prefix('\'')?.split_once('\'')?.0.to_owned();
        let is_fortran = match after("fortran_order")? {
            rest if rest.starts_with("True") => true,
            rest if rest.starts_with("False") => false,
            _ => return None,
        };
        let shape = after("shape")?.strip_prefix('(')?.split_once(')')?.0;
        let numbers = shape.split(',').map(str::trim).filter(|n| !n.is_empty());
        Some(Self { dtype, is_fortran, shape: numbers.map(|n| n.parse().ok()).collect::<Option<_>>()? })
    }
}

/// The type of numbers that numpy calls `name`.
fn dtype(name: &str) -> Option<Dtype> {
    Some(match name.trim_start_matches(['<', '|', '=']) {
        "f8" => Dtype::F64,
        "f4" => Dtype::F32,
        "f2" => Dtype::F16,
        "i8" => Dtype::I64,
        "i4" => Dtype::I32,
        "i2" => Dtype::I16,
        "i1" => Dtype::I8,
        "u1" => Dtype::U8,
        "b1" => Dtype::Bool,
        _ => return None,
    })
}

fn byte_count(shape: &[usize], dtype: Dtype) -> Result<usize, String> {
    let count = shape.iter().try_fold(dtype.size(), |n, d| n.checked_mul(*d));
    count.ok_or_else(|| "is too large".to_owned())
}

fn from_array(dtype: Dtype, shape: &[usize], is_fortran: bool, bytes: Cow<'_, [u8]>) -> Result<RawTensor, String> {
    if byte_count(shape, dtype)? != bytes.len() {
        return Err("has a size that does not fit its shape".to_owned());
    }
    if !is_fortran {
        return Ok(RawTensor {
            dtype,
            shape: shape.to_vec(),
            bytes: owned(bytes).map_err(|_| "does not fit into memory")?,
        });
    }
    let stride: Vec<usize> = (0..shape.len()).map(|axis| shape[..axis].iter().product()).collect();
    let mut out = reserved(bytes.len() as u64).map_err(|_| "does not fit into memory")?;
    strided(&bytes, dtype.size(), shape, &stride, &mut out);
    Ok(RawTensor { dtype, shape: shape.to_vec(), bytes: out })
}

/// Reads the arrays of a pickle of nested dicts; names are joined by dots.
pub fn read_pickle(pickle: &Pickle<'_>, container: Option<&str>) -> Result<Checkpoint, CheckpointError> {
    let root = pickle.root();
    // The authors of BYOL keep the step and the state of the random generator beside the parameters.
    let usual = root.entry("experiment_state").map(|_| "experiment_state");
    let container = container.or(usual);
    let at = container.filter(|path| !path.is_empty()).map_or(Ok(root), |path| find_dict(root, path))?;
    let (mut tensors, mut unread) = (BTreeMap::new(), BTreeMap::new());
    for (name, found) in named(at, Kept::of)? {
        let array = match found {
            Kept::Array(array) => array,
            Kept::Unread(maker) => {
                unread.insert(name, Unread::made_by(maker));
                continue;
            }
        };
        let Some(dtype) = dtype(array.dtype) else {
            unread.insert(name, Unread::of_type(array.dtype));
            continue;
        };
        let tensor = from_array(dtype, array.shape, array.is_fortran, array.data.into());
        tensors.insert(name.clone(), tensor.map_err(|what| damaged(format!("the array {name} {what}")))?);
    }
    if let Some((name, Unread { what, advice, .. })) = unread.iter().next().filter(|_| tensors.is_empty()) {
        return Err(CheckpointError::NotRead(format!("its {name:?} is {what}: {advice}")));
    }
    if tensors.is_empty() {
        return Err(CheckpointError::Container("it is a pickle without arrays or torch tensors".to_owned()));
    }
    Ok(Checkpoint { format: "pickle of arrays", container: container.map(str::to_owned), tensors, unread })
}

/// What is taken note of in a dict of arrays.
enum Kept<'p> {
    Array(Array<'p>),
    /// What is not read, by who made it.
    Unread(&'p str),
}

impl<'p> Kept<'p> {
    fn of(value: Value<'p, '_>) -> Option<Self> {
        value.array().map(Self::Array).or_else(|| value.foreign().map(Self::Unread))
    }
}
