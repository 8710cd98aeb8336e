//! What each protocol plans, and what is planned once for several.

use insta::assert_snapshot;

use crate::support::{Place, plan};

#[test]
fn nearest_neighbours_need_features_alone() {
    assert_snapshot!(plan(r#"(include: ["base.ron"], evaluate: (tasks: "glyphs", models: "conv", protocols: "knn"))"#), @"
    features/conv/glyphs/1  features
    score/conv/glyphs/knn  knn  <- features/conv/glyphs/1
    ");
}

#[test]
fn episodes_are_drawn_once_for_all_models() {
    assert_snapshot!(plan(r#"(include: ["base.ron"], evaluate: (tasks: "glyphs", protocols: "few"))"#), @r#"
    episodes/glyphs/few  episodes
    features/pixels/glyphs/1  features
    score/pixels/glyphs/few  few-shot  <- episodes/glyphs/few, features/pixels/glyphs/1
    features/conv/glyphs/1  features
    score/conv/glyphs/few  few-shot  <- episodes/glyphs/few, features/conv/glyphs/1
    warning: few on task "glyphs": episodes are drawn from the images of Train, Test together: `subset: (splits: [Test])` leaves those of the test split, and a list of all splits says that this is meant
    "#);
}

#[test]
fn a_linear_probe_is_a_grid_a_choice_a_fit_and_a_score() {
    assert_snapshot!(plan(r#"(include: ["base.ron"], evaluate: (tasks: "glyphs", models: "conv", protocols: "linear"))"#), @"
    features/conv/glyphs/1  features
    grid/conv/glyphs/linear  grid  <- features/conv/glyphs/1
    choose/conv/glyphs/linear  choose  <- grid/conv/glyphs/linear
    fit/conv/glyphs/linear  fit  <- choose/conv/glyphs/linear, features/conv/glyphs/1
    score/conv/glyphs/linear  linear  <- choose/conv/glyphs/linear, fit/conv/glyphs/linear, features/conv/glyphs/1
    ");
}

#[test]
fn finetuning_is_trials_a_choice_a_training_and_a_score() {
    assert_snapshot!(plan(r#"(
        include: ["base.ron"],
        evaluate: (tasks: "glyphs", models: "conv"),
        protocols: {
            "tune": Finetune(search: Grid(lr: [0.1, 0.01])),
            "same": Finetune(search: Grid(lr: [0.01], augment: [true, false])),
            "one": Finetune(search: Single(lr: 0.1)),
        },
    )"#), @"
    try/conv/glyphs/tune/1  try
    try/conv/glyphs/tune/2 = try/conv/glyphs/same/1  try
    choose/conv/glyphs/tune  choose-trial  <- try/conv/glyphs/tune/1, try/conv/glyphs/tune/2
    finetune/conv/glyphs/tune  finetune  <- choose/conv/glyphs/tune
    score/conv/glyphs/tune  score-finetuned  <- choose/conv/glyphs/tune, finetune/conv/glyphs/tune, try/conv/glyphs/tune/1, try/conv/glyphs/tune/2
    try/conv/glyphs/same/2  try
    choose/conv/glyphs/same  choose-trial  <- try/conv/glyphs/tune/2, try/conv/glyphs/same/2
    finetune/conv/glyphs/same  finetune  <- choose/conv/glyphs/same
    score/conv/glyphs/same  score-finetuned  <- choose/conv/glyphs/same, finetune/conv/glyphs/same, try/conv/glyphs/tune/2, try/conv/glyphs/same/2
    finetune/conv/glyphs/one  finetune
    score/conv/glyphs/one  score-finetuned  <- finetune/conv/glyphs/one
    ");
}

#[test]
fn what_cannot_be_finetuned_is_said_at_its_place() {
    let problems = |model: &str, finetune: &str| {
        plan(&format!(
            r#"(
                tasks: {{ "glyphs": (dataset: Glyphs(alphabets: 1, characters: 2, drawers: 9), image: (size: 32, resize: Stretch)) }},
                models: {{ "m": ({model}) }},
                protocols: {{ "tune": Finetune({finetune}) }},
            )"#
        ))
    };
    let resnet = "backbone: ResNet20, weights: Random(seed: 0)";
    let all = [
        ("backbone: Pixels", ""),
        ("backbone: ResNet20, weights: Random(seed: 0), layer: \"layer2\"", ""),
        ("backbone: ViT(size: Tiny), weights: Random(seed: 0)", ""),
        (resnet, "trained: From(\"layer4\")"),
        ("backbone: MobileNetV2(), weights: Random(seed: 0)", "trained: From(\"layer3\")"),
        (resnet, "search: Grid(lr: []), steps: 0, batch: 0, layer_decay: 0, clip_norm: 0"),
        (resnet, "search: Single(lr: -1), schedule: (warmup_steps: 9), steps: 9, optimizer: Sgd(momentum: 1)"),
        (resnet, "augmentation: (scale: (0.5, 2)), validation: (fraction: 1)"),
    ];
    let told: Vec<String> = all.iter().map(|(model, finetune)| problems(model, finetune)).collect();
    assert_snapshot!(told.join("\n"), @r#"
    e.ron:3:32: `Pixels` has no weights that could be trained
        help: leave the pair out with `exclude`

    e.ron:3:86: the features of ResNet20 are those of its last layer, as it pools them

    e.ron:3:32: its ViT has position embeddings for images of 224×224 pixels, which can be used on other sizes but not be trained on them: prepare images in that size
        help: leave the pair out with `exclude`

    e.ron:4:56: on task "glyphs": ResNet20 has no stage "layer4": there are layer1, layer2, layer3

    e.ron:4:56: on task "glyphs": the names of the tensors of MobileNetV2 do not say which stage they belong to: train `All`, `Head` or `Norms`, without `layer_decay`

    e.ron:4:38: `warmup_steps` must be fewer than `steps` [must be fewer than `steps`]
    e.ron:4:55: `search` must come to 1 to 1,000 combinations [must come to 1 to 1,000 combinations]
    e.ron:4:76: `steps` must be from 1 to 10,000,000 [must be from 1 to 10,000,000]
    e.ron:4:86: `batch` must be from 1 to 65,536 [must be from 1 to 65,536]
    e.ron:4:102: `layer_decay` must be greater than 0 and at most 1 [must be greater than 0 and at most 1]
    e.ron:4:116: `clip_norm` must be a positive number [must be a positive number]

    e.ron:4:55: `search` must have a learning rate and a weight decay that are not negative [must have a learning rate and a weight decay that are not negative]
    e.ron:4:96: `warmup_steps` must be fewer than `steps` [must be fewer than `steps`]
    e.ron:4:121: `optimizer` must have a `momentum` of at least 0 and less than 1 [must have a `momentum` of at least 0 and less than 1]

    e.ron:4:61: `augmentation` is not possible: `scale` must be two shares, the smaller first, greater than 0 and at most 1 [is not possible: `scale` must be two shares, the smaller first, greater than 0 and at most 1]
    e.ron:4:103: `fraction` must be greater than 0 and less than 1 [must be greater than 0 and less than 1]
    "#);
}

#[test]
fn every_solver_has_the_same_steps() {
    assert_snapshot!(plan(r#"(
        include: ["base.ron"],
        evaluate: (tasks: "glyphs", models: "pixels"),
        protocols: { "ridge": Linear(solver: Ridge), "lda": Linear(solver: Lda), "centroid": Linear(solver: NearestCentroid) },
    )"#), @"
    features/pixels/glyphs/1  features
    grid/pixels/glyphs/ridge  grid  <- features/pixels/glyphs/1
    choose/pixels/glyphs/ridge  choose  <- grid/pixels/glyphs/ridge
    fit/pixels/glyphs/ridge  fit  <- choose/pixels/glyphs/ridge, features/pixels/glyphs/1
    score/pixels/glyphs/ridge  linear  <- choose/pixels/glyphs/ridge, fit/pixels/glyphs/ridge, features/pixels/glyphs/1
    grid/pixels/glyphs/lda  grid  <- features/pixels/glyphs/1
    choose/pixels/glyphs/lda  choose  <- grid/pixels/glyphs/lda
    fit/pixels/glyphs/lda  fit  <- choose/pixels/glyphs/lda, features/pixels/glyphs/1
    score/pixels/glyphs/lda  linear  <- choose/pixels/glyphs/lda, fit/pixels/glyphs/lda, features/pixels/glyphs/1
    grid/pixels/glyphs/centroid  grid  <- features/pixels/glyphs/1
    choose/pixels/glyphs/centroid  choose  <- grid/pixels/glyphs/centroid
    fit/pixels/glyphs/centroid  fit  <- choose/pixels/glyphs/centroid, features/pixels/glyphs/1
    score/pixels/glyphs/centroid  linear  <- choose/pixels/glyphs/centroid, fit/pixels/glyphs/centroid, features/pixels/glyphs/1
    ");
}

#[test]
fn a_fit_that_goes_on_from_the_grid_needs_the_grid() {
    assert_snapshot!(plan(r#"(
        include: ["base.ron"],
        evaluate: (tasks: "glyphs", models: "pixels"),
        protocols: { "study": Linear(convergence: WarmStartUnconverged) },
    )"#), @"
    features/pixels/glyphs/1  features
    grid/pixels/glyphs/study  grid  <- features/pixels/glyphs/1
    choose/pixels/glyphs/study  choose  <- grid/pixels/glyphs/study
    fit/pixels/glyphs/study  fit  <- choose/pixels/glyphs/study, features/pixels/glyphs/1, grid/pixels/glyphs/study
    score/pixels/glyphs/study  linear  <- choose/pixels/glyphs/study, fit/pixels/glyphs/study, features/pixels/glyphs/1
    ");
}

#[test]
fn only_few_shot_and_linear_do_without_splits() {
    assert_snapshot!(plan(r#"(include: ["base.ron"], evaluate: (tasks: "whole", models: "pixels", protocols: ["few", "linear"]))"#), @"
    episodes/whole/few  episodes
    features/pixels/whole/1  features
    score/pixels/whole/few  few-shot  <- episodes/whole/few, features/pixels/whole/1
    grid/pixels/whole/linear  grid  <- features/pixels/whole/1
    choose/pixels/whole/linear  choose  <- grid/pixels/whole/linear
    fit/pixels/whole/linear  fit  <- choose/pixels/whole/linear, features/pixels/whole/1
    score/pixels/whole/linear  linear  <- choose/pixels/whole/linear, fit/pixels/whole/linear, features/pixels/whole/1
    ");
    assert_snapshot!(plan(r#"(include: ["base.ron"], evaluate: (tasks: "whole", models: "pixels", protocols: "knn"))"#), @"
    DIR/base.ron:4:28: `Knn` needs a train and a test split, and there are 0 and 0 images in them
        help: leave the pair out with `exclude`
    ");
}

#[test]
fn models_and_protocols_share_features() {
    assert_snapshot!(plan(r#"(include: ["base.ron"], evaluate: (tasks: "glyphs"))"#), @r#"
    features/pixels/glyphs/1  features
    score/pixels/glyphs/knn  knn  <- features/pixels/glyphs/1
    episodes/glyphs/few  episodes
    score/pixels/glyphs/few  few-shot  <- episodes/glyphs/few, features/pixels/glyphs/1
    grid/pixels/glyphs/linear  grid  <- features/pixels/glyphs/1
    choose/pixels/glyphs/linear  choose  <- grid/pixels/glyphs/linear
    fit/pixels/glyphs/linear  fit  <- choose/pixels/glyphs/linear, features/pixels/glyphs/1
    score/pixels/glyphs/linear  linear  <- choose/pixels/glyphs/linear, fit/pixels/glyphs/linear, features/pixels/glyphs/1
    features/conv/glyphs/1  features
    score/conv/glyphs/knn  knn  <- features/conv/glyphs/1
    score/conv/glyphs/few  few-shot  <- episodes/glyphs/few, features/conv/glyphs/1
    grid/conv/glyphs/linear  grid  <- features/conv/glyphs/1
    choose/conv/glyphs/linear  choose  <- grid/conv/glyphs/linear
    fit/conv/glyphs/linear  fit  <- choose/conv/glyphs/linear, features/conv/glyphs/1
    score/conv/glyphs/linear  linear  <- choose/conv/glyphs/linear, fit/conv/glyphs/linear, features/conv/glyphs/1
    warning: few on task "glyphs": episodes are drawn from the images of Train, Test together: `subset: (splits: [Test])` leaves those of the test split, and a list of all splits says that this is meant
    "#);
}

#[test]
fn names_make_no_steps() {
    assert_snapshot!(plan(r#"(
        include: ["base.ron"],
        evaluate: (tasks: "glyphs"),
        models: { "one": (backbone: Pixels), "same": (backbone: Pixels, normalization: None, about: (note: "changes nothing")) },
        protocols: { "one": FewShot(ways: 2, shots: 1, queries: 2), "same": FewShot(ways: 2, shots: 1, queries: 2, episodes: 600) },
    )"#), @r#"
    episodes/glyphs/one = episodes/glyphs/same  episodes
    features/one/glyphs/1 = features/same/glyphs/1  features
    score/one/glyphs/one = score/one/glyphs/same = score/same/glyphs/one = score/same/glyphs/same  few-shot  <- episodes/glyphs/one, features/one/glyphs/1
    warning: one on task "glyphs": episodes are drawn from the images of Train, Test together: `subset: (splits: [Test])` leaves those of the test split, and a list of all splits says that this is meant
    warning: same on task "glyphs": episodes are drawn from the images of Train, Test together: `subset: (splits: [Test])` leaves those of the test split, and a list of all splits says that this is meant
    "#);
}

#[test]
fn tasks_that_differ_in_preprocessing_share_episodes() {
    assert_snapshot!(plan(r#"(
        include: ["base.ron"],
        tasks: {
            "small": (dataset: Glyphs(alphabets: 1, characters: 3, drawers: 4), image: (size: 16, resize: Stretch, color: Grey)),
            "large": (dataset: Glyphs(alphabets: 1, characters: 3, drawers: 4), image: (size: 32, resize: Stretch, color: Grey)),
        },
        evaluate: (models: "pixels", protocols: "few"),
    )"#), @"
    episodes/small/few = episodes/large/few  episodes
    features/pixels/small/1  features
    score/pixels/small/few  few-shot  <- episodes/small/few, features/pixels/small/1
    features/pixels/large/1  features
    score/pixels/large/few  few-shot  <- episodes/small/few, features/pixels/large/1
    ");
}

#[test]
fn a_filter_that_is_not_used_makes_no_other_features() {
    assert_snapshot!(plan(r#"(
        include: ["base.ron"],
        tasks: {
            "a": (dataset: Glyphs(alphabets: 1, characters: 3, drawers: 4), image: (size: 28, resize: None, filter: Bicubic, color: Grey)),
            "b": (dataset: Glyphs(alphabets: 1, characters: 3, drawers: 4), image: (size: 28, resize: None, crop: 28, color: Grey)),
        },
        evaluate: (models: "pixels", protocols: "few"),
    )"#), @"
    episodes/a/few = episodes/b/few  episodes
    features/pixels/a/1 = features/pixels/b/1  features
    score/pixels/a/few = score/pixels/b/few  few-shot  <- episodes/a/few, features/pixels/a/1
    ");
}

#[test]
fn a_layer_is_a_model_of_its_own_unless_it_is_the_end() {
    assert_snapshot!(plan(r#"(
        include: ["base.ron"],
        models: {
            "end": (backbone: ResNet18, weights: Random(seed: 0)),
            "gap": (backbone: ResNet18, weights: Random(seed: 0), pool: Gap),
            "layer4": (backbone: ResNet18, weights: Random(seed: 0), layer: "layer4"),
            "layer2": (backbone: ResNet18, weights: Random(seed: 0), layer: "layer2"),
            "flat": (backbone: ResNet18, weights: Random(seed: 0), layer: "layer2", pool: Flat),
        },
        evaluate: (tasks: "rgb", protocols: "knn"),
    )"#), @"
    features/end/rgb/1 = features/gap/rgb/1 = features/layer4/rgb/1  features
    score/end/rgb/knn = score/gap/rgb/knn = score/layer4/rgb/knn  knn  <- features/end/rgb/1
    features/layer2/rgb/1  features
    score/layer2/rgb/knn  knn  <- features/layer2/rgb/1
    features/flat/rgb/1  features
    score/flat/rgb/knn  knn  <- features/flat/rgb/1
    ");
}

#[test]
fn weights_are_trained_once_and_before_their_features() {
    assert_snapshot!(plan(r#"(
        include: ["base.ron"],
        models: {
            "supervised": (backbone: Conv4(channels: 1, width: 4), weights: Trained(method: Supervised, on: "whole", steps: 2, batch: 4)),
            "again": (backbone: Conv4(channels: 1, width: 4), weights: Trained(method: Supervised, on: "whole", steps: 2, batch: 4)),
            "simclr": (backbone: Conv4(channels: 1, width: 4), weights: Trained(method: SimClr(), on: "whole", steps: 2, batch: 4)),
        },
        evaluate: (tasks: "glyphs", protocols: ["knn", "few"]),
    )"#), @r#"
    train/supervised = train/again  weights
    features/supervised/glyphs/1 = features/again/glyphs/1  features  <- train/supervised
    score/supervised/glyphs/knn = score/again/glyphs/knn  knn  <- features/supervised/glyphs/1
    episodes/glyphs/few  episodes
    score/supervised/glyphs/few = score/again/glyphs/few  few-shot  <- episodes/glyphs/few, features/supervised/glyphs/1
    train/simclr  weights
    features/simclr/glyphs/1  features  <- train/simclr
    score/simclr/glyphs/knn  knn  <- features/simclr/glyphs/1
    score/simclr/glyphs/few  few-shot  <- episodes/glyphs/few, features/simclr/glyphs/1
    warning: model "supervised": it was trained on 8 of the 8 test images of task "glyphs", which are in "whole" too
    warning: few on task "glyphs": episodes are drawn from the images of Train, Test together: `subset: (splits: [Test])` leaves those of the test split, and a list of all splits says that this is meant
    warning: model "again": it was trained on 8 of the 8 test images of task "glyphs", which are in "whole" too
    warning: model "simclr": it was trained on 8 of the 8 test images of task "glyphs", which are in "whole" too
    "#);
}

#[test]
fn images_that_no_protocol_asks_for_are_not_extracted() {
    // The only folder that is cut into several pieces is that of the validation split.
    let place = Place::new(
        r#"(
        tasks: { "t": (dataset: ImageFolder(root: "images", splits: ["train", "val", "test"]), image: (size: 2, resize: Stretch, color: Grey)) },
        models: { "pixels": (backbone: Pixels) },
        protocols: { "knn": Knn(k: 3), "few": FewShot(ways: 2, shots: 1, queries: 2) },
    )"#,
    );
    let place = place.images("images/train/a", 0..4).images("images/train/b", 4..8);
    let place = place.images("images/val/a", 100..1300).images("images/val/b", 1300..1400);
    let place = place.images("images/test/a", 8..10).images("images/test/b", 10..12);
    assert_snapshot!(place.plan(), @r#"
    features/pixels/t/1  features
    features/pixels/t/4  features
    score/pixels/t/knn  knn  <- features/pixels/t/1, features/pixels/t/4
    episodes/t/few  episodes
    features/pixels/t/2  features
    features/pixels/t/3  features
    score/pixels/t/few  few-shot  <- episodes/t/few, features/pixels/t/1, features/pixels/t/2, features/pixels/t/3, features/pixels/t/4
    warning: few on task "t": episodes are drawn from the images of Train, Val, Test together: `subset: (splits: [Test])` leaves those of the test split, and a list of all splits says that this is meant
    "#);
}

#[test]
fn a_split_may_be_classified_by_itself() {
    assert_snapshot!(plan(r#"(include: ["base.ron"], evaluate: (tasks: "glyphs", models: "conv"), protocols: { "own": Classifier(split: Val) })"#), @r#"e.ron:1:108: on task "glyphs": the task has no images in its split `Val`"#);
    assert_snapshot!(plan(r#"(include: ["base.ron"], evaluate: (tasks: "glyphs", models: "conv"), protocols: { "own": Classifier() })"#), @r#"
    DIR/base.ron:9:67: protocol "own" needs weights from a file with a classifier, and model "conv" has none
        help: leave the pair out with `exclude`
    "#);
    assert_snapshot!(plan(r#"(include: ["base.ron"], evaluate: (tasks: "glyphs", models: "pixels"), protocols: { "own": Classifier() })"#), @r#"
    DIR/base.ron:8:19: protocol "own" needs weights from a file with a classifier, and model "pixels" has none
        help: leave the pair out with `exclude`
    "#);
}

#[test]
fn official_episodes_are_taken_and_shared() {
    let place = Place::new(
        r#"(
    include: ["base.ron"],
    tasks: { "runs": (dataset: OmniglotRuns(path: "runs"), image: (size: 28, resize: None, color: Grey)) },
    evaluate: (models: ["pixels", "conv"]),
    protocols: { "official": FewShot(episodes: Official, seed: 3), "drawn": FewShot(ways: 2, shots: 1, queries: 1) },
)"#,
    );
    let lines = "run01/test/item01.png run01/training/class02.png\nrun01/test/item02.png run01/training/class01.png\n";
    let images = ["training/class01", "training/class02", "test/item01", "test/item02"];
    let place = images.iter().fold(place, |place, name| place.file(&format!("runs/run01/{name}.png"), name));
    let place = place.file("runs/run01/class_labels.txt", lines);
    assert_snapshot!(place.plan(), @"
    episodes/runs/official  official-episodes
    features/pixels/runs/1  features
    score/pixels/runs/official  few-shot  <- episodes/runs/official, features/pixels/runs/1
    episodes/runs/drawn  episodes
    score/pixels/runs/drawn  few-shot  <- episodes/runs/drawn, features/pixels/runs/1
    features/conv/runs/1  features
    score/conv/runs/official  few-shot  <- episodes/runs/official, features/conv/runs/1
    score/conv/runs/drawn  few-shot  <- episodes/runs/drawn, features/conv/runs/1
    ");
}

#[test]
fn features_are_extracted_for_each_way_of_preparing_images() {
    assert_snapshot!(plan(r#"(
        include: ["base.ron"],
        models: {
            "plain": (backbone: Pixels),
            "ink": (backbone: Pixels, polarity: Inverted),
            "signed": (backbone: Pixels, range: Symmetric),
            "scaled": (backbone: Pixels, normalization: MeanStd(mean: [0.5], std: [0.5])),
        },
        protocols: { "k3": Knn(k: 3), "k3 by another name": Knn(k: 3, temperature: 0.07) },
        evaluate: (tasks: "glyphs"),
    )"#), @"
    features/plain/glyphs/1  features
    score/plain/glyphs/k3 = score/plain/glyphs/k3 by another name  knn  <- features/plain/glyphs/1
    features/ink/glyphs/1  features
    score/ink/glyphs/k3 = score/ink/glyphs/k3 by another name  knn  <- features/ink/glyphs/1
    features/signed/glyphs/1  features
    score/signed/glyphs/k3 = score/signed/glyphs/k3 by another name  knn  <- features/signed/glyphs/1
    features/scaled/glyphs/1  features
    score/scaled/glyphs/k3 = score/scaled/glyphs/k3 by another name  knn  <- features/scaled/glyphs/1
    ");
}

#[test]
fn probes_that_differ_in_what_is_reported_share_the_fit() {
    assert_snapshot!(plan(r#"(
        include: ["base.ron"],
        evaluate: (tasks: "glyphs", models: "pixels"),
        protocols: {
            "plain": Linear(),
            "resampled": Linear(resamples: 10, seed: 4),
            "study": Linear(calibration: TestCrossValidated),
            "unit": Linear(normalize: true),
        },
    )"#), @"
    features/pixels/glyphs/1  features
    grid/pixels/glyphs/plain = grid/pixels/glyphs/resampled = grid/pixels/glyphs/study  grid  <- features/pixels/glyphs/1
    choose/pixels/glyphs/plain = choose/pixels/glyphs/resampled = choose/pixels/glyphs/study  choose  <- grid/pixels/glyphs/plain
    fit/pixels/glyphs/plain = fit/pixels/glyphs/resampled = fit/pixels/glyphs/study  fit  <- choose/pixels/glyphs/plain, features/pixels/glyphs/1
    score/pixels/glyphs/plain  linear  <- choose/pixels/glyphs/plain, fit/pixels/glyphs/plain, features/pixels/glyphs/1
    score/pixels/glyphs/resampled  linear  <- choose/pixels/glyphs/plain, fit/pixels/glyphs/plain, features/pixels/glyphs/1
    score/pixels/glyphs/study  linear  <- choose/pixels/glyphs/plain, fit/pixels/glyphs/plain, features/pixels/glyphs/1
    grid/pixels/glyphs/unit  grid  <- features/pixels/glyphs/1
    choose/pixels/glyphs/unit  choose  <- grid/pixels/glyphs/unit
    fit/pixels/glyphs/unit  fit  <- choose/pixels/glyphs/unit, features/pixels/glyphs/1
    score/pixels/glyphs/unit  linear  <- choose/pixels/glyphs/unit, fit/pixels/glyphs/unit, features/pixels/glyphs/1
    ");
}
