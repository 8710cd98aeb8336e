//! Tasks: a dataset, which part of it, and how its images are prepared.

use assay_data::{Color, Filter, ImageSpec, ImageStep, Pillow, Resize, Size, Split, Subset};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{ClassesSpec, DatasetSpec, Metric};
use assay_config::{Checker, UserPath};

/// A task of an experiment: images with labels, and how they are prepared.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// Dataset that images and labels come from.
    pub dataset: DatasetSpec,
    /// Preparation of images: their size, their crop and their colours; every dataset but `Features` needs it. Default:
    /// none.
    #[serde(default)]
    pub image: Option<ImageOptions>,
    /// Order of the classes, which matters to `Classifier` alone: output c of the network is class c. Default: that of the
    /// dataset's own list; without one, whole numbers by value where all classes are such, else by name.
    #[serde(default)]
    pub classes: Option<ClassesSpec>,
    /// Part of the dataset that is used. Default: all of it.
    #[serde(default)]
    pub subset: SubsetOptions,
    /// Treatment of images that cannot be decoded. Default: `Fail`.
    #[serde(default)]
    pub on_bad_image: OnBadImage,
    /// Metric by which the protocol `Linear` chooses and reports. Default: `Top1`, or `MeanAp11` where images show
    /// several classes.
    #[serde(default)]
    pub metric: Option<Metric>,
}

/// Preparation of images: their size, their crop and their colours.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageOptions {
    /// Side in pixels that `resize` brings images to; with `resize: None`, the width and height that they all have
    /// already.
    pub size: u32,
    /// Sides that are made `size` pixels long.
    pub resize: Resize,
    /// Interpolation filter of the resize, antialiased as in Pillow. Default: `Bilinear`.
    #[serde(default = "bilinear")]
    pub filter: Filter,
    /// Side in pixels of the square that is cut from the centre after the resize. Default: `size`.
    #[serde(default)]
    pub crop: Option<u32>,
    /// Colours that images are converted to. Default: `Rgb`.
    #[serde(default = "rgb")]
    pub color: Color,
    /// Steps before the resize, in order, such as `[Stretch(256, 256, Bicubic)]`. Default: `[]`.
    #[serde(default)]
    pub before: Vec<ImageStep>,
    /// Pillow whose order of rows and columns resizes follow. Default: `V12`.
    #[serde(default)]
    pub pillow: Pillow,
}

fn bilinear() -> Filter {
    Filter::Bilinear
}

fn rgb() -> Color {
    Color::Rgb
}

/// Part of a dataset that is used.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubsetOptions {
    /// Splits that are kept, such as `[Train, Test]`; an empty list keeps all. Default: `[]`.
    #[serde(default)]
    pub splits: Vec<Split>,
    /// Text file with a name of an image on each line, relative to the root of the dataset, such as the official lists of
    /// 1 % of ImageNet or of VTAB-1k: of the splits that it names images of, these alone are kept. Default: none.
    #[serde(default)]
    pub list: Option<UserPath>,
    /// Number of images kept of each class in each split, the first ones by path. Default: all.
    #[serde(default)]
    pub first_per_class: Option<u32>,
    /// Number of images kept of each class in each split, drawn with `seed`. Default: all.
    #[serde(default)]
    pub limit_per_class: Option<u32>,
    /// Share of each split that is kept, such as 0.1 (at least one image), drawn with `seed`. Default: all.
    #[serde(default)]
    pub fraction: Option<f64>,
    /// Seed of the draws. Default: 0.
    #[serde(default)]
    pub seed: u64,
}

/// Treatment of images that cannot be decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum OnBadImage {
    /// The step that needs the image fails.
    #[default]
    Fail,
    /// The image is left out of the task, and reported.
    Skip,
}

impl ImageOptions {
    fn check(&self, at: &Checker<'_>) {
        at.field("size").expect((1..=4096).contains(&self.size), "must be from 1 to 4096");
        let fits = self.crop.is_none_or(|crop| (1..=self.size).contains(&crop));
        at.field("crop").expect(fits, "must be from 1 to `size`");
        for (i, step) in self.before.iter().enumerate() {
            let is_sound = step.sides().iter().all(|side| (1..=4096).contains(side));
            at.field(&format!("before.{i}")).expect(is_sound, "must have sides from 1 to 4096");
        }
    }
}

impl TaskSpec {
    /// The whole preparation of an image, up to 8-bit pixels; none where there are no images.
    pub fn image(&self) -> Option<ImageSpec> {
        let ImageOptions { size, resize, filter, crop, color, ref before, pillow } = *self.image.as_ref()?;
        // A filter that is not used must not be in a key.
        let filter = if resize == Resize::None { Filter::Nearest } else { filter };
        let (crop, size) = (Size::square(crop.unwrap_or(size)), Size::square(size));
        Some(ImageSpec::new(color, resize, size, filter, crop, before.clone()).with_pillow(pillow))
    }

    /// The part of the dataset that is used.
    pub fn subset(&self) -> Subset {
        let SubsetOptions { splits, list: _, first_per_class, limit_per_class, fraction, seed } = &self.subset;
        Subset {
            splits: splits.clone(),
            first_per_class: *first_per_class,
            limit_per_class: *limit_per_class,
            fraction: *fraction,
            seed: *seed,
        }
    }

    pub(crate) fn check(&self, at: &Checker<'_>) {
        match (&self.image, self.dataset.features()) {
            (Some(image), None) => image.check(&at.field("image")),
            (None, Some(_)) => {}
            (None, None) => at.missing("image"),
            (Some(_), Some(_)) => {
                at.field("image").problem("`Features` has no images to prepare", "leave this out");
            }
        }
        let skips = self.on_bad_image == OnBadImage::Skip && self.dataset.features().is_some();
        at.field("on_bad_image").expect(!skips, "must be left out: `Features` has no images to decode");
        at.field("subset.first_per_class").expect(self.subset.first_per_class != Some(0), "must be at least 1");
        at.field("subset.limit_per_class").expect(self.subset.limit_per_class != Some(0), "must be at least 1");
        let is_share = self.subset.fraction.is_none_or(|f| f > 0.0 && f <= 1.0);
        at.field("subset.fraction").expect(is_share, "must be greater than 0 and at most 1");
        self.dataset.check(&at.field("dataset"));
    }
}
