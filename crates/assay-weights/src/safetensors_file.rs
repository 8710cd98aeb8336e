//! safetensors, in one file or in several with an index (`model.safetensors.index.json`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use safetensors::tensor::{Dtype as StDtype, Metadata, TensorView};
use serde::Deserialize;

use crate::bytes::{Bytes, owned};
use crate::{Checkpoint, CheckpointError, Dtype, RawTensor, damaged, no_container, read_file};

/// An index names some thousand tensors.
const MAX_INDEX: u64 = 64 << 20;
/// The format itself allows no longer one.
const MAX_HEADER: u64 = 100_000_000;

/// Tells whether a file that begins so is of this kind.
pub fn looks_like(head: &[u8]) -> bool {
    head.len() > 9 && head[8] == b'{' && u64::from_le_bytes(head[..8].try_into().expect("eight bytes")) < 1 << 32
}

/// Reads the header, and then tensor by tensor.
pub fn read(bytes: &Bytes<'_>, container: Option<&str>) -> Result<Checkpoint, CheckpointError> {
    no_container("safetensors", container)?;
    let length = u64::from_le_bytes(bytes.read(0, 8)?[..].try_into().expect("eight bytes"));
    if length > MAX_HEADER {
        return Err(damaged(format!("its header is said to have {length} bytes")));
    }
    let header = bytes.read(8, length).map_err(|_| damaged("its header reaches beyond the end of the file"))?;
    let metadata: Metadata =
        serde_json::from_slice(&header).map_err(|e| damaged(format!("its header cannot be read: {e}")))?;
    let start = 8 + length;
    if start.checked_add(metadata.data_len() as u64) != Some(bytes.len()) {
        return Err(damaged(format!(
            "its header tells of {} bytes of numbers, and {} follow",
            metadata.data_len(),
            bytes.len() - start
        )));
    }
    let mut tensors = BTreeMap::new();
    for name in metadata.offset_keys() {
        let info = metadata.info(&name).ok_or_else(|| damaged("its header names a tensor that is not in it"))?;
        let dtype = dtype(info.dtype)
            .ok_or_else(|| damaged(format!("the tensor {name} is of type {:?}, which is not read", info.dtype)))?;
        let (from, to) = info.data_offsets;
        let numbers = owned(bytes.read(start + from as u64, (to - from) as u64)?)?;
        tensors.insert(name, RawTensor { dtype, shape: info.shape.clone(), bytes: numbers });
    }
    Ok(Checkpoint { format: "safetensors", container: None, tensors })
}

fn dtype(dtype: StDtype) -> Option<Dtype> {
    Some(match dtype {
        StDtype::F64 => Dtype::F64,
        StDtype::F32 => Dtype::F32,
        StDtype::F16 => Dtype::F16,
        StDtype::BF16 => Dtype::Bf16,
        StDtype::I64 => Dtype::I64,
        StDtype::I32 => Dtype::I32,
        StDtype::I16 => Dtype::I16,
        StDtype::I8 => Dtype::I8,
        StDtype::U8 => Dtype::U8,
        StDtype::BOOL => Dtype::Bool,
        _ => return None,
    })
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The files that an index names, in the order of their names.
pub fn shards(index: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    let parsed: Index = serde_json::from_slice(&read_file(index, MAX_INDEX)?)
        .map_err(|e| CheckpointError::NotACheckpoint(format!("JSON, and not an index of safetensors ({e})")))?;
    let names: BTreeSet<&String> = parsed.weight_map.values().collect();
    let folder = index.parent().unwrap_or(Path::new(""));
    let shard = |name: &String| {
        let mut parts = Path::new(name).components();
        match (parts.next(), parts.next()) {
            (Some(Component::Normal(_)), None) => Ok(folder.join(name)),
            _ => Err(damaged(format!("its index names {name:?}, which is not a file beside it"))),
        }
    };
    names.into_iter().map(shard).collect()
}

pub fn read_sharded(index: &Path, container: Option<&str>) -> Result<Checkpoint, CheckpointError> {
    let mut all = Checkpoint { format: "safetensors in several files", container: None, tensors: BTreeMap::new() };
    for shard in shards(index)? {
        let named = |error: CheckpointError| damaged(format!("{}: {error}", shard.display()));
        let part =
            Bytes::open(&shard, crate::MAX_FILE_BYTES).and_then(|bytes| read(&bytes, container)).map_err(named)?;
        for (name, tensor) in part.tensors {
            if all.tensors.insert(name.clone(), tensor).is_some() {
                return Err(damaged(format!("the tensor {name} is in several of its files")));
            }
        }
    }
    Ok(all)
}

/// Tensors as the bytes of a safetensors file.
///
/// # Errors
/// When a tensor's bytes do not fit its shape.
pub fn to_safetensors(tensors: &BTreeMap<String, RawTensor>) -> anyhow::Result<Vec<u8>> {
    let dtype = |dtype: Dtype| match dtype {
        Dtype::F64 => StDtype::F64,
        Dtype::F32 => StDtype::F32,
        Dtype::F16 => StDtype::F16,
        Dtype::Bf16 => StDtype::BF16,
        Dtype::I64 => StDtype::I64,
        Dtype::I32 => StDtype::I32,
        Dtype::I16 => StDtype::I16,
        Dtype::I8 => StDtype::I8,
        Dtype::U8 => StDtype::U8,
        Dtype::Bool => StDtype::BOOL,
    };
    let views = tensors
        .iter()
        .map(|(name, t)| Ok((name.clone(), TensorView::new(dtype(t.dtype), t.shape.clone(), &t.bytes)?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(safetensors::serialize(views, None)?)
}
