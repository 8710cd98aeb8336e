//! Probes whose weights follow from one eigendecomposition: ridge regression, discriminant analysis, nearest centroid.

use faer::{Mat, Side};

use crate::ProbeError;
use crate::linear::{Linear, dot, double};
use crate::loss::Targets;
use crate::products::{scatter_of, times, transposed_times};

const ROWS_AT_A_TIME: usize = 2048;

/// Ridge regression of ±1 targets with an unpenalised intercept, for each λ of `grid`: `min Σ ‖W x + b − t‖² + λ ‖W‖²`, as
/// `sklearn.linear_model.RidgeClassifier(alpha=λ)`.
///
/// # Errors
/// When nothing can be learnt from the targets, a feature is not finite, a λ is not positive, or `each` fails.
pub fn solve_ridge<E: From<ProbeError>>(
    features: &[f32],
    dim: usize,
    targets: &Targets,
    grid: &[f64],
    each: &mut dyn FnMut(usize, &Linear) -> Result<(), E>,
) -> Result<(), E> {
    targets.check()?;
    if let Some(bad) = grid.iter().find(|l| !(**l > 0.0 && l.is_finite())) {
        return Err(ProbeError::NotPositive { c: *bad }.into());
    }
    let classes = targets.classes();
    let moments = Moments::of_all(features, dim, targets.rows())?;
    // Σ (x − mean) t, and the mean of t.
    let mut products = vec![0.0; classes * dim];
    let mut mean = vec![0.0; classes];
    for (i, block) in features.chunks(ROWS_AT_A_TIME * dim).enumerate() {
        let n = block.len() / dim;
        let mut signs = vec![0.0; n * classes];
        for (row, signs) in signs.chunks_exact_mut(classes).enumerate() {
            for (k, sign) in signs.iter_mut().enumerate() {
                *sign = if targets.is(i * ROWS_AT_A_TIME + row, k) { 1.0 } else { -1.0 };
                mean[k] += *sign / targets.rows() as f64;
            }
        }
        let mut part = vec![0.0; classes * dim];
        transposed_times(&signs, &moments.centered(block, |_| 0, 0), &mut part, (classes, dim, n));
        products.iter_mut().zip(part).for_each(|(p, v)| *p += v);
    }
    let axes = Axes::of(moments.scatter, dim)?;
    let turned = axes.turn(&products, classes);
    // Directions with less are rounding: what is left of them has no weight, however weak the penalty.
    let least = axes.rounding();
    for (i, lambda) in grid.iter().enumerate() {
        let weight = axes.turn_back(&turned, classes, |e| if e > least { 1.0 / (e + lambda) } else { 0.0 });
        let bias = mean.iter().zip(weight.chunks_exact(dim)).map(|(m, w)| m - dot(w, &moments.means)).collect();
        each(i, &Linear { weight, bias })?;
    }
    Ok(())
}

/// Linear discriminant analysis for each shrinkage γ of `grid`: Gaussian classes with one covariance,
/// (1 − γ) Σ + γ · tr(Σ)/D · I, and the classes' shares as priors, as
/// `sklearn.discriminant_analysis.LinearDiscriminantAnalysis(solver="lsqr", shrinkage=γ)`. Directions without variance are
/// left out where γ is 0.
///
/// # Errors
/// When a label is out of range, a class has no row, a feature is not finite, or `each` fails.
pub fn solve_lda<E: From<ProbeError>>(
    features: &[f32],
    dim: usize,
    labels: &[u32],
    classes: usize,
    grid: &[f64],
    each: &mut dyn FnMut(usize, &Linear) -> Result<(), E>,
) -> Result<(), E> {
    let moments = Moments::of_classes(features, dim, labels, classes)?;
    // About the middle of the means: what all classes have in common would swamp what tells them apart.
    let (middle, means) = about_the_middle(&moments.means, dim);
    let rows = labels.len() as f64;
    let scatter: Vec<f64> = moments.scatter.iter().map(|v| v / rows).collect();
    let mean_variance = (0..dim).map(|i| scatter[i * dim + i]).sum::<f64>() / dim as f64;
    let axes = Axes::of(scatter, dim)?;
    let turned = axes.turn(&means, classes);
    let least = 1e-12 * axes.largest();
    for (i, shrinkage) in grid.iter().enumerate() {
        let weight = axes.turn_back(&turned, classes, |e| {
            let variance = (1.0 - shrinkage) * e.max(0.0) + shrinkage * mean_variance;
            if variance > least { 1.0 / variance } else { 0.0 }
        });
        let bias = (0..classes).map(|k| {
            let of_class = k * dim..(k + 1) * dim;
            let weight = &weight[of_class.clone()];
            (moments.counts[k] / rows).ln() - 0.5 * dot(weight, &means[of_class]) - dot(weight, &middle)
        });
        each(i, &Linear { bias: bias.collect(), weight })?;
    }
    Ok(())
}

/// The classifier that takes a row for the class with the nearest mean (squared Euclidean distance); its logits are
/// −½ distance², less what is the same for all classes.
///
/// # Errors
/// When a label is out of range, a class has no row, or a feature is not finite.
pub fn nearest_centroid(features: &[f32], dim: usize, labels: &[u32], classes: usize) -> Result<Linear, ProbeError> {
    let (middle, means) = about_the_middle(&class_means(features, dim, labels, classes)?.0, dim);
    let bias = means.chunks_exact(dim).map(|m| -0.5 * dot(m, m) - dot(m, &middle)).collect();
    Ok(Linear { weight: means, bias })
}

/// The mean of the rows, and the rows less it.
fn about_the_middle(rows: &[f64], dim: usize) -> (Vec<f64>, Vec<f64>) {
    let count = (rows.len() / dim) as f64;
    let middle: Vec<f64> = (0..dim).map(|i| rows.iter().skip(i).step_by(dim).sum::<f64>() / count).collect();
    let less = rows.chunks_exact(dim).flat_map(|row| row.iter().zip(&middle).map(|(v, m)| v - m)).collect();
    (middle, less)
}

fn class_means(
    features: &[f32],
    dim: usize,
    labels: &[u32],
    classes: usize,
) -> Result<(Vec<f64>, Vec<f64>), ProbeError> {
    Targets::Classes { labels: labels.to_vec(), classes }.check()?;
    check_rows(features, dim, labels.len())?;
    let mut counts = vec![0.0; classes];
    let mut means = vec![0.0; classes * dim];
    for (row, label) in features.chunks_exact(dim).zip(labels) {
        counts[*label as usize] += 1.0;
        let sum = &mut means[*label as usize * dim..][..dim];
        sum.iter_mut().zip(row).for_each(|(m, v)| *m += f64::from(*v));
    }
    for (class, (mean, count)) in means.chunks_exact_mut(dim).zip(&counts).enumerate() {
        if *count == 0.0 {
            return Err(ProbeError::NoRowsOfClass { class: class as u32 });
        }
        mean.iter_mut().for_each(|m| *m /= count);
    }
    Ok((means, counts))
}

fn check_rows(features: &[f32], dim: usize, rows: usize) -> Result<(), ProbeError> {
    if dim == 0 || rows == 0 {
        return Err(ProbeError::NoRows);
    }
    if features.len() != rows * dim {
        return Err(ProbeError::Lengths { features: features.len() / dim, targets: rows });
    }
    match features.iter().position(|v| !v.is_finite()) {
        Some(at) => Err(ProbeError::NotFinite { row: at / dim, feature: at % dim }),
        None => Ok(()),
    }
}

/// Means of groups of rows, and Σ (x − mean)(x − mean)ᵀ about them.
struct Moments {
    dim: usize,
    means: Vec<f64>,
    counts: Vec<f64>,
    scatter: Vec<f64>,
}

impl Moments {
    fn of_classes(features: &[f32], dim: usize, labels: &[u32], classes: usize) -> Result<Self, ProbeError> {
        let (means, counts) = class_means(features, dim, labels, classes)?;
        let mut moments = Self { dim, means, counts, scatter: vec![0.0; dim * dim] };
        moments.gather(features, |row| labels[row] as usize);
        Ok(moments)
    }

    fn of_all(features: &[f32], dim: usize, rows: usize) -> Result<Self, ProbeError> {
        check_rows(features, dim, rows)?;
        let means = crate::design::means(features, dim);
        let mut moments = Self { dim, means, counts: vec![rows as f64], scatter: vec![0.0; dim * dim] };
        moments.gather(features, |_| 0);
        Ok(moments)
    }

    fn gather(&mut self, features: &[f32], group: impl Fn(usize) -> usize) {
        let dim = self.dim;
        let mut part = vec![0.0; dim * dim];
        for (i, block) in features.chunks(ROWS_AT_A_TIME * dim).enumerate() {
            let rows = self.centered(block, &group, i * ROWS_AT_A_TIME);
            scatter_of(&rows, &mut part, (block.len() / dim, dim));
            self.scatter.iter_mut().zip(&part).for_each(|(s, p)| *s += p);
        }
    }

    /// Rows less the mean of their group, in double precision; `first` is the number of the first row.
    fn centered(&self, block: &[f32], group: impl Fn(usize) -> usize, first: usize) -> Vec<f64> {
        let mut rows = double(block);
        for (i, row) in rows.chunks_exact_mut(self.dim).enumerate() {
            let mean = &self.means[group(first + i) * self.dim..][..self.dim];
            row.iter_mut().zip(mean).for_each(|(v, m)| *v -= m);
        }
        rows
    }
}

/// Eigenvectors of a symmetric matrix.
struct Axes {
    dim: usize,
    /// D × D, a column for each.
    vectors: Vec<f64>,
    values: Vec<f64>,
}

impl Axes {
    /// Of a matrix that is given by its lower triangle.
    fn of(matrix: Vec<f64>, dim: usize) -> Result<Self, ProbeError> {
        let symmetric = Mat::from_fn(dim, dim, |i, j| matrix[i.max(j) * dim + i.min(j)]);
        drop(matrix);
        let eigen = symmetric.self_adjoint_eigen(Side::Lower).map_err(|_| ProbeError::NoAxes)?;
        let (u, s) = (eigen.U(), eigen.S());
        let vectors = (0..dim * dim).map(|at| u[(at / dim, at % dim)]).collect();
        Ok(Self { dim, vectors, values: (0..dim).map(|i| s[i]).collect() })
    }

    fn largest(&self) -> f64 {
        self.values.iter().copied().fold(0.0, f64::max)
    }

    /// Eigenvalues up to this may be rounding.
    fn rounding(&self) -> f64 {
        self.dim as f64 * f64::EPSILON * self.largest()
    }

    /// K × D rows in the coordinates of the axes.
    fn turn(&self, rows: &[f64], count: usize) -> Vec<f64> {
        let mut out = vec![0.0; count * self.dim];
        times(rows, &self.vectors, &mut out, (count, self.dim, self.dim));
        out
    }

    /// Back from there, with each axis scaled by a function of its eigenvalue.
    fn turn_back(&self, rows: &[f64], count: usize, scale: impl Fn(f64) -> f64) -> Vec<f64> {
        let scales: Vec<f64> = self.values.iter().map(|e| scale(*e)).collect();
        let mut scaled = rows.to_vec();
        for row in scaled.chunks_exact_mut(self.dim) {
            row.iter_mut().zip(&scales).for_each(|(v, s)| *v *= s);
        }
        let mut out = vec![0.0; count * self.dim];
        crate::products::times_transposed(&scaled, &self.vectors, &mut out, (count, self.dim, self.dim));
        out
    }
}
