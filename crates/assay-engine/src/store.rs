//! The store: what has been done, complete by construction.
//!
//! ```text
//! steps/<kind>/<ab>/<key>/{recipe.json, provenance.json, files of the artifact}     blake3(recipe.json) = key
//! content/<kind>/<parameters>/<content key>     the step that had these parameters on these input bytes
//! work/<key>.making, <key>.resume, <key>.lease  in progress
//! facts/, runs/
//! ```
//! An entry is written aside, synced and renamed. Entries are folders that are never empty, and renaming a folder onto a
//! folder that is not empty fails on every system: that is what makes the rename one that never replaces.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::step::Artifact;
use crate::{Digest, FramedHasher, Holder, Lease, Output, StepKey};

/// One file of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Size.
    pub bytes: u64,
    /// Digest of the content.
    pub blake3: Digest,
}

/// How an entry came to be. Nothing in it is part of a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Label at the time.
    pub label: String,
    /// How long the step ran.
    pub seconds: f64,
    /// When it was committed, in seconds since 1970.
    pub finished_unix: u64,
    /// Where.
    pub host: String,
    /// On what device, for steps that use one.
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
    /// Digest of the artifact: of the names and digests of its files.
    pub output: Digest,
    /// Files of the artifact.
    pub files: BTreeMap<String, FileRecord>,
}

impl Provenance {
    /// Size of the artifact.
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|f| f.bytes).sum()
    }
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

/// A store on disk.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

const RECIPE: &str = "recipe.json";
const PROVENANCE: &str = "provenance.json";
const CACHEDIR_TAG: &str =
    "Signature: 8a477f597d28d172789f06886806bc55\n# A store of Assay: what is here can be computed again.\n";

impl Store {
    /// Opens the store at `root`, making it where there is none.
    ///
    /// # Errors
    /// When it cannot be made or is no folder.
    pub fn open(root: &Path) -> anyhow::Result<Self> {
        for part in ["steps", "content", "work", "facts", "runs"] {
            fs::create_dir_all(root.join(part)).with_context(|| format!("making the store {}", root.display()))?;
        }
        let tag = root.join("CACHEDIR.TAG");
        if !tag.exists() {
            fs::write(&tag, CACHEDIR_TAG).with_context(|| format!("writing {}", tag.display()))?;
        }
        Ok(Self { root: root.to_owned() })
    }

    /// A store that is only looked at; it need not exist.
    pub fn peek(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Folder of the facts.
    pub fn facts_folder(&self) -> PathBuf {
        self.root.join("facts")
    }

    /// Folder of the run logs.
    pub fn runs_folder(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// Folder of the entry `key`, whether or not it exists.
    pub fn entry(&self, kind: &str, key: StepKey) -> PathBuf {
        let hex = key.to_string();
        let mut path = PathBuf::with_capacity(self.root.as_os_str().len() + kind.len() + 80);
        path.extend([self.root.as_path(), Path::new("steps"), Path::new(kind), Path::new(&hex[..2]), Path::new(&hex)]);
        path
    }

    /// Whether the entry is there. It is complete if it is.
    pub fn contains(&self, kind: &str, key: StepKey) -> bool {
        self.entry(kind, key).is_dir()
    }

    /// Reads an artifact.
    ///
    /// # Errors
    /// When it is missing or damaged.
    pub fn read<T: Artifact>(&self, output: &Output<T>) -> anyhow::Result<T> {
        let folder = self.entry(output.kind(), output.key());
        T::read(&folder).with_context(|| {
            format!(
                "reading the {} entry {} of the store ({}); `assay verify` tells what is damaged",
                output.kind(),
                output.key().0.short(),
                folder.display()
            )
        })
    }

    /// The recipe of an entry, as written.
    ///
    /// # Errors
    /// When the entry is missing or damaged.
    pub fn recipe(&self, kind: &str, key: StepKey) -> io::Result<String> {
        fs::read_to_string(self.entry(kind, key).join(RECIPE))
    }

    /// How an entry came to be.
    ///
    /// # Errors
    /// When the entry is missing or damaged.
    pub fn provenance(&self, kind: &str, key: StepKey) -> anyhow::Result<Provenance> {
        let path = self.entry(kind, key).join(PROVENANCE);
        let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is damaged: delete the folder it is in, and run again", path.display()))
    }

    /// Where the lease of a step is.
    pub fn lease_path(&self, key: StepKey) -> PathBuf {
        self.root.join("work").join(format!("{key}.lease"))
    }

    /// Takes the lease of a step, see [`Lease::take`].
    ///
    /// # Errors
    /// When the lease file cannot be made or locked.
    pub fn lease(&self, key: StepKey, holder: &Holder) -> anyhow::Result<Result<Lease, Option<Holder>>> {
        Lease::take(&self.lease_path(key), holder)
    }

    /// The folder that outlives interrupted attempts at a step.
    pub(crate) fn scratch(&self, key: StepKey) -> anyhow::Result<PathBuf> {
        let path = self.root.join("work").join(format!("{key}.resume"));
        fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(path)
    }

    /// Begins an entry; the lease shows that nobody else does.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn begin(&self, kind: &'static str, key: StepKey, _lease: &Lease) -> anyhow::Result<EntrySlot<'_>> {
        let folder = self.root.join("work").join(format!("{key}.making"));
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("removing the left-over {}", folder.display()))?;
        }
        fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(EntrySlot { store: self, kind, key, folder })
    }

    /// The step that ran with these parameters on these input bytes, if it is still there.
    pub fn same_content(&self, kind: &str, parameters: Digest, content: Digest) -> Option<StepKey> {
        let path = self.content_folder(kind, parameters).join(content.to_string());
        let key: StepKey = fs::read_to_string(path).ok()?.trim().parse().ok()?;
        self.contains(kind, key).then_some(key)
    }

    /// Whether some step ran with these parameters, on whatever input.
    pub fn knows_parameters(&self, kind: &str, parameters: Digest) -> bool {
        self.content_folder(kind, parameters).is_dir()
    }

    fn content_folder(&self, kind: &str, parameters: Digest) -> PathBuf {
        self.root.join("content").join(kind).join(parameters.to_string())
    }

    /// Remembers which step ran with these parameters on these input bytes.
    pub(crate) fn remember_content(
        &self,
        kind: &str,
        parameters: Digest,
        content: Digest,
        key: StepKey,
    ) -> io::Result<()> {
        let folder = self.content_folder(kind, parameters);
        fs::create_dir_all(&folder)?;
        let path = folder.join(content.to_string());
        let aside = folder.join(format!(".{content}.{}", std::process::id()));
        fs::write(&aside, key.to_string())?;
        fs::rename(aside, path)
    }

    /// Every entry: kind and key. Sorted.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn entries(&self) -> io::Result<Vec<(String, StepKey)>> {
        let mut found = Vec::new();
        for kind in list(&self.root.join("steps"))? {
            for prefix in list(&self.root.join("steps").join(&kind))? {
                for name in list(&self.root.join("steps").join(&kind).join(&prefix))? {
                    if let Ok(key) = name.parse() {
                        found.push((kind.clone(), key));
                    }
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Steps that are being made now, by whom.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn in_progress(&self) -> io::Result<Vec<Holder>> {
        let work = self.root.join("work");
        let leases = list(&work)?.into_iter().filter(|name| name.ends_with(".lease"));
        Ok(leases.filter_map(|name| Lease::holder(&work.join(name))).collect())
    }
}

/// Names in a folder, sorted; none when it does not exist.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// An entry that is being written.
pub struct EntrySlot<'a> {
    store: &'a Store,
    kind: &'static str,
    key: StepKey,
    folder: PathBuf,
}

impl EntrySlot<'_> {
    /// Where its files go.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Takes the files of another entry: as hard links where that works, else as copies.
    ///
    /// # Errors
    /// When a file can be neither linked nor copied.
    pub fn link_files(&self, from: StepKey, files: &BTreeMap<String, FileRecord>) -> anyhow::Result<()> {
        let source = self.store.entry(self.kind, from);
        for name in files.keys() {
            let (old, new) = (source.join(name), self.folder.join(name));
            fs::hard_link(&old, &new)
                .or_else(|_| fs::copy(&old, &new).map(|_| ()))
                .with_context(|| format!("taking {} from the store", old.display()))?;
        }
        Ok(())
    }

    /// Lists and hashes the files written so far.
    ///
    /// # Errors
    /// When a file cannot be read, or a folder was written.
    pub fn files(&self) -> anyhow::Result<(Digest, BTreeMap<String, FileRecord>)> {
        hash_files(&self.folder)
    }

    /// Makes the entry visible, all at once.
    ///
    /// # Errors
    /// When a file cannot be written or synced. What was there before is never touched.
    pub fn commit(self, recipe: &str, provenance: &Provenance) -> anyhow::Result<Committed> {
        let inside = |name: &str| self.folder.join(name);
        fs::write(inside(RECIPE), recipe)?;
        fs::write(inside(PROVENANCE), serde_json::to_vec_pretty(provenance)?)?;
        for name in provenance.files.keys().map(String::as_str).chain([RECIPE, PROVENANCE]) {
            File::open(inside(name))?.sync_all().with_context(|| format!("syncing {}", inside(name).display()))?;
        }
        sync_folder(&self.folder)?;
        let target = self.store.entry(self.kind, self.key);
        let parent = target.parent().expect("an entry is three folders below the root");
        fs::create_dir_all(parent)?;
        match fs::rename(&self.folder, &target) {
            Ok(()) => {
                sync_folder(parent)?;
                Ok(Committed::New)
            }
            Err(_) if target.is_dir() => {
                let kept = self.store.provenance(self.kind, self.key)?.output;
                Ok(if kept == provenance.output { Committed::Same } else { Committed::Differs { kept } })
            }
            Err(error) => Err(error).with_context(|| format!("committing {}", target.display())),
        }
    }
}

impl Drop for EntrySlot<'_> {
    fn drop(&mut self) {
        // Gone already after a commit.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Digest and record of each file in `folder` but the recipe and the provenance.
pub(crate) fn hash_files(folder: &Path) -> anyhow::Result<(Digest, BTreeMap<String, FileRecord>)> {
    let mut files = BTreeMap::new();
    let mut all = FramedHasher::new("artifact");
    for name in list(folder)? {
        if name == RECIPE || name == PROVENANCE {
            continue;
        }
        let path = folder.join(&name);
        let mut hasher = blake3::Hasher::new();
        let mut file = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        hasher.update_reader(&mut file).with_context(|| format!("reading {}", path.display()))?;
        let record =
            FileRecord { bytes: file.metadata()?.len(), blake3: Digest::from_bytes(*hasher.finalize().as_bytes()) };
        all.field(name.as_bytes()).field(record.blake3.as_bytes());
        files.insert(name, record);
    }
    Ok((all.finish(), files))
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Folders cannot be synced here; the rename itself is atomic.
#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}
