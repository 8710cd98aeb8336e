use std::collections::BTreeMap;
use std::fmt::Write as _;

use assay_config::printable;
use assay_engine::StepStatus;
use clap::Args;
use serde_json::json;

use super::{ExperimentArguments, ListFormat, print_json, size};
use crate::{CliError, Exit, environment};

/// Shows what a run would do, and what it would cost, without doing it and without opening a device.
#[derive(Args)]
pub struct Plan {
    #[command(flatten)]
    experiment: ExperimentArguments,
    /// Lists every step, not only those that would be run.
    #[arg(long)]
    all: bool,
    /// Format of the plan.
    #[arg(long, value_enum, default_value = "text")]
    format: ListFormat,
}

impl Plan {
    pub fn run(self) -> Result<Exit, CliError> {
        let store = self.experiment.store().peek();
        let planned = self.experiment.plan(&store)?;
        let statuses = planned.plan.survey(&store)?;
        let (estimate, covered) = planned.plan.estimate(&store, &statuses);
        let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
        statuses.iter().for_each(|s| *counts.entry(name(*s)).or_default() += 1);
        let to_run = counts.get("run").copied().unwrap_or(0) + counts.get("alias?").copied().unwrap_or(0);
        if self.format == ListFormat::Json {
            let steps: Vec<_> = planned
                .plan
                .nodes()
                .zip(&statuses)
                .map(|(node, status)| json!({"label": node.label, "also": node.also, "kind": node.kind, "key": node.key, "standing": status}))
                .collect();
            let estimated = json!({"seconds": estimate.seconds, "bytes": estimate.bytes, "steps_covered": covered});
            let notes = &planned.notes;
            print_json(
                "assay.plan/1",
                json!({"steps": steps, "counts": counts, "estimate": estimated, "notes": notes}),
            )?;
            return Ok(Exit::Done);
        }
        let mut text = String::new();
        for (node, status) in planned.plan.nodes().zip(&statuses) {
            if self.all || matches!(status, StepStatus::Run | StepStatus::MaybeReusable) {
                let _ = writeln!(text, "{:<8} {}  {}", name(*status), node.key.0.short(), printable(&node.label));
            }
        }
        let listed: Vec<_> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let _ = writeln!(text, "{} steps: {}", statuses.len(), listed.join(", "));
        if to_run > 0 {
            let _ = match covered {
                0 => writeln!(text, "nothing like it has been run here, so there is no prediction"),
                covered => writeln!(
                    text,
                    "predicted: {:.1} s and {} for {covered} of {to_run} steps",
                    estimate.seconds,
                    size(estimate.bytes as u64)
                ),
            };
        }
        environment::print(&text)?;
        Ok(Exit::Done)
    }
}

fn name(status: StepStatus) -> &'static str {
    match status {
        StepStatus::Hit => "hit",
        StepStatus::MaybeReusable => "alias?",
        StepStatus::Run => "run",
        StepStatus::Unneeded => "unneeded",
    }
}
