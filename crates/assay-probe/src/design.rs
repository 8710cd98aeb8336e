//! Features in the coordinates of their principal axes.

use faer::{MatRef, Side};

use crate::ProbeError;
use crate::products::{scatter_of, times, times_transposed, transposed_times};

/// Features with more numbers than this keep their own axes: finding others would cost more than it saves.
const MAX_ROTATION: usize = 4096;
/// Above this, weights of features of size 1 would leave the range of single precision.
const MAX_PENALTY: f64 = 1e30;
/// Rows that are rotated at a time, which bounds the memory beyond the features themselves.
const ROWS_AT_A_TIME: usize = 4096;

/// A turned feature that varies less than this many roundings of the products that it is the sum of is noise of single
/// precision, and left out: weights that a weak penalty would give it mean nothing.
const LEAST_ROUNDINGS: f64 = 8.0;

/// N × D features, centred, divided by their size and turned to the eigenvectors of their scatter matrix. A linear model with
/// an unpenalised intercept and an L2 penalty is the same model there, and its Hessian is nearly diagonal. Only the directions
/// that the rows span are kept: weights beyond them are zero. What is solved here does not depend on the unit of the
/// features: its numbers are of size 1, and the same to the bit when the unit changes by a power of two.
pub struct Design {
    /// N.
    pub(crate) rows: usize,
    /// D, or fewer where the rows span fewer directions.
    pub(crate) dim: usize,
    /// N × `dim`, turned.
    pub(crate) values: Vec<f32>,
    /// Mean of each feature before.
    pub(crate) mean: Vec<f64>,
    /// Size of the centred features, which they are divided by: the power of two below the root of their mean square.
    pub(crate) unit: f64,
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
        let mean = means(&values, dim);
        let unit = power_of_two_below(spread(&values, &mean));
        center(&mut values, &mean, unit);
        let squares = squares(&values, dim);
        let axes = if rows < dim && rows <= MAX_ROTATION {
            spanned_axes(&values, rows, dim)?
        } else if dim <= MAX_ROTATION {
            principal_axes(&values, rows, dim)?
        } else {
            return Ok(Self { rows, dim, values, mean, unit, axes: None, scatter: squares });
        };
        let width = axes.len() / dim;
        turn(&mut values, &axes, dim, width);
        let mut design =
            Self { rows, dim: width, scatter: self::squares(&values, width), values, mean, unit, axes: None };
        design.keep_what_varies(axes, &squares);
        Ok(design)
    }

    /// Leaves out what turned features have from rounding alone; `squares` are those of the features as they were.
    fn keep_what_varies(&mut self, axes: Vec<f32>, squares: &[f64]) {
        let mut products = vec![0.0f64; self.dim];
        for (row, square) in axes.chunks_exact(self.dim).zip(squares) {
            products.iter_mut().zip(row).for_each(|(p, v)| *p += square * f64::from(*v) * f64::from(*v));
        }
        let rounding = LEAST_ROUNDINGS * f64::from(f32::EPSILON);
        let varies = |j: &usize| self.scatter[*j] > rounding * rounding * products[*j];
        let mut kept: Vec<usize> = (0..self.dim).filter(varies).collect();
        if kept.is_empty() {
            // All rows are equal: any direction does.
            kept.push(0);
        }
        if kept.len() == self.dim {
            self.axes = Some(axes);
            return;
        }
        let columns = |rows: &[f32]| -> Vec<f32> {
            rows.chunks_exact(self.dim).flat_map(|row| kept.iter().map(|k| row[*k])).collect()
        };
        let (values, axes) = (columns(&self.values), columns(&axes));
        self.scatter = kept.iter().map(|k| self.scatter[*k]).collect();
        (self.values, self.axes, self.dim) = (values, Some(axes), kept.len());
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
        center(&mut values, &self.mean, self.unit);
        if let Some(axes) = &self.axes {
            turn(&mut values, axes, self.features(), self.dim);
        }
        values
    }

    /// The factor of ½‖W‖² in these coordinates.
    ///
    /// # Errors
    /// When weights would be too small for single precision.
    pub(crate) fn penalty(&self, c: f64, penalty: f64) -> Result<f64, ProbeError> {
        let here = penalty / self.unit / self.unit;
        if here > MAX_PENALTY { Err(ProbeError::TooStrong { c }) } else { Ok(here) }
    }

    /// Root of the sum over classes of the mean square of the logits that weights in these coordinates give the rows.
    pub(crate) fn size_of_logits(&self, weight: &[f32]) -> f64 {
        let of_class = |row: &[f32]| -> f64 {
            row.iter().zip(&self.scatter).map(|(w, s)| f64::from(*w) * f64::from(*w) * s).sum()
        };
        (weight.chunks_exact(self.dim).map(of_class).sum::<f64>() / self.rows as f64).sqrt()
    }

    /// K × `dim` derivatives from these coordinates to those of the features, less the unit.
    pub(crate) fn to_features(&self, weight: &[f32], classes: usize) -> Vec<f32> {
        let Some(axes) = &self.axes else { return weight.to_vec() };
        let mut out = vec![0.0; classes * self.features()];
        times_transposed(weight, axes, &mut out, (classes, self.features(), self.dim));
        out
    }
}

/// Mean of each feature: exactly its value where all rows have the same, so that nothing is left of it when it is centred.
pub(crate) fn means(values: &[f32], dim: usize) -> Vec<f64> {
    let first = &values[..dim];
    let mut mean = vec![0.0f64; dim];
    for row in values.chunks_exact(dim) {
        mean.iter_mut().zip(row).zip(first).for_each(|((m, v), f)| *m += f64::from(*v) - f64::from(*f));
    }
    let rows = (values.len() / dim) as f64;
    mean.iter().zip(first).map(|(m, f)| f64::from(*f) + m / rows).collect()
}

/// Root of the mean square of all features about their means.
fn spread(values: &[f32], mean: &[f64]) -> f64 {
    let of_row = |row: &[f32]| row.iter().zip(mean).map(|(v, m)| (f64::from(*v) - m).powi(2)).sum::<f64>();
    (values.chunks_exact(mean.len()).map(of_row).sum::<f64>() / values.len() as f64).sqrt()
}

/// The largest power of two that is not above `value`; 1 for 0.
fn power_of_two_below(value: f64) -> f64 {
    if value > 0.0 { f64::from_bits(value.to_bits() & f64::INFINITY.to_bits()) } else { 1.0 }
}

fn center(values: &mut [f32], mean: &[f64], unit: f64) {
    for row in values.chunks_exact_mut(mean.len()) {
        row.iter_mut().zip(mean).for_each(|(v, m)| *v = ((f64::from(*v) - m) / unit) as f32);
    }
}

/// Σ of squares of each column.
fn squares(values: &[f32], dim: usize) -> Vec<f64> {
    let mut sums = vec![0.0f64; dim];
    for row in values.chunks_exact(dim) {
        sums.iter_mut().zip(row).for_each(|(s, v)| *s += f64::from(*v) * f64::from(*v));
    }
    sums
}

/// Eigenvectors of the scatter matrix as the columns of a D × D matrix.
///
/// Single precision does: what matters is that the vectors are orthonormal, which a step of Newton and Schulz sees to, and
/// that they nearly diagonalise.
fn principal_axes(values: &[f32], rows: usize, dim: usize) -> Result<Vec<f32>, ProbeError> {
    let mut scatter = vec![0.0f32; dim * dim];
    scatter_of(values, &mut scatter, (rows, dim));
    let symmetric = MatRef::from_row_major_slice(&scatter, dim, dim);
    let eigen = symmetric.self_adjoint_eigen(Side::Lower).map_err(|_| ProbeError::NoAxes)?;
    let vectors = eigen.U();
    let mut axes = vec![0.0f32; dim * dim];
    for (i, row) in axes.chunks_exact_mut(dim).enumerate() {
        row.iter_mut().enumerate().for_each(|(j, v)| *v = vectors[(i, j)]);
    }
    drop(scatter);
    orthonormalise(&mut axes, dim, dim);
    Ok(axes)
}

/// The same axes where there are fewer rows than features, from the N × N products of the rows: Xᵀ u / √λ for each of their
/// eigenvectors u. At least one axis is kept.
fn spanned_axes(values: &[f32], rows: usize, dim: usize) -> Result<Vec<f32>, ProbeError> {
    let exact: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
    let mut products = vec![0.0f64; rows * rows];
    times_transposed(&exact, &exact, &mut products, (rows, rows, dim));
    let symmetric = MatRef::from_row_major_slice(&products, rows, rows);
    let eigen = symmetric.self_adjoint_eigen(Side::Lower).map_err(|_| ProbeError::NoAxes)?;
    let (vectors, eigenvalues) = (eigen.U(), eigen.S());
    let largest = (0..rows).map(|i| eigenvalues[i]).fold(f64::MIN_POSITIVE, f64::max);
    let least = rows as f64 * f64::EPSILON * largest;
    let kept: Vec<usize> = (0..rows).filter(|i| eigenvalues[*i] > least).collect();
    if kept.is_empty() {
        // All rows are equal: any direction does.
        let mut axes = vec![0.0f32; dim];
        axes[0] = 1.0;
        return Ok(axes);
    }
    let scaled: Vec<f64> =
        (0..rows).flat_map(|i| kept.iter().map(move |k| vectors[(i, *k)] / eigenvalues[*k].sqrt())).collect();
    let mut axes = vec![0.0f64; dim * kept.len()];
    transposed_times(&exact, &scaled, &mut axes, (dim, kept.len(), rows));
    let mut axes: Vec<f32> = axes.into_iter().map(|v| v as f32).collect();
    orthonormalise(&mut axes, dim, kept.len());
    Ok(axes)
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
