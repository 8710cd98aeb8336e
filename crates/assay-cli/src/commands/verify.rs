use assay_engine::verify;
use clap::Args;
use serde_json::json;

use super::{ListFormat, StoreArguments, print_json};
use crate::{CliError, Exit, environment};

/// Hashes everything in the store again and says what is damaged; exit code 1 if anything is.
#[derive(Args)]
pub struct Verify {
    #[command(flatten)]
    store: StoreArguments,
    /// Format of the report.
    #[arg(long, value_enum, default_value = "text")]
    format: ListFormat,
}

impl Verify {
    pub fn run(self) -> Result<Exit, CliError> {
        let store = self.store.peek();
        let listing = store.list()?;
        super::tell_foreign(&listing);
        let entries = listing.entries;
        let damaged: Vec<_> = entries.iter().filter_map(|(kind, key)| verify::entry(&store, kind, *key)).collect();
        if self.format == ListFormat::Json {
            let damaged: Vec<_> = damaged
                .iter()
                .map(|d| json!({"kind": d.kind, "key": d.key, "file": d.file.to_string_lossy(), "what": d.what}))
                .collect();
            print_json("assay.verify/1", json!({"entries": entries.len(), "damaged": damaged}))?;
        } else {
            for damage in &damaged {
                environment::note(&format!(
                    "damaged: {}: {} {}; a run that needs it makes it again",
                    damage.kind,
                    damage.file.display(),
                    damage.what
                ));
            }
            environment::print(&format!("{} entries, {} damaged\n", entries.len(), damaged.len()))?;
        }
        Ok(if damaged.is_empty() { Exit::Done } else { Exit::Failed })
    }
}
