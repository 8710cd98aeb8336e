//! Points of weights and intercepts, and the few operations that the solver needs on them.

use rayon::prelude::*;

/// K × D numbers and K of their own: weights with intercepts, or a gradient by them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    pub weight: Vec<f32>,
    pub bias: Vec<f64>,
}

/// Numbers of a piece of parallel work; sums are taken piece by piece in order, so they do not depend on threads.
const PIECE: usize = 1 << 14;

pub(crate) fn dot_f32(a: &[f32], b: &[f32]) -> f64 {
    let piece = |(a, b): (&[f32], &[f32])| {
        // Eight sums side by side, which the compiler keeps in vector registers.
        let mut sums = [0.0f64; 8];
        let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
        let rest: f64 = a.remainder().iter().zip(b.remainder()).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
        for (x, y) in a.zip(b) {
            for i in 0..8 {
                sums[i] += f64::from(x[i]) * f64::from(y[i]);
            }
        }
        sums.iter().sum::<f64>() + rest
    };
    let pieces: Vec<f64> = a.par_chunks(PIECE).zip(b.par_chunks(PIECE)).map(piece).collect();
    pieces.into_iter().sum()
}

impl Point {
    pub fn zero(classes: usize, dim: usize) -> Self {
        Self { weight: vec![0.0; classes * dim], bias: vec![0.0; classes] }
    }

    pub fn copy_from(&mut self, other: &Self) {
        self.weight.copy_from_slice(&other.weight);
        self.bias.copy_from_slice(&other.bias);
    }

    pub fn dot(&self, other: &Self) -> f64 {
        dot_f32(&self.weight, &other.weight) + self.bias.iter().zip(&other.bias).map(|(a, b)| a * b).sum::<f64>()
    }

    /// self += factor · other.
    pub fn add(&mut self, factor: f64, other: &Self) {
        let small = factor as f32;
        self.weight.par_chunks_mut(PIECE).zip(other.weight.par_chunks(PIECE)).for_each(|(a, b)| {
            a.iter_mut().zip(b).for_each(|(a, b)| *a += small * b);
        });
        self.bias.iter_mut().zip(&other.bias).for_each(|(a, b)| *a += factor * b);
    }

    /// self += factor · other in the weights alone: the gradient of a penalty.
    pub fn add_weight(&mut self, factor: f64, other: &Self) {
        let small = factor as f32;
        self.weight.par_chunks_mut(PIECE).zip(other.weight.par_chunks(PIECE)).for_each(|(a, b)| {
            a.iter_mut().zip(b).for_each(|(a, b)| *a += small * b);
        });
    }

    pub fn scale(&mut self, factor: f64) {
        let small = factor as f32;
        self.weight.par_chunks_mut(PIECE).for_each(|a| a.iter_mut().for_each(|a| *a *= small));
        self.bias.iter_mut().for_each(|a| *a *= factor);
    }
}
