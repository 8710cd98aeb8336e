//! The full grid of logistic regression against scikit-learn, on the same features and threads, in one run.
//!
//! Python with scikit-learn is looked for in `$ASSAY_BENCH_PYTHON`, else `python3`; without it, only Assay's side is shown.

#![allow(clippy::print_stdout, clippy::disallowed_methods, clippy::unwrap_used)]

use std::io::Write as _;
use std::process::Command;
use std::time::Instant;

use assay_probe::{Design, Linear, ProbeError, Solved, Targets, Tolerance, solve_grid};
use assay_stats::Stream;

const N: usize = 5_000;
const TEST: usize = 1_000;
const DIM: usize = 2_048;
const CLASSES: usize = 100;
const LATENT: usize = 256;

/// Rectified random projections of Gaussian clusters with a falling spectrum: non-negative, correlated, not separable by luck.
fn features() -> (Vec<f32>, Vec<u32>) {
    let mut stream = Stream::new("bench", &[]);
    let scale: Vec<f64> = (1..=LATENT).map(|i| (i as f64).powf(-0.5)).collect();
    let norm = scale.iter().map(|s| s * s).sum::<f64>().sqrt();
    let means: Vec<f64> = (0..CLASSES * LATENT).map(|i| stream.normal() * scale[i % LATENT] * 0.45).collect();
    let projection: Vec<f64> = (0..LATENT * DIM).map(|_| stream.normal() / norm).collect();
    let mut values = Vec::with_capacity((N + TEST) * DIM);
    let mut labels = Vec::with_capacity(N + TEST);
    for _ in 0..N + TEST {
        let class = stream.below(CLASSES);
        let latent: Vec<f64> = (0..LATENT).map(|i| means[class * LATENT + i] + stream.normal() * scale[i]).collect();
        let mut row = vec![0.0; DIM];
        for (z, weights) in latent.iter().zip(projection.chunks_exact(DIM)) {
            row.iter_mut().zip(weights).for_each(|(r, w)| *r += z * w);
        }
        values.extend(row.iter().map(|v| (0.5 * (v + 0.3 * stream.normal() - 0.5)).max(0.0) as f32));
        labels.push(class as u32);
    }
    (values, labels)
}

/// 1 / logspace(−6, 5, 45) in single precision, as the study's grid.
fn grid() -> Vec<f64> {
    (0..45).map(|i| 1.0 / f64::from(10f64.powf(-6.0 + 11.0 * f64::from(i) / 44.0) as f32)).collect()
}

fn accuracy(linear: &Linear, rows: &[f32], labels: &[u32]) -> f64 {
    let logits = linear.quick_logits(rows);
    let best = |row: &[f64]| (0..CLASSES).fold(0, |best, k| if row[k] > row[best] { k } else { best });
    let right = logits.chunks_exact(CLASSES).zip(labels).filter(|(row, l)| best(row) == **l as usize).count();
    right as f64 / labels.len() as f64
}

const PYTHON: &str = r"
import sys, time, warnings
import numpy as np
from sklearn.linear_model import LogisticRegression
warnings.filterwarnings('ignore')
n, test, d = map(int, sys.argv[2:5])
raw = open(sys.argv[1], 'rb').read()
x = np.frombuffer(raw, '<f4', (n + test) * d).reshape(n + test, d).astype(float)
y = np.frombuffer(raw, '<u4', n + test, (n + test) * d * 4)
wd = np.logspace(-6, 5, 45).astype(np.float32).astype(float)
model = LogisticRegression(max_iter=100, warm_start=True)
for w in wd:
    model.C = 1 / w
    start = time.perf_counter()
    model.fit(x[:n], y[:n])
    took = time.perf_counter() - start
    start = time.perf_counter()
    LogisticRegression(C=1 / w, max_iter=100).fit(x[:n], y[:n])
    cold = time.perf_counter() - start
    p = model.predict_proba(x[:n])
    f = -np.log(np.maximum(p[np.arange(n), y[:n]], 1e-300)).sum() + w / 2 * (model.coef_ ** 2).sum()
    print(1 / w, f, model.score(x[n:], y[n:]), took, cold, flush=True)
";

fn main() {
    let (values, labels) = features();
    let (train, test) = values.split_at(N * DIM);
    let targets = Targets::Classes { labels: labels[..N].to_vec(), classes: CLASSES };
    let start = Instant::now();
    let design = Design::new(train.to_vec(), DIM).unwrap();
    println!("turned {:.2} s", start.elapsed().as_secs_f64());
    let mut ours: Vec<(Solved, f64)> = Vec::new();
    let mut scoring = 0.0;
    let placed = design.place(test.to_vec());
    solve_grid::<ProbeError>(&design, &targets, &grid(), None, Tolerance::default(), &mut |_, linear, solved| {
        let begin = Instant::now();
        ours.push((solved, accuracy(linear, &placed, &labels[N..])));
        scoring += begin.elapsed().as_secs_f64();
        Ok(())
    })
    .unwrap();
    let took = start.elapsed().as_secs_f64() - scoring;
    let iterations: usize = ours.iter().map(|o| o.0.iterations).sum();
    println!("assay: 45 values of C, {N} x {DIM}, {CLASSES} classes: {took:.2} s, {iterations} iterations");

    let dump = std::env::temp_dir().join("assay-bench-grid.bin");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&dump).unwrap());
    values.iter().for_each(|v| file.write_all(&v.to_le_bytes()).unwrap());
    labels.iter().for_each(|v| file.write_all(&v.to_le_bytes()).unwrap());
    file.flush().unwrap();
    let python = std::env::var("ASSAY_BENCH_PYTHON").unwrap_or_else(|_| "python3".into());
    let sizes = [N, TEST, DIM].map(|n| n.to_string());
    let output = Command::new(python).arg("-c").arg(PYTHON).arg(&dump).args(sizes).output();
    let text = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
    let theirs: Vec<Vec<f64>> = text.lines().map(|l| l.split(' ').filter_map(|v| v.parse().ok()).collect()).collect();
    let _ = std::fs::remove_file(&dump);
    println!(
        "{:>10} {:>14} {:>14} {:>9} {:>9} {:>6} {:>9}",
        "C", "ours", "scikit-learn", "excess", "gradient", "acc", "acc"
    );
    let (mut total, mut cold) = (0.0, 0.0);
    for (i, (solved, accuracy)) in ours.iter().rev().enumerate() {
        let row = theirs.get(i).filter(|r| r.len() == 5);
        total += row.map_or(0.0, |r| r[3]);
        cold += row.map_or(0.0, |r| r[4]);
        let excess = row.map_or(f64::NAN, |r| (solved.objective - r[1]) / r[1]);
        println!(
            "{:>10.3e} {:>14.6} {:>14.6} {:>9.1e} {:>9.1e} {:>6.4} {:>9.4} {} it{}",
            solved.c,
            solved.objective,
            row.map_or(f64::NAN, |r| r[1]),
            excess,
            solved.gradient_norm,
            accuracy,
            row.map_or(f64::NAN, |r| r[2]),
            solved.iterations,
            if solved.converged { "" } else { "  not converged" }
        );
    }
    if total > 0.0 {
        println!(
            "scikit-learn, each value from where the last ended, at most 100 iterations: {total:.2} s; ratio {:.1}",
            total / took
        );
        println!("scikit-learn, each value from zero, at most 100 iterations: {cold:.2} s; ratio {:.1}", cold / took);
    } else {
        println!("scikit-learn was not found: set ASSAY_BENCH_PYTHON to a Python that has it");
    }
}
