//! Finding a backbone in a checkpoint, and the audit that all of it was found.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Checkpoint, RawTensor};

/// A tensor that a backbone needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorShape {
    /// Its name as the original library writes it.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// How names of a checkpoint become names of a backbone. What is not given is guessed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Selection {
    /// Names begin with this; all others are not part of the backbone.
    pub prefix: Option<String>,
    /// After the prefix, names that begin with one of these are left out.
    pub drop: Vec<String>,
    /// After the prefix, these beginnings of names are replaced.
    pub rename: Vec<(String, String)>,
}

/// Beginnings of names of heads, which are not part of any backbone.
const HEADS: [&str; 9] =
    ["fc", "linear", "classifier", "head", "projection", "projector", "prototypes", "predictor", "logit"];

/// What does not fit between a checkpoint and a backbone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditError {
    /// What is wrong, line by line.
    pub lines: Vec<String>,
    /// What to try.
    pub help: Option<String>,
}

impl std::fmt::Display for AuditError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.lines.join("; "))
    }
}

impl std::error::Error for AuditError {}

/// Takes the tensors `wanted` out of `checkpoint`; every one must be there with its shape and finite values, and nothing that
/// could belong to the backbone may be left. Those in `optional` are taken along when they are there.
///
/// # Errors
/// Lists what is missing, unexpected, mis-shaped or not finite, and what prefix would fit better.
pub fn select(
    checkpoint: &Checkpoint,
    selection: &Selection,
    wanted: &[TensorShape],
    optional: &[&str],
) -> Result<BTreeMap<String, RawTensor>, AuditError> {
    let prefix = match &selection.prefix {
        Some(prefix) => prefix.clone(),
        None => guess_prefix(checkpoint, selection, wanted)?,
    };
    let mut renamed = BTreeMap::new();
    for (name, tensor) in &checkpoint.tensors {
        if let Some(rest) = name.strip_prefix(prefix.as_str()) {
            renamed.insert(rename(rest, &selection.rename), tensor);
        }
    }
    let mut lines = Vec::new();
    let mut found = BTreeMap::new();
    let mut missing = Vec::new();
    for TensorShape { name, shape } in wanted {
        match renamed.get(name) {
            None => missing.push(name.as_str()),
            Some(tensor) if tensor.shape != *shape => {
                lines.push(format!("{name} has shape {:?}, and {shape:?} is needed", tensor.shape));
            }
            Some(tensor) if !tensor.to_f32().iter().all(|v| v.is_finite()) => {
                lines.push(format!("{name} holds values that are not finite"));
            }
            Some(tensor) => {
                found.insert(name.clone(), (*tensor).clone());
            }
        }
    }
    let names: BTreeSet<&str> = wanted.iter().map(|w| w.name.as_str()).collect();
    let unexpected: Vec<&str> =
        renamed.keys().map(String::as_str).filter(|n| !names.contains(n) && !is_left_out(n, &selection.drop)).collect();
    if !missing.is_empty() {
        lines.insert(0, format!("{} of {} tensors are missing: {}", missing.len(), wanted.len(), some(&missing)));
    }
    if !unexpected.is_empty() {
        lines.push(format!("{} tensors are left over: {}", unexpected.len(), some(&unexpected)));
    }
    if lines.is_empty() {
        for name in optional {
            if let Some(tensor) = renamed.get(*name) {
                found.insert((*name).to_owned(), (*tensor).clone());
            }
        }
        return Ok(found);
    }
    Err(AuditError { lines, help: advice(checkpoint, selection, wanted, &prefix, missing.len(), &unexpected) })
}

fn rename(name: &str, rules: &[(String, String)]) -> String {
    match rules.iter().find_map(|(from, to)| Some((to, name.strip_prefix(from.as_str())?))) {
        Some((to, rest)) => format!("{to}{rest}"),
        None => name.to_owned(),
    }
}

fn is_left_out(name: &str, drop: &[String]) -> bool {
    let first = name.split('.').next().unwrap_or_default();
    name.ends_with("num_batches_tracked")
        || HEADS.iter().any(|h| first.starts_with(h))
        || drop.iter().any(|d| name.starts_with(d.as_str()))
}

/// Prefixes under which tensors of the backbone are found, with how many, the best first; among equals the shortest.
fn prefixes<'c>(checkpoint: &'c Checkpoint, selection: &Selection, wanted: &[TensorShape]) -> Vec<(usize, &'c str)> {
    let shapes: BTreeMap<&str, &[usize]> = wanted.iter().map(|w| (w.name.as_str(), w.shape.as_slice())).collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, tensor) in &checkpoint.tensors {
        let starts = std::iter::once(0).chain(name.match_indices('.').map(|(i, _)| i + 1));
        for start in starts {
            if shapes.get(rename(&name[start..], &selection.rename).as_str()) == Some(&tensor.shape.as_slice()) {
                *counts.entry(&name[..start]).or_default() += 1;
            }
        }
    }
    let mut ranked: Vec<_> = counts.into_iter().map(|(prefix, count)| (count, prefix)).collect();
    ranked.sort_by_key(|(count, prefix)| (std::cmp::Reverse(*count), prefix.len()));
    ranked
}

fn guess_prefix(checkpoint: &Checkpoint, selection: &Selection, wanted: &[TensorShape]) -> Result<String, AuditError> {
    let ranked = prefixes(checkpoint, selection, wanted);
    let Some((best, prefix)) = ranked.first() else {
        return Err(AuditError {
            lines: vec![format!(
                "none of its {} tensors fits the backbone: {}",
                checkpoint.tensors.len(),
                some(&first_names(checkpoint))
            )],
            help: Some("check `backbone`, or give `prefix` or `rename`".to_owned()),
        });
    };
    let rivals: Vec<&str> = ranked.iter().filter(|(count, _)| count == best).map(|(_, p)| *p).collect();
    let same = |other: &str| {
        wanted.iter().all(|w| {
            checkpoint.tensors.get(&format!("{prefix}{}", w.name))
                == checkpoint.tensors.get(&format!("{other}{}", w.name))
        })
    };
    if rivals.len() > 1 && !rivals[1..].iter().all(|other| same(other)) {
        return Err(AuditError {
            lines: vec![format!("the backbone is in it more than once, under {}", quoted(&rivals))],
            help: Some(format!("say which one is meant: `prefix: {:?}`", rivals[0])),
        });
    }
    Ok((*prefix).to_owned())
}

fn advice(
    checkpoint: &Checkpoint,
    selection: &Selection,
    wanted: &[TensorShape],
    used: &str,
    missing: usize,
    unexpected: &[&str],
) -> Option<String> {
    let ranked = prefixes(checkpoint, selection, wanted);
    match ranked.first() {
        Some((count, prefix)) if *prefix != used && *count > wanted.len() - missing => {
            Some(format!("did you mean `prefix: {prefix:?}`?"))
        }
        _ if missing == 0 && !unexpected.is_empty() => {
            Some("if they do not belong to the backbone, list the beginnings of their names in `drop`".to_owned())
        }
        None => Some("check `backbone`: nothing in the file fits it".to_owned()),
        Some((count, _)) if *count < wanted.len() => {
            Some(format!("{count} of {} tensors fit at best: check `backbone`", wanted.len()))
        }
        Some(_) => None,
    }
}

fn first_names(checkpoint: &Checkpoint) -> Vec<&str> {
    checkpoint.tensors.keys().map(String::as_str).collect()
}

fn some(names: &[&str]) -> String {
    const SHOWN: usize = 4;
    let mut text = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(", … ({} more)", names.len() - SHOWN));
    }
    text
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|n| format!("{n:?}")).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Dtype;

    fn checkpoint(tensors: &[(&str, &[usize], f32)]) -> Checkpoint {
        let tensor = |(name, shape, value): &(&str, &[usize], f32)| {
            let bytes = std::iter::repeat_n(value.to_le_bytes(), shape.iter().product()).flatten().collect();
            ((*name).to_owned(), RawTensor { dtype: Dtype::F32, shape: shape.to_vec(), bytes })
        };
        Checkpoint { format: "test", container: None, tensors: tensors.iter().map(tensor).collect() }
    }

    fn wanted() -> Vec<TensorShape> {
        [("conv1.weight", vec![2, 1]), ("bn1.weight", vec![2])]
            .map(|(n, shape)| TensorShape { name: n.into(), shape })
            .into()
    }

    fn audit(tensors: &[(&str, &[usize], f32)], selection: &Selection) -> Result<Vec<String>, String> {
        let found = select(&checkpoint(tensors), selection, &wanted(), &["fc.weight"]);
        found.map(|f| f.into_keys().collect()).map_err(|e| format!("{e} | {}", e.help.clone().unwrap_or_default()))
    }

    const MOCO: [(&str, &[usize], f32); 5] = [
        ("module.encoder_q.conv1.weight", &[2, 1], 1.0),
        ("module.encoder_q.bn1.weight", &[2], 1.0),
        ("module.encoder_q.fc.0.weight", &[9, 2], 1.0),
        ("module.encoder_q.bn1.num_batches_tracked", &[], 1.0),
        ("module.queue", &[5], 1.0),
    ];

    #[test]
    fn the_prefix_is_guessed_when_one_fits() {
        assert_eq!(audit(&MOCO, &Selection::default()).unwrap().len(), 2);
        let wrong = Selection { prefix: Some("module.encoder_k.".into()), ..Selection::default() };
        let error = audit(&MOCO, &wrong).unwrap_err();
        assert!(
            error.contains("2 of 2 tensors are missing")
                && error.contains("did you mean `prefix: \"module.encoder_q.\"`?"),
            "{error}"
        );
    }

    #[test]
    fn two_different_copies_are_ambiguous_and_two_equal_ones_are_not() {
        let mut two = MOCO.to_vec();
        two.extend([
            ("module.encoder_k.conv1.weight", &[2usize, 1][..], 2.0),
            ("module.encoder_k.bn1.weight", &[2], 1.0),
        ]);
        assert!(
            audit(&two, &Selection::default())
                .unwrap_err()
                .contains("more than once, under \"module.encoder_k.\" and \"module.encoder_q.\"")
        );
        two[5].2 = 1.0;
        assert_eq!(audit(&two, &Selection::default()).unwrap().len(), 2);
    }

    #[test]
    fn what_does_not_fit_is_listed() {
        let flat = |extra: (&'static str, &'static [usize], f32)| {
            vec![("conv1.weight", &[2usize, 1][..], 1.0), ("bn1.weight", &[2], 1.0), extra]
        };
        assert_eq!(audit(&flat(("fc.weight", &[10, 2], 1.0)), &Selection::default()).unwrap().len(), 3);
        let error = audit(&flat(("layer9.weight", &[1], 1.0)), &Selection::default()).unwrap_err();
        assert!(error.contains("1 tensors are left over: layer9.weight") && error.contains("`drop`"), "{error}");
        let dropped = Selection { drop: vec!["layer9".into()], ..Selection::default() };
        assert!(audit(&flat(("layer9.weight", &[1], 1.0)), &dropped).is_ok());
        let shapes =
            audit(&[("conv1.weight", &[2, 3], 1.0), ("bn1.weight", &[2], 1.0)], &Selection::default()).unwrap_err();
        assert!(shapes.contains("conv1.weight has shape [2, 3], and [2, 1] is needed"), "{shapes}");
        let nan = audit(&[("conv1.weight", &[2, 1], f32::NAN), ("bn1.weight", &[2], 1.0)], &Selection::default())
            .unwrap_err();
        assert!(nan.contains("conv1.weight holds values that are not finite"), "{nan}");
        let head = audit(&[("fc.weight", &[10, 2], 1.0)], &Selection::default()).unwrap_err();
        assert!(head.contains("none of its 1 tensors fits"), "{head}");
    }

    #[test]
    fn beginnings_are_renamed() {
        let tensors: [(&str, &[usize], f32); 2] = [("stem.weight", &[2, 1], 1.0), ("bn1.weight", &[2], 1.0)];
        let rules = Selection { rename: vec![("stem.".into(), "conv1.".into())], ..Selection::default() };
        assert_eq!(audit(&tensors, &rules).unwrap().len(), 2);
    }
}
