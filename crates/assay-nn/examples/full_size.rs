//! Networks of full size against the features that other libraries compute, from the folder that
//! `tests/reference/backbones.py DIR` writes: prints the largest error of each, relative to its largest feature.

#![allow(clippy::print_stdout)]

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, anyhow};
use assay_nn::device::{DeviceChoice, open};
use assay_nn::{Backbone, Builder, Checkpoint, Extractor, Selection, Tap, Values, select};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    backbone: Backbone,
    side: usize,
    file: String,
    features: Vec<Vec<f32>>,
}

/// `hashing.hashed` of the scripts.
fn hashed(count: usize, stream: u64) -> Vec<f32> {
    let hash = |i: u64| {
        let mut h = (i * 2_654_435_761 + stream * 40_503 + 12_345) & 0xffff_ffff;
        for _ in 0..2 {
            h ^= h >> 16;
            h = (h * 0x45d_9f3b) & 0xffff_ffff;
        }
        h ^ (h >> 16)
    };
    (0..count as u64).map(|i| (hash(i) as f64 / 2_147_483_648.0 - 1.0) as f32).collect()
}

fn main() -> anyhow::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).context("which folder? see tests/reference/backbones.py")?);
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(folder.join("cases.json"))?)?;
    for case in cases {
        let device = open(DeviceChoice::Cpu).map_err(|e| anyhow!(e))?;
        let start = Instant::now();
        let checkpoint = Checkpoint::open(&folder.join(&case.file), None)?;
        let found = select(&checkpoint, &Selection::default(), &case.backbone.wanted(&device.device));
        let found = found.map_err(|e| anyhow!("{}: {e}", case.name))?;
        let net = case.backbone.build(&mut Builder::new(&device.device, Values::Given(&found.tensors)));
        let extractor = Extractor::new(net, device, 3, case.side).at(Tap::END);
        let loaded = start.elapsed();
        let start = Instant::now();
        let features = extractor.forward(hashed(2 * 3 * case.side * case.side, 77));
        let expected = case.features.concat();
        anyhow::ensure!(features.len() == expected.len(), "{}: {} features", case.name, features.len());
        let scale = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        let worst = features.iter().zip(&expected).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
        println!(
            "{:<24} error {:.1e}  loaded in {loaded:.1?}, two images in {:.1?}",
            case.name,
            worst / scale,
            start.elapsed()
        );
    }
    Ok(())
}
