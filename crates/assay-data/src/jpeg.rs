//! JPEG by libjpeg: its inverse transform and its way of interpolating colours are what published numbers were made with.

use std::panic::{AssertUnwindSafe, catch_unwind};

use mozjpeg::{ColorSpace, Decompress};

use crate::decode::{ImageError, MAX_BYTES, MAX_SIDE_PX, Picture};

/// Decodes a JPEG of one or three colours. `None` is for what another decoder should look at: four colours, and files without
/// an end, of which libjpeg would fill the rest with grey.
///
/// # Errors
/// When it is damaged, or too large.
pub fn decode(bytes: &[u8]) -> Result<Option<Picture>, ImageError> {
    if !has_end(bytes) {
        return Ok(None);
    }
    // libjpeg reports an error by unwinding.
    let decoded = catch_unwind(AssertUnwindSafe(|| decode_whole(bytes)));
    decoded.unwrap_or_else(|message| {
        let message = message.downcast_ref::<String>().map_or("libjpeg cannot read it", |m| m.as_str());
        Err(ImageError::Damaged(message.to_owned()))
    })
}

fn decode_whole(bytes: &[u8]) -> Result<Option<Picture>, ImageError> {
    let damaged = |e: std::io::Error| ImageError::Damaged(e.to_string());
    let header = Decompress::new_mem(bytes).map_err(damaged)?;
    let (width, height) = header.size();
    if width == 0 || height == 0 {
        return Err(ImageError::Damaged(format!("it has {width}×{height} pixels")));
    }
    let longest = width.max(height);
    if longest > MAX_SIDE_PX as usize || (width * height * 3) as u64 > MAX_BYTES {
        return Err(ImageError::TooLarge(format!(
            "{width}×{height} pixels; at most {MAX_SIDE_PX} pixels a side and {MAX_BYTES} bytes are decoded"
        )));
    }
    let (channels, mut image) = match header.color_space() {
        ColorSpace::JCS_GRAYSCALE => (1, header.grayscale().map_err(damaged)?),
        ColorSpace::JCS_YCbCr | ColorSpace::JCS_RGB => (3, header.rgb().map_err(damaged)?),
        _ => return Ok(None),
    };
    let data = image.read_scanlines::<u8>().map_err(damaged)?;
    image.finish().map_err(damaged)?;
    if data.len() != width * height * channels {
        return Err(ImageError::Damaged("it has fewer rows than it says".to_owned()));
    }
    Ok(Some(Picture { width, height, channels, data }))
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
        for name in ["jpeg-420-baseline-55.jpg", "jpeg-444-progressive-80.jpg", "jpeg-grey.jpg"] {
            let whole = file(name);
            assert!(decode(&whole).unwrap().is_some(), "{name}");
            for length in 0..whole.len() - 2 {
                assert!(!matches!(decode(&whole[..length]), Ok(Some(_))), "{name} cut at {length}");
            }
            for at in (2..whole.len()).step_by(3) {
                let mut changed = whole.clone();
                changed[at] ^= 0x5a;
                let _ = decode(&changed);
            }
        }
    }

    #[test]
    fn four_colours_are_left_to_another_decoder() {
        assert_eq!(decode(&file("jpeg-cmyk.jpg")).unwrap(), None);
    }
}
