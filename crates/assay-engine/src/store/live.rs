//! What running processes need, for whoever collects garbage beside them.
//!
//! A run writes the keys of its plan into a file that it keeps locked; the kernel unlocks it when the run ends, however it
//! ends. A collection takes the keys in locked files for wanted. The two do not interleave: a run announces itself under a
//! shared lock, a collection decides and moves things out of sight under an exclusive one.

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::PathBuf;

use anyhow::Context as _;

use super::{Store, is_read_only, plain, unique};
use crate::{Digest, StepKey};

pub(super) const LIVE: &str = ".live";
pub(super) const LOCK: &str = "sweep.lock";

/// A process that needs some entries; nothing of them is collected until it is dropped.
#[derive(Debug)]
pub struct LiveRun {
    path: PathBuf,
    /// Locked as long as this is alive; absent where nothing can be written.
    _file: Option<File>,
    /// Keeps collections away altogether, where the keys could not be written down.
    _lock: Option<File>,
}

impl Drop for LiveRun {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Store {
    /// Announces that the entries `keys` are needed, whether or not they are there yet. Waits while a collection decides.
    ///
    /// # Errors
    /// When the announcement cannot be written or locked.
    pub fn use_shared(&self, host: &str, keys: impl Iterator<Item = StepKey>) -> anyhow::Result<LiveRun> {
        let path = self.work().join(format!("{}{LIVE}", unique(host)));
        let lock = match self.open_lock() {
            // Nothing can be collected there either.
            Err(error) if is_read_only(&error) || !self.work().is_dir() => {
                return Ok(LiveRun { path, _file: None, _lock: None });
            }
            opened => opened.with_context(|| format!("opening {}", self.work().join(LOCK).display()))?,
        };
        lock.lock_shared().with_context(|| format!("locking {}", self.work().join(LOCK).display()))?;
        let bytes: Vec<u8> = keys.flat_map(|key| *key.0.as_bytes()).collect();
        let announced = File::create_new(&path).and_then(|mut file| {
            file.lock()?;
            file.write_all(&bytes)?;
            Ok(file)
        });
        match announced {
            Ok(file) => Ok(LiveRun { path, _file: Some(file), _lock: None }),
            Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                Ok(LiveRun { path, _file: None, _lock: Some(lock) })
            }
            Err(error) => Err(error).with_context(|| format!("writing {}", path.display())),
        }
    }

    fn open_lock(&self) -> io::Result<File> {
        let path = self.work().join(LOCK);
        self.make_way_for_file(&path)?;
        File::options().read(true).write(true).create(true).truncate(false).open(path)
    }

    /// Keeps runs from announcing themselves until it is dropped.
    pub(super) fn use_exclusive(&self) -> anyhow::Result<File> {
        let path = self.work().join(LOCK);
        let lock = self.open_lock().with_context(|| format!("opening {}", path.display()))?;
        lock.lock().with_context(|| format!("locking {}", path.display()))?;
        Ok(lock)
    }

    /// Keys that live runs need, and announcements of runs that are dead.
    pub(super) fn needed_by_live_runs(&self) -> anyhow::Result<(HashSet<StepKey>, Vec<PathBuf>)> {
        let (mut needed, mut dead) = (HashSet::new(), Vec::new());
        for name in super::list::names(&self.work())? {
            if !name.ends_with(LIVE) {
                continue;
            }
            let path = self.work().join(name);
            let Ok(file) = plain::open(&path) else { continue };
            match file.try_lock_shared() {
                Err(TryLockError::WouldBlock) => {
                    // Of the file that is open: a run that ends meanwhile removes its name.
                    let mut bytes = Vec::new();
                    (&file).read_to_end(&mut bytes).with_context(|| format!("reading {}", path.display()))?;
                    needed.extend(bytes.as_chunks::<32>().0.iter().map(|key| StepKey(Digest::from_bytes(*key))));
                }
                _ => dead.push(path),
            }
        }
        Ok((needed, dead))
    }
}
