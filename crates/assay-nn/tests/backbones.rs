//! Backbones against the features of torchvision, timm, open_clip and Hugging Face (`tests/reference/backbones.py`).

#![allow(clippy::unwrap_used)]

mod hashing;

use std::path::PathBuf;

use assay_nn::{Backbone, Builder, Checkpoint, Extractor, ImageSize, Pool, TensorFilter, Values, select};
use hashing::{cpu, hashed_tensors, image};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    backbone: Backbone,
    side: usize,
    /// Without one, the weights are hashed.
    file: Option<String>,
    layer: Option<String>,
    pool: Option<Pool>,
    prefix: Option<String>,
    features: Vec<Vec<f32>>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/backbones")
}

/// Largest error, relative to the largest feature.
fn error(case: &Case) -> f32 {
    let device = cpu();
    let tensors = match &case.file {
        None => hashed_tensors(&case.backbone),
        Some(file) => {
            let checkpoint = Checkpoint::open(&folder().join(file), None).unwrap();
            let filter = TensorFilter { prefix: case.prefix.clone(), ..TensorFilter::default() };
            let found = select(&checkpoint, &filter, &case.backbone.wanted());
            found.unwrap_or_else(|e| panic!("{}: {e} {:?}", case.name, e.help)).tensors
        }
    };
    let net = case.backbone.build(&mut Builder::new(&device.device, Values::Given(&tensors)));
    let point = case.backbone.point(case.layer.as_deref(), case.pool).unwrap();
    let size = ImageSize::square(case.side);
    let extractor = Extractor::new(&case.backbone, net, device, 3, size).at(point.clone());
    let found = extractor.forward(image(3, case.side));
    let expected = case.features.concat();
    assert_eq!(found.len(), expected.len(), "{}", case.name);
    assert_eq!(found.len(), 2 * case.backbone.features(3, size, &point).unwrap(), "{}", case.name);
    hashing::error(&found, &expected)
}

#[test]
fn features_are_those_of_the_original_libraries() {
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(folder().join("cases.json")).unwrap()).unwrap();
    assert!(cases.len() >= 30);
    let errors: Vec<(String, f32)> = cases.iter().map(|case| (case.name.clone(), error(case))).collect();
    let wrong: Vec<_> = errors.iter().filter(|(_, error)| *error > 1e-4 || error.is_nan()).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// What MAE and DINOv2 keep for pretraining is no part of the backbone; anything else that is left over is an error.
#[test]
fn what_only_pretraining_needs_is_passed_over() {
    let spec =
        r#"{ "ViT": { "size": { "Custom": { "width": 24, "depth": 1, "heads": 3 } }, "patch": 8, "trained_at": 32 } }"#;
    let backbone: Backbone = serde_json::from_str(spec).unwrap();
    let wanted = backbone.wanted();
    let mut checkpoint =
        Checkpoint { format: "test", container: None, tensors: hashed_tensors(&backbone), unread: Default::default() };
    let extra = checkpoint.tensors["norm.weight"].clone();
    for name in ["mask_token", "decoder_embed.weight", "decoder_blocks.0.norm1.weight", "head.weight"] {
        checkpoint.tensors.insert(name.to_owned(), extra.clone());
    }
    let found = select(&checkpoint, &TensorFilter::default(), &wanted).unwrap();
    assert_eq!(found.tensors.len(), wanted.tensors.len() + 1, "its own classifier is taken along");
    checkpoint.tensors.insert("blocks.0.extra.weight".to_owned(), extra);
    let error = select(&checkpoint, &TensorFilter::default(), &wanted).unwrap_err();
    assert!(error.to_string().contains("left over: blocks.0.extra.weight"), "{error}");
}

#[test]
fn layers_and_pools_that_a_backbone_does_not_have_are_refused() {
    let vit: Backbone = serde_json::from_str(r#"{"ViT": {"size": "Small"}}"#).unwrap();
    let refused = |backbone: &Backbone, layer: Option<&str>, pool| backbone.point(layer, pool).unwrap_err();
    assert!(refused(&Backbone::ResNet50, Some("layer5"), None).contains("layer1 to layer4"));
    assert!(refused(&Backbone::ResNet50, Some("block1"), None).contains("layer1 to layer4"));
    assert!(refused(&Backbone::ResNet50, None, Some(Pool::Cls)).contains("no class token"));
    assert!(refused(&Backbone::ResNet20, None, Some(Pool::Flat)).contains("as it pools them"));
    assert!(refused(&vit, Some("block13"), None).contains("block1 to block12"));
    assert!(refused(&vit, None, Some(Pool::GeM { p: 0.0 })).contains("from 0.1 to 100"));
    assert!(refused(&vit, Some("last13"), None).contains("`last1` to `last12`"));
    assert!(refused(&vit, Some("last"), None).contains("12 blocks"));
    assert!(refused(&Backbone::ResNet50, Some("last2"), None).contains("layer1 to layer4"));
    assert!(refused(&vit, None, Some(Pool::Attention)).contains("no attention pool"));
    let family = |name: &str| -> Backbone {
        serde_json::from_str(&format!(r#"{{"Transformer": {{"family": "{name}", "size": "Base"}}}}"#)).unwrap()
    };
    assert!(refused(&family("SigLip"), None, Some(Pool::Cls)).contains("no class token"));
    assert!(refused(&family("SigLip"), Some("block3"), None).contains("name another `pool`"));
    assert!(family("Beit").point(None, Some(Pool::Cls)).is_ok());
    let beit = family("Beit").size_problem(ImageSize::square(256)).unwrap();
    assert!(beit.contains("images of 224×224 alone"), "{beit}");
    // The end of a network is the same features, however it is written.
    assert!(vit.point(Some("last1"), None).unwrap().is_end());
    assert!(!vit.point(Some("last1 raw"), None).unwrap().is_end());
    assert!(!vit.point(Some("block12 raw"), None).unwrap().is_end());
    assert!(Backbone::ResNet50.point(Some("layer4"), Some(Pool::Gap)).unwrap().is_end());
    assert!(vit.point(Some("block12"), Some(Pool::Cls)).unwrap().is_end());
}
