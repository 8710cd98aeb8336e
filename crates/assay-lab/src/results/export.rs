//! Features, predictions and probes as tables for other programs.

use std::collections::HashMap;

use anyhow::{Context as _, ensure};
use assay_data::{Label, Manifest, Presence, Sample, Split};
use assay_engine::{Digest, Output, Store};
use safetensors::SafeTensors;

use super::evaluation::Evaluation;
use super::exhibit::{Exhibit, Predictions, ScoreKind};
use super::read::{PlannedCell, ProbeSource};
use crate::outside::{Labels, TaskData};
use crate::steps::{Features, array};

/// Rows that other programs read, with what belongs to all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportTable {
    /// Columns of N rows by their names; the first is what the table is about.
    pub columns: Vec<(&'static str, ExportColumn)>,
    /// Lists of other lengths by their names: names of classes, a temperature.
    pub lists: Vec<(&'static str, ExportColumn)>,
    /// Notes for a person.
    pub notes: Vec<String>,
}

/// Values of a column. Those with a width are N × width.
#[derive(Clone, Debug, PartialEq)]
pub enum ExportColumn {
    /// Texts.
    Texts(Vec<String>),
    /// Whole numbers.
    Whole(Vec<i64>),
    /// Marks of several classes: 1 for shown, 0 for not shown, −1 for difficult.
    Marks(usize, Vec<i8>),
    /// Rows of 32-bit floats.
    Single(usize, Vec<f32>),
    /// Rows of 64-bit floats.
    Double(usize, Vec<f64>),
}

impl ExportColumn {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Whole(numbers) => numbers.len(),
            Self::Marks(width, marks) => marks.len() / (*width).max(1),
            Self::Single(width, values) => values.len() / (*width).max(1),
            Self::Double(width, values) => values.len() / (*width).max(1),
        }
    }
}

/// The features of a model on a task, in the order of the manifest: `x`, `y` (a number among `classes`, or marks), `label` (the
/// name of the class), `split`, `ids` (names of the images) and `item` (digests).
///
/// # Errors
/// When some that were asked for are not in the store, or damaged.
pub fn exported_features(
    data: &TaskData,
    pieces: &[Option<Output<Features>>],
    store: &Store,
) -> anyhow::Result<ExportTable> {
    let planned: Vec<&Output<Features>> = pieces.iter().flatten().collect();
    let there = planned.iter().filter(|output| store.contains(output.kind(), output.key())).count();
    ensure!(
        there == planned.len() && there > 0,
        "{there} of {} pieces of these features are in the store: run the experiment first",
        planned.len()
    );
    let pieces = planned.into_iter().map(|output| store.read(output)).collect::<anyhow::Result<Vec<Features>>>()?;
    let dim = pieces[0].dim;
    ensure!(pieces.iter().all(|piece| piece.dim == dim), "the pieces have features of different lengths");
    let mut rows: HashMap<&[u8; 32], &[f32]> = HashMap::new();
    for piece in &pieces {
        rows.extend(piece.digests.iter().zip(piece.values.chunks_exact(dim.max(1))));
    }
    let all = &data.manifest.samples;
    let samples: Vec<&Sample> = all.iter().filter(|sample| rows.contains_key(sample.digest.as_bytes())).collect();
    let values = samples.iter().flat_map(|sample| rows[sample.digest.as_bytes()]).copied().collect();
    let mut columns = vec![("x", ExportColumn::Single(dim, values))];
    columns.extend(labels_of(&data.manifest, &samples));
    columns.push(("split", texts(samples.iter().map(|sample| split_word(sample.split)))));
    columns.push(("ids", texts(samples.iter().map(|sample| sample.path.as_str()))));
    columns.push(("item", texts(samples.iter().map(|sample| sample.digest.to_hex()))));
    let mut notes = Vec::new();
    if samples.len() < all.len() {
        notes.push(format!("{} rows are left out, whose features no protocol asks for", all.len() - samples.len()));
    }
    let lists = vec![("classes", ExportColumn::Texts(data.manifest.classes.clone()))];
    Ok(ExportTable { columns, lists, notes })
}

fn texts<T: AsRef<str>>(all: impl Iterator<Item = T>) -> ExportColumn {
    ExportColumn::Texts(all.map(|text| text.as_ref().to_owned()).collect())
}

/// The word for a split, which is read back.
fn split_word(split: Split) -> &'static str {
    match split {
        Split::Train => "train",
        Split::Val => "val",
        Split::Test => "test",
        Split::Whole => "whole",
    }
}

fn mark(presence: Presence) -> i8 {
    match presence {
        Presence::Absent => 0,
        Presence::Present => 1,
        Presence::Difficult => -1,
    }
}

/// Labels of samples; none where one has none.
fn labels_of(manifest: &Manifest, samples: &[&Sample]) -> Vec<(&'static str, ExportColumn)> {
    if manifest.is_multi_label() {
        let k = manifest.classes.len();
        let marks = |sample: &&Sample| -> Vec<i8> {
            match sample.label() {
                Some(Label::MultiLabel(marks)) => marks.iter().map(|m| mark(*m)).collect(),
                Some(Label::Class(class)) => (0..k).map(|i| i8::from(i == *class as usize)).collect(),
                None => vec![0; k],
            }
        };
        return vec![("y", ExportColumn::Marks(k, samples.iter().flat_map(marks).collect()))];
    }
    match samples.iter().map(|sample| sample.class()).collect::<Option<Vec<u32>>>() {
        Some(classes) => with_names("y", "label", &classes, &manifest.classes).to_vec(),
        None => Vec::new(),
    }
}

/// Classes as numbers and as names.
fn with_names(
    number: &'static str,
    name: &'static str,
    classes: &[u32],
    names: &[String],
) -> [(&'static str, ExportColumn); 2] {
    let numbers = classes.iter().map(|class| i64::from(*class)).collect();
    [(number, ExportColumn::Whole(numbers)), (name, texts(classes.iter().map(|class| &names[*class as usize])))]
}

/// Names of classes, by their indices among those of the dataset.
fn class_names(data: &TaskData, classes: &[u32]) -> anyhow::Result<Vec<String>> {
    let name = |class: &u32| data.manifest.classes.get(*class as usize).cloned().context("a class is not in the task");
    classes.iter().map(name).collect()
}

/// The predictions of an evaluation: `logits` or `votes`, `probabilities`, `y` (a number among `classes`, or marks), `label`,
/// `predicted`, `predicted_label`, `split`, `ids` and `item`.
///
/// # Errors
/// When the evaluation is not in the store or damaged, or keeps no predictions.
pub fn exported_predictions(planned: &PlannedCell, data: &TaskData, store: &Store) -> anyhow::Result<ExportTable> {
    let output = planned.evaluation.as_ref().map_err(|_| anyhow::anyhow!("it is left out"))?;
    ensure!(store.contains(output.kind(), output.key()), "it has not been evaluated yet: run the experiment first");
    let Evaluation { exhibits, .. } = store.read(output)?;
    let (mut found, mut temperature) = (None, None);
    for exhibit in exhibits {
        match exhibit {
            Exhibit::Predictions(predictions) => found = Some(predictions),
            Exhibit::Reliability(curves) => temperature = curves.temperature,
            _ => {}
        }
    }
    let found = found.context("this protocol keeps no predictions of every image")?;
    let (k, names) = (found.classes.len(), class_names(data, &found.classes)?);
    let mut columns = vec![
        (found.kind.word(), ExportColumn::Single(k, found.scores.clone())),
        ("probabilities", ExportColumn::Double(k, probabilities(&found))),
    ];
    match &found.labels {
        Labels::Classes(truth) => {
            columns.extend(with_names("y", "label", truth, &names));
            let predicted = found.predicted.clone().unwrap_or_else(|| greatest(&found.scores, k));
            columns.extend(with_names("predicted", "predicted_label", &predicted, &names));
        }
        Labels::MultiLabel(shown) => {
            columns.push(("y", ExportColumn::Marks(k, shown.iter().map(|m| mark(*m)).collect())));
        }
    }
    let samples = samples_of(&data.manifest, &found.images)?;
    columns.push(("split", texts(samples.iter().map(|sample| split_word(sample.split)))));
    columns.push(("ids", texts(samples.iter().map(|sample| sample.path.as_str()))));
    columns.push(("item", texts(found.images.iter().map(|image| Digest::from_bytes(*image).to_string()))));
    let mut lists = vec![("classes", ExportColumn::Texts(names))];
    lists.extend(temperature.map(|temperature| ("temperature", ExportColumn::Double(1, vec![temperature]))));
    Ok(ExportTable { columns, lists, notes: Vec::new() })
}

/// Probabilities of the scores as they are, without a temperature.
fn probabilities(found: &Predictions) -> Vec<f64> {
    let k = found.classes.len().max(1);
    let is_several = matches!(found.labels, Labels::MultiLabel(_));
    let row = |scores: &[f32]| -> Vec<f64> {
        let largest = scores.iter().fold(f64::NEG_INFINITY, |m, v| m.max(f64::from(*v)));
        let weight = |score: &f32| match found.kind {
            ScoreKind::Logits => libm::exp(f64::from(*score) - largest),
            ScoreKind::Votes => f64::from(*score),
        };
        if is_several && found.kind == ScoreKind::Logits {
            return scores.iter().map(|score| 1.0 / (1.0 + libm::exp(-f64::from(*score)))).collect();
        }
        let weights: Vec<f64> = scores.iter().map(weight).collect();
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(|w| w / sum).collect()
    };
    found.scores.chunks_exact(k).flat_map(row).collect()
}

/// The class with the greatest score of each row; of equals, the first.
fn greatest(scores: &[f32], k: usize) -> Vec<u32> {
    let best =
        |row: &[f32]| (0..row.len()).fold(0, |best, class| if row[class] > row[best] { class } else { best }) as u32;
    scores.chunks_exact(k.max(1)).map(best).collect()
}

/// The samples that were classified: images in the order of the manifest, all of one split or a part of all.
fn samples_of<'m>(manifest: &'m Manifest, images: &[[u8; 32]]) -> anyhow::Result<Vec<&'m Sample>> {
    let among = |splits: &[Split]| -> Option<Vec<&'m Sample>> {
        let mut rest = manifest.samples.iter().filter(|sample| splits.is_empty() || splits.contains(&sample.split));
        images.iter().map(|image| rest.find(|sample| sample.digest.as_bytes() == image)).collect()
    };
    let parts: [&[Split]; 5] = [&[Split::Test], &[Split::Val], &[Split::Train], &[Split::Whole], &[]];
    parts.iter().find_map(|splits| among(splits)).context("the images of the predictions are not those of the task")
}

/// The linear classifier of an evaluation: a row for each class with its name, `weight` (D) and `bias`; logits are W x + b.
///
/// # Errors
/// When the protocol fits none, or it is not in the store, or damaged.
pub fn exported_probe(planned: &PlannedCell, data: &TaskData, store: &Store) -> anyhow::Result<ExportTable> {
    let source = planned.probe.as_ref().context("this protocol fits no linear classifier")?;
    let ProbeSource { file, classes, normalize } = source;
    let entry = store.entry(file.kind, file.key)?;
    let entry = entry.context("it has not been fitted yet: run the experiment first")?;
    let bytes = entry.files.get(file.file)?;
    let arrays = SafeTensors::deserialize(&bytes).context("the weights are damaged")?;
    let (shape, weight) = array(&arrays, "weight", f64::from_le_bytes)?;
    let (_, bias) = array(&arrays, "bias", f64::from_le_bytes)?;
    ensure!(shape.len() == 2 && shape[0] == bias.len() && bias.len() == classes.len(), "the weights are damaged");
    let columns = vec![
        ("weight", ExportColumn::Double(shape[1], weight)),
        ("bias", ExportColumn::Double(1, bias)),
        ("classes", ExportColumn::Texts(class_names(data, classes)?)),
    ];
    let lists = vec![("normalize", ExportColumn::Whole(vec![i64::from(*normalize)]))];
    let scaled = "scale each row of features to length 1 before it is classified (`normalize: true`)";
    let notes = if *normalize { vec![scaled.to_owned()] } else { Vec::new() };
    Ok(ExportTable { columns, lists, notes })
}
