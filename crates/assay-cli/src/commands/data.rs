use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use assay_config::{printable, printable_message};
use assay_lab::{DataReport, check_data};
use clap::{Args, Subcommand};

use super::StoreArguments;
use crate::{CliError, Exit, environment};

/// Looks at datasets.
#[derive(Args)]
pub struct Data {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Subcommand)]
enum DataCommand {
    /// Says what is found of a task's files, what is missing, and how the folder should look.
    Check {
        /// Name of the task.
        task: String,
        /// The experiment or catalogue that defines it.
        #[arg(long, default_value = "experiments/catalog/tasks.ron")]
        file: PathBuf,
        #[command(flatten)]
        store: StoreArguments,
    },
}

impl Data {
    pub fn run(self) -> Result<Exit, CliError> {
        let DataCommand::Check { task, file, store } = self.command;
        let file = std::path::absolute(file).context("finding the file")?;
        let environment = environment::variables();
        let report = check_data(&file, &task, environment, &store.peek()).map_err(CliError::Experiment)?;
        environment::print(&text(&task, &report))?;
        Ok(if report.error.is_some() { Exit::Failed } else { Exit::Done })
    }
}

fn text(task: &str, report: &DataReport) -> String {
    let mut out = format!("{}\n", printable(task));
    if let Some(root) = &report.root {
        let _ = writeln!(out, "  looked in      {}", printable(root));
    }
    for (i, line) in report.layout.iter().enumerate() {
        let _ = writeln!(out, "  {}  {line}", if i == 0 { "should hold  " } else { "             " });
    }
    for (name, value) in [("to be had at ", report.source), ("licence      ", report.licence)] {
        if let Some(value) = value {
            let _ = writeln!(out, "  {name}  {value}");
        }
    }
    if let Some(error) = &report.error {
        let _ = writeln!(out, "  NOT USABLE     {}", printable_message(error));
        return out;
    }
    let names = report.class_names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    let more = if report.classes > report.class_names.len() { ", …" } else { "" };
    let _ = writeln!(out, "  classes        {} ({}): {}{more}", report.classes, report.order, printable(&names));
    for (split, found, published) in &report.splits {
        let published = published.map_or_else(String::new, |n| format!(" of {n} published"));
        let _ = writeln!(out, "  {:<13}  {found} images{published}", split.to_lowercase());
    }
    for detail in &report.details {
        let _ = writeln!(out, "  found          {}", printable_message(detail));
    }
    for note in &report.notes {
        let _ = writeln!(out, "  note           {}", printable_message(note));
    }
    out
}
