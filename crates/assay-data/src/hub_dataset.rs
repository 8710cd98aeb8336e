//! Datasets of the Hugging Face hub, read from its local cache: Parquet, WebDataset, or folders of images.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};

use crate::classes::some;
use crate::digests::Digests;
use crate::folder::{FolderOptions, image_folder, is_image};
use crate::hub::Snapshot;
use crate::manifest::Manifest;
use crate::splits::SplitUse;
use crate::tables::{TableColumns, WebColumns, parquet_table, web_dataset};

/// Reads a snapshot. `config` is the folder of one configuration where a repository has several.
///
/// # Errors
/// When files are not all there, lead out of the cache, are of several kinds or of none that is read.
pub fn hub_dataset(
    snapshot: &Snapshot,
    config: Option<&str>,
    columns: &TableColumns,
    digests: &dyn Digests,
) -> anyhow::Result<Manifest> {
    // All files are looked at before one is read: none may lead out of the cache.
    let files = snapshot.files()?;
    let inside: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let (root, inside) = match config {
        None => (snapshot.folder.clone(), inside),
        Some(config) => configuration(snapshot, config, &inside)?,
    };
    let has = |ending: &str| inside.iter().any(|name| has_ending(name, ending));
    let images = inside.iter().any(|name| is_image(Path::new(name)));
    let mut manifest = match (has("parquet"), has("tar"), images) {
        (true, false, _) => parquet_table(&root, columns, digests)?,
        (false, true, _) => {
            let web =
                WebColumns { field: columns.label.clone(), splits: columns.splits.clone(), ..WebColumns::default() };
            web_dataset(&root, &web, digests)?
        }
        (false, false, true) => images_of(&root, &inside, columns, digests)?,
        (true, true, _) => bail!(
            "{} has Parquet and tar files: name one kind with its folder, as in `Parquet(path: {:?})`",
            root.display(),
            root.display()
        ),
        (false, false, false) => {
            let scripts = inside.iter().any(|name| has_ending(name, "py"));
            let why = if scripts {
                "; its script is not run: give `revision: \"refs/convert/parquet\"`, if that is in the cache"
            } else {
                ""
            };
            bail!("{} has no Parquet files, tars or images{why}", root.display())
        }
    };
    manifest.origin = Some(format!("commit {}", snapshot.commit));
    Ok(manifest)
}

fn configuration<'f>(snapshot: &Snapshot, config: &str, files: &[&'f str]) -> anyhow::Result<(PathBuf, Vec<&'f str>)> {
    let prefix = format!("{config}/");
    let inside: Vec<&str> = files.iter().filter_map(|name| name.strip_prefix(&prefix)).collect();
    if inside.is_empty() {
        let folders: BTreeSet<&str> = files.iter().filter_map(|name| Some(name.split_once('/')?.0)).collect();
        let folders: Vec<&str> = folders.into_iter().collect();
        bail!("{} has no folder of a configuration {config:?}; it has {}", snapshot.folder.display(), some(&folders));
    }
    Ok((snapshot.folder.join(config), inside))
}

fn has_ending(name: &str, ending: &str) -> bool {
    Path::new(name).extension().is_some_and(|e| e.eq_ignore_ascii_case(ending))
}

/// Folders of classes, below those of splits if there are such.
fn images_of(root: &Path, inside: &[&str], columns: &TableColumns, digests: &dyn Digests) -> anyhow::Result<Manifest> {
    let described = inside.iter().find(|name| {
        let file = name.rsplit('/').next().unwrap_or(name);
        matches!(file, "metadata.csv" | "metadata.jsonl" | "metadata.parquet")
    });
    if let Some(described) = described {
        bail!(
            "the classes of {} may be in {described}: read it with `Csv(path: {:?}, image: \"file_name\", …)`",
            root.display(),
            root.join(described).display()
        );
    }
    let folders: BTreeSet<&str> = inside.iter().filter_map(|name| Some(name.split_once('/')?.0)).collect();
    let mut options =
        FolderOptions::of_words(folders.iter().copied().filter(|name| !columns.splits.contains_key(*name)));
    for (word, used_as) in &columns.splits {
        ensure!(folders.contains(word.as_str()), "`splits` names {word}, which {} does not have", root.display());
        options.splits.push((word.clone(), *used_as));
    }
    if options.splits.iter().all(|(_, used_as)| *used_as == SplitUse::Skip) {
        options.splits.clear();
    }
    image_folder(root, &options, digests)
}
