//! Rows of tables as samples: the classes that all readers of tables make of labels.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};

use crate::classes::{Canon, ClassOrder, are_indices, sort_names};
use crate::manifest::{Manifest, Sample, Split};
use crate::source::ImageSource;
use crate::target::{Label, Presence, Targets};

/// What a row says that its image shows.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum RowLabel {
    /// Nothing is known: null, or the index -1 of a class.
    Unknown,
    /// One class.
    One(String),
    /// Several classes, or none of them.
    Several(Vec<String>),
}

impl RowLabel {
    /// Replaces indices by the names that a file has for them. -1 stands for a class that is not known.
    ///
    /// # Errors
    /// When an index is none of the names.
    pub fn named(self, names: &[String]) -> anyhow::Result<Self> {
        let name = |index: &String| {
            let found = index.parse::<usize>().ok().and_then(|at| names.get(at));
            // Some writers keep the names themselves.
            let found = found.or_else(|| names.iter().find(|name| *name == index));
            found.cloned().with_context(|| format!("label {index} is none of the {} classes", names.len()))
        };
        Ok(match self {
            Self::One(index) if index == "-1" => Self::Unknown,
            Self::One(index) => Self::One(name(&index)?),
            Self::Several(all) => Self::Several(all.iter().map(name).collect::<anyhow::Result<_>>()?),
            Self::Unknown => Self::Unknown,
        })
    }
}

/// A row, before the classes of all rows are known.
#[derive(Debug)]
pub(super) struct Row {
    pub path: String,
    pub digest: blake3::Hash,
    pub label: RowLabel,
    pub split: Split,
    pub source: ImageSource,
}

/// The rows of a dataset.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub rows: Vec<Row>,
    /// Lists of classes that its files have, one for each file that has one, with the name of the file.
    pub lists: Vec<(String, Vec<String>)>,
    pub notes: Vec<String>,
    pub details: Vec<String>,
}

impl Rows {
    /// Makes samples of the rows. Classes are those that the files list, by name; else the labels, sorted by the rule of all
    /// readers.
    ///
    /// # Errors
    /// When there is no row, or some rows have one class and others several.
    pub fn manifest(mut self) -> anyhow::Result<Manifest> {
        ensure!(!self.rows.is_empty(), "it holds no rows");
        self.drop_unknown_splits();
        let mut canon = Canon::default();
        for row in &mut self.rows {
            match &mut row.label {
                RowLabel::One(name) => *name = canon.take(name),
                RowLabel::Several(names) => names.iter_mut().for_each(|name| *name = canon.take(name)),
                RowLabel::Unknown => {}
            }
        }
        let (classes, order) = self.classes(&mut canon);
        let several = self.rows.iter().any(|row| matches!(row.label, RowLabel::Several(_)));
        let index: BTreeMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
        let unknown = self.rows.iter().filter(|row| row.label == RowLabel::Unknown).count();
        if unknown > 0 {
            self.details.push(format!("the class of {unknown} images is not known (null, or -1)"));
        }
        let place = |row: &Row, name: &String| {
            let found = index.get(name.as_str()).copied();
            found.with_context(|| {
                format!("{}: label {name:?} is none of the {} classes that other files list", row.path, classes.len())
            })
        };
        let mut samples = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            let marked = |names: &[String]| -> anyhow::Result<Targets> {
                let mut marks = vec![Presence::Absent; classes.len()];
                for name in names {
                    marks[place(row, name)? as usize] = Presence::Present;
                }
                Ok(Label::MultiLabel(marks.into()).into())
            };
            let targets = match &row.label {
                RowLabel::Unknown => Targets::default(),
                RowLabel::One(name) if several => marked(std::slice::from_ref(name))?,
                RowLabel::One(name) => Targets::class(place(row, name)?),
                RowLabel::Several(names) => marked(names)?,
            };
            let (path, source) = (row.path.clone(), row.source.clone());
            samples.push(Sample { path, digest: row.digest, targets, split: row.split, source });
        }
        self.notes.extend(canon.notes());
        Ok(Manifest { samples, order, notes: self.notes, details: self.details, classes, ..Manifest::default() })
    }

    /// A split whose labels are all -1 has none: that is how datasets hide the answers of a test split.
    fn drop_unknown_splits(&mut self) {
        let hidden = |row: &&Row| row.label == RowLabel::One("-1".to_owned());
        let has_hidden: BTreeSet<Split> = self.rows.iter().filter(hidden).map(|row| row.split).collect();
        let has_others: BTreeSet<Split> = self.rows.iter().filter(|row| !hidden(row)).map(|row| row.split).collect();
        for row in &mut self.rows {
            if has_hidden.contains(&row.split) && !has_others.contains(&row.split) && !has_others.is_empty() {
                row.label = RowLabel::Unknown;
            }
        }
    }

    fn classes(&mut self, canon: &mut Canon) -> (Vec<String>, ClassOrder) {
        let mut lists: Vec<(String, Vec<String>)> = Vec::new();
        for (file, names) in std::mem::take(&mut self.lists) {
            lists.push((file, names.iter().map(|name| canon.take(name)).collect()));
        }
        if let Some((first_file, first)) = lists.first().cloned() {
            let Some((other, _)) = lists.iter().find(|(_, names)| *names != first) else {
                return (first, ClassOrder::Listed);
            };
            self.notes.push(format!(
                "{first_file} and {other} list the classes differently (other names, or in another order); they are compared by name"
            ));
            let mut all: Vec<String> = lists.into_iter().flat_map(|(_, names)| names).collect();
            sort_names(&mut all);
            return (all, ClassOrder::Disputed);
        }
        let mut names: Vec<String> = Vec::new();
        for row in &self.rows {
            match &row.label {
                RowLabel::One(name) => names.push(name.clone()),
                RowLabel::Several(all) => names.extend(all.iter().cloned()),
                RowLabel::Unknown => {}
            }
        }
        names.sort_unstable();
        names.dedup();
        sort_names(&mut names);
        let order = if are_indices(&names) { ClassOrder::Listed } else { ClassOrder::Sorted };
        (names, order)
    }
}
