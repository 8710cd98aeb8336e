//! Mark and sweep: what no given plan and no live run reaches can go.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::{ENTRY, Holder, Listing, Store, list, plain, remove};
use crate::StepKey;
use crate::facts::TEMPORARY;

/// What a collection would remove, or has removed.
#[derive(Clone, Debug, Default)]
pub struct Garbage {
    /// Entries that nothing reaches: kind, key, size of the artifact in bytes.
    pub entries: Vec<(String, StepKey, u64)>,
    /// Left-overs of interrupted attempts that nobody works on, damaged entries that were set aside, and what earlier
    /// versions left.
    pub work: Vec<PathBuf>,
    /// Number of entries that stay.
    pub kept: usize,
    /// Files and folders that no version of the program has put there; they stay.
    pub foreign: Vec<PathBuf>,
}

/// Finds what is neither in `live` nor needed by a process that runs now. Changes nothing that anybody needs.
///
/// # Errors
/// When the store cannot be listed.
pub fn find(store: &Store, live: &HashSet<StepKey>) -> anyhow::Result<Garbage> {
    let (mut needed, dead) = store.needed_by_live_runs()?;
    needed.extend(live);
    let Listing { entries, orphans, outdated, foreign } = store.list()?;
    let mut garbage = Garbage { foreign, work: dead, ..Garbage::default() };
    for (kind, key) in entries {
        if needed.contains(&key) {
            garbage.kept += 1;
        } else {
            let bytes = store.provenance(&kind, key).map_or(0, |p| p.bytes());
            garbage.entries.push((kind, key, bytes));
        }
    }
    garbage.work.extend(orphans.into_iter().map(|(_, _, path)| path));
    garbage.work.extend(outdated);
    // Should one be in use, what is learnt of files is not kept that time.
    let left = list::names(&store.facts_folder())?.into_iter().filter(|name| name.ends_with(TEMPORARY));
    garbage.work.extend(left.map(|name| store.facts_folder().join(name)));
    for name in list::names(&store.work())? {
        let Some(key) = key_of(&name) else { continue };
        let path = store.work().join(&name);
        if name.ends_with(".lease") && !plain::is_file(&path) {
            continue;
        }
        // A checkpoint to resume from is wanted as long as the step is.
        let is_wanted = name.ends_with(".resume") && needed.contains(&key);
        if !is_wanted && super::Lease::holder(&store.work().join(format!("{key}.lease"))).is_none() {
            garbage.work.push(path);
        }
    }
    Ok(garbage)
}

fn key_of(name: &str) -> Option<StepKey> {
    name.split('.').next()?.parse().ok()
}

/// Removes what [`find`] finds, and returns it. Safe beside processes that run: it decides while none of them can begin, and
/// takes the lease of whatever it removes; what somebody holds, stays. Things are moved out of sight first, so that no reader
/// sees half of them.
///
/// # Errors
/// When something cannot be removed. That it is gone already is no error.
pub fn sweep(store: &Store, live: &HashSet<StepKey>) -> anyhow::Result<Garbage> {
    if !store.work().is_dir() {
        // No store yet, and nothing to remove.
        return find(store, live);
    }
    let exclusive = store.use_exclusive()?;
    let mut garbage = find(store, live)?;
    let mut gone = Vec::new();
    garbage.entries.retain(|(kind, key, _)| {
        with_lease(store, *key, || store.move_aside(kind, *key, COLLECTOR, "gone").map(|paths| gone.extend(paths)))
    });
    garbage.work.retain(|path| remove_unless_held(store, path));
    forget(store)?;
    if !garbage.entries.is_empty() {
        store.keep_indices(0)?;
    }
    drop(exclusive);
    gone.iter().try_for_each(|path| remove(path))?;
    Ok(garbage)
}

/// Removes something that is no entry; false when somebody makes that step, or has committed it meanwhile.
fn remove_unless_held(store: &Store, path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some(key) = key_of(name) else { return remove(path).is_ok() };
    with_lease(store, key, || {
        // Large files go to their place before their entry does: what had none when it was listed may have one now.
        let entry = path.with_file_name(format!("{key}{ENTRY}"));
        let is_orphan = !path.starts_with(store.work()) && path.extension().is_some();
        anyhow::ensure!(!is_orphan || !entry.exists(), "it is in use");
        // Giving the lease back removes its file.
        if name.ends_with(".lease") { Ok(()) } else { remove(path) }
    })
}

const COLLECTOR: &str = "gc";

/// Does something while nobody else can make the step; false when somebody does, or it fails.
fn with_lease(store: &Store, key: StepKey, act: impl FnOnce() -> anyhow::Result<()>) -> bool {
    let holder = Holder { host: String::new(), pid: std::process::id(), label: "garbage collection".to_owned() };
    match store.lease(key, &holder) {
        Ok(Ok(_lease)) => act().is_ok(),
        _ => false,
    }
}

/// Drops the records of entries that are gone.
fn forget(store: &Store) -> anyhow::Result<()> {
    let kept: HashSet<_> = store.entries()?.into_iter().collect();
    store.forget_content(&kept)
}
