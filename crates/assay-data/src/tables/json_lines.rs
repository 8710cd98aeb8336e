//! Tables of JSON lines: one object a line, whose fields are the columns.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Map, Value};

use super::csv_file::{CsvColumns, Written};
use super::records::MAX_RECORD_BYTES;
use super::rows::RowLabel;

/// Most bytes of a file: its rows are kept in memory.
const MAX_FILE_BYTES: u64 = 4 << 30;

/// Reads the rows of a file.
///
/// # Errors
/// When a line is no object, too long, or without a column that is asked for.
pub(super) fn json_rows(path: &Path, source: Box<dyn Read>, columns: &CsvColumns) -> anyhow::Result<Vec<Written>> {
    let file = path.display();
    let mut reader = BufReader::new(source.take(MAX_FILE_BYTES + 1));
    let (mut rows, mut line, mut total) = (Vec::new(), 0u64, 0u64);
    loop {
        let mut bytes = Vec::new();
        let limit = MAX_RECORD_BYTES as u64 + 1;
        let read = reader.by_ref().take(limit).read_until(b'\n', &mut bytes);
        if read.with_context(|| format!("reading {file}"))? == 0 {
            return Ok(rows);
        }
        line += 1;
        total += bytes.len() as u64;
        ensure!(bytes.len() <= MAX_RECORD_BYTES, "{file}, line {line}: a row has more than {MAX_RECORD_BYTES} bytes");
        ensure!(total <= MAX_FILE_BYTES, "{file} has more than {MAX_FILE_BYTES} bytes");
        if bytes.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let object: Map<String, Value> =
            serde_json::from_slice(&bytes).with_context(|| format!("{file}, line {line} is no JSON object"))?;
        rows.push(row(&object, line, columns).with_context(|| format!("{file}, line {line}"))?);
    }
}

fn row(object: &Map<String, Value>, line: u64, columns: &CsvColumns) -> anyhow::Result<Written> {
    let field = |name: &str| {
        let has = || object.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        object.get(name).with_context(|| format!("there is no field {name:?}; it has {}", has()))
    };
    let image = text(field(&columns.image)?)?.with_context(|| format!("field {:?} is empty", columns.image))?;
    let label = match field(&columns.label)? {
        Value::Array(items) => {
            let names = items.iter().map(|item| text(item)?.context("a label of a list is empty"));
            Some(RowLabel::Several(names.collect::<anyhow::Result<_>>()?))
        }
        one => text(one)?.map(RowLabel::One),
    };
    let split = match &columns.split {
        Some(name) => Some(text(field(name)?)?.with_context(|| format!("field {name:?} is empty"))?),
        None => None,
    };
    Ok(Written { line, image, label, split })
}

/// A value as the text that stands for it; `None` for null and an empty text.
pub(super) fn text(value: &Value) -> anyhow::Result<Option<String>> {
    Ok(match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(_) | Value::Object(_) => bail!("expected a text or a number, found {value}"),
    })
}
