//! JPEG by libjpeg: its inverse transform and its way of interpolating colours are what published numbers were made with.

use std::panic::{AssertUnwindSafe, catch_unwind};

use mozjpeg::{ColorSpace, Decompress};

use super::modes::{check_size, cmyk, picture};
use crate::decode::{ImageError, Picture};

/// Values of an image of JPEG, row by row, channels last.
pub(super) struct Samples {
    pub size: (usize, usize),
    pub channels: usize,
    pub data: Vec<u8>,
}

/// Colours that are asked of libjpeg.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Colours {
    /// Grey, RGB, or CMYK, of what kind the file is.
    Usual,
    /// The channels as they are stored.
    Stored,
}

/// Decodes a JPEG of one, three or four colours. Four are taken for inverted CMYK, as Adobe writes them, whatever the file says.
///
/// # Errors
/// When it is damaged, cut off, too large, or of a kind that is not read.
pub(super) fn decode(bytes: &[u8]) -> Result<Picture, ImageError> {
    let Samples { size, channels, data } = samples(bytes, Colours::Usual)?;
    match channels {
        4 => {
            let inverted = data.chunks_exact(4).flat_map(|p| cmyk(&[255 - p[0], 255 - p[1], 255 - p[2], 255 - p[3]]));
            picture(size, 3, inverted.collect())
        }
        _ => picture(size, channels, data),
    }
}

/// Decodes the values of a JPEG.
///
/// # Errors
/// Those of [`decode`].
pub(super) fn samples(bytes: &[u8], colours: Colours) -> Result<Samples, ImageError> {
    if !has_end(bytes) {
        // libjpeg would fill the rest with grey.
        return Err(ImageError::Damaged("it is cut off: its end of image is missing".to_owned()));
    }
    // libjpeg reports an error by unwinding.
    let decoded = catch_unwind(AssertUnwindSafe(|| decode_whole(bytes, colours)));
    decoded.unwrap_or_else(|message| {
        let message = message.downcast_ref::<String>().map_or("libjpeg cannot read it", |m| m.as_str());
        let is_kind = ["precision", "Unsupported", "not implemented"].iter().any(|word| message.contains(word));
        Err(if is_kind {
            ImageError::NotRead(format!("a JPEG of this kind is not read ({message})"))
        } else {
            ImageError::Damaged(message.to_owned())
        })
    })
}

fn decode_whole(bytes: &[u8], colours: Colours) -> Result<Samples, ImageError> {
    let damaged = |e: std::io::Error| ImageError::Damaged(e.to_string());
    let header = Decompress::new_mem(bytes).map_err(damaged)?;
    let (width, height) = header.size();
    let size = check_size(width as u64, height as u64)?;
    let stored = header.color_space();
    let (channels, wanted) = match (stored, header.components().len()) {
        (ColorSpace::JCS_GRAYSCALE, _) => (1, ColorSpace::JCS_GRAYSCALE),
        (ColorSpace::JCS_YCbCr | ColorSpace::JCS_RGB, _) => (3, ColorSpace::JCS_RGB),
        (ColorSpace::JCS_CMYK | ColorSpace::JCS_YCCK, _) => (4, ColorSpace::JCS_CMYK),
        (_, channels) => return Err(ImageError::NotRead(format!("a JPEG of {channels} colours is not read"))),
    };
    let wanted = if colours == Colours::Stored { stored } else { wanted };
    let mut image = header.to_colorspace(wanted).map_err(damaged)?;
    let data = image.read_scanlines::<u8>().map_err(damaged)?;
    image.finish().map_err(damaged)?;
    if data.len() != width * height * channels {
        return Err(ImageError::Damaged("it has fewer rows than it says".to_owned()));
    }
    Ok(Samples { size, channels, data })
}

/// Tells whether an end of image follows the last start of a scan; within a scan the two bytes of a marker do not occur.
fn has_end(bytes: &[u8]) -> bool {
    let last = |marker: u8| bytes.windows(2).rposition(|pair| pair == [0xff, marker]);
    last(0xd9) > last(0xda)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference/preprocess/");
        std::fs::read(format!("{folder}{name}")).unwrap()
    }

    #[test]
    fn a_file_that_is_cut_off_or_changed_never_panics_and_is_never_filled_up_in_silence() {
        for name in ["jpeg-420-baseline-55.jpg", "jpeg-444-progressive-80.jpg", "jpeg-grey.jpg", "jpeg-cmyk.jpg"] {
            let whole = file(name);
            assert!(decode(&whole).is_ok(), "{name}");
            for length in 0..whole.len() - 2 {
                assert!(decode(&whole[..length]).is_err(), "{name} cut at {length}");
            }
            for at in (2..whole.len()).step_by(3) {
                let mut changed = whole.clone();
                changed[at] ^= 0x5a;
                let _ = decode(&changed);
            }
        }
    }
}
