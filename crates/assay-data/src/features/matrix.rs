//! Features in a file, row by row as 32-bit floats.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, ensure};

use super::array::{Array, Container, Kind};
use super::column::only;
use super::parquet_lists;

/// Numbers that are read at a time.
const MAX_BLOCK: usize = 1 << 21;
/// Row groups of Parquet kept in memory.
const KEPT: usize = 2;
/// Rows of a task are counted in 32 bits.
const MAX_ROWS: usize = u32::MAX as usize;

/// N × D features in a file.
#[derive(Debug)]
pub struct FeatureMatrix {
    path: PathBuf,
    rows: usize,
    dim: usize,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Array(Array),
    Parquet(Lists),
}

#[derive(Debug)]
struct Lists {
    column: String,
    /// First row of each row group, and the number of rows.
    starts: Vec<usize>,
    kept: Mutex<VecDeque<(usize, Arc<Vec<f64>>)>>,
}

impl FeatureMatrix {
    /// Opens the features with this name in a file; of a file with one array, that one.
    ///
    /// # Errors
    /// When it is not there, is no matrix of numbers, or the file is damaged.
    pub(super) fn open(path: &Path, name: &str) -> anyhow::Result<Self> {
        let open = || {
            let container = Container::of(path)?;
            let opened = match container {
                Container::Text => {
                    anyhow::bail!("it is a text: features are read from .npy, .npz, .safetensors or Parquet")
                }
                Container::Parquet => Self::open_lists(path, name)?,
                _ => Self::of_array(path, Array::open(path, container, &only(path, container, name)?)?)?,
            };
            ensure!(opened.rows <= MAX_ROWS, "it has {} rows, and at most {MAX_ROWS} are read", opened.rows);
            ensure!(opened.rows > 0 && opened.dim > 0, "it has no features: {} rows of {}", opened.rows, opened.dim);
            Ok(opened)
        };
        open().with_context(|| format!("reading {}", path.display()))
    }

    fn of_array(path: &Path, array: Array) -> anyhow::Result<Self> {
        let axes = array.shape.len();
        ensure!(
            axes == 2,
            "its features have shape {:?}: rows of features have two axes, the images and the features{}",
            array.shape,
            if axes > 2 { "; pool or flatten maps first" } else { "" }
        );
        ensure!(!matches!(array.element.kind, Kind::Unicode | Kind::Bytes), "it holds text, not features");
        let (rows, dim) = (array.rows(), array.row_len());
        Ok(Self { path: path.to_owned(), rows, dim, source: Source::Array(array) })
    }

    fn open_lists(path: &Path, name: &str) -> anyhow::Result<Self> {
        let column = only(path, Container::Parquet, name)?;
        let (mut starts, mut end) = (Vec::new(), 0);
        for rows in parquet_lists::groups(path)? {
            starts.push(end);
            end += rows;
        }
        starts.push(end);
        let first = (0..starts.len() - 1).find(|group| starts[*group] < starts[group + 1]);
        let dim = first.map_or(Ok(0), |group| parquet_lists::lists(path, group, &column).map(|found| found.0))?;
        let lists = Lists { column, starts, kept: Mutex::default() };
        Ok(Self { path: path.to_owned(), rows: end, dim, source: Source::Parquet(lists) })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// N.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// D.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// A note where the file holds numbers of double precision, which are rounded.
    pub(super) fn note_of_rounding(&self) -> Option<String> {
        let is_double = matches!(&self.source, Source::Array(array) if array.element.kind == Kind::Float && array.element.size == 8);
        is_double.then(|| format!("{} has features of 64 bits, which are rounded to 32", self.path.display()))
    }

    /// Rows that are read at a time.
    pub(super) fn block(&self) -> usize {
        (MAX_BLOCK / self.dim).max(1)
    }

    /// The features of `count` rows from `first` on, each rounded to a 32-bit float.
    ///
    /// # Errors
    /// When one is not finite, or is too large for that; the row is named. Or when the file cannot be read.
    pub fn read(&self, first: usize, count: usize) -> anyhow::Result<Vec<f32>> {
        let read = || {
            let (exact, values) = match &self.source {
                Source::Array(array) => {
                    let numbers = array.element.numbers(&array.read(first, count)?).context("it holds text")?;
                    (matches!(array.element.kind, Kind::Int | Kind::UInt), numbers)
                }
                Source::Parquet(lists) => (false, lists.read(&self.path, self.dim, first, count)?),
            };
            ensure!(values.len() == count * self.dim, "it has other rows than before");
            let single = |(i, value): (usize, f64)| {
                let (row, column, single) = (first + i / self.dim, i % self.dim, value as f32);
                ensure!(value.is_finite(), "row {row} holds {value} (column {column}): features are finite numbers");
                ensure!(
                    single.is_finite() && (!exact || f64::from(single) == value),
                    "row {row} holds {value} (column {column}), which is no 32-bit float"
                );
                Ok(single)
            };
            values.into_iter().enumerate().map(single).collect::<anyhow::Result<Vec<f32>>>()
        };
        read().with_context(|| format!("reading {}", self.path.display()))
    }
}

impl Lists {
    fn read(&self, path: &Path, dim: usize, first: usize, count: usize) -> anyhow::Result<Vec<f64>> {
        let mut out = Vec::with_capacity(count * dim);
        let mut row = first;
        while row < first + count {
            let group = self.starts.partition_point(|start| *start <= row).saturating_sub(1);
            ensure!(group + 1 < self.starts.len(), "it has fewer rows than before");
            let values = self.group(path, dim, group)?;
            let end = (first + count).min(self.starts[group + 1]);
            let inside = |row: usize| (row - self.starts[group]) * dim;
            out.extend_from_slice(values.get(inside(row)..inside(end)).context("it has fewer rows than before")?);
            row = end;
        }
        Ok(out)
    }

    fn group(&self, path: &Path, dim: usize, group: usize) -> anyhow::Result<Arc<Vec<f64>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, values)) = kept.iter().find(|(known, _)| *known == group) {
            return Ok(Arc::clone(values));
        }
        let (found, values) = parquet_lists::lists(path, group, &self.column)?;
        ensure!(found == dim, "its lists have {found} numbers in row group {group}, and {dim} before");
        let values = Arc::new(values);
        kept.push_back((group, Arc::clone(&values)));
        if kept.len() > KEPT {
            kept.pop_front();
        }
        Ok(values)
    }
}
