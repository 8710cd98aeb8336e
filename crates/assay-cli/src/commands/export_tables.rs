//! `assay export features`, `predictions` and `probe`.

use std::path::{Path, PathBuf};

use assay_config::{nearest, printable};
use assay_lab::{ExportTable, Exported, Planned, PlannedCell};
use assay_report::{ExportFormat, write_export, write_rest};
use clap::Args;

use super::ExperimentArguments;
use crate::{CliError, Exit, environment};

#[derive(Args)]
pub struct ExportFeatures {
    #[command(flatten)]
    experiment: ExperimentArguments,
    /// Name of the model.
    model: String,
    /// Name of the task.
    task: String,
    #[command(flatten)]
    to: Destination,
}

#[derive(Args)]
pub struct ExportCell {
    #[command(flatten)]
    experiment: ExperimentArguments,
    /// Name of the model.
    model: String,
    /// Name of the task.
    task: String,
    /// Name of the protocol; may be left out where there is one.
    protocol: Option<String>,
    #[command(flatten)]
    to: Destination,
}

#[derive(Args)]
struct Destination {
    /// File to write, which must not exist yet: .npz, .npy, .parquet, .safetensors or .csv. Of .npy, a .csv beside it holds
    /// names and classes.
    #[arg(long, short)]
    to: PathBuf,
}

impl ExportFeatures {
    pub fn run(self) -> Result<Exit, CliError> {
        let format = self.to.format()?;
        let store = self.experiment.store().peek();
        let planned = self.experiment.plan(&store)?;
        find(&planned, &self.model, &self.task)?;
        let table = planned.features(&self.model, &self.task, &store);
        self.to.write(&table.map_err(|error| CliError::Usage(format!("{error:#}")))?, format)
    }
}

impl ExportCell {
    pub fn run(self, what: Exported) -> Result<Exit, CliError> {
        let format = self.to.format()?;
        if what == Exported::Probe && format == ExportFormat::Npy {
            return Err(CliError::Usage(
                "a probe is weights and biases, and .npy holds one array: use .npz".to_owned(),
            ));
        }
        let store = self.experiment.store().peek();
        let planned = self.experiment.plan(&store)?;
        let cells = find(&planned, &self.model, &self.task)?;
        let cell = match (&self.protocol, cells.as_slice()) {
            (Some(protocol), _) => narrowed(&cells, "protocol", protocol, |cell| &cell.cell.protocol)?[0],
            (None, [only]) => only,
            (None, several) => {
                let names: Vec<&str> = several.iter().map(|cell| cell.cell.protocol.as_str()).collect();
                return Err(CliError::Usage(format!("say which protocol: {}", printable(&names.join(", ")))));
            }
        };
        let table = planned.exported(cell, what, &store);
        self.to.write(&table.map_err(|error| CliError::Usage(format!("{}: {error:#}", cell.cell.protocol)))?, format)
    }
}

/// The evaluations of a model on a task.
fn find<'p>(planned: &'p Planned, model: &str, task: &str) -> Result<Vec<&'p PlannedCell>, CliError> {
    let cells: Vec<&PlannedCell> = planned.cells.iter().collect();
    let of_model = narrowed(&cells, "model", model, |cell| &cell.cell.model)?;
    narrowed(&of_model, "task", task, |cell| &cell.cell.task)
}

/// Cells with this name, of which there is at least one.
fn narrowed<'p>(
    cells: &[&'p PlannedCell],
    what: &str,
    name: &str,
    of: fn(&PlannedCell) -> &String,
) -> Result<Vec<&'p PlannedCell>, CliError> {
    let found: Vec<&PlannedCell> = cells.iter().copied().filter(|cell| of(cell) == name).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let mut names: Vec<&str> = cells.iter().map(|cell| of(cell).as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let hint = nearest(name, names.iter().copied()).map_or_else(String::new, |near| format!("; did you mean {near}?"));
    let message = format!("no {what} called {name} is evaluated there ({}){hint}", names.join(", "));
    Err(CliError::Usage(printable(&message).into_owned()))
}

impl Destination {
    fn format(&self) -> Result<ExportFormat, CliError> {
        let extension = self.to.extension().unwrap_or_default().to_string_lossy().into_owned();
        ExportFormat::of_extension(&extension).ok_or_else(|| {
            CliError::Usage(format!(
                "{} ends in none of .npz, .npy, .parquet, .safetensors and .csv",
                printable(&self.to.display().to_string())
            ))
        })
    }

    fn write(&self, table: &ExportTable, format: ExportFormat) -> Result<Exit, CliError> {
        let rows = table.columns.first().map_or(0, |(_, column)| column.rows());
        let beside = self.to.with_extension("csv");
        if format == ExportFormat::Npy {
            environment::write_whole(&beside, |file| write_rest(table, file))?;
            tell(&beside, rows);
        }
        let written = environment::write_whole(&self.to, |file| write_export(table, format, file));
        if written.is_err() && format == ExportFormat::Npy {
            // One without the other says nothing.
            let _ = std::fs::remove_file(&beside);
        }
        written?;
        tell(&self.to, rows);
        table.notes.iter().for_each(|note| environment::note(&format!("note: {note}")));
        Ok(Exit::Done)
    }
}

fn tell(path: &Path, rows: usize) {
    environment::note(&format!("wrote {} ({rows} rows)", printable(&path.display().to_string())));
}
