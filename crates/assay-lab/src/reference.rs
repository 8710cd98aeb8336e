//! The names that may be written in an experiment, with their parameters, read off the types themselves.
//!
//! Nothing is listed by hand: the JSON schemas of [`ModelSpec`], [`TaskSpec`] and [`ProtocolSpec`] are walked, and every type
//! with names of its own that can be reached is listed, under the place where it is written.

use std::fmt::Write as _;

use assay_data::datasets::all_datasets;
use indexmap::IndexMap;
use schemars::{JsonSchema, schema_for};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::protocol::ProtocolSpec;
use crate::spec::{ModelSpec, TaskSpec};

/// A name that may be written, with its parameters.
#[derive(Clone, Debug, Serialize)]
pub struct Described {
    /// Place where it may be written, such as `backbone` or `backbone: ViT(size)`.
    pub place: String,
    /// Description of the type that stands at the place. Not part of the JSON.
    #[serde(skip)]
    pub place_doc: String,
    /// Name that is written; of a place with fields and no names, a name for the whole.
    pub name: String,
    /// Description of the name.
    pub doc: String,
    /// Parameters, those that are required first.
    pub parameters: Vec<Parameter>,
    /// True if the fields are written without the name. Not part of the JSON.
    #[serde(skip)]
    pub is_nameless: bool,
}

/// A parameter.
#[derive(Clone, Debug, Serialize)]
pub struct Parameter {
    /// Name of the parameter.
    pub name: String,
    /// Description of the parameter.
    pub doc: String,
    /// Values that may be written.
    pub kind: String,
    /// Value of a parameter that is not written; absent where one must be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

/// Lists the fields of a model, backbones, sources of weights, and all that stands in them.
pub fn models() -> Vec<Described> {
    described::<ModelSpec>("models", "model")
}

/// Lists the fields of a task, datasets, and all that stands in them.
pub fn tasks() -> Vec<Described> {
    let mut all = described::<TaskSpec>("tasks", "task");
    for official in all_datasets() {
        let info = official.info();
        if let Some(described) = all.iter_mut().find(|d| d.place == "dataset" && d.name == info.name) {
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
    all
}

/// Lists the protocols, and all that stands in them.
pub fn protocols() -> Vec<Described> {
    described::<ProtocolSpec>("protocols", "protocol")
}

/// Everything that can be written in a value of this type, which itself is written at `place`.
fn described<T: JsonSchema>(place: &'static str, name: &str) -> Vec<Described> {
    let schema = schema_for!(T);
    let root = schema.as_value();
    let mut walk = Walk { root, found: IndexMap::new() };
    // The fields of a model or a task are spoken of by their names alone.
    let base = if properties(root).is_some() { "" } else { place };
    walk.visit_inside(&Site { base: base.to_owned(), item: String::new() }, root);
    let mut all = list(root, place, name, root);
    for (definition, sites) in &walk.found {
        let (place, name) = place_of(sites);
        all.extend(list(root, &place, &name, walk.definition(definition)));
    }
    all
}

/// A value in a file: `base` is the field or the place that holds it, `item` the variant with the parameter.
#[derive(Clone, Debug, PartialEq)]
struct Site {
    base: String,
    item: String,
}

impl Site {
    /// The place of a parameter in a value that stands here.
    fn parameter(&self, variant: Option<&str>, parameter: &str) -> Self {
        let base = self.to_string();
        match (base.is_empty(), variant) {
            (true, None) => Self { base: parameter.to_owned(), item: String::new() },
            (_, None) => Self { base, item: format!("({parameter})") },
            (_, Some(variant)) => Self { base, item: format!("{variant}({parameter})") },
        }
    }
}

impl std::fmt::Display for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let colon = if self.base.is_empty() || self.item.is_empty() { "" } else { ": " };
        write!(f, "{}{colon}{}", self.base, self.item)
    }
}

/// The sites of a type as one place, such as `backbone: ViT(size), DinoV2(size)`, and the name of the last field.
fn place_of(sites: &[Site]) -> (String, String) {
    let mut by_base: IndexMap<&str, Vec<&str>> = IndexMap::new();
    let mut sites: Vec<&Site> = sites.iter().collect();
    sites.sort_by_key(|site| site.base.matches(':').count());
    for site in sites {
        by_base.entry(&site.base).or_default().push(&site.item);
    }
    let joined =
        by_base.iter().map(|(base, items)| Site { base: (*base).to_owned(), item: items.join(", ") }.to_string());
    let place = joined.collect::<Vec<_>>().join("; ");
    let mut words = place.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    let name = words.next_back().unwrap_or_default().to_owned();
    (place, name)
}

/// The types with names of their own that can be reached in a schema, with the sites where they stand.
struct Walk<'s> {
    root: &'s Value,
    found: IndexMap<&'s str, Vec<Site>>,
}

impl<'s> Walk<'s> {
    fn definition(&self, name: &str) -> &'s Value {
        self.root.get("$defs").and_then(|d| d.get(name)).unwrap_or(&Value::Null)
    }

    /// Looks at the parameters of a value that stands at `site`.
    fn visit_inside(&mut self, site: &Site, value: &'s Value) {
        for (name, field) in properties(value).into_iter().flatten() {
            self.visit(&site.parameter(None, name), field);
        }
        for (name, content) in variants(value) {
            let Some(content) = content else { continue };
            match properties(resolve(self.root, content)) {
                // Fields are listed with their variant.
                Some(fields) => {
                    for (field, value) in fields {
                        self.visit(&site.parameter(Some(name), field), value);
                    }
                }
                None => self.visit(&Site { base: site.to_string(), item: format!("{name}(…)") }, content),
            }
        }
    }

    /// Looks at what may be written at `site`.
    fn visit(&mut self, site: &Site, value: &'s Value) {
        if let Some(name) = value.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix("#/$defs/")) {
            let definition = self.definition(name);
            if properties(definition).is_none() && variants(definition).is_empty() {
                return self.visit(site, definition);
            }
            let is_new = !self.found.contains_key(name);
            let sites = self.found.entry(name).or_default();
            if !sites.contains(site) {
                sites.push(site.clone());
            }
            if is_new {
                self.visit_inside(site, definition);
            }
            return;
        }
        for several in ["anyOf", "allOf", "prefixItems"] {
            for inner in value.get(several).and_then(Value::as_array).into_iter().flatten() {
                self.visit(site, inner);
            }
        }
        for each in ["items", "additionalProperties"] {
            if let Some(inner) = value.get(each).filter(|inner| inner.is_object()) {
                self.visit(site, inner);
            }
        }
    }
}

/// The names of a type, or the type itself if it has fields and no names.
fn list(root: &Value, place: &str, name: &str, value: &Value) -> Vec<Described> {
    let described = |name: &str, doc, parameters, is_nameless| Described {
        place: place.to_owned(),
        place_doc: self::doc(value),
        name: name.to_owned(),
        doc,
        parameters,
        is_nameless,
    };
    if properties(value).is_some() {
        return vec![described(name, doc(value), parameters(root, value), true)];
    }
    let variant = |(name, content): (&str, Option<&Value>)| {
        let parameters = content.map(|content| parameters(root, resolve(root, content))).unwrap_or_default();
        described(name, variant_doc(value, name), parameters, false)
    };
    variants(value).into_iter().map(variant).collect()
}

fn properties(value: &Value) -> Option<&Map<String, Value>> {
    value.get("properties").and_then(Value::as_object)
}

/// The variants of an enum, with what stands in their parentheses.
fn variants(value: &Value) -> Vec<(&str, Option<&Value>)> {
    options(value).flat_map(variants_of_option).collect()
}

fn options(value: &Value) -> impl Iterator<Item = &Value> {
    let several = value.get("oneOf").and_then(Value::as_array);
    several.into_iter().flatten().chain(several.is_none().then_some(value).filter(|v| v.get("enum").is_some()))
}

fn variants_of_option(option: &Value) -> Vec<(&str, Option<&Value>)> {
    if let Some(name) = option.get("const").and_then(Value::as_str) {
        return vec![(name, None)];
    }
    if let Some(names) = option.get("enum").and_then(Value::as_array) {
        return names.iter().filter_map(Value::as_str).map(|name| (name, None)).collect();
    }
    let content = properties(option).and_then(|p| p.iter().next());
    content.map(|(name, content)| (name.as_str(), Some(content))).into_iter().collect()
}

fn variant_doc(value: &Value, name: &str) -> String {
    let is_it = |option: &&Value| variants_of_option(option).iter().any(|(n, _)| *n == name);
    options(value).find(is_it).map(doc).unwrap_or_default()
}

fn resolve<'s>(root: &'s Value, value: &'s Value) -> &'s Value {
    let reference = value.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#'));
    reference.and_then(|pointer| root.pointer(pointer)).unwrap_or(value)
}

fn parameters(root: &Value, object: &Value) -> Vec<Parameter> {
    let required: Vec<&str> =
        object.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let parameter = |(name, value): (&String, &Value)| {
        let doc = doc(value);
        let known = value.get("default").filter(|d| !d.is_null());
        let known = known.map(|default| match default {
            Value::String(text) if value.get("type").is_some() => format!("{text:?}"),
            other => ron_like(other),
        });
        let told = || split_default(&doc).1.unwrap_or_default().replace('`', "");
        let default = (!required.contains(&name.as_str())).then(|| known.unwrap_or_else(told));
        Parameter { name: name.clone(), kind: kind(root, value), default, doc }
    };
    let mut all: Vec<_> = properties(object).into_iter().flatten().map(parameter).collect();
    all.sort_by_key(|p| p.default.is_some());
    all
}

/// Splits a description that ends in `Default: ….` into what comes before, and the default.
pub fn split_default(doc: &str) -> (&str, Option<&str>) {
    match doc.split_once("Default: ") {
        Some((before, default)) => (before.trim_end(), Some(default.strip_suffix('.').unwrap_or(default))),
        None => (doc, None),
    }
}

fn doc(value: &Value) -> String {
    value.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ")
}

/// A default as it would be written; names stand without quotes.
fn ron_like(value: &Value) -> String {
    match value {
        Value::String(name) => name.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(ron_like).collect::<Vec<_>>().join(", ")),
        // A variant with its fields.
        Value::Object(fields)
            if fields.len() == 1 && fields.keys().all(|name| name.starts_with(char::is_uppercase)) =>
        {
            let (name, value) = fields.iter().next().expect("one field");
            let inner = ron_like(value);
            if inner.starts_with('(') { format!("{name}{inner}") } else { format!("{name}({inner})") }
        }
        Value::Object(fields) => {
            let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}: {}", ron_like(value))).collect();
            format!("({})", fields.join(", "))
        }
        other => other.to_string(),
    }
}

/// Values that may be written, in words.
fn kind(root: &Value, value: &Value) -> String {
    let resolved = resolve(root, value);
    if let Some(title) = resolved.get("title").and_then(Value::as_str) {
        return title.to_owned();
    }
    for several in ["anyOf", "allOf"] {
        if let Some(options) = resolved.get(several).and_then(Value::as_array) {
            let kinds: Vec<_> = options.iter().map(|o| kind(root, o)).filter(|k| k != "null").collect();
            return kinds.join(" or ");
        }
    }
    let names = variants(resolved);
    if !names.is_empty() {
        let names = names.iter().map(|(name, content)| format!("{name}{}", content.map_or("", |_| "(…)")));
        return names.collect::<Vec<_>>().join(" | ");
    }
    match resolved.get("type") {
        Some(Value::String(kind)) => match kind.as_str() {
            "array" => list_kind(root, resolved),
            "object" => match resolved.get("additionalProperties").filter(|each| each.is_object()) {
                Some(each) => format!("{{\"name\": {}}}", self::kind(root, each)),
                None => "(…)".to_owned(),
            },
            "boolean" => "true | false".to_owned(),
            other => other.to_owned(),
        },
        Some(Value::Array(kinds)) => {
            kinds.iter().filter_map(Value::as_str).filter(|k| *k != "null").collect::<Vec<_>>().join(" or ")
        }
        _ => "value".to_owned(),
    }
}

/// `list of integers`, `list of 4 integers`, or the kinds in a tuple.
fn list_kind(root: &Value, list: &Value) -> String {
    if let Some(items) = list.get("prefixItems").and_then(Value::as_array) {
        return format!("({})", items.iter().map(|i| kind(root, i)).collect::<Vec<_>>().join(", "));
    }
    let count = list.get("minItems").filter(|least| Some(*least) == list.get("maxItems"));
    let count = count.map(|count| format!("{count} ")).unwrap_or_default();
    let one = list.get("items").map_or_else(|| "value".to_owned(), |item| kind(root, item));
    let plural = if one.contains(['|', '(']) { one } else { format!("{one}s") };
    format!("list of {count}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Described> {
        models().into_iter().chain(tasks()).chain(protocols()).collect()
    }

    #[test]
    fn every_name_and_parameter_is_documented() {
        for described in all() {
            let at = format!("{} {}", described.place, described.name);
            for doc in [&described.doc, &described.place_doc] {
                assert!(!doc.is_empty(), "{at} has no description");
                assert!(!doc.contains("Default: "), "{at}: parameters have defaults, types have none");
            }
            for parameter in &described.parameters {
                let (what, told) = split_default(&parameter.doc);
                assert!(!what.is_empty(), "{at}.{} has no description", parameter.name);
                let told = told.map(|default| default.replace('`', ""));
                assert_eq!(told, parameter.default, "{at}.{}: `Default: …` of the description", parameter.name);
            }
        }
    }

    #[test]
    fn values_are_described_as_they_are_written() {
        let all = all();
        let find = |place: &str, name: &str, parameter: &str| {
            let described = all.iter().find(|d| d.place == place && d.name == name).unwrap();
            let parameter = described.parameters.iter().find(|p| p.name == parameter).unwrap();
            (parameter.kind.clone(), parameter.default.clone().unwrap_or_else(|| "required".to_owned()))
        };
        for (place, name, parameter, kind, default) in [
            ("protocols", "FewShot", "ways", "integer", "5"),
            ("protocols", "FewShot", "episodes", "number or Official", "600"),
            ("protocols", "FewShot", "classifier", "NearestMean | NearestSupport", "NearestMean"),
            ("models", "model", "layer", "string", "the end of the network"),
            ("backbone", "ResNet", "depths", "list of 4 integers", "[3, 4, 6, 3]"),
            ("weights", "File", "rename", "list of (string, string)", "[]"),
            ("weights", "File", "path", "path", "required"),
            ("dataset", "Parquet", "image", "string", "\"image\""),
        ] {
            assert_eq!(
                find(place, name, parameter),
                (kind.to_owned(), default.to_owned()),
                "{place} {name}({parameter})"
            );
        }
    }

    /// The types of a schema that have names or fields, each with all of them.
    fn types(schema: &Value) -> Vec<(String, Vec<String>)> {
        let definitions = schema["$defs"].as_object().unwrap().iter().map(|(name, value)| (name.clone(), value));
        let mut types = Vec::new();
        for (name, value) in definitions.chain([("the root".to_owned(), schema)]) {
            let mut names: Vec<String> =
                value["properties"].as_object().into_iter().flatten().map(|p| p.0.clone()).collect();
            for option in value["oneOf"].as_array().into_iter().flatten().chain([value]) {
                names.extend(option["const"].as_str().map(str::to_owned));
                names.extend(option["enum"].as_array().into_iter().flatten().map(|n| n.as_str().unwrap().to_owned()));
                names.extend(
                    option["required"]
                        .as_array()
                        .filter(|_| option != value)
                        .map(|n| n[0].as_str().unwrap().to_owned()),
                );
            }
            types.push((name, names));
        }
        types
    }

    #[test]
    fn every_type_that_can_be_reached_is_listed() {
        for (listed, schema) in [
            (models(), schema_for!(ModelSpec)),
            (tasks(), schema_for!(TaskSpec)),
            (protocols(), schema_for!(ProtocolSpec)),
        ] {
            for (definition, names) in types(schema.as_value()) {
                let mut by_place: IndexMap<&str, Vec<&str>> = IndexMap::new();
                for described in &listed {
                    let names = by_place.entry(&described.place).or_default();
                    names.push(&described.name);
                }
                let parameters = listed.iter().map(|d| d.parameters.iter().map(|p| p.name.as_str()).collect());
                let is_listed = by_place
                    .into_values()
                    .chain(parameters)
                    .any(|found: Vec<&str>| names.iter().all(|name| found.contains(&name.as_str())));
                assert!(is_listed, "{definition} is not listed: {names:?}");
            }
        }
    }

    #[test]
    fn places_say_where_a_value_is_written() {
        let mut places: Vec<String> = all().into_iter().map(|d| d.place).collect();
        places.dedup();
        insta::assert_snapshot!(places.join("\n"), @"
    models
    about
    backbone
    backbone: ResNet(antialias)
    backbone: ResNet(block)
    backbone: ResNet(padding)
    backbone: ResNet(shortcut)
    backbone: ResNet(stem)
    backbone: ResNet(stride_in)
    backbone: ViT(positions), DinoV2(positions), Clip(positions), Transformer(positions)
    backbone: ViT(size), DinoV2(size), Clip(size), Transformer(size)
    backbone: Clip(activation), Transformer(activation)
    backbone: Transformer(family)
    backbone: ConvNeXt(size), ConvNeXtV2(size)
    backbone: MobileNetV3(library), EfficientNet(library)
    backbone: MobileNetV3(size)
    backbone: EfficientNet(size)
    backbone: RegNet(size)
    backbone: Swin(size), SwinV2(size)
    backbone: ClipResNet(size)
    normalization
    polarity
    pool
    range
    weights
    weights: Trained(method)
    weights: Trained(views)
    tasks
    classes
    dataset
    dataset: ImageFolder(splits), Csv(splits), Parquet(splits), Arrow(splits), WebDataset(splits), Hub(splits)
    dataset: Features(all), Features(test), Features(train), Features(val)
    dataset: Features(all): (keys)
    dataset: Caltech101(list)
    image
    image: (before)
    image: (filter); image: (before): ShorterSide(…), Stretch(…)
    image: (color)
    image: (pillow)
    image: (resize)
    metric
    on_bad_image
    subset
    subset: (splits)
    protocols
    protocols: FewShot(classifier)
    protocols: FewShot(distance)
    protocols: FewShot(small_classes)
    protocols: Linear(calibration)
    protocols: Linear(convergence)
    protocols: Linear(grid)
    protocols: Linear(solver)
    protocols: Linear(test), Linear(validation), Finetune(test), Finetune(validation)
    protocols: Finetune(augmentation)
    protocols: Finetune(optimizer)
    protocols: Finetune(schedule)
    protocols: Finetune(schedule): (decay)
    protocols: Finetune(search)
    protocols: Finetune(trained)
    protocols: Classifier(split), ZeroShot(split)
    ");
    }
}
