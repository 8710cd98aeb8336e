//! From a decoded picture to one of the size that a network wants.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decode::{Color, ImageError, PIXELS, Picture};
use crate::geometry::Geometry;
use crate::resize::{Filter, Pillow, resize};
use crate::size::Size;

/// The side that is made `size` pixels long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Resize {
    /// The shorter side; the aspect ratio is kept, as in `torchvision.transforms.Resize(size)`. Of a size that is no
    /// square, its shorter side is meant.
    ShorterSide,
    /// Both sides; the aspect ratio is lost, as in `torchvision.transforms.Resize((size, size))`.
    Stretch,
    /// Neither side: images are used in the size that they have.
    None,
}

/// Step of the preparation of a picture, before it is resized for the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ImageStep {
    /// Resizes so that the shorter side has this number of pixels, as `torchvision.transforms.Resize(size)`:
    /// `ShorterSide(256, Bilinear)`.
    ShorterSide(u32, Filter),
    /// Resizes to this width and height in pixels, as `PIL.Image.resize((width, height))`: `Stretch(256, 256,
    /// Bicubic)`.
    Stretch(u32, u32, Filter),
    /// Cuts a square with this side in pixels from the centre, as `torchvision.transforms.CenterCrop(size)`:
    /// `CenterCrop(224)`.
    CenterCrop(u32),
    /// Adds borders of this pixel value, half of them on each side, until the picture is a square: `PadToSquare(0)`.
    PadToSquare(u8),
}

impl ImageStep {
    /// Lists the sides in pixels that it names.
    pub fn sides(self) -> Vec<u32> {
        match self {
            Self::ShorterSide(side, _) | Self::CenterCrop(side) => vec![side],
            Self::Stretch(width, height, _) => vec![width, height],
            Self::PadToSquare(_) => Vec::new(),
        }
    }

    /// Works out what it does to a picture of this size.
    fn operation(self, width: usize, height: usize) -> Operation {
        match self {
            Self::ShorterSide(side, filter) => {
                let (width, height) = shorter_side(width, height, side as usize);
                Operation::Resize(width, height, filter)
            }
            Self::Stretch(width, height, filter) => Operation::Resize(width as usize, height as usize, filter),
            Self::CenterCrop(side) => Operation::center_crop((width, height), Size::square(side), 0),
            Self::PadToSquare(value) => {
                let side = width.max(height);
                Operation::crop_to((width, height), (side, side), value)
            }
        }
    }
}

/// A change of pixels. Sizes are in pixels, width first.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Operation {
    Resize(usize, usize, Filter),
    Crop { left: isize, top: isize, width: usize, height: usize, fill: u8 },
}

impl Operation {
    fn center_crop(from: (usize, usize), to: Size, fill: u8) -> Self {
        Self::crop_to(from, (to.width as usize, to.height as usize), fill)
    }

    /// Cuts from the centre, padding with `fill` where the picture is smaller, as torchvision's `center_crop` with zeros.
    fn crop_to(from: (usize, usize), (width, height): (usize, usize), fill: u8) -> Self {
        Self::Crop { left: offset(from.0, width), top: offset(from.1, height), width, height, fill }
    }

    fn size(self) -> (usize, usize) {
        match self {
            Self::Resize(width, height, _) | Self::Crop { width, height, .. } => (width, height),
        }
    }

    /// Tells whether it leaves a picture of this size as it is: a resize or a crop from the centre to the same size.
    fn is_nothing(self, from: (usize, usize)) -> bool {
        self.size() == from
    }

    fn apply(self, picture: &Picture, pillow: Pillow) -> Picture {
        match self {
            Self::Resize(width, height, filter) => resize(picture, width, height, filter, pillow),
            Self::Crop { left, top, width, height, fill } => crop(picture, (left, top), (width, height), fill),
        }
    }

    fn add_to(self, geometry: Geometry) -> Geometry {
        match self {
            Self::Resize(width, height, _) => geometry.resized(width, height),
            Self::Crop { left, top, width, height, .. } => geometry.cropped(left, top, width, height),
        }
    }
}

/// A picture as a network wants it, and where its pixels come from.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The pixels: height × width × channels.
    pub pixels: Picture,
    /// The way of boxes, masks and normals from the file to these pixels.
    pub geometry: Geometry,
}

impl Prepared {
    /// Changes left and right.
    #[must_use]
    pub fn flipped(self) -> Self {
        Self { pixels: self.pixels.mirrored(), geometry: self.geometry.flipped() }
    }
}

/// The whole preprocessing of an image up to 8-bit pixels. Part of every key of features.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageSpec {
    /// Grey or RGB.
    pub color: Color,
    /// The way of resizing.
    pub resize: Resize,
    /// Target of the resize in pixels; with `Resize::None`, the size that images must have.
    pub size_px: Size,
    /// The weights of pixels.
    pub filter: Filter,
    /// Size of what is cut from the centre in pixels, which is that of the prepared picture.
    pub crop_px: Size,
    /// Steps before all that, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<ImageStep>,
    /// The Pillow whose order of passes all resizes follow.
    pub pillow: Pillow,
    /// [`PIXELS`], so that what was computed from other pixels has another key.
    pixels: u32,
}

impl ImageSpec {
    /// States a preprocessing that resizes as Pillow up to 12. `resize` makes images `size` large, and `crop` is cut from the
    /// centre.
    pub fn new(color: Color, resize: Resize, size: Size, filter: Filter, crop: Size, before: Vec<ImageStep>) -> Self {
        Self { color, resize, size_px: size, filter, crop_px: crop, before, pillow: Pillow::V12, pixels: PIXELS }
    }

    /// The same with the order of passes of another Pillow; of no effect where nothing is resized by a filter, so that a choice
    /// that changes no pixel is in no key.
    #[must_use]
    pub fn with_pillow(self, pillow: Pillow) -> Self {
        let filter_of = |step: &ImageStep| match step {
            ImageStep::ShorterSide(_, filter) | ImageStep::Stretch(_, _, filter) => *filter,
            ImageStep::CenterCrop(_) | ImageStep::PadToSquare(_) => Filter::Nearest,
        };
        let own = if self.resize == Resize::None { Filter::Nearest } else { self.filter };
        let is_seen = self.before.iter().map(filter_of).chain([own]).any(|filter| filter != Filter::Nearest);
        Self { pillow: if is_seen { pillow } else { Pillow::V12 }, ..self }
    }

    /// Makes a decoded picture one of `crop_px` pixels.
    ///
    /// # Errors
    /// With `Resize::None`, when the picture does not have the declared size; or when it is empty.
    pub fn apply(&self, picture: &Picture) -> Result<Prepared, ImageError> {
        let mut pixels = Cow::Borrowed(picture);
        let mut geometry = Geometry::identity(picture.width, picture.height);
        for operation in self.operations(picture.width, picture.height)? {
            pixels = Cow::Owned(operation.apply(&pixels, self.pillow));
            geometry = operation.add_to(geometry);
        }
        Ok(Prepared { pixels: pixels.into_owned(), geometry })
    }

    /// Works out the way of a picture of this size, without its pixels.
    ///
    /// # Errors
    /// Those of [`apply`](Self::apply).
    pub fn geometry(&self, width: usize, height: usize) -> Result<Geometry, ImageError> {
        let start = Geometry::identity(width, height);
        Ok(self.operations(width, height)?.into_iter().fold(start, |geometry, operation| operation.add_to(geometry)))
    }

    /// Lists all that changes a picture of this size, in order.
    fn operations(&self, width: usize, height: usize) -> Result<Vec<Operation>, ImageError> {
        if width == 0 || height == 0 {
            return Err(ImageError::Damaged(format!("it has {width}×{height} pixels")));
        }
        let mut at = (width, height);
        let mut all = Vec::new();
        let mut add = |operation: Operation, at: &mut (usize, usize)| {
            if !operation.is_nothing(*at) {
                all.push(operation);
            }
            *at = operation.size();
        };
        for step in &self.before {
            add(step.operation(at.0, at.1), &mut at);
        }
        let size = (self.size_px.width as usize, self.size_px.height as usize);
        match self.resize {
            Resize::Stretch => add(Operation::Resize(size.0, size.1, self.filter), &mut at),
            Resize::ShorterSide => {
                let (width, height) = shorter_side(at.0, at.1, size.0.min(size.1));
                add(Operation::Resize(width, height, self.filter), &mut at);
            }
            Resize::None if at != size => {
                return Err(ImageError::Unsuitable(format!(
                    "it has {}×{} pixels, and without resizing {}×{} are expected: give `resize: ShorterSide` or `Stretch`",
                    at.0, at.1, size.0, size.1
                )));
            }
            Resize::None => {}
        }
        add(Operation::center_crop(at, self.crop_px, 0), &mut at);
        Ok(all)
    }
}

/// Computes width and height after making the shorter side `size`; the longer is truncated, as in torchvision.
fn shorter_side(width: usize, height: usize, size: usize) -> (usize, usize) {
    if width <= height { (size, (size * height / width).max(1)) } else { ((size * width / height).max(1), size) }
}

/// Cuts out what begins at `left`, `top`; what is outside of the picture gets the value `fill`.
pub(crate) fn crop(
    picture: &Picture,
    (left, top): (isize, isize),
    (width, height): (usize, usize),
    fill: u8,
) -> Picture {
    let c = picture.channels;
    let mut data = vec![fill; width * height * c];
    // The part of a row that is inside of the picture, counted in the new one.
    let first = (-left).clamp(0, width as isize) as usize;
    let last = (picture.width as isize - left).clamp(first as isize, width as isize) as usize;
    for y in if first < last { 0..height } else { 0..0 } {
        let Some(from_y) = y.checked_add_signed(top).filter(|from| *from < picture.height) else { continue };
        let from = (from_y * picture.width + (first as isize + left) as usize) * c;
        let to = (y * width + first) * c;
        let length = (last - first) * c;
        data[to..to + length].copy_from_slice(&picture.data[from..from + length]);
    }
    Picture { width, height, channels: c, data }
}

/// Computes where the crop begins: half the difference, halves rounded to even as Python's `round`; padding is rounded down.
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
        let (size, crop) = (Size::square(2), Size::square(4));
        let mut spec = ImageSpec::new(Color::Grey, Resize::Stretch, size, Filter::Bilinear, crop, Vec::new());
        assert_eq!(spec.apply(&picture).unwrap().pixels.data, [0, 0, 0, 0, 0, 9, 9, 0, 0, 9, 9, 0, 0, 0, 0, 0]);
        spec.resize = Resize::None;
        assert!(spec.apply(&picture).unwrap_err().to_string().contains("1×1 pixels"));
        // A larger one is not cut down in silence either.
        let large = Picture { width: 9, height: 9, channels: 1, data: vec![0; 81] };
        assert!(spec.apply(&large).unwrap_err().to_string().contains("9×9 pixels"));
    }

    #[test]
    fn steps_before_come_in_order() {
        let picture = Picture { width: 2, height: 1, channels: 1, data: vec![10, 20] };
        let (size, before) = (Size::square(2), vec![ImageStep::PadToSquare(7)]);
        let mut spec = ImageSpec::new(Color::Grey, Resize::None, size, Filter::Nearest, size, before);
        assert_eq!(spec.apply(&picture).unwrap().pixels.data, [10, 20, 7, 7]);
        spec.before.push(ImageStep::Stretch(4, 4, Filter::Nearest));
        spec.before.push(ImageStep::CenterCrop(2));
        assert_eq!(spec.apply(&picture).unwrap().pixels.data, [10, 20, 7, 7]);
        spec.before.push(ImageStep::ShorterSide(3, Filter::Nearest));
        assert!(spec.apply(&picture).unwrap_err().to_string().contains("3×3 pixels"));
    }

    #[test]
    fn what_enters_a_key_is_pinned() {
        let size = Size { height: 3, width: 5 };
        let before = vec![ImageStep::CenterCrop(9)];
        let mut spec =
            ImageSpec::new(Color::Rgb, Resize::Stretch, Size::square(8), Filter::Bicubic, Size::square(7), before);
        let json = |spec: &ImageSpec| serde_json::to_string(spec).unwrap();
        assert_eq!(
            json(&spec),
            r#"{"color":"Rgb","resize":"Stretch","size_px":8,"filter":"Bicubic","crop_px":7,"before":[{"CenterCrop":9}],"pillow":"V12","pixels":3}"#
        );
        let newer = spec.clone().with_pillow(Pillow::V13);
        assert_eq!(json(&newer), json(&spec).replace("V12", "V13"));
        let nearest = ImageSpec { filter: Filter::Nearest, ..spec.clone() };
        assert_eq!(nearest.clone().with_pillow(Pillow::V13), nearest);
        spec.crop_px = size;
        assert!(json(&spec).contains(r#""size_px":8,"filter":"Bicubic","crop_px":[3,5]"#));
        assert_eq!((Size::square(8).to_string(), size.to_string()), ("8".to_owned(), "3×5".to_owned()));
    }

    #[test]
    fn pictures_need_not_be_squares() {
        let picture = Picture { width: 3, height: 1, channels: 1, data: vec![1, 2, 3] };
        let (size, crop) = (Size { height: 2, width: 3 }, Size { height: 2, width: 5 });
        let spec = ImageSpec::new(Color::Grey, Resize::Stretch, size, Filter::Nearest, crop, Vec::new());
        let prepared = spec.apply(&picture).unwrap();
        assert_eq!(prepared.pixels.data, [0, 1, 2, 3, 0, 0, 1, 2, 3, 0]);
        assert_eq!(prepared.geometry, spec.geometry(3, 1).unwrap());
        let flipped = prepared.flipped();
        assert_eq!((flipped.pixels.width, flipped.pixels.height), (5, 2));
        assert_eq!(flipped.pixels.data, [0, 3, 2, 1, 0, 0, 3, 2, 1, 0]);
        // The shorter side of the picture becomes the shorter side of the size: 6 × 2, of which 3 × 4 are cut.
        let (size, crop) = (Size { height: 2, width: 5 }, Size { height: 4, width: 3 });
        let shorter = ImageSpec::new(Color::Grey, Resize::ShorterSide, size, Filter::Nearest, crop, Vec::new());
        assert_eq!(shorter.apply(&picture).unwrap().pixels.data, [0, 0, 0, 2, 2, 3, 2, 2, 3, 0, 0, 0]);
        let empty = Picture { width: 0, height: 5, channels: 1, data: Vec::new() };
        assert!(spec.apply(&empty).unwrap_err().to_string().contains("0×5 pixels"));
    }

    #[test]
    fn crops_beside_the_picture_are_padding() {
        let picture = Picture { width: 2, height: 2, channels: 1, data: vec![1, 2, 3, 4] };
        let cut = |left, top| crop(&picture, (left, top), (2, 2), 9).data;
        assert_eq!((cut(0, 0), cut(1, 1), cut(-1, 0)), (vec![1, 2, 3, 4], vec![4, 9, 9, 9], vec![9, 1, 9, 3]));
        assert_eq!((cut(5, 0), cut(-5, 0), cut(0, 7)), (vec![9; 4], vec![9; 4], vec![9; 4]));
    }
}
