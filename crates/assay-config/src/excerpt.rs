//! The few lines of a text that a problem is shown with.
//!
//! What shows problems counts columns in 16 bits and reads the whole text for every one. So it is given an excerpt: the lines
//! around the places, long ones cut, and with nothing in them that a terminal would obey.

use std::ops::Range;

use miette::{MietteError, MietteSpanContents, SourceCode, SpanContents};

use crate::printable::is_hidden;
use crate::source::Source;

/// Lines with more characters are cut.
const MAX_LINE: usize = 400;
/// Of a cut line: characters before the place, and in all.
const BEFORE: usize = 40;
const WINDOW: usize = 120;
/// A place that covers more lines is shown by its first one.
const MAX_LINES: usize = 12;

/// Lines of a text around some places.
#[derive(Clone, Debug)]
pub(crate) struct Excerpt {
    name: String,
    text: String,
    chunks: Vec<Chunk>,
    marks: Vec<Mark>,
}

/// Lines that follow each other.
#[derive(Clone, Debug)]
struct Chunk {
    range: Range<usize>,
    first_line: usize,
    lines: usize,
}

/// A place in the excerpt, with its line and column in the whole text.
#[derive(Clone, Debug)]
struct Mark {
    range: Range<usize>,
    line: usize,
    column: usize,
}

/// Lines that are shown together, and the places in them.
struct Group {
    lines: Range<usize>,
    spans: Vec<usize>,
}

impl Excerpt {
    /// The excerpt for places in a text, in any order.
    pub(crate) fn new(source: &Source, spans: &[Range<usize>]) -> Self {
        let spans: Vec<_> = spans.iter().map(|span| shortened(source, span)).collect();
        let mark = |span: &Range<usize>| Mark {
            range: 0..0,
            line: source.line_of(span.start),
            column: source.column_of(span.start),
        };
        let marks = spans.iter().map(mark).collect();
        let mut excerpt = Self { name: source.name().to_owned(), text: String::new(), chunks: Vec::new(), marks };
        for group in groups(source, &spans) {
            excerpt.add(source, &group, &spans);
        }
        excerpt
    }

    /// The places in the excerpt, in the order in which they were given.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.marks.iter().map(|mark| mark.range.clone())
    }

    fn add(&mut self, source: &Source, group: &Group, spans: &[Range<usize>]) {
        let start = self.text.len();
        // Where characters of the text are in the excerpt.
        let mut places = Vec::new();
        for line in group.lines.clone() {
            let focus = spans[group.spans[0]].start;
            self.add_line(source, source.line(line), focus, &mut places);
        }
        let place = |at: usize| {
            let next = places.partition_point(|(from, _)| *from < at);
            places.get(next).or(places.last()).map_or(start, |(_, to)| *to)
        };
        for index in &group.spans {
            self.marks[*index].range = place(spans[*index].start)..place(spans[*index].end);
        }
        self.chunks.push(Chunk {
            range: start..self.text.len(),
            first_line: group.lines.start,
            lines: group.lines.len(),
        });
    }

    fn add_line(&mut self, source: &Source, line: Range<usize>, focus: usize, places: &mut Vec<(usize, usize)>) {
        let shown = if source.width(&line) > MAX_LINE { window(source, &line, focus) } else { line.clone() };
        if shown.start > line.start {
            self.text.push('…');
        }
        for (at, c) in source.text()[shown.clone()].char_indices() {
            places.push((shown.start + at, self.text.len()));
            match c {
                '\t' => self.text.push(c),
                c if is_hidden(c) => self.text.extend(c.escape_default()),
                c => self.text.push(c),
            }
        }
        if shown.end < line.end {
            places.push((shown.end, self.text.len()));
            self.text.push('…');
        }
        places.push((line.end, self.text.len()));
        self.text.push('\n');
    }
}

/// A place of many lines ends with its first one.
fn shortened(source: &Source, span: &Range<usize>) -> Range<usize> {
    let first = source.line_of(span.start);
    if source.line_of(last_byte(span)) - first < MAX_LINES {
        return span.clone();
    }
    span.start..source.line(first).end.max(span.start)
}

fn last_byte(span: &Range<usize>) -> usize {
    span.start.max(span.end.saturating_sub(1))
}

/// Places near each other are shown together, unless a line there has to be cut.
fn groups(source: &Source, spans: &[Range<usize>]) -> Vec<Group> {
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by_key(|index| spans[*index].start);
    let mut groups: Vec<Group> = Vec::new();
    for index in order {
        let span = &spans[index];
        let first = source.line_of(span.start).saturating_sub(1);
        let last = (source.line_of(last_byte(span)) + 1).min(source.line_count() - 1);
        let is_whole = |lines: Range<usize>| lines.into_iter().all(|l| source.width(&source.line(l)) <= MAX_LINE);
        match groups.last_mut() {
            Some(group) if first <= group.lines.end && is_whole(group.lines.start..last + 1) => {
                group.lines.end = group.lines.end.max(last + 1);
                group.spans.push(index);
            }
            _ => groups.push(Group { lines: first..last + 1, spans: vec![index] }),
        }
    }
    groups
}

/// The part of a long line around `focus`, or its beginning where that is in another line.
fn window(source: &Source, line: &Range<usize>, focus: usize) -> Range<usize> {
    let text = source.text();
    let focus = if line.contains(&focus) || focus == line.end { focus } else { line.start };
    let back = text[line.start..focus].char_indices().rev().take(BEFORE).last();
    let start = back.map_or(focus, |(at, _)| line.start + at);
    let end = text[start..line.end].char_indices().nth(WINDOW).map_or(line.end, |(at, _)| start + at);
    start..end
}

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        span: &miette::SourceSpan,
        before: usize,
        _after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let range = span.offset()..span.offset() + span.len();
        let contents = |range: &Range<usize>, line, column, lines| {
            let data = &self.text.as_bytes()[range.clone()];
            let span = (range.start, range.len()).into();
            Box::new(MietteSpanContents::new_named(self.name.clone(), data, span, line, column, lines))
        };
        // Without lines around it, where it is in the whole text is asked for.
        if before == 0
            && let Some(mark) = self.marks.iter().find(|mark| mark.range == range)
        {
            return Ok(contents(&mark.range, mark.line, mark.column, 1));
        }
        let chunk = self.chunks.iter().find(|chunk| chunk.range.contains(&range.start) && range.end <= chunk.range.end);
        let chunk = chunk.ok_or(MietteError::OutOfBounds)?;
        Ok(contents(&chunk.range, chunk.first_line, 0, chunk.lines))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(text: &str, parts: &[&str]) -> (String, Vec<String>) {
        let span = |part: &&str| {
            let at = text.find(*part).unwrap();
            at..at + part.len()
        };
        let excerpt = Excerpt::new(&Source::own("f", text), &parts.iter().map(span).collect::<Vec<_>>());
        let marked = excerpt.ranges().map(|range| excerpt.text[range].to_owned()).collect();
        (excerpt.text.clone(), marked)
    }

    #[test]
    fn short_lines_are_shown_as_they_are() {
        let text = "a\nb\nc: xyz\nd\ne";
        assert_eq!(excerpt(text, &["xyz"]), ("b\nc: xyz\nd\n".into(), vec!["xyz".into()]));
        assert_eq!(excerpt(text, &["e", "c"]), ("b\nc: xyz\nd\ne\n".into(), vec!["e".into(), "c".into()]));
        assert_eq!(excerpt("", &[""]), ("\n".into(), vec![String::new()]));
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let text = format!("{}\n{}HERE{}\n", "ü".repeat(500), "é".repeat(70_000), "z".repeat(1000));
        let (shown, marked) = excerpt(&text, &["HERE"]);
        assert_eq!(marked, ["HERE"]);
        assert_eq!(shown, format!("{}…\n…{}HERE{}…\n\n", "ü".repeat(120), "é".repeat(40), "z".repeat(76)));
        let (shown, marked) = excerpt(&text, &["HERE", &"é".repeat(3)]);
        assert_eq!(marked, ["HERE", "ééé"]);
        assert_eq!(shown.matches("HERE").count(), 1);
    }

    #[test]
    fn control_characters_are_escaped_and_places_stay() {
        let (shown, marked) = excerpt("a\u{1b}[31m\u{202e}b: xyz\r\n", &["xyz"]);
        assert_eq!((shown.as_str(), marked[0].as_str()), ("a\\u{1b}[31m\\u{202e}b: xyz\n\n", "xyz"));
    }

    #[test]
    fn a_place_of_many_lines_is_shown_by_its_first() {
        let text = format!("({}\n)", "\na".repeat(100));
        let (shown, marked) = excerpt(&text, &[&text]);
        assert_eq!((shown.as_str(), marked[0].as_str()), ("(\na\n", "("));
    }
}
