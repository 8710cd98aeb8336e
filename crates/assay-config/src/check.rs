//! Rules that values must keep, told with the place where a value is written.

use crate::document::Entry;
use crate::problem::Problems;
use crate::source::SourceSpan;

/// Checks values of one entry and knows where they are written.
pub struct Checker<'a> {
    entry: &'a Entry,
    path: Vec<String>,
    problems: &'a Problems,
    is_sound: bool,
}

impl<'a> Checker<'a> {
    /// The checker of a whole entry; `is_sound` says whether it holds what was written, and no stand-ins.
    pub fn new(entry: &'a Entry, problems: &'a Problems, is_sound: bool) -> Self {
        Self { entry, path: Vec::new(), problems, is_sound }
    }

    /// The checker of a part, such as `image.size`.
    pub fn field(&self, path: &str) -> Self {
        let mut all = self.path.clone();
        all.extend(path.split('.').map(str::to_owned));
        Self { entry: self.entry, path: all, problems: self.problems, is_sound: self.is_sound }
    }

    /// Notes that parts do not go together; only where all of them are what was written.
    pub fn problem(&self, message: &str, label: &str) {
        if self.is_sound {
            self.problems.add(self.place(), message, label, None);
        }
    }

    fn place(&self) -> &SourceSpan {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        self.entry.tree.closest(&path)
    }

    /// Notes that a field which others make necessary is not written; what is wrong already is not said twice.
    pub fn missing(&self, field: &str) {
        if !self.problems.has_one_at(self.place()) {
            let help = format!("add `{field}: …`");
            self.problems.add(self.place(), format!("`{field}` is missing"), format!("needs `{field}`"), Some(help));
        }
    }

    /// Notes that this part breaks a rule, unless `holds`; what is wrong already is not said twice.
    pub fn expect(&self, holds: bool, rule: &str) {
        if !holds && !self.problems.has_one_at(self.place()) {
            let name = self.path.last().map_or("this", String::as_str);
            self.problems.add(self.place(), format!("`{name}` {rule}"), rule, None);
        }
    }
}
