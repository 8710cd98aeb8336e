//! Features in the coordinates of their principal axes.

use faer::{MatRef, Side};

use crate::ProbeError;
use crate::products::{scatter_of, times, times_transposed, transposed_times};

/// Features with more numbers than this keep their own axes: finding others would cost more than it saves.
const MAX_ROTATION: usize = 4096;
/// Rows that are rotated at a time, which bounds the memory beyond the features themselves.
const ROWS_AT_A_TIME: usize = 4096;

/// With fewer rows than features, directions in which features vary less than this share of the most are noise of single
/// precision, and left out.
const LEAST_VARIATION: f64 = 1e-6;

/// N × D features, centred and turned to the eigenvectors of their scatter matrix. A linear model with an unpenalised
/// intercept and an L2 penalty is the same model there, and its Hessian is nearly diagonal. With fewer rows than features only
/// the directions that the rows span are kept: weights beyond them are zero.
pub struct Design {
    /// N.
    pub(crate) rows: usize,
    /// D, or fewer where the rows span fewer directions.
    pub(crate) dim: usize,
    /// N × `dim`, turned.
    pub(crate) values: Vec<f32>,
    /// Mean of each feature before.
    pub(crate) mean: Vec<f64>,
    /// D × `dim`, a column for each axis; none where features keep their axes.
    pub(crate) axes: Option<Vec<f32>>,
    /// Σ of squares along each axis.
    pub(crate) scatter: Vec<f64>,
}

impl Design {
    /// Centres and turns N × D `values`, in place.
    ///
    /// # Errors
    /// When there is no row or a number is not finite.
    pub fn new(mut values: Vec<f32>, dim: usize) -> Result<Self, ProbeError> {
        if dim == 0 || values.is_empty() || !values.len().is_multiple_of(dim) {
            return Err(ProbeError::NoRows);
        }
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            return Err(ProbeError::NotFinite { row: at / dim, feature: at % dim });
        }
        let rows = values.len() / dim;
        let mut mean = vec![0.0f64; dim];
        for row in values.chunks_exact(dim) {
            mean.iter_mut().zip(row).for_each(|(m, v)| *m += f64::from(*v));
        }
        mean.iter_mut().for_each(|m| *m /= rows as f64);
        center(&mut values, &mean);
        let found = if rows < dim && rows <= MAX_ROTATION {
            Some(spanned_axes(&values, rows, dim)?)
        } else if dim <= MAX_ROTATION {
            Some(principal_axes(&values, rows, dim)?)
        } else {
            None
        };
        let Some((axes, scatter)) = found else {
            let mut scatter = vec![0.0f64; dim];
            for row in values.chunks_exact(dim) {
                scatter.iter_mut().zip(row).for_each(|(s, v)| *s += f64::from(*v) * f64::from(*v));
            }
            return Ok(Self { rows, dim, values, mean, axes: None, scatter });
        };
        turn(&mut values, &axes, dim, scatter.len());
        Ok(Self { rows, dim: scatter.len(), values, mean, axes: Some(axes), scatter })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of features.
    pub fn features(&self) -> usize {
        self.mean.len()
    }

    /// Features of other images in these coordinates: M × D to M rows of the numbers that a classifier in these coordinates
    /// takes.
    ///
    /// # Panics
    /// When `values` is no multiple of D.
    pub fn place(&self, mut values: Vec<f32>) -> Vec<f32> {
        assert!(values.len().is_multiple_of(self.features()), "features must have the dimension of the design");
        center(&mut values, &self.mean);
        if let Some(axes) = &self.axes {
            turn(&mut values, axes, self.features(), self.dim);
        }
        values
    }

    /// K × `dim` weights from these coordinates to those of the features.
    pub(crate) fn to_features(&self, weight: &[f32], classes: usize) -> Vec<f32> {
        let Some(axes) = &self.axes else { return weight.to_vec() };
        let mut out = vec![0.0; classes * self.features()];
        times_transposed(weight, axes, &mut out, (classes, self.features(), self.dim));
        out
    }
}

fn center(values: &mut [f32], mean: &[f64]) {
    for row in values.chunks_exact_mut(mean.len()) {
        row.iter_mut().zip(mean).for_each(|(v, m)| *v = (f64::from(*v) - m) as f32);
    }
}

/// Axes as the columns of a matrix, and the sum of squares along each.
type Axes = (Vec<f32>, Vec<f64>);

/// Eigenvectors of the scatter matrix as the columns of a D × D matrix, and their eigenvalues.
///
/// Single precision does: what matters is that the vectors are orthonormal, which a step of Newton and Schulz sees to, and
/// that they nearly diagonalise.
fn principal_axes(values: &[f32], rows: usize, dim: usize) -> Result<Axes, ProbeError> {
    let mut scatter = vec![0.0f32; dim * dim];
    scatter_of(values, &mut scatter, (rows, dim));
    let symmetric = MatRef::from_row_major_slice(&scatter, dim, dim);
    let eigen = symmetric.self_adjoint_eigen(Side::Lower).map_err(|_| ProbeError::NoAxes)?;
    let (vectors, eigenvalues) = (eigen.U(), eigen.S());
    let mut axes = vec![0.0f32; dim * dim];
    for (i, row) in axes.chunks_exact_mut(dim).enumerate() {
        row.iter_mut().enumerate().for_each(|(j, v)| *v = vectors[(i, j)]);
    }
    drop(scatter);
    orthonormalise(&mut axes, dim, dim);
    Ok((axes, (0..dim).map(|i| f64::from(eigenvalues[i]).max(0.0)).collect()))
}

/// The same axes where there are fewer rows than features, from the N × N products of the rows: Xᵀ u / √λ for each of their
/// eigenvectors u. At least one axis is kept.
fn spanned_axes(values: &[f32], rows: usize, dim: usize) -> Result<Axes, ProbeError> {
    let exact: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
    let mut products = vec![0.0f64; rows * rows];
    times_transposed(&exact, &exact, &mut products, (rows, rows, dim));
    let symmetric = MatRef::from_row_major_slice(&products, rows, rows);
    let eigen = symmetric.self_adjoint_eigen(Side::Lower).map_err(|_| ProbeError::NoAxes)?;
    let (vectors, eigenvalues) = (eigen.U(), eigen.S());
    let largest = (0..rows).map(|i| eigenvalues[i]).fold(f64::MIN_POSITIVE, f64::max);
    let least = LEAST_VARIATION * LEAST_VARIATION * largest;
    let mut kept: Vec<usize> = (0..rows).filter(|i| eigenvalues[*i] > least).collect();
    if kept.is_empty() {
        // All rows are equal: any direction does.
        let mut axes = vec![0.0f32; dim];
        axes[0] = 1.0;
        return Ok((axes, vec![0.0]));
    }
    kept.sort_unstable();
    let scaled: Vec<f64> =
        (0..rows).flat_map(|i| kept.iter().map(move |k| vectors[(i, *k)] / eigenvalues[*k].sqrt())).collect();
    let mut axes = vec![0.0f64; dim * kept.len()];
    transposed_times(&exact, &scaled, &mut axes, (dim, kept.len(), rows));
    let mut axes: Vec<f32> = axes.into_iter().map(|v| v as f32).collect();
    orthonormalise(&mut axes, dim, kept.len());
    Ok((axes, kept.into_iter().map(|k| eigenvalues[k]).collect()))
}

/// V ← V (3 I − Vᵀ V) / 2 for the `width` columns of V: one step of Newton and Schulz towards orthonormal ones.
fn orthonormalise(axes: &mut Vec<f32>, height: usize, width: usize) {
    let mut gram = vec![0.0f32; width * width];
    scatter_of(axes, &mut gram, (height, width));
    for i in 0..width {
        for j in 0..i {
            let half = -0.5 * gram[i * width + j];
            gram[i * width + j] = half;
            gram[j * width + i] = half;
        }
        gram[i * width + i] = 1.5 - 0.5 * gram[i * width + i];
    }
    turn(axes, &gram, width, width);
}

/// Multiplies rows of `from` numbers by a `from` × `to` matrix, in place; `to` is at most `from`.
fn turn(values: &mut Vec<f32>, axes: &[f32], from: usize, to: usize) {
    let rows = values.len() / from;
    let mut turned = vec![0.0f32; ROWS_AT_A_TIME.min(rows) * to];
    for first in (0..rows).step_by(ROWS_AT_A_TIME) {
        let count = ROWS_AT_A_TIME.min(rows - first);
        let turned = &mut turned[..count * to];
        times(&values[first * from..(first + count) * from], axes, turned, (count, to, from));
        values[first * to..(first + count) * to].copy_from_slice(turned);
    }
    values.truncate(rows * to);
}
