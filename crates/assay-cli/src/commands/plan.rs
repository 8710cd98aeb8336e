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
    /// List every step, not only those that would be run.
    #[arg(long)]
    all: bool,
    /// How it is written.
    #[arg(long, value_enum, default_value = "text")]
    format: ListFormat,
}

impl Plan {
    pub fn run(self) -> Result<Exit, CliError> {
        let store = self.experiment.store().peek();
        let planned = self.experiment.plan(&store)?;
        let standings = planned.plan.survey(&store)?;
        let (estimate, covered) = planned.plan.estimate(&store, &standings);
        let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
        standings.iter().for_each(|s| *counts.entry(name(*s)).or_default() += 1);
        let to_run = counts.get("run").copied().unwrap_or(0) + counts.get("alias?").copied().unwrap_or(0);
        if self.format == ListFormat::Json {
            let steps: Vec<_> = planned
                .plan
                .nodes()
                .zip(&standings)
                .map(|(node, standing)| json!({"label": node.label, "also": node.also, "kind": node.kind, "key": node.key, "standing": standing}))
                .collect();
            let estimated = json!({"seconds": estimate.seconds, "bytes": estimate.bytes, "steps_covered": covered});
            print_json("assay.plan/1", json!({"steps": steps, "counts": counts, "estimate": estimated}))?;
            return Ok(Exit::Done);
        }
        let mut text = String::new();
        for (node, standing) in planned.plan.nodes().zip(&standings) {
            if self.all || matches!(standing, StepStatus::Run | StepStatus::MaybeReusable) {
                let _ = writeln!(text, "{:<8} {}  {}", name(*standing), node.key.0.short(), printable(&node.label));
            }
        }
        let listed: Vec<_> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let _ = writeln!(text, "{} steps: {}", standings.len(), listed.join(", "));
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

fn name(standing: StepStatus) -> &'static str {
    match standing {
        StepStatus::Hit => "hit",
        StepStatus::MaybeReusable => "alias?",
        StepStatus::Run => "run",
        StepStatus::Unneeded => "unneeded",
    }
}
