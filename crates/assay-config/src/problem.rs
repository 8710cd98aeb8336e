//! What is wrong with a file, and where.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};

/// A range of bytes in one of the [`Sources`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SourceSpan {
    pub(crate) file: usize,
    pub(crate) span: Range<usize>,
}

/// The texts that places point into.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<Arc<NamedSource<String>>>,
}

impl Sources {
    pub(crate) fn add(&mut self, name: &str, text: &str) -> usize {
        self.files.push(Arc::new(NamedSource::new(name, text.to_owned())));
        self.files.len() - 1
    }

    pub(crate) fn text(&self, file: usize) -> &str {
        self.files[file].inner()
    }

    /// `file:line:column` of the beginning of a place, counted from one.
    pub fn describe(&self, place: &SourceSpan) -> String {
        let before = &self.text(place.file)[..place.span.start];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        format!("{}:{line}:{column}", self.files[place.file].name())
    }
}

/// One thing that is wrong, with its place, a label at the place and a way out.
#[derive(Clone, Debug)]
pub struct Problem {
    message: String,
    label: String,
    help: Option<String>,
    place: Option<SourceSpan>,
    source: Option<Arc<NamedSource<String>>>,
    also: Option<(Range<usize>, String)>,
}

impl Problem {
    /// The message without its place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What the help line says.
    pub fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_deref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.place.as_ref()?;
        let main = LabeledSpan::new_primary_with_span(Some(self.label.clone()), place.span.clone());
        let also = self.also.iter().map(|(span, label)| LabeledSpan::new_with_span(Some(label.clone()), span.clone()));
        Some(Box::new(std::iter::once(main).chain(also)))
    }
}

/// Collects problems; a file is good when there are none at the end.
#[derive(Debug, Default)]
pub struct Problems {
    pub(crate) sources: RefCell<Sources>,
    list: RefCell<Vec<Problem>>,
}

impl Problems {
    /// Adds a problem at `place`: what is wrong, what to write beside the place, what to do.
    pub fn add(&self, place: &SourceSpan, message: impl Into<String>, label: impl Into<String>, help: Option<String>) {
        self.push(Problem {
            message: message.into(),
            label: label.into(),
            help,
            place: Some(place.clone()),
            source: Some(Arc::clone(&self.sources.borrow().files[place.file])),
            also: None,
        });
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
        if second.file == place.file {
            let mut problem = self.problem(place, message.into(), label.into());
            problem.also = Some((second.span.clone(), text.to_owned()));
            self.push(problem);
        } else {
            let at = self.sources.borrow().describe(second);
            self.add(place, message, label, Some(format!("{text}: {at}")));
        }
    }

    fn problem(&self, place: &SourceSpan, message: String, label: String) -> Problem {
        let source = Some(Arc::clone(&self.sources.borrow().files[place.file]));
        Problem { message, label, help: None, place: Some(place.clone()), source, also: None }
    }

    /// Adds a problem that has no place in a file.
    pub fn add_unplaced(&self, message: impl Into<String>, help: Option<String>) {
        self.push(Problem {
            message: message.into(),
            label: String::new(),
            help,
            place: None,
            source: None,
            also: None,
        });
    }

    fn push(&self, problem: Problem) {
        let mut list = self.list.borrow_mut();
        let known = list.iter().any(|p| p.place == problem.place && p.message == problem.message);
        if !known {
            list.push(problem);
        }
    }

    /// Whether something is wrong at exactly this place.
    pub fn has_one_at(&self, place: &SourceSpan) -> bool {
        self.list.borrow().iter().any(|p| p.place.as_ref() == Some(place))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.borrow().len()
    }

    /// Whether there is none.
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
        list
    }
}
