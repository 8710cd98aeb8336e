//! Report on the files of a task, before anything is run.

use std::path::Path;

use assay_config::{Environment, Problem};
use assay_data::{ClassOrder, Split};
use assay_engine::{Facts, Store};

use super::TaskData;
use crate::spec::Experiment;

/// Report on the files of a task.
#[derive(Clone, Debug, Default)]
pub struct DataReport {
    /// Place where the files should be; absent for datasets that are not official.
    pub root: Option<String>,
    /// Layout that the folder should have.
    pub layout: Vec<&'static str>,
    /// Address that the files can be downloaded from.
    pub source: Option<&'static str>,
    /// Licence, as far as it is known.
    pub licence: Option<&'static str>,
    /// Number of classes that were found.
    pub classes: usize,
    /// Names of the first of them.
    pub class_names: Vec<String>,
    /// Origin of their order, in words.
    pub order: &'static str,
    /// For each split with images: its name, their number, and the published number.
    pub splits: Vec<(String, usize, Option<usize>)>,
    /// What was detected, and what was passed over.
    pub details: Vec<String>,
    /// Warnings for a person.
    pub notes: Vec<String>,
    /// Why the files cannot be used.
    pub error: Option<String>,
}

/// Number of classes that are named in a report.
const FIRST_CLASSES: usize = 8;

/// Looks at the files of a task of an experiment or a catalogue.
///
/// # Errors
/// What is wrong with the file, or that it has no such task.
pub fn check_data(
    path: &Path,
    task: &str,
    environment: Environment,
    store: &Store,
) -> Result<DataReport, Vec<Problem>> {
    let experiment = Experiment::load_catalogue(path, environment);
    let Some(spec) = experiment.tasks.get(task) else {
        experiment.note_unknown_task(task);
        return Err(experiment.document.problems.into_list());
    };
    let mut report = DataReport::default();
    let mut published = Vec::new();
    if let Some((official, root, _)) = spec.dataset.official() {
        let info = official.info();
        report.root = Some(root.0.display().to_string());
        report.layout = info.layout.to_vec();
        (report.source, report.licence) = (Some(info.source), Some(info.licence));
        published = official.counts();
        if !root.0.exists() {
            report.error = Some(format!("{} does not exist", root.0.display()));
            return Ok(report);
        }
    }
    let facts = Facts::open(store.facts_folder());
    match TaskData::load(spec, &facts, &experiment.hub) {
        Err(error) => report.error = Some(format!("{error:#}")),
        Ok(data) => {
            report.classes = data.manifest.classes.len();
            for split in [Split::Train, Split::Val, Split::Test, Split::Whole] {
                let found = data.manifest.count(split);
                let expected = published.iter().find(|c| c.split == split).map(|c| c.images);
                if found > 0 || expected.is_some() {
                    report.splits.push((format!("{split:?}"), found, expected));
                }
            }
            report.class_names = data.manifest.classes.iter().take(FIRST_CLASSES).cloned().collect();
            report.order = match data.manifest.order {
                ClassOrder::Listed => "as they are listed",
                ClassOrder::Sorted => "sorted: whole numbers by value where all are such, else by name",
                ClassOrder::Disputed => "sorted by name, since the files disagree",
            };
            report.details.extend(data.manifest.origin.clone());
            report.details.extend(data.manifest.details.iter().cloned());
            report.notes.extend(data.manifest.notes.iter().chain(&data.doubts).cloned());
            report.notes.extend(data.skipped.iter().map(|path| format!("{path} cannot be decoded and is left out")));
        }
    }
    // What was hashed need not be hashed again; a store that cannot be written is no reason to fail here.
    let _ = facts.save();
    Ok(report)
}
