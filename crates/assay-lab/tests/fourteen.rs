//! The catalogue of pretrained networks against files with the structure of the published ones, around small networks, and the
//! features that torch, TensorFlow and Haiku compute from them (`tests/reference/fourteen_*.py`).

#![allow(clippy::unwrap_used)]

#[path = "../../assay-nn/tests/hashing/mod.rs"]
mod hashing;

use std::collections::BTreeMap;
use std::path::PathBuf;

use assay_config::Environment;
use assay_lab::device::{DeviceChoice, open};
use assay_lab::{Experiment, FileWeights, ModelSpec, Weights};
use assay_nn::{Backbone, Builder, Checkpoint, Extractor, ImageSize, Padding, ResNet, TensorFilter, Values, select};
use serde::Deserialize;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[derive(Deserialize)]
struct Case {
    file: String,
    side: usize,
    features: Vec<Vec<f32>>,
}

fn cases() -> BTreeMap<String, Case> {
    let read = |name: &str| std::fs::read(root().join("tests/reference/fourteen").join(name)).unwrap();
    let part = |name| serde_json::from_slice::<BTreeMap<String, Case>>(&read(name)).unwrap();
    ["torch.json", "tensorflow.json", "haiku.json"].into_iter().flat_map(part).collect()
}

fn padding(model: &ModelSpec) -> Padding {
    match &model.backbone {
        Backbone::ResNet(spec) => spec.padding,
        other => {
            assert_eq!(*other, Backbone::ResNet50);
            Padding::Torch
        }
    }
}

/// Largest error relative to the largest feature, when a file is read as `weights` says.
fn error(case: &Case, weights: &FileWeights, padding: Padding) -> f32 {
    let path = Checkpoint::locate(&root().join("tests/reference/fourteen").join(&case.file));
    let checkpoint = Checkpoint::open(&path, weights.container.as_deref()).unwrap();
    let selection =
        TensorFilter { prefix: weights.prefix.clone(), drop: weights.drop.clone(), rename: weights.rename.clone() };
    let spec: ResNet = serde_json::from_str(r#"{ "depths": [1, 2, 1, 1], "width": 2 }"#).unwrap();
    let backbone = Backbone::ResNet(ResNet { padding, ..spec });
    let device = open(DeviceChoice::Cpu).unwrap();
    let found = select(&checkpoint, &selection, &backbone.wanted());
    let found = found.unwrap_or_else(|e| panic!("{}: {e} {:?}", case.file, e.help));
    let net = backbone.build(&mut Builder::new(&device.device, Values::Given(&found.tensors)));
    let features =
        Extractor::new(&backbone, net, device, 3, ImageSize::square(case.side)).forward(hashing::image(3, case.side));
    let expected = case.features.concat();
    hashing::error(&features, &expected)
}

#[test]
fn the_catalogue_gives_the_features_of_the_original_frameworks() {
    let cases = cases();
    let environment = Environment { variables: BTreeMap::new().into_iter().collect(), home: None };
    let catalogue = Experiment::load_catalogue(&root().join("experiments/catalog/models.ron"), environment);
    assert!(catalogue.document.problems.is_empty());
    let mut checked = 0;
    for (name, model) in &catalogue.models {
        let Some(Weights::File(weights)) = &model.weights else { panic!("{name} has no file") };
        assert!(model.about.url.is_some() && model.about.imagenet_top1.is_some() && model.about.citation.is_some());
        let is_simclr = name.starts_with("simclr");
        assert_eq!(model.input().mean.is_empty(), is_simclr, "{name}: SimCLR alone has no mean and deviation");
        let case = &cases[name.trim_end_matches("-torch")];
        let found = error(case, weights, padding(model));
        if name.ends_with("-torch") {
            assert_eq!(padding(model), Padding::Torch);
            assert!(found > 1e-2, "{name}: padded otherwise, and off by {found} only");
        } else {
            assert!(found <= 1e-4, "{name} is off by {found}");
            checked += 1;
        }
    }
    assert_eq!(checked, 14);
    // The study read SimCLR after a conversion to torch, and jax pickles its arrays in a way of its own.
    let Some(Weights::File(byol)) = &catalogue.models["byol"].weights else { panic!() };
    assert!(error(&cases["byol of jax"], byol, Padding::TfSame) <= 1e-4);
    let converted = FileWeights { prefix: None, container: None, ..byol.clone() };
    assert!(error(&cases["simclr-v1 converted"], &converted, Padding::Torch) <= 1e-4);
}
