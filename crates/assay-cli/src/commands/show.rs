use assay_lab::Results;
use assay_report::render;
use clap::Args;

use super::ExperimentArguments;
use super::run::ResultFormat;
use crate::{End, Trouble, surroundings};

/// Prints the results of an experiment as far as they are in the store; runs nothing.
#[derive(Args)]
pub struct Show {
    #[command(flatten)]
    experiment: ExperimentArguments,
    /// How results are written.
    #[arg(long, value_enum, default_value = "table")]
    format: ResultFormat,
}

impl Show {
    pub fn run(self) -> Result<End, Trouble> {
        let store = self.experiment.store().peek();
        let planned = self.experiment.plan(&store)?;
        let results = Results::read(&planned, &store)?;
        surroundings::print(&render(&results, self.format.report()))?;
        Ok(End::Done)
    }
}
