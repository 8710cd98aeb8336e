//! Weights files: tensors by name, from the containers that authors publish.
//!
//! [`Checkpoint::open`] reads torch zips, legacy torch files, safetensors, both in one or several files, numpy's `.npz`, pickles of
//! arrays and TensorFlow's V2 checkpoints into named tensors; nothing in a file is ever executed. [`find`] looks for a backbone in
//! all dicts of a file, [`select`] takes it out of one and audits that it is all there.
//!
//! **Invariants.** This crate knows no network and no Burn; all files are hostile, and a small one never takes much memory.

mod arrays;
mod bytes;
mod choice;
mod container;
mod derived;
mod find;
mod kinds;
mod raw;
mod safetensors_file;
mod select;
mod shards;
mod tensorflow;
mod torch;
mod unread;
mod wrappers;

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use assay_pickle::{PickleError, Value};

use bytes::Bytes;
pub use choice::Choice;
pub use find::{Choices, Unfit, choices, find};
pub use raw::{Dtype, RawTensor};
pub use safetensors_file::to_safetensors;
pub use select::{AuditError, Found, Naming, TensorFilter, TensorShape, Translated, Wanted, coverage, select};
pub use unread::Unread;

/// Why a weights file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file could not be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// The file is of no known kind.
    #[error("it is {0}, not a weights file of torch, safetensors, numpy or TensorFlow")]
    NotACheckpoint(String),
    /// The file is damaged or breaks its own format.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// The pickle has something that no checkpoint needs.
    #[error("its pickle has {0}, which is not read")]
    Refused(String),
    /// The file is whole, and holds something else than numbers that are read.
    #[error("{0}")]
    NotRead(String),
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
            PickleError::Attack(_) => Self::NotACheckpoint(format!("a pickle that attacks its reader: {error}")),
            PickleError::TooLarge(what) => Self::TooLarge(what),
        }
    }
}

fn damaged(what: impl Into<String>) -> CheckpointError {
    CheckpointError::Damaged(what.into())
}

/// The named tensors of a file.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Kind of file, such as `torch zip`.
    pub format: &'static str,
    /// Key under which the tensors were, if they were nested.
    pub container: Option<String>,
    /// The tensors, by their names without what wrappers of the network wrote into these (`_orig_mod.`, an inner `module.`).
    pub tensors: BTreeMap<String, RawTensor>,
    /// What is not read among the tensors.
    pub unread: BTreeMap<String, Unread>,
}

/// A weights file larger than this is refused.
const MAX_FILE_BYTES: u64 = 64 << 30;
/// Number of bytes at the start of a file that its kind is known by.
const HEAD: u64 = 512;

/// Names of weights in a folder or a repository as Hugging Face, timm and open_clip write them, and how they are taken where there
/// are several, which then hold the same.
const USUAL_FILES: [&str; 6] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "open_clip_model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "open_clip_pytorch_model.bin",
];
/// Extensions of weights files.
const EXTENSIONS: [&str; 9] = ["safetensors", "bin", "pth", "pt", "ckpt", "th", "tar", "npz", "index"];

impl Checkpoint {
    /// The file to read where `path` is what people call a checkpoint: of TensorFlow, its folder or the common beginning of
    /// its files; of several files, their folder; of Hugging Face, the folder of a model.
    pub fn locate(path: &Path) -> PathBuf {
        if path.is_dir() {
            let entries = path.read_dir().into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
            let is_index = |path: &PathBuf| path.extension().is_some_and(|e| e == "index") || shards::is_index(path);
            let mut indices = entries.filter(is_index);
            if let (Some(index), None) = (indices.next(), indices.next()) {
                return index;
            }
            if let Some(name) = USUAL_FILES.iter().find(|name| path.join(name).is_file()) {
                return path.join(name);
            }
        } else if !path.exists()
            && let Some(name) = path.file_name()
        {
            let mut name = name.to_owned();
            name.push(".index");
            let index = path.with_file_name(name);
            if index.exists() {
                return index;
            }
        }
        path.to_owned()
    }

    /// The weights among the files of a repository, by their names inside: the usual one, else the only one.
    ///
    /// # Errors
    /// The names of all, where it is not known which is meant; none, where there are none.
    pub fn among<'n>(names: &[&'n str]) -> Result<&'n str, Vec<&'n str>> {
        let usual = USUAL_FILES.iter().find_map(|usual| names.iter().find(|name| *name == usual));
        let is_weights = |name: &&&str| {
            let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
            EXTENSIONS.contains(&extension) && *name != &"training_args.bin"
        };
        let all: Vec<&str> = names.iter().filter(is_weights).copied().collect();
        match (usual, all.as_slice()) {
            (Some(usual), _) => Ok(usual),
            (None, [only]) => Ok(only),
            _ => Err(all),
        }
    }

    /// All files that the checkpoint at this (located) path is made of.
    ///
    /// # Errors
    /// When an index cannot be read, or a file is none but a pipe or a device.
    pub fn files(path: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
        let files = if shards::is_index(path) {
            let mut files = shards::files(path)?;
            files.insert(0, path.to_owned());
            files
        } else if path.extension().is_some_and(|e| e == "index") {
            tensorflow::files(path)?
        } else {
            vec![path.to_owned()]
        };
        // Whoever hashes them would wait for a pipe, and for the end of a device.
        for file in &files {
            if let Ok(found) = file.metadata()
                && !found.is_dir()
            {
                bytes::check_kind(found.file_type()).map_err(|error| match file == path {
                    true => error,
                    false => damaged(format!("{}: {error}", file.display())),
                })?;
            }
        }
        Ok(files)
    }

    /// Reads a weights file. `container` is the key of the state dict in a torch file, and the empty one is the file as a whole;
    /// without it, the only dict that holds tensors is taken, or of several the only one under a usual key.
    ///
    /// # Errors
    /// Says what is wrong with the file; the caller knows its name.
    pub fn open(path: &Path, container: Option<&str>) -> Result<Self, CheckpointError> {
        if shards::is_index(path) {
            return shards::read(path, container);
        }
        if path.extension().is_some_and(|e| e == "index") {
            no_container("TensorFlow checkpoints", container)?;
            return Ok(tensorflow::read(path)?.unwrapped());
        }
        if path.is_dir() {
            let names = path.read_dir()?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
            return Err(CheckpointError::NotACheckpoint(kinds::describe_folder(&names.collect::<Vec<_>>())));
        }
        let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
        if extension == "distcp" {
            return Err(CheckpointError::NotACheckpoint(kinds::describe_folder(&[format!("_.{extension}")])));
        }
        Self::read(&Bytes::open(path, MAX_FILE_BYTES)?, container, &extension)
    }

    fn unwrapped(self) -> Self {
        let (tensors, unread) = (wrappers::unwrap_all(self.tensors), wrappers::unwrap_all(self.unread));
        Self { tensors, unread, ..self }
    }

    /// The dicts of a torch file that hold tensors, with how many: those that `container` may name. The empty path is the file
    /// as a whole. Other kinds of files have none.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn containers(path: &Path) -> Result<BTreeMap<String, usize>, CheckpointError> {
        if path.is_dir() || shards::is_index(path) || path.extension().is_some_and(|e| e == "index") {
            return Ok(BTreeMap::new());
        }
        let bytes = Bytes::open(path, MAX_FILE_BYTES)?;
        let contents = match &*bytes.head(HEAD)? {
            [b'P', b'K', 3, 4, ..] => torch::open_zip(&bytes)?,
            [0x80, 1..=5, ..] => torch::open_pickles(&bytes)?.ok(),
            _ => None,
        };
        contents.map_or_else(|| Ok(BTreeMap::new()), |contents| contents.containers())
    }

    /// Reads a TensorFlow checkpoint that is in memory: its index, and its numbers in one part.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_tensorflow(index: &[u8], numbers: &[u8]) -> Result<Self, CheckpointError> {
        Ok(tensorflow::read_parts(index, |_, _| Ok(Cursor::new(numbers)))?.unwrapped())
    }

    /// Reads a weights file that is in memory; one that has others beside it has to be opened.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_bytes(bytes: &[u8], container: Option<&str>) -> Result<Self, CheckpointError> {
        Self::read(&Bytes::Memory(bytes), container, "")
    }

    fn read(bytes: &Bytes<'_>, container: Option<&str>, extension: &str) -> Result<Self, CheckpointError> {
        let read = match &*bytes.head(HEAD)? {
            [] => Err(CheckpointError::NotACheckpoint("empty".to_owned())),
            [b'P', b'K', 3, 4, ..] => torch::read_zip(bytes, container),
            // Before pickles: the length that a safetensors file begins with may be 0x280, which is how a pickle begins.
            head if safetensors_file::looks_like(head) => safetensors_file::read(bytes, container),
            [0x80, 1..=5, ..] => torch::read_pickles(bytes, container),
            head => {
                let end = bytes.read(bytes.len() - bytes.len().min(HEAD), bytes.len().min(HEAD))?;
                if !tensorflow::is_index(&end) {
                    return Err(CheckpointError::NotACheckpoint(kinds::describe(head, extension)));
                }
                tensorflow::check_index(&bytes.all(tensorflow::MAX_INDEX)?)?;
                Err(CheckpointError::NotACheckpoint(
                    "the index of a TensorFlow checkpoint under another name (it should end in `.index`)".to_owned(),
                ))
            }
        };
        read.map(Self::unwrapped)
    }
}

/// Refuses a key that would have no meaning.
fn no_container(kind: &str, container: Option<&str>) -> Result<(), CheckpointError> {
    match container {
        Some(key) => {
            Err(CheckpointError::Container(format!("{kind} have no containers: leave out `container: {key:?}`")))
        }
        None => Ok(()),
    }
}

fn read_file(path: &Path, largest: u64) -> Result<Vec<u8>, CheckpointError> {
    let bytes = Bytes::open(path, largest)?;
    bytes::owned(bytes.all(largest)?)
}

/// The value at a path of keys, such as `state.model`.
fn find_dict<'p, 'b>(root: Value<'p, 'b>, path: &str) -> Result<Value<'p, 'b>, CheckpointError> {
    path.split('.').try_fold(root, |at, part| {
        if let Some(name) = at.entry(part).and_then(Value::foreign) {
            let Unread { what, advice, .. } = Unread::made_by(name);
            return Err(CheckpointError::NotRead(format!("its {path:?} is {what}: {advice}")));
        }
        at.entry(part).filter(|found| found.entries().is_some()).ok_or_else(|| {
            CheckpointError::Container(format!(
                "it has no dict under `{part}` (of `container: {path:?}`); there are: {}",
                keys(at)
            ))
        })
    })
}

fn keys(dict: Value<'_, '_>) -> String {
    dict.entries().into_iter().flatten().map(|(key, _)| key).take(20).collect::<Vec<_>>().join(", ")
}

/// Everything that `keep` finds below a dict, with the keys on the way joined by dots.
fn named<'p, 'b, T>(
    root: Value<'p, 'b>,
    keep: impl Fn(Value<'p, 'b>) -> Option<T>,
) -> Result<Vec<(String, T)>, CheckpointError> {
    /// Dicts may hold each other; no published file comes close.
    const MAX_VISITS: usize = 1 << 20;
    let mut found = Vec::new();
    let mut visits = 0;
    let mut open = vec![(String::new(), root, 0)];
    while let Some((prefix, dict, depth)) = open.pop() {
        for (key, value) in dict.entries().into_iter().flatten() {
            visits += 1;
            if visits > MAX_VISITS {
                return Err(CheckpointError::TooLarge("its dicts hold too much".to_owned()));
            }
            let name = if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
            if let Some(kept) = keep(value) {
                found.push((name, kept));
            } else if depth < 4 && name.len() < 512 && value.entries().is_some() {
                open.push((name, value, depth + 1));
            }
        }
    }
    Ok(found)
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
}
