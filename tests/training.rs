//! Training as a step: it learns, it repeats, it resumes.

#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use std::time::Duration;

use support::Workspace;

const TRAINING: &str = r#"(
    tasks: { "glyphs": (dataset: Glyphs(alphabets: 1, characters: 6, drawers: 12), image: (size: 28, resize: None, color: Grey)) },
    models: {
        "supervised": (backbone: Conv4(channels: 1, width: 8), weights: Trained(method: Supervised, on: "glyphs", steps: 130, batch: 16, lr: 3e-3), polarity: Inverted),
        "simclr": (backbone: Conv4(channels: 1, width: 8), weights: Trained(method: SimClr(), on: "glyphs", steps: 30, batch: 16, lr: 3e-3), polarity: Inverted),
    },
    protocols: { "5w1s": FewShot(ways: 5, shots: 1, queries: 5, episodes: 50) },
)"#;

fn trained(place: &Workspace, model: &str) -> (Vec<u8>, Vec<f64>) {
    let plan = place.assay(&["plan", "e.ron", "--all", "--format", "json"]).ok().json();
    let steps = plan["steps"].as_array().unwrap();
    let key =
        steps.iter().find(|s| s["label"] == format!("train/{model}")).unwrap()["key"].as_str().unwrap().to_owned();
    let store = assay_engine::Store::peek(&place.path().join("cache"));
    let entry = store.entry("weights", key.parse().unwrap()).unwrap().unwrap();
    let losses = serde_json::from_slice(&entry.files.get("losses.json").unwrap()).unwrap();
    (entry.files.get("weights.safetensors").unwrap().into_owned(), losses)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn training_lowers_its_loss_and_gives_the_same_bytes_twice() {
    let places = [Workspace::new(), Workspace::new()];
    for (place, jobs) in places.iter().zip(["1", "2"]) {
        place.write("e.ron", TRAINING);
        place.assay(&["run", "e.ron", "--device", "cpu", "--jobs", jobs]).ok();
    }
    for (model, length) in [("supervised", 130), ("simclr", 30)] {
        let (bytes, losses) = trained(&places[0], model);
        assert_eq!(losses.len(), length);
        assert!(mean(&losses[length - 10..]) < 0.9 * mean(&losses[..10]), "{model}: {losses:?}");
        assert!(bytes == trained(&places[1], model).0, "{model} differs between two runs");
    }
    assert_eq!(places[0].results("e.ron"), places[1].results("e.ron"));
}

#[test]
fn a_killed_training_goes_on_where_it_was_and_ends_the_same() {
    let whole = Workspace::new();
    whole.write("e.ron", TRAINING);
    whole.run("e.ron").ok();
    let place = Workspace::new();
    place.write("e.ron", TRAINING);
    let mut child = place.command(&["run", "e.ron", "--device", "cpu"]).spawn().unwrap();
    let kept = || {
        let work = place.path().join("cache/work");
        work.read_dir().is_ok_and(|mut d| d.any(|e| e.unwrap().path().join("training.safetensors").exists()))
    };
    while !kept() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it kept a checkpoint");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    place.run("e.ron").ok();
    assert!(trained(&place, "supervised").0 == trained(&whole, "supervised").0, "the resumed training ended elsewhere");
    assert!(!kept(), "the checkpoint is still there");
}

/// A small network on drawings of three characters; one search has a learning rate at which training diverges.
const FINETUNING: &str = r#"(
    tasks: { "glyphs": (dataset: Glyphs(alphabets: 1, characters: 3, drawers: 8, test_drawers: 4), image: (size: 16, resize: Stretch, color: Grey)) },
    models: { "conv": (backbone: Conv4(channels: 1, width: 4), weights: Random(seed: 0), polarity: Inverted) },
    protocols: {
        "search": Finetune(search: Grid(lr: [1e30, 0.1]), steps: 40, batch: 7, resamples: 10),
        "same": Finetune(search: Grid(lr: [0.1]), steps: 40, batch: 7, resamples: 10),
        "still": Finetune(search: Single(lr: 0), steps: 2, batch: 1000, resamples: 10),
        "diverges": Finetune(search: Single(lr: 1e30), steps: 9, batch: 7, resamples: 10),
    },
)"#;

#[test]
fn a_training_that_diverges_is_told_and_never_chosen() {
    let place = Workspace::new();
    place.write("e.ron", FINETUNING);
    let run = place.assay(&["run", "e.ron", "--format", "json"]).fails(1);
    assert!(run.stderr.contains("training diverged at step"), "{}", run.stderr);
    assert!(run.stderr.contains("lower `lr`"), "{}", run.stderr);
    let results = run.json();
    let cell = |protocol: &str| {
        results["cells"].as_array().unwrap().iter().find(|c| c["protocol"] == protocol).unwrap().clone()
    };
    assert_eq!(cell("diverges")["state"], "failed");
    let (searched, same) = (cell("search"), cell("same"));
    assert_eq!(searched["state"], "done");
    // The one that is left of two is the only one of the other protocol: the same training.
    assert_eq!(searched["summary"]["mean"], same["summary"]["mean"]);
    assert!(cell("still")["state"] == "done");
}

#[test]
fn trained_weights_can_be_exported_and_used() {
    let place = Workspace::new();
    place.write("e.ron", TRAINING);
    place.run("e.ron").ok();
    place.assay(&["export", "e.ron", "simclr", "w.safetensors"]).ok();
    place.assay(&["export", "e.ron", "simclr", "w.safetensors"]).fails(1);
    place.assay(&["export", "e.ron", "simclir", "x.safetensors"]).fails(2);
    let file = TRAINING.replace(
        "weights: Trained(method: SimClr(), on: \"glyphs\", steps: 30, batch: 16, lr: 3e-3)",
        "weights: File(path: \"w.safetensors\")",
    );
    place.write("f.ron", &file);
    place.run("f.ron").ok();
    let accuracy = |text: String| {
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        value["cells"].as_array().unwrap().iter().map(|c| c["summary"]["mean"].as_f64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(accuracy(place.results("e.ron")), accuracy(place.results("f.ron")));
}
