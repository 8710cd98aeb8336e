//! A table that names image files and what they show: CSV with any usual delimiter, or JSON lines.

use std::io::{Cursor, Read};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use super::json_lines::json_rows;
use super::records::{BoundedRecords, MAX_RECORD_BYTES};
use super::rows::{Row, RowLabel, Rows};
use super::text::decoded;
use crate::classes::{composed, decomposed};
use crate::digests::Digests;
use crate::files::content_digests;
use crate::manifest::{Manifest, Split};
use crate::regular::open_regular;
use crate::source::ImageSource;
use crate::splits::{SplitReader, SplitWords};

/// Names of the columns of a table of image files, and how it is read.
#[derive(Clone, Debug, Default)]
pub struct CsvColumns {
    /// Path of the image.
    pub image: String,
    /// Name of the class.
    pub label: String,
    /// `train`, `val` or `test`; without it there are no splits.
    pub split: Option<String>,
    /// Words for splits besides the usual ones.
    pub splits: SplitWords,
    /// Character between cells; absent, it is the one that gives a header with all columns.
    pub delimiter: Option<char>,
    /// Text between several classes in one cell; absent, a cell is one class.
    pub separator: Option<String>,
}

/// Delimiters that are tried, with their names.
const DELIMITERS: [(u8, &str); 4] = [(b',', "commas"), (b'\t', "tabs"), (b';', "semicolons"), (b'|', "bars, `|`")];

/// A row as it is written.
pub(super) struct Written {
    pub line: u64,
    pub image: String,
    /// Absent where the cell is empty or null.
    pub label: Option<RowLabel>,
    pub split: Option<String>,
}

/// Reads a CSV file with a header, or JSON lines (`.jsonl`, `.ndjson`). Paths of images are relative to `root`, or lie in it.
///
/// # Errors
/// When a column or an image is missing, a path leaves `root`, a cell is empty, or a split is none.
pub fn csv_table(path: &Path, root: &Path, columns: &CsvColumns, digests: &dyn Digests) -> anyhow::Result<Manifest> {
    let file = path.display();
    let opened = open_regular(path).with_context(|| format!("reading {file}"))?;
    let (source, encoding) = decoded(opened).with_context(|| format!("reading {file}"))?;
    let mut all = Rows::default();
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    let (written, kind) = if matches!(ending.as_str(), "jsonl" | "ndjson") {
        (json_rows(path, source, columns)?, "JSON lines".to_owned())
    } else {
        csv_rows(path, source, columns)?
    };
    let encoding = encoding.map_or_else(String::new, |encoding| format!(", in {encoding}"));
    all.details.push(format!("read as {kind}{encoding}"));
    let mut kept = Vec::new();
    let mut splits = SplitReader::new(&columns.splits);
    for row in written {
        let line = row.line;
        let split = match &row.split {
            None => Some(Split::Whole),
            Some(word) => splits.take(word),
        };
        let Some(split) = split else { continue };
        let label = row.label.with_context(|| format!("{file}, line {line}: column {:?} is empty", columns.label))?;
        let label = columns.separator.as_deref().map_or(label.clone(), |separator| divided(label, separator));
        let place = inside(root, &row.image).with_context(|| format!("{file}, line {line}"))?;
        kept.push((row.image, place, label, split));
    }
    all.details.extend(splits.finish("rows").with_context(|| file.to_string())?);
    let missing: Vec<_> = kept.iter().filter(|row| !row.1.is_file()).collect();
    if let Some(first) = missing.first() {
        bail!(
            "{} of the {} images that {file} names are missing, the first is {}",
            missing.len(),
            kept.len(),
            first.1.display()
        );
    }
    let sources: Vec<ImageSource> = kept.iter().map(|row| ImageSource::File(row.1.clone())).collect();
    let hashes = content_digests(root, &sources.iter().collect::<Vec<_>>(), digests)?;
    for (((path, _, label, split), source), digest) in kept.into_iter().zip(sources).zip(hashes) {
        all.rows.push(Row { path, digest, label, split, source });
    }
    all.manifest().with_context(|| file.to_string())
}

/// The classes of a cell with several.
fn divided(label: RowLabel, separator: &str) -> RowLabel {
    match label {
        RowLabel::One(cell) => {
            let mut names: Vec<String> = Vec::new();
            for name in cell.split(separator).map(str::trim).filter(|name| !name.is_empty()) {
                if !names.iter().any(|known| known == name) {
                    names.push(name.to_owned());
                }
            }
            RowLabel::Several(names)
        }
        other => other,
    }
}

fn csv_rows(path: &Path, mut source: Box<dyn Read>, columns: &CsvColumns) -> anyhow::Result<(Vec<Written>, String)> {
    let file = path.display();
    let head = first_record(&mut source).with_context(|| format!("reading {file}"))?;
    let delimiter = delimiter(&head, columns).with_context(|| file.to_string())?;
    let whole = BoundedRecords::new(Cursor::new(head).chain(source), delimiter);
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(whole);
    let header = reader.headers().with_context(|| not_utf8(path))?.clone();
    let column = |name: &str| {
        let found: Vec<usize> = header.iter().enumerate().filter(|(_, c)| c.trim() == name).map(|(at, _)| at).collect();
        ensure!(found.len() < 2, "{file} has {} columns called {name:?}: which is meant?", found.len());
        found.first().copied().with_context(|| {
            format!("{file} has no column {name:?}; it has {}", header.iter().collect::<Vec<_>>().join(", "))
        })
    };
    let (image_at, label_at) = (column(&columns.image)?, column(&columns.label)?);
    let split_at = columns.split.as_deref().map(column).transpose()?;
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.with_context(|| format!("{file} is damaged, or not UTF-8"))?;
        let line = record.position().map_or(0, csv::Position::line);
        let cell = |at: usize| record.get(at).filter(|cell| !cell.is_empty()).map(str::to_owned);
        let needed =
            |at: usize| cell(at).with_context(|| format!("{file}, line {line}: column {:?} is empty", &header[at]));
        rows.push(Written {
            line,
            image: needed(image_at)?,
            label: cell(label_at).map(RowLabel::One),
            split: split_at.map(needed).transpose()?,
        });
    }
    let name = DELIMITERS.iter().find(|(byte, _)| *byte == delimiter).map(|(_, name)| (*name).to_owned());
    let name = name.unwrap_or_else(|| format!("{:?}", char::from(delimiter)));
    Ok((rows, format!("CSV with {name} between cells")))
}

fn not_utf8(path: &Path) -> String {
    format!("reading {}: is it UTF-8?", path.display())
}

/// The bytes of the first record, with its line break.
fn first_record(source: &mut impl Read) -> anyhow::Result<Vec<u8>> {
    let (mut record, mut is_quoted, mut byte) = (Vec::new(), false, [0]);
    while source.read(&mut byte)? == 1 {
        record.push(byte[0]);
        is_quoted ^= byte[0] == b'"';
        if byte[0] == b'\n' && !is_quoted {
            break;
        }
        ensure!(
            record.len() <= MAX_RECORD_BYTES,
            "line 1: a row has more than {MAX_RECORD_BYTES} bytes; is a quote missing?"
        );
    }
    Ok(record)
}

/// The delimiter that gives a header with all columns that are asked for; the one that is said, if any.
fn delimiter(head: &[u8], columns: &CsvColumns) -> anyhow::Result<u8> {
    if let Some(said) = columns.delimiter {
        return u8::try_from(said)
            .ok()
            .filter(u8::is_ascii)
            .with_context(|| format!("{said:?} is no delimiter: expected an ASCII character"));
    }
    let wanted: Vec<&str> =
        [columns.image.as_str(), &columns.label].into_iter().chain(columns.split.as_deref()).collect();
    let header_by = |delimiter: u8| {
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).from_reader(head);
        let record = reader.records().next().and_then(Result::ok).unwrap_or_default();
        record.iter().map(|cell| cell.trim().to_owned()).collect::<Vec<String>>()
    };
    let fits = |(delimiter, _): &&(u8, &str)| {
        let header = header_by(*delimiter);
        wanted.iter().all(|name| header.iter().any(|cell| cell == name))
    };
    let fitting: Vec<_> = DELIMITERS.iter().filter(fits).collect();
    match fitting.as_slice() {
        [(delimiter, _)] => Ok(*delimiter),
        // All of them fit a header of one column, and then it does not matter. Else the columns are told with most cells.
        [] => {
            Ok(DELIMITERS.iter().map(|(byte, _)| *byte).rev().max_by_key(|byte| header_by(*byte).len()).unwrap_or(b','))
        }
        several if several.iter().all(|(byte, _)| header_by(*byte) == header_by(several[0].0)) => Ok(several[0].0),
        several => bail!(
            "its header can be read with {}: say which with `delimiter`",
            several.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(" or ")
        ),
    }
}

/// Finds a path of the table, which must be under `root`; in the Unicode form that the file system has.
fn inside(root: &Path, path: &str) -> anyhow::Result<PathBuf> {
    let place = root.join(path);
    let stays = !Path::new(path).components().any(|c| matches!(c, Component::ParentDir)) && place.starts_with(root);
    ensure!(stays, "{path:?} is outside of {}: give a `root` that holds all images", root.display());
    if path.is_ascii() || place.is_file() {
        return Ok(place);
    }
    let other =
        [composed(path), decomposed(path)].into_iter().map(|path| root.join(path)).find(|other| other.is_file());
    Ok(other.unwrap_or(place))
}
