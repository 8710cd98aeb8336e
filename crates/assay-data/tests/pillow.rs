//! Resizing against fixtures made by Pillow (`tests/reference/pillow_resize*.py`), and files that are no pictures.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use assay_data::{Color, Filter, ImageError, Picture, Pillow, resize};
use serde_json::Value;

fn reference(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference").join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// `hashing.pixels` of the scripts.
fn pixels(count: usize, stream: u64) -> Vec<u8> {
    let hash = |i: u64| {
        let mut h = (i * 2_654_435_761 + stream * 40_503 + 12_345) & 0xffff_ffff;
        for _ in 0..2 {
            h ^= h >> 16;
            h = (h * 0x45d_9f3b) & 0xffff_ffff;
        }
        h ^ (h >> 16)
    };
    (0..count as u64).map(|i| (((hash(i) as f64 / 2_147_483_648.0 - 1.0) + 1.0) * 128.0) as u8).collect()
}

/// The image of a case of `pillow_resize.py`.
fn source(number: u64, width: usize, height: usize, channels: usize) -> Picture {
    let mut data = pixels(width * height * channels, 1000 + number);
    if number % 2 == 1 {
        for (i, value) in data.iter_mut().enumerate() {
            let (x, y, k) = (i / channels % width, i / channels / width, i % channels);
            *value = ((x * (3 + k) + y * 5 + usize::from(*value) / 8) % 256) as u8;
        }
    }
    Picture { width, height, channels, data }
}

#[test]
fn resizing_is_that_of_pillow() {
    for (name, pillow) in [("pillow_resize", Pillow::V12), ("pillow_resize_13", Pillow::V13)] {
        let index: Value = serde_json::from_slice(&reference(&format!("{name}.json"))).unwrap();
        let blob = reference(&format!("{name}.bin"));
        let cases = index.as_array().unwrap();
        assert_eq!(cases.len(), 52);
        check(cases, &blob, pillow);
    }
}

fn check(cases: &[Value], blob: &[u8], pillow: Pillow) {
    for case in cases {
        let number = |path: &str| case.pointer(path).unwrap().as_u64().unwrap() as usize;
        let filter: Filter = serde_json::from_value(case["filter"].clone()).unwrap();
        let picture = source(number("/case") as u64, number("/from/0"), number("/from/1"), number("/from/2"));
        let found = resize(&picture, number("/to/0"), number("/to/1"), filter, pillow);
        let expected = &blob[number("/offset")..][..number("/length")];
        let worst = found.data.iter().zip(expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert_eq!((worst, found.data.len()), (0, expected.len()), "{case}");
    }
}

#[test]
fn bad_images_are_errors() {
    let decode = |bytes: &[u8]| Picture::decode(bytes, Color::Rgb).unwrap_err();
    assert!(matches!(decode(b""), ImageError::Empty));
    assert!(decode(b"hello, I am a text file").to_string().contains("it is text"));
    assert!(matches!(decode(&[0, 1, 2, 3, 4, 5]), ImageError::NotAnImage(_)));
    let jpeg = reference("preprocess/jpeg-444-baseline-80.jpg");
    assert!(matches!(decode(&jpeg[..jpeg.len() / 3]), ImageError::Damaged(_)));
    let png = reference("preprocess/png-rgb.png");
    for cut in [9, 30, png.len() / 2, png.len() - 40] {
        assert!(matches!(decode(&png[..cut]), ImageError::Damaged(_)), "cut at {cut}");
    }
}

/// A header that promises 60,000 × 60,000 pixels takes no memory.
#[test]
fn a_huge_header_is_refused() {
    let mut png = vec![0x89, b'P', b'N', b'G', 13, 10, 26, 10, 0, 0, 0, 13];
    let mut header = b"IHDR".to_vec();
    header.extend(60_000u32.to_be_bytes());
    header.extend(60_000u32.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    png.extend(&header);
    png.extend(crc32(&header).to_be_bytes());
    png.extend([0, 0, 0, 0, b'I', b'D', b'A', b'T', 0x35, 0xaf, 0x06, 0x1e]);
    let error = Picture::decode(&png, Color::Rgb).unwrap_err();
    assert!(matches!(error, ImageError::TooLarge(_)), "{error}");
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| if c & 1 == 1 { 0xedb8_8320 ^ (c >> 1) } else { c >> 1 })
    };
    !bytes.iter().fold(!0, step)
}
