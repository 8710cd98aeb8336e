//! Datasets whose splits are lists of image names.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use anyhow::{Context as _, ensure};
use indexmap::IndexMap;

use super::{Listing, Names};
use crate::files::Files;
use crate::manifest::Split;

const THREE: [(&str, Split); 3] = [("train", Split::Train), ("val", Split::Val), ("test", Split::Test)];

/// `data/images_variant_{train,val,test}.txt`: a number and the name of a variant.
pub fn aircraft(files: &Files) -> anyhow::Result<Listing> {
    let base = files.at("data/images_variant_train.txt")?;
    let mut rows = Vec::new();
    for (name, split) in THREE {
        let list = format!("data/images_variant_{name}.txt");
        for line in base.lines(&list)? {
            let (image, class) = line.split_once(' ').with_context(|| {
                format!("{}: expected a number and the name of a variant, found {line:?}", base.name(&list))
            })?;
            rows.push((split, format!("data/images/{image}.jpg"), class.trim().to_owned()));
        }
    }
    by_name(base, rows)
}

/// `{train,test}.txt` beside the folder of images: `class/image` on every line.
pub fn caltech101(files: &Files, keeps_duplicates: bool) -> anyhow::Result<Listing> {
    let folder = files.at("101_ObjectCategories")?;
    let lists = files.at("train.txt").context(
        "Caltech-101 has no official split: put the lists train.txt and test.txt of the study (lines `class/image`) beside the images",
    )?;
    let mut seen = HashSet::new();
    let mut rows = Vec::new();
    for (name, split) in [("train.txt", Split::Train), ("test.txt", Split::Test)] {
        for line in lists.lines(name)? {
            let class = line.split_once('/').map(|(class, _)| class.to_owned());
            let class =
                class.with_context(|| format!("{}: expected `class/image`, found {line:?}", lists.name(name)))?;
            if keeps_duplicates || seen.insert((split, line.clone())) {
                rows.push((split, format!("101_ObjectCategories/{line}"), class));
            }
        }
    }
    by_name(folder, rows)
}

/// `labels/{train,val,test}N.txt`: `class/image` on every line.
pub fn dtd(files: &Files, partition: u32) -> anyhow::Result<Listing> {
    let base = files.at(&format!("labels/train{partition}.txt"))?;
    let mut rows = Vec::new();
    for (name, split) in THREE {
        let list = format!("labels/{name}{partition}.txt");
        for line in base.lines(&list)? {
            let class = line.split_once('/').map(|(class, _)| class.to_owned());
            let class =
                class.with_context(|| format!("{}: expected `class/image`, found {line:?}", base.name(&list)))?;
            rows.push((split, format!("images/{line}"), class));
        }
    }
    by_name(base, rows)
}

/// `meta/{train,test}.json`: for each class its images, in the order of the file.
pub fn food101(files: &Files) -> anyhow::Result<Listing> {
    let base = files.at("meta/train.json")?;
    let mut rows = Vec::new();
    for (name, split) in [("train", Split::Train), ("test", Split::Test)] {
        let list = format!("meta/{name}.json");
        let lists: IndexMap<String, Vec<String>> = serde_json::from_slice(&base.bytes(&list)?)
            .with_context(|| format!("{} is not a JSON object of lists of images", base.name(&list)))?;
        for (class, images) in lists {
            rows.extend(images.into_iter().map(|image| (split, format!("images/{image}.jpg"), class.clone())));
        }
    }
    by_name(base, rows)
}

/// `annotations/{trainval,test}.txt`: name, class from 1, species, breed.
pub fn pets(files: &Files) -> anyhow::Result<Listing> {
    let base = files.at("annotations/trainval.txt")?;
    let mut names: BTreeMap<u32, String> = BTreeMap::new();
    let mut rows = Vec::new();
    for (name, split) in [("trainval", Split::Train), ("test", Split::Test)] {
        let list = format!("annotations/{name}.txt");
        for line in base.lines(&list)?.iter().filter(|l| !l.starts_with('#')) {
            let mut words = line.split_whitespace();
            let image = words.next().unwrap_or_default();
            let class = words.next().and_then(|w| w.parse::<u32>().ok()).filter(|c| (1..=10_000).contains(c));
            let class = class
                .with_context(|| format!("{}: expected a name and a class from 1, found {line:?}", base.name(&list)))?;
            let breed = image.rsplit_once('_').map_or(image, |(breed, _)| breed).to_owned();
            let known = names.entry(class).or_insert_with(|| breed.clone());
            ensure!(*known == breed, "{}: class {class} is both {known} and {breed}", base.name(&list));
            rows.push((split, format!("images/{image}.jpg"), class));
        }
    }
    let classes: Vec<String> = names.values().cloned().collect();
    let index: BTreeMap<u32, u32> = names.keys().enumerate().map(|(i, class)| (*class, i as u32)).collect();
    let mut listing = Listing::new(base, classes);
    rows.into_iter().for_each(|(split, path, class)| listing.add(split, index[&class], path));
    Ok(listing)
}

/// `ClassName.txt` and `{Training,Testing}_NN.txt`: paths that begin with the class, `/a/abbey/sun_….jpg`.
pub fn sun397(files: &Files, partition: u32) -> anyhow::Result<Listing> {
    let (train, test) = (format!("Training_{partition:02}.txt"), format!("Testing_{partition:02}.txt"));
    let lists = files.at(&train)?;
    let classes = files.at("ClassName.txt")?.lines("ClassName.txt")?;
    let folders = Names::new(classes.iter().map(|c| c.trim_matches('/').to_owned()).collect())?;
    // The first letter is only a drawer.
    let without_drawer = |c: &String| c.split_once('/').map_or(c.as_str(), |(_, name)| name).to_owned();
    let first = folders.classes.first().context("ClassName.txt names no class")?;
    let base = files.at(first)?;
    let mut listing = Listing::new(base, folders.classes.iter().map(without_drawer).collect());
    for (list, split) in [(train, Split::Train), (test, Split::Test)] {
        for line in lists.lines(&list)? {
            let path = line.trim_start_matches('/');
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let class = folders.get(folder).with_context(|| format!("{}: {line:?}", lists.name(&list)))?;
            listing.add(split, class, path.to_owned());
        }
    }
    Ok(listing)
}

/// A listing whose classes are the names that the rows have, sorted by bytes.
pub fn by_name(base: Files, rows: Vec<(Split, String, String)>) -> anyhow::Result<Listing> {
    let classes: BTreeSet<&String> = rows.iter().map(|(_, _, class)| class).collect();
    let names = Names::new(classes.into_iter().cloned().collect())?;
    let mut listing = Listing::new(base, names.classes.clone());
    for (split, path, class) in rows {
        listing.add(split, names.get(&class)?, path);
    }
    Ok(listing)
}
