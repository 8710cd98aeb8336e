//! A file with what it includes, and with what the command line overrides.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::de::DeserializeOwned;

use crate::decode::{Decoded, decode};
use crate::files::read_text;
use crate::names::nearest;
use crate::paths::Environment;
use crate::problem::Problems;
use crate::renamed::{Renamed, Translation, notes};
use crate::source::{Source, SourceSpan};
use crate::tree::{Body, Field, Kind, Tree};

/// One `path=value` of the command line.
#[derive(Clone, Debug)]
pub struct Override(pub String);

/// One named value of a section.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Place where the name of the entry is written.
    pub name_at: SourceSpan,
    /// The value.
    pub tree: Tree,
    /// Folder of the file it is in.
    pub folder: PathBuf,
    /// True if the entry comes from an included file.
    pub included: bool,
}

/// A file joined with its includes and overrides: sections of named entries, and the rest of its fields.
#[derive(Debug)]
pub struct Document {
    /// The file.
    pub path: PathBuf,
    /// Problems found so far.
    pub problems: Problems,
    environment: Environment,
    sections: IndexMap<String, IndexMap<String, Entry>>,
    rest: Tree,
    folder: PathBuf,
    /// The folder as the file system knows it: whatever lies in it may be shown.
    home: Option<PathBuf>,
    renamed: Vec<Renamed>,
    uses: Vec<(String, Renamed)>,
}

/// Files that include each other in a chain.
const MAX_DEPTH: usize = 64;

impl Document {
    /// Loads `path`. Fields named in `sections` are maps of entries, which included files add to; `include` lists files; all
    /// other fields belong to this file alone. What is wrong is in [`problems`](Self::problems).
    pub fn load(path: &Path, sections: &[&str], overrides: &[Override], environment: Environment) -> Self {
        Self::load_translated(path, sections, overrides, environment, &[])
    }

    /// Loads a file as [`load`](Self::load) does; words that were renamed are read under their old names too, in files,
    /// in the values of overrides and in their paths. [`notes`](Self::notes) tells where.
    pub fn load_translated(
        path: &Path,
        sections: &[&str],
        overrides: &[Override],
        environment: Environment,
        renamed: &[Renamed],
    ) -> Self {
        let problems = Problems::default();
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let nowhere = Tree {
            place: SourceSpan { file: 0, span: 0..0 },
            kind: Kind::Named { name: None, body: Body::Fields(Vec::new()) },
        };
        let sections = sections.iter().map(|s| ((*s).to_owned(), IndexMap::new())).collect();
        let home = fs::canonicalize(path).ok().and_then(|path| Some(path.parent()?.to_owned()));
        let mut document = Self {
            path: path.to_owned(),
            problems,
            environment,
            sections,
            rest: nowhere,
            folder,
            home,
            renamed: renamed.to_vec(),
            uses: Vec::new(),
        };
        if let Err(error) = document.add_file(path, &mut Vec::new(), &mut HashSet::new()) {
            document.problems.add_unplaced(format!("{} cannot be read: {error}", path.display()), None);
        }
        for one in overrides {
            document.apply(one);
        }
        document
    }

    fn add_file(&mut self, path: &Path, above: &mut Vec<PathBuf>, done: &mut HashSet<PathBuf>) -> Result<(), String> {
        let text = read_text(path)?;
        let identity = fs::canonicalize(path).map_err(|e| e.to_string())?;
        let is_main = above.is_empty();
        let is_own = is_main || self.home.as_ref().is_some_and(|home| identity.starts_with(home));
        let source = Source::new(&path.display().to_string(), &text, is_own);
        let file = self.problems.sources.borrow_mut().add(source);
        done.insert(identity.clone());
        let Some(tree) = Tree::read(file, &self.problems) else { return Ok(()) };
        let Tree { place, kind: Kind::Named { body, .. } } = tree else {
            self.problems.add(&tree.place, "expected an experiment", "expected `( models: { … }, … )`", None);
            return Ok(());
        };
        let fields = match body {
            Body::Fields(fields) => fields,
            Body::Tuple(items) if items.is_empty() => Vec::new(),
            _ => {
                self.problems.add(&place, "expected an experiment", "expected `( models: { … }, … )`", None);
                return Ok(());
            }
        };
        above.push(identity);
        let mut rest = Vec::new();
        for field in fields {
            if field.name == "include" {
                self.include(&field.value, path, above, done);
            } else if self.sections.contains_key(&field.name) {
                self.add_section(field, path, !is_main);
            } else if is_main {
                rest.push(field);
            } else {
                let names: Vec<_> = self.sections.keys().map(String::as_str).collect();
                self.problems.add(
                    &field.at,
                    format!("`{}` has no meaning in an included file", field.name),
                    "not here",
                    Some(format!("an included file may have: include, {}", names.join(", "))),
                );
            }
        }
        above.pop();
        if is_main {
            self.rest = Tree { place, kind: Kind::Named { name: None, body: Body::Fields(rest) } };
        }
        Ok(())
    }

    fn include(&mut self, list: &Tree, from: &Path, above: &mut Vec<PathBuf>, done: &mut HashSet<PathBuf>) {
        let Kind::List(items) = &list.kind else {
            self.problems.add(&list.place, "`include` takes a list of files", "expected `[\"file.ron\", …]`", None);
            return;
        };
        for item in items {
            let Some(text) = item.as_str() else {
                self.problems.add(
                    &item.place,
                    format!("expected a file name, found {}", item.noun()),
                    "expected a string",
                    None,
                );
                continue;
            };
            let folder = from.parent().unwrap_or(Path::new(""));
            let path = match self.environment.resolve(text, folder) {
                Ok(path) => path,
                Err(message) => {
                    self.problems.add(&item.place, message, "in this path", None);
                    continue;
                }
            };
            match self.find_included(&path, above, done) {
                Ok(true) => {}
                Ok(false) => continue,
                Err((message, label)) => {
                    self.problems.add(&item.place, message, label, None);
                    continue;
                }
            }
            if let Err(error) = self.add_file(&path, above, done) {
                self.problems.add(
                    &item.place,
                    format!("{} cannot be included: {error}", path.display()),
                    "included here",
                    None,
                );
            }
        }
    }

    /// Finds an included file, unless it was read before. Links count by where they lead.
    fn find_included(
        &self,
        path: &Path,
        above: &[PathBuf],
        done: &HashSet<PathBuf>,
    ) -> Result<bool, (String, &'static str)> {
        let refused = |why: String| Err((format!("{} cannot be included: {why}", path.display()), "included here"));
        let identity = match fs::canonicalize(path) {
            Ok(identity) => identity,
            Err(error) => return refused(error.to_string()),
        };
        if let Some(start) = above.iter().position(|p| *p == identity) {
            let name = |p: &PathBuf| p.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let names: Vec<_> = above[start..].iter().chain([&identity]).map(name).collect();
            return Err((format!("these files include each other: {}", names.join(" → ")), "closes the cycle"));
        }
        if identity.extension().is_none_or(|extension| extension != "ron") {
            let leads = if identity.file_name() == path.file_name() {
                String::new()
            } else {
                format!(", and it leads to {}", identity.display())
            };
            return refused(format!("the name of an included file ends in `.ron`{leads}"));
        }
        if above.len() >= MAX_DEPTH {
            return refused(format!("more than {MAX_DEPTH} files include each other in a chain"));
        }
        Ok(!done.contains(&identity))
    }

    fn add_section(&mut self, field: Field, path: &Path, included: bool) {
        let Kind::Map(entries) = field.value.kind else {
            let message = format!("`{}` is a map of names, found {}", field.name, field.value.noun());
            self.problems.add(&field.value.place, message, "expected `{ \"name\": … }`", None);
            return;
        };
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let section = self.sections.get_mut(&field.name).expect("only known sections get here");
        let mut translation = Translation::of(&self.renamed, &field.name);
        for (key, mut tree) in entries {
            let Some(name) = key.as_str() else {
                self.problems.add(
                    &key.place,
                    format!("expected a name, found {}", key.noun()),
                    "expected a string",
                    None,
                );
                continue;
            };
            if name.is_empty() {
                self.problems.add(&key.place, "this name is empty", "needs a name", None);
                continue;
            }
            if let Some(first) = section.get(name) {
                self.problems.add_with(
                    &key.place,
                    format!("there are two {} called {name:?}", field.name),
                    "again here",
                    (&first.name_at, "first here"),
                );
                continue;
            }
            translation.tree(&mut tree);
            let entry = Entry { name_at: key.place.clone(), tree, folder: folder.clone(), included };
            section.insert(name.to_owned(), entry);
        }
        let uses = translation.uses;
        self.note_uses(uses);
    }

    fn note_uses(&mut self, uses: Vec<(SourceSpan, Renamed)>) {
        let described = uses.into_iter().map(|(place, renamed)| (self.problems.describe(&place), renamed));
        self.uses.extend(described);
    }

    /// Notes for a person on a file with which nothing is wrong: each use of a word that was renamed.
    pub fn notes(&self) -> Vec<String> {
        notes(&self.uses)
    }

    fn apply(&mut self, one: &Override) {
        let Override(text) = one;
        let Some((path, value)) = text.split_once('=') else {
            self.problems.add_unplaced(
                format!("--set {text} has no `=`"),
                Some("write --set protocols.NAME.field=value".to_owned()),
            );
            return;
        };
        // A source of its own, named after the whole override, so that problems with the value show where it came from.
        let file = self.problems.sources.borrow_mut().add(Source::own(&format!("--set {text}"), value));
        let Some(mut tree) = Tree::read(file, &self.problems) else { return };
        let mut parts: Vec<String> = split_path(path);
        let mut translation = Translation::of(&self.renamed, &parts[0]);
        for part in parts.iter_mut().skip(2) {
            *part = translation.word(part, &tree.place).unwrap_or_else(|| std::mem::take(part));
        }
        translation.tree(&mut tree);
        let uses = translation.uses;
        self.note_uses(uses);
        if let Err((message, help)) = self.set(&parts, tree) {
            self.problems.add_unplaced(format!("--set {text}: {message}"), help);
        }
    }

    fn set(&mut self, parts: &[String], value: Tree) -> Result<(), (String, Option<String>)> {
        let (first, rest) = parts.split_first().ok_or(("the path is empty".to_owned(), None))?;
        let Some(section) = self.sections.get_mut(first) else {
            return set_in(&mut self.rest, parts, value);
        };
        let (name, rest) = rest.split_first().ok_or_else(|| (format!("`{first}` needs the name of an entry"), None))?;
        let names: Vec<String> = section.keys().cloned().collect();
        let Some(entry) = section.get_mut(name) else {
            let help =
                nearest(name, names.iter().map(String::as_str)).map(|near| format!("did you mean {first}.{near}?"));
            return Err((
                format!("there is nothing called {name:?} in {first}"),
                help.or_else(|| Some(format!("there are: {}", names.join(", ")))),
            ));
        };
        if rest.is_empty() {
            entry.tree = value;
            return Ok(());
        }
        set_in(&mut entry.tree, rest, value)
    }

    /// The entries of a section, in the order in which they are written.
    pub fn section(&self, name: &str) -> &IndexMap<String, Entry> {
        &self.sections[name]
    }

    /// Decodes an entry, see [`decode`].
    pub fn decode<T: DeserializeOwned>(&self, entry: &Entry) -> Option<Decoded<T>> {
        decode(&entry.tree, &entry.folder, &self.environment, &self.problems)
    }

    /// Decodes the fields that are no sections.
    pub fn decode_rest<T: DeserializeOwned>(&self) -> Option<Decoded<T>> {
        decode(&self.rest, &self.folder, &self.environment, &self.problems)
    }

    /// SourceSpan of a path such as `protocols.5w1s.episodes`, or of the closest part of it that is written.
    pub fn place(&self, path: &str) -> Option<SourceSpan> {
        let parts = split_path(path);
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            [section, name, rest @ ..] if self.sections.contains_key(*section) => {
                Some(self.sections[*section].get(*name)?.tree.closest(rest).clone())
            }
            parts => Some(self.rest.closest(parts).clone()),
        }
    }
}

/// Splits at dots, except in quotes: `tasks."a.b".image`.
fn split_path(path: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for c in path.chars() {
        match c {
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            c => parts.last_mut().expect("never empty").push(c),
        }
    }
    parts
}

fn set_in(tree: &mut Tree, parts: &[String], value: Tree) -> Result<(), (String, Option<String>)> {
    let Some((first, rest)) = parts.split_first() else {
        *tree = value;
        return Ok(());
    };
    let noun = tree.noun();
    let place = value.place.clone();
    match &mut tree.kind {
        Kind::Named { body, .. } => {
            if matches!(body, Body::None) || matches!(body, Body::Tuple(items) if items.is_empty()) {
                *body = Body::Fields(Vec::new());
            }
            match body {
                Body::Fields(fields) => match fields.iter_mut().find(|f| f.name == *first) {
                    Some(field) => set_in(&mut field.value, rest, value),
                    None if rest.is_empty() => {
                        fields.push(Field { name: first.clone(), at: place, value });
                        Ok(())
                    }
                    None => Err((
                        format!("`{first}` is not written in the file, so nothing inside it can be set"),
                        Some(format!("set `{first}` as a whole")),
                    )),
                },
                Body::Tuple(items) if items.len() == 1 && first.parse::<usize>().is_err() => {
                    set_in(&mut items[0], parts, value)
                }
                Body::Tuple(items) => set_at(items, first, rest, value),
                Body::None => Ok(()),
            }
        }
        Kind::Map(entries) => match entries.iter_mut().find(|(k, _)| k.as_str() == Some(first)) {
            Some((_, inner)) => set_in(inner, rest, value),
            None => Err((format!("there is no key {first:?}"), None)),
        },
        Kind::List(items) => set_at(items, first, rest, value),
        _ => Err((format!("{noun} has nothing called `{first}`"), None)),
    }
}

fn set_at(items: &mut [Tree], index: &str, rest: &[String], value: Tree) -> Result<(), (String, Option<String>)> {
    let len = items.len();
    match index.parse::<usize>().ok().and_then(|i| items.get_mut(i)) {
        Some(item) => set_in(item, rest, value),
        None => Err((format!("`{index}` is no index of a list of {len}"), None)),
    }
}
