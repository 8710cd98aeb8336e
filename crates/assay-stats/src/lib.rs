//! Metrics and intervals on plain slices, and the random generators that everything draws from.
//!
//! **Invariant.** No Burn, no files: numbers in, numbers out.

mod interval;
mod legacy;
pub mod metrics;
mod random;

pub use interval::{Interval, accuracy, mean_interval};
pub use legacy::LegacyNumpy;
pub use random::Stream;
