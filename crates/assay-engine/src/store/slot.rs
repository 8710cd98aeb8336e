//! The right to make one entry, and the only way to commit it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::entry::{ApartFile, Entry, Provenance, Sealed, sync_folder};
use super::{Holder, Lease, Store, remove};
use crate::artifact::{ArtifactFiles, damage_in};
use crate::{Digest, StepKey};

/// What became of asking for a step.
pub enum Claim<'s> {
    /// It is there already.
    Present,
    /// Another process makes it; `None` when they have not yet written their name.
    Held(Option<Holder>),
    /// It is the caller's to make.
    Vacant(EntrySlot<'s>),
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// The entry is new.
    New,
    /// The same result was there already.
    Same,
    /// Another result was there already, and stays.
    Differs {
        /// Digest of the result that stays.
        kept: Digest,
    },
}

impl Store {
    /// Asks for the right to make a step.
    ///
    /// # Errors
    /// When the lease file cannot be made or locked.
    pub fn claim(&self, kind: &'static str, key: StepKey, holder: &Holder) -> anyhow::Result<Claim<'_>> {
        let lease = match self.lease(key, holder)? {
            Ok(lease) => lease,
            Err(other) => return Ok(Claim::Held(other)),
        };
        if self.contains(kind, key) {
            return Ok(Claim::Present);
        }
        let folder = self.aside(key, &holder.host, "making");
        let files = ArtifactFiles::in_folder(folder.clone());
        Ok(Claim::Vacant(EntrySlot { store: self, kind, key, holder: holder.clone(), folder, files, _lease: lease }))
    }
}

/// An entry that is being made. Dropping it gives the lease back and leaves nothing behind.
pub struct EntrySlot<'s> {
    store: &'s Store,
    kind: &'static str,
    key: StepKey,
    holder: Holder,
    /// Where large files are until the commit; made for the first of them.
    folder: PathBuf,
    files: ArtifactFiles,
    _lease: Lease,
}

impl EntrySlot<'_> {
    /// Where its files are put.
    pub fn files(&mut self) -> &mut ArtifactFiles {
        &mut self.files
    }

    /// Takes the files of another entry of the same kind.
    ///
    /// # Errors
    /// When they are damaged, or can be neither linked nor copied.
    pub fn take_from(&mut self, entry: &Entry) -> anyhow::Result<()> {
        self.files.take_from(&entry.files)
    }

    /// Makes the entry visible, all at once. `output` and `files` of the provenance are filled in here; returned with what
    /// became of it.
    ///
    /// # Errors
    /// When a file cannot be written or synced. What was there before is never touched, unless it is damaged.
    pub fn commit(self, recipe: &str, mut provenance: Provenance) -> anyhow::Result<(Committed, Provenance)> {
        anyhow::ensure!(
            StepKey(Digest::of(recipe.as_bytes())) == self.key,
            "the recipe of {} is not the one that its key was made of",
            provenance.label
        );
        (provenance.output, provenance.files) = self.files.records();
        let bytes = Sealed::write(recipe, &provenance, &self.files)?;
        let target = self.store.entry_path(self.kind, self.key);
        let parent = target.parent().expect("an entry is three folders below the root");
        if !parent.is_dir() {
            self.store.make_folder(parent)?;
            // So that it is found again after a power failure.
            parent.ancestors().skip(1).take(2).try_for_each(sync_folder)?;
        }
        for _ in 0..3 {
            if let Some(committed) = self.compare(&provenance)? {
                return Ok((committed, provenance));
            }
            self.place_large_files(&provenance)?;
            if self.link(&bytes, &target)? {
                sync_folder(parent)?;
                return Ok((Committed::New, provenance));
            }
        }
        anyhow::bail!("{} is in the way and cannot be moved", target.display())
    }

    /// Compares with what is there by now. What is damaged there is set aside.
    fn compare(&self, provenance: &Provenance) -> anyhow::Result<Option<Committed>> {
        match self.store.entry(self.kind, self.key) {
            Ok(None) => Ok(None),
            Ok(Some(there)) if there.provenance.output == provenance.output => Ok(Some(Committed::Same)),
            Ok(Some(there)) => Ok(Some(Committed::Differs { kept: there.provenance.output })),
            Err(error) if damage_in(&error).is_some() => {
                self.store.move_aside(self.kind, self.key, &self.holder.host, "damaged")?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn place_large_files(&self, provenance: &Provenance) -> anyhow::Result<()> {
        let large: Vec<_> = provenance.files.iter().filter(|(_, record)| record.apart).collect();
        let folder = self.store.apart_folder(self.kind, self.key, provenance.output);
        if large.is_empty() || !self.folder.exists() {
            return Ok(());
        }
        for (name, _) in &large {
            let path = self.folder.join(name);
            File::open(&path).and_then(|f| f.sync_all()).with_context(|| format!("syncing {}", path.display()))?;
        }
        sync_folder(&self.folder)?;
        if fs::symlink_metadata(&folder).is_ok() {
            // Left by an attempt that died before its entry was linked.
            let gone = self.store.aside(self.key, &self.holder.host, "gone");
            fs::rename(&folder, &gone).with_context(|| format!("setting {} aside", folder.display()))?;
            remove(&gone)?;
        }
        fs::rename(&self.folder, &folder).with_context(|| format!("committing {}", folder.display()))?;
        for (name, record) in large {
            ApartFile::believe(&folder.join(name), record, self.store.verified());
        }
        Ok(())
    }

    /// Gives the entry its name; false when the name is taken.
    fn link(&self, bytes: &[u8], target: &Path) -> anyhow::Result<bool> {
        let aside = self.store.aside(self.key, &self.holder.host, "sealed");
        let written = File::create_new(&aside).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        let linked = match written {
            Err(error) => Err(error).with_context(|| format!("writing {}", aside.display())),
            Ok(()) => match fs::hard_link(&aside, target) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                // Where there are no hard links, the lease alone keeps others from the name.
                Err(_) if !target.exists() => fs::rename(&aside, target)
                    .map(|()| true)
                    .with_context(|| format!("committing {}", target.display())),
                Err(error) => Err(error).with_context(|| format!("committing {}", target.display())),
            },
        };
        let _ = remove(&aside);
        linked
    }
}

impl Drop for EntrySlot<'_> {
    fn drop(&mut self) {
        // Gone already after a commit.
        let _ = remove(&self.folder);
    }
}
