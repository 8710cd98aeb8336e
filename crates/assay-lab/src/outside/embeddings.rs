//! Rows of numbers that stand for classes, such as embeddings of their names.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::ensure;
use assay_data::{Manifest, named_rows};
use assay_engine::{Content, FramedHasher};

/// A row for each of K classes.
#[derive(Debug)]
pub struct ClassEmbeddings {
    /// K × D numbers.
    pub values: Vec<f32>,
    /// D.
    pub dim: usize,
}

impl ClassEmbeddings {
    /// Reads the rows of the classes of a task, in the order of the task: each is found by the name of its class. Says how many
    /// other rows there are, which are left out.
    ///
    /// # Errors
    /// When the file cannot be read, a class has no row, or a name is there twice.
    pub fn read(
        path: &Path,
        key: &str,
        names: Option<&Path>,
        manifest: &Manifest,
    ) -> anyhow::Result<(Content<Self>, usize)> {
        let (names, rows, dim) = named_rows(path, key, names)?;
        let mut known: HashMap<&str, usize> = HashMap::new();
        for (row, name) in names.iter().enumerate() {
            ensure!(known.insert(name, row).is_none(), "{} has two rows for class {name:?}", path.display());
        }
        let missing: Vec<&str> =
            manifest.classes.iter().filter(|name| !known.contains_key(name.as_str())).map(String::as_str).collect();
        ensure!(
            missing.is_empty(),
            "{} has no row for {} of the {} classes of the task, such as {:?}; its own are called {:?} and so on: names are \
             compared letter by letter",
            path.display(),
            missing.len(),
            manifest.classes.len(),
            missing[0],
            names.first().map_or("", String::as_str)
        );
        let row = |name: &String| &rows[known[name.as_str()] * dim..][..dim];
        let values: Vec<f32> = manifest.classes.iter().flat_map(row).copied().collect();
        let mut hasher = FramedHasher::new("class embeddings");
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let digest = hasher.field(&(dim as u64).to_le_bytes()).field(&bytes).finish();
        let others = names.len() - manifest.classes.len();
        Ok((Content::new(digest, Arc::new(Self { values, dim })), others))
    }
}
