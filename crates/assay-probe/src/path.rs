//! Logistic regression over a grid of penalties.

use std::collections::VecDeque;

use crate::ProbeError;
use crate::design::Design;
use crate::linear::{Linear, dot, double};
use crate::loss::{At, Line, Targets};
use crate::precondition::Preconditioner;
use crate::products::{times_transposed, transposed_times};
use crate::stopping::{Stopping, Tolerance};
use crate::targets::Present;
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

/// Fewest iterations whose gain says whether progress has become slow; otherwise it is the last quarter of them.
const RECENT: usize = 10;
/// Penalties, for each row, of solutions on the way to a penalty that is weaker than the last of them by [`STRIDE`].
const FIRST_ON_THE_WAY: f64 = 1e-3;
const STRIDE: f64 = 0.01;
/// Pairs that the quasi-Newton model remembers, and those that it takes along to the next value of C.
const MEMORY: usize = 20;
const MEMORY_KEPT: usize = 5;
/// With fewer pairs, the model rests on the factored Hessian.
const FEW: usize = 5;
/// Ratio of penalties beyond which no pair is taken along.
const FAR: f64 = 4.0;

/// Solves `min Σ loss(W x + b) + ½ λ ‖W‖²` for each C of `grid`, with λ = [`Targets::penalty`] of C and intercepts free of it.
///
/// The grid is walked from strong to weak penalties. Each solution starts from the line through the two before it; its
/// logits are known without a product. The solver is L-BFGS (Liu and Nocedal 1989) around a factored Hessian; what it has
/// learnt of the loss is kept from one C to the next. Products with the features are in single precision, sums and losses
/// in double. A class without rows is left out, and has no weights and a logit below those of the others.
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
    let present = Present::of(targets);
    let start = start.map(|start| present.take(start));
    let stopping = Stopping::new(&present.targets, tolerance);
    // What comes first has no path behind it that tells where flat directions lead.
    let careful = Tolerance { loss_per_row: 0.01 * tolerance.loss_per_row, ..tolerance };
    let first = Stopping::new(&present.targets, careful);
    let mut walk = Walk::new(design, &present.targets, start.as_ref());
    if let (None, Some(at)) = (start, order.first()) {
        walk.come_from_strong_penalties(grid[*at], &first, tolerance)?;
    }
    for (i, at) in order.into_iter().enumerate() {
        let solved = walk.solve(grid[at], if i == 0 { &first } else { &stopping }, tolerance)?;
        let linear = Linear { weight: double(&walk.point.weight), bias: walk.point.bias.clone() };
        each(at, &present.all(linear), solved)?;
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
    /// Of the weights, without intercepts.
    logits: Vec<f64>,
    /// Solutions for the last values of C, the newest first.
    solutions: VecDeque<(Point, Vec<f64>)>,
    pairs: VecDeque<Pair>,
    /// The last that was solved.
    penalty: f64,
    residual: Vec<f32>,
    /// Logits of the step that is being made, without intercepts.
    ahead: Vec<f32>,
    /// Intercepts of that step.
    bias_ahead: Vec<f64>,
}

impl<'a> Walk<'a> {
    fn new(design: &'a Design, targets: &'a Targets, start: Option<&Linear>) -> Self {
        let (rows, classes) = (design.rows, targets.classes());
        let point = match start {
            Some(start) => Self::begin_at(start, targets),
            None => Point { weight: vec![0.0; classes * design.dim], bias: targets.intercepts() },
        };
        let mut walk = Self {
            design,
            targets,
            point,
            logits: vec![0.0; rows * classes],
            solutions: VecDeque::new(),
            pairs: VecDeque::new(),
            penalty: f64::INFINITY,
            residual: vec![0.0; rows * classes],
            ahead: vec![0.0; rows * classes],
            bias_ahead: vec![0.0; classes],
        };
        if start.is_some() {
            let first = walk.point.clone();
            walk.forward(&first);
            walk.logits.iter_mut().zip(&walk.ahead).for_each(|(l, a)| *l = f64::from(*a));
        }
        walk
    }

    /// A start from another solution. What it adds to all classes alike changes no probability, and the solution has nothing
    /// of it.
    fn begin_at(start: &Linear, targets: &Targets) -> Point {
        let (mut weight, d) = (start.weight.clone(), start.dim());
        if matches!(targets, Targets::Classes { .. }) {
            for i in 0..d {
                let mean = weight.iter().skip(i).step_by(d).sum::<f64>() / targets.classes() as f64;
                weight.iter_mut().skip(i).step_by(d).for_each(|w| *w -= mean);
            }
        }
        Point { weight: weight.into_iter().map(|w| w as f32).collect(), bias: start.bias.clone() }
    }

    /// Logits of `point` into `ahead`, its intercepts into `bias_ahead`.
    fn forward(&mut self, point: &Point) {
        let (n, k, d) = (self.design.rows, self.targets.classes(), self.design.dim);
        times_transposed(&self.design.values, &point.weight, &mut self.ahead, (n, k, d));
        self.bias_ahead.copy_from_slice(&point.bias);
    }

    /// Gradient of the loss from the residuals and their sums. A sum that may be all rounding is none: followed, it would
    /// move intercepts by more than the weights do under strong penalties.
    fn backward(&self, bias: &[f64]) -> Point {
        let (n, k, d) = (self.design.rows, self.targets.classes(), self.design.dim);
        let rounding = 4.0 * f64::EPSILON * n as f64;
        let bias = bias.iter().map(|b| if b.abs() > rounding { *b } else { 0.0 }).collect();
        let mut gradient = Point { weight: vec![0.0; k * d], bias };
        transposed_times(&self.residual, &self.design.values, &mut gradient.weight, (k, d, n));
        gradient
    }

    fn evaluate(&mut self, step: f64) -> At {
        let (bias, bias_direction) = (&self.point.bias, &self.bias_ahead);
        let line = Line { base: &self.logits, direction: &self.ahead, bias, bias_direction, step };
        self.targets.evaluate(line, &mut self.residual)
    }

    /// Goes to the best point of the line through the last two solutions.
    fn predict(&mut self, penalty: f64) -> At {
        let [last, before] = match (self.solutions.pop_front(), self.solutions.pop_front()) {
            (Some(last), Some(before)) => [last, before],
            (last, _) => {
                self.solutions.extend(last);
                self.ahead.fill(0.0);
                self.bias_ahead.fill(0.0);
                return self.evaluate(0.0);
            }
        };
        let mut direction = last.0.clone();
        direction.add(-1.0, &before.0);
        self.ahead.iter_mut().zip(&last.1).zip(&before.1).for_each(|((a, l), b)| *a = (l - b) as f32);
        self.bias_ahead.copy_from_slice(&direction.bias);
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

    fn solve(&mut self, c: f64, stopping: &Stopping, tolerance: Tolerance) -> Result<Solved, ProbeError> {
        let penalty = self.design.penalty(c, self.targets.penalty(c))?;
        let At { mut losses, bias, .. } = self.predict(penalty);
        let mut loss_gradient = self.backward(&bias);
        // Where classes are separable the loss bends as little as the penalty, and old pairs promise too little.
        let kept = if self.penalty <= FAR * penalty { MEMORY_KEPT } else { 0 };
        self.penalty = penalty;
        let stale = self.pairs.len().saturating_sub(kept);
        self.pairs.drain(..stale);
        self.pairs.iter_mut().for_each(|pair| pair.bend(penalty));
        let precondition = Preconditioner::new(self.design, &self.targets.curvature(&self.residual), penalty)?;
        let mut iterations = 0;
        let mut objectives: Vec<f64> = Vec::new();
        loop {
            let mut gradient = loss_gradient.clone();
            gradient.add_weight(penalty, &self.point);
            let direction = self.direction(&gradient, &precondition);
            let left = self.left(&losses, penalty, &gradient, &direction, stopping);
            let Left { objective, gain, enough, .. } = left;
            // Where progress is slow, the model promises too little: what the last iterations gained counts as well.
            let lately = objectives
                .len()
                .checked_sub(RECENT.max(iterations / 4))
                .map_or(0.0, |then| objectives[then] - objective);
            // So it does before it has learnt anything of the loss.
            let slow = lately > enough || self.pairs.len() < FEW;
            let within = left.worst <= if slow { 0.01 } else { 1.0 };
            objectives.push(objective);
            let mut solved = Solved { c, objective, gradient_norm: f64::NAN, iterations, converged: false };
            let stuck = iterations >= tolerance.iterations || gain.is_nan() || left.worst <= 1e-7;
            if within || stuck {
                let (of_size_one, norm) = self.norms(&gradient);
                let is_flat = of_size_one <= tolerance.gradient_per_row * self.design.rows as f64;
                if is_flat || stuck {
                    self.remember();
                    return Ok(Solved { gradient_norm: norm, converged: within && is_flat, ..solved });
                }
            }
            self.forward(&direction);
            let (step, at) = self.search(&direction, penalty, -2.0 * gain, 0.5);
            if step == 0.0 {
                if !self.pairs.is_empty() {
                    // What was learnt elsewhere may mislead; the factored Hessian alone does not.
                    self.pairs.clear();
                    objectives.pop();
                    continue;
                }
                solved.gradient_norm = self.norms(&gradient).1;
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
            (losses, loss_gradient) = (at.losses, after);
            iterations += 1;
        }
    }

    /// Solves stronger penalties on the way to a very weak one: from zero weights, a solver that follows separable classes
    /// stops where all probabilities are right, long before the weights are.
    fn come_from_strong_penalties(
        &mut self,
        c: f64,
        stopping: &Stopping,
        tolerance: Tolerance,
    ) -> Result<(), ProbeError> {
        let last = self.design.penalty(c, self.targets.penalty(c))?;
        let mut penalty = FIRST_ON_THE_WAY * self.design.rows as f64;
        while last < STRIDE * STRIDE * penalty {
            self.solve(c * last / penalty, stopping, tolerance)?;
            penalty *= STRIDE;
        }
        Ok(())
    }

    /// What a step along `direction` promises.
    fn left(&self, losses: &[f64], penalty: f64, gradient: &Point, direction: &Point, stopping: &Stopping) -> Left {
        let questions = losses.len();
        let (width, biases) = (self.point.weight.len() / questions, self.point.bias.len() / questions);
        let mut left = Left::default();
        for (q, loss) in losses.iter().enumerate() {
            let (weights, bias) = (q * width..(q + 1) * width, q * biases..(q + 1) * biases);
            let own = &self.point.weight[weights.clone()];
            let shrinkage = 0.5 * penalty * dot_f32(own, own);
            let slope = dot_f32(&gradient.weight[weights.clone()], &direction.weight[weights])
                + dot(&gradient.bias[bias.clone()], &direction.bias[bias.clone()]);
            let (gain, enough) = (-0.5 * slope, stopping.enough(q, *loss, shrinkage));
            left.objective += loss + shrinkage;
            left.gain += gain;
            left.enough += enough;
            if gain != 0.0 {
                left.worst = left.worst.max(gain.abs() / enough);
            }
            let moved = direction.bias[bias].iter().fold(0.0f64, |m, b| m.max(b.abs()));
            if moved != 0.0 {
                left.worst =
                    left.worst.max((moved / stopping.enough_of_intercepts(self.design.size_of_logits(own))).powi(2));
            }
        }
        left
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

    /// Largest derivative by a weight or an intercept: of centred features of size 1, and of the features as they were.
    fn norms(&self, gradient: &Point) -> (f64, f64) {
        let (classes, design) = (self.targets.classes(), self.design);
        let weight = design.to_features(&gradient.weight, classes);
        let mut largest = (0.0f64, 0.0f64);
        for (row, bias) in weight.chunks_exact(design.features()).zip(&gradient.bias) {
            largest = (largest.0.max(bias.abs()), largest.1.max(bias.abs()));
            for (v, mean) in row.iter().zip(&design.mean) {
                let derivative = f64::from(*v);
                largest.0 = largest.0.max(derivative.abs());
                largest.1 = largest.1.max((derivative * design.unit + mean * bias).abs());
            }
        }
        largest
    }
}

/// What is left to gain at a point.
#[derive(Default)]
struct Left {
    objective: f64,
    /// By the quadratic model, in all questions together.
    gain: f64,
    /// What may be left, in all questions together.
    enough: f64,
    /// The largest gain of a question, as a share of what may be left in it.
    worst: f64,
}
