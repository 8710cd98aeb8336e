//! What a weights file tells of a network besides its tensors, and how it is read where the tensors fit several networks.

use std::collections::BTreeMap;

use assay_weights::{Checkpoint, Naming};

/// What a weights file tells besides the names and shapes of its tensors.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Library whose names the tensors have; absent where they are those that the backbone itself has.
    pub naming: Option<String>,
    /// What it is called: the name of the file, and the architecture of the `config.json` beside it.
    pub words: Vec<String>,
}

impl Told {
    /// The word in which one of these is found, in small letters.
    pub(super) fn word_with(&self, parts: &[&str]) -> Option<&str> {
        let is_in = |word: &&String| parts.iter().any(|part| word.to_lowercase().contains(part));
        self.words.iter().find(is_in).map(String::as_str)
    }
}

/// Shapes of the tensors of a file under one prefix, by the names that a backbone has for them.
pub struct Shapes(BTreeMap<String, Vec<usize>>);

impl Shapes {
    /// The tensors beside the one called `anchor`, after the first of `namings` that knows their names; `None` without that one.
    pub fn beside(anchor: &str, checkpoint: &Checkpoint, namings: &[Naming]) -> Option<Self> {
        let translated = namings.iter().find_map(|naming| (naming.translate)(&checkpoint.tensors));
        let all: BTreeMap<&str, &[usize]> = match &translated {
            Some(tensors) => tensors.iter().map(|(name, t)| (name.as_str(), t.shape.as_slice())).collect(),
            None => checkpoint.tensors.iter().map(|(name, t)| (name.as_str(), t.shape.as_slice())).collect(),
        };
        let before = |name: &&str| name.strip_suffix(anchor).filter(|p| p.is_empty() || p.ends_with('.')).is_some();
        let prefix = all.keys().find(|name| before(name))?.strip_suffix(anchor)?;
        let ours = all.iter().filter_map(|(name, shape)| Some((name.strip_prefix(prefix)?.to_owned(), shape.to_vec())));
        Some(Self(ours.collect()))
    }

    /// The shape of a tensor.
    pub fn of(&self, name: &str) -> Option<&[usize]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// The first axis of a tensor.
    pub fn first(&self, name: &str) -> Option<usize> {
        self.of(name)?.first().copied()
    }

    /// Number of names that `name` gives for 0, 1, …, up to the first that there is not.
    pub fn count(&self, name: impl Fn(u32) -> String) -> u32 {
        (0..1000).take_while(|i| self.0.contains_key(&name(*i))).count() as u32
    }
}
