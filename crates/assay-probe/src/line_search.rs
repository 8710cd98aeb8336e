//! The line search of Moré and Thuente (1994), as `dcsrch` of MINPACK-2 carries it out: a step that satisfies a sufficient
//! decrease and a curvature condition, asked for one evaluation at a time.

/// Tolerances that L-BFGS-B uses: sufficient decrease, curvature, relative width of the interval.
const DECREASE: f64 = 1e-3;
const CURVATURE: f64 = 0.9;
const WIDTH: f64 = 0.1;
const LARGEST: f64 = 1e10;
/// Bounds of an extrapolation, in multiples of the last progress.
const EXTRAPOLATE: (f64, f64) = (1.1, 4.0);

/// An end of the interval: step, value, slope.
#[derive(Clone, Copy)]
struct End {
    step: f64,
    value: f64,
    slope: f64,
}

/// A search in progress.
pub(crate) struct LineSearch {
    start: End,
    best: End,
    other: End,
    bracketed: bool,
    first_stage: bool,
    low: f64,
    high: f64,
    width: f64,
    width_before: f64,
    /// The step to evaluate next.
    pub step: f64,
}

/// Advice on what to do after an evaluation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Evaluate at the new `step`.
    Evaluate,
    /// The step is good, or no better one can be found.
    Done,
}

impl LineSearch {
    /// From `value` with derivative `slope` < 0 at step 0, trying `step` first.
    pub fn new(value: f64, slope: f64, step: f64) -> Self {
        let start = End { step: 0.0, value, slope };
        Self {
            start,
            best: start,
            other: start,
            bracketed: false,
            first_stage: true,
            low: 0.0,
            high: step + EXTRAPOLATE.1 * step,
            width: LARGEST,
            width_before: 2.0 * LARGEST,
            step,
        }
    }

    /// Takes the value and the derivative at `step`.
    pub fn tell(&mut self, value: f64, slope: f64) -> Advice {
        let wanted = DECREASE * self.start.slope;
        let line = self.start.value + self.step * wanted;
        if self.first_stage && value <= line && slope >= 0.0 {
            self.first_stage = false;
        }
        let no_room = self.bracketed && (self.step <= self.low || self.step >= self.high);
        let narrow = self.bracketed && self.high - self.low <= WIDTH * self.high;
        let at_the_end = self.step >= LARGEST && value <= line && slope <= wanted;
        let good = value <= line && slope.abs() <= CURVATURE * -self.start.slope;
        if no_room || narrow || at_the_end || good {
            return Advice::Done;
        }
        let now = End { step: self.step, value, slope };
        if self.first_stage && value <= self.best.value && value > line {
            // In the first stage the search is for a step that decreases an auxiliary function: the value less the line.
            let tilt = |e: End| End { value: e.value - e.step * wanted, slope: e.slope - wanted, ..e };
            let untilt = |e: End| End { value: e.value + e.step * wanted, slope: e.slope + wanted, ..e };
            let (mut best, mut other) = (tilt(self.best), tilt(self.other));
            self.step = trial(&mut best, &mut other, tilt(now), &mut self.bracketed, self.low, self.high);
            (self.best, self.other) = (untilt(best), untilt(other));
        } else {
            self.step = trial(&mut self.best, &mut self.other, now, &mut self.bracketed, self.low, self.high);
        }
        if self.bracketed {
            let width = (self.other.step - self.best.step).abs();
            if width >= 0.66 * self.width_before {
                self.step = self.best.step + 0.5 * (self.other.step - self.best.step);
            }
            (self.width_before, self.width) = (self.width, width);
            self.low = self.best.step.min(self.other.step);
            self.high = self.best.step.max(self.other.step);
        } else {
            self.low = self.step + EXTRAPOLATE.0 * (self.step - self.best.step);
            self.high = self.step + EXTRAPOLATE.1 * (self.step - self.best.step);
        }
        self.step = self.step.clamp(0.0, LARGEST);
        let closed = self.bracketed
            && (self.step <= self.low || self.step >= self.high || self.high - self.low <= WIDTH * self.high);
        if closed {
            self.step = self.best.step;
        }
        Advice::Evaluate
    }
}

/// The safeguarded cubic and quadratic steps of `dcstep`: moves the interval and returns the next trial.
fn trial(best: &mut End, other: &mut End, now: End, bracketed: &mut bool, low: f64, high: f64) -> f64 {
    let opposite = now.slope * best.slope.signum() < 0.0;
    let theta = 3.0 * (best.value - now.value) / (now.step - best.step) + best.slope + now.slope;
    let scale = theta.abs().max(best.slope.abs()).max(now.slope.abs());
    let root = |inside: f64| scale * inside.sqrt();
    let discriminant = (theta / scale).powi(2) - (best.slope / scale) * (now.slope / scale);
    let secant = now.step + now.slope / (now.slope - best.slope) * (best.step - now.step);
    let next;
    if now.value > best.value {
        // Higher: a minimum lies between.
        let gamma = root(discriminant) * if now.step < best.step { -1.0 } else { 1.0 };
        let r = ((gamma - best.slope) + theta) / (((gamma - best.slope) + gamma) + now.slope);
        let cubic = best.step + r * (now.step - best.step);
        let chord = (best.value - now.value) / (now.step - best.step) + best.slope;
        let quadratic = best.step + best.slope / chord / 2.0 * (now.step - best.step);
        let nearer = (cubic - best.step).abs() < (quadratic - best.step).abs();
        next = if nearer { cubic } else { cubic + (quadratic - cubic) / 2.0 };
        *bracketed = true;
    } else if opposite {
        // Lower, and past a minimum.
        let gamma = root(discriminant) * if now.step > best.step { -1.0 } else { 1.0 };
        let r = ((gamma - now.slope) + theta) / (((gamma - now.slope) + gamma) + best.slope);
        let cubic = now.step + r * (best.step - now.step);
        next = if (cubic - now.step).abs() > (secant - now.step).abs() { cubic } else { secant };
        *bracketed = true;
    } else if now.slope.abs() < best.slope.abs() {
        // Lower, and flatter.
        let gamma = root(discriminant.max(0.0)) * if now.step > best.step { -1.0 } else { 1.0 };
        let r = ((gamma - now.slope) + theta) / ((gamma + (best.slope - now.slope)) + gamma);
        let cubic = if r < 0.0 && gamma != 0.0 {
            now.step + r * (best.step - now.step)
        } else if now.step > best.step {
            high
        } else {
            low
        };
        let cubic_is_nearer = (cubic - now.step).abs() < (secant - now.step).abs();
        next = if *bracketed {
            let chosen = if cubic_is_nearer { cubic } else { secant };
            let bound = now.step + 0.66 * (other.step - now.step);
            if now.step > best.step { chosen.min(bound) } else { chosen.max(bound) }
        } else {
            (if cubic_is_nearer { secant } else { cubic }).clamp(low, high)
        };
    } else if *bracketed {
        // Lower, and steeper.
        let theta = 3.0 * (now.value - other.value) / (other.step - now.step) + other.slope + now.slope;
        let scale = theta.abs().max(other.slope.abs()).max(now.slope.abs());
        let inside = (theta / scale).powi(2) - (other.slope / scale) * (now.slope / scale);
        let gamma = scale * inside.sqrt() * if now.step > other.step { -1.0 } else { 1.0 };
        let r = ((gamma - now.slope) + theta) / (((gamma - now.slope) + gamma) + other.slope);
        next = now.step + r * (other.step - now.step);
    } else {
        next = if now.step > best.step { high } else { low };
    }
    if now.value > best.value {
        *other = now;
    } else {
        if opposite {
            *other = *best;
        }
        *best = now;
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Functions (5.1) and (5.2) of the paper; the values reached are those of `scipy.optimize._dcsrch.DCSRCH`.
    #[test]
    fn it_ends_where_scipys_search_ends() {
        let first = |a: f64| (-a / (a * a + 2.0), (a * a - 2.0) / (a * a + 2.0).powi(2));
        let second = |a: f64| {
            let b = a + 0.004;
            (b.powi(5) - 2.0 * b.powi(4), 5.0 * b.powi(4) - 8.0 * b.powi(3))
        };
        let reached = |function: &dyn Fn(f64) -> (f64, f64), start: f64| {
            let (value, slope) = function(0.0);
            let mut search = LineSearch::new(value, slope, start);
            for _ in 0..20 {
                let (value, slope) = function(search.step);
                if search.tell(value, slope) == Advice::Done {
                    return value;
                }
            }
            f64::NAN
        };
        let starts = [1e-3, 0.1, 10.0, 1000.0];
        let expected = [-0.16113172116557303, -0.2222222222222222, -0.09803921568627451, -0.02706958794345554];
        for (start, expected) in starts.into_iter().zip(expected) {
            let found = reached(&first, start);
            assert!((found - expected).abs() < 1e-12, "{start}: {found}");
        }
        let expected = [-2.6214142874236774, -2.621016072243515, -2.6186380179972755, -2.6214305795519888];
        for (start, expected) in starts.into_iter().zip(expected) {
            let found = reached(&second, start);
            assert!((found - expected).abs() < 1e-9, "{start}: {found}");
        }
    }
}
