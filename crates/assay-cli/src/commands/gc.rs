use std::collections::HashSet;
use std::path::PathBuf;

use assay_engine::gc;
use clap::Args;
use serde_json::json;

use super::{ListFormat, StoreArguments, plan_file, print_json, size};
use crate::{CliError, Exit, environment};

/// Removes what the given experiments do not reach. Only says what it would remove, unless `--delete` is given.
#[derive(Args)]
pub struct Gc {
    /// Experiments whose steps stay.
    #[arg(required = true)]
    experiments: Vec<PathBuf>,
    /// Really remove.
    #[arg(long)]
    delete: bool,
    #[command(flatten)]
    store: StoreArguments,
    /// Format of the list.
    #[arg(long, value_enum, default_value = "text")]
    format: ListFormat,
}

impl Gc {
    pub fn run(self) -> Result<Exit, CliError> {
        let store = self.store.peek();
        let mut live = HashSet::new();
        for path in &self.experiments {
            live.extend(plan_file(path, &[], false, &store)?.plan.nodes().map(|n| n.key));
        }
        let garbage = if self.delete { gc::sweep(&store, &live)? } else { gc::find(&store, &live)? };
        for path in &garbage.foreign {
            environment::note(&format!("left alone: {} is no part of a store", path.display()));
        }
        let bytes: u64 = garbage.entries.iter().map(|e| e.2).sum();
        if self.format == ListFormat::Json {
            let entries: Vec<_> = garbage
                .entries
                .iter()
                .map(|(kind, key, bytes)| json!({"kind": kind, "key": key, "bytes": bytes}))
                .collect();
            let work: Vec<_> = garbage.work.iter().map(|path| environment::in_json(path)).collect();
            print_json(
                "assay.gc/1",
                json!({"deleted": self.delete, "kept": garbage.kept, "entries": entries, "work": work, "bytes": bytes}),
            )?;
            return Ok(Exit::Done);
        }
        let verb = if self.delete { "removed" } else { "would remove" };
        let hint = if self.delete || garbage.entries.is_empty() { "" } else { "; --delete does it" };
        let left = if garbage.work.is_empty() {
            String::new()
        } else {
            format!(" and {} left-overs of earlier work", garbage.work.len())
        };
        environment::print(&format!(
            "{verb} {} entries ({}){left}, {} stay{hint}\n",
            garbage.entries.len(),
            size(bytes),
            garbage.kept
        ))?;
        Ok(Exit::Done)
    }
}
