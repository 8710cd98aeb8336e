//! `Linear`: a linear probe.

mod choose;
mod fit;
mod grid;
mod parts;
mod probe;
mod score;

#[cfg(test)]
pub use choose::Choice;
pub use choose::ChooseValue;
pub use fit::{FitProbe, FittedProbe};
pub use grid::{Candidates, SolveGrid};
pub use parts::HoldOut;
pub use probe::{Convergence, Probe};
pub use score::ScoreProbe;
pub(super) use score::warn_left_out;

use assay_engine::{Content, Output};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::outside::LabelledImages;
use crate::plan::{CellPlan, PlanError, Protocol};

use crate::results::{CalibrationRule, Evaluation, Resampling};
use crate::spec::Metric;
use assay_config::Checker;

pub(super) use self::parts::{Parts, check_parts, classes_of};

/// A linear classifier of cached features. The value of its grid is chosen on the validation split (or on a part of the
/// training split), the classifier is fitted again on both, and the test split is looked at once. The metric is the task's.
/// Defaults are those of Ericsson et al. (CVPR 2021).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Linear {
    /// Kind of linear classifier that is fitted. Default: `Logistic`.
    pub solver: Solver,
    /// Values of the solver's parameter that are tried. Default: for `Logistic` the 45 values of C of Ericsson et al.
    /// (CVPR 2021), for `Ridge` 25 values of λ from 10⁻⁶ to 10⁶, for `Lda` eight shrinkages from 0 to 0.9.
    pub grid: Option<Grid>,
    /// Point at which the solver of `Logistic` stops. Default: `Converged`.
    pub convergence: Convergence,
    /// Part of the training images that becomes the validation split of a dataset without one. Default: `(fraction:
    /// 0.2, seed: 0)`.
    pub validation: HoldOut,
    /// Part of all images that becomes the test split of a dataset without splits; the others are then training images.
    /// Default: `(fraction: 0.2, seed: 0)`.
    pub test: HoldOut,
    /// Images on which probabilities are calibrated. Default: `Validation`.
    pub calibration: CalibrationRule,
    /// Scaling of every row of features to length 1, before all else. Default: false.
    pub normalize: bool,
    /// Number of times that the test images are resampled for the intervals of metrics. Default: 1000.
    pub resamples: u32,
    /// Seed of the resampling. Default: 0.
    pub seed: u64,
}

impl Default for Linear {
    fn default() -> Self {
        Self {
            solver: Solver::default(),
            grid: None,
            convergence: Convergence::default(),
            validation: HoldOut::default(),
            test: HoldOut::default(),
            calibration: CalibrationRule::default(),
            normalize: false,
            resamples: 1000,
            seed: 0,
        }
    }
}

/// Kind of linear classifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Solver {
    /// Logistic regression: multinomial, or one yes-or-no question for each class where images show several; `grid`
    /// holds values of C, the inverse of the penalty on weights.
    #[default]
    Logistic,
    /// Ridge regression of ±1; `grid` holds values of λ, the penalty on weights.
    Ridge,
    /// Linear discriminant analysis; `grid` holds shrinkages of the covariance, from 0 to 1.
    Lda,
    /// Nearest class mean; there is no `grid`, since nothing is chosen.
    NearestCentroid,
}

/// Values that are tried.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
pub enum Grid {
    /// The values themselves, such as `Values([0.1, 1.0, 10.0])`.
    Values(Vec<f64>),
    /// `count` powers of ten, their exponents evenly spaced from `low` to `high`.
    LogSpace {
        /// Exponent of the first value.
        low: f64,
        /// Exponent of the last value.
        high: f64,
        /// Number of values.
        count: u32,
    },
}

/// Most values of a grid.
const MAX_VALUES: usize = 1_000;

impl Protocol for Linear {
    fn check(&self, at: &Checker<'_>) {
        let is_shrinkage = self.solver == Solver::Lda;
        let values = self.values();
        let fits = |v: &f64| if is_shrinkage { (0.0..=1.0).contains(v) } else { *v > 0.0 && v.is_finite() };
        let rule = if is_shrinkage { "must hold shrinkages from 0 to 1" } else { "must hold positive numbers" };
        at.field("grid").expect(values.iter().all(fits), rule);
        at.field("grid").expect((1..=MAX_VALUES).contains(&values.len()), "must hold from 1 to 1,000 values");
        at.field("grid").expect(
            self.solver != Solver::NearestCentroid || self.grid.is_none(),
            "must be left out: `NearestCentroid` has nothing to choose",
        );
        at.field("convergence").expect(
            self.convergence == Convergence::default() || self.solver == Solver::Logistic,
            "must be left out: it is for `Logistic` alone",
        );
        check_parts(at, self.validation, self.test, self.resamples);
    }

    fn plan(&self, cell: &mut CellPlan<'_, '_>) -> Result<Output<Evaluation>, PlanError> {
        cell.expect_labels()?;
        let metric = cell.metric()?;
        if metric.is_multi_label() && matches!(self.solver, Solver::Lda | Solver::NearestCentroid) {
            let message = format!("`{:?}` is for images of one class each, and these show several", self.solver);
            return Err(cell.protocol_error("solver", message));
        }
        let parts = Parts::new(cell.data(), self.validation, self.test).map_err(|message| cell.task_error(message))?;
        parts.check(cell.data(), metric).map_err(|message| cell.task_error(message))?;
        for warning in parts.warnings(cell.data(), metric) {
            cell.warn(&warning);
        }
        self.add_steps(cell, &parts, metric)
    }
}

impl Linear {
    fn add_steps(
        &self,
        cell: &mut CellPlan<'_, '_>,
        parts: &Parts,
        metric: Metric,
    ) -> Result<Output<Evaluation>, PlanError> {
        let names = cell.names().clone();
        let label = |step: &str| format!("{step}/{}/{}/{}", names.model, names.task, names.protocol);
        let all = parts.all();
        let classes = classes_of(cell.data(), &all, metric);
        let leaf = |cell: &CellPlan<'_, '_>, part: &[u32]| -> Content<LabelledImages> { cell.labelled(part, &classes) };
        let (probe, normalize) = (self.probe(), self.normalize);
        let grid = SolveGrid {
            features: cell.features_of(&all)?,
            fit: leaf(cell, &parts.fit),
            validation: leaf(cell, &parts.validation),
            probe,
            grid: if probe == Probe::NearestCentroid { Vec::new() } else { self.values() },
            normalize,
            metric,
            count: parts.fit.len(),
        };
        let candidates = cell.add(label("grid"), grid)?;
        cell.exhibit(&candidates, Candidates::CURVE);
        let choice = cell.add(label("choose"), ChooseValue { candidates })?;
        let fit = FitProbe {
            features: cell.features_of(&all)?,
            fit: leaf(cell, &all),
            probe,
            normalize,
            choice,
            start: probe.goes_on_from_last().then_some(candidates),
            count: all.len(),
        };
        let classifier = cell.add(label("fit"), fit)?;
        cell.probe(&classifier, FittedProbe::WEIGHTS, &classes, normalize);
        let score = ScoreProbe {
            features: cell.features_of(&parts.test)?,
            test: leaf(cell, &parts.test),
            classifier,
            choice,
            normalize,
            metric,
            calibration: self.calibration,
            resampling: Resampling { resamples: self.resamples, seed: self.seed },
        };
        cell.add_evaluation(score)
    }

    /// The values, the preferred of two equally good ones first: of C the larger, of the others the smaller.
    fn values(&self) -> Vec<f64> {
        let mut values = match (&self.grid, self.solver) {
            (Some(Grid::Values(values)), _) => values.clone(),
            (Some(Grid::LogSpace { low, high, count }), _) => log_space(*low, *high, *count),
            (None, Solver::Logistic) => study_grid(),
            (None, Solver::Ridge) => log_space(-6.0, 6.0, 25),
            (None, Solver::Lda) => vec![0.0, 0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9],
            (None, Solver::NearestCentroid) => vec![1.0],
        };
        values.sort_by(|a, b| if self.solver == Solver::Logistic { b.total_cmp(a) } else { a.total_cmp(b) });
        values.dedup();
        values
    }

    fn probe(&self) -> Probe {
        let solver = assay_probe::SOLVER;
        match self.solver {
            Solver::Logistic => Probe::Logistic { convergence: self.convergence, solver },
            Solver::Ridge => Probe::Ridge { solver },
            Solver::Lda => Probe::Lda { solver },
            Solver::NearestCentroid => Probe::NearestCentroid,
        }
    }
}

/// `numpy.logspace(low, high, count)`.
fn log_space(low: f64, high: f64, count: u32) -> Vec<f64> {
    let step = (high - low) / f64::from(count.max(2) - 1);
    // More than can be used are refused, so no more are made.
    (0..count.min(MAX_VALUES as u32 + 1)).map(|i| libm::pow(10.0, low + step * f64::from(i))).collect()
}

/// The 45 values of C of Ericsson et al. (CVPR 2021): 1 / weight decay for single-precision
/// `torch.logspace(-6, 5, 45)` of weight decays.
fn study_grid() -> Vec<f64> {
    log_space(-6.0, 5.0, 45).into_iter().map(|decay| 1.0 / f64::from(decay as f32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_is_the_studys() {
        let grid = Linear::default().values();
        assert_eq!(grid.len(), 45);
        assert!(grid.is_sorted_by(|a, b| a > b));
        // As the authors print the values that they chose.
        assert_eq!((grid[8], grid[9], grid[12]), (10_000.000_252_621_256, 5_623.413_277_133_687, 999.999_952_502_551));
    }
}
