//! WebDataset: tar files with the files of a sample side by side, `key.jpg` and `key.cls`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::json_lines::text;
use super::parquet_file::tables_in;
use super::rows::{Row, RowLabel, Rows};
use crate::archive::Archive;
use crate::digests::Digests;
use crate::folder::is_image;
use crate::litter::Litter;
use crate::manifest::Manifest;
use crate::regular::{check_regular, read_regular};
use crate::source::ImageSource;
use crate::splits::{SplitWords, splits_of_files};

/// Members of a sample that hold its image and its class.
#[derive(Clone, Debug, Default)]
pub struct WebColumns {
    /// Ending of the image, such as `jpg`; absent, it is the one image that a sample has.
    pub image: Option<String>,
    /// Ending of the member with the class: `cls` or `txt`, a number or a name, or `json`; absent, it is `cls`.
    pub label: Option<String>,
    /// Field of a JSON member.
    pub field: String,
    /// Words for splits besides the usual ones.
    pub splits: SplitWords,
}

/// Version of what is remembered of a tar; raise it when other images or labels are read of the same file.
const WEB_READER: u32 = 1;
/// Most files that braces may stand for.
const MAX_SHARDS: u64 = 100_000;
/// Most bytes of a list of classes.
const MAX_LIST_BYTES: u64 = 64 << 20;

/// Gives the files that a path stands for: `name-{000000..000003}.tar` is four, any other path is itself.
///
/// # Errors
/// When the braces hold no numbers from low to high.
pub fn shard_paths(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let text = path.to_string_lossy();
    let Some((before, rest)) = text.split_once('{') else { return Ok(vec![path.to_owned()]) };
    let numbers = || -> Option<(&str, &str, u64, u64)> {
        let (range, after) = rest.split_once('}')?;
        let (low, high) = range.split_once("..")?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        (digits(low) && digits(high) && !after.contains(['{', '}']))
            .then(|| Some((low, after, low.parse().ok()?, high.parse().ok()?)))?
    };
    let found = numbers().filter(|(_, _, low, high)| low <= high && high - low < MAX_SHARDS);
    let (written, after, low, high) = found.with_context(|| {
        format!("{text}: expected numbers in the braces, from low to high, as in name-{{000000..000003}}.tar")
    })?;
    let width = written.len();
    Ok((low..=high).map(|number| format!("{before}{number:0width$}{after}").into()).collect())
}

/// Reads tars: one, several with numbers in braces, or all of a folder. The split is told by names of files or folders, as in
/// Parquet. Where classes are numbers, `classnames.txt` beside the tars (or above) has their names.
///
/// # Errors
/// When a file is missing or damaged, or a sample has no image or no class.
pub fn web_dataset(path: &Path, columns: &WebColumns, digests: &dyn Digests) -> anyhow::Result<Manifest> {
    let mut all = Rows::default();
    let paths = shard_paths(path)?;
    let (names, files) = match paths.as_slice() {
        [one] => tables_in(one, "tar", &mut all.details)?,
        several => {
            let missing: Vec<String> = several
                .iter()
                .filter(|file| check_regular(file).is_err())
                .map(|file| file.display().to_string())
                .collect();
            if let Some(first) = missing.first() {
                bail!(
                    "{} of the {} files of {} are missing, the first is {first}",
                    missing.len(),
                    several.len(),
                    path.display()
                );
            }
            let name = |file: &PathBuf| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (several.iter().map(name).collect(), several.to_vec())
        }
    };
    let (splits, details) = splits_of_files(&names, &columns.splits).with_context(|| path.display().to_string())?;
    all.details.extend(details);
    let list = class_list(path, &files)?;
    let mut litter = Litter::default();
    for ((name, file), split) in names.into_iter().zip(&files).zip(splits) {
        let Some(split) = split else { continue };
        let digest =
            digests.file(&path.to_string_lossy(), file).with_context(|| format!("reading {}", file.display()))?;
        let archive = Arc::new(Archive::open(file)?);
        let settings = format!("{:?} {:?} {:?}", columns.image, columns.label, columns.field);
        let bytes = digests.memo(
            &format!("web dataset {WEB_READER}"),
            &[digest.as_bytes(), settings.as_bytes()],
            &mut || scan(&archive, columns).with_context(|| file.display().to_string()),
        )?;
        let rows: Vec<(String, usize, String, RowLabel)> =
            serde_json::from_slice(&bytes).context("what was kept of a tar file is damaged")?;
        archive.members()?.iter().for_each(|(_, member)| {
            litter.takes(Path::new(member));
        });
        for (key, index, digest, mut label) in rows {
            let path = format!("{name}/{key}");
            if let Some((_, names)) = &list {
                label = label.named(names).with_context(|| path.clone())?;
            }
            let digest = blake3::Hash::from_hex(&digest).context("what was kept of a tar file is damaged")?;
            let source = ImageSource::Member { archive: Arc::clone(&archive), index };
            all.rows.push(Row { path, digest, label, split, source });
        }
    }
    if let Some((place, names)) = list {
        all.details.push(format!("names of classes are from {}", place.display()));
        all.lists.push((place.display().to_string(), names));
    }
    all.details.extend(litter.detail());
    all.manifest().with_context(|| path.display().to_string())
}

/// The names of classes: `classnames.txt` in the folder that was named, or in that of the tars, or above it.
fn class_list(path: &Path, files: &[PathBuf]) -> anyhow::Result<Option<(PathBuf, Vec<String>)>> {
    let beside = files.first().and_then(|file| file.parent()).into_iter();
    let folders = beside.flat_map(|folder| [Some(folder), folder.parent()]).flatten();
    for folder in std::iter::once(path).chain(folders) {
        let place = folder.join("classnames.txt");
        if !place.is_file() {
            continue;
        }
        let bytes = read_regular(&place, MAX_LIST_BYTES).with_context(|| format!("reading {}", place.display()))?;
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.with_context(|| format!("{} is no list of names in UTF-8", place.display()))?;
        let names: Vec<String> =
            text.trim_start_matches('\u{feff}').lines().map(|line| line.trim().to_owned()).collect();
        let twice = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name));
        if let Some((_, name)) = twice {
            bail!("{} lists {name:?} twice", place.display());
        }
        return Ok(Some((place, names)));
    }
    Ok(None)
}

/// The samples of a tar: for each its key, the member with its image and the digest of that, and its label.
fn scan(archive: &Archive, columns: &WebColumns) -> anyhow::Result<Vec<u8>> {
    let mut samples: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    let mut order = Vec::new();
    for (index, name) in archive.members()? {
        if Litter::default().takes(Path::new(&name)) {
            continue;
        }
        let (folder, file) = name.rsplit_once('/').map_or(("", name.as_str()), |(folder, file)| (folder, file));
        let Some((stem, ending)) = file.split_once('.') else { continue };
        let key = if folder.is_empty() { stem.to_owned() } else { format!("{folder}/{stem}") };
        let members = samples.entry(key.clone()).or_insert_with(|| {
            order.push(key.clone());
            BTreeMap::new()
        });
        ensure!(
            members.insert(ending.to_lowercase(), index).is_none(),
            "the sample {key:?} has two members with the ending {ending:?}"
        );
    }
    let label_ending = label_ending(&samples, columns)?;
    let mut rows = Vec::new();
    for key in order {
        let members = &samples[&key];
        let Some(image) = image_of(&key, members, &label_ending, columns)? else { continue };
        let label = members.get(&label_ending).with_context(|| {
            format!("the sample {key:?} has no member with the ending {label_ending:?}; it has {}", endings(members))
        })?;
        let label = label_of(&archive.read(*label)?, &label_ending, &columns.field)
            .with_context(|| format!("{key}.{label_ending}"))?;
        let digest = blake3::hash(&archive.read(image)?).to_hex().to_string();
        rows.push((key, image, digest, label));
    }
    Ok(serde_json::to_vec(&rows)?)
}

/// The ending that labels have: the one that is said; else `cls`; else the only one of `json` and `txt` that there is.
fn label_ending(samples: &BTreeMap<String, BTreeMap<String, usize>>, columns: &WebColumns) -> anyhow::Result<String> {
    if let Some(said) = &columns.label {
        return Ok(said.trim_start_matches('.').to_lowercase());
    }
    let has = |ending: &str| samples.values().any(|members| members.contains_key(ending));
    if has("cls") {
        return Ok("cls".to_owned());
    }
    match (has("json"), has("txt")) {
        (true, false) => Ok("json".to_owned()),
        (false, true) => {
            bail!("its samples have a .txt and no .cls: if that is the class and no caption, say `label: \"txt\"`")
        }
        (true, true) => {
            bail!("its samples have a .json and a .txt: say which holds the class, as in `label: \"json\"`")
        }
        (false, false) => {
            let some = samples.iter().next().map_or_else(String::new, |(_, members)| endings(members));
            bail!("its samples have no .cls, .json or .txt with a class: the first has {some}")
        }
    }
}

fn image_of(
    key: &str,
    members: &BTreeMap<String, usize>,
    label: &str,
    columns: &WebColumns,
) -> anyhow::Result<Option<usize>> {
    if let Some(said) = &columns.image {
        let said = said.trim_start_matches('.').to_lowercase();
        let found = members.get(&said).copied();
        return Ok(Some(found.with_context(|| {
            format!("the sample {key:?} has no member with the ending {said:?}; it has {}", endings(members))
        })?));
    }
    let images: Vec<(&String, usize)> = members
        .iter()
        .filter(|(ending, _)| is_image(Path::new(&format!("x.{ending}"))))
        .map(|(ending, index)| (ending, *index))
        .collect();
    match images.as_slice() {
        [(_, index)] => Ok(Some(*index)),
        // What stands alone, such as a list of contents, is no sample.
        [] if !members.contains_key(label) => Ok(None),
        [] => bail!("the sample {key:?} has no image; it has {}", endings(members)),
        several => bail!(
            "the sample {key:?} has several images, {}: say which, as in `image: {:?}`",
            several.iter().map(|(ending, _)| ending.as_str()).collect::<Vec<_>>().join(" and "),
            several[0].0
        ),
    }
}

fn endings(members: &BTreeMap<String, usize>) -> String {
    members.keys().map(|ending| format!(".{ending}")).collect::<Vec<_>>().join(", ")
}

fn label_of(bytes: &[u8], ending: &str, field: &str) -> anyhow::Result<RowLabel> {
    let label = std::str::from_utf8(bytes).context("the class is not UTF-8")?.trim();
    if ending != "json" && !ending.ends_with(".json") {
        ensure!(
            !label.is_empty() && !label.contains('\n'),
            "expected one class, found {:?}",
            label.chars().take(80).collect::<String>()
        );
        return Ok(RowLabel::One(label.to_owned()));
    }
    let value: Value = serde_json::from_str(label).context("it is no JSON")?;
    let found = match &value {
        Value::Object(fields) => fields.get(field).with_context(|| {
            let names: Vec<&str> = fields.keys().map(String::as_str).collect();
            format!("there is no field {field:?}; it has {}", names.join(", "))
        })?,
        other => other,
    };
    Ok(match found {
        Value::Array(items) => {
            let names = items.iter().map(|item| text(item)?.context("a label of a list is empty"));
            RowLabel::Several(names.collect::<anyhow::Result<_>>()?)
        }
        one => text(one)?.map_or(RowLabel::Unknown, RowLabel::One),
    })
}
