//! The four datasets of the cross-domain few-shot benchmark (CD-FSL); none has splits.

use anyhow::{Context as _, ensure};

use super::lists::by_name;
use super::{Listing, Names};
use crate::files::Files;
use crate::folder::is_image;
use crate::manifest::Split;

/// `folder/<class>/<image>`.
pub fn folders(files: &Files, folder: &str) -> anyhow::Result<Listing> {
    let base = files.at(folder)?;
    let prefix = format!("{folder}/");
    let row = |path: &str| {
        let (class, _) = path.strip_prefix(&prefix)?.split_once('/')?;
        is_image(path.as_ref()).then(|| (Split::Whole, path.to_owned(), class.to_owned()))
    };
    let rows: Vec<_> = base.under(&prefix).filter_map(row).collect();
    ensure!(!rows.is_empty(), "{} holds no <class>/<image>", base.name(folder));
    by_name(base, rows)
}

/// `ISIC2018_Task3_Training_GroundTruth/….csv`: an image and a column for each class, one of which is 1.
pub fn isic2018(files: &Files) -> anyhow::Result<Listing> {
    const LABELS: &str = "ISIC2018_Task3_Training_GroundTruth.csv";
    const IMAGES: &str = "ISIC2018_Task3_Training_Input";
    let (labels_at, base) = (files.at(LABELS)?, files.at(IMAGES)?);
    let bytes = labels_at.bytes(LABELS)?;
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let header = reader.headers().with_context(|| labels_at.name(LABELS))?.clone();
    let classes: Vec<String> = header.iter().skip(1).map(|c| c.trim().to_owned()).collect();
    ensure!(!classes.is_empty(), "{} has no columns for classes", labels_at.name(LABELS));
    let mut listing = Listing::new(base, classes);
    for record in reader.records() {
        let record = record.with_context(|| labels_at.name(LABELS))?;
        let image = record.get(0).unwrap_or_default().trim().to_owned();
        let values: Option<Vec<f64>> = record.iter().skip(1).map(|v| v.trim().parse().ok()).collect();
        let shown = values.map(|v| v.iter().enumerate().filter(|(_, v)| **v > 0.5).map(|(k, _)| k).collect::<Vec<_>>());
        let Some([class]) = shown.as_deref() else {
            anyhow::bail!("{}: exactly one class of image {image} must be 1", labels_at.name(LABELS));
        };
        listing.add(Split::Whole, *class as u32, format!("{IMAGES}/{image}.jpg"));
    }
    Ok(listing)
}

/// The seven findings of CD-FSL, in the order of its code; `Pneumonia` is not one of them.
const FINDINGS: [&str; 7] =
    ["Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumothorax"];

/// `Data_Entry_2017.csv`: images with exactly one finding, which is one of the seven.
pub fn chestx(files: &Files) -> anyhow::Result<Listing> {
    const LABELS: &str = "Data_Entry_2017.csv";
    let (labels_at, base) = (files.at(LABELS)?, files.at("images")?);
    let bytes = labels_at.bytes(LABELS)?;
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes.as_slice());
    let header = reader.headers().with_context(|| labels_at.name(LABELS))?.clone();
    let column = |name: &str| {
        let at = header.iter().position(|c| c.trim() == name);
        at.with_context(|| format!("{} has no column {name:?}", labels_at.name(LABELS)))
    };
    let (image_at, finding_at) = (column("Image Index")?, column("Finding Labels")?);
    let names = Names::new(FINDINGS.map(str::to_owned).to_vec())?;
    let mut listing = Listing::new(base, names.classes.clone());
    for record in reader.records() {
        let record = record.with_context(|| labels_at.name(LABELS))?;
        let finding = record.get(finding_at).unwrap_or_default();
        if let (Ok(class), Some(image)) = (names.get(finding), record.get(image_at)) {
            listing.add(Split::Whole, class, format!("images/{image}"));
        }
    }
    Ok(listing)
}
