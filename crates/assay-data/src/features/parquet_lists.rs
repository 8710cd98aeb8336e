//! Columns of Parquet files: lists of numbers, and plain values.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use parquet::column::reader::ColumnReader;
use parquet::data_type::ByteArray;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::column::Column;
use crate::tables::{guarded, open_parquet};

/// A row group with more bytes is refused.
const MAX_GROUP_BYTES: i64 = 4 << 30;

/// Names of the columns, each once.
pub(super) fn names(path: &Path) -> anyhow::Result<Vec<String>> {
    guarded(|| {
        let reader = open_parquet(path)?;
        let mut names: Vec<String> = leaves(&reader).into_iter().map(|leaf| leaf.0).collect();
        names.dedup();
        Ok(names)
    })
}

/// The leaves of the schema: the name of their column, and whether they are repeated.
fn leaves(reader: &SerializedFileReader<std::fs::File>) -> Vec<(String, bool)> {
    let schema = reader.metadata().file_metadata().schema_descr();
    let leaf = |c: &parquet::schema::types::ColumnDescPtr| {
        (c.path().parts().first().cloned().unwrap_or_default(), c.max_rep_level() > 0)
    };
    schema.columns().iter().map(leaf).collect()
}

fn leaf_of(reader: &SerializedFileReader<std::fs::File>, name: &str, is_list: bool) -> anyhow::Result<usize> {
    let leaves = leaves(reader);
    let found = leaves.iter().position(|leaf| leaf.0 == name).with_context(|| {
        let names: Vec<&str> = leaves.iter().map(|leaf| leaf.0.as_str()).collect();
        format!("there is no column {name:?}; it has {}", names.join(", "))
    })?;
    ensure!(
        leaves[found].1 == is_list,
        "column {name:?} holds {}",
        if is_list {
            "one value in a row, and lists of numbers were expected"
        } else {
            "lists, and one value in a row was expected"
        }
    );
    Ok(found)
}

/// Texts that the metadata of the file has under this name, as a list in JSON.
pub(super) fn texts_beside(path: &Path, name: &str) -> anyhow::Result<Option<Vec<String>>> {
    guarded(|| {
        let reader = open_parquet(path)?;
        let texts = reader.metadata().file_metadata().key_value_metadata();
        let text = texts.and_then(|texts| texts.iter().find(|text| text.key == name)?.value.as_ref());
        Ok(text.and_then(|text| serde_json::from_str(text).ok()))
    })
}

/// Number of rows of each row group.
pub(super) fn groups(path: &Path) -> anyhow::Result<Vec<usize>> {
    guarded(|| {
        let reader = open_parquet(path)?;
        let groups = reader.metadata().row_groups();
        groups.iter().map(|g| usize::try_from(g.num_rows()).context("it is damaged")).collect()
    })
}

/// The lists of a row group, one after the other, with the length that all of them have.
pub(super) fn lists(path: &Path, group: usize, name: &str) -> anyhow::Result<(usize, Vec<f64>)> {
    guarded(|| {
        let reader = open_parquet(path)?;
        check_group(&reader, group)?;
        let at = leaf_of(&reader, name, true)?;
        let most = reader.metadata().file_metadata().schema_descr().column(at).max_def_level();
        let rows = reader.metadata().row_group(group).num_rows() as usize;
        let (mut definitions, mut repetitions): (Vec<i16>, Vec<i16>) = Default::default();
        macro_rules! all {
            ($column:expr, $convert:expr) => {{
                let (mut column, mut values, mut read) = ($column, Vec::new(), 0);
                while read < rows {
                    let more = (Some(&mut definitions), Some(&mut repetitions));
                    let (records, _, _) = column.read_records(rows - read, more.0, more.1, &mut values)?;
                    ensure!(records > 0, "row group {group} ends after {read} of {rows} rows");
                    read += records;
                }
                values.into_iter().map($convert).collect::<Vec<f64>>()
            }};
        }
        let values = match reader.get_row_group(group)?.get_column_reader(at)? {
            ColumnReader::FloatColumnReader(c) => all!(c, f64::from),
            ColumnReader::DoubleColumnReader(c) => all!(c, |v: f64| v),
            ColumnReader::Int32ColumnReader(c) => all!(c, f64::from),
            _ => bail!("column {name:?} holds no lists of 32- or 64-bit floats"),
        };
        let starts: Vec<usize> = (0..repetitions.len()).filter(|i| repetitions[*i] == 0).collect();
        if let Some(null) = definitions.iter().position(|level| *level < most) {
            let row = starts.partition_point(|start| *start <= null).saturating_sub(1);
            bail!("row {row} of row group {group} has an empty or missing value in column {name:?}");
        }
        let dim = values.len().checked_div(rows).unwrap_or(0);
        let is_even = values.len() == dim * rows && starts.iter().enumerate().all(|(row, start)| *start == row * dim);
        ensure!(is_even, "the lists of column {name:?} have different lengths in row group {group}");
        Ok((dim, values))
    })
}

fn check_group(reader: &SerializedFileReader<std::fs::File>, group: usize) -> anyhow::Result<()> {
    ensure!(group < reader.num_row_groups(), "it has fewer row groups than before");
    let size = reader.metadata().row_group(group).total_byte_size();
    ensure!(
        size <= MAX_GROUP_BYTES,
        "row group {group} has {size} bytes, and at most {MAX_GROUP_BYTES} are read: write smaller row groups"
    );
    Ok(())
}

/// A column with one value in each row.
pub(super) fn column(path: &Path, name: &str) -> anyhow::Result<Column> {
    guarded(|| {
        let reader = open_parquet(path)?;
        let at = leaf_of(&reader, name, false)?;
        let most = reader.metadata().file_metadata().schema_descr().column(at).max_def_level();
        let (mut numbers, mut texts) = (Vec::new(), Vec::new());
        let mut first = 0;
        for group in 0..reader.num_row_groups() {
            check_group(&reader, group)?;
            let rows = reader.metadata().row_group(group).num_rows() as usize;
            let mut levels: Vec<i16> = Vec::new();
            macro_rules! all {
                ($column:expr) => {{
                    let (mut column, mut values, mut read) = ($column, Vec::new(), 0);
                    while read < rows {
                        let (records, _, _) = column.read_records(rows - read, Some(&mut levels), None, &mut values)?;
                        ensure!(records > 0, "row group {group} ends after {read} of {rows} rows");
                        read += records;
                    }
                    values
                }};
            }
            match reader.get_row_group(group)?.get_column_reader(at)? {
                ColumnReader::BoolColumnReader(c) => numbers.extend(all!(c).into_iter().map(i64::from)),
                ColumnReader::Int32ColumnReader(c) => numbers.extend(all!(c).into_iter().map(i64::from)),
                ColumnReader::Int64ColumnReader(c) => numbers.extend(all!(c)),
                ColumnReader::ByteArrayColumnReader(c) => {
                    for value in all!(c) as Vec<ByteArray> {
                        texts.push(String::from_utf8(value.data().to_vec()).context("it holds what is no text")?);
                    }
                }
                _ => bail!("column {name:?} holds neither whole numbers nor names"),
            }
            if let Some(null) = levels.iter().position(|level| *level < most) {
                bail!("row {} has no value in column {name:?} (null)", first + null);
            }
            first += rows;
        }
        Ok(if texts.is_empty() { Column::Numbers(numbers) } else { Column::Texts(texts) })
    })
}
