//! Gaussian blur as torchvision makes it.

use crate::decode::{ImageError, Picture};

impl Picture {
    /// Blurs with a Gaussian of standard deviation `sigma` in pixels, cut to `side` × `side` weights whose sum is 1, and the picture
    /// mirrored at its borders, as `torchvision.transforms.functional.gaussian_blur`.
    ///
    /// Sums are of double precision, torch's of single: where a value lies within 0.0001 of a half, the two may round apart.
    ///
    /// # Errors
    /// When `side` is even, `sigma` is not above 0, or the picture is too small to be mirrored that far.
    pub fn blurred(&self, side: usize, sigma: f64) -> Result<Self, ImageError> {
        let reach = side / 2;
        if side.is_multiple_of(2) || sigma.is_nan() || sigma <= 0.0 {
            return Err(ImageError::Unsuitable(format!("a blur of {side} pixels with sigma {sigma} is none")));
        }
        if reach >= self.width.min(self.height) {
            return Err(ImageError::Unsuitable(format!(
                "it has {}×{} pixels, and a blur of {side} needs more than {reach} each way",
                self.width, self.height
            )));
        }
        let weights = weights(side, sigma);
        let sum = |length: usize, at: usize, value: &dyn Fn(usize) -> f64| -> f64 {
            weights.iter().enumerate().map(|(i, w)| w * value(mirrored(at + i, reach, length))).sum()
        };
        let (w, h, c) = (self.width, self.height, self.channels);
        let mut rows = vec![0.0; self.data.len()];
        for (i, to) in rows.iter_mut().enumerate() {
            let (row, x, channel) = (i / (w * c) * w, i / c % w, i % c);
            *to = sum(w, x, &|x| f64::from(self.data[(row + x) * c + channel]));
        }
        let value = |i: usize| {
            let (y, rest) = (i / (w * c), i % (w * c));
            let blurred = sum(h, y, &|y| rows[y * w * c + rest]);
            libm::rint(blurred).clamp(0.0, 255.0) as u8
        };
        Ok(Self { data: (0..rows.len()).map(value).collect(), ..*self })
    }
}

/// Weights of single precision, as torch computes them.
fn weights(side: usize, sigma: f64) -> Vec<f64> {
    let middle = (side / 2) as f32;
    let density = |i: usize| {
        let x = (i as f32 - middle) / sigma as f32;
        libm::exp(f64::from(-0.5 * (x * x))) as f32
    };
    let all: Vec<f32> = (0..side).map(density).collect();
    let sum: f32 = all.iter().sum();
    all.into_iter().map(|w| f64::from(w / sum)).collect()
}

/// The place of a value `reach` before `at`, in a row that is mirrored at both ends without repeating the last value.
fn mirrored(at: usize, reach: usize, length: usize) -> usize {
    let place = (at as isize - reach as isize).unsigned_abs();
    if place < length { place } else { 2 * (length - 1) - place }
}
