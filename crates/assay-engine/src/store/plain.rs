//! The one way to the files of a store. Where something else lies than a file or a folder of the store (a pipe, a device, a
//! link that leads nowhere, a folder in place of a file), who reads passes it over and never waits for it, and who writes
//! moves it out of the way.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{Store, unique};
use crate::Event;

/// Opens a file to read it; links are followed.
///
/// # Errors
/// When it is no file, or cannot be read.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    // Looked at before: a pipe would keep whoever opens it waiting.
    expect_file(&fs::metadata(path)?)?;
    File::open(path)
}

/// Reads a file; links are followed.
///
/// # Errors
/// Those of [`open`].
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read;
    let mut file = open(path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

pub(crate) fn expect_file(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() { Ok(()) } else { Err(io::Error::new(io::ErrorKind::InvalidData, "it is no ordinary file")) }
}

/// Whether a file lies there, and no link to one.
pub(crate) fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
}

/// Moves what lies in place of a file to `aside`; true when there was something.
pub(crate) fn clear_for_file(path: &Path, aside: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_file() => move_to(path, aside),
        _ => Ok(false),
    }
}

/// Moves what lies in place of a folder, or of a link to one, to `aside`; true when there was something.
fn clear_for_folder(path: &Path, aside: &Path) -> io::Result<bool> {
    if path.is_dir() || fs::symlink_metadata(path).is_err() {
        return Ok(false);
    }
    move_to(path, aside)
}

fn move_to(path: &Path, aside: &Path) -> io::Result<bool> {
    match fs::rename(path, aside) {
        Ok(()) => Ok(true),
        // Another process has moved it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// A name for what is moved aside; it stays there until a person removes it.
pub(crate) fn name_aside() -> String {
    format!("odd.{}.aside", unique(""))
}

impl Store {
    /// Makes sure that nothing but a file lies at `path`.
    pub(super) fn make_way_for_file(&self, path: &Path) -> io::Result<()> {
        let aside = self.work().join(name_aside());
        clear_for_file(path, &aside).map(|moved| self.note_moved(moved, path, aside))
    }

    /// Makes a folder and those above it, down from the root of the store.
    pub(super) fn make_folder(&self, folder: &Path) -> anyhow::Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        let below = folder.strip_prefix(self.root()).map_or(0, |rest| rest.components().count());
        let parts: Vec<_> = folder.ancestors().take(below).collect();
        for part in parts.into_iter().rev() {
            let aside = self.work().join(name_aside());
            clear_for_folder(part, &aside)
                .map(|moved| self.note_moved(moved, part, aside))
                .with_context(|| format!("moving {}, which is no folder, out of the way", part.display()))?;
        }
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))
    }

    pub(super) fn note_moved(&self, is_moved: bool, path: &Path, aside: PathBuf) {
        if is_moved {
            let mut moved = self.0.moved.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            moved.push(Event::Moved { path: path.to_owned(), to: aside });
        }
    }

    /// What has been moved out of the way since this was last asked.
    pub(crate) fn take_moved(&self) -> Vec<Event> {
        std::mem::take(&mut *self.0.moved.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}
