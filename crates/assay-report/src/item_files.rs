//! Results item by item, as files that pandas, polars and R read.

use std::sync::Arc;

use anyhow::Context as _;
use assay_config::printable;
use assay_lab::ItemRow;
use parquet::basic::{LogicalType, Repetition, Type as PhysicalType};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;

/// Format of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemFormat {
    /// Parquet, Snappy-compressed, one row group.
    Parquet,
    /// RFC 4180 with a header.
    Csv,
    /// One JSON object a line.
    Json,
}

/// Names of the columns, in their order.
const TEXTS: [&str; 5] = ["model", "task", "protocol", "metric", "over"];

/// Writes rows; text columns are UTF-8, `index` a 64-bit integer, `value` a double, and `name` may be absent.
///
/// # Errors
/// When the rows cannot be encoded.
pub fn render_items(rows: &[ItemRow], format: ItemFormat) -> anyhow::Result<Vec<u8>> {
    match format {
        ItemFormat::Parquet => parquet_file(rows),
        ItemFormat::Csv => Ok(csv(rows).into_bytes()),
        ItemFormat::Json => {
            let mut out = Vec::new();
            for row in rows {
                serde_json::to_writer(&mut out, row)?;
                out.push(b'\n');
            }
            Ok(out)
        }
    }
}

fn csv(rows: &[ItemRow]) -> String {
    let mut out = format!("{},index,item,name,value\n", TEXTS.join(","));
    for row in rows {
        let texts = texts(row).map(|text| super::quoted(&printable(text))).join(",");
        let name = super::quoted(&printable(row.name.as_deref().unwrap_or("")));
        out.push_str(&format!("{texts},{},{},{name},{}\n", row.index, row.item, row.value));
    }
    out
}

fn texts(row: &ItemRow) -> [&str; 5] {
    [&row.model, &row.task, &row.protocol, row.metric, row.over]
}

fn parquet_file(rows: &[ItemRow]) -> anyhow::Result<Vec<u8>> {
    let properties = WriterProperties::builder().set_compression(parquet::basic::Compression::SNAPPY).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema()?), Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for column in 0..TEXTS.len() {
        write_texts(&mut group, rows.iter().map(|row| Some(texts(row)[column])), false)?;
    }
    let mut column = group.next_column()?.context("the schema has an index")?;
    let indices: Vec<i64> = rows.iter().map(|row| row.index as i64).collect();
    column.typed::<Int64Type>().write_batch(&indices, None, None)?;
    column.close()?;
    write_texts(&mut group, rows.iter().map(|row| Some(row.item.as_str())), false)?;
    write_texts(&mut group, rows.iter().map(|row| row.name.as_deref()), true)?;
    let mut column = group.next_column()?.context("the schema has a value")?;
    let values: Vec<f64> = rows.iter().map(|row| row.value).collect();
    column.typed::<DoubleType>().write_batch(&values, None, None)?;
    column.close()?;
    group.close()?;
    Ok(writer.into_inner()?)
}

fn write_texts<'r>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    texts: impl Iterator<Item = Option<&'r str>> + Clone,
    optional: bool,
) -> anyhow::Result<()> {
    let mut column = group.next_column()?.context("the schema has this text")?;
    let levels: Vec<i16> = texts.clone().map(|text| i16::from(text.is_some())).collect();
    let values: Vec<ByteArray> = texts.flatten().map(ByteArray::from).collect();
    column.typed::<ByteArrayType>().write_batch(&values, optional.then_some(&levels[..]), None)?;
    Ok(column.close()?)
}

fn schema() -> anyhow::Result<Type> {
    let text = |name: &str, repetition| {
        Type::primitive_type_builder(name, PhysicalType::BYTE_ARRAY)
            .with_repetition(repetition)
            .with_logical_type(Some(LogicalType::String))
            .build()
    };
    let number =
        |name: &str, kind| Type::primitive_type_builder(name, kind).with_repetition(Repetition::REQUIRED).build();
    let mut fields = TEXTS.iter().map(|name| text(name, Repetition::REQUIRED)).collect::<Result<Vec<_>, _>>()?;
    fields.push(number("index", PhysicalType::INT64)?);
    fields.push(text("item", Repetition::REQUIRED)?);
    fields.push(text("name", Repetition::OPTIONAL)?);
    fields.push(number("value", PhysicalType::DOUBLE)?);
    Ok(Type::group_type_builder("items").with_fields(fields.into_iter().map(Arc::new).collect()).build()?)
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};

    use super::*;

    fn rows() -> Vec<ItemRow> {
        let row = |model: &str, index: u64, name: Option<&str>, value: f64| ItemRow {
            model: model.into(),
            task: "t".into(),
            protocol: "p".into(),
            metric: "accuracy",
            over: "images",
            index,
            item: "ab".repeat(32),
            name: name.map(str::to_owned),
            value,
        };
        vec![row("a,b", 0, Some("x\n.png"), 1.0), row("c", 1, None, 0.1 + 0.2)]
    }

    #[test]
    fn rows_are_written_as_lines() {
        let item = "ab".repeat(32);
        let text = String::from_utf8(render_items(&rows(), ItemFormat::Csv).unwrap()).unwrap();
        let expected = format!(
            "model,task,protocol,metric,over,index,item,name,value\n\"a,b\",t,p,accuracy,images,0,{item},x\\n.png,1\n\
             c,t,p,accuracy,images,1,{item},,0.30000000000000004\n"
        );
        assert_eq!(text, expected);
        let text = String::from_utf8(render_items(&rows(), ItemFormat::Json).unwrap()).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            (lines.len(), &lines[0]["name"], &lines[1]["name"]),
            (2, &"x\n.png".into(), &serde_json::Value::Null)
        );
    }

    #[test]
    fn parquet_reads_back() {
        let bytes = render_items(&rows(), ItemFormat::Parquet).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, &bytes).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let read: Vec<String> = reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect();
        assert_eq!(read.len(), 2);
        assert!(read[0].contains("model: \"a,b\"") && read[0].contains("name: \"x\n.png\""), "{}", read[0]);
        assert!(read[1].contains("name: null") && read[1].contains("value: 0.30000000000000004"), "{}", read[1]);
    }
}
