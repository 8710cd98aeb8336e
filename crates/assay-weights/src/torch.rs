//! torch.save files: the zip of torch ≥ 1.6, and the legacy sequence of pickles before it.

use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Read};

use assay_pickle::{Pickle, Value, View};

use crate::{
    Checkpoint, CheckpointError, Dtype, RawTensor, arrays, damaged, find_dict, keys, named, no_container, strided,
};

/// Keys under which a state dict is looked for, in this order; a flat dict comes last.
const CONTAINERS: [&str; 13] = [
    "state_dict",
    "model",
    "resnet",
    "model_state_dict",
    "net",
    "network",
    "encoder",
    "backbone",
    "weights",
    "teacher",
    "student",
    "ema",
    "model_ema",
];
/// The pickle of a zip, which holds no numbers, is never larger.
const MAX_PICKLE: u64 = 512 << 20;

/// Storage key → its bytes.
type Storages<'a> = HashMap<String, &'a [u8]>;

/// Reads what `torch.save` writes since 1.6, or an `.npz`, which is a zip as well.
pub fn read_zip(bytes: &[u8], container: Option<&str>) -> Result<Checkpoint, CheckpointError> {
    let mut zip =
        zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| damaged(format!("the zip cannot be read: {e}")))?;
    let has = |end: &str| zip.file_names().any(|name| name.is_ok_and(|name| name.ends_with(end)));
    if has(".npy") {
        no_container("archives of numpy", container)?;
        return arrays::read_npz(bytes);
    }
    let is_script = has("/constants.pkl");
    let (mut program, mut storages) = (None, Storages::new());
    for index in 0..zip.len() {
        let mut member = zip.by_index_raw(index).map_err(|e| damaged(e.to_string()))?;
        let name = member.name().map_err(|e| damaged(e.to_string()))?.into_owned();
        let is_ours = name == "data.pkl" || name.ends_with("/data.pkl") || name.contains("data/");
        if is_ours && member.compression() != zip::CompressionMethod::Stored {
            return Err(CheckpointError::TooLarge(format!(
                "{name} is compressed, which torch never does (a small file can unpack to any size)"
            )));
        }
        if name.ends_with("/data.pkl") || name == "data.pkl" {
            if member.size() > MAX_PICKLE {
                return Err(CheckpointError::TooLarge(format!("its pickle has {} bytes", member.size())));
            }
            let mut text = Vec::new();
            member.read_to_end(&mut text).map_err(|e| damaged(e.to_string()))?;
            program = Some(text);
        } else if name.ends_with("/byteorder") {
            let mut order = String::new();
            member.take(16).read_to_string(&mut order).map_err(|e| damaged(e.to_string()))?;
            if order.trim() != "little" {
                return Err(damaged(format!("its numbers are in {order}-endian order, which is not read")));
            }
        } else if let Some((_, key)) = name.rsplit_once("data/") {
            let start = member.data_start().ok_or_else(|| damaged("a member has no data"))? as usize;
            let end = start.checked_add(member.size() as usize).ok_or_else(|| damaged("a member is too long"))?;
            let data = bytes.get(start..end).ok_or_else(|| damaged("a storage reaches beyond the end of the file"))?;
            storages.insert(key.to_owned(), data);
        }
    }
    let program = program.ok_or_else(|| damaged("the zip has no data.pkl: it is not a torch.save file"))?;
    if is_script {
        return Err(CheckpointError::NotACheckpoint(
            "TorchScript, a program with its weights (load it in torch and save its `state_dict()`)".to_owned(),
        ));
    }
    collect("torch zip", &assay_pickle::read(&program)?, container, &storages)
}

/// Reads a sequence of pickles as torch wrote it before 1.6, or a single pickle of arrays.
pub fn read_pickles(bytes: &[u8], container: Option<&str>) -> Result<Checkpoint, CheckpointError> {
    let first = assay_pickle::read(bytes)?;
    if first.root().entries().is_some() {
        return arrays::read_pickle(&first, container);
    }
    let mut at = first.length;
    let mut next = || -> Result<Pickle<'_>, CheckpointError> {
        let pickle = assay_pickle::read(&bytes[at..])?;
        at += pickle.length;
        Ok(pickle)
    };
    let (protocol, _system) = (next()?, next()?);
    if protocol.root().int() != Some(1001) {
        return Err(damaged("it is a pickle, but not one that torch.save wrote"));
    }
    let (root, keys) = (next()?, next()?);
    let keys = keys.root();
    let keys = keys.items().ok_or_else(|| damaged("the list of storages is missing"))?;
    let sizes: HashMap<&str, usize> = root.views().map(|view| (view.storage.as_str(), dtype(view).size())).collect();
    let mut storages = Storages::new();
    for key in keys {
        let key = key.text().ok_or_else(|| damaged("a storage has no name"))?;
        let count = bytes.get(at..at + 8).ok_or_else(|| damaged("the file ends early"))?;
        let count = u64::from_le_bytes(count.try_into().expect("eight bytes")) as usize;
        at += 8;
        let size = *sizes.get(key).ok_or_else(|| damaged(format!("storage {key} is not used by any tensor")))?;
        let end =
            count.checked_mul(size).and_then(|n| n.checked_add(at)).ok_or_else(|| damaged("a storage is too long"))?;
        let data = bytes.get(at..end).ok_or_else(|| damaged("the file ends early: it is truncated"))?;
        storages.insert(key.to_owned(), data);
        at = end;
    }
    collect("torch legacy", &root, container, &storages)
}

fn dtype(view: &View) -> Dtype {
    Dtype::ALL.into_iter().find(|dtype| dtype.name() == view.elements).expect("pickles name types of numbers alone")
}

fn collect(
    format: &'static str,
    pickle: &Pickle<'_>,
    container: Option<&str>,
    storages: &Storages<'_>,
) -> Result<Checkpoint, CheckpointError> {
    let (container, dict) = find_container(pickle.root(), container)?;
    let mut tensors = BTreeMap::new();
    let mut total = 0usize;
    let available: usize = storages.values().map(|s| s.len()).sum();
    for (name, view) in named(dict, Value::tensor)? {
        let tensor = materialise(view, storages).map_err(|what| damaged(format!("the tensor {name} {what}")))?;
        total = total.saturating_add(tensor.bytes.len());
        // Views may share a storage, but not turn a small file into a large model.
        if total > available.saturating_mul(8).saturating_add(1 << 20) {
            return Err(CheckpointError::TooLarge(format!(
                "its tensors view {available} stored bytes as more than {total}"
            )));
        }
        tensors.insert(name, tensor);
    }
    Ok(Checkpoint { format, container, tensors })
}

fn find_container<'p, 'b>(
    root: Value<'p, 'b>,
    container: Option<&str>,
) -> Result<(Option<String>, Value<'p, 'b>), CheckpointError> {
    if root.entries().is_none() {
        return Err(CheckpointError::Container(
            "it holds no dict of tensors (a whole model that was pickled as code is not read; save its state_dict)"
                .to_owned(),
        ));
    }
    if let Some(path) = container {
        return Ok((Some(path.to_owned()), find_dict(root, path)?));
    }
    let has_tensors =
        |dict: &Value<'_, '_>| dict.entries().is_some_and(|mut all| all.any(|(_, value)| value.tensor().is_some()));
    let nested = CONTAINERS.iter().find_map(|key| Some((*key, root.entry(key).filter(has_tensors)?)));
    match nested {
        Some((key, inner)) => Ok((Some(key.to_owned()), inner)),
        None if has_tensors(&root) => Ok((None, root)),
        None => Err(CheckpointError::Container(format!(
            "no dict of tensors was found in it; give `container: \"…\"`, one of: {}",
            keys(root)
        ))),
    }
}

/// Copies a view out of its storage into row-major order.
fn materialise(view: &View, storages: &Storages<'_>) -> Result<RawTensor, String> {
    let dtype = dtype(view);
    let storage = storages
        .get(&view.storage)
        .ok_or_else(|| format!("needs storage {}, which is not in the file", view.storage))?;
    let size = dtype.size();
    let count = view.shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).ok_or("is too large")?;
    // The last element that is touched bounds all of them.
    let last = view
        .shape
        .iter()
        .zip(&view.stride)
        .try_fold(view.offset, |at, (d, s)| d.saturating_sub(1).checked_mul(*s).and_then(|n| n.checked_add(at)));
    let last = last.ok_or("is too large")?;
    if count > 0 && last.checked_add(1).and_then(|n| n.checked_mul(size)).is_none_or(|n| n > storage.len()) {
        return Err("reaches beyond its storage: the file is truncated or damaged".to_owned());
    }
    if count.checked_mul(size).is_none_or(|n| n > storage.len().saturating_mul(64)) {
        return Err(format!("expands {} stored bytes to {count} elements", storage.len()));
    }
    let bytes = strided(storage, size, view.offset, &view.shape, &view.stride);
    Ok(RawTensor { dtype, shape: view.shape.clone(), bytes })
}
