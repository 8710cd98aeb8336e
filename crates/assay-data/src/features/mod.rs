//! Features that somebody else has computed, with labels, ids and splits: a dataset of rows instead of images.
//!
//! A sample is a row. It is named by its id and its label, where ids are given, and else by its features, so that the rows of
//! two models are the same item only where both files say so. Nothing but the block at hand is in memory, except where a file
//! packs its numbers.

mod array;
mod column;
mod labels;
mod lists;
mod matrix;
mod parquet_lists;

pub use lists::{answer_lists, name_list};
pub use matrix::FeatureMatrix;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, ensure};

use self::array::Container;
use self::column::Column;
use crate::digests::Digests;
use crate::manifest::{Manifest, Sample, Split};
use crate::source::ImageSource;
use crate::splits::split_of;
use crate::target::{Label, Targets};

/// Files of the rows of a split, or of all rows.
#[derive(Clone, Debug)]
pub struct FeatureRows {
    /// Split of the rows; `Whole` where `split` or nothing tells it.
    pub part: Split,
    /// File with N × D features.
    pub x: PathBuf,
    /// File with N labels, or N × K marks; absent where the file of the features has them.
    pub y: Option<PathBuf>,
    /// File with N names of the rows.
    pub ids: Option<PathBuf>,
    /// File with N names of splits.
    pub split: Option<PathBuf>,
    /// Names of the arrays or columns for `x`, `y`, `ids` and `split` in files that hold several.
    pub keys: [String; 4],
}

/// Version of what is remembered of a file of features; raise it when other numbers are read of the same file.
const FEATURE_READER: u32 = 1;

/// One part, read.
struct Part {
    matrix: Arc<FeatureMatrix>,
    rows: Vec<blake3::Hash>,
    labels: Column,
    labels_from: PathBuf,
    ids: Option<Vec<String>>,
    splits: Vec<Split>,
}

/// Lists the rows of some parts, in their order. `class_names` is a file with the names of the classes in the order of their
/// numbers; without it, the array `classes` of the first file, if there is one, else numbers and names stand for themselves.
///
/// # Errors
/// When files are missing, damaged or do not fit together, when a feature is not finite, or when an id is there twice with other
/// features or another label.
pub fn feature_rows(
    parts: &[FeatureRows],
    class_names: Option<&Path>,
    digests: &dyn Digests,
) -> anyhow::Result<Manifest> {
    let read = parts.iter().map(|part| Part::read(part, digests)).collect::<anyhow::Result<Vec<_>>>()?;
    let first = read.first().context("there are no rows")?;
    for part in &read {
        let (one, other) = (&first.matrix, &part.matrix);
        ensure!(
            one.dim() == other.dim(),
            "{} has rows of {} features, and {} of {}",
            one.path().display(),
            one.dim(),
            other.path().display(),
            other.dim()
        );
    }
    let names = match class_names {
        Some(path) => Some(name_list(path)?),
        None => own_names(&parts[0].x)?,
    };
    let labels: Vec<(&Path, &Column)> = read.iter().map(|part| (part.labels_from.as_path(), &part.labels)).collect();
    let (classes, targets) = labels::targets_of(&labels, names)?;
    let mut notes: Vec<String> = read.iter().filter_map(|part| part.matrix.note_of_rounding()).collect();
    let mut samples = Vec::with_capacity(targets.len());
    let mut targets = targets.into_iter();
    for part in read {
        part.samples(&classes, &mut targets, &mut samples);
    }
    check_ids(&samples)?;
    notes.extend(repeated_rows(&samples));
    Ok(Manifest { classes, samples, notes, ..Manifest::default() })
}

/// Most numbers of rows that are read at once.
const MAX_NUMBERS: usize = 1 << 28;

/// The rows of a file with the name of each: N names, N × D numbers, and D. Names are those of another file, or of the array
/// `classes` of the same.
///
/// # Errors
/// When the files cannot be read, do not fit together, or a number is not finite.
pub fn named_rows(path: &Path, key: &str, names_from: Option<&Path>) -> anyhow::Result<(Vec<String>, Vec<f32>, usize)> {
    let matrix = FeatureMatrix::open(path, key)?;
    let names = match names_from {
        Some(path) => Some(name_list(path)?),
        None => own_names(path)?,
    };
    let names = names
        .with_context(|| format!("the names of the rows of {} are missing: give `class_names`", path.display()))?;
    let (rows, dim) = (matrix.rows(), matrix.dim());
    ensure!(names.len() == rows, "{} has {rows} rows, and there are {} names", path.display(), names.len());
    ensure!(rows.saturating_mul(dim) <= MAX_NUMBERS, "{} has more numbers than are read at once", path.display());
    Ok((names, matrix.read(0, rows)?, dim))
}

/// The features of samples that are rows of features, N × D, and D. What is read is compared with what was planned.
///
/// # Errors
/// When a sample is no such row, when a file changed, or cannot be read.
pub fn features_of(samples: &[Sample]) -> anyhow::Result<(Vec<f32>, usize)> {
    let mut rows = Vec::with_capacity(samples.len());
    for sample in samples {
        let ImageSource::Row { matrix, index, digest } = &sample.source else {
            anyhow::bail!("{} is an image, and no row of features", sample.path)
        };
        rows.push((matrix, *index, digest));
    }
    let dim = rows.first().map_or(0, |(matrix, ..)| matrix.dim());
    let mut values = Vec::with_capacity(rows.len() * dim);
    let mut rest = rows.as_slice();
    while let Some((matrix, first, _)) = rest.first() {
        let follows = |(i, row): &(usize, &(&Arc<FeatureMatrix>, usize, &blake3::Hash))| {
            Arc::ptr_eq(row.0, matrix) && row.1 == first + i
        };
        let count = rest.iter().enumerate().take(matrix.block()).take_while(follows).count();
        let (run, after) = rest.split_at(count);
        let read = matrix.read(*first, count)?;
        for (row, (_, index, planned)) in read.chunks_exact(dim).zip(run) {
            ensure!(
                row_digest(row) == **planned,
                "row {index} of {} is another than when the experiment was planned",
                matrix.path().display()
            );
        }
        values.extend(read);
        rest = after;
    }
    Ok((values, dim))
}

impl Part {
    fn read(part: &FeatureRows, digests: &dyn Digests) -> anyhow::Result<Self> {
        let [x_key, y_key, ids_key, split_key] = &part.keys;
        let matrix = FeatureMatrix::open(&part.x, x_key)?;
        let rows = row_digests(&matrix, x_key, digests)?;
        let beside = |given: &Option<PathBuf>, key: &str| -> anyhow::Result<Option<Column>> {
            let path = match given {
                Some(path) => path,
                None if holds(&part.x, key)? => &part.x,
                None => return Ok(None),
            };
            let column = Column::read(path, key)?;
            ensure!(
                column.rows() == rows.len(),
                "{} has {} rows, and {} has {}",
                part.x.display(),
                rows.len(),
                path.display(),
                column.rows()
            );
            Ok(Some(column))
        };
        let labels = beside(&part.y, y_key)?
            .with_context(|| format!("the labels of the rows of {} are missing: give `y`", part.x.display()))?;
        let ids = beside(&part.ids, ids_key)?.map(Column::into_texts).transpose()?;
        let words = if part.part == Split::Whole { beside(&part.split, split_key)? } else { None };
        let splits = match words.map(Column::into_texts).transpose()? {
            None => vec![part.part; rows.len()],
            Some(words) => words.iter().enumerate().map(named_split).collect::<anyhow::Result<_>>()?,
        };
        let labels_from = part.y.clone().unwrap_or_else(|| part.x.clone());
        Ok(Self { matrix: Arc::new(matrix), rows, labels, labels_from, ids, splits })
    }

    fn samples(self, classes: &[String], targets: &mut impl Iterator<Item = Targets>, all: &mut Vec<Sample>) {
        // The folder as well: files of different splits often have the same name.
        let parts: Vec<_> = self.matrix.path().components().rev().take(2).collect();
        let file = parts.iter().rev().collect::<PathBuf>().display().to_string();
        let targets = targets.take(self.rows.len());
        for (((index, row), split), targets) in self.rows.into_iter().enumerate().zip(self.splits).zip(targets) {
            let (path, digest) = match &self.ids {
                Some(ids) => (ids[index].clone(), item_digest(&ids[index], &targets, classes)),
                None => (format!("{file} row {index}"), row),
            };
            let source = ImageSource::Row { matrix: Arc::clone(&self.matrix), index, digest: row };
            all.push(Sample { path, digest, targets, split, source });
        }
    }
}

fn named_split((row, word): (usize, &String)) -> anyhow::Result<Split> {
    if word == "Whole" || word == "whole" {
        return Ok(Split::Whole);
    }
    split_of(word).with_context(|| format!("row {row}: {word:?} is no split; expected train, val or test"))
}

/// Tells whether a file that holds several arrays has one of this name.
fn holds(path: &Path, key: &str) -> anyhow::Result<bool> {
    let found = || {
        let container = Container::of(path)?;
        Ok(match container {
            Container::Parquet => parquet_lists::names(path)?.iter().any(|name| name == key),
            Container::Safetensors if array::texts_beside(path, key)?.is_some() => true,
            container if container.has_names() => array::names(path, container)?.iter().any(|name| name == key),
            _ => false,
        })
    };
    let found: anyhow::Result<bool> = found();
    found.with_context(|| format!("reading {}", path.display()))
}

/// Names of classes that a file of features has itself.
fn own_names(path: &Path) -> anyhow::Result<Option<Vec<String>>> {
    if Container::of(path)? == Container::Parquet {
        return parquet_lists::texts_beside(path, "classes");
    }
    if !holds(path, "classes")? {
        return Ok(None);
    }
    Column::read(path, "classes")?.into_texts().map(Some)
}

/// The digest of each row: of its features as 32-bit floats.
fn row_digests(matrix: &FeatureMatrix, key: &str, digests: &dyn Digests) -> anyhow::Result<Vec<blake3::Hash>> {
    let path = matrix.path();
    let file = digests.file(&path.to_string_lossy(), path).with_context(|| format!("reading {}", path.display()))?;
    let purpose = format!("feature rows {FEATURE_READER}");
    let bytes = digests.memo(&purpose, &[file.as_bytes(), key.as_bytes()], &mut || {
        let mut found = Vec::with_capacity(32 * matrix.rows().min(1 << 20));
        for first in (0..matrix.rows()).step_by(matrix.block()) {
            let count = matrix.block().min(matrix.rows() - first);
            let values = matrix.read(first, count)?;
            values.chunks_exact(matrix.dim()).for_each(|row| found.extend_from_slice(row_digest(row).as_bytes()));
        }
        Ok(found)
    })?;
    ensure!(bytes.len() == 32 * matrix.rows(), "what was kept of {} is damaged", path.display());
    Ok(bytes.chunks_exact(32).map(|c| blake3::Hash::from_bytes(c.try_into().expect("32 bytes"))).collect())
}

fn row_digest(row: &[f32]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"assay features 1");
    row.iter().for_each(|value| {
        hasher.update(&value.to_le_bytes());
    });
    hasher.finalize()
}

/// The name of a row that has an id: with its label, so that rows with other labels are other items.
fn item_digest(id: &str, targets: &Targets, classes: &[String]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    let mut field = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    };
    field(b"assay row 1");
    field(id.as_bytes());
    match &targets.label {
        Some(Label::Class(class)) => field(classes[*class as usize].as_bytes()),
        Some(Label::MultiLabel(marks)) => field(&marks.iter().map(|m| *m as u8).collect::<Vec<_>>()),
        None => {}
    }
    hasher.finalize()
}

/// Refuses an id that names rows of other features or labels: one item is one row.
fn check_ids(samples: &[Sample]) -> anyhow::Result<()> {
    let mut seen: HashMap<&str, &Sample> = HashMap::new();
    let has_id =
        |sample: &&Sample| !matches!(&sample.source, ImageSource::Row { digest, .. } if *digest == sample.digest);
    for sample in samples.iter().filter(has_id) {
        let Some(before) = seen.insert(&sample.path, sample) else { continue };
        let row = |sample: &Sample| match &sample.source {
            ImageSource::Row { matrix, index, digest } => (format!("{} row {index}", matrix.path().display()), *digest),
            _ => (sample.path.clone(), sample.digest),
        };
        let ((one, first), (other, second)) = (row(before), row(sample));
        ensure!(
            first == second && before.digest == sample.digest,
            "the id {:?} is at {one} and at {other}, with other {}: an id names one row in all splits",
            sample.path,
            if first == second { "labels" } else { "features" }
        );
    }
    Ok(())
}

/// Counts rows with ids of their own whose features are those of a row of another split.
fn repeated_rows(samples: &[Sample]) -> Vec<String> {
    let mut seen: HashMap<blake3::Hash, &Sample> = HashMap::new();
    let mut count = 0;
    let mut example = None;
    for sample in samples {
        let ImageSource::Row { digest, .. } = &sample.source else { continue };
        let before = *seen.entry(*digest).or_insert(sample);
        if before.split != sample.split && before.digest != sample.digest {
            count += 1;
            example.get_or_insert((&before.path, &sample.path));
        }
    }
    let note = |(one, other)| {
        format!("{count} rows have the very features of a row of another split, such as {one:?} and {other:?}")
    };
    example.map(note).into_iter().collect()
}
