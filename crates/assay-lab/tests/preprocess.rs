//! From image files to normalised tensors, against Pillow and torchvision (`tests/reference/preprocess.py`).

#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;

use assay_data::{Color, Filter, ImageSpec, Picture, Resize, Size};
use assay_nn::{InputSpec, Range};
use serde_json::Value;

/// An IEEE half-precision number.
fn half(bytes: [u8; 2]) -> f64 {
    let bits = u16::from_le_bytes(bytes);
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let size = if exponent == 0 {
        fraction / 1024.0 * 2f64.powi(-14)
    } else {
        (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15)
    };
    if bits >> 15 == 1 { -size } else { size }
}

#[test]
fn tensors_are_those_of_torchvision() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/preprocess");
    let json: Value = serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let numbers = |name: &str| -> Vec<f32> {
        json[name].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
    };
    let (size, crop) = (json["size"].as_u64().unwrap() as u32, json["crop"].as_u64().unwrap() as u32);
    let input = InputSpec { range: Range::Unit, invert: false, mean: numbers("mean"), std: numbers("std") };
    let (size, crop_px) = (Size::square(size), Size::square(crop));
    let spec = |resize, filter| ImageSpec::new(Color::Rgb, resize, size, filter, crop_px, Vec::new());
    let specs = [spec(Resize::ShorterSide, Filter::Bicubic), spec(Resize::Stretch, Filter::Bilinear)];
    let bytes = std::fs::read(folder.join("expected.f16")).unwrap();
    let area = (crop * crop) as usize;
    let mut expected = bytes.chunks_exact(2 * 3 * area);
    for file in json["files"].as_array().unwrap() {
        let file = file.as_str().unwrap();
        let content = std::fs::read(folder.join(file)).unwrap();
        let picture = Picture::decode(&content, Color::Rgb).unwrap();
        for spec in &specs {
            let expected = expected.next().unwrap();
            let found = input.apply(&spec.apply(&picture).unwrap().pixels.data, 3);
            let differences = found.iter().zip(expected.chunks_exact(2)).enumerate().map(|(i, (found, expected))| {
                // In units of 1/255 of the range of pixels.
                (f64::from(*found) - half(expected.try_into().unwrap())).abs() * f64::from(input.std[i / area]) * 255.0
            });
            let differences: Vec<f64> = differences.collect();
            let largest = differences.iter().copied().fold(0.0, f64::max);
            let mean = differences.iter().sum::<f64>() / differences.len() as f64;
            // Half precision rounds by up to 0.06 of these units.
            assert!(largest <= 0.06 && mean <= 0.05, "{file} {:?}: largest {largest}, mean {mean}", spec.resize);
        }
    }
    assert!(expected.next().is_none());
}
