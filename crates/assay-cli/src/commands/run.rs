use assay_engine::{CancelToken, Event, Executor, Options, RunLog, Store, Summary};
use assay_lab::device::{self, DeviceChoice};
use assay_lab::{Planned, Results, Runtime};
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
    /// Where networks compute.
    #[arg(long, default_value = "auto", help = "Device: auto, cpu, cuda[:N], vulkan[:N] or wgpu[:N]", value_parser = parse_device)]
    device: DeviceChoice,
    /// Threads [default: all].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Stop at the first failure instead of going on with what does not depend on it.
    #[arg(long)]
    fail_fast: bool,
    /// How results are written to standard output.
    #[arg(long, value_enum, default_value = "table")]
    format: ResultFormat,
    /// Show failures and warnings only.
    #[arg(long, short)]
    quiet: bool,
}

/// How results are written.
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
    /// As the report wants it.
    pub fn report(self) -> Format {
        match self {
            Self::Table => Format::Table { bold: environment::is_bold() },
            Self::Json => Format::Json,
            Self::Csv => Format::Csv,
            Self::Markdown => Format::Markdown,
        }
    }
}

fn parse_device(text: &str) -> Result<DeviceChoice, String> {
    text.parse()
}

impl Run {
    pub fn run(self) -> Result<Exit, CliError> {
        let store = self.experiment.store().open()?;
        let planned = self.experiment.plan(&store)?;
        let jobs = self.jobs.map_or_else(environment::threads, usize::from);
        let device = device::open(self.device).map_err(CliError::Usage)?;
        let options = Options {
            jobs,
            memory_bytes: None,
            keep_file: Some("summary.json"),
            devices: vec![device.name.clone()],
            keep_going: !self.fail_fast,
            host: environment::host(),
            program: concat!("assay ", env!("CARGO_PKG_VERSION")).to_owned(),
            now_unix: environment::now_unix,
        };
        // Held until the results are read, so that nobody collects them before.
        let _live = store.use_shared(&options.host, planned.cells.iter().map(|(_, output)| output.key()))?;
        let summary = self.execute(&planned, &store, &options, Runtime::new(vec![device], jobs))?;
        let results = Results::read(&planned.cells, &store)?;
        super::tell_damaged(&results);
        environment::print(&render(&results, self.format.report()))?;
        Ok(end(&summary))
    }

    fn execute(
        &self,
        planned: &Planned,
        store: &Store,
        options: &Options,
        runtime: Runtime,
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
        let summary =
            Executor { plan: &planned.plan, store, runtime: &runtime, options, events: &events, cancel: &cancel }.run();
        let summary = summary.inspect_err(|_| progress.finish())?;
        progress.finish();
        if let Some(log) = &log {
            log.note(&json!({"event": "ended", "ran": summary.ran, "hits": summary.hits, "aliased": summary.aliased,
                "taken": summary.taken, "failed": summary.failed.len(), "skipped": summary.skipped, "interrupted": summary.cancelled}));
        }
        if !self.quiet || !summary.failed.is_empty() {
            environment::note(&tell(&summary));
        }
        Ok(summary)
    }

    /// The log of this run. That none can be kept stops nothing.
    fn log(&self, store: &Store, options: &Options) -> Option<RunLog> {
        let now = environment::now_unix();
        let id = format!("{now}-{}", std::process::id());
        let header = json!({"schema": "assay.run/1", "experiment": self.experiment.path(), "set": self.experiment.overrides(),
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

fn tell(summary: &Summary) -> String {
    let mut parts = vec![format!("{} steps run", summary.ran), format!("{} found in the store", summary.hits)];
    let more = [
        (summary.aliased, "cut off early"),
        (summary.taken, "made by another process"),
        (summary.damaged, "made again, being damaged"),
        (summary.failed.len(), "failed"),
        (summary.skipped, "skipped"),
    ];
    parts.extend(more.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")));
    let mut text = parts.join(", ");
    for failure in &summary.failed {
        text.push_str(&format!("\nfailed: {} ({}): {}", failure.label, failure.key.0.short(), failure.message));
    }
    if let Some(why) = &summary.stopped {
        text.push_str(&format!("\nstopped, since results cannot be kept: {why}"));
    }
    if summary.cancelled {
        text.push_str("\ninterrupted: run again to go on from here");
    }
    text
}

fn end(summary: &Summary) -> Exit {
    if summary.cancelled {
        Exit::Interrupted
    } else if summary.failed.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    }
}
