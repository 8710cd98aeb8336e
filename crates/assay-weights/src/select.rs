//! Finding a backbone in a checkpoint, and the audit that all of it was found.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::choice::{self, Choice, Print, Rival, decide};
use crate::unread::Unread;
use crate::wrappers::unwrapped_start;
use crate::{Checkpoint, RawTensor, derived};

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
    /// Names of tensors that `drop` alone leaves out: they are no usual head, and the network of the file may compute with them.
    pub dropped: Vec<String>,
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
/// Advice on tensors that nobody asks for.
const LEFT_OVER: &str = "the network of the file has parts that this backbone has not, and computes other features with them: look for \
                         a backbone that has them (`assay weights inspect`). What has no part in the features, such as a decoder or a \
                         queue, can be listed in `drop`, by the beginnings of its names";
/// Advice on tensors without elements.
const SHARD: &str = "tensors without elements stand for numbers that are in other files, as DeepSpeed's ZeRO-3 writes them: join them by \
                     its `zero_to_fp32.py`";

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
/// Lists what is missing, unexpected, mis-shaped or not finite, and what prefix would fit better; or the prefixes, where the
/// backbone is there more than once.
pub fn select(checkpoint: &Checkpoint, filter: &TensorFilter, wanted: &Wanted) -> Result<Found, AuditError> {
    let audit = Audit::of(checkpoint, filter, wanted);
    let prefix = match &audit.filter.prefix {
        Some(prefix) => prefix.clone(),
        None => audit.guess_prefix()?,
    };
    let naming = audit.naming;
    let (tensors, dropped) = audit.take(&prefix)?;
    Ok(Found {
        tensors,
        prefix,
        naming: naming.map(|from| from.name),
        advice: naming.and_then(|from| from.advice),
        dropped,
    })
}

/// The number of the tensors that are wanted that are in `checkpoint`, under the prefix that fits best.
pub fn coverage(checkpoint: &Checkpoint, filter: &TensorFilter, wanted: &Wanted) -> usize {
    Audit::of(checkpoint, filter, wanted).coverage()
}

pub(crate) struct Audit<'a> {
    tensors: Translated<'a>,
    /// Names of what is not read, with what it is.
    unread: &'a BTreeMap<String, Unread>,
    filter: TensorFilter,
    wanted: &'a Wanted,
    /// Library whose names were translated.
    naming: Option<&'a Naming>,
}

impl<'a> Audit<'a> {
    pub fn of(checkpoint: &'a Checkpoint, filter: &TensorFilter, wanted: &'a Wanted) -> Self {
        let translated = wanted.namings.iter().find_map(|n| Some((n, (n.translate)(&checkpoint.tensors)?)));
        let (naming, tensors) = match translated {
            Some((naming, tensors)) => (Some(naming), tensors),
            None => (None, checkpoint.tensors.iter().map(|(n, t)| (n.clone(), Cow::Borrowed(t))).collect()),
        };
        Self { tensors, unread: &checkpoint.unread, filter: filter.unwrapped(), wanted, naming }
    }

    /// The tensors, and the names that `drop` alone has left out.
    fn take(&self, prefix: &str) -> Result<(BTreeMap<String, RawTensor>, Vec<String>), AuditError> {
        let renamed = self.renamed(prefix);
        let wanted = &self.wanted.tensors;
        let mut lines = Vec::new();
        let mut found = BTreeMap::new();
        let mut missing = Vec::new();
        let mut is_empty = false;
        for TensorShape { name, shape } in wanted {
            match renamed.get(name) {
                None => missing.push(name.as_str()),
                Some(tensor) if tensor.shape != *shape => {
                    is_empty |= tensor.bytes.is_empty();
                    lines.push(format!("{name} has shape {:?}, and {shape:?} is needed", tensor.shape));
                }
                Some(tensor) if !tensor.dtype.is_float() => {
                    lines.push(format!("{name} holds whole numbers ({}), and floats are needed", tensor.dtype.name()));
                }
                Some(tensor) if tensor.not_finite() > 0 => {
                    lines.push(format!("{name} holds values that are not finite"));
                }
                Some(tensor) => {
                    found.insert(name.clone(), (**tensor).clone().into_owned());
                }
            }
        }
        let left = self.left_over(prefix, &renamed);
        if lines.len() > MAX_LINES {
            let more = lines.len() - MAX_LINES;
            lines.truncate(MAX_LINES);
            lines.push(format!("… ({more} more)"));
        }
        if !missing.is_empty() {
            lines.insert(0, format!("{} of {} tensors are missing: {}", missing.len(), wanted.len(), some(&missing)));
        }
        if !left.is_empty() {
            lines.push(format!("{} tensors are left over: {}", left.len(), some(&left)));
        }
        let other = self.other_form(prefix, missing.is_empty() && lines.is_empty());
        if let Some((line, advice)) = other {
            lines.insert(0, line);
            return Err(AuditError { lines, help: Some(advice) });
        }
        if !lines.is_empty() {
            let help = match is_empty {
                true => Some(SHARD.to_owned()),
                false => self.advice(prefix, missing.len(), &left),
            };
            return Err(AuditError { lines, help });
        }
        for name in &self.wanted.optional {
            if let Some(tensor) = renamed.get(name) {
                found.insert(name.clone(), (**tensor).clone().into_owned());
            }
        }
        let names: BTreeSet<&str> = wanted.iter().map(|w| w.name.as_str()).collect();
        let is_dropped = |name: &&String| !names.contains(name.as_str()) && self.is_dropped(name);
        Ok((found, renamed.keys().filter(is_dropped).cloned().collect()))
    }

    /// The tensors under a prefix by the names of the backbone.
    fn renamed(&self, prefix: &str) -> BTreeMap<String, &Cow<'a, RawTensor>> {
        let under = self.tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?, tensor)));
        under.map(|(rest, tensor)| (rename(rest, &self.filter.rename), tensor)).collect()
    }

    /// Names under the prefix that are neither wanted nor left out: of tensors, and of what is not read and may be one.
    fn left_over<'n>(&self, prefix: &str, renamed: &'n BTreeMap<String, &Cow<'a, RawTensor>>) -> Vec<&'n str>
    where
        'a: 'n,
    {
        let names: BTreeSet<&str> = self.wanted.tensors.iter().map(|w| w.name.as_str()).collect();
        let unread = self.unread.iter().filter(|(_, unread)| unread.is_tensor);
        let unread = unread.filter_map(|(name, _)| name.strip_prefix(prefix));
        let all = renamed.keys().map(String::as_str).chain(unread);
        all.filter(|name| !names.contains(name) && !self.is_left_out(name)).collect()
    }

    /// What is said of tensors that are not the weights themselves, or are not read. `is_whole` is true if nothing is missing
    /// without them.
    fn other_form(&self, prefix: &str, is_whole: bool) -> Option<(String, String)> {
        let names = || self.tensors.keys().map(String::as_str).chain(self.unread.keys().map(String::as_str));
        let under = names().filter_map(|name| name.strip_prefix(prefix)).filter(|rest| !self.is_left_out(rest));
        let under: Vec<&str> = under.collect();
        // Where nothing fits under the prefix, those of the whole file say more.
        let all: Vec<&str> = if under.is_empty() { names().collect() } else { under };
        if let Some((name, what, advice)) = derived::find(all.into_iter()) {
            return Some((format!("it holds {what}: {name}"), advice.to_owned()));
        }
        let (name, unread) = self.unread.iter().filter(|_| !is_whole).min_by_key(|(_, unread)| !unread.is_tensor)?;
        let count = self.unread.values().filter(|other| other.what == unread.what).count();
        let more = if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
        Some((format!("{name}{more} cannot be read: {}", unread.what), unread.advice.to_owned()))
    }

    fn is_left_out(&self, name: &str) -> bool {
        self.is_dropped(name) || self.is_no_part(name)
    }

    /// Heads, counters, and what only pretraining needs.
    fn is_no_part(&self, name: &str) -> bool {
        let first = name.split('.').next().unwrap_or_default();
        // `fc_norm` is a norm before a head.
        let is_head = HEADS.iter().any(|h| first.starts_with(h)) && !first.contains("norm");
        let ends = ["num_batches_tracked", "_extra_state", "n_averaged"];
        is_head || ends.iter().any(|end| name.ends_with(end)) || self.wanted.ignored.iter().any(|d| name.starts_with(d))
    }

    fn is_dropped(&self, name: &str) -> bool {
        !self.is_no_part(name) && self.filter.drop.iter().any(|start| name.starts_with(start.as_str()))
    }

    /// The number of wanted tensors under the prefix that fits best.
    pub fn coverage(&self) -> usize {
        self.prefixes().first().map_or(0, |(count, _)| *count)
    }

    /// Prefixes under which tensors of the backbone are found, with how many, the best first; among equals the shortest.
    fn prefixes(&self) -> Vec<(usize, &str)> {
        self.ranked(|found, needed| found == needed)
    }

    /// As [`prefixes`](Self::prefixes), for tensors whose shape `fits` the one that is needed.
    fn ranked(&self, fits: impl Fn(&[usize], &[usize]) -> bool) -> Vec<(usize, &str)> {
        let wanted = self.wanted.tensors.iter();
        let shapes: BTreeMap<&str, &[usize]> = wanted.map(|w| (w.name.as_str(), w.shape.as_slice())).collect();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (name, tensor) in &self.tensors {
            let starts = std::iter::once(0).chain(name.match_indices('.').map(|(i, _)| i + 1));
            for start in starts {
                let rest = rename(&name[start..], &self.filter.rename);
                if shapes.get(rest.as_str()).is_some_and(|shape| fits(&tensor.shape, shape)) {
                    *counts.entry(&name[..start]).or_default() += 1;
                }
            }
        }
        let mut ranked: Vec<_> = counts.into_iter().map(|(prefix, count)| (count, prefix)).collect();
        ranked.sort_by_key(|(count, prefix)| (std::cmp::Reverse(*count), prefix.len()));
        ranked
    }

    /// The places in this checkpoint that hold at least half of the backbone, with prints of their tensors; those that the filter
    /// allows.
    pub fn rivals(&self, container: Option<&str>) -> Vec<Rival> {
        let needed = self.wanted.tensors.len();
        let of = |prefix: &str| {
            let renamed = self.renamed(prefix);
            let print = |w: &TensorShape| renamed.get(&w.name).filter(|t| t.shape == w.shape).map(|t| t.print());
            let prints: Vec<Option<Print>> = self.wanted.tensors.iter().map(print).collect();
            let present = prints.iter().flatten().count();
            let choice = Choice { container: container.map(str::to_owned), prefix: prefix.to_owned(), present };
            Rival { choice, prints, is_named: true }
        };
        if let Some(prefix) = &self.filter.prefix {
            return vec![of(prefix)];
        }
        let mut rivals: Vec<Rival> =
            self.prefixes().iter().filter(|(count, _)| 2 * count >= needed).map(|(_, prefix)| of(prefix)).collect();
        rivals.extend(self.without_dots(container));
        rivals
    }

    /// An average whose names have lost their dots, as some keep it beside the weights: `model_ema.layer10conv1weight`,
    /// `ema_layer1_0_conv1_weight`.
    fn without_dots(&self, container: Option<&str>) -> Option<Rival> {
        let squeezed = |name: &str| name.chars().filter(|c| !matches!(c, '.' | '_')).collect::<String>();
        let wanted: BTreeMap<String, usize> =
            self.wanted.tensors.iter().enumerate().map(|(i, w)| (squeezed(&w.name), i)).collect();
        let mut prints: Vec<Option<Print>> = vec![None; self.wanted.tensors.len()];
        let mut example = None;
        let is_average = |part: &str| choice::AVERAGES.iter().any(|word| choice::has(part, word));
        for (name, tensor) in self.tensors.iter().filter(|(name, _)| name.len() < 512) {
            let mut parts = name.splitn(2, '.');
            let (first, rest) = (parts.next().unwrap_or_default(), parts.next());
            let flat = rest.unwrap_or(first);
            if !is_average(first) || flat.contains('.') {
                continue;
            }
            let flat = squeezed(flat);
            let found = flat.char_indices().find_map(|(at, _)| wanted.get(&flat[at..]));
            if let Some(i) = found.filter(|i| self.wanted.tensors[**i].shape == tensor.shape) {
                prints[*i] = Some(tensor.print());
                example.get_or_insert(name);
            }
        }
        let present = prints.iter().flatten().count();
        let choice = Choice { container: container.map(str::to_owned), prefix: example?.clone(), present };
        (2 * present >= prints.len()).then_some(Rival { choice, prints, is_named: false })
    }

    fn guess_prefix(&self) -> Result<String, AuditError> {
        // Nothing has to be compared where there is one.
        if let [(count, prefix)] = self.prefixes()[..]
            && count == self.wanted.tensors.len()
            && self.without_dots(None).is_none()
        {
            return Ok(prefix.to_owned());
        }
        let rivals = self.rivals(None);
        if let Some(chosen) = decide(&rivals, self.wanted.tensors.len())? {
            return Ok(rivals[chosen].choice.prefix.clone());
        }
        // Where little fits, the names say more of what was meant than the shapes.
        if let Some((_, prefix)) = self.ranked(|_, _| true).first().filter(|_| !self.prefixes().is_empty()) {
            return Ok((*prefix).to_owned());
        }
        if !self.tensors.is_empty() && self.tensors.values().all(|t| t.bytes.is_empty() || t.shape.is_empty()) {
            let line = "none of its tensors has elements".to_owned();
            return Err(AuditError { lines: vec![line], help: Some(SHARD.to_owned()) });
        }
        let names: Vec<&str> = self.tensors.keys().chain(self.unread.keys()).map(String::as_str).collect();
        let line = format!("none of its {} tensors fits the backbone: {}", names.len(), some(&names));
        let (lines, help) = match self.other_form("", false) {
            Some((other, advice)) => (vec![other, line], advice),
            None => (vec![line], "check `backbone`, or give `prefix` or `rename`".to_owned()),
        };
        Err(AuditError { lines, help: Some(help) })
    }

    fn advice(&self, used: &str, missing: usize, left: &[&str]) -> Option<String> {
        let wanted = self.wanted.tensors.len();
        let ranked = self.prefixes();
        let best = ranked.first().map_or(0, |(count, _)| *count);
        // Of those that fit equally well, the field's usual one; else the one that ends most like what was written.
        let equal: Vec<&str> = ranked.iter().filter(|(count, _)| *count == best).map(|(_, prefix)| *prefix).collect();
        let alike = |prefix: &str| used.bytes().rev().zip(prefix.bytes().rev()).take_while(|(a, b)| a == b).count();
        let nearest = equal.iter().rev().copied().max_by_key(|prefix| alike(prefix));
        match nearest {
            Some(prefix) if prefix != used && best > wanted - missing => {
                let alike: Vec<&str> = equal.iter().copied().filter(|other| alike(other) == alike(prefix)).collect();
                Some(if alike.len() > 1 { suggested(&alike) } else { format!("did you mean `prefix: {prefix:?}`?") })
            }
            _ if missing == 0 && !left.is_empty() => Some(LEFT_OVER.to_owned()),
            None => Some("check `backbone`: nothing in the file fits it".to_owned()),
            Some(_) if best < wanted => Some(format!("{best} of {wanted} tensors fit at best: check `backbone`")),
            Some(_) => None,
        }
    }
}

/// The prefixes that may be meant, the field's usual one first.
fn suggested(prefixes: &[&str]) -> String {
    let places: Vec<String> = prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
    let (order, why) = choice::usual_first(&places);
    let all: Vec<String> = order.iter().map(|i| format!("`prefix: {:?}`", places[*i])).collect();
    let why = why.map_or_else(String::new, |why| format!(" ({why})"));
    format!("did you mean one of {}?{why}", all.join(", "))
}

impl TensorFilter {
    /// Without what wrappers of a network write into names.
    fn unwrapped(&self) -> Self {
        let is_inner = self.prefix.as_ref().is_some_and(|prefix| !prefix.is_empty());
        Self {
            prefix: self.prefix.as_deref().map(|prefix| unwrapped_start(prefix, false)),
            drop: self.drop.iter().map(|start| unwrapped_start(start, is_inner)).collect(),
            rename: self.rename.iter().map(|(from, to)| (unwrapped_start(from, is_inner), to.clone())).collect(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dtype;

    fn checkpoint(tensors: &[(&str, &[usize], f32)]) -> Checkpoint {
        let tensor = |(name, shape, value): &(&str, &[usize], f32)| {
            let bytes = std::iter::repeat_n(value.to_le_bytes(), shape.iter().product()).flatten().collect();
            ((*name).to_owned(), RawTensor { dtype: Dtype::F32, shape: shape.to_vec(), bytes })
        };
        Checkpoint {
            format: "test",
            container: None,
            tensors: tensors.iter().map(tensor).collect(),
            unread: BTreeMap::new(),
        }
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
                .contains("with different values: `prefix: \"module.encoder_q.\"`, `prefix: \"module.encoder_k.\"`")
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
