//! Tables with images inside as the libraries that people use write them, and small tables by hand: what is read, and what is said.

#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use assay_data::{
    ClassOrder, Color, CsvColumns, Direct, FolderOptions, HubCache, Label, Manifest, Presence, RepoKind, SplitUse,
    TableColumns, WantedOrder, WebColumns, arrow_dataset, csv_table, doubts, hub_dataset, image_folder, parquet_table,
    shard_paths, web_dataset,
};
use serde_json::{Value, json};

fn files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/tables/files")
}

fn columns() -> TableColumns {
    TableColumns { image: "image".into(), label: "label".into(), ..TableColumns::default() }
}

/// Split, class or classes, and first pixel of every image, in no order.
fn shown(manifest: &Manifest) -> Vec<Value> {
    let class = |class: &u32| Value::from(manifest.classes[*class as usize].as_str());
    let row = |sample: &assay_data::Sample| {
        let label = match sample.label() {
            None => Value::Null,
            Some(Label::Class(one)) => class(one),
            Some(Label::MultiLabel(marks)) => {
                let present = marks.iter().zip(0..).filter(|(mark, _)| **mark == Presence::Present);
                present.map(|(_, at)| class(&at)).collect()
            }
        };
        json!([format!("{:?}", sample.split).to_lowercase(), label, sample.picture(Color::Rgb).unwrap().data[..3]])
    };
    let mut rows: Vec<Value> = manifest.samples.iter().map(row).collect();
    rows.sort_by_key(Value::to_string);
    rows
}

fn expected(name: &str) -> Vec<Value> {
    let all: BTreeMap<String, Vec<Value>> =
        serde_json::from_slice(&fs::read(files().join("expected.json")).unwrap()).unwrap();
    let mut rows = all[name].clone();
    rows.sort_by_key(Value::to_string);
    rows
}

#[test]
fn what_libraries_write_is_read_as_they_read_it() {
    let root = files();
    let parquet = |name: &str| parquet_table(&root.join(name), &columns(), &Direct).unwrap();
    let arrow = |name: &str| arrow_dataset(&root.join(name), &columns(), &Direct).unwrap();
    let snapshot = HubCache::new(root.join("hub")).find(RepoKind::Dataset, "org/animals", None).unwrap();
    let hub = hub_dataset(&snapshot, None, &columns(), &Direct).unwrap();
    assert_eq!(hub.origin.as_deref(), Some("commit 0123456789abcdef0123456789abcdef01234567"));
    let web = web_dataset(&root.join("web"), &WebColumns::default(), &Direct).unwrap();
    let mut all =
        vec![("hub", hub), ("web", web), ("arrow", arrow("arrow")), ("arrow_several", arrow("arrow_several"))];
    all.extend(["several", "disagreeing"].map(|name| (name, parquet(name))));
    all.extend(
        ["codecs/gzip", "codecs/zstd", "codecs/lz4", "codecs/brotli", "codecs/snappy", "codecs/none"]
            .map(|name| (name, parquet(name))),
    );
    for (name, manifest) in &all {
        assert_eq!(shown(manifest), expected(name), "{name}");
        let order = if *name == "disagreeing" { ClassOrder::Disputed } else { ClassOrder::Listed };
        assert_eq!(manifest.order, order, "{name}");
        if order == ClassOrder::Listed {
            assert_eq!(manifest.classes, ["zebra", "ant", "Café"], "{name}: classes are in the order of the dataset");
        }
    }
    let note = &all.iter().find(|(name, _)| *name == "disagreeing").unwrap().1.notes[0];
    assert!(note.contains("list the classes differently"), "{note}");
}

#[test]
fn a_label_that_is_json_is_the_same_class() {
    let json = WebColumns { label: Some("json".into()), field: "label".into(), ..WebColumns::default() };
    assert_eq!(shown(&web_dataset(&files().join("web"), &json, &Direct).unwrap()), expected("web"));
    let field = WebColumns { field: "class".into(), ..json };
    let error = format!("{:#}", web_dataset(&files().join("web"), &field, &Direct).unwrap_err());
    assert!(error.contains("no field \"class\"; it has label, n"), "{error}");
    let braces = files().join("web/train/{000000..000002}.tar");
    let error = format!("{:#}", web_dataset(&braces, &WebColumns::default(), &Direct).unwrap_err());
    assert!(error.contains("1 of the 3 files") && error.ends_with("000002.tar"), "{error}");
    let numbers: Vec<_> = shard_paths(Path::new("a-{08..10}.tar")).unwrap();
    assert_eq!(numbers, ["a-08.tar", "a-09.tar", "a-10.tar"].map(PathBuf::from));
    for bad in ["a-{1}.tar", "a-{2..1}.tar", "a-{a..b}.tar", "a-{0..9}{0..9}.tar", "a-{0..99999999}.tar", "a-{0..1"] {
        assert!(shard_paths(Path::new(bad)).is_err(), "{bad}");
    }
}

#[test]
fn damaged_arrow_files_and_tars_are_errors_and_never_panics() {
    let whole = fs::read(files().join("arrow/test/data-00000-of-00001.arrow")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for name in ["state.json", "dataset_info.json"] {
        fs::copy(files().join("arrow/test").join(name), dir.path().join(name)).unwrap();
    }
    let read = |bytes: &[u8]| {
        fs::write(dir.path().join("data-00000-of-00001.arrow"), bytes).unwrap();
        arrow_dataset(dir.path(), &columns(), &Direct)
    };
    assert_eq!(read(&whole).unwrap().samples.len(), 2);
    for at in (0..whole.len()).step_by(5) {
        for change in [0x01, 0x80, 0xff] {
            let mut changed = whole.clone();
            changed[at] ^= change;
            let _ = read(&changed);
        }
        let _ = read(&whole[..at]);
    }
    fs::write(dir.path().join("state.json"), r#"{"_data_files": [{"filename": "../secret.arrow"}]}"#).unwrap();
    let error = format!("{:#}", read(&whole).unwrap_err());
    assert!(error.contains("no name of a file"), "{error}");
}

/// A folder of images that are not decoded, each of its own content.
struct Place(tempfile::TempDir);

impl Place {
    fn new(names: &[&str]) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        names.iter().fold(place, |place, name| place.put(name, name.as_bytes()))
    }

    fn put(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    fn csv(&self, name: &str, options: CsvColumns) -> Result<Manifest, String> {
        let columns = CsvColumns { image: "file".into(), label: "label".into(), ..options };
        csv_table(&self.0.path().join(name), self.0.path(), &columns, &Direct).map_err(|e| format!("{e:#}"))
    }

    fn folder(&self, options: &FolderOptions) -> Result<Manifest, String> {
        image_folder(self.0.path(), options, &Direct).map_err(|e| format!("{e:#}"))
    }
}

/// `split class`, or `split [classes]`, of each sample.
fn brief(manifest: &Manifest) -> Vec<String> {
    let one = |sample: &assay_data::Sample| {
        let label = match sample.label() {
            None => "?".to_owned(),
            Some(Label::Class(class)) => manifest.classes[*class as usize].clone(),
            Some(Label::MultiLabel(marks)) => {
                let present = marks.iter().zip(&manifest.classes).filter(|(mark, _)| **mark == Presence::Present);
                format!("{:?}", present.map(|(_, name)| name.as_str()).collect::<Vec<_>>())
            }
        };
        format!("{:?} {label}", sample.split)
    };
    manifest.samples.iter().map(one).collect()
}

#[test]
fn tables_are_read_in_every_usual_dialect_and_what_was_found_is_told() {
    let place = || Place::new(&["1.png", "2.png", "3.png"]);
    let table = "file,label\n1.png,a\n2.png,\"b, or c\"\n3.png,a\n";
    let utf16 = |little: bool, text: &str| -> Vec<u8> {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        units.flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
    };
    let json = "{\"file\": \"1.png\", \"label\": \"a\", \"n\": 1}\n\n{\"label\": \"b, or c\", \"file\": \"2.png\"}\n{\"file\": \"3.png\", \"label\": \"a\"}\n";
    for (name, content, told) in [
        ("t.csv", table.as_bytes().to_vec(), "commas"),
        (
            "t.tsv",
            table.replace(",\"b, or c\"", "\tb, or c").replace(',', "\t").replace("b\t or", "b, or").into(),
            "tabs",
        ),
        (
            "t.csv",
            table.replace(",\"b, or c\"", ";b, or c").replace("file,", "file;").replace("png,", "png;").into(),
            "semicolons",
        ),
        (
            "t.txt",
            table.replace(",\"b, or c\"", "|b, or c").replace("file,", "file|").replace("png,", "png|").into(),
            "bars",
        ),
        ("t.csv", [b"\xef\xbb\xbf".as_slice(), table.as_bytes()].concat(), "UTF-8 with a byte order mark"),
        ("t.csv", utf16(true, table), "UTF-16, little endian"),
        ("t.csv", utf16(false, &table.replace('\n', "\r\n")), "UTF-16, big endian"),
        ("t.jsonl", json.into(), "JSON lines"),
    ] {
        let manifest = place().put(name, &content).csv(name, CsvColumns::default()).unwrap();
        assert_eq!(brief(&manifest), ["Whole a", "Whole b, or c", "Whole a"], "{told}");
        assert!(manifest.details.iter().any(|detail| detail.contains(told)), "{told}: {:?}", manifest.details);
    }
    let told = |content: &[u8], options: CsvColumns| place().put("t.csv", content).csv("t.csv", options).unwrap_err();
    for (content, options, expected) in [
        (utf16(true, table)[2..].to_vec(), CsvColumns::default(), "UTF-16 without a byte order mark"),
        (b"file,label\n1.png,caf\xe9\n".to_vec(), CsvColumns::default(), "not UTF-8"),
        (b"file,label;\n".to_vec(), CsvColumns::default(), "no column \"label\"; it has file, label;"),
        (b"file,label\n".to_vec(), CsvColumns { delimiter: Some(';'), ..CsvColumns::default() }, "it has file,label"),
        (b"file,label,label\n".to_vec(), CsvColumns::default(), "2 columns called \"label\""),
        (b"file,label\n1.png,\n".to_vec(), CsvColumns::default(), "line 2: column \"label\" is empty"),
    ] {
        let error = told(&content, options);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn split_words_are_mapped_or_left_out_and_cells_may_hold_several_classes() {
    let place = Place::new(&["1.png", "2.png", "3.png"]);
    let place = place.put("t.csv", "file,label,part\n1.png,a|b,train\n2.png,b,id_val\n3.png,,unlabeled\n");
    let words = |words: &[(&str, SplitUse)]| words.iter().map(|(word, used)| ((*word).to_owned(), *used)).collect();
    let options = |splits: &[(&str, SplitUse)]| CsvColumns {
        split: Some("part".into()),
        splits: words(splits),
        separator: Some("|".into()),
        ..CsvColumns::default()
    };
    let both = [("id_val", SplitUse::Val), ("unlabeled", SplitUse::Skip)];
    let manifest = place.csv("t.csv", options(&both)).unwrap();
    assert_eq!(brief(&manifest), ["Train [\"a\", \"b\"]", "Val [\"b\"]"]);
    assert!(manifest.details.iter().any(|d| d == "left out by `splits`: 1 rows of \"unlabeled\""), "{manifest:?}");
    let error = place.csv("t.csv", options(&[])).unwrap_err();
    assert!(error.contains("no split is called \"id_val\" (1 rows), \"unlabeled\" (1 rows)"), "{error}");
    let error = place.csv("t.csv", options(&[both[0], both[1], ("ood", SplitUse::Skip)])).unwrap_err();
    assert!(error.contains("`splits` names ood, which no row has"), "{error}");
}

#[test]
fn every_reader_orders_classes_by_one_rule() {
    let names = ["10", "9", "1", "2"];
    let place = Place::new(&names.map(|name| format!("d/{name}/x.png")).each_ref().map(String::as_str));
    let rows: String = names.iter().map(|name| format!("d/{name}/x.png,{name}\n")).collect();
    let place = place.put("t.csv", format!("file,label\n{rows}"));
    let csv = place.csv("t.csv", CsvColumns::default()).unwrap();
    let folder = image_folder(&place.0.path().join("d"), &FolderOptions::default(), &Direct).unwrap();
    for manifest in [&csv, &folder] {
        assert_eq!(
            (&manifest.classes[..], manifest.order),
            (&["1", "2", "9", "10"].map(str::to_owned)[..], ClassOrder::Sorted)
        );
        assert!(manifest.order_is_ambiguous());
    }
    let wanted = |order: WantedOrder| folder.clone().reorder(&order).map(|m| (brief(&m), m.classes));
    let same = brief(&folder);
    for (order, classes) in [
        (WantedOrder::Text, vec!["1", "10", "2", "9"]),
        (WantedOrder::Numeric, vec!["1", "2", "9", "10"]),
        (WantedOrder::Names(["2", "1", "3", "10", "9"].map(str::to_owned).to_vec()), vec!["2", "1", "3", "10", "9"]),
    ] {
        let (samples, found) = wanted(order).unwrap();
        assert_eq!((samples, found.iter().map(String::as_str).collect::<Vec<_>>()), (same.clone(), classes));
    }
    for (names, told) in [
        (vec!["1", "2"], "does not list 2 of the classes that have images: 10, 9"),
        (vec!["1", "1"], "lists \"1\" twice"),
    ] {
        let error =
            wanted(WantedOrder::Names(names.iter().map(|n| (*n).to_owned()).collect())).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
    let several = CsvColumns { separator: Some("|".into()), ..CsvColumns::default() };
    let several = place_of("1.png,a|c\n2.png,b\n").csv("t.csv", several).unwrap();
    let moved = several.clone().reorder(&WantedOrder::Names(["c", "x", "b", "a"].map(str::to_owned).to_vec())).unwrap();
    assert_eq!(brief(&moved), ["Whole [\"c\", \"a\"]", "Whole [\"b\"]"], "marks move with their names");
    assert_eq!(brief(&several), ["Whole [\"a\", \"c\"]", "Whole [\"b\"]"]);
    // Labels that are the numbers from 0 on are indices; names are in the order of their bytes.
    let csv = |rows: &str| place_of(rows).csv("t.csv", CsvColumns::default()).unwrap();
    assert_eq!(csv("1.png,1\n2.png,0\n").order, ClassOrder::Listed);
    assert_eq!(csv("1.png,b\n2.png,B\n3.png,10\n").classes, ["10", "B", "b"]);
}

fn place_of(rows: &str) -> Place {
    Place::new(&["1.png", "2.png", "3.png", "4.png"]).put("t.csv", format!("file,label\n{rows}"))
}

#[test]
fn names_that_look_like_a_mistake_are_told() {
    let (errors, warnings) = (true, false);
    for (names, is_error, told) in [
        (["0", "0.0"], errors, "are one number"),
        (["01", "1"], errors, "are one number"),
        (["1", "1e0"], errors, "are one number"),
        (["cat", "cat "], errors, "do not print"),
        (["cat", "ca\u{200b}t"], errors, "do not print"),
        (["big cat", "big\u{a0}cat"], errors, "do not print"),
        (["train", "test"], errors, "are called like splits"),
        (["Cat", "cat"], warnings, "letter case"),
        (["big cat", "big_cat"], warnings, "letter case"),
        (["cat", "сat"], warnings, "letter case"),
        (["ﬁsh", "fish"], warnings, "letter case"),
        (["cat", "nan"], warnings, "class \"nan\" (1 image) reads like a label that is missing"),
        (["cat", "None"], warnings, "reads like a label that is missing"),
        (["cat", "N/A"], warnings, "reads like a label that is missing"),
    ] {
        let manifest = place_of(&format!("1.png,\"{}\"\n2.png,\"{}\"\n", names[0], names[1]));
        let doubts = doubts(&manifest.csv("t.csv", CsvColumns::default()).unwrap());
        let (list, other) =
            if is_error { (&doubts.errors, &doubts.warnings) } else { (&doubts.warnings, &doubts.errors) };
        assert!(list.len() == 1 && list[0].contains(told) && other.is_empty(), "{names:?}: {doubts:?}");
    }
    for names in [["cat", "dog"], ["1", "2"], ["-1", "1"], ["train", "bus"], ["m", "m2"], ["日本", "中国"]] {
        let manifest = place_of(&format!("1.png,{}\n2.png,{}\n", names[0], names[1]));
        assert_eq!(doubts(&manifest.csv("t.csv", CsvColumns::default()).unwrap()), Default::default(), "{names:?}");
    }
}

#[test]
fn unicode_forms_of_one_name_are_one_class_for_every_reader() {
    let (nfc, nfd) = ("Caf\u{e9}", "Cafe\u{301}");
    let place = Place::new(&[&format!("train/{nfc}/1.png"), &format!("test/{nfd}/1.png"), "test/dog/1.png"]);
    let folder = place.folder(&FolderOptions::of_words(["train", "test"])).unwrap();
    let csv = place_of(&format!("1.png,{nfc}\n2.png,{nfd}\n3.png,dog\n")).csv("t.csv", CsvColumns::default()).unwrap();
    for manifest in [&folder, &csv] {
        assert_eq!(manifest.classes, [nfc, "dog"]);
        assert!(manifest.notes.len() == 1 && manifest.notes[0].contains("two Unicode forms"), "{:?}", manifest.notes);
    }
    // A path in a table may be written in the other form than the file system has.
    let place = Place::new(&[&format!("{nfd}.png")]).put("t.csv", format!("file,label\n{nfc}.png,a\n"));
    assert_eq!(place.csv("t.csv", CsvColumns::default()).unwrap().samples.len(), 1);
}

#[test]
fn litter_is_passed_over_at_every_depth_in_folders_and_archives() {
    let names = [
        "a/1.png",
        "b/deep/2.png",
        "a/.ipynb_checkpoints/1-checkpoint.png",
        "b/deep/._2.png",
        "__MACOSX/a/._1.png",
        "__MACOSX/a/1.png",
        ".hidden/c/3.png",
        "b/@eaDir/2.png",
        "a/Thumbs.db",
        "b/desktop.ini",
        ".DS_Store",
    ];
    let place = Place::new(&names);
    let zip =
        place.0.path().parent().unwrap().join(format!("{}.zip", place.0.path().file_name().unwrap().to_str().unwrap()));
    let mut writer = zip::ZipWriter::new(fs::File::create(&zip).unwrap());
    for name in names {
        writer.start_file(format!("top/{name}"), zip::write::SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut writer, name.as_bytes()).unwrap();
    }
    writer.finish().unwrap();
    let archive = image_folder(&zip, &FolderOptions::default(), &Direct).unwrap();
    fs::remove_file(&zip).unwrap();
    let folder = place.folder(&FolderOptions::default()).unwrap();
    assert_eq!(archive.digest(), folder.digest());
    for manifest in [&folder, &archive] {
        assert_eq!(brief(manifest), ["Whole a", "Whole b"]);
        let passed_over = manifest.details.iter().find(|d| d.starts_with("passed over")).unwrap();
        for kind in
            ["._* (AppleDouble)", ".DS_Store", ".ipynb_checkpoints", "@eaDir", "Thumbs.db", "__MACOSX", "desktop.ini"]
        {
            assert!(passed_over.contains(kind), "{kind}: {passed_over}");
        }
        assert!(manifest.notes.is_empty(), "{:?}", manifest.notes);
    }
}

#[test]
fn folders_that_are_not_as_they_should_be_are_told() {
    let whole = FolderOptions::default();
    let notes = |names: &[&str]| Place::new(names).folder(&whole).unwrap().notes.join("; ");
    assert!(notes(&["a/1.png", "a/2.gif", "a/3.HEIC"]).contains("1 × .gif, 1 × .heic"));
    assert!(notes(&["a/1.png", "2.png"]).contains("1 images lie beside the folders"));
    assert!(notes(&["a/train/1.png", "a/test/2.png"]).contains("called like splits (a/train/1.png, a/test/2.png)"));
    let place = Place::new(&["a/1.png"]);
    fs::create_dir(place.0.path().join("b")).unwrap();
    let error = place.folder(&whole).unwrap_err();
    assert!(error.contains("b holds no image") && error.contains("`allow_empty: true`"), "{error}");
    let empty = place.folder(&FolderOptions { allow_empty: true, ..whole.clone() }).unwrap();
    assert_eq!((empty.classes.len(), empty.samples.len()), (2, 1));
    let place = Place::new(&["seen/a/1.png", "new/a/2.png", "more/b/3.png"]);
    let splits = vec![
        ("seen".to_owned(), SplitUse::Train),
        ("new".to_owned(), SplitUse::Test),
        ("more".to_owned(), SplitUse::Skip),
    ];
    assert_eq!(brief(&place.folder(&FolderOptions { splits, ..whole }).unwrap()), ["Train a", "Test a"]);
}

#[cfg(unix)]
#[test]
fn a_class_folder_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new(&["a/1.png"]);
    let folder = place.0.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("2.png"), "x").unwrap();
    let error = place.folder(&FolderOptions::default()).unwrap_err();
    assert!(error.contains(r#"the folder "caf\xE9""#) && error.contains("not named in UTF-8"), "{error}");
}

#[test]
fn a_repository_of_the_hub_is_read_by_what_it_holds() {
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let read = |files: &[&str], config: Option<&str>, words: &[(&str, SplitUse)]| {
        let names: Vec<String> = files.iter().map(|f| format!("datasets--o--n/snapshots/{commit}/{f}")).collect();
        let place = Place::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let place = place.put("datasets--o--n/refs/main", commit);
        let snapshot = HubCache::new(place.0.path().to_owned()).find(RepoKind::Dataset, "o/n", None).unwrap();
        let splits = words.iter().map(|(word, used)| ((*word).to_owned(), *used)).collect();
        let found = hub_dataset(&snapshot, config, &TableColumns { splits, ..columns() }, &Direct);
        found.map(|manifest| brief(&manifest)).map_err(|e| format!("{e:#}"))
    };
    let images = ["README.md", "train/a/1.png", "test/b/2.png", "extra/a/3.png"];
    assert_eq!(read(&images, None, &[]).unwrap(), ["Test b", "Train a"]);
    assert_eq!(read(&images, None, &[("extra", SplitUse::Test)]).unwrap(), ["Test b", "Train a", "Test a"]);
    assert_eq!(read(&["a/1.png", "b/2.png"], None, &[]).unwrap(), ["Whole a", "Whole b"]);
    assert_eq!(read(&["big/train/a/1.png", "small/train/b/2.png"], Some("small"), &[]).unwrap(), ["Train b"]);
    for (files, config, told) in [
        (&["a.parquet", "b.tar"][..], None, "has Parquet and tar files"),
        (&["n.py", "README.md"], None, "its script is not run"),
        (&["train/1.png", "metadata.csv"], None, "may be in metadata.csv: read it with `Csv(path:"),
        (&["x/train/0000.parquet", "y/train/0000.parquet"], None, "the folders x, y have files of the same split"),
        (&["x/train/a/1.png"], Some("z"), "no folder of a configuration \"z\"; it has x"),
    ] {
        let error = read(files, config, &[]).unwrap_err();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn a_list_keeps_what_it_names_of_the_splits_that_it_speaks_of() {
    let place = Place::new(&["train/a/1.png", "train/a/2.png", "train/b/3.png", "test/b/3.png", "test/a/4.png"]);
    let all = place.folder(&FolderOptions::of_words(["train", "test"])).unwrap();
    let kept = |list: &str| {
        all.clone().keep_listed(list).map(|m| (m.samples.iter().map(|s| s.path.clone()).collect::<Vec<_>>(), m.notes))
    };
    let (paths, notes) = kept("\u{feff}1.png\n\n").unwrap();
    assert_eq!(paths, ["train/a/1.png", "test/a/4.png", "test/b/3.png"]);
    assert_eq!(notes, ["the list leaves 1 of 2 classes without an image in Train: b"]);
    assert_eq!(
        kept("train/a/2.png 0\na/4.png\t7\ntrain/b/3.png").unwrap().0,
        ["train/a/2.png", "train/b/3.png", "test/a/4.png"]
    );
    for (list, told) in [
        ("", "names no image"),
        ("9.png\n1.png", "1 of the 2 images of the list are none of the 5"),
        ("b/3.png", "is several images"),
    ] {
        let error = kept(list).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}
