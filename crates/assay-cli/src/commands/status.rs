use std::collections::BTreeMap;
use std::fmt::Write as _;

use assay_config::printable;
use clap::Args;
use serde_json::json;

use super::{ListFormat, StoreArguments, print_json, size};
use crate::{CliError, Exit, environment};

/// Says what is in the store and what is being made now.
#[derive(Args)]
pub struct Status {
    #[command(flatten)]
    store: StoreArguments,
    /// Format of the report.
    #[arg(long, value_enum, default_value = "text")]
    format: ListFormat,
}

impl Status {
    pub fn run(self) -> Result<Exit, CliError> {
        let store = self.store.peek();
        let mut kinds: BTreeMap<String, (usize, u64, f64)> = BTreeMap::new();
        let listing = store.list()?;
        super::tell_foreign(&listing);
        for (kind, key) in listing.entries {
            let read = store.provenance(&kind, key);
            let entry = kinds.entry(kind).or_default();
            entry.0 += 1;
            let provenance = match read {
                Ok(provenance) => provenance,
                Err(error) => {
                    environment::note(&format!("passed over: {error:#}"));
                    continue;
                }
            };
            if provenance.alias_of.is_none() {
                entry.1 += provenance.bytes();
                entry.2 += provenance.seconds;
            }
        }
        let working = store.in_progress()?;
        if self.format == ListFormat::Json {
            let kinds: Vec<_> = kinds.iter().map(|(kind, (entries, bytes, seconds))| json!({"kind": kind, "entries": entries, "bytes": bytes, "seconds": seconds})).collect();
            print_json(
                "assay.status/1",
                json!({"store": environment::in_json(store.root()), "kinds": kinds, "in_progress": working}),
            )?;
            return Ok(Exit::Done);
        }
        let mut text = format!("store {}\n", printable(&store.root().to_string_lossy()));
        for (kind, (entries, bytes, seconds)) in &kinds {
            let _ = writeln!(
                text,
                "{:<18} {entries:>7} entries  {:>9}  {seconds:>9.1} s of work",
                printable(kind),
                size(*bytes)
            );
        }
        if kinds.is_empty() {
            text.push_str("it is empty\n");
        }
        for holder in working {
            let _ = writeln!(
                text,
                "being made: {} by process {} on {}",
                printable(&holder.label),
                holder.pid,
                printable(&holder.host)
            );
        }
        environment::print(&text)?;
        Ok(Exit::Done)
    }
}
