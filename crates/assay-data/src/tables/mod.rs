//! Datasets that are tables: a CSV that names image files, and Parquet with the images inside.

mod csv_file;
mod parquet_file;
mod records;

pub use csv_file::{CsvColumns, csv_table};
pub use parquet_file::{ParquetColumns, parquet_table};
pub(crate) use parquet_file::{guarded, open as open_parquet};
pub(crate) use records::BoundedRecords;

use std::collections::BTreeMap;

use crate::manifest::Split;

/// Finds the split that a word means.
pub fn split_of(name: &str) -> Option<Split> {
    match name.trim().to_lowercase().as_str() {
        "train" | "training" => Some(Split::Train),
        "val" | "valid" | "validation" | "dev" => Some(Split::Val),
        "test" | "testing" => Some(Split::Test),
        _ => None,
    }
}

/// Finds the index of each name among all of them, sorted: numbers by value where all are numbers, else by bytes.
pub(crate) fn classes_of<'n>(names: impl Iterator<Item = &'n String>) -> (Vec<String>, BTreeMap<String, u32>) {
    let mut classes: Vec<String> = names.cloned().collect();
    let all_numbers = classes.iter().all(|n| n.parse::<i64>().is_ok());
    if all_numbers {
        classes.sort_by_key(|n| (n.parse::<i64>().unwrap_or_default(), n.clone()));
    } else {
        classes.sort();
    }
    classes.dedup();
    let index = classes.iter().enumerate().map(|(i, c)| (c.clone(), i as u32)).collect();
    (classes, index)
}
