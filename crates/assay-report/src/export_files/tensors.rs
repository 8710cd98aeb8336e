//! safetensors: numbers as tensors, texts as JSON in the metadata.

use std::collections::HashMap;
use std::io::Write;

use anyhow::ensure;
use assay_lab::{ExportColumn, ExportTable};
use safetensors::tensor::{Dtype, TensorView};

/// Headers may have 100 MB in this format, and hold the places of the tensors besides.
const MAX_TEXTS: usize = 90_000_000;

pub(super) fn write(table: &ExportTable, mut to: impl Write) -> anyhow::Result<()> {
    let (mut texts, mut arrays) = (HashMap::new(), Vec::new());
    for (name, column) in table.columns.iter().chain(&table.lists) {
        let rows = column.rows();
        match column {
            ExportColumn::Texts(all) => {
                texts.insert((*name).to_owned(), serde_json::to_string(all)?);
            }
            ExportColumn::Whole(numbers) => {
                arrays.push((*name, Dtype::I64, vec![rows], bytes_of(numbers, |v| v.to_le_bytes())))
            }
            ExportColumn::Marks(width, marks) => {
                arrays.push((*name, Dtype::I8, vec![rows, *width], bytes_of(marks, |v| v.to_le_bytes())));
            }
            ExportColumn::Single(width, values) => {
                arrays.push((*name, Dtype::F32, vec![rows, *width], bytes_of(values, |v| v.to_le_bytes())));
            }
            ExportColumn::Double(width, values) => {
                let shape = if *width == 1 { vec![rows] } else { vec![rows, *width] };
                arrays.push((*name, Dtype::F64, shape, bytes_of(values, |v| v.to_le_bytes())));
            }
        }
    }
    let length: usize = texts.values().map(String::len).sum();
    ensure!(
        length <= MAX_TEXTS,
        "the names take {length} bytes, and a header of safetensors has room for {MAX_TEXTS}: export to .npz or .parquet"
    );
    let views =
        arrays.iter().map(|(name, dtype, shape, bytes)| Ok((*name, TensorView::new(*dtype, shape.clone(), bytes)?)));
    let views = views.collect::<anyhow::Result<Vec<_>>>()?;
    Ok(to.write_all(&safetensors::serialize(views, Some(texts))?)?)
}

fn bytes_of<T: Copy, const N: usize>(values: &[T], bytes: fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|value| bytes(*value)).collect()
}
