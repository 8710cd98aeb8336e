//! Maps of the stages of networks, of images that are no squares, against torch, torchvision and timm
//! (`tests/reference/stages.py`).

#![allow(clippy::unwrap_used)]

mod hashing;

use std::collections::BTreeMap;
use std::path::PathBuf;

use assay_nn::{
    Backbone, Builder, Checkpoint, FeaturePoint, ImageSize, Net, Pool, RawTensor, TensorFilter, Values, select,
};
use burn::tensor::{Tensor, TensorData};
use hashing::{cpu, hashed_tensors, image_of};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    backbone: Backbone,
    channels: usize,
    height: usize,
    width: usize,
    /// Without one, the weights are hashed.
    file: Option<String>,
    stages: Vec<Map>,
}

#[derive(Deserialize)]
struct Map {
    shape: [usize; 4],
    /// The largest number of the map.
    scale: f32,
    /// Every how many numbers one is in the sample.
    every: usize,
    numbers: Vec<f32>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference")
}

impl Case {
    fn size(&self) -> ImageSize {
        ImageSize { height: self.height, width: self.width }
    }

    fn tensors(&self) -> BTreeMap<String, RawTensor> {
        let Some(file) = &self.file else { return hashed_tensors(&self.backbone) };
        let checkpoint = Checkpoint::open(&folder().join("backbones").join(file), None).unwrap();
        select(&checkpoint, &TensorFilter::default(), &self.backbone.wanted()).unwrap().tensors
    }
}

fn cases() -> Vec<Case> {
    serde_json::from_slice(&std::fs::read(folder().join("stages.json")).unwrap()).unwrap()
}

fn build(backbone: &Backbone, tensors: &BTreeMap<String, RawTensor>) -> Net {
    backbone.build(&mut Builder::new(&cpu().device, Values::Given(tensors))).unwrap()
}

fn input(channels: usize, size: ImageSize) -> Tensor<4> {
    let data = TensorData::new(image_of(channels, size), [2, channels, size.height, size.width]);
    Tensor::from_data(data, &cpu().device)
}

fn numbers<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().iter::<f32>().collect()
}

/// Largest difference from the sample, relative to the largest number of the map.
fn error(found: &[f32], expected: &Map) -> f32 {
    let sample = found.iter().step_by(expected.every);
    assert_eq!(sample.len(), expected.numbers.len());
    sample.zip(&expected.numbers).fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs())) / expected.scale
}

#[test]
fn maps_are_those_of_the_original_libraries() {
    let cases = cases();
    assert!(cases.len() >= 12);
    for case in &cases {
        let stages = case.backbone.stages();
        let wanted: Vec<usize> = (1..=stages.len()).collect();
        assert_eq!(stages.len(), case.stages.len(), "{}", case.name);
        assert_eq!(case.backbone.size_problem(case.size()), None, "{}", case.name);
        for is_prepared in [false, true] {
            let net = build(&case.backbone, &case.tensors());
            let net = if is_prepared { net.for_inference(case.size()) } else { net };
            let found = net.stages(input(case.channels, case.size()), &wanted);
            for ((found, stage), expected) in found.into_iter().zip(&stages).zip(&case.stages) {
                let ImageSize { height, width } = case.backbone.map_size(stage, case.size());
                let at = format!("{} of {}", stage.name, case.name);
                assert_eq!(found.dims(), [2, stage.channels, height, width], "{at}");
                assert_eq!(found.dims(), expected.shape, "{at}");
                let worst = error(&numbers(found), expected);
                assert!(worst <= 1e-4, "{at}: off by {worst} of the largest number");
            }
        }
    }
}

#[test]
fn stages_come_in_the_order_in_which_they_are_wanted() {
    for case in cases().iter().filter(|case| case.stages.len() >= 3) {
        let net = build(&case.backbone, &case.tensors());
        let x = input(case.channels, case.size());
        let all: Vec<Vec<f32>> = net.stages(x.clone(), &[1, 2, 3]).into_iter().map(numbers).collect();
        let some: Vec<Vec<f32>> = net.stages(x.clone(), &[3, 1, 3]).into_iter().map(numbers).collect();
        assert!(some == [all[2].clone(), all[0].clone(), all[2].clone()], "{}", case.name);
        assert!(net.stages(x, &[]).is_empty());
    }
}

/// Whatever a network, features of an image that is no square are its maps, pooled.
#[test]
fn pooled_features_are_the_maps_pooled() {
    let specs = [
        r#"{ "ResNet": { "depths": [1, 1, 1, 1], "width": 8, "output_stride": 16 } }"#,
        r#"{ "DinoV2": { "size": { "Custom": { "width": 24, "depth": 3, "heads": 3 } }, "patch": 8, "trained_at": 32, "registers": 4 } }"#,
        r#"{ "Clip": { "size": { "Custom": { "width": 24, "depth": 3, "heads": 3 } }, "patch": 8, "trained_at": 32, "projected": 10 } }"#,
        r#"{ "ConvNeXt": { "size": { "Custom": { "depths": [1, 1, 1, 1], "width": 4 } } } }"#,
    ];
    let size = ImageSize { height: 40, width: 64 };
    for spec in specs {
        let backbone: Backbone = serde_json::from_str(spec).unwrap();
        let net = build(&backbone, &hashed_tensors(&backbone)).for_inference(size);
        let stages = backbone.stages();
        for stage in [1, 2] {
            let name = &stages[stage - 1].name;
            let map = net.stages(input(3, size), &[stage]).remove(0);
            let [b, c, h, w] = map.dims();
            let is_tokens = name.starts_with("block");
            let rows = map.clone().reshape([b, c, h * w]);
            let flat = if is_tokens { rows.clone().swap_dims(1, 2) } else { rows.clone() };
            for (pool, expected) in [(Pool::Flat, numbers(flat)), (Pool::Gap, numbers(rows.mean_dim(2)))] {
                let point = backbone.point(Some(name), Some(pool)).unwrap();
                let found = numbers(net.forward(input(3, size), &point));
                assert_eq!(found.len(), 2 * backbone.features(3, size, &point).unwrap(), "{spec} {name} {pool:?}");
                assert!(hashing::error(&found, &expected) <= 1e-6, "{spec} {name} {pool:?}");
            }
        }
        let end = numbers(net.forward(input(3, size), &FeaturePoint::END));
        assert_eq!(end.len(), 2 * backbone.features(3, size, &FeaturePoint::END).unwrap(), "{spec}");
    }
}

#[test]
fn images_that_do_not_fit_are_refused() {
    let vit: &Backbone = &serde_json::from_str(r#"{"ViT": {"size": "Small", "patch": 8}}"#).unwrap();
    let size = |height, width| ImageSize { height, width };
    let problem = |backbone: &Backbone, height, width| backbone.size_problem(size(height, width)).unwrap_or_default();
    assert_eq!(problem(vit, 224, 8), "");
    assert!(problem(vit, 224, 220).contains("224×220 is no multiple"), "{}", problem(vit, 224, 220));
    assert!(problem(vit, 4, 224).contains("at least 8×8"));
    assert!(problem(&Backbone::ResNet50, 31, 64).contains("at least 32×32 pixels, and these have 31×64"));
    assert_eq!(problem(&Backbone::ResNet50, 333, 517), "");
    assert_eq!(vit.features(3, size(224, 220), &FeaturePoint::END), None);
    assert_eq!(Backbone::Pixels.features(3, size(2, 5), &FeaturePoint::END), Some(30));
}

/// Keys hold backbones as they are written here.
#[test]
fn a_backbone_is_written_as_it_always_was() {
    let written = |text: &str| {
        let backbone: Backbone = serde_json::from_str(text).unwrap();
        (serde_json::to_string(&backbone).unwrap(), backbone)
    };
    let usual = r#"{"ResNet":{"block":"Bottleneck","depths":[3,4,6,3],"width":64,"groups":1,"group_width":64,"padding":"Torch"}}"#;
    assert_eq!(written(r#"{ "ResNet": {} }"#).0, usual);
    assert_eq!(written(r#"{ "ResNet": { "output_stride": 32 } }"#).0, usual);
    let (text, dilated) = written(r#"{ "ResNet": { "output_stride": 8 } }"#);
    assert_eq!(text, usual.replace("}}", r#","output_stride":8}}"#));
    // A dilated network is the same tensors.
    assert_eq!(dilated.tensors(), Backbone::ResNet50.tensors());
    assert_eq!(dilated.stages().iter().map(|stage| stage.stride).collect::<Vec<_>>(), [4, 8, 8, 8]);
    let (_, odd) = written(r#"{ "ResNet": { "output_stride": 4 } }"#);
    assert_eq!(odd.invalid_because(), Some("`output_stride` must be 32, 16 or 8"));
    for (text, expected) in [
        (r#""ResNet20""#, r#""ResNet20""#),
        (r#"{"Conv4":{}}"#, r#"{"Conv4":{"channels":3,"width":64}}"#),
        (
            r#"{"ViT":{"size":"Small"}}"#,
            r#"{"ViT":{"size":"Small","patch":16,"trained_at":224,"positions":"Bicubic"}}"#,
        ),
        (r#"{"DinoV2":{"size":"Small"}}"#, r#"{"DinoV2":{"size":"Small","registers":0,"patch":14,"trained_at":518}}"#),
        (r#"{"Clip":{}}"#, r#"{"Clip":{"size":"Base","patch":32,"trained_at":224}}"#),
        (r#"{"ConvNeXt":{"size":"Tiny"}}"#, r#"{"ConvNeXt":{"size":"Tiny"}}"#),
        (r#"{"MobileNetV2":{}}"#, r#"{"MobileNetV2":{"width":1.0}}"#),
    ] {
        assert_eq!(written(text).0, expected);
    }
}
