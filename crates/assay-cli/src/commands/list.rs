use std::fmt::Write as _;

use assay_lab::{Described, Parameter, split_default};
use clap::Args;
use serde_json::json;

use super::{ListFormat, print_json};
use crate::{CliError, Exit, environment};

/// Options of a listing.
#[derive(Args)]
pub struct List {
    /// Format of the listing.
    #[arg(long, value_enum, default_value = "text")]
    format: ListFormat,
}

impl List {
    pub fn run(self, what: &str, described: Vec<Described>) -> Result<Exit, CliError> {
        if self.format == ListFormat::Json {
            print_json(&format!("assay.{what}/1"), json!({ what: described }))?;
        } else {
            environment::print(&text(&described))?;
        }
        Ok(Exit::Done)
    }
}

/// Longest line, in characters.
const WIDTH: usize = 100;
/// Widest column of names; what stands beside a longer one begins on the next line.
const MAX_COLUMN: usize = 18;

/// A paragraph for each place, with a column of names and one of what they are.
fn text(described: &[Described]) -> String {
    let mut text = String::new();
    for place in described.chunk_by(|a, b| a.place == b.place) {
        if !text.is_empty() {
            text.push('\n');
        }
        paragraph(&mut text, "", 4, &format!("{}: {}", place[0].place, place[0].place_doc));
        let column = column(place.iter().map(|d| d.name.as_str()));
        for (i, item) in place.iter().enumerate() {
            let mut indent = 2;
            if !item.is_nameless {
                if i > 0 && !(item.parameters.is_empty() && place[i - 1].parameters.is_empty()) {
                    text.push('\n');
                }
                entry(&mut text, 2, column, &item.name, &item.doc);
                indent = 6;
            }
            parameters(&mut text, indent, &item.parameters);
        }
    }
    text
}

/// Each parameter with what it is, and below that with what may be written and what is meant when nothing is.
fn parameters(text: &mut String, indent: usize, parameters: &[Parameter]) {
    let column = column(parameters.iter().map(|p| p.name.as_str()));
    for parameter in parameters {
        entry(text, indent, column, &parameter.name, split_default(&parameter.doc).0);
        let default = parameter.default.as_ref().map_or_else(|| "required".to_owned(), |d| format!("default: {d}"));
        let at = " ".repeat(indent + column);
        paragraph(text, &at, indent + column, &format!("[{}; {default}]", parameter.kind));
    }
}

fn column<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names.map(str::len).filter(|length| *length <= MAX_COLUMN).max().unwrap_or(0) + 2
}

/// A name, and beside it what it is.
fn entry(text: &mut String, indent: usize, column: usize, name: &str, doc: &str) {
    let lead = format!("{:indent$}{name:<column$}", "");
    if name.len() + 2 <= column {
        paragraph(text, &lead, indent + column, doc);
    } else {
        let _ = writeln!(text, "{}", lead.trim_end());
        paragraph(text, &" ".repeat(indent + column), indent + column, doc);
    }
}

/// Writes words after `lead`, with line breaks between them; further lines are indented.
fn paragraph(text: &mut String, lead: &str, indent: usize, words: &str) {
    let (mut line, mut is_empty) = (lead.to_owned(), true);
    for word in words.split(' ') {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(text, "{}", line.trim_end());
            line = " ".repeat(indent);
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    let _ = writeln!(text, "{}", line.trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_aligned_and_not_too_long() {
        let parameter = |name: &str, doc: &str, default: Option<&str>| Parameter {
            name: name.to_owned(),
            doc: doc.to_owned(),
            kind: "integer".to_owned(),
            default: default.map(str::to_owned),
        };
        let item = |name: &str, doc: &str, parameters| Described {
            place: "backbone".to_owned(),
            place_doc: "Network that turns an image into features.".to_owned(),
            name: name.to_owned(),
            doc: doc.to_owned(),
            parameters,
            is_nameless: false,
        };
        let long = "Interpolation of the position embeddings for images of another size than the checkpoint was \
                    trained on. Default: 7.";
        let parameters = vec![parameter("size", "Size.", None), parameter("positions", long, Some("7"))];
        let listed = text(&[item("Pixels", "No network.", vec![]), item("ViT", "Transformer.", parameters)]);
        assert_eq!(
            listed,
            "\
backbone: Network that turns an image into features.
  Pixels  No network.

  ViT     Transformer.
      size       Size.
                 [integer; required]
      positions  Interpolation of the position embeddings for images of another size than the
                 checkpoint was trained on.
                 [integer; default: 7]
"
        );
        for what in [assay_lab::models(), assay_lab::tasks(), assay_lab::protocols()] {
            let listed = text(&what);
            let too_long = |line: &&str| line.chars().count() > WIDTH && line.trim().contains(' ');
            assert_eq!(listed.lines().find(too_long), None);
        }
    }
}
