//! What moved between two records, and what is to be done about it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::code::{LIBRARIES, SHARED, StepCode};
use super::record::{Golden, Recorded};

/// Floats may differ by this share of the largest float beside them: processors with other vector units add in another order.
/// AVX2 and AVX-512 were 4e-7 apart at most.
const TOLERANCE: f64 = 2e-6;
/// The same for trained weights, and for all that is computed from them: rounding grows from step to step. AVX2 and AVX-512
/// were 2.4e-6 apart at most.
const TRAINED_TOLERANCE: f64 = 1e-4;
/// Floats this close are the same whatever is beside them.
const NOTHING: f64 = 1e-12;

pub const REFRESH: &str = "ASSAY_GOLDEN=write cargo test --test golden";

/// The kinds of steps that a miniature lacks, one message each.
pub fn missing_kinds(golden: &Golden, code: &BTreeMap<String, StepCode>) -> Vec<String> {
    let there: BTreeSet<&String> = golden.steps.values().map(|step| &step.kind).collect();
    let missing = code.iter().filter(|(kind, _)| !there.contains(kind));
    let message = |(kind, StepCode { structure, file }): (&String, &StepCode)| {
        format!(
            "no step of kind {kind:?} ({structure} in {file}) is in the miniature: give tests/golden/experiment.ron a cell \
             that makes one, and refresh with `{REFRESH}`"
        )
    };
    missing.map(message).collect()
}

/// What moved, and what is to be done about it; nothing when nothing moved.
pub fn differences(expected: &Golden, found: &Golden, code: &BTreeMap<String, StepCode>) -> Vec<String> {
    let trained = trained(expected);
    let mut moved_keys = Vec::new();
    let mut moved_numbers = BTreeMap::new();
    for (label, old) in &expected.steps {
        let Some(new) = found.steps.get(label) else { continue };
        let tolerance = if trained.contains(&old.key) { TRAINED_TOLERANCE } else { TOLERANCE };
        if old.key != new.key || old.recipe != new.recipe {
            moved_keys.push((label, old, new));
        } else if let Some(place) = first_difference(old, new, tolerance) {
            moved_numbers.insert(label, (new, place));
        }
    }
    let outputs_agree = moved_numbers.is_empty() && moved_keys.is_empty();
    let messages = [
        numbers_message(&moved_numbers, code),
        keys_message(&moved_keys),
        lock_message(expected, found, code, outputs_agree),
        labels_message(expected, found),
    ];
    messages.into_iter().flatten().collect()
}

/// Keys of trained weights and of all steps that rest on them.
fn trained(golden: &Golden) -> BTreeSet<&String> {
    let mut keys: BTreeSet<&String> =
        golden.steps.values().filter(|step| step.recipe.contains("\"training\":")).map(|step| &step.key).collect();
    loop {
        let more = golden.steps.values().filter(|step| rests_on(step, &keys)).map(|step| &step.key);
        let more: Vec<&String> = more.filter(|key| !keys.contains(key)).collect();
        if more.is_empty() {
            return keys;
        }
        keys.extend(more);
    }
}

fn rests_on(step: &Recorded, keys: &BTreeSet<&String>) -> bool {
    keys.iter().any(|key| step.recipe.contains(key.as_str()))
}

/// The first place where two outputs differ, with both values.
fn first_difference(old: &Recorded, new: &Recorded, tolerance: f64) -> Option<String> {
    let names = |step: &Recorded| step.files.keys().cloned().collect::<Vec<_>>();
    if names(old) != names(new) {
        return Some(format!("its files were {:?} and are {:?}", names(old), names(new)));
    }
    old.files.iter().find_map(|(name, value)| difference(value, &new.files[name], tolerance, 0.0, name))
}

fn difference(old: &Value, new: &Value, tolerance: f64, scale: f64, at: &str) -> Option<String> {
    let differ = || Some(format!("{at} was {} and is {}", short(old), short(new)));
    match (old, new) {
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let scale = largest(a.iter());
            let pairs = a.iter().zip(b).enumerate();
            pairs.into_iter().find_map(|(i, (a, b))| difference(a, b, tolerance, scale, &format!("{at}[{i}]")))
        }
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            let scale = largest(a.values());
            a.iter().find_map(|(name, a)| difference(a, &b[name], tolerance, scale, &format!("{at}/{name}")))
        }
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
            let (a, b) = (a.as_f64()?, b.as_f64()?);
            let is_close = (a - b).abs() <= tolerance * scale + NOTHING;
            if is_close { None } else { differ() }
        }
        _ if old == new => None,
        _ => differ(),
    }
}

/// Magnitude of the largest float.
fn largest<'v>(values: impl Iterator<Item = &'v Value>) -> f64 {
    values.filter(|value| value.is_f64()).filter_map(Value::as_f64).fold(0.0, |most, value| most.max(value.abs()))
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 { text } else { text.chars().take(60).chain(['…']).collect() }
}

/// What to do where numbers moved under the same key: for each kind, the steps whose inputs did not move.
fn numbers_message(
    moved: &BTreeMap<&String, (&Recorded, String)>,
    code: &BTreeMap<String, StepCode>,
) -> Option<String> {
    if moved.is_empty() {
        return None;
    }
    let keys: BTreeSet<&String> = moved.values().map(|(step, _)| &step.key).collect();
    let (after, first): (Vec<_>, Vec<_>) = moved.iter().partition(|(_, (step, _))| rests_on(step, &keys));
    let mut by_kind: BTreeMap<&String, Vec<String>> = BTreeMap::new();
    for (label, (step, place)) in &first {
        by_kind.entry(&step.kind).or_default().push(format!("      {label}: {place}"));
    }
    let mut text = "numbers moved under the same key, so that stores would go on giving the old ones:\n".to_owned();
    for (kind, places) in by_kind {
        let recipes =
            first.iter().filter(|(_, (step, _))| step.kind == *kind).map(|(_, (step, _))| step.recipe.as_str());
        text += &format!(
            "  the numbers of step {kind:?} moved: raise {}, unless they were meant to stay\n{}\n",
            to_raise(kind, recipes, code),
            places.join("\n")
        );
    }
    let after: Vec<&str> = after.iter().map(|(label, _)| label.as_str()).collect();
    if !after.is_empty() {
        text += &format!("  and with their inputs, so that nothing is to be raised for them: {}\n", after.join(", "));
    }
    Some(text + &format!("  then write the line under **Cache keys** in CHANGELOG.md, and refresh with `{REFRESH}`"))
}

/// The constants that say that the numbers of a kind are others: its own, or the narrowest of the shared ones.
fn to_raise<'r>(kind: &str, recipes: impl Iterator<Item = &'r str>, code: &BTreeMap<String, StepCode>) -> String {
    let own = code.get(kind).map_or_else(
        || "VERSION of its struct".to_owned(),
        |StepCode { structure, file }| format!("VERSION of {structure} ({file})"),
    );
    let recipes: Vec<&str> = recipes.collect();
    let is_named = |field: &str| recipes.iter().any(|recipe| recipe.contains(&format!("\"{field}\":")));
    let shared = SHARED.iter().filter(|(field, ..)| is_named(field));
    let shared: Vec<String> = shared.map(|(_, constant, file)| format!("{constant} ({file})")).collect();
    match shared.as_slice() {
        [] => own,
        shared => format!("{own}, or what it shares with other steps and what really changed: {}", shared.join(", ")),
    }
}

/// What to do where recipes moved: those whose inputs did not are told with the parts of the recipe that did.
fn keys_message(moved: &[(&String, &Recorded, &Recorded)]) -> Option<String> {
    if moved.is_empty() {
        return None;
    }
    let old_keys: BTreeSet<&String> = moved.iter().map(|(_, old, _)| &old.key).collect();
    let mut first = Vec::new();
    let mut after = Vec::new();
    for (label, old, new) in moved {
        let parts = recipe_parts(old, new, &old_keys);
        if parts.is_empty() {
            after.push(label.as_str())
        } else {
            first.push(format!("  {label}: {}", parts.join(", ")))
        }
    }
    let mut text = format!("keys of {} steps moved: users compute these again\n{}\n", moved.len(), first.join("\n"));
    if !after.is_empty() {
        text += &format!("  and with their inputs: {}\n", after.join(", "));
    }
    Some(
        text + &format!(
            "  if that is meant, write the line under **Cache keys** in CHANGELOG.md, and refresh with `{REFRESH}`"
        ),
    )
}

/// The parts of a recipe that moved, without inputs that are steps which moved themselves.
fn recipe_parts(old: &Recorded, new: &Recorded, moved: &BTreeSet<&String>) -> Vec<String> {
    let parse = |step: &Recorded| serde_json::from_str::<Value>(&step.recipe);
    let (Ok(old), Ok(new)) = (parse(old), parse(new)) else { return vec!["the recipe".to_owned()] };
    let mut parts = Vec::new();
    recipe_difference(&old, &new, "", moved, &mut parts);
    parts
}

fn recipe_difference(old: &Value, new: &Value, at: &str, moved: &BTreeSet<&String>, parts: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            a.iter().for_each(|(name, a)| recipe_difference(a, &b[name], &format!("{at}/{name}"), moved, parts));
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let pairs = a.iter().zip(b).enumerate();
            pairs.for_each(|(i, (a, b))| recipe_difference(a, b, &format!("{at}/{i}"), moved, parts));
        }
        _ if old == new => {}
        (Value::String(key), _) if at.ends_with("/$step") && moved.contains(key) => {}
        _ => parts.push(format!("{at} was {} and is {}", short(old), short(new))),
    }
}

/// What to do where a library moved.
fn lock_message(
    expected: &Golden,
    found: &Golden,
    code: &BTreeMap<String, StepCode>,
    outputs_agree: bool,
) -> Option<String> {
    let names: BTreeSet<&String> = expected.locked.keys().chain(found.locked.keys()).collect();
    let version = |golden: &Golden, name: &String| golden.locked.get(name).map_or("nothing", String::as_str).to_owned();
    let line = |name: &&String| {
        let (old, new) = (version(expected, name), version(found, name));
        (old != new).then(|| format!("  {name} moved from {old} to {new}: {} use it", users(name, code)))
    };
    let lines: Vec<String> = names.iter().filter_map(line).collect();
    if lines.is_empty() {
        return None;
    }
    let end = if outputs_agree {
        format!("outputs agree within tolerance: refresh with `{REFRESH}`")
    } else {
        "this may be why numbers moved: see above".to_owned()
    };
    Some(format!("libraries moved in Cargo.lock:\n{}\n  {end}", lines.join("\n")))
}

/// The kinds of steps that use a library.
fn users(library: &str, code: &BTreeMap<String, StepCode>) -> String {
    let kinds = LIBRARIES.iter().find(|(name, _)| *name == library).map_or(&[][..], |(_, kinds)| *kinds);
    if kinds.is_empty() {
        return "all steps".to_owned();
    }
    let name = |kind: &&str| match code.get(*kind) {
        Some(step) => format!("{kind} ({})", step.structure),
        None => (*kind).to_owned(),
    };
    format!("steps {}", kinds.iter().map(name).collect::<Vec<_>>().join(", "))
}

fn labels_message(expected: &Golden, found: &Golden) -> Option<String> {
    let without = |some: &Golden, others: &Golden| -> Vec<String> {
        some.steps.keys().filter(|label| !others.steps.contains_key(*label)).cloned().collect()
    };
    let (gone, new) = (without(expected, found), without(found, expected));
    if gone.is_empty() && new.is_empty() {
        return None;
    }
    let list = |what: &str, labels: Vec<String>| {
        if labels.is_empty() { String::new() } else { format!("  {what}: {}\n", labels.join(", ")) }
    };
    let (gone, new) = (list("gone", gone), list("new", new));
    Some(format!("the miniature has other steps than before\n{gone}{new}  if that is meant, refresh with `{REFRESH}`"))
}
