//! Opening files that are files: the one place where this crate opens what a dataset names.
//!
//! A pipe or a device may block for ever or never end, so the kind of a file is looked at before it is opened.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;

/// Opens a regular file, or a link to one.
///
/// # Errors
/// When it is missing, cannot be read, or is a folder, a pipe, a socket or a device; the last is told before it is opened.
pub fn open_regular(path: &Path) -> io::Result<File> {
    check_regular(path)?;
    File::open(path)
}

/// Looks whether something is a regular file, or a link to one, without opening it.
///
/// # Errors
/// When it is missing, or is a folder, a pipe, a socket or a device.
pub(crate) fn check_regular(path: &Path) -> io::Result<()> {
    match kind_of(&std::fs::metadata(path)?) {
        None => Ok(()),
        Some(kind) => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {kind}, and a file was expected")))
        }
    }
}

/// Names what is no regular file.
fn kind_of(metadata: &Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return None;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return Some("a named pipe (FIFO)");
        }
        if kind.is_socket() {
            return Some("a socket");
        }
        if kind.is_block_device() || kind.is_char_device() {
            return Some("a device");
        }
    }
    Some(if kind.is_dir() { "a folder" } else { "something special" })
}

/// Reads a whole regular file, or `None` when it has more than `most` bytes.
///
/// # Errors
/// Those of [`open_regular`], or when reading fails.
pub(crate) fn read_regular(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    read_at_most(open_regular(path)?, most)
}

/// Reads to the end, or gives `None` when there are more than `most` bytes.
///
/// # Errors
/// When reading fails.
pub(crate) fn read_at_most(source: impl Read, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    source.take(most + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use super::*;

    #[test]
    fn what_is_no_file_is_refused_before_it_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("file"), "abc").unwrap();
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", at("zero")).unwrap();
        let _listener = UnixListener::bind(at("socket")).unwrap();
        assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
        for (name, said) in [("zero", "a device"), ("pipe", "FIFO"), ("socket", "a socket"), (".", "a folder")] {
            let error = open_regular(&at(name)).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("a file was expected"), "{name}: {error}");
        }
        assert_eq!(open_regular(&at("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(read_regular(&at("link"), 3).unwrap().unwrap(), b"abc");
        assert_eq!(read_regular(&at("link"), 2).unwrap(), None);
    }
}
