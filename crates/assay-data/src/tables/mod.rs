//! Datasets that are tables: CSV and JSON lines that name image files, Parquet, Arrow and WebDataset with the images inside.

mod arrow_file;
mod arrow_format;
mod csv_file;
mod json_lines;
mod parquet_file;
mod records;
mod rows;
mod text;
mod web_dataset;

pub use arrow_file::arrow_dataset;
pub use csv_file::{CsvColumns, csv_table};
pub use parquet_file::{TableColumns, parquet_table};
pub(crate) use parquet_file::{guarded, open as open_parquet};
pub(crate) use records::BoundedRecords;
pub use web_dataset::{WebColumns, shard_paths, web_dataset};
