//! What entries said when they were last read and found whole, so that a run that finds 100,000 results opens none of them.
//!
//! One file a kind below `facts/`: for each entry the stamp of its file and the bytes of its headline, the one file that a table
//! is made of. It is believed while the stamp is the same, as facts are; whoever changes an entry changes its stamp. Entries
//! with warnings or large files are not in it: these are looked at each time.
//!
//! The file is sealed by a digest, and one that is not what was written is as good as none.
//! ```text
//! "assay index 1\n\0\0", seal (32 bytes), number of entries (8 bytes)
//! for each entry, sorted by key: key (32 bytes), stamp (40 bytes), end of its headline (8 bytes)
//! all headlines, in that order
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Store, plain};
use crate::facts::Stamp;
use crate::{Digest, FramedHasher, StepKey};

const MAGIC: &[u8; 16] = b"assay index 1\n\0\0";
const HEAD: usize = MAGIC.len() + 32 + 8;
const RECORD: usize = 32 + Stamp::BYTES + 8;
const EXTENSION: &str = "index";

/// The index of one kind.
pub(crate) struct Index {
    kind: &'static str,
    /// As they were read; empty when there is none that is whole.
    bytes: Vec<u8>,
    entries: usize,
}

/// An entry of an index: its key, the stamp of its file, and its headline.
pub(crate) type Indexed<H> = (StepKey, Stamp, H);

impl Index {
    fn new(kind: &'static str, bytes: Vec<u8>) -> Self {
        match checked(kind, &bytes) {
            Some(entries) => Self { kind, bytes, entries },
            None => Self { kind, bytes: Vec::new(), entries: 0 },
        }
    }

    fn record(&self, place: usize) -> &[u8; RECORD] {
        self.bytes[HEAD + place * RECORD..].first_chunk().expect("there are so many records")
    }

    fn key(&self, place: usize) -> StepKey {
        StepKey(Digest::from_bytes(*self.record(place).first_chunk().expect("a record begins with a key")))
    }

    /// The entry at this place; `None` when its headline is not where it should be.
    fn at(&self, place: usize) -> Option<Indexed<&[u8]>> {
        let end = |place: usize| usize::try_from(u64::from_le_bytes(*self.record(place).last_chunk()?)).ok();
        let start = if place == 0 { 0 } else { end(place - 1)? };
        let headline = self.bytes[HEAD + self.entries * RECORD..].get(start..end(place)?)?;
        Some((self.key(place), Stamp::from_bytes(&self.record(place)[32..]), headline))
    }

    /// The headline of an entry, if its file still has the stamp with which it was read.
    pub(crate) fn headline(&self, store: &Store, key: StepKey) -> Option<&[u8]> {
        let place = self.place_of(key)?;
        let (_, stamp, headline) = self.at(place)?;
        (store.stamp(self.kind, key)? == stamp).then_some(headline)
    }

    fn place_of(&self, key: StepKey) -> Option<usize> {
        let (mut low, mut high) = (0, self.entries);
        while low < high {
            let middle = low.midpoint(high);
            if self.key(middle) < key { low = middle + 1 } else { high = middle }
        }
        (low < self.entries && self.key(low) == key).then_some(low)
    }

    /// The index with what was learnt.
    fn with(&self, learnt: &[Indexed<Box<[u8]>>]) -> Vec<u8> {
        let learnt: BTreeMap<_, _> =
            learnt.iter().map(|(key, stamp, headline)| (*key, (*stamp, &**headline))).collect();
        let known = (0..self.entries).filter_map(|place| self.at(place)).filter(|known| !learnt.contains_key(&known.0));
        let mut all: Vec<_> = known.collect();
        all.extend(learnt.into_iter().map(|(key, (stamp, headline))| (key, stamp, headline)));
        all.sort_unstable_by_key(|one| one.0);
        let mut bytes = vec![0; HEAD];
        let mut end = 0_u64;
        for (key, stamp, headline) in &all {
            end += headline.len() as u64;
            bytes.extend_from_slice(key.0.as_bytes());
            bytes.extend_from_slice(&stamp.to_bytes());
            bytes.extend_from_slice(&end.to_le_bytes());
        }
        all.iter().for_each(|(_, _, headline)| bytes.extend_from_slice(headline));
        bytes[..MAGIC.len()].copy_from_slice(MAGIC);
        bytes[HEAD - 8..HEAD].copy_from_slice(&(all.len() as u64).to_le_bytes());
        let seal = seal(self.kind, &bytes[HEAD - 8..]);
        bytes[MAGIC.len()..HEAD - 8].copy_from_slice(seal.as_bytes());
        bytes
    }
}

/// Digest of an index with the kind that it is of.
fn seal(kind: &str, body: &[u8]) -> Digest {
    FramedHasher::new("index").field(kind.as_bytes()).field(body).finish()
}

/// Number of the entries of an index that is what was written.
fn checked(kind: &str, bytes: &[u8]) -> Option<usize> {
    let (sealed_with, body) = bytes.strip_prefix(MAGIC)?.split_at_checked(32)?;
    if seal(kind, body).as_bytes() != sealed_with {
        return None;
    }
    let entries = usize::try_from(u64::from_le_bytes(*body.first_chunk()?)).ok()?;
    (entries <= (bytes.len() - HEAD) / RECORD).then_some(entries)
}

impl Store {
    fn index_path(&self, kind: &str) -> PathBuf {
        self.facts_folder().join(format!("{kind}.{EXTENSION}"))
    }

    /// Reads the index of a kind.
    pub(crate) fn index(&self, kind: &'static str) -> Index {
        Index::new(kind, plain::read(&self.index_path(kind)).unwrap_or_default())
    }

    /// Adds to an index what was learnt of entries. That it cannot be written costs time only.
    pub(crate) fn remember_index(&self, index: &Index, mut learnt: Vec<Indexed<Box<[u8]>>>) {
        // A file that changed just now could change once more without a change of its stamp.
        let Ok(settled_ns) = self.verified().settled_ns() else { return };
        learnt.retain(|(_, stamp, _)| stamp.latest_ns() < settled_ns);
        if !learnt.is_empty() {
            let _ = self.verified().replace_file(&self.index_path(index.kind), &index.with(&learnt));
        }
    }

    /// Removes all indices, so that they do not grow by entries that are gone.
    pub(super) fn forget_index(&self) -> anyhow::Result<()> {
        let names = super::list::names(&self.facts_folder())?;
        let indices = names.into_iter().filter(|name| Path::new(name).extension().is_some_and(|e| e == EXTENSION));
        indices
            .map(|name| self.facts_folder().join(name))
            .filter(|path| plain::is_file(path))
            .try_for_each(|path| super::remove(&path))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Mutex;

    use serde::Serialize;

    use super::*;
    use crate::{CancelToken, Context, Event, Executor, Json, Options, Plan, Step};

    #[derive(Serialize)]
    struct One {}

    impl Step<()> for One {
        const KIND: &'static str = "one";
        const VERSION: u32 = 1;
        type Output = Json<u32>;

        fn run(&self, _: &Context<'_, ()>) -> anyhow::Result<Json<u32>> {
            Ok(Json(1))
        }
    }

    /// What a run is shown of its results, and whether it met damage.
    fn found(plan: &Plan<()>, store: &Store) -> (Vec<String>, bool) {
        let (shown, is_damaged) = (Mutex::new(Vec::new()), Mutex::new(false));
        let options = Options {
            jobs: 1,
            memory_bytes: None,
            devices: vec![],
            keep_going: true,
            host: String::new(),
            program: String::new(),
            now_unix: || 0,
        };
        let executor = Executor {
            plan,
            store,
            runtime: &(),
            options: &options,
            events: &|event| *is_damaged.lock().unwrap() |= matches!(event, Event::Damaged(_)),
            headline: "value.json",
            found: &|_, headline, _| shown.lock().unwrap().push(String::from_utf8(headline.to_vec()).unwrap()),
            cancel: &CancelToken::default(),
        };
        executor.run().unwrap();
        (shown.into_inner().unwrap(), is_damaged.into_inner().unwrap())
    }

    #[test]
    fn an_index_is_believed_while_it_is_whole_and_the_entry_has_its_stamp() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut plan = Plan::default();
        let output = plan.add("one", One {}, vec![]).unwrap();
        plan.want(&output);
        assert_eq!(found(&plan, &store), (vec![], false), "it was not there");
        assert_eq!(found(&plan, &store), (vec!["1".to_owned()], false));
        // Too fresh for an index; one is made that says something else, to see who reads it.
        let path = store.index_path("one");
        assert!(!path.exists());
        let stamp = store.stamp("one", output.key()).unwrap();
        let others = [0, 255].map(|byte| (StepKey(Digest::from_bytes([byte; 32])), stamp, b"other"[..].into()));
        let empty = Index::new("one", Vec::new());
        let whole = empty.with(&[vec![(output.key(), stamp, b"indexed"[..].into())], others.to_vec()].concat());
        fs::write(&path, &whole).unwrap();
        assert_eq!(found(&plan, &store), (vec!["indexed".to_owned()], false));
        assert_eq!(Index::new("one", whole.clone()).with(&[]), whole);
        for at in 0..whole.len() {
            let mut other = whole.clone();
            other[at] ^= 1 << (at % 8);
            assert_eq!(Index::new("one", other).entries, 0, "byte {at}");
            assert_eq!(Index::new("one", whole[..at].to_vec()).entries, 0, "{at} bytes");
        }
        assert_eq!(Index::new("two", whole.clone()).entries, 0, "the index of another kind");
        // Sealed by somebody who does not count well.
        let mut wrong = whole.clone();
        wrong[HEAD + RECORD - 8..][..8].fill(255);
        let sealed_with = seal("one", &wrong[HEAD - 8..]);
        wrong[MAGIC.len()..HEAD - 8].copy_from_slice(sealed_with.as_bytes());
        let wrong = Index::new("one", wrong);
        assert_eq!((wrong.entries, wrong.headline(&store, StepKey(Digest::from_bytes([0; 32])))), (3, None));
        // Whoever damages an entry changes its stamp.
        let entry = store.entry_path("one", output.key());
        let mut bytes = fs::read(&entry).unwrap();
        bytes[100] ^= 1;
        fs::write(&entry, bytes).unwrap();
        assert_eq!(found(&plan, &store), (vec![], true));
        assert_eq!(found(&plan, &store), (vec!["1".to_owned()], false), "made again");
        // A collection that takes something takes the index too.
        super::super::gc::sweep(&store, &std::collections::HashSet::new()).unwrap();
        assert!(!path.exists());
    }
}
