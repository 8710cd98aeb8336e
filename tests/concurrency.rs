//! Two processes on one store, and processes that are killed.

#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use std::time::Duration;

use support::{Outcome, Workspace};

/// Enough work to be interrupted in the middle of.
const LONGER: &str = r#"(
    tasks: { "glyphs": (dataset: Glyphs(alphabets: 4, characters: 20, drawers: 12), image: (size: 28, resize: None, color: Grey)) },
    models: {
        "a": (backbone: Conv4(channels: 1, width: 16), weights: Random(seed: 0), polarity: Inverted),
        "b": (backbone: Conv4(channels: 1, width: 16), weights: Random(seed: 1), polarity: Inverted),
        "c": (backbone: Conv4(channels: 1, width: 16), weights: Trained(method: Supervised, on: "glyphs", steps: 20, batch: 16), polarity: Inverted),
    },
    protocols: { "5w1s": FewShot(ways: 5, shots: 1, queries: 5, episodes: 200), "5w5s": FewShot(ways: 5, shots: 5, queries: 5, episodes: 200) },
)"#;

#[test]
fn two_processes_do_each_step_once() {
    let place = Workspace::new();
    place.write("e.ron", LONGER);
    let steps = place.assay(&["plan", "e.ron", "--format", "json"]).ok().json()["steps"].as_array().unwrap().len();
    let start = || place.command(&["run", "e.ron", "--device", "cpu"]).spawn().unwrap();
    let both = [start(), start()];
    let outcomes = both.map(|child| Outcome::from(child.wait_with_output().unwrap()).ok());
    assert_eq!(outcomes[0].ran() + outcomes[1].ran(), steps);
    assert_eq!(outcomes[0].stdout, outcomes[1].stdout);
    assert!(place.assay(&["verify"]).ok().stdout.contains(&format!("{steps} entries, 0 damaged")));
}

#[test]
fn twenty_kills_lose_nothing_that_was_finished() {
    let quiet = Workspace::new();
    quiet.write("e.ron", LONGER);
    quiet.run("e.ron").ok();
    let place = Workspace::new();
    place.write("e.ron", LONGER);
    let mut killed = 0;
    for i in 0..20u64 {
        let mut child = place.command(&["run", "e.ron", "--device", "cpu"]).spawn().unwrap();
        // Different moments: some before the first step, some in the middle of one.
        std::thread::sleep(Duration::from_millis(20 + i * 37 % 400));
        killed += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(place.assay(&["verify"]).ok().stdout.ends_with(" 0 damaged\n"));
    }
    assert!(killed > 0, "every run ended before it could be killed");
    place.run("e.ron").ok();
    assert_eq!(place.results("e.ron"), quiet.results("e.ron"));
    assert_eq!(place.run("e.ron").ok().ran(), 0);
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_cleanly() {
    let place = Workspace::new();
    place.write("e.ron", &LONGER.replace("steps: 20", "steps: 100000"));
    let child = place.command(&["run", "e.ron", "--device", "cpu"]).spawn().unwrap();
    while !place
        .path()
        .join("cache/work")
        .read_dir()
        .is_ok_and(|mut d| d.any(|e| e.unwrap().path().extension().is_some_and(|x| x == "resume")))
    {
        std::thread::sleep(Duration::from_millis(20));
    }
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let outcome = Outcome::from(child.wait_with_output().unwrap()).fails(130);
    assert!(outcome.stderr.contains("run again to go on from here"), "{}", outcome.stderr);
    assert!(place.assay(&["verify"]).ok().stdout.ends_with(" 0 damaged\n"));
    let status = place.assay(&["status", "--format", "json"]).ok().json();
    assert_eq!(status["in_progress"].as_array().unwrap().len(), 0);
}
