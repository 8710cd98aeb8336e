//! Geometry of the preparation: the source of each pixel of a prepared picture, and the same way for boxes, masks and
//! normals.

use crate::decode::ImageError;
use crate::dense::{ClassMap, NormalMap, unit};
use crate::resize::nearest_positions;
use crate::target::BoundingBox;

/// The way from the pixels of a file to those of a prepared picture. Along each axis it is one affine map; the steps that it
/// is made of are kept, because what is sampled by the nearest pixel depends on them.
#[derive(Clone, Debug, PartialEq)]
pub struct Geometry {
    source: [usize; 2],
    size: [usize; 2],
    /// Factor and shift of x, then of y.
    axes: [Axis; 2],
    steps: Vec<Step>,
}

/// prepared = scale × source + offset, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    /// Prepared pixels for each source pixel; negative when the axis is turned round.
    pub scale: f64,
    /// The edge of the source in the prepared picture, in pixels.
    pub offset: f64,
}

/// Sizes are width, then height.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Resize([usize; 2]),
    /// The upper left corner in the picture before, which it may be outside of, and the size.
    Crop([isize; 2], [usize; 2]),
    FlipHorizontally,
}

/// Ways of sampling a map of normals when it is resized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormalSampling {
    /// The closest pixel, as masks.
    Nearest,
    /// Between the four closest pixels, without antialiasing, and made 1 long again. Where one of them is not known,
    /// neither is the result.
    Bilinear,
}

impl Geometry {
    /// Begins with the picture as it is in the file.
    pub fn identity(width: usize, height: usize) -> Self {
        let axis = Axis { scale: 1.0, offset: 0.0 };
        Self { source: [width, height], size: [width, height], axes: [axis; 2], steps: Vec::new() }
    }

    /// Adds a change of size.
    #[must_use]
    pub fn resized(mut self, width: usize, height: usize) -> Self {
        let size = [width, height];
        for ((axis, from), to) in self.axes.iter_mut().zip(self.size).zip(size) {
            let factor = to as f64 / from as f64;
            *axis = Axis { scale: axis.scale * factor, offset: axis.offset * factor };
        }
        self.then(Step::Resize(size), size)
    }

    /// Adds a cut whose upper left corner is at `left`, `top`; what is outside of the picture becomes padding.
    #[must_use]
    pub fn cropped(mut self, left: isize, top: isize, width: usize, height: usize) -> Self {
        for (axis, corner) in self.axes.iter_mut().zip([left, top]) {
            axis.offset -= corner as f64;
        }
        self.then(Step::Crop([left, top], [width, height]), [width, height])
    }

    /// Adds a change of left and right.
    #[must_use]
    pub fn flipped(mut self) -> Self {
        let x = self.axes[0];
        self.axes[0] = Axis { scale: -x.scale, offset: self.size[0] as f64 - x.offset };
        let size = self.size;
        self.then(Step::FlipHorizontally, size)
    }

    fn then(mut self, step: Step, size: [usize; 2]) -> Self {
        self.steps.push(step);
        Self { size, ..self }
    }

    /// Width of the prepared picture in pixels.
    pub fn width(&self) -> usize {
        self.size[0]
    }

    /// Height of the prepared picture in pixels.
    pub fn height(&self) -> usize {
        self.size[1]
    }

    /// Width and height of the picture in the file.
    pub fn source_size(&self) -> (usize, usize) {
        (self.source[0], self.source[1])
    }

    /// The map of x.
    pub fn x(&self) -> Axis {
        self.axes[0]
    }

    /// The map of y.
    pub fn y(&self) -> Axis {
        self.axes[1]
    }

    /// Gives the box in the prepared picture, cut at its borders; `None` when nothing of it is left, or it has no area.
    pub fn map_box(&self, object: &BoundingBox) -> Option<BoundingBox> {
        let side = |axis: usize, from: f32, to: f32| {
            let Axis { scale, offset } = self.axes[axis];
            let ends = [from, to].map(|v| (scale * f64::from(v) + offset).clamp(0.0, self.size[axis] as f64) as f32);
            if scale < 0.0 { [ends[1], ends[0]] } else { ends }
        };
        let ([x0, x1], [y0, y1]) = (side(0, object.x0, object.x1), side(1, object.y0, object.y1));
        (x1 > x0 && y1 > y0).then_some(BoundingBox { x0, y0, x1, y1, ..*object })
    }

    /// Gives the mask of the prepared picture: every resize takes the nearest pixel, as Pillow's `NEAREST` does, and padding belongs
    /// to no class.
    ///
    /// # Errors
    /// When the mask has another size than the picture in the file.
    pub fn map_mask(&self, mask: &ClassMap) -> Result<ClassMap, ImageError> {
        self.check_size("mask", mask.width, mask.height)?;
        let mut grid = Grid { width: mask.width, height: mask.height, cells: mask.classes.clone() };
        for step in &self.steps {
            grid = match *step {
                Step::Resize([width, height]) => grid.nearest(width, height),
                Step::Crop(corner, size) => grid.crop(corner, size, ClassMap::NONE),
                Step::FlipHorizontally => grid.flip(),
            };
        }
        Ok(ClassMap { width: grid.width, height: grid.height, classes: grid.cells })
    }

    /// Gives the normals of the prepared picture. Padding has none; a change of left and right turns x round.
    ///
    /// # Errors
    /// When the map has another size than the picture in the file.
    pub fn map_normals(&self, map: &NormalMap, sampling: NormalSampling) -> Result<NormalMap, ImageError> {
        self.check_size("map of normals", map.width, map.height)?;
        let mut grid = Grid { width: map.width, height: map.height, cells: map.normals.clone() };
        for step in &self.steps {
            grid = match *step {
                Step::Resize([width, height]) if sampling == NormalSampling::Bilinear => grid.bilinear(width, height),
                Step::Resize([width, height]) => grid.nearest(width, height),
                Step::Crop(corner, size) => grid.crop(corner, size, NormalMap::NONE),
                Step::FlipHorizontally => {
                    let mut flipped = grid.flip();
                    flipped.cells.iter_mut().for_each(|normal| normal[0] = -normal[0]);
                    flipped
                }
            };
        }
        Ok(NormalMap { width: grid.width, height: grid.height, normals: grid.cells })
    }

    fn check_size(&self, what: &str, width: usize, height: usize) -> Result<(), ImageError> {
        if [width, height] == self.source {
            return Ok(());
        }
        let [w, h] = self.source;
        Err(ImageError::Unsuitable(format!("its {what} has {width}×{height} pixels, and the image {w}×{h}")))
    }
}

/// Something for every pixel.
struct Grid<T> {
    width: usize,
    height: usize,
    cells: Vec<T>,
}

impl<T: Copy> Grid<T> {
    fn nearest(&self, width: usize, height: usize) -> Self {
        if (width, height) == (self.width, self.height) {
            return Self { cells: self.cells.clone(), ..*self };
        }
        let (columns, rows) = (nearest_positions(self.width, width), nearest_positions(self.height, height));
        let row = |y: usize| columns.iter().map(move |x| self.cells[y * self.width + x]);
        Self { width, height, cells: rows.into_iter().flat_map(row).collect() }
    }

    fn crop(&self, [left, top]: [isize; 2], [width, height]: [usize; 2], fill: T) -> Self {
        let inside = |at: usize, from: isize, side: usize| at.checked_add_signed(from).filter(|at| *at < side);
        let cell = |y: usize, x: usize| {
            let place = inside(y, top, self.height).zip(inside(x, left, self.width));
            place.map_or(fill, |(y, x)| self.cells[y * self.width + x])
        };
        let cells = (0..height).flat_map(|y| (0..width).map(move |x| (y, x))).map(|(y, x)| cell(y, x)).collect();
        Self { width, height, cells }
    }

    fn flip(&self) -> Self {
        let cells = self.cells.chunks_exact(self.width.max(1)).flat_map(|row| row.iter().rev().copied()).collect();
        Self { cells, ..*self }
    }
}

impl Grid<[f32; 3]> {
    fn bilinear(&self, width: usize, height: usize) -> Self {
        let (columns, rows) = (neighbours(self.width, width), neighbours(self.height, height));
        let cell = |y: &Neighbours, x: &Neighbours| {
            let mut sum = [0.0f32; 3];
            for (row, down) in y {
                for (column, right) in x {
                    let (normal, weight) = (self.cells[row * self.width + column], down * right);
                    if weight > 0.0 && normal == NormalMap::NONE {
                        return NormalMap::NONE;
                    }
                    sum.iter_mut().zip(normal).for_each(|(s, n)| *s += weight * n);
                }
            }
            // Opposite normals cancel: there is no direction between them.
            unit(sum, 1e-6, 2.0)
        };
        let cells = rows.iter().flat_map(|y| columns.iter().map(|x| cell(y, x))).collect();
        Self { width, height, cells }
    }
}

/// Two places with their weights.
type Neighbours = [(usize, f32); 2];

/// Finds for each output pixel the input pixels on either side of its centre.
fn neighbours(input: usize, output: usize) -> Vec<Neighbours> {
    let scale = input as f64 / output as f64;
    let place = |at: usize| {
        let center = ((at as f64 + 0.5) * scale - 0.5).clamp(0.0, input as f64 - 1.0);
        let (low, share) = (center as usize, center.fract() as f32);
        [(low, 1.0 - share), ((low + 1).min(input - 1), share)]
    };
    (0..output).map(place).collect()
}
