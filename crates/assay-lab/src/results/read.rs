//! Scores read back from the store.

use std::path::PathBuf;

use assay_engine::{Damaged, Output, Store};
use serde::Serialize;

use super::{Scores, Summary};
use crate::spec::Cell;

/// The results of an experiment, as far as they are in the store.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// Names of the models, in order.
    pub models: Vec<String>,
    /// Pairs of task and protocol, in order.
    pub columns: Vec<(String, String)>,
    /// One for each evaluation.
    pub cells: Vec<ResultCell>,
    /// What is in the store and cannot be believed; a run makes it again.
    #[serde(skip)]
    pub damaged: Vec<Damaged>,
}

/// One evaluation.
#[derive(Clone, Debug, Serialize)]
pub struct ResultCell {
    /// Model.
    pub model: String,
    /// Task.
    pub task: String,
    /// ProtocolSpec.
    pub protocol: String,
    /// Key of the step with the scores.
    pub key: String,
    /// Where that step is in the store, with the values of every episode or image.
    pub folder: PathBuf,
    /// The number, when it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
}

impl Results {
    /// Reads what is there.
    ///
    /// # Errors
    /// When an entry may not be read.
    pub fn read(evaluated: &[(Cell, Output<Scores>)], store: &Store) -> anyhow::Result<Self> {
        let (mut models, mut columns, mut cells): (Vec<String>, Vec<(String, String)>, Vec<ResultCell>) =
            Default::default();
        let mut damaged = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for (cell, output) in evaluated {
            if seen.insert((cell.model.clone(), String::new())) {
                models.push(cell.model.clone());
            }
            if seen.insert((cell.task.clone(), cell.protocol.clone())) {
                columns.push((cell.task.clone(), cell.protocol.clone()));
            }
            let summary = match store.file(output, Summary::FILE) {
                Ok(bytes) => bytes.map(|bytes| Summary::from_bytes(&bytes)).transpose()?,
                Err(error) => {
                    damaged.push(error.downcast::<Damaged>()?);
                    None
                }
            };
            cells.push(ResultCell {
                model: cell.model.clone(),
                task: cell.task.clone(),
                protocol: cell.protocol.clone(),
                key: output.key().to_string(),
                folder: store.folder_of(output),
                summary,
            });
        }
        Ok(Self { models, columns, cells, damaged })
    }
}
