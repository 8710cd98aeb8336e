//! Linear probes of features: logistic regression over a grid of penalties, ridge regression, discriminant analysis.
//!
//! **Invariant.** No Burn, no files: numbers in, numbers out; the same numbers for any number of threads.

mod closed_form;
mod design;
mod exp;
mod line_search;
mod linear;
mod loss;
mod parity;
mod path;
mod precondition;
mod products;
mod stopping;
mod targets;
mod vectors;

pub use closed_form::{nearest_centroid, solve_lda, solve_ridge};
pub use design::Design;
pub use linear::Linear;
pub use loss::Targets;
pub use parity::solve_like_scikit_learn;
pub use path::{Solved, solve_grid};
pub use stopping::Tolerance;

/// Version of what the solvers compute: part of the key of everything that they fit. Raise it when the same features, targets
/// and value come to give another classifier.
pub const SOLVER: u32 = 2; // 1 – stopped by absolute rules; 2 – by rules that know no scale

/// Why a probe cannot be fitted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ProbeError {
    /// There is nothing to fit.
    #[error("there are no rows to fit")]
    NoRows,
    /// A feature is NaN or infinite.
    #[error("feature {feature} of row {row} is not a finite number")]
    NotFinite {
        /// Row.
        row: usize,
        /// Feature.
        feature: usize,
    },
    /// The scatter matrix has no eigenvectors that could be found.
    #[error("the eigenvectors of the features could not be found")]
    NoAxes,
    /// A label that is no class.
    #[error("row {row} has label {label}, and there are {classes} classes (0 to {})", classes.saturating_sub(1))]
    LabelOutOfRange {
        /// Row.
        row: usize,
        /// Label.
        label: u32,
        /// Number of classes.
        classes: usize,
    },
    /// All rows have the same label.
    #[error("all rows are of one class, number {class}: there is nothing to tell apart")]
    OneClass {
        /// The class.
        class: u32,
    },
    /// A class that no row is of.
    #[error("no row is of class {class}")]
    NoRowsOfClass {
        /// The class.
        class: u32,
    },
    /// All rows have the same answer to a question.
    #[error("all rows {} class {class}: there is nothing to learn", if *answer { "show" } else { "are without" })]
    OneAnswer {
        /// The class.
        class: u32,
        /// The answer.
        answer: bool,
    },
    /// Not as many targets as rows.
    #[error("there are {features} rows of features and {targets} of targets")]
    Lengths {
        /// Rows of features.
        features: usize,
        /// Rows of targets.
        targets: usize,
    },
    /// A value of the grid that leaves nothing of the weights.
    #[error(
        "the regularisation of C = {c} is too strong for features of this size: weights would be too small for single \
         precision. Scale the features up, or try larger values of C"
    )]
    TooStrong {
        /// The value.
        c: f64,
    },
    /// A value of the grid that is no regularisation strength.
    #[error("a regularisation strength must be a positive number, and {c} is not")]
    NotPositive {
        /// The value.
        c: f64,
    },
}
