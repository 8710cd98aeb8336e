//! `.npy` and `.npz`.

use std::io::{self, Write};

use assay_lab::{ExportColumn, ExportTable};
use zip::write::SimpleFileOptions;

/// Members from this size on have places of 64 bits.
const LARGE: usize = 1 << 31;

/// Writes one array in numpy's format, version 1.
pub(super) fn write_npy(column: &ExportColumn, to: impl Write) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(to);
    let chars = match column {
        ExportColumn::Texts(texts) => texts.iter().map(|text| text.chars().count()).max().unwrap_or(0).max(1),
        _ => 0,
    };
    let rows = column.rows();
    let (descr, shape) = match column {
        ExportColumn::Texts(_) => (format!("<U{chars}"), format!("({rows},)")),
        ExportColumn::Whole(_) => ("<i8".to_owned(), format!("({rows},)")),
        ExportColumn::Marks(width, _) => ("|i1".to_owned(), format!("({rows}, {width})")),
        ExportColumn::Single(width, _) => ("<f4".to_owned(), format!("({rows}, {width})")),
        ExportColumn::Double(1, _) => ("<f8".to_owned(), format!("({rows},)")),
        ExportColumn::Double(width, _) => ("<f8".to_owned(), format!("({rows}, {width})")),
    };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    // Magic, version and length take ten bytes; numbers begin at a multiple of 64, after a line break.
    let padding = 64 - (10 + header.len() + 1) % 64;
    header.push_str(&" ".repeat(padding % 64));
    header.push('\n');
    out.write_all(b"\x93NUMPY\x01\x00")?;
    out.write_all(&u16::try_from(header.len())?.to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    match column {
        ExportColumn::Texts(texts) => {
            for text in texts {
                let codes = text.chars().map(u32::from).chain(std::iter::repeat(0)).take(chars);
                codes.into_iter().try_for_each(|code| out.write_all(&code.to_le_bytes()))?;
            }
        }
        ExportColumn::Whole(numbers) => numbers.iter().try_for_each(|v| out.write_all(&v.to_le_bytes()))?,
        ExportColumn::Marks(_, marks) => marks.iter().try_for_each(|v| out.write_all(&v.to_le_bytes()))?,
        ExportColumn::Single(_, values) => values.iter().try_for_each(|v| out.write_all(&v.to_le_bytes()))?,
        ExportColumn::Double(_, values) => values.iter().try_for_each(|v| out.write_all(&v.to_le_bytes()))?,
    }
    Ok(out.flush()?)
}

/// Writes all columns and lists, one array each.
pub(super) fn write_npz(table: &ExportTable, to: impl Write + io::Seek) -> anyhow::Result<()> {
    let mut zip = zip::ZipWriter::new(to);
    for (name, column) in table.columns.iter().chain(&table.lists) {
        let bytes = match column {
            ExportColumn::Texts(texts) => {
                texts.len() * 4 * texts.iter().map(|text| text.chars().count()).max().unwrap_or(0)
            }
            ExportColumn::Whole(numbers) => 8 * numbers.len(),
            ExportColumn::Marks(_, marks) => marks.len(),
            ExportColumn::Single(_, values) => 4 * values.len(),
            ExportColumn::Double(_, values) => 8 * values.len(),
        };
        let options = SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored)
            .last_modified_time(zip::DateTime::default())
            .large_file(bytes >= LARGE);
        zip.start_file(format!("{name}.npy"), options)?;
        write_npy(column, &mut zip)?;
    }
    zip.finish()?;
    Ok(())
}
