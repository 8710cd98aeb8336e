//! Mark and sweep: what no given plan reaches can go.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::store::list;
use crate::{Lease, StepKey, Store};

/// What a collection would remove.
#[derive(Clone, Debug, Default)]
pub struct Garbage {
    /// Entries that nothing reaches: kind, key, size of the artifact in bytes.
    pub entries: Vec<(String, StepKey, u64)>,
    /// Left-overs of interrupted attempts that nobody works on.
    pub work: Vec<PathBuf>,
    /// Entries that stay.
    pub kept: usize,
}

/// Finds what is not in `live`. Changes nothing.
///
/// # Errors
/// When the store cannot be listed.
pub fn find(store: &Store, live: &HashSet<StepKey>) -> anyhow::Result<Garbage> {
    let mut garbage = Garbage::default();
    for (kind, key) in store.entries()? {
        if live.contains(&key) {
            garbage.kept += 1;
        } else {
            let bytes = store.provenance(&kind, key).map_or(0, |p| p.bytes());
            garbage.entries.push((kind, key, bytes));
        }
    }
    let work = store.root().join("work");
    for name in list(&work)? {
        let Some((key, _)) = name.split_once('.') else { continue };
        let Ok(key) = key.parse::<StepKey>() else { continue };
        // A checkpoint to resume from is wanted as long as the step is.
        let wanted = name.ends_with(".resume") && live.contains(&key);
        if !wanted && Lease::holder(&store.lease_path(key)).is_none() {
            garbage.work.push(work.join(name));
        }
    }
    Ok(garbage)
}

/// Removes what [`find`] found: each entry is first renamed out of sight, so that no reader sees half of it.
///
/// # Errors
/// When something cannot be removed.
pub fn sweep(store: &Store, garbage: &Garbage) -> anyhow::Result<()> {
    for (kind, key, _) in &garbage.entries {
        let aside = store.root().join("work").join(format!("{key}.gone"));
        let _ = fs::remove_dir_all(&aside);
        fs::rename(store.entry(kind, *key), &aside).with_context(|| format!("removing the {kind} entry {key}"))?;
        fs::remove_dir_all(&aside)?;
    }
    forget_content(store)?;
    for path in &garbage.work {
        let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        removed.with_context(|| format!("removing {}", path.display()))?;
    }
    Ok(())
}

/// Removes the records of steps that are gone, so that nothing is thought to be known that is not.
fn forget_content(store: &Store) -> anyhow::Result<()> {
    let root = store.root().join("content");
    for kind in list(&root)? {
        for parameters in list(&root.join(&kind))? {
            let folder = root.join(&kind).join(&parameters);
            for name in list(&folder)? {
                let record = folder.join(&name);
                let key = fs::read_to_string(&record).ok().and_then(|text| text.trim().parse().ok());
                if !key.is_some_and(|key| store.contains(&kind, key)) {
                    fs::remove_file(&record).with_context(|| format!("removing {}", record.display()))?;
                }
            }
            // Fails while there are records left, as it should.
            let _ = fs::remove_dir(&folder);
        }
    }
    Ok(())
}
