//! Features that somebody else has computed: several models on several tasks, and what does not go together.

use std::collections::BTreeSet;

use insta::assert_snapshot;

use crate::support::Place;

/// Rows of two features, in numpy's format.
fn npy(rows: &[[f32; 2]]) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, 2), }}\n", rows.len());
    let mut bytes = [b"\x93NUMPY\x01\x00".as_slice(), &(header.len() as u16).to_le_bytes(), header.as_bytes()].concat();
    bytes.extend(rows.iter().flatten().flat_map(|v| v.to_le_bytes()));
    bytes
}

/// Eight rows of two classes, other ones for another `seed`.
fn rows(seed: f32) -> Vec<u8> {
    npy(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0].map(|i| [seed + i, seed * i]))
}

const LABELS: &str = "cat\ndog\ncat\ndog\ncat\ndog\ncat\ndog\n";
const IDS: &str = "0.png\n1.png\n2.png\n3.png\n4.png\n5.png\n6.png\n7.png\n";
const SPLITS: &str = "train\ntrain\ntrain\ntrain\ntrain\ntrain\ntest\ntest\n";

/// Features of two models on a task, and what stands in the experiment besides.
fn place(features: &str, rest: &str) -> Place {
    let ron = format!(
        r#"(
    include: ["base.ron"],
    tasks: {{ "t": (dataset: Features({features})) }},
    models: {{ "a": (backbone: Given), "b": (backbone: Given) }},
    {rest}
)"#
    );
    let place = Place::new(&ron).file("y.txt", LABELS).file("ids.txt", IDS).file("split.txt", SPLITS);
    place.file("a/t.npy", rows(1.0)).file("b/t.npy", rows(2.0))
}

const BY_ID: &str = r#"all: (x: "{model}/t.npy", y: "y.txt", ids: "ids.txt", split: "split.txt")"#;

#[test]
fn models_have_files_of_their_own_and_share_what_has_ids() {
    let text = place(BY_ID, r#"evaluate: (protocols: ["knn", "few"]),"#).plan();
    assert_snapshot!(text, @r#"
    features/a/t/1  given
    score/a/t/knn  knn  <- features/a/t/1
    episodes/a/t/few  episodes
    score/a/t/few  few-shot  <- episodes/a/t/few, features/a/t/1
    features/b/t/1  given
    score/b/t/knn  knn  <- features/b/t/1
    score/b/t/few  few-shot  <- episodes/a/t/few, features/b/t/1
    warning: few on task "t": episodes are drawn from the images of Train, Test together: `subset: (splits: [Test])` leaves those of the test split, and a list of all splits says that this is meant
    "#);
    // Without ids, the rows of a model are items of its own.
    let own = BY_ID.replace(r#" ids: "ids.txt","#, "");
    assert_snapshot!(place(&own, r#"evaluate: (protocols: "few"),"#).plan(), @r#"
    episodes/a/t/few  episodes
    features/a/t/1  given
    score/a/t/few  few-shot  <- episodes/a/t/few, features/a/t/1
    episodes/b/t/few  episodes
    features/b/t/1  given
    score/b/t/few  few-shot  <- episodes/b/t/few, features/b/t/1
    warning: few on task "t": episodes are drawn from the images of Train, Test together: `subset: (splits: [Test])` leaves those of the test split, and a list of all splits says that this is meant
    "#);
}

#[test]
fn keys_are_those_of_the_numbers() {
    let keys = |place: Place| -> BTreeSet<(String, String)> {
        let planned = place.planned(&[], false).ok().unwrap();
        planned.plan.nodes().map(|node| (node.label.clone(), node.key.to_string())).collect()
    };
    let rest = r#"evaluate: (models: "a", protocols: "knn"),"#;
    let before = keys(place(BY_ID, rest));
    let parts = r#"all: (x: "{model}/u.npy", y: "d/y.txt", ids: "ids.txt", split: "split.txt")"#;
    assert_eq!(keys(place(parts, rest).file("a/u.npy", rows(1.0)).file("d/y.txt", LABELS)), before, "other names");
    let changed = |file: &str, text: &[u8]| {
        let after = keys(place(BY_ID, rest).file(file, text));
        after.difference(&before).map(|(label, _)| label.clone()).collect::<Vec<_>>()
    };
    assert_eq!(changed("a/t.npy", &rows(3.0)), ["features/a/t/1", "score/a/t/knn"]);
    assert_eq!(changed("b/t.npy", &rows(3.0)), [""; 0]);
    assert_eq!(changed("split.txt", SPLITS.replacen("train", "test", 1).as_bytes()), ["score/a/t/knn"]);
    let other = LABELS.replacen("cat", "dog", 1);
    assert_eq!(changed("y.txt", other.as_bytes()), ["features/a/t/1", "score/a/t/knn"], "an id with another label");
}

#[test]
fn a_network_takes_images_and_given_features_stand_alone() {
    let all = "evaluate: (models: [\"a\", \"pixels\"], tasks: [\"t\", \"glyphs\"], protocols: \"knn\"),";
    assert_snapshot!(place(BY_ID, all).plan(), @r#"
    e.ron:3:29: task "t" has features, no images, and model "pixels" is not `Given`
        help: leave the pair out with `exclude`
    e.ron:4:31: model "a" is `Given`, and task "glyphs" has images, no features
        help: leave the pair out with `exclude`
    "#);
}

#[test]
fn what_does_not_go_together_is_told_before_anything_is_read() {
    for (features, rest, said) in [
        ("", "", "`Features` needs files"),
        (r#"train: (x: "a/t.npy"), all: (x: "a/t.npy")"#, "", "`all` must stand alone"),
        (r#"train: (x: "a/t.npy", split: "split.txt")"#, "", "`split` must be left out"),
        (r#"train: (x: "{model}/t.npy"), test: (x: "a/t.npy")"#, "", "in every `x`, or in none"),
        (r#"all: (x: "a/t.npy", y: "y.txt")"#, r#"evaluate: (protocols: "few"),"#, "would have the same features"),
        (r#"all: (x: "{model}/u.npy")"#, r#"evaluate: (protocols: "few"),"#, "DIR/a/u.npy does not exist"),
        (
            r#"all: (x: "{model}/t.npy")"#,
            r#"evaluate: (protocols: "few"),"#,
            "the labels of the rows of DIR/a/t.npy are missing: give `y`",
        ),
    ] {
        let text = place(features, rest).plan();
        assert!(text.contains(said), "{features}: {text}");
    }
    for (task, said) in [
        (r#"dataset: Features(all: (x: "a/t.npy")), image: (size: 8, resize: Stretch)"#, "no images to prepare"),
        (r#"dataset: Features(all: (x: "a/t.npy")), on_bad_image: Skip"#, "no images to decode"),
        ("dataset: Glyphs(alphabets: 1, characters: 3, drawers: 4)", "`image` is missing"),
    ] {
        let text = Place::new(&format!(r#"(include: ["base.ron"], tasks: {{ "t": ({task}) }}, models: {{ "a": (backbone: Given) }}, evaluate: (protocols: "few"))"#)).file("a/t.npy", rows(1.0)).plan();
        assert!(text.contains(said), "{task}: {text}");
    }
}

#[test]
fn files_that_are_not_there_leave_out_one_model() {
    let only_a = BY_ID.replace("{model}/t.npy", "{model}/u.npy");
    let place = place(&only_a, r#"evaluate: (protocols: "few"),"#).file("a/u.npy", rows(1.0));
    assert_snapshot!(place.available(), @r#"
    episodes/a/t/few  episodes
    features/a/t/1  given
    score/a/t/few  few-shot  <- episodes/a/t/few, features/a/t/1
    left out: b / t / few, not available: DIR/b/u.npy does not exist (paths are relative to the file that they are written in)
    warning: few on task "t": episodes are drawn from the images of Train, Test together: `subset: (splits: [Test])` leaves those of the test split, and a list of all splits says that this is meant
    "#);
}
