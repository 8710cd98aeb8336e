//! Parquet with columns of lists.

use std::io::Write;
use std::sync::Arc;

use anyhow::Context as _;
use assay_lab::{ExportColumn, ExportTable};
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

/// Numbers in a row group.
const MAX_NUMBERS: usize = 1 << 24;

pub(super) fn write(table: &ExportTable, to: impl Write + Send) -> anyhow::Result<()> {
    let schema = parse_message_type(&schema(table)).context("the schema of the table")?;
    let texts = table.lists.iter().filter_map(|(name, column)| {
        let text = match column {
            ExportColumn::Texts(texts) => serde_json::to_string(texts),
            ExportColumn::Whole(numbers) => serde_json::to_string(numbers),
            ExportColumn::Double(_, values) => serde_json::to_string(values),
            _ => return None,
        };
        Some(text.map(|text| KeyValue::new((*name).to_owned(), text)))
    });
    let texts = texts.collect::<Result<Vec<_>, _>>()?;
    let properties =
        WriterProperties::builder().set_compression(Compression::SNAPPY).set_key_value_metadata(Some(texts)).build();
    let mut writer = SerializedFileWriter::new(to, Arc::new(schema), Arc::new(properties))?;
    let rows = table.columns.first().map_or(0, |(_, column)| column.rows());
    let widest = table.columns.iter().map(|(_, column)| width(column)).max().unwrap_or(1);
    let step = (MAX_NUMBERS / widest.max(1)).max(1);
    for first in (0..rows).step_by(step) {
        let end = (first + step).min(rows);
        let mut group = writer.next_row_group()?;
        for (_, column) in &table.columns {
            write_column(&mut group, column, first, end)?;
        }
        group.close()?;
    }
    writer.finish()?;
    Ok(())
}

fn width(column: &ExportColumn) -> usize {
    match column {
        ExportColumn::Texts(_) | ExportColumn::Whole(_) => 1,
        ExportColumn::Marks(width, _) | ExportColumn::Single(width, _) | ExportColumn::Double(width, _) => *width,
    }
}

fn schema(table: &ExportTable) -> String {
    let list = |name: &str, kind: &str| {
        format!("required group {name} (LIST) {{ repeated group list {{ required {kind} element; }} }}")
    };
    let field = |(name, column): &(&'static str, ExportColumn)| match column {
        ExportColumn::Texts(_) => format!("required binary {name} (UTF8);"),
        ExportColumn::Whole(_) => format!("required int64 {name};"),
        ExportColumn::Marks(..) => list(name, "int32"),
        ExportColumn::Single(..) => list(name, "float"),
        ExportColumn::Double(1, _) => format!("required double {name};"),
        ExportColumn::Double(..) => list(name, "double"),
    };
    format!("message table {{ {} }}", table.columns.iter().map(field).collect::<Vec<_>>().join(" "))
}

fn write_column<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    column: &ExportColumn,
    first: usize,
    end: usize,
) -> anyhow::Result<()> {
    match column {
        ExportColumn::Texts(texts) => {
            let values: Vec<ByteArray> = texts[first..end].iter().map(|text| ByteArray::from(text.as_str())).collect();
            put::<ByteArrayType, W>(group, &values, 0)
        }
        ExportColumn::Whole(numbers) => put::<Int64Type, W>(group, &numbers[first..end], 0),
        ExportColumn::Marks(width, marks) => {
            let marks: Vec<i32> = marks[first * width..end * width].iter().map(|mark| i32::from(*mark)).collect();
            put::<Int32Type, W>(group, &marks, *width)
        }
        ExportColumn::Single(width, values) => put::<FloatType, W>(group, &values[first * width..end * width], *width),
        ExportColumn::Double(1, values) => put::<DoubleType, W>(group, &values[first..end], 0),
        ExportColumn::Double(width, values) => put::<DoubleType, W>(group, &values[first * width..end * width], *width),
    }
}

/// Writes values; with a width, as lists of so many.
fn put<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
    width: usize,
) -> anyhow::Result<()> {
    let mut column = group.next_column()?.context("the schema has this column")?;
    if width == 0 {
        column.typed::<T>().write_batch(values, None, None)?;
    } else {
        let definitions = vec![1i16; values.len()];
        let repetitions: Vec<i16> = (0..values.len()).map(|i| i16::from(i % width != 0)).collect();
        column.typed::<T>().write_batch(values, Some(&definitions), Some(&repetitions))?;
    }
    Ok(column.close()?)
}
