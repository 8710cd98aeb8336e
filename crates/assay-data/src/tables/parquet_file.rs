//! Parquet files with encoded images inside: the layout of datasets on the Hugging Face hub.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail, ensure};
use parquet::basic::{Compression, Type};
use parquet::column::reader::ColumnReader;
use parquet::data_type::ByteArray;
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::Value;

use super::rows::{Row, RowLabel, Rows};
use crate::classes::some;
use crate::decode::ImageError;
use crate::digests::Digests;
use crate::litter::Litter;
use crate::manifest::Manifest;
use crate::regular::{check_regular, open_regular};
use crate::source::{Container, Content, ImageSource, Packed};
use crate::splits::{SplitWords, split_of, split_word, splits_of_files};

/// Names of the columns of tables with images inside, and how they are read.
#[derive(Clone, Debug, Default)]
pub struct TableColumns {
    /// The encoded image: bytes, or a struct with `bytes`.
    pub image: String,
    /// The class: a number or a name, or a list of them.
    pub label: String,
    /// Words for splits besides the usual ones.
    pub splits: SplitWords,
}

/// A row group with more bytes is refused.
const MAX_BYTES: i64 = 4 << 30;
/// Version of what is remembered of a file; raise it when other images or labels are read of the same file.
const PARQUET_READER: u32 = 2; // 1 – labels as text; 2 – labels that are not known, and lists of them
/// Row groups kept in memory: neighbouring images are asked for together.
const KEPT: usize = 2;

/// Encoded images of a row group.
type Encoded = Vec<Vec<u8>>;

/// A file whose row groups are read when an image of theirs is asked for.
#[derive(Debug)]
struct Table {
    path: PathBuf,
    column: String,
    /// First row of each row group, and the number of rows.
    starts: Vec<usize>,
    kept: Mutex<VecDeque<(usize, Arc<Encoded>)>>,
}

impl Container for Table {
    fn path(&self) -> &Path {
        &self.path
    }

    fn content(&self, index: usize) -> Result<Content, ImageError> {
        let group = self.starts.partition_point(|s| *s <= index).saturating_sub(1);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().find(|(g, _)| *g == group).map(|(_, images)| Arc::clone(images));
        let images = match found {
            Some(images) => images,
            None => {
                let read = guarded(|| images_of(&open(&self.path)?, group, &self.column));
                let images = Arc::new(read.map_err(|e| ImageError::Damaged(format!("{e:#}")))?);
                kept.push_back((group, Arc::clone(&images)));
                if kept.len() > KEPT {
                    kept.pop_front();
                }
                images
            }
        };
        drop(kept);
        let image = images.get(index - self.starts[group]).ok_or(ImageError::Changed)?;
        Ok(Content::Encoded(image.clone()))
    }
}

/// Reads a Parquet file, or all of a folder; the split is told by the name of a file, `train-00000-of-00001.parquet`, or of a
/// folder above it, `default/train/0000.parquet`. Names of classes come from the `huggingface` metadata of each file, and files
/// are compared by them; without it classes are the labels themselves.
///
/// # Errors
/// When a column is missing or of another type, an image is null, a file is damaged, or a split is not known.
pub fn parquet_table(path: &Path, columns: &TableColumns, digests: &dyn Digests) -> anyhow::Result<Manifest> {
    let mut all = Rows::default();
    let (names, files) = tables_in(path, "parquet", &mut all.details)?;
    check_configurations(&names).with_context(|| path.display().to_string())?;
    let (splits, details) = splits_of_files(&names, &columns.splits).with_context(|| path.display().to_string())?;
    all.details.extend(details);
    let mut unlisted = Vec::new();
    for ((name, file), split) in names.into_iter().zip(&files).zip(splits) {
        let Some(split) = split else { continue };
        let Scan { names: list, starts, rows } = scanned(path, file, columns, digests)?;
        let table = Table { path: file.clone(), column: columns.image.clone(), starts, kept: Mutex::default() };
        let table = Packed::new(table);
        for (index, (digest, mut label)) in rows.into_iter().enumerate() {
            let path = format!("{name}/{index}");
            if let Some(list) = &list {
                label = label.named(list).with_context(|| path.clone())?;
            }
            let digest = blake3::Hash::from_hex(&digest).context("what was kept of a Parquet file is damaged")?;
            let source = ImageSource::Inside { container: table.clone(), index };
            all.rows.push(Row { path, digest, label, split, source });
        }
        match list {
            Some(list) => all.lists.push((name, list)),
            None => unlisted.push(name),
        }
    }
    if let (Some((listed, _)), Some(other)) = (all.lists.first(), unlisted.first()) {
        all.notes
            .push(format!("{listed} has names for its classes, and {other} has none: its labels must be such names"));
    }
    all.manifest().with_context(|| path.display().to_string())
}

/// What is remembered of a file, or found in it now.
fn scanned(path: &Path, file: &Path, columns: &TableColumns, digests: &dyn Digests) -> anyhow::Result<Scan> {
    let digest = digests.file(&path.to_string_lossy(), file).with_context(|| format!("reading {}", file.display()))?;
    let bytes = digests.memo(
        &format!("parquet rows {PARQUET_READER}"),
        &[digest.as_bytes(), columns.image.as_bytes(), columns.label.as_bytes()],
        &mut || guarded(|| scan(file, columns)).with_context(|| file.display().to_string()),
    )?;
    let scan: Scan = serde_json::from_slice(&bytes).context("what was kept of a Parquet file is damaged")?;
    let Scan { starts, rows, .. } = &scan;
    let is_whole = starts.first() == Some(&0) && starts.is_sorted() && starts.last() == Some(&rows.len());
    ensure!(is_whole, "what was kept of {} is damaged", file.display());
    Ok(scan)
}

/// Remembered of a file: names of classes, first rows of row groups, digest and label of each row.
#[derive(serde::Serialize, serde::Deserialize)]
struct Scan {
    names: Option<Vec<String>>,
    starts: Vec<usize>,
    rows: Vec<(String, RowLabel)>,
}

/// Finds a file, or those of a folder with an ending, with their paths inside the folder.
///
/// # Errors
/// When there is none, or a folder cannot be read.
pub(super) fn tables_in(
    path: &Path,
    ending: &str,
    details: &mut Vec<String>,
) -> anyhow::Result<(Vec<String>, Vec<PathBuf>)> {
    if !path.is_dir() {
        check_regular(path).with_context(|| format!("reading {}", path.display()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Ok((vec![name], vec![path.to_owned()]));
    }
    let (mut names, mut files, mut litter) = (Vec::new(), Vec::new(), Litter::default());
    let walk = walkdir::WalkDir::new(path).follow_links(true).sort_by_file_name().into_iter();
    for entry in walk.filter_entry(|entry| entry.depth() == 0 || !litter.takes(Path::new(entry.file_name()))) {
        let entry = entry.with_context(|| format!("reading the folder {}", path.display()))?;
        if entry.file_type().is_file() && entry.path().extension().is_some_and(|e| e.eq_ignore_ascii_case(ending)) {
            let inside = entry.path().strip_prefix(path).unwrap_or(entry.path());
            names.push(inside.to_string_lossy().replace('\\', "/"));
            files.push(entry.into_path());
        }
    }
    ensure!(!files.is_empty(), "{} holds no .{ending} file", path.display());
    details.extend(litter.detail());
    Ok((names, files))
}

/// Looks whether files lie in the folders of several configurations, as `default/train/0000.parquet` and `large/train/0000.parquet`.
fn check_configurations(names: &[String]) -> anyhow::Result<()> {
    let mut by_split: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for name in names {
        if let (Some(word), Some((folder, _))) = (split_word(name), name.split_once('/')) {
            by_split.entry(word.to_lowercase()).or_default().insert(folder);
        }
    }
    let is_split = |folder: &str| split_of(folder).is_some() || folder.starts_with("split=");
    let several = by_split.values().find(|folders| folders.iter().filter(|folder| !is_split(folder)).count() > 1);
    if let Some(folders) = several {
        let folders: Vec<&str> = folders.iter().copied().collect();
        bail!(
            "the folders {} have files of the same split: are they several datasets? Give `path` the folder of one, or `config` of `Hub` its name",
            some(&folders)
        );
    }
    Ok(())
}

/// Runs a reader of hostile bytes; a panic of the library is an error about the file.
pub(crate) fn guarded<T>(read: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| bail!("the Parquet file is damaged"))
}

pub(crate) fn open(path: &Path) -> anyhow::Result<SerializedFileReader<File>> {
    let reader =
        SerializedFileReader::new(open_regular(path)?).context("it is not a Parquet file, or a damaged one")?;
    let mut columns = reader.metadata().row_groups().iter().flat_map(|group| group.columns());
    ensure!(
        !columns.any(|column| column.compression() == Compression::LZO),
        "its columns are compressed with LZO, which is not read: write it with zstd, gzip or snappy"
    );
    Ok(reader)
}

fn scan(path: &Path, columns: &TableColumns) -> anyhow::Result<Vec<u8>> {
    let reader = open(path)?;
    let (mut starts, mut rows) = (vec![0], Vec::new());
    for group in 0..reader.num_row_groups() {
        let first = starts[group];
        let located = |row: usize| format!("row {}", first + row);
        let images = images_of(&reader, group, &columns.image)?;
        let labels = labels_of(&reader, group, &columns.label, &located)?;
        ensure!(
            images.len() == labels.len(),
            "row group {group} has {} images and {} labels",
            images.len(),
            labels.len()
        );
        starts.push(first + images.len());
        let digest = |image: &Vec<u8>| blake3::hash(image).to_hex().to_string();
        rows.extend(images.iter().map(digest).zip(labels));
    }
    Ok(serde_json::to_vec(&Scan { names: names_of(&reader, &columns.label), starts, rows })?)
}

/// Names of classes from the metadata that `datasets` writes.
fn names_of(reader: &SerializedFileReader<File>, label: &str) -> Option<Vec<String>> {
    let entries = reader.metadata().file_metadata().key_value_metadata()?;
    let text = entries.iter().find(|e| e.key == "huggingface")?.value.as_ref()?;
    let value: Value = serde_json::from_str(text).ok()?;
    class_names(value.get("info")?.get("features")?, label)
}

/// Names of the classes of a feature as `datasets` describes it: a `ClassLabel`, or a list of them.
pub(super) fn class_names(features: &Value, label: &str) -> Option<Vec<String>> {
    let feature = features.get(label)?;
    let feature = feature.get("feature").or_else(|| feature.get(0)).unwrap_or(feature);
    feature.get("names")?.as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect()
}

/// Index of the column with one of these paths.
fn column(reader: &SerializedFileReader<File>, paths: &[String]) -> anyhow::Result<usize> {
    let schema = reader.metadata().file_metadata().schema_descr();
    let names: Vec<String> = schema.columns().iter().map(|c| c.path().string()).collect();
    names
        .iter()
        .position(|n| paths.contains(n))
        .with_context(|| format!("there is no column {:?}; it has {}", paths[0], names.join(", ")))
}

fn images_of(reader: &SerializedFileReader<File>, group: usize, name: &str) -> anyhow::Result<Encoded> {
    ensure!(group < reader.num_row_groups(), "it has fewer row groups than before");
    let size = reader.metadata().row_group(group).total_byte_size();
    ensure!(
        size <= MAX_BYTES,
        "row group {group} has {size} bytes, and at most {MAX_BYTES} are read: write smaller row groups"
    );
    let at = column(reader, &[format!("{name}.bytes"), name.to_owned()])?;
    let descr = reader.metadata().file_metadata().schema_descr().column(at);
    ensure!(
        descr.physical_type() == Type::BYTE_ARRAY,
        "column {name:?} holds {}, not bytes of images",
        descr.physical_type()
    );
    let rows = reader.metadata().row_group(group).num_rows() as usize;
    let ColumnReader::ByteArrayColumnReader(mut column) = reader.get_row_group(group)?.get_column_reader(at)? else {
        bail!("column {name:?} does not hold bytes");
    };
    let (mut values, mut levels): (Vec<ByteArray>, Vec<i16>) = (Vec::new(), Vec::new());
    let mut read = 0;
    while read < rows {
        let (records, _, _) = column.read_records(rows - read, Some(&mut levels), None, &mut values)?;
        ensure!(records > 0, "row group {group} ends after {read} of {rows} rows");
        read += records;
    }
    let most = descr.max_def_level();
    if let Some(null) = levels.iter().position(|l| *l < most) {
        bail!(
            "row {null} of row group {group} has no image in column {name:?} (null, or a path without bytes): leave such rows out, or put the bytes in, when the file is written"
        );
    }
    Ok(values.into_iter().map(|v| v.data().to_vec()).collect())
}

fn labels_of(
    reader: &SerializedFileReader<File>,
    group: usize,
    name: &str,
    located: &dyn Fn(usize) -> String,
) -> anyhow::Result<Vec<RowLabel>> {
    let schema = reader.metadata().file_metadata().schema_descr();
    let inside = format!("{name}.");
    let is_it = |path: String| path == name || path.starts_with(&inside);
    let at = match schema.columns().iter().position(|c| is_it(c.path().string())) {
        Some(at) => at,
        None => column(reader, &[name.to_owned()])?,
    };
    let descr = schema.column(at);
    let rows = reader.metadata().row_group(group).num_rows() as usize;
    let (mut levels, mut repeats): (Vec<i16>, Vec<i16>) = (Vec::new(), Vec::new());
    macro_rules! all {
        ($column:expr, $show:expr) => {{
            let (mut column, mut values, mut read) = ($column, Vec::new(), 0);
            while read < rows {
                let (records, _, _) =
                    column.read_records(rows - read, Some(&mut levels), Some(&mut repeats), &mut values)?;
                ensure!(records > 0, "row group {group} ends after {read} of {rows} rows");
                read += records;
            }
            values.into_iter().map($show).collect::<anyhow::Result<Vec<String>>>()?
        }};
    }
    let whole = |value: f64| {
        let is_whole = value == value.trunc() && value.abs() < 9e15;
        ensure!(is_whole, "column {name:?} holds {value}, and labels are whole numbers or names");
        Ok(format!("{value:.0}"))
    };
    let labels = match reader.get_row_group(group)?.get_column_reader(at)? {
        ColumnReader::BoolColumnReader(c) => all!(c, |v| Ok(v.to_string())),
        ColumnReader::Int32ColumnReader(c) => all!(c, |v| Ok(v.to_string())),
        ColumnReader::Int64ColumnReader(c) => all!(c, |v| Ok(v.to_string())),
        ColumnReader::FloatColumnReader(c) => all!(c, |v| whole(f64::from(v))),
        ColumnReader::DoubleColumnReader(c) => all!(c, whole),
        ColumnReader::ByteArrayColumnReader(c) => all!(c, |v: ByteArray| {
            let text = String::from_utf8(v.data().to_vec());
            text.with_context(|| format!("column {name:?} holds a label that is not UTF-8"))
        }),
        _ => bail!("column {name:?} holds neither whole numbers nor names"),
    };
    let nullable = schema.get_column_root(at).is_optional();
    let found = grouped(labels, (&levels, descr.max_def_level()), (&repeats, descr.max_rep_level()), nullable);
    let found = found.with_context(|| format!("column {name:?} has no whole lists of labels"))?;
    ensure!(found.len() == rows, "column {name:?} has {} labels for {rows} rows", found.len());
    if let Some(empty) = found.iter().position(|label| *label == RowLabel::One(String::new())) {
        bail!("{} has an empty label in column {name:?}", located(empty));
    }
    Ok(found)
}

/// Labels by row, from values and their levels; `None` where they do not fit each other.
fn grouped(
    values: Vec<String>,
    (levels, most): (&[i16], i16),
    (repeats, depth): (&[i16], i16),
    nullable: bool,
) -> Option<Vec<RowLabel>> {
    let mut values = values.into_iter();
    if most == 0 {
        return Some(values.map(RowLabel::One).collect());
    }
    let mut rows = Vec::new();
    for (at, level) in levels.iter().enumerate() {
        let value = if *level == most { Some(values.next()?) } else { None };
        if depth == 0 {
            rows.push(value.map_or(RowLabel::Unknown, RowLabel::One));
            continue;
        }
        if *repeats.get(at)? == 0 {
            // A list that is null is not known; an empty one shows nothing.
            rows.push(if *level == 0 && nullable { RowLabel::Unknown } else { RowLabel::Several(Vec::new()) });
        }
        if let (Some(value), RowLabel::Several(all)) = (value, rows.last_mut()?) {
            all.push(value);
        }
    }
    Some(rows)
}
