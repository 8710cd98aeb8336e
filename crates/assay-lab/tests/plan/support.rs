//! A folder with an experiment and the small files that it names, and its plan as a text.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use assay_config::{Environment, Override, Problem};
use assay_engine::Store;
use assay_lab::{Lab, LeftOut, Planned};
use assay_nn::{Backbone, Dtype, RawTensor, to_safetensors};
use miette::Diagnostic as _;
use serde_json::Value;

/// What most experiments here include. Each of 4 classes has 6 training and 2 test images.
const BASE: &str = r#"(
    tasks: {
        "glyphs": (dataset: Glyphs(alphabets: 1, characters: 4, drawers: 8, test_drawers: 2), image: (size: 28, resize: None, color: Grey)),
        "whole": (dataset: Glyphs(alphabets: 1, characters: 4, drawers: 8), image: (size: 28, resize: None, color: Grey)),
        "rgb": (dataset: Glyphs(alphabets: 1, characters: 4, drawers: 8, test_drawers: 2), image: (size: 32, resize: Stretch)),
    },
    models: {
        "pixels": (backbone: Pixels),
        "conv": (backbone: Conv4(channels: 1, width: 4), weights: Random(seed: 0)),
    },
    protocols: {
        "knn": Knn(k: 3),
        "few": FewShot(ways: 2, shots: 1, queries: 2, episodes: 10),
        "linear": Linear(),
    },
)"#;

/// A folder with an experiment, `e.ron`, and `base.ron` beside it.
pub struct Place {
    folder: tempfile::TempDir,
    pub root: PathBuf,
}

/// The plan of an experiment without files of its own, as a text.
pub fn plan(ron: &str) -> String {
    Place::new(ron).plan()
}

/// The plan with values that the command line sets.
pub fn plan_with(ron: &str, overrides: &[&str]) -> String {
    Place::new(ron).text(overrides, false)
}

impl Place {
    pub fn new(ron: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        Self { folder, root }.file("base.ron", BASE).file("e.ron", ron)
    }

    /// Writes a file; folders above it are made.
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// Writes images of 2 × 1 grey pixels, no two alike in one experiment while `from` is another.
    pub fn images(mut self, folder: &str, numbers: std::ops::Range<u16>) -> Self {
        for i in numbers {
            let [high, low] = i.to_be_bytes();
            self = self.file(&format!("{folder}/{i:05}.pgm"), [b"P5 2 1 255\n".as_slice(), &[high, low]].concat());
        }
        self
    }

    /// Makes a link, which leads out of the folder.
    #[cfg(unix)]
    pub fn link(self, path: &str, target: &Path) -> Self {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
        self
    }

    pub fn plan(&self) -> String {
        self.text(&[], false)
    }

    /// The plan of what can be evaluated with the files that are there.
    pub fn available(&self) -> String {
        self.text(&[], true)
    }

    pub fn text(&self, overrides: &[&str], available: bool) -> String {
        let text = match self.planned(overrides, available) {
            Ok(planned) => describe(&planned),
            Err(problems) => problems.iter().map(problem).collect(),
        };
        text.replace(self.root.to_str().unwrap(), "DIR").replace("DIR/e.ron:", "e.ron:")
    }

    pub fn planned(&self, overrides: &[&str], available: bool) -> Result<Planned, Vec<Problem>> {
        let overrides: Vec<_> = overrides.iter().map(|text| Override((*text).to_owned())).collect();
        let environment = Environment { home: Some(self.root.join("home")), ..Environment::default() };
        let store = Store::open(&self.folder.path().join("store")).unwrap();
        Lab::load(&self.root.join("e.ron"), &overrides, environment, available)?.plan(&store)
    }
}

fn describe(planned: &Planned) -> String {
    assert_needed(planned);
    let mut text = String::new();
    let mut labels = HashMap::new();
    for node in planned.plan.nodes() {
        labels.insert(node.key.to_string(), node.label.clone());
        let _ = write!(text, "{}", node.label);
        if !node.also.is_empty() {
            let _ = write!(text, " = {}", node.also.join(" = "));
        }
        let _ = write!(text, "  {}", node.kind);
        let inputs = inputs(&serde_json::from_str(&node.recipe()).unwrap());
        if !inputs.is_empty() {
            let names: Vec<&str> = inputs.iter().map(|key| labels[key].as_str()).collect();
            let _ = write!(text, "  <- {}", names.join(", "));
        }
        text.push('\n');
    }
    for cell in &planned.cells {
        let (how, why) = match &cell.evaluation {
            Ok(_) => continue,
            Err(LeftOut::NotAvailable(why)) => ("not available", why),
            Err(LeftOut::Impossible(why)) => ("impossible", why),
        };
        let cell = &cell.cell;
        let _ = writeln!(text, "left out: {} / {} / {}, {how}: {why}", cell.model, cell.task, cell.protocol);
    }
    for warning in &planned.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    for note in &planned.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text
}

/// Nothing is planned that no cell needs, and the parts of a recipe that are said to be written somewhere are there.
fn assert_needed(planned: &Planned) {
    let recipes: HashMap<String, Value> =
        planned.plan.nodes().map(|n| (n.key.to_string(), serde_json::from_str(&n.recipe()).unwrap())).collect();
    let mut needed = HashSet::new();
    let wanted = planned.cells.iter().filter_map(|cell| cell.evaluation.as_ref().ok());
    let mut ahead: Vec<String> = wanted.map(|output| output.key().to_string()).collect();
    while let Some(key) = ahead.pop() {
        ahead.extend(inputs(&recipes[&key]));
        needed.insert(key);
    }
    for node in planned.plan.nodes() {
        assert!(needed.contains(&node.key.to_string()), "no cell needs {}", node.label);
        for written in node.written_at.iter() {
            let pointer = format!("/step{}", written.part);
            assert!(recipes[&node.key.to_string()].pointer(&pointer).is_some(), "{} has no {pointer}", node.label);
            assert!(planned.document.place(&written.path).is_some(), "{} is written nowhere", written.path);
        }
    }
}

/// The steps that a recipe names, each once, in the order of its fields.
fn inputs(recipe: &Value) -> Vec<String> {
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            Value::Object(fields) => match fields.get("$step").and_then(Value::as_str) {
                Some(key) if !found.iter().any(|known| known == key) => found.push(key.to_owned()),
                Some(_) => {}
                None => fields.values().for_each(|field| collect(field, found)),
            },
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(recipe, &mut found);
    found
}

/// A problem: where it is, what it is, what is written beside the place where that is not only "here", and what helps.
fn problem(problem: &Problem) -> String {
    let mut text = problem.one_line();
    let labels = problem.labels().into_iter().flatten();
    let labels: Vec<String> = labels.filter_map(|l| l.label().map(str::to_owned)).filter(|l| l != "here").collect();
    if !labels.is_empty() {
        let _ = write!(text, " [{}]", labels.join("; "));
    }
    text.push('\n');
    if let Some(help) = problem.help_text() {
        let _ = writeln!(text, "    help: {help}");
    }
    text
}

/// The tensors of a backbone, all zero.
pub fn tensors(backbone: &Backbone) -> BTreeMap<String, RawTensor> {
    backbone.tensors().into_iter().map(|t| (t.name, zeros(&t.shape))).collect()
}

pub fn zeros(shape: &[usize]) -> RawTensor {
    RawTensor { dtype: Dtype::F32, shape: shape.to_vec(), bytes: vec![0; 4 * shape.iter().product::<usize>()] }
}

/// Bytes of a safetensors file.
pub fn file_of(tensors: &BTreeMap<String, RawTensor>) -> Vec<u8> {
    to_safetensors(tensors).unwrap()
}

/// A file of the reference data sets.
pub fn reference(path: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/datasets");
    fs::canonicalize(folder).unwrap().join(path)
}
