//! Every container, mode and packing against Pillow 13 (`tests/reference/pillow_formats.py`), and damaged ones.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use assay_data::{Color, ImageError, Picture};
use serde_json::Value;

struct Case {
    bytes: Vec<u8>,
    /// Width and height, values of RGB, and of grey where they do not follow from the former; or nothing where Pillow refuses.
    expected: Option<Expected>,
}

type Expected = ((usize, usize), Vec<u8>, Option<Vec<u8>>);

fn hex(text: &Value) -> Vec<u8> {
    let digit = |c: u8| char::from(c).to_digit(16).unwrap() as u8;
    text.as_str().unwrap().as_bytes().chunks(2).map(|c| digit(c[0]) << 4 | digit(c[1])).collect()
}

fn cases() -> BTreeMap<String, Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/formats.json.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    let table: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap();
    let side = |case: &Value, i: usize| case["size"][i].as_u64().unwrap() as usize;
    let case = |case: Value| Case {
        bytes: hex(&case["bytes"]),
        expected: case.get("rgb").map(|rgb| ((side(&case, 0), side(&case, 1)), hex(rgb), case.get("grey").map(hex))),
    };
    table.into_iter().map(|(name, value)| (name, case(value))).collect()
}

/// What Pillow reads and Assay does not.
const NOT_READ: [&str; 11] = [
    "avif.avif",
    "bilevel_tiff_ccitt.tif",
    "bilevel_white_tiff_ccitt.tif",
    "dds.dds",
    "jp2.jp2",
    "lzma.tif",
    "pcx.pcx",
    "sgi.sgi",
    // Pillow fills a strip that is missing with black.
    "strips_missing.tif",
    "xbm.xbm",
    "zstd.tif",
];

/// What Assay reads and Pillow does not: PAM, and BigTIFF with the highest byte first.
const READ_BESIDE: [&str; 3] = ["bigtiff_big.tif", "grey.pam", "rgb.pam"];

#[test]
fn pixels_are_those_of_pillow_13_and_what_it_refuses_is_refused() {
    let mut wrong = Vec::new();
    let cases = cases();
    assert!(cases.len() > 380, "{} cases", cases.len());
    for (name, Case { bytes, expected }) in cases {
        let found = Picture::decode(&bytes, Color::Rgb);
        let grey = Picture::decode(&bytes, Color::Grey);
        let name = name.as_str();
        let what = match (&found, &expected) {
            (Err(_), None) if grey.is_err() => continue,
            (Err(ImageError::NotRead(_) | ImageError::Damaged(_)), Some(_)) if NOT_READ.contains(&name) => continue,
            (Ok(_), None) if READ_BESIDE.contains(&name) => continue,
            (Ok(found), Some((size, rgb, shades))) => {
                let shades = shades.clone().unwrap_or_else(|| found.clone().into_color(Color::Grey).data);
                let worst = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max();
                if (found.width, found.height) == *size && found.data == *rgb && grey.as_ref().unwrap().data == shades {
                    continue;
                }
                format!("{:?} {:?}, worst {:?}", (found.width, found.height), size, worst(&found.data, rgb))
            }
            (Ok(_), None) => "it is read, and Pillow refuses it".to_owned(),
            (Err(error), _) => error.to_string(),
        };
        wrong.push(format!("{name}: {what}"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_not_read_is_named() {
    let ftyp = |brand: &str| [b"\0\0\0\x18ftyp", brand.as_bytes(), &[0; 12]].concat();
    let mut dicom = vec![0; 200];
    dicom[128..132].copy_from_slice(b"DICM");
    let cases = cases();
    for (bytes, said) in [
        (ftyp("heic"), "HEIC"),
        (ftyp("avif"), "AVIF"),
        (ftyp("isom"), "a video"),
        (b"\xff\x0a\0\0".to_vec(), "JPEG XL"),
        (dicom, "DICOM"),
        (b"\0\0\x02\0\x01\0".to_vec(), "cursor"),
        (cases["jp2.jp2"].bytes.clone(), "JPEG 2000"),
        (cases["twelve_bits.jpg"].bytes.clone(), "precision 12"),
        (cases["zstd.tif"].bytes.clone(), "Zstandard"),
        (cases["lab.tif"].bytes.clone(), "photometric interpretation 8"),
        (cases["444_fields.bmp"].bytes.clone(), "0xf00"),
    ] {
        let error = Picture::decode(&bytes, Color::Rgb).unwrap_err();
        assert!(matches!(error, ImageError::NotRead(_)) && error.to_string().contains(said), "{said}: {error}");
    }
}

/// Numbers that follow from the one before.
fn next(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

/// Some bytes changed, or the end cut off, of every file: an error or a picture, and its size is bounded.
#[test]
fn damaged_files_are_errors_or_pictures() {
    let rounds = 60;
    let mut state = 13;
    let (mut read, mut refused) = (0, 0);
    for (name, case) in cases() {
        for round in 0..rounds {
            let mut bytes = case.bytes.clone();
            for _ in 0..1 + round % 3 {
                let length = bytes.len().max(1);
                // Headers are where numbers are that a decoder believes.
                let at = if next(&mut state).is_multiple_of(2) {
                    next(&mut state) % length.min(64)
                } else {
                    next(&mut state) % length
                };
                let value = [0, 0xff, 0x80, 1, next(&mut state) as u8][next(&mut state) % 5];
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            }
            if round % 4 == 3 {
                bytes.truncate(next(&mut state) % bytes.len().max(1));
            }
            match Picture::decode(&bytes, Color::Rgb) {
                Ok(picture) => {
                    read += 1;
                    assert!(picture.width > 0 && picture.height > 0, "{name}");
                    assert_eq!(picture.data.len(), picture.width * picture.height * picture.channels, "{name}");
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(read > 100 && refused > 100, "{read} read, {refused} refused");
}
