//! A plan of many steps that are all in the store: time of planning and running it, memory, and what the store takes on disk.
//! `NO_OP_STEPS` says how many (default: 100,000).

#![allow(clippy::print_stdout, clippy::disallowed_methods, missing_docs)]

use std::time::Instant;

use assay_engine::{CancelToken, Context, Executor, Json, Options, Output, Plan, Step, Store, WrittenAt};
use serde::Serialize;

/// As long a recipe as one of a few-shot evaluation.
#[derive(Serialize)]
struct Shard {
    seed: usize,
    image: &'static str,
    numeric: &'static str,
}

impl Step<()> for Shard {
    const KIND: &'static str = "features";
    const VERSION: u32 = 1;
    type Output = Json<Vec<f64>>;

    fn run(&self, _: &Context<'_, ()>) -> anyhow::Result<Self::Output> {
        Ok(Json(vec![0.125; 64]))
    }
}

#[derive(Serialize)]
struct Score {
    features: Vec<Output<Json<Vec<f64>>>>,
    episodes: Output<Json<Vec<f64>>>,
    #[serde(rename = "distance")]
    distance: &'static str,
    normalize: bool,
}

impl Step<()> for Score {
    const KIND: &'static str = "few-shot";
    const VERSION: u32 = 1;
    type Output = Json<Vec<f64>>;

    fn run(&self, _: &Context<'_, ()>) -> anyhow::Result<Self::Output> {
        Ok(Json(vec![0.5; 8]))
    }
}

fn plan(steps: usize) -> (Plan<()>, Vec<Output<Json<Vec<f64>>>>) {
    let side = (steps as f64).sqrt() as usize;
    let (mut plan, mut outputs) = (Plan::default(), Vec::new());
    let mut shard = |label: String, seed| {
        let step = Shard { seed, image: "28 px, no resizing, grey", numeric: "f32" };
        plan.add(label, step, vec![WrittenAt::new("", "models")]).expect("a recipe")
    };
    let models: Vec<_> = (0..side).map(|i| shard(format!("features/{i}"), i)).collect();
    let episodes: Vec<_> = (0..side).map(|i| shard(format!("episodes/{i}"), side + i)).collect();
    for (i, features) in models.iter().enumerate() {
        for (j, episodes) in episodes.iter().enumerate() {
            let step =
                Score { features: vec![*features], episodes: *episodes, distance: "Euclidean", normalize: false };
            let places = ["", "/manifest", "/fit", "/choose", "/test"]
                .map(|part| WrittenAt::new(part, format!("protocols.p{j}")));
            let output = plan.add(format!("score/m{i}/t/p{j}"), step, places.to_vec()).expect("a recipe");
            plan.want(&output);
            outputs.push(output);
        }
    }
    (plan, outputs)
}

fn run(steps: usize, store: &Store) -> (f64, f64, usize) {
    let start = Instant::now();
    let (plan, outputs) = plan(steps);
    let planned = start.elapsed().as_secs_f64();
    let (host, program, devices) = (String::new(), String::new(), vec![]);
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let (memory_bytes, keep_going, now_unix) = (None, true, || 0);
    let options = Options { jobs, memory_bytes, devices, keep_going, host, program, now_unix };
    let (events, cancel) = (|_: &_| {}, CancelToken::default());
    let executor = Executor {
        plan: &plan,
        store,
        runtime: &(),
        options: &options,
        events: &events,
        found: &|_, _| {},
        cancel: &cancel,
    };
    let summary = executor.run().expect("the store can be listed");
    // As results are read after a run.
    for output in outputs {
        store.read(&output).expect("it is whole");
    }
    (planned, start.elapsed().as_secs_f64(), summary.ran)
}

fn main() {
    let steps = std::env::var("NO_OP_STEPS").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let root = dir.path().join("store");
    let store = || Store::open(&root).expect("a store");
    let (_, first, ran) = run(steps, &store());
    println!("{ran} steps made in {first:.1} s");
    let mut runs: Vec<(f64, f64, usize)> = (0..7).map(|_| run(steps, &store())).collect();
    runs.sort_by(|a, b| a.1.total_cmp(&b.1));
    println!("  no-op: planned in {:.3} s, all in {:.3} s (median), {:.3} s (least)", runs[3].0, runs[3].1, runs[0].1);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    println!(
        "  peak memory, the first run included: {}",
        status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or("?")
    );
}
