//! A place where entries are kept: this store, and later others behind it.

use std::io;

use super::{Claim, Committed, Holder, Store};
use crate::StepKey;

/// A place where entries are kept. Questions come in batches, since a remote place answers slowly.
pub trait Tier {
    /// Tells for each of these entries, given by kind and key, whether it is missing.
    ///
    /// # Errors
    /// When the place cannot be asked.
    fn missing(&self, keys: &[(&'static str, StepKey)]) -> io::Result<Vec<bool>>;

    /// Copies an entry from here into `into`, verified; false when it is not here.
    ///
    /// # Errors
    /// When it is damaged here, or cannot be written there.
    fn fetch(&self, kind: &'static str, key: StepKey, into: &Store) -> anyhow::Result<bool>;

    /// Copies an entry of `from` to here, verified; what is here already stays. `None` when somebody is making it here.
    ///
    /// # Errors
    /// When it is missing or damaged there, or cannot be written here.
    fn push(&self, kind: &'static str, key: StepKey, from: &Store) -> anyhow::Result<Option<Committed>>;
}

impl Tier for Store {
    fn missing(&self, keys: &[(&'static str, StepKey)]) -> io::Result<Vec<bool>> {
        self.missing_here(keys)
    }

    fn fetch(&self, kind: &'static str, key: StepKey, into: &Store) -> anyhow::Result<bool> {
        if !self.contains(kind, key) {
            return Ok(false);
        }
        into.push(kind, key, self)?;
        Ok(true)
    }

    fn push(&self, kind: &'static str, key: StepKey, from: &Store) -> anyhow::Result<Option<Committed>> {
        let entry = from.present(kind, key)?;
        let provenance = entry.provenance.clone();
        let holder = Holder {
            host: provenance.host.clone(),
            pid: std::process::id(),
            label: format!("copy of {}", provenance.label),
        };
        match self.claim(kind, key, &holder)? {
            Claim::Present => Ok(Some(Committed::Same)),
            Claim::Held(_) => Ok(None),
            Claim::Vacant(mut slot) => {
                slot.take_from(&entry)?;
                Ok(Some(slot.commit(entry.recipe(), provenance)?.0))
            }
        }
    }
}
