//! Published checkpoints on real images, against numbers measured independently of this project.
//! These need a folder beside the repository, and say so when it is not there.

#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use support::{Workspace, shared};

/// Accuracy in % by `model task protocol`.
fn accuracies(place: &Workspace, file: &str) -> BTreeMap<String, f64> {
    let value = place.assay(&["run", file, "--device", "cpu", "--format", "json"]).ok().json();
    let cell = |c: &serde_json::Value| {
        let name = ["model", "task", "protocol"].map(|part| c[part].as_str().unwrap()).join(" ");
        (name, 100.0 * c["summary"]["mean"].as_f64().unwrap())
    };
    value["cells"].as_array().unwrap().iter().map(cell).collect()
}

fn check(found: &BTreeMap<String, f64>, expected: &[(&str, f64, f64)]) {
    for (name, value, tolerance) in expected {
        let accuracy = found[*name];
        assert!((accuracy - value).abs() <= *tolerance, "{name}: {accuracy:.2}, expected {value} ± {tolerance}");
    }
}

#[test]
fn omniglot() {
    let (Some(images), Some(weights)) = (shared("omniglot"), shared("weights/conv4")) else { return };
    let place = Workspace::new();
    let (images, weights) = (images.canonicalize().unwrap(), weights.canonicalize().unwrap());
    let file = r#"(
    tasks: {
        "runs": (dataset: OmniglotRuns(path: "IMAGES/all_runs.zip"), image: (size: 28, resize: Stretch, color: Grey)),
        "all": (dataset: Omniglot(sources: ["IMAGES/images_background_small1.zip", "IMAGES/images_background_small2.zip"]), image: (size: 28, resize: Stretch, color: Grey)),
    },
    models: {
        "protoclr": (backbone: Conv4(channels: 1), weights: File(path: "WEIGHTS/protoclr_omniglot.pth.tar"), polarity: Inverted),
        "pixels": (backbone: Pixels, polarity: Inverted),
    },
    protocols: {
        "official": FewShot(episodes: Official, classifier: NearestSupport),
        "official-cosine": FewShot(episodes: Official, classifier: NearestSupport, distance: Cosine),
        "5w1s": FewShot(shots: 1, episodes: 300),
        "5w5s": FewShot(shots: 5, episodes: 300),
        "20w1s": FewShot(ways: 20, shots: 1, episodes: 300),
    },
    exclude: [(task: "runs", protocol: "*w*"), (task: "all", protocol: "official*")],
)"#;
    let file = file.replace("IMAGES", images.to_str().unwrap()).replace("WEIGHTS", weights.to_str().unwrap());
    place.write("e.ron", &file);
    let found = accuracies(&place, "e.ron");
    check(
        &found,
        &[
            ("protoclr runs official", 63.75, 0.5),
            ("protoclr runs official-cosine", 64.5, 0.5),
            ("protoclr all 5w1s", 89.0, 1.3),
            ("protoclr all 5w5s", 96.7, 1.3),
            ("protoclr all 20w1s", 73.9, 1.3),
            ("pixels all 5w1s", 43.0, 1.3),
            ("pixels all 5w5s", 66.6, 1.3),
            ("pixels all 20w1s", 24.5, 1.3),
        ],
    );
    // The same weights from another container are the same model: nothing is run.
    place.write("e.ron", &file.replace("protoclr_omniglot.pth.tar", "protoclr_omniglot.safetensors"));
    assert_eq!(place.run("e.ron").ok().ran(), 0);
}

/// Unpacks the first `each` test images of every class.
fn unpack_cifar(archive: &Path, to: &Path, each: usize) {
    std::fs::create_dir_all(to).unwrap();
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(File::open(archive).unwrap()));
    let mut left = 10 * each;
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().into_owned();
        let number = path.file_stem().and_then(|s| s.to_str()?.parse::<usize>().ok());
        if path.starts_with("test") && number.is_some_and(|n| n < each) {
            entry.unpack_in(to).unwrap();
            left -= 1;
            if left == 0 {
                return;
            }
        }
    }
    panic!("{left} images are missing");
}

#[test]
fn cifar_10() {
    let (Some(images), Some(weights)) = (shared("cifar10_jpeg/cifar10_jpeg.tar.gz"), shared("weights")) else { return };
    let place = Workspace::new();
    unpack_cifar(&images, &place.path().join("images"), 60);
    let file = r#"(
    tasks: {
        "84": (dataset: ImageFolder(root: "images", splits: ["test"]), image: (size: 84, resize: Stretch), subset: (first_per_class: 40)),
        "32": (dataset: ImageFolder(root: "images", splits: ["test"]), image: (size: 32, resize: None)),
    },
    models: {
        "protoclr": (backbone: Conv4, weights: File(path: "WEIGHTS/conv4/protoclr_miniimagenet.pth.tar")),
        "random": (backbone: Conv4, weights: File(path: "WEIGHTS/conv4/random_init.pth.tar")),
        "resnet20": (backbone: ResNet20, weights: File(path: "WEIGHTS/cifar_resnet/resnet20-12fca82f.th")),
    },
    protocols: {
        "own": Classifier,
        "1": FewShot(shots: 1, episodes: 300),
        "5": FewShot(shots: 5, episodes: 300),
        "20": FewShot(shots: 20, episodes: 300),
    },
    exclude: [(task: "84", model: "resnet20"), (task: "32", model: ["protoclr", "random"]), (task: "32", protocol: ["1", "5", "20"]), (task: "84", protocol: "own")],
)"#;
    place.write("e.ron", &file.replace("WEIGHTS", weights.canonicalize().unwrap().to_str().unwrap()));
    check(
        &accuracies(&place, "e.ron"),
        &[
            ("protoclr 84 1", 34.7, 1.3),
            ("protoclr 84 5", 48.0, 1.3),
            ("protoclr 84 20", 56.5, 1.3),
            ("random 84 1", 26.2, 1.3),
            ("random 84 5", 33.5, 1.3),
            ("random 84 20", 38.4, 1.3),
            ("resnet20 32 own", 81.2, 1.0),
        ],
    );
}
