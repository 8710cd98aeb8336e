//! CIFAR: raw 32×32 images in a few large files, as Python pickles or as bytes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, ensure};
use assay_pickle::Value;

use crate::decode::ImageError;
use crate::digests::Digests;
use crate::files::{Files, read};
use crate::manifest::{Manifest, Sample, Split};
use crate::source::{Container, Content, ImageSource, Packed, planes_digest};
use crate::target::Targets;

/// Bytes of an image: a plane of red, one of green, one of blue.
const IMAGE: usize = 3 * SIDE * SIDE;
const SIDE: usize = 32;
/// Version of what is remembered of a batch; raise it when other labels or pixels are read of the same file.
const CIFAR_READER: u32 = 1;

/// The differences between the two.
pub struct Variant {
    /// Batches of the Python version.
    python: &'static [(&'static str, Split)],
    /// File with the names of classes in the Python version, and where they are in it.
    python_names: (&'static str, &'static str),
    /// Key of the labels in the Python version.
    labels: &'static str,
    /// File with the names in the binary version.
    binary_names: &'static str,
    /// Bytes before an image in the binary version, the last of which is the label.
    label_bytes: usize,
}

pub const CIFAR_10: Variant = Variant {
    python: &[
        ("data_batch_1", Split::Train),
        ("data_batch_2", Split::Train),
        ("data_batch_3", Split::Train),
        ("data_batch_4", Split::Train),
        ("data_batch_5", Split::Train),
        ("test_batch", Split::Test),
    ],
    python_names: ("batches.meta", "label_names"),
    labels: "labels",
    binary_names: "batches.meta.txt",
    label_bytes: 1,
};

pub const CIFAR_100: Variant = Variant {
    python: &[("train", Split::Train), ("test", Split::Test)],
    python_names: ("meta", "fine_label_names"),
    labels: "fine_labels",
    binary_names: "fine_label_names.txt",
    label_bytes: 2,
};

/// One of the two versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Python { labels: &'static str },
    Binary { label_bytes: usize },
}

/// A file of images; their bytes are read when the first is asked for.
#[derive(Debug)]
struct Batch {
    path: PathBuf,
    source: ImageSource,
    version: Version,
    pixels: Mutex<Option<Arc<Vec<u8>>>>,
}

impl Container for Batch {
    fn path(&self) -> &Path {
        &self.path
    }

    fn content(&self, index: usize) -> Result<Content, ImageError> {
        let mut kept = self.pixels.lock().unwrap_or_else(PoisonError::into_inner);
        let pixels = match &*kept {
            Some(pixels) => Arc::clone(pixels),
            None => {
                let read = || parse(&read(&self.source)?, self.version);
                let pixels = Arc::new(read().map_err(|e| ImageError::Damaged(format!("{e:#}")))?.1);
                Arc::clone(kept.insert(pixels))
            }
        };
        drop(kept);
        let planes = pixels.chunks_exact(IMAGE).nth(index).ok_or(ImageError::Changed)?;
        Ok(Content::Planes(SIDE, planes.to_vec()))
    }
}

/// Lists the images of the version that is there.
pub fn manifest(files: &Files, variant: &Variant, digests: &dyn Digests) -> anyhow::Result<Manifest> {
    let (names_file, names_key) = variant.python_names;
    let is_python = files.at(names_file).is_ok_and(|base| base.has(names_file));
    let (base, version) = if is_python {
        (files.at(names_file)?, Version::Python { labels: variant.labels })
    } else {
        let base = files.at(variant.binary_names).with_context(|| {
            format!("neither the Python version ({names_file}) nor the binary version ({}) is there; a .tar.gz must be unpacked", variant.binary_names)
        })?;
        (base, Version::Binary { label_bytes: variant.label_bytes })
    };
    let classes = if is_python {
        python_names(&base.bytes(names_file)?, names_key).with_context(|| base.name(names_file))?
    } else {
        base.lines(variant.binary_names)?
    };
    let mut manifest = Manifest { classes, ..Manifest::default() };
    for (name, split) in variant.python {
        let file = if is_python { (*name).to_owned() } else { format!("{name}.bin") };
        add_batch(&mut manifest, &base, &file, name, *split, version, digests).with_context(|| base.name(&file))?;
    }
    Ok(manifest)
}

fn add_batch(
    manifest: &mut Manifest,
    base: &Files,
    file: &str,
    name: &str,
    split: Split,
    version: Version,
    digests: &dyn Digests,
) -> anyhow::Result<()> {
    let source = base.get(file).context("it is missing")?.clone();
    let content = base.digests(&[&source], digests)?[0];
    let tag = format!("{version:?}");
    // For each image its digest and its label.
    let listed =
        digests.memo(&format!("cifar batch {CIFAR_READER}"), &[content.as_bytes(), tag.as_bytes()], &mut || {
            let (labels, pixels) = parse(&read(&source)?, version)?;
            let image =
                |(pixels, label): (&[u8], &u8)| [planes_digest(SIDE, pixels).as_bytes().as_slice(), &[*label]].concat();
            Ok(pixels.chunks_exact(IMAGE).zip(&labels).flat_map(image).collect())
        })?;
    let path = source.file().map_or_else(|| base.source().to_owned(), Path::to_owned);
    let batch = Packed::new(Batch { path, source, version, pixels: Mutex::default() });
    let known = manifest.classes.len();
    for (index, image) in listed.chunks_exact(33).enumerate() {
        let label = u32::from(image[32]);
        ensure!((label as usize) < known, "image {index} is of class {label}, and there are {known} classes");
        manifest.samples.push(Sample {
            path: format!("{name}/{index}"),
            digest: blake3::Hash::from_bytes(image[..32].try_into().expect("32 bytes")),
            targets: Targets::class(label),
            split,
            source: ImageSource::Inside { container: batch.clone(), index },
        });
    }
    Ok(())
}

/// Reads labels and pixels of a file.
fn parse(bytes: &[u8], version: Version) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
    match version {
        Version::Binary { label_bytes } => {
            let record = label_bytes + IMAGE;
            let (count, left) = (bytes.len() / record, bytes.len() % record);
            ensure!(
                left == 0 && count > 0,
                "it is truncated: {left} bytes are left after {count} images of {record} bytes"
            );
            let labels = bytes.chunks_exact(record).map(|r| r[label_bytes - 1]).collect();
            Ok((labels, bytes.chunks_exact(record).flat_map(|r| &r[label_bytes..]).copied().collect()))
        }
        Version::Python { labels: key } => {
            let batch = assay_pickle::read(bytes)?;
            let labels = batch.root().entry(key).and_then(Value::items);
            let labels = labels.with_context(|| format!("it has no list {key:?}"))?;
            let labels: Option<Vec<u8>> = labels.map(|label| u8::try_from(label.int()?).ok()).collect();
            let labels = labels.with_context(|| format!("{key:?} holds something else than classes"))?;
            let data = batch.root().entry("data").and_then(Value::array).context("it has no array \"data\"")?;
            ensure!(
                data.shape == [labels.len(), IMAGE]
                    && data.dtype.ends_with("u1")
                    && data.data.len() == labels.len() * IMAGE,
                "\"data\" must be {} × {IMAGE} numbers of type uint8, and is {:?} of {}",
                labels.len(),
                data.shape,
                data.dtype
            );
            ensure!(!data.is_fortran, "\"data\" is in Fortran's order, which is not read");
            Ok((labels, data.data.to_vec()))
        }
    }
}

fn python_names(bytes: &[u8], key: &str) -> anyhow::Result<Vec<String>> {
    let meta = assay_pickle::read(bytes)?;
    let names = meta.root().entry(key).and_then(Value::items).with_context(|| format!("it has no list {key:?}"))?;
    let names: Option<_> = names.map(|name| name.text().map(str::to_owned)).collect();
    names.with_context(|| format!("{key:?} holds something else than names"))
}
