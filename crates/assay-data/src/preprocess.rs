//! From a decoded picture to one of the size that a network wants.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decode::{Color, ImageError, Picture};
use crate::resize::{Filter, resize};

/// Which side is made `size` pixels long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Resize {
    /// The shorter side; the aspect ratio is kept. `torchvision.transforms.Resize(size)`.
    ShorterSide,
    /// Both sides; the aspect ratio is lost. `torchvision.transforms.Resize((size, size))`.
    Stretch,
    /// Neither: images are used in the size they have.
    None,
}

/// Something done to a picture before it is resized for the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ImageStep {
    /// Makes the shorter side so many pixels long: `torchvision.transforms.Resize(size)`.
    ShorterSide(u32, Filter),
    /// Makes width and height so many pixels long: `PIL.Image.resize((width, height))`.
    Stretch(u32, u32, Filter),
    /// Cuts a square from the centre: `torchvision.transforms.CenterCrop(size)`.
    CenterCrop(u32),
    /// Adds borders of this value, half of them on each side, until the picture is a square.
    PadToSquare(u8),
}

impl ImageStep {
    /// Sides in pixels that it names.
    pub fn sides(self) -> Vec<u32> {
        match self {
            Self::ShorterSide(side, _) | Self::CenterCrop(side) => vec![side],
            Self::Stretch(width, height, _) => vec![width, height],
            Self::PadToSquare(_) => Vec::new(),
        }
    }

    fn apply(self, picture: &Picture) -> Picture {
        match self {
            Self::ShorterSide(side, filter) => {
                let (width, height) = shorter_side(picture.width, picture.height, side as usize);
                resize(picture, width, height, filter)
            }
            Self::Stretch(width, height, filter) => resize(picture, width as usize, height as usize, filter),
            Self::CenterCrop(side) => center_crop(picture, side as usize, 0),
            Self::PadToSquare(value) => center_crop(picture, picture.width.max(picture.height), value),
        }
    }
}

/// The whole preprocessing of an image up to 8-bit pixels. Part of every key of features.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageSpec {
    /// Grey or RGB.
    pub color: Color,
    /// How to resize.
    pub resize: Resize,
    /// Target of the resize in pixels; with `Resize::None`, the size that images must have.
    pub size_px: u32,
    /// How pixels are weighted.
    pub filter: Filter,
    /// Side of the square cut from the centre in pixels.
    pub crop_px: u32,
    /// What is done before all that, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<ImageStep>,
}

impl ImageSpec {
    /// Decoded picture to `crop_px` × `crop_px` pixels.
    ///
    /// # Errors
    /// With `Resize::None`, when the picture does not have the declared size.
    pub fn apply(&self, picture: &Picture) -> Result<Picture, ImageError> {
        let mut before: Option<Picture> = None;
        for step in &self.before {
            before = Some(step.apply(before.as_ref().unwrap_or(picture)));
        }
        let picture = before.as_ref().unwrap_or(picture);
        let size = self.size_px as usize;
        let resized = match self.resize {
            Resize::Stretch => resize(picture, size, size, self.filter),
            Resize::ShorterSide => {
                let (width, height) = shorter_side(picture.width, picture.height, size);
                resize(picture, width, height, self.filter)
            }
            Resize::None if (picture.width, picture.height) != (size, size) => {
                return Err(ImageError::Unsuitable(format!(
                    "it has {}×{} pixels, and without resizing {size}×{size} are expected: give `resize: ShorterSide` or `Stretch`",
                    picture.width, picture.height
                )));
            }
            Resize::None => picture.clone(),
        };
        Ok(center_crop(&resized, self.crop_px as usize, 0))
    }
}

/// Width and height after making the shorter side `size`; the longer is truncated, as in torchvision.
fn shorter_side(width: usize, height: usize, size: usize) -> (usize, usize) {
    if width <= height { (size, (size * height / width).max(1)) } else { ((size * width / height).max(1), size) }
}

/// Cuts a square from the centre, padding with `fill` where the picture is smaller, as torchvision's `center_crop` with zeros.
fn center_crop(picture: &Picture, size: usize, fill: u8) -> Picture {
    if (picture.width, picture.height) == (size, size) {
        return picture.clone();
    }
    let c = picture.channels;
    let mut data = vec![fill; size * size * c];
    let (left, top) = (offset(picture.width, size), offset(picture.height, size));
    for y in 0..size {
        let from_y = y as isize + top;
        if !(0..picture.height as isize).contains(&from_y) {
            continue;
        }
        for x in 0..size {
            let from_x = x as isize + left;
            if (0..picture.width as isize).contains(&from_x) {
                let from = (from_y as usize * picture.width + from_x as usize) * c;
                let to = (y * size + x) * c;
                data[to..to + c].copy_from_slice(&picture.data[from..from + c]);
            }
        }
    }
    Picture { width: size, height: size, channels: c, data }
}

/// Where the crop begins: half the difference, halves rounded to even as Python's `round`; padding is rounded down.
fn offset(side: usize, size: usize) -> isize {
    if side < size {
        return -(((size - side) / 2) as isize);
    }
    let difference = side - size;
    let half = difference / 2;
    (if difference % 2 == 1 && half % 2 == 1 { half + 1 } else { half }) as isize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_and_offsets_follow_torchvision() {
        assert_eq!(shorter_side(500, 375, 224), (298, 224));
        assert_eq!(shorter_side(375, 500, 224), (224, 298));
        assert_eq!(shorter_side(1, 1000, 2), (2, 2000));
        // int(round(0.5)) = 0, int(round(1.5)) = 2, int(round(2.5)) = 2
        assert_eq!([1, 3, 5, 4].map(|d| offset(10 + d, 10)), [0, 2, 2, 2]);
        assert_eq!(offset(7, 10), -1);
    }

    #[test]
    fn a_small_picture_is_padded_or_refused() {
        let picture = Picture { width: 1, height: 1, channels: 1, data: vec![9] };
        let mut spec = ImageSpec {
            color: Color::Grey,
            resize: Resize::Stretch,
            size_px: 2,
            filter: Filter::Bilinear,
            crop_px: 4,
            before: Vec::new(),
        };
        assert_eq!(spec.apply(&picture).unwrap().data, [0, 0, 0, 0, 0, 9, 9, 0, 0, 9, 9, 0, 0, 0, 0, 0]);
        spec.resize = Resize::None;
        assert!(spec.apply(&picture).unwrap_err().to_string().contains("1×1 pixels"));
        // A larger one is not cut down in silence either.
        let large = Picture { width: 9, height: 9, channels: 1, data: vec![0; 81] };
        assert!(spec.apply(&large).unwrap_err().to_string().contains("9×9 pixels"));
    }

    #[test]
    fn steps_before_come_in_order() {
        let picture = Picture { width: 2, height: 1, channels: 1, data: vec![10, 20] };
        let mut spec = ImageSpec {
            color: Color::Grey,
            resize: Resize::None,
            size_px: 2,
            filter: Filter::Nearest,
            crop_px: 2,
            before: vec![ImageStep::PadToSquare(7)],
        };
        assert_eq!(spec.apply(&picture).unwrap().data, [10, 20, 7, 7]);
        spec.before.push(ImageStep::Stretch(4, 4, Filter::Nearest));
        spec.before.push(ImageStep::CenterCrop(2));
        assert_eq!(spec.apply(&picture).unwrap().data, [10, 20, 7, 7]);
        spec.before.push(ImageStep::ShorterSide(3, Filter::Nearest));
        assert!(spec.apply(&picture).unwrap_err().to_string().contains("3×3 pixels"));
    }
}
