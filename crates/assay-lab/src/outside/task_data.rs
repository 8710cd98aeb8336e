//! Datasets as the planner sees them: manifests with digests, cut into shards.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use assay_data::{Digests, Manifest, Sample, Split, shards};
use assay_engine::{Digest, External, ExternalSource, Facts, FramedHasher, InputChanged, Stamp, Stamped};

use super::Pictures;
use crate::spec::{OnBadImage, TaskSpec};

/// Answers a dataset's questions from the facts of the store, and notes the stamps of the files that it asks for.
pub struct FactDigests<'a> {
    facts: &'a Facts,
    stamps: Mutex<HashMap<PathBuf, Stamp>>,
}

impl<'a> FactDigests<'a> {
    pub fn new(facts: &'a Facts) -> Self {
        Self { facts, stamps: Mutex::default() }
    }

    /// Stamps of `files`, as they were when their digests were taken.
    fn stamped<'p>(&self, files: impl Iterator<Item = &'p Path>) -> Stamped {
        let stamps = self.stamps.lock().expect("no panic while locked");
        let mut seen = HashSet::new();
        let files =
            files.filter(|path| seen.insert(*path)).filter_map(|path| Some((path.to_owned(), *stamps.get(path)?)));
        Stamped { files: files.collect() }
    }
}

impl Digests for FactDigests<'_> {
    fn file(&self, table: &str, path: &Path) -> io::Result<blake3::Hash> {
        let (stamp, digest) = self.facts.file_digest(table, path)?;
        self.stamps.lock().expect("no panic while locked").insert(path.to_owned(), stamp);
        Ok(blake3::Hash::from_bytes(*digest.as_bytes()))
    }

    fn memo(
        &self,
        purpose: &str,
        inputs: &[&[u8]],
        compute: &mut dyn FnMut() -> anyhow::Result<Vec<u8>>,
    ) -> anyhow::Result<Vec<u8>> {
        self.facts.memo(purpose, inputs, compute)
    }
}

/// The samples of a task.
pub struct TaskData {
    /// The samples, after `subset` and `on_bad_image`.
    pub manifest: Manifest,
    /// Digest of the manifest.
    pub digest: Digest,
    /// Images of the task, each once, in pieces.
    pub shards: Vec<External<ShardImages>>,
    lengths: Vec<usize>,
    /// For each sample, the piece that its image is in.
    shard_of: Vec<u32>,
    /// Images left out because they cannot be decoded.
    pub skipped: Vec<String>,
    /// Notes on images that are there more than once.
    pub repeated: Vec<String>,
}

/// The images of a shard.
#[derive(Debug)]
pub struct ShardImages {
    /// One sample for each image.
    pub samples: Vec<Sample>,
    stamped: Stamped,
}

impl ExternalSource for ShardImages {
    fn check(&self) -> Result<(), InputChanged> {
        self.stamped.check()
    }
}

impl TaskData {
    /// Lists, hashes and cuts the samples of a task.
    ///
    /// # Errors
    /// When the dataset cannot be read, or nothing is left of it.
    pub fn load(task: &TaskSpec, facts: &Facts) -> anyhow::Result<Self> {
        let digests = FactDigests::new(facts);
        let mut manifest = task.dataset.manifest(&digests)?.subset(&task.subset());
        let mut skipped = Vec::new();
        if task.on_bad_image == OnBadImage::Skip {
            let bad = bad_images(&manifest, &digests)?;
            skipped = bad.iter().map(|i| manifest.samples[*i].path.clone()).collect();
            drop_samples(&mut manifest, &bad);
        }
        anyhow::ensure!(!manifest.samples.is_empty(), "no image is left of this dataset");
        Ok(Self { skipped, ..Self::cut(manifest, &digests) })
    }

    /// The samples of a manifest that somebody else has made.
    #[cfg(test)]
    pub fn of(manifest: Manifest, facts: &Facts) -> Self {
        Self::cut(manifest, &FactDigests::new(facts))
    }

    fn cut(manifest: Manifest, digests: &FactDigests<'_>) -> Self {
        let digest = Digest::from_bytes(*manifest.digest().as_bytes());
        let shards = cut(&manifest, digests);
        let (shards, lengths): (Vec<External<ShardImages>>, Vec<usize>) = shards.into_iter().unzip();
        let shard_of = pieces_of(&manifest, &lengths);
        let repeated = repeated(&manifest);
        Self { manifest, digest, shards, lengths, shard_of, skipped: Vec::new(), repeated }
    }

    /// The pieces that the images of these samples are in, in order.
    pub fn shards_of(&self, samples: &[u32]) -> BTreeSet<u32> {
        samples.iter().map(|i| self.shard_of[*i as usize]).collect()
    }

    /// Images in a shard.
    pub fn shard_len(&self, index: usize) -> usize {
        self.lengths[index]
    }
}

fn cut(manifest: &Manifest, digests: &FactDigests<'_>) -> Vec<(External<ShardImages>, usize)> {
    let mut seen = HashSet::new();
    let unique: Vec<&Sample> = manifest.samples.iter().filter(|s| seen.insert(s.digest)).collect();
    let lengths = shards::cut(&unique.iter().map(|s| s.digest).collect::<Vec<_>>());
    let mut rest = unique.as_slice();
    let mut pieces = Vec::with_capacity(lengths.len());
    for length in lengths {
        let (piece, after) = rest.split_at(length);
        rest = after;
        let mut hasher = FramedHasher::new("images");
        piece.iter().for_each(|s| {
            hasher.field(s.digest.as_bytes());
        });
        let stamped = digests.stamped(piece.iter().filter_map(|s| s.source.file()));
        let samples = piece.iter().map(|s| (*s).clone()).collect();
        pieces.push((External::new(hasher.finish(), Arc::new(ShardImages { samples, stamped })), length));
    }
    pieces
}

/// Counts images that are in several splits, or several times in one; an image is what its content is.
fn repeated(manifest: &Manifest) -> Vec<String> {
    let mut seen: HashMap<blake3::Hash, Vec<(Split, usize)>> = HashMap::new();
    for sample in &manifest.samples {
        let splits = seen.entry(sample.digest).or_default();
        match splits.iter_mut().find(|(split, _)| *split == sample.split) {
            Some((_, count)) => *count += 1,
            None => splits.push((sample.split, 1)),
        }
    }
    let mut notes = Vec::new();
    for (one, other) in [(Split::Train, Split::Val), (Split::Train, Split::Test), (Split::Val, Split::Test)] {
        let in_both = |splits: &&Vec<(Split, usize)>| [one, other].iter().all(|s| splits.iter().any(|(t, _)| t == s));
        let count = seen.values().filter(in_both).count();
        if count > 0 {
            notes.push(format!("{count} images are in both {one:?} and {other:?}"));
        }
    }
    for split in [Split::Train, Split::Val, Split::Test] {
        let again = |splits: &Vec<(Split, usize)>| {
            splits.iter().filter(|(s, _)| *s == split).map(|(_, count)| count - 1).sum::<usize>()
        };
        let count: usize = seen.values().map(again).sum();
        if count > 0 {
            notes.push(format!("{count} samples of {split:?} have the same image as another of that split"));
        }
    }
    notes
}

/// For each sample, the piece that its image is in.
fn pieces_of(manifest: &Manifest, lengths: &[usize]) -> Vec<u32> {
    let mut pieces = lengths.iter().enumerate().flat_map(|(piece, length)| std::iter::repeat_n(piece as u32, *length));
    let mut seen = HashMap::new();
    let mut piece =
        |s: &Sample| *seen.entry(s.digest).or_insert_with(|| pieces.next().expect("a place for each image"));
    manifest.samples.iter().map(&mut piece).collect()
}

/// Indices of the samples whose image cannot be decoded; found once for the same images.
fn bad_images(manifest: &Manifest, digests: &FactDigests<'_>) -> anyhow::Result<Vec<usize>> {
    let purpose = format!("bad images {}", assay_data::PIXELS);
    let bytes = digests.memo(&purpose, &[manifest.digest().as_bytes()], &mut || {
        let mut bad = Vec::new();
        for (i, sample) in manifest.samples.iter().enumerate() {
            match sample.picture(assay_data::Color::Rgb) {
                Ok(_) => {}
                Err(error) if error.is_of_the_content() => bad.extend((i as u64).to_le_bytes()),
                Err(error) => return Err(anyhow::Error::from(error).context(name_of(sample))),
            }
        }
        Ok(bad)
    })?;
    Ok(bytes.chunks_exact(8).map(|c| u64::from_le_bytes(c.try_into().expect("eight bytes")) as usize).collect())
}

fn drop_samples(manifest: &mut Manifest, bad: &[usize]) {
    if bad.is_empty() {
        return;
    }
    let mut index = 0;
    manifest.samples.retain(|_| {
        index += 1;
        bad.binary_search(&(index - 1)).is_err()
    });
    manifest.official.clear();
}

/// Decodes and prepares one sample; the error names the file. Pictures that several steps need are kept in `pictures`.
pub fn prepare(sample: &Sample, image: &assay_data::ImageSpec, pictures: Option<&Pictures>) -> anyhow::Result<Vec<u8>> {
    let decode = || sample.picture(image.color);
    let prepared = match pictures {
        Some(pictures) => pictures.get(sample.digest, image.color, decode).and_then(|picture| image.apply(&picture)),
        None => decode().and_then(|picture| image.apply(&picture)),
    };
    Ok(prepared.with_context(|| name_of(sample))?.pixels.data)
}

/// The name of an image in messages.
fn name_of(sample: &Sample) -> String {
    match sample.source.file() {
        Some(file) if file.ends_with(&sample.path) => format!("image {}", file.display()),
        Some(file) => format!("image {} in {}", sample.path, file.display()),
        None => format!("image {}", sample.path),
    }
}
