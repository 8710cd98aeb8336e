//! PNG files without what is not needed to see them.
//!
//! A colour profile or a text may unpack to gigabytes, and a decoder may stumble over a chunk that no pixel depends on, so
//! only the header, the palette and the pixels are left. What is damaged is told by the checksums of chunks before the pixels,
//! and by that of the stream of pixels itself; checksums of the chunks of pixels are not looked at, as by Pillow.

use flate2::Crc;

use super::png::SIGNATURE;
use crate::decode::ImageError;

/// Bytes of a chunk beside its content: length, name and sum.
const FRAME: usize = 12;

/// The same PNG with its header, palette and pixels only, and an end.
///
/// # Errors
/// When a chunk before the pixels is cut off or does not fit its checksum.
pub(super) fn essential(bytes: &[u8]) -> Result<Vec<u8>, ImageError> {
    let mut kept = SIGNATURE.to_vec();
    let mut at = SIGNATURE.len();
    let mut has_pixels = false;
    while let Some((name, content)) = chunk_at(bytes, at) {
        let end = at + FRAME + content.len();
        let name_text = String::from_utf8_lossy(name);
        if !has_pixels && name != b"IDAT" && bytes.get(end - 4..end) != Some(&sum(name, content)) {
            return Err(ImageError::Damaged(format!(
                "its chunk {name_text:?} does not fit its checksum, or is cut off"
            )));
        }
        match name {
            b"IEND" => break,
            b"IDAT" => has_pixels = true,
            // Pixels are in one run of chunks.
            _ if has_pixels => break,
            _ => {}
        }
        if matches!(name, b"IHDR" | b"PLTE" | b"IDAT") {
            kept.extend((content.len() as u32).to_be_bytes());
            kept.extend_from_slice(name);
            kept.extend_from_slice(content);
            kept.extend(sum(name, content));
        }
        at = end;
    }
    if !has_pixels {
        return Err(ImageError::Damaged("it has no pixels, or is cut off before them".to_owned()));
    }
    kept.extend([0; 4]);
    kept.extend(b"IEND");
    kept.extend(sum(b"IEND", &[]));
    Ok(kept)
}

fn sum(name: &[u8], content: &[u8]) -> [u8; 4] {
    let mut crc = Crc::new();
    crc.update(name);
    crc.update(content);
    crc.sum().to_be_bytes()
}

/// Name and content of the chunk that begins at `at`; of pixels that are cut off, what there is.
fn chunk_at(bytes: &[u8], at: usize) -> Option<(&[u8], &[u8])> {
    let length: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    let (name, rest) = bytes.get(at + 4..)?.split_at_checked(4)?;
    let length = u32::from_be_bytes(length) as usize;
    let is_whole = length <= rest.len();
    (is_whole || name == b"IDAT").then(|| (name, &rest[..length.min(rest.len())]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(name: &[u8], content: &[u8]) -> Vec<u8> {
        [&(content.len() as u32).to_be_bytes()[..], name, content, &sum(name, content)].concat()
    }

    #[test]
    fn header_palette_and_pixels_are_left_and_nothing_else() {
        let (a, icc, text, b) =
            (chunk(b"IHDR", b"abc"), chunk(b"iCCP", b"12345"), chunk(b"zTXt", b""), chunk(b"IDAT", b"x"));
        let end = chunk(b"IEND", b"");
        let expected = [SIGNATURE, &a, &b, &end].concat();
        for rest in [&b""[..], b"\0\0\0\xffiCCPcut off", &end, &text] {
            assert_eq!(essential(&[SIGNATURE, &a, &icc, &b, rest].concat()).unwrap(), expected);
        }
        // The checksum of pixels does not matter, that of other chunks before them does.
        let changed = |chunk: &[u8]| [&chunk[..chunk.len() - 1], &[0]].concat();
        assert_eq!(essential(&[SIGNATURE, &a, &changed(&b)].concat()).unwrap(), expected);
        let error = essential(&[SIGNATURE, &a, &changed(&icc), &b].concat()).unwrap_err();
        assert!(error.to_string().contains("iCCP"), "{error}");
        for cut in 0..SIGNATURE.len() + a.len() + 8 {
            assert!(essential(&[SIGNATURE, &a, &b].concat()[..cut]).is_err(), "cut at {cut}");
        }
    }
}
