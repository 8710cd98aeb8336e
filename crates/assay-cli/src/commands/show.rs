use std::collections::{BTreeSet, HashMap};

use assay_config::printable;
use assay_lab::{Results, SeenResults};
use assay_report::{metrics_table, render};
use clap::Args;

use super::ExperimentArguments;
use super::run::{ResultFormat, exit, note_states};
use crate::{CliError, Exit, environment};

/// Prints the results of an experiment as far as they are in the store; runs nothing.
#[derive(Args)]
pub struct Show {
    #[command(flatten)]
    experiment: ExperimentArguments,
    /// Format of the results.
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
        let results = Results::read(&planned.cells, &store, &HashMap::new(), &SeenResults::default());
        note_states(&results);
        let told: BTreeSet<&String> = planned.warnings.iter().collect();
        let warnings = results.cells.iter().flat_map(|cell| &cell.warnings).filter(|warning| !told.contains(warning));
        let warnings: BTreeSet<&String> = warnings.collect();
        for warning in warnings {
            environment::note(&format!("warning: {}", printable(warning)));
        }
        if self.metrics {
            environment::print_exact(&metrics_table(&results))?;
            return Ok(exit(&results));
        }
        environment::print_exact(&render(&results, self.format.report()))?;
        Ok(exit(&results))
    }
}
