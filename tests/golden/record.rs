//! What steps left behind, as text that can be read in a diff.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::path::Path;

use assay_engine::{Entry, StepKey, Store};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use serde_json::{Value, json};

/// The file `steps.json`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Golden {
    /// Versions of libraries.
    pub locked: BTreeMap<String, String>,
    /// Steps by label.
    pub steps: BTreeMap<String, Recorded>,
}

/// A step and what it left behind.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Recorded {
    pub kind: String,
    pub key: String,
    pub recipe: String,
    pub files: BTreeMap<String, Value>,
}

/// Arrays with more numbers than this are told by every n-th of them and their sum.
const MAX_NUMBERS: usize = 512;

/// Reads the steps of a plan, as `plan --format json` has it, from the store.
pub fn steps(plan: &Value, store: &Path) -> BTreeMap<String, Recorded> {
    let store = Store::peek(store);
    let text = |step: &Value, field: &str| step[field].as_str().unwrap().to_owned();
    let steps = plan["steps"].as_array().unwrap().iter().map(|step| {
        let (kind, key) = (text(step, "kind"), text(step, "key"));
        let entry = store.entry(&kind, key.parse::<StepKey>().unwrap()).unwrap().expect("it was run");
        let files = entry.files.names().map(|name| (name.to_owned(), file(&entry, name))).collect();
        (text(step, "label"), Recorded { recipe: entry.recipe().to_owned(), kind, key, files })
    });
    steps.collect()
}

fn file(entry: &Entry, name: &str) -> Value {
    let bytes = entry.files.get(name).unwrap();
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("json") => serde_json::from_slice(&bytes).unwrap(),
        Some("safetensors") => arrays(&SafeTensors::deserialize(&bytes).unwrap()),
        _ => json!({ "blake3": entry.provenance.files[name].blake3.to_string() }),
    }
}

fn arrays(file: &SafeTensors<'_>) -> Value {
    let array = |(name, view): (&str, safetensors::tensor::TensorView<'_>)| {
        let numbers = numbers(view.dtype(), view.data());
        let mut all = json!({ "dtype": view.dtype().to_string(), "shape": view.shape() });
        let every = numbers.len().div_ceil(MAX_NUMBERS);
        if every > 1 {
            all["every"] = every.into();
            all["sum"] = numbers.iter().filter_map(Value::as_f64).map(f64::abs).sum::<f64>().into();
        }
        all["values"] = numbers.into_iter().step_by(every.max(1)).collect();
        (name.to_owned(), all)
    };
    Value::Object(file.iter().map(array).collect())
}

fn numbers(dtype: Dtype, bytes: &[u8]) -> Vec<Value> {
    fn all<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> Value) -> Vec<Value> {
        bytes.as_chunks().0.iter().map(|bytes| number(*bytes)).collect()
    }
    match dtype {
        Dtype::U8 => all(bytes, |[byte]| byte.into()),
        Dtype::U32 => all(bytes, |b| u32::from_le_bytes(b).into()),
        Dtype::I64 => all(bytes, |b| i64::from_le_bytes(b).into()),
        Dtype::F32 => all(bytes, |b| float(f32::from_le_bytes(b))),
        Dtype::F64 => all(bytes, |b| float(f64::from_le_bytes(b))),
        other => panic!("tests/golden/record.rs does not know numbers of type {other:?} yet"),
    }
}

/// The shortest number that is read back as this one; what is not finite is text.
fn float(value: impl Display) -> Value {
    let text = value.to_string();
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => number.into(),
        _ => text.into(),
    }
}

impl Golden {
    pub fn read(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }

    /// One line for each file of a step, so that a diff tells what moved.
    pub fn to_text(&self) -> String {
        let quoted = |text: &str| Value::from(text).to_string();
        let mut text = "{\n\"locked\": {\n".to_owned();
        let list = |items: Vec<String>| items.join(",\n");
        text += &list(
            self.locked.iter().map(|(name, version)| format!("  {}: {}", quoted(name), quoted(version))).collect(),
        );
        text += "\n},\n\"steps\": {\n";
        let step = |(label, step): (&String, &Recorded)| {
            let mut text = format!("{}: {{\n", quoted(label));
            for (name, value) in [("kind", &step.kind), ("key", &step.key), ("recipe", &step.recipe)] {
                let _ = writeln!(text, "  \"{name}\": {},", quoted(value));
            }
            let files = step.files.iter().map(|(name, value)| format!("    {}: {value}", quoted(name))).collect();
            text + "  \"files\": {\n" + &list(files) + "\n  }\n}"
        };
        text + &list(self.steps.iter().map(step).collect()) + "\n}\n}\n"
    }
}
