//! What is there: entries, what belongs to none, and what is no part of a store at all.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::live::{LIVE, LOCK};
use super::{ENTRY, Holder, Lease, STEPS, Store, plain};
use crate::digest::KeySet;
use crate::{Provenance, StepKey};

/// What is in the folders of entries.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Kind and key of every entry, sorted.
    pub entries: Vec<(String, StepKey)>,
    /// Folders of large files whose entry is not there: kind, key and path.
    pub(crate) orphans: Vec<(String, StepKey, PathBuf)>,
    /// Entries of an earlier layout, which this version neither reads nor needs.
    pub outdated: Vec<PathBuf>,
    /// Files and folders that no version of the program has put there.
    pub foreign: Vec<PathBuf>,
}

impl Store {
    /// Lists the store. What is foreign is named and passed over.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn list(&self) -> anyhow::Result<Listing> {
        let mut listing = Listing::default();
        let steps = self.root().join(STEPS);
        for kind in folders(&steps, &mut listing.foreign)? {
            let kind_folder = steps.join(&kind);
            for prefix in folders(&kind_folder, &mut listing.foreign)? {
                self.list_prefix(&kind, &prefix, &kind_folder.join(&prefix), &mut listing)?;
            }
        }
        self.list_content(&mut listing)?;
        self.list_beside(&mut listing)?;
        listing.entries.sort();
        Ok(listing)
    }

    fn list_prefix(&self, kind: &str, prefix: &str, folder: &Path, listing: &mut Listing) -> anyhow::Result<()> {
        let mut apart = Vec::new();
        let mut keys = HashSet::new();
        for name in all_names(folder)? {
            let path = folder.join(&name);
            let key = |text: &str| text.parse::<StepKey>().ok().filter(|_| text.starts_with(prefix));
            let Some(name) = name.to_str() else {
                listing.foreign.push(path);
                continue;
            };
            if let Some(key) = name.strip_suffix(ENTRY).and_then(key) {
                keys.insert(key);
                listing.entries.push((kind.to_owned(), key));
            } else if let Some(key) = name.split_once('.').filter(|(_, rest)| is_hex(rest)).and_then(|(k, _)| key(k)) {
                apart.push((kind.to_owned(), key, path));
            } else if key(name).is_some() {
                listing.outdated.push(path);
            } else {
                listing.foreign.push(path);
            }
        }
        listing.orphans.extend(apart.into_iter().filter(|(_, key, _)| !keys.contains(key)));
        Ok(())
    }

    fn list_content(&self, listing: &mut Listing) -> anyhow::Result<()> {
        let content = self.root().join(super::CONTENT);
        for name in all_names(&content)? {
            let path = content.join(&name);
            let is_ours = path.extension().is_some_and(|extension| extension == "records");
            match is_ours {
                true if plain::is_file(&path) => {}
                // Earlier versions had a folder for each kind.
                false if path.is_dir() => listing.outdated.push(path),
                _ => listing.foreign.push(path),
            }
        }
        Ok(())
    }

    /// Looks for what is foreign among the files of running processes and the facts.
    fn list_beside(&self, listing: &mut Listing) -> anyhow::Result<()> {
        for name in all_names(&self.work())? {
            let path = self.work().join(&name);
            let text = name.to_str().unwrap_or_default();
            let is_locked = text == LOCK || text.ends_with(LIVE) || text.ends_with(".lease");
            let is_ours = is_locked || text.split('.').next().is_some_and(|key| key.parse::<StepKey>().is_ok());
            if !is_ours || (is_locked && !plain::is_file(&path)) {
                listing.foreign.push(path);
            }
        }
        let facts = self.facts_folder();
        let odd = all_names(&facts)?.into_iter().map(|name| facts.join(name)).filter(|path| {
            // What another process writes just now may be gone by now.
            path.extension().is_some_and(|e| e == "aside") || (!plain::is_file(path) && path.symlink_metadata().is_ok())
        });
        listing.foreign.extend(odd);
        Ok(())
    }

    /// Every entry: kind and key. Sorted.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn entries(&self) -> anyhow::Result<Vec<(String, StepKey)>> {
        Ok(self.list()?.entries)
    }

    /// Steps that are being made now, by whom.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn in_progress(&self) -> anyhow::Result<Vec<Holder>> {
        let work = self.work();
        let leases = names(&work)?.into_iter().filter(|name| name.ends_with(".lease"));
        Ok(leases.filter_map(|name| Lease::holder(&work.join(name))).collect())
    }

    /// Which of these entries are not there. Whole folders are listed where many are asked for.
    pub(crate) fn missing_here(&self, keys: &[(&'static str, StepKey)]) -> io::Result<Vec<bool>> {
        const WORTH_LISTING: usize = 16;
        let mut order: Vec<usize> = (0..keys.len()).collect();
        let group = |at: &usize| (keys[*at].0, keys[*at].1.0.as_bytes()[0]);
        order.sort_unstable_by_key(group);
        let mut missing = vec![true; keys.len()];
        for same in order.chunk_by(|a, b| group(a) == group(b)) {
            if same.len() < WORTH_LISTING {
                same.iter().for_each(|at| missing[*at] = !self.contains(keys[*at].0, keys[*at].1));
                continue;
            }
            let (kind, first) = group(&same[0]);
            let folder = self.root().join(STEPS).join(kind).join(format!("{first:02x}"));
            let there: KeySet = match fs::read_dir(&folder) {
                Ok(entries) => entries
                    .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(ENTRY)?.parse().ok())
                    .collect(),
                Err(error) if is_nothing(&error) || !folder.is_dir() => KeySet::default(),
                Err(error) => return Err(error),
            };
            same.iter().for_each(|at| missing[*at] = !there.contains(&keys[*at].1));
        }
        Ok(missing)
    }

    /// Provenance of some entries of a kind: at most `most`, those that come first on disk.
    pub(crate) fn sample<'s>(&'s self, kind: &str, most: usize) -> impl Iterator<Item = Provenance> + 's {
        let kind = kind.to_owned();
        let prefixes = fs::read_dir(self.root().join(STEPS).join(&kind)).into_iter().flatten().flatten();
        let entries = prefixes.flat_map(|p| fs::read_dir(p.path()).into_iter().flatten().flatten());
        let keys = entries.filter_map(|e| e.file_name().to_str()?.strip_suffix(ENTRY)?.parse::<StepKey>().ok());
        keys.take(most).filter_map(move |key| self.provenance(&kind, key).ok())
    }
}

fn is_hex(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Whether there is simply no such folder.
pub(super) fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Names in a folder, sorted; none when it does not exist.
fn all_names(folder: &Path) -> anyhow::Result<Vec<std::ffi::OsString>> {
    let listed = fs::read_dir(folder).and_then(|entries| entries.map(|e| Ok(e?.file_name())).collect());
    let mut names: Vec<_> = match listed {
        Ok(names) => names,
        Err(error) if is_nothing(&error) => Vec::new(),
        Err(error) => return Err(anyhow::Error::new(error).context(format!("listing {}", folder.display()))),
    };
    names.sort();
    Ok(names)
}

/// Those names in a folder that are text.
pub(super) fn names(folder: &Path) -> anyhow::Result<Vec<String>> {
    Ok(all_names(folder)?.into_iter().filter_map(|name| name.into_string().ok()).collect())
}

/// Names of the folders in a folder; everything else in it is foreign.
fn folders(folder: &Path, foreign: &mut Vec<PathBuf>) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for name in all_names(folder)? {
        let path = folder.join(&name);
        match name.into_string() {
            Ok(name) if path.is_dir() => found.push(name),
            _ => foreign.push(path),
        }
    }
    Ok(found)
}
