//! Data sets in small: what is found of their files, and what is told of them.

use insta::assert_snapshot;

use crate::support::{Place, reference};

/// An experiment on one data set, with few-shot episodes of two images.
fn on(dataset: &str, rest: &str) -> Place {
    Place::new(&format!(
        "(
    include: [\"base.ron\"],
    tasks: {{ \"t\": (dataset: {dataset}, image: (size: 8, resize: Stretch){rest}) }},
    evaluate: (models: \"pixels\"),
    protocols: {{ \"p\": FewShot(ways: 2, shots: 1, queries: 1, episodes: 3) }},
)"
    ))
}

fn shown(place: &Place) -> String {
    place.plan().replace(reference("").to_str().unwrap(), "REFERENCE/")
}

#[test]
fn a_table_of_images() {
    let csv = reference("csv/labels.csv");
    let columns = r#"image: "file", label: "what is seen", split: "part""#;
    assert_snapshot!(shown(&on(&format!("Csv(path: {csv:?}, {columns})"), "")), @r#"
    episodes/t/p  episodes
    features/pixels/t/1  features
    score/pixels/t/p  few-shot  <- episodes/t/p, features/pixels/t/1
    warning: p on task "t": episodes are drawn from the images of Train, Val, Test together: `subset: (splits: [Test])` leaves those of the test split, and a list of all splits says that this is meant
    "#);
    let columns = r#"image: "files", label: "what is seen""#;
    assert_snapshot!(shown(&on(&format!("Csv(path: {csv:?}, {columns})"), "")), @r#"e.ron:3:29: REFERENCE/csv/labels.csv has no column "files"; it has file, what is seen, part"#);
    let columns = r#"image: "file", label: "what is seen", root: ".""#;
    assert_snapshot!(shown(&on(&format!("Csv(path: {csv:?}, {columns})"), "")), @r#"e.ron:3:29: 14 of the 14 images that REFERENCE/csv/labels.csv names are missing, the first is DIR/pictures/odd, "name" 0.png"#);
    let table = |text: &str| on(r#"Csv(path: "t.csv", image: "i", label: "l", split: "s")"#, "").file("t.csv", text);
    assert_snapshot!(table("i,l,s\n1.pgm,a,tset\n").plan(), @r#"e.ron:3:29: DIR/t.csv: no split is called "tset" (1 rows): say what each is, as in `splits: {"tset": Skip}`, with Train, Val, Test or Skip (left out)"#);
    assert_snapshot!(table("i,l,s\n").plan(), @"e.ron:3:29: DIR/t.csv: it holds no rows");
}

#[test]
fn images_inside_parquet() {
    let folder = reference("parquet");
    assert_snapshot!(shown(&on(&format!("Parquet(path: {folder:?})"), "")), @r#"
    episodes/t/p  episodes
    features/pixels/t/1  features
    score/pixels/t/p  few-shot  <- episodes/t/p, features/pixels/t/1
    warning: p on task "t": episodes are drawn from the images of Train, Test together: `subset: (splits: [Test])` leaves those of the test split, and a list of all splits says that this is meant
    "#);
    assert_snapshot!(shown(&on(&format!("Parquet(path: {folder:?}, label: \"fine_label\")"), "")), @r#"e.ron:3:29: REFERENCE/parquet/data/test-00000-of-00001.parquet: there is no column "fine_label"; it has image.bytes, image.path, label"#);
    let file = reference("bad/null-image.parquet");
    assert_snapshot!(shown(&on(&format!("Parquet(path: {file:?})"), "")), @r#"e.ron:3:29: REFERENCE/bad/null-image.parquet: row 1 of row group 0 has no image in column "image" (null, or a path without bytes): leave such rows out, or put the bytes in, when the file is written"#);
}

#[test]
fn folders_without_images() {
    let folder = r#"ImageFolder(root: "images")"#;
    assert_snapshot!(on(folder, "").file("images/readme.txt", "").plan(), @"e.ron:3:29: DIR/images holds no image: expected DIR/images/<class>/<image>, found 0 folders");
    let place = on(folder, "").images("images/a", 0..2).file("images/b/readme.txt", "");
    assert_snapshot!(place.plan(), @"e.ron:3:29: the class folder DIR/images/b holds no image (jpg, jpeg, png, ppm, pgm, bmp, tif, tiff, webp): remove it, put images there, or say `allow_empty: true`");
    let splits = r#"ImageFolder(root: "images", splits: ["train", "test"])"#;
    assert_snapshot!(on(splits, "").images("images/train/a", 0..2).plan(), @"e.ron:3:29: reading the folder DIR/images/test: No such file or directory (os error 2)");
}

#[test]
fn images_that_are_there_more_than_once_are_told() {
    let splits = r#"ImageFolder(root: "images", splits: ["train", "val", "test"])"#;
    let place = on(splits, "").images("images/train/a", 0..4).images("images/train/b", 3..6);
    let place = place.images("images/val/a", 1..3).images("images/test/b", 2..4).images("images/test/b/again", 2..3);
    assert_snapshot!(place.plan(), @r#"
    episodes/t/p  episodes
    features/pixels/t/1  features
    score/pixels/t/p  few-shot  <- episodes/t/p, features/pixels/t/1
    warning: task "t": 2 images are in both Train and Val
    warning: task "t": 2 images are in both Train and Test
    warning: task "t": 1 images are in both Val and Test
    warning: task "t": 1 samples of Train have the same image as another of that split
    warning: task "t": 1 samples of Test have the same image as another of that split
    warning: task "t": 2 images are there with different classes, such as train/a/00003.pgm (a) and train/b/00003.pgm (b)
    warning: p on task "t": episodes are drawn from the images of Train, Val, Test together: `subset: (splits: [Test])` leaves those of the test split, and a list of all splits says that this is meant
    "#);
}

#[test]
fn bad_images_fail_when_they_are_read_or_are_left_out_and_told() {
    let folder = r#"ImageFolder(root: "images")"#;
    let with = |rest| {
        let place = on(folder, rest).images("images/a", 0..3).images("images/b", 3..6);
        place.file("images/a/bad.png", "no image").file("images/b/empty.jpg", "")
    };
    assert_snapshot!(with("").plan(), @"
    episodes/t/p  episodes
    features/pixels/t/1  features
    score/pixels/t/p  few-shot  <- episodes/t/p, features/pixels/t/1
    ");
    assert_snapshot!(with(", on_bad_image: Skip").plan(), @r#"
    episodes/t/p  episodes
    features/pixels/t/1  features
    score/pixels/t/p  few-shot  <- episodes/t/p, features/pixels/t/1
    warning: task "t": 2 images cannot be decoded and are left out: a/bad.png, b/empty.jpg
    "#);
    // What is left of a class counts.
    let place = on(folder, ", on_bad_image: Skip").images("images/a", 0..2).images("images/b", 3..4);
    assert_snapshot!(place.file("images/b/bad.png", "no image").plan(), @r#"e.ron:5:37: on task "t": an episode needs 2 images of a class, and one class has too few: b (1)"#);
}

#[test]
fn official_data_sets_count_their_images() {
    let root = reference("pets");
    let multiple = |strict: &str| on(&format!("Pets(root: {root:?}{strict})"), "");
    assert_snapshot!(shown(&multiple("")), @r#"
    episodes/t/p  episodes
    features/pixels/t/1  features
    score/pixels/t/p  few-shot  <- episodes/t/p, features/pixels/t/1
    warning: task "t": 2 classes were found, and 37 are published
    warning: task "t": split Train has 10 images, 3670 fewer than the 3680 published
    warning: task "t": split Test has 4 images, 3665 fewer than the 3669 published
    warning: p on task "t": episodes are drawn from the images of Train, Test together: `subset: (splits: [Test])` leaves those of the test split, and a list of all splits says that this is meant
    "#);
    assert_snapshot!(shown(&multiple(", strict: true")), @"e.ron:3:29: REFERENCE/pets holds other images than published: 2 classes were found, and 37 are published; split Train has 10 images, 3670 fewer than the 3680 published; split Test has 4 images, 3665 fewer than the 3669 published");
    assert_snapshot!(on("Pets(root: \".\")", "").plan(), @"e.ron:3:29: annotations/trainval.txt is missing in DIR");
}

#[test]
fn images_of_several_classes_are_for_probes_alone() {
    let root = reference("voc2007");
    let place = |task: &str, protocols: &str| {
        Place::new(&format!(
            "(
    include: [\"base.ron\"],
    tasks: {{ \"voc\": (dataset: Voc2007(root: {root:?}), image: (size: 8, resize: Stretch){task}) }},
    evaluate: (models: \"pixels\"),
    protocols: {{ {protocols} }},
)"
        ))
    };
    assert_snapshot!(shown(&place("", r#""f": FewShot(), "k": Knn(), "c": Classifier()"#)), @r#"
    e.ron:3:31: "f" is for images of one class each, and these show several
        help: leave the pair out with `exclude`
    e.ron:3:31: "k" is for images of one class each, and these show several
        help: leave the pair out with `exclude`
    e.ron:3:31: "c" is for images of one class each, and these show several
        help: leave the pair out with `exclude`
    "#);
    assert_snapshot!(shown(&place("", r#""lda": Linear(solver: Lda), "nc": Linear(solver: NearestCentroid)"#)), @r#"
    e.ron:5:40: on task "voc": `Lda` is for images of one class each, and these show several
    e.ron:5:67: on task "voc": `NearestCentroid` is for images of one class each, and these show several
    "#);
    assert_snapshot!(shown(&place("\n, metric: Top1", r#""l": Linear()"#)), @r#"
    e.ron:4:11: `Top1` does not fit: the images of task "voc" show several classes
        help: use `MeanAp11`, `MeanAp11Kit` or `MeanAp`, or leave it out
    "#);
    assert_snapshot!(shown(&place("", r#""l": Linear()"#)), @r#"
    features/pixels/voc/1  features
    features/pixels/voc/2  features
    grid/pixels/voc/l  grid  <- features/pixels/voc/1, features/pixels/voc/2
    choose/pixels/voc/l  choose  <- grid/pixels/voc/l
    fit/pixels/voc/l  fit  <- choose/pixels/voc/l, features/pixels/voc/1, features/pixels/voc/2
    score/pixels/voc/l  linear  <- choose/pixels/voc/l, fit/pixels/voc/l, features/pixels/voc/2
    warning: task "voc": 3 classes were found, and 20 are published
    warning: task "voc": split Train has 6 images, 2495 fewer than the 2501 published
    warning: task "voc": split Val has 6 images, 2504 fewer than the 2510 published
    warning: task "voc": split Test has 6 images, 4946 fewer than the 4952 published
    "#);
}

#[test]
fn a_metric_for_several_classes_does_not_fit_one() {
    let place = Place::new(
        r#"(
    include: ["base.ron"],
    tasks: { "t": (dataset: Glyphs(alphabets: 1, characters: 4, drawers: 8, test_drawers: 2), image: (size: 8, resize: Stretch), metric: MeanAp) },
    evaluate: (models: "pixels", protocols: ["linear", "knn"]),
)"#,
    );
    assert_snapshot!(place.plan(), @r#"
    e.ron:3:138: `MeanAp` does not fit: the images of task "t" show one class each
        help: use `Top1` or `MeanPerClass`, or leave it out
    "#);
}

#[test]
fn a_subset_may_leave_nothing() {
    let subset = |subset| on("Glyphs(alphabets: 1, characters: 3, drawers: 4, test_drawers: 2)", subset).plan();
    assert_snapshot!(subset(", subset: (splits: [Val])"), @"e.ron:3:29: no image is left of this dataset");
    assert_snapshot!(subset(", subset: (splits: [Test], first_per_class: 1)"), @r#"e.ron:5:37: on task "t": an episode needs 2 images of a class, and 3 classes have too few: alphabet00/character00 (1), alphabet00/character01 (1), alphabet00/character02 (1)"#);
}
