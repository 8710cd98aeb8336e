//! The experiment that a newcomer runs first.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::path::Path;

use support::Workspace;

#[test]
fn the_trained_models_beat_the_others_by_more_than_the_intervals() {
    let place = Workspace::new();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/fewshot.ron");
    let value = place.assay(&["run", file.to_str().unwrap(), "--device", "cpu", "--format", "json"]).ok().json();
    let score = |model: &str, protocol: &str| {
        let cells = value["cells"].as_array().unwrap();
        let cell = cells.iter().find(|c| c["model"] == model && c["protocol"] == protocol).unwrap();
        (cell["summary"]["mean"].as_f64().unwrap(), cell["summary"]["half_width"].as_f64().unwrap())
    };
    for protocol in ["5w1s", "5w5s", "20w1s"] {
        for trained in ["conv4-simclr", "conv4-supervised"] {
            for other in ["pixels", "conv4-random"] {
                let ((a, ha), (b, hb)) = (score(trained, protocol), score(other, protocol));
                assert!(a - ha > b + hb, "{trained} {a} ± {ha}, {other} {b} ± {hb} by {protocol}");
            }
        }
    }
    let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/weights");
    for entry in weights.read_dir().unwrap() {
        assert!(entry.unwrap().metadata().unwrap().len() < 600_000);
    }
}
