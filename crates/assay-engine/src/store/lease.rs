//! One maker per step: a lease is a locked file, so the kernel gives it back when its holder dies, however it dies.
//!
//! There is no heartbeat to miss and no expiry to guess: a lease is held exactly as long as a process holds the lock. The
//! file's text says who, for people. Network file systems release the locks of clients that are gone by their own rule.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::Stamp;

/// Who makes a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Name of the machine.
    pub host: String,
    /// Process id on that machine.
    pub pid: u32,
    /// Label of the step.
    pub label: String,
}

/// The right to make one step; given back when dropped.
#[derive(Debug)]
pub struct Lease {
    path: PathBuf,
    file: File,
}

impl Lease {
    /// Takes the lease at `path`, or says who has it (`None` when they have not yet written their name).
    ///
    /// # Errors
    /// When the file cannot be made or the file system has no locks.
    pub fn take(path: &Path, holder: &Holder) -> anyhow::Result<Result<Self, Option<Holder>>> {
        loop {
            let mut file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)
                .with_context(|| format!("making the lease {}", path.display()))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(Err(Self::read_holder(&mut file))),
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| {
                        format!(
                            "{} cannot be locked: the store must be on a file system with file locks",
                            path.display()
                        )
                    });
                }
            }
            // The holder before us may have removed the file between our open and our lock.
            if !still_there(path, &file) {
                continue;
            }
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(&serde_json::to_vec(holder)?)?;
            return Ok(Ok(Self { path: path.to_owned(), file }));
        }
    }

    /// Who holds the lease at `path` now, if anybody does.
    pub fn holder(path: &Path) -> Option<Holder> {
        let mut file = super::plain::open(path).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Self::read_holder(&mut file),
            _ => None,
        }
    }

    fn read_holder(file: &mut File) -> Option<Holder> {
        let mut text = String::new();
        file.take(4096).read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok()
    }
}

pub(super) fn still_there(path: &Path, file: &File) -> bool {
    let named = fs::metadata(path).map(|m| Stamp::of(&m));
    let ours = file.metadata().map(|m| Stamp::of(&m));
    matches!((named, ours), (Ok(a), Ok(b)) if a == b)
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Removed while still locked, so that nobody can lock a file that has no name.
        let _: io::Result<()> = fs::remove_file(&self.path).and_then(|()| self.file.unlock());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(label: &str) -> Holder {
        Holder { host: "here".into(), pid: 1, label: label.into() }
    }

    #[test]
    fn one_holder_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k.lease");
        let first = Lease::take(&path, &holder("a")).unwrap().unwrap();
        assert_eq!(Lease::take(&path, &holder("b")).unwrap().unwrap_err(), Some(holder("a")));
        assert_eq!(Lease::holder(&path), Some(holder("a")));
        drop(first);
        assert!(!path.exists());
        assert_eq!(Lease::holder(&path), None);
        assert!(Lease::take(&path, &holder("b")).unwrap().is_ok());
    }

    #[test]
    fn a_file_left_by_a_dead_process_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k.lease");
        fs::write(&path, b"{\"host\":\"gone\"").unwrap();
        assert_eq!(Lease::holder(&path), None);
        assert!(Lease::take(&path, &holder("a")).unwrap().is_ok());
    }
}
