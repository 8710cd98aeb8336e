//! Weights files: tensors by name, from the containers that authors publish.
//!
//! [`Checkpoint::open`] reads torch zips, legacy torch files, safetensors in one or several files, numpy's `.npz`, pickles of
//! arrays and TensorFlow's V2 checkpoints into named tensors; nothing in a file is ever executed. [`select`] then finds a
//! backbone in them and audits that it is all there.
//!
//! **Invariants.** This crate knows no network and no Burn; all files are hostile, and a small one never takes much memory.

mod arrays;
mod bytes;
mod container;
mod raw;
mod safetensors_file;
mod select;
mod tensorflow;
mod torch;

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use assay_pickle::{PickleError, Value};

use bytes::Bytes;
pub use raw::{Dtype, RawTensor};
pub use safetensors_file::to_safetensors;
pub use select::{AuditError, Found, Naming, TensorFilter, TensorShape, Translated, Wanted, coverage, select};

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
    /// The tensors.
    pub tensors: BTreeMap<String, RawTensor>,
}

/// A weights file larger than this is refused.
const MAX_FILE_BYTES: u64 = 64 << 30;
/// Number of bytes at the start of a file that its kind is known by.
const HEAD: u64 = 512;

impl Checkpoint {
    /// The file to read where `path` is what people call a checkpoint: of TensorFlow, its folder or the common beginning of
    /// its files; of sharded safetensors, their folder.
    pub fn locate(path: &Path) -> PathBuf {
        if path.is_dir() {
            let entries = path.read_dir().into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
            let is_index = |path: &PathBuf| path.extension().is_some_and(|e| e == "index") || is_shard_index(path);
            let mut indices = entries.filter(is_index);
            if let (Some(index), None) = (indices.next(), indices.next()) {
                return index;
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

    /// All files that the checkpoint at this (located) path is made of.
    ///
    /// # Errors
    /// When an index cannot be read, or a file is none but a pipe or a device.
    pub fn files(path: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
        let files = if is_shard_index(path) {
            let mut files = safetensors_file::shards(path)?;
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

    /// Reads a weights file. `container` is the key of the state dict in a torch file; without it, the only dict that holds
    /// tensors is taken, or of several the only one under a usual key.
    ///
    /// # Errors
    /// Says what is wrong with the file; the caller knows its name.
    pub fn open(path: &Path, container: Option<&str>) -> Result<Self, CheckpointError> {
        if is_shard_index(path) {
            return safetensors_file::read_sharded(path, container);
        }
        if path.extension().is_some_and(|e| e == "index") {
            no_container("TensorFlow checkpoints", container)?;
            return tensorflow::read(path);
        }
        if path.is_dir() {
            return Err(CheckpointError::NotACheckpoint("a folder without one index of weights".to_owned()));
        }
        Self::read(&Bytes::open(path, MAX_FILE_BYTES)?, container)
    }

    /// The dicts of a torch file that hold tensors, with how many: those that `container` may name. The empty path is the file
    /// as a whole. Other kinds of files have none.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn containers(path: &Path) -> Result<BTreeMap<String, usize>, CheckpointError> {
        if path.is_dir() || is_shard_index(path) || path.extension().is_some_and(|e| e == "index") {
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
        tensorflow::read_parts(index, |_, _| Ok(Cursor::new(numbers)))
    }

    /// Reads a weights file that is in memory; one that has others beside it has to be opened.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_bytes(bytes: &[u8], container: Option<&str>) -> Result<Self, CheckpointError> {
        Self::read(&Bytes::Memory(bytes), container)
    }

    fn read(bytes: &Bytes<'_>, container: Option<&str>) -> Result<Self, CheckpointError> {
        match &*bytes.head(HEAD)? {
            [] => Err(CheckpointError::NotACheckpoint("empty".to_owned())),
            [b'P', b'K', 3, 4, ..] => torch::read_zip(bytes, container),
            [0x80, 1..=5, ..] => torch::read_pickles(bytes, container),
            head if safetensors_file::looks_like(head) => safetensors_file::read(bytes, container),
            head => {
                let end = bytes.read(bytes.len() - bytes.len().min(HEAD), bytes.len().min(HEAD))?;
                if !tensorflow::is_index(&end) {
                    return Err(CheckpointError::NotACheckpoint(describe(head)));
                }
                tensorflow::check_index(&bytes.all(tensorflow::MAX_INDEX)?)?;
                Err(CheckpointError::NotACheckpoint(
                    "the index of a TensorFlow checkpoint under another name (it should end in `.index`)".to_owned(),
                ))
            }
        }
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

fn is_shard_index(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".safetensors.index.json"))
}

fn read_file(path: &Path, largest: u64) -> Result<Vec<u8>, CheckpointError> {
    let bytes = Bytes::open(path, largest)?;
    bytes::owned(bytes.all(largest)?)
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
        "of an unknown kind (of a TensorFlow checkpoint, name the `.index`)".to_owned()
    }
}

/// The value at a path of keys, such as `state.model`.
fn find_dict<'p, 'b>(root: Value<'p, 'b>, path: &str) -> Result<Value<'p, 'b>, CheckpointError> {
    path.split('.').try_fold(root, |at, part| {
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
