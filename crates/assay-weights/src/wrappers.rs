//! Names as they are without the wrappers that a network was in when it was saved.
//!
//! `torch.compile` writes `_orig_mod.` into names, FSDP and activation checkpointing have parts of their own, and `DataParallel`
//! writes `module.`, wherever in the network they stand. None of these is part of a name. `module.` at the beginning stays, as
//! people write it in prefixes.

use std::collections::BTreeMap;

/// Parts of names that are never those of a layer.
const WRAPPERS: [&str; 3] = ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

/// The name without wrappers; absent where it has none.
pub fn unwrapped(name: &str) -> Option<String> {
    if !name.contains("_mod") && !name.contains("module") {
        return None;
    }
    let parts: Vec<&str> = name.split('.').collect();
    let mut kept: Vec<&str> = Vec::with_capacity(parts.len());
    for (i, part) in parts.iter().enumerate() {
        let is_last = i + 1 == parts.len();
        let is_inner_module = *part == "module" && kept.iter().any(|before| *before != "module");
        if is_last || !(WRAPPERS.contains(part) || is_inner_module) {
            kept.push(part);
        }
    }
    (kept.len() < parts.len()).then(|| kept.join("."))
}

/// A beginning of names, as people write it, without wrappers. After a prefix, `module.` is one even at the beginning.
pub fn unwrapped_start(start: &str, is_inner: bool) -> String {
    let name = unwrapped(start).unwrap_or_else(|| start.to_owned());
    let inner = || name.strip_prefix("module.").filter(|rest| !rest.is_empty());
    if is_inner { inner().map(str::to_owned).unwrap_or(name) } else { name }
}

/// Takes the wrappers out of all names but those that would then be there twice.
pub fn unwrap_all<T>(tensors: BTreeMap<String, T>) -> BTreeMap<String, T> {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    if !tensors.keys().any(|name| unwrapped(name).is_some()) {
        return tensors;
    }
    for name in tensors.keys() {
        *times.entry(unwrapped(name).unwrap_or_else(|| name.clone())).or_default() += 1;
    }
    let short = |name: String| match unwrapped(&name) {
        Some(short) if times[&short] == 1 => short,
        _ => name,
    };
    tensors.into_iter().map(|(name, tensor)| (short(name), tensor)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_are_no_part_of_a_name() {
        for (name, expected) in [
            ("conv1.weight", "conv1.weight"),
            ("_orig_mod.conv1.weight", "conv1.weight"),
            ("module._orig_mod.conv1.weight", "module.conv1.weight"),
            ("_orig_mod.module.conv1.weight", "module.conv1.weight"),
            ("layer1._orig_mod.0.conv1._orig_mod.weight", "layer1.0.conv1.weight"),
            ("module.module.conv1.weight", "module.module.conv1.weight"),
            ("module.encoder_q.module.conv1.weight", "module.encoder_q.conv1.weight"),
            ("layer1.module.0.weight", "layer1.0.weight"),
            ("blocks._fsdp_wrapped_module.0._checkpoint_wrapped_module.attn.weight", "blocks.0.attn.weight"),
            ("my_module.weight", "my_module.weight"),
            ("layer.module", "layer.module"),
            ("encoder._orig_mod.", "encoder."),
        ] {
            assert_eq!(unwrapped(name).as_deref().unwrap_or(name), expected);
        }
        for (start, is_inner, expected) in [
            ("_orig_mod.", false, ""),
            ("module.", false, "module."),
            ("module.queue", true, "queue"),
            ("a.module.b.", false, "a.b."),
        ] {
            assert_eq!(unwrapped_start(start, is_inner), expected, "{start}");
        }
    }

    #[test]
    fn names_that_would_be_there_twice_stay() {
        let names = |all: &[&str]| {
            let all = all.iter().map(|n| ((*n).to_owned(), ())).collect();
            unwrap_all(all).into_keys().collect::<Vec<_>>()
        };
        assert_eq!(names(&["a._orig_mod.b", "c"]), ["a.b", "c"]);
        assert_eq!(names(&["a._orig_mod.b", "a.b"]), ["a._orig_mod.b", "a.b"]);
    }
}
