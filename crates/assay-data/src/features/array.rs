//! Arrays in files: `.npy`, `.npz` and safetensors, read block by block.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use assay_pickle::NpyHeader;
use half::{bf16, f16};
use safetensors::tensor::{Dtype, Metadata};

use crate::regular::open_regular;

/// An array that is packed in an `.npz` may unpack to this much; others are read in place.
const MAX_UNPACKED_BYTES: u64 = 4 << 30;
/// The format of safetensors allows no longer header.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Kind of the elements of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Float,
    /// Upper half of a 32-bit float.
    BFloat,
    Int,
    UInt,
    Bool,
    /// Text of a fixed number of characters, four bytes each.
    Unicode,
    /// Text of a fixed number of bytes.
    Bytes,
}

/// Type of the elements of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub kind: Kind,
    /// Bytes of an element.
    pub size: usize,
    pub is_big_endian: bool,
}

/// An array of a file.
#[derive(Debug)]
pub(super) struct Array {
    pub element: Element,
    pub shape: Vec<usize>,
    is_fortran: bool,
    numbers: Numbers,
}

#[derive(Debug)]
enum Numbers {
    /// They lie in this file, from this byte on.
    File(PathBuf, u64),
    /// They were packed.
    Memory(Vec<u8>),
}

/// Kind of a file, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    Npy,
    Npz,
    Safetensors,
    Parquet,
    /// Lines, or a table with commas.
    Text,
}

impl Container {
    /// Looks at the first bytes of a file.
    ///
    /// # Errors
    /// When it cannot be read, or is of a kind that holds features and is not read.
    pub fn of(path: &Path) -> anyhow::Result<Self> {
        let mut head = Vec::new();
        open_regular(path)?.take(16).read_to_end(&mut head)?;
        let is_safetensors = head.len() > 9
            && head[8] == b'{'
            && u64::from_le_bytes(head[..8].try_into().expect("eight bytes")) <= MAX_HEADER_BYTES;
        Ok(match head.as_slice() {
            [b'P', b'K', 3 | 5, 4 | 6, ..] => Self::Npz,
            [b'P', b'A', b'R', b'1', ..] => Self::Parquet,
            [0x89, b'H', b'D', b'F', ..] => {
                bail!("it is an HDF5 file, which is not read: write its arrays with `numpy.save` or `numpy.savez`")
            }
            [0x80, 2..=5, ..] => {
                bail!("it is a pickle, which is not read: write the array with `numpy.save` or `numpy.savez`")
            }
            head if head.starts_with(NpyHeader::MAGIC) => Self::Npy,
            _ if is_safetensors => Self::Safetensors,
            head if std::str::from_utf8(head).is_ok() || !head.contains(&0) => Self::Text,
            _ => bail!("it is no .npy, .npz, .safetensors or Parquet file, and no text"),
        })
    }

    /// True if a file of this kind holds arrays by name.
    pub fn has_names(self) -> bool {
        !matches!(self, Self::Npy | Self::Text)
    }
}

/// Texts that the metadata of a safetensors file has under this name, as a list in JSON.
pub(super) fn texts_beside(path: &Path, name: &str) -> anyhow::Result<Option<Vec<String>>> {
    let (_, header) = safetensors_header(path)?;
    let text = header.metadata().as_ref().and_then(|texts| texts.get(name));
    Ok(text.and_then(|text| serde_json::from_str(text).ok()))
}

/// Names of the arrays in an `.npz` or a safetensors file.
pub(super) fn names(path: &Path, container: Container) -> anyhow::Result<Vec<String>> {
    match container {
        Container::Npz => {
            let zip = open_zip(path)?;
            Ok(zip.file_names().filter_map(|name| Some(name.ok()?.strip_suffix(".npy")?.to_owned())).collect())
        }
        Container::Safetensors => Ok(safetensors_header(path)?.1.offset_keys()),
        _ => Ok(Vec::new()),
    }
}

impl Array {
    /// The array with this name; of an `.npy` file, the only one.
    ///
    /// # Errors
    /// When it is not there, is of a type that is not read, or the file is damaged.
    pub fn open(path: &Path, container: Container, name: &str) -> anyhow::Result<Self> {
        let array = match container {
            Container::Npy => {
                let mut file = open_regular(path)?;
                let header = NpyHeader::read(&mut file).map_err(|what| anyhow::anyhow!("it {what}"))?;
                let numbers = Numbers::File(path.to_owned(), header.length);
                let after = file.metadata()?.len().saturating_sub(header.length);
                Self::of_numpy(header, numbers, after)
            }
            Container::Npz => npz_member(path, name),
            Container::Safetensors => safetensors_tensor(path, name),
            Container::Parquet | Container::Text => bail!("it holds no arrays"),
        }?;
        ensure!(array.element.size > 0 || array.shape.contains(&0), "its elements have no bytes");
        Ok(array)
    }

    /// The array of a header, with `bytes` of numbers after it.
    fn of_numpy(header: NpyHeader, numbers: Numbers, bytes: u64) -> anyhow::Result<Self> {
        let element = numpy_element(&header.descr)?;
        let array = Self { element, shape: header.shape, is_fortran: header.is_fortran, numbers };
        let wanted = array.bytes().context("its shape is impossible")?;
        ensure!(wanted <= bytes, "it is truncated: its header tells of {wanted} bytes, and {bytes} follow");
        ensure!(wanted == bytes, "{} bytes follow after its numbers: save one array in a file", bytes - wanted);
        Ok(array)
    }

    fn bytes(&self) -> Option<u64> {
        let count = self.shape.iter().try_fold(self.element.size as u64, |n, d| n.checked_mul(u64::try_from(*d).ok()?));
        count.filter(|count| usize::try_from(*count).is_ok())
    }

    /// Number of elements along the first axis; a scalar has none.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }

    /// Elements of a row: the product of the other axes.
    pub fn row_len(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// The bytes of `count` rows from `first` on, row after row.
    pub fn read(&self, first: usize, count: usize) -> anyhow::Result<Vec<u8>> {
        ensure!(first.checked_add(count).is_some_and(|end| end <= self.rows()), "it has fewer rows than before");
        let (size, len) = (self.element.size, self.row_len());
        if !self.is_fortran || self.shape.len() < 2 {
            return self.numbers.read((first * len * size) as u64, count * len * size);
        }
        // Column by column; what is read is put where its row is.
        ensure!(self.shape.len() == 2, "it is in Fortran's order with {} axes", self.shape.len());
        let mut out = vec![0; count * len * size];
        for column in 0..len {
            let part = self.numbers.read(((column * self.rows() + first) * size) as u64, count * size)?;
            for (row, element) in part.chunks_exact(size).enumerate() {
                out[(row * len + column) * size..][..size].copy_from_slice(element);
            }
        }
        Ok(out)
    }
}

impl Numbers {
    fn read(&self, start: u64, count: usize) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::Memory(bytes) => Ok(bytes[start as usize..][..count].to_vec()),
            Self::File(path, offset) => {
                let mut file = open_regular(path)?;
                file.seek(SeekFrom::Start(offset + start))?;
                let mut bytes = Vec::new();
                file.take(count as u64).read_to_end(&mut bytes)?;
                ensure!(bytes.len() == count, "the file ends early: it is truncated");
                Ok(bytes)
            }
        }
    }
}

/// The type that numpy calls `descr`.
fn numpy_element(descr: &str) -> anyhow::Result<Element> {
    let (order, rest) = descr.split_at(descr.len().min(1));
    let (kind, size) = rest.split_at(rest.len().min(1));
    let unread = || match kind {
        "O" => "it holds Python objects, which are not read: save numbers, or text with `astype(str)`".to_owned(),
        _ => format!("it is of type {descr:?}, which is not read"),
    };
    let size: usize = size.parse().ok().filter(|size| *size <= 1 << 20).with_context(unread)?;
    let (kind, size) = match (kind, size) {
        ("f", 2 | 4 | 8) => (Kind::Float, size),
        ("i", 1 | 2 | 4 | 8) => (Kind::Int, size),
        ("u", 1 | 2 | 4 | 8) => (Kind::UInt, size),
        ("b", 1) => (Kind::Bool, 1),
        ("U", _) => (Kind::Unicode, 4 * size),
        ("S", _) => (Kind::Bytes, size),
        _ => bail!(unread()),
    };
    Ok(Element { kind, size, is_big_endian: order == ">" })
}

fn open_zip(path: &Path) -> anyhow::Result<zip::ZipArchive<std::io::BufReader<File>>> {
    zip::ZipArchive::new(std::io::BufReader::new(open_regular(path)?)).context("the zip cannot be read")
}

fn npz_member(path: &Path, name: &str) -> anyhow::Result<Array> {
    let mut zip = open_zip(path)?;
    let mut member = zip.by_name(&format!("{name}.npy")).with_context(|| format!("the array {name:?}"))?;
    let size = member.size();
    let header = NpyHeader::read(&mut member).map_err(|what| anyhow::anyhow!("the array {name:?} {what}"))?;
    let after = size.saturating_sub(header.length);
    let start = member.data_start().filter(|_| member.compression() == zip::CompressionMethod::Stored);
    let numbers = match start {
        Some(start) => Numbers::File(path.to_owned(), start + header.length),
        None => {
            ensure!(
                after <= MAX_UNPACKED_BYTES,
                "the array {name:?} unpacks to {after} bytes, and at most {MAX_UNPACKED_BYTES} are: write it with \
                 `numpy.savez`, which does not pack"
            );
            let mut bytes = Vec::new();
            member.take(after).read_to_end(&mut bytes).with_context(|| format!("unpacking the array {name:?}"))?;
            ensure!(bytes.len() as u64 == after, "the array {name:?} ends early");
            Numbers::Memory(bytes)
        }
    };
    Array::of_numpy(header, numbers, after).with_context(|| format!("the array {name:?}"))
}

/// The place where the numbers begin, and what the header says of them.
fn safetensors_header(path: &Path) -> anyhow::Result<(u64, Metadata)> {
    let mut file = open_regular(path)?;
    let mut length = [0; 8];
    file.read_exact(&mut length).context("it ends early")?;
    let length = u64::from_le_bytes(length);
    ensure!(length <= MAX_HEADER_BYTES, "its header is said to have {length} bytes");
    let mut header = Vec::new();
    (&mut file).take(length).read_to_end(&mut header)?;
    let metadata: Metadata = serde_json::from_slice(&header).context("its header cannot be read")?;
    let (told, found) = (8 + length + metadata.data_len() as u64, file.metadata()?.len());
    ensure!(told == found, "its header tells of {told} bytes in all, and it has {found}");
    Ok((8 + length, metadata))
}

fn safetensors_tensor(path: &Path, name: &str) -> anyhow::Result<Array> {
    let (start, metadata) = safetensors_header(path)?;
    let tensor = metadata.info(name).with_context(|| format!("it has no tensor {name:?}"))?;
    let (kind, size) = match tensor.dtype {
        Dtype::F16 => (Kind::Float, 2),
        Dtype::BF16 => (Kind::BFloat, 2),
        Dtype::F32 => (Kind::Float, 4),
        Dtype::F64 => (Kind::Float, 8),
        Dtype::I8 => (Kind::Int, 1),
        Dtype::I16 => (Kind::Int, 2),
        Dtype::I32 => (Kind::Int, 4),
        Dtype::I64 => (Kind::Int, 8),
        Dtype::U8 => (Kind::UInt, 1),
        Dtype::U16 => (Kind::UInt, 2),
        Dtype::U32 => (Kind::UInt, 4),
        Dtype::U64 => (Kind::UInt, 8),
        Dtype::BOOL => (Kind::Bool, 1),
        other => bail!("its tensor {name:?} is of type {other:?}, which is not read"),
    };
    let numbers = Numbers::File(path.to_owned(), start + tensor.data_offsets.0 as u64);
    let element = Element { kind, size, is_big_endian: false };
    let array = Array { element, shape: tensor.shape.clone(), is_fortran: false, numbers };
    let told = (tensor.data_offsets.1 - tensor.data_offsets.0) as u64;
    ensure!(array.bytes() == Some(told), "its tensor {name:?} has a size that does not fit its shape");
    Ok(array)
}

impl Element {
    /// Adds the numbers as they are in double precision; text has none.
    pub fn numbers(self, bytes: &[u8]) -> Option<Vec<f64>> {
        macro_rules! read {
            ($type:ty, $convert:expr) => {{
                let from = if self.is_big_endian { <$type>::from_be_bytes } else { <$type>::from_le_bytes };
                let chunks = bytes.chunks_exact(size_of::<$type>());
                chunks.map(|c| $convert(from(c.try_into().expect("chunks of this size")))).collect()
            }};
        }
        Some(match (self.kind, self.size) {
            (Kind::Float, 2) => read!(f16, f64::from),
            (Kind::BFloat, _) => read!(bf16, f64::from),
            (Kind::Float, 4) => read!(f32, f64::from),
            (Kind::Float, _) => read!(f64, |v| v),
            (Kind::Int, 1) => read!(i8, f64::from),
            (Kind::Int, 2) => read!(i16, f64::from),
            (Kind::Int, 4) => read!(i32, f64::from),
            (Kind::Int, _) => read!(i64, |v| v as f64),
            (Kind::UInt, 1) => read!(u8, f64::from),
            (Kind::UInt, 2) => read!(u16, f64::from),
            (Kind::UInt, 4) => read!(u32, f64::from),
            (Kind::UInt, _) => read!(u64, |v| v as f64),
            (Kind::Bool, _) => bytes.iter().map(|b| f64::from(u8::from(*b != 0))).collect(),
            (Kind::Unicode | Kind::Bytes, _) => return None,
        })
    }

    /// The texts; numbers have none.
    ///
    /// # Errors
    /// When one is no text.
    pub fn texts(self, bytes: &[u8]) -> anyhow::Result<Option<Vec<String>>> {
        if self.size == 0 {
            return Ok(None);
        }
        let chunks = bytes.chunks_exact(self.size);
        let all: Option<Vec<String>> = match self.kind {
            Kind::Bytes => chunks
                .map(|text| {
                    let end = text.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
                    String::from_utf8(text[..end].to_vec()).ok()
                })
                .collect(),
            Kind::Unicode => chunks
                .map(|text| {
                    let codes = text.chunks_exact(4).map(|c| {
                        let c = c.try_into().expect("four bytes");
                        if self.is_big_endian { u32::from_be_bytes(c) } else { u32::from_le_bytes(c) }
                    });
                    let text: Option<String> = codes.map(char::from_u32).collect();
                    text.map(|text| text.trim_end_matches('\0').to_owned())
                })
                .collect(),
            _ => return Ok(None),
        };
        all.map(Some).context("it holds what is no text")
    }
}
