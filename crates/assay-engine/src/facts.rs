//! Facts about outside files, kept so that finding them again costs one `stat` each.
//!
//! A file's digest is kept under its (device, inode, size, mtime, ctime): whoever edits a file changes at least one of
//! them. A file changed within the last second before it was hashed is not kept, since a second change could then carry
//! the same time stamp. Touching a file costs one more read of it and changes no digest.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::external::{ExternalSource, InputChanged};
use crate::store::{plain, unique};
use crate::{Digest, FramedHasher};

/// What `stat` says of a file, as far as a change of content must show in it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    mtime_ns: i64,
    ctime_ns: i64,
}

impl Stamp {
    /// The stamp in `metadata`.
    #[cfg(unix)]
    pub fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            mtime_ns: metadata.mtime().wrapping_mul(1_000_000_000).wrapping_add(metadata.mtime_nsec()),
            ctime_ns: metadata.ctime().wrapping_mul(1_000_000_000).wrapping_add(metadata.ctime_nsec()),
        }
    }

    /// The stamp in `metadata`; without inodes, a file is told by its size and times.
    #[cfg(not(unix))]
    pub fn of(metadata: &Metadata) -> Self {
        let nanos = |time: io::Result<std::time::SystemTime>| {
            time.ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok()).map_or(0, |d| d.as_nanos() as i64)
        };
        Self {
            device: 0,
            inode: 0,
            size: metadata.len(),
            mtime_ns: nanos(metadata.modified()),
            ctime_ns: nanos(metadata.created()),
        }
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn latest_ns(&self) -> i64 {
        self.mtime_ns.max(self.ctime_ns)
    }

    pub(crate) const BYTES: usize = 40;

    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        let words = [self.device, self.inode, self.size, self.mtime_ns as u64, self.ctime_ns as u64];
        for (chunk, word) in out.chunks_exact_mut(8).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        out
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let word = |i: usize| u64::from_le_bytes(bytes[i * 8..i * 8 + 8].try_into().expect("eight bytes"));
        Self { device: word(0), inode: word(1), size: word(2), mtime_ns: word(3) as i64, ctime_ns: word(4) as i64 }
    }
}

/// Files with the stamps they had when their digests were taken.
#[derive(Debug, Clone, Default)]
pub struct Stamped {
    /// Path and stamp of each.
    pub files: Vec<(PathBuf, Stamp)>,
}

impl ExternalSource for Stamped {
    fn check(&self) -> Result<(), InputChanged> {
        for (path, stamp) in &self.files {
            let now = fs::metadata(path).map(|m| Stamp::of(&m));
            if now.ok().as_ref() != Some(stamp) {
                return Err(InputChanged { path: path.clone() });
            }
        }
        Ok(())
    }
}

type Table = HashMap<Stamp, Digest>;

/// The facts kept in one store.
pub struct Facts {
    folder: PathBuf,
    tables: Mutex<BTreeMap<String, (Table, bool)>>,
    /// What was moved out of the way and has not been told yet: from where, to where.
    moved: Mutex<Vec<(PathBuf, PathBuf)>>,
}

/// What names of files end with that are gone in a moment, unless a process dies in that moment.
pub(crate) const TEMPORARY: &str = ".tmp";

const MAGIC: &[u8; 16] = b"assay facts 2\n\0\0";
/// A change this soon after another may not show in the time stamp.
const RACY_NS: i64 = 1_000_000_000;

impl Facts {
    /// Facts kept under `folder`, which is made when first written to.
    pub fn open(folder: PathBuf) -> Self {
        Self { folder, tables: Mutex::default(), moved: Mutex::default() }
    }

    /// Digest of a file's content, from its stamp where it is known. `table` groups the files that are asked for together.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn file_digest(&self, table: &str, path: &Path) -> io::Result<(Stamp, Digest)> {
        let metadata = fs::metadata(path)?;
        plain::expect_file(&metadata)?;
        let stamp = Stamp::of(&metadata);
        if let Some(digest) = self.known(table, &stamp) {
            return Ok((stamp, digest));
        }
        let mut hasher = blake3::Hasher::new();
        let mut file = File::open(path)?;
        let before = Stamp::of(&file.metadata()?);
        hasher.update_reader(&mut file)?;
        let after = Stamp::of(&file.metadata()?);
        if before != after {
            return Err(io::Error::other("the file changed while it was read"));
        }
        let digest = Digest::from_bytes(*hasher.finalize().as_bytes());
        self.learn(table, after, digest);
        Ok((after, digest))
    }

    pub(crate) fn known(&self, table: &str, stamp: &Stamp) -> Option<Digest> {
        let mut tables = self.tables.lock().expect("no panic while locked");
        let (known, _) = tables.entry(table.to_owned()).or_insert_with(|| (self.load(table), false));
        known.get(stamp).copied()
    }

    pub(crate) fn learn(&self, table: &str, stamp: Stamp, digest: Digest) {
        let mut tables = self.tables.lock().expect("no panic while locked");
        let (known, changed) = tables.entry(table.to_owned()).or_default();
        known.insert(stamp, digest);
        *changed = true;
    }

    fn table_path(&self, table: &str) -> PathBuf {
        self.folder.join(format!("{}.files", &Digest::of(table.as_bytes()).to_string()[..32]))
    }

    fn load(&self, table: &str) -> Table {
        const RECORD: usize = Stamp::BYTES + 32;
        let Ok(bytes) = plain::read(&self.table_path(table)) else { return Table::new() };
        // A table that is not what was written is as good as none: what it says would be believed of files.
        let Some((seal, records)) = bytes.strip_prefix(MAGIC).and_then(|rest| rest.split_at_checked(32)) else {
            return Table::new();
        };
        if seal != table_seal(table, records).as_bytes() {
            return Table::new();
        }
        records
            .chunks_exact(RECORD)
            .map(|r| (Stamp::from_bytes(r), Digest::from_bytes(r[Stamp::BYTES..].try_into().expect("32 bytes"))))
            .collect()
    }

    /// Writes what was learnt. Call once after planning; losing it costs time only.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self) -> io::Result<()> {
        let mut tables = self.tables.lock().expect("no panic while locked");
        if !tables.values().any(|(_, changed)| *changed) {
            return Ok(());
        }
        let settled_ns = self.settled_ns()?;
        for (name, (table, changed)) in tables.iter_mut().filter(|(_, t)| t.1) {
            let mut merged = self.load(name);
            merged.extend(table.iter().map(|(s, d)| (*s, *d)));
            let mut records: Vec<_> = merged.into_iter().filter(|(s, _)| s.latest_ns() < settled_ns).collect();
            records.sort_unstable();
            let mut body = Vec::with_capacity(records.len() * (Stamp::BYTES + 32));
            for (stamp, digest) in records {
                body.extend_from_slice(&stamp.to_bytes());
                body.extend_from_slice(digest.as_bytes());
            }
            let bytes = [MAGIC.as_slice(), table_seal(name, &body).as_bytes(), &body].concat();
            self.replace_file(&self.table_path(name), &bytes)?;
            *changed = false;
        }
        Ok(())
    }

    /// Files that last changed before this will not change again without a change of their stamps, by the file system's own
    /// clock, which is the one that stamps files.
    pub(crate) fn settled_ns(&self) -> io::Result<i64> {
        fs::create_dir_all(&self.folder)?;
        let probe = self.folder.join(format!("clock.{}{TEMPORARY}", unique("")));
        let stamp = Stamp::of(&File::create_new(&probe)?.metadata()?);
        let _ = fs::remove_file(&probe);
        Ok(stamp.mtime_ns - RACY_NS)
    }

    /// Puts a file in the place of what lies there.
    pub(crate) fn replace_file(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let odd = self.folder.join(plain::name_aside());
        if plain::clear_for_file(path, &odd)? {
            self.moved.lock().expect("no panic while locked").push((path.to_owned(), odd));
        }
        let aside = self.folder.join(format!("{}{TEMPORARY}", unique("")));
        fs::write(&aside, bytes)?;
        fs::rename(&aside, path)
    }

    /// What was in the way of facts and has been moved, since this was last asked: from where, to where.
    pub fn take_moved(&self) -> Vec<(PathBuf, PathBuf)> {
        std::mem::take(&mut *self.moved.lock().expect("no panic while locked"))
    }

    /// A result that depends on nothing but `inputs` (digests and parameters, framed by the caller): computed once, kept as bytes.
    ///
    /// # Errors
    /// Those of `compute`. That the result cannot be kept is no error.
    pub fn memo<E>(
        &self,
        purpose: &str,
        inputs: &[&[u8]],
        compute: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, E> {
        let mut hasher = FramedHasher::new(purpose);
        for input in inputs {
            hasher.field(input);
        }
        let name = hasher.finish();
        let path = self.folder.join(format!("{}.memo", &name.to_string()[..32]));
        if let Some(bytes) = plain::read(&path).ok().and_then(|sealed| checked(name, &sealed)) {
            return Ok(bytes);
        }
        let bytes = compute()?;
        let mut sealed = memo_seal(name, &bytes).as_bytes().to_vec();
        sealed.extend_from_slice(&bytes);
        let _ = fs::create_dir_all(&self.folder).and_then(|()| self.replace_file(&path, &sealed));
        Ok(bytes)
    }
}

/// Digest of a table with its name, so that neither a damaged one nor another one is believed.
fn table_seal(table: &str, records: &[u8]) -> Digest {
    FramedHasher::new("facts of files").field(table.as_bytes()).field(records).finish()
}

/// Digest of a memo with what it was asked, so that neither a damaged one nor the answer to something else is believed.
fn memo_seal(name: Digest, bytes: &[u8]) -> Digest {
    FramedHasher::new("memo").field(name.as_bytes()).field(bytes).finish()
}

/// The bytes of a memo, unless it is damaged or answers something else.
fn checked(name: Digest, sealed: &[u8]) -> Option<Vec<u8>> {
    let (seal, bytes) = sealed.split_at_checked(32)?;
    (memo_seal(name, bytes).as_bytes() == seal).then(|| bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[allow(clippy::disallowed_methods)]
    fn age(path: &Path, seconds: u64) {
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
    }

    #[test]
    fn digest_follows_content_not_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, b"one").unwrap();
        let facts = Facts::open(dir.path().join("facts"));
        let (stamp, digest) = facts.file_digest("t", &path).unwrap();
        assert_eq!(digest, Digest::of(b"one"));
        age(&path, 100);
        let (touched, same) = facts.file_digest("t", &path).unwrap();
        assert_ne!(touched, stamp);
        assert_eq!(same, digest);
        fs::write(&path, b"two").unwrap();
        assert_eq!(facts.file_digest("t", &path).unwrap().1, Digest::of(b"two"));
    }

    #[test]
    fn a_table_survives_and_omits_what_changed_just_now() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("facts");
        let facts = Facts::open(folder.clone());
        let old = Stamp { device: 1, inode: 2, size: 3, mtime_ns: 4, ctime_ns: 5 };
        facts.learn("t", old, Digest::of(b"old"));
        let fresh = dir.path().join("fresh");
        fs::write(&fresh, b"x").unwrap();
        let (stamp, _) = facts.file_digest("t", &fresh).unwrap();
        facts.save().unwrap();
        let again = Facts::open(folder);
        assert_eq!(again.known("t", &old), Some(Digest::of(b"old")));
        assert_eq!(again.known("t", &stamp), None);
    }

    #[test]
    fn a_damaged_table_and_the_answer_to_something_else_are_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let old = Stamp { device: 1, inode: 2, size: 3, mtime_ns: 4, ctime_ns: 5 };
        let facts = Facts::open(dir.path().to_owned());
        facts.learn("t", old, Digest::of(b"old"));
        facts.save().unwrap();
        let path = facts.table_path("t");
        let bytes = fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 0x44;
            fs::write(&path, other).unwrap();
            assert_eq!(Facts::open(dir.path().to_owned()).known("t", &old), None, "byte {at}");
        }
        fs::write(&path, bytes).unwrap();
        assert_eq!(Facts::open(dir.path().to_owned()).known("t", &old), Some(Digest::of(b"old")));
        let ask =
            |input: &[u8], value: &'static [u8]| facts.memo("p", &[input], || Ok::<_, ()>(value.to_vec())).unwrap();
        assert_eq!((ask(b"a", b"one"), ask(b"b", b"two")), (b"one".to_vec(), b"two".to_vec()));
        let memos: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
        let memos: Vec<_> = memos.iter().filter(|p| p.extension().is_some_and(|e| e == "memo")).collect();
        let (first, second) = (fs::read(memos[0]).unwrap(), fs::read(memos[1]).unwrap());
        fs::write(memos[0], second).unwrap();
        fs::write(memos[1], first).unwrap();
        assert_eq!((ask(b"a", b"one"), ask(b"b", b"two")), (b"one".to_vec(), b"two".to_vec()));
    }

    #[test]
    fn a_damaged_memo_is_computed_again() {
        let dir = tempfile::tempdir().unwrap();
        let facts = Facts::open(dir.path().to_owned());
        let ask = |value: &'static [u8]| facts.memo("p", &[b"k"], || Ok::<_, ()>(value.to_vec())).unwrap();
        assert_eq!(ask(b"one"), b"one");
        assert_eq!(ask(b"two"), b"one");
        for entry in fs::read_dir(dir.path()).unwrap() {
            fs::write(entry.unwrap().path(), b"damaged").unwrap();
        }
        assert_eq!(ask(b"two"), b"two");
        // What is no file at all is moved, and told.
        let path = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        fs::remove_file(&path).unwrap();
        fs::create_dir_all(path.join("inside")).unwrap();
        assert_eq!((ask(b"three"), ask(b"four")), (b"three".to_vec(), b"three".to_vec()));
        let moved = facts.take_moved();
        assert_eq!((moved.len(), &moved[0].0, moved[0].1.join("inside").is_dir()), (1, &path, true));
    }

    #[test]
    fn a_moved_file_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, b"one").unwrap();
        let stamped = Stamped { files: vec![(path.clone(), Stamp::of(&fs::metadata(&path).unwrap()))] };
        assert!(stamped.check().is_ok());
        fs::write(&path, b"longer").unwrap();
        assert_eq!(stamped.check().unwrap_err().path, path);
    }
}
