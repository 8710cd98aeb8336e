//! Results item by item, for programs that compare models themselves.

use std::collections::HashMap;

use assay_engine::{Artifact as _, Digest, Store};
use serde::Serialize;

use super::evaluation::{Evaluation, Items, PerItem};
use super::read::PlannedCell;
use crate::outside::TaskData;

/// Contribution of one item to one evaluation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ItemRow {
    /// Name of the model.
    pub model: String,
    /// Name of the task.
    pub task: String,
    /// Name of the protocol.
    pub protocol: String,
    /// Metric that the value is of.
    pub metric: &'static str,
    /// Kind of item: `images`, `episodes`, `classes`, …
    pub over: &'static str,
    /// Place of the item in its evaluation, from 0.
    pub index: u64,
    /// Digest that names the item and is the same for every model: 64 hexadecimal digits.
    pub item: String,
    /// Path of the image or name of the class; absent for items without a name.
    pub name: Option<String>,
    /// Value, in the unit of the metric.
    pub value: f64,
}

/// The items of one cell, in their order: `None` when it has not been run, no rows where it keeps none.
///
/// # Errors
/// When the evaluation is damaged.
pub fn item_rows(planned: &PlannedCell, data: &TaskData, store: &Store) -> anyhow::Result<Option<Vec<ItemRow>>> {
    let Ok(output) = &planned.evaluation else { return Ok(Some(Vec::new())) };
    let Some(entry) = store.entry(output.kind(), output.key())? else { return Ok(None) };
    let Evaluation { summary, per_item, .. } = Evaluation::read(&entry.files)?;
    let Some(PerItem { over, digests, values }) = per_item else { return Ok(Some(Vec::new())) };
    let names = ItemNames::new(over, data);
    let row = |(index, (digest, value)): (usize, (&[u8; 32], &f64))| ItemRow {
        model: planned.cell.model.clone(),
        task: planned.cell.task.clone(),
        protocol: planned.cell.protocol.clone(),
        metric: summary.headline.id(),
        over: over.word(),
        index: index as u64,
        item: Digest::from_bytes(*digest).to_string(),
        name: names.of(digest),
        value: *value,
    };
    Ok(Some(digests.iter().zip(&values).enumerate().map(row).collect()))
}

/// Names of items by their digests.
struct ItemNames<'d>(HashMap<[u8; 32], &'d str>);

impl<'d> ItemNames<'d> {
    fn new(over: Items, data: &'d TaskData) -> Self {
        let manifest = &data.manifest;
        Self(match over {
            // Of images with the same content, the first in the list gives the name.
            Items::Images | Items::Objects | Items::Pixels => {
                manifest.samples.iter().rev().map(|s| (*s.digest.as_bytes(), s.path.as_str())).collect()
            }
            Items::Classes => {
                let classes = manifest.classes.iter().zip(0..);
                classes.map(|(name, class)| (PerItem::class_digest(class), name.as_str())).collect()
            }
            Items::Episodes => Default::default(),
        })
    }

    fn of(&self, digest: &[u8; 32]) -> Option<String> {
        self.0.get(digest).map(|name| (*name).to_owned())
    }
}
