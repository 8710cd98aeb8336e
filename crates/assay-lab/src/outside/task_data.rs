//! Datasets as the planner sees them: manifests with digests, cut into shards.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use assay_data::{Digests, Doubts, HubCache, ImageSource, Label, Manifest, Presence, Sample, Split, doubts, shards};
use assay_engine::{Digest, External, ExternalSource, Facts, FramedHasher, InputChanged, Stamp, Stamped};

use super::Pictures;
use crate::spec::{ClassesSpec, OnBadImage, TaskSpec, read_list};

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
    /// Warnings about names of classes that look like a mistake, and about images that are there more than once.
    pub doubts: Vec<String>,
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
    /// Lists, hashes and cuts the samples of a task; those of the Hugging Face hub are looked for in `hub`.
    ///
    /// # Errors
    /// When the dataset cannot be read, names of its classes are a mistake, or nothing is left of it.
    pub fn load(task: &TaskSpec, facts: &Facts, hub: &HubCache) -> anyhow::Result<Self> {
        let digests = FactDigests::new(facts);
        let mut manifest = task.dataset.manifest(&digests, hub)?;
        if let Some(classes) = &task.classes {
            manifest = manifest.reorder(&classes.wanted()?)?;
        }
        if let Some(list) = &task.subset.list {
            let place = || list.0.display().to_string();
            manifest = manifest.keep_listed(&read_list(list)?).with_context(place)?;
        }
        manifest = manifest.subset(&task.subset());
        let mut skipped = Vec::new();
        if task.on_bad_image == OnBadImage::Skip {
            let bad = bad_images(&manifest, &digests)?;
            skipped = bad.iter().map(|i| manifest.samples[*i].path.clone()).collect();
            drop_samples(&mut manifest, &bad);
        }
        anyhow::ensure!(!manifest.samples.is_empty(), "no image is left of this dataset");
        let Doubts { errors, warnings } = doubts(&manifest);
        let are_meant = task.classes.as_ref().is_some_and(ClassesSpec::lists_names);
        anyhow::ensure!(
            errors.is_empty() || are_meant,
            "{}: mend the labels, or list the classes with `classes: […]` where all are meant",
            errors.join("; ")
        );
        let mut data = Self { skipped, ..Self::cut(manifest, &digests) };
        data.doubts.splice(0..0, errors.into_iter().chain(warnings));
        Ok(data)
    }

    /// Warnings that stay with every result: what is not as published, left out, doubtful or there twice.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if !self.skipped.is_empty() {
            let some: Vec<_> = self.skipped.iter().take(5).map(String::as_str).collect();
            let count = self.skipped.len();
            warnings.push(format!("{count} images cannot be decoded and are left out: {}", some.join(", ")));
        }
        warnings.extend(self.manifest.notes.iter().chain(&self.doubts).cloned());
        warnings
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
        let mut doubts = repeated(&manifest);
        doubts.extend(contradictions(&manifest));
        Self { manifest, digest, shards, lengths, shard_of, skipped: Vec::new(), doubts }
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
            // What is named by its id is not what it is named by.
            if let ImageSource::Row { digest, .. } = &s.source {
                hasher.field(digest.as_bytes());
            }
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
    for split in [Split::Train, Split::Val, Split::Test, Split::Whole] {
        let again = |splits: &Vec<(Split, usize)>| {
            splits.iter().filter(|(s, _)| *s == split).map(|(_, count)| count - 1).sum::<usize>()
        };
        let count: usize = seen.values().map(again).sum();
        if count > 0 {
            let place = if split == Split::Whole { String::new() } else { format!(" of {split:?}") };
            let of = if split == Split::Whole { "" } else { " of that split" };
            notes.push(format!("{count} samples{place} have the same image as another{of}"));
        }
    }
    notes
}

/// Counts images that are of one class here and of another there.
fn contradictions(manifest: &Manifest) -> Option<String> {
    let mut first: HashMap<blake3::Hash, &Sample> = HashMap::new();
    let mut images: HashSet<blake3::Hash> = HashSet::new();
    let mut example = None;
    for sample in manifest.samples.iter().filter(|sample| sample.label().is_some()) {
        let other = *first.entry(sample.digest).or_insert(sample);
        if other.label() != sample.label() && images.insert(sample.digest) {
            example.get_or_insert((other, sample));
        }
    }
    let (one, other) = example?;
    let shown = |sample: &Sample| format!("{} ({})", sample.path, shown(sample, &manifest.classes));
    let count = images.len();
    Some(format!("{count} images are there with different classes, such as {} and {}", shown(one), shown(other)))
}

/// The classes that a sample shows, in words.
fn shown(sample: &Sample, classes: &[String]) -> String {
    match sample.label() {
        Some(Label::Class(class)) => classes[*class as usize].clone(),
        Some(Label::MultiLabel(marks)) => {
            let present = marks.iter().zip(classes).filter(|(mark, _)| **mark == Presence::Present);
            present.map(|(_, name)| name.as_str()).take(4).collect::<Vec<_>>().join(", ")
        }
        None => String::new(),
    }
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

/// Decodes one sample; the error names the file.
pub fn decoded(sample: &Sample, image: &assay_data::ImageSpec) -> anyhow::Result<assay_data::Picture> {
    sample.picture(image.color).with_context(|| name_of(sample))
}

/// The name of an image in messages.
fn name_of(sample: &Sample) -> String {
    match sample.source.file() {
        Some(file) if file.ends_with(&sample.path) => format!("image {}", file.display()),
        Some(file) => format!("image {} in {}", sample.path, file.display()),
        None => format!("image {}", sample.path),
    }
}

#[cfg(test)]
mod tests {
    use assay_data::{Color, ImageSpec, Resize, Size, Targets};

    use super::*;

    fn sample(image: u32, split: Split) -> Sample {
        Sample {
            path: format!("{split:?}/{image}"),
            digest: blake3::hash(&image.to_le_bytes()),
            targets: Targets::class(0),
            split,
            source: ImageSource::File(format!("nowhere/{split:?}/{image}").into()),
        }
    }

    fn manifest(samples: impl IntoIterator<Item = Sample>) -> Manifest {
        Manifest { classes: vec!["a".to_owned()], samples: samples.into_iter().collect(), ..Manifest::default() }
    }

    fn data(manifest: Manifest) -> TaskData {
        let folder = tempfile::tempdir().unwrap();
        TaskData::of(manifest, &Facts::open(folder.path().to_owned()))
    }

    #[test]
    fn repeated_images_are_counted_by_split_and_between_splits() {
        use Split::{Test, Train, Val, Whole};
        let notes =
            |samples: &[(u32, Split)]| repeated(&manifest(samples.iter().map(|(image, split)| sample(*image, *split))));
        let none: [&str; 0] = [];
        assert_eq!(notes(&[(0, Train), (1, Train), (2, Val), (3, Test)]), none);
        assert_eq!(
            notes(&[(0, Train), (0, Val), (0, Test), (1, Train), (1, Test), (2, Val)]),
            [
                "1 images are in both Train and Val",
                "2 images are in both Train and Test",
                "1 images are in both Val and Test",
            ]
        );
        assert_eq!(
            notes(&[(0, Train), (0, Train), (0, Train), (1, Train), (1, Train), (2, Test), (2, Test)]),
            [
                "3 samples of Train have the same image as another of that split",
                "1 samples of Test have the same image as another of that split",
            ]
        );
        assert_eq!(notes(&[(0, Whole), (0, Whole)]), ["1 samples have the same image as another"]);
    }

    #[test]
    fn an_image_of_two_classes_is_told_with_an_example() {
        let of = |image, class, split| Sample { targets: Targets::class(class), ..sample(image, split) };
        let told = |samples: Vec<Sample>| {
            contradictions(&Manifest { classes: vec!["a".to_owned(), "b".to_owned()], ..manifest(samples) })
        };
        assert_eq!(told(vec![of(0, 0, Split::Train), of(0, 0, Split::Test), of(1, 1, Split::Test)]), None);
        let both =
            told(vec![of(0, 0, Split::Train), of(0, 1, Split::Test), of(0, 1, Split::Test), of(1, 1, Split::Val)]);
        let expected = "1 images are there with different classes, such as Train/0 (a) and Test/0 (b)";
        assert_eq!(both.as_deref(), Some(expected));
    }

    #[test]
    fn shards_hold_every_image_once_and_say_where_each_sample_is() {
        // The first 1,000 images are there twice.
        let images: Vec<u32> = (0..3000).chain(0..1000).collect();
        let data = data(manifest(images.iter().map(|i| sample(*i, Split::Train))));
        let lengths: Vec<usize> = (0..data.shards.len()).map(|i| data.shard_len(i)).collect();
        assert_eq!(lengths.iter().sum::<usize>(), 3000);
        assert!(lengths.len() > 3, "{lengths:?}");
        for (i, image) in images.iter().enumerate() {
            let pieces = data.shards_of(&[i as u32]);
            assert_eq!(pieces, data.shards_of(&[*image]), "a sample is where its image is");
            let piece = *pieces.first().unwrap() as usize;
            let start: usize = lengths[..piece].iter().sum();
            assert!((start..start + lengths[piece]).contains(&(*image as usize)));
        }
        let last = lengths.len() as u32 - 1;
        assert_eq!(data.shards_of(&[0, 2999, 3000]), BTreeSet::from([0, last]));
    }

    #[test]
    fn a_shard_is_named_by_its_images_alone() {
        let names =
            |samples: Vec<Sample>| data(manifest(samples)).shards.iter().map(External::digest).collect::<Vec<_>>();
        let before = names((0..1500).map(|i| sample(i, Split::Train)).collect());
        let moved = names((0..1500).map(|i| Sample { targets: Targets::class(7), ..sample(i, Split::Test) }).collect());
        assert_eq!(before, moved, "a label or a path is not in the name");
        let changed = names((0..1500).map(|i| sample(if i == 1499 { 9999 } else { i }, Split::Train)).collect());
        assert_eq!(before[..before.len() - 1], changed[..before.len() - 1], "earlier pieces stay");
        assert_ne!(before.last(), changed.last());
        let swapped = names(vec![sample(1, Split::Train), sample(0, Split::Train)]);
        assert_ne!(names(vec![sample(0, Split::Train), sample(1, Split::Train)]), swapped, "order is");
    }

    #[test]
    fn bad_images_are_found_once_and_dropped_and_missing_files_are_no_bad_images() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let digest = blake3::hash(bytes);
            Sample { path: name.to_owned(), digest, source: ImageSource::File(path), ..sample(0, Split::Whole) }
        };
        let good = |gray: u8| [b"P5 1 1 255\n".as_slice(), &[gray]].concat();
        let samples = [
            file("0.pgm", b"no image"),
            file("1.pgm", &good(1)),
            file("2.png", &good(2)[..11]),
            file("3.pgm", &good(3)),
        ];
        let mut all = manifest(samples);
        all.official = vec![];
        let facts = Facts::open(folder.path().join("facts"));
        let digests = FactDigests::new(&facts);
        assert_eq!(bad_images(&all, &digests).unwrap(), [0, 2]);
        // The same images are not decoded again, even where they are gone.
        std::fs::remove_file(folder.path().join("1.pgm")).unwrap();
        assert_eq!(bad_images(&all, &digests).unwrap(), [0, 2]);
        drop_samples(&mut all, &[0, 2]);
        let left: Vec<&str> = all.samples.iter().map(|s| s.path.as_str()).collect();
        assert_eq!(left, ["1.pgm", "3.pgm"]);
        let error = format!("{:#}", bad_images(&all, &digests).unwrap_err());
        assert!(error.contains("1.pgm"), "{error}");
    }

    #[test]
    fn an_image_that_cannot_be_prepared_is_named_with_its_file() {
        let spec = ImageSpec::new(
            Color::Grey,
            Resize::Stretch,
            Size::square(2),
            assay_data::Filter::Bilinear,
            Size::square(2),
            Vec::new(),
        );
        let message = |path: &str, source: &str| {
            let sample =
                Sample { path: path.to_owned(), source: ImageSource::File(source.into()), ..sample(0, Split::Test) };
            format!("{:#}", prepare(&sample, &spec, None).unwrap_err())
        };
        let outside = message("a/1.png", "/nowhere/images/a/1.png");
        assert!(outside.starts_with("image /nowhere/images/a/1.png: "), "{outside}");
        let inside = message("a/1.png", "/nowhere/table.csv");
        assert!(inside.starts_with("image a/1.png in /nowhere/table.csv: "), "{inside}");
    }
}
