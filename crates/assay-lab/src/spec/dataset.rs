//! Datasets of an experiment: where images and labels come from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use assay_config::UserPath;
use assay_data::datasets::Official;
use assay_data::{
    CsvColumns, Digests, FolderOptions, Glyphs, HubCache, Manifest, RepoKind, SplitUse, TableColumns, WebColumns,
    arrow_dataset, csv_table, hub_dataset, image_folder, omniglot, omniglot_runs, parquet_table, web_dataset,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{FeatureFiles, FolderSplits};
use assay_config::Checker;

/// Dataset that images and labels come from.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[expect(clippy::large_enum_variant, reason = "one a task")]
pub enum DatasetSpec {
    /// Any folder of images with a folder for each class, as torchvision's `ImageFolder`, or a zip or tar of one; with
    /// `splits`, a folder for each split above those. Classes that are whole numbers are in the order of their values, others
    /// in that of their names; torchvision sorts both as text, so `Classifier` asks for `classes` where that matters.
    ImageFolder {
        /// Folder, `.zip` or `.tar` that holds the folders of the classes or splits.
        root: UserPath,
        /// Names of the folders of splits, such as `["train", "test"]`, or what each is, as in `{"seen": Train, "extra":
        /// Skip}`; an empty list where `root` holds classes. Default: `[]`.
        #[serde(default)]
        splits: FolderSplits,
        /// Permission of class folders without images, which are classes all the same. Default: false.
        #[serde(default)]
        allow_empty: bool,
    },
    /// Omniglot, handwritten characters: `alphabet/character/drawing.png` in folders or in the official zip files;
    /// every character is a class.
    Omniglot {
        /// Folders or zip files; a drawing that is in several of them counts once.
        sources: Vec<UserPath>,
    },
    /// Official one-shot runs of Omniglot, for the protocol `FewShot(episodes: Official)`.
    OmniglotRuns {
        /// `all_runs.zip`, or the folder with its content.
        path: UserPath,
    },
    /// Generated handwriting, drawn when it is needed; there are no files.
    Glyphs(GlyphOptions),
    /// Table whose rows name image files and their classes: a CSV or TSV file with a header, in UTF-8 or UTF-16, or JSON
    /// lines (`.jsonl`, `.ndjson`).
    Csv {
        /// Path of the table.
        path: UserPath,
        /// Name of the column with paths of images, relative to `root`.
        image: String,
        /// Name of the column with the names of classes.
        label: String,
        /// Name of the column with the split: `train`, `val` or `test`. Default: none, and there are no splits.
        #[serde(default)]
        split: Option<String>,
        /// Uses of other words for splits, such as `{"id_val": Val, "unlabeled": Skip}`. Default: `{}`.
        #[serde(default)]
        splits: BTreeMap<String, SplitUse>,
        /// Character between cells, such as `';'`. Default: the one of comma, tab, semicolon and bar by which the header
        /// has all columns.
        #[serde(default)]
        delimiter: Option<char>,
        /// Text between the classes of an image that shows several, such as `"|"`. Default: none, and a cell is one class.
        #[serde(default)]
        separator: Option<String>,
        /// Folder that holds all images. Default: the folder of the table.
        #[serde(default)]
        root: Option<UserPath>,
    },
    /// Parquet files with encoded images inside, as datasets on the Hugging Face hub. The split is told by the name of a
    /// file, as in `train-00000-of-00002.parquet`, or of a folder, as in `default/train/0000.parquet`; files are compared by
    /// the names of their classes.
    Parquet {
        /// A Parquet file, or a folder of them.
        path: UserPath,
        /// Name of the column with images. Default: `"image"`.
        #[serde(default = "image_column")]
        image: String,
        /// Name of the column with classes. Default: `"label"`.
        #[serde(default = "label_column")]
        label: String,
        /// Uses of other words for splits, such as `{"id_val": Val, "unlabeled": Skip}`. Default: `{}`.
        #[serde(default)]
        splits: BTreeMap<String, SplitUse>,
    },
    /// Folder that `save_to_disk` of the library `datasets` wrote: Arrow files with encoded images inside.
    Arrow {
        /// The folder, of one dataset or of several splits.
        path: UserPath,
        /// Name of the column with images. Default: `"image"`.
        #[serde(default = "image_column")]
        image: String,
        /// Name of the column with classes. Default: `"label"`.
        #[serde(default = "label_column")]
        label: String,
        /// Uses of other words for splits, such as `{"id_val": Val, "unlabeled": Skip}`. Default: `{}`.
        #[serde(default)]
        splits: BTreeMap<String, SplitUse>,
    },
    /// Tar files of WebDataset, with the files of a sample side by side: `key.jpg` and `key.cls`. Numbers are indices of the
    /// lines of `classnames.txt`, where that lies beside the tars or above them.
    WebDataset {
        /// A tar, a folder of them, or several with numbers in braces: `name-{000000..000003}.tar`.
        path: UserPath,
        /// Ending of the images, such as `"jpg"`. Default: that of the one image of a sample.
        #[serde(default)]
        image: Option<String>,
        /// Ending of the members with the class, such as `"cls"`, `"txt"` or `"json"`. Default: `"cls"`, or `"json"` where
        /// there is no other.
        #[serde(default)]
        label: Option<String>,
        /// Field of a JSON member that holds the class. Default: `"label"`.
        #[serde(default = "label_column")]
        field: String,
        /// Uses of other words for splits, such as `{"id_val": Val, "unlabeled": Skip}`. Default: `{}`.
        #[serde(default)]
        splits: BTreeMap<String, SplitUse>,
    },
    /// Dataset of the Hugging Face hub, from its local cache; nothing is downloaded. Parquet, tars of WebDataset and folders
    /// of images are read.
    Hub {
        /// Name of the repository, `"org/name"`.
        repo: String,
        /// Branch, tag, other ref or commit. Default: `"main"`.
        #[serde(default = "main_revision")]
        revision: String,
        /// Folder of a configuration, where the repository has several. Default: none.
        #[serde(default)]
        config: Option<String>,
        /// Name of the column with images. Default: `"image"`.
        #[serde(default = "image_column")]
        image: String,
        /// Name of the column, or of the field of a JSON member, with classes. Default: `"label"`.
        #[serde(default = "label_column")]
        label: String,
        /// Uses of other words for splits, such as `{"id_val": Val, "unlabeled": Skip}`. Default: `{}`.
        #[serde(default)]
        splits: BTreeMap<String, SplitUse>,
    },
    /// Features that somebody else has computed, with their labels, for models with `backbone: Given`; there are no images,
    /// and `image` is left out.
    Features(FeatureFiles),
    /// FGVC-Aircraft: aircraft, by variant.
    Aircraft(OfficialFiles),
    /// Caltech-101: objects, with the lists of images of Ericsson et al. (CVPR 2021).
    Caltech101 {
        /// Folder, `.zip` or `.tar` with the dataset's files as their owner distributes them.
        root: UserPath,
        /// Refusal, instead of a warning, of other numbers of images than were published. Default: false.
        #[serde(default)]
        strict: bool,
        /// Treatment of images that the training list names twice. Default: `Unique`.
        #[serde(default)]
        list: CaltechList,
    },
    /// Stanford Cars: cars, by make, model and year.
    Cars(OfficialFiles),
    /// CIFAR-10: objects, in images of 32×32 pixels, as Python pickles or in the binary version.
    Cifar10(OfficialFiles),
    /// CIFAR-100: objects, in images of 32×32 pixels, with the fine labels, as Python pickles or in the binary version.
    Cifar100(OfficialFiles),
    /// Describable Textures (DTD).
    Dtd(PartitionedFiles),
    /// Oxford 102 Flowers: flowers, by species.
    Flowers102(OfficialFiles),
    /// Food-101: photographs of dishes.
    Food101(OfficialFiles),
    /// Oxford-IIIT Pets: cats and dogs, by breed.
    Pets(OfficialFiles),
    /// SUN397: scenes.
    Sun397(PartitionedFiles),
    /// Pascal VOC 2007, classification: objects, several classes in an image.
    Voc2007(OfficialFiles),
    /// Plant diseases of crops, as in the benchmark CD-FSL.
    CropDiseases(OfficialFiles),
    /// EuroSAT, RGB: land use, seen from satellites.
    EuroSat(OfficialFiles),
    /// ISIC 2018, task 3: lesions of the skin.
    Isic2018(OfficialFiles),
    /// ChestX-ray8: X-rays of the chest that show exactly one of seven findings, as in the benchmark CD-FSL.
    ChestX(OfficialFiles),
}

fn image_column() -> String {
    "image".to_owned()
}

fn label_column() -> String {
    "label".to_owned()
}

fn main_revision() -> String {
    "main".to_owned()
}

/// The files of a dataset as their owner distributes them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OfficialFiles {
    /// Folder, `.zip` or `.tar` with the dataset's files as their owner distributes them.
    pub root: UserPath,
    /// Refusal, instead of a warning, of other numbers of images than were published. Default: false.
    #[serde(default)]
    pub strict: bool,
}

/// The files of a dataset that comes with ten partitions.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartitionedFiles {
    /// Folder, `.zip` or `.tar` with the dataset's files as their owner distributes them.
    pub root: UserPath,
    /// Refusal, instead of a warning, of other numbers of images than were published. Default: false.
    #[serde(default)]
    pub strict: bool,
    /// Number of the partition into splits, from 1 to 10. Default: 1.
    #[serde(default = "first_partition")]
    pub partition: u32,
}

fn first_partition() -> u32 {
    1
}

/// Treatment of images that the training list of Caltech-101 names twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum CaltechList {
    /// Every image counts once: 2,416 training images.
    #[default]
    Unique,
    /// Every line counts: the 3,060 lines of the list before October 2023, 644 of which repeat another.
    Dup3060,
}

/// Parameters of the generated handwriting.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GlyphOptions {
    /// Number of alphabets.
    pub alphabets: u32,
    /// Number of characters in each alphabet; every character is a class.
    pub characters: u32,
    /// Number of people who draw; each draws every character once.
    pub drawers: u32,
    /// Number of the drawers whose drawings are the test split; with zero there are no splits. Default: 0.
    #[serde(default)]
    pub test_drawers: u32,
    /// Seed of the draws; different seeds give different alphabets. Default: 0.
    #[serde(default)]
    pub seed: u64,
    /// Width and height of a drawing in pixels. Default: 28.
    #[serde(default = "side")]
    pub side: u32,
}

fn side() -> u32 {
    28
}

fn table_columns(image: &str, label: &str, splits: &BTreeMap<String, SplitUse>) -> TableColumns {
    TableColumns { image: image.to_owned(), label: label.to_owned(), splits: splits.clone() }
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

impl DatasetSpec {
    /// Lists the samples; those of the Hugging Face hub are looked for in `hub`.
    ///
    /// # Errors
    /// When files are missing or not as they should be.
    pub fn manifest(&self, digests: &dyn Digests, hub: &HubCache) -> anyhow::Result<Manifest> {
        match self {
            Self::ImageFolder { root, splits, allow_empty } => {
                let options = FolderOptions { splits: splits.known(), allow_empty: *allow_empty };
                image_folder(&root.0, &options, digests)
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
            Self::Csv { path, image, label, split, splits, delimiter, separator, root } => {
                let columns = CsvColumns {
                    image: image.clone(),
                    label: label.clone(),
                    split: split.clone(),
                    splits: splits.clone(),
                    delimiter: *delimiter,
                    separator: separator.clone(),
                };
                let beside = path.0.parent().unwrap_or(Path::new("."));
                csv_table(&path.0, root.as_ref().map_or(beside, |r| r.0.as_path()), &columns, digests)
            }
            Self::Parquet { path, image, label, splits } => {
                parquet_table(&path.0, &table_columns(image, label, splits), digests)
            }
            Self::Arrow { path, image, label, splits } => {
                arrow_dataset(&path.0, &table_columns(image, label, splits), digests)
            }
            Self::WebDataset { path, image, label, field, splits } => {
                let (image, label, field) = (image.clone(), label.clone(), field.clone());
                web_dataset(&path.0, &WebColumns { image, label, field, splits: splits.clone() }, digests)
            }
            Self::Hub { repo, revision, config, image, label, splits } => {
                let snapshot = hub.find(RepoKind::Dataset, repo, Some(revision))?;
                let columns = table_columns(image, label, splits);
                let manifest = hub_dataset(&snapshot, config.as_deref(), &columns, digests)?;
                Ok(Manifest { origin: manifest.origin.map(|at| format!("{repo} at {at}")), ..manifest })
            }
            Self::Features(files) => files.manifest(digests),
            _ => {
                let (official, root, strict) = self.official().context("a dataset with a reader")?;
                official.manifest(&root.0, strict, digests)
            }
        }
    }

    /// The dataset as one model has it.
    pub fn for_model(&self, model: &str) -> Self {
        match self {
            Self::Features(files) => Self::Features(files.for_model(model)),
            other => other.clone(),
        }
    }

    /// The files of features, where there are no images.
    pub fn features(&self) -> Option<&FeatureFiles> {
        if let Self::Features(files) = self { Some(files) } else { None }
    }

    /// The dataset with a layout of its own, where its files are, and whether other numbers of images are an error.
    pub fn official(&self) -> Option<(Official, &UserPath, bool)> {
        let whole = |official, files: &'_ OfficialFiles| (official, files.strict);
        let ((official, strict), root) = match self {
            Self::Aircraft(f) => (whole(Official::Aircraft, f), &f.root),
            Self::Caltech101 { root, strict, list } => {
                ((Official::Caltech101 { keeps_duplicates: *list == CaltechList::Dup3060 }, *strict), root)
            }
            Self::Cars(f) => (whole(Official::Cars, f), &f.root),
            Self::Cifar10(f) => (whole(Official::Cifar10, f), &f.root),
            Self::Cifar100(f) => (whole(Official::Cifar100, f), &f.root),
            Self::Dtd(f) => ((Official::Dtd { partition: f.partition }, f.strict), &f.root),
            Self::Flowers102(f) => (whole(Official::Flowers102, f), &f.root),
            Self::Food101(f) => (whole(Official::Food101, f), &f.root),
            Self::Pets(f) => (whole(Official::Pets, f), &f.root),
            Self::Sun397(f) => ((Official::Sun397 { partition: f.partition }, f.strict), &f.root),
            Self::Voc2007(f) => (whole(Official::Voc2007, f), &f.root),
            Self::CropDiseases(f) => (whole(Official::CropDiseases, f), &f.root),
            Self::EuroSat(f) => (whole(Official::EuroSat, f), &f.root),
            Self::Isic2018(f) => (whole(Official::Isic2018, f), &f.root),
            Self::ChestX(f) => (whole(Official::ChestX, f), &f.root),
            _ => return None,
        };
        Some((official, root, strict))
    }

    pub(crate) fn check(&self, at: &Checker<'_>) {
        match self {
            Self::Glyphs(glyphs) => glyphs.check(at),
            Self::Features(files) => files.check(at),
            Self::ImageFolder { splits, .. } => splits.check(&at.field("splits")),
            Self::Csv { split, splits, delimiter, separator, .. } => {
                at.field("splits")
                    .expect(split.is_some() || splits.is_empty(), "must be left out: there is no `split`");
                at.field("delimiter").expect(delimiter.is_none_or(|c| c.is_ascii()), "must be an ASCII character");
                let is_some = separator.as_ref().is_none_or(|text| !text.is_empty());
                at.field("separator").expect(is_some, "must not be empty");
            }
            Self::Omniglot { sources } => {
                at.field("sources").expect(!sources.is_empty(), "must name at least one folder or zip");
            }
            Self::Dtd(files) | Self::Sun397(files) => {
                at.field("partition").expect((1..=10).contains(&files.partition), "must be from 1 to 10");
            }
            _ => {}
        }
    }
}
