//! TensorFlow's V2 checkpoints: a sorted table of names (`.index`) and files of numbers (`.data-00000-of-00001`).
//!
//! The table is that of LevelDB: blocks of entries whose keys share prefixes, an index block, and a footer. Its values are
//! protocol buffers (`BundleHeaderProto`, `BundleEntryProto` of `tensor_bundle.proto`), of which a few fields matter. Every
//! block and every tensor has a checksum, and all are checked. Strings and partitioned variables are not read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::bytes::{check_kind, read_exactly};
use crate::{Checkpoint, CheckpointError, Dtype, RawTensor, damaged, read_file};

const MAGIC: [u8; 8] = 0xdb47_7524_8b80_fb57_u64.to_le_bytes();
const FOOTER: usize = 48;
/// A table of a million names is smaller.
pub const MAX_INDEX: u64 = 256 << 20;
const MAX_SHARDS: u64 = 4096;
const MAX_NAME: usize = 4096;
/// Bytes of all names. Names share their beginnings, so that a small index could hold many long ones.
const MAX_NAMES: usize = 64 << 20;

type Reading<T> = Result<T, CheckpointError>;

/// Tells whether these bytes are a table.
pub fn is_index(bytes: &[u8]) -> bool {
    bytes.len() >= FOOTER && bytes.ends_with(&MAGIC)
}

/// The files that belong to an index: itself, and those with the numbers.
pub fn files(index: &Path) -> Reading<Vec<PathBuf>> {
    let table = Table::parse(&read_file(index, MAX_INDEX)?)?;
    let mut files = vec![index.to_owned()];
    files.extend((0..table.shards).map(|shard| data_file(index, shard, table.shards)));
    Ok(files)
}

/// Checks that an index can be read; what it names is not looked at.
pub fn check_index(bytes: &[u8]) -> Reading<()> {
    Table::parse(bytes).map(|_| ())
}

/// Reads all tensors of numbers.
pub fn read(index: &Path) -> Reading<Checkpoint> {
    let open = |shard, shards| {
        let path = data_file(index, shard, shards);
        let kind = path.metadata().map_err(CheckpointError::Io).and_then(|found| check_kind(found.file_type()));
        let file = kind.and_then(|()| Ok(File::open(&path)?));
        file.map_err(|e| damaged(format!("{}: {e}", path.display())))
    };
    read_parts(&read_file(index, MAX_INDEX)?, open)
}

/// Reads all tensors of numbers of an index that is in memory; `open` gives the file with this number, of so many.
pub fn read_parts<F: Read + Seek>(index: &[u8], open: impl Fn(u64, u64) -> Reading<F>) -> Reading<Checkpoint> {
    let table = Table::parse(index)?;
    let mut files = BTreeMap::new();
    let mut tensors = BTreeMap::new();
    for (name, entry) in &table.entries {
        let Some(dtype) = entry.dtype()? else { continue };
        let shard = match files.entry(entry.shard) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(new) => new.insert(open(entry.shard, table.shards)?),
        };
        let tensor = entry.read(dtype, shard).map_err(|what| damaged(format!("the tensor {name} {what}")))?;
        tensors.insert(name.clone(), tensor);
    }
    Ok(Checkpoint { format: "TensorFlow checkpoint", container: None, tensors, unread: BTreeMap::new() })
}

fn data_file(index: &Path, shard: u64, shards: u64) -> PathBuf {
    index.with_extension(format!("data-{shard:05}-of-{shards:05}"))
}

/// Content of the index.
#[derive(Debug)]
struct Table {
    shards: u64,
    entries: BTreeMap<String, Entry>,
}

/// Place of a tensor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry {
    kind: u64,
    shape: Vec<u64>,
    shard: u64,
    offset: u64,
    size: u64,
    checksum: u32,
    is_partitioned: bool,
}

impl Table {
    /// Reads an index that is in memory.
    fn parse(bytes: &[u8]) -> Reading<Self> {
        if !is_index(bytes) {
            return Err(damaged("the index ends early or is of another kind"));
        }
        let mut footer = &bytes[bytes.len() - FOOTER..];
        let (_meta, index) = (handle(&mut footer)?, handle(&mut footer)?);
        let mut table = Self { shards: 0, entries: BTreeMap::new() };
        let mut left = MAX_NAMES;
        for (_, mut value) in entries(block(bytes, index)?, &mut left)? {
            let data = handle(&mut value)?;
            for (name, value) in entries(block(bytes, data)?, &mut left)? {
                table.add(&name, value)?;
            }
        }
        if !(1..=MAX_SHARDS).contains(&table.shards) {
            return Err(damaged(format!("its numbers are said to be in {} files", table.shards)));
        }
        match table.entries.iter().find(|(_, entry)| entry.shard >= table.shards) {
            Some((name, _)) => Err(damaged(format!("the tensor {name} is in a file that does not exist"))),
            None => Ok(table),
        }
    }

    /// The entry without a name is the header.
    fn add(&mut self, name: &[u8], value: &[u8]) -> Reading<()> {
        if name.is_empty() {
            for field in fields(value)? {
                match field {
                    (1, Field::Number(shards)) => self.shards = shards,
                    (2, Field::Number(1)) => {
                        return Err(CheckpointError::NotRead(
                            "its numbers are big-endian, which is not read".to_owned(),
                        ));
                    }
                    _ => {}
                }
            }
            return Ok(());
        }
        let name = std::str::from_utf8(name).map_err(|_| damaged("a name is not UTF-8"))?;
        self.entries.insert(name.to_owned(), Entry::parse(value)?);
        Ok(())
    }
}

impl Entry {
    fn parse(value: &[u8]) -> Reading<Self> {
        let mut entry = Self::default();
        for field in fields(value)? {
            match field {
                (1, Field::Number(kind)) => entry.kind = kind,
                (2, Field::Bytes(shape)) => entry.shape = sizes(shape)?,
                (3, Field::Number(shard)) => entry.shard = shard,
                (4, Field::Number(offset)) => entry.offset = offset,
                (5, Field::Number(size)) => entry.size = size,
                (6, Field::Fixed(checksum)) => entry.checksum = checksum,
                (7, _) => entry.is_partitioned = true,
                _ => {}
            }
        }
        Ok(entry)
    }

    /// The type of the numbers, by `types.proto`; absent for strings and what no network is made of.
    fn dtype(&self) -> Reading<Option<Dtype>> {
        if self.is_partitioned {
            return Err(CheckpointError::NotRead("it has partitioned variables, which are not read".to_owned()));
        }
        Ok(Some(match self.kind {
            1 => Dtype::F32,
            2 => Dtype::F64,
            3 => Dtype::I32,
            4 => Dtype::U8,
            5 => Dtype::I16,
            6 => Dtype::I8,
            9 => Dtype::I64,
            10 => Dtype::Bool,
            14 => Dtype::Bf16,
            19 => Dtype::F16,
            _ => return Ok(None),
        }))
    }

    fn read(&self, dtype: Dtype, file: &mut (impl Read + Seek)) -> Result<RawTensor, String> {
        let wrong = || "has a size that does not fit its shape".to_owned();
        let shape: Option<Vec<usize>> = self.shape.iter().map(|d| usize::try_from(*d).ok()).collect();
        let shape = shape.ok_or_else(wrong)?;
        let count = shape.iter().try_fold(dtype.size(), |n, d| n.checked_mul(*d)).ok_or_else(wrong)?;
        if count as u64 != self.size {
            return Err(wrong());
        }
        // Before memory is taken for it.
        let length = file.seek(SeekFrom::End(0)).map_err(|e| e.to_string())?;
        if self.offset.checked_add(self.size).is_none_or(|end| end > length) {
            return Err("reaches beyond the end of its file: the file is truncated".to_owned());
        }
        file.seek(SeekFrom::Start(self.offset)).map_err(|e| e.to_string())?;
        let bytes = read_exactly(file, self.size).map_err(|e| e.to_string())?.ok_or("ends early")?;
        if !is_sum(masked(crc32c::crc32c(&bytes)), self.checksum) {
            return Err("does not have its checksum: the file is damaged".to_owned());
        }
        Ok(RawTensor { dtype, shape, bytes })
    }
}

/// Tells whether two checksums are equal. A fuzzer, which changes bytes at random, is let past them.
fn is_sum(found: u32, expected: u32) -> bool {
    found == expected || cfg!(fuzzing)
}

/// The form in which LevelDB stores a checksum.
fn masked(checksum: u32) -> u32 {
    checksum.rotate_right(15).wrapping_add(0xa282_ead8)
}

fn varint(bytes: &mut &[u8]) -> Reading<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let [first, rest @ ..] = *bytes else { break };
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(damaged("a number in the index does not end"))
}

fn split<'b>(bytes: &mut &'b [u8], length: u64) -> Reading<&'b [u8]> {
    let length = usize::try_from(length).ok().filter(|n| *n <= bytes.len());
    let (part, rest) = bytes.split_at(length.ok_or_else(|| damaged("the index ends early"))?);
    *bytes = rest;
    Ok(part)
}

/// Offset and size of a block.
fn handle(bytes: &mut &[u8]) -> Reading<(u64, u64)> {
    Ok((varint(bytes)?, varint(bytes)?))
}

/// A block without its trailer: one byte for the compression and the checksum.
fn block(bytes: &[u8], (offset, size): (u64, u64)) -> Reading<&[u8]> {
    let mut rest = bytes;
    split(&mut rest, offset)?;
    let content = split(&mut rest, size)?;
    let trailer = split(&mut rest, 5)?;
    if trailer[0] != 0 {
        return Err(damaged("its index is compressed, which TensorFlow does not write"));
    }
    let expected = u32::from_le_bytes(trailer[1..].try_into().expect("four bytes"));
    if !is_sum(masked(crc32c::crc32c_append(crc32c::crc32c(content), &trailer[..1])), expected) {
        return Err(damaged("its index does not have its checksum"));
    }
    Ok(content)
}

type KeyValues<'b> = Vec<(Vec<u8>, &'b [u8])>;

/// The entries of a block; what they cost is taken from `left`.
fn entries<'b>(block: &'b [u8], left: &mut usize) -> Reading<KeyValues<'b>> {
    let short = || damaged("a block of the index is too short");
    let (body, restarts) = block.split_at(block.len().checked_sub(4).ok_or_else(short)?);
    let restarts = u32::from_le_bytes(restarts.try_into().expect("four bytes")) as usize;
    let end = restarts.checked_mul(4).and_then(|n| body.len().checked_sub(n)).ok_or_else(short)?;
    let mut rest = &body[..end];
    let mut found: KeyValues<'_> = Vec::new();
    let mut key: Vec<u8> = Vec::new();
    while !rest.is_empty() {
        let (shared, own, length) = (varint(&mut rest)?, varint(&mut rest)?, varint(&mut rest)?);
        let own = split(&mut rest, own)?;
        key.truncate(usize::try_from(shared).unwrap_or(usize::MAX));
        if key.len() as u64 != shared || key.len() + own.len() > MAX_NAME {
            return Err(damaged("a name in the index makes no sense"));
        }
        key.extend_from_slice(own);
        let cost = left.checked_sub(key.len() + 64);
        *left = cost.ok_or_else(|| CheckpointError::TooLarge("its index names too much".to_owned()))?;
        found.push((key.clone(), split(&mut rest, length)?));
    }
    Ok(found)
}

enum Field<'b> {
    Number(u64),
    Fixed(u32),
    Bytes(&'b [u8]),
}

/// The fields of a protocol buffer, with their numbers.
fn fields(mut bytes: &[u8]) -> Reading<Vec<(u64, Field<'_>)>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut bytes)?),
            1 => {
                split(&mut bytes, 8)?;
                continue;
            }
            2 => {
                let length = varint(&mut bytes)?;
                Field::Bytes(split(&mut bytes, length)?)
            }
            5 => Field::Fixed(u32::from_le_bytes(split(&mut bytes, 4)?.try_into().expect("four bytes"))),
            _ => return Err(damaged("an entry of the index makes no sense")),
        };
        found.push((tag >> 3, field));
    }
    Ok(found)
}

/// `TensorShapeProto`: dimensions in field 2, each with its size in field 1.
fn sizes(shape: &[u8]) -> Reading<Vec<u64>> {
    let mut sizes = Vec::new();
    for field in fields(shape)? {
        if let (2, Field::Bytes(dimension)) = field {
            let size = fields(dimension)?.into_iter().find_map(|field| match field {
                (1, Field::Number(size)) => Some(size),
                _ => None,
            });
            sizes.push(size.unwrap_or(0));
        }
    }
    if sizes.len() > 16 {
        return Err(damaged("a shape in the index makes no sense"));
    }
    Ok(sizes)
}
