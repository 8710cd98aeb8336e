//! Miniatures of the official layouts against what torchvision, or the rule of the study, lists in them.

#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use assay_data::datasets::{Official, all_datasets};
use assay_data::{Color, CsvColumns, Direct, Label, Manifest, Presence, Split, TableColumns, csv_table, parquet_table};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/datasets")
}

/// (split, path, class or classes) of every sample, as the script writes them.
fn expected(name: &str) -> Vec<(String, String, Value)> {
    let all: BTreeMap<String, Vec<(String, String, Value)>> =
        serde_json::from_slice(&std::fs::read(root().join("expected.json")).unwrap()).unwrap();
    all[name].clone()
}

fn shown(manifest: &Manifest, label: &Label) -> Value {
    match label {
        Label::Class(class) => manifest.classes[*class as usize].clone().into(),
        Label::MultiLabel(classes) => {
            let names = manifest.classes.iter().zip(classes.iter()).filter(|(_, c)| **c == Presence::Present);
            names.map(|(name, _)| name.clone()).collect()
        }
    }
}

fn check(name: &str, manifest: &Manifest, keeps_order: bool) {
    let (mut expected, mut found) = (expected(name), Vec::new());
    for sample in &manifest.samples {
        let split = format!("{:?}", sample.split).to_lowercase();
        found.push((split, sample.path.clone(), shown(manifest, sample.label().unwrap())));
        sample.picture(Color::Rgb).unwrap_or_else(|e| panic!("{name}: {}: {e}", sample.path));
    }
    if !keeps_order {
        let order = |a: &(String, String, Value), b: &(String, String, Value)| (&a.0, &a.1).cmp(&(&b.0, &b.1));
        expected.sort_by(order);
        found.sort_by(order);
    }
    assert_eq!(found.len(), expected.len(), "{name}");
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!((&found.0, &found.2), (&expected.0, &expected.2), "{name}: {} and {}", found.1, expected.1);
        assert!(expected.1.ends_with(&found.1), "{name}: {} and {}", found.1, expected.1);
    }
}

#[test]
fn official_layouts_are_listed_as_by_their_own_readers() {
    let folders = |official: Official| match official {
        Official::Aircraft => vec!["aircraft"],
        Official::Caltech101 { .. } => vec!["caltech101"],
        Official::Cars => vec!["cars"],
        Official::Cifar10 => vec!["cifar10_python", "cifar10_binary"],
        Official::Cifar100 => vec!["cifar100_python", "cifar100_binary"],
        Official::Dtd { .. } => vec!["dtd"],
        Official::Flowers102 => vec!["flowers102"],
        Official::Food101 => vec!["food-101.tar"],
        Official::Pets => vec!["pets"],
        Official::Sun397 { .. } => vec!["sun397"],
        Official::Voc2007 => vec!["voc2007"],
        Official::CropDiseases => vec!["cropdiseases"],
        Official::EuroSat => vec!["EuroSAT.zip"],
        Official::Isic2018 => vec!["isic2018"],
        Official::ChestX => vec!["chestx"],
    };
    for official in all_datasets() {
        let mut digests = Vec::new();
        for folder in folders(official) {
            let manifest =
                official.manifest(&root().join(folder), false, &Direct).unwrap_or_else(|e| panic!("{folder}: {e:#}"));
            let name = folder.split('_').next().unwrap();
            let name = match name {
                "food-101.tar" => "food101",
                "EuroSAT.zip" => "eurosat",
                name => name,
            };
            check(name, &manifest, true);
            digests.push(manifest.digest());
            let published = official.counts().len();
            assert!(manifest.notes.len() >= published, "{folder}: {:?}", manifest.notes);
        }
        digests.dedup();
        assert_eq!(digests.len(), 1, "both versions of {official:?} are the same images");
    }
}

#[test]
fn other_counts_than_published_are_told_or_refused() {
    let root = root().join("dtd");
    let official = Official::Dtd { partition: 1 };
    let notes = official.manifest(&root, false, &Direct).unwrap().notes;
    assert!(notes.contains(&"split Train has 6 images, 1874 fewer than the 1880 published".to_owned()), "{notes:?}");
    let error = official.manifest(&root, true, &Direct).unwrap_err().to_string();
    assert!(error.contains("other images than published") && error.contains("1874 fewer"), "{error}");
}

#[test]
fn the_old_list_of_caltech_has_lines_twice() {
    let old = Official::Caltech101 { keeps_duplicates: true };
    let new = Official::Caltech101 { keeps_duplicates: false };
    let count = |o: Official| o.manifest(&root().join("caltech101"), false, &Direct).unwrap().count(Split::Train);
    assert_eq!((count(old), count(new)), (14, 12));
}

#[test]
fn difficult_objects_are_marked() {
    let manifest = Official::Voc2007.manifest(&root().join("voc2007"), false, &Direct).unwrap();
    let seventh = manifest.samples.iter().find(|s| s.path.ends_with("000007.jpg")).unwrap();
    let bird = manifest.classes.iter().position(|c| c == "bird").unwrap();
    let Some(Label::MultiLabel(classes)) = seventh.label() else { panic!("one class") };
    assert_eq!((classes[bird], manifest.is_multi_label()), (Presence::Difficult, true));
}

fn columns() -> CsvColumns {
    CsvColumns {
        image: "file".into(),
        label: "what is seen".into(),
        split: Some("part".into()),
        ..CsvColumns::default()
    }
}

#[test]
fn tables_are_read_with_quotes_and_embedded_images() {
    let root = root();
    check("csv", &csv_table(&root.join("csv/labels.csv"), &root.join("csv"), &columns(), &Direct).unwrap(), true);
    let columns = TableColumns { image: "image".into(), label: "label".into(), ..TableColumns::default() };
    check("parquet", &parquet_table(&root.join("parquet"), &columns, &Direct).unwrap(), false);
}

#[test]
fn what_is_wrong_with_a_table_is_said() {
    let root = root();
    let csv = |text: &str| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("t.csv"), text).unwrap();
        std::fs::write(dir.path().join("a.png"), "").unwrap();
        format!("{:#}", csv_table(&dir.path().join("t.csv"), dir.path(), &columns(), &Direct).unwrap_err())
    };
    assert!(csv("file,label\n").contains("no column \"what is seen\"; it has file, label"));
    assert!(csv("file,what is seen,part\n").ends_with("t.csv: it holds no rows"));
    assert!(csv("file,what is seen,part\na.png,cat,tests\n").contains("no split is called \"tests\""));
    assert!(csv("file,what is seen,part\na.png,,test\n").contains("line 2: column \"what is seen\" is empty"));
    assert!(csv("file,what is seen,part\na.png,cat,test\nb.png,cat,test\n").contains("1 of the 2 images"));
    assert!(csv("file,what is seen,part\n../a.png,cat,test\n").contains("outside of"));
    assert!(csv("file,what is seen,part\n/etc/passwd,cat,test\n").contains("outside of"));
    assert!(csv("file,what is seen,part\na.png,cat\n").contains("damaged"));
    let parquet = |path: &Path, image: &str| {
        let columns = TableColumns { image: image.into(), label: "label".into(), ..TableColumns::default() };
        format!("{:#}", parquet_table(path, &columns, &Direct).unwrap_err())
    };
    let null = parquet(&root.join("bad/null-image.parquet"), "image");
    assert!(null.contains("null-image.parquet") && null.contains("row 1 of row group 0 has no image"), "{null}");
    let column = parquet(&root.join("parquet"), "picture");
    assert!(column.contains("no column \"picture.bytes\"; it has image.bytes, image.path, label"), "{column}");
    // A file cut or changed anywhere is an error or other images, never a panic.
    let whole = std::fs::read(root.join("parquet/data/test-00000-of-00001.parquet")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("test.parquet");
    std::panic::set_hook(Box::new(|_| {}));
    for at in (0..whole.len()).step_by(7) {
        let columns = TableColumns { image: "image".into(), label: "label".into(), ..TableColumns::default() };
        std::fs::write(&file, &whole[..at]).unwrap();
        assert!(parquet_table(&file, &columns, &Direct).is_err(), "cut at {at}");
        let mut changed = whole.clone();
        changed[at] ^= 0x55;
        std::fs::write(&file, &changed).unwrap();
        let _ = parquet_table(&file, &columns, &Direct);
    }
    let _ = std::panic::take_hook();
}

#[test]
fn what_is_missing_is_said_with_its_place() {
    let message =
        |official: Official, path: &Path| format!("{:#}", official.manifest(path, false, &Direct).unwrap_err());
    let empty = tempfile::tempdir().unwrap();
    for official in all_datasets() {
        let text = message(official, empty.path());
        assert!(text.contains("missing") || text.contains("neither"), "{official:?}: {text}");
    }
    // An image that a list names, and a label file that is cut off.
    let dir = tempfile::tempdir().unwrap();
    copy(&root().join("flowers102"), dir.path());
    std::fs::remove_file(dir.path().join("jpg/image_00003.jpg")).unwrap();
    let text = message(Official::Flowers102, dir.path());
    assert!(text.contains("1 of the 14 images") && text.contains("jpg/image_00003.jpg"), "{text}");
    let labels = dir.path().join("imagelabels.mat");
    let bytes = std::fs::read(&labels).unwrap();
    std::fs::write(&labels, &bytes[..bytes.len() - 9]).unwrap();
    let text = message(Official::Flowers102, dir.path());
    assert!(text.contains("imagelabels.mat") && text.contains("truncated"), "{text}");
    std::fs::copy(root().join("bad/v73.mat"), &labels).unwrap();
    assert!(message(Official::Flowers102, dir.path()).contains("MATLAB 7.3"));
    // A label that is no class, and an archive that must be unpacked.
    let dir = tempfile::tempdir().unwrap();
    copy(&root().join("cifar10_binary"), dir.path());
    let batch = dir.path().join("cifar-10-batches-bin/data_batch_3.bin");
    let mut bytes = std::fs::read(&batch).unwrap();
    bytes[0] = 7;
    std::fs::write(&batch, &bytes).unwrap();
    let text = message(Official::Cifar10, dir.path());
    assert!(text.contains("data_batch_3.bin") && text.contains("class 7, and there are 2"), "{text}");
    std::fs::write(&batch, &bytes[..100]).unwrap();
    assert!(message(Official::Cifar10, dir.path()).contains("truncated"));
    let packed = dir.path().join("food-101.tar.gz");
    std::fs::write(&packed, [0x1f, 0x8b, 8, 0, 0, 0, 0]).unwrap();
    assert!(message(Official::Food101, &packed).contains("packed with gzip"));
}

fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.unwrap();
        let place = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(place).unwrap();
        } else {
            std::fs::copy(entry.path(), place).unwrap();
        }
    }
}
