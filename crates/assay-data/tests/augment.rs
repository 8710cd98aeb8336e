//! Transforms of pictures, value for value those of torchvision (`tests/reference/augment.py`) for the same drawn numbers.

#![allow(clippy::unwrap_used)]

use std::io::Read;
use std::path::Path;

use assay_data::Picture;
use assay_data::augment::{Adjustment, Draws, Region, Shapes};
use serde_json::Value;

fn reference() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/augment.json.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn hex(text: &Value) -> Vec<u8> {
    let digit = |c: u8| char::from(c).to_digit(16).unwrap() as u8;
    text.as_str().unwrap().as_bytes().chunks(2).map(|c| digit(c[0]) << 4 | digit(c[1])).collect()
}

fn pair(value: &Value) -> (f64, f64) {
    (value[0].as_f64().unwrap(), value[1].as_f64().unwrap())
}

fn picture(table: &Value, case: &Value) -> Picture {
    let data = hex(&table["pictures"][case["picture"].as_u64().unwrap() as usize]);
    let (width, height) = pair(&table["size"]);
    let (width, height) = (width as usize, height as usize);
    Picture { width, height, channels: data.len() / (width * height), data }
}

#[test]
fn colours_and_blurs_are_those_of_torchvision() {
    let table = reference();
    for case in table["changes"].as_array().unwrap() {
        let factor = case["factor"].as_f64().unwrap();
        let change = match case["name"].as_str().unwrap() {
            "Brightness" => Adjustment::Brightness(factor),
            "Contrast" => Adjustment::Contrast(factor),
            "Saturation" => Adjustment::Saturation(factor),
            "Hue" => Adjustment::Hue(factor),
            _ => Adjustment::Grayscale,
        };
        assert_eq!(change.apply(&picture(&table, case)).data, hex(&case["out"]), "{change:?} of {}", case["picture"]);
    }
    for case in table["blurs"].as_array().unwrap() {
        let (side, sigma) = (case["side"].as_u64().unwrap() as usize, case["sigma"].as_f64().unwrap());
        let found = picture(&table, case).blurred(side, sigma).unwrap();
        assert_eq!(found.data, hex(&case["out"]), "{side} {sigma} of {}", case["picture"]);
    }
    let small = Picture { width: 3, height: 9, channels: 1, data: vec![0; 27] };
    for (side, sigma) in [(4, 1.0), (3, 0.0), (7, 1.0)] {
        assert!(small.blurred(side, sigma).is_err(), "{side} {sigma}");
    }
}

/// Numbers that were drawn before.
struct Recorded<'a>(std::slice::Iter<'a, Value>);

impl Draws for Recorded<'_> {
    fn uniform(&mut self, low: f64, high: f64) -> f64 {
        let value = self.0.next().unwrap().as_f64().unwrap();
        assert!((low - 1e-6..=high + 1e-6).contains(&value), "{value} is not in {low} … {high}");
        value
    }

    fn below(&mut self, n: usize) -> usize {
        let value = self.0.next().unwrap().as_u64().unwrap() as usize;
        assert!(value < n);
        value
    }
}

#[test]
fn regions_are_those_of_torchvision() {
    let table = reference();
    for (kind, is_crop) in [("crops", true), ("erased", false)] {
        for case in table[kind].as_array().unwrap() {
            let shapes = Shapes { scale: pair(&case["scale"]), ratio: pair(&case["ratio"]) };
            let (width, height) = pair(&case["size"]);
            let size = (width as usize, height as usize);
            let mut drawn = Recorded(case["drawn"].as_array().unwrap().iter());
            let found = if is_crop { Some(shapes.crop(size, &mut drawn)) } else { shapes.erased(size, &mut drawn) };
            let expected = case["region"].as_array().map(|list| {
                let side = |i: usize| list[i].as_u64().unwrap() as usize;
                Region { left: side(0), top: side(1), width: side(2), height: side(3) }
            });
            assert_eq!(found, expected, "{case}");
            assert!(drawn.0.next().is_none(), "numbers are left over: {case}");
        }
    }
}

#[test]
fn parts_are_cut_erased_and_mirrored() {
    let picture = Picture { width: 3, height: 2, channels: 1, data: vec![1, 2, 3, 4, 5, 6] };
    let region = Region { left: 1, top: 1, width: 2, height: 1 };
    assert_eq!(picture.cropped(region).data, [5, 6]);
    assert_eq!(picture.mirrored().data, [3, 2, 1, 6, 5, 4]);
    assert_eq!(picture.clone().erased(region, &[9]).data, [1, 2, 3, 4, 9, 9]);
    let beyond = Region { left: 2, top: 1, width: 7, height: 7 };
    assert_eq!(picture.erased(beyond, &[]).data, [1, 2, 3, 4, 5, 0]);
    let colours = Picture { width: 1, height: 1, channels: 3, data: vec![1, 2, 3] };
    let whole = Region { left: 0, top: 0, width: 1, height: 1 };
    assert_eq!(colours.erased(whole, &[7, 8, 9]).data, [7, 8, 9]);
}
