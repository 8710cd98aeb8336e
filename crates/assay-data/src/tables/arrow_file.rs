//! Folders that `datasets.save_to_disk` writes: Arrow files with encoded images inside, beside JSON that describes them.

use std::fs::File;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::arrow_format::{Kind, Values, read_at, read_stream};
use super::parquet_file::{TableColumns, class_names};
use super::rows::{Row, RowLabel, Rows};
use crate::decode::ImageError;
use crate::digests::Digests;
use crate::manifest::{Manifest, Split};
use crate::regular::{open_regular, read_regular};
use crate::source::{Container, Content, ImageSource, MAX_IMAGE_FILE_BYTES, Packed};
use crate::splits::{SplitReader, split_of};

/// Version of what is remembered of a file; raise it when other images or labels are read of the same file.
const ARROW_READER: u32 = 1;
/// Most bytes of a description.
const MAX_JSON_BYTES: u64 = 256 << 20;

/// A file, with the place of each image in it.
#[derive(Debug)]
struct Arrow {
    path: PathBuf,
    places: Vec<(u64, u64)>,
}

impl Container for Arrow {
    fn path(&self) -> &Path {
        &self.path
    }

    fn content(&self, index: usize) -> Result<Content, ImageError> {
        let (start, length) = *self.places.get(index).ok_or(ImageError::Changed)?;
        let mut file = open_regular(&self.path).map_err(ImageError::Unreadable)?;
        let bytes = read_at(&mut file, start, length as usize).map_err(|_| ImageError::Changed)?;
        Ok(Content::Encoded(bytes))
    }
}

/// Remembered of a file: names of classes in its schema; digest, place, length and label of each row.
#[derive(serde::Serialize, serde::Deserialize)]
struct Scan {
    names: Option<Vec<String>>,
    rows: Vec<(String, u64, u64, RowLabel)>,
}

/// Reads a folder that `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote. Names of classes come from `dataset_info.json`
/// of each split, and splits are compared by them.
///
/// # Errors
/// When a file is missing or damaged, a column is missing or of another type, or a split is not known.
pub fn arrow_dataset(path: &Path, columns: &TableColumns, digests: &dyn Digests) -> anyhow::Result<Manifest> {
    let mut all = Rows::default();
    let mut reader = SplitReader::new(&columns.splits);
    let mut parts: Vec<(String, Split)> = Vec::new();
    if path.join("dataset_dict.json").is_file() {
        let described = json(&path.join("dataset_dict.json"))?;
        let names = described.get("splits").and_then(Value::as_array);
        for name in names.with_context(|| format!("{} lists no splits", path.join("dataset_dict.json").display()))? {
            let name = name.as_str().context("a name of a split is no text")?;
            check_name(name)?;
            parts.extend(reader.take(name).map(|split| (name.to_owned(), split)));
        }
    } else {
        ensure!(
            path.join("state.json").is_file(),
            "{} has neither dataset_dict.json nor state.json: expected a folder that `save_to_disk` wrote",
            path.display()
        );
        let named = json(&path.join("state.json"))?;
        let named = named.get("_split").and_then(Value::as_str).map(str::to_owned);
        let split = match named.filter(|name| columns.splits.contains_key(name) || split_of(name).is_some()) {
            Some(name) => reader.take(&name),
            None => Some(Split::Whole),
        };
        parts.extend(split.map(|split| (String::new(), split)));
    }
    all.details.extend(reader.finish("splits").with_context(|| path.display().to_string())?);
    for (name, split) in parts {
        add_split(&mut all, path, &name, split, columns, digests)?;
    }
    all.manifest().with_context(|| path.display().to_string())
}

fn add_split(
    all: &mut Rows,
    path: &Path,
    name: &str,
    split: Split,
    columns: &TableColumns,
    digests: &dyn Digests,
) -> anyhow::Result<()> {
    let folder = if name.is_empty() { path.to_owned() } else { path.join(name) };
    let state = json(&folder.join("state.json"))?;
    let indices = state.get("_indices_data_files").and_then(Value::as_array);
    ensure!(
        indices.is_none_or(Vec::is_empty),
        "{} takes rows by a list of indices, which is not read: save it with a newer `datasets`",
        folder.display()
    );
    let info = folder.join("dataset_info.json");
    let info = if info.is_file() { Some(json(&info)?) } else { None };
    let described = info.as_ref().and_then(|info| class_names(info.get("features")?, &columns.label));
    let files = state.get("_data_files").and_then(Value::as_array);
    for file in files.with_context(|| format!("{} lists no files", folder.join("state.json").display()))? {
        let file = file.get("filename").and_then(Value::as_str).context("a file in state.json has no name")?;
        check_name(file)?;
        let place = folder.join(file);
        let label = if name.is_empty() { file.to_owned() } else { format!("{name}/{file}") };
        let scan = scanned(path, &place, columns, digests)?;
        let names = described.clone().or(scan.names);
        let places = scan.rows.iter().map(|row| (row.1, row.2)).collect();
        let container = Packed::new(Arrow { path: place, places });
        for (index, (digest, _, _, mut shown)) in scan.rows.into_iter().enumerate() {
            let path = format!("{label}/{index}");
            if let Some(names) = &names {
                shown = shown.named(names).with_context(|| path.clone())?;
            }
            let digest = blake3::Hash::from_hex(&digest).context("what was kept of an Arrow file is damaged")?;
            let source = ImageSource::Inside { container: container.clone(), index };
            all.rows.push(Row { path, digest, label: shown, split, source });
        }
        all.lists.extend(names.map(|names| (label, names)));
    }
    Ok(())
}

fn scanned(path: &Path, file: &Path, columns: &TableColumns, digests: &dyn Digests) -> anyhow::Result<Scan> {
    let digest = digests.file(&path.to_string_lossy(), file).with_context(|| format!("reading {}", file.display()))?;
    let bytes = digests.memo(
        &format!("arrow rows {ARROW_READER}"),
        &[digest.as_bytes(), columns.image.as_bytes(), columns.label.as_bytes()],
        &mut || scan(file, columns).with_context(|| file.display().to_string()),
    )?;
    serde_json::from_slice(&bytes).context("what was kept of an Arrow file is damaged")
}

fn scan(path: &Path, columns: &TableColumns) -> anyhow::Result<Vec<u8>> {
    let mut file = open_regular(path)?;
    let mut rows = Vec::new();
    let schema = read_stream(&mut file, |file, values| {
        let images = images_of(file, column(values, &columns.image)?)?;
        let labels = labels_of(file, column(values, &columns.label)?)?;
        for ((start, length), label) in images.into_iter().zip(labels) {
            ensure!(
                length <= MAX_IMAGE_FILE_BYTES,
                "the image of row {} has {length} bytes, and at most {MAX_IMAGE_FILE_BYTES} are read",
                rows.len()
            );
            let digest = blake3::hash(&read_at(file, start, length as usize)?).to_hex().to_string();
            rows.push((digest, start, length, label));
        }
        Ok(())
    })?;
    let text = schema.metadata.iter().find(|(key, _)| key == "huggingface");
    let described: Option<Value> = text.and_then(|(_, text)| serde_json::from_str(text).ok());
    let names = described.as_ref().and_then(|value| class_names(value.get("info")?.get("features")?, &columns.label));
    let has = |name: &String| schema.columns.iter().any(|column| column.name == *name);
    for name in [&columns.image, &columns.label] {
        ensure!(has(name), "there is no column {name:?}");
    }
    Ok(serde_json::to_vec(&Scan { names, rows })?)
}

fn column<'v, 'c>(values: &'v [Values<'c>], name: &str) -> anyhow::Result<&'v Values<'c>> {
    let found = values.iter().find(|values| values.column.name == name);
    found.with_context(|| {
        let names: Vec<&str> = values.iter().map(|values| values.column.name.as_str()).collect();
        format!("there is no column {name:?}; it has {}", names.join(", "))
    })
}

/// Where the image of each row is: bytes, or the field `bytes` of a struct.
fn images_of(file: &mut File, values: &Values<'_>) -> anyhow::Result<Vec<(u64, u64)>> {
    let name = &values.column.name;
    let mut valid = values.valid(file)?;
    let inside = match values.column.kind {
        Kind::Struct => {
            let inside = values.children.iter().find(|child| child.column.name == "bytes");
            inside.with_context(|| format!("column {name:?} has no field \"bytes\""))?
        }
        _ => values,
    };
    let Kind::Bytes { wide } = inside.column.kind else { bail!("column {name:?} holds no bytes of images") };
    ensure!(!inside.column.is_dictionary && inside.len == values.len, "column {name:?} holds no bytes of images");
    for (row, has_bytes) in valid.iter_mut().zip(inside.valid(file)?) {
        *row &= has_bytes;
    }
    if let Some(null) = valid.iter().position(|valid| !valid) {
        bail!(
            "row {null} of a batch has no image in column {name:?} (null, or a path without bytes): leave such rows out, or put the bytes in, when it is saved"
        );
    }
    inside.bytes(file, wide)
}

fn labels_of(file: &mut File, values: &Values<'_>) -> anyhow::Result<Vec<RowLabel>> {
    let name = &values.column.name;
    let valid = values.valid(file)?;
    if let Kind::List { wide } = values.column.kind {
        let inside = values.children.first().with_context(|| format!("column {name:?} holds no lists of labels"))?;
        let each = texts_of(file, inside)?;
        let offsets = values.offsets(file, wide)?;
        let list = |(pair, valid): (&[u64], bool)| -> anyhow::Result<RowLabel> {
            let all = each.get(pair[0] as usize..pair[1] as usize).context("a list of labels is damaged")?;
            let all = all.iter().cloned().collect::<Option<Vec<String>>>().context("a label of a list is null")?;
            Ok(if valid { RowLabel::Several(all) } else { RowLabel::Unknown })
        };
        return offsets.windows(2).zip(valid).map(list).collect();
    }
    let texts = texts_of(file, values)?;
    let one = |(text, valid): (Option<String>, bool)| text.filter(|_| valid).map_or(RowLabel::Unknown, RowLabel::One);
    Ok(texts.into_iter().zip(valid).map(one).collect())
}

/// Labels as text; `None` where there is none.
fn texts_of(file: &mut File, values: &Values<'_>) -> anyhow::Result<Vec<Option<String>>> {
    let name = &values.column.name;
    ensure!(
        !values.column.is_dictionary,
        "column {name:?} is a dictionary, which is not read: save it as text or numbers"
    );
    let valid = values.valid(file)?;
    let texts: Vec<String> = match values.column.kind {
        Kind::Null => vec![String::new(); values.len],
        Kind::Int(bits, signed) => values.integers(file, bits, signed)?.iter().map(i64::to_string).collect(),
        Kind::Bool => values.bits(file)?.iter().map(bool::to_string).collect(),
        Kind::Bytes { wide } => {
            let mut texts = Vec::with_capacity(values.len);
            for (start, length) in values.bytes(file, wide)? {
                ensure!(length <= 1 << 20, "column {name:?} holds a label of {length} bytes");
                let text = String::from_utf8(read_at(file, start, length as usize)?);
                texts.push(text.with_context(|| format!("column {name:?} holds a label that is not UTF-8"))?);
            }
            texts
        }
        _ => bail!("column {name:?} holds neither whole numbers nor names"),
    };
    Ok(texts.into_iter().zip(valid).map(|(text, valid)| valid.then_some(text)).collect())
}

/// A name must be one of a file or folder right here.
fn check_name(name: &str) -> anyhow::Result<()> {
    let mut parts = Path::new(name).components();
    let is_plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    ensure!(is_plain, "{name:?} is no name of a file in a folder of `save_to_disk`");
    Ok(())
}

fn json(path: &Path) -> anyhow::Result<Value> {
    let bytes = read_regular(path, MAX_JSON_BYTES).with_context(|| format!("reading {}", path.display()))?;
    let bytes = bytes.with_context(|| format!("{} has more than {MAX_JSON_BYTES} bytes", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is no JSON", path.display()))
}
