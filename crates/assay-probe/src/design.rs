//! Features in the coordinates of their principal axes.

use faer::{MatRef, Side};

use crate::ProbeError;
use crate::products::{scatter_of, times};

/// Features with more numbers than this keep their own axes: finding others would cost more than it saves.
const LARGEST_ROTATION: usize = 4096;
/// Rows that are rotated at a time, which bounds the memory beyond the features themselves.
const ROWS_AT_A_TIME: usize = 4096;

/// N × D features, centred and turned to the eigenvectors of their scatter matrix. A linear model with an unpenalised
/// intercept and an L2 penalty is the same model there, and its Hessian is nearly diagonal.
pub struct Design {
    /// N.
    pub(crate) rows: usize,
    /// D.
    pub(crate) dim: usize,
    /// N × D, turned.
    pub(crate) values: Vec<f32>,
    /// Mean of each feature before.
    pub(crate) mean: Vec<f64>,
    /// D × D, a column for each axis; none where features keep their axes.
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
        let (axes, scatter) = if dim <= LARGEST_ROTATION {
            let (axes, scatter) = principal_axes(&values, rows, dim)?;
            turn(&mut values, &axes, dim);
            (Some(axes), scatter)
        } else {
            let mut scatter = vec![0.0f64; dim];
            for row in values.chunks_exact(dim) {
                scatter.iter_mut().zip(row).for_each(|(s, v)| *s += f64::from(*v) * f64::from(*v));
            }
            (None, scatter)
        };
        Ok(Self { rows, dim, values, mean, axes, scatter })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of features.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// M × D features of other images in these coordinates.
    ///
    /// # Panics
    /// When `values` is no multiple of D.
    pub fn place(&self, mut values: Vec<f32>) -> Vec<f32> {
        assert!(values.len().is_multiple_of(self.dim), "features must have the dimension of the design");
        center(&mut values, &self.mean);
        if let Some(axes) = &self.axes {
            turn(&mut values, axes, self.dim);
        }
        values
    }

    /// K × D weights from these coordinates to those of the features.
    pub(crate) fn to_features(&self, weight: &[f32], classes: usize) -> Vec<f32> {
        let Some(axes) = &self.axes else { return weight.to_vec() };
        let mut out = vec![0.0; weight.len()];
        crate::products::times_transposed(weight, axes, &mut out, (classes, self.dim, self.dim));
        out
    }
}

fn center(values: &mut [f32], mean: &[f64]) {
    for row in values.chunks_exact_mut(mean.len()) {
        row.iter_mut().zip(mean).for_each(|(v, m)| *v = (f64::from(*v) - m) as f32);
    }
}

/// Eigenvectors of the scatter matrix as the columns of a D × D matrix, and their eigenvalues.
///
/// Single precision does: what matters is that the vectors are orthonormal, which a step of Newton and Schulz sees to, and
/// that they nearly diagonalise.
fn principal_axes(values: &[f32], rows: usize, dim: usize) -> Result<(Vec<f32>, Vec<f64>), ProbeError> {
    let mut scatter = vec![0.0f32; dim * dim];
    scatter_of(values, &mut scatter, (rows, dim));
    let symmetric = MatRef::from_row_major_slice(&scatter, dim, dim);
    let eigen = symmetric.self_adjoint_eigen(Side::Lower).map_err(|_| ProbeError::NoAxes)?;
    let (vectors, eigenvalues) = (eigen.U(), eigen.S());
    let mut axes = vec![0.0f32; dim * dim];
    for (i, row) in axes.chunks_exact_mut(dim).enumerate() {
        row.iter_mut().enumerate().for_each(|(j, v)| *v = vectors[(i, j)]);
    }
    // V ← V (3 I − Vᵀ V) / 2
    let mut gram = scatter;
    scatter_of(&axes, &mut gram, (dim, dim));
    for i in 0..dim {
        for j in 0..dim {
            let at = gram[i.max(j) * dim + i.min(j)];
            if j > i {
                gram[i * dim + j] = -0.5 * at;
            }
        }
    }
    for i in 0..dim {
        for j in 0..i {
            gram[i * dim + j] = gram[j * dim + i];
        }
        gram[i * dim + i] = 1.5 - 0.5 * gram[i * dim + i];
    }
    turn(&mut axes, &gram, dim);
    Ok((axes, (0..dim).map(|i| f64::from(eigenvalues[i]).max(0.0)).collect()))
}

fn turn(values: &mut [f32], axes: &[f32], dim: usize) {
    let mut turned = vec![0.0f32; ROWS_AT_A_TIME.min(values.len() / dim) * dim];
    for block in values.chunks_mut(ROWS_AT_A_TIME * dim) {
        let turned = &mut turned[..block.len()];
        times(block, axes, turned, (block.len() / dim, dim, dim));
        block.copy_from_slice(turned);
    }
}
