//! Results for people and for programs.
//!
//! **Invariant.** Nothing here prints or opens a file; everything is returned, or written to what the caller has opened.

mod export_files;
mod item_files;
mod paper;

pub use export_files::{ExportFormat, write_export, write_rest};
pub use item_files::{ItemFormat, render_items};
pub use paper::{compare_with_paper, compare_with_paper_json, paper_tables};

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use assay_config::printable;
use assay_lab::{Better, Cell, CellState, METRICS, Measure, MetricInfo, ResultCell, Results};
use serde_json::{Value, json};

/// Format of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns, the best of each in bold where `bold`.
    Table {
        /// Use of terminal codes for bold text.
        bold: bool,
    },
    /// One object, `assay.results/2`.
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
    let columns: Vec<_> =
        results.columns.iter().map(|(task, protocol)| json!({"task": task, "protocol": protocol})).collect();
    let cells: Vec<_> = results.cells.iter().map(cell_json).collect();
    let value = json!({"schema": "assay.results/2", "models": results.models, "columns": columns, "cells": cells, "metrics": metrics_json(results)});
    format!("{value:#}\n")
}

fn cell_json(one: &ResultCell) -> Value {
    let Cell { model, task, protocol } = &one.cell;
    let mut value = json!({"model": model, "task": task, "protocol": protocol, "state": one.state.word()});
    if let Some((key, folder)) = &one.step {
        value["key"] = json!(key);
        value["folder"] = json!(folder.to_string_lossy());
    }
    if let Some(reason) = one.state.reason() {
        value["reason"] = json!(reason);
    }
    if !one.warnings.is_empty() {
        value["warnings"] = json!(one.warnings);
    }
    if !one.notes.is_empty() {
        value["notes"] = json!(one.notes);
    }
    if let Some(summary) = one.state.summary() {
        let headline = summary.headline();
        value["summary"] = json!({
            "metric": headline.metric,
            "mean": headline.value,
            "half_width": half_width(headline),
            "count": headline.count,
            "of": headline.over,
        });
        value["measures"] = json!(summary.measures);
        value["exhibits"] = json!(summary.exhibits);
    }
    value
}

/// The catalogue's entry of every metric in the results.
fn metrics_json(results: &Results) -> Value {
    let measures = results.cells.iter().filter_map(|c| c.state.summary()).flat_map(|s| &s.measures);
    let ids: BTreeSet<&str> = measures.map(|m| m.metric.id()).collect();
    let known = METRICS.iter().filter(|m| ids.contains(m.id));
    known
        .map(|m| (m.id.to_owned(), json!({"title": m.title, "unit": m.unit, "better": m.better, "doc": m.doc})))
        .collect()
}

fn half_width(measure: &Measure) -> f64 {
    measure.interval.map_or(0.0, |i| i.half_width)
}

fn csv(results: &Results) -> String {
    let mut out = String::from("model,task,protocol,metric,mean,half_width_95,low_95,high_95,count,of,key\n");
    for one in &results.cells {
        let Cell { model, task, protocol } = &one.cell;
        let names = [model, task, protocol].map(|n| quoted(n)).join(",");
        let key = one.step.as_ref().map_or_else(String::new, |(key, _)| key.to_string());
        let Some(summary) = one.state.summary() else {
            let _ = writeln!(out, "{names},,,,,,,,{key}");
            continue;
        };
        // The number that is reported comes first.
        for m in &summary.measures {
            let interval =
                m.interval.map_or_else(|| ",,".to_owned(), |i| format!("{},{},{}", i.half_width, i.low, i.high));
            let _ = writeln!(out, "{names},{},{},{interval},{},{},{key}", m.metric, m.value, m.count, m.over.word());
        }
    }
    out
}

/// A field as RFC 4180 wants it, on one line.
fn quoted(text: &str) -> String {
    let text = printable(text);
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.into_owned() }
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
            let name = if one_task { protocol.clone() } else { format!("{task} {protocol}") };
            printable(&name).into_owned()
        };
        let header = std::iter::once("model".to_owned()).chain(results.columns.iter().map(name)).collect();
        let index: HashMap<_, _> =
            results.cells.iter().map(|c| ((&*c.cell.model, &*c.cell.task, &*c.cell.protocol), c)).collect();
        let find =
            |model: &str, (task, protocol): &(String, String)| index.get(&(model, &**task, &**protocol)).copied();
        let value =
            |model: &str, column: &(String, String)| find(model, column)?.state.summary().map(|s| s.headline().clone());
        let best = |column: &(String, String)| -> Option<f64> {
            let measures = results.models.iter().filter_map(|m| value(m, column));
            let best = measures.reduce(|a, b| if a.metric.info().better.prefers(b.value, a.value) { b } else { a });
            best.filter(|_| results.models.len() > 1).map(|m| m.value)
        };
        let best: Vec<Option<f64>> = results.columns.iter().map(best).collect();
        let cell = |model: &str, column: &(String, String), best: &Option<f64>| match find(model, column) {
            Some(one) => (number(one), best.is_some() && one.state.summary().map(|s| s.headline().value) == *best),
            None => ("–".to_owned(), false),
        };
        let row = |model: &String| {
            let cells = results.columns.iter().zip(&best).map(|(column, best)| cell(model, column, best));
            std::iter::once((printable(model).into_owned(), false)).chain(cells).collect()
        };
        let rows = results.models.iter().map(row).collect();
        Self { header, rows }
    }
}

fn number(one: &ResultCell) -> String {
    match &one.state {
        CellState::Done(summary) => {
            let measure = summary.headline();
            let scale = measure.metric.info().unit.scale();
            format!("{:.2} ± {:.2}", scale * measure.value, scale * half_width(measure))
        }
        CellState::Failed(_) => "failed".to_owned(),
        CellState::NotRun(_) => "not run".to_owned(),
        CellState::Damaged(_) => "damaged".to_owned(),
        CellState::Impossible(_) => "impossible".to_owned(),
    }
}

/// The headlines in the table with their units: `top1 or map11 in %, median angle in degrees (less is better)`.
fn legend(results: &Results) -> String {
    let used: BTreeSet<&str> =
        results.cells.iter().filter_map(|c| c.state.summary()).map(|s| s.headline.id()).collect();
    let mut groups: Vec<(&MetricInfo, Vec<&str>)> = Vec::new();
    for info in METRICS.iter().filter(|m| used.contains(m.id)) {
        match groups.iter_mut().find(|(first, _)| (first.unit, first.better) == (info.unit, info.better)) {
            Some((_, ids)) => ids.push(info.id),
            None => groups.push((info, vec![info.id])),
        }
    }
    let one = |(info, mut ids): (&MetricInfo, Vec<&'static str>)| {
        ids.sort_unstable();
        let unit = if info.unit.sign().is_empty() { String::new() } else { format!(" in {}", info.unit.sign()) };
        let better = if info.better == Better::Lower { " (less is better)" } else { "" };
        format!("{}{unit}{better}", ids.join(" or "))
    };
    let groups: Vec<String> = groups.into_iter().map(one).collect();
    if groups.is_empty() { "accuracy in %".to_owned() } else { groups.join(", ") }
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
    let _ = writeln!(out, "\n{}, mean ± half-width of the 95 % interval", legend(results));
    out
}

/// All metrics of the evaluations that have several, as aligned columns; empty when none has.
pub fn metrics_table(results: &Results) -> String {
    let with = results.cells.iter().filter_map(|c| Some((c, c.state.summary().filter(|s| s.measures.len() > 1)?)));
    let mut rows = vec![["model", "task", "protocol", "metric", "value", "95 % interval"].map(str::to_owned)];
    for (one, summary) in with {
        for m in &summary.measures {
            let interval = m.interval.map_or_else(String::new, |i| format!("{:.4} … {:.4}", i.low, i.high));
            let Cell { model, task, protocol } = &one.cell;
            let [model, task, protocol] = [model, task, protocol].map(|name| printable(name).into_owned());
            rows.push([model, task, protocol, m.metric.to_string(), format!("{:.4}", m.value), interval]);
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
    let mut out = format!("| {} |\n", grid.header.iter().map(|h| escape(h)).collect::<Vec<_>>().join(" | "));
    out.push_str(&format!("|---|{}\n", "---:|".repeat(grid.header.len() - 1)));
    for row in &grid.rows {
        let cells = row.iter().map(|(text, best)| if *best { format!("**{}**", escape(text)) } else { escape(text) });
        let _ = writeln!(out, "| {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    out
}

/// A text that Markdown shows as it is.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '|' | '`' | '*' | '<' | '[' | ']') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use assay_lab::{Interval, IntervalMethod, Items, MetricId, Summary};

    use super::*;

    fn done(metric: &str, value: f64) -> CellState {
        let interval =
            Interval { low: value - 0.01, high: value + 0.01, half_width: 0.01, method: IntervalMethod::Normal };
        let metric = MetricId::of(metric);
        let measure = Measure { metric, value, interval: Some(interval), over: Items::Episodes, count: 600 };
        CellState::Done(Summary { headline: metric, measures: vec![measure], per_item: None, exhibits: Vec::new() })
    }

    fn of(cells: Vec<(&str, &str, CellState)>) -> Results {
        let unique = |names: Vec<&str>| {
            let mut seen = HashMap::new();
            names
                .into_iter()
                .filter(|n| seen.insert(n.to_string(), ()).is_none())
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let models = unique(cells.iter().map(|c| c.0).collect());
        let columns = unique(cells.iter().map(|c| c.1).collect()).into_iter().map(|p| ("t".to_owned(), p)).collect();
        let cell = |(model, protocol, state): (&str, &str, CellState)| ResultCell {
            cell: Cell { model: model.into(), task: "t".into(), protocol: protocol.into() },
            step: None,
            state,
            warnings: Vec::new(),
            notes: Vec::new(),
        };
        Results { models, columns, cells: cells.into_iter().map(cell).collect() }
    }

    fn results() -> Results {
        of(vec![
            ("a,b", "p", done("accuracy", 0.5)),
            ("longer", "p", done("accuracy", 0.25)),
            ("longer", "q", CellState::NotRun(None)),
        ])
    }

    #[test]
    fn less_is_bold_where_less_is_better_and_states_are_told_apart() {
        let results = of(vec![
            ("x", "normals", done("angle_median", 12.5)),
            ("y", "normals", done("angle_median", 9.25)),
            ("z", "normals", CellState::Failed("no memory".into())),
            ("x", "boxes", CellState::Impossible("it has no boxes".into())),
            ("y", "boxes", CellState::Damaged("summary.json".into())),
            ("z", "boxes", CellState::NotRun(None)),
        ]);
        let text = render(&results, Format::Markdown);
        assert_eq!(
            text,
            "| model | normals | boxes |\n|---|---:|---:|\n| x | 12.50 ± 0.01 | impossible |\n\
             | y | **9.25 ± 0.01** | damaged |\n| z | failed | not run |\n"
        );
        let table = render(&results, Format::Table { bold: false });
        assert!(table.ends_with("angle_median in degrees (less is better), mean ± half-width of the 95 % interval\n"));
        let value: Value = serde_json::from_str(&render(&results, Format::Json)).unwrap();
        let states: Vec<_> = value["cells"].as_array().unwrap().iter().map(|c| c["state"].as_str().unwrap()).collect();
        assert_eq!(states, ["done", "done", "failed", "impossible", "damaged", "not_run"]);
        assert_eq!(value["cells"][2]["reason"], "no memory");
        assert_eq!(value["metrics"]["angle_median"]["better"], "lower");
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
        assert!(text.contains("\"a,b\",t,p,accuracy,0.5,0.01,0.49,0.51,600,episodes,\n"), "{text}");
        assert!(text.ends_with("longer,t,q,,,,,,,,\n"), "{text}");
        assert!(render(&results(), Format::Markdown).contains("| a,b | **50.00 ± 1.00** | – |"));
    }

    #[test]
    fn names_cannot_change_what_is_around_them() {
        let mut results = results();
        let name = "a|b\n| `x` | <i>\u{1b}[1m\u{202e}\"";
        for text in [&mut results.models[0], &mut results.cells[0].cell.model] {
            *text = name.into();
        }
        let shown = "a|b\\n| `x` | <i>\\u{1b}[1m\\u{202e}\"";
        let table = render(&results, Format::Table { bold: false });
        assert!(table.lines().nth(1).unwrap().starts_with(&format!("{shown}  50.00")), "{table}");
        let csv = render(&results, Format::Csv);
        let line = format!("\"{}\",t,p,accuracy,0.5,", shown.replace('"', "\"\""));
        assert!(csv.lines().nth(1).unwrap().starts_with(&line), "{csv}");
        let markdown = render(&results, Format::Markdown);
        let cell = "| a\\|b\\\\n\\| \\`x\\` \\| \\<i>\\\\u{1b}\\[1m\\\\u{202e}\" | **50.00 ± 1.00** | – |";
        assert!(markdown.contains(cell), "{markdown}");
        assert!(!metrics_table(&results).contains('\u{1b}'));
        let value: serde_json::Value = serde_json::from_str(&render(&results, Format::Json)).unwrap();
        assert_eq!(value["models"][0], name);
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_is_not_unicode_is_written_in_json() {
        use std::os::unix::ffi::OsStrExt;
        let mut results = results();
        results.cells[0].step = Some(("k".to_owned(), std::ffi::OsStr::from_bytes(b"/tmp/\xff/x").into()));
        let value: serde_json::Value = serde_json::from_str(&render(&results, Format::Json)).unwrap();
        assert_eq!(value["cells"][0]["folder"], "/tmp/\u{fffd}/x");
        assert!(value["cells"][1].get("folder").is_none());
    }

    #[test]
    fn json_has_a_schema() {
        let value: serde_json::Value = serde_json::from_str(&render(&results(), Format::Json)).unwrap();
        assert_eq!(value["schema"], "assay.results/2");
        assert_eq!(value["cells"][0]["summary"]["mean"], 0.5);
    }
}
