//! Finding a backbone in a checkpoint, and the audit that all of it was found.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::{Checkpoint, RawTensor};

/// A tensor that a backbone needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorShape {
    /// Name of the tensor as the original library writes it.
    pub name: String,
    /// Shape of the tensor.
    pub shape: Vec<usize>,
}

/// Tensors by the names that a backbone knows them by.
pub type Translated<'c> = BTreeMap<String, Cow<'c, RawTensor>>;
type Translate = dyn Fn(&BTreeMap<String, RawTensor>) -> Option<Translated<'_>> + Send + Sync;

/// Names and layouts that another library has for the tensors of a backbone.
pub struct Naming {
    /// Library that the names are from.
    pub name: &'static str,
    /// Advice on networks from that library.
    pub advice: Option<&'static str>,
    /// The tensors under our names, where these are that library's; what has no counterpart keeps its name.
    pub translate: Box<Translate>,
}

impl fmt::Debug for Naming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Naming").field(&self.name).finish()
    }
}

/// Tensors that a backbone wants of a checkpoint.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Tensors that must be there.
    pub tensors: Vec<TensorShape>,
    /// Names of tensors that are taken along: those of the classifier.
    pub optional: Vec<String>,
    /// Beginnings of names of what only pretraining needs, such as a mask token.
    pub ignored: &'static [&'static str],
    /// Names besides our own.
    pub namings: Vec<Naming>,
}

/// A backbone in a checkpoint.
#[derive(Clone, Debug)]
pub struct Found {
    /// Tensors of the backbone.
    pub tensors: BTreeMap<String, RawTensor>,
    /// The beginning of their names.
    pub prefix: String,
    /// Library that the names were from, where they were not our own.
    pub naming: Option<&'static str>,
    /// Advice on networks from that library.
    pub advice: Option<&'static str>,
}

/// Filter that turns names of a checkpoint into names of a backbone. What is not given is guessed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TensorFilter {
    /// Names begin with this; all others are not part of the backbone.
    pub prefix: Option<String>,
    /// After the prefix, names that begin with one of these are left out.
    pub drop: Vec<String>,
    /// After the prefix, these beginnings of names are replaced.
    pub rename: Vec<(String, String)>,
}

/// Beginnings of names of heads, which are not part of any backbone.
const HEADS: [&str; 10] =
    ["fc", "linear", "classifier", "head", "projection", "projector", "prototypes", "predictor", "logit", "pooler"];
/// Tensors of a wrong shape that are listed.
const MAX_LINES: usize = 8;

/// Differences between a checkpoint and a backbone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditError {
    /// Problems, line by line.
    pub lines: Vec<String>,
    /// Advice on what to try.
    pub help: Option<String>,
}

impl std::fmt::Display for AuditError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.lines.join("; "))
    }
}

impl std::error::Error for AuditError {}

/// Takes the tensors that are wanted out of `checkpoint`; every one must be there with its shape and finite values, and nothing
/// that could belong to the backbone may be left.
///
/// # Errors
/// Lists what is missing, unexpected, mis-shaped or not finite, and what prefix would fit better.
pub fn select(checkpoint: &Checkpoint, filter: &TensorFilter, wanted: &Wanted) -> Result<Found, AuditError> {
    let (from, audit) = Audit::of(checkpoint, filter, wanted);
    let prefix = match &filter.prefix {
        Some(prefix) => prefix.clone(),
        None => audit.guess_prefix()?,
    };
    let (naming, advice) = (from.map(|from| from.name), from.and_then(|from| from.advice));
    Ok(Found { tensors: audit.take(&prefix)?, prefix, naming, advice })
}

/// The number of the tensors that are wanted that are in `checkpoint`, under the prefix that fits best.
pub fn coverage(checkpoint: &Checkpoint, filter: &TensorFilter, wanted: &Wanted) -> usize {
    Audit::of(checkpoint, filter, wanted).1.prefixes().first().map_or(0, |(count, _)| *count)
}

struct Audit<'a> {
    tensors: Translated<'a>,
    filter: &'a TensorFilter,
    wanted: &'a Wanted,
}

impl<'a> Audit<'a> {
    /// Adds the library whose names were translated.
    fn of(checkpoint: &'a Checkpoint, filter: &'a TensorFilter, wanted: &'a Wanted) -> (Option<&'a Naming>, Self) {
        let translated = wanted.namings.iter().find_map(|n| Some((n, (n.translate)(&checkpoint.tensors)?)));
        let (naming, tensors) = match translated {
            Some((naming, tensors)) => (Some(naming), tensors),
            None => (None, checkpoint.tensors.iter().map(|(n, t)| (n.clone(), Cow::Borrowed(t))).collect()),
        };
        (naming, Self { tensors, filter, wanted })
    }

    fn take(&self, prefix: &str) -> Result<BTreeMap<String, RawTensor>, AuditError> {
        let mut renamed = BTreeMap::new();
        for (name, tensor) in &self.tensors {
            if let Some(rest) = name.strip_prefix(prefix) {
                renamed.insert(rename(rest, &self.filter.rename), tensor);
            }
        }
        let wanted = &self.wanted.tensors;
        let mut lines = Vec::new();
        let mut found = BTreeMap::new();
        let mut missing = Vec::new();
        for TensorShape { name, shape } in wanted {
            match renamed.get(name) {
                None => missing.push(name.as_str()),
                Some(tensor) if tensor.shape != *shape => {
                    lines.push(format!("{name} has shape {:?}, and {shape:?} is needed", tensor.shape));
                }
                Some(tensor) if tensor.not_finite() > 0 => {
                    lines.push(format!("{name} holds values that are not finite"));
                }
                Some(tensor) => {
                    found.insert(name.clone(), tensor.as_ref().clone());
                }
            }
        }
        let names: BTreeSet<&str> = wanted.iter().map(|w| w.name.as_str()).collect();
        let is_left_over = |n: &&str| !names.contains(n) && !self.is_left_out(n);
        let unexpected: Vec<&str> = renamed.keys().map(String::as_str).filter(is_left_over).collect();
        if lines.len() > MAX_LINES {
            let more = lines.len() - MAX_LINES;
            lines.truncate(MAX_LINES);
            lines.push(format!("… ({more} more)"));
        }
        if !missing.is_empty() {
            lines.insert(0, format!("{} of {} tensors are missing: {}", missing.len(), wanted.len(), some(&missing)));
        }
        if !unexpected.is_empty() {
            lines.push(format!("{} tensors are left over: {}", unexpected.len(), some(&unexpected)));
        }
        if !lines.is_empty() {
            return Err(AuditError { lines, help: self.advice(prefix, missing.len(), &unexpected) });
        }
        for name in &self.wanted.optional {
            if let Some(tensor) = renamed.get(name) {
                found.insert(name.clone(), tensor.as_ref().clone());
            }
        }
        Ok(found)
    }

    fn is_left_out(&self, name: &str) -> bool {
        let first = name.split('.').next().unwrap_or_default();
        let drop = self.filter.drop.iter().map(String::as_str);
        name.ends_with("num_batches_tracked")
            || HEADS.iter().any(|h| first.starts_with(h))
            || drop.chain(self.wanted.ignored.iter().copied()).any(|d| name.starts_with(d))
    }

    /// Prefixes under which tensors of the backbone are found, with how many, the best first; among equals the shortest.
    fn prefixes(&self) -> Vec<(usize, &str)> {
        let wanted = self.wanted.tensors.iter();
        let shapes: BTreeMap<&str, &[usize]> = wanted.map(|w| (w.name.as_str(), w.shape.as_slice())).collect();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (name, tensor) in &self.tensors {
            let starts = std::iter::once(0).chain(name.match_indices('.').map(|(i, _)| i + 1));
            for start in starts {
                let rest = rename(&name[start..], &self.filter.rename);
                if shapes.get(rest.as_str()) == Some(&tensor.shape.as_slice()) {
                    *counts.entry(&name[..start]).or_default() += 1;
                }
            }
        }
        let mut ranked: Vec<_> = counts.into_iter().map(|(prefix, count)| (count, prefix)).collect();
        ranked.sort_by_key(|(count, prefix)| (std::cmp::Reverse(*count), prefix.len()));
        ranked
    }

    fn guess_prefix(&self) -> Result<String, AuditError> {
        let ranked = self.prefixes();
        let Some((best, prefix)) = ranked.first() else {
            let names: Vec<&str> = self.tensors.keys().map(String::as_str).collect();
            return Err(AuditError {
                lines: vec![format!("none of its {} tensors fits the backbone: {}", names.len(), some(&names))],
                help: Some("check `backbone`, or give `prefix` or `rename`".to_owned()),
            });
        };
        let rivals: Vec<&str> = ranked.iter().filter(|(count, _)| count == best).map(|(_, p)| *p).collect();
        let same = |other: &str| {
            let of = |prefix: &str, name: &str| self.tensors.get(&format!("{prefix}{name}"));
            self.wanted.tensors.iter().all(|w| of(prefix, &w.name) == of(other, &w.name))
        };
        if rivals.len() > 1 && !rivals[1..].iter().all(|other| same(other)) {
            return Err(AuditError {
                lines: vec![format!("the backbone is in it more than once, under {}", quoted(&rivals))],
                help: Some(format!("say which one is meant: `prefix: {:?}`", rivals[0])),
            });
        }
        Ok((*prefix).to_owned())
    }

    fn advice(&self, used: &str, missing: usize, unexpected: &[&str]) -> Option<String> {
        let wanted = self.wanted.tensors.len();
        let ranked = self.prefixes();
        let best = ranked.first().map_or(0, |(count, _)| *count);
        // Of those that fit equally well, the one that ends most like what was written.
        let alike = |prefix: &str| used.bytes().rev().zip(prefix.bytes().rev()).take_while(|(a, b)| a == b).count();
        let nearest = ranked.iter().rev().filter(|(count, _)| *count == best).max_by_key(|(_, prefix)| alike(prefix));
        match nearest {
            Some((count, prefix)) if *prefix != used && *count > wanted - missing => {
                Some(format!("did you mean `prefix: {prefix:?}`?"))
            }
            _ if missing == 0 && !unexpected.is_empty() => {
                Some("if they do not belong to the backbone, list the beginnings of their names in `drop`".to_owned())
            }
            None => Some("check `backbone`: nothing in the file fits it".to_owned()),
            Some((count, _)) if *count < wanted => {
                Some(format!("{count} of {wanted} tensors fit at best: check `backbone`"))
            }
            Some(_) => None,
        }
    }
}

fn rename(name: &str, rules: &[(String, String)]) -> String {
    match rules.iter().find_map(|(from, to)| Some((to, name.strip_prefix(from.as_str())?))) {
        Some((to, rest)) => format!("{to}{rest}"),
        None => name.to_owned(),
    }
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
    use crate::Dtype;

    fn checkpoint(tensors: &[(&str, &[usize], f32)]) -> Checkpoint {
        let tensor = |(name, shape, value): &(&str, &[usize], f32)| {
            let bytes = std::iter::repeat_n(value.to_le_bytes(), shape.iter().product()).flatten().collect();
            ((*name).to_owned(), RawTensor { dtype: Dtype::F32, shape: shape.to_vec(), bytes })
        };
        Checkpoint { format: "test", container: None, tensors: tensors.iter().map(tensor).collect() }
    }

    fn wanted() -> Wanted {
        let tensors = [("conv1.weight", vec![2, 1]), ("bn1.weight", vec![2])];
        let tensors = tensors.map(|(n, shape)| TensorShape { name: n.into(), shape }).into();
        Wanted { tensors, optional: vec!["fc.weight".into()], ..Wanted::default() }
    }

    fn audit(tensors: &[(&str, &[usize], f32)], filter: &TensorFilter) -> Result<Vec<String>, String> {
        let found = select(&checkpoint(tensors), filter, &wanted());
        found
            .map(|f| f.tensors.into_keys().collect())
            .map_err(|e| format!("{e} | {}", e.help.clone().unwrap_or_default()))
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
        assert_eq!(audit(&MOCO, &TensorFilter::default()).unwrap().len(), 2);
        let wrong = TensorFilter { prefix: Some("module.encoder_k.".into()), ..TensorFilter::default() };
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
            audit(&two, &TensorFilter::default())
                .unwrap_err()
                .contains("more than once, under \"module.encoder_k.\" and \"module.encoder_q.\"")
        );
        two[5].2 = 1.0;
        assert_eq!(audit(&two, &TensorFilter::default()).unwrap().len(), 2);
    }

    #[test]
    fn what_does_not_fit_is_listed() {
        let flat = |extra: (&'static str, &'static [usize], f32)| {
            vec![("conv1.weight", &[2usize, 1][..], 1.0), ("bn1.weight", &[2], 1.0), extra]
        };
        assert_eq!(audit(&flat(("fc.weight", &[10, 2], 1.0)), &TensorFilter::default()).unwrap().len(), 3);
        let error = audit(&flat(("layer9.weight", &[1], 1.0)), &TensorFilter::default()).unwrap_err();
        assert!(error.contains("1 tensors are left over: layer9.weight") && error.contains("`drop`"), "{error}");
        let dropped = TensorFilter { drop: vec!["layer9".into()], ..TensorFilter::default() };
        assert!(audit(&flat(("layer9.weight", &[1], 1.0)), &dropped).is_ok());
        let shapes =
            audit(&[("conv1.weight", &[2, 3], 1.0), ("bn1.weight", &[2], 1.0)], &TensorFilter::default()).unwrap_err();
        assert!(shapes.contains("conv1.weight has shape [2, 3], and [2, 1] is needed"), "{shapes}");
        let nan = audit(&[("conv1.weight", &[2, 1], f32::NAN), ("bn1.weight", &[2], 1.0)], &TensorFilter::default())
            .unwrap_err();
        assert!(nan.contains("conv1.weight holds values that are not finite"), "{nan}");
        let head = audit(&[("fc.weight", &[10, 2], 1.0)], &TensorFilter::default()).unwrap_err();
        assert!(head.contains("none of its 1 tensors fits"), "{head}");
    }

    #[test]
    fn beginnings_are_renamed() {
        let tensors: [(&str, &[usize], f32); 2] = [("stem.weight", &[2, 1], 1.0), ("bn1.weight", &[2], 1.0)];
        let rules = TensorFilter { rename: vec![("stem.".into(), "conv1.".into())], ..TensorFilter::default() };
        assert_eq!(audit(&tensors, &rules).unwrap().len(), 2);
    }
}
