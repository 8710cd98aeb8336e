//! Records of early cutoff: which step had these parameters on these input bytes.
//!
//! One file a kind, of records of 112 bytes: parameters, content and key (32 bytes each) and the first 16 bytes of their
//! BLAKE3. Records are added at the end, under a lock; the last one counts; one that does not match its digest is none.
//! A record proves nothing by itself: the entry that it names must have had these parameters and these inputs.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::{CONTENT, Store, plain};
use crate::recipe::{content_digest, parameters_digest, references};
use crate::{Digest, Entry, StepKey};

const RECORD: usize = 112;

/// The records of one kind, as far as they have been read.
#[derive(Default)]
pub(super) struct Records {
    by_content: BTreeMap<(Digest, Digest), StepKey>,
    read: u64,
}

impl Records {
    /// Reads what has been added since.
    fn refresh(&mut self, path: &Path) -> io::Result<()> {
        let mut file = match plain::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                *self = Self::default();
                return Ok(());
            }
            opened => opened?,
        };
        let size = file.metadata()?.len();
        if size < self.read {
            *self = Self::default();
        }
        if size - self.read < RECORD as u64 {
            return Ok(());
        }
        file.seek(SeekFrom::Start(self.read))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        for record in bytes.chunks_exact(RECORD) {
            self.read += RECORD as u64;
            if let Some((parameters, content, key)) = decode(record) {
                self.by_content.insert((parameters, content), key);
            }
        }
        Ok(())
    }
}

fn encode(parameters: Digest, content: Digest, key: StepKey) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    for (part, digest) in record.chunks_exact_mut(32).zip([parameters, content, key.0]) {
        part.copy_from_slice(digest.as_bytes());
    }
    let check = Digest::of(&record[..96]);
    record[96..].copy_from_slice(&check.as_bytes()[..16]);
    record
}

fn decode(record: &[u8]) -> Option<(Digest, Digest, StepKey)> {
    let (fields, check) = record.split_at(96);
    if Digest::of(fields).as_bytes()[..16] != *check {
        return None;
    }
    let field = |i: usize| Digest::from_bytes(fields[i * 32..][..32].try_into().expect("32 bytes"));
    Some((field(0), field(1), StepKey(field(2))))
}

impl Store {
    fn records_path(&self, kind: &str) -> PathBuf {
        self.root().join(CONTENT).join(format!("{kind}.records"))
    }

    fn with_records<T>(&self, kind: &str, ask: impl FnOnce(&Records) -> T) -> T {
        let mut contents = self.0.contents.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let records = contents.entry(kind.to_owned()).or_default();
        // Records that cannot be read are records that are not there: a step is then run that might have been taken.
        let _ = records.refresh(&self.records_path(kind));
        ask(records)
    }

    /// The entry of a step that ran with these parameters on these input bytes, with its key, if it is there and proves it.
    pub(crate) fn same_content(&self, kind: &str, parameters: Digest, content: Digest) -> Option<(StepKey, Entry)> {
        let key = self.with_records(kind, |records| records.by_content.get(&(parameters, content)).copied())?;
        let entry = self.entry(kind, key).ok()??;
        proves(&entry, parameters, content).then_some((key, entry))
    }

    /// Digests of the parameters that steps of a kind ran with, on whatever input.
    pub(crate) fn known_parameters(&self, kind: &str) -> HashSet<Digest> {
        self.with_records(kind, |records| records.by_content.keys().map(|(parameters, _)| *parameters).collect())
    }

    /// Remembers which step ran with these parameters on these input bytes.
    pub(crate) fn remember_content(
        &self,
        kind: &str,
        parameters: Digest,
        content: Digest,
        key: StepKey,
    ) -> io::Result<()> {
        loop {
            let path = self.records_path(kind);
            self.make_way_for_file(&path)?;
            let mut file = File::options().append(true).create(true).open(&path)?;
            file.lock()?;
            if !super::lease::still_there(&path, &file) {
                continue;
            }
            let size = file.metadata()?.len();
            // What a writer that died has left of a record.
            if size % RECORD as u64 != 0 {
                file.set_len(size - size % RECORD as u64)?;
            }
            return file.write_all(&encode(parameters, content, key));
        }
    }

    /// Drops the records of entries that are not among `kept`, so that nothing is thought to be known that is not.
    pub(super) fn forget_content(&self, kept: &HashSet<(String, StepKey)>) -> anyhow::Result<()> {
        let folder = self.root().join(CONTENT);
        for name in super::list::names(&folder)? {
            let Some(kind) = name.strip_suffix(".records") else { continue };
            let path = folder.join(&name);
            if !plain::is_file(&path) {
                continue;
            }
            self.forget_records(kind, &path, kept)
                .map_err(|error| anyhow::Error::new(error).context(format!("rewriting {}", path.display())))?;
        }
        self.0.contents.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
        Ok(())
    }

    fn forget_records(&self, kind: &str, path: &PathBuf, kept: &HashSet<(String, StepKey)>) -> io::Result<()> {
        let mut file = match File::options().read(true).write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        file.lock()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let is_kept = |record: &&[u8]| decode(record).is_some_and(|(_, _, key)| kept.contains(&(kind.to_owned(), key)));
        let left: Vec<u8> = bytes.chunks_exact(RECORD).filter(is_kept).flatten().copied().collect();
        if left.len() == bytes.len() {
            return Ok(());
        }
        if left.is_empty() {
            return fs::remove_file(path);
        }
        let aside = path.with_extension(format!("{}.tmp", std::process::id()));
        fs::write(&aside, &left)?;
        fs::rename(&aside, path)
    }
}

/// Whether an entry had these parameters and these input bytes, by its own recipe and provenance.
fn proves(entry: &Entry, parameters: Digest, content: Digest) -> bool {
    let named = references(entry.recipe());
    let inputs = &entry.provenance.inputs;
    let bytes_of = |key| Some(inputs[named.iter().position(|k| *k == key)?]);
    named.len() == inputs.len()
        && parameters_digest(entry.recipe()) == parameters
        && content_digest(entry.recipe(), bytes_of) == Some(content)
}
