//! Traits of backbones: what every architecture says of itself, and what every built network can do.
//!
//! Each architecture implements [`Architecture`] for its parameters and [`Network`] for its module, in a file of its own.

use burn::tensor::Tensor;

use super::point::{FeaturePoint, Pool, pool_map};
use super::{Net, Origin, Unsaid};
use crate::builder::Builder;
use crate::input::ImageSize;
use assay_weights::Naming;

/// A place in a network whose map can be had: a stage of a convolutional network, a block of a transformer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageInfo {
    /// Name of the stage, such as `layer3` or `block7`.
    pub name: String,
    /// Channels of its map.
    pub channels: usize,
    /// Pixels of the image for each pixel of the map, on both sides.
    pub stride: usize,
    /// True if a remainder of the image becomes a pixel of the map.
    pub rounds_up: bool,
}

impl StageInfo {
    /// Size of its map for an image of this size, where every step rounds the same way.
    pub(super) fn map_size(&self, image: ImageSize) -> ImageSize {
        image.map(|side| if self.rounds_up { side.div_ceil(self.stride) } else { side / self.stride })
    }
}

/// An architecture with its parameters.
pub trait Architecture {
    /// The name of the architecture as written in an experiment.
    fn name(&self) -> &'static str;

    /// Builds the network; `None` when there is nothing to build.
    fn build(&self, builder: &mut Builder<'_>) -> Option<Net>;

    /// The places whose maps can be had, from the image to the end.
    fn stages(&self) -> Vec<StageInfo>;

    /// Size of the map of one of its stages for an image of this size. Default: every step rounds as the stage says.
    fn map_size(&self, stage: &StageInfo, image: ImageSize) -> ImageSize {
        stage.map_size(image)
    }

    /// Count of the numbers in the largest tensor that one image becomes inside the network.
    fn largest_map(&self, image: ImageSize) -> usize;

    /// Pixels that an image must at least have on each side.
    fn min_image_size(&self) -> usize;

    /// The pool by which the network itself reduces its last map.
    fn pool(&self) -> Pool {
        Pool::Gap
    }

    /// Tells whether there is a class token.
    fn has_class_token(&self) -> bool {
        false
    }

    /// Tells whether the features of several last stages may stand side by side, and be had without the normalisation at the
    /// end: of a transformer.
    fn has_last_stages(&self) -> bool {
        false
    }

    /// Tells whether features may be taken at any stage and with any pool. Default: yes; else at the end, as the
    /// network pools them.
    fn has_points(&self) -> bool {
        true
    }

    /// Tells whether the end of the network is something else than its last stage, pooled.
    fn goes_on_after_stages(&self) -> bool {
        false
    }

    /// Channels at the end of the network, where they are not those of the last stage.
    fn end_channels(&self) -> Option<usize> {
        None
    }

    /// Tells whether the names of its tensors say which stage they belong to: by `layer3`, or by their first number.
    fn numbers_stages(&self) -> bool {
        false
    }

    /// The grid of patches that its learnt position embeddings are for, and the side of a patch in pixels; `None` without such.
    fn position_grid(&self) -> Option<(ImageSize, usize)> {
        None
    }

    /// Channels of the input; `None` when it takes any.
    fn channels(&self) -> Option<usize> {
        Some(3)
    }

    /// Name of its own classifier in checkpoints, such as `fc`.
    fn classifier(&self) -> Option<&'static str> {
        None
    }

    /// The names that other libraries have for the network's tensors.
    fn namings(&self) -> Vec<Naming> {
        Vec::new()
    }

    /// Beginnings of names of what only pretraining needs.
    fn ignored(&self) -> &'static [&'static str] {
        &[]
    }

    /// How tensors are read that fit several networks, and which those are; `None` where they fit this one alone.
    ///
    /// # Errors
    /// When what else the file tells contradicts the parameters, or when it takes one of them that is not written.
    fn reading(&self, _origin: &Origin) -> Result<Option<String>, Unsaid> {
        Ok(None)
    }

    /// The reason why the parameters are invalid, if they are.
    fn invalid_because(&self) -> Option<&'static str> {
        None
    }

    /// Why it cannot take images of this size, as the end of a sentence that begins with its name.
    fn size_problem(&self, image: ImageSize) -> Option<String> {
        self.too_small(image)
    }

    /// What is wrong with images that are too small, as the end of a sentence that begins with its name.
    fn too_small(&self, image: ImageSize) -> Option<String> {
        let least = self.min_image_size();
        (image.shorter_side() < least)
            .then(|| format!("needs images of at least {least}×{least} pixels, and these have {image}"))
    }

    /// Number of features for an input of `channels` × height × width that it can take.
    fn features(&self, _channels: usize, image: ImageSize, point: &FeaturePoint) -> usize {
        let stages = self.stages();
        let stage = &stages[point.layer.unwrap_or(stages.len()) - 1];
        let end = self.end_channels().filter(|_| point.layer.is_none());
        let pool = point.pool.unwrap_or_else(|| self.pool());
        pool.features(end.unwrap_or(stage.channels), self.map_size(stage, image).area())
    }
}

/// A built network.
pub trait Network {
    /// Number of its stages.
    fn depth(&self) -> usize;

    /// The maps after the wanted stages, counted from 1, in the order of `wanted`: B × C × H × W each.
    fn stages(&self, x: Tensor<4>, wanted: &[usize]) -> Vec<Tensor<4>>;

    /// Makes it fit for inference on images of this size, in place.
    fn prepare(&mut self, image: ImageSize);

    /// The pool by which the network reduces its last map.
    fn pool(&self) -> Pool {
        Pool::Gap
    }

    /// Applies what comes after the pool at the end of the network: B × D → B × D
    fn finish(&self, features: Tensor<2>) -> Tensor<2> {
        features
    }

    /// B × C × H × W → B × D
    fn features(&self, x: Tensor<4>, point: &FeaturePoint) -> Tensor<2> {
        let map = self.stages(x, &[point.layer.unwrap_or(self.depth())]).remove(0);
        let features = pool_map(map, point.pool.unwrap_or_else(|| self.pool()));
        if point.is_end() { self.finish(features) } else { features }
    }
}

/// The values after the wanted steps, in the order of `wanted`; `step` is told its number, counted from 1. Nothing is
/// computed that comes after the last of them.
pub fn after_steps<const D: usize>(
    mut x: Tensor<D>,
    wanted: &[usize],
    mut step: impl FnMut(usize, Tensor<D>) -> Tensor<D>,
) -> Vec<Tensor<D>> {
    let mut found: Vec<Option<Tensor<D>>> = vec![None; wanted.len()];
    for number in 1..=wanted.iter().copied().max().unwrap_or(0) {
        x = step(number, x);
        for (found, _) in found.iter_mut().zip(wanted).filter(|(_, wanted)| **wanted == number) {
            *found = Some(x.clone());
        }
    }
    found.into_iter().map(|found| found.expect("stages are counted from 1")).collect()
}
