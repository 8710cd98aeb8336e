//! Problems of a file, each with its place.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use miette::{Diagnostic, LabeledSpan, SourceCode};

use crate::excerpt::Excerpt;
use crate::printable::printable_message;
use crate::source::{Source, SourceSpan, Sources};

/// One thing that is wrong, with its place, a label at the place and a way out. Its texts can be shown as they are: control
/// characters of names are escaped, and long texts cut.
#[derive(Clone, Debug)]
pub struct Problem {
    message: String,
    label: String,
    help: Option<String>,
    place: Option<SourceSpan>,
    source: Option<Arc<Source>>,
    also: Option<(Range<usize>, String)>,
    /// True if nothing of the file's text may be shown.
    is_secret: bool,
    excerpt: OnceLock<Excerpt>,
}

/// Longer texts in problems are cut.
const MAX_TEXT: usize = 2000;
/// More problems than these are only counted.
const MOST: usize = 100_000;

impl Problem {
    fn new(message: String, label: String, help: Option<String>) -> Self {
        Self {
            message: shown(&message),
            label: shown(&label),
            help: help.as_deref().map(shown),
            place: None,
            source: None,
            also: None,
            is_secret: false,
            excerpt: OnceLock::new(),
        }
    }

    /// The message without its place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The text of the help line.
    pub fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// `file:line:column` of its place, where it has one.
    pub fn written_at(&self) -> Option<String> {
        Some(self.source.as_ref()?.describe(self.place.as_ref()?.span.start))
    }

    /// `file:line:column: message`, for lists.
    pub fn one_line(&self) -> String {
        let message = self.message.replace('\n', " ");
        self.written_at().map_or_else(|| message.clone(), |at| format!("{at}: {message}"))
    }

    fn excerpt(&self) -> Option<&Excerpt> {
        let (source, place) = (self.source.as_ref()?, self.place.as_ref()?);
        let spans = || std::iter::once(place.span.clone()).chain(self.also.iter().map(|(span, _)| span.clone()));
        let make = || Excerpt::new(source, &spans().collect::<Vec<_>>());
        (!self.is_secret).then(|| self.excerpt.get_or_init(make))
    }
}

/// A text as it is shown.
fn shown(text: &str) -> String {
    let text = printable_message(text);
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.written_at().filter(|_| self.is_secret) {
            Some(at) => write!(f, "{at}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.excerpt().map(|excerpt| excerpt as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let labels = std::iter::once(&self.label).chain(self.also.iter().map(|(_, label)| label));
        let label = |(index, (span, label)): (usize, (Range<usize>, &String))| match index {
            0 => LabeledSpan::new_primary_with_span(Some(label.clone()), span),
            _ => LabeledSpan::new_with_span(Some(label.clone()), span),
        };
        Some(Box::new(self.excerpt()?.ranges().zip(labels).enumerate().map(label)))
    }
}

/// Collects problems; a file is good when there are none at the end.
#[derive(Debug, Default)]
pub struct Problems {
    pub(crate) sources: RefCell<Sources>,
    list: RefCell<Vec<Problem>>,
    known: RefCell<HashSet<(Option<SourceSpan>, String)>>,
    places: RefCell<HashSet<SourceSpan>>,
    /// Number of problems beyond those that are kept.
    more: Cell<usize>,
}

impl Problems {
    /// Adds a problem at `place`: what is wrong, what to write beside the place, what to do.
    pub fn add(&self, place: &SourceSpan, message: impl Into<String>, label: impl Into<String>, help: Option<String>) {
        self.push(self.placed(place, Problem::new(message.into(), label.into(), help)));
    }

    /// Adds a problem of which nothing but the place is shown: the text may be one that nobody was to see.
    pub(crate) fn add_secret(&self, place: &SourceSpan, message: &str, help: Option<String>) {
        let problem = Problem { is_secret: true, ..Problem::new(message.to_owned(), String::new(), help) };
        self.push(self.placed(place, problem));
    }

    /// Adds a problem with a second place; where that is in another file, it goes into the help line.
    pub fn add_with(
        &self,
        place: &SourceSpan,
        message: impl Into<String>,
        label: impl Into<String>,
        also: (&SourceSpan, &str),
    ) {
        let (second, text) = also;
        let mut problem = self.placed(place, Problem::new(message.into(), label.into(), None));
        if second.file == place.file {
            problem.also = Some((second.span.clone(), text.to_owned()));
        } else {
            problem.help = Some(format!("{text}: {}", self.describe(second)));
        }
        self.push(problem);
    }

    fn placed(&self, place: &SourceSpan, problem: Problem) -> Problem {
        let source = Some(Arc::clone(self.sources.borrow().get(place.file)));
        Problem { place: Some(place.clone()), source, ..problem }
    }

    /// Adds a problem that has no place in a file.
    pub fn add_unplaced(&self, message: impl Into<String>, help: Option<String>) {
        self.push(Problem::new(message.into(), String::new(), help));
    }

    /// The same is not told twice of a place.
    fn push(&self, problem: Problem) {
        let mut list = self.list.borrow_mut();
        if list.len() >= MOST {
            self.more.set(self.more.get() + 1);
        } else if self.known.borrow_mut().insert((problem.place.clone(), problem.message.clone())) {
            self.places.borrow_mut().extend(problem.place.clone());
            list.push(problem);
        }
    }

    /// Tells whether there is a problem at exactly this place.
    pub fn has_one_at(&self, place: &SourceSpan) -> bool {
        self.places.borrow().contains(place)
    }

    /// The number of problems.
    pub fn len(&self) -> usize {
        self.list.borrow().len() + self.more.get()
    }

    /// Tells whether there is no problem.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `file:line:column` of a place.
    pub fn describe(&self, place: &SourceSpan) -> String {
        self.sources.borrow().describe(place)
    }

    /// All of them, in the order of the files.
    pub fn into_list(self) -> Vec<Problem> {
        let mut list = self.list.into_inner();
        list.sort_by_key(|p| p.place.as_ref().map_or((0, 0), |place| (place.file, place.span.start)));
        if self.more.get() > 0 {
            list.push(Problem::new(format!("there are {} more problems", self.more.get()), String::new(), None));
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_told_twice_and_too_much_is_only_counted() {
        let problems = Problems::default();
        let text = "x".repeat(MOST + 10);
        let file = problems.sources.borrow_mut().add(Source::own("f", &text));
        let at = |start: usize| SourceSpan { file, span: start..start + 1 };
        for start in 0..MOST + 10 {
            problems.add(&at(start), "a", "", None);
            problems.add(&at(0), "a", "", None);
        }
        assert!(problems.has_one_at(&at(5)) && !problems.has_one_at(&SourceSpan { file, span: 0..2 }));
        let list = problems.into_list();
        assert_eq!(list.len(), MOST + 1);
        assert_eq!(list[7].one_line(), "f:1:8: a");
        assert!(list[MOST].message().starts_with("there are "), "{}", list[MOST]);
    }

    #[test]
    fn texts_cannot_forge_lines() {
        let problems = Problems::default();
        problems.add_unplaced(format!("x\nerror: y{}", "z".repeat(3000)), Some("\u{1b}[31m\n  a".to_owned()));
        let list = problems.into_list();
        assert!(list[0].message().starts_with("x\\nerror: yzzz") && list[0].message().ends_with("z…"));
        assert_eq!(list[0].help_text(), Some("\\u{1b}[31m\n  a"));
        assert_eq!(list[0].message().chars().count(), MAX_TEXT + 1);
    }
}
