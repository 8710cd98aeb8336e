//! The commands, one file each.

mod data;
mod doctor;
mod export;
mod export_tables;
mod gc;
mod list;
mod paper;
mod plan;
mod run;
mod show;
mod status;
mod verify;
mod weights;
mod why;

use std::path::PathBuf;

use anyhow::Context as _;
use assay_config::{Override, printable};
use assay_engine::{Listing, Store};
use assay_lab::{Cell, Lab, LeftOut, Planned};
use clap::{Args, CommandFactory, Subcommand, ValueEnum};

use crate::{CliError, Exit, environment};

/// See [`export::Export::WORDS`].
pub const EXPORT_WORDS: [&str; 8] = export::Export::WORDS;

/// Command of the program.
#[derive(Subcommand)]
pub enum Command {
    Run(run::Run),
    Plan(plan::Plan),
    Why(why::Why),
    Show(show::Show),
    Paper(paper::Paper),
    Status(status::Status),
    Gc(gc::Gc),
    Verify(verify::Verify),
    Doctor(doctor::Doctor),
    Data(data::Data),
    Export(export::Export),
    Weights(weights::Weights),
    /// Lists what a model may be made of, with all parameters.
    Models(list::List),
    /// Lists datasets and the fields of a task, with all parameters.
    Tasks(list::List),
    /// Lists protocols, with all parameters.
    Protocols(list::List),
    /// Prints the completion script of a shell.
    Completions {
        /// Shell that the script is for.
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// Runs the command, and says how it ended.
    pub fn run(self) -> Result<Exit, CliError> {
        match self {
            Self::Run(command) => command.run(),
            Self::Plan(command) => command.run(),
            Self::Why(command) => command.run(),
            Self::Show(command) => command.run(),
            Self::Paper(command) => command.run(),
            Self::Status(command) => command.run(),
            Self::Gc(command) => command.run(),
            Self::Verify(command) => command.run(),
            Self::Doctor(command) => command.run(),
            Self::Data(command) => command.run(),
            Self::Export(command) => command.run(),
            Self::Weights(command) => command.run(),
            Self::Models(command) => command.run("models", assay_lab::models()),
            Self::Tasks(command) => command.run("tasks", assay_lab::tasks()),
            Self::Protocols(command) => command.run("protocols", assay_lab::protocols()),
            Self::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut crate::Arguments::command(), "assay", &mut script);
                environment::print_exact(&String::from_utf8_lossy(&script))?;
                Ok(Exit::Done)
            }
        }
    }
}

/// Arguments that name an experiment, with changes to it.
#[derive(Args)]
pub struct ExperimentArguments {
    /// The experiment file.
    experiment: PathBuf,
    /// Overrides a value, such as `protocols.5w1s.episodes=100`; may be given several times.
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Leaves out evaluations whose files are not there or whose parts do not fit together, and says which and why.
    #[arg(long)]
    available: bool,
    #[command(flatten)]
    store: StoreArguments,
}

/// Arguments that name a store.
#[derive(Args)]
pub struct StoreArguments {
    /// Folder of the store [default: $ASSAY_STORE, else the closest `cache` folder that is a store, else ./cache].
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
}

/// Format of a listing.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// Lines of text, for people.
    Text,
    /// One JSON object, for programs.
    Json,
}

impl StoreArguments {
    /// The folder of the store.
    pub fn folder(&self) -> PathBuf {
        environment::store_folder(self.store.as_deref())
    }

    /// Opens the store, making it where there is none.
    pub fn open(&self) -> anyhow::Result<Store> {
        Store::open(&self.folder())
    }

    /// The store as it is; nothing is made where there is none.
    pub fn peek(&self) -> Store {
        Store::peek(&self.folder())
    }
}

impl ExperimentArguments {
    /// The experiment as a plan against `store`.
    pub fn plan(&self, store: &Store) -> Result<Planned, CliError> {
        plan_file(&self.experiment, &self.set, self.available, store)
    }

    /// Path of the experiment, for logs.
    pub fn path(&self) -> &PathBuf {
        &self.experiment
    }

    /// The overrides, for logs.
    pub fn overrides(&self) -> &[String] {
        &self.set
    }

    /// Arguments that name the store.
    pub fn store(&self) -> &StoreArguments {
        &self.store
    }
}

/// Plans one file.
pub fn plan_file(path: &PathBuf, set: &[String], available: bool, store: &Store) -> Result<Planned, CliError> {
    // Places and relative paths are told from where the command was given.
    let path = std::path::absolute(path).context("finding the experiment")?;
    let overrides: Vec<_> = set.iter().cloned().map(Override).collect();
    let lab = Lab::load(&path, &overrides, environment::variables(), available).map_err(CliError::Experiment)?;
    let planned = lab.plan(store).map_err(CliError::Experiment)?;
    for warning in planned.document.notes().iter().chain(&planned.warnings) {
        environment::note(&format!("warning: {warning}"));
    }
    for note in &planned.notes {
        environment::note(&printable(&format!("note: {note}")));
    }
    for cell in &planned.cells {
        let Cell { model, task, protocol } = &cell.cell;
        let (what, why) = match &cell.evaluation {
            Ok(_) => continue,
            Err(LeftOut::NotAvailable(why)) => ("left out", why),
            Err(LeftOut::Impossible(why)) => ("impossible", why),
        };
        environment::note(&printable(&format!("{what}: {model} on {task} by {protocol}: {why}")));
    }
    Ok(planned)
}

/// Names what is in the store and no part of it.
pub fn tell_foreign(listing: &Listing) {
    for path in &listing.foreign {
        environment::note(&printable(&format!("passed over: {} is no part of a store", path.display())));
    }
    if let Some(path) = listing.outdated.first() {
        environment::note(&format!(
            "passed over: {} entries of an earlier version, such as {}; `assay gc --delete` removes them",
            listing.outdated.len(),
            path.display()
        ));
    }
}

/// A number of bytes for people.
pub fn size(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", units[unit]) }
}

/// Writes one JSON object with its schema.
pub fn print_json(schema: &str, mut value: serde_json::Value) -> std::io::Result<()> {
    if let Some(object) = value.as_object_mut() {
        object.insert("schema".to_owned(), schema.into());
    }
    environment::print_exact(&format!("{value:#}\n"))
}
