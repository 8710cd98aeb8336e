//! Places of images, and ways to get at them.
//!
//! **Invariant.** Outside this crate nothing is decoded but what has been compared with the digest that the manifest names:
//! reading is private, and [`Sample::picture`](crate::Sample::picture) is the only way.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::archive::Archive;
use crate::decode::{Color, ImageError, Picture};
use crate::features::FeatureMatrix;
use crate::glyphs::Glyphs;
use crate::regular::read_regular;

/// The place of an image.
#[derive(Clone, Debug)]
pub enum ImageSource {
    /// A file.
    File(PathBuf),
    /// A member of an archive.
    Member {
        /// The archive.
        archive: Arc<Archive>,
        /// Index of the member.
        index: usize,
    },
    /// Something in a file that holds many images.
    Inside {
        /// The file.
        container: Packed,
        /// Index of the image.
        index: usize,
    },
    /// A row of features that somebody else has computed; there is no image.
    Row {
        /// The features.
        matrix: Arc<FeatureMatrix>,
        /// Index of the row.
        index: usize,
        /// Digest of the row's features.
        digest: blake3::Hash,
    },
    /// A drawing of a generated alphabet.
    Glyph {
        /// The generator.
        glyphs: Arc<Glyphs>,
        /// Index of the drawing.
        index: u32,
    },
}

/// A file that holds many images.
#[derive(Clone, Debug)]
pub struct Packed(Arc<dyn Container>);

impl Packed {
    pub(crate) fn new(container: impl Container + 'static) -> Self {
        Self(Arc::new(container))
    }
}

/// A reader of files that hold many images.
pub(crate) trait Container: std::fmt::Debug + Send + Sync {
    /// The file.
    fn path(&self) -> &Path;

    /// Reads one of its images.
    ///
    /// # Errors
    /// What is wrong with the file; the caller knows its name.
    fn content(&self, index: usize) -> Result<Content, ImageError>;
}

/// The bytes of an image, before it is decoded.
#[derive(Debug)]
pub(crate) enum Content {
    /// An encoded image.
    Encoded(Vec<u8>),
    /// The bytes of three planes, red, green and blue, of squares with this side.
    Planes(usize, Vec<u8>),
}

/// An image file larger than this is refused.
pub(crate) const MAX_IMAGE_FILE_BYTES: u64 = 256 << 20;

impl Content {
    /// Computes what the manifest calls the digest of the image.
    pub fn digest(&self) -> blake3::Hash {
        match self {
            Self::Encoded(bytes) => blake3::hash(bytes),
            Self::Planes(side, planes) => planes_digest(*side, planes),
        }
    }

    fn decode(self, color: Color) -> Result<Picture, ImageError> {
        match self {
            Self::Encoded(bytes) => Picture::decode(&bytes, color),
            Self::Planes(side, planes) => {
                let area = side * side;
                let data = (0..area).flat_map(|i| [planes[i], planes[area + i], planes[2 * area + i]]).collect();
                Ok(Picture { width: side, height: side, channels: 3, data }.into_color(color))
            }
        }
    }
}

/// Digest of an image of three planes.
pub(crate) fn planes_digest(side: usize, planes: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("{side}x{side} planes").as_bytes()).update(planes);
    hasher.finalize()
}

impl ImageSource {
    /// Gives the file on disk that it depends on, if any.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Member { archive, .. } => Some(archive.path()),
            Self::Inside { container, .. } => Some(container.0.path()),
            Self::Row { matrix, .. } => Some(matrix.path()),
            Self::Glyph { .. } => None,
        }
    }

    /// Reads and decodes the image, whose content must have this digest. A drawing is what its place says.
    ///
    /// # Errors
    /// What is wrong with the file, or that it is another than was planned; the caller knows its name.
    pub(crate) fn picture(&self, planned: &blake3::Hash, color: Color) -> Result<Picture, ImageError> {
        match self {
            Self::Glyph { glyphs, index } => Ok(glyphs.draw(*index).into_color(color)),
            other => other.planned_content(planned)?.decode(color),
        }
    }

    /// Reads an encoded file, whose content must have this digest.
    ///
    /// # Errors
    /// Those of [`picture`](Self::picture), or when there is no such file.
    pub(crate) fn encoded(&self, planned: &blake3::Hash) -> Result<Vec<u8>, ImageError> {
        match self.planned_content(planned)? {
            Content::Encoded(bytes) => Ok(bytes),
            Content::Planes(..) => Err(ImageError::Unsuitable("it is not an encoded image".to_owned())),
        }
    }

    /// Reads the bytes and compares them with what was planned. They were whole then, so damage is a change too.
    fn planned_content(&self, planned: &blake3::Hash) -> Result<Content, ImageError> {
        let content = self.content().map_err(|error| match error {
            ImageError::Damaged(_) => ImageError::Changed,
            other => other,
        })?;
        if content.digest() == *planned { Ok(content) } else { Err(ImageError::Changed) }
    }

    fn content(&self) -> Result<Content, ImageError> {
        match self {
            Self::Glyph { .. } => Err(ImageError::Unsuitable("a drawing is not in a file".to_owned())),
            Self::Row { .. } => Err(ImageError::Unsuitable("it is a row of features, and no image".to_owned())),
            Self::File(path) => {
                let bytes = read_regular(path, MAX_IMAGE_FILE_BYTES).map_err(ImageError::Unreadable)?;
                let large = || ImageError::TooLarge(format!("the file has more than {MAX_IMAGE_FILE_BYTES} bytes"));
                bytes.map(Content::Encoded).ok_or_else(large)
            }
            Self::Member { archive, index } => archive.read(*index).map(Content::Encoded),
            Self::Inside { container, index } => container.0.content(*index),
        }
    }
}
