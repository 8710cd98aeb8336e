//! Matrix products of row-major slices.

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular;
use faer::traits::ComplexField;
use faer::{Accum, MatMut, MatRef, Par};

fn parallel() -> Par {
    Par::rayon(0)
}

/// C = A · Bᵀ with A m × k, B n × k, C m × n.
pub(crate) fn times_transposed<T: ComplexField>(a: &[T], b: &[T], c: &mut [T], (m, n, k): (usize, usize, usize)) {
    let a = MatRef::from_row_major_slice(a, m, k);
    let b = MatRef::from_row_major_slice(b, n, k);
    let c = MatMut::from_row_major_slice_mut(c, m, n);
    matmul(c, Accum::Replace, a, b.transpose(), T::one_impl(), parallel());
}

/// C = Aᵀ · B with A k × m, B k × n, C m × n.
pub(crate) fn transposed_times<T: ComplexField>(a: &[T], b: &[T], c: &mut [T], (m, n, k): (usize, usize, usize)) {
    let a = MatRef::from_row_major_slice(a, k, m);
    let b = MatRef::from_row_major_slice(b, k, n);
    let c = MatMut::from_row_major_slice_mut(c, m, n);
    matmul(c, Accum::Replace, a.transpose(), b, T::one_impl(), parallel());
}

/// C = A · B with A m × k, B k × n, C m × n.
pub(crate) fn times<T: ComplexField>(a: &[T], b: &[T], c: &mut [T], (m, n, k): (usize, usize, usize)) {
    let a = MatRef::from_row_major_slice(a, m, k);
    let b = MatRef::from_row_major_slice(b, k, n);
    let c = MatMut::from_row_major_slice_mut(c, m, n);
    matmul(c, Accum::Replace, a, b, T::one_impl(), parallel());
}

/// The lower triangle of C = Aᵀ · A with A k × m, C m × m; what is above stays as it is.
pub(crate) fn scatter_of<T: ComplexField>(a: &[T], c: &mut [T], (k, m): (usize, usize)) {
    let a = MatRef::from_row_major_slice(a, k, m);
    let c = MatMut::from_row_major_slice_mut(c, m, m);
    let (lower, full) = (triangular::BlockStructure::TriangularLower, triangular::BlockStructure::Rectangular);
    triangular::matmul(c, lower, Accum::Replace, a.transpose(), full, a, full, T::one_impl(), parallel());
}
