use std::fmt::Write as _;

use assay_config::{nearest, printable};
use assay_engine::{Node, Provenance, StepKey, Store, explain};
use assay_lab::{Planned, Runtime};
use clap::Args;
use serde_json::json;

use super::{ExperimentArguments, ListFormat, print_json};
use crate::{CliError, Exit, environment};

/// Says why a step is not in the store: what changed since it was last made, with its place in the file.
#[derive(Args)]
pub struct Why {
    #[command(flatten)]
    experiment: ExperimentArguments,
    /// Label of the step, as `plan --all` lists it.
    label: String,
    /// Format of the explanation.
    #[arg(long, value_enum, default_value = "text")]
    format: ListFormat,
}

impl Why {
    pub fn run(self) -> Result<Exit, CliError> {
        let store = self.experiment.store().peek();
        let planned = self.experiment.plan(&store)?;
        let node = self.find(&planned)?;
        let is_hit = store.contains(node.kind, node.key);
        let before = latest_of_label(&store, node, &self.label)?;
        let changes = match &before {
            Some((key, _)) => explain::changes(&planned.plan, &store, node.kind, *key, node.key)?,
            None => Vec::new(),
        };
        let place = |path: &Option<String>| {
            let place = planned.document.place(path.as_deref()?)?;
            Some(planned.document.problems.describe(&place))
        };
        if self.format == ListFormat::Json {
            let changes: Vec<_> = changes.iter().map(|c| json!({"change": c, "place": place(&c.path)})).collect();
            let before = before.map(|(key, p)| json!({"key": key, "finished_unix": p.finished_unix}));
            print_json(
                "assay.why/1",
                json!({"label": node.label, "kind": node.kind, "key": node.key, "in_store": is_hit, "before": before, "changes": changes}),
            )?;
            return Ok(Exit::Done);
        }
        let mut text = format!("{} ({})\n", printable(&self.label), node.key.0.short());
        if is_hit {
            text.push_str("is in the store: it will not be run\n");
        }
        match before {
            None if is_hit => {}
            None => text.push_str("has never been made, as far as this store knows\n"),
            Some((key, _)) => {
                let _ = writeln!(
                    text,
                    "{} made as {} before; since then",
                    if is_hit { "was also" } else { "was" },
                    key.0.short()
                );
            }
        }
        for change in &changes {
            let show = |value: &Option<serde_json::Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), shorten);
            let at = place(&change.path).map_or_else(String::new, |p| format!("\n      {}", printable(&p)));
            let name = if change.part.is_empty() { "it" } else { change.part.trim_start_matches('/') };
            let _ = writeln!(
                text,
                "  {} changed from {} to {}, in {}{at}",
                printable(&name.replace('/', ".")),
                show(&change.before),
                show(&change.now),
                printable(&change.label)
            );
        }
        environment::print(&text)?;
        Ok(Exit::Done)
    }

    fn find<'p>(&self, planned: &'p Planned) -> Result<&'p Node<Runtime>, CliError> {
        let named = |node: &&Node<Runtime>| node.label == self.label || node.also.contains(&self.label);
        planned.plan.nodes().find(named).ok_or_else(|| {
            let labels = planned.plan.nodes().map(|n| n.label.as_str());
            let hint = nearest(&self.label, labels).map_or_else(String::new, |near| format!("; did you mean {near}?"));
            CliError::Usage(format!("the plan has no step called {}{hint} (`assay plan --all` lists them)", self.label))
        })
    }
}

/// The entry that was made last under this label with another key.
fn latest_of_label(store: &Store, node: &Node<Runtime>, label: &str) -> anyhow::Result<Option<(StepKey, Provenance)>> {
    let mut latest: Option<(StepKey, Provenance)> = None;
    for (kind, key) in store.entries()? {
        if kind != node.kind || key == node.key {
            continue;
        }
        let provenance = match store.provenance(&kind, key) {
            Ok(provenance) => provenance,
            Err(error) => {
                environment::note(&format!("passed over: {error:#}"));
                continue;
            }
        };
        if provenance.label == label && latest.as_ref().is_none_or(|(_, p)| p.finished_unix <= provenance.finished_unix)
        {
            latest = Some((key, provenance));
        }
    }
    Ok(latest)
}

fn shorten(value: &serde_json::Value) -> String {
    let text = match value.get("$content").or_else(|| value.get("$step")).and_then(|d| d.as_str()) {
        Some(digest) => format!("content {}", &digest[..digest.len().min(12)]),
        None => printable(&value.to_string()).into_owned(),
    };
    if text.chars().count() > 80 { format!("{}…", text.chars().take(80).collect::<String>()) } else { text }
}
