//! Classes and splits that protocols rest on: what is asked, what is told, and what stays with the results.

use std::ops::Range;

use assay_nn::Backbone;

use crate::support::{Place, file_of, reference, tensors, zeros};

/// An experiment on folders of images, with a checkpoint that has a classifier of twelve classes.
fn on(dataset: &str, task: &str, protocols: &str, folders: &[(&str, Range<u16>)]) -> Place {
    let ron = format!(
        "(
    tasks: {{ \"t\": (dataset: {dataset}, image: (size: 32, resize: Stretch){task}) }},
    models: {{ \"m\": (backbone: ResNet(block: Basic, depths: [1, 1, 1, 1], width: 4), weights: File(path: \"m.safetensors\")) }},
    protocols: {{ {protocols} }},
)"
    );
    let net = r#"{ "ResNet": { "block": "Basic", "depths": [1, 1, 1, 1], "width": 4 } }"#;
    let backbone: Backbone = serde_json::from_str(net).unwrap();
    let mut weights = tensors(&backbone);
    weights.insert("fc.weight".to_owned(), zeros(&[12, 32]));
    weights.insert("fc.bias".to_owned(), zeros(&[12]));
    let place = Place::new(&ron).file("m.safetensors", file_of(&weights));
    folders.iter().fold(place, |place, (folder, numbers)| place.images(folder, numbers.clone()))
}

fn check(place: &Place, told: &[&str]) {
    let text = place.plan();
    for told in told {
        assert!(text.contains(told), "{told:?} is not in:\n{text}");
    }
}

#[test]
fn a_classifier_asks_for_the_order_of_numbers_and_shows_it() {
    let folders: Vec<(String, Range<u16>)> = (0..12).map(|c| (format!("n/{c}"), c..c + 1)).collect();
    let folders: Vec<(&str, Range<u16>)> = folders.iter().map(|(name, r)| (name.as_str(), r.clone())).collect();
    let with = |task: &str, folders: &[(&str, Range<u16>)]| {
        on(r#"ImageFolder(root: "n")"#, task, r#""c": Classifier(split: Whole)"#, folders)
    };
    check(
        &with("", &folders),
        &[
            "two usual orders: 0, 1, 2, 3, 4, 5, … by value, and 0, 1, 10, 11, 2, 3, … as text",
            "help: say `classes: Numeric`",
        ],
    );
    check(
        &with(", classes: Numeric", &folders),
        &["score/m/t/c", "note: c on task \"t\": outputs are classes: 0 = 0, 1 = 1, 2 = 2,", "… 11 = 11"],
    );
    check(
        &with(", classes: Text", &folders),
        &["score/m/t/c", "2 = 10, 3 = 11, 4 = 2", "output c is not class number c"],
    );
    let names = r#"["11", "10", "9", "8", "7", "6", "5", "4", "3", "2", "1", "0"]"#;
    check(&with(&format!(", classes: {names}"), &folders), &["0 = 11, 1 = 10"]);
    let place = with(", classes: File(\"names.txt\")", &folders);
    check(
        &place.file("names.txt", "3\n2\n1\n0\n4\n5\n6\n7\n8\n9\n10\n"),
        &["`classes` does not list 1 of the classes that have images: 11"],
    );
    check(
        &with(", classes: Nmueric", &folders),
        &["expected a list of names, `File(\"…\")`, `Numeric` or `Text`, found `Nmueric`"],
    );
    // Where both orders are the same, there is nothing to ask.
    check(&with("", &folders[..10]), &["score/m/t/c", "outputs are classes: 0 = 0"]);
    let named: Vec<(&str, Range<u16>)> = vec![("n/b", 0..1), ("n/a", 1..2)];
    check(&with("", &named), &["outputs are classes: 0 = a, 1 = b"]);
}

#[test]
fn few_shot_tells_which_splits_it_takes_together_and_asks_where_they_have_no_class_in_common() {
    let few = r#""f": FewShot(ways: 2, shots: 1, queries: 1, episodes: 3)"#;
    let dataset = r#"ImageFolder(root: "d", splits: ["train", "test"])"#;
    let same = [("d/train/a", 0..2), ("d/train/b", 2..4), ("d/test/a", 4..6), ("d/test/b", 6..8)];
    let apart = [("d/train/a", 0..2), ("d/train/b", 2..4), ("d/test/c", 4..6), ("d/test/e", 6..8)];
    check(
        &on(dataset, "", few, &same),
        &["score/m/t/f", "warning: f on task \"t\": episodes are drawn from the images of Train, Test together"],
    );
    check(
        &on(dataset, "", few, &apart),
        &["the splits Train, Test of task \"t\" have no class in common", "help: `subset: (splits: [Test])`"],
    );
    for (splits, told) in [
        ("Test", "score/m/t/f"),
        ("Train, Test", "note: f on task \"t\": episodes are drawn from the images of Train, Test"),
    ] {
        let place = on(dataset, &format!(", subset: (splits: [{splits}])"), few, &apart);
        check(&place, &[told]);
        assert!(!place.plan().contains("warning"), "{}", place.plan());
    }
}

#[test]
fn a_class_without_an_image_to_learn_from_is_refused_by_every_protocol_that_learns() {
    let dataset = r#"ImageFolder(root: "d", splits: ["train", "test"])"#;
    let folders = [("d/train/a", 0..9), ("d/train/b", 9..19), ("d/test/a", 20..22), ("d/test/c", 22..24)];
    for protocol in ["Knn(k: 1)", "Linear()"] {
        check(
            &on(dataset, "", &format!("\"p\": {protocol}"), &folders),
            &["1 of the classes of the test images have no image to learn from: c"],
        );
    }
}

#[test]
fn classes_that_a_mean_leaves_out_are_told_and_stay_with_the_result() {
    let dataset = r#"ImageFolder(root: "d", splits: ["train", "val", "test"])"#;
    let folders = [
        ("d/train/a", 0..4),
        ("d/train/b", 4..8),
        ("d/train/c", 8..12),
        ("d/val/a", 12..14),
        ("d/val/b", 14..16),
        ("d/val/c", 16..18),
        ("d/test/a", 18..20),
        ("d/test/b", 20..22),
    ];
    let told = "1 of the 3 classes are shown by no test image (c): their accuracy is undefined, and the mean is taken over the other 2";
    let place = on(dataset, ", metric: MeanPerClass", "\"p\": Linear()", &folders);
    check(&place, &[told]);
    let planned = place.planned(&[], false).unwrap();
    assert!(planned.cells[0].warnings.iter().any(|warning| warning.contains(told)), "{:?}", planned.cells[0].warnings);
    assert!(
        !on(dataset, "", "\"p\": Linear()", &folders).plan().contains("warning"),
        "top-1 accuracy is a mean over images"
    );
}

#[test]
fn labels_that_are_a_mistake_are_refused_unless_they_are_listed() {
    let few = r#""f": FewShot(ways: 2, shots: 1, queries: 1, episodes: 3)"#;
    let with = |task: &str, one: &str, other: &str| {
        let (one, other) = (format!("d/{one}"), format!("d/{other}"));
        on(r#"ImageFolder(root: "d")"#, task, few, &[(&one, 0..2), (&other, 2..4)])
    };
    check(
        &with("", "train", "test"),
        &["the classes \"test\", \"train\" are called like splits", "or list the classes with `classes: […]`"],
    );
    check(
        &with(", classes: [\"train\", \"test\"]", "train", "test"),
        &["score/m/t/f", "warning: task \"t\": the classes \"test\", \"train\" are called like splits"],
    );
    check(&with("", "1", "01"), &["the classes \"01\", \"1\" are one number"]);
    let place = with("", "cat", "Cat");
    check(
        &place,
        &["score/m/t/f", "warning: task \"t\": the classes \"Cat\", \"cat\" differ in nothing but letter case"],
    );
    let cells = place.planned(&[], false).unwrap().cells;
    assert_eq!(cells[0].warnings.len(), 1, "the warning stays with the result: {:?}", cells[0].warnings);
}

#[test]
fn an_image_of_two_classes_and_weights_that_saw_the_test_images_are_told() {
    let few = r#""f": FewShot(ways: 2, shots: 1, queries: 1, episodes: 3)"#;
    let dataset = r#"ImageFolder(root: "d")"#;
    let place = on(dataset, "", few, &[("d/a", 0..3), ("d/b", 2..5)]);
    check(
        &place,
        &[
            "1 samples have the same image as another",
            "1 images are there with different classes, such as a/00002.pgm (a) and b/00002.pgm (b)",
        ],
    );
    let trained = |on: &str| {
        Place::new(&format!(
            r#"(
    include: ["base.ron"],
    models: {{ "m": (backbone: Conv4(channels: 1, width: 4), weights: Trained(on: "{on}", method: Supervised, steps: 1, batch: 2)) }},
    evaluate: (tasks: "glyphs", protocols: "knn"),
)"#
        ))
    };
    for (on, told) in [
        ("glyphs", "model \"m\": it is trained on all images of \"glyphs\", the 8 of its Test split too"),
        (
            "whole",
            "model \"m\": it was trained on 8 of the 8 test images of task \"glyphs\", which are in \"whole\" too",
        ),
    ] {
        let place = trained(on);
        check(&place, &[told]);
        let cells = place.planned(&[], false).unwrap().cells;
        assert!(cells[0].warnings.iter().any(|warning| warning.contains(told)), "{:?}", cells[0].warnings);
    }
}

#[test]
fn a_list_of_images_is_a_subset() {
    let dataset = r#"ImageFolder(root: "d", splits: ["train", "test"])"#;
    let folders = [("d/train/a", 0..3), ("d/train/b", 3..6), ("d/test/a", 6..8)];
    let place = on(dataset, ", subset: (list: \"1percent.txt\")", "\"k\": Knn(k: 2)", &folders);
    let warning = "warning: task \"t\": the list leaves 1 of 2 classes without an image in Train: b";
    check(&place.file("1percent.txt", "train/a/00000.pgm\n00002.pgm\n"), &["score/m/t/k", warning]);
    let place = on(dataset, ", subset: (list: \"1percent.txt\")", "\"k\": Knn(k: 2)", &folders);
    check(
        &place.file("1percent.txt", "9.pgm\n"),
        &["DIR/1percent.txt: 1 of the 1 images of the list are none of the 8 of the dataset: 9.pgm"],
    );
}

#[cfg(unix)]
#[test]
fn a_dataset_of_the_hub_is_found_in_the_cache_and_pinned() {
    let with = |dataset: &str| {
        let place = on(
            dataset,
            ", subset: (splits: [Train, Val])",
            "\"f\": FewShot(ways: 2, shots: 1, queries: 1, small_classes: Skip)",
            &[],
        );
        place.link("home/.cache/huggingface/hub", &reference("../tables/files/hub"))
    };
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let note = format!("note: task \"t\": org/animals at commit {commit}");
    check(&with(r#"Hub(repo: "org/animals")"#), &["score/m/t/f", &note]);
    check(&with(&format!("Hub(repo: \"org/animals\", revision: \"{commit}\")")), &[&note]);
    check(
        &with(r#"Hub(repo: "org/animals", revision: "v2")"#),
        &["revision \"v2\" of the dataset org/animals is not in DIR/home/.cache/huggingface/hub"],
    );
    check(&with(r#"Hub(repo: "org/plants")"#), &["`hf download org/plants --repo-type dataset`"]);
}
