//! The bytes of a file, read as far as they are needed.
//!
//! Nothing is asked for in one piece but what a format needs in one piece, and memory that is not there is an error: no file
//! ends the process, whatever size it has or says it has.

use std::borrow::Cow;
use std::fs::{self, File, FileType};
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use zip::ZipArchive;
use zip::read::{ArchiveOffset, Config};

use crate::CheckpointError;

/// Bytes in memory or in a file.
pub enum Bytes<'a> {
    Memory(&'a [u8]),
    File { file: File, length: u64 },
}

/// A source that archives are read through.
pub trait Seekable: Read + Seek {}
impl<T: Read + Seek> Seekable for T {}

impl Bytes<'_> {
    /// Opens an ordinary file of at most `largest` bytes.
    pub fn open(path: &Path, largest: u64) -> Result<Self, CheckpointError> {
        check_kind(fs::metadata(path)?.file_type())?;
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        if length > largest {
            return Err(CheckpointError::TooLarge(format!("it has {length} bytes, and at most {largest} are read")));
        }
        Ok(Self::File { file, length })
    }

    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { length, .. } => *length,
        }
    }

    /// The first bytes, at most `count`.
    pub fn head(&self, count: u64) -> Result<Cow<'_, [u8]>, CheckpointError> {
        self.read(0, self.len().min(count))
    }

    /// All of them, at most `largest`.
    pub fn all(&self, largest: u64) -> Result<Cow<'_, [u8]>, CheckpointError> {
        let length = self.len();
        if length > largest {
            let what = format!("of its {length} bytes, which have to be in memory at once, at most {largest} are read");
            return Err(CheckpointError::TooLarge(what));
        }
        self.read(0, length)
    }

    /// `count` bytes from `start` on.
    pub fn read(&self, start: u64, count: u64) -> Result<Cow<'_, [u8]>, CheckpointError> {
        let short = || CheckpointError::Damaged("the file ends early: it is truncated".to_owned());
        let end = start.checked_add(count).filter(|end| *end <= self.len()).ok_or_else(short)?;
        match self {
            Self::Memory(bytes) => Ok(Cow::Borrowed(&bytes[start as usize..end as usize])),
            Self::File { file, .. } => {
                let mut file = file;
                file.seek(SeekFrom::Start(start))?;
                let bytes = read_exactly(file, count)?;
                bytes.map(Cow::Owned).ok_or_else(short)
            }
        }
    }

    /// A reader from the beginning on. While it is in use, nothing else may be read.
    pub fn reader(&self) -> Result<Box<dyn Seekable + '_>, CheckpointError> {
        Ok(match self {
            Self::Memory(bytes) => Box::new(Cursor::new(*bytes)),
            Self::File { file, .. } => {
                let mut reader = BufReader::new(file);
                reader.seek(SeekFrom::Start(0))?;
                Box::new(reader)
            }
        })
    }
}

/// The zip that begins where `archive` does. It is not looked for elsewhere: a reader that does takes the second entry of the list of
/// members for the first where that is as long as the records that torch writes after the list, which depends on the file's name.
pub fn open_zip<R: Read + Seek>(archive: R) -> Result<ZipArchive<R>, CheckpointError> {
    let config = Config { archive_offset: ArchiveOffset::Known(0) };
    ZipArchive::with_config(config, archive)
        .map_err(|e| CheckpointError::Damaged(format!("the zip cannot be read: {e}")))
}

/// The next `count` bytes; absent when there are fewer.
pub fn read_exactly(file: impl Read, count: u64) -> Result<Option<Vec<u8>>, CheckpointError> {
    let mut bytes = reserved(count)?;
    file.take(count).read_to_end(&mut bytes)?;
    Ok(Some(bytes).filter(|bytes| bytes.len() as u64 == count))
}

/// An empty vector with room for so many bytes.
pub fn reserved(count: u64) -> Result<Vec<u8>, CheckpointError> {
    let mut bytes = Vec::new();
    let is_there = usize::try_from(count).is_ok_and(|count| bytes.try_reserve_exact(count).is_ok());
    if is_there { Ok(bytes) } else { Err(CheckpointError::TooLarge(format!("{count} bytes do not fit into memory"))) }
}

/// Bytes of one's own.
pub fn owned(bytes: Cow<'_, [u8]>) -> Result<Vec<u8>, CheckpointError> {
    match bytes {
        Cow::Owned(bytes) => Ok(bytes),
        Cow::Borrowed(bytes) => {
            let mut copy = reserved(bytes.len() as u64)?;
            copy.extend_from_slice(bytes);
            Ok(copy)
        }
    }
}

/// Refuses what is no ordinary file: a pipe would be waited for, and a device never ends.
pub fn check_kind(kind: FileType) -> Result<(), CheckpointError> {
    if kind.is_file() {
        return Ok(());
    }
    let noun = if kind.is_dir() { "a folder" } else { special(kind) };
    Err(CheckpointError::NotACheckpoint(noun.to_owned()))
}

#[cfg(unix)]
fn special(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(not(unix))]
fn special(_: FileType) -> &'static str {
    "something special"
}
