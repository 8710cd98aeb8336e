//! Resizing exactly as Pillow's `Image.resize` does it for 8-bit images.
//!
//! Two passes, of rows and of columns, in the order of a chosen [`Pillow`], each with a filter that widens when the image shrinks (antialiasing), coefficients
//! rounded to 22 fractional bits, and 8-bit values between the passes: the arithmetic of `libImaging/Resample.c`, so that
//! features computed here are those of a model that was fed by Pillow.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decode::Picture;

/// The weights of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Filter {
    /// Nearest pixel, without antialiasing.
    Nearest,
    /// Bilinear interpolation: a triangle filter with support 1.
    Bilinear,
    /// Bicubic interpolation: cubic convolution with a = −1/2 and support 2.
    Bicubic,
    /// Lanczos interpolation: a windowed sinc with support 3.
    Lanczos,
}

/// The Pillow whose order of passes a resize follows. Values between the passes have 8 bits, so the order shows: by up to 1 of
/// 255 with `Bilinear`, 7 with `Bicubic` and 16 with `Lanczos`, on tall images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Pillow {
    /// Every Pillow up to 12, with which published numbers were made: rows are resized first, always.
    #[default]
    V12,
    /// Pillow 13: columns are resized first where the height shrinks, by more than twice the pixels that the width loses.
    V13,
}

impl Pillow {
    /// Tells whether columns are resized before rows. Sizes are width and height.
    fn takes_columns_first(self, from: (usize, usize), to: (usize, usize)) -> bool {
        let lost = |from: usize, to: usize| from as i64 - to as i64;
        self == Self::V13 && to.1 < from.1 && lost(from.1, to.1) > 2 * lost(from.0, to.0)
    }
}

impl Filter {
    fn support(self) -> f64 {
        match self {
            Self::Nearest => 0.0,
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        let sinc = |x: f64| {
            if x == 0.0 {
                1.0
            } else {
                let x = x * std::f64::consts::PI;
                libm::sin(x) / x
            }
        };
        let a = x.abs();
        match self {
            Self::Nearest => 1.0,
            Self::Bilinear => (1.0 - a).max(0.0),
            Self::Bicubic if a < 1.0 => (1.5 * a - 2.5) * a * a + 1.0,
            Self::Bicubic if a < 2.0 => ((-0.5 * a + 2.5) * a - 4.0) * a + 2.0,
            Self::Bicubic => 0.0,
            Self::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Self::Lanczos => 0.0,
        }
    }
}

/// Fractional bits of a coefficient: 32 minus 8 for the pixel and 2 for overshoot.
const PRECISION_BITS: u32 = 22;

/// For each output position: the first input position, and the weights from there on.
struct Taps {
    first: Vec<usize>,
    weights: Vec<Vec<i32>>,
}

impl Taps {
    fn new(input: usize, output: usize, filter: Filter) -> Self {
        let scale = input as f64 / output as f64;
        let widening = scale.max(1.0);
        let support = filter.support() * widening;
        let (mut first, mut weights) = (Vec::with_capacity(output), Vec::with_capacity(output));
        for position in 0..output {
            let center = (position as f64 + 0.5) * scale;
            // Truncation towards zero, then the clamp, as in the original.
            let low = ((center - support + 0.5) as i64).max(0) as usize;
            let high = ((center + support + 0.5) as i64).min(input as i64) as usize;
            let raw: Vec<f64> =
                (low..high).map(|x| filter.weight((x as f64 - center + 0.5) * (1.0 / widening))).collect();
            let sum: f64 = raw.iter().sum();
            let fixed = |w: f64| {
                let scaled = if sum == 0.0 { w } else { w / sum } * f64::from(1u32 << PRECISION_BITS);
                (if scaled < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
            };
            first.push(low);
            weights.push(raw.into_iter().map(fixed).collect());
        }
        Self { first, weights }
    }
}

fn clip(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

/// Resizes `picture` to `width` × `height` pixels, in the order of `pillow`.
///
/// # Panics
/// When a side is zero.
pub fn resize(picture: &Picture, width: usize, height: usize, filter: Filter, pillow: Pillow) -> Picture {
    assert!(width > 0 && height > 0 && picture.width > 0 && picture.height > 0, "no picture is empty");
    if (width, height) == (picture.width, picture.height) {
        return picture.clone();
    }
    if filter == Filter::Nearest {
        return nearest(picture, width, height);
    }
    if pillow.takes_columns_first((picture.width, picture.height), (width, height)) {
        return in_width(&vertical(picture, height, filter), width, filter);
    }
    let wide = in_width(picture, width, filter);
    if height == wide.height { wide } else { vertical(&wide, height, filter) }
}

/// Gives a picture another width, if it does not have it.
fn in_width(picture: &Picture, width: usize, filter: Filter) -> Picture {
    if width == picture.width { picture.clone() } else { horizontal(picture, width, filter) }
}

fn horizontal(picture: &Picture, width: usize, filter: Filter) -> Picture {
    let taps = Taps::new(picture.width, width, filter);
    let data = if picture.channels == 1 { rows::<1>(picture, &taps) } else { rows::<3>(picture, &taps) };
    Picture { width, data, ..*picture }
}

/// Resizes each row of a picture of `C` channels.
fn rows<const C: usize>(picture: &Picture, taps: &Taps) -> Vec<u8> {
    let mut data = Vec::with_capacity(taps.first.len() * picture.height * C);
    for row in picture.data.chunks_exact(picture.width * C) {
        let pixels = row.as_chunks::<C>().0;
        for (first, weights) in taps.first.iter().zip(&taps.weights) {
            let mut sums = [1i32 << (PRECISION_BITS - 1); C];
            for (weight, pixel) in weights.iter().zip(&pixels[*first..]) {
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum += weight * i32::from(*value);
                }
            }
            data.extend(sums.map(clip));
        }
    }
    data
}

fn vertical(picture: &Picture, height: usize, filter: Filter) -> Picture {
    let taps = Taps::new(picture.height, height, filter);
    let stride = picture.width * picture.channels;
    let mut data = Vec::with_capacity(stride * height);
    let mut sums = vec![0i32; stride];
    for (first, weights) in taps.first.iter().zip(&taps.weights) {
        sums.fill(1 << (PRECISION_BITS - 1));
        for (weight, row) in weights.iter().zip(picture.data[first * stride..].chunks_exact(stride)) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += weight * i32::from(*value);
            }
        }
        data.extend(sums.iter().map(|s| clip(*s)));
    }
    Picture { height, data, ..*picture }
}

/// For each output position, the input position that Pillow's `NEAREST` takes: it steps through the input by repeated
/// addition; so do we, to round alike.
pub(crate) fn nearest_positions(input: usize, output: usize) -> Vec<usize> {
    let step = input as f64 / output as f64;
    let mut at = step * 0.5;
    let mut next = || {
        let position = (at as usize).min(input - 1);
        at += step;
        position
    };
    (0..output).map(|_| next()).collect()
}

fn nearest(picture: &Picture, width: usize, height: usize) -> Picture {
    let (columns, rows) = (nearest_positions(picture.width, width), nearest_positions(picture.height, height));
    let c = picture.channels;
    let mut data = Vec::with_capacity(width * height * c);
    for y in rows {
        for x in &columns {
            let at = (y * picture.width + x) * c;
            data.extend_from_slice(&picture.data[at..at + c]);
        }
    }
    Picture { width, height, data, ..*picture }
}
