//! The streaming format of Arrow files, as far as images and labels need it: where the values of a column lie in the file.
//!
//! Its metadata are flatbuffers of three kinds with few fields each, and bodies are not compressed; so values are read in place,
//! and Arrow's own libraries, which would build arrays of all columns, are not needed. Every place is checked against the file.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use anyhow::{Context as _, bail, ensure};

/// Most bytes of the metadata of one message.
const MAX_METADATA_BYTES: u64 = 64 << 20;
/// Most columns, with those inside others, and how deep they may lie.
const MAX_COLUMNS: usize = 10_000;
const MAX_DEPTH: usize = 16;

/// Type of a column, as far as its values are read or passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    /// Bits, and whether there is a sign.
    Int(u32, bool),
    Bool,
    /// Bytes or text, by offsets of 32 or 64 bits.
    Bytes {
        wide: bool,
    },
    /// Values of other columns, by offsets of 32 or 64 bits.
    List {
        wide: bool,
    },
    Struct,
    /// Another kind, with so many buffers of its own.
    Other(usize),
}

/// A column of the schema.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub name: String,
    pub kind: Kind,
    pub children: Vec<Column>,
    pub is_dictionary: bool,
}

/// The values of a column in one batch: how many there are, and the places of its buffers in the file.
#[derive(Clone, Debug)]
pub(super) struct Values<'c> {
    pub column: &'c Column,
    pub len: usize,
    nulls: u64,
    buffers: Vec<(u64, u64)>,
    pub children: Vec<Values<'c>>,
}

/// The schema of a file.
pub(super) struct Schema {
    pub columns: Vec<Column>,
    /// Text that programs have added, by key.
    pub metadata: Vec<(String, String)>,
}

/// A message: its metadata, and where its body lies.
struct Message {
    metadata: Vec<u8>,
    body: u64,
    end: u64,
}

/// Reads a file: calls `batch` with the values of all columns of each batch.
///
/// # Errors
/// When the file is damaged, or has what is not read.
pub(super) fn read_stream(
    file: &mut File,
    mut batch: impl FnMut(&mut File, &[Values<'_>]) -> anyhow::Result<()>,
) -> anyhow::Result<Schema> {
    let size = file.metadata()?.len();
    let mut at = 0;
    let mut head = [0; 8];
    if size >= 8 && {
        file.read_exact(&mut head)?;
        head.starts_with(b"ARROW1")
    } {
        at = 8;
    }
    let mut schema: Option<Schema> = None;
    while let Some(message) = next_message(file, at, size)? {
        let root = Table::root(&message.metadata).context(DAMAGED)?;
        let header = || root.table(2).context(DAMAGED);
        match (root.u8(1).context(DAMAGED)?, &schema) {
            (1, None) => schema = Some(read_schema(&header()?)?),
            (2, Some(_)) => {} // values of dictionaries, which no column that is read has
            (3, Some(schema)) => {
                let values = read_batch(&header()?, &schema.columns, &message)?;
                batch(file, &values)?;
            }
            _ => bail!(DAMAGED),
        }
        at = message.end;
    }
    schema.context(DAMAGED)
}

const DAMAGED: &str = "it is no Arrow stream, or a damaged one";

fn next_message(file: &mut File, at: u64, size: u64) -> anyhow::Result<Option<Message>> {
    if at + 4 > size {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(at))?;
    let mut word = [0; 4];
    let mut next = |file: &mut File| -> anyhow::Result<u32> {
        file.read_exact(&mut word).context(DAMAGED)?;
        Ok(u32::from_le_bytes(word))
    };
    let mut start = at + 4;
    let mut length = next(file)?;
    // Files of old versions have no mark before the length.
    if length == u32::MAX {
        length = next(file)?;
        start += 4;
    }
    if length == 0 {
        return Ok(None);
    }
    let length = u64::from(length);
    ensure!(length <= MAX_METADATA_BYTES && start + length <= size, DAMAGED);
    let mut metadata = vec![0; length as usize];
    file.read_exact(&mut metadata).context(DAMAGED)?;
    let body = start + length;
    let body_length = Table::root(&metadata).and_then(|root| root.i64(3)).unwrap_or(0);
    let end = u64::try_from(body_length).ok().and_then(|length| body.checked_add(length));
    let end = end.filter(|end| *end <= size).context("the Arrow file is truncated")?;
    Ok(Some(Message { metadata, body, end }))
}

fn read_schema(table: &Table<'_>) -> anyhow::Result<Schema> {
    ensure!(table.i16(0).unwrap_or(0) == 0, "it holds big-endian numbers, which are not read");
    let mut left = MAX_COLUMNS;
    let columns = read_columns(table, 1, 0, &mut left)?;
    let mut metadata = Vec::new();
    for pair in table.tables(2).unwrap_or_default() {
        if let (Some(key), Some(value)) = (pair.text(0), pair.text(1)) {
            metadata.push((key, value));
        }
    }
    Ok(Schema { columns, metadata })
}

fn read_columns(table: &Table<'_>, field: usize, depth: usize, left: &mut usize) -> anyhow::Result<Vec<Column>> {
    let mut columns = Vec::new();
    for column in table.tables(field).unwrap_or_default() {
        ensure!(depth < MAX_DEPTH && *left > 0, "it has more columns than are read");
        *left -= 1;
        columns.push(Column {
            name: column.text(0).unwrap_or_default(),
            kind: kind_of(&column).context(DAMAGED)?,
            children: read_columns(&column, 5, depth + 1, left)?,
            is_dictionary: column.place(4).is_some(),
        });
    }
    Ok(columns)
}

/// Type of a field, by the number that the format gives it.
fn kind_of(field: &Table<'_>) -> Option<Kind> {
    let inside = || field.table(3);
    Some(match field.u8(2)? {
        1 => Kind::Null,
        2 => {
            let int = inside()?;
            Kind::Int(int.u32(0).unwrap_or(0), int.u8(1).unwrap_or(0) != 0)
        }
        4 | 5 => Kind::Bytes { wide: false },
        19 | 20 => Kind::Bytes { wide: true },
        6 => Kind::Bool,
        12 | 17 => Kind::List { wide: false },
        21 => Kind::List { wide: true },
        13 => Kind::Struct,
        // Floats, decimals, dates, times, intervals, durations, and bytes and lists of fixed length.
        3 | 7..=11 | 15 | 18 => Kind::Other(2),
        16 => Kind::Other(1),
        _ => return None,
    })
}

fn read_batch<'c>(table: &Table<'_>, columns: &'c [Column], message: &Message) -> anyhow::Result<Vec<Values<'c>>> {
    ensure!(table.place(3).is_none(), "its batches are compressed, which is not read: write it without compression");
    let nodes = table.structs(1).context(DAMAGED)?;
    let buffers = table.structs(2).context(DAMAGED)?;
    let (mut nodes, mut buffers) = (nodes.into_iter(), buffers.into_iter());
    let values =
        columns.iter().map(|column| place(column, &mut nodes, &mut buffers, message)).collect::<Option<Vec<_>>>();
    let values = values.context(DAMAGED)?;
    let rows = table.i64(0).and_then(|rows| usize::try_from(rows).ok()).context(DAMAGED)?;
    ensure!(values.iter().all(|values| values.len == rows), DAMAGED);
    Ok(values)
}

type Pairs = std::vec::IntoIter<(i64, i64)>;

fn place<'c>(column: &'c Column, nodes: &mut Pairs, buffers: &mut Pairs, message: &Message) -> Option<Values<'c>> {
    let (len, nulls) = nodes.next()?;
    // Every row that is read has at least a bit in the body, so that no number alone takes memory.
    let most = (message.end - message.body).saturating_mul(8);
    let len = usize::try_from(len).ok().filter(|len| *len as u64 <= most)?;
    let count = match column.kind {
        _ if column.is_dictionary => 2,
        Kind::Null => 0,
        Kind::Struct => 1,
        Kind::Int(..) | Kind::Bool | Kind::List { .. } => 2,
        Kind::Bytes { .. } => 3,
        Kind::Other(count) => count,
    };
    let mut own = Vec::with_capacity(count);
    for _ in 0..count {
        let (offset, length) = buffers.next()?;
        let start = message.body.checked_add(u64::try_from(offset).ok()?)?;
        let length = u64::try_from(length).ok()?;
        own.push((start, length));
        if start.checked_add(length)? > message.end {
            return None;
        }
    }
    let children = if column.is_dictionary { &[][..] } else { &column.children };
    let children = children.iter().map(|child| place(child, nodes, buffers, message)).collect::<Option<Vec<_>>>()?;
    Some(Values { column, len, nulls: u64::try_from(nulls).ok()?, buffers: own, children })
}

impl Values<'_> {
    /// For each row, whether it has a value.
    pub fn valid(&self, file: &mut File) -> anyhow::Result<Vec<bool>> {
        if self.column.kind == Kind::Null {
            return Ok(vec![false; self.len]);
        }
        if self.nulls == 0 {
            return Ok(vec![true; self.len]);
        }
        let bits = self.buffer(file, 0, self.len.div_ceil(8))?;
        Ok((0..self.len).map(|row| bits[row / 8] >> (row % 8) & 1 == 1).collect())
    }

    /// For each row, where its bytes are in the file: the first one, and how many.
    pub fn bytes(&self, file: &mut File, wide: bool) -> anyhow::Result<Vec<(u64, u64)>> {
        let offsets = self.offsets(file, wide)?;
        let (start, length) = *self.buffers.get(2).context(DAMAGED)?;
        let place = |pair: &[u64]| {
            ensure!(pair[0] <= pair[1] && pair[1] <= length, DAMAGED);
            Ok((start + pair[0], pair[1] - pair[0]))
        };
        offsets.windows(2).map(place).collect()
    }

    /// N + 1 places of the rows among bytes or among the values of a list.
    pub fn offsets(&self, file: &mut File, wide: bool) -> anyhow::Result<Vec<u64>> {
        if self.len == 0 {
            return Ok(Vec::new());
        }
        let width = if wide { 8 } else { 4 };
        let bytes = self.buffer(file, 1, (self.len + 1).checked_mul(width).context(DAMAGED)?)?;
        Ok(bytes.chunks_exact(width).map(little_endian).collect())
    }

    /// For each row, its whole number.
    pub fn integers(&self, file: &mut File, bits: u32, signed: bool) -> anyhow::Result<Vec<i64>> {
        ensure!(matches!(bits, 8 | 16 | 32 | 64), DAMAGED);
        let width = bits as usize / 8;
        let bytes = self.buffer(file, 1, self.len.checked_mul(width).context(DAMAGED)?)?;
        let number = |bytes: &[u8]| {
            let unsigned = little_endian(bytes);
            let shift = 64 - bits;
            if signed { ((unsigned << shift) as i64) >> shift } else { i64::try_from(unsigned).unwrap_or(i64::MAX) }
        };
        Ok(bytes.chunks_exact(width).map(number).collect())
    }

    /// For each row, whether its bit is set.
    pub fn bits(&self, file: &mut File) -> anyhow::Result<Vec<bool>> {
        let bits = self.buffer(file, 1, self.len.div_ceil(8))?;
        Ok((0..self.len).map(|row| bits[row / 8] >> (row % 8) & 1 == 1).collect())
    }

    fn buffer(&self, file: &mut File, index: usize, needed: usize) -> anyhow::Result<Vec<u8>> {
        let (start, length) = *self.buffers.get(index).context(DAMAGED)?;
        ensure!(needed as u64 <= length, DAMAGED);
        read_at(file, start, needed)
    }
}

/// Reads bytes of a file, which is known to have them.
pub(super) fn read_at(file: &mut File, start: u64, length: usize) -> anyhow::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes).context(DAMAGED)?;
    Ok(bytes)
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A table of a flatbuffer. Whatever lies outside of the buffer is absent.
struct Table<'b> {
    buffer: &'b [u8],
    at: usize,
}

impl<'b> Table<'b> {
    fn root(buffer: &'b [u8]) -> Option<Self> {
        Some(Self { buffer, at: number(buffer, 0, 4)? as usize })
    }

    /// Where a field is, if it is there.
    fn place(&self, field: usize) -> Option<usize> {
        let back = number(self.buffer, self.at, 4)? as u32 as i32;
        let fields = usize::try_from(i64::try_from(self.at).ok()? - i64::from(back)).ok()?;
        let entry = 4 + 2 * field;
        if entry + 2 > number(self.buffer, fields, 2)? as usize {
            return None;
        }
        let offset = number(self.buffer, fields + entry, 2)? as usize;
        (offset > 0).then(|| self.at + offset)
    }

    fn u8(&self, field: usize) -> Option<u8> {
        Some(number(self.buffer, self.place(field)?, 1)? as u8)
    }

    fn i16(&self, field: usize) -> Option<i16> {
        Some(number(self.buffer, self.place(field)?, 2)? as u16 as i16)
    }

    fn u32(&self, field: usize) -> Option<u32> {
        Some(number(self.buffer, self.place(field)?, 4)? as u32)
    }

    fn i64(&self, field: usize) -> Option<i64> {
        Some(number(self.buffer, self.place(field)?, 8)? as i64)
    }

    /// Where something is that a field points at.
    fn target(&self, field: usize) -> Option<usize> {
        let at = self.place(field)?;
        at.checked_add(number(self.buffer, at, 4)? as usize)
    }

    fn table(&self, field: usize) -> Option<Self> {
        Some(Self { buffer: self.buffer, at: self.target(field)? })
    }

    /// The number of items of a list of items of `width` bytes, and the first of them.
    fn list(&self, field: usize, width: usize) -> Option<(usize, usize)> {
        let at = self.target(field)?;
        let (count, start) = (number(self.buffer, at, 4)? as usize, at + 4);
        (count.checked_mul(width)?.checked_add(start)? <= self.buffer.len()).then_some((count, start))
    }

    fn text(&self, field: usize) -> Option<String> {
        let (count, start) = self.list(field, 1)?;
        String::from_utf8(self.buffer[start..start + count].to_vec()).ok()
    }

    fn tables(&self, field: usize) -> Option<Vec<Self>> {
        let (count, start) = self.list(field, 4)?;
        let table = |i: usize| {
            let at = start + 4 * i;
            Some(Self { buffer: self.buffer, at: at.checked_add(number(self.buffer, at, 4)? as usize)? })
        };
        (0..count).map(table).collect()
    }

    /// Items of two numbers of 64 bits each.
    fn structs(&self, field: usize) -> Option<Vec<(i64, i64)>> {
        let (count, start) = self.list(field, 16)?;
        let pair = |i: usize| {
            let at = start + 16 * i;
            Some((number(self.buffer, at, 8)? as i64, number(self.buffer, at + 8, 8)? as i64))
        };
        (0..count).map(pair).collect()
    }
}

/// A number of `width` bytes.
fn number(buffer: &[u8], at: usize, width: usize) -> Option<u64> {
    buffer.get(at..at.checked_add(width)?).map(little_endian)
}
