//! torch.save files: the zip of torch ≥ 1.6, and the legacy sequence of pickles before it.

use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Read};

use assay_pickle::{Callable, Object, View, read};

use super::{Checkpoint, CheckpointError, Dtype, RawTensor};

/// Keys under which a state dict is looked for, in this order; a flat dict comes last.
const CONTAINERS: [&str; 9] =
    ["state_dict", "model", "resnet", "model_state_dict", "net", "network", "encoder", "backbone", "weights"];
/// The pickle of a zip, which holds no numbers, is never larger.
const LARGEST_PICKLE: u64 = 512 << 20;

fn damaged(what: impl Into<String>) -> CheckpointError {
    CheckpointError::Damaged(what.into())
}

/// Storage key → its bytes.
type Storages<'a> = HashMap<String, &'a [u8]>;

pub fn read_zip(bytes: &[u8], container: Option<&str>) -> Result<Checkpoint, CheckpointError> {
    let mut zip =
        zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| damaged(format!("the zip cannot be read: {e}")))?;
    let (mut program, mut storages) = (None, Storages::new());
    for index in 0..zip.len() {
        let mut member = zip.by_index_raw(index).map_err(|e| damaged(e.to_string()))?;
        let name = member.name().map_err(|e| damaged(e.to_string()))?.into_owned();
        if member.compression() != zip::CompressionMethod::Stored {
            return Err(CheckpointError::TooLarge(format!(
                "{name} is compressed, which torch never does (a small file can unpack to any size)"
            )));
        }
        if name.ends_with("/data.pkl") || name == "data.pkl" {
            if member.size() > LARGEST_PICKLE {
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
    let (root, _) = read(&program)?;
    collect("torch zip", &root, container, &storages)
}

pub fn read_legacy(bytes: &[u8], container: Option<&str>) -> Result<Checkpoint, CheckpointError> {
    let mut at = 0;
    let mut next = || -> Result<Object, CheckpointError> {
        let (value, used) = read(&bytes[at..])?;
        at += used;
        Ok(value)
    };
    let (_magic, protocol, _system) = (next()?, next()?, next()?);
    if !matches!(protocol, Object::Int(1001)) {
        return Err(damaged("it is a pickle, but not one that torch.save wrote"));
    }
    let root = next()?;
    let Object::List(keys) = next()? else { return Err(damaged("the list of storages is missing")) };
    let sizes = storage_sizes(&root);
    let mut storages = Storages::new();
    for key in keys.borrow().iter() {
        let Object::Str(key) = key else { return Err(damaged("a storage has no name")) };
        let count = bytes.get(at..at + 8).ok_or_else(|| damaged("the file ends early"))?;
        let count = u64::from_le_bytes(count.try_into().expect("eight bytes")) as usize;
        at += 8;
        let size =
            sizes.get(&**key).copied().ok_or_else(|| damaged(format!("storage {key} is not used by any tensor")))?;
        let end =
            count.checked_mul(size).and_then(|n| n.checked_add(at)).ok_or_else(|| damaged("a storage is too long"))?;
        storages.insert(
            key.to_string(),
            bytes.get(at..end).ok_or_else(|| damaged("the file ends early: it is truncated"))?,
        );
        at = end;
    }
    collect("torch legacy", &root, container, &storages)
}

/// Bytes of an element of each storage that any tensor below `root` views.
fn storage_sizes(root: &Object) -> HashMap<String, usize> {
    let mut sizes = HashMap::new();
    let mut stack = vec![(root.clone(), 0)];
    let mut visited = std::collections::HashSet::new();
    while let Some((object, depth)) = stack.pop() {
        if depth > 64 {
            continue;
        }
        match &object {
            Object::Tensor(view) => {
                if let Some((key, dtype)) = storage_id(&view.storage) {
                    sizes.insert(key.to_owned(), dtype.size());
                }
            }
            Object::Dict(dict) if visited.insert(dict.as_ptr().cast::<u8>()) => {
                stack.extend(dict.borrow().iter().map(|(_, value)| (value.clone(), depth + 1)));
            }
            Object::List(list) if visited.insert(list.as_ptr().cast::<u8>()) => {
                stack.extend(list.borrow().iter().map(|value| (value.clone(), depth + 1)));
            }
            Object::Tuple(items) => stack.extend(items.iter().map(|value| (value.clone(), depth + 1))),
            _ => {}
        }
    }
    sizes
}

/// `('storage', torch.FloatStorage, key, location, count, …)`
fn storage_id(id: &[Object]) -> Option<(&str, Dtype)> {
    let [Object::Str(tag), Object::Callable(Callable::Storage(name)), Object::Str(key), ..] = id else { return None };
    let all = [
        Dtype::F64,
        Dtype::F32,
        Dtype::F16,
        Dtype::Bf16,
        Dtype::I64,
        Dtype::I32,
        Dtype::I16,
        Dtype::I8,
        Dtype::U8,
        Dtype::Bool,
    ];
    let dtype = all.into_iter().find(|d| d.name() == *name)?;
    (&**tag == "storage").then_some((key, dtype))
}

fn collect(
    format: &'static str,
    root: &Object,
    container: Option<&str>,
    storages: &Storages<'_>,
) -> Result<Checkpoint, CheckpointError> {
    let (container, dict) = find_container(root, container)?;
    let mut views = Vec::new();
    flatten("", &dict, 0, &mut views);
    let mut tensors = BTreeMap::new();
    let mut total = 0usize;
    let available: usize = storages.values().map(|s| s.len()).sum();
    for (name, view) in views {
        let tensor = materialise(&view, storages).map_err(|what| damaged(format!("the tensor {name} {what}")))?;
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

type Pairs = Vec<(Object, Object)>;

fn as_dict(object: &Object) -> Option<Pairs> {
    match object {
        Object::Dict(dict) => Some(dict.borrow().clone()),
        _ => None,
    }
}

fn keys(pairs: &Pairs) -> Vec<String> {
    pairs.iter().filter_map(|(k, _)| if let Object::Str(k) = k { Some(k.to_string()) } else { None }).collect()
}

fn lookup(pairs: &Pairs, key: &str) -> Option<Pairs> {
    pairs.iter().find(|(k, _)| matches!(k, Object::Str(k) if &**k == key)).and_then(|(_, v)| as_dict(v))
}

fn find_container(root: &Object, container: Option<&str>) -> Result<(Option<String>, Pairs), CheckpointError> {
    let Some(dict) = as_dict(root) else {
        return Err(CheckpointError::Container(
            "it holds no dict of tensors (a whole model that was pickled as code is not read; save its state_dict)"
                .to_owned(),
        ));
    };
    if let Some(path) = container {
        let mut at = dict;
        for part in path.split('.') {
            let known = keys(&at).join(", ");
            at = lookup(&at, part).ok_or_else(|| {
                CheckpointError::Container(format!(
                    "it has no dict under `{part}` (of `container: {path:?}`); there are: {known}"
                ))
            })?;
        }
        return Ok((Some(path.to_owned()), at));
    }
    let has_tensors = |pairs: &Pairs| pairs.iter().any(|(_, v)| matches!(v, Object::Tensor(_)));
    let nested = CONTAINERS.iter().find_map(|key| Some((*key, lookup(&dict, key).filter(|d| has_tensors(d))?)));
    match nested {
        Some((key, inner)) => Ok((Some(key.to_owned()), inner)),
        None if has_tensors(&dict) => Ok((None, dict)),
        None => {
            let known = keys(&dict).join(", ");
            Err(CheckpointError::Container(format!(
                "no dict of tensors was found in it; give `container: \"…\"`, one of: {known}"
            )))
        }
    }
}

fn flatten(prefix: &str, pairs: &Pairs, depth: usize, out: &mut Vec<(String, std::rc::Rc<View>)>) {
    for (key, value) in pairs {
        let Object::Str(key) = key else { continue };
        let name = if prefix.is_empty() { key.to_string() } else { format!("{prefix}.{key}") };
        match value {
            Object::Tensor(view) => out.push((name, std::rc::Rc::clone(view))),
            Object::Dict(inner) if depth < 4 => flatten(&name, &inner.borrow(), depth + 1, out),
            _ => {}
        }
    }
}

/// Copies a view out of its storage into row-major order.
fn materialise(view: &View, storages: &Storages<'_>) -> Result<RawTensor, String> {
    let (key, dtype) = storage_id(&view.storage).ok_or("has a storage of an unknown kind")?;
    let storage = storages.get(key).ok_or_else(|| format!("needs storage {key}, which is not in the file"))?;
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
    let mut bytes = Vec::with_capacity(count * size);
    let mut index = vec![0; view.shape.len()];
    for _ in 0..count {
        let at = view.offset + index.iter().zip(&view.stride).map(|(i, s)| i * s).sum::<usize>();
        bytes.extend_from_slice(&storage[at * size..][..size]);
        for axis in (0..index.len()).rev() {
            index[axis] += 1;
            if index[axis] < view.shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    Ok(RawTensor { dtype, shape: view.shape.clone(), bytes })
}
