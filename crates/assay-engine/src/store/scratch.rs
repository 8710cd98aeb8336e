//! Files of one step that outlive an interrupted attempt: checkpoints to resume from.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;

use super::{Damaged, Store, plain, remove, unique};
use crate::{Digest, Event, FramedHasher, StepKey};

/// Where a step keeps checkpoints. Each is preceded by a digest, so that a damaged one is as good as none.
pub struct Scratch<'a> {
    store: &'a Store,
    folder: PathBuf,
    kind: &'static str,
    key: StepKey,
    events: &'a (dyn Fn(&Event) + Sync),
}

impl Store {
    pub(crate) fn scratch<'a>(
        &'a self,
        kind: &'static str,
        key: StepKey,
        events: &'a (dyn Fn(&Event) + Sync),
    ) -> anyhow::Result<Scratch<'a>> {
        let folder = self.scratch_folder(key);
        self.make_folder(&folder)?;
        Ok(Scratch { store: self, folder, kind, key, events })
    }

    fn scratch_folder(&self, key: StepKey) -> PathBuf {
        self.work().join(format!("{key}.resume"))
    }

    /// Drops what a step has kept to resume from, once it is done.
    pub(crate) fn drop_scratch(&self, key: StepKey) {
        let _ = remove(&self.scratch_folder(key));
    }
}

impl Scratch<'_> {
    /// Keeps `bytes` under `name`, in place of what was kept under it before. A kill leaves the one or the other.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let aside = self.folder.join(format!("{}.tmp", unique(name)));
        let written = File::create(&aside).and_then(|mut file| {
            file.write_all(self.seal(name, bytes).as_bytes())?;
            file.write_all(bytes)
        });
        written.with_context(|| format!("writing {}", aside.display()))?;
        let path = self.folder.join(name);
        self.store
            .make_way_for_file(&path)
            .and_then(|()| fs::rename(&aside, &path))
            .with_context(|| format!("writing {}", path.display()))
    }

    /// What was kept under `name`; `None` when nothing was, or it is damaged, which is told.
    pub fn load(&self, name: &str) -> Option<Vec<u8>> {
        let path = self.folder.join(name);
        let mut sealed = plain::read(&path).ok()?;
        let bytes = sealed.split_off(sealed.len().min(32));
        if sealed == self.seal(name, &bytes).as_bytes() {
            return Some(bytes);
        }
        let what = "does not have the digest that it was kept with; the step begins anew".to_owned();
        (self.events)(&Event::Damaged(Damaged { kind: self.kind.to_owned(), key: self.key, file: path, what }));
        None
    }

    /// Digest of a checkpoint, of the step and the name that it is kept for.
    fn seal(&self, name: &str, bytes: &[u8]) -> Digest {
        FramedHasher::new("checkpoint").field(self.key.0.as_bytes()).field(name.as_bytes()).field(bytes).finish()
    }
}
