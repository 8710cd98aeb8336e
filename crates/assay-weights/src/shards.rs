//! Weights in several files with an index, as Hugging Face writes them: `model.safetensors.index.json`,
//! `pytorch_model.bin.index.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use crate::bytes::Bytes;
use crate::{Checkpoint, CheckpointError, MAX_FILE_BYTES, damaged, no_container, read_file, wrappers};

/// An index names some thousand tensors.
const MAX_INDEX: u64 = 64 << 20;

#[derive(Deserialize)]
struct Index {
    /// The file of each tensor.
    weight_map: BTreeMap<String, String>,
}

/// Tells whether a path is that of an index.
pub fn is_index(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".index.json"))
}

fn parse(index: &Path) -> Result<Index, CheckpointError> {
    serde_json::from_slice(&read_file(index, MAX_INDEX)?).map_err(|e| {
        CheckpointError::NotACheckpoint(format!("JSON, and not an index of weights in several files ({e})"))
    })
}

/// The files that an index names, in the order of their names.
pub fn files(index: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    named_files(index, &parse(index)?)
}

fn named_files(index: &Path, parsed: &Index) -> Result<Vec<PathBuf>, CheckpointError> {
    let names: BTreeSet<&String> = parsed.weight_map.values().collect();
    let folder = index.parent().unwrap_or(Path::new(""));
    let shard = |name: &String| {
        let mut parts = Path::new(name).components();
        match (parts.next(), parts.next()) {
            (Some(Component::Normal(_)), None) if !is_index(Path::new(name)) => Ok(folder.join(name)),
            _ => Err(damaged(format!("its index names {name:?}, which is not a file beside it"))),
        }
    };
    names.into_iter().map(shard).collect()
}

/// Reads the files that an index names. Every tensor must be where the index says, and in one file alone.
pub fn read(index: &Path, container: Option<&str>) -> Result<Checkpoint, CheckpointError> {
    no_container("weights in several files", container)?;
    let parsed = parse(index)?;
    let mut all = Checkpoint {
        format: "weights in several files",
        container: None,
        tensors: BTreeMap::new(),
        unread: BTreeMap::new(),
    };
    for shard in named_files(index, &parsed)? {
        let name = shard.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let part = Bytes::open(&shard, MAX_FILE_BYTES)
            .and_then(|bytes| Checkpoint::read(&bytes, None, ""))
            .map_err(|error| in_shard(&shard, error))?;
        all.format = match part.format {
            "safetensors" => "safetensors in several files",
            _ => "torch in several files",
        };
        let here = |name: &String| part.tensors.contains_key(name) || part.unread.contains_key(name);
        let expected = parsed.weight_map.iter().filter(|(_, file)| **file == name).map(|(tensor, _)| tensor);
        let is_there = |tensor: &&String| here(tensor) || wrappers::unwrapped(tensor).is_some_and(|short| here(&short));
        if let Some(absent) = expected.into_iter().find(|tensor| !is_there(tensor)) {
            return Err(damaged(format!("its index says that {absent} is in {name}, and it is not")));
        }
        for (name, tensor) in part.tensors {
            if all.tensors.insert(name.clone(), tensor).is_some() {
                return Err(damaged(format!("the tensor {name} is in several of its files")));
            }
        }
        all.unread.extend(part.unread);
    }
    Ok(all)
}

/// An error of one of the files, with its name.
fn in_shard(shard: &Path, error: CheckpointError) -> CheckpointError {
    match error {
        CheckpointError::NotRead(what) => CheckpointError::NotRead(format!("{}: {what}", shard.display())),
        CheckpointError::TooLarge(what) => CheckpointError::TooLarge(format!("{}: {what}", shard.display())),
        other => damaged(format!("{}: {other}", shard.display())),
    }
}
