//! Containers of pictures: which one a file is, told by its content and never by its name, and what makes pixels of it.
//!
//! Values are those of Pillow's `Image.open(..).convert("RGB")` or `convert("L")`, mode by mode. What is not read is refused by
//! name, with what to do.

mod bmp;
mod fields;
mod gif;
mod icon;
mod jpeg;
mod lzw;
mod modes;
mod png;
mod png_chunks;
mod pnm;
mod qoi;
mod tga;
mod tiff;
mod webp;

pub(crate) use png::RawPng;

use crate::decode::{Color, ImageError, Picture};

/// Decodes a picture of any container that is read. `color` decides where grey is stored beside colours.
///
/// # Errors
/// When the bytes are no image, one that is not read, a damaged one, or one too large.
pub(crate) fn decode(bytes: &[u8], color: Color) -> Result<Picture, ImageError> {
    let begins = |with: &[u8]| bytes.starts_with(with);
    if begins(&[0xff, 0xd8, 0xff]) {
        jpeg::decode(bytes)
    } else if begins(png::SIGNATURE) {
        png::decode(bytes)
    } else if begins(b"GIF87a") || begins(b"GIF89a") {
        gif::decode(bytes)
    } else if begins(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        webp::decode(bytes)
    } else if tiff::is_tiff(bytes) {
        tiff::decode(bytes, color)
    } else if begins(b"BM") {
        bmp::decode(bytes)
    } else if pnm::is_portable_map(bytes) {
        pnm::decode(bytes)
    } else if begins(b"qoif") {
        qoi::decode(bytes)
    } else if begins(&[0, 0, 1, 0]) {
        icon::decode(bytes)
    } else if let Some(name) = unread(bytes) {
        Err(ImageError::NotRead(format!("it is {name}, which is not read: convert it to PNG, which keeps every value")))
    } else if bmp::is_bare_bitmap(bytes) {
        bmp::decode_bare(bytes, 0, 1).map(|(picture, _)| picture)
    } else if tga::may_be_targa(bytes) {
        tga::decode(bytes)
    } else {
        let is_text = bytes.iter().take(64).all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace());
        Err(ImageError::NotAnImage(if is_text { ", it is text".to_owned() } else { String::new() }))
    }
}

/// Files that begin with a signature of a kind that is not read.
const UNREAD: [(&[u8], &str); 26] = [
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"II\xbc\x01", "a JPEG XR picture"),
    (b"8BPS", "a Photoshop picture (PSD)"),
    (b"DDS ", "a DDS texture"),
    (b"\x01\xda", "an SGI picture"),
    (b"\x59\xa6\x6a\x95", "a Sun raster"),
    (b"\x0a\x05\x01", "a PCX picture"),
    (b"icns", "an Apple icon (ICNS)"),
    (b"/* XPM */", "an XPM picture"),
    (b"#define", "an XBM picture"),
    (b"%!PS", "a PostScript file"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript file"),
    (b"%PDF", "a PDF file"),
    (b"<svg", "an SVG drawing"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
    (b"SIMPLE  =", "a FITS picture"),
    (b"v/1\x01", "an OpenEXR picture"),
    (b"#?RADIANCE", "a Radiance HDR picture"),
    (b"gimp xcf", "a GIMP picture (XCF)"),
    (b"AT&TFORM", "a DjVu file"),
    (b"BPG\xfb", "a BPG picture"),
    (b"FLIF", "a FLIF picture"),
    (b"PF", "a portable float map in colour (PF)"),
];

/// Names a kind of picture that is known and not read.
fn unread(bytes: &[u8]) -> Option<&'static str> {
    if bytes.get(4..8) == Some(b"ftyp") {
        return Some(match bytes.get(8..12).unwrap_or_default() {
            b"avif" | b"avis" => "an AVIF picture",
            b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1" => "a HEIC picture",
            _ => "a video, or a picture of that family",
        });
    }
    // A Targa may begin so too, but has no number there.
    if bytes.starts_with(&[0, 0, 2, 0]) && bytes.get(4..6).is_some_and(|count| count != [0; 2]) {
        return Some("a Windows cursor (CUR)");
    }
    if bytes.get(128..132) == Some(b"DICM") {
        return Some("a DICOM picture");
    }
    UNREAD.iter().find(|(signature, _)| bytes.starts_with(signature)).map(|(_, name)| *name)
}
