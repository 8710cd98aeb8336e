//! torch.save files: the zip of torch ≥ 1.6, and the legacy sequence of pickles before it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::Read;

use assay_pickle::{Pickle, Value, View};

use crate::bytes::{self, Bytes, owned, reserved};
use crate::raw::{is_contiguous, strided};
use crate::unread::Unread;
use crate::{Checkpoint, CheckpointError, Dtype, RawTensor, arrays, container, damaged, kinds, named, no_container};

/// The pickle of a zip, which holds no numbers, is never larger.
const MAX_PICKLE: u64 = 512 << 20;
/// A file of pickles has its numbers in it, and is read as a whole.
const MAX_PICKLES: u64 = 16 << 30;

/// Storage key → where its bytes begin in the file, and how many there are.
type Storages = HashMap<String, (u64, u64)>;

/// Content of a file of torch, before any numbers are read.
pub struct Contents<'b> {
    format: &'static str,
    storages: Storages,
    program: Cow<'b, [u8]>,
    /// Begin of the pickle of the tensors in the program.
    root: usize,
}

/// Finds the parts of what `torch.save` writes since 1.6; absent for an `.npz`, which is a zip as well.
pub fn open_zip<'b>(bytes: &'b Bytes<'_>) -> Result<Option<Contents<'b>>, CheckpointError> {
    let mut zip = bytes::open_zip(bytes.reader()?)?;
    let has = |end: &str| zip.file_names().any(|name| name.is_ok_and(|name| name.ends_with(end)));
    if has(".npy") {
        return Ok(None);
    }
    let is_script = has("/constants.pkl");
    let is_torch = has("/data.pkl") || zip.file_names().any(|name| name.is_ok_and(|name| name == "data.pkl"));
    if !is_torch {
        let names: Vec<String> = zip.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect();
        return Err(CheckpointError::NotACheckpoint(kinds::describe_zip(&names)));
    }
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
                let order = order.trim();
                return Err(CheckpointError::NotRead(format!(
                    "its numbers are in {order}-endian order, which is not read"
                )));
            }
        } else if let Some((_, key)) = name.rsplit_once("data/") {
            let start = member.data_start().ok_or_else(|| damaged("a member has no data"))?;
            if start.checked_add(member.size()).is_none_or(|end| end > bytes.len()) {
                return Err(damaged("a storage reaches beyond the end of the file"));
            }
            storages.insert(key.to_owned(), (start, member.size()));
        }
    }
    let program = program.ok_or_else(|| damaged("the zip has no data.pkl: it is not a torch.save file"))?;
    if is_script {
        return Err(CheckpointError::NotACheckpoint(
            "TorchScript, a program with its weights (load it in torch and save its `state_dict()`)".to_owned(),
        ));
    }
    Ok(Some(Contents { format: "torch zip", storages, program: program.into(), root: 0 }))
}

/// Finds the parts of a sequence of pickles as torch wrote it before 1.6; absent for a single pickle, which may hold arrays.
pub fn open_pickles<'b>(bytes: &'b Bytes<'_>) -> Result<Result<Contents<'b>, Cow<'b, [u8]>>, CheckpointError> {
    let all = bytes.all(MAX_PICKLES)?;
    let first = assay_pickle::read(&all)?;
    if let Some(name) = first.root().foreign() {
        let Unread { what, advice, .. } = Unread::made_by(name);
        return Err(CheckpointError::NotRead(format!("it is a pickle of {what}: {advice}")));
    }
    if first.root().entries().is_some() {
        return Ok(Err(all));
    }
    let mut at = first.length;
    let mut next = || -> Result<(usize, Pickle<'_>), CheckpointError> {
        let start = at;
        let pickle = assay_pickle::read(&all[at..])?;
        at += pickle.length;
        Ok((start, pickle))
    };
    let ((_, protocol), _system) = (next()?, next()?);
    if protocol.root().int() != Some(1001) {
        return Err(CheckpointError::NotRead(
            "it is a pickle, but neither a dict of arrays nor what torch.save writes: save `{name: tensor}`".to_owned(),
        ));
    }
    let ((start, root), (_, keys)) = (next()?, next()?);
    let storages = legacy_storages(&all, at, &root, &keys)?;
    Ok(Ok(Contents { format: "torch legacy", storages, root: start, program: all }))
}

/// The storages follow the pickles, each with its number of elements before it.
fn legacy_storages(
    bytes: &[u8],
    mut at: usize,
    root: &Pickle<'_>,
    keys: &Pickle<'_>,
) -> Result<Storages, CheckpointError> {
    let keys = keys.root().items().ok_or_else(|| damaged("the list of storages is missing"))?;
    let sizes: HashMap<&str, usize> = root.storages().collect();
    let mut storages = Storages::new();
    for key in keys {
        let key = key.text().ok_or_else(|| damaged("a storage has no name"))?;
        let count =
            at.checked_add(8).and_then(|end| bytes.get(at..end)).ok_or_else(|| damaged("the file ends early"))?;
        let count = u64::from_le_bytes(count.try_into().expect("eight bytes")) as usize;
        at += 8;
        let size = *sizes.get(key).ok_or_else(|| damaged(format!("storage {key} is not used by any tensor")))?;
        let end =
            count.checked_mul(size).and_then(|n| n.checked_add(at)).ok_or_else(|| damaged("a storage is too long"))?;
        if end > bytes.len() {
            return Err(damaged("the file ends early: it is truncated"));
        }
        storages.insert(key.to_owned(), (at as u64, (end - at) as u64));
        at = end;
    }
    Ok(storages)
}

/// Reads a torch zip, or an `.npz`.
pub fn read_zip(bytes: &Bytes<'_>, container: Option<&str>) -> Result<Checkpoint, CheckpointError> {
    match open_zip(bytes)? {
        Some(contents) => contents.read(bytes, container),
        None => {
            no_container("archives of numpy", container)?;
            arrays::read_npz(bytes.reader()?)
        }
    }
}

/// Reads a legacy torch file, or a single pickle of arrays.
pub fn read_pickles(bytes: &Bytes<'_>, container: Option<&str>) -> Result<Checkpoint, CheckpointError> {
    match open_pickles(bytes)? {
        // All of it is in memory already.
        Ok(contents) => contents.read(&Bytes::Memory(&contents.program), container),
        Err(all) => arrays::read_pickle(&assay_pickle::read(&all)?, container),
    }
}

impl Contents<'_> {
    /// Paths of the dicts that hold tensors, with how many they hold.
    pub fn containers(&self) -> Result<BTreeMap<String, usize>, CheckpointError> {
        container::all(assay_pickle::read(&self.program[self.root..])?.root())
    }

    fn read(&self, bytes: &Bytes<'_>, container: Option<&str>) -> Result<Checkpoint, CheckpointError> {
        let pickle = assay_pickle::read(&self.program[self.root..])?;
        let (container, dict) = container::find(pickle.root(), container)?;
        let (mut tensors, mut unread) = (BTreeMap::new(), BTreeMap::new());
        let mut total = 0usize;
        let available = self.storages.values().map(|(_, size)| *size as usize).sum::<usize>();
        for (name, found) in named(dict, |value| Kept::of(value))? {
            let view = match found {
                Kept::View(view) => view,
                Kept::Unread(maker) => {
                    unread.insert(name, Unread::made_by(maker));
                    continue;
                }
            };
            let tensor = materialise(view, &self.storages, bytes).map_err(|error| match error {
                CheckpointError::Damaged(what) => damaged(format!("the tensor {name} {what}")),
                other => other,
            })?;
            total = total.saturating_add(tensor.bytes.len());
            // Views may share a storage, but not turn a small file into a large model.
            if total > available.saturating_mul(8).saturating_add(1 << 20) {
                return Err(CheckpointError::TooLarge(format!(
                    "its tensors view {available} stored bytes as more than {total}"
                )));
            }
            tensors.insert(name, tensor);
        }
        Ok(Checkpoint { format: self.format, container: container.filter(|path| !path.is_empty()), tensors, unread })
    }
}

/// What is taken note of in a dict of tensors.
enum Kept<'p> {
    View(&'p View),
    /// What is not read, by who made it.
    Unread(&'p str),
}

impl<'p> Kept<'p> {
    fn of(value: Value<'p, '_>) -> Option<Self> {
        value.tensor().map(Self::View).or_else(|| value.foreign().map(Self::Unread))
    }
}

fn dtype(view: &View) -> Dtype {
    Dtype::ALL.into_iter().find(|dtype| dtype.name() == view.elements).expect("pickles name types of numbers alone")
}

/// Copies a view out of its storage into row-major order; of the storage, only what the view reaches is read.
fn materialise(view: &View, storages: &Storages, bytes: &Bytes<'_>) -> Result<RawTensor, CheckpointError> {
    let dtype = dtype(view);
    let (start, length) = *storages
        .get(&view.storage)
        .ok_or_else(|| damaged(format!("needs storage {}, which is not in the file", view.storage)))?;
    let size = dtype.size();
    let too_large = || damaged("is too large");
    let count = view.shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).ok_or_else(too_large)?;
    // The last element that is touched bounds all of them.
    let steps = view.shape.iter().zip(&view.stride);
    let reach = steps.clone().try_fold(0usize, |at, (d, s)| d.saturating_sub(1).checked_mul(*s)?.checked_add(at));
    let reach = reach.and_then(|reach| reach.checked_add(1)?.checked_mul(size)).ok_or_else(too_large)?;
    let first = view.offset.checked_mul(size).ok_or_else(too_large)?;
    if count > 0 && first.checked_add(reach).is_none_or(|end| end as u64 > length) {
        return Err(damaged("reaches beyond its storage: the file is truncated or damaged"));
    }
    let wanted = count.checked_mul(size).filter(|n| *n as u64 <= length.saturating_mul(64));
    let wanted = wanted.ok_or_else(|| damaged(format!("expands {length} stored bytes to {count} elements")))?;
    if count == 0 {
        return Ok(RawTensor { dtype, shape: view.shape.clone(), bytes: Vec::new() });
    }
    let stored = bytes.read(start + first as u64, reach as u64)?;
    let bytes = if is_contiguous(&view.shape, &view.stride) {
        owned(stored)?
    } else {
        let mut out = reserved(wanted as u64)?;
        strided(&stored, size, &view.shape, &view.stride, &mut out);
        out
    };
    Ok(RawTensor { dtype, shape: view.shape.clone(), bytes })
}
