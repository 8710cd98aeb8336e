//! The published tables as text, what follows from them, and results compared with them.

use std::fmt::Write as _;

use assay_config::printable;
use assay_lab::{Measure, ResultCell, Results, Unit};
use assay_stats::published::{
    Column, Standing, Verdict, averages, columns, correlations_with_imagenet, models, table_text,
};
use serde_json::{Value, json};

/// Tables 1 to 9 as printed, or those of `wanted`, and below them what follows from their figures.
pub fn paper_tables(wanted: &[u32]) -> String {
    let mut text = String::new();
    for table in (1..=9).filter(|t| wanted.is_empty() || wanted.contains(t)) {
        text += &table_text(table);
        text.push('\n');
    }
    if wanted.is_empty() {
        text += &derived();
    }
    text
}

fn derived() -> String {
    let mut text =
        "Correlation with ImageNet accuracy over the models (logits of shares), of Figure 1 and Table 9\n".to_owned();
    let _ = writeln!(
        text,
        "{:34} {:>7} {:>16} {:>7} {:>7} {:>10} {:>12}",
        "", "r", "95 % of r", "ρ", "τ-b", "weighted τ", "r, self-sup."
    );
    for (name, all, rest) in correlations_with_imagenet() {
        let bounds = format!("{:.2} … {:.2}", all.bounds.low, all.bounds.high);
        let _ = writeln!(
            text,
            "{name:34} {:>7.3} {bounds:>16} {:>7.3} {:>7.3} {:>10.3} {:>12.3}",
            all.pearson, all.spearman, all.kendall, all.weighted, rest.pearson
        );
    }
    let _ = writeln!(
        text,
        "{} models, and one less without Supervised; they are few, and not independent of each other\n",
        models().len()
    );
    text += "Averages of Table 1: printed, and of its printed figures; and their rank, as in Figure 7\n";
    for task in ["manyshot_linear", "manyshot_finetune"] {
        let average = columns().into_iter().find(|c| c.task == task && c.metric == "avg");
        let ranks = average.map(|c| c.ranks()).unwrap_or_default();
        for ((model, (printed, mean)), rank) in models().iter().zip(averages(task)).zip(ranks) {
            let _ = writeln!(text, "{task:18} {model:16} {printed:>7.2} {mean:>9.4} {rank:>5}");
        }
    }
    text
}

/// A cell of the results beside the published column that it is compared with, or why it is with none.
struct Compared<'a> {
    cell: &'a ResultCell,
    with: Result<(Column, &'a Measure, f64, Verdict), String>,
}

/// Names without case and punctuation.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Names that a protocol of a column may have in an experiment: `linear`, or `5way_20shot` and `5w20s`, without punctuation.
fn protocol_names(column: &Column) -> Vec<String> {
    let own = plain(&column.protocol);
    let short = own.replace("way", "w").replace("shot", "s");
    vec![own, short]
}

/// What the metric of a measure is called in the published tables.
fn is_metric(measure: &Measure, column: &Column) -> bool {
    let names: &[&str] = match measure.metric.id() {
        "top1" => &["top1"],
        "mean_per_class" => &["mean_per_class"],
        "map11" => &["11pt_mAP"],
        "accuracy" => &["acc_mean_600ep"],
        "ap" => &["AP"],
        "ap50" => &["AP50"],
        "ap75" => &["AP75"],
        "miou" => &["mIoU"],
        "pixel_accuracy" => &["pixacc"],
        "angle_mean" => &["mean_deg"],
        "angle_median" => &["median_deg"],
        _ => &[],
    };
    names.contains(&column.metric.as_str())
}

fn compare<'a>(cell: &'a ResultCell, columns: &[Column]) -> Vec<Compared<'a>> {
    let none = |why: &str| vec![Compared { cell, with: Err(why.to_owned()) }];
    let Some(summary) = cell.state.summary() else { return none("it has no result") };
    let name = plain(&cell.cell.model);
    let Some(model) = models().iter().position(|m| plain(m) == name) else {
        return none("no model of the paper has its name");
    };
    let fits = |c: &&Column| {
        plain(&c.dataset) == plain(&cell.cell.task) && protocol_names(c).contains(&plain(&cell.cell.protocol))
    };
    let of_task: Vec<&Column> = columns.iter().filter(fits).collect();
    if of_task.is_empty() {
        return none("no column of the paper has the names of its task and protocol");
    }
    let mut found = Vec::new();
    for column in of_task {
        for measure in summary.measures.iter().filter(|m| is_metric(m, column)) {
            let size = if measure.metric.info().unit == Unit::Fraction { 100.0 } else { 1.0 };
            let half = measure.interval.map(|i| size * i.half_width);
            let value = size * measure.value;
            let verdict = column.compare(model, value, half);
            found.push(Compared { cell, with: Ok((column.clone(), measure, value, verdict)) });
        }
    }
    if found.is_empty() { none("it was measured by no metric of the paper's column") } else { found }
}

fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Agrees => "agrees",
        Standing::Differs => "differs",
        Standing::Suspect => "suspect",
    }
}

/// Compares results with the published ones, cell by cell. A cell is compared where its model, its task and its protocol have
/// the names of the paper (`MoCo-v2`, `Aircraft`, `linear` or `5way_20shot`), case and punctuation apart, and its metric is
/// the column's; for the others it is said why not.
pub fn compare_with_paper(results: &Results) -> String {
    let columns = columns();
    let mut text = String::new();
    let (mut notes, mut apart): (Vec<String>, Vec<String>) = Default::default();
    for Compared { cell, with } in results.cells.iter().flat_map(|cell| compare(cell, &columns)) {
        let name = format!("{} on {}, {}", cell.cell.model, cell.cell.task, cell.cell.protocol);
        match with {
            Ok((column, measure, value, verdict)) => {
                let _ = writeln!(
                    text,
                    "{:8} {value:>8.2} {:+8.2} within {:.2}  Table {} {}  {}",
                    word(verdict.standing),
                    verdict.difference,
                    verdict.margin,
                    column.table,
                    measure.metric.id(),
                    printable(&name)
                );
                if verdict.standing != Standing::Agrees
                    && let Some(note) = verdict.note
                {
                    notes.push(format!("{}: {note}", column.title()));
                }
            }
            Err(why) => apart.push(format!("not compared: {}: {why}", printable(&name))),
        }
    }
    notes.sort();
    notes.dedup();
    for line in notes.into_iter().map(|note| format!("note: {note}")).chain(apart) {
        text += &line;
        text.push('\n');
    }
    text
}

/// The same for programs, `assay.paper/1`.
pub fn compare_with_paper_json(results: &Results) -> String {
    let columns = columns();
    let rows: Vec<Value> = results
        .cells
        .iter()
        .flat_map(|cell| compare(cell, &columns))
        .map(|Compared { cell, with }| {
            let mut row = json!({"model": cell.cell.model, "task": cell.cell.task, "protocol": cell.cell.protocol});
            match with {
                Ok((column, measure, value, verdict)) => {
                    row["metric"] = json!(measure.metric.id());
                    row["value"] = json!(value);
                    row["difference"] = json!(verdict.difference);
                    row["margin"] = json!(verdict.margin);
                    row["standing"] = json!(word(verdict.standing));
                    row["source"] = json!(column.source);
                    row["note"] = json!(verdict.note);
                }
                Err(why) => row["not_compared"] = json!(why),
            }
            row
        })
        .collect();
    format!("{:#}\n", json!({"schema": "assay.paper/1", "cells": rows}))
}

#[cfg(test)]
mod tests {
    use assay_lab::{Cell, CellState, Interval, IntervalMethod, Items, MetricId, Summary};

    use super::*;

    fn results(cells: &[(&str, &str, &str, &str, f64)]) -> Results {
        let cell = |(model, task, protocol, metric, value): &(&str, &str, &str, &str, f64)| {
            let interval = Interval { low: 0.0, high: 0.0, half_width: 0.004, method: IntervalMethod::Normal };
            let metric = MetricId::of(metric);
            let measure = Measure { metric, value: *value, interval: Some(interval), over: Items::Images, count: 100 };
            let summary = Summary { headline: metric, measures: vec![measure], per_item: None, exhibits: Vec::new() };
            ResultCell {
                cell: Cell { model: (*model).into(), task: (*task).into(), protocol: (*protocol).into() },
                step: None,
                state: CellState::Done(summary),
                warnings: Vec::new(),
                notes: Vec::new(),
            }
        };
        Results { models: Vec::new(), columns: Vec::new(), cells: cells.iter().map(cell).collect() }
    }

    #[test]
    fn cells_are_compared_by_name_and_metric() {
        let text = compare_with_paper(&results(&[
            ("insdis", "aircraft", "Linear", "mean_per_class", 0.3672),
            ("moco_v1", "Aircraft", "linear", "mean_per_class", 0.2),
            ("InsDis", "aircraft", "linear", "top1", 0.3672),
            ("InsDis", "aircraft", "knn", "top1", 0.3672),
            ("mine", "aircraft", "linear", "top1", 0.3672),
        ]));
        let begins: Vec<&str> = text.lines().map(|l| l.split_whitespace().next().unwrap_or_default()).collect();
        assert_eq!(begins, ["agrees", "differs", "note:", "not", "not", "not"], "{text}");
        for part in ["-0.15", "Table 1", "no model of the paper", "names of its task", "measured by no metric"] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let json = compare_with_paper_json(&results(&[("insdis", "aircraft", "Linear", "mean_per_class", 0.3672)]));
        assert!(json.contains("\"standing\": \"agrees\"") && json.contains("Table 1"), "{json}");
    }

    #[test]
    fn the_tables_are_printed_with_what_follows_from_them() {
        let all = paper_tables(&[]);
        for part in ["Table 9\n", "many-shot, linear", "0.926", "manyshot_finetune  SwAV"] {
            assert!(all.contains(part), "{part}\n{all}");
        }
        assert!(!paper_tables(&[2]).contains("Table 3"));
    }
}
