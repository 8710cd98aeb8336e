//! Changes of colours with the arithmetic of Pillow, as torchvision's transforms of Pillow's pictures make them.

use crate::decode::{Color, Picture};

/// A change of colours. Factors are those of torchvision's functions of the same names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Adjustment {
    /// Blends with black; 1 changes nothing (`adjust_brightness`).
    Brightness(f64),
    /// Blends with the mean grey; 1 changes nothing (`adjust_contrast`).
    Contrast(f64),
    /// Blends with the shades of grey; 1 changes nothing (`adjust_saturation`).
    Saturation(f64),
    /// Turns the hue by this share of the circle, −0.5 to 0.5; 0 changes nothing but rounding (`adjust_hue`).
    Hue(f64),
    /// Shades of grey in all channels (`rgb_to_grayscale` with three channels).
    Grayscale,
}

impl Adjustment {
    /// Changes a picture. `ColorJitter` is several of these, in the order that was drawn.
    #[must_use]
    pub fn apply(self, picture: &Picture) -> Picture {
        match self {
            Self::Brightness(factor) => blended(picture, |_| 0, factor),
            Self::Contrast(factor) => {
                let shades = picture.clone().into_color(Color::Grey).data;
                let sum: u64 = shades.iter().map(|v| u64::from(*v)).sum();
                let mean = (sum as f64 / shades.len().max(1) as f64 + 0.5) as u8;
                blended(picture, |_| mean, factor)
            }
            Self::Saturation(factor) => {
                let shades = picture.clone().into_color(Color::Grey).data;
                blended(picture, |pixel| shades[pixel], factor)
            }
            Self::Hue(_) if picture.channels == 1 => picture.clone(),
            Self::Hue(factor) => {
                let turn = (factor * 255.0) as i32 as u8;
                let pixel = |p: &[u8]| {
                    let [h, s, v] = hsv(p);
                    rgb([h.wrapping_add(turn), s, v])
                };
                let data = picture.data.chunks_exact(3).flat_map(pixel).collect();
                Picture { data, ..*picture }
            }
            Self::Grayscale if picture.channels == 1 => picture.clone(),
            Self::Grayscale => picture.clone().into_color(Color::Grey).into_color(Color::Rgb),
        }
    }
}

/// Goes from what `other` gives for a pixel towards the picture, as `Image.blend`: in single precision, cut off, not rounded.
fn blended(picture: &Picture, other: impl Fn(usize) -> u8, factor: f64) -> Picture {
    let factor = factor as f32;
    let value = |(i, v): (usize, &u8)| {
        let from = i32::from(other(i / picture.channels));
        (from as f32 + factor * (i32::from(*v) - from) as f32) as u8
    };
    let data = picture.data.iter().enumerate().map(value).collect();
    Picture { data, ..*picture }
}

/// Hue, saturation and value of 8 bits, as Pillow's mode `HSV`.
fn hsv(pixel: &[u8]) -> [u8; 3] {
    let [r, g, b] = [pixel[0], pixel[1], pixel[2]];
    let (most, least) = (r.max(g).max(b), r.min(g).min(b));
    if most == least {
        return [0, 0, most];
    }
    let range = f32::from(most - least);
    let [rc, gc, bc] = [r, g, b].map(|v| f64::from(f32::from(most - v) / range));
    let hue = if r == most {
        bc - gc
    } else if g == most {
        2.0 + rc - bc
    } else {
        4.0 + gc - rc
    } as f32;
    let hue = libm::fmod(f64::from(hue) / 6.0 + 1.0, 1.0) as f32;
    let saturation = range / f32::from(most);
    [(f64::from(hue) * 255.0) as u8, (f64::from(saturation) * 255.0) as u8, most]
}

/// The way back of [`hsv`], with Pillow's rounding.
fn rgb([h, s, v]: [u8; 3]) -> [u8; 3] {
    if s == 0 {
        return [v; 3];
    }
    let sixth = f64::from(h) * 6.0 / 255.0;
    let f = f64::from((sixth - libm::floor(sixth)) as f32);
    let s = f64::from(f32::from(s) / 255.0);
    let value = f64::from(v);
    let byte = |x: f64| libm::round(x).clamp(0.0, 255.0) as u8;
    let (p, q, t) = (byte(value * (1.0 - s)), byte(value * (1.0 - s * f)), byte(value * (1.0 - s * (1.0 - f))));
    match sixth as usize % 6 {
        0 => [v, t, p],
        1 => [q, v, p],
        2 => [p, v, t],
        3 => [p, q, v],
        4 => [t, p, v],
        _ => [v, p, q],
    }
}
