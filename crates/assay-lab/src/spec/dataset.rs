//! Datasets of an experiment: where images and labels come from.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use assay_config::UserPath;
use assay_data::datasets::Official;
use assay_data::{
    CsvColumns, Digests, Glyphs, Manifest, ParquetColumns, csv_table, image_folder, omniglot, omniglot_runs,
    parquet_table, split_of,
};
use schemars::JsonSchema;
use serde::Deserialize;

use assay_config::Checker;

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
    /// A CSV file with a header that names image files and what they show.
    Csv {
        /// The file.
        path: UserPath,
        /// Column with the path of the image, relative to `root`.
        image: String,
        /// Column with the name of the class.
        label: String,
        /// Column with `train`, `val` or `test`; without it there are no splits.
        #[serde(default)]
        split: Option<String>,
        /// Folder that holds all images; that of the file where nothing is said.
        #[serde(default)]
        root: Option<UserPath>,
    },
    /// Parquet with encoded images inside, as datasets on the Hugging Face hub; splits by the beginning of file names.
    Parquet {
        /// A file, or a folder of them.
        path: UserPath,
        /// Column with the image.
        #[serde(default = "image_column")]
        image: String,
        /// Column with the class.
        #[serde(default = "label_column")]
        label: String,
    },
    /// FGVC-Aircraft, by variant.
    Aircraft(OfficialFiles),
    /// Caltech-101 with the lists of Ericsson et al. (CVPR 2021).
    Caltech101 {
        /// Folder, `.zip` or `.tar` with the files as their owner distributes them.
        root: UserPath,
        /// Whether other numbers of images than published are an error instead of a warning.
        #[serde(default)]
        strict: bool,
        /// Whether lines that the training list has twice count twice.
        #[serde(default)]
        list: CaltechList,
    },
    /// Stanford Cars.
    Cars(OfficialFiles),
    /// CIFAR-10, as Python pickles or in the binary version.
    Cifar10(OfficialFiles),
    /// CIFAR-100 with its fine labels, as Python pickles or in the binary version.
    Cifar100(OfficialFiles),
    /// Describable Textures.
    Dtd(PartitionedFiles),
    /// Oxford 102 Flowers.
    Flowers102(OfficialFiles),
    /// Food-101.
    Food101(OfficialFiles),
    /// Oxford-IIIT Pets, by breed.
    Pets(OfficialFiles),
    /// SUN397.
    Sun397(PartitionedFiles),
    /// Pascal VOC 2007 classification: images show several classes.
    Voc2007(OfficialFiles),
    /// Plant diseases, as in CD-FSL.
    CropDiseases(OfficialFiles),
    /// EuroSAT, RGB.
    EuroSat(OfficialFiles),
    /// ISIC 2018, task 3.
    Isic2018(OfficialFiles),
    /// ChestX-ray8: images of exactly one of seven findings, as in CD-FSL.
    ChestX(OfficialFiles),
}

fn image_column() -> String {
    "image".to_owned()
}

fn label_column() -> String {
    "label".to_owned()
}

/// The files of a dataset as their owner distributes them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OfficialFiles {
    /// Folder, `.zip` or `.tar` with the files as their owner distributes them.
    pub root: UserPath,
    /// Whether other numbers of images than published are an error instead of a warning.
    #[serde(default)]
    pub strict: bool,
}

/// The files of a dataset that comes with ten partitions.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartitionedFiles {
    /// Folder, `.zip` or `.tar` with the files as their owner distributes them.
    pub root: UserPath,
    /// Whether other numbers of images than published are an error instead of a warning.
    #[serde(default)]
    pub strict: bool,
    /// Which of the partitions, from 1 to 10.
    #[serde(default = "first_partition")]
    pub partition: u32,
}

fn first_partition() -> u32 {
    1
}

/// Which lines of the training list of Caltech-101 count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum CaltechList {
    /// Every image once: 2,416 of them.
    #[default]
    Unique,
    /// The 3,060 lines of the list before October 2023, 644 of them again what another says.
    Dup3060,
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
            Self::Csv { path, image, label, split, root } => {
                let columns = CsvColumns { image: image.clone(), label: label.clone(), split: split.clone() };
                let beside = path.0.parent().unwrap_or(Path::new("."));
                csv_table(&path.0, root.as_ref().map_or(beside, |r| r.0.as_path()), &columns, digests)
            }
            Self::Parquet { path, image, label } => {
                parquet_table(&path.0, &ParquetColumns { image: image.clone(), label: label.clone() }, digests)
            }
            _ => {
                let (official, root, strict) = self.official().context("a dataset with a reader")?;
                official.manifest(&root.0, strict, digests)
            }
        }
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
            Self::ImageFolder { splits, .. } => {
                for (i, name) in splits.iter().enumerate() {
                    let known = split_of(name).is_some();
                    at.field(&format!("splits.{i}"))
                        .expect(known, "must be a folder called train, val or test (or training, validation, testing)");
                }
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
