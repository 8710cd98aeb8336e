//! Logistic regression as the study's code fits it: not to convergence.

use std::collections::VecDeque;

use crate::ProbeError;
use crate::line_search::{Advice, LineSearch};
use crate::linear::{Linear, dot, double};
use crate::loss::Targets;
use crate::path::Solved;
use crate::products::{times_transposed, transposed_times};
use crate::targets::Present;

/// Settings of `scipy.optimize.minimize(method="L-BFGS-B")` as scikit-learn 0.22 calls it.
const MEMORY: usize = 10;
const GRADIENT: f64 = 1e-4;
/// Share of the largest derivative without weights below which a solution is reported as converged.
const RELATIVE_GRADIENT: f64 = 1e-3;
const RELATIVE_DECREASE: f64 = 2.220_446_049_250_313e-9;
const ITERATIONS: usize = 100;
const EVALUATIONS_EACH: usize = 20;

/// Fits each C of `grid` in the order it has, each from where the last one ended: L-BFGS with ten pairs, at most 100
/// iterations, until the largest derivative of the *sum* of losses is 10⁻⁴. That is `LogisticRegression(solver="lbfgs",
/// max_iter=100, warm_start=True)` of scikit-learn 0.22.2, which under-fits weak penalties. Everything is in double precision
/// and in the coordinates of the features; questions are fitted one by one, in step.
///
/// # Errors
/// When nothing can be learnt from the targets, a C is not positive, or `each` fails.
pub fn solve_like_scikit_learn<E: From<ProbeError>>(
    features: &[f32],
    dim: usize,
    targets: &Targets,
    grid: &[f64],
    start: Option<&Linear>,
    each: &mut dyn FnMut(usize, &Linear, Solved) -> Result<(), E>,
) -> Result<(), E> {
    targets.check()?;
    if features.len() != targets.rows() * dim {
        return Err(ProbeError::Lengths { features: features.len() / dim.max(1), targets: targets.rows() }.into());
    }
    let values = double(features);
    let present = Present::of(targets);
    let (targets, start) = (&present.targets, start.map(|start| present.take(start)));
    let classes = targets.classes();
    let wide = dim + 1;
    let mut at = vec![0.0; classes * wide];
    if let Some(start) = start {
        for (k, row) in at.chunks_exact_mut(wide).enumerate() {
            row[..dim].copy_from_slice(&start.weight[k * dim..][..dim]);
            row[dim] = start.bias[k];
        }
    }
    for (i, c) in grid.iter().enumerate() {
        if !(*c > 0.0 && c.is_finite()) {
            return Err(ProbeError::NotPositive { c: *c }.into());
        }
        let problem = Problem { values: &values, dim, targets, penalty: targets.penalty(*c) };
        let (objective, gradient_norm, iterations, converged) = problem.minimize(&mut at, targets.questions());
        let weight = at.chunks_exact(wide).flat_map(|row| row[..dim].to_vec()).collect();
        let bias = at.chunks_exact(wide).map(|row| row[dim]).collect();
        each(
            i,
            &present.all(Linear { weight, bias }),
            Solved { c: *c, objective, gradient_norm, iterations, converged },
        )?;
    }
    Ok(())
}

struct Problem<'a> {
    values: &'a [f64],
    dim: usize,
    targets: &'a Targets,
    penalty: f64,
}

impl Problem<'_> {
    /// Value of each lane and gradient of all at `x`, K × (D + 1) with the intercept last.
    fn evaluate(&self, x: &[f64], lanes: usize) -> (Vec<f64>, Vec<f64>) {
        let (n, k, d) = (self.targets.rows(), self.targets.classes(), self.dim);
        let weight: Vec<f64> = x.chunks_exact(d + 1).flat_map(|row| row[..d].to_vec()).collect();
        let mut logits = vec![0.0; n * k];
        times_transposed(self.values, &weight, &mut logits, (n, k, d));
        for row in logits.chunks_exact_mut(k) {
            row.iter_mut().enumerate().for_each(|(j, l)| *l += x[j * (d + 1) + d]);
        }
        let mut residual = vec![0.0; n * k];
        let mut values = self.targets.losses(0, &mut logits, &mut residual);
        let mut along = vec![0.0; k * d];
        transposed_times(&residual, self.values, &mut along, (k, d, n));
        let mut gradient = vec![0.0; k * (d + 1)];
        for j in 0..k {
            let (w, g) = (&x[j * (d + 1)..][..d], &mut gradient[j * (d + 1)..][..d + 1]);
            values[if lanes == 1 { 0 } else { j }] += 0.5 * self.penalty * w.iter().map(|v| v * v).sum::<f64>();
            for i in 0..d {
                g[i] = along[j * d + i] + self.penalty * w[i];
            }
            g[d] = (0..n).map(|i| residual[i * k + j]).sum();
        }
        (values, gradient)
    }

    /// Minimises every lane from `x`, in place: objective, largest derivative, most iterations, and whether every lane has
    /// come to its minimum.
    fn minimize(&self, x: &mut [f64], lanes: usize) -> (f64, f64, usize, bool) {
        let width = x.len() / lanes;
        let without_weights = self.slopes_without_weights(lanes);
        let (values, gradient) = self.evaluate(x, lanes);
        let mut all: Vec<Lane> = (0..lanes)
            .map(|i| Lane::new(&x[i * width..][..width], values[i], &gradient[i * width..][..width]))
            .collect();
        while all.iter().any(|lane| !lane.done) {
            for (lane, x) in all.iter().zip(x.chunks_exact_mut(width)) {
                x.copy_from_slice(&lane.trial());
            }
            let (values, gradient) = self.evaluate(x, lanes);
            for (i, lane) in all.iter_mut().enumerate() {
                lane.tell(values[i], &gradient[i * width..][..width]);
            }
        }
        for (lane, x) in all.iter().zip(x.chunks_exact_mut(width)) {
            x.copy_from_slice(&lane.x);
        }
        let largest = all.iter().map(|l| largest(&l.gradient)).fold(0.0, f64::max);
        let iterations = all.iter().map(|l| l.iterations).max().unwrap_or_default();
        let converged = all.iter().zip(without_weights).all(|(l, slope)| l.is_at_minimum(slope));
        (all.iter().map(|l| l.value).sum(), largest, iterations, converged)
    }

    /// Largest derivative of every lane where weights are zero and intercepts best.
    fn slopes_without_weights(&self, lanes: usize) -> Vec<f64> {
        let mut x = vec![0.0; self.targets.classes() * (self.dim + 1)];
        for (row, bias) in x.chunks_exact_mut(self.dim + 1).zip(self.targets.intercepts()) {
            row[self.dim] = bias;
        }
        let gradient = self.evaluate(&x, lanes).1;
        gradient.chunks_exact(gradient.len() / lanes).map(largest).collect()
    }
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |m, v| m.max(v.abs()))
}

/// One minimisation, told one evaluation at a time.
struct Lane {
    x: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
    direction: Vec<f64>,
    /// Steps and changes of the gradient with 1 / their product.
    pairs: VecDeque<(Vec<f64>, Vec<f64>, f64)>,
    search: LineSearch,
    slope: f64,
    evaluations: usize,
    iterations: usize,
    done: bool,
}

impl Lane {
    fn new(x: &[f64], value: f64, gradient: &[f64]) -> Self {
        let mut lane = Self {
            x: x.to_vec(),
            value,
            gradient: gradient.to_vec(),
            direction: Vec::new(),
            pairs: VecDeque::new(),
            search: LineSearch::new(value, -1.0, 1.0),
            slope: 0.0,
            evaluations: 0,
            iterations: 0,
            done: largest(gradient) <= GRADIENT,
        };
        lane.set_out();
        lane
    }

    /// True where the method's own rule holds, and what it asks for is little beside what the weights have to do: the largest
    /// derivative without weights is `slope`. By its own rule alone the method takes any start for the minimum when
    /// penalties are strong.
    fn is_at_minimum(&self, slope: f64) -> bool {
        largest(&self.gradient) <= GRADIENT.min(RELATIVE_GRADIENT * slope)
    }

    /// The point to evaluate next.
    fn trial(&self) -> Vec<f64> {
        if self.done {
            return self.x.clone();
        }
        self.x.iter().zip(&self.direction).map(|(x, d)| x + self.search.step * d).collect()
    }

    /// Chooses a direction and begins a search along it.
    fn set_out(&mut self) {
        let mut d: Vec<f64> = self.gradient.iter().map(|g| -g).collect();
        let mut factors = Vec::with_capacity(self.pairs.len());
        for (s, y, rho) in self.pairs.iter().rev() {
            let a = rho * dot(s, &d);
            d.iter_mut().zip(y).for_each(|(d, y)| *d -= a * y);
            factors.push(a);
        }
        if let Some((_, y, rho)) = self.pairs.back() {
            let scale = 1.0 / (rho * dot(y, y));
            d.iter_mut().for_each(|d| *d *= scale);
        }
        for ((s, y, rho), a) in self.pairs.iter().zip(factors.into_iter().rev()) {
            let b = rho * dot(y, &d);
            d.iter_mut().zip(s).for_each(|(d, s)| *d += (a - b) * s);
        }
        self.slope = dot(&self.gradient, &d);
        let first = if self.iterations == 0 { (1.0 / dot(&d, &d).sqrt()).min(1e10) } else { 1.0 };
        self.search = LineSearch::new(self.value, self.slope, first);
        self.direction = d;
        self.evaluations = 0;
    }

    fn tell(&mut self, value: f64, gradient: &[f64]) {
        if self.done {
            return;
        }
        let slope = dot(gradient, &self.direction);
        self.evaluations += 1;
        if self.search.tell(value, slope) == Advice::Evaluate {
            // A search that finds nothing ends the minimisation where it is.
            self.done = self.evaluations >= EVALUATIONS_EACH;
            return;
        }
        let step = self.search.step;
        let before = self.value;
        let moved: Vec<f64> = self.direction.iter().map(|d| step * d).collect();
        let change: Vec<f64> = gradient.iter().zip(&self.gradient).map(|(a, b)| a - b).collect();
        self.x = self.trial();
        (self.value, self.gradient) = (value, gradient.to_vec());
        self.iterations += 1;
        let flat = (before - value) <= RELATIVE_DECREASE * before.abs().max(value.abs()).max(1.0);
        if largest(gradient) <= GRADIENT || flat || self.iterations >= ITERATIONS {
            self.done = true;
            return;
        }
        let bent = dot(&moved, &change);
        if bent > f64::EPSILON * -self.slope * step {
            self.pairs.push_back((moved, change, 1.0 / bent));
            if self.pairs.len() > MEMORY {
                self.pairs.pop_front();
            }
        }
        self.set_out();
    }
}
