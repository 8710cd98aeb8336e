//! Folders of images, one folder a class: the layout of `torchvision.datasets.ImageFolder`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rayon::prelude::*;
use walkdir::WalkDir;

use crate::digests::Digests;
use crate::manifest::{Manifest, Sample, Split};
use crate::source::ImageSource;
use crate::target::Targets;

/// Endings of files that are taken for images; others are passed over.
const ENDINGS: [&str; 9] = ["jpg", "jpeg", "png", "ppm", "pgm", "bmp", "tif", "tiff", "webp"];

/// Reads `root/<class>/**/image`, or with `splits` `root/<split folder>/<class>/**/image`. Classes are the folder names sorted
/// by bytes, over all splits together; samples are sorted by split, class and path. Symbolic links are followed.
///
/// # Errors
/// When a folder is missing, cannot be read or holds no image, or a class is empty.
pub fn image_folder(root: &Path, splits: &[(String, Split)], digests: &dyn Digests) -> anyhow::Result<Manifest> {
    let mut found: Vec<(Split, String, PathBuf)> = Vec::new();
    if splits.is_empty() {
        collect(root, Split::Whole, &mut found)?;
    }
    for (folder, split) in splits {
        collect(&root.join(folder), *split, &mut found)?;
    }
    let classes: Vec<String> = found.iter().map(|f| f.1.clone()).collect::<BTreeSet<_>>().into_iter().collect();
    let table = root.to_string_lossy();
    let samples = found
        .into_par_iter()
        .map(|(split, class, path)| {
            let digest = digests.file(&table, &path).with_context(|| format!("reading {}", path.display()))?;
            let class = classes.binary_search(&class).expect("every class is in the list") as u32;
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            Ok(Sample { path: name, digest, targets: Targets::class(class), split, source: ImageSource::File(path) })
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Manifest { classes, samples, ..Manifest::default() })
}

fn collect(root: &Path, split: Split, found: &mut Vec<(Split, String, PathBuf)>) -> anyhow::Result<()> {
    let before = found.len();
    let mut folders = 0;
    let entries = std::fs::read_dir(root).with_context(|| format!("reading the folder {}", root.display()))?;
    let mut class_folders = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("reading the folder {}", root.display()))?.path();
        if path.is_dir() && !is_hidden(&path) {
            class_folders.push(path);
        }
    }
    class_folders.sort();
    for class_folder in class_folders {
        folders += 1;
        let class = class_folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let in_class = found.len();
        for entry in WalkDir::new(&class_folder).follow_links(true).sort_by_file_name() {
            let entry = entry.with_context(|| format!("reading the folder {}", class_folder.display()))?;
            if entry.file_type().is_file() && is_image(entry.path()) {
                found.push((split, class.clone(), entry.into_path()));
            }
        }
        if found.len() == in_class {
            bail!(
                "the class folder {} holds no image ({}): remove it, or put images there",
                class_folder.display(),
                ENDINGS.join(", ")
            );
        }
    }
    if found.len() == before {
        bail!(
            "{} holds no image: expected {}/<class>/<image>, found {folders} folders",
            root.display(),
            root.display()
        );
    }
    Ok(())
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

pub(crate) fn is_image(path: &Path) -> bool {
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    !is_hidden(path) && ending.is_some_and(|e| ENDINGS.contains(&e.as_str()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::digests::Direct;

    fn put(root: &Path, path: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, path.to_string_lossy().as_bytes()).unwrap();
    }

    #[test]
    fn classes_and_order_are_those_of_torchvision() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["b/2.PNG", "b/10.png", "B/x.jpg", "a/deep/er/1.webp", "a/notes.txt", "a/.hidden.png", "readme.png"]
        {
            put(dir.path(), path);
        }
        let manifest = image_folder(dir.path(), &[], &Direct).unwrap();
        assert_eq!(manifest.classes, ["B", "a", "b"]);
        let paths: Vec<_> = manifest.samples.iter().map(|s| (s.path.as_str(), s.class().unwrap())).collect();
        assert_eq!(paths, [("B/x.jpg", 0), ("a/deep/er/1.webp", 1), ("b/10.png", 2), ("b/2.PNG", 2)]);
    }

    #[test]
    fn splits_share_their_classes() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["train/b/1.png", "train/a/1.png", "test/b/1.png", "extra/c/1.png"] {
            put(dir.path(), path);
        }
        let splits = [("train".to_owned(), Split::Train), ("test".to_owned(), Split::Test)];
        let manifest = image_folder(dir.path(), &splits, &Direct).unwrap();
        assert_eq!(manifest.classes, ["a", "b"]);
        assert_eq!((manifest.count(Split::Train), manifest.count(Split::Test)), (2, 1));
    }

    #[test]
    fn what_is_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = |root: &Path| format!("{:#}", image_folder(root, &[], &Direct).unwrap_err());
        assert!(error(&dir.path().join("none")).contains("none"));
        assert!(error(dir.path()).contains("holds no image"));
        fs::create_dir(dir.path().join("empty")).unwrap();
        put(dir.path(), "full/1.png");
        assert!(error(dir.path()).contains("empty holds no image"));
    }
}
