//! A pickle reader that can build tensors, arrays, dicts, lists and plain values, and nothing else.
//!
//! A pickle is a program for a stack machine that may call any Python function. Here the functions are a closed list
//! (`constructors`); any other is stepped over, and what it would have made stands in the tree as a value that names it and has
//! nothing in it. Names that only an attack has use for are refused. Values live side by side in one table and name
//! each other by index, so that neither cycles nor depth cost more than their entries; strings and bytes are borrowed from the
//! file, so that a small file cannot become large.

mod arrays;
mod constructors;
mod machine;
mod npy;
mod value;

pub use machine::read;
pub use npy::NpyHeader;
pub use value::{Array, Pickle, Value, View};

/// Why a pickle is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PickleError {
    /// The pickle ends early or makes no sense.
    #[error("the pickle ends early or makes no sense")]
    Damaged,
    /// The pickle asks for something that data does not need.
    #[error("its pickle asks for `{0}`, which is refused: only arrays and plain values are read, and no code is run")]
    Refused(String),
    /// The pickle names a function that runs commands, which no data has use for.
    #[error("its pickle asks for `{0}`, which is refused: loading it in Python would run commands, so do not")]
    Attack(String),
    /// The pickle would take too much memory.
    #[error("it is refused as too large: {0}")]
    TooLarge(String),
}

type Reading<T> = Result<T, PickleError>;

fn damaged() -> PickleError {
    PickleError::Damaged
}
