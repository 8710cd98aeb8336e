//! Linear probes through the real binary.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use support::{Outcome, Workspace};

fn experiments() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments")
}

fn score(outcome: &Outcome, model: &str, protocol: &str) -> f64 {
    let value = outcome.json();
    let cells = value["cells"].as_array().unwrap();
    let cell = cells.iter().find(|c| c["model"] == model && c["protocol"] == protocol).unwrap();
    cell["summary"]["mean"].as_f64().unwrap()
}

#[test]
fn the_embedded_experiment_ranks_the_models_and_one_more_value_costs_only_the_selection() {
    let place = Workspace::new();
    let text = fs::read_to_string(experiments().join("linear.ron")).unwrap();
    let text = text.replace("weights/", &format!("{}/weights/", experiments().display()));
    place.write("e.ron", &text);
    let json = ["run", "e.ron", "--device", "cpu", "--format", "json"];
    let first = place.assay(&json).ok();
    for protocol in ["linear", "linear-study"] {
        let [pixels, simclr] = ["pixels", "conv4-simclr"].map(|m| score(&first, m, protocol));
        assert!(simclr > pixels + 0.15, "{protocol}: {simclr} and {pixels}");
    }
    // The two ways of solving agree on what they measure.
    let [one, other] = ["linear", "linear-study"].map(|p| score(&first, "conv4-supervised", p));
    assert!((one - other).abs() < 0.02, "{one} and {other}");
    // The 45 values written out, and one more.
    let values: Vec<String> = (0..45)
        .map(|i| 1.0 / f64::from(10f64.powf(-6.0 + 0.25 * f64::from(i)) as f32))
        .map(|c| format!("{c:?}"))
        .collect();
    let same = format!("Linear(grid: Values([{}]))", values.join(", "));
    place.write("same.ron", &text.replace("Linear(),", &format!("{same},")));
    assert_eq!(place.run("same.ron").ok().ran(), 0, "values that are written out are the same values");
    let more = format!("Linear(grid: Values([{}, 3.0]))", values.join(", "));
    place.write("more.ron", &text.replace("Linear(),", &format!("{more},")));
    let ran = place.run("more.ron").ok().finished();
    let kinds: BTreeMap<String, usize> = ran.iter().fold(BTreeMap::new(), |mut kinds, label| {
        assert!(label.ends_with("/glyphs/linear"), "{label}");
        *kinds.entry(label.split('/').next().unwrap().to_owned()).or_default() += 1;
        kinds
    });
    // Only where another value was chosen is anything fitted and scored again.
    assert_eq!((kinds["grid"], kinds["choose"]), (4, 4));
    assert!(kinds.keys().all(|k| ["grid", "choose", "fit", "score"].contains(&k.as_str())), "{kinds:?}");
    assert!(kinds.get("fit").copied().unwrap_or(0) < 4, "{kinds:?}");
    let metrics = place.assay(&["show", "e.ron", "--metrics"]).ok().stdout;
    for name in ["top1", "top5", "mean_per_class", "nll", "brier", "ece", "ece_equal_mass", "ece_scaled"] {
        assert!(metrics.contains(&format!("  {name}  ")), "{name} is missing in {metrics}");
    }
    // Temperature makes the worst calibrated model better calibrated.
    let line = |metric: &str| -> f64 {
        let line = metrics
            .lines()
            .find(|l| l.starts_with("pixels") && l.contains(" linear ") && l.contains(&format!("  {metric}  ")));
        line.unwrap().split_whitespace().nth(4).unwrap().parse().unwrap()
    };
    assert!(line("nll_scaled") <= line("nll") + 0.01);
}

/// Keys of the steps of a plan, by label.
fn keys(place: &Workspace) -> BTreeMap<String, String> {
    let plan = place.assay(&["plan", "e.ron", "--format", "json"]).ok().json();
    let steps = plan["steps"].as_array().unwrap();
    steps.iter().map(|s| (s["label"].as_str().unwrap().to_owned(), s["key"].to_string())).collect()
}

#[test]
fn nothing_before_the_score_depends_on_what_test_images_show() {
    let place = Workspace::new();
    let source = experiments().join("../tests/reference/datasets/csv");
    for entry in fs::read_dir(source.join("pictures")).unwrap() {
        let from = entry.unwrap().path();
        fs::create_dir_all(place.path().join("pictures")).unwrap();
        fs::copy(&from, place.path().join("pictures").join(from.file_name().unwrap())).unwrap();
    }
    let labels = fs::read_to_string(source.join("labels.csv")).unwrap();
    place.write("labels.csv", &labels);
    place.write(
        "e.ron",
        r#"(
        tasks: { "t": (
            dataset: Csv(path: "labels.csv", image: "file", label: "what is seen", split: "part"),
            image: (size: 16, resize: Stretch),
        ) },
        models: { "pixels": (backbone: Pixels) },
        protocols: { "linear": Linear(), "study": Linear(convergence: WarmStartUnconverged), "ridge": Linear(solver: Ridge) },
    )"#,
    );
    let before = keys(&place);
    // Every test image becomes the other class.
    let swapped: String = labels
        .lines()
        .map(|line| {
            let is_test = line.ends_with(",test");
            let line = match is_test {
                true if line.contains(",dog,") => line.replace(",dog,", r#","cat, ""tabby""","#),
                true => line.replace(r#","cat, ""tabby""","#, ",dog,"),
                false => line.to_owned(),
            };
            line + "\n"
        })
        .collect();
    assert_ne!(swapped, labels);
    place.write("labels.csv", &swapped);
    let after = keys(&place);
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for (label, key) in &before {
        let is_score = label.starts_with("score/");
        assert_eq!(after[label] != *key, is_score, "{label}");
    }
    assert_eq!(before.keys().filter(|l| l.starts_with("score/")).count(), 3);
    // What a training image shows does reach the grid.
    place.write("labels.csv", &labels.replacen(",dog,train", r#","cat, ""tabby""",train"#, 1));
    let other = keys(&place);
    assert!(other.iter().filter(|(l, _)| l.starts_with("grid/")).all(|(label, key)| before[label] != *key));
}

#[test]
fn every_dataset_goes_through_a_probe_and_episodes() {
    let place = Workspace::new();
    let file = experiments().join("catalog/smoke.ron");
    let outcome = place.assay(&["run", file.to_str().unwrap(), "--device", "cpu", "--format", "json"]).ok();
    let value = outcome.json();
    let cells = value["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 2 * (20 + 20 - 2));
    for cell in cells {
        let mean = cell["summary"]["mean"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&mean), "{cell}");
        // Classes are stripes of different directions and colours.
        assert!(cell["model"] != "pixels" || mean > 0.8, "{cell}");
    }
    let metric = |task: &str| {
        let cell = cells.iter().find(|c| c["task"] == task && c["protocol"] == "linear").unwrap();
        cell["summary"]["metric"].as_str().unwrap().to_owned()
    };
    assert_eq!([metric("voc2007"), metric("pets"), metric("dtd")], ["map11", "mean_per_class", "top1"]);
    // The two versions of CIFAR are the same images, so nothing is done twice.
    let features = |task: &str| -> Value {
        let plan = place.assay(&["plan", file.to_str().unwrap(), "--format", "json"]).ok().json();
        let steps = plan["steps"].as_array().unwrap().clone();
        steps
            .into_iter()
            .find(|s| s["label"].as_str().unwrap().contains(task))
            .map_or(Value::Null, |s| s["key"].clone())
    };
    assert_ne!(features("cifar10-python"), Value::Null);
    assert_eq!(features("cifar10-binary"), Value::Null, "its steps are those of the other version");
}

#[test]
fn what_a_probe_cannot_learn_from_is_refused_before_anything_runs() {
    let place = Workspace::new();
    let datasets = experiments().join("../tests/reference/datasets");
    let message = |dataset: &str, more: &str, protocol: &str| {
        place.write(
            "e.ron",
            &format!(
                "(tasks: {{ \"t\": (dataset: {dataset}, image: (size: 32, resize: ShorterSide){more}) }}, \
                 models: {{ \"pixels\": (backbone: Pixels) }}, protocols: {{ \"p\": {protocol} }})"
            ),
        );
        let outcome = place.assay(&["plan", "e.ron"]).fails(2);
        outcome.stderr.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let at = |folder: &str| format!("{}/{folder}", datasets.display());
    let voc = format!("Voc2007(root: {:?})", at("voc2007"));
    let dtd = format!("Dtd(root: {:?})", at("dtd"));
    assert!(message(&voc, "", "Knn(k: 1)").contains("show several"));
    assert!(message(&voc, "", "FewShot()").contains("show several"));
    assert!(message(&voc, "", "Linear(solver: Lda)").contains("show several"));
    assert!(message(&voc, ", metric: Top1", "Linear()").contains("`MeanAp11`"));
    assert!(message(&dtd, ", metric: MeanAp", "Linear()").contains("`MeanPerClass`"));
    assert!(message(&dtd, ", subset: (splits: [Train])", "Linear()").contains("6 and 0 images"));
    assert!(message(&dtd, ", subset: (splits: [Test])", "Linear()").contains("0 and 4 images"));
    assert!(message(&dtd, "", "Linear(grid: Values([1.0, -1.0]))").contains("positive"));
    assert!(message(&dtd, "", "Linear(grid: Values([]))").contains("from 1 to 1,000 values"));
    assert!(message(&dtd, "", "Linear(solver: NearestCentroid, grid: Values([1.0]))").contains("nothing to choose"));
    assert!(message(&dtd, "", "Linear(validation: (fraction: 1.0))").contains("less than 1"));
    let strict = format!("Dtd(root: {:?}, strict: true)", at("dtd"));
    assert!(message(&strict, "", "Linear()").contains("1874 fewer than the 1880 published"));
    let null = format!("Parquet(path: {:?})", at("bad/null-image.parquet"));
    assert!(message(&null, "", "Linear()").contains("has no image in column"));
    let nowhere = format!("Pets(root: {:?})", at("dtd"));
    assert!(message(&nowhere, "", "Linear()").contains("annotations/trainval.txt is missing"));
}

#[test]
fn a_dataset_can_be_looked_at() {
    let place = Workspace::new();
    let smoke = experiments().join("catalog/smoke.ron");
    let check = |task: &str| place.assay(&["data", "check", task, "--file", smoke.to_str().unwrap()]);
    let found = check("caltech101").ok().stdout;
    for part in ["train.txt, test.txt", "CC BY 4.0", "12 images of 2416 published", "2404 fewer"] {
        assert!(found.contains(part), "{part} is missing in {found}");
    }
    let unknown = check("caltech").fails(2).stderr;
    assert!(unknown.contains("did you mean \"caltech101\"?"), "{unknown}");
    let catalogue = experiments().join("catalog/tasks.ron");
    let mut command = place.command(&["data", "check", "dtd", "--file", catalogue.to_str().unwrap()]);
    let missing = Outcome::from(command.env("ASSAY_DATA", place.path()).output().unwrap()).fails(1).stdout;
    assert!(missing.contains("DTD does not exist") && missing.contains("labels/{train,val,test}1.txt"), "{missing}");
    let listed = place.assay(&["tasks"]).ok().stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        listed.contains("397 classes; images: Train 19850, Test 19850; metric: Top1; licence: research"),
        "{listed}"
    );
}

#[test]
fn an_image_in_two_splits_is_told() {
    let place = Workspace::new();
    let picture = experiments().join("../tests/reference/datasets/csv/pictures");
    let names: Vec<_> = fs::read_dir(picture).unwrap().map(|e| e.unwrap().path()).collect();
    let mut csv = "file,label,split\n".to_owned();
    for (i, split) in ["train", "train", "train", "train", "val", "val", "test", "test"].iter().enumerate() {
        // The first test image is the first training image again.
        fs::copy(&names[if i == 6 { 0 } else { i }], place.path().join(format!("{i}.png"))).unwrap();
        csv += &format!("{i}.png,{},{split}\n", i % 2);
    }
    place.write("labels.csv", &csv);
    place.write(
        "e.ron",
        r#"(
        tasks: { "t": (
            dataset: Csv(path: "labels.csv", image: "file", label: "label", split: "split"),
            image: (size: 16, resize: Stretch),
        ) },
        models: { "pixels": (backbone: Pixels) },
        protocols: { "linear": Linear(resamples: 10) },
    )"#,
    );
    let stderr = place.run("e.ron").ok().stderr;
    assert!(stderr.contains("task \"t\": 1 images are in both Train and Test"), "{stderr}");
}
