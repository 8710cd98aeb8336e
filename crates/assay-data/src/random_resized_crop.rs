//! Random crops of a random shape, the usual augmentation of finetuning.

use assay_stats::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::augment::Shapes;
use crate::decode::Picture;
use crate::resize::{Filter, Pillow, resize};
use crate::size::Size;

/// `torchvision.transforms.RandomResizedCrop` and then `RandomHorizontalFlip`: a window of random area and shape, cut out,
/// resized, and mirrored by chance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RandomResizedCrop {
    /// Least and greatest area of the window, as shares of that of the picture. Default: [0.08, 1.0].
    pub scale: (f64, f64),
    /// Least and greatest width of the window in units of its height. Default: [0.75, 1.3333333333333333].
    pub ratio: (f64, f64),
    /// Probability that left and right are exchanged. Default: 0.5.
    pub flip: f64,
}

impl Default for RandomResizedCrop {
    fn default() -> Self {
        Self { scale: (0.08, 1.0), ratio: (3.0 / 4.0, 4.0 / 3.0), flip: 0.5 }
    }
}

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

    /// Draws a view of `picture` of the given size.
    pub fn draw(
        &self,
        picture: &Picture,
        size: Size,
        (filter, pillow): (Filter, Pillow),
        stream: &mut Stream,
    ) -> Picture {
        let shapes = Shapes { scale: self.scale, ratio: self.ratio };
        let part = picture.cropped(shapes.crop((picture.width, picture.height), stream));
        let view = resize(&part, size.width as usize, size.height as usize, filter, pillow);
        if stream.chance(self.flip) { view.mirrored() } else { view }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_a_part_of_the_picture_and_the_same_for_the_same_seed() {
        let data: Vec<u8> = (0..40 * 30).map(|i| (i % 40 * 6) as u8).collect();
        let picture = Picture { width: 40, height: 30, channels: 1, data };
        let draw = |seed, crop: RandomResizedCrop| {
            crop.draw(&picture, Size::square(8), (Filter::Bicubic, Pillow::V12), &mut Stream::new("t", &[seed]))
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
