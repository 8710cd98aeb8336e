//! Datasets annotated in MATLAB files.

use anyhow::Context as _;

use super::Listing;
use crate::files::Files;
use crate::manifest::Split;
use crate::mat::{Value, variable};

/// `devkit/cars_{train_annos,test_annos_withlabels}.mat`: a struct array; the class is the last field but one, the file the last.
pub fn cars(files: &Files) -> anyhow::Result<Listing> {
    let kit = files.at("cars_train_annos.mat")?;
    // The test annotations were published apart and lie beside the kit or in it.
    let test = files.at("cars_test_annos_withlabels.mat").context(
        "the labels of the test images were published apart, as cars_test_annos_withlabels.mat: put it into the folder devkit",
    )?;
    let images = files.at("cars_train")?;
    let mut rows = Vec::new();
    for (kit, list, folder, split) in [
        (&kit, "cars_train_annos.mat", "cars_train", Split::Train),
        (&test, "cars_test_annos_withlabels.mat", "cars_test", Split::Test),
    ] {
        let annotations = variable(&kit.bytes(list)?, "annotations").with_context(|| kit.name(list))?;
        let Value::Structs(fields, cars) = annotations else {
            anyhow::bail!("{}: `annotations` is not a struct array", kit.name(list));
        };
        for (i, car) in cars.iter().enumerate() {
            let read = || {
                let [.., class, file] = car.as_slice() else { return None };
                let class = *class.indices(1)?.first()?;
                Some((class, file.text()?.to_owned()))
            };
            let (class, file) = read().with_context(|| {
                format!(
                    "{}: annotation {} has no class and file name; its fields are {fields:?}",
                    kit.name(list),
                    i + 1
                )
            })?;
            rows.push((split, format!("{folder}/{file}"), class - 1));
        }
    }
    let most = rows.iter().map(|r| r.2 + 1).max().unwrap_or(0) as usize;
    let classes = names(files)?.unwrap_or_else(|| (1..=most).map(|i| i.to_string()).collect());
    let mut listing = Listing::new(images, classes);
    for (split, path, class) in rows {
        let known = listing.classes.len();
        anyhow::ensure!((class as usize) < known, "{path} is of class {}, and there are {known}", class + 1);
        listing.add(split, class, path);
    }
    Ok(listing)
}

/// The names in `cars_meta.mat`, if it is there.
fn names(files: &Files) -> anyhow::Result<Option<Vec<String>>> {
    const META: &str = "cars_meta.mat";
    let Ok(kit) = files.at(META) else { return Ok(None) };
    let value = variable(&kit.bytes(META)?, "class_names").with_context(|| kit.name(META))?;
    let Value::Cells(cells) = value else { anyhow::bail!("{}: `class_names` is not a cell array", kit.name(META)) };
    Ok(cells.iter().map(|c| c.text().map(str::to_owned)).collect())
}

/// `imagelabels.mat` and `setid.mat`; images are numbered from 1. Classes have numbers for names.
pub fn flowers102(files: &Files) -> anyhow::Result<Listing> {
    const LABELS: &str = "imagelabels.mat";
    const SPLITS: &str = "setid.mat";
    let base = files.at("jpg")?;
    let (labels_at, splits_at) = (files.at(LABELS)?, files.at(SPLITS)?);
    let read = |from: &Files, file: &str, name: &str| -> anyhow::Result<Vec<u32>> {
        let value = variable(&from.bytes(file)?, name).with_context(|| from.name(file))?;
        value.indices(1).with_context(|| format!("{}: {name:?} is not a list of whole numbers from 1", from.name(file)))
    };
    let labels = read(&labels_at, LABELS, "labels")?;
    let most = labels.iter().copied().max().unwrap_or(0);
    anyhow::ensure!(most <= 10_000, "{}: label {most} is unreasonable", labels_at.name(LABELS));
    let mut listing = Listing::new(base, (1..=most).map(|i| i.to_string()).collect());
    for (name, split) in [("trnid", Split::Train), ("valid", Split::Val), ("tstid", Split::Test)] {
        for image in read(&splits_at, SPLITS, name)? {
            let label = labels.get(image as usize - 1).with_context(|| {
                format!("{}: image {image} has no label; there are {}", splits_at.name(SPLITS), labels.len())
            })?;
            listing.add(split, label - 1, format!("jpg/image_{image:05}.jpg"));
        }
    }
    Ok(listing)
}
