//! Metrics, intervals and tests on plain slices, and the random generators that everything draws from.
//!
//! **Invariant.** No Burn, no files: numbers in, numbers out.

pub mod compare;
pub mod correlate;
pub mod distributions;
mod interval;
mod legacy;
pub mod metrics;
mod one_number;
pub mod published;
mod random;
pub mod rank;

pub use interval::{Interval, accuracy, mean_interval};
pub use legacy::LegacyNumpy;
pub use one_number::{OverSeeds, clopper_pearson, normal_interval, over_seeds, t_interval, wilson};
pub use random::Stream;
