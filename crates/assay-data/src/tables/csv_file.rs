//! A CSV file that names image files and what they show.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use super::records::BoundedRecords;
use super::{classes_of, split_of};
use crate::digests::Digests;
use crate::files::content_digests;
use crate::manifest::{Manifest, Sample, Split};
use crate::regular::open_regular;
use crate::source::ImageSource;
use crate::target::Targets;

/// Names of the columns of a CSV file.
#[derive(Clone, Debug)]
pub struct CsvColumns {
    /// Path of the image.
    pub image: String,
    /// Name of the class.
    pub label: String,
    /// `train`, `val` or `test`; without it there are no splits.
    pub split: Option<String>,
}

/// Reads a CSV file with a header. Paths of images are relative to `root`, or lie in it.
///
/// # Errors
/// When a column or an image is missing, a path leaves `root`, a cell is empty, or a split is none.
pub fn csv_table(path: &Path, root: &Path, columns: &CsvColumns, digests: &dyn Digests) -> anyhow::Result<Manifest> {
    let file = path.display();
    let opened = open_regular(path).with_context(|| format!("reading {file}"))?;
    let mut reader = csv::Reader::from_reader(BoundedRecords::new(opened));
    let header = reader.headers().with_context(|| format!("reading {file}"))?.clone();
    let column = |name: &str| {
        let found = header.iter().position(|c| c.trim_start_matches('\u{feff}').trim() == name);
        found.with_context(|| {
            format!("{file} has no column {name:?}; it has {}", header.iter().collect::<Vec<_>>().join(", "))
        })
    };
    let (image_at, label_at) = (column(&columns.image)?, column(&columns.label)?);
    let split_at = columns.split.as_deref().map(column).transpose()?;
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.with_context(|| format!("{file} is damaged"))?;
        let line = record.position().map_or(0, csv::Position::line);
        let cell = |at: usize| {
            let cell = record.get(at).unwrap_or_default();
            ensure!(!cell.is_empty(), "{file}, line {line}: column {:?} is empty", &header[at]);
            Ok(cell.to_owned())
        };
        let (image, label) = (cell(image_at)?, cell(label_at)?);
        let split = match split_at {
            None => Split::Whole,
            Some(at) => {
                let word = cell(at)?;
                split_of(&word).with_context(|| {
                    format!("{file}, line {line}: {word:?} is no split; expected train, val or test")
                })?
            }
        };
        let place = inside(root, &image).with_context(|| format!("{file}, line {line}"))?;
        rows.push((image, place, label, split));
    }
    ensure!(!rows.is_empty(), "{file} holds no rows");
    let missing: Vec<_> = rows.iter().filter(|r| !r.1.is_file()).collect();
    if let Some(first) = missing.first() {
        bail!(
            "{} of the {} images that {file} names are missing, the first is {}",
            missing.len(),
            rows.len(),
            first.1.display()
        );
    }
    let (classes, index) = classes_of(rows.iter().map(|r| &r.2));
    let sources: Vec<ImageSource> = rows.iter().map(|r| ImageSource::File(r.1.clone())).collect();
    let hashes = content_digests(root, &sources.iter().collect::<Vec<_>>(), digests)?;
    let sample = |(((path, _, label, split), source), digest)| Sample {
        targets: Targets::class(index[&label]),
        path,
        digest,
        split,
        source,
    };
    let samples = rows.into_iter().zip(sources).zip(hashes).map(sample).collect();
    Ok(Manifest { classes, samples, ..Manifest::default() })
}

/// Finds a path of the table, which must be under `root`.
fn inside(root: &Path, path: &str) -> anyhow::Result<PathBuf> {
    let place = root.join(path);
    let stays = !Path::new(path).components().any(|c| matches!(c, Component::ParentDir)) && place.starts_with(root);
    ensure!(stays, "{path:?} is outside of {}: give a `root` that holds all images", root.display());
    Ok(place)
}
