//! Features as numpy, pandas and safetensors write them: read with the very numbers, or refused with the row.

#![allow(missing_docs, clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use assay_data::{Direct, FeatureRows, Label, Manifest, Presence, Split, feature_rows, features_of};
use serde_json::Value;

fn at(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/feature_files").join(name)
}

fn keys() -> [String; 4] {
    ["x", "y", "ids", "split"].map(str::to_owned)
}

/// Files as an experiment has them; an empty name is a file that is not given.
fn files(part: Split, [x, y, ids, split]: [&str; 4]) -> FeatureRows {
    let given = |name: &str| (!name.is_empty()).then(|| at(name));
    FeatureRows { part, x: at(x), y: given(y), ids: given(ids), split: given(split), keys: keys() }
}

fn read(parts: &[FeatureRows], names: &str) -> anyhow::Result<Manifest> {
    let names = (!names.is_empty()).then(|| at(names));
    feature_rows(parts, names.as_deref(), &Direct)
}

fn whole(names: [&str; 4]) -> Manifest {
    read(&[files(Split::Whole, names)], "").unwrap_or_else(|error| panic!("{names:?}: {error:#}"))
}

fn expected() -> Value {
    serde_json::from_slice(&std::fs::read(at("expected.json")).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row.as_array().unwrap())
        .map(|v| v.as_f64().unwrap() as f32)
        .collect()
}

fn classes(manifest: &Manifest) -> Vec<u32> {
    manifest.samples.iter().map(|sample| sample.class().unwrap()).collect()
}

#[test]
fn every_container_type_and_order_gives_the_same_rows() {
    let expected = expected();
    let x = numbers(&expected["x"]);
    let twice: Vec<f32> = x.iter().map(|v| 2.0 * v).collect();
    let y: Vec<u32> = expected["y"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect();
    let mut digests = Vec::new();
    for (names, wanted) in [
        (["f32.npy", "y.npy", "", ""], &x),
        (["f16.npy", "y-float.npy", "", ""], &x),
        (["f64-big.npy", "y.npy", "", ""], &x),
        (["fortran.npy", "rows.csv", "", ""], &x),
        (["fortran-f16-big.npy", "y.npy", "", ""], &x),
        (["alone.npz", "y.npy", "", ""], &x),
        (["i16.npy", "y.npy", "", ""], &twice),
        (["all.npz", "", "", ""], &x),
        (["packed.npz", "", "", ""], &x),
        (["all.parquet", "", "", ""], &x),
        (["double.parquet", "", "", ""], &x),
        (["all.safetensors", "", "rows.csv", "rows.csv"], &x),
    ] {
        let manifest = whole(names);
        let (values, dim) = features_of(&manifest.samples).unwrap();
        assert_eq!((dim, &values), (5, wanted), "{names:?}");
        assert_eq!(classes(&manifest), y, "{names:?}");
        // Some rows of it, in another order.
        let some: Vec<_> = [7, 2, 3, 4].map(|i| manifest.samples[i].clone()).into();
        assert_eq!(features_of(&some).unwrap().0[5..20], wanted[10..25], "{names:?}");
        digests.push(manifest.digest());
        let has_ids = manifest.samples[0].path == "ant/ü0.png";
        assert_eq!(has_ids, names[0].starts_with("all") || names[0] == "packed.npz" || names[0] == "double.parquet");
        let has_splits = manifest.count(Split::Train) == 5 && manifest.count(Split::Test) == 3;
        assert_eq!(has_splits, has_ids, "{names:?}");
        let rounded = manifest.notes.iter().any(|note| note.contains("64 bits"));
        assert_eq!(rounded, names[0] == "f64-big.npy");
    }
    // Rows are what their numbers are, whatever holds them; where they have ids, they are what these say.
    assert!(digests[..6].iter().all(|digest| *digest == digests[0]));
    assert_ne!(digests[6], digests[0]);
    assert!(digests[7..9].iter().all(|digest| *digest == digests[7]));
    assert_ne!(digests[7], digests[0]);
}

#[test]
fn labels_are_numbers_or_names() {
    for (y, names, classes_of, found) in [
        ("y.npy", "", ["0", "1", "2"], [0, 1, 2]),
        ("y-float.npy", "", ["0", "1", "2"], [0, 1, 2]),
        ("y.npy", "names.txt", ["ant", "bee", "cat"], [0, 1, 2]),
        ("y-names.npy", "", ["ant", "bee", "cat"], [0, 1, 2]),
        ("y-bytes.npy", "", ["ant", "bee", "cat"], [0, 1, 2]),
        ("labels.txt", "names.txt", ["ant", "bee", "cat"], [0, 1, 2]),
    ] {
        let manifest = read(&[files(Split::Whole, ["f32.npy", y, "", ""])], names).unwrap();
        assert_eq!(
            (manifest.classes.as_slice(), &classes(&manifest)[..3]),
            (&classes_of.map(str::to_owned)[..], &found[..])
        );
    }
    let manifest = whole(["f32.npy", "marks.npy", "", ""]);
    assert!(manifest.is_multi_label());
    use Presence::{Absent, Difficult, Present};
    let marks = |sample: usize| match manifest.samples[sample].label() {
        Some(Label::MultiLabel(marks)) => marks.to_vec(),
        _ => Vec::new(),
    };
    assert_eq!([marks(0), marks(1)], [vec![Present, Difficult, Present], vec![Absent, Present, Absent]]);
    // The same names in another order, in the same numbers of classes.
    let dir = tempfile::tempdir().unwrap();
    let order = dir.path().join("order.txt");
    std::fs::write(&order, "cat\nant\nbee\n").unwrap();
    let parts = [files(Split::Whole, ["f32.npy", "labels.txt", "", ""])];
    let manifest = feature_rows(&parts, Some(&order), &Direct).unwrap();
    assert_eq!((manifest.classes[0].as_str(), &classes(&manifest)[..3]), ("cat", &[1, 2, 0][..]));
}

#[test]
fn what_is_no_table_of_features_is_refused_with_the_row() {
    for (x, y, said) in [
        ("bad-nan.npy", "y.npy", "row 6 holds NaN (column 2): features are finite"),
        ("bad-inf-fortran.npy", "y.npy", "row 6 holds inf (column 2): features are finite"),
        ("bad-huge.npy", "y.npy", "row 3 holds 1"),
        ("bad-maps.npy", "y.npy", "shape [9, 5, 1, 1]"),
        ("bad-uneven.parquet", "y.npy", "different lengths"),
        ("f32.npy", "bad-objects.npy", "Python objects"),
        ("f32.npy", "", "the labels of the rows of"),
        ("f32.npy", "bad-uneven.parquet", "f32.npy has 9 rows, and"),
        ("f32.npy", "one-hot.npy", "argmax"),
        ("f32.npy", "f32.npy", "whole number"),
        ("y-names.npy", "y.npy", "shape [9]"),
        ("labels.txt", "y.npy", "it is a text"),
        ("expected.json", "y.npy", "it is a text"),
        ("nowhere.npy", "y.npy", "nowhere.npy"),
    ] {
        let error = format!("{:#}", read(&[files(Split::Whole, [x, y, "", ""])], "").unwrap_err());
        assert!(error.contains(said), "{x} {y}: {error}");
    }
    let train = files(Split::Train, ["f32.npy", "y.npy", "", ""]);
    let named = files(Split::Test, ["f32.npy", "labels.txt", "", ""]);
    let error = read(&[train.clone(), named.clone()], "").unwrap_err().to_string();
    assert!(error.contains("some parts have numbers as labels"), "{error}");
    assert_eq!(classes(&read(&[train.clone(), named], "names.txt").unwrap())[9..12], [0, 1, 2]);
    let wider = FeatureRows {
        keys: ["half".into(), "y".into(), "no".into(), "no".into()],
        ..files(Split::Test, ["all.safetensors", "", "", ""])
    };
    assert!(read(&[train, wider], "").is_ok(), "an array of another name");
}

#[test]
fn an_id_names_one_row() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        Some(path)
    };
    let ids = at("ids.txt", "0\n1\n2\n3\n4\n5\n6\n7\n8\n");
    let part = |part| FeatureRows { ids: ids.clone(), ..files(part, ["f32.npy", "y.npy", "", ""]) };
    // The same rows twice, with the same ids: the same items in two splits.
    let both = read(&[part(Split::Train), part(Split::Test)], "").unwrap();
    assert_eq!(both.samples[3].digest, both.samples[12].digest);
    // Rows 1 and 7 have the same features and other ids: two items.
    assert_ne!(both.samples[1].digest, both.samples[7].digest);
    let other = FeatureRows { ids: ids.clone(), ..files(Split::Test, ["i16.npy", "y.npy", "", ""]) };
    let error = read(&[part(Split::Train), other], "").unwrap_err().to_string();
    assert!(error.contains("the id \"0\" is at") && error.contains("other features"), "{error}");
    let labels = at("y.txt", "1\n0\n2\n0\n1\n2\n0\n1\n2\n");
    let other = FeatureRows { ids: ids.clone(), y: labels, ..files(Split::Test, ["f32.npy", "", "", ""]) };
    let error = read(&[part(Split::Train), other], "").unwrap_err().to_string();
    assert!(error.contains("other labels"), "{error}");
    // Without ids, what is the same row is the same item; with them, the same features in two splits are told.
    let plain = whole(["f32.npy", "y.npy", "", ""]);
    assert_eq!(plain.samples[1].digest, plain.samples[7].digest);
    let leak = whole(["all.npz", "", "", ""]);
    assert!(leak.notes[0].contains("1 rows have the very features of a row of another split"), "{:?}", leak.notes);
}

#[test]
fn a_row_that_changed_is_not_read_as_another() {
    let dir = tempfile::tempdir().unwrap();
    let x = dir.path().join("x.npy");
    std::fs::copy(at("f32.npy"), &x).unwrap();
    let part = FeatureRows { x: x.clone(), ..files(Split::Whole, ["f32.npy", "y.npy", "", ""]) };
    let manifest = feature_rows(&[part], None, &Direct).unwrap();
    std::fs::copy(at("fortran.npy"), &x).unwrap();
    assert!(features_of(&manifest.samples).unwrap_err().to_string().contains("another than when"));
}

#[test]
fn damaged_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["f32.npy", "fortran.npy", "all.npz", "packed.npz", "all.parquet", "all.safetensors"] {
        let bytes = std::fs::read(at(name)).unwrap();
        for cut in (0..bytes.len()).step_by(17) {
            let x = dir.path().join(name);
            std::fs::write(&x, &bytes[..cut]).unwrap();
            let part = FeatureRows { x, ..files(Split::Whole, ["f32.npy", "y.npy", "rows.csv", "rows.csv"]) };
            assert!(feature_rows(&[part], None, &Direct).is_err(), "{cut} bytes of {name}");
        }
    }
    // Two arrays that were appended to one file are not read as the first of them.
    let x = dir.path().join("two.npy");
    std::fs::write(&x, std::fs::read(at("f32.npy")).unwrap().repeat(2)).unwrap();
    let part = FeatureRows { x, ..files(Split::Whole, ["f32.npy", "y.npy", "", ""]) };
    let error = format!("{:#}", feature_rows(&[part], None, &Direct).unwrap_err());
    assert!(error.contains("bytes follow after its numbers"), "{error}");
    let header =
        |text: &str| [b"\x93NUMPY\x01\x00".as_slice(), &(text.len() as u16).to_le_bytes(), text.as_bytes()].concat();
    for shape in [
        "(18446744073709551615, 2)",
        "(4611686018427387904, 4)",
        "(1000000000000, 0)",
        "(0, 4)",
        "(9, 5, 1)",
        "(2,)",
        "()",
    ] {
        let x = dir.path().join("huge.npy");
        std::fs::write(&x, header(&format!("{{'descr': '<f4', 'fortran_order': True, 'shape': {shape}, }}"))).unwrap();
        let part = FeatureRows { x, ..files(Split::Whole, ["f32.npy", "y.npy", "", ""]) };
        assert!(feature_rows(&[part], None, &Direct).is_err(), "{shape}");
    }
}
