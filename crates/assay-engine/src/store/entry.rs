//! One entry on disk: a sealed file with the recipe, the provenance and the small files, and a folder of the large ones.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::Store;
use super::plain;
use crate::artifact::{ArtifactFiles, FileRecord, output_digest};
use crate::facts::{Facts, Stamp};
use crate::{Digest, StepKey};

/// How an entry came to be. Nothing in it is part of a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// What a person should know of the result: said by the step itself, or by those whose results it read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<StepWarning>,
    /// Label at the time.
    pub label: String,
    /// Duration of the step, in seconds.
    pub seconds: f64,
    /// Time of the commit, in seconds since 1970.
    pub finished_unix: u64,
    /// Machine.
    pub host: String,
    /// Device, for steps that use one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub device: String,
    /// Program and version.
    pub program: String,
    /// Group of its cost, see [`Cost`](crate::Cost).
    pub cost_group: String,
    /// Units of its cost.
    pub cost_units: f64,
    /// The entry it was taken from, when it was not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias_of: Option<StepKey>,
    /// Digests of the artifacts of the steps that the recipe names, in the order of its text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Digest>,
    /// Digest of the artifact: of the names and digests of its files.
    pub output: Digest,
    /// Files of the artifact.
    pub files: BTreeMap<String, FileRecord>,
}

impl Provenance {
    /// Size of the artifact in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|f| f.bytes).sum()
    }
}

/// Something that a step said and that a person should know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StepWarning {
    /// Label of the step.
    pub label: String,
    /// The message.
    pub message: String,
}

/// A part of the store that is not what was committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damaged {
    /// Kind of the entry.
    pub kind: String,
    /// Key of the entry.
    pub key: StepKey,
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} entry {} is damaged: {} {}", self.kind, self.key.0.short(), self.file.display(), self.what)
    }
}

impl std::error::Error for Damaged {}

const MAGIC: &[u8] = b"assay entry 1 ";
const HEX: usize = 64;

/// An entry file whose seal is whole and whose recipe has the digest that it is named after.
pub(crate) struct Sealed {
    bytes: Vec<u8>,
    recipe: Range<usize>,
    provenance: Range<usize>,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.bytes.len())
    }
}

impl Sealed {
    /// Writes an entry down.
    pub(crate) fn write(recipe: &str, provenance: &Provenance, files: &ArtifactFiles) -> anyhow::Result<Vec<u8>> {
        let body = MAGIC.len() + HEX + 1;
        let mut bytes = Vec::with_capacity(body + recipe.len() + 4096);
        bytes.resize(body, b'\n');
        bytes.extend_from_slice(recipe.as_bytes());
        bytes.push(b'\n');
        serde_json::to_writer(&mut bytes, provenance)?;
        bytes.push(b'\n');
        files.inline().for_each(|file| bytes.extend_from_slice(file));
        let seal = Digest::of(&bytes[body..]).to_string();
        bytes[..MAGIC.len()].copy_from_slice(MAGIC);
        bytes[MAGIC.len()..MAGIC.len() + HEX].copy_from_slice(seal.as_bytes());
        Ok(bytes)
    }

    /// Checks the bytes of the entry `key`; says what is wrong with them.
    pub(crate) fn open(bytes: Vec<u8>, key: StepKey) -> Result<Self, String> {
        let body = MAGIC.len() + HEX + 1;
        let is_entry = bytes.len() > body && bytes.starts_with(MAGIC) && bytes[body - 1] == b'\n';
        if !is_entry {
            return Err("does not begin as an entry does".to_owned());
        }
        // Compared as text: a capital digit reads the same, and is damage all the same.
        if blake3::hash(&bytes[body..]).to_hex().as_bytes() != &bytes[MAGIC.len()..body - 1] {
            return Err("does not have the digest that it was sealed with".to_owned());
        }
        let line = |from: usize| Some(from..from + bytes[from..].iter().position(|b| *b == b'\n')?);
        let lines = line(body).and_then(|recipe| Some((recipe.clone(), line(recipe.end + 1)?)));
        let Some((recipe, provenance)) = lines else { return Err("ends in the middle".to_owned()) };
        if StepKey(Digest::of(&bytes[recipe.clone()])) != key {
            return Err("holds the recipe of another step".to_owned());
        }
        Ok(Self { bytes, recipe, provenance })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn recipe(&self) -> &str {
        std::str::from_utf8(&self.bytes[self.recipe.clone()]).expect("its digest is that of a recipe")
    }

    fn provenance(&self) -> Result<Provenance, String> {
        serde_json::from_slice(&self.bytes[self.provenance.clone()])
            .map_err(|error| format!("has a provenance that cannot be read ({error})"))
    }

    /// Whether it has neither warnings nor large files, told without parsing its provenance.
    fn is_plain(&self) -> bool {
        let provenance = std::str::from_utf8(&self.bytes[self.provenance.clone()]).unwrap_or_default();
        provenance.starts_with("{\"label\"") && !provenance.contains("\"apart\"")
    }
}

/// An entry that has been read: everything but its large files has been compared with its digests.
pub struct Entry {
    sealed: Arc<Sealed>,
    /// How it came to be.
    pub provenance: Provenance,
    /// Its files.
    pub files: ArtifactFiles,
}

impl Entry {
    /// Its recipe, as written.
    pub fn recipe(&self) -> &str {
        self.sealed.recipe()
    }
}

impl Store {
    /// Reads an entry; `None` when it is not there.
    ///
    /// # Errors
    /// When it is [`Damaged`] or may not be read.
    pub fn entry(&self, kind: &str, key: StepKey) -> anyhow::Result<Option<Entry>> {
        let Some(sealed) = self.sealed(kind, key)? else { return Ok(None) };
        let damaged = |what| self.damaged(kind, key, self.entry_path(kind, key), what);
        let provenance = sealed.provenance().map_err(damaged)?;
        let mut at = sealed.provenance.end + 1;
        let mut inline = Vec::new();
        for (name, record) in provenance.files.iter().filter(|(_, record)| !record.apart) {
            let size = usize::try_from(record.bytes).unwrap_or(usize::MAX);
            inline.push((name.clone(), at..at.saturating_add(size)));
            at = at.saturating_add(size);
        }
        let fits = at == sealed.bytes.len() && output_digest(&provenance.files) == provenance.output;
        if !fits {
            return Err(damaged("has a provenance that does not fit its files".to_owned()).into());
        }
        let folder = self.apart_folder(kind, key, provenance.output);
        let apart: Vec<_> = provenance.files.iter().filter(|(_, record)| record.apart).collect();
        let apart = apart.into_iter().map(|(name, record)| {
            let file = ApartFile {
                kind: kind.to_owned(),
                key,
                path: folder.join(name),
                record: record.clone(),
                verified: Arc::clone(self.verified()),
            };
            (name.clone(), file)
        });
        let files = ArtifactFiles::of_entry(Arc::clone(&sealed), inline, apart.collect::<Vec<_>>());
        Ok(Some(Entry { sealed, provenance, files }))
    }

    /// Checks what a hit is believed for: its recipe, its provenance and its small files, and that the large ones are there.
    /// Returns its warnings; `None` when it is not there.
    pub(crate) fn glance(&self, kind: &str, key: StepKey) -> anyhow::Result<Option<Vec<StepWarning>>> {
        let Some(sealed) = self.sealed(kind, key)? else { return Ok(None) };
        if sealed.is_plain() {
            return Ok(Some(Vec::new()));
        }
        let Some(entry) = self.entry(kind, key)? else { return Ok(None) };
        entry.files.look()?;
        Ok(Some(entry.provenance.warnings))
    }

    /// Stamp of the file of an entry.
    pub(crate) fn stamp(&self, kind: &str, key: StepKey) -> Option<Stamp> {
        fs::metadata(self.entry_path(kind, key)).ok().map(|metadata| Stamp::of(&metadata))
    }

    fn sealed(&self, kind: &str, key: StepKey) -> anyhow::Result<Option<Arc<Sealed>>> {
        let path = self.entry_path(kind, key);
        let bytes = match read_small(&path) {
            Ok(bytes) => bytes,
            Err(error) if is_of_this_process(&error) => return Err(self.unreadable(kind, key, &path, error)),
            // Not there; where one of the folders is none, it is not there either.
            Err(_) if fs::symlink_metadata(&path).is_err() => return Ok(None),
            Err(error) => return Err(self.unreadable(kind, key, &path, error)),
        };
        match Sealed::open(bytes, key) {
            Ok(sealed) => Ok(Some(Arc::new(sealed))),
            Err(what) => Err(self.damaged(kind, key, path, what).into()),
        }
    }

    pub(crate) fn damaged(&self, kind: &str, key: StepKey, file: PathBuf, what: impl Into<String>) -> Damaged {
        Damaged { kind: kind.to_owned(), key, file, what: what.into() }
    }

    fn unreadable(&self, kind: &str, key: StepKey, path: &Path, error: io::Error) -> anyhow::Error {
        if is_of_this_process(&error) {
            return anyhow::Error::new(error).context(format!("reading {}", path.display()));
        }
        let what = match error.kind() {
            io::ErrorKind::NotFound => "is a link that leads nowhere".to_owned(),
            _ => format!("cannot be read ({error})"),
        };
        self.damaged(kind, key, path.to_owned(), what).into()
    }
}

/// Reads a file that is nearly always smaller than a page or two, in one call.
fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read;
    let mut file = plain::open(path)?;
    let mut bytes = vec![0; 8192];
    let read = file.read(&mut bytes)?;
    bytes.truncate(read);
    if read == 8192 {
        file.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// Whether a failed read says more of who reads than of what is read.
fn is_of_this_process(error: &io::Error) -> bool {
    use io::ErrorKind::{OutOfMemory, PermissionDenied};
    matches!(error.kind(), PermissionDenied | OutOfMemory)
        || matches!(error.raw_os_error(), Some(TOO_MANY_FILES | TOO_MANY_FILES_ON_MACHINE))
}

const TOO_MANY_FILES: i32 = 24;
const TOO_MANY_FILES_ON_MACHINE: i32 = 23;

/// A large file in the store.
#[derive(Clone)]
pub(crate) struct ApartFile {
    kind: String,
    key: StepKey,
    path: PathBuf,
    record: FileRecord,
    /// Digests of files by their stamps.
    verified: Arc<Facts>,
}

impl fmt::Debug for ApartFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApartFile({})", self.path.display())
    }
}

/// Files above this size are hashed once for each stamp, smaller ones whenever they are read.
const ALWAYS_HASHED_BYTES: u64 = 1 << 20;
/// The table of facts that says which large files of the store were found whole.
const TABLE: &str = "files of the store";

impl ApartFile {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn record(&self) -> &FileRecord {
        &self.record
    }

    /// Reads and checks it.
    pub(crate) fn read(&self) -> anyhow::Result<Vec<u8>> {
        use io::Read;
        self.look()?;
        let mut file = plain::open(&self.path).map_err(|e| self.unreadable(e))?;
        let stamp = self.stamp(&file)?;
        let mut bytes = Vec::with_capacity(usize::try_from(stamp.size()).unwrap_or(0));
        file.read_to_end(&mut bytes).map_err(|e| self.unreadable(e))?;
        if bytes.len() as u64 != self.record.bytes {
            return Err(self.damaged("changed its size").into());
        }
        if !self.is_known(&stamp) {
            self.compare(Digest::of(&bytes), &stamp)?;
        }
        Ok(bytes)
    }

    /// Checks it, unless its stamp is known.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        self.look()?;
        let file = plain::open(&self.path).map_err(|e| self.unreadable(e))?;
        if self.is_known(&self.stamp(&file)?) { Ok(()) } else { self.hash() }
    }

    /// Hashes it.
    pub(crate) fn hash(&self) -> anyhow::Result<()> {
        self.look()?;
        let mut file = plain::open(&self.path).map_err(|e| self.unreadable(e))?;
        let stamp = self.stamp(&file)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(&mut file).map_err(|e| self.unreadable(e))?;
        self.compare(Digest::from_bytes(*hasher.finalize().as_bytes()), &stamp)
    }

    /// Takes it for whole, having just been written.
    pub(super) fn believe(path: &Path, record: &FileRecord, verified: &Facts) {
        if let Ok(metadata) = fs::metadata(path)
            && record.bytes > ALWAYS_HASHED_BYTES
            && metadata.len() == record.bytes
        {
            verified.learn(TABLE, Stamp::of(&metadata), record.blake3);
        }
    }

    /// Checks that it is there with its size.
    pub(crate) fn look(&self) -> anyhow::Result<()> {
        let file = fs::metadata(&self.path).map_err(|e| self.unreadable(e))?;
        if file.is_file() && file.len() == self.record.bytes {
            Ok(())
        } else {
            Err(self.damaged("changed its size").into())
        }
    }

    fn stamp(&self, file: &File) -> anyhow::Result<Stamp> {
        let metadata = file.metadata().map_err(|e| self.unreadable(e))?;
        let stamp = Stamp::of(&metadata);
        if metadata.is_file() && stamp.size() == self.record.bytes {
            Ok(stamp)
        } else {
            Err(self.damaged("changed its size").into())
        }
    }

    fn is_known(&self, stamp: &Stamp) -> bool {
        self.record.bytes > ALWAYS_HASHED_BYTES && self.verified.known(TABLE, stamp) == Some(self.record.blake3)
    }

    fn compare(&self, found: Digest, stamp: &Stamp) -> anyhow::Result<()> {
        if found != self.record.blake3 {
            return Err(self.damaged("does not have the digest that it was committed with").into());
        }
        if self.record.bytes > ALWAYS_HASHED_BYTES {
            self.verified.learn(TABLE, *stamp, found);
        }
        Ok(())
    }

    fn damaged(&self, what: &str) -> Damaged {
        Damaged { kind: self.kind.clone(), key: self.key, file: self.path.clone(), what: what.to_owned() }
    }

    fn unreadable(&self, error: io::Error) -> anyhow::Error {
        if is_of_this_process(&error) {
            return anyhow::Error::new(error).context(format!("reading {}", self.path.display()));
        }
        let what = if error.kind() == io::ErrorKind::NotFound {
            "is missing".to_owned()
        } else {
            format!("cannot be read ({error})")
        };
        self.damaged(&what).into()
    }
}

#[cfg(unix)]
pub(crate) fn sync_folder(folder: &Path) -> anyhow::Result<()> {
    File::open(folder).and_then(|f| f.sync_all()).with_context(|| format!("syncing {}", folder.display()))
}

/// Folders cannot be synced here; links and renames themselves are atomic.
#[cfg(not(unix))]
pub(crate) fn sync_folder(_folder: &Path) -> anyhow::Result<()> {
    Ok(())
}
