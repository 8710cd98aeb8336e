//! Hashes the store again and tells what is not what it was.

use anyhow::Context as _;

use crate::store::hash_files;
use crate::{Digest, StepKey, Store};

/// What is wrong with one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Kind of the entry.
    pub kind: String,
    /// Its key.
    pub key: StepKey,
    /// What is wrong.
    pub what: String,
}

/// Checks one entry: its recipe against its key, its files against its provenance.
pub fn entry(store: &Store, kind: &str, key: StepKey) -> Option<Damage> {
    let damage = |what: String| Some(Damage { kind: kind.to_owned(), key, what });
    match check(store, kind, key) {
        Ok(None) => None,
        Ok(Some(what)) => damage(what),
        Err(error) => damage(format!("{error:#}")),
    }
}

fn check(store: &Store, kind: &str, key: StepKey) -> anyhow::Result<Option<String>> {
    let recipe = store.recipe(kind, key).context("reading recipe.json")?;
    if StepKey(Digest::of(recipe.as_bytes())) != key {
        return Ok(Some("recipe.json does not have the digest that the folder is named after".to_owned()));
    }
    let provenance = store.provenance(kind, key)?;
    let (output, files) = hash_files(&store.entry(kind, key))?;
    for (name, record) in &provenance.files {
        match files.get(name) {
            None => return Ok(Some(format!("{name} is missing"))),
            Some(found) if found != record => {
                return Ok(Some(format!(
                    "{name} has {} bytes and digest {}, but was committed with {} bytes and digest {}",
                    found.bytes,
                    found.blake3.short(),
                    record.bytes,
                    record.blake3.short()
                )));
            }
            Some(_) => {}
        }
    }
    if output != provenance.output {
        return Ok(Some("there are files that were not committed with it".to_owned()));
    }
    Ok(None)
}
