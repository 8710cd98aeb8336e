//! What can be read off the text of a recipe: the steps that it names, and what it is without their names.
//!
//! A reference is `{"$step":"<key>"}`. In canonical JSON a quote inside a string is escaped, so these characters in a row
//! are a reference and nothing else, and no parser is needed.

use serde_json::Value;

use crate::{Digest, StepKey};

const REFERENCE: &str = "{\"$step\":\"";

/// The key in `{"$step": "<key>"}`.
pub(crate) fn step_reference(value: &Value) -> Option<StepKey> {
    let fields = value.as_object()?;
    if fields.len() != 1 {
        return None;
    }
    fields.get("$step")?.as_str()?.parse().ok()
}

/// The reference that `text` begins with, and what follows it.
fn first_reference(text: &str) -> Option<(StepKey, &str)> {
    let (key, rest) = text.strip_prefix(REFERENCE)?.split_at_checked(64)?;
    Some((key.parse().ok()?, rest.strip_prefix("\"}")?))
}

/// The steps that a recipe names, each once, in the order of the text.
pub(crate) fn references(recipe: &str) -> Vec<StepKey> {
    let mut seen = std::collections::HashSet::new();
    let all = recipe.match_indices(REFERENCE).filter_map(|(at, _)| Some(first_reference(&recipe[at..])?.0));
    all.filter(|key| seen.insert(*key)).collect()
}

/// Digest of a recipe in which each step is named by the digest of its bytes instead of its key; `None` when one is unknown.
pub(crate) fn content_digest(recipe: &str, mut bytes_of: impl FnMut(StepKey) -> Option<Digest>) -> Option<Digest> {
    let mut hasher = blake3::Hasher::new();
    let mut rest = recipe;
    while let Some(at) = rest.find(REFERENCE) {
        let (before, from) = rest.split_at(at);
        hasher.update(before.as_bytes());
        if let Some((key, after)) = first_reference(from) {
            hasher.update(format!("{{\"$bytes\":\"{}\"}}", bytes_of(key)?).as_bytes());
            rest = after;
        } else {
            hasher.update(REFERENCE.as_bytes());
            rest = &from[REFERENCE.len()..];
        }
    }
    hasher.update(rest.as_bytes());
    Some(Digest::from_bytes(*hasher.finalize().as_bytes()))
}

/// Digest of a recipe without its inputs.
pub(crate) fn parameters_digest(recipe: &str) -> Digest {
    let nothing = Digest::of(b"");
    content_digest(recipe, |_| Some(nothing)).expect("every step is named alike")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::to_canonical_json;

    #[test]
    fn references_are_replaced_and_nothing_else() {
        let (a, b) = (StepKey(Digest::of(b"a")), StepKey(Digest::of(b"b")));
        let tricky = "{\"$step\":\"";
        let with = |name: &str, x: StepKey, y: StepKey| {
            to_canonical_json(&json!({"l": [{name: x}, {name: y}, {name: x}], "s": tricky, "t": {"$step": "short"}}))
                .unwrap()
        };
        let recipe = with("$step", a, b);
        assert_eq!(references(&recipe), [a, b]);
        let swapped = content_digest(&recipe, |key| Some(if key == a { b.0 } else { a.0 }));
        assert_eq!(swapped, Some(Digest::of(with("$bytes", b, a).as_bytes())));
        assert_eq!(content_digest(&recipe, |key| (key == a).then_some(a.0)), None);
        assert_eq!(parameters_digest(&recipe), parameters_digest(&with("$step", b, a)));
        assert_ne!(parameters_digest(&recipe), parameters_digest(&recipe.replace("short", "longer")));
    }
}
