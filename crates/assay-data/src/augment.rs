//! Random views of an image, for training: affine ones of our own, and the transforms of torchvision, which are functions of a
//! picture and of numbers that were drawn.

mod blur;
mod colors;
mod regions;

pub use colors::Adjustment;
pub use regions::{Draws, Region, Shapes};

use assay_stats::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Limits of how far a view may be from the image. All zero gives the image itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Views {
    /// Largest rotation in degrees, either way. Default: 15.0.
    pub rotate_degrees: f64,
    /// Largest relative change of size of each axis. Default: 0.15.
    pub scale: f64,
    /// Largest shear, as the shift of a unit height. Default: 0.2.
    pub shear: f64,
    /// Largest shift, as a share of the side. Default: 0.1.
    pub shift: f64,
    /// Probability that a rectangle of up to a third of each side is erased: it takes the value of the border. Default:
    /// 0.0.
    pub erase: f64,
}

impl Default for Views {
    fn default() -> Self {
        Self { rotate_degrees: 15.0, scale: 0.15, shear: 0.2, shift: 0.1, erase: 0.0 }
    }
}

impl Views {
    /// Draws a random view of `image` (channels × side × side), sampled bilinearly; outside the image, its edge goes on.
    pub fn draw(&self, image: &[f32], channels: usize, side: usize, stream: &mut Stream) -> Vec<f32> {
        let mut around = |most: f64| if most == 0.0 { 0.0 } else { stream.uniform(-most, most) };
        let angle = around(self.rotate_degrees.to_radians());
        let (sx, sy, shear) = (1.0 + around(self.scale), 1.0 + around(self.scale), around(self.shear));
        let (tx, ty) = (around(self.shift) * side as f64, around(self.shift) * side as f64);
        let (cos, sin) = (libm::cos(angle), libm::sin(angle));
        // Where an output pixel comes from: shear, then stretch, then turn, about the centre.
        let matrix = [sx * cos, sx * (shear * cos - sin), sy * sin, sy * (shear * sin + cos)];
        let mut view = warp(image, channels, side, matrix, (tx, ty));
        if self.erase > 0.0 && stream.chance(self.erase) {
            erase(&mut view, image, channels, side, stream);
        }
        view
    }
}

fn warp(image: &[f32], channels: usize, side: usize, m: [f64; 4], shift: (f64, f64)) -> Vec<f32> {
    let middle = (side as f64 - 1.0) / 2.0;
    let last = side as f64 - 1.0;
    let mut out = vec![0.0; channels * side * side];
    for y in 0..side {
        for x in 0..side {
            let (dx, dy) = (x as f64 - middle, y as f64 - middle);
            let from_x = (m[0] * dx + m[1] * dy + middle + shift.0).clamp(0.0, last);
            let from_y = (m[2] * dx + m[3] * dy + middle + shift.1).clamp(0.0, last);
            let (x0, y0) = (from_x as usize, from_y as usize);
            let (x1, y1) = ((x0 + 1).min(side - 1), (y0 + 1).min(side - 1));
            let (fx, fy) = ((from_x - x0 as f64) as f32, (from_y - y0 as f64) as f32);
            for c in 0..channels {
                let plane = &image[c * side * side..][..side * side];
                let at = |y: usize, x: usize| plane[y * side + x];
                let top = at(y0, x0) * (1.0 - fx) + at(y0, x1) * fx;
                let bottom = at(y1, x0) * (1.0 - fx) + at(y1, x1) * fx;
                out[(c * side + y) * side + x] = top * (1.0 - fy) + bottom * fy;
            }
        }
    }
    out
}

fn erase(view: &mut [f32], image: &[f32], channels: usize, side: usize, stream: &mut Stream) {
    let longest = (side / 3).max(1);
    let (width, height) = (1 + stream.below(longest), 1 + stream.below(longest));
    let (left, top) = (stream.below(side - width + 1), stream.below(side - height + 1));
    for c in 0..channels {
        let border = image[c * side * side];
        for y in top..top + height {
            view[(c * side + y) * side + left..][..width].fill(border);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_allowed_changes_nothing() {
        let image: Vec<f32> = (0..2 * 25).map(|i| i as f32).collect();
        let none = Views { rotate_degrees: 0.0, scale: 0.0, shear: 0.0, shift: 0.0, erase: 0.0 };
        assert_eq!(none.draw(&image, 2, 5, &mut Stream::new("t", &[])), image);
    }

    #[test]
    fn a_quarter_turn_turns() {
        let image: Vec<f32> = (0..9).map(|i| i as f32).collect();
        let turned = warp(&image, 1, 3, [0.0, -1.0, 1.0, 0.0], (0.0, 0.0));
        assert_eq!(turned, [2.0, 5.0, 8.0, 1.0, 4.0, 7.0, 0.0, 3.0, 6.0]);
    }

    #[test]
    fn views_differ_and_repeat() {
        let image: Vec<f32> = (0..784).map(|i| (i % 29) as f32).collect();
        let views = Views { rotate_degrees: 10.0, scale: 0.1, shear: 0.1, shift: 0.1, erase: 1.0 };
        let draw = |n| views.draw(&image, 1, 28, &mut Stream::new("t", &[n]));
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
