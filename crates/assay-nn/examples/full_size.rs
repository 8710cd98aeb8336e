//! Networks of full size against the features that other libraries compute, from the folder that
//! `tests/reference/backbones.py DIR` writes: prints the largest error of each, relative to its largest feature.

#![allow(clippy::print_stdout)]

#[path = "../tests/hashing/mod.rs"]
mod hashing;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, anyhow};
use assay_nn::device::{DeviceChoice, open};
use assay_nn::{Backbone, Builder, Checkpoint, Extractor, FeaturePoint, ImageSize, TensorFilter, Values, select};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    backbone: Backbone,
    side: usize,
    file: String,
    features: Vec<Vec<f32>>,
}

fn main() -> anyhow::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).context("which folder? see tests/reference/backbones.py")?);
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(folder.join("cases.json"))?)?;
    for case in cases {
        let device = open(DeviceChoice::Cpu).map_err(|e| anyhow!(e))?;
        let start = Instant::now();
        let checkpoint = Checkpoint::open(&folder.join(&case.file), None)?;
        let found = select(&checkpoint, &TensorFilter::default(), &case.backbone.wanted());
        let found = found.map_err(|e| anyhow!("{}: {e}", case.name))?;
        let net = case.backbone.build(&mut Builder::new(&device.device, Values::Given(&found.tensors)));
        let extractor =
            Extractor::new(&case.backbone, net, device, 3, ImageSize::square(case.side)).at(FeaturePoint::END);
        let loaded = start.elapsed();
        let start = Instant::now();
        let features = extractor.forward(hashing::image(3, case.side));
        let expected = case.features.concat();
        let took = start.elapsed();
        let error = hashing::error(&features, &expected);
        println!("{:<24} error {error:.1e}  loaded in {loaded:.1?}, two images in {took:.1?}", case.name);
    }
    Ok(())
}
