//! Features, predictions and probes out and in again, through the real binary.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::fs;

use safetensors::SafeTensors;
use serde_json::Value;
use support::{Outcome, Workspace};

/// Half of the classes of the alphabets are hard to tell for pixels, so that no number is 0 or 1.
const EXPERIMENT: &str = r#"(
    tasks: { "glyphs": (dataset: Glyphs(alphabets: 2, characters: 8, drawers: 10, test_drawers: 3), image: (size: 28, resize: None, color: Grey)) },
    models: { "pixels": (backbone: Pixels), "conv": (backbone: Conv4(channels: 1, width: 4), weights: Random(seed: 0)) },
    protocols: {
        "few": FewShot(ways: 5, shots: 1, queries: 3, episodes: 40),
        "knn": Knn(k: 5),
        "linear": Linear(grid: Values([0.01, 1.0]), resamples: 50),
        "unit": Linear(solver: Ridge, normalize: true, resamples: 50),
    },
)"#;

/// All measures of a model, protocol by protocol.
fn measures(outcome: &Outcome, model: &str) -> Vec<Value> {
    let json = outcome.json();
    let cells = json["cells"].as_array().unwrap().iter().filter(|cell| cell["model"] == model);
    let found: Vec<Value> = cells.map(|cell| cell["measures"].clone()).collect();
    assert!(found.len() == 4 && found.iter().all(|measures| measures.is_array()), "{json:#}");
    found
}

fn show(place: &Workspace, file: &str) -> Outcome {
    place.assay(&["show", file, "--format", "json"]).ok()
}

fn export(place: &Workspace, arguments: &[&str]) -> Outcome {
    place.assay(&[&["export"], arguments].concat())
}

#[test]
fn exported_features_give_the_same_numbers_when_they_are_imported() {
    let place = Workspace::new();
    place.write("e.ron", EXPERIMENT);
    let early = export(&place, &["features", "e.ron", "conv", "glyphs", "--to", "early.npz"]).fails(2).stderr;
    assert!(early.contains("run the experiment first") && !place.path().join("early.npz").exists(), "{early}");
    place.run("e.ron").ok();
    let wanted = measures(&show(&place, "e.ron"), "conv");
    for name in ["f.npz", "f.parquet", "f.safetensors", "f.npy"] {
        for model in ["conv", "pixels"] {
            let folder = place.path().join(model);
            fs::create_dir_all(&folder).unwrap();
            let to = format!("{model}/{name}");
            let said = export(&place, &["features", "e.ron", model, "glyphs", "--to", &to]).ok().stderr;
            assert!(said.contains("(160 rows)"), "{said}");
        }
        let rest =
            if name == "f.npy" { r#", y: "{model}/f.csv", ids: "{model}/f.csv", split: "{model}/f.csv""# } else { "" };
        let text = EXPERIMENT.replace(r#"(dataset: Glyphs(alphabets: 2, characters: 8, drawers: 10, test_drawers: 3), image: (size: 28, resize: None, color: Grey))"#, &format!(r#"(dataset: Features(all: (x: "{{model}}/{name}"{rest})))"#));
        let text =
            text.replace(r#"(backbone: Conv4(channels: 1, width: 4), weights: Random(seed: 0))"#, "(backbone: Given)");
        place.write("again.ron", &text.replace("backbone: Pixels", "backbone: Given"));
        place.run("again.ron").ok();
        let found = show(&place, "again.ron");
        assert_eq!(measures(&found, "conv"), wanted, "{name}");
        assert_ne!(measures(&found, "pixels"), wanted, "{name}");
    }
    // All formats hold the same rows, so that nothing was computed twice.
    let text = fs::read_to_string(place.path().join("again.ron")).unwrap();
    place.write("npz.ron", &text.replace("{model}/f.npy", "{model}/f.npz"));
    assert_eq!(place.run("npz.ron").ok().ran(), 0);
    // Rows of two models with the same ids are the same items.
    let items = place.assay(&["export", "results", "again.ron", "--to", "json"]).ok().stdout;
    let items: Vec<Value> = items.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |model: &str| -> Vec<&Value> {
        items.iter().filter(|row| row["model"] == model && row["protocol"] == "knn").map(|row| &row["item"]).collect()
    };
    assert_eq!((of("conv").len(), of("conv")), (48, of("pixels")));
}

/// The numbers of a tensor, whose type is told by its size.
fn numbers(file: &SafeTensors<'_>, name: &str) -> Vec<f64> {
    let tensor = file.tensor(name).unwrap();
    let count = tensor.shape().iter().product::<usize>();
    match tensor.data().len() / count {
        4 => tensor.data().chunks_exact(4).map(|c| f32::from_le_bytes(c.try_into().unwrap()).into()).collect(),
        _ if tensor.dtype() == safetensors::Dtype::I64 => {
            tensor.data().chunks_exact(8).map(|c| i64::from_le_bytes(c.try_into().unwrap()) as f64).collect()
        }
        _ => tensor.data().chunks_exact(8).map(|c| f64::from_le_bytes(c.try_into().unwrap())).collect(),
    }
}

#[test]
fn an_exported_probe_on_exported_features_gives_the_exported_predictions() {
    let place = Workspace::new();
    place.write("e.ron", EXPERIMENT);
    place.run("e.ron").ok();
    let read = |what: &str, protocol: &[&str]| -> Vec<u8> {
        let to = format!("{what}-{}.safetensors", protocol.join(""));
        let arguments = [&[what, "e.ron", "conv", "glyphs"], protocol, &["--to", &to]].concat();
        export(&place, &arguments).ok();
        fs::read(place.path().join(to)).unwrap()
    };
    let bytes = read("features", &[]);
    let features = SafeTensors::deserialize(&bytes).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let splits: Vec<String> = serde_json::from_str(&header.metadata().as_ref().unwrap()["split"]).unwrap();
    let (x, y) = (numbers(&features, "x"), numbers(&features, "y"));
    let dim = x.len() / splits.len();
    for protocol in ["linear", "unit"] {
        let (probe, predictions) = (read("probe", &[protocol]), read("predictions", &[protocol]));
        let (probe, predictions) =
            (SafeTensors::deserialize(&probe).unwrap(), SafeTensors::deserialize(&predictions).unwrap());
        let [weight, bias] = ["weight", "bias"].map(|name| numbers(&probe, name));
        let [logits, shares, truth, predicted] =
            ["logits", "probabilities", "y", "predicted"].map(|name| numbers(&predictions, name));
        let normalize = numbers(&probe, "normalize")[0] == 1.0;
        assert_eq!(normalize, protocol == "unit");
        let k = bias.len();
        let test: Vec<usize> = (0..splits.len()).filter(|i| splits[*i] == "test").collect();
        assert_eq!((test.len(), k), (truth.len(), 16));
        for (at, row) in test.iter().enumerate() {
            let mut row_x = x[row * dim..][..dim].to_vec();
            if normalize {
                let length = row_x.iter().map(|v| v * v).sum::<f64>().sqrt();
                row_x.iter_mut().for_each(|v| *v /= length);
            }
            let ours: Vec<f64> = (0..k)
                .map(|class| {
                    bias[class] + weight[class * dim..][..dim].iter().zip(&row_x).map(|(w, x)| w * x).sum::<f64>()
                })
                .collect();
            let theirs = &logits[at * k..][..k];
            assert!(
                ours.iter().zip(theirs).all(|(a, b)| (a - b).abs() < 1e-4 * (1.0 + b.abs())),
                "{protocol}, row {row}"
            );
            let best = (0..k).fold(0, |best, class| if ours[class] > ours[best] { class } else { best });
            assert_eq!((best as f64, truth[at]), (predicted[at], y[*row]), "{protocol}, row {row}");
            assert!((shares[at * k..][..k].iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }
    // Nearest neighbours keep their votes; few-shot episodes have no predictions of images, and neither fits a probe.
    let votes = read("predictions", &["knn"]);
    let votes = SafeTensors::deserialize(&votes).unwrap();
    let accuracy = numbers(&votes, "y").iter().zip(numbers(&votes, "predicted")).filter(|(y, p)| **y == *p).count();
    let shown = show(&place, "e.ron").json();
    let cell =
        shown["cells"].as_array().unwrap().iter().find(|c| c["model"] == "conv" && c["protocol"] == "knn").unwrap();
    assert_eq!(cell["summary"]["mean"].as_f64().unwrap(), accuracy as f64 / 48.0);
    for (arguments, said) in [
        (["predictions", "e.ron", "conv", "glyphs", "few", "--to", "a.npz"].as_slice(), "keeps no predictions"),
        (&["probe", "e.ron", "conv", "glyphs", "knn", "--to", "a.npz"], "fits no linear classifier"),
        (&["probe", "e.ron", "conv", "glyphs", "--to", "a.npz"], "say which protocol: few, knn, linear, unit"),
        (&["probe", "e.ron", "conv", "glyph", "linear", "--to", "a.npz"], "did you mean glyphs?"),
        (&["probe", "e.ron", "conv", "glyphs", "linear", "--to", "a.npy"], "use .npz"),
        (&["features", "e.ron", "conv", "glyphs", "--to", "a.txt"], "ends in none of"),
    ] {
        let error = export(&place, arguments).fails(2).stderr;
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
    place.write("there.csv", "mine");
    let error = export(&place, &["features", "e.ron", "conv", "glyphs", "--to", "there.npy"]).fails(1).stderr;
    assert!(error.contains("there.csv exists already"), "{error}");
    let left: Vec<_> =
        fs::read_dir(place.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(
        !left.iter().any(|name| name.ends_with(".part") || name.starts_with("a.") || name == "there.npy"),
        "{left:?}"
    );
    assert_eq!(fs::read_to_string(place.path().join("there.csv")).unwrap(), "mine");
}

/// A place beside the reference numbers.
fn reference(path: &str) -> String {
    format!("{}/../../tests/reference/{path}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn class_embeddings_are_matched_by_name_and_give_the_numbers_of_numpy() {
    let place = Workspace::new();
    let at = |name: &str| reference(&format!("feature_files/{name}"));
    let [x, y, npz, tensors, names] =
        ["f32.npy", "labels.txt", "embeddings.npz", "embeddings.safetensors", "embeddings.txt"].map(at);
    let short = reference("feature_files/names.txt");
    let experiment = |protocols: &str| {
        format!(
            "(tasks: {{ \"t\": (dataset: Features(all: (x: {x:?}, y: {y:?}))) }}, models: {{ \"m\": (backbone: Given) }}, \
             protocols: {{ {protocols} }})"
        )
    };
    let protocols = format!(
        "\"npz\": ZeroShot(embeddings: {npz:?}, split: Whole), \
         \"tensors\": ZeroShot(embeddings: {tensors:?}, class_names: {names:?}, split: Whole), \
         \"flat\": ZeroShot(embeddings: {npz:?}, split: Whole, logit_scale: 1.0)"
    );
    place.write("e.ron", &experiment(&protocols));
    let run = place.run("e.ron").ok();
    assert!(run.stderr.contains("1 rows of the class embeddings"), "{}", run.stderr);
    assert_eq!(run.ran(), 3, "the same embeddings are one step");
    let shown = show(&place, "e.ron").json();
    let value = |protocol: &str, metric: &str| -> f64 {
        let cell = shown["cells"].as_array().unwrap().iter().find(|cell| cell["protocol"] == protocol).unwrap();
        let measures = cell["measures"].as_array().unwrap();
        measures.iter().find(|m| m["metric"] == metric).unwrap()["value"].as_f64().unwrap()
    };
    let expected: Value = serde_json::from_slice(&fs::read(at("expected.json")).unwrap()).unwrap();
    for protocol in ["npz", "tensors"] {
        assert_eq!(value(protocol, "top1"), expected["zero_shot"]["top1"].as_f64().unwrap());
        let nll = expected["zero_shot"]["nll"].as_f64().unwrap();
        assert!((value(protocol, "nll") / nll - 1.0).abs() < 1e-5, "{} and {nll}", value(protocol, "nll"));
    }
    assert_eq!(value("flat", "top1"), value("npz", "top1"));
    assert!(value("flat", "nll") < value("npz", "nll"));
    for (protocol, said) in [
        (format!("ZeroShot(embeddings: {tensors:?}, split: Whole)"), "give `class_names`"),
        (
            format!("ZeroShot(embeddings: {tensors:?}, class_names: {short:?}, split: Whole)"),
            "has 4 rows, and there are 3 names",
        ),
        (format!("ZeroShot(embeddings: {npz:?})"), "no images in its split `Test`"),
        ("ZeroShot(embeddings: \"{model}-{task}.npz\", split: Whole)".to_owned(), "m-t.npz does not exist"),
    ] {
        place.write("bad.ron", &experiment(&format!("\"p\": {protocol}")));
        let error = place.assay(&["plan", "bad.ron"]).fails(2).stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(error.contains(said), "{protocol}: {error}");
    }
}

#[test]
fn a_classifier_is_asked_for_the_outputs_of_the_classes_of_the_task() {
    let place = Workspace::new();
    let weights = reference("fourteen/supervised.pth");
    let experiment = |protocols: &str| {
        format!(
            "(tasks: {{ \"three\": (dataset: Glyphs(alphabets: 1, characters: 3, drawers: 6, test_drawers: 4, side: 32), image: (size: 32, resize: None)) }}, \
             models: {{ \"m\": (backbone: ResNet(depths: [1, 2, 1, 1], width: 2), weights: File(path: {weights:?})) }}, \
             protocols: {{ {protocols} }})"
        )
    };
    place.write("names.ron", &experiment("\"knn\": Knn(k: 1)"));
    place.run("names.ron").ok();
    export(&place, &["features", "names.ron", "m", "three", "--to", "x.safetensors"]).ok();
    let bytes = fs::read(place.path().join("x.safetensors")).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let classes: Vec<String> = serde_json::from_str(&header.metadata().as_ref().unwrap()["classes"]).unwrap();
    let [one, two, three] = &classes[..] else { panic!("{classes:?}") };
    place.write("a.txt", &format!("{one}\n{two}\n{three}\nx\ny\n"));
    place.write("b.txt", &format!("x\n{two}\ny\n{one}\n{three}\n"));
    let said = |protocol: &str| {
        place.write("bad.ron", &experiment(&format!("\"p\": {protocol}")));
        let outcome = place.run("bad.ron");
        assert_ne!(outcome.code, Some(0));
        outcome.stderr.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(said("Classifier()").contains("has 5 outputs, and there are 3 classes in the task"));
    assert!(said(r#"Classifier(outputs: "a.txt")"#).contains("say `subset: true`"));
    assert!(said("Classifier(subset: true)").contains("needs `outputs`"));
    place.write(
        "e.ron",
        &experiment(
            r#""a": Classifier(outputs: "a.txt", subset: true), "b": Classifier(outputs: "b.txt", subset: true), "all": Classifier(outputs: "a.txt", subset: false)"#,
        ),
    );
    place.run("e.ron").ok();
    let logits = |protocol: &str| -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let to = format!("{protocol}.safetensors");
        export(&place, &["predictions", "e.ron", "m", "three", protocol, "--to", &to]).ok();
        let bytes = fs::read(place.path().join(to)).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let [logits, y, predicted] = ["logits", "y", "predicted"].map(|name| numbers(&file, name));
        (logits, y, predicted)
    };
    let ((a, y, predicted), (b, ..)) = (logits("a"), logits("b"));
    // The second class has the same output in both; the others have not.
    let column = |logits: &[f64], class: usize| logits.iter().skip(class).step_by(3).copied().collect::<Vec<_>>();
    assert_eq!((a.len(), column(&a, 1)), (36, column(&b, 1)));
    assert_ne!(column(&a, 0), column(&b, 0));
    let best = |row: &[f64]| (0..3).fold(0, |best, class| if row[class] > row[best] { class } else { best }) as f64;
    assert_eq!(a.chunks(3).map(best).collect::<Vec<_>>(), predicted);
    let shown = show(&place, "e.ron").json();
    let mean = |protocol: &str| {
        let cell = shown["cells"].as_array().unwrap().iter().find(|cell| cell["protocol"] == protocol).unwrap();
        cell["summary"]["mean"].as_f64().unwrap()
    };
    assert_eq!(mean("a"), y.iter().zip(&predicted).filter(|(y, p)| y == p).count() as f64 / 12.0);
    assert!(mean("all") <= mean("a"), "other outputs can only be wrong");
}
