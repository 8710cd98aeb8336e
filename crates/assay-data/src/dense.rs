//! Maps with something for every pixel: classes and surface normals, as PNG files hold them.

use png::{BitDepth, ColorType};

use crate::decode::ImageError;
use crate::formats::RawPng;
use crate::target::{MaskTarget, TargetFile};

/// The class of every pixel, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassMap {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// height × width classes, or [`ClassMap::NONE`].
    pub classes: Vec<u8>,
}

impl ClassMap {
    /// The class of a pixel that belongs to none: it is neither learnt from nor scored.
    pub const NONE: u8 = 255;
}

/// The surface normal of every pixel, row by row: x to the right, y as the dataset has it, z towards the camera.
#[derive(Clone, Debug, PartialEq)]
pub struct NormalMap {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// height × width vectors of length 1, or [`NormalMap::NONE`].
    pub normals: Vec<[f32; 3]>,
}

impl NormalMap {
    /// The vector of a pixel whose normal is not known: it is neither learnt from nor scored.
    pub const NONE: [f32; 3] = [0.0; 3];
}

impl MaskTarget {
    /// Reads and decodes the file, after comparing its bytes with the digest.
    ///
    /// # Errors
    /// Those of [`Sample::picture`](crate::Sample::picture), or when it is no PNG of one channel with at most 8 bits, or has a
    /// class beyond 254.
    pub fn read(&self) -> Result<ClassMap, ImageError> {
        let raw = raw_png(&self.file.source.encoded(&self.file.digest)?)?;
        if !matches!(raw.color, ColorType::Grayscale | ColorType::Indexed) || raw.depth == BitDepth::Sixteen {
            return Err(ImageError::Unsuitable(format!(
                "a mask must be a PNG with one value of at most 8 bits a pixel, grey or with a palette; this one is {:?} of {} bits",
                raw.color, raw.depth as u8
            )));
        }
        let class = |value: u8| match value.checked_sub(self.first_class) {
            Some(class) if value != self.ignore => class,
            _ => ClassMap::NONE,
        };
        let values: Vec<u8> = raw.values().collect();
        let is_beyond = |value: &u8| *value == ClassMap::NONE && self.first_class == 0 && self.ignore != ClassMap::NONE;
        if values.iter().any(is_beyond) {
            return Err(ImageError::Unsuitable("a mask can have classes 0 to 254; this one has class 255".to_owned()));
        }
        Ok(ClassMap { width: raw.width, height: raw.height, classes: values.into_iter().map(class).collect() })
    }
}

impl TargetFile {
    /// Reads and decodes a map of normals, after comparing its bytes with the digest. A PNG has (n + 1) / 2 of each coordinate,
    /// as a share of the largest value, in red, green and blue. Vectors are made 1 long; one whose length is not between ½
    /// and 1½, such as black or middle grey, stands for an unknown normal.
    ///
    /// # Errors
    /// Those of [`Sample::picture`](crate::Sample::picture), or when it is no RGB PNG of 8 or 16 bits.
    pub fn normals(&self) -> Result<NormalMap, ImageError> {
        let raw = raw_png(&self.source.encoded(&self.digest)?)?;
        if raw.color != ColorType::Rgb {
            return Err(ImageError::Unsuitable(format!(
                "a map of normals must be an RGB PNG of 8 or 16 bits; this one is {:?}",
                raw.color
            )));
        }
        let values: Vec<f32> = if raw.depth == BitDepth::Sixteen {
            raw.data.chunks_exact(2).map(|b| f32::from(u16::from_be_bytes([b[0], b[1]])) / 32_767.5 - 1.0).collect()
        } else {
            raw.data.iter().map(|v| f32::from(*v) / 127.5 - 1.0).collect()
        };
        let normals = values.chunks_exact(3).map(|v| unit([v[0], v[1], v[2]], 0.5, 1.5)).collect();
        Ok(NormalMap { width: raw.width, height: raw.height, normals })
    }
}

/// Makes a vector 1 long, or none when its length is not between `least` and `most`.
pub(crate) fn unit(v: [f32; 3], least: f32, most: f32) -> [f32; 3] {
    let length = (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]).sqrt();
    if (least..=most).contains(&length) { v.map(|x| x / length) } else { NormalMap::NONE }
}

/// Unpacks a PNG, and names what is none.
fn raw_png(bytes: &[u8]) -> Result<RawPng, ImageError> {
    if bytes.is_empty() {
        return Err(ImageError::Empty);
    }
    if !bytes.starts_with(b"\x89PNG") {
        return Err(ImageError::Unsuitable("it is not a PNG, as masks and maps of normals must be".to_owned()));
    }
    RawPng::decode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::ImageSource;

    /// A PNG in a folder of its own.
    fn file(color: ColorType, depth: BitDepth, size: (u32, u32), data: &[u8]) -> (tempfile::TempDir, TargetFile) {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, size.0, size.1);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if color == ColorType::Indexed {
            encoder.set_palette((0..768).map(|i| (i * 7 % 256) as u8).collect::<Vec<u8>>());
        }
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("target.png");
        std::fs::write(&path, &bytes).unwrap();
        (dir, TargetFile { digest: blake3::hash(&bytes), source: ImageSource::File(path) })
    }

    fn classes(color: ColorType, depth: BitDepth, data: &[u8], first_class: u8, ignore: u8) -> Result<Vec<u8>, String> {
        let (_dir, file) = file(color, depth, (3, 2), data);
        let map = MaskTarget { file, first_class, ignore }.read().map_err(|e| e.to_string())?;
        assert_eq!((map.width, map.height), (3, 2));
        Ok(map.classes)
    }

    #[test]
    fn values_and_palette_indices_are_classes() {
        use BitDepth::{Eight, Four, One, Sixteen, Two};
        use ColorType::{Grayscale, Indexed, Rgb};
        let expected = Ok(vec![0, 1, 2, 3, 0, 255]);
        assert_eq!(classes(Grayscale, Eight, &[0, 1, 2, 3, 0, 255], 0, 255), expected);
        assert_eq!(classes(Indexed, Eight, &[0, 1, 2, 3, 0, 255], 0, 255), expected);
        // ADE20K: 0 is none, classes begin at 1.
        assert_eq!(classes(Grayscale, Eight, &[1, 2, 3, 4, 1, 0], 1, 0), expected);
        assert_eq!(classes(Indexed, Four, &[0x01, 0x20, 0x30, 0xf0], 0, 15), Ok(vec![0, 1, 2, 3, 0, 255]));
        assert_eq!(classes(Grayscale, Two, &[0b00_01_10_00, 0b11_00_01_00], 0, 255), Ok(vec![0, 1, 2, 3, 0, 1]));
        assert_eq!(classes(Grayscale, One, &[0b0110_0000, 0b1000_0000], 0, 255), Ok(vec![0, 1, 1, 1, 0, 0]));
        assert!(classes(Grayscale, Eight, &[0, 0, 0, 0, 0, 255], 0, 7).unwrap_err().contains("0 to 254"));
        assert!(classes(Rgb, Eight, &[0; 18], 0, 255).unwrap_err().contains("this one is Rgb of 8 bits"));
        assert!(classes(Grayscale, Sixteen, &[0; 12], 0, 255).unwrap_err().contains("of 16 bits"));
    }

    #[test]
    fn normals_are_unit_vectors_or_none() {
        let (_dir, eight) = file(ColorType::Rgb, BitDepth::Eight, (3, 1), &[128, 127, 255, 0, 0, 0, 128, 128, 128]);
        let map = eight.normals().unwrap();
        assert!((map.normals[0][2] - 1.0).abs() < 1e-4 && map.normals[0][0] > 0.0, "{:?}", map.normals[0]);
        assert_eq!(map.normals[1..], [NormalMap::NONE; 2]);
        let (_dir, sixteen) = file(ColorType::Rgb, BitDepth::Sixteen, (1, 1), &[0, 0, 128, 0, 128, 0]);
        assert!((sixteen.normals().unwrap().normals[0][0] + 1.0).abs() < 1e-6);
        let (_dir, grey) = file(ColorType::Grayscale, BitDepth::Eight, (1, 1), &[0]);
        assert!(grey.normals().unwrap_err().to_string().contains("must be an RGB PNG"));
    }

    #[test]
    fn a_target_that_changed_is_refused() {
        let (dir, file) = file(ColorType::Grayscale, BitDepth::Eight, (1, 1), &[3]);
        let path = dir.path().join("target.png");
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(MaskTarget { file, first_class: 0, ignore: 255 }.read(), Err(ImageError::Changed)));
    }
}
