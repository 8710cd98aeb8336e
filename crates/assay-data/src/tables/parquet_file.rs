//! Parquet files with encoded images inside: the layout of datasets on the Hugging Face hub.

use std::collections::VecDeque;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail, ensure};
use parquet::basic::Type;
use parquet::column::reader::ColumnReader;
use parquet::data_type::ByteArray;
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::Value;

use super::{classes_of, split_of};
use crate::decode::ImageError;
use crate::digests::Digests;
use crate::manifest::{Manifest, Sample, Split};
use crate::regular::{check_regular, open_regular};
use crate::source::{Container, Content, ImageSource, Packed};
use crate::target::Targets;

/// Names of the columns of Parquet files.
#[derive(Clone, Debug)]
pub struct ParquetColumns {
    /// The encoded image: bytes, or a struct with `bytes`.
    pub image: String,
    /// The class: a number or a name.
    pub label: String,
}

/// A row group with more bytes is refused.
const MAX_BYTES: i64 = 4 << 30;
/// Version of what is remembered of a file; raise it when other images or labels are read of the same file.
const PARQUET_READER: u32 = 1;
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

/// Reads a Parquet file, or all of a folder; the split is told by the beginning of a file's name, `train-00000-of-00001.parquet`,
/// where every name begins with one. Names of classes come from the `huggingface` metadata, or are the labels themselves.
///
/// # Errors
/// When a column is missing or of another type, an image or a label is null, or a file is damaged.
pub fn parquet_table(path: &Path, columns: &ParquetColumns, digests: &dyn Digests) -> anyhow::Result<Manifest> {
    let files = files_of(path)?;
    let split = |file: &Path| split_of(file.file_name()?.to_str()?.split(['-', '.', '_']).next()?);
    let all_split = files.iter().all(|f| split(f).is_some());
    let (mut rows, mut named) = (Vec::new(), None);
    for file in &files {
        let digest =
            digests.file(&path.to_string_lossy(), file).with_context(|| format!("reading {}", file.display()))?;
        let key = [columns.image.as_bytes(), columns.label.as_bytes()];
        let bytes = digests.memo(
            &format!("parquet rows {PARQUET_READER}"),
            &[digest.as_bytes(), key[0], key[1]],
            &mut || guarded(|| scan(file, columns)).with_context(|| file.display().to_string()),
        )?;
        let Scan { names, starts, rows: found } =
            serde_json::from_slice(&bytes).context("what was kept of a Parquet file is damaged")?;
        let is_whole = starts.first() == Some(&0) && starts.is_sorted() && starts.last() == Some(&found.len());
        ensure!(is_whole, "what was kept of {} is damaged", file.display());
        named = named.or(names);
        let table = Table { path: file.clone(), column: columns.image.clone(), starts, kept: Mutex::default() };
        let table = Packed::new(table);
        let split = if all_split { split(file).unwrap_or(Split::Whole) } else { Split::Whole };
        let name = file.strip_prefix(path).unwrap_or(file).to_string_lossy().replace('\\', "/");
        let name =
            if name.is_empty() { file.file_name().unwrap_or_default().to_string_lossy().into_owned() } else { name };
        rows.extend(
            found.into_iter().enumerate().map(|(i, row)| (format!("{name}/{i}"), row, split, table.clone(), i)),
        );
    }
    let (classes, index) = match named {
        Some(names) => {
            let index = names.iter().enumerate().map(|(i, _)| (i.to_string(), i as u32)).collect();
            (names, index)
        }
        None => classes_of(rows.iter().map(|r| &r.1.1)),
    };
    let mut samples = Vec::with_capacity(rows.len());
    for (path, (digest, label), split, container, at) in rows {
        let class = index.get(&label);
        let class =
            *class.with_context(|| format!("{path}: label {label} is none of the {} classes", classes.len()))?;
        let digest = blake3::Hash::from_hex(&digest).context("what was kept of a Parquet file is damaged")?;
        samples.push(Sample {
            path,
            digest,
            targets: Targets::class(class),
            split,
            source: ImageSource::Inside { container, index: at },
        });
    }
    ensure!(!samples.is_empty(), "{} holds no rows", path.display());
    Ok(Manifest { classes, samples, ..Manifest::default() })
}

/// Remembered of a file: names of classes, first rows of row groups, digest and label of each row.
#[derive(serde::Serialize, serde::Deserialize)]
struct Scan {
    names: Option<Vec<String>>,
    starts: Vec<usize>,
    rows: Vec<(String, String)>,
}

fn files_of(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        check_regular(path).with_context(|| format!("reading {}", path.display()))?;
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(path).follow_links(true).sort_by_file_name() {
        let entry = entry.with_context(|| format!("reading the folder {}", path.display()))?;
        if entry.file_type().is_file() && entry.path().extension().is_some_and(|e| e == "parquet") {
            files.push(entry.into_path());
        }
    }
    ensure!(!files.is_empty(), "{} holds no .parquet file", path.display());
    Ok(files)
}

/// Runs a reader of hostile bytes; a panic of the library is an error about the file.
pub(crate) fn guarded<T>(read: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| bail!("the Parquet file is damaged"))
}

pub(crate) fn open(path: &Path) -> anyhow::Result<SerializedFileReader<File>> {
    SerializedFileReader::new(open_regular(path)?).context("it is not a Parquet file, or a damaged one")
}

fn scan(path: &Path, columns: &ParquetColumns) -> anyhow::Result<Vec<u8>> {
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
    let names = value.pointer(&format!("/info/features/{label}/names"))?.as_array()?;
    names.iter().map(|n| n.as_str().map(str::to_owned)).collect()
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
            "row {null} of row group {group} has no image in column {name:?} (null); leave such rows out when the file is written"
        );
    }
    Ok(values.into_iter().map(|v| v.data().to_vec()).collect())
}

fn labels_of(
    reader: &SerializedFileReader<File>,
    group: usize,
    name: &str,
    located: &dyn Fn(usize) -> String,
) -> anyhow::Result<Vec<String>> {
    let at = column(reader, &[name.to_owned()])?;
    let most = reader.metadata().file_metadata().schema_descr().column(at).max_def_level();
    let rows = reader.metadata().row_group(group).num_rows() as usize;
    let mut levels: Vec<i16> = Vec::new();
    macro_rules! all {
        ($column:expr, $show:expr) => {{
            let (mut column, mut values, mut read) = ($column, Vec::new(), 0);
            while read < rows {
                let (records, _, _) = column.read_records(rows - read, Some(&mut levels), None, &mut values)?;
                ensure!(records > 0, "row group {group} ends after {read} of {rows} rows");
                read += records;
            }
            values.into_iter().map($show).collect::<Vec<String>>()
        }};
    }
    let labels = match reader.get_row_group(group)?.get_column_reader(at)? {
        ColumnReader::Int32ColumnReader(c) => all!(c, |v| v.to_string()),
        ColumnReader::Int64ColumnReader(c) => all!(c, |v| v.to_string()),
        ColumnReader::ByteArrayColumnReader(c) => {
            all!(c, |v: ByteArray| String::from_utf8_lossy(v.data()).into_owned())
        }
        _ => bail!("column {name:?} holds neither whole numbers nor names"),
    };
    if let Some(null) = levels.iter().position(|l| *l < most) {
        bail!("{} has no label in column {name:?} (null)", located(null));
    }
    Ok(labels)
}
