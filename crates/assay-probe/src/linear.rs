//! A linear classifier.

use crate::design::Design;
use crate::loss::Targets;
use crate::products::{times, times_transposed, transposed_times};

/// Weights of a linear classifier: logits are `W x + b`.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// K × D.
    pub weight: Vec<f64>,
    /// K.
    pub bias: Vec<f64>,
}

/// Rows that are made double at a time.
const ROWS_AT_A_TIME: usize = 2048;

impl Linear {
    /// K.
    pub fn classes(&self) -> usize {
        self.bias.len()
    }

    /// D.
    pub fn dim(&self) -> usize {
        self.weight.len() / self.bias.len().max(1)
    }

    /// The classifier for features as they are, from one in a design's coordinates.
    pub fn to_features(&self, design: &Design) -> Self {
        let mut weight = match &design.axes {
            None => self.weight.clone(),
            Some(axes) => {
                let (k, d) = (self.classes(), design.features());
                let mut out = vec![0.0; k * d];
                times_transposed(&self.weight, &double(axes), &mut out, (k, d, design.dim));
                out
            }
        };
        weight.iter_mut().for_each(|w| *w /= design.unit);
        let bias = self.bias.iter().zip(weight.chunks_exact(design.features())).map(|(b, w)| b - dot(w, &design.mean));
        Self { bias: bias.collect(), weight }
    }

    /// The classifier in a design's coordinates, from one for features as they are.
    pub fn in_design(&self, design: &Design) -> Self {
        let bias =
            self.bias.iter().zip(self.weight.chunks_exact(design.features())).map(|(b, w)| b + dot(w, &design.mean));
        let mut weight = match &design.axes {
            None => self.weight.clone(),
            Some(axes) => {
                let (k, d) = (self.classes(), design.features());
                let mut out = vec![0.0; k * design.dim];
                times(&self.weight, &double(axes), &mut out, (k, design.dim, d));
                out
            }
        };
        weight.iter_mut().for_each(|w| *w *= design.unit);
        Self { bias: bias.collect(), weight }
    }

    /// N × K logits of N × D rows. They stay in double precision: under a strong penalty the intercepts would hide in
    /// single precision what the weights tell apart.
    ///
    /// # Panics
    /// When the rows do not have the classifier's dimension.
    pub fn logits(&self, rows: &[f32]) -> Vec<f64> {
        let (k, d) = (self.classes(), self.dim());
        assert!(d > 0 && rows.len().is_multiple_of(d), "features must have the dimension of the classifier");
        let mut logits = Vec::with_capacity(rows.len() / d * k);
        for block in rows.chunks(ROWS_AT_A_TIME * d) {
            logits.extend(self.block(block));
        }
        logits
    }

    /// The same with products in single precision: for comparing many classifiers.
    ///
    /// # Panics
    /// When the rows do not have the classifier's dimension.
    pub fn quick_logits(&self, rows: &[f32]) -> Vec<f64> {
        let (k, d) = (self.classes(), self.dim());
        assert!(d > 0 && rows.len().is_multiple_of(d), "features must have the dimension of the classifier");
        let weight: Vec<f32> = self.weight.iter().map(|v| *v as f32).collect();
        let n = rows.len() / d;
        let mut products = vec![0.0f32; n * k];
        times_transposed(rows, &weight, &mut products, (n, k, d));
        products.iter().zip(self.bias.iter().cycle()).map(|(p, b)| f64::from(*p) + b).collect()
    }

    fn block(&self, rows: &[f32]) -> Vec<f64> {
        let (k, d) = (self.classes(), self.dim());
        let n = rows.len() / d;
        let mut logits = vec![0.0; n * k];
        times_transposed(&double(rows), &self.weight, &mut logits, (n, k, d));
        logits.chunks_exact_mut(k).for_each(|row| row.iter_mut().zip(&self.bias).for_each(|(l, b)| *l += b));
        logits
    }

    /// Objective of logistic regression at this classifier and its largest derivative, all in double precision.
    ///
    /// # Panics
    /// When the features do not fit the classifier and the targets.
    pub fn objective(&self, features: &[f32], targets: &Targets, c: f64) -> (f64, f64) {
        let (k, d) = (self.classes(), self.dim());
        assert_eq!(features.len(), targets.rows() * d, "one target for each row");
        let penalty = targets.penalty(c);
        let mut gradient: Vec<f64> = self.weight.iter().map(|w| penalty * w).collect();
        let mut bias = vec![0.0; k];
        let mut objective = 0.5 * penalty * dot(&self.weight, &self.weight);
        for (i, block) in features.chunks(ROWS_AT_A_TIME * d).enumerate() {
            let from = i * ROWS_AT_A_TIME;
            let n = block.len() / d;
            let mut logits = self.block(block);
            let mut residual = vec![0.0; n * k];
            objective += targets.losses(from, &mut logits, &mut residual).iter().sum::<f64>();
            let mut part = vec![0.0; k * d];
            transposed_times(&residual, &double(block), &mut part, (k, d, n));
            gradient.iter_mut().zip(part).for_each(|(g, p)| *g += p);
            residual.chunks_exact(k).for_each(|row| bias.iter_mut().zip(row).for_each(|(b, r)| *b += r));
        }
        let largest = gradient.iter().chain(&bias).fold(0.0f64, |m, v| m.max(v.abs()));
        (objective, largest)
    }
}

pub(crate) fn double(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
