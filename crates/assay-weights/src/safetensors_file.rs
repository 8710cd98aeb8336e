//! safetensors.

use std::collections::BTreeMap;

use safetensors::tensor::{Dtype as StDtype, Metadata, TensorView};

use crate::bytes::{Bytes, owned};
use crate::unread::Unread;
use crate::{Checkpoint, CheckpointError, Dtype, RawTensor, damaged, no_container};

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
    let metadata: Metadata = serde_json::from_slice(&header).map_err(|e| match unknown_type(&header) {
        Some(Unread { what, advice, .. }) => {
            CheckpointError::NotRead(format!("it holds {what}, which are not read: {advice}"))
        }
        None => damaged(format!("its header cannot be read: {e}")),
    })?;
    let start = 8 + length;
    if start.checked_add(metadata.data_len() as u64) != Some(bytes.len()) {
        return Err(damaged(format!(
            "its header tells of {} bytes of numbers, and {} follow",
            metadata.data_len(),
            bytes.len() - start
        )));
    }
    let (mut tensors, mut unread) = (BTreeMap::new(), BTreeMap::new());
    for name in metadata.offset_keys() {
        let info = metadata.info(&name).ok_or_else(|| damaged("its header names a tensor that is not in it"))?;
        let Some(dtype) = dtype(info.dtype) else {
            unread.insert(name, Unread::of_type(&format!("{:?}", info.dtype)));
            continue;
        };
        let (from, to) = info.data_offsets;
        let numbers = owned(bytes.read(start + from as u64, (to - from) as u64)?)?;
        tensors.insert(name, RawTensor { dtype, shape: info.shape.clone(), bytes: numbers });
    }
    Ok(Checkpoint { format: "safetensors", container: None, tensors, unread })
}

/// The first type of numbers in a header that the format did not have when this was written.
fn unknown_type(header: &[u8]) -> Option<Unread> {
    let header: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(header).ok()?;
    let types = header.values().filter_map(|info| info.get("dtype"));
    let unknown = types.filter(|name| serde_json::from_value::<StDtype>((*name).clone()).is_err());
    unknown.filter_map(|name| name.as_str()).next().map(Unread::of_type)
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
