//! Where in the file the parts of a step are written, and what else a plan knows.

use std::fmt::Write as _;

use insta::assert_snapshot;

use crate::support::Place;

/// For each step, the parts of its recipe and where they are written; the whole of it is `.`.
fn places(ron: &str) -> String {
    let place = Place::new(ron);
    let planned = place.planned(&[], false).unwrap();
    let mut text = String::new();
    for node in planned.plan.nodes() {
        let _ = writeln!(text, "{}", node.label);
        for written in node.written_at.iter() {
            let at = planned.document.problems.describe(&planned.document.place(&written.path).unwrap());
            let part = if written.part.is_empty() { "." } else { &written.part };
            let at = at.strip_prefix(place.root.to_str().unwrap()).unwrap().trim_start_matches('/').to_owned();
            let _ = writeln!(text, "    {part} in {} at {at}", written.path);
        }
    }
    text
}

#[test]
fn every_step_says_where_it_is_written() {
    assert_snapshot!(places(r#"(
    tasks: {
        "a.b": (
            dataset: Glyphs(alphabets: 1, characters: 4, drawers: 8, test_drawers: 2),
            image: (size: 28, resize: None, color: Grey),
            metric: Top1,
        ),
    },
    models: {
        "m": (
            backbone: Conv4(channels: 1, width: 4),
            weights: Trained(method: Supervised, on: "a.b", steps: 1, batch: 8),
        ),
    },
    protocols: {
        "k": Knn(k: 3),
        "f": FewShot(ways: 2, shots: 1, queries: 1),
        "l": Linear(),
    },
)"#), @r#"
    train/m
        . in models.m.weights at e.ron:12:22
        /backbone in models.m.backbone at e.ron:11:23
        /input in models.m at e.ron:10:14
        /image in tasks."a.b".image at e.ron:5:20
        /images in tasks."a.b".dataset at e.ron:4:22
        /labels in tasks."a.b".dataset at e.ron:4:22
    features/m/a.b/1
        . in models.m at e.ron:10:14
        /model in models.m at e.ron:10:14
        /image in tasks."a.b".image at e.ron:5:20
        /images in tasks."a.b".dataset at e.ron:4:22
    score/m/a.b/k
        . in protocols.k at e.ron:16:14
        /train in tasks."a.b".dataset at e.ron:4:22
        /test in tasks."a.b".dataset at e.ron:4:22
    episodes/a.b/f
        . in protocols.f at e.ron:17:14
        /manifest in tasks."a.b".dataset at e.ron:4:22
    score/m/a.b/f
        . in protocols.f at e.ron:17:14
        /manifest in tasks."a.b".dataset at e.ron:4:22
    grid/m/a.b/l
        . in protocols.l at e.ron:18:14
        /fit in tasks."a.b".dataset at e.ron:4:22
        /validation in tasks."a.b".dataset at e.ron:4:22
        /metric in tasks."a.b" at e.ron:3:16
    choose/m/a.b/l
        . in protocols.l at e.ron:18:14
    fit/m/a.b/l
        . in protocols.l at e.ron:18:14
        /fit in tasks."a.b".dataset at e.ron:4:22
    score/m/a.b/l
        . in protocols.l at e.ron:18:14
        /test in tasks."a.b".dataset at e.ron:4:22
        /metric in tasks."a.b" at e.ron:3:16
    "#);
}

#[test]
fn what_is_included_is_written_in_its_own_file() {
    assert_snapshot!(places(r#"(
    include: ["base.ron"],
    evaluate: (tasks: "glyphs", models: "conv", protocols: "knn"),
)"#), @"
    features/conv/glyphs/1
        . in models.conv at base.ron:9:17
        /model in models.conv at base.ron:9:17
        /image in tasks.glyphs.image at base.ron:3:102
        /images in tasks.glyphs.dataset at base.ron:3:29
    score/conv/glyphs/knn
        . in protocols.knn at base.ron:12:16
        /train in tasks.glyphs.dataset at base.ron:3:29
        /test in tasks.glyphs.dataset at base.ron:3:29
    ");
}

/// What a plan knows besides its steps.
fn facts(ron: &str) -> String {
    let planned = Place::new(ron).planned(&[], false).unwrap();
    let trained: Vec<&str> = planned.trained.iter().map(|(name, _)| name.as_str()).collect();
    let mut text = format!("trained: {trained:?}; shards that several read: {}\n", planned.shared_images.len());
    for cell in &planned.cells {
        let step = planned.plan.node(cell.evaluation.as_ref().unwrap().key()).unwrap();
        let _ = write!(text, "{} / {} / {}: {}", cell.cell.model, cell.cell.task, cell.cell.protocol, step.label);
        for exhibit in &cell.exhibits {
            let _ = write!(text, "; {} of {}", exhibit.file, planned.plan.node(exhibit.key).unwrap().label);
        }
        text.push('\n');
    }
    text
}

#[test]
fn a_plan_knows_what_is_trained_shared_and_shown() {
    assert_snapshot!(facts(r#"(
    include: ["base.ron"],
    models: {
        "zebra": (backbone: Conv4(channels: 1, width: 4), weights: Trained(method: SimClr(), on: "whole", steps: 1, batch: 8)),
        "ant": (backbone: Conv4(channels: 1, width: 4), weights: Trained(method: Supervised, on: "whole", steps: 1, batch: 8)),
        "still": (backbone: Pixels),
    },
    evaluate: (tasks: "glyphs", protocols: ["linear", "knn"]),
)"#), @r#"
    trained: ["ant", "zebra"]; shards that several read: 1
    zebra / glyphs / knn: score/zebra/glyphs/knn
    zebra / glyphs / linear: score/zebra/glyphs/linear; grid_curve.json of grid/zebra/glyphs/linear
    ant / glyphs / knn: score/ant/glyphs/knn
    ant / glyphs / linear: score/ant/glyphs/linear; grid_curve.json of grid/ant/glyphs/linear
    still / glyphs / knn: score/still/glyphs/knn
    still / glyphs / linear: score/still/glyphs/linear; grid_curve.json of grid/still/glyphs/linear
    "#);
    assert_snapshot!(facts(r#"(include: ["base.ron"], evaluate: (tasks: "whole", models: "pixels", protocols: "few"))"#), @"
    trained: []; shards that several read: 0
    pixels / whole / few: score/pixels/whole/few
    ");
}
