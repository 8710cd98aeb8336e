//! Where the image of a sample is, and how to get at it.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;

use crate::decode::{Color, ImageError, Picture};
use crate::glyphs::Glyphs;

/// Where an image is.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A file.
    File(PathBuf),
    /// A member of an archive.
    Member {
        /// The archive.
        archive: Arc<Archive>,
        /// Index of the member.
        index: usize,
    },
    /// A drawing of a generated alphabet.
    Glyph {
        /// The generator.
        glyphs: Arc<Glyphs>,
        /// Index of the drawing.
        index: u32,
    },
}

/// An image file larger than this is refused.
const LARGEST_IMAGE_FILE: u64 = 256 << 20;

impl Origin {
    /// The file on disk that it depends on, if any.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Member { archive, .. } => Some(&archive.path),
            Self::Glyph { .. } => None,
        }
    }

    /// Reads and decodes the image.
    ///
    /// # Errors
    /// What is wrong with the file; the caller knows its name.
    pub fn picture(&self, color: Color) -> Result<Picture, ImageError> {
        match self {
            Self::Glyph { glyphs, index } => Ok(glyphs.draw(*index).into_color(color)),
            Self::File(path) => {
                let file = File::open(path).map_err(ImageError::Unreadable)?;
                Picture::decode(&bounded(file)?, color)
            }
            Self::Member { archive, index } => Picture::decode(&archive.read(*index)?, color),
        }
    }
}

fn bounded(file: File) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::new();
    file.take(LARGEST_IMAGE_FILE + 1).read_to_end(&mut bytes).map_err(ImageError::Unreadable)?;
    if bytes.len() as u64 > LARGEST_IMAGE_FILE {
        return Err(ImageError::TooLarge(format!("the file has more than {LARGEST_IMAGE_FILE} bytes")));
    }
    Ok(bytes)
}

/// A zip file whose members are read in place; nothing is ever unpacked to disk.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    zip: Mutex<zip::ZipArchive<BufReader<File>>>,
}

impl Archive {
    /// Opens a zip file.
    ///
    /// # Errors
    /// When it cannot be read or is no zip.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        let zip = zip::ZipArchive::new(BufReader::new(file))
            .with_context(|| format!("{} is not a zip file that can be read", path.display()))?;
        Ok(Self { path: path.to_owned(), zip: Mutex::new(zip) })
    }

    /// Names of the members that are files, with their indices. Names that would leave the archive's folder are passed over.
    ///
    /// # Errors
    /// When the directory of the zip is damaged.
    pub fn members(&self) -> anyhow::Result<Vec<(usize, String)>> {
        let mut zip = self.zip.lock().expect("no panic while locked");
        let mut found = Vec::new();
        for index in 0..zip.len() {
            let member = zip.by_index_raw(index).with_context(|| format!("{} is damaged", self.path.display()))?;
            if let (true, Some(name)) = (member.is_file(), member.enclosed_name()) {
                found.push((index, name.to_string_lossy().replace('\\', "/")));
            }
        }
        Ok(found)
    }

    /// Content of a member, at most 256 MiB of it.
    ///
    /// # Errors
    /// When the member is damaged or larger.
    pub fn read(&self, index: usize) -> Result<Vec<u8>, ImageError> {
        let mut zip = self.zip.lock().expect("no panic while locked");
        let member = zip.by_index(index).map_err(|e| ImageError::Damaged(e.to_string()))?;
        let mut bytes = Vec::new();
        member.take(LARGEST_IMAGE_FILE + 1).read_to_end(&mut bytes).map_err(|e| ImageError::Damaged(e.to_string()))?;
        if bytes.len() as u64 > LARGEST_IMAGE_FILE {
            return Err(ImageError::TooLarge(format!("the member unpacks to more than {LARGEST_IMAGE_FILE} bytes")));
        }
        Ok(bytes)
    }
}
