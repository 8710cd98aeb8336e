//! Every kind of step of the laboratory, as small as it can be, with its recipe, its key and its output: whatever moves numbers
//! without moving keys fails here, and is told which version to raise. See `tests/golden/README.md`.

#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stderr)]

mod support;

#[path = "golden/code.rs"]
mod code;
#[path = "golden/compare.rs"]
mod compare;
#[path = "golden/record.rs"]
mod record;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::{env, fs};

use code::{LIBRARIES, SHARED, StepCode, kinds, kinds_in, locked, locked_in, root};
use compare::{REFRESH, differences, missing_kinds};
use record::{Golden, Recorded, steps};
use serde_json::{Value, json};
use support::Workspace;

fn golden_file() -> PathBuf {
    root().join("tests/golden/steps.json")
}

/// The file; with `ASSAY_GOLDEN=write`, made anew first.
fn written() -> &'static Golden {
    static GOLDEN: LazyLock<Golden> = LazyLock::new(|| {
        let text = fs::read_to_string(golden_file()).map_err(|e| e.to_string());
        let old = text.and_then(|text| Golden::read(&text).map_err(|e| e.to_string()));
        if !env::var("ASSAY_GOLDEN").is_ok_and(|what| what == "write") {
            return old.unwrap_or_else(|e| panic!("{}: {e}: make it with `{REFRESH}`", golden_file().display()));
        }
        let new = run();
        fs::write(golden_file(), new.to_text()).unwrap();
        let moved = old.map(|old| differences(&old, &new, &kinds())).unwrap_or_default();
        eprintln!("wrote {}\n{}", golden_file().display(), moved.join("\n\n"));
        new
    });
    &GOLDEN
}

/// Runs the miniature.
fn run() -> Golden {
    let place = Workspace::new();
    let file = root().join("tests/golden/experiment.ron");
    let file = file.to_str().unwrap();
    place.run(file).ok();
    let plan = place.assay(&["plan", file, "--format", "json"]).ok().json();
    Golden { locked: locked(), steps: steps(&plan, &place.path().join("cache")) }
}

#[test]
fn no_number_moves_without_its_key_and_no_key_unnoticed() {
    let messages = differences(written(), &run(), &kinds());
    assert!(messages.is_empty(), "\n{}\n", messages.join("\n\n"));
}

#[test]
fn every_kind_of_step_is_in_the_miniature() {
    let code = kinds();
    assert!(code["features"] == step("ExtractShard", "crates/assay-lab/src/steps/extract.rs"), "{code:?}");
    assert!(code.len() >= 11 && !code.keys().any(|kind| kind.starts_with("toy")), "{code:?}");
    let missing = missing_kinds(written(), &code);
    assert!(missing.is_empty(), "\n{}\n", missing.join("\n"));
    let unknown: Vec<&String> =
        written().steps.values().map(|s| &s.kind).filter(|kind| !code.contains_key(*kind)).collect();
    assert!(unknown.is_empty(), "{unknown:?} are no kinds of the sources any more: refresh with `{REFRESH}`");
}

#[test]
fn what_messages_name_is_there() {
    let (code, locked) = (kinds(), locked());
    for (library, kinds) in LIBRARIES {
        assert!(
            locked.contains_key(library),
            "LIBRARIES of tests/golden/code.rs has {library}, and Cargo.lock has not"
        );
        assert!(kinds.iter().all(|kind| code.contains_key(*kind)), "{library}: {kinds:?}");
    }
    for (field, constant, file) in SHARED {
        let text = fs::read_to_string(root().join(file)).unwrap();
        assert!(text.contains(&format!("pub const {constant}: u32")), "{constant} is not in {file}");
        let is_in_a_recipe = written().steps.values().any(|step| step.recipe.contains(&format!("\"{field}\":")));
        assert!(is_in_a_recipe, "no recipe has {field}");
    }
}

fn step(structure: &str, file: &str) -> StepCode {
    StepCode { structure: structure.to_owned(), file: file.to_owned() }
}

/// Trained weights, features of them and of the bare pixels, and what a solver makes of these.
fn small() -> (Golden, BTreeMap<String, StepCode>) {
    let recorded = |kind: &str, key: &str, recipe: &str, file: &str, value: Value| Recorded {
        kind: kind.to_owned(),
        key: key.to_owned(),
        recipe: recipe.to_owned(),
        files: [(file.to_owned(), value)].into(),
    };
    let array = |values: Value| json!({ "w": { "dtype": "F32", "shape": [2], "values": values } });
    let steps = [
        ("train", recorded("weights", "aaaa", r#"{"training":1}"#, "w.safetensors", array(json!([0.5, 100.0])))),
        ("trained", recorded("features", "bbbb", r#"{"$step":"aaaa"}"#, "f.safetensors", array(json!([1.0, 2.0])))),
        ("pixels", recorded("features", "cccc", r#"{"pixels":2}"#, "f.safetensors", array(json!([1.0, 2.0])))),
        (
            "fit",
            recorded(
                "fit",
                "dddd",
                r#"{"of":{"$step":"cccc"},"solver":1}"#,
                "fit.json",
                json!({ "objective": 2.0, "gradient": 1e-7, "iterations": 7, "name": "x" }),
            ),
        ),
    ];
    let steps = steps.into_iter().map(|(label, step)| (label.to_owned(), step)).collect();
    let code =
        [("features", step("Extract", "e.rs")), ("weights", step("Train", "t.rs")), ("fit", step("Fit", "f.rs"))];
    let locked = [("faer".to_owned(), "1.0.0".to_owned()), ("zmij".to_owned(), "1.0.0".to_owned())];
    (Golden { locked: locked.into(), steps }, code.into_iter().map(|(kind, step)| (kind.to_owned(), step)).collect())
}

/// What is said after a change.
fn said(change: impl FnOnce(&mut Golden)) -> String {
    let (old, code) = small();
    let mut new = old.clone();
    change(&mut new);
    differences(&old, &new, &code).join("\n\n")
}

fn set(golden: &mut Golden, label: &str, pointer: &str, value: Value) {
    let file = golden.steps.get_mut(label).unwrap().files.values_mut().next().unwrap();
    *file.pointer_mut(pointer).unwrap() = value;
}

#[test]
fn rounding_is_nothing_and_less_so_before_training() {
    for (label, pointer, moved, is_told) in [
        ("pixels", "/w/values/0", json!(1.000_003), false),
        ("pixels", "/w/values/0", json!(1.000_005), true),
        ("pixels", "/w/values/0", json!(1), true),
        ("pixels", "/w/shape/0", json!(3), true),
        ("pixels", "/w/dtype", json!("F64"), true),
        ("pixels", "/w/values", json!([1.0]), true),
        ("train", "/w/values/0", json!(0.509), false),
        ("train", "/w/values/0", json!(0.511), true),
        ("trained", "/w/values/0", json!(1.000_1), false),
        ("trained", "/w/values/0", json!(1.000_3), true),
        ("fit", "/gradient", json!(2e-7), false),
        ("fit", "/objective", json!(2.000_01), true),
        ("fit", "/iterations", json!(8), true),
        ("fit", "/name", json!("y"), true),
        ("fit", "/name", Value::Null, true),
    ] {
        let said = said(|golden| set(golden, label, pointer, moved.clone()));
        assert_eq!(!said.is_empty(), is_told, "{label} {pointer} {moved}: {said}");
    }
}

#[test]
fn numbers_under_the_same_key_name_the_version_to_raise() {
    let one = said(|golden| set(golden, "pixels", "/w/values/1", json!(2.5)));
    for part in [
        "the numbers of step \"features\" moved: raise VERSION of Extract (e.rs)",
        "PIXELS (crates/assay-data/src/decode.rs)",
        "pixels: f.safetensors/w/values[1] was 2.0 and is 2.5",
        "**Cache keys**",
        REFRESH,
    ] {
        assert!(one.contains(part), "{part} is missing in {one}");
    }
    assert!(!one.contains("FORWARD") && !one.contains("SOLVER"), "{one}");
    // What moved with its input is not to be raised, and a library that moved is told too.
    let both = said(|golden| {
        set(golden, "pixels", "/w/values/1", json!(2.5));
        set(golden, "fit", "/objective", json!(3.0));
        golden.locked.insert("faer".to_owned(), "2.0.0".to_owned());
    });
    assert!(both.contains("nothing is to be raised for them: fit"), "{both}");
    assert!(!both.contains("step \"fit\" moved") && both.contains("may be why numbers moved"), "{both}");
    let file = said(|golden| golden.steps.get_mut("fit").unwrap().files.clear());
    assert!(file.contains("step \"fit\" moved: raise VERSION of Fit (f.rs)") && file.contains("SOLVER"), "{file}");
    assert!(file.contains("files were [\"fit.json\"] and are []"), "{file}");
}

#[test]
fn a_library_that_moved_alone_asks_for_a_refresh() {
    let said = said(|golden| drop(golden.locked.insert("faer".to_owned(), "2.0.0".to_owned())));
    assert!(said.contains("faer moved from 1.0.0 to 2.0.0: steps grid, fit (Fit) use it"), "{said}");
    assert!(said.contains(&format!("outputs agree within tolerance: refresh with `{REFRESH}`")), "{said}");
    let gone = self::said(|golden| drop(golden.locked.remove("zmij")));
    assert!(gone.contains("zmij moved from 1.0.0 to nothing: all steps use it"), "{gone}");
}

#[test]
fn keys_that_moved_are_told_with_the_part_of_the_recipe() {
    let said = said(|golden| {
        let pixels = golden.steps.get_mut("pixels").unwrap();
        (pixels.key, pixels.recipe) = ("eeee".to_owned(), r#"{"pixels":3}"#.to_owned());
        let fit = golden.steps.get_mut("fit").unwrap();
        (fit.key, fit.recipe) = ("ffff".to_owned(), fit.recipe.replace("cccc", "eeee"));
        set(golden, "fit", "/objective", json!(3.0));
    });
    for part in
        ["keys of 2 steps moved", "pixels: /pixels was 2 and is 3", "with their inputs: fit", "**Cache keys**", REFRESH]
    {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    assert!(!said.contains("under the same key"), "{said}");
}

#[test]
fn a_kind_without_a_miniature_is_told() {
    let (golden, mut code) = small();
    assert!(missing_kinds(&golden, &code).is_empty());
    code.insert("detect".to_owned(), step("Detect", "d.rs"));
    let said = missing_kinds(&golden, &code).join("\n");
    assert!(said.contains("no step of kind \"detect\" (Detect in d.rs)") && said.contains("experiment.ron"), "{said}");
    let labels = self::said(|golden| drop(golden.steps.remove("train")));
    assert!(labels.contains("other steps than before\n  gone: train\n"), "{labels}");
}

#[test]
fn sources_and_lock_files_are_read() {
    let text = "impl Step<Runtime> for A {\n    const KIND: &'static str = \"a\";\n}\n\
                impl<'x> Step<Runtime> for B<'x> {\n    const KIND: &'static str = \"b-c\";\n}\n\
                #[cfg(test)]\nmod tests {\n    impl Step<()> for C {\n        const KIND: &'static str = \"c\";\n";
    assert_eq!(kinds_in(text, "f.rs"), [("a".to_owned(), step("A", "f.rs")), ("b-c".to_owned(), step("B", "f.rs"))]);
    let package = |name: &str, version: &str, needs: &str| {
        format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\ndependencies = [\n \"{needs}\",\n]\n\n")
    };
    let lock = ["1.2.3", "2.0.0"].map(|version| package("burn", version, "half")).concat()
        + &package("other", "9.0.0", "burn 1.2.3");
    let burn = |lock: &str| locked_in(lock)["burn"].clone();
    assert_eq!((locked_in(&lock).len(), burn(&lock).as_str()), (1, "1.2.3 and 2.0.0"));
    assert_eq!(burn(&(lock + &package("assay-nn", "0.1.0", "burn 2.0.0"))), "2.0.0");
}

#[test]
fn the_file_is_read_back() {
    let (golden, _) = small();
    assert_eq!(Golden::read(&golden.to_text()).unwrap(), golden);
    assert_eq!(written().to_text(), fs::read_to_string(golden_file()).unwrap(), "refresh with `{REFRESH}`");
    assert!(fs::metadata(golden_file()).unwrap().len() < 300_000, "it is for reading: make the experiment smaller");
}
