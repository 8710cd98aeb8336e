//! Generated handwriting: alphabets of characters made of a few curved strokes, each drawn by several people.
//!
//! Every drawer has a slant, a rotation, proportions, a pen and a tremor of their own; every drawing has its own jitter. Only
//! operations whose result IEEE 754 or `libm` fixes are used, so that the pixels are the same on every platform.

use assay_stats::Stream;

use crate::decode::Picture;
use crate::manifest::{Manifest, Sample, Split};
use crate::source::ImageSource;
use crate::target::Targets;

/// A generated dataset. A drawing depends on `seed`, `side_px` and its own place alone, not on how many others there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glyphs {
    /// Number of alphabets.
    pub alphabets: u32,
    /// Characters in each alphabet.
    pub characters: u32,
    /// Drawings of each character, one by each drawer.
    pub drawers: u32,
    /// Number of drawers, the last ones, that form the test split; zero makes no splits.
    pub test_drawers: u32,
    /// Different seeds give different alphabets.
    pub seed: u64,
    /// Width and height of a drawing.
    pub side_px: u32,
}

type Point = (f64, f64);

/// Points on each stretch between two control points.
const STEPS: usize = 8;

impl Glyphs {
    /// Lists the drawings; nothing is drawn yet. Classes are called `alphabetNN/characterNN`.
    pub fn manifest(&self) -> Manifest {
        let shared = std::sync::Arc::new(self.clone());
        let mut manifest = Manifest::default();
        for index in 0..self.alphabets * self.characters * self.drawers {
            let (alphabet, character, drawer) = self.place(index);
            let class = alphabet * self.characters + character;
            if drawer == 0 {
                manifest.classes.push(format!("alphabet{alphabet:02}/character{character:02}"));
            }
            let is_test = drawer + self.test_drawers >= self.drawers;
            manifest.samples.push(Sample {
                path: format!("alphabet{alphabet:02}/character{character:02}/drawer{drawer:02}"),
                digest: self.digest(alphabet, character, drawer),
                targets: Targets::class(class),
                split: if self.test_drawers == 0 {
                    Split::Whole
                } else if is_test {
                    Split::Test
                } else {
                    Split::Train
                },
                source: ImageSource::Glyph { glyphs: shared.clone(), index },
            });
        }
        manifest
    }

    fn place(&self, index: u32) -> (u32, u32, u32) {
        let per_alphabet = self.characters * self.drawers;
        (index / per_alphabet, index % per_alphabet / self.drawers, index % self.drawers)
    }

    /// Digest of what a drawing is made from; it takes the place of the digest of its pixels. `1` rises when drawings change.
    fn digest(&self, alphabet: u32, character: u32, drawer: u32) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"assay glyph 1");
        for number in [self.seed, alphabet.into(), character.into(), drawer.into(), self.side_px.into()] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.finalize()
    }

    /// Draws one glyph: black ink on white, grey.
    pub fn draw(&self, index: u32) -> Picture {
        let (alphabet, character, drawer) = self.place(index);
        let [a, c, d] = [alphabet, character, drawer].map(u64::from);
        let strokes = character_strokes(&mut Stream::new("glyph character", &[self.seed, a, c]), self.seed, a);
        let hand = Hand::new(&mut Stream::new("glyph drawer", &[self.seed, a, d]));
        let mut stream = Stream::new("glyph drawing", &[self.seed, a, c, d]);
        let drawn: Vec<Vec<Point>> = hand.draw(&strokes, &mut stream).iter().map(|s| smooth(s)).collect();
        rasterise(&drawn, hand.radius * stream.uniform(0.85, 1.15), self.side_px as usize)
    }
}

/// Control points of the strokes of a character, in the middle of the page and as large as it allows: where it stands and how
/// large it is tell nothing.
fn character_strokes(stream: &mut Stream, seed: u64, alphabet: u64) -> Vec<Vec<Point>> {
    let mut strokes = free_strokes(stream, seed, alphabet);
    let side = |pick: fn(&Point) -> f64| {
        let values = strokes.iter().flatten().map(pick);
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        ((low + high) / 2.0, (high - low) / 2.0)
    };
    let ((x, width), (y, height)) = (side(|p| p.0), side(|p| p.1));
    let scale = 0.8 / width.max(height).max(0.1);
    strokes.iter_mut().flatten().for_each(|p| *p = ((p.0 - x) * scale, (p.1 - y) * scale));
    strokes
}

/// Control points before they are centred.
fn free_strokes(stream: &mut Stream, seed: u64, alphabet: u64) -> Vec<Vec<Point>> {
    // An alphabet has a taste: how many strokes, how bent, how long.
    let mut taste = Stream::new("glyph alphabet", &[seed, alphabet]);
    let most_strokes = 2 + taste.below(2);
    let bend = taste.uniform(0.3, 1.5);
    let reach = taste.uniform(0.6, 0.95);
    (0..1 + stream.below(most_strokes))
        .map(|_| {
            let mut at = (stream.uniform(-0.8, 0.8), stream.uniform(-0.8, 0.8));
            let mut heading = stream.uniform(0.0, std::f64::consts::TAU);
            let mut points = vec![at];
            for _ in 0..2 + stream.below(3) {
                let length = reach * stream.uniform(0.5, 1.1);
                let next = (at.0 + length * libm::cos(heading), at.1 + length * libm::sin(heading));
                // A stroke that leaves the page turns back.
                let bounded = (next.0.clamp(-0.95, 0.95), next.1.clamp(-0.95, 0.95));
                heading += if bounded == next { bend * stream.normal() } else { 1.8 };
                at = bounded;
                points.push(at);
            }
            points
        })
        .collect()
}

/// The hand of one person.
struct Hand {
    /// Columns of the 2×2 matrix that slants, turns and stretches.
    matrix: [f64; 4],
    tremor: f64,
    /// Half the width of the pen; the page is 2 wide.
    radius: f64,
}

impl Hand {
    fn new(stream: &mut Stream) -> Self {
        let turn = stream.uniform(-0.3, 0.3);
        let slant = stream.uniform(-0.35, 0.35);
        let (width, height) = (stream.uniform(0.65, 0.95), stream.uniform(0.65, 0.95));
        let (cos, sin) = (libm::cos(turn), libm::sin(turn));
        let matrix = [width * cos, width * sin, height * (slant * cos - sin), height * (slant * sin + cos)];
        Self { matrix, tremor: stream.uniform(0.05, 0.13), radius: stream.uniform(0.045, 0.10) }
    }

    fn draw(&self, strokes: &[Vec<Point>], stream: &mut Stream) -> Vec<Vec<Point>> {
        let shift = (stream.uniform(-0.18, 0.18), stream.uniform(-0.18, 0.18));
        let lean = stream.uniform(-0.12, 0.12);
        let mut place = |(x, y): Point| {
            let (x, y) = (x + self.tremor * stream.normal(), y + self.tremor * stream.normal());
            let [a, b, c, d] = self.matrix;
            let (x, y) = (a * x + c * y, b * x + d * y);
            (x + lean * y + shift.0, y + shift.1)
        };
        strokes.iter().map(|stroke| stroke.iter().map(|p| place(*p)).collect()).collect()
    }
}

/// A Catmull–Rom curve through the points.
fn smooth(points: &[Point]) -> Vec<Point> {
    let at = |i: isize| points[i.clamp(0, points.len() as isize - 1) as usize];
    let mut curve = vec![points[0]];
    for i in 0..points.len() as isize - 1 {
        let (p0, p1, p2, p3) = (at(i - 1), at(i), at(i + 1), at(i + 2));
        for step in 1..=STEPS {
            let t = step as f64 / STEPS as f64;
            let blend = |a: f64, b: f64, c: f64, d: f64| {
                0.5 * (2.0 * b
                    + (c - a) * t
                    + (2.0 * a - 5.0 * b + 4.0 * c - d) * t * t
                    + (3.0 * b - a - 3.0 * c + d) * t * t * t)
            };
            curve.push((blend(p0.0, p1.0, p2.0, p3.0), blend(p0.1, p1.1, p2.1, p3.1)));
        }
    }
    curve
}

/// Inks every pixel by how far its centre is from the closest stroke.
fn rasterise(strokes: &[Vec<Point>], radius: f64, side: usize) -> Picture {
    let pixel = 2.0 / side as f64;
    let mut nearest = vec![f64::INFINITY; side * side];
    let reach = radius + pixel;
    let column = |x: f64| (((x + 1.0) / pixel - 0.5).max(0.0) as usize).min(side);
    for pair in strokes.iter().flat_map(|s| s.windows(2)) {
        let (a, b) = (pair[0], pair[1]);
        let (x0, x1) = (column(a.0.min(b.0) - reach), column(a.0.max(b.0) + reach + pixel));
        let (y0, y1) = (column(a.1.min(b.1) - reach), column(a.1.max(b.1) + reach + pixel));
        for row in y0..y1 {
            for col in x0..x1 {
                let center = ((col as f64 + 0.5) * pixel - 1.0, (row as f64 + 0.5) * pixel - 1.0);
                let squared = squared_distance(center, a, b);
                let cell = &mut nearest[row * side + col];
                *cell = cell.min(squared);
            }
        }
    }
    let shade = |squared: f64| {
        let ink = (0.5 + (radius - squared.sqrt()) / pixel).clamp(0.0, 1.0);
        (255.0 * (1.0 - ink) + 0.5) as u8
    };
    Picture { width: side, height: side, channels: 1, data: nearest.into_iter().map(shade).collect() }
}

fn squared_distance(p: Point, a: Point, b: Point) -> f64 {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let length = dx * dx + dy * dy;
    let along = if length == 0.0 { 0.0 } else { (((p.0 - a.0) * dx + (p.1 - a.1) * dy) / length).clamp(0.0, 1.0) };
    let (x, y) = (p.0 - a.0 - along * dx, p.1 - a.1 - along * dy);
    x * x + y * y
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Glyphs = Glyphs { alphabets: 2, characters: 3, drawers: 4, test_drawers: 1, seed: 7, side_px: 28 };

    #[test]
    fn drawings_are_pinned() {
        let mut hasher = blake3::Hasher::new();
        (0..24).for_each(|i| {
            hasher.update(&SMALL.draw(i).data);
        });
        assert_eq!(hasher.finalize().to_hex()[..16], *"1029af890b1add80");
    }

    #[test]
    fn every_drawing_has_ink_and_paper() {
        for i in 0..24 {
            let picture = SMALL.draw(i);
            let dark = picture.data.iter().filter(|v| **v < 128).count();
            assert!((10..500).contains(&dark), "{dark} dark pixels in drawing {i}");
        }
    }

    #[test]
    fn more_drawings_leave_the_others_alone() {
        let manifest = SMALL.manifest();
        assert_eq!((manifest.classes.len(), manifest.samples.len()), (6, 24));
        assert_eq!((manifest.count(Split::Train), manifest.count(Split::Test)), (18, 6));
        let larger = Glyphs { alphabets: 3, drawers: 5, ..SMALL }.manifest();
        let find = |m: &Manifest, path: &str| m.samples.iter().find(|s| s.path == path).unwrap().digest;
        let path = "alphabet01/character02/drawer03";
        assert_eq!(find(&manifest, path), find(&larger, path));
    }
}
