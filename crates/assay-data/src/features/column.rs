//! Columns beside features: labels, ids and splits, one value for each row.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};

use super::array::{Array, Container, names, texts_beside};
use super::parquet_lists;
use crate::regular::{open_regular, read_regular};
use crate::tables::BoundedRecords;

/// Most bytes of a file of lines.
const MAX_TEXT_BYTES: u64 = 1 << 30;
/// Most bytes of an array that is no features.
const MAX_COLUMN_BYTES: usize = 4 << 30;

/// One value for each row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Column {
    Numbers(Vec<i64>),
    Texts(Vec<String>),
    /// Rows of K numbers.
    Marks(usize, Vec<i64>),
}

impl Column {
    /// Reads a column: an array or a column of this name, or the only one, or the lines of a text.
    ///
    /// # Errors
    /// When it is not there, or holds neither whole numbers nor text.
    pub fn read(path: &Path, name: &str) -> anyhow::Result<Self> {
        let read = || match Container::of(path)? {
            Container::Parquet => parquet_lists::column(path, name),
            Container::Text if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv")) => {
                csv(path, name).map(as_numbers)
            }
            Container::Text => lines(path).map(as_numbers),
            Container::Safetensors if let Some(texts) = texts_beside(path, name)? => Ok(Self::Texts(texts)),
            container => Self::of_array(&Array::open(path, container, &only(path, container, name)?)?),
        };
        read().with_context(|| format!("reading {}", path.display()))
    }

    fn of_array(array: &Array) -> anyhow::Result<Self> {
        let width = match array.shape.len() {
            1 => 1,
            2 => array.row_len(),
            axes => bail!("it has {axes} axes, and one was expected"),
        };
        let bytes = array.rows().checked_mul(width).and_then(|n| n.checked_mul(array.element.size));
        ensure!(bytes.is_some_and(|bytes| bytes <= MAX_COLUMN_BYTES), "it is too large for labels or names");
        let bytes = array.read(0, array.rows())?;
        if let Some(texts) = array.element.texts(&bytes)? {
            ensure!(width == 1, "it holds several texts in a row");
            return Ok(Self::Texts(texts));
        }
        let numbers = array.element.numbers(&bytes).context("it holds neither numbers nor text")?;
        let whole = |(i, value): (usize, f64)| {
            ensure!(
                value.fract() == 0.0 && value.abs() <= 9e15,
                "row {} holds {value}, and a whole number was expected",
                i / width.max(1)
            );
            Ok(value as i64)
        };
        let numbers = numbers.into_iter().enumerate().map(whole).collect::<anyhow::Result<Vec<i64>>>()?;
        Ok(if width == 1 { Self::Numbers(numbers) } else { Self::Marks(width, numbers) })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Texts(texts) => texts.len(),
            Self::Marks(width, numbers) => numbers.len() / (*width).max(1),
        }
    }

    /// The values as text.
    ///
    /// # Errors
    /// When a row has several.
    pub fn into_texts(self) -> anyhow::Result<Vec<String>> {
        match self {
            Self::Numbers(numbers) => Ok(numbers.iter().map(i64::to_string).collect()),
            Self::Texts(texts) => Ok(texts),
            Self::Marks(width, _) => bail!("it has {width} values in a row, and one was expected"),
        }
    }
}

/// The name of the array to read: that of the only one, where there is no other.
pub(super) fn only(path: &Path, container: Container, name: &str) -> anyhow::Result<String> {
    if container == Container::Npy {
        return Ok(name.to_owned());
    }
    let names = if container == Container::Parquet { parquet_lists::names(path)? } else { names(path, container)? };
    match names.as_slice() {
        _ if names.iter().any(|known| known == name) => Ok(name.to_owned()),
        [one] => Ok(one.clone()),
        [] => bail!("it holds no arrays of numpy"),
        _ => bail!("it has no array {name:?}; it has {}: say which with `keys`", names.join(", ")),
    }
}

fn lines(path: &Path) -> anyhow::Result<Vec<String>> {
    let bytes = read_regular(path, MAX_TEXT_BYTES)?.context("it is too large for a list of names")?;
    let text = String::from_utf8(bytes).context("it is not a text in UTF-8")?;
    let text = text.trim_start_matches('\u{feff}');
    let lines: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
    if let Some(empty) = lines.iter().position(String::is_empty) {
        ensure!(lines[empty..].iter().all(String::is_empty), "line {} is empty", empty + 1);
        return Ok(lines[..empty].to_vec());
    }
    Ok(lines)
}

fn csv(path: &Path, name: &str) -> anyhow::Result<Vec<String>> {
    let mut reader = csv::Reader::from_reader(BoundedRecords::new(open_regular(path)?, b','));
    let header = reader.headers()?.clone();
    let at = header.iter().position(|c| c.trim_start_matches('\u{feff}').trim() == name).with_context(|| {
        let names: Vec<&str> = header.iter().collect();
        format!("it has no column {name:?}; it has {}: say which with `keys`", names.join(", "))
    })?;
    let mut texts = Vec::new();
    for record in reader.records() {
        let record = record.context("it is damaged")?;
        let line = record.position().map_or(0, csv::Position::line);
        let text = record.get(at).unwrap_or_default();
        ensure!(!text.is_empty(), "line {line}: column {name:?} is empty");
        texts.push(text.to_owned());
    }
    Ok(texts)
}

/// Values of a text file: numbers where all are whole numbers as they would be written.
fn as_numbers(texts: Vec<String>) -> Column {
    let number = |text: &String| text.parse::<i64>().ok().filter(|n| n.to_string() == *text);
    match texts.iter().map(number).collect::<Option<Vec<i64>>>() {
        Some(numbers) => Column::Numbers(numbers),
        None => Column::Texts(texts),
    }
}
