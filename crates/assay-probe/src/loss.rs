//! The losses of logistic regression as functions of the logits.

use rayon::prelude::*;

use crate::ProbeError;
use crate::exp::exp_nonpositive;

/// Targets that the rows should be taken for.
#[derive(Clone, Debug)]
pub enum Targets {
    /// One class for each row: softmax over K classes.
    Classes {
        /// Class of each row.
        labels: Vec<u32>,
        /// K.
        classes: usize,
    },
    /// K independent yes-or-no questions for each row: N × K.
    MultiLabel {
        /// Answers, row by row.
        marks: Vec<bool>,
        /// K.
        classes: usize,
    },
}

impl Targets {
    /// K.
    pub fn classes(&self) -> usize {
        match self {
            Self::Classes { classes, .. } | Self::MultiLabel { classes, .. } => *classes,
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Self::Classes { labels, .. } => labels.len(),
            Self::MultiLabel { marks, classes } => marks.len() / (*classes).max(1),
        }
    }

    /// Tells whether a row is of a class.
    pub(crate) fn is(&self, row: usize, class: usize) -> bool {
        match self {
            Self::Classes { labels, .. } => labels[row] as usize == class,
            Self::MultiLabel { marks, classes } => marks[row * classes + class],
        }
    }

    /// The factor of ½‖W‖² for a value of C: 1/C, and 1/2C for yes-or-no questions, which are fitted as softmax regression
    /// over two classes fits them (binary logistic regression with C′ = 2C).
    pub fn penalty(&self, c: f64) -> f64 {
        match self {
            Self::Classes { .. } => 1.0 / c,
            Self::MultiLabel { .. } => 0.5 / c,
        }
    }

    /// Looks whether something can be learnt from them.
    ///
    /// # Errors
    /// When a label is out of range, there is one class only, or a question has the same answer for every row.
    pub fn check(&self) -> Result<(), ProbeError> {
        match self {
            Self::Classes { labels, classes } => {
                if let Some(row) = labels.iter().position(|l| *l as usize >= *classes) {
                    return Err(ProbeError::LabelOutOfRange { row, label: labels[row], classes: *classes });
                }
                match labels.first() {
                    None => Err(ProbeError::NoRows),
                    Some(first) if labels.iter().all(|l| l == first) => Err(ProbeError::OneClass { class: *first }),
                    Some(_) => Ok(()),
                }
            }
            Self::MultiLabel { marks, classes } => {
                for class in 0..*classes {
                    let mut column = marks.iter().skip(class).step_by(*classes);
                    let Some(first) = column.next() else { return Err(ProbeError::NoRows) };
                    if column.all(|m| m == first) {
                        return Err(ProbeError::OneAnswer { class: class as u32, answer: *first });
                    }
                }
                Ok(())
            }
        }
    }

    /// Number of functions that the objective is the sum of and that share no weight: one softmax, or a question each.
    pub(crate) fn questions(&self) -> usize {
        match self {
            Self::Classes { .. } => 1,
            Self::MultiLabel { classes, .. } => *classes,
        }
    }

    /// Rows of each class, or with the answer yes to each question.
    pub(crate) fn counts(&self) -> Vec<f64> {
        let mut counts = vec![0.0f64; self.classes()];
        match self {
            Self::Classes { labels, .. } => labels.iter().for_each(|l| counts[*l as usize] += 1.0),
            Self::MultiLabel { marks, classes } => {
                marks.chunks_exact(*classes).for_each(|row| {
                    counts.iter_mut().zip(row).for_each(|(c, m)| *c += f64::from(u8::from(*m)));
                });
            }
        }
        counts
    }

    /// Intercepts that are best when all weights are zero; every class has rows.
    pub(crate) fn intercepts(&self) -> Vec<f64> {
        let (rows, counts) = (self.rows() as f64, self.counts());
        match self {
            Self::Classes { .. } => {
                let logs: Vec<f64> = counts.iter().map(|c| (c / rows).ln()).collect();
                let mean = logs.iter().sum::<f64>() / logs.len() as f64;
                logs.into_iter().map(|l| l - mean).collect()
            }
            Self::MultiLabel { .. } => counts.into_iter().map(|c| (c / (rows - c)).ln()).collect(),
        }
    }

    /// Loss of each question when all weights are zero and intercepts are best: the entropy of the targets.
    pub(crate) fn losses_without_weights(&self) -> Vec<f64> {
        let rows = self.rows() as f64;
        let part = |count: f64| if count > 0.0 { -count * (count / rows).ln() } else { 0.0 };
        match self {
            Self::Classes { .. } => vec![self.counts().into_iter().map(part).sum()],
            Self::MultiLabel { .. } => self.counts().into_iter().map(|c| part(c) + part(rows - c)).collect(),
        }
    }
}

/// Logits along a line: `base + step · direction`, N × K, to which intercepts come. Apart from them, logits of small weights
/// keep their digits.
#[derive(Clone, Copy)]
pub(crate) struct Line<'a> {
    pub base: &'a [f64],
    pub direction: &'a [f32],
    /// Intercepts at the beginning of the line, and how they change along it.
    pub bias: &'a [f64],
    pub bias_direction: &'a [f64],
    pub step: f64,
}

/// The loss at a point of a line.
#[derive(Clone, Debug, Default)]
pub(crate) struct At {
    /// Σ of the rows' losses, for each question.
    pub losses: Vec<f64>,
    /// Derivative of the loss along the line.
    pub slope: f64,
    /// Derivatives of the loss by the intercepts: Σ of the rows' residuals.
    pub bias: Vec<f64>,
}

/// Rows of a piece of parallel work; sums are taken piece by piece in order, so they do not depend on threads.
const PIECE: usize = 128;

impl Targets {
    /// Loss at a point of a line; `residual` becomes the derivative by the logits.
    pub(crate) fn evaluate(&self, line: Line<'_>, residual: &mut [f32]) -> At {
        let (classes, questions) = (self.classes(), self.questions());
        let zero = || At { losses: vec![0.0; questions], slope: 0.0, bias: vec![0.0; classes] };
        let bias: Vec<f64> = line.bias.iter().zip(line.bias_direction).map(|(b, d)| b + line.step * d).collect();
        let pieces = residual.par_chunks_mut(PIECE * classes).enumerate().map(|(piece, residual)| {
            let mut buffer = vec![0.0; classes];
            let mut at = zero();
            for (i, residual) in residual.chunks_exact_mut(classes).enumerate() {
                let row = piece * PIECE + i;
                let base = &line.base[row * classes..][..classes];
                let direction = &line.direction[row * classes..][..classes];
                for (((b, base), direction), bias) in buffer.iter_mut().zip(base).zip(direction).zip(&bias) {
                    *b = base + line.step * f64::from(*direction) + bias;
                }
                match self {
                    Self::Classes { labels, .. } => at.losses[0] += softmax(&mut buffer, labels[row] as usize),
                    Self::MultiLabel { marks, .. } => {
                        sigmoid(&mut buffer, &marks[row * classes..][..classes], &mut at.losses);
                    }
                }
                for (((r, d), out), sum) in buffer.iter().zip(direction).zip(residual).zip(&mut at.bias) {
                    at.slope += r * f64::from(*d);
                    *out = *r as f32;
                    *sum += r;
                }
            }
            at
        });
        let pieces: Vec<At> = pieces.collect();
        let mut at = pieces.into_iter().fold(zero(), |mut sum, piece| {
            sum.losses.iter_mut().zip(piece.losses).for_each(|(s, l)| *s += l);
            sum.slope += piece.slope;
            sum.bias.iter_mut().zip(piece.bias).for_each(|(s, b)| *s += b);
            sum
        });
        at.slope += at.bias.iter().zip(line.bias_direction).map(|(b, d)| b * d).sum::<f64>();
        at
    }

    /// Losses of each question, with residuals in double precision; logits are
    /// used up. `first` is the number of the first row.
    pub(crate) fn losses(&self, first: usize, logits: &mut [f64], residual: &mut [f64]) -> Vec<f64> {
        let classes = self.classes();
        let mut losses = vec![0.0; self.questions()];
        for (i, logits) in logits.chunks_exact_mut(classes).enumerate() {
            let row = first + i;
            match self {
                Self::Classes { labels, .. } => losses[0] += softmax(logits, labels[row] as usize),
                Self::MultiLabel { marks, .. } => {
                    sigmoid(logits, &marks[row * classes..][..classes], &mut losses);
                }
            }
        }
        residual.copy_from_slice(logits);
        losses
    }

    /// Mean over rows of the second derivative by the logits, from the residuals: K × K for a softmax, and only its diagonal
    /// for separate questions.
    pub(crate) fn curvature(&self, residual: &[f32]) -> Curvature {
        let (rows, classes) = (self.rows() as f64, self.classes());
        match self {
            Self::MultiLabel { .. } => {
                let mut diagonal = vec![0.0; classes];
                for row in residual.chunks_exact(classes) {
                    // |r| is the probability of the wrong answer.
                    diagonal.iter_mut().zip(row).for_each(|(d, r)| {
                        let wrong = f64::from(r.abs());
                        *d += wrong * (1.0 - wrong) / rows;
                    });
                }
                Curvature::Diagonal(diagonal)
            }
            Self::Classes { labels, .. } => {
                let mut probability = residual.to_vec();
                for (row, label) in probability.chunks_exact_mut(classes).zip(labels) {
                    row[*label as usize] += 1.0;
                }
                let mut products = vec![0.0f32; classes * classes];
                crate::products::transposed_times(
                    &probability,
                    &probability,
                    &mut products,
                    (classes, classes, self.rows()),
                );
                // diag(Σ p) − Σ p pᵀ, with the diagonal from the other entries of its row, which sum to it without cancelling.
                let lower =
                    |at: usize| products[(at / classes).max(at % classes) * classes + (at / classes).min(at % classes)];
                let mut matrix: Vec<f64> = (0..classes * classes).map(|at| -f64::from(lower(at)) / rows).collect();
                for k in 0..classes {
                    matrix[k * classes + k] = 0.0;
                    let others: f64 = matrix[k * classes..][..classes].iter().sum();
                    matrix[k * classes + k] = -others;
                }
                Curvature::Full(matrix)
            }
        }
    }
}

/// Mean second derivative of the loss by the logits.
pub(crate) enum Curvature {
    Diagonal(Vec<f64>),
    Full(Vec<f64>),
}

/// Logits become residuals p − y; returns −log p of the label. Nothing is subtracted from 1, so that rows that are almost
/// certain keep their small numbers.
fn softmax(logits: &mut [f64], label: usize) -> f64 {
    let mut top = 0;
    for (k, v) in logits.iter().enumerate() {
        if *v > logits[top] {
            top = k;
        }
    }
    let (best, own) = (logits[top], logits[label]);
    logits.iter_mut().for_each(|v| *v = exp_nonpositive(*v - best));
    logits[top] = 0.0;
    let others: f64 = logits.iter().sum();
    logits[top] = 1.0;
    let scale = 1.0 / (1.0 + others);
    logits.iter_mut().for_each(|v| *v *= scale);
    if top == label {
        logits[label] = -others * scale;
    } else {
        logits[label] -= 1.0;
    }
    others.ln_1p() + (best - own)
}

/// Logits become residuals σ(z) − y; −log of the probability of the right answer is added to the loss of each question.
fn sigmoid(logits: &mut [f64], marks: &[bool], losses: &mut [f64]) {
    for ((z, mark), loss) in logits.iter_mut().zip(marks).zip(losses) {
        let small = exp_nonpositive(-z.abs());
        let right = (*z > 0.0) == *mark;
        let (near, far) = (small / (1.0 + small), 1.0 / (1.0 + small));
        *loss += small.ln_1p() + if right { 0.0 } else { z.abs() };
        let wrong = if right { near } else { far };
        *z = if *mark { -wrong } else { wrong };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn residuals_are_derivatives() {
        let logits = [0.3, -1.2, 2.0, 0.1, 0.0, -0.5];
        let cases = [
            Targets::Classes { labels: vec![2, 0], classes: 3 },
            Targets::MultiLabel { marks: vec![true, false, false, false, true, true], classes: 3 },
        ];
        for targets in cases {
            let value = |logits: &[f64]| {
                let zero = [0.0f32; 6];
                let mut residual = [0.0; 6];
                let line =
                    Line { base: logits, direction: &zero, bias: &[0.0; 3], bias_direction: &[0.0; 3], step: 0.0 };
                (targets.evaluate(line, &mut residual).losses.iter().sum::<f64>(), residual)
            };
            let (_, residual) = value(&logits);
            for i in 0..6 {
                let mut moved = logits;
                moved[i] += 1e-6;
                let up = value(&moved).0;
                moved[i] -= 2e-6;
                let slope = (up - value(&moved).0) / 2e-6;
                assert!((slope - f64::from(residual[i])).abs() < 1e-6, "{targets:?} at {i}");
            }
        }
    }

    #[test]
    fn certain_rows_keep_their_digits() {
        let mut logits = [80.0, 0.0];
        let loss = softmax(&mut logits, 0);
        assert!((loss / (-80f64).exp() - 1.0).abs() < 1e-12 && (logits[0] / -(-80f64).exp() - 1.0).abs() < 1e-12);
        let (mut logits, mut losses) = ([80.0], [0.0]);
        sigmoid(&mut logits, &[true], &mut losses);
        assert!((losses[0] / (-80f64).exp() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn targets_from_which_nothing_can_be_learnt_are_refused() {
        let classes = |labels: &[u32]| Targets::Classes { labels: labels.to_vec(), classes: 3 }.check();
        assert_eq!(classes(&[0, 3]), Err(ProbeError::LabelOutOfRange { row: 1, label: 3, classes: 3 }));
        assert_eq!(classes(&[1, 1]), Err(ProbeError::OneClass { class: 1 }));
        assert_eq!(classes(&[]), Err(ProbeError::NoRows));
        let marks = Targets::MultiLabel { marks: vec![true, false, false, false], classes: 2 };
        assert_eq!(marks.check(), Err(ProbeError::OneAnswer { class: 1, answer: false }));
    }
}
