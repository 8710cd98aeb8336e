//! What may stand in an experiment, with its parameters, read off the types themselves.

use std::fmt::Write as _;

use assay_data::datasets::all_datasets;
use assay_nn::{Backbone, ConvNeXtSize, Padding, Pool, Positions, ViTSize};
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;
use serde_json::Value;

use crate::protocol::ProtocolSpec;
use crate::spec::{About, DatasetSpec, Method, ModelSpec, Normalization, TaskSpec, Weights};

/// A name that may be written, with its parameters.
#[derive(Clone, Debug, Serialize)]
pub struct Described {
    /// Where it may be written, such as `backbone`.
    pub place: &'static str,
    /// The name.
    pub name: String,
    /// What it is.
    pub doc: String,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
}

/// A parameter.
#[derive(Clone, Debug, Serialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What it is.
    pub doc: String,
    /// What may be written.
    pub kind: String,
    /// Its value when it is not written; absent when it must be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

/// Fields of a model, backbones, and where weights come from.
pub fn models() -> Vec<Described> {
    let mut all = vec![fields_of::<ModelSpec>("models", "model")];
    all.push(fields_of::<About>("about", "about"));
    all.extend(variants_of::<Pool>("pool"));
    all.extend(variants_of::<Normalization>("normalization"));
    all.extend(variants_of::<Backbone>("backbone"));
    all.extend(variants_of::<ViTSize>("backbone: ViT(size), DinoV2(size), Clip(size)"));
    all.extend(variants_of::<Positions>("backbone: ViT(positions), DinoV2(positions)"));
    all.extend(variants_of::<ConvNeXtSize>("backbone: ConvNeXt(size)"));
    all.extend(variants_of::<Padding>("backbone: ResNet(padding)"));
    all.extend(variants_of::<Weights>("weights"));
    all.extend(variants_of::<Method>("weights: Trained(method)"));
    all
}

/// Fields of a task, and datasets.
pub fn tasks() -> Vec<Described> {
    let mut all =
        vec![fields_of::<TaskSpec>("tasks", "task"), fields_of::<crate::spec::ImageOptions>("image", "image")];
    all.push(fields_of::<crate::spec::SubsetOptions>("subset", "subset"));
    let mut datasets = variants_of::<DatasetSpec>("dataset");
    for official in all_datasets() {
        let info = official.info();
        if let Some(described) = datasets.iter_mut().find(|d| d.name == info.name) {
            let counts = official.counts().iter().map(|c| format!("{:?} {}", c.split, c.images)).collect::<Vec<_>>();
            let counts = if counts.is_empty() { "not published".to_owned() } else { counts.join(", ") };
            let _ = write!(
                described.doc,
                " {} classes; images: {counts}; metric: {}; licence: {}; files: {}; layout: {}.",
                info.classes,
                info.metric,
                info.licence,
                info.source,
                info.layout.join("; ")
            );
        }
    }
    all.extend(datasets);
    all
}

/// Protocols.
pub fn protocols() -> Vec<Described> {
    variants_of::<ProtocolSpec>("protocols")
}

fn fields_of<T: JsonSchema>(place: &'static str, name: &str) -> Described {
    let schema = schema_for!(T);
    let root = schema.as_value();
    Described { place, name: name.to_owned(), doc: doc(root), parameters: parameters(&schema, root) }
}

fn variants_of<T: JsonSchema>(place: &'static str) -> Vec<Described> {
    let schema = schema_for!(T);
    let variants = schema.get("oneOf").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut all = Vec::new();
    for variant in &variants {
        let described =
            |name: &str, parameters| Described { place, name: name.to_owned(), doc: doc(variant), parameters };
        if let Some(name) = variant.get("const").and_then(Value::as_str) {
            all.push(described(name, Vec::new()));
        } else if let Some((name, inner)) =
            variant.get("properties").and_then(Value::as_object).and_then(|p| p.iter().next())
        {
            all.push(described(name, parameters(&schema, resolve(&schema, inner))));
        } else if let Some(names) = variant.get("enum").and_then(Value::as_array) {
            all.extend(names.iter().filter_map(Value::as_str).map(|name| described(name, Vec::new())));
        }
    }
    all
}

fn doc(value: &Value) -> String {
    value.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ")
}

fn resolve<'s>(schema: &'s Schema, value: &'s Value) -> &'s Value {
    let reference = value.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#'));
    reference.and_then(|pointer| schema.as_value().pointer(pointer)).unwrap_or(value)
}

fn parameters(schema: &Schema, object: &Value) -> Vec<Parameter> {
    let required: Vec<&str> =
        object.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = object.get("properties").and_then(Value::as_object).into_iter().flatten();
    let parameter = |(name, value): (&String, &Value)| {
        let default = value.get("default").filter(|d| !d.is_null()).map(ron_like);
        let default = if required.contains(&name.as_str()) {
            None
        } else {
            Some(default.unwrap_or_else(|| "see above".to_owned()))
        };
        Parameter { name: name.clone(), doc: doc(value), kind: kind(schema, value), default }
    };
    properties.map(parameter).collect()
}

/// A default as it would be written: names without quotes, since those are the only strings that have defaults.
fn ron_like(value: &Value) -> String {
    match value {
        Value::String(name) => name.clone(),
        Value::Object(fields) => {
            let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}: {}", ron_like(value))).collect();
            format!("({})", fields.join(", "))
        }
        other => other.to_string(),
    }
}

fn kind(schema: &Schema, value: &Value) -> String {
    let resolved = resolve(schema, value);
    if let Some(title) = resolved.get("title").and_then(Value::as_str) {
        return title.to_owned();
    }
    for several in ["anyOf", "allOf"] {
        if let Some(options) = resolved.get(several).and_then(Value::as_array) {
            let kinds: Vec<_> = options.iter().map(|o| kind(schema, o)).filter(|k| k != "null").collect();
            return kinds.join(" or ");
        }
    }
    if let Some(options) = resolved.get("oneOf").and_then(Value::as_array) {
        return options.iter().flat_map(variant_names).collect::<Vec<_>>().join(" | ");
    }
    if let Some(names) = resolved.get("enum").and_then(Value::as_array) {
        return names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" | ");
    }
    match resolved.get("type") {
        Some(Value::String(kind)) => match kind.as_str() {
            "array" => format!(
                "list of {}",
                resolved.get("items").map_or_else(|| "values".to_owned(), |i| kind_plural(schema, i))
            ),
            "object" => "( … )".to_owned(),
            "boolean" => "true | false".to_owned(),
            other => other.to_owned(),
        },
        Some(Value::Array(kinds)) => {
            kinds.iter().filter_map(Value::as_str).filter(|k| *k != "null").collect::<Vec<_>>().join(" or ")
        }
        _ => "value".to_owned(),
    }
}

fn kind_plural(schema: &Schema, value: &Value) -> String {
    let one = kind(schema, value);
    if one.contains('|') { one } else { format!("{one}s") }
}

fn variant_names(variant: &Value) -> Vec<String> {
    if let Some(name) = variant.get("const").and_then(Value::as_str) {
        return vec![name.to_owned()];
    }
    if let Some(names) = variant.get("enum").and_then(Value::as_array) {
        return names.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    }
    let name = variant.get("properties").and_then(Value::as_object).and_then(|p| p.keys().next());
    name.map(|n| format!("{n}(…)")).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_and_parameter_is_documented() {
        for described in models().into_iter().chain(tasks()).chain(protocols()) {
            assert!(!described.doc.is_empty(), "{} has no description", described.name);
            for parameter in &described.parameters {
                assert!(!parameter.doc.is_empty(), "{}.{} has no description", described.name, parameter.name);
            }
        }
        let few_shot = protocols().into_iter().find(|p| p.name == "FewShot").unwrap();
        let find = |name: &str| few_shot.parameters.iter().find(|p| p.name == name).unwrap().clone();
        assert_eq!(find("ways").default.as_deref(), Some("5"));
        assert_eq!(find("episodes").default.as_deref(), Some("600"));
        assert_eq!(find("classifier").kind, "NearestMean | NearestSupport");
        assert!(models().iter().any(|d| d.place == "backbone" && d.name == "ResNet50"));
    }
}
