//! Headlines of the results of a large plan, so that a run that finds 100,000 of them opens none.
//!
//! One file a plan below `facts/`: for each wanted entry the stamp of its file when it was last read and found whole, and the
//! bytes of its headline, the one file that a table is made of. They are believed while the stamp is the same, as facts are;
//! whoever changes an entry changes its stamp. Entries with warnings or large files are looked at each time.
//!
//! The file is sealed by a digest, and one that is not what was written is as good as none.
//! ```text
//! "assay index 1\n\0\0", seal (32 bytes)
//! for each entry, in the order of the plan: stamp (40 bytes), end of its headline (8 bytes); zeros for one that is not known
//! all headlines, in that order
//! ```

use std::fs;
use std::path::PathBuf;

use super::{Store, plain, remove};
use crate::facts::Stamp;
use crate::{Digest, FramedHasher, StepKey};

const MAGIC: &[u8; 16] = b"assay index 1\n\0\0";
const HEAD: usize = MAGIC.len() + 32;
const RECORD: usize = Stamp::BYTES + 8;
const EXTENSION: &str = ".index";
/// Fewer entries than these are opened in no time.
const WORTH_IT: usize = if cfg!(test) { 1 } else { 256 };
/// As many plans as these are remembered.
const MAX_INDICES: usize = 8;

/// What is known of the entries that a plan wants.
pub(crate) struct Index {
    /// Digest of the kinds and keys of the entries.
    name: Digest,
    entries: usize,
    /// As it was read; empty when there is none that is whole.
    bytes: Vec<u8>,
}

/// What was learnt of an entry: its place in the plan's list, the stamp of its file, its headline.
pub(crate) type Learnt = (usize, Stamp, Box<[u8]>);

impl Index {
    fn new(name: Digest, entries: usize, bytes: Vec<u8>) -> Self {
        let is_whole = bytes
            .strip_prefix(MAGIC)
            .and_then(|rest| rest.split_at_checked(32))
            .is_some_and(|(sealed, body)| body.len() >= entries * RECORD && sealed == seal(name, body).as_bytes());
        Self { name, entries, bytes: if is_whole { bytes } else { Vec::new() } }
    }

    /// The stamp and the headline of the entry at this place.
    fn at(&self, place: usize) -> Option<(Stamp, &[u8])> {
        let record = |place: usize| self.bytes.get(HEAD + place * RECORD..)?.first_chunk::<RECORD>();
        let end = |place: usize| usize::try_from(u64::from_le_bytes(*record(place)?.last_chunk()?)).ok();
        let start = if place == 0 { 0 } else { end(place - 1)? };
        let headline = self.bytes.get(HEAD + self.entries * RECORD..)?.get(start..end(place)?)?;
        Some((Stamp::from_bytes(record(place)?), headline))
    }

    /// The headline of the entry at this place, if its file still has the stamp with which it was read.
    pub(crate) fn headline(&self, store: &Store, place: usize, kind: &str, key: StepKey) -> Option<&[u8]> {
        let (stamp, headline) = self.at(place)?;
        (store.stamp(kind, key)? == stamp).then_some(headline)
    }

    /// The index with what was learnt.
    fn with(&self, learnt: &[Learnt]) -> Vec<u8> {
        let mut all: Vec<Option<(Stamp, &[u8])>> = (0..self.entries).map(|place| self.at(place)).collect();
        learnt.iter().for_each(|(place, stamp, headline)| all[*place] = Some((*stamp, headline)));
        let size: usize = all.iter().flatten().map(|(_, headline)| headline.len()).sum();
        let mut bytes = Vec::with_capacity(HEAD + self.entries * RECORD + size);
        bytes.resize(HEAD, 0);
        let mut end = 0;
        for one in &all {
            end += one.map_or(0, |(_, headline)| headline.len());
            bytes.extend_from_slice(&one.map_or([0; Stamp::BYTES], |(stamp, _)| stamp.to_bytes()));
            bytes.extend_from_slice(&(end as u64).to_le_bytes());
        }
        all.iter().flatten().for_each(|(_, headline)| bytes.extend_from_slice(headline));
        let seal = seal(self.name, &bytes[HEAD..]);
        bytes[..MAGIC.len()].copy_from_slice(MAGIC);
        bytes[MAGIC.len()..HEAD].copy_from_slice(seal.as_bytes());
        bytes
    }
}

/// Digest of an index with the list of the entries that it is of.
fn seal(name: Digest, body: &[u8]) -> Digest {
    FramedHasher::new("index").field(name.as_bytes()).field(body).finish()
}

impl Store {
    fn index_path(&self, name: Digest) -> PathBuf {
        self.facts_folder().join(format!("{}{EXTENSION}", &name.to_string()[..32]))
    }

    /// Reads what is known of these entries, given by kind and key; nothing where they are few.
    pub(crate) fn index<'k>(&self, entries: impl ExactSizeIterator<Item = (&'k str, StepKey)>) -> Option<Index> {
        let count = entries.len();
        if count < WORTH_IT {
            return None;
        }
        let mut name = FramedHasher::new("index of");
        for (kind, key) in entries {
            name.field(kind.as_bytes()).field(key.0.as_bytes());
        }
        let name = name.finish();
        Some(Index::new(name, count, plain::read(&self.index_path(name)).unwrap_or_default()))
    }

    /// Adds to an index what was learnt of entries. That it cannot be written costs time only.
    pub(crate) fn remember_index(&self, index: &Index, mut learnt: Vec<Learnt>) {
        // A file that changed just now could change once more without a change of its stamp.
        let Ok(settled_ns) = self.verified().settled_ns() else { return };
        learnt.retain(|(_, stamp, _)| stamp.latest_ns() < settled_ns);
        if !learnt.is_empty() {
            let _ = self.verified().replace_file(&self.index_path(index.name), &index.with(&learnt));
            let _ = self.keep_indices(MAX_INDICES);
        }
    }

    /// Removes all indices but the last `most` that were written.
    pub(super) fn keep_indices(&self, most: usize) -> anyhow::Result<()> {
        let names = super::list::names(&self.facts_folder())?;
        let paths = names.iter().filter(|name| name.ends_with(EXTENSION)).map(|name| self.facts_folder().join(name));
        let dated = |path: PathBuf| {
            let metadata = fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file)?;
            Some((Stamp::of(&metadata).latest_ns(), path))
        };
        let mut dated: Vec<_> = paths.filter_map(dated).collect();
        dated.sort();
        dated.iter().rev().skip(most).try_for_each(|(_, path)| remove(path))
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
        let index = || store.index([("one", output.key())].into_iter()).unwrap();
        let path = store.index_path(index().name);
        assert!(!path.exists());
        let stamp = store.stamp("one", output.key()).unwrap();
        let whole = index().with(&[(0, stamp, b"indexed"[..].into())]);
        fs::write(&path, &whole).unwrap();
        assert_eq!(found(&plan, &store), (vec!["indexed".to_owned()], false));
        assert_eq!(index().with(&[]), whole);
        for at in 0..whole.len() {
            let mut other = whole.clone();
            other[at] ^= 1 << (at % 8);
            for bytes in [other, whole[..at].to_vec()] {
                assert!(Index::new(index().name, 1, bytes).at(0).is_none(), "byte {at}");
            }
        }
        assert!(Index::new(Digest::of(b"other entries"), 1, whole.clone()).at(0).is_none());
        // Sealed by somebody who does not count well.
        let mut wrong = whole.clone();
        wrong[HEAD + RECORD - 8..][..8].fill(255);
        let sealed_with = seal(index().name, &wrong[HEAD..]);
        wrong[MAGIC.len()..HEAD].copy_from_slice(sealed_with.as_bytes());
        assert!(Index::new(index().name, 1, wrong).at(0).is_none());
        // Whoever damages an entry changes its stamp.
        let entry = store.entry_path("one", output.key());
        let mut bytes = fs::read(&entry).unwrap();
        bytes[100] ^= 1;
        fs::write(&entry, bytes).unwrap();
        assert_eq!(found(&plan, &store), (vec![], true));
        assert_eq!(found(&plan, &store), (vec!["1".to_owned()], false), "made again");
        store.keep_indices(1).unwrap();
        assert!(path.exists());
        // A collection that takes something takes the index too.
        super::super::gc::sweep(&store, &std::collections::HashSet::new()).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn an_index_has_gaps_and_grows() {
        let stamp = |size| Stamp::from_bytes(&[[0; 16].as_slice(), &u64::to_le_bytes(size), &[0; 16]].concat());
        let of = |bytes| Index::new(Digest::of(b"x"), 3, bytes);
        let first = of(of(Vec::new()).with(&[(2, stamp(7), b"c"[..].into())]));
        let second = of(first.with(&[(0, stamp(8), b"aa"[..].into()), (2, stamp(9), b"d"[..].into())]));
        let all: Vec<_> = (0..3).map(|place| second.at(place).unwrap()).collect();
        assert_eq!(all, [(stamp(8), &b"aa"[..]), (stamp(0), b""), (stamp(9), b"d")]);
        assert!(second.at(3).is_none());
    }
}
