//! Weighted nearest neighbours (k = 20) among cached features, against numpy on the same features and threads, in one run.
//!
//! Python with numpy is looked for in `$ASSAY_BENCH_PYTHON`, else `python3`; without it, only Assay's side is shown.

#![allow(clippy::print_stdout, clippy::disallowed_methods, clippy::unwrap_used, missing_docs)]

use std::io::Write as _;
use std::process::Command;
use std::time::Instant;

use assay_nn::device::{DeviceChoice, open};
use assay_nn::knn_predictions;
use assay_stats::Stream;

const TRAIN: usize = 20_000;
const TEST: usize = 4_000;
const DIM: usize = 2_048;
const CLASSES: usize = 100;

const PYTHON: &str = r"
import sys, time
import numpy as np
n, test, d, classes = map(int, sys.argv[2:6])
raw = open(sys.argv[1], 'rb').read()
x = np.frombuffer(raw, '<f4', (n + test) * d).reshape(n + test, d)
y = np.frombuffer(raw, '<u4', n, (n + test) * d * 4)
start = time.perf_counter()
x = x / np.linalg.norm(x, axis=1, keepdims=True)
found = []
for i in range(n, n + test, 256):
    s = x[i:i + 256] @ x[:n].T
    top = np.argpartition(-s, 20, axis=1)[:, :20]
    w = np.exp(np.take_along_axis(s, top, 1).astype(float) / 0.07)
    votes = np.zeros((len(s), classes))
    np.add.at(votes, (np.arange(len(s))[:, None], y[top]), w)
    found.append(votes.argmax(1))
print(time.perf_counter() - start)
print(*np.concatenate(found))
";

fn main() {
    let mut stream = Stream::new("bench", &[]);
    let means: Vec<f32> = (0..CLASSES * DIM).map(|_| stream.normal() as f32 * 0.1).collect();
    let labels: Vec<u32> = (0..TRAIN + TEST).map(|_| stream.below(CLASSES) as u32).collect();
    let row = |label: &u32| &means[*label as usize * DIM..][..DIM];
    let values: Vec<f32> = labels.iter().flat_map(row).map(|m| m + stream.normal() as f32).collect();
    let device = open(DeviceChoice::Cpu).unwrap().device;
    let (train, test) = values.split_at(TRAIN * DIM);
    let start = Instant::now();
    let found = knn_predictions(train, &labels[..TRAIN], test, DIM, (20, 0.07), &device);
    let took = start.elapsed().as_secs_f64();
    println!("assay: {TEST} images among {TRAIN}, {DIM}-d: {took:.2} s");

    let dump = std::env::temp_dir().join("assay-bench-knn.bin");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&dump).unwrap());
    values.iter().for_each(|v| file.write_all(&v.to_le_bytes()).unwrap());
    labels.iter().for_each(|v| file.write_all(&v.to_le_bytes()).unwrap());
    file.flush().unwrap();
    let python = std::env::var("ASSAY_BENCH_PYTHON").unwrap_or_else(|_| "python3".into());
    let sizes = [TRAIN, TEST, DIM, CLASSES].map(|n| n.to_string());
    let output = Command::new(python).arg("-c").arg(PYTHON).arg(&dump).args(sizes).output();
    let text = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
    let _ = std::fs::remove_file(&dump);
    let mut lines = text.lines();
    let Some(theirs) = lines.next().and_then(|l| l.parse::<f64>().ok()) else {
        println!("numpy was not found: set ASSAY_BENCH_PYTHON to a Python that has it");
        return;
    };
    let predicted: Vec<u32> = lines.next().unwrap_or_default().split(' ').filter_map(|v| v.parse().ok()).collect();
    let same = predicted.iter().zip(&found).filter(|(a, b)| a == b).count();
    println!("numpy: {theirs:.2} s; ratio {:.1}; {same} of {TEST} predictions are the same", theirs / took);
}
