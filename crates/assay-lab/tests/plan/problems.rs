//! What is wrong with an experiment: in its words, in its numbers, and between its parts.

use insta::assert_snapshot;

use crate::support::{Place, plan};

#[test]
fn a_file_that_is_no_ron_is_told_where() {
    assert_snapshot!(plan("(models: { \"m\": (backbone: Pixels) }"), @"e.ron:1:36: this is not valid RON [Expected comma]");
    assert_snapshot!(plan("[1, 2]"), @"e.ron:1:1: expected an experiment [expected `( models: { … }, … )`]");
    assert_snapshot!(plan("(models: [], tasks: { 1: () }, protocols: { \"\": Knn() })"), @r#"
    e.ron:1:10: `models` is a map of names, found a list [expected `{ "name": … }`]
    e.ron:1:23: expected a name, found the integer `1` [expected a string]
    e.ron:1:45: this name is empty [needs a name]
    "#);
}

#[test]
fn unknown_words_are_told_with_the_nearest() {
    assert_snapshot!(plan(r#"(
    tasks: { "t": (dataset: Glyfs(alphabets: 1), image: (size: 28, resize: Nne, color: Gray)) },
    models: { "m": (backbone: ResNet8, weight: Random(seed: 1)), "n": (backbone: Conv4(chanels: 1), weights: Random(sed: 1)) },
    protocols: { "p": KNN(k: 1), "q": Knn(kk: 1), "r": Linear(solver: Lasso), "s": FewShot(episodes: Oficial) },
    evalute: (),
)"#), @"
    e.ron:2:29: unknown name `Glyfs` [unknown name]
        help: did you mean `Glyphs`?
    e.ron:2:76: unknown name `Nne` [unknown name]
        help: did you mean `None`?
    e.ron:2:88: unknown name `Gray` [unknown name]
        help: did you mean `Grey`?
    e.ron:3:31: unknown name `ResNet8` [unknown name]
        help: did you mean `ResNet18`?
    e.ron:3:40: unknown field `weight` [unknown field]
        help: did you mean `weights`?
    e.ron:3:88: unknown field `chanels` [unknown field]
        help: did you mean `channels`?
    e.ron:3:110: `seed` is missing [needs `seed`]
        help: add `seed: …`
    e.ron:3:117: unknown field `sed` [unknown field]
        help: did you mean `seed`?
    e.ron:4:23: unknown name `KNN` [unknown name]
        help: did you mean `Knn`?
    e.ron:4:43: unknown field `kk` [unknown field]
        help: did you mean `k`?
    e.ron:4:71: unknown name `Lasso` [unknown name]
        help: valid here: Logistic, Ridge, Lda, NearestCentroid
    e.ron:4:102: expected a number of episodes or `Official`, found `Oficial`
    e.ron:5:5: unknown field `evalute` [unknown field]
        help: did you mean `evaluate`?
    ");
}

#[test]
fn what_is_missing_or_of_another_type_is_told() {
    assert_snapshot!(plan(r#"(
    tasks: { "t": (dataset: Glyphs(alphabets: -1, characters: 2.5, drawers: "many")), "u": 3 },
    models: { "m": (weights: Random()), "n": (backbone: "ResNet18", weights: Random(seed: true)) },
    protocols: { "p": Knn(k: 99999999999), "q": Linear(grid: [1.0]), "r": FewShot },
)"#), @r#"
    e.ron:2:19: `image` is missing [needs `image`]
        help: add `image: …`
    e.ron:2:47: `-1` is out of range [expected an integer from 0 to 4294967295]
    e.ron:2:63: expected an integer from 0 to 4294967295, found the number `2.5` [expected an integer from 0 to 4294967295]
    e.ron:2:77: expected an integer from 0 to 4294967295, found the string "many" [expected an integer from 0 to 4294967295]
    e.ron:2:92: expected fields in parentheses, `(name: value, …)`, found the integer `3` [expected fields in parentheses, `(name: value, …)`]
    e.ron:3:20: `backbone` is missing [needs `backbone`]
        help: add `backbone: …`
    e.ron:3:30: `seed` is missing [needs `seed`]
        help: add `seed: …`
    e.ron:3:57: expected one of Pixels, Given, Conv4, ResNet20, ResNet32, ResNet44, ResNet56, ResNet18, ResNet34, ResNet50, ResNet101, ResNet152, WideResNet50, ResNeXt50, ResNet, ViT, DinoV2, Clip, Transformer, ConvNeXt, ConvNeXtV2, MobileNetV2, MobileNetV3, EfficientNet, RegNet, DenseNet, Vgg, Swin, SwinV2, ClipResNet, found the string "ResNet18" [expected one of Pixels, Given, Conv4, ResNet20, ResNet32, ResNet44, ResNet56, ResNet18, ResNet34, ResNet50, ResNet101, ResNet152, WideResNet50, ResNeXt50, ResNet, ViT, DinoV2, Clip, Transformer, ConvNeXt, ConvNeXtV2, MobileNetV2, MobileNetV3, EfficientNet, RegNet, DenseNet, Vgg, Swin, SwinV2, ClipResNet]
    e.ron:3:91: expected an integer of at least 0, found `true` [expected an integer of at least 0]
    e.ron:4:30: `99999999999` is out of range [expected an integer from 0 to 4294967295]
    e.ron:4:62: expected one of Values, LogSpace, found a list [expected one of Values, LogSpace]
    "#);
}

#[test]
fn names_are_given_once() {
    assert_snapshot!(plan(r#"(
    include: ["base.ron"],
    models: { "pixels": (backbone: Pixels), "a": (backbone: Pixels, backbone: Pixels), "a": (backbone: Pixels) },
)"#), @r#"
    e.ron:3:15: there are two models called "pixels" [again here]
        help: first here: DIR/base.ron:8:9
    e.ron:3:69: `backbone` is given twice [again here; first here]
    e.ron:3:88: there are two models called "a" [again here; first here]
    "#);
}

#[test]
fn numbers_have_bounds() {
    assert_snapshot!(plan(r#"(
    tasks: {
        "glyphs": (dataset: Glyphs(alphabets: 10001, characters: 0, drawers: 2, test_drawers: 2, side: 7), image: (size: 0, resize: None)),
        "many": (dataset: Glyphs(alphabets: 10000, characters: 10000, drawers: 1), image: (size: 28, crop: 29, resize: None, before: [Stretch(0, 9, Bicubic)])),
        "part": (dataset: Glyphs(alphabets: 1, characters: 1, drawers: 1), image: (size: 28, resize: None), subset: (fraction: 1.5, first_per_class: 0, limit_per_class: 0)),
        "dtd": (dataset: Dtd(root: ".", partition: 11), image: (size: 28, resize: None)),
        "folder": (dataset: ImageFolder(root: ".", splits: ["train", "extra"]), image: (size: 28, resize: None)),
        "none": (dataset: Omniglot(sources: []), image: (size: 28, resize: None)),
    },
    models: { "pixels": (backbone: Pixels) },
    protocols: {
        "few": FewShot(ways: 1, shots: 0, queries: 0, episodes: 0),
        "much": FewShot(ways: 10000, shots: 100000, queries: 100000, episodes: 10),
        "knn": Knn(k: 0, temperature: 0.0),
    },
)"#), @"
    e.ron:3:47: `alphabets` must be from 1 to 10000 [must be from 1 to 10000]
    e.ron:3:66: `characters` must be from 1 to 10000 [must be from 1 to 10000]
    e.ron:3:95: `test_drawers` must be less than `drawers` [must be less than `drawers`]
    e.ron:3:104: `side` must be from 8 to 512 [must be from 8 to 512]
    e.ron:3:122: `size` must be from 1 to 4096 [must be from 1 to 4096]
    e.ron:4:27: `dataset` must come to at most 10,000,000 drawings [must come to at most 10,000,000 drawings]
    e.ron:4:108: `crop` must be from 1 to `size` [must be from 1 to `size`]
    e.ron:4:135: `0` must have sides from 1 to 4096 [must have sides from 1 to 4096]
    e.ron:5:128: `fraction` must be greater than 0 and at most 1 [must be greater than 0 and at most 1]
    e.ron:5:150: `first_per_class` must be at least 1 [must be at least 1]
    e.ron:5:170: `limit_per_class` must be at least 1 [must be at least 1]
    e.ron:6:52: `partition` must be from 1 to 10 [must be from 1 to 10]
    e.ron:7:70: `1` must be a folder called train, val or test (or training, validation, testing); a map says of others what they are [must be a folder called train, val or test (or training, validation, testing); a map says of others what they are]
    e.ron:8:45: `sources` must name at least one folder or zip [must name at least one folder or zip]
    e.ron:12:30: `ways` must be from 2 to 10,000 [must be from 2 to 10,000]
    e.ron:12:40: `shots` must be from 1 to 100,000 [must be from 1 to 100,000]
    e.ron:12:52: `queries` must be from 1 to 100,000 [must be from 1 to 100,000]
    e.ron:12:65: `episodes` must be from 1 to 10,000,000 [must be from 1 to 10,000,000]
    e.ron:13:80: `episodes` must come to at most 4,294,967,296 images in all [must come to at most 4,294,967,296 images in all]
    e.ron:14:23: `k` must be at least 1 [must be at least 1]
    e.ron:14:39: `temperature` must be greater than zero [must be greater than zero]
    ");
}

#[test]
fn a_grid_holds_what_its_solver_takes() {
    assert_snapshot!(plan(r#"(
    include: ["base.ron"],
    protocols: {
        "negative": Linear(grid: Values([1.0, -1.0])),
        "empty": Linear(grid: Values([])),
        "long": Linear(grid: LogSpace(low: 0.0, high: 1.0, count: 1001)),
        "huge": Linear(grid: LogSpace(low: 0.0, high: 400.0, count: 2)),
        "shrinkage": Linear(solver: Lda, grid: Values([0.5, 1.5])),
        "centroid": Linear(solver: NearestCentroid, grid: Values([1.0])),
        "ridge": Linear(solver: Ridge, convergence: WarmStartUnconverged),
        "parts": Linear(validation: (fraction: 1.0), test: (fraction: 0.0), resamples: 0),
    },
)"#), @"
    e.ron:4:34: `grid` must hold positive numbers [must hold positive numbers]
    e.ron:5:31: `grid` must hold from 1 to 1,000 values [must hold from 1 to 1,000 values]
    e.ron:6:30: `grid` must hold from 1 to 1,000 values [must hold from 1 to 1,000 values]
    e.ron:7:30: `grid` must hold positive numbers [must hold positive numbers]
    e.ron:8:48: `grid` must hold shrinkages from 0 to 1 [must hold shrinkages from 0 to 1]
    e.ron:9:59: `grid` must be left out: `NearestCentroid` has nothing to choose [must be left out: `NearestCentroid` has nothing to choose]
    e.ron:10:53: `convergence` must be left out: it is for `Logistic` alone [must be left out: it is for `Logistic` alone]
    e.ron:11:48: `fraction` must be greater than 0 and less than 1 [must be greater than 0 and less than 1]
    e.ron:11:71: `fraction` must be greater than 0 and less than 1 [must be greater than 0 and less than 1]
    e.ron:11:88: `resamples` must be from 1 to 100,000 [must be from 1 to 100,000]
    ");
}

#[test]
fn models_are_checked_before_their_weights_are_looked_for() {
    assert_snapshot!(plan(r#"(
    include: ["base.ron"],
    models: {
        "without": (backbone: Pixels, weights: Random(seed: 1)),
        "none": (backbone: ResNet18),
        "layer": (backbone: ResNet18, weights: Random(seed: 0), layer: "layer5"),
        "pool": (backbone: ResNet18, weights: Random(seed: 0), pool: Cls),
        "norm": (backbone: ResNet18, weights: Random(seed: 0), normalization: MeanStd(mean: [0.5], std: [0.0, 1.0])),
        "depths": (backbone: ResNet(depths: (0, 1, 1, 1)), weights: Random(seed: 0)),
        "patch": (backbone: ViT(size: Tiny, patch: 0), weights: Random(seed: 0)),
        "train": (
            backbone: ResNet18,
            weights: Trained(method: SimClr(temperature: 0.0, projection: 0), on: "glyphs", steps: 0, batch: 1, lr: 0.0, weight_decay: -1.0, views: (scale: 1.0)),
        ),
        "on": (backbone: ResNet18, weights: Trained(method: Supervised, on: "glyph", steps: 1)),
    },
)"#), @r#"
    e.ron:4:48: `Pixels` has no weights [leave this out]
    e.ron:5:17: `ResNet18` needs weights [add `weights: File(path: …)`, `Hub(repo: …)` or `Trained(…)`; `Random(seed: 0)` is a network that has learnt nothing]
    e.ron:6:72: ResNet18 has no layer "layer5": there are layer1 to layer4
    e.ron:7:70: ResNet18 has no class token: use `Gap`, `GeM(…)` or `Flat`
    e.ron:8:79: `normalization` must give a mean and a standard deviation for each channel [must give a mean and a standard deviation for each channel]
    e.ron:8:105: `std` must be greater than zero [must be greater than zero]
    e.ron:9:30: `depths` must be from 1 to 200
    e.ron:10:29: `patch` must be from 1 to 64 pixels
    e.ron:13:58: `temperature` must be greater than zero [must be greater than zero]
    e.ron:13:75: `projection` must be from 1 to 8192 [must be from 1 to 8192]
    e.ron:13:100: `steps` must be from 1 to 10,000,000 [must be from 1 to 10,000,000]
    e.ron:13:110: `batch` must be from 2 to 65,536 [must be from 2 to 65,536]
    e.ron:13:117: `lr` must be greater than zero [must be greater than zero]
    e.ron:13:136: `weight_decay` must not be negative [must not be negative]
    e.ron:13:157: `scale` must be from 0 to 0.9 [must be from 0 to 0.9]
    e.ron:15:77: there is no task called "glyph"
        help: did you mean "glyphs"?
    "#);
}

#[test]
fn what_a_network_cannot_take_is_told_for_each_pair() {
    assert_snapshot!(plan(r#"(
    include: ["base.ron"],
    tasks: {
        "grey": (dataset: Glyphs(alphabets: 1, characters: 2, drawers: 4), image: (size: 28, resize: None, color: Grey)),
        "tiny": (dataset: Glyphs(alphabets: 1, characters: 2, drawers: 4), image: (size: 8, resize: Stretch)),
    },
    models: {
        "resnet": (backbone: ResNet18, weights: Random(seed: 0)),
        "conv4": (backbone: Conv4(), weights: Random(seed: 0)),
        "vit": (backbone: ViT(size: Tiny, patch: 16), weights: Random(seed: 0)),
        "norm": (backbone: Pixels, normalization: ImageNet),
    },
    evaluate: (protocols: "few"),
)"#), @r#"
    e.ron:4:83: model "resnet" cannot be used on task "grey": its ResNet18 takes 3 channels, and images have 1: `color: Rgb` gives what it wants
        help: change `image`, or leave the pair out with `exclude`
    e.ron:4:83: model "conv4" cannot be used on task "grey": its Conv4 takes 3 channels, and images have 1: `color: Rgb` gives what it wants
        help: change `image`, or leave the pair out with `exclude`
    e.ron:4:83: model "vit" cannot be used on task "grey": its ViT takes 3 channels, and images have 1: `color: Rgb` gives what it wants
        help: change `image`, or leave the pair out with `exclude`
    e.ron:4:83: model "norm" cannot be used on task "grey": its normalisation is for 3 channels, and images have 1
        help: change `image`, or leave the pair out with `exclude`
    e.ron:5:83: model "resnet" cannot be used on task "tiny": its ResNet18 needs images of at least 32×32 pixels, and these have 8×8
        help: change `image`, or leave the pair out with `exclude`
    e.ron:5:83: model "conv4" cannot be used on task "tiny": its Conv4 needs images of at least 16×16 pixels, and these have 8×8
        help: change `image`, or leave the pair out with `exclude`
    e.ron:5:83: model "vit" cannot be used on task "tiny": its ViT needs images of at least 16×16 pixels, and these have 8×8
        help: change `image`, or leave the pair out with `exclude`
    "#);
}

#[test]
fn a_protocol_asks_for_splits_classes_and_images() {
    assert_snapshot!(plan(r#"(
    include: ["base.ron"],
    evaluate: (tasks: ["glyphs", "whole"], models: "pixels"),
    protocols: {
        "neighbours": Knn(k: 25),
        "ways": FewShot(ways: 5, shots: 1, queries: 1),
        "shots": FewShot(ways: 2, shots: 8, queries: 1),
        "official": FewShot(episodes: Official),
    },
)"#), @r#"
    e.ron:5:30: on task "glyphs": `k` is 25, and there are 24 training images
    e.ron:6:31: on task "glyphs": 5 classes are needed for an episode, and there are 4
    e.ron:6:31: on task "whole": 5 classes are needed for an episode, and there are 4
    e.ron:7:32: on task "glyphs": an episode needs 9 images of a class, and 4 classes have too few: alphabet00/character00 (8), alphabet00/character01 (8), alphabet00/character02 (8), alphabet00/character03 (8)
    e.ron:7:32: on task "whole": an episode needs 9 images of a class, and 4 classes have too few: alphabet00/character00 (8), alphabet00/character01 (8), alphabet00/character02 (8), alphabet00/character03 (8)
    e.ron:8:39: on task "glyphs": this dataset has no official episodes; give `episodes` a number
    e.ron:8:39: on task "whole": this dataset has no official episodes; give `episodes` a number
    DIR/base.ron:4:28: `Knn` needs a train and a test split, and there are 0 and 0 images in them
        help: leave the pair out with `exclude`
    "#);
}

#[test]
fn classes_that_are_too_small_fail_or_are_not_drawn() {
    let file = |rule: &str| {
        let protocol = format!("FewShot(ways: 2, shots: 2, queries: 2, small_classes: {rule})");
        let task = r#"(dataset: ImageFolder(root: "images"), image: (size: 2, resize: None, color: Grey))"#;
        let place = Place::new(&format!(
            "(\n  tasks: {{ \"t\": {task} }},\n  models: {{ \"m\": (backbone: Pixels) }},\n  protocols: {{ \"p\": {protocol} }},\n)"
        ));
        place.images("images/a", 0..4).images("images/b", 4..8).images("images/c", 8..11)
    };
    assert_snapshot!(file("Fail").plan(), @r#"e.ron:4:35: on task "t": an episode needs 4 images of a class, and one class has too few: c (3)"#);
    assert_snapshot!(file("Skip").plan(), @"
    episodes/t/p  episodes
    features/m/t/1  features
    score/m/t/p  few-shot  <- episodes/t/p, features/m/t/1
    ");
}

#[test]
fn a_probe_learns_every_class_that_it_is_asked_for() {
    let place = Place::new(
        r#"(
    tasks: {
        "unseen": (dataset: ImageFolder(root: "images", splits: ["train", "test"]), image: (size: 2, resize: None, color: Grey)),
        "one": (dataset: ImageFolder(root: "one", splits: ["train", "test"]), image: (size: 2, resize: None, color: Grey)),
        "few": (dataset: ImageFolder(root: "few", splits: ["train", "test"]), image: (size: 2, resize: None, color: Grey)),
        "val": (dataset: ImageFolder(root: "few", splits: ["train"]), image: (size: 2, resize: None, color: Grey)),
    },
    models: { "m": (backbone: Pixels) },
    protocols: { "p": Linear() },
)"#,
    );
    let place = place.images("images/train/a", 0..5).images("images/train/b", 5..10);
    let place = place.images("images/test/a", 10..12).images("images/test/c", 12..14);
    let place = place.images("one/train/a", 20..30).images("one/test/a", 30..32);
    let place = place.images("few/train/a", 40..42).images("few/train/b", 42..44).images("few/test/a", 44..46);
    assert_snapshot!(place.plan(), @r#"
    e.ron:3:29: 1 of the classes of the test images have no image to learn from: c
        help: leave the pair out with `exclude`
    e.ron:4:26: all training images are of one class, "a": there is nothing to tell apart
        help: leave the pair out with `exclude`
    e.ron:5:26: no validation images can be taken from 4 training images
        help: leave the pair out with `exclude`
    e.ron:6:26: a train and a test split are needed, and there are 4 and 0 images in them
        help: leave the pair out with `exclude`
    "#);
}

#[test]
fn training_needs_images_that_fit() {
    assert_snapshot!(plan(r#"(
    include: ["base.ron"],
    models: {
        "batch": (backbone: Conv4(), weights: Trained(method: Supervised, on: "rgb", steps: 1, batch: 33)),
        "color": (backbone: Conv4(), weights: Trained(method: Supervised, on: "whole", steps: 1, batch: 8)),
        "size": (backbone: ResNet50, weights: Trained(method: SimClr(), on: "tiny", steps: 1, batch: 8)),
    },
    tasks: { "tiny": (dataset: Glyphs(alphabets: 1, characters: 4, drawers: 8, side: 8), image: (size: 8, resize: None)) },
    evaluate: (tasks: "rgb", protocols: "knn"),
)"#), @r#"
    e.ron:4:103: a batch of 33 cannot be drawn from the 32 images of "rgb"
    e.ron:5:79: model "color" cannot be trained on "whole": its Conv4 takes 3 channels, and images have 1: `color: Rgb` gives what it wants
    e.ron:6:77: model "size" cannot be trained on "tiny": its ResNet50 needs images of at least 32×32 pixels, and these have 8×8
    "#);
}

#[test]
fn all_missing_files_are_told_at_once_and_only_those_that_are_needed() {
    assert_snapshot!(plan(r#"(
    include: ["base.ron"],
    tasks: {
        "folder": (dataset: ImageFolder(root: "~/images"), image: (size: 28, resize: Stretch)),
        "pets": (dataset: Pets(root: "pets"), image: (size: 28, resize: Stretch)),
        "table": (dataset: Csv(path: "t.csv", image: "i", label: "l", root: "files"), image: (size: 28, resize: Stretch)),
        "unused": (dataset: ImageFolder(root: "unused"), image: (size: 28, resize: Stretch)),
    },
    models: {
        "file": (backbone: ResNet18, weights: File(path: "w.pth"), about: (url: "https://example.org/w.pth")),
        "other": (backbone: ResNet18, weights: File(path: "other.pth")),
        "trained": (backbone: ResNet18, weights: Trained(method: Supervised, on: "trained on", steps: 1)),
        "trained elsewhere": (backbone: ResNet18, weights: File(path: "${NOWHERE}/x.pth")),
    },
    evaluate: (tasks: ["folder", "pets", "table"], protocols: "few"),
    exclude: [(model: "other")],
)"#), @r#"
    e.ron:4:47: DIR/home/images does not exist [not found]
        help: paths are relative to the file that they are written in
    e.ron:5:38: DIR/pets does not exist [not found]
        help: to be had at https://www.robots.ox.ac.uk/~vgg/data/pets/ (images.tar.gz, annotations.tar.gz); `assay data check pets --file DIR/e.ron` says how the folder should look
    e.ron:6:38: DIR/t.csv does not exist [not found]
        help: paths are relative to the file that they are written in
    e.ron:6:77: DIR/files does not exist [not found]
        help: paths are relative to the file that they are written in
    e.ron:10:58: DIR/w.pth does not exist [not found]
        help: to be had at https://example.org/w.pth
    e.ron:12:82: there is no task called "trained on"
        help: there are: glyphs, whole, rgb, folder, pets, table, unused
    e.ron:13:71: the environment variable NOWHERE is not set; `${NOWHERE:-default}` gives it a default [in this path]
    "#);
}
