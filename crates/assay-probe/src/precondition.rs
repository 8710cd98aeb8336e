//! An approximate inverse of the Hessian.

use faer::{Mat, Side};

use crate::ProbeError;
use crate::design::Design;
use crate::loss::Curvature;
use crate::products::{times, transposed_times};
use crate::vectors::Point;

/// (S ⊗ Λ + λI)⁻¹, where S is the mean curvature of the loss by the logits and Λ the scatter of the features: exact where
/// the two do not depend on each other (the factoring of K-FAC, Martens and Grosse 2015). Intercepts have n · S alone.
pub(crate) struct Preconditioner {
    classes: usize,
    dim: usize,
    /// K × K, a column for each eigenvector of S; none where S is diagonal.
    vectors: Option<Vec<f64>>,
    vectors_f32: Vec<f32>,
    /// K × D, 1 / (s Λ + λ).
    weight: Vec<f32>,
    /// 1 / (n s).
    bias: Vec<f64>,
}

impl Preconditioner {
    pub fn new(design: &Design, curvature: &Curvature, penalty: f64) -> Result<Self, ProbeError> {
        let (vectors, values) = match curvature {
            Curvature::Diagonal(values) => (None, values.clone()),
            Curvature::Full(matrix) => {
                let (vectors, values) = axes_of_classes(matrix)?;
                (Some(vectors), values)
            }
        };
        let (classes, rows) = (values.len(), design.rows as f64);
        // Along the direction that adds the same to all classes a softmax is flat, and its gradient is nothing but rounding.
        let along = |s: f64, l: f64, penalty: f64| if s < 0.0 { 0.0 } else { 1.0 / (s * l + penalty) };
        let weight = values.iter().flat_map(|s| design.scatter.iter().map(move |l| along(*s, *l, penalty) as f32));
        let least = 1e-12 * values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let bias = values.iter().map(|s| along(s.max(least).copysign(*s), rows, 0.0)).collect();
        let vectors_f32 = vectors.iter().flatten().map(|v| *v as f32).collect();
        Ok(Self { classes, dim: design.dim, vectors, vectors_f32, weight: weight.collect(), bias })
    }

    pub fn apply(&self, point: &Point) -> Point {
        let (k, d) = (self.classes, self.dim);
        let mut out = Point::zero(k, d);
        let mut turned = vec![0.0f32; k * d];
        match &self.vectors {
            None => {
                turned.copy_from_slice(&point.weight);
                out.bias.iter_mut().zip(&point.bias).zip(&self.bias).for_each(|((o, b), s)| *o = b * s);
            }
            Some(vectors) => {
                transposed_times(&self.vectors_f32, &point.weight, &mut turned, (k, d, k));
                for (j, scale) in self.bias.iter().enumerate() {
                    let along: f64 = (0..k).map(|i| vectors[i * k + j] * point.bias[i]).sum::<f64>() * scale;
                    (0..k).for_each(|i| out.bias[i] += vectors[i * k + j] * along);
                }
            }
        }
        turned.iter_mut().zip(&self.weight).for_each(|(t, w)| *t *= w);
        if self.vectors.is_some() {
            times(&self.vectors_f32, &turned, &mut out.weight, (k, d, k));
        } else {
            out.weight = turned;
        }
        out
    }
}

/// Eigenvectors of the curvature of a softmax by its logits, as the columns of a matrix, and their eigenvalues; the direction
/// that adds the same to all classes, in which there is no curvature, has −1 instead of 0.
fn axes_of_classes(matrix: &[f64]) -> Result<(Vec<f64>, Vec<f64>), ProbeError> {
    let classes = matrix.len().isqrt();
    let trace: f64 = (0..classes).map(|k| matrix[k * classes + k]).sum();
    // Lifted above all others, the flat direction is found exactly; among small eigenvalues it would mix with others.
    let lift = 2.0 * trace.max(f64::MIN_POSITIVE);
    let symmetric =
        Mat::from_fn(classes, classes, |i, j| matrix[i.max(j) * classes + i.min(j)] + lift / classes as f64);
    let eigen = symmetric.self_adjoint_eigen(Side::Lower).map_err(|_| ProbeError::NoAxes)?;
    let (u, s) = (eigen.U(), eigen.S());
    let flat = (0..classes).fold(0, |best, k| if s[k] > s[best] { k } else { best });
    let vectors = (0..classes * classes).map(|at| u[(at / classes, at % classes)]).collect();
    Ok((vectors, (0..classes).map(|k| if k == flat { -1.0 } else { s[k].max(0.0) }).collect()))
}
