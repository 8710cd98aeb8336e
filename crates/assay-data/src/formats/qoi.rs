//! QOI, the "quite OK image" format.

use super::fields::Fields;
use super::modes::{check_size, picture};
use crate::decode::{ImageError, Picture};

/// Bytes before the first pixel.
const HEADER: usize = 14;

/// Decodes a file that begins with `qoif`.
pub(super) fn decode(bytes: &[u8]) -> Result<Picture, ImageError> {
    let fields = Fields { bytes, big_endian: true };
    let size = check_size(u64::from(fields.u32(4)?), u64::from(fields.u32(8)?))?;
    let mut rest = bytes.get(HEADER..).unwrap_or_default().iter().copied();
    let total = size.0 * size.1 * 3;
    let mut data = Vec::new();
    let mut seen = [[0u8; 4]; 64];
    let mut pixel = [0, 0, 0, 255];
    while data.len() < total {
        let Some(byte) = rest.next() else { break };
        let mut next = || rest.next().ok_or_else(|| ImageError::Damaged("it is cut off".to_owned()));
        let add = |a: u8, b: u8, bias: u8| a.wrapping_add(b).wrapping_sub(bias);
        match byte {
            0xfe => pixel = [next()?, next()?, next()?, pixel[3]],
            0xff => pixel = [next()?, next()?, next()?, next()?],
            0..0x40 => pixel = seen[usize::from(byte)],
            0x40..0x80 => {
                for (channel, shift) in [4, 2, 0].into_iter().enumerate() {
                    pixel[channel] = add(pixel[channel], byte >> shift & 3, 2);
                }
            }
            0x80..0xc0 => {
                let (green, others) = ((byte & 63).wrapping_sub(32), next()?);
                for (channel, delta) in [others >> 4, 8, others & 15].into_iter().enumerate() {
                    pixel[channel] = add(pixel[channel].wrapping_add(green), delta, 8);
                }
            }
            _ => {
                data.extend(pixel[..3].iter().cycle().take((usize::from(byte & 63) + 1) * 3));
                continue;
            }
        }
        let [r, g, b, a] = pixel.map(usize::from);
        seen[(r * 3 + g * 5 + b * 7 + a * 11) % 64] = pixel;
        data.extend_from_slice(&pixel[..3]);
    }
    picture(size, 3, data)
}
