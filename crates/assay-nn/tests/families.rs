//! Convolutional networks and Swin transformers, from files in the names of timm, torchvision and others: recognised, read, and
//! with the features and maps of these libraries (`tests/reference/families.py`).

#![allow(clippy::unwrap_used)]

mod hashing;

use std::collections::BTreeMap;
use std::path::PathBuf;

use assay_nn::{
    Backbone, Builder, Checkpoint, Extractor, FeaturePoint, ImageSize, Origin, RawTensor, TensorFilter, TensorShape,
    Values, identify, select,
};
use burn::tensor::{Tensor, TensorData};
use hashing::{cpu, hashed_file, image_of};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    backbone: Backbone,
    guess: Backbone,
    height: usize,
    width: usize,
    /// Factor on kernels and matrices, so that numbers neither vanish nor explode in a deep network.
    gain: f32,
    /// Each with its shape, in the names of the library.
    tensors: Vec<String>,
    /// Names of what else is in a file: heads, and tables that are computed.
    others: Vec<String>,
    features: Sample,
    stages: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    shape: Vec<usize>,
    /// The largest number.
    scale: f32,
    /// Every how many numbers one is in the sample.
    every: usize,
    numbers: Vec<f32>,
}

impl Sample {
    /// Largest difference, relative to the largest number.
    fn error(&self, found: &[f32]) -> f32 {
        assert_eq!(found.len(), self.shape.iter().product::<usize>());
        let sample = found.iter().step_by(self.every).zip(&self.numbers);
        sample.fold(0.0f32, |worst, (a, b)| if (a - b).is_nan() { f32::NAN } else { worst.max((a - b).abs()) })
            / self.scale
    }
}

impl Case {
    fn checkpoint(&self) -> Checkpoint {
        let shapes = self.tensors.iter().map(|line| {
            let (name, shape) = line.split_once(' ').unwrap();
            let shape = shape.split('x').filter(|side| !side.is_empty()).map(|side| side.parse().unwrap()).collect();
            TensorShape { name: name.to_owned(), shape }
        });
        let mut tensors = hashed_file(shapes.collect());
        for tensor in tensors.values_mut().filter(|tensor| tensor.shape.len() > 1) {
            tensor.bytes = tensor.to_f32().into_iter().flat_map(|value| (value * self.gain).to_le_bytes()).collect();
        }
        let other = RawTensor { dtype: assay_nn::Dtype::F32, shape: vec![1], bytes: vec![0; 4] };
        tensors.extend(self.others.iter().map(|name| (name.clone(), other.clone())));
        Checkpoint { format: "test", container: None, tensors, unread: BTreeMap::new() }
    }
}

fn numbers<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().iter::<f32>().collect()
}

/// Largest differences of features and of maps.
fn errors(case: &Case, tensors: &BTreeMap<String, RawTensor>) -> Vec<f32> {
    let (backbone, size) = (&case.backbone, ImageSize { height: case.height, width: case.width });
    assert_eq!(backbone.size_problem(size), None, "{}", case.name);
    let device = cpu();
    let net = backbone.build(&mut Builder::new(&device.device, Values::Given(tensors))).unwrap();
    let maps = if case.stages.is_empty() {
        Vec::new()
    } else {
        let x = TensorData::new(image_of(3, size), [2, 3, size.height, size.width]);
        let wanted: Vec<usize> = (1..=case.stages.len()).collect();
        net.stages(Tensor::from_data(x, &device.device), &wanted)
    };
    let described = backbone.stages();
    let mut errors = Vec::new();
    for ((map, expected), stage) in maps.into_iter().zip(&case.stages).zip(&described) {
        let ImageSize { height, width } = backbone.map_size(stage, size);
        let told = vec![2, stage.channels, height, width];
        assert_eq!((map.dims().to_vec(), told), (expected.shape.clone(), expected.shape.clone()), "{}", case.name);
        errors.push(expected.error(&numbers(map)));
    }
    let extractor = Extractor::new(backbone, Some(net), device, 3, size);
    let found = extractor.forward(image_of(3, size));
    assert_eq!(Some(found.len() / 2), backbone.features(3, size, &FeaturePoint::END), "{}", case.name);
    errors.push(case.features.error(&found));
    errors
}

#[test]
fn networks_are_recognised_and_give_what_their_libraries_give() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/families");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut wrong = Vec::new();
    for file in files {
        let case: Case = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let checkpoint = case.checkpoint();
        let guess = identify(&checkpoint).map(|guess| (guess.backbone, guess.present == guess.needed));
        if guess != Some((case.guess.clone(), true)) {
            wrong.push(format!("{} is taken for {guess:?}", case.name));
        }
        match select(&checkpoint, &TensorFilter::default(), &case.backbone.wanted()) {
            Err(error) => wrong.push(format!("{}: {error}", case.name)),
            Ok(found) => {
                let errors = errors(&case, &found.tensors);
                let worst = errors.iter().copied().fold(0.0f32, |worst, e| if e.is_nan() { e } else { worst.max(e) });
                println!("{:<32} {worst:.1e}", case.name);
                if !errors.iter().all(|error| *error <= 1e-4) {
                    wrong.push(format!("{} is off by {errors:?}", case.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What tensors do not tell is told, asked for, or contradicted by what a file is called.
#[test]
fn what_tensors_do_not_tell_is_said() {
    let timm = None;
    for (backbone, naming, word, expected) in [
        (r#""ResNet50""#, timm, "resnet50", "note: read with no antialiasing, the stride in the 3×3 convolution"),
        (r#""ResNet50""#, timm, "resnet50", "note: …timm's resnetaa and resnetblur"),
        (r#""ResNet18""#, timm, "resnetblur18", "error: it is called \"resnetblur18\"…`ResNet(antialias: Blur)`"),
        (r#""ResNet50""#, timm, "seresnextaa50d", "error: …`ResNet(antialias: AvgPool)` or `ResNet(antialias: Plain)`"),
        (r#"{"ResNet":{"antialias":"Plain"}}"#, timm, "blurred-images", "note: read with no antialiasing"),
        (r#"{"ResNet":{"antialias":"Blur"}}"#, timm, "x", "note: read with a blur…plain ones (`antialias: Plain`)"),
        (r#"{"ResNet":{"stride_in":"Conv1"}}"#, timm, "x", "note: …1×1 convolution, as Caffe has it"),
        (r#"{"ResNet":{"stem":"Small"}}"#, timm, "x", "note: read with a 3×3 convolution padded by 1 and no max pool"),
        (r#"{"ResNet":{"stem":"Small"}}"#, timm, "x", "note: …solo-learn's, padded by 2 (`stem: SmallPadded`)"),
        (r#"{"ResNet":{}}"#, Some("Haiku"), "x", "note: …`padding: Torch`, although the names are those of Haiku"),
        (r#"{"EfficientNet":{"size":"B0"}}"#, Some("torchvision"), "x", ""),
        (r#"{"EfficientNet":{"size":"B0"}}"#, timm, "model", "error: it has the names of timm…`library: TensorFlow`"),
        (r#"{"EfficientNet":{"size":"B0"}}"#, timm, "tf_efficientnet_b0", "error: …`library: TensorFlow`, with which"),
        (r#"{"EfficientNet":{"size":"B0"}}"#, Some("efficientnet_pytorch"), "x", "error: …`library: TensorFlow`"),
        (
            r#"{"EfficientNet":{"size":"B0","library":"Timm"}}"#,
            timm,
            "tf_efficientnet_b0",
            "error: …another `library` is written",
        ),
        (r#"{"EfficientNet":{"size":"B0","library":"Timm"}}"#, timm, "x", "note: read as trained by timm"),
        (r#"{"MobileNetV3":{"size":"Small"}}"#, timm, "mobilenetv3_small_100", "error: …say who trained it"),
        (r#"{"SwinV2":{"size":"Tiny"}}"#, Some("torchvision"), "x", ""),
        (r#"{"SwinV2":{"size":"Tiny"}}"#, Some("timm"), "x", "error: tensors do not tell the side of the windows"),
        (r#"{"SwinV2":{"size":"Tiny","window":16}}"#, Some("timm"), "x", "note: read with windows of 16 patches"),
        (
            r#"{"SwinV2":{"size":"Base","window":16}}"#,
            Some("timm"),
            "swinv2_base_window12to16_192to256",
            "error: …`pretrained_window: 12`",
        ),
        (r#"{"RegNet":{"size":"Y400MF"}}"#, Some("torchvision"), "x", ""),
    ] {
        let backbone_named: Backbone = serde_json::from_str(backbone).unwrap();
        let file = Some(word.to_owned());
        let origin = Origin { naming: naming.map(str::to_owned), file, ..Origin::default() };
        let said = match backbone_named.settled(&origin) {
            Ok(settled) => settled.notes.iter().map(|note| format!("note: {note}")).collect(),
            Err(unsaid) => format!("error: {} {}", unsaid.question, unsaid.help),
        };
        let mut rest = said.as_str();
        for part in expected.split('…') {
            let at = rest.find(part).unwrap_or_else(|| panic!("{backbone} {word}: {said}\nlacks {part}"));
            rest = &rest[at + part.len()..];
        }
        assert_eq!(said.is_empty(), expected.is_empty(), "{backbone} {word}: {said}");
    }
}

/// What timm's configuration says of an architecture is taken where nothing else is written.
#[test]
fn a_configuration_of_timm_answers() {
    for (backbone, architecture, expected) in [
        (
            r#"{"EfficientNet":{"size":"B0"}}"#,
            "tf_efficientnet_b0",
            r#"{"EfficientNet":{"size":"B0","library":"TensorFlow"}}"#,
        ),
        (r#"{"EfficientNet":{"size":"B0"}}"#, "efficientnet_b0", r#"{"EfficientNet":{"size":"B0","library":"Timm"}}"#),
        (
            r#"{"MobileNetV3":{"size":"Large"}}"#,
            "mobilenetv3_large_100",
            r#"{"MobileNetV3":{"size":"Large","library":"Timm"}}"#,
        ),
        (r#"{"ResNet":{}}"#, "resnetaa50", r#"{"ResNet":{"antialias":"AvgPool"}}"#),
        (r#"{"ResNet":{}}"#, "resnetblur50", r#"{"ResNet":{"antialias":"Blur"}}"#),
        (r#"{"ResNet":{"antialias":"Plain"}}"#, "resnetblur50", r#"{"ResNet":{"antialias":"Plain"}}"#),
        (r#"{"ResNet":{}}"#, "resnet50", r#"{"ResNet":{}}"#),
    ] {
        let parse = |text: &str| serde_json::from_str::<Backbone>(text).unwrap();
        let origin = Origin { architecture: Some(architecture.to_owned()), ..Origin::default() };
        assert_eq!(parse(backbone).settled(&origin).unwrap().backbone, parse(expected), "{backbone} {architecture}");
    }
    let origin = Origin { architecture: Some("resnetaa50".to_owned()), ..Origin::default() };
    assert!(Backbone::ResNet50.settled(&origin).is_err(), "that name is of a plain one");
}

/// The parameters of a backbone that leave its tensors as they are.
#[test]
fn readings_are_of_the_same_tensors() {
    let tensors = |spec: &str| serde_json::from_str::<Backbone>(spec).unwrap().tensors();
    for (a, b) in [
        (r#"{"ResNet":{}}"#, r#"{"ResNet":{"antialias":"Blur","stride_in":"Conv2"}}"#),
        (r#"{"ResNet":{}}"#, r#"{"ResNet":{"antialias":"AvgPool"}}"#),
        (r#"{"ResNet":{}}"#, r#"{"ResNet":{"stride_in":"Conv1"}}"#),
        (r#"{"ResNet":{"stem":"Small"}}"#, r#"{"ResNet":{"stem":"SmallPadded"}}"#),
        (r#"{"EfficientNet":{"size":"B3"}}"#, r#"{"EfficientNet":{"size":"B3","library":"TensorFlow"}}"#),
        (r#"{"SwinV2":{"size":"Tiny"}}"#, r#"{"SwinV2":{"size":"Tiny","window":16}}"#),
    ] {
        assert!(tensors(a) == tensors(b), "{a} and {b}");
    }
}
