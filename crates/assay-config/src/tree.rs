//! RON values with their places.
//!
//! `ron` itself is asked first whether the text is RON at all; this reader then only has to find where things are. Rust-like
//! byte strings and number suffixes (`1u8`) are left out: no experiment needs them.

use std::ops::Range;
use std::sync::Arc;

use serde::de::IgnoredAny;

use crate::problem::Problems;
use crate::source::SourceSpan;

/// A value and where it is written.
#[derive(Clone, Debug)]
pub struct Tree {
    /// Place of the value.
    pub place: SourceSpan,
    /// The value itself.
    pub kind: Kind,
}

/// Kind of a value.
#[derive(Clone, Debug)]
pub enum Kind {
    /// `true`, `false`
    Bool(bool),
    /// `42`, `-1`, `0xff`
    Int(i128),
    /// `0.5`, `1e-3`, `inf`
    Float(f64),
    /// `"text"`, `r"text"`, `'c'`
    Str(String),
    /// `[a, b]`
    List(Vec<Tree>),
    /// `{ key: value }`
    Map(Vec<(Tree, Tree)>),
    /// `Name`, `Name(a, b)`, `Name(field: a)`; without a name: `()`, `(a, b)`, `(field: a)`
    Named {
        /// The name, if there is one.
        name: Option<String>,
        /// Content of the parentheses.
        body: Body,
    },
}

/// Content that follows a name.
#[derive(Clone, Debug)]
pub enum Body {
    /// Nothing.
    None,
    /// `(a, b)`
    Tuple(Vec<Tree>),
    /// `(field: a)`
    Fields(Vec<Field>),
}

/// One `field: value`.
#[derive(Clone, Debug)]
pub struct Field {
    /// Name of the field.
    pub name: String,
    /// Place of the name.
    pub at: SourceSpan,
    /// Value of the field.
    pub value: Tree,
}

impl Tree {
    /// Reads the whole of source `file`; `None` when it is no RON, which is then among the problems.
    pub(crate) fn read(file: usize, problems: &Problems) -> Option<Self> {
        let source = Arc::clone(problems.sources.borrow().get(file));
        let text = source.text();
        let options = ron::Options::default().with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME);
        if let Err(error) = options.from_str::<IgnoredAny>(text) {
            let span = offset(text, error.span.start)..offset(text, error.span.end);
            let place = SourceSpan { file, span: widen(text, span) };
            if source.is_own() {
                problems.add(&place, "this is not valid RON", error.code.to_string(), None);
            } else {
                let help = "its text is not shown, since it is not in the folder of the experiment".to_owned();
                problems.add_secret(&place, "this is not valid RON", Some(help));
            }
            return None;
        }
        let mut reader = Reader { text, at: 0, file };
        match reader.document() {
            Ok(tree) => Some(tree),
            Err(message) => {
                let place = SourceSpan { file, span: widen(text, reader.at..reader.at) };
                problems.add(&place, "this RON cannot be used here", message, None);
                None
            }
        }
    }

    /// The value below `path`: a field, a key of a map, an index of a list.
    pub fn get(&self, name: &str) -> Option<&Tree> {
        match &self.kind {
            Kind::Named { body: Body::Fields(fields), .. } if fields.iter().any(|f| f.name == name) => {
                fields.iter().find(|f| f.name == name).map(|f| &f.value)
            }
            // The name of a variant is a part of a path too.
            Kind::Named { name: Some(variant), .. } if variant == name => Some(self),
            Kind::Named { body: Body::Tuple(items), .. } => match items.as_slice() {
                [only] if name.parse::<usize>().is_err() => only.get(name),
                items => items.get(name.parse::<usize>().ok()?),
            },
            Kind::Map(entries) => entries.iter().find(|(k, _)| k.as_str() == Some(name)).map(|(_, v)| v),
            Kind::List(items) => items.get(name.parse::<usize>().ok()?),
            _ => None,
        }
    }

    /// SourceSpan of the value below `path`, or of the closest part of it that is written.
    pub fn closest(&self, path: &[&str]) -> &SourceSpan {
        match path.split_first().and_then(|(first, rest)| Some((self.get(first)?, rest))) {
            Some((child, rest)) => child.closest(rest),
            None => &self.place,
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::Str(text) => Some(text),
            _ => None,
        }
    }

    /// A noun for the kind of the value, for messages.
    pub(crate) fn noun(&self) -> String {
        match &self.kind {
            Kind::Bool(flag) => format!("`{flag}`"),
            Kind::Int(number) => format!("the integer `{number}`"),
            Kind::Float(number) => format!("the number `{number}`"),
            Kind::Str(text) => format!("the string {text:?}"),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a map".to_owned(),
            Kind::Named { name: Some(name), .. } => format!("`{name}`"),
            Kind::Named { name: None, .. } => "a value in parentheses".to_owned(),
        }
    }
}

/// Byte offset of a line and column as `ron` counts them.
fn offset(text: &str, position: ron::error::Position) -> usize {
    let line_start: usize = text.split_inclusive('\n').take(position.line.saturating_sub(1)).map(str::len).sum();
    let rest = &text[line_start..];
    line_start + rest.char_indices().nth(position.col.saturating_sub(1)).map_or(rest.len(), |(i, _)| i)
}

/// At least one character, inside the text, so that there is something to point at.
fn widen(text: &str, span: Range<usize>) -> Range<usize> {
    let start = span.start.min(text.len());
    let next = text[start..].chars().next().map_or(0, char::len_utf8);
    start..span.end.clamp(start, text.len()).max(start + next)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    file: usize,
}

type Reading<T> = Result<T, String>;

impl<'a> Reader<'a> {
    fn document(&mut self) -> Reading<Tree> {
        self.skip_space();
        while self.rest().starts_with("#!") {
            self.at = self.text[self.at..].find(']').map_or(self.text.len(), |i| self.at + i + 1);
            if self.rest().starts_with(')') || self.rest().starts_with(']') {
                self.at += 1;
            }
            self.skip_space();
        }
        self.value()
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip_space(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if trimmed.starts_with("//") {
                self.at += trimmed.find('\n').unwrap_or(trimmed.len());
            } else if trimmed.starts_with("/*") {
                self.skip_block_comment();
            } else {
                return;
            }
        }
    }

    fn skip_block_comment(&mut self) {
        let mut depth = 0;
        while !self.rest().is_empty() {
            if self.rest().starts_with("/*") {
                depth += 1;
                self.at += 2;
            } else if self.rest().starts_with("*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return;
                }
            } else {
                self.at += self.peek().map_or(0, char::len_utf8);
            }
        }
    }

    fn eat(&mut self, c: char) -> bool {
        self.skip_space();
        let found = self.peek() == Some(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    fn expect(&mut self, c: char) -> Reading<()> {
        if self.eat(c) { Ok(()) } else { Err(format!("expected `{c}`")) }
    }

    fn place(&self, start: usize) -> SourceSpan {
        SourceSpan { file: self.file, span: start..self.at }
    }

    fn value(&mut self) -> Reading<Tree> {
        self.skip_space();
        let start = self.at;
        let kind = match self.peek().ok_or("the file ends here")? {
            '[' => self.list()?,
            '{' => self.map()?,
            '(' => Kind::Named { name: None, body: self.body()? },
            '"' => Kind::Str(self.string()?),
            '\'' => Kind::Str(self.character()?),
            'r' if self.rest().starts_with("r\"")
                || self.rest().starts_with("r#\"")
                || self.rest().starts_with("r##") =>
            {
                Kind::Str(self.raw_string()?)
            }
            c if c.is_alphabetic() || c == '_' => self.named()?,
            _ => self.number()?,
        };
        Ok(Tree { place: self.place(start), kind })
    }

    fn list(&mut self) -> Reading<Kind> {
        self.expect('[')?;
        let mut items = Vec::new();
        while !self.eat(']') {
            items.push(self.value()?);
            if !self.eat(',') {
                self.expect(']')?;
                break;
            }
        }
        Ok(Kind::List(items))
    }

    fn map(&mut self) -> Reading<Kind> {
        self.expect('{')?;
        let mut entries = Vec::new();
        while !self.eat('}') {
            let key = self.value()?;
            self.expect(':')?;
            entries.push((key, self.value()?));
            if !self.eat(',') {
                self.expect('}')?;
                break;
            }
        }
        Ok(Kind::Map(entries))
    }

    fn identifier(&mut self) -> &'a str {
        let rest = self.rest();
        let rest = rest.strip_prefix("r#").map_or(rest, |raw| {
            self.at += 2;
            raw
        });
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn named(&mut self) -> Reading<Kind> {
        let name = self.identifier();
        Ok(match name {
            "true" => Kind::Bool(true),
            "false" => Kind::Bool(false),
            "inf" => Kind::Float(f64::INFINITY),
            "NaN" => Kind::Float(f64::NAN),
            "b" if self.peek() == Some('"') || self.peek() == Some('\'') => {
                return Err("byte strings mean nothing here".to_owned());
            }
            name => {
                let end = self.at;
                self.skip_space();
                let body = if self.peek() == Some('(') { self.body()? } else { Body::None };
                if matches!(body, Body::None) {
                    self.at = end;
                }
                Kind::Named { name: Some(name.to_owned()), body }
            }
        })
    }

    fn body(&mut self) -> Reading<Body> {
        self.expect('(')?;
        let (mut fields, mut items) = (Vec::new(), Vec::new());
        while !self.eat(')') {
            match self.field_name() {
                Some((name, at)) => fields.push(Field { name, at, value: self.value()? }),
                None => items.push(self.value()?),
            }
            if !self.eat(',') {
                self.expect(')')?;
                break;
            }
        }
        match (fields.is_empty(), items.is_empty()) {
            (false, false) => Err("named and unnamed values are mixed".to_owned()),
            (false, true) => Ok(Body::Fields(fields)),
            _ => Ok(Body::Tuple(items)),
        }
    }

    /// Reads `name:` if that is what follows, else nothing.
    fn field_name(&mut self) -> Option<(String, SourceSpan)> {
        self.skip_space();
        let start = self.at;
        if self.peek().is_some_and(|c| c.is_alphabetic() || c == '_') {
            let name = self.identifier().to_owned();
            let place = self.place(start);
            if self.eat(':') {
                return Some((name, place));
            }
        }
        self.at = start;
        None
    }

    fn number(&mut self) -> Reading<Kind> {
        let rest = self.rest();
        let end = rest.char_indices().find(|(i, c)| {
            let exponent_sign = matches!(c, '+' | '-') && *i > 0 && rest[..*i].ends_with(['e', 'E']);
            let leading_sign = matches!(c, '+' | '-') && *i == 0;
            !(c.is_alphanumeric() || matches!(c, '.' | '_') || exponent_sign || leading_sign)
        });
        let literal = &rest[..end.map_or(rest.len(), |(i, _)| i)];
        let clean = literal.replace('_', "");
        let digits = clean.trim_start_matches(['+', '-']);
        let sign = if clean.starts_with('-') { -1 } else { 1 };
        let radix = |prefix: &str, radix| digits.strip_prefix(prefix).and_then(|d| i128::from_str_radix(d, radix).ok());
        let integer =
            radix("0x", 16).or_else(|| radix("0o", 8)).or_else(|| radix("0b", 2)).or_else(|| digits.parse().ok());
        let kind = match integer {
            Some(value) => Kind::Int(sign * value),
            None if digits == "inf" => Kind::Float(f64::INFINITY * sign as f64),
            None => Kind::Float(clean.parse().map_err(|_| format!("`{literal}` is no number"))?),
        };
        self.at += literal.len();
        Ok(kind)
    }

    fn string(&mut self) -> Reading<String> {
        let rest = self.rest();
        let mut escaped = false;
        let close = rest.char_indices().skip(1).find(|(_, c)| {
            let closes = *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            closes
        });
        let literal = &rest[..close.ok_or("this string has no end")?.0 + 1];
        self.at += literal.len();
        ron::from_str(literal).map_err(|error| error.code.to_string())
    }

    fn character(&mut self) -> Reading<String> {
        let rest = self.rest();
        let close = rest.char_indices().skip(2).find(|(_, c)| *c == '\'').ok_or("this character has no end")?.0;
        self.at += close + 1;
        ron::from_str::<char>(&rest[..=close]).map(String::from).map_err(|error| error.code.to_string())
    }

    fn raw_string(&mut self) -> Reading<String> {
        let hashes = self.rest()[1..].chars().take_while(|c| *c == '#').count();
        let open = self.at + 1 + hashes + 1;
        let close = format!("\"{}", "#".repeat(hashes));
        let end = self.text[open..].find(&close).ok_or("this string has no end")? + open;
        self.at = end + close.len();
        Ok(self.text[open..end].to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;

    fn read(text: &str) -> Result<Tree, String> {
        let problems = Problems::default();
        let file = problems.sources.borrow_mut().add(Source::own("x.ron", text));
        Tree::read(file, &problems).ok_or_else(|| problems.into_list().iter().map(|p| format!("{p:?}")).collect())
    }

    #[test]
    fn places_are_exact() {
        let text = "// héad\n(a: [1, /* x */ -2.5], \"b\": 3)";
        assert!(read(text).is_err());
        let text = "// héad\n(a: [1, /* x /* y */ */ -2.5e-1], b: { \"k\": Name(c: r#\"q\"q\"#) },)";
        let tree = read(text).unwrap();
        let at = |path: &[&str]| &text[tree.closest(path).span.clone()];
        assert_eq!(at(&["a", "1"]), "-2.5e-1");
        assert_eq!(at(&["b", "k"]), "Name(c: r#\"q\"q\"#)");
        assert_eq!(at(&["b", "k", "c"]), "r#\"q\"q\"#");
        assert_eq!(at(&["b", "k", "missing"]), "Name(c: r#\"q\"q\"#)");
    }

    #[test]
    fn numbers_and_strings() {
        let tree = read(r#"[0x1F, 1_000, +3, -7, 1e3, "a\"\u{e9}\n", 'x', true, inf, ()]"#).unwrap();
        let Kind::List(items) = tree.kind else { panic!("a list") };
        let seen: Vec<String> = items.iter().map(|i| format!("{:?}", i.kind)).collect();
        assert_eq!(
            seen.join(" "),
            r#"Int(31) Int(1000) Int(3) Int(-7) Float(1000.0) Str("a\"é\n") Str("x") Bool(true) Float(inf) Named { name: None, body: Tuple([]) }"#
        );
    }

    #[test]
    fn bad_text_is_a_problem_never_a_panic() {
        for text in [
            "",
            "(",
            "(a: )",
            "{1: 2",
            "\"abc",
            "é:",
            "(a: b'x')",
            "[1, 2",
            "#![enable(implicit_some)",
            "(a: 1 2)",
            "'",
            "r#\"x",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
