//! Logistic regression over a grid of penalties.

use std::collections::VecDeque;

use crate::ProbeError;
use crate::design::Design;
use crate::linear::{Linear, double};
use crate::loss::{At, Line, Targets};
use crate::precondition::Preconditioner;
use crate::products::{times_transposed, transposed_times};
use crate::vectors::{Point, dot_f32};

/// Report on the solution for one value of C.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Solved {
    /// C.
    pub c: f64,
    /// Σ losses + penalty.
    pub objective: f64,
    /// Largest derivative by a weight or an intercept, in the coordinates of the features.
    pub gradient_norm: f64,
    /// Steps that were made.
    pub iterations: usize,
    /// True if the tolerances were met.
    pub converged: bool,
}

/// Bounds within which a solution is good enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// The largest derivative must be at most this much for each row.
    pub gradient_per_row: f64,
    /// Largest gain that may be left, as the quadratic model of the solver has it, as a share of the objective…
    pub objective: f64,
    /// …or this much for each row, below which no prediction changes.
    pub loss_per_row: f64,
    /// Most iterations for one value of C.
    pub iterations: usize,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { gradient_per_row: 1e-4, objective: 1e-6, loss_per_row: 1e-9, iterations: 1000 }
    }
}

/// Fewest iterations whose gain says whether progress has become slow; otherwise it is the last quarter of them.
const RECENT: usize = 10;
/// Pairs that the quasi-Newton model remembers, and those that it takes along to the next value of C.
const MEMORY: usize = 20;
const MEMORY_KEPT: usize = 5;

/// Solves `min Σ loss(W x + b) + ½ λ ‖W‖²` for each C of `grid`, with λ = [`Targets::penalty`] of C and intercepts free of it.
///
/// The grid is walked from strong to weak penalties. Each solution starts from the line through the two before it; its
/// logits are known without a product. The solver is L-BFGS (Liu and Nocedal 1989) around a factored Hessian; what it has
/// learnt of the loss is kept from one C to the next. Products with the features are in single precision, sums and losses
/// in double.
///
/// `each` is called in that order, with the index in `grid`, the classifier in the design's coordinates, and how it went;
/// what it returns ends the walk.
///
/// # Errors
/// When nothing can be learnt from the targets, a C is not positive, or `each` fails.
pub fn solve_grid<E: From<ProbeError>>(
    design: &Design,
    targets: &Targets,
    grid: &[f64],
    start: Option<&Linear>,
    tolerance: Tolerance,
    each: &mut dyn FnMut(usize, &Linear, Solved) -> Result<(), E>,
) -> Result<(), E> {
    targets.check()?;
    if targets.rows() != design.rows {
        return Err(ProbeError::Lengths { features: design.rows, targets: targets.rows() }.into());
    }
    if let Some(c) = grid.iter().find(|c| !(**c > 0.0 && c.is_finite())) {
        return Err(ProbeError::NotPositive { c: *c }.into());
    }
    let mut order: Vec<usize> = (0..grid.len()).collect();
    order.sort_by(|a, b| grid[*a].total_cmp(&grid[*b]));
    let mut walk = Walk::new(design, targets, start);
    for at in order {
        let solved = walk.solve(grid[at], tolerance)?;
        let linear = Linear { weight: double(&walk.point.weight), bias: walk.point.bias.clone() };
        each(at, &linear, solved)?;
    }
    Ok(())
}

/// A step that was made and how it changed the gradient.
struct Pair {
    step: Point,
    /// Of the loss alone, which is what is kept from one penalty to the next.
    loss_change: Point,
    /// With the penalty of the value that is being solved.
    change: Point,
    /// 1 / (step · change).
    rho: f64,
}

impl Pair {
    fn new(step: Point, loss_change: Point, penalty: f64) -> Self {
        let mut pair = Self { step, change: loss_change.clone(), loss_change, rho: 0.0 };
        pair.bend(penalty);
        pair
    }

    fn bend(&mut self, penalty: f64) {
        self.change.copy_from(&self.loss_change);
        self.change.add_weight(penalty, &self.step);
        self.rho = 1.0 / self.step.dot(&self.change);
    }
}

struct Walk<'a> {
    design: &'a Design,
    targets: &'a Targets,
    point: Point,
    logits: Vec<f64>,
    /// Solutions for the last values of C, the newest first.
    solutions: VecDeque<(Point, Vec<f64>)>,
    pairs: VecDeque<Pair>,
    residual: Vec<f32>,
    /// Logits of the step that is being made.
    ahead: Vec<f32>,
}

impl<'a> Walk<'a> {
    fn new(design: &'a Design, targets: &'a Targets, start: Option<&Linear>) -> Self {
        let (rows, classes) = (design.rows, targets.classes());
        let point = match start {
            Some(start) => Point { weight: start.weight.iter().map(|w| *w as f32).collect(), bias: start.bias.clone() },
            None => Point { weight: vec![0.0; classes * design.dim], bias: targets.intercepts() },
        };
        let mut walk = Self {
            design,
            targets,
            point,
            logits: vec![0.0; rows * classes],
            solutions: VecDeque::new(),
            pairs: VecDeque::new(),
            residual: vec![0.0; rows * classes],
            ahead: vec![0.0; rows * classes],
        };
        if start.is_some() {
            let first = walk.point.clone();
            walk.forward(&first);
            walk.logits.iter_mut().zip(&walk.ahead).for_each(|(l, a)| *l = f64::from(*a));
        } else {
            walk.logits.chunks_exact_mut(classes).for_each(|row| row.copy_from_slice(&walk.point.bias));
        }
        walk
    }

    /// Logits of `point` into `ahead`.
    fn forward(&mut self, point: &Point) {
        let (n, k, d) = (self.design.rows, self.targets.classes(), self.design.dim);
        times_transposed(&self.design.values, &point.weight, &mut self.ahead, (n, k, d));
        for row in self.ahead.chunks_exact_mut(k) {
            row.iter_mut().zip(&point.bias).for_each(|(a, b)| *a += *b as f32);
        }
    }

    /// Gradient of the loss from the residuals and their sums.
    fn backward(&self, bias: &[f64]) -> Point {
        let (n, k, d) = (self.design.rows, self.targets.classes(), self.design.dim);
        let mut gradient = Point { weight: vec![0.0; k * d], bias: bias.to_vec() };
        transposed_times(&self.residual, &self.design.values, &mut gradient.weight, (k, d, n));
        gradient
    }

    fn evaluate(&mut self, step: f64) -> At {
        let line = Line { base: &self.logits, direction: &self.ahead, step };
        self.targets.evaluate(line, &mut self.residual)
    }

    /// Goes to the best point of the line through the last two solutions.
    fn predict(&mut self, penalty: f64) -> At {
        let [last, before] = match (self.solutions.pop_front(), self.solutions.pop_front()) {
            (Some(last), Some(before)) => [last, before],
            (last, _) => {
                self.solutions.extend(last);
                self.ahead.fill(0.0);
                return self.evaluate(0.0);
            }
        };
        let mut direction = last.0.clone();
        direction.add(-1.0, &before.0);
        self.ahead.iter_mut().zip(&last.1).zip(&before.1).for_each(|((a, l), b)| *a = (l - b) as f32);
        let start = self.evaluate(0.0);
        let slope = start.slope + penalty * dot_f32(&direction.weight, &self.point.weight);
        self.solutions.push_front(last);
        if slope < 0.0 {
            let (step, at) = self.search(&direction, penalty, slope, 0.01);
            if step > 0.0 {
                self.advance(step, &direction);
                return at;
            }
        }
        self.evaluate(0.0)
    }

    fn advance(&mut self, step: f64, direction: &Point) {
        self.logits.iter_mut().zip(&self.ahead).for_each(|(l, a)| *l += step * f64::from(*a));
        self.point.add(step, direction);
    }

    fn solve(&mut self, c: f64, tolerance: Tolerance) -> Result<Solved, ProbeError> {
        let penalty = self.targets.penalty(c);
        let At { mut loss, bias, .. } = self.predict(penalty);
        let mut loss_gradient = self.backward(&bias);
        let stale = self.pairs.len().saturating_sub(MEMORY_KEPT);
        self.pairs.drain(..stale);
        self.pairs.iter_mut().for_each(|pair| pair.bend(penalty));
        let precondition = Preconditioner::new(self.design, &self.targets.curvature(&self.residual), penalty)?;
        let mut iterations = 0;
        let mut objectives: Vec<f64> = Vec::new();
        loop {
            let mut gradient = loss_gradient.clone();
            gradient.add_weight(penalty, &self.point);
            let square = dot_f32(&self.point.weight, &self.point.weight);
            let objective = loss + 0.5 * penalty * square;
            let direction = self.direction(&gradient, &precondition);
            let slope = gradient.dot(&direction);
            let gain = -0.5 * slope;
            let mut solved = Solved { c, objective, gradient_norm: f64::NAN, iterations, converged: false };
            let enough = (tolerance.objective * objective).max(tolerance.loss_per_row * self.design.rows as f64);
            // Where progress is slow, the model promises too little: what the last iterations gained counts as well.
            let lately = objectives
                .len()
                .checked_sub(RECENT.max(iterations / 4))
                .map_or(0.0, |then| objectives[then] - objective);
            let within = gain <= enough && (lately <= enough || gain <= 0.01 * enough);
            objectives.push(objective);
            let stuck = iterations >= tolerance.iterations || gain.is_nan() || gain <= 1e-13 * objective;
            if within || stuck {
                solved.gradient_norm = self.norm_in_features(&gradient);
                solved.converged = solved.gradient_norm <= tolerance.gradient_per_row * self.design.rows as f64;
                if solved.converged || stuck {
                    solved.converged &= within;
                    self.remember();
                    return Ok(solved);
                }
            }
            self.forward(&direction);
            let (step, at) = self.search(&direction, penalty, slope, 0.5);
            if step == 0.0 {
                self.pairs.clear();
                solved.gradient_norm = self.norm_in_features(&gradient);
                self.remember();
                return Ok(solved);
            }
            self.advance(step, &direction);
            let after = self.backward(&at.bias);
            let mut change = after.clone();
            change.add(-1.0, &loss_gradient);
            let mut made = direction;
            made.scale(step);
            self.learn(Pair::new(made, change, penalty));
            (loss, loss_gradient) = (at.loss, after);
            iterations += 1;
        }
    }

    fn remember(&mut self) {
        self.solutions.push_front((self.point.clone(), self.logits.clone()));
        self.solutions.truncate(2);
    }

    fn learn(&mut self, pair: Pair) {
        // A convex loss never bends down; what says otherwise is rounding.
        if pair.step.dot(&pair.loss_change) > 0.0 {
            self.pairs.push_back(pair);
            if self.pairs.len() > MEMORY {
                self.pairs.pop_front();
            }
        }
    }

    /// The two-loop recursion of L-BFGS, around the factored Hessian.
    fn direction(&self, gradient: &Point, precondition: &Preconditioner) -> Point {
        let mut q = gradient.clone();
        let mut factors = Vec::with_capacity(self.pairs.len());
        for pair in self.pairs.iter().rev() {
            let a = pair.rho * pair.step.dot(&q);
            q.add(-a, &pair.change);
            factors.push(a);
        }
        let mut direction = precondition.apply(&q);
        if let Some(last) = self.pairs.back() {
            direction.scale(1.0 / (last.rho * last.change.dot(&precondition.apply(&last.change))));
        }
        for (pair, a) in self.pairs.iter().zip(factors.into_iter().rev()) {
            let b = pair.rho * pair.change.dot(&direction);
            direction.add(a - b, &pair.step);
        }
        direction.scale(-1.0);
        direction
    }

    /// A step along `direction`, whose logits are in `ahead`, that leaves at most `rest` of the slope. The objective
    /// along a line needs no product with the features, so it is looked at as often as it takes.
    fn search(&mut self, direction: &Point, penalty: f64, slope: f64, rest: f64) -> (f64, At) {
        let along = dot_f32(&direction.weight, &direction.weight);
        let across = dot_f32(&direction.weight, &self.point.weight);
        let (mut low, mut high) = (0.0, f64::INFINITY);
        let mut step = 1.0;
        for _ in 0..60 {
            let at = self.evaluate(step);
            let now = at.slope + penalty * (across + step * along);
            if now.abs() <= rest * slope.abs() {
                return (step, at);
            }
            if now > 0.0 || now.is_nan() {
                high = step;
                let secant = step * slope / (slope - now);
                let inside = secant > low + 0.1 * (high - low) && secant < high - 0.1 * (high - low);
                step = if inside { secant } else { 0.5 * (low + high) };
            } else {
                low = step;
                step = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * step };
            }
        }
        (0.0, At::default())
    }

    /// Largest derivative by the weights of the features as they were: turned back and with their mean.
    fn norm_in_features(&self, gradient: &Point) -> f64 {
        let classes = self.targets.classes();
        let mut weight = self.design.to_features(&gradient.weight, classes);
        for (row, bias) in weight.chunks_exact_mut(self.design.features()).zip(&gradient.bias) {
            row.iter_mut().zip(&self.design.mean).for_each(|(v, m)| *v += (m * bias) as f32);
        }
        Point { weight, bias: gradient.bias.clone() }.largest()
    }
}
