//! PNG files without what is not needed to see them.
//!
//! A colour profile or a text may unpack to gigabytes, and the decoder unpacks profiles before it looks at a pixel. Pixels do not
//! depend on either, so such chunks are left out before anything is unpacked.

use std::borrow::Cow;

/// Bytes before the first chunk.
const SIGNATURE: usize = 8;
/// Bytes of a chunk beside its content: length, name and sum.
const FRAME: usize = 12;

/// The same PNG without profiles and texts. What is no whole chunk is left as it is, for the decoder to complain of.
pub(crate) fn without_profiles(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut kept: Option<Vec<u8>> = None;
    let mut at = SIGNATURE;
    while let Some(chunk) = chunk_at(bytes, at) {
        let is_dropped = matches!(&chunk[4..8], b"iCCP" | b"zTXt" | b"iTXt" | b"tEXt");
        match (&mut kept, is_dropped) {
            (None, true) => kept = Some(bytes[..at].to_vec()),
            (Some(kept), false) => kept.extend_from_slice(chunk),
            _ => {}
        }
        at += chunk.len();
    }
    match kept {
        None => Cow::Borrowed(bytes),
        Some(mut kept) => {
            kept.extend_from_slice(&bytes[at..]);
            Cow::Owned(kept)
        }
    }
}

/// The chunk that begins at `at`, with its frame, if all of it is there.
fn chunk_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let length: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    bytes.get(at..)?.get(..FRAME + u32::from_be_bytes(length) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(name: &str, content: &[u8]) -> Vec<u8> {
        [&(content.len() as u32).to_be_bytes(), name.as_bytes(), content, &[0; 4]].concat()
    }

    #[test]
    fn profiles_and_texts_are_left_out_and_nothing_else() {
        let head = [0u8; SIGNATURE].as_slice();
        let (a, icc, text, b) =
            (chunk("IHDR", b"abc"), chunk("iCCP", b"12345"), chunk("zTXt", b""), chunk("IDAT", b"x"));
        let rest = b"\0\0\0\xffiCCPcut off";
        let file = [head, &a, &icc, &b, &text, rest].concat();
        assert_eq!(without_profiles(&file), [head, &a, &b, rest].concat());
        for plain in [[head, &a, &b].concat(), vec![0; 3], Vec::new()] {
            assert!(matches!(without_profiles(&plain), Cow::Borrowed(same) if same == plain));
        }
    }
}
