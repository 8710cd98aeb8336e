//! Recognition datasets as their owners distribute them.

mod cifar;
mod few_shot;
mod info;
mod lists;
mod matlab;
mod voc;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::bail;

use crate::digests::Digests;
use crate::files::Files;
use crate::manifest::{Manifest, Sample, Split};
use crate::target::{Label, Presence, Targets};

pub use info::{DatasetInfo, SplitCount, all_datasets};

/// A dataset with a layout of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Official {
    /// FGVC-Aircraft (Maji et al. 2013), by variant.
    Aircraft,
    /// Caltech-101 (Fei-Fei et al. 2004) with the lists of Ericsson et al. (CVPR 2021).
    Caltech101 {
        /// True if lines that are in the training list twice count twice.
        keeps_duplicates: bool,
    },
    /// Stanford Cars (Krause et al. 2013).
    Cars,
    /// CIFAR-10 (Krizhevsky 2009), Python pickles or the binary version.
    Cifar10,
    /// CIFAR-100 with its fine labels.
    Cifar100,
    /// Describable Textures (Cimpoi et al. 2014).
    Dtd {
        /// 1 to 10.
        partition: u32,
    },
    /// Oxford 102 Flowers (Nilsback and Zisserman 2008).
    Flowers102,
    /// Food-101 (Bossard et al. 2014).
    Food101,
    /// Oxford-IIIT Pets (Parkhi et al. 2012), by breed.
    Pets,
    /// SUN397 (Xiao et al. 2010).
    Sun397 {
        /// 1 to 10.
        partition: u32,
    },
    /// Pascal VOC 2007 classification (Everingham et al. 2010).
    Voc2007,
    /// Plant diseases, the set of CD-FSL (Guo et al. 2020).
    CropDiseases,
    /// EuroSAT (Helber et al. 2019), RGB.
    EuroSat,
    /// ISIC 2018, task 3 (Codella et al. 2019).
    Isic2018,
    /// ChestX-ray8 (Wang et al. 2017): images of exactly one of seven findings, as CD-FSL takes them.
    ChestX,
}

impl Official {
    /// Lists the samples found at `root`: a folder, a `.zip` or a `.tar`. What differs from what was published is noted.
    ///
    /// # Errors
    /// When files are missing or not as they should be; with `strict`, also when there are more or fewer images than published.
    pub fn manifest(self, root: &Path, strict: bool, digests: &dyn Digests) -> anyhow::Result<Manifest> {
        let files = Files::open(root)?;
        let mut manifest = match self {
            Self::Aircraft => lists::aircraft(&files)?.finish(digests)?,
            Self::Caltech101 { keeps_duplicates } => lists::caltech101(&files, keeps_duplicates)?.finish(digests)?,
            Self::Cars => matlab::cars(&files)?.finish(digests)?,
            Self::Cifar10 => cifar::manifest(&files, &cifar::CIFAR_10, digests)?,
            Self::Cifar100 => cifar::manifest(&files, &cifar::CIFAR_100, digests)?,
            Self::Dtd { partition } => lists::dtd(&files, partition)?.finish(digests)?,
            Self::Flowers102 => matlab::flowers102(&files)?.finish(digests)?,
            Self::Food101 => lists::food101(&files)?.finish(digests)?,
            Self::Pets => lists::pets(&files)?.finish(digests)?,
            Self::Sun397 { partition } => lists::sun397(&files, partition)?.finish(digests)?,
            Self::Voc2007 => voc::voc2007(&files)?.finish(digests)?,
            Self::CropDiseases => few_shot::folders(&files, "dataset/train")?.finish(digests)?,
            Self::EuroSat => few_shot::folders(&files, "2750")?.finish(digests)?,
            Self::Isic2018 => few_shot::isic2018(&files)?.finish(digests)?,
            Self::ChestX => few_shot::chestx(&files)?.finish(digests)?,
        };
        let unlike = self.unlike(&manifest);
        if strict && !unlike.is_empty() {
            bail!("{} holds other images than published: {}", root.display(), unlike.join("; "));
        }
        manifest.notes.extend(unlike);
        manifest.details.extend(files.litter());
        Ok(manifest)
    }

    /// Tells how the number of images and classes differs from what was published.
    fn unlike(self, manifest: &Manifest) -> Vec<String> {
        let info = self.info();
        let mut notes = Vec::new();
        if manifest.classes.len() != info.classes {
            notes.push(format!("{} classes were found, and {} are published", manifest.classes.len(), info.classes));
        }
        for SplitCount { split, images } in self.counts() {
            let found = manifest.count(split);
            if found != images {
                let (by, than) = (found.abs_diff(images), if found < images { "fewer" } else { "more" });
                notes.push(format!("split {split:?} has {found} images, {by} {than} than the {images} published"));
            }
        }
        notes
    }
}

/// One image of a list.
struct Row {
    /// Path, as [`Files::get`] takes it.
    path: String,
    targets: Targets,
    split: Split,
}

/// The annotations of a dataset, before the images have been looked for.
struct Listing {
    base: Files,
    classes: Vec<String>,
    rows: Vec<Row>,
}

impl Listing {
    /// A list with paths from `base`.
    fn new(base: Files, classes: Vec<String>) -> Self {
        Self { base, classes, rows: Vec::new() }
    }

    fn add(&mut self, split: Split, class: u32, path: String) {
        self.rows.push(Row { path, targets: Targets::class(class), split });
    }

    fn add_multi_label(&mut self, split: Split, classes: Vec<Presence>, path: String) {
        self.rows.push(Row { path, targets: Label::MultiLabel(classes.into()).into(), split });
    }

    /// Looks for the images.
    fn finish(self, digests: &dyn Digests) -> anyhow::Result<Manifest> {
        let base = &self.base;
        let missing: Vec<&str> = self.rows.iter().filter(|r| !base.has(&r.path)).map(|r| r.path.as_str()).collect();
        if !missing.is_empty() {
            let some = missing.iter().take(5).map(|path| format!("\n  {}", base.name(path))).collect::<String>();
            bail!("{} of the {} images that the lists name are missing:{some}", missing.len(), self.rows.len());
        }
        anyhow::ensure!(!self.rows.is_empty(), "the lists in {} name no image", base.source().display());
        let sources: Vec<_> = self.rows.iter().filter_map(|r| base.get(&r.path)).collect();
        // An image that is named twice is read once.
        let mut unique: Vec<_> = Vec::new();
        let mut place: HashMap<&str, usize> = HashMap::new();
        for (row, source) in self.rows.iter().zip(&sources) {
            place.entry(&row.path).or_insert_with(|| {
                unique.push(*source);
                unique.len() - 1
            });
        }
        let hashes = base.digests(&unique, digests)?;
        let samples = self.rows.iter().zip(&sources).map(|(row, source)| Sample {
            path: row.path.clone(),
            digest: hashes[place[row.path.as_str()]],
            targets: row.targets.clone(),
            split: row.split,
            source: (*source).clone(),
        });
        Ok(Manifest { samples: samples.collect(), classes: self.classes, ..Manifest::default() })
    }
}

/// Indices of names.
struct Names {
    classes: Vec<String>,
    index: HashMap<String, u32>,
}

impl Names {
    fn new(classes: Vec<String>) -> anyhow::Result<Self> {
        let index: HashMap<String, u32> = classes.iter().enumerate().map(|(i, c)| (c.clone(), i as u32)).collect();
        if index.len() != classes.len() {
            let mut seen = HashSet::new();
            let twice = classes.iter().find(|c| !seen.insert(*c));
            bail!("class {:?} is listed twice", twice.map_or("", |t| t));
        }
        Ok(Self { classes, index })
    }

    fn get(&self, name: &str) -> anyhow::Result<u32> {
        self.index
            .get(name)
            .copied()
            .ok_or_else(|| anyhow::anyhow!("{name:?} is none of the {} classes", self.classes.len()))
    }
}
