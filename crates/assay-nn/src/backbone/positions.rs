//! Position embeddings for images of another size than a transformer was trained on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::input::ImageSize;

/// Interpolation of the position embeddings of a transformer for images of another size than it was trained on. At the size
/// that it was trained on, they stay as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Positions {
    /// Bicubic interpolation of torch. For MAE, DeiT and Hugging Face.
    #[default]
    Bicubic,
    /// Bicubic interpolation by the factor (new side + 0.1) / old side. For DINO, and DINOv2 without registers.
    BicubicOffset,
    /// Bicubic interpolation with antialiasing. For timm, and DINOv2 with registers.
    BicubicAntialias,
}

/// Resizes a grid of embeddings with `dim` numbers each, row by row, as `torch.nn.functional.interpolate` does.
pub fn resize(grid: &[f32], (from, to): (ImageSize, ImageSize), dim: usize, how: Positions) -> Vec<f32> {
    // Columns first, then rows: row-major (y, x, d).
    let mut wide = vec![0.0; from.height * to.width * dim];
    let columns = weights(from.width, to.width, how);
    for y in 0..from.height {
        for (x, taps) in columns.iter().enumerate() {
            let out = &mut wide[(y * to.width + x) * dim..][..dim];
            add(out, taps, |source| &grid[(y * from.width + source) * dim..][..dim]);
        }
    }
    let row = to.width * dim;
    let mut resized = vec![0.0; to.height * row];
    for (y, taps) in weights(from.height, to.height, how).iter().enumerate() {
        add(&mut resized[y * row..][..row], taps, |source| &wide[source * row..][..row]);
    }
    resized
}

fn add<'a>(out: &mut [f32], taps: &[(usize, f64)], row: impl Fn(usize) -> &'a [f32]) {
    for (source, weight) in taps {
        for (out, value) in out.iter_mut().zip(row(*source)) {
            *out += (weight * f64::from(*value)) as f32;
        }
    }
}

/// For each new place, the old ones that it is made of, with their weights.
fn weights(from: usize, to: usize, how: Positions) -> Vec<Vec<(usize, f64)>> {
    let scale = match how {
        Positions::BicubicOffset => from as f64 / (to as f64 + 0.1),
        _ => from as f64 / to as f64,
    };
    let last = from as i64 - 1;
    let place = |to: usize| {
        let center = (to as f64 + 0.5) * scale;
        if how == Positions::BicubicAntialias {
            // Keys' kernel with a = −0.5, stretched where the grid shrinks, and cut off at the edges.
            let stretch = scale.max(1.0);
            let first = ((center - 2.0 * stretch + 0.5) as i64).max(0);
            let end = ((center + 2.0 * stretch + 0.5) as i64).min(from as i64);
            let taps = (first..end).map(|i| (i as usize, cubic((i as f64 + 0.5 - center) / stretch, -0.5)));
            let taps: Vec<_> = taps.collect();
            let sum: f64 = taps.iter().map(|(_, weight)| weight).sum();
            return taps.into_iter().map(|(i, weight)| (i, weight / sum)).collect();
        }
        // a = −0.75, and the edge repeated.
        let source = center - 0.5;
        let first = source.floor() as i64 - 1;
        let point = |i: i64| (i.clamp(0, last) as usize, cubic(i as f64 - source, -0.75));
        (first..first + 4).map(point).collect()
    };
    (0..to).map(place).collect()
}

/// Keys' cubic convolution kernel.
fn cubic(x: f64, a: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * a
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_stays_constant() {
        for how in [Positions::Bicubic, Positions::BicubicOffset, Positions::BicubicAntialias] {
            for [height, width] in [[3, 3], [5, 9], [9, 7], [16, 16]] {
                let to = ImageSize { height, width };
                let resized = resize(&[2.5; 7 * 7 * 2], (ImageSize::square(7), to), 2, how);
                assert_eq!(resized.len(), 2 * to.area());
                assert!(resized.iter().all(|v| (v - 2.5).abs() < 1e-5), "{how:?} {to}");
            }
        }
    }
}
