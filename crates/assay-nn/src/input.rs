//! The input of a network: its size, and how 8-bit pixels become the numbers that a model was trained on.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Height and width of an image or a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageSize {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl ImageSize {
    /// A square of this side.
    pub const fn square(side: usize) -> Self {
        Self { height: side, width: side }
    }

    /// Number of pixels.
    pub fn area(self) -> usize {
        self.height * self.width
    }

    /// The size with both sides changed in the same way.
    pub fn map(self, change: impl Fn(usize) -> usize) -> Self {
        Self { height: change(self.height), width: change(self.width) }
    }

    /// The shorter side.
    pub fn shorter_side(self) -> usize {
        self.height.min(self.width)
    }
}

impl fmt::Display for ImageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}×{}", self.height, self.width)
    }
}

/// Range of the pixel values that a model was trained on, before its normalisation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Range {
    /// From 0 to 1.
    #[default]
    Unit,
    /// From 0 to 255.
    Byte,
    /// From −1 to 1.
    Symmetric,
}

/// The way from pixels to a model's input. Part of every key of features.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InputSpec {
    /// Range that the pixel values are brought to.
    pub range: Range,
    /// Exchange of dark and light, before all else (ink = 1).
    pub invert: bool,
    /// Mean that is subtracted from each channel after that; empty for none.
    pub mean: Vec<f32>,
    /// Standard deviation that each channel is divided by at last; empty for none.
    pub std: Vec<f32>,
}

impl InputSpec {
    /// Pixels (rows, columns, channels) → channels × rows × columns, in the order of operations of torchvision's `ToTensor`
    /// and `Normalize`.
    pub fn apply(&self, pixels: &[u8], channels: usize) -> Vec<f32> {
        let area = pixels.len() / channels;
        let mut out = vec![0.0; pixels.len()];
        for c in 0..channels {
            let table = self.table(c);
            for (value, pixel) in out[c * area..][..area].iter_mut().zip(pixels[c..].iter().step_by(channels)) {
                *value = table[usize::from(*pixel)];
            }
        }
        out
    }

    /// The number for each of the 256 pixel values.
    fn table(&self, channel: usize) -> [f32; 256] {
        let mean = self.mean.get(channel).copied().unwrap_or(0.0);
        let std = self.std.get(channel).copied().unwrap_or(1.0);
        std::array::from_fn(|pixel| {
            let pixel = if self.invert { 255 - pixel } else { pixel } as f32;
            let value = match self.range {
                Range::Unit => pixel / 255.0,
                Range::Byte => pixel,
                Range::Symmetric => pixel / 255.0 * 2.0 - 1.0,
            };
            (value - mean) / std
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_and_values() {
        let plain = InputSpec { range: Range::Unit, invert: false, mean: vec![], std: vec![] };
        assert_eq!(plain.apply(&[0, 255, 51, 255, 0, 102], 3), [0.0, 1.0, 1.0, 0.0, 0.2, 0.4]);
        let ink = InputSpec { invert: true, ..plain.clone() };
        assert_eq!(ink.apply(&[0, 255], 1), [1.0, 0.0]);
        let symmetric = InputSpec { range: Range::Symmetric, ..plain.clone() };
        assert_eq!(symmetric.apply(&[0, 255], 1), [-1.0, 1.0]);
        let imagenet = InputSpec { mean: vec![0.485, 0.456, 0.406], std: vec![0.229, 0.224, 0.225], ..plain };
        let value = imagenet.apply(&[255, 255, 255], 3);
        assert!((value[0] - 2.2489).abs() < 1e-4 && (value[2] - 2.64).abs() < 1e-4, "{value:?}");
    }
}
