//! Results for people and for programs.
//!
//! **Invariant.** Nothing here prints; everything returns text.

use std::collections::HashMap;
use std::fmt::Write as _;

use assay_lab::{ResultCell, Results};
use serde_json::json;

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns, the best of each in bold where `bold`.
    Table {
        /// Whether to use terminal codes.
        bold: bool,
    },
    /// One object, `assay.results/1`.
    Json,
    /// A line for each evaluation and metric.
    Csv,
    /// A Markdown table, the best of each column in bold.
    Markdown,
}

/// Writes results.
pub fn render(results: &Results, format: Format) -> String {
    match format {
        Format::Table { bold } => table(results, bold),
        Format::Json => to_json(results),
        Format::Csv => csv(results),
        Format::Markdown => markdown(results),
    }
}

fn to_json(results: &Results) -> String {
    let value = json!({
        "schema": "assay.results/1",
        "models": results.models,
        "columns": results.columns.iter().map(|(task, protocol)| json!({"task": task, "protocol": protocol})).collect::<Vec<_>>(),
        "cells": results.cells,
    });
    format!("{value:#}\n")
}

fn csv(results: &Results) -> String {
    let mut out = String::from("model,task,protocol,metric,mean,half_width_95,low_95,high_95,count,of,key\n");
    for cell in &results.cells {
        let names = [&cell.model, &cell.task, &cell.protocol].map(|n| quoted(n)).join(",");
        let mut line = |numbers: &str| writeln!(out, "{names},{numbers},{}", cell.key);
        let Some(s) = &cell.summary else {
            let _ = line(",,,,,,");
            continue;
        };
        let tail = format!("{},{}", s.count, s.of);
        let number = |v: Option<f64>| v.map_or_else(String::new, |v| v.to_string());
        // The number that is reported first, then the others.
        let reported = s.metrics.iter().find(|m| m.name == s.metric);
        let (low, high) = reported.map_or((s.mean - s.half_width, s.mean + s.half_width), |m| {
            (m.low.unwrap_or(f64::NAN), m.high.unwrap_or(f64::NAN))
        });
        let _ = line(&format!("{},{},{},{low},{high},{tail}", s.metric, s.mean, s.half_width));
        for m in s.metrics.iter().filter(|m| m.name != s.metric) {
            let half = m.low.zip(m.high).map(|(low, high)| (high - low) / 2.0);
            let (low, high) = (number(m.low), number(m.high));
            let _ = line(&format!("{},{},{},{low},{high},{tail}", m.name, m.value, number(half)));
        }
    }
    out
}

/// A field as RFC 4180 wants it.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// Texts of the grid: a header line, then a line for each model; and which of them are the best of their column.
struct Grid {
    header: Vec<String>,
    rows: Vec<Vec<(String, bool)>>,
}

impl Grid {
    fn new(results: &Results) -> Self {
        let one_task = results.columns.iter().all(|(task, _)| *task == results.columns[0].0);
        let name = |(task, protocol): &(String, String)| {
            if one_task { protocol.clone() } else { format!("{task} {protocol}") }
        };
        let header = std::iter::once("model".to_owned()).chain(results.columns.iter().map(name)).collect();
        let index: HashMap<_, _> = results.cells.iter().map(|c| ((&*c.model, &*c.task, &*c.protocol), c)).collect();
        let find =
            |model: &str, (task, protocol): &(String, String)| index.get(&(model, &**task, &**protocol)).copied();
        let best: Vec<f64> = results
            .columns
            .iter()
            .map(|column| {
                let means = results.models.iter().filter_map(|m| find(m, column)?.summary.as_ref().map(|s| s.mean));
                means.fold(f64::NEG_INFINITY, f64::max)
            })
            .collect();
        let rows = results
            .models
            .iter()
            .map(|model| {
                let cells = results.columns.iter().zip(&best).map(|(column, best)| match find(model, column) {
                    Some(cell) => (
                        number(cell),
                        cell.summary.as_ref().is_some_and(|s| s.mean == *best) && results.models.len() > 1,
                    ),
                    None => ("–".to_owned(), false),
                });
                std::iter::once((model.clone(), false)).chain(cells).collect()
            })
            .collect();
        Self { header, rows }
    }
}

fn number(cell: &ResultCell) -> String {
    cell.summary
        .as_ref()
        .map_or_else(|| "not run".to_owned(), |s| format!("{:.2} ± {:.2}", 100.0 * s.mean, 100.0 * s.half_width))
}

fn table(results: &Results, bold: bool) -> String {
    if results.cells.is_empty() {
        return String::new();
    }
    let grid = Grid::new(results);
    let width = |i: usize| {
        let cells = grid.rows.iter().map(|row| row[i].0.chars().count());
        cells.chain([grid.header[i].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..grid.header.len()).map(width).collect();
    let pad = |text: &str, i: usize| {
        let space = " ".repeat(widths[i] - text.chars().count());
        if i == 0 { format!("{text}{space}") } else { format!("{space}{text}") }
    };
    let mut out = String::new();
    let header: Vec<String> = grid.header.iter().enumerate().map(|(i, text)| pad(text, i)).collect();
    let _ = writeln!(out, "{}", header.join("  ").trim_end());
    for row in &grid.rows {
        let cells = row.iter().enumerate().map(|(i, (text, best))| {
            let padded = pad(text, i);
            if *best && bold { format!("\u{1b}[1m{padded}\u{1b}[0m") } else { padded }
        });
        let _ = writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    let mut metrics: Vec<&str> =
        results.cells.iter().filter_map(|c| Some(c.summary.as_ref()?.metric.as_str())).collect();
    metrics.sort_unstable();
    metrics.dedup();
    let metrics = if metrics.is_empty() { "accuracy".to_owned() } else { metrics.join(" or ") };
    let _ = writeln!(out, "\n{metrics} in %, mean ± half-width of the 95 % interval");
    out
}

/// All metrics of the evaluations that have several, as aligned columns; empty when none has.
pub fn metrics_table(results: &Results) -> String {
    let with = results.cells.iter().filter_map(|c| Some((c, c.summary.as_ref().filter(|s| !s.metrics.is_empty())?)));
    let mut rows = vec![["model", "task", "protocol", "metric", "value", "95 % interval"].map(str::to_owned)];
    for (cell, summary) in with {
        for m in &summary.metrics {
            let interval = match (m.low, m.high) {
                (Some(low), Some(high)) => format!("{low:.4} … {high:.4}"),
                _ => String::new(),
            };
            let names = [&cell.model, &cell.task, &cell.protocol, &m.name].map(Clone::clone);
            let [model, task, protocol, metric] = names;
            rows.push([model, task, protocol, metric, format!("{:.4}", m.value), interval]);
        }
    }
    if rows.len() == 1 {
        return String::new();
    }
    let widths: [usize; 6] = std::array::from_fn(|i| rows.iter().map(|r| r[i].chars().count()).max().unwrap_or(0));
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(widths).map(|(text, width)| format!("{text:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

fn markdown(results: &Results) -> String {
    if results.cells.is_empty() {
        return String::new();
    }
    let grid = Grid::new(results);
    let escape = |text: &str| text.replace('|', "\\|");
    let mut out = format!("| {} |\n", grid.header.iter().map(|h| escape(h)).collect::<Vec<_>>().join(" | "));
    out.push_str(&format!("|---|{}\n", "---:|".repeat(grid.header.len() - 1)));
    for row in &grid.rows {
        let cells = row.iter().map(|(text, best)| if *best { format!("**{}**", escape(text)) } else { escape(text) });
        let _ = writeln!(out, "| {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    out
}

#[cfg(test)]
mod tests {
    use assay_lab::Summary;

    use super::*;

    fn results() -> Results {
        let cell = |model: &str, protocol: &str, mean: Option<f64>| ResultCell {
            model: model.into(),
            task: "t".into(),
            protocol: protocol.into(),
            key: "k".into(),
            folder: "f".into(),
            summary: mean.map(|mean| Summary {
                metric: "accuracy".into(),
                mean,
                half_width: 0.01,
                count: 600,
                of: "episodes".into(),
                metrics: Vec::new(),
            }),
        };
        Results {
            models: vec!["a,b".into(), "longer".into()],
            columns: vec![("t".into(), "p".into()), ("t".into(), "q".into())],
            cells: vec![cell("a,b", "p", Some(0.5)), cell("longer", "p", Some(0.25)), cell("longer", "q", None)],
            damaged: vec![],
        }
    }

    #[test]
    fn table_is_aligned_and_the_best_is_bold() {
        let plain = render(&results(), Format::Table { bold: false });
        let lines: Vec<&str> = plain.lines().collect();
        assert_eq!(lines[0], "model              p        q");
        assert_eq!(lines[1], "a,b     50.00 ± 1.00        –");
        assert_eq!(lines[2], "longer  25.00 ± 1.00  not run");
        assert!(render(&results(), Format::Table { bold: true }).contains("\u{1b}[1m50.00 ± 1.00\u{1b}[0m"));
    }

    #[test]
    fn csv_quotes_and_markdown_escapes() {
        let text = render(&results(), Format::Csv);
        assert!(text.contains("\"a,b\",t,p,accuracy,0.5,0.01,0.49,0.51,600,episodes,k\n"), "{text}");
        assert!(text.ends_with("longer,t,q,,,,,,,,k\n"), "{text}");
        assert!(render(&results(), Format::Markdown).contains("| a,b | **50.00 ± 1.00** | – |"));
    }

    #[test]
    fn json_has_a_schema() {
        let value: serde_json::Value = serde_json::from_str(&render(&results(), Format::Json)).unwrap();
        assert_eq!(value["schema"], "assay.results/1");
        assert_eq!(value["cells"][0]["summary"]["mean"], 0.5);
    }
}
