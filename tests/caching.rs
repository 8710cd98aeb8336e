//! What is run again after which change, through the real binary.

#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use std::fs;
use std::fs::File;
use std::time::{Duration, SystemTime};

use support::{SMALL, Workspace, write_png};

#[test]
fn a_second_run_does_nothing_and_says_the_same() {
    let place = Workspace::new();
    place.write("e.ron", SMALL);
    let first = place.run("e.ron").ok();
    assert!(first.ran() > 0);
    assert!(first.stdout.contains("5w1s") && first.stdout.contains(" ± "));
    let second = place.run("e.ron").ok();
    assert_eq!((second.ran(), &second.stdout), (0, &first.stdout));
}

#[test]
fn layout_order_and_comments_change_nothing() {
    let place = Workspace::new();
    place.write("e.ron", SMALL);
    place.run("e.ron").ok();
    let reordered = r#"// A comment.
(protocols: {"knn": Knn(k: 5), "5w1s": FewShot(episodes: 50, queries: 5, shots: 1, ways: 5)},
 models: {"random": (polarity: Inverted, weights: Random(seed: 0), backbone: Conv4(width: 8, channels: 1)), "pixels": (polarity: Inverted, backbone: Pixels)},
 tasks: {"glyphs": (image: (color: Grey, resize: None, size: 28), dataset: Glyphs(test_drawers: 4, drawers: 12, /* ! */ characters: 10, alphabets: 2))})"#;
    place.write("e.ron", reordered);
    assert_eq!(place.run("e.ron").ok().ran(), 0);
}

#[test]
fn a_new_model_runs_only_its_own_steps() {
    let place = Workspace::new();
    place.write("e.ron", SMALL);
    place.run("e.ron").ok();
    let other = "        \"other\": (backbone: Conv4(channels: 1, width: 8), weights: Random(seed: 1), polarity: Inverted),\n    },\n    protocols";
    place.write("e.ron", &SMALL.replace("    },\n    protocols", other));
    let outcome = place.run("e.ron").ok();
    assert!(outcome.ran() > 0);
    assert!(outcome.finished().iter().all(|label| label.contains("/other/")), "{:?}", outcome.finished());
}

#[test]
fn new_episodes_run_only_scoring_and_why_says_so() {
    let place = Workspace::new();
    place.write("e.ron", SMALL);
    place.run("e.ron").ok();
    let set = ["run", "e.ron", "--device", "cpu", "--set", "protocols.5w1s.episodes=60"];
    let why = ["why", "e.ron", "score/random/glyphs/5w1s", "--set", "protocols.5w1s.episodes=60"];
    let text = place.assay(&why).ok().stdout;
    assert!(text.contains("episodes changed from 50 to 60, in episodes/glyphs/5w1s"), "{text}");
    let outcome = place.assay(&set).ok();
    let mut finished = outcome.finished();
    finished.sort();
    assert_eq!(finished, ["episodes/glyphs/5w1s", "score/pixels/glyphs/5w1s", "score/random/glyphs/5w1s"]);
    // The place in the file is told when the file itself is edited.
    place.write("e.ron", &SMALL.replace("episodes: 50", "episodes: 70"));
    let text = place.assay(&["why", "e.ron", "score/random/glyphs/5w1s"]).ok().stdout;
    assert!(text.contains("to 70") && text.contains("e.ron:8:66"), "{text}");
}

#[test]
fn plan_counts_what_a_run_would_do() {
    let place = Workspace::new();
    place.write("e.ron", SMALL);
    let plan = place.assay(&["plan", "e.ron", "--format", "json"]).ok().json();
    assert_eq!(plan["schema"], "assay.plan/1");
    let steps = plan["steps"].as_array().unwrap().len();
    assert_eq!(plan["counts"]["run"], steps);
    assert!(!place.path().join("cache/steps").exists(), "a plan makes nothing");
    assert_eq!(place.run("e.ron").ok().ran(), steps);
    let after =
        place.assay(&["plan", "e.ron", "--set", "models.random.weights.seed=1", "--format", "json"]).ok().json();
    assert!(after["estimate"]["steps_covered"].as_u64().unwrap() > 0);
    assert_eq!(
        after["counts"]["hit"].as_u64().unwrap()
            + after["counts"]["run"].as_u64().unwrap()
            + after["counts"]["alias?"].as_u64().unwrap_or(0),
        steps as u64
    );
}

/// 5,000 images in 10 classes; small PNGs that all differ.
fn folder_of_images(place: &Workspace, from: usize, to: usize, class: Option<usize>) {
    for i in from..to {
        let class = class.unwrap_or(i % 10);
        let path = place.path().join(format!("images/class{class}/{i:05}.png"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        write_png(&path, (8, 8), |x, y| [((i >> (x % 8) & 1) * 100 + (i * 7 + y as usize * 31) % 150) as u8]);
    }
}

const FOLDER: &str = r#"(
    tasks: { "images": (dataset: ImageFolder(root: "images"), image: (size: 8, resize: None, color: Grey)) },
    models: { "pixels": (backbone: Pixels) },
    protocols: { "5w1s": FewShot(ways: 5, shots: 1, queries: 5, episodes: 20) },
)"#;

#[test]
fn ten_new_images_among_thousands_cost_few_shards_and_touching_costs_none() {
    let place = Workspace::new();
    folder_of_images(&place, 0, 5000, None);
    place.write("e.ron", FOLDER);
    let first = place.run("e.ron").ok();
    assert!(first.finished().iter().filter(|l| l.starts_with("features/")).count() > 5);
    for entry in fs::read_dir(place.path().join("images/class3")).unwrap() {
        let file = File::options().write(true).open(entry.unwrap().path()).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(1000)).unwrap();
    }
    assert_eq!(place.run("e.ron").ok().ran(), 0);
    folder_of_images(&place, 6000, 6010, Some(4));
    let after = place.run("e.ron").ok();
    let extracted = after.finished().iter().filter(|l| l.starts_with("features/")).count();
    assert!((1..=3).contains(&extracted), "{extracted} shards: {:?}", after.finished());
}

#[test]
fn catalogues_are_shared_and_pairs_excluded() {
    let place = Workspace::new();
    place.write("catalog/all.ron", SMALL);
    place.write(
        "e.ron",
        r#"(include: ["catalog/all.ron"], evaluate: (models: ["pix*", "random"], protocols: "knn"), exclude: [(model: "random", protocol: ["kn?"])])"#,
    );
    let value = place.assay(&["run", "e.ron", "--device", "cpu", "--format", "json"]).ok().json();
    assert_eq!(value["schema"], "assay.results/2");
    let cells = value["cells"].as_array().unwrap();
    assert_eq!((cells.len(), cells[0]["model"].as_str()), (1, Some("pixels")));
    let csv = place.assay(&["show", "e.ron", "--format", "csv"]).ok().stdout;
    assert!(
        csv.starts_with(
            "model,task,protocol,metric,mean,half_width_95,low_95,high_95,count,of,key\npixels,glyphs,knn,accuracy,0."
        ),
        "{csv}"
    );
}

#[test]
fn gc_is_dry_by_default_and_keeps_what_is_reached() {
    let place = Workspace::new();
    place.write("e.ron", SMALL);
    place.run("e.ron").ok();
    place.write("less.ron", &SMALL.replace("\"knn\": Knn(k: 5),", ""));
    let dry = place.assay(&["gc", "less.ron", "--format", "json"]).ok().json();
    assert_eq!((dry["entries"].as_array().unwrap().len(), dry["deleted"].as_bool()), (2, Some(false)));
    assert_eq!(place.run("e.ron").ok().ran(), 0);
    place.assay(&["gc", "less.ron", "--delete"]).ok();
    assert_eq!(place.run("less.ron").ok().ran(), 0);
    assert_eq!(place.run("e.ron").ok().ran(), 2);
    assert!(place.assay(&["verify"]).ok().stdout.ends_with(" 0 damaged\n"));
}

#[test]
fn listings_are_documented_json() {
    let place = Workspace::new();
    for (arguments, schema) in [
        (&["models"][..], "assay.models/1"),
        (&["tasks"], "assay.tasks/1"),
        (&["protocols"], "assay.protocols/1"),
        (&["doctor"], "assay.doctor/1"),
        (&["status"], "assay.status/1"),
        (&["verify"], "assay.verify/1"),
    ] {
        let value = place.assay(&[arguments, &["--format", "json"]].concat()).ok().json();
        assert_eq!(value["schema"], schema);
    }
    assert!(place.assay(&["completions", "bash"]).ok().stdout.contains("_assay"));
    assert!(place.assay(&["protocols"]).ok().stdout.contains("FewShot"));
}
