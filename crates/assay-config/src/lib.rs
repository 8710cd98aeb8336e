//! RON experiment files: values that know where they were written.
//!
//! `ron` decides what is valid RON; [`Tree`] keeps every value with its place; [`Document`] joins a file with what it includes
//! and with `--set` overrides; [`decode`] turns values into types and collects **all** problems on the way, each with its
//! place, instead of stopping at the first. What the sections of a file mean is not decided here.
//!
//! **Invariant.** This crate knows nothing of Burn, of the engine, or of what an experiment is made of.

mod check;
mod decode;
mod document;
mod excerpt;
mod files;
mod names;
mod paths;
mod printable;
mod problem;
mod renamed;
mod source;
mod tree;

pub use check::Checker;
pub use decode::{Decoded, decode};
pub use document::{Document, Entry, Override};
pub use names::{Pattern, Patterns, nearest};
pub use paths::{Environment, UserPath};
pub use printable::{printable, printable_lines, printable_message};
pub use problem::{Problem, Problems};
pub use renamed::Renamed;
pub use source::{SourceSpan, Sources};
pub use tree::{Body, Field, Kind, Tree};

/// A value as it could be written in an experiment, with what has a default written out.
pub fn to_ron<T: serde::Serialize>(value: &T) -> Option<String> {
    let extensions = ron::extensions::Extensions::UNWRAP_VARIANT_NEWTYPES | ron::extensions::Extensions::IMPLICIT_SOME;
    ron::Options::default().with_default_extension(extensions).to_string(value).ok()
}
