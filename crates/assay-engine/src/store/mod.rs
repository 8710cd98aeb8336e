//! The store: what has been done, complete by construction and compared with its digests whenever it is read.
//!
//! ```text
//! steps/<kind>/<ab>/<key>.entry            one step: recipe, provenance and small files, sealed by a digest
//! steps/<kind>/<ab>/<key>.<output>/<file>  its files above 64 kB, plain; <output> begins the digest of the artifact
//! content/<kind>.records                   which step had these parameters on these input bytes (early cutoff)
//! work/<key>.lease                         who makes the step now
//! work/<key>.<maker>.making, .sealed       what they have made of it so far
//! work/<key>.resume/                       checkpoints of interrupted attempts
//! work/<key>.<maker>.damaged, .gone        entries on their way out
//! work/odd.<maker>.aside                   what lay in place of a file or folder of the store
//! work/<run>.live, work/sweep.lock         what running processes need, and the lock against collecting meanwhile
//! facts/                                   digests of outside files; headlines of entries that were found whole
//! runs/                                    logs
//! ```
//! `<ab>` are the first two digits of the key, `<maker>` is host, process and a number of its own.
//!
//! An **entry** is text up to its files, so that `head -3` shows it:
//! ```text
//! assay entry 1 <BLAKE3 of all that follows this line>
//! <recipe; its BLAKE3 is the key>
//! <provenance; lists all files with sizes and digests>
//! <the small files, one after the other, in the order of their names>
//! ```
//! It is written aside, synced and then linked to its name, which fails where that name exists: nothing is ever replaced.
//! Large files are moved into place before. Who comes second compares digests.
//!
//! **Reading verifies.** The seal is checked whenever an entry is opened, and large files by their own digests: up to 1 MiB
//! at every read, above that once for each (device, inode, size, mtime, ctime), which is kept as a fact. What does not match
//! is [`Damaged`]: the executor sets it aside and makes it again.
//!
//! **Invariant.** No other module knows this layout.

mod content;
mod entry;
pub mod gc;
mod index;
mod lease;
mod list;
mod live;
pub(crate) mod plain;
mod scratch;
mod slot;
mod tier;
pub mod verify;

use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use anyhow::Context as _;

use crate::artifact::Artifact;
use crate::facts::Facts;
use crate::{Digest, Event, Output, StepKey};

pub(crate) use entry::{ApartFile, Sealed};
pub use entry::{Damaged, Entry, Provenance, StepWarning};
pub(crate) use index::{Index, Learnt};
pub use lease::{Holder, Lease};
pub use list::Listing;
pub use live::LiveRun;
pub use scratch::Scratch;
pub use slot::{Claim, Committed, EntrySlot};
pub use tier::Tier;

/// A store on disk; clones share what they know of it.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    root: PathBuf,
    /// Large files that were found whole.
    verified: Arc<Facts>,
    /// Records of early cutoff, by kind.
    contents: Mutex<BTreeMap<String, content::Records>>,
    /// What was moved out of the way and has not been told yet.
    moved: Mutex<Vec<Event>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.root().display())
    }
}

const STEPS: &str = "steps";
const CONTENT: &str = "content";
const WORK: &str = "work";
const ENTRY: &str = ".entry";
const CACHEDIR_TAG: &str =
    "Signature: 8a477f597d28d172789f06886806bc55\n# A store of Assay: what is here can be computed again.\n";

impl Store {
    /// Opens the store at `root`, making it where there is none. One that may only be read can be opened too.
    ///
    /// # Errors
    /// When it cannot be made or is no folder.
    pub fn open(root: &Path) -> anyhow::Result<Self> {
        for part in [STEPS, CONTENT, WORK, "facts", "runs"] {
            let path = root.join(part);
            match fs::create_dir_all(&path) {
                Err(error) if !(is_read_only(&error) && root.join(STEPS).is_dir()) => {
                    return Err(error).with_context(|| format!("making the store {}", path.display()));
                }
                _ => {}
            }
        }
        let tag = root.join("CACHEDIR.TAG");
        if !tag.exists() {
            match fs::write(&tag, CACHEDIR_TAG) {
                Err(error) if !is_read_only(&error) => {
                    return Err(error).with_context(|| format!("writing {}", tag.display()));
                }
                _ => {}
            }
        }
        Ok(Self::peek(root))
    }

    /// A store that is only looked at; it need not exist.
    pub fn peek(root: &Path) -> Self {
        let verified = Arc::new(Facts::open(root.join("facts")));
        Self(Arc::new(Inner { root: root.to_owned(), verified, contents: Mutex::default(), moved: Mutex::default() }))
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// Folder of the facts.
    pub fn facts_folder(&self) -> PathBuf {
        self.root().join("facts")
    }

    /// Folder of the run logs.
    pub fn runs_folder(&self) -> PathBuf {
        self.root().join("runs")
    }

    /// Where a result is, for people; a path in a message or a listing, not a promise of what is found there.
    pub fn folder_of<T>(&self, output: &Output<T>) -> PathBuf {
        self.entry_path(output.kind(), output.key())
    }

    /// Whether the entry is there. What it holds is verified when it is read.
    pub fn contains(&self, kind: &str, key: StepKey) -> bool {
        fs::symlink_metadata(self.entry_path(kind, key)).is_ok()
    }

    /// Reads an artifact.
    ///
    /// # Errors
    /// When it is missing or [`Damaged`].
    pub fn read<T: Artifact>(&self, output: &Output<T>) -> anyhow::Result<T> {
        self.read_with_provenance(output).map(|(artifact, _)| artifact)
    }

    pub(crate) fn read_with_provenance<T: Artifact>(&self, output: &Output<T>) -> anyhow::Result<(T, Provenance)> {
        let entry = self.present(output.kind(), output.key())?;
        let artifact = T::read(&entry.files)
            .with_context(|| format!("reading the {} entry {} of the store", output.kind(), output.key().0.short()))?;
        Ok((artifact, entry.provenance))
    }

    /// An entry that ought to be there.
    pub(crate) fn present(&self, kind: &str, key: StepKey) -> anyhow::Result<Entry> {
        let missing = || self.damaged(kind, key, self.entry_path(kind, key), "is missing");
        self.entry(kind, key)?.ok_or_else(|| missing().into())
    }

    /// The recipe of an entry, as written.
    ///
    /// # Errors
    /// When the entry is missing or damaged.
    pub fn recipe(&self, kind: &str, key: StepKey) -> anyhow::Result<String> {
        Ok(self.present(kind, key)?.recipe().to_owned())
    }

    /// How an entry came to be.
    ///
    /// # Errors
    /// When the entry is missing or damaged.
    pub fn provenance(&self, kind: &str, key: StepKey) -> anyhow::Result<Provenance> {
        Ok(self.present(kind, key)?.provenance)
    }

    /// What a person should know of a result; nothing when it is not there.
    ///
    /// # Errors
    /// When the entry is damaged.
    pub fn warnings(&self, kind: &str, key: StepKey) -> anyhow::Result<Vec<StepWarning>> {
        Ok(self.glance(kind, key)?.unwrap_or_default())
    }

    /// Keeps what was learnt of large files, so that they are not hashed again. Losing it costs time only.
    pub(crate) fn remember_verified(&self) {
        let _ = self.0.verified.save();
        for (path, to) in self.0.verified.take_moved() {
            self.note_moved(true, &path, to);
        }
    }

    pub(crate) fn verified(&self) -> &Arc<Facts> {
        &self.0.verified
    }

    pub(crate) fn entry_path(&self, kind: &str, key: StepKey) -> PathBuf {
        let hex = key.to_string();
        let mut path = PathBuf::with_capacity(self.root().as_os_str().len() + kind.len() + 90);
        path.extend([self.root(), Path::new(STEPS), Path::new(kind), Path::new(&hex[..2]), Path::new(&hex)]);
        path.as_mut_os_string().push(ENTRY);
        path
    }

    /// Folder of the large files of an entry with this artifact.
    fn apart_folder(&self, kind: &str, key: StepKey, output: Digest) -> PathBuf {
        let mut path = self.entry_path(kind, key);
        path.set_extension(&output.to_string()[..16]);
        path
    }

    fn work(&self) -> PathBuf {
        self.root().join(WORK)
    }

    fn lease(&self, key: StepKey, holder: &Holder) -> anyhow::Result<Result<Lease, Option<Holder>>> {
        let path = self.work().join(format!("{key}.lease"));
        self.make_way_for_file(&path).with_context(|| format!("making the lease {}", path.display()))?;
        Lease::take(&path, holder)
    }

    /// A name in `work/` that nobody else has.
    fn aside(&self, key: StepKey, maker: &str, what: &str) -> PathBuf {
        self.work().join(format!("{key}.{}.{what}", unique(maker)))
    }

    /// Moves a damaged entry out of the way, unless somebody is making it again or has done so already.
    ///
    /// # Errors
    /// When it cannot be moved.
    pub(crate) fn set_aside(&self, kind: &str, key: StepKey, holder: &Holder) -> anyhow::Result<()> {
        let Ok(_lease) = self.lease(key, holder)? else { return Ok(()) };
        match verify::entry(self, kind, key) {
            Some(_) => self.move_aside(kind, key, &holder.host, "damaged").map(|_| ()),
            None => Ok(()),
        }
    }

    /// Moves whatever there is of an entry into `work/`; returns where to. The lease of the step must be held.
    fn move_aside(&self, kind: &str, key: StepKey, maker: &str, what: &str) -> anyhow::Result<Vec<PathBuf>> {
        let mut parts = vec![self.entry_path(kind, key)];
        parts.extend(self.apart_folders(kind, key));
        let mut moved = Vec::new();
        for part in parts {
            let to = self.aside(key, maker, what);
            match fs::rename(&part, &to) {
                Ok(()) => moved.push(to),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| format!("setting {} aside", part.display())),
            }
        }
        Ok(moved)
    }

    /// Folders of large files that are there for an entry: its own, or whatever is found where the entry does not say.
    fn apart_folders(&self, kind: &str, key: StepKey) -> Vec<PathBuf> {
        if let Ok(Some(entry)) = self.entry(kind, key) {
            let is_large = entry.provenance.files.values().any(|record| record.apart);
            return is_large.then(|| self.apart_folder(kind, key, entry.provenance.output)).into_iter().collect();
        }
        let path = self.entry_path(kind, key);
        let (Some(parent), prefix) = (path.parent(), format!("{key}.")) else { return Vec::new() };
        let names = list::names(parent).unwrap_or_default();
        let apart = names.into_iter().filter(|name| name.starts_with(&prefix) && !name.ends_with(ENTRY));
        apart.map(|name| parent.join(name)).collect()
    }
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

/// Host, process, a random number of the process, and a number that it has not used yet: for names aside, never for results.
pub(crate) fn unique(maker: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // In a container, host and process may be those of one that died before.
    static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().build_hasher().finish());
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let maker: String = maker.chars().take(40).map(plain).collect();
    let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    format!("{maker}-{process}-{:08x}-{number}", *PROCESS as u32)
}

/// Removes a file or a folder; that it is gone already is no error.
fn remove(path: &Path) -> anyhow::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}
