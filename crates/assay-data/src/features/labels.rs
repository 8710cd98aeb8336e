//! Labels of rows: classes by number or by name, or marks of several.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, ensure};

use super::column::Column;
use crate::classes::{composed, sort_names};
use crate::target::{Label, Presence, Targets};

/// Names of the classes, and what each row of all parts shows. Each part comes with the file of its labels.
///
/// # Errors
/// When a label is no class, or labels of some parts are of another kind than those of others.
pub(super) fn targets_of(
    parts: &[(&Path, &Column)],
    names: Option<Vec<String>>,
) -> anyhow::Result<(Vec<String>, Vec<Targets>)> {
    check_names(parts, names.as_deref())?;
    if parts.iter().any(|(_, column)| matches!(column, Column::Marks(..))) {
        return marks_of(parts, names);
    }
    let named = parts.iter().filter(|(_, column)| matches!(column, Column::Texts(_))).count();
    ensure!(
        names.is_some() || named == 0 || named == parts.len(),
        "some parts have numbers as labels, and others names: give `class_names`, a file with the names in the order of \
         the numbers"
    );
    let texts: Vec<Vec<String>> =
        parts.iter().map(|(_, column)| (*column).clone().into_texts()).collect::<anyhow::Result<_>>()?;
    let by_number = names.is_some();
    let (classes, index) = match names {
        None => {
            let mut classes: Vec<String> = texts.iter().flatten().map(|name| composed(name)).collect();
            sort_names(&mut classes);
            let index = classes.iter().cloned().zip(0..).collect();
            (classes, index)
        }
        Some(names) => {
            let index = names.iter().cloned().zip(0..).collect();
            (names, index)
        }
    };
    let mut targets = Vec::new();
    for ((path, column), texts) in parts.iter().zip(&texts) {
        for (row, text) in texts.iter().enumerate() {
            let numbers = if let Column::Numbers(numbers) = column { Some(numbers[row]) } else { None };
            let class =
                class_of(numbers, text, &index, by_number).with_context(|| format!("{}, row {row}", path.display()))?;
            targets.push(Targets::class(class));
        }
    }
    Ok((classes, targets))
}

/// Class of one label: the place of a number among names that are given, else the class of this name.
fn class_of(number: Option<i64>, text: &String, index: &BTreeMap<String, u32>, by_number: bool) -> anyhow::Result<u32> {
    if let Some(number) = number {
        ensure!(number >= 0, "the label is {number}, which is no class: leave such rows out");
        if by_number {
            let class = u32::try_from(number).ok().filter(|class| (*class as usize) < index.len());
            return class
                .with_context(|| format!("the label is {number}, and there are names of {} classes", index.len()));
        }
    }
    let found = index.get(&composed(text)).copied();
    found.with_context(|| format!("the label {text:?} is none of the names of the {} classes", index.len()))
}

/// Names that are given must differ, and a name that is a number must stand at its own place: numbers among labels would mean
/// either.
fn check_names(parts: &[(&Path, &Column)], names: Option<&[String]>) -> anyhow::Result<()> {
    let names = names.unwrap_or_default();
    let mut seen = BTreeSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(*name)) {
        anyhow::bail!("two classes are called {twice:?}");
    }
    let has_numbers = parts.iter().any(|(_, column)| matches!(column, Column::Numbers(_)));
    let misplaced = names.iter().enumerate().find(|(i, name)| name.parse::<usize>().is_ok_and(|number| number != *i));
    if let (true, Some((place, name))) = (has_numbers, misplaced) {
        anyhow::bail!(
            "the labels are numbers, and class number {place} is called {name:?}: give names that are no numbers, or \
             labels that are names"
        );
    }
    Ok(())
}

/// Several classes in a row: marks of 1 (shown), 0 (not) and −1 (difficult).
fn marks_of(parts: &[(&Path, &Column)], names: Option<Vec<String>>) -> anyhow::Result<(Vec<String>, Vec<Targets>)> {
    let width =
        parts.iter().find_map(|(_, column)| if let Column::Marks(width, _) = column { Some(*width) } else { None });
    let width = width.unwrap_or(0);
    let classes = names.unwrap_or_else(|| (0..width).map(|class| class.to_string()).collect());
    ensure!(
        classes.len() == width,
        "the labels have marks of {width} classes, and there are names of {}",
        classes.len()
    );
    let (mut targets, mut is_one_hot) = (Vec::new(), true);
    for (path, column) in parts {
        let Column::Marks(found, marks) = column else {
            anyhow::bail!("{} has one label in a row, and other parts have marks of {width} classes", path.display())
        };
        ensure!(*found == width, "{} has marks of {found} classes, and other parts of {width}", path.display());
        for (row, marks) in marks.chunks_exact(width).enumerate() {
            let presence = |mark: &i64| match mark {
                0 => Ok(Presence::Absent),
                1 => Ok(Presence::Present),
                -1 => Ok(Presence::Difficult),
                other => anyhow::bail!(
                    "{}, row {row}: the mark {other} is none of 1 (shown), 0 (not shown) and -1 (difficult)",
                    path.display()
                ),
            };
            let marks = marks.iter().map(presence).collect::<anyhow::Result<Vec<Presence>>>()?;
            is_one_hot &= marks.iter().filter(|mark| **mark == Presence::Present).count() == 1;
            targets.push(Label::MultiLabel(marks.into()).into());
        }
    }
    ensure!(
        !is_one_hot,
        "every row of the labels marks exactly one of {width} classes: give the number of the class instead \
         (`y.argmax(axis=1)`), so that it is read as one class for each row"
    );
    Ok((classes, targets))
}
