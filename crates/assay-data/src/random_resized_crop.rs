//! Random crops of a random shape, the usual augmentation of finetuning.

use assay_stats::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decode::Picture;
use crate::preprocess::crop;
use crate::resize::{Filter, resize};
use crate::size::Size;

/// `torchvision.transforms.RandomResizedCrop` and then `RandomHorizontalFlip`: a window of random area and shape, cut out,
/// resized, and mirrored by chance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RandomResizedCrop {
    /// Least and greatest area of the window, as shares of that of the picture. Default: (0.08, 1.0).
    pub scale: (f64, f64),
    /// Least and greatest width of the window in units of its height. Default: (0.75, 1.3333333333333333).
    pub ratio: (f64, f64),
    /// Probability that left and right are exchanged. Default: 0.5.
    pub flip: f64,
}

impl Default for RandomResizedCrop {
    fn default() -> Self {
        Self { scale: (0.08, 1.0), ratio: (3.0 / 4.0, 4.0 / 3.0), flip: 0.5 }
    }
}

/// Source of random numbers, so that those of another library can be replayed.
trait Draws {
    fn uniform(&mut self, low: f64, high: f64) -> f64;
    fn below(&mut self, n: usize) -> usize;
}

impl Draws for Stream {
    fn uniform(&mut self, low: f64, high: f64) -> f64 {
        Self::uniform(self, low, high)
    }

    fn below(&mut self, n: usize) -> usize {
        Self::below(self, n)
    }
}

/// A part of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

/// Windows that are drawn before the centre is taken instead.
const TRIES: u32 = 10;

impl RandomResizedCrop {
    /// Says what is wrong with the parameters, if anything is.
    pub fn invalid_because(&self) -> Option<&'static str> {
        let is_range = |(low, high): (f64, f64)| low > 0.0 && low <= high && high.is_finite();
        if !is_range(self.scale) || self.scale.1 > 1.0 {
            Some("`scale` must be two shares, the smaller first, greater than 0 and at most 1")
        } else if !is_range(self.ratio) {
            Some("`ratio` must be two positive numbers, the smaller first")
        } else if !(0.0..=1.0).contains(&self.flip) {
            Some("`flip` must be a probability, from 0 to 1")
        } else {
            None
        }
    }

    /// Draws a view of `picture` of the given size. A picture that is resized is resized by `filter`.
    pub fn draw(&self, picture: &Picture, size: Size, filter: Filter, stream: &mut Stream) -> Picture {
        let Window { left, top, width, height } = self.window(picture.width, picture.height, stream);
        let part = crop(picture, (left as isize, top as isize), (width, height), 0);
        let view = resize(&part, size.width as usize, size.height as usize, filter);
        if stream.chance(self.flip) { view.flipped() } else { view }
    }

    fn window(&self, width: usize, height: usize, draws: &mut impl Draws) -> Window {
        let area = (width * height) as f64;
        let shapes = (libm::log(self.ratio.0), libm::log(self.ratio.1));
        for _ in 0..TRIES {
            let area = area * draws.uniform(self.scale.0, self.scale.1);
            let shape = libm::exp(draws.uniform(shapes.0, shapes.1));
            // Halves are rounded to even, as by Python's `round`.
            let side = |square: f64| square.sqrt().round_ties_even() as usize;
            let (w, h) = (side(area * shape), side(area / shape));
            if (1..=width).contains(&w) && (1..=height).contains(&h) {
                let top = draws.below(height - h + 1);
                return Window { left: draws.below(width - w + 1), top, width: w, height: h };
            }
        }
        self.center(width, height)
    }

    /// The whole picture, or the largest window in its centre whose shape is allowed.
    fn center(&self, width: usize, height: usize) -> Window {
        let shape = width as f64 / height as f64;
        let (w, h) = if shape < self.ratio.0 {
            (width, (width as f64 / self.ratio.0).round_ties_even() as usize)
        } else if shape > self.ratio.1 {
            ((height as f64 * self.ratio.1).round_ties_even() as usize, height)
        } else {
            (width, height)
        };
        let (w, h) = (w.clamp(1, width), h.clamp(1, height));
        Window { left: (width - w) / 2, top: (height - h) / 2, width: w, height: h }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Replays numbers: shares of the range of a uniform draw, and integers.
    struct Script(Vec<f64>);

    impl Draws for Script {
        fn uniform(&mut self, low: f64, high: f64) -> f64 {
            low + (high - low) * self.0.remove(0)
        }

        fn below(&mut self, n: usize) -> usize {
            let drawn = self.0.remove(0) as usize;
            assert!(drawn < n, "{drawn} of {n}");
            drawn
        }
    }

    #[test]
    fn windows_are_those_of_torchvision() {
        // `RandomResizedCrop.get_params` with these draws: see tests/reference/random_resized_crop.py.
        let reference: Vec<(usize, usize, Vec<f64>, [usize; 4])> =
            serde_json::from_str(include_str!("../../../tests/reference/random_resized_crop.json")).unwrap();
        assert!(reference.len() > 20);
        for (width, height, draws, [left, top, w, h]) in reference {
            let window = RandomResizedCrop::default().window(width, height, &mut Script(draws.clone()));
            assert_eq!(window, Window { left, top, width: w, height: h }, "{width}×{height} {draws:?}");
        }
    }

    #[test]
    fn a_view_is_a_part_of_the_picture_and_the_same_for_the_same_seed() {
        let data: Vec<u8> = (0..40 * 30).map(|i| (i % 40 * 6) as u8).collect();
        let picture = Picture { width: 40, height: 30, channels: 1, data };
        let draw = |seed, crop: RandomResizedCrop| {
            crop.draw(&picture, Size::square(8), Filter::Bicubic, &mut Stream::new("t", &[seed]))
        };
        let crop = RandomResizedCrop::default();
        assert_eq!(draw(1, crop).data, draw(1, crop).data);
        assert_ne!(draw(1, crop).data, draw(2, crop).data);
        // Grey rises to the right, and falls in a mirror.
        let rises = |view: &Picture| view.data[0] < view.data[7];
        assert!(rises(&draw(1, RandomResizedCrop { flip: 0.0, ..crop })));
        assert!(!rises(&draw(1, RandomResizedCrop { flip: 1.0, ..crop })));
    }

    #[test]
    fn parameters_are_checked() {
        let wrong = |crop: RandomResizedCrop| crop.invalid_because().unwrap();
        let crop = RandomResizedCrop::default();
        assert_eq!(crop.invalid_because(), None);
        assert!(wrong(RandomResizedCrop { scale: (0.0, 1.0), ..crop }).starts_with("`scale`"));
        assert!(wrong(RandomResizedCrop { scale: (0.5, 1.5), ..crop }).starts_with("`scale`"));
        assert!(wrong(RandomResizedCrop { ratio: (2.0, 1.0), ..crop }).starts_with("`ratio`"));
        assert!(wrong(RandomResizedCrop { flip: f64::NAN, ..crop }).starts_with("`flip`"));
    }
}
