use std::fmt::Write as _;

use assay_lab::Described;
use clap::Args;
use serde_json::json;

use super::{ListFormat, print_json};
use crate::{CliError, Exit, environment};

/// Options of a listing.
#[derive(Args)]
pub struct List {
    /// How it is written.
    #[arg(long, value_enum, default_value = "text")]
    format: ListFormat,
}

impl List {
    pub fn run(self, what: &str, described: Vec<Described>) -> Result<Exit, CliError> {
        if self.format == ListFormat::Json {
            print_json(&format!("assay.{what}/1"), json!({ what: described }))?;
            return Ok(Exit::Done);
        }
        let mut text = String::new();
        let mut place = "";
        for item in &described {
            if item.place != place {
                place = item.place;
                let _ = writeln!(text, "{}{place}:", if text.is_empty() { "" } else { "\n" });
            }
            let _ = writeln!(text, "  {}  {}", item.name, item.doc);
            for parameter in &item.parameters {
                let default =
                    parameter.default.as_ref().map_or_else(|| "required".to_owned(), |d| format!("default {d}"));
                let _ = writeln!(text, "      {}: {} ({default})  {}", parameter.name, parameter.kind, parameter.doc);
            }
        }
        environment::print(&text)?;
        Ok(Exit::Done)
    }
}
