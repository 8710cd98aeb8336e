//! What the code and the lock file say: which kinds of steps there are, and the versions of the libraries that do arithmetic.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Where a kind of step is implemented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepCode {
    /// Name of the struct.
    pub structure: String,
    /// File from the root of the repository.
    pub file: String,
}

/// Constants that several steps have in their recipes: name of the field, the constant, its file.
pub const SHARED: [(&str, &str, &str); 4] = [
    ("pixels", "PIXELS", "crates/assay-data/src/decode.rs"),
    ("forward", "FORWARD", "crates/assay-nn/src/lib.rs"),
    ("training", "TRAINING", "crates/assay-nn/src/lib.rs"),
    ("solver", "SOLVER", "crates/assay-probe/src/lib.rs"),
];

const PIXELS: &[&str] = &["features", "weights", "try", "finetune", "score-finetuned"];
const NETWORKS: &[&str] = &["features", "weights", "try", "finetune", "score-finetuned", "few-shot", "knn"];
const TRAINING: &[&str] = &["weights", "try", "finetune"];
const PRODUCTS: &[&str] =
    &["features", "weights", "try", "finetune", "score-finetuned", "few-shot", "knn", "grid", "fit"];
const SOLVERS: &[&str] = &["grid", "fit"];
const RANDOM: &[&str] = &["features", "weights", "try", "finetune", "score-finetuned", "episodes", "linear"];
const STATISTICS: &[&str] =
    &["weights", "try", "finetune", "score-finetuned", "grid", "few-shot", "knn", "classify", "linear"];

/// Libraries that do arithmetic, decode, draw or print numbers, each with the kinds of steps that use it; no kind for all.
pub const LIBRARIES: [(&str, &[&str]); 32] = [
    ("blake3", &[]),
    ("burn", NETWORKS),
    ("burn-autodiff", TRAINING),
    ("burn-backend", NETWORKS),
    ("burn-core", NETWORKS),
    ("burn-flex", NETWORKS),
    ("burn-nn", NETWORKS),
    ("burn-optim", TRAINING),
    ("burn-std", NETWORKS),
    ("burn-tensor", NETWORKS),
    ("faer", SOLVERS),
    ("faer-traits", SOLVERS),
    ("gemm", PRODUCTS),
    ("gemm-common", PRODUCTS),
    ("gemm-f32", NETWORKS),
    ("gemm-f64", SOLVERS),
    ("half", NETWORKS),
    ("fax", PIXELS),
    ("image-webp", PIXELS),
    ("libm", STATISTICS),
    ("macerator", NETWORKS),
    ("mozjpeg", PIXELS),
    ("mozjpeg-sys", PIXELS),
    ("nano-gemm", SOLVERS),
    ("png", PIXELS),
    ("private-gemm-x86", SOLVERS),
    ("pulp", SOLVERS),
    ("rand_chacha", RANDOM),
    ("safetensors", &[]),
    ("serde_json", &[]),
    ("weezl", PIXELS),
    ("zmij", &[]),
];

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The kinds of steps in the sources, without those that are compiled for tests alone.
pub fn kinds() -> BTreeMap<String, StepCode> {
    let mut kinds = BTreeMap::new();
    let mut folders: Vec<PathBuf> =
        fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path().join("src")).collect();
    while let Some(folder) = folders.pop() {
        let paths: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        let texts: Vec<(&PathBuf, String)> = paths
            .iter()
            .filter(|path| path.extension().is_some_and(|e| e == "rs"))
            .map(|path| (path, fs::read_to_string(path).unwrap()))
            .collect();
        let for_tests: BTreeSet<String> = texts.iter().flat_map(|(_, text)| modules_for_tests(text)).collect();
        let is_for_tests = |path: &Path| for_tests.contains(path.file_stem().unwrap().to_str().unwrap());
        for (path, text) in &texts {
            if !is_for_tests(path) {
                let file = path.strip_prefix(root()).unwrap().to_str().unwrap();
                kinds.extend(kinds_in(text, file));
            }
        }
        folders.extend(paths.into_iter().filter(|path| path.is_dir() && !is_for_tests(path)));
    }
    kinds
}

/// Names of the modules that `text` declares for tests alone, in files of their own.
fn modules_for_tests(text: &str) -> Vec<String> {
    let after = text.split("#[cfg(test)]").skip(1);
    let name = |part: &str| Some(part.trim_start().strip_prefix("mod ")?.split_once(';')?.0.to_owned());
    after.filter_map(name).filter(|name| !name.contains(char::is_whitespace)).collect()
}

/// The kinds of steps in a file, up to its tests.
pub fn kinds_in(text: &str, file: &str) -> Vec<(String, StepCode)> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let parts: Vec<&str> = text.split("const KIND: &'static str = \"").collect();
    let structure = |before: &str| {
        let (_, after) = before.rsplit_once("impl").unwrap();
        after.split_once(" for ").unwrap().1.split([' ', '<', '{']).next().unwrap().to_owned()
    };
    let kind = |pair: &[&str]| {
        (
            pair[1].split('"').next().unwrap().to_owned(),
            StepCode { structure: structure(pair[0]), file: file.to_owned() },
        )
    };
    parts.windows(2).map(kind).collect()
}

/// The locked versions of the libraries.
pub fn locked() -> BTreeMap<String, String> {
    locked_in(&fs::read_to_string(root().join("Cargo.lock")).unwrap())
}

/// Where a library is locked in several versions, those that this workspace names; all of them if it names none.
pub fn locked_in(lock: &str) -> BTreeMap<String, String> {
    let field = |part: &str, name: &str| {
        let line = part.lines().find_map(|line| line.strip_prefix(&format!("{name} = \""))?.strip_suffix('"'));
        line.map(str::to_owned)
    };
    let packages: Vec<&str> = lock.split("[[package]]").skip(1).collect();
    let ours: Vec<&&str> = packages.iter().filter(|part| part.contains("name = \"assay-")).collect();
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for part in &packages {
        let (Some(name), Some(version)) = (field(part, "name"), field(part, "version")) else { continue };
        if LIBRARIES.iter().any(|(library, _)| *library == name) {
            versions.entry(name).or_default().push(version);
        }
    }
    let is_ours = |name: &str, version: &str| ours.iter().any(|part| part.contains(&format!("\"{name} {version}\"")));
    let one = |(name, all): (String, Vec<String>)| {
        let named: Vec<String> = all.iter().filter(|version| is_ours(&name, version)).cloned().collect();
        let versions = if named.is_empty() { all } else { named };
        (name, versions.join(" and "))
    };
    versions.into_iter().map(one).collect()
}
