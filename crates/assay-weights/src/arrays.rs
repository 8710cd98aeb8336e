//! Arrays of numpy: `.npz` archives, and pickles of nested dicts of arrays, such as Haiku's.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{Read, Seek};

use assay_pickle::{Array, NpyHeader, Pickle, Value};

use crate::bytes::{open_zip, owned, reserved};
use crate::raw::strided;
use crate::unread::Unread;
use crate::{Checkpoint, CheckpointError, Dtype, RawTensor, damaged, find_dict, named};

/// Compressed members may unpack to this much in all.
const MAX_UNPACKED: u64 = 4 << 30;

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

fn read_npy(file: &mut impl Read, left: &mut u64) -> Result<Result<RawTensor, Unread>, String> {
    let header = NpyHeader::read(file)?;
    let Some(dtype) = dtype(&header.descr) else { return Ok(Err(Unread::of_type(&header.descr))) };
    let size = byte_count(&header.shape, dtype)?;
    *left = left.checked_sub(size as u64).ok_or("is too large")?;
    let mut bytes = Vec::new();
    file.take(size as u64).read_to_end(&mut bytes).map_err(|e| format!("cannot be unpacked: {e}"))?;
    if bytes.len() != size {
        return Err("ends early".to_owned());
    }
    from_array(dtype, &header.shape, header.is_fortran, bytes.into()).map(Ok)
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
