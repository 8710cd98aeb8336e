//! Zip and tar files whose members are read in place; nothing is ever unpacked to disk.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, bail, ensure};

use crate::decode::ImageError;
use crate::regular::{open_regular, read_at_most};
use crate::source::MAX_IMAGE_FILE_BYTES;

/// A zip or tar file whose members are read in place; nothing is ever unpacked to disk.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Zip(Mutex<zip::ZipArchive<BufReader<File>>>),
    /// Name, first byte and length of each member that is a file.
    Tar(Vec<(String, u64, u64)>),
}

/// Most bytes of a name or of another extension of a member's header, which are read into memory.
const MAX_EXTENSION_BYTES: u64 = 1 << 20;
/// Most members that an archive may have.
const MAX_MEMBERS: usize = 50_000_000;

impl Archive {
    /// Opens a zip file or an uncompressed tar file.
    ///
    /// # Errors
    /// When it cannot be read, or is neither.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let mut file = open_regular(path).with_context(|| format!("opening {}", path.display()))?;
        let mut head = [0; 6];
        let read = file.read(&mut head).with_context(|| format!("reading {}", path.display()))?;
        let head = &head[..read];
        let packed: [(&[u8], &str); 4] = [
            (&[0x1f, 0x8b], "gzip"),
            (b"BZh", "bzip2"),
            (&[0xfd, b'7', b'z', b'X', b'Z'], "xz"),
            (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
        ];
        if let Some((_, name)) = packed.iter().find(|(magic, _)| head.starts_with(magic)) {
            bail!(
                "{} is packed with {name} as a whole, so that images in it cannot be read one by one: unpack it, or unpack it and make a .tar or .zip of it",
                path.display()
            );
        }
        let is_tar = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("tar"));
        let kind = if is_tar { Kind::Tar(tar_members(path)?) } else { Kind::Zip(Mutex::new(open_zip(path)?)) };
        Ok(Self { path: path.to_owned(), kind })
    }

    /// Names of the members that are files, with their indices. Names that would leave the archive's folder are passed over.
    ///
    /// # Errors
    /// When the directory of a zip is damaged.
    pub(crate) fn members(&self) -> anyhow::Result<Vec<(usize, String)>> {
        let zip = match &self.kind {
            Kind::Tar(members) => return Ok(members.iter().map(|m| m.0.clone()).enumerate().collect()),
            Kind::Zip(zip) => zip,
        };
        let mut zip = zip.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = Vec::new();
        for index in 0..zip.len() {
            let member = zip.by_index_raw(index).with_context(|| format!("{} is damaged", self.path.display()))?;
            if let (true, Some(name)) = (member.is_file(), member.enclosed_name()) {
                found.push((index, name.to_string_lossy().replace('\\', "/")));
            }
        }
        Ok(found)
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Content of a member, at most 256 MiB of it.
    ///
    /// # Errors
    /// When the member is damaged or larger.
    pub(crate) fn read(&self, index: usize) -> Result<Vec<u8>, ImageError> {
        let bytes = match &self.kind {
            Kind::Zip(zip) => {
                let mut zip = zip.lock().unwrap_or_else(PoisonError::into_inner);
                let member = zip.by_index(index).map_err(|e| ImageError::Damaged(e.to_string()))?;
                read_at_most(member, MAX_IMAGE_FILE_BYTES).map_err(|e| ImageError::Damaged(e.to_string()))?
            }
            Kind::Tar(members) => {
                let (_, start, length) = members[index];
                let mut file = open_regular(&self.path).map_err(ImageError::Unreadable)?;
                file.seek(SeekFrom::Start(start)).map_err(ImageError::Unreadable)?;
                let read = read_at_most(file.take(length), MAX_IMAGE_FILE_BYTES).map_err(ImageError::Unreadable)?;
                if read.as_ref().is_some_and(|bytes| (bytes.len() as u64) < length) {
                    return Err(ImageError::Damaged("the archive is truncated".to_owned()));
                }
                read
            }
        };
        bytes.ok_or_else(|| {
            ImageError::TooLarge(format!("the member unpacks to more than {MAX_IMAGE_FILE_BYTES} bytes"))
        })
    }
}

fn open_zip(path: &Path) -> anyhow::Result<zip::ZipArchive<BufReader<File>>> {
    let file = open_regular(path).with_context(|| format!("opening {}", path.display()))?;
    zip::ZipArchive::new(BufReader::new(file))
        .with_context(|| format!("{} is not a zip file that can be read", path.display()))
}

fn tar_members(path: &Path) -> anyhow::Result<Vec<(String, u64, u64)>> {
    let damaged = || format!("{} is not a tar file that can be read", path.display());
    check_extensions(path).with_context(damaged)?;
    let mut archive = tar::Archive::new(open_regular(path).with_context(damaged)?);
    let mut members = Vec::new();
    for entry in archive.entries_with_seek().with_context(damaged)? {
        let entry = entry.with_context(damaged)?;
        ensure!(members.len() < MAX_MEMBERS, "{} has more than {MAX_MEMBERS} members", path.display());
        let name = entry.path().with_context(damaged)?;
        let stays = name.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
        if entry.header().entry_type().is_file() && stays {
            let name = name.to_string_lossy().replace('\\', "/");
            members.push((name.trim_start_matches("./").to_owned(), entry.raw_file_position(), entry.size()));
        }
    }
    Ok(members)
}

/// Looks at the lengths of long names and the like, before the library reads them whole.
fn check_extensions(path: &Path) -> anyhow::Result<()> {
    let mut archive = tar::Archive::new(open_regular(path)?);
    for entry in archive.entries_with_seek()?.raw(true) {
        let entry = entry?;
        let kind = entry.header().entry_type();
        let is_extension = kind.is_gnu_longname()
            || kind.is_gnu_longlink()
            || kind.is_pax_local_extensions()
            || kind.is_pax_global_extensions();
        ensure!(
            !is_extension || entry.size() <= MAX_EXTENSION_BYTES,
            "the name of a member has {} bytes, and at most {MAX_EXTENSION_BYTES} are read",
            entry.size()
        );
    }
    Ok(())
}
