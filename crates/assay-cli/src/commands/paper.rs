use std::collections::HashMap;

use assay_lab::{Results, SeenResults};
use assay_report::{compare_with_paper, compare_with_paper_json, paper_tables};
use clap::Args;

use super::{ListFormat, StoreArguments, plan_file};
use crate::{CliError, Exit, environment};

/// Prints the tables of Ericsson et al. (CVPR 2021), or compares the results of an experiment with them.
#[derive(Args)]
pub struct Paper {
    /// Experiment whose results are compared, cell by cell; its models, tasks and protocols are called as in the paper.
    experiment: Option<std::path::PathBuf>,
    /// Prints this table alone; may be given several times.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=9), conflicts_with = "experiment")]
    table: Vec<u32>,
    /// Overrides a value of the experiment; may be given several times.
    #[arg(long, value_name = "PATH=VALUE", requires = "experiment")]
    set: Vec<String>,
    /// Format of the comparison.
    #[arg(long, value_enum, default_value = "text", requires = "experiment")]
    format: ListFormat,
    #[command(flatten)]
    store: StoreArguments,
}

impl Paper {
    pub fn run(self) -> Result<Exit, CliError> {
        let Some(experiment) = &self.experiment else {
            environment::print_exact(&paper_tables(&self.table))?;
            return Ok(Exit::Done);
        };
        let store = self.store.peek();
        let planned = plan_file(experiment, &self.set, false, &store)?;
        let results = Results::read(&planned.cells, &store, &HashMap::new(), &SeenResults::default());
        let text = match self.format {
            ListFormat::Text => compare_with_paper(&results),
            ListFormat::Json => compare_with_paper_json(&results),
        };
        environment::print_exact(&text)?;
        Ok(Exit::Done)
    }
}
