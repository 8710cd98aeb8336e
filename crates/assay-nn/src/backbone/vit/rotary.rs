//! Rotary embeddings of positions in images (Su et al. 2021): queries and keys are turned by angles that grow with their row and
//! column.

use burn::tensor::{Device, Tensor, TensorData};

use crate::input::ImageSize;

/// Kind of a rotary embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotary {
    /// Of DINOv3: positions from −1 to 1 on each side, whatever the size of the image; periods from 1 to 100; first halves of
    /// features are paired with second halves.
    DinoV3,
    /// The same with the periods as the authors' own files keep them, rounded to bfloat16.
    DinoV3Rounded,
    /// Of EVA-02: positions from 0 to the side of the grid that it was pretrained on, whatever the size of the image; neighbouring
    /// features are paired.
    Eva02 {
        /// Side of the grid of patches of pretraining: 16.
        side: usize,
    },
}

/// Sines and cosines for all tokens of an image: T × D/heads each.
#[derive(Clone, Debug)]
pub struct Rotation {
    sin: Tensor<2>,
    cos: Tensor<2>,
    is_half: bool,
}

impl Rotation {
    /// The angles for a grid behind `prefix` tokens, which are not turned; `dim` features a head.
    pub fn new(kind: Rotary, grid: ImageSize, prefix: usize, dim: usize, device: &Device) -> Self {
        let is_half = !matches!(kind, Rotary::Eva02 { .. });
        let quarter = dim / 4;
        let (mut sines, mut cosines) = (vec![0.0; prefix * dim], vec![1.0; prefix * dim]);
        for y in 0..grid.height {
            for x in 0..grid.width {
                let angle = |i: usize| {
                    let (at, side) = if i < quarter { (y, grid.height) } else { (x, grid.width) };
                    kind.angle(at, side, i % quarter, quarter)
                };
                // A pair of features has one angle.
                let of_feature = |i: usize| if is_half { angle(i % (dim / 2)) } else { angle(i / 2) };
                sines.extend((0..dim).map(|i| libm::sin(of_feature(i)) as f32));
                cosines.extend((0..dim).map(|i| libm::cos(of_feature(i)) as f32));
            }
        }
        let shape = [prefix + grid.area(), dim];
        let tensor = |numbers| Tensor::from_data(TensorData::new(numbers, shape), device);
        Self { sin: tensor(sines), cos: tensor(cosines), is_half }
    }

    /// Turns queries or keys: B × heads × T × D/heads
    pub fn turn(&self, x: Tensor<4>) -> Tensor<4> {
        let [b, h, t, d] = x.dims();
        let other = if self.is_half {
            let part = |i: usize| x.clone().slice([0..b, 0..h, 0..t, i * d / 2..(i + 1) * d / 2]);
            Tensor::cat(vec![-part(1), part(0)], 3)
        } else {
            let pairs = x.clone().reshape([b * h, t, d / 2, 2]);
            let part = |i: usize| pairs.clone().slice([0..b * h, 0..t, 0..d / 2, i..i + 1]);
            Tensor::cat(vec![-part(1), part(0)], 3).reshape([b, h, t, d])
        };
        x * self.cos.clone().unsqueeze() + other * self.sin.clone().unsqueeze()
    }
}

impl Rotary {
    /// The angle of the feature `i` of `quarter` at a place of a side.
    fn angle(self, at: usize, side: usize, i: usize, quarter: usize) -> f64 {
        let share = i as f64 / quarter as f64;
        match self {
            Self::DinoV3 | Self::DinoV3Rounded => {
                let place = (at as f64 + 0.5) / side as f64 * 2.0 - 1.0;
                let period = libm::pow(100.0, share);
                let period = if self == Self::DinoV3Rounded { to_bfloat16(period) } else { period };
                2.0 * std::f64::consts::PI * place / period
            }
            Self::Eva02 { side: known } => at as f64 / side as f64 * known as f64 / libm::pow(10_000.0, share),
        }
    }
}

/// The nearest number of 8 bits, ties to even.
fn to_bfloat16(x: f64) -> f64 {
    let bits = (x as f32).to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) & 0xffff_0000;
    f64::from(f32::from_bits(rounded))
}
