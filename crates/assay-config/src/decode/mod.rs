//! Trees into types, collecting every problem on the way.
//!
//! A value of the wrong kind is noted and stands in for a harmless one (zero, the empty list, the first variant), and decoding
//! goes on, so that the rest of the file is looked at too. Nothing decoded from a file with problems is ever used.

mod access;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};

use self::access::{AnyVariant, BlankFields, Blanks, Entries, Items, KnownFields, Variant};

use crate::names::nearest;
use crate::paths::{Environment, UserPath};
use crate::problem::Problems;
use crate::source::SourceSpan;
use crate::tree::{Body, Kind, Tree};

/// A value and the paths that were written in it.
#[derive(Clone, Debug)]
pub struct Decoded<T> {
    /// The value.
    pub value: T,
    /// Every [`UserPath`] in it, resolved, with its place.
    pub paths: Vec<(PathBuf, SourceSpan)>,
    /// True if nothing was wrong with the value. One that is not sound holds stand-ins and may only be checked further.
    pub is_sound: bool,
}

/// Decodes `tree`, whose paths are relative to `folder`. `None` when there was a problem that nothing could
/// stand in for.
pub fn decode<T: DeserializeOwned>(
    tree: &Tree,
    folder: &Path,
    environment: &Environment,
    problems: &Problems,
) -> Option<Decoded<T>> {
    let before = problems.len();
    let mut needed = HashSet::new();
    loop {
        let session = Session {
            folder,
            environment,
            problems,
            paths: RefCell::default(),
            needed: &needed,
            newly_needed: RefCell::new(None),
        };
        let result = T::deserialize(Value { shape: Shape::Tree(tree), at: tree, session: &session });
        let paths = session.paths.take();
        if let Some(field) = session.newly_needed.take() {
            // A field that a type cannot do without is not there. From now on it is noted and stood in for wherever that type
            // lacks it, so the value is read again once for each field of a type, and not for each place.
            needed.insert(field);
            continue;
        }
        return match result {
            Ok(value) => Some(Decoded { value, paths, is_sound: problems.len() == before }),
            Err(error) => {
                if problems.len() == before {
                    problems.add(&tree.place, error.0, "here", None);
                }
                None
            }
        };
    }
}

/// A field without a default: what reads its type, and its name.
type NeededField = (&'static str, &'static str);

struct Session<'a> {
    folder: &'a Path,
    environment: &'a Environment,
    problems: &'a Problems,
    paths: RefCell<Vec<(PathBuf, SourceSpan)>>,
    needed: &'a HashSet<NeededField>,
    newly_needed: RefCell<Option<NeededField>>,
}

/// A message on its way up to the value that it is about.
#[derive(Debug)]
struct Failed(String, Option<&'static str>);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}

impl serde::de::Error for Failed {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string(), None)
    }

    fn missing_field(field: &'static str) -> Self {
        Self(format!("`{field}` is missing"), Some(field))
    }
}

#[derive(Clone, Copy)]
enum Shape<'a> {
    Tree(&'a Tree),
    /// The content of the parentheses of an enum variant.
    Body(&'a Body),
    /// Stands in for something that could not be used.
    Blank,
}

#[derive(Clone, Copy)]
struct Value<'a, 's> {
    shape: Shape<'a>,
    /// The closest value that is written, for places.
    at: &'a Tree,
    session: &'s Session<'s>,
}

impl<'a, 's> Value<'a, 's> {
    fn tree(&self, tree: &'a Tree) -> Self {
        Self { shape: Shape::Tree(tree), at: tree, session: self.session }
    }

    fn blank(&self) -> Self {
        Self { shape: Shape::Blank, ..*self }
    }

    fn problem(&self, message: String, label: impl Into<String>, help: Option<String>) {
        self.session.problems.add(&self.at.place, message, label, help);
    }

    fn mismatch(&self, expected: &str) {
        if !matches!(self.shape, Shape::Blank) {
            self.problem(
                format!("expected {expected}, found {}", self.at.noun()),
                format!("expected {expected}"),
                None,
            );
        }
    }

    /// Turns a failure that has no place yet into a problem at this value.
    fn note<T>(&self, result: Result<T, Failed>) -> Result<T, Failed> {
        result.map_err(|Failed(message, _)| {
            if !message.is_empty() && !matches!(self.shape, Shape::Blank) {
                self.problem(message, "here", None);
            }
            Failed(String::new(), None)
        })
    }

    /// Notes which fields of a type that `reader` reads are not there though they must be.
    fn note_missing(&self, reader: &'static str, field: &'static str) {
        self.problem(format!("`{field}` is missing"), format!("needs `{field}`"), Some(format!("add `{field}: …`")));
        if !self.session.needed.contains(&(reader, field)) {
            self.session.newly_needed.borrow_mut().get_or_insert((reader, field));
        }
    }

    fn kind(&self) -> Option<&'a Kind> {
        match self.shape {
            Shape::Tree(tree) => Some(&tree.kind),
            _ => None,
        }
    }

    fn integer<T: TryFrom<i128> + Default>(&self, what: &str) -> T {
        match self.kind() {
            Some(Kind::Int(value)) => T::try_from(*value).unwrap_or_else(|_| {
                self.problem(format!("`{value}` is out of range"), format!("expected {what}"), None);
                T::default()
            }),
            _ => {
                self.mismatch(what);
                T::default()
            }
        }
    }

    fn text(&self) -> String {
        match self.kind() {
            Some(Kind::Str(text)) => text.clone(),
            _ => {
                let help = match self.kind() {
                    Some(Kind::Named { name: Some(name), body: Body::None }) => {
                        Some(format!("write it in quotes: \"{name}\""))
                    }
                    _ => None,
                };
                if !matches!(self.shape, Shape::Blank) {
                    self.problem(format!("expected a string, found {}", self.at.noun()), "expected a string", help);
                }
                String::new()
            }
        }
    }

    fn fields(&self) -> Option<&'a [crate::tree::Field]> {
        let body = match self.shape {
            Shape::Tree(Tree { kind: Kind::Named { body, .. }, .. }) => body,
            Shape::Body(body) => body,
            _ => return None,
        };
        match body {
            Body::Fields(fields) => Some(fields),
            Body::Tuple(items) if items.is_empty() => Some(&[]),
            Body::None if matches!(self.shape, Shape::Body(_)) => Some(&[]),
            _ => None,
        }
    }

    fn items(&self) -> Option<&'a [Tree]> {
        match self.shape {
            Shape::Tree(Tree {
                kind: Kind::List(items) | Kind::Named { name: None, body: Body::Tuple(items) },
                ..
            })
            | Shape::Body(Body::Tuple(items)) => Some(items),
            _ => None,
        }
    }

    fn visit_fields<'de, V: Visitor<'de>>(
        self,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failed> {
        let Some(fields) = self.fields() else {
            self.mismatch("fields in parentheses, `(name: value, …)`");
            return visitor.visit_map(BlankFields { value: self.blank(), names, next: 0 });
        };
        let known = self.known_fields(fields, names);
        let given: HashSet<&str> = known.iter().map(|(name, _)| *name).collect();
        let reader = std::any::type_name::<V>();
        let needed = |name: &&&'static str| !given.contains(**name) && self.session.needed.contains(&(reader, **name));
        let missing: Vec<&'static str> = names.iter().filter(needed).copied().collect();
        for name in &missing {
            self.note_missing(reader, name);
        }
        let known: Vec<_> = known.into_iter().chain(missing.into_iter().map(|name| (name, None))).collect();
        match visitor.visit_map(KnownFields { value: self, fields: known.into_iter(), next: None }) {
            Err(Failed(_, Some(field))) => {
                self.note_missing(reader, field);
                Err(Failed(String::new(), None))
            }
            result => self.note(result),
        }
    }

    /// The fields that a type has; what is unknown or given twice is noted.
    fn known_fields(
        &self,
        fields: &'a [crate::tree::Field],
        names: &'static [&'static str],
    ) -> Vec<(&'static str, Option<&'a Tree>)> {
        let mut known = Vec::new();
        let mut first: HashMap<&str, &SourceSpan> = HashMap::new();
        for field in fields {
            let Some(name) = names.iter().find(|n| **n == field.name) else {
                let help = match nearest(&field.name, names.iter().copied()) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None if names.is_empty() => "there are no fields here".to_owned(),
                    None => format!("the fields here are: {}", names.join(", ")),
                };
                let message = format!("unknown field `{}`", field.name);
                self.session.problems.add(&field.at, message, "unknown field", Some(help));
                continue;
            };
            if let Some(first) = first.get(name) {
                let message = format!("`{name}` is given twice");
                self.session.problems.add_with(&field.at, message, "again here", (first, "first here"));
                continue;
            }
            first.insert(name, &field.at);
            known.push((*name, Some(&field.value)));
        }
        known
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty, $what:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
            let value = self.integer::<$type>($what);
            self.note(visitor.$visit(value))
        }
    )*};
}

impl<'de> Deserializer<'de> for Value<'_, '_> {
    type Error = Failed;

    integers! {
        deserialize_i8 visit_i8 i8, "an integer from -128 to 127";
        deserialize_i16 visit_i16 i16, "an integer from -32768 to 32767";
        deserialize_i32 visit_i32 i32, "an integer of 32 bits";
        deserialize_i64 visit_i64 i64, "an integer of 64 bits";
        deserialize_u8 visit_u8 u8, "an integer from 0 to 255";
        deserialize_u16 visit_u16 u16, "an integer from 0 to 65535";
        deserialize_u32 visit_u32 u32, "an integer from 0 to 4294967295";
        deserialize_u64 visit_u64 u64, "an integer of at least 0";
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        let result = match self.kind() {
            Some(Kind::Bool(flag)) => visitor.visit_bool(*flag),
            Some(Kind::Int(value)) => match u64::try_from(*value) {
                Ok(value) => visitor.visit_u64(value),
                Err(_) => visitor.visit_i64(self.integer("an integer of 64 bits")),
            },
            Some(Kind::Float(value)) => visitor.visit_f64(*value),
            Some(Kind::Str(text)) => visitor.visit_str(text),
            Some(Kind::List(items)) => visitor.visit_seq(Items { value: self, items: items.iter() }),
            Some(Kind::Map(_)) => return self.deserialize_map(visitor),
            Some(Kind::Named { name: Some(name), body }) => {
                // The visitor asks for the name itself; it lives as long as the tree.
                visitor.visit_enum(AnyVariant { value: self, name, body })
            }
            Some(Kind::Named { name: None, .. }) | None => visitor.visit_unit(),
        };
        self.note(result)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        let flag = match self.kind() {
            Some(Kind::Bool(flag)) => *flag,
            _ => {
                self.mismatch("`true` or `false`");
                false
            }
        };
        self.note(visitor.visit_bool(flag))
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        let number = match self.kind() {
            Some(Kind::Float(number)) if number.is_finite() => *number,
            Some(Kind::Int(number)) => *number as f64,
            _ => {
                self.mismatch("a finite number");
                0.0
            }
        };
        self.note(visitor.visit_f64(number))
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        let text = self.text();
        self.note(visitor.visit_str(&text))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        self.deserialize_str(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        match self.kind() {
            None if matches!(self.shape, Shape::Blank) => visitor.visit_none(),
            Some(Kind::Named { name: Some(name), body: Body::None }) if name == "None" => visitor.visit_none(),
            Some(Kind::Named { name: Some(name), body: Body::Tuple(items) }) if name == "Some" && items.len() == 1 => {
                visitor.visit_some(self.tree(&items[0]))
            }
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Failed> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Failed> {
        if name != UserPath::MARK {
            return visitor.visit_newtype_struct(self);
        }
        let before = self.session.problems.len();
        let text = self.text();
        if self.session.problems.len() > before || matches!(self.shape, Shape::Blank) {
            return visitor.visit_newtype_struct(String::new().into_deserializer());
        }
        let resolved = self.session.environment.resolve(&text, self.session.folder).unwrap_or_else(|message| {
            self.problem(message, "in this path", None);
            PathBuf::new()
        });
        self.session.paths.borrow_mut().push((resolved.clone(), self.at.place.clone()));
        visitor.visit_newtype_struct(resolved.to_string_lossy().into_owned().into_deserializer())
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        let items = self.items().unwrap_or_else(|| {
            self.mismatch("a list, `[…]`");
            &[]
        });
        self.note(visitor.visit_seq(Items { value: self, items: items.iter() }))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Failed> {
        match self.items() {
            Some(items) if items.len() == len => visitor.visit_seq(Items { value: self, items: items.iter() }),
            _ => {
                self.mismatch(&format!("{len} values, `(…)` or `[…]`"));
                visitor.visit_seq(Blanks { value: self.blank(), left: len })
            }
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Failed> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        let entries = match self.kind() {
            Some(Kind::Map(entries)) => entries.as_slice(),
            _ => {
                self.mismatch("a map, `{ … }`");
                &[]
            }
        };
        self.note(visitor.visit_map(Entries { value: self, entries: entries.iter(), next: None }))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failed> {
        if let Some(Kind::Named { name: Some(written), .. }) = self.kind()
            && written != name
        {
            self.problem(
                format!("expected `{name}(…)`, found `{written}`"),
                format!("`{name}(…)` or just `(…)`"),
                None,
            );
            return visitor.visit_map(BlankFields { value: self.blank(), names: fields, next: 0 });
        }
        self.visit_fields(fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failed> {
        let (name, body) = match self.kind() {
            Some(Kind::Named { name: Some(name), body }) => (name, body),
            _ => {
                self.mismatch(&format!("one of {}", variants.join(", ")));
                return visitor.visit_enum(Variant { value: self.blank(), name: variants[0], body: None });
            }
        };
        match variants.iter().find(|v| *v == name) {
            Some(name) => self.note(visitor.visit_enum(Variant { value: self, name, body: Some(body) })),
            None => {
                let help = match nearest(name, variants.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("valid here: {}", variants.join(", ")),
                };
                self.problem(format!("unknown name `{name}`"), "unknown name", Some(help));
                visitor.visit_enum(Variant { value: self.blank(), name: variants[0], body: None })
            }
        }
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        visitor.visit_unit()
    }
}
