//! Words that were renamed, and are still read under their old names.

use crate::source::SourceSpan;
use crate::tree::{Body, Kind, Tree};

/// A field or a name of a value that used to be called otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renamed {
    /// The section in whose entries the word occurs, at any depth.
    pub section: &'static str,
    /// Former name.
    pub old: &'static str,
    /// Present name.
    pub new: &'static str,
}

/// Uses of old words that are told one by one.
const MAX_NOTES: usize = 100;

/// The words of a section, and where old ones were used.
#[derive(Debug)]
pub(crate) struct Translation<'a> {
    words: Vec<&'a Renamed>,
    pub(crate) uses: Vec<(SourceSpan, Renamed)>,
}

impl<'a> Translation<'a> {
    /// The words of one section.
    pub(crate) fn of(words: &'a [Renamed], section: &str) -> Self {
        Self { words: words.iter().filter(|word| word.section == section).collect(), uses: Vec::new() }
    }

    /// The new word for an old one that is written at `place`.
    pub(crate) fn word(&mut self, word: &str, place: &SourceSpan) -> Option<String> {
        let renamed = *self.words.iter().find(|renamed| renamed.old == word)?;
        self.uses.push((place.clone(), *renamed));
        Some(renamed.new.to_owned())
    }

    /// Renames fields and names in a value. Texts and keys of maps stay: they are names that somebody chose.
    pub(crate) fn tree(&mut self, tree: &mut Tree) {
        match &mut tree.kind {
            _ if self.words.is_empty() => {}
            Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Str(_) => {}
            Kind::List(items) => items.iter_mut().for_each(|item| self.tree(item)),
            Kind::Map(entries) => entries.iter_mut().for_each(|(_, value)| self.tree(value)),
            Kind::Named { name, body } => {
                if let Some(new) = name.as_deref().and_then(|name| self.word(name, &tree.place)) {
                    *name = Some(new);
                }
                self.body(body);
            }
        }
    }

    fn body(&mut self, body: &mut Body) {
        match body {
            Body::None => {}
            Body::Tuple(items) => items.iter_mut().for_each(|item| self.tree(item)),
            Body::Fields(fields) => {
                for field in fields {
                    if let Some(new) = self.word(&field.name, &field.at) {
                        field.name = new;
                    }
                    self.tree(&mut field.value);
                }
            }
        }
    }
}

/// Notes on uses of old words, each with its `file:line:column`.
pub(crate) fn notes(uses: &[(String, Renamed)]) -> Vec<String> {
    let note = |(at, Renamed { old, new, .. }): &(String, Renamed)| {
        format!("{at}: `{old}` is now called `{new}`; the old word will not be read by the next version")
    };
    let mut notes: Vec<String> = uses.iter().take(MAX_NOTES).map(note).collect();
    if uses.len() > MAX_NOTES {
        notes.push(format!("{} more words were renamed", uses.len() - MAX_NOTES));
    }
    notes
}
