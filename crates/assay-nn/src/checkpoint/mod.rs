//! Weights files: tensors by name, from the containers that authors publish.
//!
//! [`Checkpoint::open`] reads torch zips, legacy torch files and safetensors into named tensors; nothing in a file is ever
//! executed. [`Selection`] then finds a backbone in them and audits that it is all there.

mod select;
mod torch;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use assay_pickle::PickleError;
use half::{bf16, f16};
use safetensors::SafeTensors;

pub use select::{AuditError, Selection, TensorShape, select};

/// What a stored number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// 64-bit float.
    F64,
    /// 32-bit float.
    F32,
    /// 16-bit IEEE float.
    F16,
    /// Upper half of a 32-bit float.
    Bf16,
    /// 64-bit integer.
    I64,
    /// 32-bit integer.
    I32,
    /// 16-bit integer.
    I16,
    /// 8-bit integer.
    I8,
    /// Unsigned byte.
    U8,
    /// One byte, zero or one.
    Bool,
}

impl Dtype {
    /// Bytes of one number.
    pub fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// Its name in digests and listings.
    pub fn name(self) -> &'static str {
        match self {
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::I16 => "i16",
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::Bool => "bool",
        }
    }
}

/// A tensor of a file: row-major, little-endian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawTensor {
    /// What its numbers are.
    pub dtype: Dtype,
    /// Its shape; empty for a scalar.
    pub shape: Vec<usize>,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl RawTensor {
    /// Its numbers as 32-bit floats.
    pub fn to_f32(&self) -> Vec<f32> {
        let chunks = self.bytes.chunks_exact(self.dtype.size());
        macro_rules! read {
            ($type:ty, $convert:expr) => {
                chunks.map(|c| $convert(<$type>::from_le_bytes(c.try_into().expect("chunks of this size")))).collect()
            };
        }
        match self.dtype {
            Dtype::F64 => read!(f64, |v| v as f32),
            Dtype::F32 => read!(f32, |v| v),
            Dtype::F16 => read!(f16, |v: f16| v.to_f32()),
            Dtype::Bf16 => read!(bf16, |v: bf16| v.to_f32()),
            Dtype::I64 => read!(i64, |v| v as f32),
            Dtype::I32 => read!(i32, |v| v as f32),
            Dtype::I16 => read!(i16, f32::from),
            Dtype::I8 => read!(i8, f32::from),
            Dtype::U8 | Dtype::Bool => self.bytes.iter().map(|v| f32::from(*v)).collect(),
        }
    }
}

/// Why a weights file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file could not be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// The file is of no known kind.
    #[error("it is {0}, not a torch file or safetensors")]
    NotACheckpoint(String),
    /// The file is damaged or breaks its own format.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// The pickle asks for something that no checkpoint needs.
    #[error("its pickle asks for `{0}`, which is refused: only tensors and plain values are read, and no code is run")]
    Refused(String),
    /// The file would take too much memory.
    #[error("it is refused as too large: {0}")]
    TooLarge(String),
    /// The declared container key does not hold tensors.
    #[error("{0}")]
    Container(String),
}

impl From<PickleError> for CheckpointError {
    fn from(error: PickleError) -> Self {
        match error {
            PickleError::Damaged => Self::Damaged(error.to_string()),
            PickleError::Refused(what) => Self::Refused(what),
            PickleError::TooLarge(what) => Self::TooLarge(what),
        }
    }
}

/// The named tensors of a file.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Kind of file: `torch zip`, `torch legacy` or `safetensors`.
    pub format: &'static str,
    /// Key under which the tensors were, if they were nested.
    pub container: Option<String>,
    /// The tensors.
    pub tensors: BTreeMap<String, RawTensor>,
}

/// A weights file larger than this is refused.
const LARGEST_FILE: u64 = 16 << 30;

impl Checkpoint {
    /// Reads a weights file. `container` is the key of the state dict in a torch file; without it, the usual ones are tried.
    ///
    /// # Errors
    /// Says what is wrong with the file; the caller knows its name.
    pub fn open(path: &Path, container: Option<&str>) -> Result<Self, CheckpointError> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        if length > LARGEST_FILE {
            return Err(CheckpointError::TooLarge(format!("{length} bytes")));
        }
        let mut bytes = Vec::with_capacity(length as usize);
        file.take(LARGEST_FILE).read_to_end(&mut bytes)?;
        Self::from_bytes(&bytes, container)
    }

    /// Reads a weights file that is in memory.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_bytes(bytes: &[u8], container: Option<&str>) -> Result<Self, CheckpointError> {
        match bytes {
            [] => Err(CheckpointError::NotACheckpoint("empty".to_owned())),
            [b'P', b'K', 3, 4, ..] => torch::read_zip(bytes, container),
            [0x80, 1..=5, ..] => torch::read_legacy(bytes, container),
            _ if looks_like_safetensors(bytes) => read_safetensors(bytes, container),
            _ => Err(CheckpointError::NotACheckpoint(describe(bytes))),
        }
    }
}

fn looks_like_safetensors(bytes: &[u8]) -> bool {
    bytes.len() > 9 && bytes[8] == b'{' && u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) < 1 << 32
}

fn describe(bytes: &[u8]) -> String {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(256)]).trim_start().to_lowercase();
    let starts = |with: &[u8]| bytes.starts_with(with);
    if head.starts_with('<') {
        "a web page (a download link often gives one instead of the file)".to_owned()
    } else if starts(b"version https://git-lfs") {
        "a Git LFS pointer (run `git lfs pull` where it came from)".to_owned()
    } else if starts(&[0x1f, 0x8b]) {
        "gzip-compressed (unpack it first)".to_owned()
    } else if bytes.len() > 262 && &bytes[257..262] == b"ustar" {
        "a tar archive (unpack it first; torch's own tar format from before 0.1.10 is not read)".to_owned()
    } else if bytes.iter().take(256).all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace()) {
        "text".to_owned()
    } else {
        "of an unknown kind".to_owned()
    }
}

fn read_safetensors(bytes: &[u8], container: Option<&str>) -> Result<Checkpoint, CheckpointError> {
    use safetensors::Dtype as St;
    if let Some(key) = container {
        return Err(CheckpointError::Container(format!(
            "safetensors have no containers: leave out `container: {key:?}`"
        )));
    }
    let file = SafeTensors::deserialize(bytes).map_err(|e| CheckpointError::Damaged(e.to_string()))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let dtype = match view.dtype() {
            St::F64 => Dtype::F64,
            St::F32 => Dtype::F32,
            St::F16 => Dtype::F16,
            St::BF16 => Dtype::Bf16,
            St::I64 => Dtype::I64,
            St::I32 => Dtype::I32,
            St::I16 => Dtype::I16,
            St::I8 => Dtype::I8,
            St::U8 => Dtype::U8,
            St::BOOL => Dtype::Bool,
            other => {
                return Err(CheckpointError::Damaged(format!(
                    "the tensor {name} is of type {other:?}, which is not read"
                )));
            }
        };
        tensors.insert(name.to_owned(), RawTensor { dtype, shape: view.shape().to_vec(), bytes: view.data().to_vec() });
    }
    Ok(Checkpoint { format: "safetensors", container: None, tensors })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_that_are_no_checkpoint_are_named() {
        let error = |bytes: &[u8]| Checkpoint::from_bytes(bytes, None).unwrap_err().to_string();
        assert!(error(b"").contains("empty"));
        assert!(error(b"<!DOCTYPE html><html>").contains("a web page"));
        assert!(error(b"version https://git-lfs.github.com/spec/v1").contains("LFS"));
        assert!(error(&[0x1f, 0x8b, 8, 0]).contains("gzip"));
        assert!(error(b"hello").contains("text"));
        assert!(error(&[0, 1, 2, 3]).contains("unknown"));
        assert!(error(&[8, 0, 0, 0, 0, 0, 0, 0, b'{', b'}']).contains("damaged"));
    }

    #[test]
    fn numbers_become_f32() {
        let tensor = |dtype, bytes: &[u8]| RawTensor { dtype, shape: vec![1], bytes: bytes.to_vec() }.to_f32();
        assert_eq!(tensor(Dtype::F16, &f16::from_f32(1.5).to_le_bytes()), [1.5]);
        assert_eq!(tensor(Dtype::Bf16, &bf16::from_f32(-2.0).to_le_bytes()), [-2.0]);
        assert_eq!(tensor(Dtype::F64, &0.25f64.to_le_bytes()), [0.25]);
        assert_eq!(tensor(Dtype::I64, &7i64.to_le_bytes()), [7.0]);
        assert_eq!(tensor(Dtype::I8, &[0xff]), [-1.0]);
    }
}
