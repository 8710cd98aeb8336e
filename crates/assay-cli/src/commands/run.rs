use std::collections::HashMap;

use assay_config::printable;
use assay_engine::{CancelToken, Event, Executor, Options, RunLog, StepKey, StepWarning, Store, Summary};
use assay_lab::device::{self, DeviceChoice, OpenDevice};
use assay_lab::{Cell, CellState, Evaluation, Planned, Results, Runtime, SeenResults};
use assay_report::{Format, render};
use clap::{Args, ValueEnum};
use serde_json::json;

use super::ExperimentArguments;
use crate::progress::Progress;
use crate::{CliError, Exit, environment};

/// Runs an experiment and prints its results; what is in the store already is not run again.
#[derive(Args)]
pub struct Run {
    #[command(flatten)]
    experiment: ExperimentArguments,
    /// Device that networks are computed on.
    #[arg(long, default_value = "auto", help = "Devices: auto, cpu, cuda[:N], vulkan[:N] or wgpu[:N]; several with commas", value_parser = parse_devices)]
    device: String,
    /// Number of threads [default: one for each core].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Stops at the first failure instead of going on with what does not depend on it.
    #[arg(long)]
    fail_fast: bool,
    /// Format of the results on standard output.
    #[arg(long, value_enum, default_value = "table")]
    format: ResultFormat,
    /// Shows failures and warnings only.
    #[arg(long, short)]
    quiet: bool,
}

/// Format of results.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ResultFormat {
    /// Aligned columns.
    Table,
    /// One JSON object.
    Json,
    /// A line for each evaluation.
    Csv,
    /// A Markdown table.
    Markdown,
}

impl ResultFormat {
    /// The format of `assay-report`.
    pub fn report(self) -> Format {
        match self {
            Self::Table => Format::Table { bold: environment::is_bold() },
            Self::Json => Format::Json,
            Self::Csv => Format::Csv,
            Self::Markdown => Format::Markdown,
        }
    }
}

fn parse_devices(text: &str) -> Result<String, String> {
    DeviceChoice::list(text).map(|_| text.to_owned())
}

/// The text that is kept of a device: its name, and what made its code.
fn described(device: &OpenDevice) -> String {
    if device.generator.is_empty() { device.name.clone() } else { format!("{} ({})", device.name, device.generator) }
}

impl Run {
    pub fn run(self) -> Result<Exit, CliError> {
        let store = self.experiment.store().open()?;
        let planned = self.experiment.plan(&store)?;
        let jobs = self.jobs.map_or_else(environment::threads, usize::from);
        let devices = device::open_all(&self.device).map_err(CliError::Usage)?;
        let options = Options {
            jobs,
            memory_bytes: None,
            devices: devices.iter().map(described).collect(),
            keep_going: !self.fail_fast,
            host: environment::host(),
            program: concat!("assay ", env!("CARGO_PKG_VERSION")).to_owned(),
            now_unix: environment::now_unix,
        };
        // Held until the results are read, so that nobody collects them before.
        let wanted = planned.cells.iter().filter_map(|cell| Some(cell.evaluation.as_ref().ok()?.key()));
        let _live = store.use_shared(&options.host, wanted)?;
        let runtime = Runtime::new(devices, jobs, planned.shared_images.clone());
        let seen = SeenResults::default();
        let summary = self.execute(&planned, &store, &options, (&runtime, &seen))?;
        let results = Results::read(&planned.cells, &store, &failures(&summary), &seen);
        note_states(&results);
        environment::print_exact(&render(&results, self.format.report()))?;
        Ok(match exit(&results) {
            _ if summary.cancelled => Exit::Interrupted,
            Exit::Done if !summary.failed.is_empty() || summary.stopped.is_some() => Exit::Failed,
            exit => exit,
        })
    }

    fn execute(
        &self,
        planned: &Planned,
        store: &Store,
        options: &Options,
        (runtime, seen): (&Runtime, &SeenResults),
    ) -> Result<Summary, CliError> {
        let log = self.log(store, options);
        let progress = Progress::new(self.quiet);
        let cancel = CancelToken::default();
        listen_for_interrupts(cancel.clone());
        let events = |event: &Event| {
            if let Some(log) = &log {
                log.write(event);
            }
            progress.show(event);
        };
        let found = |key, summary: &[u8], warnings: &[StepWarning]| seen.note(key, summary, warnings);
        let executor = Executor {
            plan: &planned.plan,
            store,
            runtime,
            options,
            events: &events,
            headline: Evaluation::SUMMARY,
            found: &found,
            cancel: &cancel,
        };
        let summary = executor.run();
        let summary = summary.inspect_err(|_| progress.finish())?;
        progress.finish();
        if let Some(log) = &log {
            log.note(&json!({"event": "ended", "ran": summary.ran, "hits": summary.hits, "aliased": summary.aliased,
                "taken": summary.taken, "failed": summary.failed.len(), "skipped": summary.skipped.len(), "interrupted": summary.cancelled}));
        }
        if !self.quiet || !summary.failed.is_empty() {
            summarize(&summary).iter().for_each(|line| environment::note(line));
        }
        Ok(summary)
    }

    /// The log of this run. That none can be kept stops nothing.
    fn log(&self, store: &Store, options: &Options) -> Option<RunLog> {
        let now = environment::now_unix();
        let id = format!("{now}-{}", std::process::id());
        let header = json!({"schema": "assay.run/1", "experiment": environment::in_json(self.experiment.path()), "set": self.experiment.overrides(),
            "started_unix": now, "host": options.host, "device": options.devices.join(", "), "jobs": options.jobs, "program": options.program});
        RunLog::create(&store.runs_folder(), &id, &header).ok()
    }
}

/// The first Ctrl-C lets running steps end at their next check; the second kills.
fn listen_for_interrupts(cancel: CancelToken) {
    let _ = ctrlc::set_handler(move || {
        if cancel.is_cancelled() {
            std::process::exit(130);
        }
        cancel.cancel();
        environment::note("interrupted: finishing what is being written (press again to stop at once)");
    });
}

fn summarize(summary: &Summary) -> Vec<String> {
    let mut parts = vec![format!("{} steps run", summary.ran), format!("{} found in the store", summary.hits)];
    let more = [
        (summary.aliased, "cut off early"),
        (summary.taken, "made by another process"),
        (summary.damaged, "made again, being damaged"),
        (summary.failed.len(), "failed"),
        (summary.skipped.len(), "skipped"),
    ];
    parts.extend(more.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")));
    let mut lines = vec![parts.join(", ")];
    for failure in &summary.failed {
        let label = printable(&failure.label);
        lines.push(format!("failed: {label} ({}): {}", failure.key.0.short(), failure.message));
    }
    if let Some(why) = &summary.stopped {
        lines.push(format!("stopped, since results cannot be kept: {why}"));
    }
    if summary.cancelled {
        lines.push("interrupted: run again to go on from here".to_owned());
    }
    lines
}

/// Why steps were not made, by their keys.
fn failures(summary: &Summary) -> HashMap<StepKey, String> {
    let failed = summary.failed.iter().map(|f| (f.key, f.message.clone()));
    let skipped = summary.skipped.iter().map(|s| (s.key, format!("{} failed", s.because)));
    failed.chain(skipped).collect()
}

/// Prints which entries are damaged.
pub fn note_states(results: &Results) {
    for one in &results.cells {
        if let CellState::Damaged(how) = &one.state {
            let Cell { model, task, protocol } = &one.cell;
            environment::note(&printable(&format!(
                "damaged: {model} on {task} by {protocol}: {how}; `assay run` makes it again"
            )));
        }
    }
}

/// The end of a command with these results: well, unless something failed or is damaged.
pub fn exit(results: &Results) -> Exit {
    let is_bad = |state: &CellState| matches!(state, CellState::Failed(_) | CellState::Damaged(_));
    if results.cells.iter().any(|one| is_bad(&one.state)) { Exit::Failed } else { Exit::Done }
}
