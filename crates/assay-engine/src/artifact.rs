//! What a step leaves behind: named files, whose bytes are known to be those that were committed when they are read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::store::{ApartFile, Damaged, Sealed};
use crate::{Digest, FramedHasher};

/// The result of a step.
pub trait Artifact: Sized + Send + Sync + 'static {
    /// Puts its files into `files`, which is empty.
    ///
    /// # Errors
    /// When something cannot be written down.
    fn write(&self, files: &mut ArtifactFiles) -> anyhow::Result<()>;

    /// Reads them back.
    ///
    /// # Errors
    /// When a file is missing or damaged.
    fn read(files: &ArtifactFiles) -> anyhow::Result<Self>;
}

/// An artifact that is one JSON value, `value.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct Json<T>(pub T);

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Artifact for Json<T> {
    fn write(&self, files: &mut ArtifactFiles) -> anyhow::Result<()> {
        files.put("value.json", serde_json::to_vec(&self.0)?)
    }

    fn read(files: &ArtifactFiles) -> anyhow::Result<Self> {
        serde_json::from_slice(&files.get("value.json")?).map(Self).context("value.json is not what was expected")
    }
}

/// One file of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Size.
    pub bytes: u64,
    /// Digest of the content.
    pub blake3: Digest,
    /// Whether it is a file of its own beside the entry, being large.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub apart: bool,
}

/// Files up to this size are kept inside the entry.
pub(crate) const MAX_INLINE_BYTES: usize = 64 << 10;

/// The files of an artifact, by name.
///
/// While a step writes them, small ones stay in memory and large ones go to disk at once. When they are read, bytes are
/// given out only after they have been compared with the digest under which they were committed.
#[derive(Debug, Default)]
pub struct ArtifactFiles {
    files: BTreeMap<String, File>,
    /// Where large files go; in memory when there is no such place.
    folder: Option<PathBuf>,
    /// The entry that inline files are parts of.
    sealed: Option<Arc<Sealed>>,
}

#[derive(Debug)]
enum File {
    /// In memory.
    Bytes(Vec<u8>),
    /// Part of the entry.
    Inline(Range<usize>),
    /// On disk, still to be moved into the store.
    Written(FileRecord),
    /// On disk, in the store.
    Apart(ApartFile),
}

impl ArtifactFiles {
    /// Files that are being made; large ones go into `folder`, which is made for the first of them.
    pub(crate) fn in_folder(folder: PathBuf) -> Self {
        Self { folder: Some(folder), ..Self::default() }
    }

    /// Files of an entry.
    pub(crate) fn of_entry(
        sealed: Arc<Sealed>,
        inline: impl IntoIterator<Item = (String, Range<usize>)>,
        apart: impl IntoIterator<Item = (String, ApartFile)>,
    ) -> Self {
        let inline = inline.into_iter().map(|(name, range)| (name, File::Inline(range)));
        let files = inline.chain(apart.into_iter().map(|(name, file)| (name, File::Apart(file)))).collect();
        Self { files, folder: None, sealed: Some(sealed) }
    }

    /// Adds a file that is kept as a file of its own however small it is, for other programs to read.
    ///
    /// # Errors
    /// Those of [`put`](Self::put).
    pub fn put_plain(&mut self, name: impl Into<String>, bytes: Vec<u8>) -> anyhow::Result<()> {
        self.add(name.into(), bytes, 0)
    }

    /// Adds a file.
    ///
    /// # Errors
    /// When there is one of that name, the name is no plain file name, or a large file cannot be written.
    pub fn put(&mut self, name: impl Into<String>, bytes: Vec<u8>) -> anyhow::Result<()> {
        self.add(name.into(), bytes, MAX_INLINE_BYTES)
    }

    fn add(&mut self, name: String, bytes: Vec<u8>, max_inline_bytes: usize) -> anyhow::Result<()> {
        anyhow::ensure!(
            !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']),
            "{name:?} is no name for a file of an artifact"
        );
        anyhow::ensure!(!self.files.contains_key(&name), "the artifact has {name} twice");
        let file = match &self.folder {
            Some(folder) if bytes.len() > max_inline_bytes => {
                fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
                let path = folder.join(&name);
                fs::write(&path, &bytes).with_context(|| format!("writing {}", path.display()))?;
                File::Written(record(&bytes, true))
            }
            _ => File::Bytes(bytes),
        };
        self.files.insert(name, file);
        Ok(())
    }

    /// The bytes of a file, compared with their digest.
    ///
    /// # Errors
    /// When there is no such file, it cannot be read, or it is [`Damaged`].
    pub fn get(&self, name: &str) -> anyhow::Result<Cow<'_, [u8]>> {
        match self.files.get(name) {
            None => anyhow::bail!("the artifact has no {name}"),
            Some(File::Bytes(bytes)) => Ok(Cow::Borrowed(bytes)),
            Some(File::Inline(range)) => {
                let sealed = self.sealed.as_ref().expect("inline files are parts of an entry");
                Ok(Cow::Borrowed(&sealed.bytes()[range.clone()]))
            }
            Some(File::Written(_)) => {
                let path = self.folder.as_ref().expect("written files have a folder").join(name);
                Ok(Cow::Owned(fs::read(&path).with_context(|| format!("reading {}", path.display()))?))
            }
            Some(File::Apart(file)) => Ok(Cow::Owned(file.read()?)),
        }
    }

    /// Whether there is a file of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// Names of the files, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Takes over the files of another artifact: large ones as hard links where that works, else as copies.
    pub(crate) fn take_from(&mut self, other: &Self) -> anyhow::Result<()> {
        for (name, file) in &other.files {
            let (File::Apart(from), Some(folder)) = (file, &self.folder) else {
                self.put(name.clone(), other.get(name)?.into_owned())?;
                continue;
            };
            from.check()?;
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
            let to = folder.join(name);
            fs::hard_link(from.path(), &to)
                .or_else(|_| fs::copy(from.path(), &to).map(|_| ()))
                .with_context(|| format!("taking {} from the store", from.path().display()))?;
            self.files.insert(name.clone(), File::Written(from.record().clone()));
        }
        Ok(())
    }

    /// Digest of the artifact (of the names and digests of its files), and the record of each file.
    pub(crate) fn records(&self) -> (Digest, BTreeMap<String, FileRecord>) {
        let of = |file: &File| match file {
            File::Bytes(bytes) => record(bytes, false),
            File::Inline(range) => record(&self.sealed.as_ref().expect("an entry").bytes()[range.clone()], false),
            File::Written(record) => record.clone(),
            File::Apart(file) => file.record().clone(),
        };
        let records: BTreeMap<_, _> = self.files.iter().map(|(name, file)| (name.clone(), of(file))).collect();
        (output_digest(&records), records)
    }

    /// The files that are to be part of the entry, in the order of their names.
    pub(crate) fn inline(&self) -> impl Iterator<Item = &[u8]> {
        self.files.values().filter_map(|file| if let File::Bytes(bytes) = file { Some(&bytes[..]) } else { None })
    }

    /// Checks every file against its digest without keeping it; `thoroughly`, though its time stamps have not changed.
    pub(crate) fn check(&self, thoroughly: bool) -> anyhow::Result<()> {
        for file in self.files.values() {
            if let File::Apart(file) = file {
                if thoroughly { file.hash()? } else { file.check()? }
            }
        }
        Ok(())
    }

    /// Checks that large files are there, with the size that they had.
    pub(crate) fn look(&self) -> anyhow::Result<()> {
        self.files.values().try_for_each(|file| if let File::Apart(file) = file { file.look() } else { Ok(()) })
    }
}

fn record(bytes: &[u8], apart: bool) -> FileRecord {
    FileRecord { bytes: bytes.len() as u64, blake3: Digest::of(bytes), apart }
}

/// Digest of an artifact with these files.
pub(crate) fn output_digest(records: &BTreeMap<String, FileRecord>) -> Digest {
    let mut all = FramedHasher::new("artifact");
    for (name, record) in records {
        all.field(name.as_bytes()).field(record.blake3.as_bytes());
    }
    all.finish()
}

/// Whether an error says that something in the store is damaged.
pub(crate) fn damage_in(error: &anyhow::Error) -> Option<&Damaged> {
    error.chain().find_map(|cause| cause.downcast_ref())
}

/// Whether an error says that the place where results are kept takes no more.
pub(crate) fn is_full(error: &anyhow::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let full = |e: &io::Error| matches!(e.kind(), FileTooLarge | QuotaExceeded | ReadOnlyFilesystem | StorageFull);
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(full))
}
