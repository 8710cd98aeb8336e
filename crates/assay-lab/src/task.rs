//! Tasks: a dataset, which part of it, and how its images are prepared.

use std::path::PathBuf;

use assay_config::UserPath;
use assay_data::{
    Color, Digests, Filter, Glyphs, ImageSpec, Manifest, Resize, Split, Subset, image_folder, omniglot, omniglot_runs,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::experiment::Checker;
use crate::metric::Metric;

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

/// Where images and labels come from.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub enum DatasetSpec {
    /// A folder for each class, as torchvision's `ImageFolder`; with `splits`, below a folder for each split.
    ImageFolder {
        /// The folder.
        root: UserPath,
        /// Names of the split folders, such as `["train", "test"]`; none when classes come first.
        #[serde(default)]
        splits: Vec<String>,
    },
    /// Omniglot: `alphabet/character/drawing.png` in folders or in the official zip files; every character is a class.
    Omniglot {
        /// Folders or zip files; a drawing that is in several counts once.
        sources: Vec<UserPath>,
    },
    /// The official one-shot runs of Omniglot, `all_runs.zip` or its folder; use with `FewShot(episodes: Official)`.
    OmniglotRuns {
        /// Folder or zip file.
        path: UserPath,
    },
    /// Generated handwriting, drawn when needed; no files.
    Glyphs(GlyphOptions),
}

/// Parameters of the generated handwriting.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GlyphOptions {
    /// Number of alphabets.
    pub alphabets: u32,
    /// Characters in each alphabet; every character is a class.
    pub characters: u32,
    /// Drawings of each character, one by each drawer.
    pub drawers: u32,
    /// How many of the drawers make the test split; zero makes no splits.
    #[serde(default)]
    pub test_drawers: u32,
    /// Different seeds give different alphabets.
    #[serde(default)]
    pub seed: u64,
    /// Width and height of a drawing in pixels.
    #[serde(default = "side")]
    pub side: u32,
}

fn side() -> u32 {
    28
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
        let ImageOptions { size, resize, filter, crop, color } = self.image;
        // A filter that is not used must not be in a key.
        let filter = if resize == Resize::None { Filter::Nearest } else { filter };
        ImageSpec { color, resize, size_px: size, filter, crop_px: crop.unwrap_or(size) }
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
        let crop = self.image.crop.unwrap_or(self.image.size);
        image.field("crop").expect((1..=self.image.size).contains(&crop), "must be from 1 to `size`");
        at.field("subset.first_per_class").expect(self.subset.first_per_class != Some(0), "must be at least 1");
        at.field("subset.limit_per_class").expect(self.subset.limit_per_class != Some(0), "must be at least 1");
        let is_share = self.subset.fraction.is_none_or(|f| f > 0.0 && f <= 1.0);
        at.field("subset.fraction").expect(is_share, "must be greater than 0 and at most 1");
        match &self.dataset {
            DatasetSpec::Glyphs(glyphs) => glyphs.check(&at.field("dataset")),
            DatasetSpec::ImageFolder { splits, .. } => {
                for (i, name) in splits.iter().enumerate() {
                    let known = split_of(name).is_some();
                    at.field(&format!("dataset.splits.{i}"))
                        .expect(known, "must be a folder called train, val or test (or training, validation, testing)");
                }
            }
            DatasetSpec::Omniglot { sources } => {
                at.field("dataset.sources").expect(!sources.is_empty(), "must name at least one folder or zip")
            }
            DatasetSpec::OmniglotRuns { .. } => {}
        }
    }
}

impl GlyphOptions {
    fn check(&self, at: &Checker<'_>) {
        for (name, value, most) in [
            ("alphabets", self.alphabets, 10_000),
            ("characters", self.characters, 10_000),
            ("drawers", self.drawers, 10_000),
        ] {
            at.field(name).expect((1..=most).contains(&value), &format!("must be from 1 to {most}"));
        }
        at.field("side").expect((8..=512).contains(&self.side), "must be from 8 to 512");
        at.field("test_drawers").expect(self.test_drawers < self.drawers.max(1), "must be less than `drawers`");
        let drawings = u64::from(self.alphabets) * u64::from(self.characters) * u64::from(self.drawers);
        at.expect(drawings <= 10_000_000, "must come to at most 10,000,000 drawings");
    }
}

fn split_of(name: &str) -> Option<Split> {
    match name.to_lowercase().as_str() {
        "train" | "training" => Some(Split::Train),
        "val" | "valid" | "validation" => Some(Split::Val),
        "test" | "testing" => Some(Split::Test),
        _ => None,
    }
}

impl DatasetSpec {
    /// Lists the samples.
    ///
    /// # Errors
    /// When files are missing or not as they should be.
    pub fn manifest(&self, digests: &dyn Digests) -> anyhow::Result<Manifest> {
        match self {
            Self::ImageFolder { root, splits } => {
                let splits: Vec<_> = splits.iter().filter_map(|name| Some((name.clone(), split_of(name)?))).collect();
                image_folder(&root.0, &splits, digests)
            }
            Self::Omniglot { sources } => {
                let sources: Vec<PathBuf> = sources.iter().map(|s| s.0.clone()).collect();
                omniglot(&sources, digests)
            }
            Self::OmniglotRuns { path } => omniglot_runs(&path.0, digests),
            Self::Glyphs(o) => Ok(Glyphs {
                alphabets: o.alphabets,
                characters: o.characters,
                drawers: o.drawers,
                test_drawers: o.test_drawers,
                seed: o.seed,
                side_px: o.side,
            }
            .manifest()),
        }
    }
}
