//! Targets, what an image shows: a class, several, boxes, a mask, a map of normals.
//!
//! An image carries a *set* of these, each at most once: the images of Pascal VOC have classes, boxes and masks, those of NYUv2
//! masks and normals, and each protocol takes the one that it is about. Reading them is another matter, see
//! [`MaskTarget::read`] and [`TargetFile::normals`]: nothing of a target file is kept in memory with the list.

use std::sync::Arc;

use crate::source::ImageSource;

/// The presence of one class in an image that can show several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The class is not shown.
    Absent,
    /// The class is shown, but marked as difficult.
    Difficult,
    /// The class is shown.
    Present,
}

impl Presence {
    /// Gives back what `as u8` made a number of.
    pub fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Absent,
            1 => Self::Difficult,
            _ => Self::Present,
        }
    }
}

/// The class of an image, or its classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Label {
    /// One class: an index into [`Manifest::classes`](crate::Manifest::classes).
    Class(u32),
    /// For each of the classes, whether it is there.
    MultiLabel(Box<[Presence]>),
}

/// A box around an object, in pixels of the file as it is stored (EXIF rotation is ignored): half-open, from the upper left
/// corner of the image, so that a box around the whole image is `0, 0, width, height`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoundingBox {
    /// Left edge in pixels.
    pub x0: f32,
    /// Upper edge in pixels.
    pub y0: f32,
    /// Right edge in pixels.
    pub x1: f32,
    /// Lower edge in pixels.
    pub y1: f32,
    /// Class of the object: an index into [`Manifest::classes`](crate::Manifest::classes).
    pub class: u32,
    /// Marked as difficult: found or not, it does not count (Pascal VOC).
    pub difficult: bool,
    /// Around a crowd of objects: any number of finds in it is right (COCO).
    pub crowd: bool,
}

/// A file that says something about every pixel of an image.
#[derive(Clone, Debug)]
pub struct TargetFile {
    /// The place of the file.
    pub source: ImageSource,
    /// Digest of its content.
    pub digest: blake3::Hash,
}

/// A file with the class of every pixel, and how its values are read.
#[derive(Clone, Debug)]
pub struct MaskTarget {
    /// The file: a PNG of one channel, grey or with a palette, whose values or palette indices are meant.
    pub file: TargetFile,
    /// Value of class 0, others follow; pixels of smaller values belong to no class (ADE20K: 1).
    pub first_class: u8,
    /// Value of pixels that belong to no class (Pascal VOC: 255).
    pub ignore: u8,
}

/// All that is known of an image. Absent is what nobody looked for; an image that was searched for objects and has none has an
/// empty list of boxes.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// The class of the whole image, or its classes.
    pub label: Option<Label>,
    /// Boxes around objects, in the order of the annotation.
    pub boxes: Option<Arc<[BoundingBox]>>,
    /// The class of every pixel.
    pub mask: Option<MaskTarget>,
    /// The surface normal of every pixel.
    pub normals: Option<TargetFile>,
}

impl From<Label> for Targets {
    fn from(label: Label) -> Self {
        Self { label: Some(label), ..Self::default() }
    }
}

impl Targets {
    /// Makes the target of an image of one class.
    pub fn class(class: u32) -> Self {
        Label::Class(class).into()
    }

    /// Lists the files that it names.
    pub fn files(&self) -> impl Iterator<Item = &TargetFile> {
        self.mask.as_ref().map(|mask| &mask.file).into_iter().chain(&self.normals)
    }

    /// Tells whether it is a label and nothing else: what digests of manifests were made for first.
    pub(crate) fn is_label_alone(&self) -> bool {
        self.label.is_some() && self.boxes.is_none() && self.mask.is_none() && self.normals.is_none()
    }

    /// Adds everything to a digest, each part behind a byte that says whether it is there.
    pub(crate) fn digest_into(&self, hasher: &mut blake3::Hasher) {
        match &self.label {
            None => hasher.update(&[0]),
            Some(Label::Class(class)) => hasher.update(&[1]).update(&class.to_le_bytes()),
            Some(Label::MultiLabel(classes)) => {
                let codes: Vec<u8> = classes.iter().map(|c| *c as u8).collect();
                hasher.update(&[2]).update(&(codes.len() as u64).to_le_bytes()).update(&codes)
            }
        };
        hasher.update(&[u8::from(self.boxes.is_some())]);
        if let Some(boxes) = &self.boxes {
            hasher.update(&(boxes.len() as u64).to_le_bytes());
            for one in boxes.iter() {
                for side in [one.x0, one.y0, one.x1, one.y1] {
                    hasher.update(&side.to_le_bytes());
                }
                hasher.update(&one.class.to_le_bytes()).update(&[u8::from(one.difficult), u8::from(one.crowd)]);
            }
        }
        hasher.update(&[u8::from(self.mask.is_some())]);
        if let Some(mask) = &self.mask {
            hasher.update(mask.file.digest.as_bytes()).update(&[mask.first_class, mask.ignore]);
        }
        hasher.update(&[u8::from(self.normals.is_some())]);
        if let Some(normals) = &self.normals {
            hasher.update(normals.digest.as_bytes());
        }
    }
}
