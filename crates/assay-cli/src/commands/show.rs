use assay_lab::Results;
use assay_report::{metrics_table, render};
use clap::Args;

use super::ExperimentArguments;
use super::run::ResultFormat;
use crate::{CliError, Exit, environment};

/// Prints the results of an experiment as far as they are in the store; runs nothing.
#[derive(Args)]
pub struct Show {
    #[command(flatten)]
    experiment: ExperimentArguments,
    /// How results are written.
    #[arg(long, value_enum, default_value = "table")]
    format: ResultFormat,
    /// Prints all metrics of every evaluation that has several, with their intervals, instead of the one that is reported.
    #[arg(long, conflicts_with = "format")]
    metrics: bool,
}

impl Show {
    pub fn run(self) -> Result<Exit, CliError> {
        let store = self.experiment.store().peek();
        let planned = self.experiment.plan(&store)?;
        let results = Results::read(&planned.cells, &store)?;
        super::tell_damaged(&results);
        if self.metrics {
            environment::print(&metrics_table(&results))?;
            return Ok(Exit::Done);
        }
        environment::print(&render(&results, self.format.report()))?;
        Ok(Exit::Done)
    }
}
