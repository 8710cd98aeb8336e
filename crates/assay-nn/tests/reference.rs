//! Networks, checkpoints and heads against fixtures made by torch, torchvision and scikit-learn (`tests/reference/`).

#![allow(clippy::unwrap_used)]

mod hashing;

use std::collections::BTreeMap;
use std::path::PathBuf;

use assay_nn::{
    Backbone, Builder, Checkpoint, Episodes, Extractor, FeaturePoint, FewShotClassifier, FewShotDistance, FewShotRule,
    ImageSize, RawTensor, TensorFilter, Values, few_shot_accuracies, knn_predictions, select,
};
use hashing::{cpu, hashed, hashed_tensors, image};
use serde_json::Value;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference").join(name)
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(path(name)).unwrap()).unwrap()
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

fn check_backbone(name: &str, backbone: &Backbone) {
    let fixture = &json("torch_backbones.json")[name];
    let number = |field: &str| fixture[field].as_u64().unwrap() as usize;
    let (channels, side) = (number("channels"), number("side"));
    let device = cpu();
    let tensors = hashed_tensors(backbone);
    let net = backbone.build(&mut Builder::new(&device.device, Values::Given(&tensors)));
    let size = ImageSize::square(side);
    let found = Extractor::new(backbone, net, device, channels, size).forward(image(channels, side));
    let expected: Vec<f32> = fixture["features"].as_array().unwrap().iter().flat_map(floats).collect();
    assert_eq!(found.len(), expected.len(), "{name}");
    assert_eq!(found.len(), 2 * backbone.features(channels, size, &FeaturePoint::END).unwrap());
    let worst = hashing::error(&found, &expected);
    assert!(worst <= 1e-4, "{name}: off by {worst} of the largest feature");
}

#[test]
fn conv4_gives_the_features_of_torch() {
    check_backbone("Conv4", &Backbone::Conv4(assay_nn::Conv4 { channels: 1, width: 8 }));
}

#[test]
fn cifar_resnets_give_the_features_of_torch() {
    check_backbone("ResNet20", &Backbone::ResNet20);
    check_backbone("ResNet56", &Backbone::ResNet56);
}

#[test]
fn resnets_give_the_features_of_torchvision() {
    check_backbone("ResNet18", &Backbone::ResNet18);
    check_backbone("ResNet34", &Backbone::ResNet34);
    check_backbone("ResNet50", &Backbone::ResNet50);
}

const TINY: Backbone = Backbone::Conv4(assay_nn::Conv4 { channels: 1, width: 2 });

fn tiny(file: &str, filter: &TensorFilter) -> Result<BTreeMap<String, RawTensor>, String> {
    let checkpoint = Checkpoint::open(&path("checkpoints").join(file), None).map_err(|e| e.to_string())?;
    select(&checkpoint, filter, &TINY.wanted())
        .map(|found| found.tensors)
        .map_err(|e| format!("{e} {}", e.help.clone().unwrap_or_default()))
}

#[test]
fn torch_files_of_every_age_hold_the_same_tensors() {
    let expected = json("checkpoints/expected.json");
    let query = TensorFilter { prefix: Some("module.encoder_q.".into()), ..TensorFilter::default() };
    for (file, filter) in
        [("flat.pth", &TensorFilter::default()), ("moco_zip.pth.tar", &query), ("moco_legacy.pth.tar", &query)]
    {
        let tensors = tiny(file, filter).unwrap();
        assert_eq!(tensors.len(), 24, "{file}");
        for (name, tensor) in &tensors {
            assert_eq!(tensor.to_f32(), floats(&expected["values"][name]), "{name} of {file}");
        }
    }
}

#[test]
fn two_encoders_in_a_file_are_ambiguous() {
    let error = tiny("moco_zip.pth.tar", &TensorFilter::default()).unwrap_err();
    assert!(error.contains("module.encoder_q.") && error.contains("module.encoder_k."), "{error}");
}

#[test]
fn half_precision_is_read() {
    let expected = json("checkpoints/expected.json");
    for (file, tolerance) in [("half.pth", 1e-3), ("bfloat16.pth", 8e-3)] {
        for (name, tensor) in tiny(file, &TensorFilter::default()).unwrap() {
            for (found, expected) in tensor.to_f32().iter().zip(floats(&expected["values"][&name])) {
                assert!(
                    (found - expected).abs() <= tolerance * expected.abs().max(0.1),
                    "{name} of {file}: {found} {expected}"
                );
            }
        }
    }
}

#[test]
fn views_are_followed() {
    let expected = json("checkpoints/expected.json");
    let checkpoint = Checkpoint::open(&path("checkpoints/views.pth"), None).unwrap();
    assert_eq!((checkpoint.container.as_deref(), checkpoint.format), (Some("model"), "torch zip"));
    let tensor = |name: &str| &checkpoint.tensors[name];
    assert_eq!(
        (tensor("transposed").shape.as_slice(), tensor("transposed").to_f32()),
        (&[6, 4][..], floats(&expected["transposed"]))
    );
    assert_eq!((tensor("tail").shape.as_slice(), tensor("tail").to_f32()), (&[2, 6][..], floats(&expected["tail"])));
    assert_eq!((tensor("scalar").shape.len(), tensor("scalar").to_f32()), (0, vec![3.0]));
    assert_eq!(tensor("parameter").shape, [6]);
}

/// Whatever is cut off or flipped, the answer is an error or tensors, never a panic.
#[test]
fn damaged_files_do_not_panic() {
    for file in ["flat.pth", "moco_legacy.pth.tar", "views.pth"] {
        let bytes = std::fs::read(path("checkpoints").join(file)).unwrap();
        for cut in (0..bytes.len()).step_by(97) {
            let _ = Checkpoint::from_bytes(&bytes[..cut], None);
        }
        for at in 0..bytes.len().min(6000) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x55;
            let _ = Checkpoint::from_bytes(&damaged, None);
        }
        assert!(Checkpoint::from_bytes(&bytes[..bytes.len() / 2], None).is_err(), "{file}");
    }
}

#[test]
fn a_compressed_zip_is_refused_as_a_bomb() {
    use std::io::Write;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    zip.start_file("archive/data.pkl", options).unwrap();
    zip.write_all(&vec![0; 1 << 20]).unwrap();
    let bytes = zip.finish().unwrap().into_inner();
    let error = Checkpoint::from_bytes(&bytes, None).unwrap_err().to_string();
    assert!(error.contains("compressed, which torch never does"), "{error}");
}

#[test]
fn heads_predict_what_scikit_learn_and_dino_predict() {
    let fixture = json("heads.json");
    let number = |field: &str| fixture[field].as_u64().unwrap() as usize;
    let (n, dim, classes, split) = (number("n"), number("dim"), number("classes"), number("split"));
    let centers = hashed(classes * dim, 10);
    let noise = hashed(n * dim, 9);
    let x: Vec<f32> =
        (0..n * dim).map(|i| (noise[i] + 0.35 * centers[i / dim % classes * dim + i % dim] + 1.0) as f32).collect();
    let labels =
        |value: &Value| value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect::<Vec<_>>();
    let device = cpu().device;
    let train_labels: Vec<u32> = (0..split).map(|i| (i % classes) as u32).collect();
    for k in [5, 20] {
        let found = knn_predictions(&x[..split * dim], &train_labels, &x[split * dim..], dim, (k, 0.07), &device);
        assert_eq!(found, labels(&fixture["knn"][k.to_string()]), "k = {k}");
    }
    // One episode: all training rows are its support, class by class; the right answers are what scikit-learn says.
    let support: Vec<u32> = (0..classes).flat_map(|c| (c..split).step_by(classes).map(|i| i as u32)).collect();
    let queries: Vec<u32> = (split as u32..n as u32).collect();
    use FewShotClassifier::{NearestMean, NearestSupport};
    use FewShotDistance::{Cosine, Euclidean};
    let cases = [
        ("nearest_mean_euclidean", NearestMean, Euclidean, false),
        ("nearest_mean_normalized", NearestMean, Euclidean, true),
        ("nearest_support_euclidean", NearestSupport, Euclidean, false),
        ("nearest_support_cosine", NearestSupport, Cosine, false),
    ];
    for (name, classifier, distance, normalize) in cases {
        let answers = labels(&fixture[name]);
        let episodes = Episodes {
            ways: classes,
            shots: split / classes,
            support: &support,
            queries: &queries,
            query_ways: &answers,
        };
        let rule = FewShotRule { classifier, distance, normalize };
        assert_eq!(few_shot_accuracies(&x, dim, episodes, rule, &device), [1.0], "{name}");
    }
}
