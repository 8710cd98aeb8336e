//! No network: the pixels themselves, or features that somebody else has computed.

use super::Net;
use super::architecture::{Architecture, StageInfo};
use super::point::{FeaturePoint, Pool};
use crate::builder::Builder;
use crate::input::ImageSize;

/// See [`Backbone::Pixels`](super::Backbone::Pixels) and [`Backbone::Given`](super::Backbone::Given).
pub struct Pixels {
    /// The name as written in an experiment.
    pub name: &'static str,
}

impl Architecture for Pixels {
    fn name(&self) -> &'static str {
        self.name
    }

    fn build(&self, _builder: &mut Builder<'_>) -> Option<Net> {
        None
    }

    fn stages(&self) -> Vec<StageInfo> {
        Vec::new()
    }

    fn largest_map(&self, _image: ImageSize) -> usize {
        0
    }

    fn min_image_size(&self) -> usize {
        1
    }

    fn pool(&self) -> Pool {
        Pool::Flat
    }

    fn has_points(&self) -> bool {
        false
    }

    fn channels(&self) -> Option<usize> {
        None
    }

    fn features(&self, channels: usize, image: ImageSize, _point: &FeaturePoint) -> usize {
        channels * image.area()
    }
}
