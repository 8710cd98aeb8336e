//! Numbers that Rust and Python can both make; see `tests/reference/hashing.py`.

#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeMap;

use assay_nn::device::{DeviceChoice, OpenDevice, open};
use assay_nn::{Backbone, Dtype, ImageSize, RawTensor};

pub fn cpu() -> OpenDevice {
    open(DeviceChoice::Cpu).unwrap()
}

/// `hashing.hashed` of the scripts.
pub fn hashed(count: usize, stream: u64) -> Vec<f64> {
    let hash = |i: u64| {
        let mut h = (i * 2_654_435_761 + stream * 40_503 + 12_345) & 0xffff_ffff;
        for _ in 0..2 {
            h ^= h >> 16;
            h = (h * 0x45d_9f3b) & 0xffff_ffff;
        }
        h ^ (h >> 16)
    };
    (0..count as u64).map(|i| hash(i) as f64 / 2_147_483_648.0 - 1.0).collect()
}

/// `hashing.tensors` of the scripts.
pub fn hashed_tensors(backbone: &Backbone) -> BTreeMap<String, RawTensor> {
    hashed_file(backbone.tensors())
}

/// The same of any tensors.
pub fn hashed_file(mut shapes: Vec<assay_nn::TensorShape>) -> BTreeMap<String, RawTensor> {
    shapes.sort_by(|a, b| a.name.cmp(&b.name));
    let tensor = |(k, spec): (u64, assay_nn::TensorShape)| {
        let values = hashed(spec.shape.iter().product(), k);
        let fan_in = spec.shape[1..].iter().product::<usize>() as f64;
        let value = |v: f64| match spec.shape.len() {
            _ if spec.name.ends_with("running_var") => 1.0 + 0.3 * v,
            1 if spec.name.ends_with("weight") => 1.0 + 0.1 * v,
            1 => 0.1 * v,
            _ => v * (6.0 / fan_in).sqrt(),
        };
        let bytes = values.into_iter().flat_map(|v| (value(v) as f32).to_le_bytes()).collect();
        (spec.name.clone(), RawTensor { dtype: Dtype::F32, shape: spec.shape, bytes })
    };
    (1..).zip(shapes).map(tensor).collect()
}

/// The two images that the scripts compute features of: 2 × channels × side × side numbers.
pub fn image(channels: usize, side: usize) -> Vec<f32> {
    image_of(channels, ImageSize::square(side))
}

/// The same of any height and width.
pub fn image_of(channels: usize, size: ImageSize) -> Vec<f32> {
    hashed(2 * channels * size.area(), 77).into_iter().map(|v| v as f32).collect()
}

/// The largest difference, relative to the largest of the expected numbers.
pub fn error(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    found.iter().zip(expected).fold(0.0f32, |m, (a, b)| m.max((a - b).abs())) / scale
}
