//! Boxes, masks and normals go the way of the pixels: by hand, and as torchvision and Pillow take them.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use assay_data::{
    BoundingBox, ClassMap, Color, Filter, Geometry, ImageSpec, ImageStep, NormalMap, NormalSampling, Picture, Resize,
    Size,
};
use serde_json::Value;

fn object(x0: f32, y0: f32, x1: f32, y1: f32) -> BoundingBox {
    BoundingBox { x0, y0, x1, y1, class: 7, difficult: true, crowd: false }
}

fn sides(b: &BoundingBox) -> [f32; 4] {
    [b.x0, b.y0, b.x1, b.y1]
}

#[test]
fn boxes_and_masks_are_those_of_torchvision_and_pillow() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/geometry.json");
    let cases: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut gone = 0;
    for case in cases.as_array().unwrap() {
        let pair = |name: &str| [0, 1].map(|i| case[name][i].as_u64().unwrap() as usize);
        let [width, height] = pair("source");
        let size = |name: &str| Size { width: pair(name)[0] as u32, height: pair(name)[1] as u32 };
        let resize: Resize = serde_json::from_value(case["resize"].clone()).unwrap();
        let spec = ImageSpec::new(Color::Grey, resize, size("size"), Filter::Nearest, size("crop"), Vec::new());
        let values: Vec<u8> =
            (0..height).flat_map(|y| (0..width).map(move |x| ((x * 31 + y * 17) % 251) as u8)).collect();
        let picture = Picture { width, height, channels: 1, data: values.clone() };
        let mut prepared = spec.apply(&picture).unwrap();
        if case["flip"].as_bool().unwrap() {
            prepared = prepared.flipped();
        }
        let geometry = &prepared.geometry;
        let mask = geometry.map_mask(&ClassMap { width, height, classes: values }).unwrap();
        let expected: Vec<u8> = case["mask"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u8).collect();
        assert_eq!(mask.classes, expected, "{case}");
        assert_eq!((mask.width, mask.height), (prepared.pixels.width, prepared.pixels.height), "{case}");
        // What the nearest pixel gives of the image is the mask, but for the padding.
        let padded = prepared.pixels.data.iter().zip(&mask.classes).filter(|(p, m)| p != m);
        assert!(padded.clone().all(|(p, m)| (*p, *m) == (0, ClassMap::NONE)), "{case}");
        let quads = |name: &str| -> Vec<[f32; 4]> { serde_json::from_value(case[name].clone()).unwrap() };
        for (share, expected) in quads("input").into_iter().zip(quads("boxes")) {
            let (w, h) = (width as f32, height as f32);
            let source = object(share[0] * w, share[1] * h, share[2] * w, share[3] * h);
            let is_empty = expected[2] <= expected[0] || expected[3] <= expected[1];
            gone += usize::from(is_empty);
            match geometry.map_box(&source) {
                None => assert!(is_empty, "{share:?} is lost in {case}"),
                Some(found) => {
                    let worst = sides(&found).into_iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                    assert!(worst < 1e-4, "{found:?} for {expected:?} in {case}");
                    assert_eq!((found.class, found.difficult), (7, true));
                }
            }
        }
    }
    assert!(gone > 0, "a box that leaves the picture is among them");
}

#[test]
fn a_way_is_composed_of_its_steps() {
    // 4 × 2, made twice as large, cut from (2, 1) on, turned round.
    let way = Geometry::identity(4, 2).resized(8, 4).cropped(2, 1, 5, 4).flipped();
    assert_eq!((way.width(), way.height(), way.source_size()), (5, 4, (4, 2)));
    assert_eq!((way.x().scale, way.x().offset, way.y().scale, way.y().offset), (-2.0, 7.0, 2.0, -1.0));
    // x: 1..2 → 2..4 → 0..2 → 3..5; y: 0..1 → 0..2 → −1..1 → 0..1
    assert_eq!(sides(&way.map_box(&object(1.0, 0.0, 2.0, 1.0)).unwrap()), [3.0, 0.0, 5.0, 1.0]);
    // Left of the cut, without area, not a number.
    for nothing in [object(0.0, 0.0, 1.0, 2.0), object(2.0, 0.0, 2.0, 1.0), object(f32::NAN, 0.0, 2.0, 1.0)] {
        assert_eq!(way.map_box(&nothing), None);
    }
    let mask = ClassMap { width: 4, height: 2, classes: vec![0, 1, 2, 3, 4, 5, 6, 7] };
    let none = ClassMap::NONE;
    let rows = [[3, 2, 2, 1, 1], [7, 6, 6, 5, 5], [7, 6, 6, 5, 5], [none; 5]];
    assert_eq!(way.map_mask(&mask).unwrap().classes, rows.concat());
    let other = ClassMap { width: 2, height: 4, ..mask };
    assert!(way.map_mask(&other).unwrap_err().to_string().contains("mask has 2×4 pixels, and the image 4×2"));
}

#[test]
fn every_resize_takes_the_nearest_pixel_of_the_one_before() {
    let before = vec![ImageStep::Stretch(3, 3, Filter::Bilinear), ImageStep::PadToSquare(9)];
    let (size, crop) = (Size { height: 2, width: 5 }, Size { height: 2, width: 5 });
    let spec = ImageSpec::new(Color::Grey, Resize::Stretch, size, Filter::Bicubic, crop, before);
    let way = spec.geometry(7, 1).unwrap();
    let mask = ClassMap { width: 7, height: 1, classes: (0..7).collect() };
    // To 3: pixels 1, 3, 5. From 3 to 5: the first, first, second, third, third; one step of 7 to 5 gives 0, 2, 3, 4, 6.
    assert_eq!(way.map_mask(&mask).unwrap().classes, [1, 1, 3, 5, 5, 1, 1, 3, 5, 5]);
}

#[test]
fn normals_stay_unit_vectors_and_turn_round_with_the_picture() {
    let (left, up) = ([0.6, 0.0, 0.8], [0.0, 0.6, 0.8]);
    let map = NormalMap { width: 2, height: 1, normals: vec![left, up] };
    let way = Geometry::identity(2, 1).resized(4, 1).cropped(-1, 0, 5, 1).flipped();
    let turned = [-0.6, 0.0, 0.8];
    let none = NormalMap::NONE;
    let nearest = way.map_normals(&map, NormalSampling::Nearest).unwrap();
    assert_eq!(nearest.normals, [up.map(|v| v + 0.0), up, turned, turned, none]);
    let smooth = way.map_normals(&map, NormalSampling::Bilinear).unwrap().normals;
    // A quarter of one and three of the other: (0.45, 0.15, 0.8) made 1 long, x turned round.
    let length = (0.45f32 * 0.45 + 0.15 * 0.15 + 0.64).sqrt();
    let expected = [-0.45 / length, 0.15 / length, 0.8 / length];
    assert!(smooth[2].into_iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{smooth:?}");
    assert_eq!((smooth[3], smooth[4]), (turned, none));
    // Twice round is where it was.
    let twice = Geometry::identity(2, 1).flipped().flipped();
    assert_eq!(twice.map_normals(&map, NormalSampling::Nearest).unwrap(), map);
    // What is not known, and what has no direction, stays unknown.
    let holes = NormalMap { width: 2, height: 1, normals: vec![left, none] };
    let grown = Geometry::identity(2, 1).resized(4, 1).map_normals(&holes, NormalSampling::Bilinear).unwrap();
    assert_eq!(grown.normals, [left, none, none, none]);
    let opposite = NormalMap { width: 2, height: 1, normals: vec![left, left.map(|v| -v)] };
    let between = Geometry::identity(2, 1).resized(1, 1).map_normals(&opposite, NormalSampling::Bilinear).unwrap();
    assert_eq!(between.normals, [none]);
}

/// The picture of a sphere seen from the front, mirrored, is the same sphere.
#[test]
fn a_mirrored_sphere_is_a_sphere() {
    let side = 33usize;
    let normal = |x: usize, y: usize| {
        let at = |v: usize| (v as f32 - 16.0) / 16.5;
        let (x, y) = (at(x), at(y));
        let z = 1.0 - x * x - y * y;
        if z <= 0.0 { NormalMap::NONE } else { [x, y, z.sqrt()] }
    };
    let normals = (0..side).flat_map(|y| (0..side).map(move |x| normal(x, y))).collect();
    let map = NormalMap { width: side, height: side, normals };
    let way = Geometry::identity(side, side).flipped();
    assert_eq!(way.map_normals(&map, NormalSampling::Bilinear).unwrap(), map);
}
