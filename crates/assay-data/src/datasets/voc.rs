//! Pascal VOC: for each class a list that says of every image whether it shows the class.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};

use super::Listing;
use crate::files::Files;
use crate::manifest::Split;
use crate::target::Presence;

/// `ImageSets/Main/{class}_{train,val,test}.txt`: an image and 1, 0 (difficult) or -1.
pub fn voc2007(files: &Files) -> anyhow::Result<Listing> {
    const LISTS: &str = "ImageSets/Main/";
    let base = files.at("VOC2007/ImageSets/Main").map(|above| above.inside("VOC2007"));
    let base = base.or_else(|_| files.at("ImageSets/Main"))?;
    let lists: Vec<String> = base.under(LISTS).map(str::to_owned).collect();
    let class_of = |list: &String| Some(list.strip_prefix(LISTS)?.strip_suffix("_train.txt")?.to_owned());
    let classes: BTreeSet<String> = lists.iter().filter_map(class_of).collect();
    ensure!(!classes.is_empty(), "{} holds no <class>_train.txt", base.name(LISTS));
    let classes: Vec<String> = classes.into_iter().collect();
    let mut rows = Vec::new();
    for (name, split) in [("train", Split::Train), ("val", Split::Val), ("test", Split::Test)] {
        let mut images: BTreeMap<String, Vec<Option<Presence>>> = BTreeMap::new();
        for (k, class) in classes.iter().enumerate() {
            let list = format!("{LISTS}{class}_{name}.txt");
            for line in base.lines(&list)? {
                let (image, presence) = line
                    .split_once(char::is_whitespace)
                    .and_then(|(image, mark)| Some((image, presence_of(mark.trim())?)))
                    .with_context(|| {
                        format!("{}: expected an image and 1, 0 or -1, found {line:?}", base.name(&list))
                    })?;
                images.entry(image.to_owned()).or_insert_with(|| vec![None; classes.len()])[k] = Some(presence);
            }
        }
        for (image, classes) in images {
            let known: Option<Vec<Presence>> = classes.into_iter().collect();
            let known = known.with_context(|| {
                format!("{}: image {image} is not in the {name} list of every class", base.name(LISTS))
            })?;
            rows.push((split, known, format!("JPEGImages/{image}.jpg")));
        }
    }
    let mut listing = Listing::new(base, classes);
    rows.into_iter().for_each(|(split, classes, path)| listing.add_multi_label(split, classes, path));
    Ok(listing)
}

fn presence_of(text: &str) -> Option<Presence> {
    match text {
        "1" => Some(Presence::Present),
        "0" => Some(Presence::Difficult),
        "-1" => Some(Presence::Absent),
        _ => None,
    }
}
