//! Portable maps: P1 to P6, PFM in grey, and PAM (P7), which Pillow does not read.

use super::fields::Fields;
use super::modes::{check_size, clip, clip_float, cmyk, keep_first, picture};
use crate::decode::{ImageError, Picture};

/// Decodes a file that begins with `P`.
pub(super) fn decode(bytes: &[u8]) -> Result<Picture, ImageError> {
    let mut text = Header { bytes, at: 0 };
    let magic = text.magic();
    match magic {
        b"P1" | b"P4" => bitmap(text, magic == b"P1"),
        b"P2" | b"P5" => map(text, 1, magic == b"P2"),
        b"P3" | b"P6" => map(text, 3, magic == b"P3"),
        b"P0CMYK" => map(text, 4, false),
        b"Pf" => float_map(text),
        b"P7" => pam(text),
        _ => Err(ImageError::NotAnImage(format!(
            ", it begins like a portable map, but {:?} is no known kind",
            String::from_utf8_lossy(magic)
        ))),
    }
}

/// Tells whether a file begins as one that [`decode`] reads.
pub(super) fn is_portable_map(bytes: &[u8]) -> bool {
    let magic = Header { bytes, at: 0 }.magic();
    matches!(magic, b"P1" | b"P2" | b"P3" | b"P4" | b"P5" | b"P6" | b"P7" | b"Pf" | b"P0CMYK")
}

/// The words of a header.
struct Header<'a> {
    bytes: &'a [u8],
    at: usize,
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | 9..=13)
}

impl<'a> Header<'a> {
    /// Reads up to six bytes before the first space.
    fn magic(&mut self) -> &'a [u8] {
        let length = self.bytes.iter().take(6).take_while(|b| !is_space(**b)).count();
        self.at = if length < 6 { length + 1 } else { length };
        &self.bytes[..length]
    }

    /// Reads the next word, and the one space after it. Comments go from `#` to the end of the line.
    fn word(&mut self) -> Result<String, ImageError> {
        let mut word = String::new();
        while word.len() <= 10 {
            let Some(byte) = self.bytes.get(self.at).copied() else { break };
            self.at += 1;
            match byte {
                b'#' => {
                    let rest = &self.bytes[self.at..];
                    self.at += rest.iter().position(|b| matches!(b, b'\r' | b'\n')).map_or(rest.len(), |n| n + 1);
                }
                space if is_space(space) && word.is_empty() => {}
                space if is_space(space) => break,
                other => word.push(char::from(other)),
            }
        }
        if word.is_empty() {
            return Err(ImageError::Damaged("its header is cut off".to_owned()));
        }
        Ok(word)
    }

    fn number(&mut self) -> Result<u64, ImageError> {
        let word = self.word()?;
        word.parse()
            .map_err(|_| ImageError::Damaged(format!("{word:?} stands in its header, and a number was expected")))
    }

    fn size(&mut self) -> Result<(usize, usize), ImageError> {
        let (width, height) = (self.number()?, self.number()?);
        check_size(width.min(1 << 32), height.min(1 << 32))
    }

    fn rest(&self, length: usize) -> Result<&'a [u8], ImageError> {
        Fields::little(self.bytes).slice(self.at, length)
    }
}

/// The words of a body of text, without comments.
fn words(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = bytes.split(|b| matches!(b, b'\r' | b'\n'));
    let lines = lines.map(|line| line.split(|b| *b == b'#').next().unwrap_or_default());
    lines.flat_map(|line| line.split(|b| is_space(*b)).filter(|word| !word.is_empty()))
}

/// P1 and P4, where a bit that is set is black.
fn bitmap(mut header: Header<'_>, is_text: bool) -> Result<Picture, ImageError> {
    let (width, height) = header.size()?;
    let mut data = Vec::new();
    if is_text {
        for digit in words(&header.bytes[header.at.min(header.bytes.len())..]).flatten().take(width * height) {
            data.push(match digit {
                b'0' => 255,
                b'1' => 0,
                other => return Err(ImageError::Damaged(format!("the byte {other} stands among its bits"))),
            });
        }
    } else {
        let stride = width.div_ceil(8);
        let rows = header.rest(stride * height)?;
        let bit = |row: &[u8], x: usize| if row[x / 8] << (x % 8) & 0x80 == 0 { 255 } else { 0 };
        data.extend(rows.chunks_exact(stride).flat_map(|row| (0..width).map(move |x| bit(row, x))));
    }
    picture((width, height), 1, data)
}

/// Brings a value to 0 … `most`, rounding halves to even.
fn scaled(value: u64, greatest: u64, most: f64) -> i64 {
    (value as f64 / greatest as f64 * most).round_ties_even().min(most) as i64
}

/// P2, P3, P5 and P6. Grey of more than 8 bits is stretched to 16 bits and then clipped, colours are stretched to 8.
fn map(mut header: Header<'_>, channels: usize, is_text: bool) -> Result<Picture, ImageError> {
    let (width, height) = header.size()?;
    let greatest = header.number()?;
    if greatest == 0 || greatest > 65_535 {
        return Err(ImageError::Damaged(format!("its greatest value is {greatest}")));
    }
    let most = if greatest > 255 && channels == 1 { 65_535.0 } else { 255.0 };
    let byte = |value: u64| clip(scaled(value, greatest, most));
    let count = width * height * channels;
    let data = if is_text {
        let mut data = Vec::new();
        for word in words(&header.bytes[header.at.min(header.bytes.len())..]).take(count) {
            let value = std::str::from_utf8(word).ok().filter(|w| w.len() <= 10).and_then(|w| w.parse().ok());
            let Some(value) = value.filter(|v| *v <= greatest) else {
                let word = String::from_utf8_lossy(&word[..word.len().min(20)]);
                return Err(ImageError::Damaged(format!("{word:?} is no value from 0 to {greatest}")));
            };
            data.push(byte(value));
        }
        data
    } else {
        samples(header.rest(count * if greatest > 255 { 2 } else { 1 })?, greatest).map(byte).collect()
    };
    match channels {
        4 => picture((width, height), 3, data.chunks_exact(4).flat_map(cmyk).collect()),
        _ => picture((width, height), channels, data),
    }
}

/// Values of one byte, or of two where the greatest does not fit into one.
fn samples(bytes: &[u8], greatest: u64) -> impl Iterator<Item = u64> + '_ {
    let step = if greatest > 255 { 2 } else { 1 };
    bytes.chunks_exact(step).map(|b| b.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

/// Pf: numbers of 32 bits, the lowest row first. A scale below zero says that the lowest byte comes first.
fn float_map(mut header: Header<'_>) -> Result<Picture, ImageError> {
    let (width, height) = header.size()?;
    let word = header.word()?;
    let scale = word.parse::<f64>().ok().filter(|scale| *scale != 0.0 && scale.is_finite());
    let Some(scale) = scale else {
        return Err(ImageError::Damaged(format!("its scale is {word:?}")));
    };
    let value = |b: &[u8]| {
        let bytes = [b[0], b[1], b[2], b[3]];
        clip_float(if scale < 0.0 { f32::from_le_bytes(bytes) } else { f32::from_be_bytes(bytes) })
    };
    let rows = header.rest(width * height * 4)?.chunks_exact(width * 4).rev();
    picture((width, height), 1, rows.flat_map(|row| row.chunks_exact(4).map(value)).collect())
}

/// P7. Values are stretched to 0 … 255 whatever their greatest, since Pillow has no rule for these files.
fn pam(mut header: Header<'_>) -> Result<Picture, ImageError> {
    let (mut width, mut height, mut depth, mut greatest) = (0, 0, 0, 0);
    loop {
        match header.word()?.as_str() {
            "ENDHDR" => break,
            "WIDTH" => width = header.number()?,
            "HEIGHT" => height = header.number()?,
            "DEPTH" => depth = header.number()?,
            "MAXVAL" => greatest = header.number()?,
            // The type of a tuple repeats what depth says.
            _ => {
                let rest = header.bytes.get(header.at.saturating_sub(1)..).unwrap_or_default();
                header.at += rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
            }
        }
    }
    let size = check_size(width.min(1 << 32), height.min(1 << 32))?;
    if !(1..=4).contains(&depth) || !(1..=65_535).contains(&greatest) {
        return Err(ImageError::Damaged(format!("it has {depth} channels with values up to {greatest}")));
    }
    let depth = depth as usize;
    let bytes = header.rest(size.0 * size.1 * depth * if greatest > 255 { 2 } else { 1 })?;
    let data: Vec<u8> = samples(bytes, greatest).map(|v| clip(scaled(v, greatest, 255.0))).collect();
    let kept = if depth < 3 { 1 } else { 3 };
    picture(size, kept, keep_first(&data, depth, kept))
}
