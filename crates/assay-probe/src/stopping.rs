//! When a solution is good enough, by rules that know neither the unit of the features nor the size of C.

use crate::loss::Targets;

/// Bounds within which a solution is good enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Largest derivative for each row, where features are of size 1.
    pub gradient_per_row: f64,
    /// Largest gain that may be left, as the quadratic model of the solver has it, as a share of the objective and of what
    /// the weights have won over none. Where they win less than a hundredth of the objective, the share falls with what
    /// they win, to 1e-10: there a better solution costs little, and predictions hang on it.
    pub objective: f64,
    /// Gain for each row that is little enough where the objective itself is little, as with separable classes.
    pub loss_per_row: f64,
    /// Most iterations for one value of C.
    pub iterations: usize,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { gradient_per_row: 3e-4, objective: 1e-6, loss_per_row: 1e-9, iterations: 1000 }
    }
}

/// Least share of what weights win that is asked for: single precision settles no less.
const LEAST_SHARE: f64 = 1e-10;
/// Weights win little where they win less than one part in this of the objective.
const LITTLE: f64 = 100.0;
/// By how much the share of what weights win may be more than that of the objective.
const GENEROUS: f64 = 4.0;
/// Size of logits below which intercepts are looked at on their own; above, what they gain is part of the rule for all.
const SMALL_LOGITS: f64 = 0.1;
/// Share of a sum of losses that may be rounding.
const ROUNDING: f64 = 1e-12;

/// What may be left in each question.
pub(crate) struct Stopping {
    tolerance: Tolerance,
    rows: f64,
    without_weights: Vec<f64>,
}

impl Stopping {
    pub fn new(targets: &Targets, tolerance: Tolerance) -> Self {
        Self { tolerance, rows: targets.rows() as f64, without_weights: targets.losses_without_weights() }
    }

    /// The largest gain that may be left in a question at a point with this loss and penalty.
    ///
    /// The error in the weights is bounded by the gain: λ ‖W − W*‖² ≤ 2 · gain, while ½ λ ‖W‖² is at most what the weights
    /// win. So a share of what they win bounds the relative error of W under strong penalties, however little it is.
    pub fn enough(&self, question: usize, loss: f64, penalty: f64) -> f64 {
        let (objective, without) = (loss + penalty, self.without_weights[question]);
        // A difference that is all rounding says nothing; the penalty is never more than what is won.
        let won = (without - objective - ROUNDING * without).max(penalty);
        let share = self.tolerance.objective;
        let careful = GENEROUS * (share * (LITTLE * won / objective).min(1.0)).max(share.min(LEAST_SHARE));
        (share * objective).max(self.tolerance.loss_per_row * self.rows).min(careful * won)
    }

    /// The largest step of an intercept that may be left, where the weights alone make logits of this size. Under strong
    /// penalties a step that gains next to nothing still decides what is predicted.
    pub fn enough_of_intercepts(&self, logits: f64) -> f64 {
        if logits < SMALL_LOGITS { self.tolerance.objective.sqrt() * logits } else { f64::INFINITY }
    }
}
