//! Splits by the words that name them, in tables and in the names of files and folders.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{bail, ensure};

use crate::classes::some;
use crate::manifest::Split;

/// Use of the images that a split word names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
pub enum SplitUse {
    /// Training images.
    Train,
    /// Validation images.
    Val,
    /// Test images.
    Test,
    /// The images are left out.
    Skip,
}

impl SplitUse {
    /// The split, unless the images are left out.
    pub fn split(self) -> Option<Split> {
        match self {
            Self::Train => Some(Split::Train),
            Self::Val => Some(Split::Val),
            Self::Test => Some(Split::Test),
            Self::Skip => None,
        }
    }
}

/// Words for splits besides the usual ones.
pub type SplitWords = BTreeMap<String, SplitUse>;

/// Finds the split that a word means.
pub fn split_of(name: &str) -> Option<Split> {
    match name.trim().to_lowercase().as_str() {
        "train" | "training" => Some(Split::Train),
        "val" | "valid" | "validation" | "dev" => Some(Split::Val),
        "test" | "testing" => Some(Split::Test),
        _ => None,
    }
}

/// The splits of rows or files, each named by a word; collects the words that mean nothing.
pub(crate) struct SplitReader<'w> {
    words: &'w SplitWords,
    used: BTreeSet<&'w str>,
    unknown: BTreeMap<String, usize>,
    skipped: BTreeMap<String, usize>,
}

impl<'w> SplitReader<'w> {
    pub fn new(words: &'w SplitWords) -> Self {
        Self { words, used: BTreeSet::new(), unknown: BTreeMap::new(), skipped: BTreeMap::new() }
    }

    /// The split that a word means; `None` where its images are left out, or where it means nothing, which
    /// [`finish`](Self::finish) tells.
    pub fn take(&mut self, word: &str) -> Option<Split> {
        if let Some((known, used_as)) = self.words.get_key_value(word) {
            self.used.insert(known);
            if *used_as == SplitUse::Skip {
                *self.skipped.entry(word.to_owned()).or_default() += 1;
            }
            return used_as.split();
        }
        let split = split_of(word);
        if split.is_none() {
            *self.unknown.entry(word.to_owned()).or_default() += 1;
        }
        split
    }

    /// Tells what was left out. `what` are the things that words were asked for, such as `rows`.
    ///
    /// # Errors
    /// When a word means nothing, or one that `splits` names is not there.
    pub fn finish(self, what: &str) -> anyhow::Result<Option<String>> {
        if !self.unknown.is_empty() {
            let listed: Vec<String> =
                self.unknown.iter().take(8).map(|(word, count)| format!("{word:?} ({count} {what})")).collect();
            let first = self.unknown.keys().next().map_or("", String::as_str);
            bail!(
                "no split is called {}: say what each is, as in `splits: {{{first:?}: Skip}}`, with Train, Val, Test or Skip (left out)",
                listed.join(", ")
            );
        }
        let unused: Vec<&str> =
            self.words.keys().map(String::as_str).filter(|word| !self.used.contains(word)).collect();
        ensure!(unused.is_empty(), "`splits` names {}, which no {} has", some(&unused), what.trim_end_matches('s'));
        let listed: Vec<String> =
            self.skipped.iter().map(|(word, count)| format!("{count} {what} of {word:?}")).collect();
        Ok((!listed.is_empty()).then(|| format!("left out by `splits`: {}", listed.join(", "))))
    }
}

/// The place of a shard among those of its name, as in `train-00001-of-00002`: what stands before, its number, and how many
/// there are.
fn shard_number(stem: &str) -> Option<(&str, u32, u32)> {
    let (rest, count) = stem.rsplit_once("-of-")?;
    let (name, number) = rest.rsplit_once('-')?;
    let digits = |text: &str| text.len() >= 4 && text.bytes().all(|b| b.is_ascii_digit());
    // `datasets` may write a digest of the content after the count.
    let count = count.split_once('-').map_or(count, |(count, _)| count);
    (digits(number) && digits(count)).then(|| Some((name, number.parse().ok()?, count.parse().ok()?)))?
}

/// The word for the split of a file, by its path inside the dataset: what stands before `-00000-of-00001`; else a folder
/// `split=name` or one that is called like a split; else the folder of a file that is a number alone
/// (`default/train/0000.parquet`); else the beginning of the name of the file.
pub(crate) fn split_word(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = path.split('/').collect();
    let file = parts.pop().unwrap_or_default();
    let stem = file.split('.').next().unwrap_or_default();
    let whole_stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    if let Some((name, ..)) = shard_number(whole_stem).filter(|(name, ..)| *name != "data") {
        return Some(name.to_owned());
    }
    let folders = || parts.iter().rev();
    if let Some(word) = folders().find_map(|folder| folder.strip_prefix("split=")) {
        return Some(word.to_owned());
    }
    if let Some(word) = folders().find(|folder| split_of(folder).is_some()) {
        return Some((*word).to_owned());
    }
    let is_number = !stem.is_empty() && stem.bytes().all(|b| b.is_ascii_digit());
    if let Some(folder) = parts.last().filter(|_| is_number) {
        return Some((*folder).to_owned());
    }
    let first = stem.split(['-', '_']).next().unwrap_or_default();
    split_of(first).map(|_| first.to_owned())
}

/// The splits of files, by their paths inside the dataset; `None` for those that are left out. Where no path has a word, all
/// are of one split.
///
/// # Errors
/// When a word means nothing, some files have one and others have none, or a shard is missing.
pub(crate) fn splits_of_files(
    paths: &[String],
    words: &SplitWords,
) -> anyhow::Result<(Vec<Option<Split>>, Vec<String>)> {
    let named: Vec<Option<String>> = paths.iter().map(|path| split_word(path)).collect();
    if named.iter().all(Option::is_none) && words.is_empty() {
        let detail =
            "no name of a file or folder says train, val or test: all images are of one split, Whole".to_owned();
        check_shards(paths.iter())?;
        return Ok((vec![Some(Split::Whole); paths.len()], vec![detail]));
    }
    let mut reader = SplitReader::new(words);
    let word = |path: &String, named: Option<String>| {
        if words.contains_key(path) { path.clone() } else { named.unwrap_or_else(|| path.clone()) }
    };
    let splits: Vec<Option<Split>> =
        paths.iter().zip(named).map(|(path, named)| reader.take(&word(path, named))).collect();
    let mut details = Vec::new();
    details.extend(reader.finish("files")?);
    // What is left out need not be whole.
    check_shards(paths.iter().zip(&splits).filter(|(_, split)| split.is_some()).map(|(path, _)| path))?;
    Ok((splits, details))
}

/// Looks whether all shards are there that names speak of.
fn check_shards<'p>(paths: impl Iterator<Item = &'p String>) -> anyhow::Result<()> {
    let mut groups: BTreeMap<(&str, &str), BTreeMap<u32, BTreeSet<u32>>> = BTreeMap::new();
    for path in paths {
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
        let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
        if let Some((name, number, count)) = shard_number(stem) {
            groups.entry((folder, name)).or_default().entry(count).or_default().insert(number);
        }
    }
    for ((folder, name), by_count) in groups {
        let place = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        ensure!(
            by_count.len() == 1,
            "{place} is there in {} versions, of {} files: which of them are meant?",
            by_count.len(),
            by_count.keys().map(u32::to_string).collect::<Vec<_>>().join(" and of ")
        );
        for (count, numbers) in by_count {
            let missing = (0..count).filter(|number| !numbers.contains(number)).count();
            ensure!(missing == 0, "{missing} of the {count} files {place}-…-of-{count:05} are missing");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_of_a_file_is_where_the_hub_and_others_write_it() {
        for (path, word) in [
            ("data/train-00000-of-00002.parquet", Some("train")),
            ("data/id_val-00000-of-00001-0a1b2c.parquet", Some("id_val")),
            ("default/train/0000.parquet", Some("train")),
            ("default/partial-train/0000.parquet", Some("partial-train")),
            ("cfg/split=unlabeled/part.parquet", Some("unlabeled")),
            ("test/0.tar", Some("test")),
            ("test_0.parquet", Some("test")),
            ("Validation.parquet", Some("Validation")),
            ("training-a.parquet", Some("training")),
            ("data-00000-of-00001.arrow", None),
            ("trained.parquet", None),
            ("birds.parquet", None),
            ("0000.parquet", None),
        ] {
            assert_eq!(split_word(path).as_deref(), word, "{path}");
        }
    }

    #[test]
    fn files_without_a_known_split_are_told() {
        use Split::{Test, Train, Whole};
        let of = |paths: &[&str], words: &[(&str, SplitUse)]| {
            let paths: Vec<String> = paths.iter().map(|p| (*p).to_owned()).collect();
            let words = words.iter().map(|(word, used_as)| ((*word).to_owned(), *used_as)).collect();
            splits_of_files(&paths, &words).map(|s| s.0).map_err(|e| e.to_string())
        };
        assert_eq!(of(&["a.parquet", "b.parquet"], &[]), Ok(vec![Some(Whole), Some(Whole)]));
        assert_eq!(of(&["train.parquet", "test-0.parquet"], &[]), Ok(vec![Some(Train), Some(Test)]));
        assert_eq!(
            of(
                &["train.parquet", "x/0.parquet", "y-00000-of-00002.parquet"],
                &[("x", SplitUse::Skip), ("y", SplitUse::Skip)]
            ),
            Ok(vec![Some(Train), None, None])
        );
        assert_eq!(
            of(&["a.parquet", "b.parquet"], &[("a.parquet", SplitUse::Train), ("b.parquet", SplitUse::Test)]),
            Ok(vec![Some(Train), Some(Test)])
        );
        for (paths, words, told) in [
            (&["train.parquet", "b.parquet"][..], &[][..], "no split is called \"b.parquet\" (1 files)"),
            (&["train.parquet", "extra-00000-of-00001.parquet"], &[], "`splits: {\"extra\": Skip}`"),
            (&["train.parquet"], &[("trian", SplitUse::Train)], "`splits` names trian, which no file has"),
            (&["d/train-00000-of-00002.parquet"], &[], "1 of the 2 files d/train-…-of-00002 are missing"),
            (&["train-00000-of-00001.parquet", "train-00000-of-00002.parquet"], &[], "2 versions, of 1 and of 2 files"),
        ] {
            let error = of(paths, words).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
