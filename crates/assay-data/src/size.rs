//! Height and width of a picture.

use std::fmt;

use serde::{Serialize, Serializer};

/// Height and width in pixels. A square is written as one number, in keys too; another as height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    /// Height in pixels.
    pub height: u32,
    /// Width in pixels.
    pub width: u32,
}

impl Size {
    /// Makes a square.
    pub fn square(side: u32) -> Self {
        Self { height: side, width: side }
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.height == self.width {
            self.height.serialize(serializer)
        } else {
            [self.height, self.width].serialize(serializer)
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.height == self.width {
            write!(f, "{}", self.height)
        } else {
            write!(f, "{}×{}", self.height, self.width)
        }
    }
}
