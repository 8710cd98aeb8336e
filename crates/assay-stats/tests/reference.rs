//! Metrics and legacy shuffles against numpy, scikit-learn, torchmetrics and netcal (`tests/reference/`).

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use assay_stats::LegacyNumpy;
use assay_stats::metrics::{
    Binning, Calibration, Outcomes, PrecisionRule, average_precision, best_temperature, cross_fitted_calibration,
};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn json(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

fn integers(value: &Value) -> Vec<u64> {
    value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap()).collect()
}

#[track_caller]
fn close(found: f64, expected: &Value, tolerance: f64) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() <= tolerance, "{found} where {expected} was expected");
}

#[test]
fn shuffles_are_numpys_to_the_bit() {
    let hash = |items: &[usize]| {
        let mut hasher = Sha256::new();
        items.iter().for_each(|i| hasher.update((*i as u32).to_le_bytes()));
        hasher.finalize().iter().map(|b| format!("{b:02x}")).collect::<String>()
    };
    let rows = json("numpy_shuffle.json");
    let rows = rows.as_array().unwrap();
    assert!(rows.len() > 50);
    for row in rows {
        let (seed, n) = (row["seed"].as_u64().unwrap(), row["n"].as_u64().unwrap() as usize);
        let items = LegacyNumpy::shuffled_range(seed as u32, n);
        let first: Vec<u64> = items.iter().take(8).map(|i| *i as u64).collect();
        assert_eq!((first, items[n - 1] as u64), (integers(&row["first"]), row["last"].as_u64().unwrap()), "n = {n}");
        assert_eq!(hash(&items), row["sha256"].as_str().unwrap(), "seed {seed}, n = {n}");
        let fifth = (0.2 * n as f64).floor() as usize;
        assert_eq!(hash(&items[..fifth]), row["sha256_of_first_fifth"].as_str().unwrap(), "n = {n}");
    }
}

#[test]
fn single_label_metrics_are_those_of_the_references() {
    for case in json("metrics.json")["single_label"].as_array().unwrap() {
        let classes = case["classes"].as_u64().unwrap() as usize;
        let logits = floats(&case["logits"]);
        let truth: Vec<u32> = integers(&case["truth"]).into_iter().map(|v| v as u32).collect();
        let outcomes = Outcomes::of_logits(&logits, &truth, classes, 1.0);
        let once = outcomes.once();
        close(outcomes.top(1, &once), &case["top1"], 1e-12);
        close(outcomes.top(5, &once), &case["top5"], 1e-12);
        close(outcomes.mean_per_class(&once), &case["balanced"], 1e-12);
        close(outcomes.mean_per_class(&once), &case["mean_per_class_torchmetrics"], 1e-6);
        for (found, expected) in outcomes.per_class(&once).into_iter().zip(case["per_class"].as_array().unwrap()) {
            close(found, expected, 1e-12);
        }
        assert_eq!(outcomes.confusion().counts, integers(&case["confusion"]));
        close(outcomes.mean_nll(&once), &case["nll"], 1e-9);
        close(outcomes.mean_brier(&once), &case["brier"], 1e-9);
        let error = |binning| Calibration::new(&outcomes, binning, 15).error(&once);
        close(error(Binning::EqualWidth), &case["ece_netcal"], 1e-9);
        close(error(Binning::EqualWidth), &case["ece_torchmetrics"], 1e-6);
        close(error(Binning::EqualMass), &case["ece_mass"], 1e-9);
        let temperature = best_temperature(&logits, &truth, classes);
        let expected = case["temperature"].as_f64().unwrap();
        assert!((temperature / expected - 1.0).abs() < 1e-5, "{temperature} where {expected} was expected");
        let (before, after) = cross_fitted_calibration(&logits, &truth, classes, 15).unwrap();
        close(before, &case["code_cv_test"][0], 1e-6);
        close(after, &case["code_cv_test"][1], 1e-5);
    }
}

#[test]
fn average_precision_is_that_of_scikit_learn_and_the_study() {
    for case in json("metrics.json")["ranking"].as_array().unwrap() {
        let scores = floats(&case["scores"]);
        let positive: Vec<bool> = case["positive"].as_array().unwrap().iter().map(|v| v.as_bool().unwrap()).collect();
        let counts = vec![1; scores.len()];
        for (rule, name) in [
            (PrecisionRule::ElevenPointAppended, "eleven_appended"),
            (PrecisionRule::ElevenPoint, "eleven"),
            (PrecisionRule::AllPoint, "all_point"),
        ] {
            close(average_precision(&scores, &positive, &counts, rule), &case[name], 1e-12);
        }
        // An item that counts twice is one that is there twice.
        let twice: Vec<u32> = (0..scores.len() as u32).map(|i| i % 3).collect();
        let repeat = |i: usize| std::iter::repeat_n(i, twice[i] as usize);
        let places: Vec<usize> = (0..scores.len()).flat_map(repeat).collect();
        let (more_scores, more_positive): (Vec<f32>, Vec<bool>) =
            places.iter().map(|i| (scores[*i], positive[*i])).unzip();
        let rule = PrecisionRule::ElevenPoint;
        let unrolled = average_precision(&more_scores, &more_positive, &vec![1; places.len()], rule);
        assert!((average_precision(&scores, &positive, &twice, rule) - unrolled).abs() < 1e-12);
    }
}
