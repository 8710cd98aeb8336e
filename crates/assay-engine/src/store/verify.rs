//! Hashes the store again and tells what is not what it was.

use super::{Damaged, Store};
use crate::StepKey;
use crate::artifact::damage_in;

/// Checks one entry: its seal, its recipe against its key, and all its files, whether or not their time stamps are known.
pub fn entry(store: &Store, kind: &str, key: StepKey) -> Option<Damaged> {
    let checked = store.present(kind, key).and_then(|entry| entry.files.check(true));
    let error = checked.err()?;
    let damage = damage_in(&error).cloned();
    damage.or_else(|| {
        Some(store.damaged(kind, key, store.entry_path(kind, key), format!("cannot be checked ({error:#})")))
    })
}
