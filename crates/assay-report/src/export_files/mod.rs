//! Exported tables as files that numpy, pandas, torch and scikit-learn read.

mod numpy;
mod parquet_lists;
mod tensors;

use std::io::{self, Write};

use anyhow::bail;
use assay_config::printable;
use assay_lab::{ExportColumn, ExportTable};

/// Format of an exported table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// The first column alone, as numpy's `.npy`.
    Npy,
    /// All columns and lists as arrays of numpy's `.npz`, not packed.
    Npz,
    /// Parquet, Snappy-compressed; rows of several numbers are lists, and lists of other lengths are in the metadata.
    Parquet,
    /// Numbers as tensors; texts are in the metadata, as lists in JSON.
    Safetensors,
    /// RFC 4180 with a header; a column of several numbers becomes one for each, `x0`, `x1`, …
    Csv,
}

impl ExportFormat {
    /// The format that a file with this extension has.
    pub fn of_extension(extension: &str) -> Option<Self> {
        Some(match extension.to_lowercase().as_str() {
            "npy" => Self::Npy,
            "npz" => Self::Npz,
            "parquet" => Self::Parquet,
            "safetensors" => Self::Safetensors,
            "csv" => Self::Csv,
            _ => return None,
        })
    }
}

/// Writes a table.
///
/// # Errors
/// When it cannot be written, or the format cannot hold it.
pub fn write_export(table: &ExportTable, format: ExportFormat, to: impl Write + io::Seek + Send) -> anyhow::Result<()> {
    match format {
        ExportFormat::Npy => match table.columns.first() {
            Some((_, column)) => numpy::write_npy(column, to),
            None => bail!("there is nothing to write"),
        },
        ExportFormat::Npz => numpy::write_npz(table, to),
        ExportFormat::Parquet => parquet_lists::write(table, to),
        ExportFormat::Safetensors => tensors::write(table, to),
        ExportFormat::Csv => write_csv(&table.columns, to),
    }
}

/// The columns beside the first, which an `.npy` file cannot hold, as CSV.
///
/// # Errors
/// When it cannot be written.
pub fn write_rest(table: &ExportTable, to: impl Write) -> anyhow::Result<()> {
    write_csv(table.columns.get(1..).unwrap_or_default(), to)
}

fn write_csv(columns: &[(&'static str, ExportColumn)], to: impl Write) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(to);
    let names = |(name, column): &(&'static str, ExportColumn)| -> Vec<String> {
        match column {
            ExportColumn::Single(width, _) | ExportColumn::Double(width, _) if *width > 1 => {
                (0..*width).map(|i| format!("{name}{i}")).collect()
            }
            ExportColumn::Marks(width, _) => (0..*width).map(|i| format!("{name}{i}")).collect(),
            _ => vec![(*name).to_owned()],
        }
    };
    writeln!(out, "{}", columns.iter().flat_map(names).collect::<Vec<_>>().join(","))?;
    for row in 0..columns.first().map_or(0, |(_, column)| column.rows()) {
        for (i, (_, column)) in columns.iter().enumerate() {
            if i > 0 {
                write!(out, ",")?;
            }
            match column {
                ExportColumn::Texts(texts) => write!(out, "{}", super::quoted(&printable(&texts[row])))?,
                ExportColumn::Whole(numbers) => write!(out, "{}", numbers[row])?,
                ExportColumn::Marks(width, marks) => write_row(&mut out, &marks[row * width..][..*width])?,
                ExportColumn::Single(width, values) => write_row(&mut out, &values[row * width..][..*width])?,
                ExportColumn::Double(width, values) => write_row(&mut out, &values[row * width..][..*width])?,
            }
        }
        writeln!(out)?;
    }
    Ok(out.flush()?)
}

/// Numbers as the shortest text that reads back as the same.
fn write_row<T: std::fmt::Display>(out: &mut impl Write, values: &[T]) -> io::Result<()> {
    for (i, value) in values.iter().enumerate() {
        write!(out, "{}{value}", if i > 0 { "," } else { "" })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
