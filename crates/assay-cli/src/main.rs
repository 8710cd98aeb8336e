//! The `assay` command: arguments, progress and exit codes.
//!
//! The environment, the clock and the terminal are read here and nowhere below. Results go to standard output, everything else
//! to standard error. Exit codes: 0 done, 1 a step failed or something is not as it should be, 2 the file or the command line
//! is wrong, 130 interrupted.

mod commands;
mod environment;
mod progress;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::commands::Command;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures how well pretrained vision models transfer.
#[derive(Parser)]
#[command(name = "assay", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// End of a command.
pub enum Exit {
    /// The command did what it should.
    Done,
    /// A step failed, or something is damaged.
    Failed,
    /// By Ctrl-C.
    Interrupted,
}

/// Why a command did not begin or could not go on.
pub enum CliError {
    /// The experiment is wrong: all that is wrong with it.
    Experiment(Vec<assay_config::Problem>),
    /// The command line is wrong.
    Usage(String),
    /// Something else.
    Other(anyhow::Error),
}

impl From<anyhow::Error> for CliError {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        Self::Other(error.into())
    }
}

/// The command line with `export weights` for the shorter `export`.
fn spelled_out(mut words: Vec<OsString>) -> Vec<OsString> {
    let is_export = words.get(1).is_some_and(|word| word == "export");
    let is_short = words.get(2).is_some_and(|word| !commands::EXPORT_WORDS.iter().any(|known| word == known));
    if is_export && is_short {
        words.insert(2, "weights".into());
    }
    words
}

fn main() -> ExitCode {
    match Arguments::parse_from(spelled_out(std::env::args_os().collect())).command.run() {
        Ok(Exit::Done) => ExitCode::SUCCESS,
        Ok(Exit::Failed) => ExitCode::from(1),
        Ok(Exit::Interrupted) => ExitCode::from(130),
        Err(CliError::Experiment(problems)) => {
            environment::print_problems(&problems);
            ExitCode::from(2)
        }
        Err(CliError::Usage(message)) => {
            environment::note(&format!("error: {message}"));
            ExitCode::from(2)
        }
        Err(CliError::Other(error)) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(CliError::Other(error)) => {
            environment::note(&format!("error: {error:#}"));
            ExitCode::from(1)
        }
    }
}

/// The reader of our output has enough, as `head` has.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}
