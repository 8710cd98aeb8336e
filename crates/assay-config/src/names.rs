//! Names: which one was meant, and patterns that select several.

use globset::{Glob, GlobMatcher};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The candidate closest to `word`, if any is close enough to have been meant.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // Comparing costs the product of both lengths, and nobody meant something else by a word as long as that.
    const LONGEST: usize = 256;
    if word.len() > LONGEST {
        return None;
    }
    let lower = word.to_lowercase();
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| {
            *distance <= candidate.chars().count().max(word.chars().count()) * 2 / 5 + usize::from(word.len() < 4)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A name, or a glob over names (`*`, `?`, `[…]`, `{a,b}`).
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    glob: Option<GlobMatcher>,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it is no valid glob.
    pub fn new(text: &str) -> Result<Self, String> {
        let is_glob = text.contains(['*', '?', '[', '{']);
        let glob = if is_glob { Some(Glob::new(text).map_err(|e| e.to_string())?.compile_matcher()) } else { None };
        Ok(Self { text: text.to_owned(), glob })
    }

    /// Tells whether the pattern selects `name`.
    pub fn matches(&self, name: &str) -> bool {
        self.glob.as_ref().map_or(self.text == name, |glob| glob.is_match(name))
    }

    /// The pattern as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// One pattern or a list of them: `"a"`, `["a", "b*"]`.
#[derive(Clone, Debug, Default)]
pub struct Patterns(pub Vec<Pattern>);

impl Patterns {
    /// Tells whether any of the patterns selects `name`.
    pub fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|p| p.matches(name))
    }
}

impl<'de> Deserialize<'de> for Patterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Patterns;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a name, a glob, or a list of them")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Patterns, E> {
                Ok(Patterns(vec![Pattern::new(text).map_err(E::custom)?]))
            }

            fn visit_unit<E: Error>(self) -> Result<Patterns, E> {
                Ok(Patterns::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Patterns, A::Error> {
                let mut patterns = Vec::new();
                while let Some(text) = items.next_element::<String>()? {
                    patterns.push(Pattern::new(&text).map_err(A::Error::custom)?);
                }
                Ok(Patterns(patterns))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

impl schemars::JsonSchema for Patterns {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Patterns".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "array"], "title": "name, glob or list of them" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_word() {
        let words = ["episodes", "ways", "shots", "queries"];
        assert_eq!(nearest("episode", words), Some("episodes"));
        assert_eq!(nearest("Ways", words), Some("ways"));
        assert_eq!(nearest("qureies", words), Some("queries"));
        assert_eq!(nearest("temperature", words), None);
    }

    #[test]
    fn globs() {
        let pattern = Pattern::new("moco-*").unwrap();
        assert!(pattern.matches("moco-v2") && !pattern.matches("simclr"));
        assert!(Pattern::new("a").unwrap().matches("a"));
        assert!(Pattern::new("[").is_err());
    }
}
