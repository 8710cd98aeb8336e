//! Metrics of predictions for items, each a function of how often every item counts, so that one pass over resampled counts
//! gives the bootstrap interval of all of them.

mod bootstrap;
mod calibration;
mod catalog;
mod classification;
mod precision;

pub use bootstrap::{Bounds, Statistic, bootstrap, stratified_bootstrap};
pub(crate) use bootstrap::{bounds as bounds_of, percentile, resampled_values};
pub use calibration::{Binning, Calibration, CalibrationBin, best_temperature, cross_fitted_calibration};
pub use catalog::{Better, METRICS, MetricId, MetricInfo, Unit, UnknownMetric};
pub use classification::{Confusion, Outcomes};
pub use precision::{PrecisionRule, average_precision, mean_average_precision};
