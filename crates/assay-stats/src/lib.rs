//! Metrics and intervals on plain slices, and the one random generator that everything draws from.
//!
//! **Invariant.** No Burn, no files: numbers in, numbers out.

mod interval;
mod random;

pub use interval::{Interval, accuracy, mean_interval};
pub use random::Stream;
