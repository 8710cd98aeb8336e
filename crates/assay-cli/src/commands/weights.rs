use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use assay_config::{printable, printable_message};
use assay_lab::{GuessReport, WeightsReport, convert_weights, inspect_weights};
use clap::{Args, Subcommand};

use super::{ListFormat, print_json, size};
use crate::{CliError, Exit, environment};

/// Looks at weights files, and converts them.
#[derive(Args)]
pub struct Weights {
    #[command(subcommand)]
    command: WeightsCommand,
}

#[derive(Subcommand)]
enum WeightsCommand {
    /// Lists the tensors of a file, and says which backbone they are.
    Inspect {
        /// A torch file, safetensors (or their index), .npz, a pickle of arrays, or a TensorFlow checkpoint (its .index).
        file: PathBuf,
        /// Key of the state dict, where the usual ones are not meant.
        #[arg(long)]
        container: Option<String>,
        /// Format of the report.
        #[arg(long, value_enum, default_value = "text")]
        format: ListFormat,
    },
    /// Writes the tensors of a file as safetensors, under the same names; results and keys stay the same.
    Convert {
        /// Any file that `inspect` reads.
        file: PathBuf,
        /// File to write; it must not exist yet.
        #[arg(long)]
        to: PathBuf,
        /// Key of the state dict, where the usual ones are not meant.
        #[arg(long)]
        container: Option<String>,
    },
}

impl Weights {
    pub fn run(self) -> Result<Exit, CliError> {
        match self.command {
            WeightsCommand::Inspect { file, container, format } => {
                let report = inspect_weights(&file, container.as_deref())?;
                if format == ListFormat::Json {
                    print_json("assay.weights/1", serde_json::to_value(&report).context("writing JSON")?)?;
                } else {
                    environment::print(&text(&report))?;
                }
            }
            WeightsCommand::Convert { file, to, container } => {
                let (bytes, count) = convert_weights(&file, container.as_deref())?;
                environment::write_new(&to, &bytes)?;
                environment::note(&format!("wrote {} ({count} tensors, {})", to.display(), size(bytes.len() as u64)));
            }
        }
        Ok(Exit::Done)
    }
}

fn text(report: &WeightsReport) -> String {
    let mut out = String::new();
    for tensor in &report.tensors {
        let shape = tensor.shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × ");
        let _ = write!(out, "{:<4}  {shape:<22}  {}", tensor.dtype, printable(&tensor.name));
        let _ = match tensor.not_finite {
            0 => writeln!(out),
            n => writeln!(out, "  ({n} numbers are not finite)"),
        };
    }
    for (name, what) in &report.unread {
        let _ = writeln!(out, "not read    {}: {}", printable(name), printable_message(what));
    }
    let numbers: usize = report.tensors.iter().map(|t| t.shape.iter().product::<usize>()).sum();
    let _ = writeln!(out, "\nformat      {}", report.format);
    if let Some(container) = &report.container {
        let _ = writeln!(out, "container   {}", printable(container));
    }
    for (path, count) in report.containers.iter().filter(|_| report.containers.len() > 1) {
        let name = if path.is_empty() { "the file as a whole".into() } else { printable(path) };
        let _ = writeln!(out, "holds       {name} ({count} tensors)");
    }
    let _ = writeln!(out, "tensors     {}, with {numbers} numbers", report.tensors.len());
    match &report.guess {
        Some(guess) => describe(guess, &mut out),
        None => out.push_str("backbone    none that is known\n"),
    }
    out
}

fn describe(guess: &GuessReport, out: &mut String) {
    let _ = writeln!(out, "backbone    {} ({} of {} tensors)", guess.backbone, guess.present, guess.needed);
    if let Some(prefix) = &guess.prefix {
        let _ = writeln!(out, "prefix      {prefix:?}");
    }
    if let Some(naming) = guess.naming {
        let _ = writeln!(out, "naming      {naming}");
    }
    if guess.has_classifier {
        out.push_str("classifier  its own is there\n");
    }
    for note in &guess.notes {
        let _ = writeln!(out, "note        {}", printable_message(note));
    }
    if let Some(unsaid) = &guess.unsaid {
        let _ = writeln!(out, "not said    {}", printable_message(unsaid));
    }
    for choice in &guess.choices {
        let container = choice.container.as_ref().map(|key| format!("container: {key:?}, ")).unwrap_or_default();
        let _ = writeln!(
            out,
            "choice      {}prefix: {:?} ({} of {} tensors)",
            printable(&container),
            choice.prefix,
            choice.present,
            guess.needed
        );
    }
    for problem in &guess.problems {
        let _ = writeln!(out, "problem     {}", printable_message(problem));
    }
    if let Some(help) = &guess.help {
        let _ = writeln!(out, "help        {}", printable_message(help));
    }
}
