//! Tasks: a dataset, which part of it, and how its images are prepared.

use assay_data::{Color, Filter, ImageSpec, ImageStep, Resize, Size, Split, Subset};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{DatasetSpec, Metric};
use assay_config::Checker;

/// A task of an experiment.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// Images and labels.
    pub dataset: DatasetSpec,
    /// How images are prepared.
    pub image: ImageOptions,
    /// Which part of the dataset is used; all of it where nothing is said.
    #[serde(default)]
    pub subset: SubsetOptions,
    /// What happens when an image cannot be decoded.
    #[serde(default)]
    pub on_bad_image: OnBadImage,
    /// What a linear probe is chosen and reported by; `Top1` where nothing is said, `MeanAp11` where images show several
    /// classes.
    #[serde(default)]
    pub metric: Option<Metric>,
}

/// How images are prepared.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageOptions {
    /// Side in pixels that `resize` aims at; with `None`, the width and height that images have.
    pub size: u32,
    /// Which side is made `size` pixels long.
    pub resize: Resize,
    /// How pixels are weighted, antialiased as Pillow does it.
    #[serde(default = "bilinear")]
    pub filter: Filter,
    /// Side of the square cut from the centre; `size` where nothing is said.
    #[serde(default)]
    pub crop: Option<u32>,
    /// Grey or RGB.
    #[serde(default = "rgb")]
    pub color: Color,
    /// What is done before, in order, such as `[Stretch(256, 256, Bicubic)]`.
    #[serde(default)]
    pub before: Vec<ImageStep>,
}

fn bilinear() -> Filter {
    Filter::Bilinear
}

fn rgb() -> Color {
    Color::Rgb
}

/// Which part of a dataset is used.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubsetOptions {
    /// Splits to keep: `Train`, `Val`, `Test`; all where nothing is said.
    #[serde(default)]
    pub splits: Vec<Split>,
    /// Of each class and split, keep this many, the first by path.
    #[serde(default)]
    pub first_per_class: Option<u32>,
    /// Of each class and split, keep this many, drawn with `seed`.
    #[serde(default)]
    pub limit_per_class: Option<u32>,
    /// Of each split, keep this share, drawn with `seed`.
    #[serde(default)]
    pub fraction: Option<f64>,
    /// Seed of the draws.
    #[serde(default)]
    pub seed: u64,
}

/// What happens when an image cannot be decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum OnBadImage {
    /// The step that needs it fails.
    #[default]
    Fail,
    /// It is left out of the task, and reported.
    Skip,
}

impl TaskSpec {
    /// The whole preprocessing up to 8-bit pixels.
    pub fn image(&self) -> ImageSpec {
        let ImageOptions { size, resize, filter, crop, color, ref before } = self.image;
        // A filter that is not used must not be in a key.
        let filter = if resize == Resize::None { Filter::Nearest } else { filter };
        let (crop, size) = (Size::square(crop.unwrap_or(size)), Size::square(size));
        ImageSpec::new(color, resize, size, filter, crop, before.clone())
    }

    /// Which part of the dataset is used.
    pub fn subset(&self) -> Subset {
        let SubsetOptions { splits, first_per_class, limit_per_class, fraction, seed } = &self.subset;
        Subset {
            splits: splits.clone(),
            first_per_class: *first_per_class,
            limit_per_class: *limit_per_class,
            fraction: *fraction,
            seed: *seed,
        }
    }

    pub(crate) fn check(&self, at: &Checker<'_>) {
        let image = at.field("image");
        image.field("size").expect((1..=4096).contains(&self.image.size), "must be from 1 to 4096");
        let fits = self.image.crop.is_none_or(|crop| (1..=self.image.size).contains(&crop));
        image.field("crop").expect(fits, "must be from 1 to `size`");
        for (i, step) in self.image.before.iter().enumerate() {
            let is_sound = step.sides().iter().all(|side| (1..=4096).contains(side));
            image.field(&format!("before.{i}")).expect(is_sound, "must have sides from 1 to 4096");
        }
        at.field("subset.first_per_class").expect(self.subset.first_per_class != Some(0), "must be at least 1");
        at.field("subset.limit_per_class").expect(self.subset.limit_per_class != Some(0), "must be at least 1");
        let is_share = self.subset.fraction.is_none_or(|f| f > 0.0 && f <= 1.0);
        at.field("subset.fraction").expect(is_share, "must be greater than 0 and at most 1");
        self.dataset.check(&at.field("dataset"));
    }
}
