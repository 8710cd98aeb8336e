//! What is evaluated with the files that are there, and why the rest is left out.

use insta::assert_snapshot;

use crate::support::Place;

#[test]
fn cells_with_missing_files_are_left_out_with_the_file() {
    let place = Place::new(
        r#"(
    include: ["base.ron"],
    tasks: {
        "pets": (dataset: Pets(root: "pets"), image: (size: 28, resize: Stretch)),
        "glyphs2": (dataset: Glyphs(alphabets: 1, characters: 2, drawers: 4), image: (size: 28, resize: Stretch)),
    },
    models: {
        "pixels2": (backbone: Pixels),
        "file": (backbone: ResNet18, weights: File(path: "w.pth"), about: (url: "https://example.org/w.pth")),
    },
    evaluate: (protocols: "few"),
)"#,
    );
    assert_snapshot!(place.available(), @r#"
    episodes/glyphs2/few  episodes
    features/pixels2/glyphs2/1  features
    score/pixels2/glyphs2/few  few-shot  <- episodes/glyphs2/few, features/pixels2/glyphs2/1
    left out: pixels2 / pets / few, not available: DIR/pets does not exist (to be had at https://www.robots.ox.ac.uk/~vgg/data/pets/ (images.tar.gz, annotations.tar.gz); `assay data check pets --file DIR/e.ron` says how the folder should look)
    left out: file / pets / few, not available: DIR/pets does not exist (to be had at https://www.robots.ox.ac.uk/~vgg/data/pets/ (images.tar.gz, annotations.tar.gz); `assay data check pets --file DIR/e.ron` says how the folder should look)
    left out: file / glyphs2 / few, impossible: model "file" cannot be used on task "glyphs2": its ResNet18 needs images of at least 32×32 pixels, and these have 28×28
    "#);
}

#[test]
fn weights_that_would_be_trained_on_missing_images_are_missing() {
    let place = Place::new(
        r#"(
    include: ["base.ron"],
    tasks: { "images": (dataset: ImageFolder(root: "images"), image: (size: 28, resize: Stretch, color: Grey)) },
    models: { "trained": (backbone: Conv4(channels: 1, width: 4), weights: Trained(method: SimClr(), on: "images", steps: 1, batch: 2)) },
    evaluate: (tasks: "glyphs", protocols: "knn"),
)"#,
    );
    assert_snapshot!(place.available(), @"left out: trained / glyphs / knn, not available: DIR/images does not exist (paths are relative to the file that they are written in)");
}

#[test]
fn a_folder_that_is_not_complete_is_not_available() {
    let place = Place::new(
        r#"(
    include: ["base.ron"],
    tasks: { "folder": (dataset: ImageFolder(root: "images"), image: (size: 2, resize: None, color: Grey)) },
    evaluate: (models: "pixels", protocols: ["few", "knn"]),
)"#,
    );
    assert_snapshot!(place.file("images/a/notes.txt", "").available(), @"
    left out: pixels / folder / knn, not available: the class folder DIR/images/a holds no image (jpg, jpeg, png, ppm, pgm, bmp, tif, tiff, webp): remove it, put images there, or say `allow_empty: true`
    left out: pixels / folder / few, not available: the class folder DIR/images/a holds no image (jpg, jpeg, png, ppm, pgm, bmp, tif, tiff, webp): remove it, put images there, or say `allow_empty: true`
    ");
}

#[test]
fn pairs_that_do_not_fit_are_impossible() {
    let place = Place::new(
        r#"(
    include: ["base.ron"],
    protocols: { "own": Classifier(), "many": FewShot(ways: 50) },
    evaluate: (tasks: ["glyphs", "whole", "rgb"], models: "conv", protocols: ["knn", "own", "many"]),
)"#,
    );
    assert_snapshot!(place.available(), @r#"
    features/conv/glyphs/1  features
    score/conv/glyphs/knn  knn  <- features/conv/glyphs/1
    left out: conv / glyphs / own, impossible: protocol "own" needs weights from a file with a classifier, and model "conv" has none
    left out: conv / glyphs / many, impossible: on task "glyphs": an episode needs 20 images of a class, and 4 classes have too few: alphabet00/character00 (8), alphabet00/character01 (8), alphabet00/character02 (8), alphabet00/character03 (8)
    left out: conv / whole / knn, impossible: `Knn` needs a train and a test split, and there are 0 and 0 images in them
    left out: conv / whole / own, impossible: on task "whole": the task has no images in its split `Test`
    left out: conv / whole / many, impossible: on task "whole": an episode needs 20 images of a class, and 4 classes have too few: alphabet00/character00 (8), alphabet00/character01 (8), alphabet00/character02 (8), alphabet00/character03 (8)
    left out: conv / rgb / knn, impossible: model "conv" cannot be used on task "rgb": its Conv4 takes 1 channels, and images have 3: `color: Grey` gives what it wants
    left out: conv / rgb / own, impossible: protocol "own" needs weights from a file with a classifier, and model "conv" has none
    left out: conv / rgb / many, impossible: on task "rgb": an episode needs 20 images of a class, and 4 classes have too few: alphabet00/character00 (8), alphabet00/character01 (8), alphabet00/character02 (8), alphabet00/character03 (8)
    "#);
}

#[test]
fn what_is_written_wrong_stays_a_problem() {
    let place = Place::new(
        r#"(
    include: ["base.ron"],
    models: {
        "web": (backbone: ResNet18, weights: File(path: "page.pth")),
        "missing": (backbone: ResNet18, weights: File(path: "missing.pth")),
    },
    evaluate: (tasks: "rgb", protocols: "knn"),
)"#,
    )
    .file("page.pth", "<!DOCTYPE html><html></html>");
    assert_snapshot!(place.available(), @"e.ron:4:57: DIR/page.pth: it is a web page (a download link often gives one instead of the file), not a weights file of torch, safetensors, numpy or TensorFlow");
}

#[test]
fn what_only_impossible_cells_need_is_not_planned() {
    let trained = "Trained(method: SimClr(), on: \"glyphs\", steps: 1, batch: 2)";
    let place = Place::new(&format!(
        r#"(
    include: ["base.ron"],
    protocols: {{ "own": Classifier() }},
    models: {{ "trained": (backbone: Conv4(channels: 1, width: 4), weights: {trained}) }},
    evaluate: (tasks: ["rgb", "glyphs"], models: "trained", protocols: ["few", "own"]),
)"#
    ));
    // Episodes are drawn before features are asked for, and weights are trained before a classifier is looked for in them.
    assert_snapshot!(place.text(&["evaluate.tasks=\"rgb\""], true), @r#"
    left out: trained / rgb / few, impossible: model "trained" cannot be used on task "rgb": its Conv4 takes 1 channels, and images have 3: `color: Grey` gives what it wants
    left out: trained / rgb / own, impossible: protocol "own" needs weights from a file with a classifier, and model "trained" has none
    warning: model "trained": it is trained on all images of "glyphs", the 8 of its Test split too: `subset: (splits: [Train])` leaves them out
    warning: model "trained": it was trained on 8 of the 8 test images of task "rgb", which are in "glyphs" too
    "#);
    assert_snapshot!(
        place.text(&["evaluate.protocols=\"own\"", "evaluate.tasks=\"glyphs\""], true),
        @r#"
    left out: trained / glyphs / own, impossible: protocol "own" needs weights from a file with a classifier, and model "trained" has none
    warning: model "trained": it is trained on all images of "glyphs", the 8 of its Test split too: `subset: (splits: [Train])` leaves them out
    "#);
}
