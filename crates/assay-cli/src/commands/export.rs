use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::Context as _;
use assay_config::{nearest, printable};
use assay_lab::{Cell, Exported, WeightsArtifact};
use assay_report::{ItemFormat, render_items};
use clap::{Args, Subcommand, ValueEnum};

use super::ExperimentArguments;
use super::export_tables::{ExportCell, ExportFeatures};
use crate::{CliError, Exit, environment};

/// Writes results item by item, features, predictions, probes or trained weights, for other programs.
#[derive(Args)]
pub struct Export {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Writes what every image, episode or class contributed to every result: one row for each model, task, protocol and item.
    Results(ExportResults),
    /// Writes the weights that a model was trained to as a safetensors file; `assay export FILE MODEL TO` is the same.
    Weights(ExportWeights),
    /// Writes the features of a model on a task: a row for each image with its class, split and name.
    Features(ExportFeatures),
    /// Writes what a protocol predicts for each image: scores, probabilities, and the right and the predicted class.
    Predictions(ExportCell),
    /// Writes the linear classifier that a protocol fits: weights W and biases b, so that logits are W x + b.
    Probe(ExportCell),
}

impl Export {
    /// Words that may follow `export`; anything else is the experiment of `export weights`.
    pub const WORDS: [&'static str; 8] =
        ["results", "weights", "features", "predictions", "probe", "help", "--help", "-h"];
}

#[derive(Args)]
struct ExportWeights {
    #[command(flatten)]
    experiment: ExperimentArguments,
    /// Name of the model; its weights are `Trained(…)`.
    model: String,
    /// File to write; it must not exist yet.
    to: PathBuf,
}

#[derive(Args)]
struct ExportResults {
    #[command(flatten)]
    experiment: ExperimentArguments,
    /// Format of the rows.
    #[arg(long, value_enum, default_value = "csv")]
    to: RowFormat,
    /// File to write, which must not exist yet [default: standard output].
    #[arg(long, short)]
    output: Option<PathBuf>,
}

/// Format of rows.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RowFormat {
    /// Apache Parquet.
    Parquet,
    /// A line for each row, with a header.
    Csv,
    /// A JSON object a line.
    Json,
}

impl Export {
    pub fn run(self) -> Result<Exit, CliError> {
        match self.what {
            What::Results(results) => results.run(),
            What::Weights(weights) => weights.run(),
            What::Features(features) => features.run(),
            What::Predictions(cell) => cell.run(Exported::Predictions),
            What::Probe(cell) => cell.run(Exported::Probe),
        }
    }
}

impl ExportWeights {
    fn run(self) -> Result<Exit, CliError> {
        let store = self.experiment.store().peek();
        let planned = self.experiment.plan(&store)?;
        let names: Vec<&str> = planned.trained.iter().map(|(name, _)| name.as_str()).collect();
        let Some((_, output)) = planned.trained.iter().find(|(name, _)| *name == self.model) else {
            let hint = nearest(&self.model, names.iter().copied())
                .map_or_else(String::new, |n| format!("; did you mean {n}?"));
            return Err(CliError::Usage(format!(
                "no model called {} has trained weights ({}){hint}",
                self.model,
                names.join(", ")
            )));
        };
        if !store.contains(output.kind(), output.key()) {
            return Err(CliError::Usage(format!("{} has not been trained yet: run the experiment first", self.model)));
        }
        let entry = store.entry(output.kind(), output.key())?.context("the weights are gone")?;
        let bytes = entry.files.get(WeightsArtifact::FILE)?;
        environment::write_new(&self.to, &bytes)?;
        environment::note(&format!(
            "wrote {} ({})",
            printable(&self.to.display().to_string()),
            super::size(bytes.len() as u64)
        ));
        Ok(Exit::Done)
    }
}

impl ExportResults {
    fn run(self) -> Result<Exit, CliError> {
        let format = match self.to {
            RowFormat::Parquet => ItemFormat::Parquet,
            RowFormat::Csv => ItemFormat::Csv,
            RowFormat::Json => ItemFormat::Json,
        };
        if format == ItemFormat::Parquet && self.output.is_none() && std::io::stdout().is_terminal() {
            return Err(CliError::Usage("Parquet is not for terminals: give a file with --output".to_owned()));
        }
        let store = self.experiment.store().peek();
        let planned = self.experiment.plan(&store)?;
        let (mut rows, mut missing) = (Vec::new(), 0);
        for cell in &planned.cells {
            let why = match planned.items(cell, &store) {
                Ok(Some(items)) => {
                    rows.extend(items);
                    continue;
                }
                Ok(None) => ("not run", String::new()),
                Err(error) => ("damaged", format!(": {error:#}")),
            };
            missing += 1;
            let Cell { model, task, protocol } = &cell.cell;
            environment::note(&printable(&format!("{}: {model} on {task} by {protocol}{}", why.0, why.1)));
        }
        let bytes = render_items(&rows, format)?;
        match &self.output {
            Some(path) => {
                environment::write_new(path, &bytes)?;
                environment::note(&format!("wrote {} ({} rows)", printable(&path.display().to_string()), rows.len()));
            }
            None => environment::print_bytes(&bytes)?,
        }
        Ok(if missing == 0 { Exit::Done } else { Exit::Failed })
    }
}
