//! The texts that were read, and where in them something is.

use std::ops::Range;
use std::sync::Arc;

use crate::printable::printable;

/// A range of bytes in one of the [`Sources`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SourceSpan {
    pub(crate) file: usize,
    pub(crate) span: Range<usize>,
}

/// The texts that places point into.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<Arc<Source>>,
}

impl Sources {
    pub(crate) fn add(&mut self, source: Source) -> usize {
        self.files.push(Arc::new(source));
        self.files.len() - 1
    }

    pub(crate) fn get(&self, file: usize) -> &Arc<Source> {
        &self.files[file]
    }

    /// `file:line:column` of the beginning of a place, counted from one.
    pub fn describe(&self, place: &SourceSpan) -> String {
        self.files[place.file].describe(place.span.start)
    }
}

/// A text with an index of its lines and characters, so that a place in it is found without reading it again.
#[derive(Debug)]
pub(crate) struct Source {
    name: String,
    text: String,
    /// True if the text may be shown even when it is no RON at all.
    is_own: bool,
    line_starts: Vec<usize>,
    /// Characters before each block of [`BLOCK`] bytes.
    characters: Vec<usize>,
}

const BLOCK: usize = 1024;

impl Source {
    /// The text of a file of the experiment itself, or of the command line.
    pub(crate) fn own(name: &str, text: &str) -> Self {
        Self::new(name, text, true)
    }

    /// A text; `is_own` says whether it may be shown even if it is no RON at all.
    pub(crate) fn new(name: &str, text: &str, is_own: bool) -> Self {
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let counts = text.as_bytes().chunks(BLOCK).scan(0, |before, block| {
            *before += count_characters(block);
            Some(*before)
        });
        Self {
            name: printable(name).into_owned(),
            text: text.to_owned(),
            is_own,
            line_starts: std::iter::once(0).chain(starts).collect(),
            characters: std::iter::once(0).chain(counts).collect(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_own(&self) -> bool {
        self.is_own
    }

    pub(crate) fn line_count(&self) -> usize {
        self.line_starts.len()
    }

    /// The line that a byte is in, counted from zero.
    pub(crate) fn line_of(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at) - 1
    }

    /// Characters before a byte in its line.
    pub(crate) fn column_of(&self, at: usize) -> usize {
        self.characters_before(at) - self.characters_before(self.line_starts[self.line_of(at)])
    }

    /// The bytes of a line, without its end.
    pub(crate) fn line(&self, line: usize) -> Range<usize> {
        let start = self.line_starts[line];
        let end = self.line_starts.get(line + 1).map_or(self.text.len(), |next| next - 1);
        let has_return = self.text[start..end].ends_with('\r');
        start..end - usize::from(has_return)
    }

    /// Number of characters in a range.
    pub(crate) fn width(&self, range: &Range<usize>) -> usize {
        self.characters_before(range.end) - self.characters_before(range.start)
    }

    /// `file:line:column`, counted from one.
    pub(crate) fn describe(&self, at: usize) -> String {
        format!("{}:{}:{}", self.name, self.line_of(at) + 1, self.column_of(at) + 1)
    }

    fn characters_before(&self, at: usize) -> usize {
        let block = at / BLOCK;
        self.characters[block] + count_characters(&self.text.as_bytes()[block * BLOCK..at])
    }
}

/// Characters that begin in these bytes of UTF-8.
fn count_characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xC0 != 0x80).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_lines_and_characters() {
        let text = format!("é\n{}ü|\r\n", "aß".repeat(5000));
        let source = Source::own("f.ron", &text);
        let bar = text.find('|').unwrap();
        assert_eq!(source.describe(bar), "f.ron:2:10002");
        assert_eq!(source.describe(text.len()), "f.ron:3:1");
        assert_eq!((source.line(1).end, source.width(&source.line(1))), (bar + 1, 10_002));
        assert_eq!(Source::own("f.ron", "").describe(0), "f.ron:1:1");
        let whole = Source::own("f", &"x".repeat(BLOCK));
        assert_eq!(whole.column_of(BLOCK), BLOCK);
    }
}
