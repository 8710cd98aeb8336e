//! A run of some 10,000 steps that are all in the store: time and peak memory of the whole process.

#![allow(clippy::print_stdout, missing_docs)]

use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn experiment(models: usize, protocols: usize) -> String {
    let mut text = String::from(
        "(\n tasks: { \"t\": (dataset: Glyphs(alphabets: 1, characters: 5, drawers: 6), image: (size: 28, resize: None, color: Grey)) },\n models: {\n",
    );
    for i in 0..models {
        let _ = writeln!(text, "  \"m{i}\": (backbone: Conv4(channels: 1, width: 1), weights: Random(seed: {i})),");
    }
    text.push_str(" },\n protocols: {\n");
    for i in 0..protocols {
        let _ = writeln!(text, "  \"p{i}\": FewShot(ways: 2, shots: 1, queries: 1, episodes: 2, seed: {i}),");
    }
    text.push_str(" },\n)\n");
    text
}

fn main() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("e.ron");
    std::fs::write(&file, experiment(100, 98)).expect("writing the experiment");
    let run = || {
        let start = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_assay"))
            .args(["run", "--quiet", "--device", "cpu", "--store"])
            .arg(dir.path().join("store"))
            .arg(&file)
            .stdout(Stdio::null())
            .spawn()
            .expect("starting assay");
        let mut peak = 0;
        while child.try_wait().expect("waiting").is_none() {
            peak = peak.max(peak_kb(child.id()).unwrap_or(0));
            std::thread::sleep(Duration::from_millis(2));
        }
        (start.elapsed().as_secs_f64(), peak)
    };
    let (first, _) = run();
    let entries = std::fs::read_dir(dir.path().join("store/steps"))
        .map_or(0, |kinds| kinds.flatten().map(|k| count(&k.path())).sum::<usize>());
    println!("no-op run of {entries} steps (made in {first:.1} s)");
    let mut runs: Vec<(f64, u64)> = (0..7).map(|_| run()).collect();
    runs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let peak = runs.iter().map(|r| r.1).max().unwrap_or(0);
    println!(
        "  median {:.3} s, least {:.3} s, most {:.3} s; peak memory {} MB",
        runs[3].0,
        runs[0].0,
        runs[6].0,
        peak / 1024
    );
}

fn count(kind: &std::path::Path) -> usize {
    let prefixes = std::fs::read_dir(kind).into_iter().flatten().flatten();
    prefixes.map(|p| std::fs::read_dir(p.path()).map_or(0, Iterator::count)).sum()
}

/// Peak memory of a process; Linux only.
fn peak_kb(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?.trim().trim_end_matches(" kB").parse().ok()
}
