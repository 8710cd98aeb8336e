//! Random parts of a picture: what is cut out and resized, and what is erased.

use assay_stats::Stream;

use crate::decode::Picture;
use crate::preprocess::crop;

/// Random numbers that a transform asks for, one after the other.
pub trait Draws {
    /// A number from `low` to `high`.
    fn uniform(&mut self, low: f64, high: f64) -> f64;
    /// A whole number from 0 to `n` − 1.
    fn below(&mut self, n: usize) -> usize;
}

impl Draws for Stream {
    fn uniform(&mut self, low: f64, high: f64) -> f64 {
        Stream::uniform(self, low, high)
    }

    fn below(&mut self, n: usize) -> usize {
        Stream::below(self, n)
    }
}

/// A rectangle of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Number of columns.
    pub width: usize,
    /// Number of rows.
    pub height: usize,
}

/// Tries before the whole picture, or nothing, is taken.
const TRIES: usize = 10;

/// Least and greatest share of the area, and of width over height (of height over width where something is erased).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shapes {
    /// Share of the area.
    pub scale: (f64, f64),
    /// Ratio of the sides, whose logarithm is drawn evenly.
    pub ratio: (f64, f64),
}

impl Shapes {
    /// Draws an area in pixels and a ratio of sides, in this order.
    fn draw(self, area: f64, draws: &mut impl Draws) -> (f64, f64) {
        let share = draws.uniform(self.scale.0, self.scale.1);
        let logarithm = draws.uniform(libm::log(self.ratio.0), libm::log(self.ratio.1));
        // torch computes it in single precision.
        (area * share, f64::from(libm::exp(logarithm) as f32))
    }

    /// Draws what is cut of a picture of `size` (width, height), as `RandomResizedCrop.get_params` of torchvision: ten tries, then
    /// the largest centred part whose ratio is allowed. Each try asks for a share, a logarithm of a ratio, and, where it fits, a
    /// row and a column.
    pub fn crop(self, (width, height): (usize, usize), draws: &mut impl Draws) -> Region {
        for _ in 0..TRIES {
            let (area, ratio) = self.draw((width * height) as f64, draws);
            let (w, h) = (rounded(libm::sqrt(area * ratio)), rounded(libm::sqrt(area / ratio)));
            if (1..=width).contains(&w) && (1..=height).contains(&h) {
                let top = draws.below(height - h + 1);
                return Region { left: draws.below(width - w + 1), top, width: w, height: h };
            }
        }
        let (least, greatest) = (self.ratio.0.min(self.ratio.1), self.ratio.0.max(self.ratio.1));
        let own = width as f64 / height as f64;
        let (w, h) = if own < least {
            (width, rounded(width as f64 / least))
        } else if own > greatest {
            (rounded(height as f64 * greatest), height)
        } else {
            (width, height)
        };
        Region { left: (width - w) / 2, top: (height - h) / 2, width: w, height: h }
    }

    /// Draws what is erased of a picture of `size` (width, height), as `RandomErasing.get_params` of torchvision with a given value:
    /// nothing after ten tries that did not fit. Draws come as for [`crop`](Self::crop).
    pub fn erased(self, (width, height): (usize, usize), draws: &mut impl Draws) -> Option<Region> {
        for _ in 0..TRIES {
            let (area, ratio) = self.draw((width * height) as f64, draws);
            let (h, w) = (rounded(libm::sqrt(area * ratio)), rounded(libm::sqrt(area / ratio)));
            if h < height && w < width {
                let top = draws.below(height - h + 1);
                return Some(Region { left: draws.below(width - w + 1), top, width: w, height: h });
            }
        }
        None
    }
}

/// Rounds as Python does, halves to even.
fn rounded(value: f64) -> usize {
    libm::rint(value) as usize
}

impl Picture {
    /// Cuts out a part; what lies beyond the picture is black.
    pub fn cropped(&self, region: Region) -> Self {
        let Region { left, top, width, height } = region;
        crop(self, (left as isize, top as isize), (width, height), 0)
    }

    /// Gives a part one value a channel, the last again where there are too few.
    #[must_use]
    pub fn erased(mut self, region: Region, values: &[u8]) -> Self {
        let bottom = (region.top + region.height).min(self.height);
        let right = (region.left + region.width).min(self.width);
        for y in region.top..bottom {
            for x in region.left..right {
                let pixel = &mut self.data[(y * self.width + x) * self.channels..][..self.channels];
                for (i, value) in pixel.iter_mut().enumerate() {
                    *value = values.get(i).or(values.last()).copied().unwrap_or(0);
                }
            }
        }
        self
    }

    /// Changes left and right.
    #[must_use]
    pub fn mirrored(&self) -> Self {
        let rows = self.data.chunks_exact((self.width * self.channels).max(1));
        let data = rows.flat_map(|row| row.chunks_exact(self.channels).rev().flatten().copied()).collect();
        Self { data, ..*self }
    }
}
