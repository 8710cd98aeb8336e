//! Which cells an experiment has: sections, includes, patterns, overrides, old words.

use insta::assert_snapshot;

use crate::support::{Place, plan, plan_with};

#[test]
fn what_the_file_itself_defines_is_evaluated() {
    assert_snapshot!(plan(r#"(
        include: ["base.ron"],
        tasks: { "own": (dataset: Glyphs(alphabets: 1, characters: 2, drawers: 4), image: (size: 28, resize: None, color: Grey)) },
        models: { "own": (backbone: Pixels, polarity: Inverted) },
        protocols: { "own": FewShot(ways: 2, shots: 1, queries: 1) },
    )"#), @"
    episodes/own/own  episodes
    features/own/own/1  features
    score/own/own/own  few-shot  <- episodes/own/own, features/own/own/1
    ");
}

#[test]
fn patterns_choose_and_rules_leave_out() {
    assert_snapshot!(plan(r#"(
        include: ["base.ron"],
        evaluate: (tasks: ["gl*", "whole"], protocols: ["{knn,few}"]),
        exclude: [(task: "whole", protocol: "knn"), (model: "co*", protocol: "few")],
    )"#), @r#"
    features/pixels/glyphs/1 = features/pixels/whole/1  features
    score/pixels/glyphs/knn  knn  <- features/pixels/glyphs/1
    episodes/glyphs/few  episodes
    score/pixels/glyphs/few  few-shot  <- episodes/glyphs/few, features/pixels/glyphs/1
    episodes/whole/few  episodes
    score/pixels/whole/few  few-shot  <- episodes/whole/few, features/pixels/glyphs/1
    features/conv/glyphs/1  features
    score/conv/glyphs/knn  knn  <- features/conv/glyphs/1
    warning: few on task "glyphs": episodes are drawn from the images of Train, Test together: `subset: (splits: [Test])` leaves those of the test split, and a list of all splits says that this is meant
    "#);
}

#[test]
fn patterns_that_hit_nothing_are_told_with_the_nearest_name() {
    assert_snapshot!(plan(r#"(
        include: ["base.ron"],
        evaluate: (tasks: "glyfs", models: ["conv", "pixel"]),
        exclude: [(), (protocol: "x*")],
    )"#), @r#"
    e.ron:3:27: nothing in tasks is called "glyfs"
        help: did you mean "glyphs"?
    e.ron:3:53: nothing in models is called "pixel"
        help: did you mean "pixels"?
    e.ron:4:19: this rule names nothing, so it would exclude everything
        help: give `model`, `task` or `protocol`
    e.ron:4:34: nothing in protocols is called "x*"
        help: there are: knn, few, linear
    "#);
    assert_snapshot!(plan(r#"(include: ["base.ron"], evaluate: (task: "glyphs"), exclude: [(modle: "conv"), (model: "[")])"#), @"
    e.ron:1:36: unknown field `task` [unknown field]
        help: did you mean `tasks`?
    e.ron:1:64: unknown field `modle` [unknown field]
        help: did you mean `model`?
    e.ron:1:88: error parsing glob '[': unclosed character class; missing ']'
    ");
}

#[test]
fn an_experiment_that_evaluates_nothing_is_refused() {
    assert_snapshot!(plan("()"), @"
    DIR/e.ron evaluates nothing
        help: it needs at least one model, one task and one protocol that `exclude` leaves over
    ");
    assert_snapshot!(plan(r#"(include: ["base.ron"], exclude: [(model: "*")])"#), @"
    DIR/e.ron evaluates nothing
        help: it needs at least one model, one task and one protocol that `exclude` leaves over
    ");
}

#[test]
fn files_include_each_other_and_paths_are_relative_to_their_file() {
    let place = Place::new(r#"(include: ["sub/tasks.ron", "base.ron"], evaluate: (tasks: "folder", models: "pixels", protocols: "few"))"#)
        .file("sub/tasks.ron", r#"(include: ["../base.ron"], tasks: { "folder": (dataset: ImageFolder(root: "images"), image: (size: 2, resize: Stretch)) })"#)
        .images("sub/images/a", 0..3)
        .images("sub/images/b", 3..6);
    assert_snapshot!(place.plan(), @"
    episodes/folder/few  episodes
    features/pixels/folder/1  features
    score/pixels/folder/few  few-shot  <- episodes/folder/few, features/pixels/folder/1
    ");
}

#[test]
fn problems_of_all_files_are_told_at_once() {
    let place = Place::new(
        r#"(
    include: ["tasks.ron", "models.ron", "nowhere.ron", "circle.ron"],
    protocols: { "knn": Knn(k: 0) },
)"#,
    )
    .file("tasks.ron", r#"(tasks: { "t": (dataset: Glyphs(alphabets: 0, characters: 2, drawers: 2), image: (size: 28, resize: None)) }, evaluate: ())"#)
    .file("models.ron", "(models: {\n  \"m\": (backbone: Piksels),\n})")
    .file("circle.ron", r#"(include: ["e.ron"], models: { "m": (backbone: Pixels) })"#);
    assert_snapshot!(place.plan(), @r#"
    e.ron:2:42: DIR/nowhere.ron cannot be included: No such file or directory (os error 2) [included here]
    e.ron:3:32: `k` must be at least 1 [must be at least 1]
    DIR/tasks.ron:1:44: `alphabets` must be from 1 to 10000 [must be from 1 to 10000]
    DIR/tasks.ron:1:111: `evaluate` has no meaning in an included file [not here]
        help: an included file may have: include, models, tasks, protocols
    DIR/models.ron:2:19: unknown name `Piksels` [unknown name]
        help: did you mean `Pixels`?
    DIR/circle.ron:1:12: these files include each other: e.ron → circle.ron → e.ron [closes the cycle]
    DIR/circle.ron:1:32: there are two models called "m" [again here]
        help: first here: DIR/models.ron:2:3
    "#);
}

const FEW: &str = r#"(include: ["base.ron"], evaluate: (tasks: "glyphs", models: "pixels", protocols: "few"))"#;

#[test]
fn the_command_line_sets_values() {
    assert_snapshot!(plan_with(FEW, &["evaluate.protocols=\"knn\"", "evaluate.models=[\"conv\"]"]), @"
    features/conv/glyphs/1  features
    score/conv/glyphs/knn  knn  <- features/conv/glyphs/1
    ");
    // A whole entry keeps its name.
    assert_snapshot!(plan_with(FEW, &["protocols.few=Knn(k: 2)"]), @"
    features/pixels/glyphs/1  features
    score/pixels/glyphs/few  knn  <- features/pixels/glyphs/1
    ");
}

#[test]
fn wrong_overrides_are_told_with_what_was_given() {
    assert_snapshot!(plan_with(FEW, &[
        "protocols.few.episodes",
        "protocols.phew.ways=2",
        "protocols.few.way=3",
        "tasks.glyphs.image.size=\"large\"",
        "tasks.glyphs.subset.seed=1",
        "protocols.few.shots=(",
        "models=1",
        "tasks.glyphs.image.0=1",
    ]), @r#"
    --set protocols.few.episodes has no `=`
        help: write --set protocols.NAME.field=value
    --set protocols.phew.ways=2: there is nothing called "phew" in protocols
        help: there are: knn, few, linear
    --set tasks.glyphs.subset.seed=1: `subset` is not written in the file, so nothing inside it can be set
        help: set `subset` as a whole
    --set models=1: `models` needs the name of an entry
    --set protocols.few.way=3:1:1: unknown field `way` [unknown field]
        help: did you mean `ways`?
    --set tasks.glyphs.image.size="large":1:1: expected an integer from 0 to 4294967295, found the string "large" [expected an integer from 0 to 4294967295]
    --set protocols.few.shots=(:1:1: this is not valid RON [Unexpected end of RON]
    --set tasks.glyphs.image.0=1:1:1: unknown field `0` [unknown field]
        help: the fields here are: size, resize, filter, crop, color, before, pillow
    "#);
}

#[test]
fn old_words_are_read_and_told() {
    let file = r#"(
    include: ["base.ron"],
    evaluate: (tasks: "glyphs", models: "pixels"),
    protocols: {
        "SklearnPath": Linear(profile: SklearnPath, calibration: CodeCvTest),
    },
)"#;
    assert_snapshot!(plan(file), @"
    features/pixels/glyphs/1  features
    grid/pixels/glyphs/SklearnPath  grid  <- features/pixels/glyphs/1
    choose/pixels/glyphs/SklearnPath  choose  <- grid/pixels/glyphs/SklearnPath
    fit/pixels/glyphs/SklearnPath  fit  <- choose/pixels/glyphs/SklearnPath, features/pixels/glyphs/1, grid/pixels/glyphs/SklearnPath
    score/pixels/glyphs/SklearnPath  linear  <- choose/pixels/glyphs/SklearnPath, fit/pixels/glyphs/SklearnPath, features/pixels/glyphs/1
    warning: e.ron:5:31: `profile` is now called `convergence`; the old word will not be read by the next version
    warning: e.ron:5:40: `SklearnPath` is now called `WarmStartUnconverged`; the old word will not be read by the next version
    warning: e.ron:5:66: `CodeCvTest` is now called `TestCrossValidated`; the old word will not be read by the next version
    ");
    assert_snapshot!(plan_with(file, &["protocols.SklearnPath.profile=Converged"]), @"
    features/pixels/glyphs/1  features
    grid/pixels/glyphs/SklearnPath  grid  <- features/pixels/glyphs/1
    choose/pixels/glyphs/SklearnPath  choose  <- grid/pixels/glyphs/SklearnPath
    fit/pixels/glyphs/SklearnPath  fit  <- choose/pixels/glyphs/SklearnPath, features/pixels/glyphs/1
    score/pixels/glyphs/SklearnPath  linear  <- choose/pixels/glyphs/SklearnPath, fit/pixels/glyphs/SklearnPath, features/pixels/glyphs/1
    warning: e.ron:5:31: `profile` is now called `convergence`; the old word will not be read by the next version
    warning: e.ron:5:40: `SklearnPath` is now called `WarmStartUnconverged`; the old word will not be read by the next version
    warning: e.ron:5:66: `CodeCvTest` is now called `TestCrossValidated`; the old word will not be read by the next version
    warning: --set protocols.SklearnPath.profile=Converged:1:1: `profile` is now called `convergence`; the old word will not be read by the next version
    ");
}
