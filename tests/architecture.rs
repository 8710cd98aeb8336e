//! The direction of dependencies, and where features may be spoken of.

#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn dependencies(name: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).unwrap();
    let lines = text.split("\n[").filter(|part| part.starts_with("dependencies]")).flat_map(str::lines);
    lines
        .filter_map(|line| Some(line.split(['=', '.', ' ']).next()?.to_owned()))
        .filter(|n| !n.is_empty() && !n.ends_with(']'))
        .collect()
}

#[test]
fn crates_depend_in_one_direction() {
    let allowed: [(&str, &[&str]); 11] = [
        ("assay-stats", &[]),
        ("assay-config", &[]),
        ("assay-engine", &[]),
        ("assay-probe", &[]),
        ("assay-pickle", &[]),
        ("assay-data", &["assay-pickle", "assay-stats"]),
        ("assay-weights", &["assay-pickle"]),
        ("assay-nn", &["assay-stats", "assay-weights"]),
        ("assay-lab", &["assay-config", "assay-data", "assay-engine", "assay-nn", "assay-probe", "assay-stats"]),
        ("assay-report", &["assay-config", "assay-lab", "assay-stats"]),
        ("assay-cli", &["assay-config", "assay-engine", "assay-lab", "assay-report"]),
    ];
    let crates: BTreeSet<String> =
        fs::read_dir(root().join("crates")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(crates, allowed.iter().map(|(name, _)| (*name).to_owned()).collect());
    for (name, ours) in allowed {
        let found: BTreeSet<String> = dependencies(name).into_iter().filter(|d| d.starts_with("assay-")).collect();
        assert_eq!(found, ours.iter().map(|d| (*d).to_owned()).collect(), "dependencies of {name}");
        let uses_burn = dependencies(name).iter().any(|d| d == "burn");
        assert_eq!(uses_burn, name == "assay-nn", "{name} and Burn");
        let uses_ron = dependencies(name).iter().any(|d| d == "ron");
        assert_eq!(uses_ron, name == "assay-config", "{name} and RON");
    }
}

/// The phases of the laboratory, each with those that it may build on.
const PHASES: [(&str, &[&str]); 6] = [
    ("spec", &[]),
    ("outside", &["spec"]),
    ("steps", &["outside", "spec"]),
    ("results", &["outside", "spec", "steps"]),
    ("plan", &["outside", "results", "spec", "steps"]),
    ("protocol", &["outside", "plan", "results", "spec", "steps"]),
];

#[test]
fn the_phases_of_the_laboratory_do_not_import_each_other_in_circles() {
    let lab = root().join("crates/assay-lab/src");
    let folders: BTreeSet<String> = fs::read_dir(&lab)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.is_dir())
        .map(|p| p.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(folders, PHASES.iter().map(|(name, _)| (*name).to_owned()).collect());
    for (i, (phase, allowed)) in PHASES.iter().enumerate() {
        assert!(
            allowed.iter().all(|a| PHASES[..i].iter().any(|(name, _)| name == a)),
            "{phase} is before what it builds on"
        );
        let mut files = Vec::new();
        sources(&lab.join(phase), &mut files);
        for path in files {
            let text = fs::read_to_string(&path).unwrap();
            for part in text.split("crate::").skip(1) {
                let name = part.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
                let is_fine = name == *phase || allowed.contains(&name);
                assert!(is_fine, "{} imports crate::{name}", path.display());
            }
        }
    }
}

#[test]
fn no_feature_asks_for_spirv() {
    for name in ["assay-nn", "assay-lab", "assay-cli"] {
        let text = fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).unwrap();
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let asking = lines.find(|line| line.contains("vulkan") || line.contains("spirv"));
        assert_eq!(asking, None, "{name}");
    }
}

#[test]
fn every_end_to_end_test_is_built() {
    let manifest = fs::read_to_string(root().join("crates/assay-cli/Cargo.toml")).unwrap();
    for entry in fs::read_dir(root().join("tests")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "rs") {
            let name = path.file_stem().unwrap().to_str().unwrap();
            let target = format!("[[test]]\nname = \"{name}\"\npath = \"../../tests/{name}.rs\"\n");
            assert!(
                manifest.contains(&target),
                "crates/assay-cli/Cargo.toml lacks\n{target}so tests/{name}.rs never runs"
            );
        }
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn features_are_spoken_of_in_one_file_and_environment_in_one_crate() {
    let mut files = Vec::new();
    sources(&root().join("crates"), &mut files);
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let text: String =
            text.lines().filter(|l| !l.trim_start().starts_with("//")).map(|l| format!("{l}\n")).collect();
        let is_device = path.ends_with("assay-nn/src/device.rs");
        assert!(is_device || !text.contains("cfg(feature") && !text.contains("cfg!(feature"), "{}", path.display());
        let is_cli = path.components().any(|c| c.as_os_str() == "assay-cli");
        for outside in ["env::var", "SystemTime::now", "println!", "current_dir("] {
            let in_tests =
                text.find("#[cfg(test)]").is_some_and(|tests| text.find(outside).is_some_and(|at| at > tests));
            let is_test = path.components().any(|c| c.as_os_str() == "tests" || c.as_os_str() == "benches");
            assert!(is_cli || in_tests || is_test || !text.contains(outside), "{} has {outside}", path.display());
        }
    }
}
