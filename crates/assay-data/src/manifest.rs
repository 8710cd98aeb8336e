//! The resolved list of samples of a dataset.

use std::collections::BTreeMap;

use assay_stats::Stream;

use crate::classes::ClassOrder;
use crate::decode::{Color, ImageError, Picture};
use crate::source::ImageSource;
use crate::target::{Label, Presence, Targets};

/// The part of a dataset that a sample belongs to.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
pub enum Split {
    /// Training images, which classifiers are fitted on.
    Train,
    /// Validation images, which hyper-parameters are chosen on.
    Val,
    /// Test images, which the reported numbers come from.
    Test,
    /// All images of a dataset that has no splits.
    Whole,
}

/// One image with what it shows.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Path below the root of the dataset, for people.
    pub path: String,
    /// Digest of the image's content: of the file, the member, the cell of the table, or the planes.
    pub digest: blake3::Hash,
    /// The class, boxes and maps that it has.
    pub targets: Targets,
    /// The split.
    pub split: Split,
    /// The place of the image.
    pub source: ImageSource,
}

impl Sample {
    /// Reads and decodes the image, after comparing the bytes with the digest. There is no other way to the pixels.
    ///
    /// # Errors
    /// [`ImageError::Changed`] when the content is not what was planned, else what is wrong with the image; the caller knows
    /// its name.
    pub fn picture(&self, color: Color) -> Result<Picture, ImageError> {
        self.source.picture(&self.digest, color)
    }

    /// Gives the class of the whole image, or its classes.
    pub fn label(&self) -> Option<&Label> {
        self.targets.label.as_ref()
    }

    /// Gives its class, where it has one alone.
    pub fn class(&self) -> Option<u32> {
        match self.targets.label {
            Some(Label::Class(class)) => Some(class),
            _ => None,
        }
    }
}

/// One fixed episode of a dataset that brings its own: indices into [`Manifest::samples`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfficialEpisode {
    /// For each way, its support samples.
    pub support: Vec<Vec<u32>>,
    /// Queries: sample and way.
    pub queries: Vec<(u32, u32)>,
}

/// All samples of a dataset, in a fixed order.
#[derive(Clone, Debug, Default)]
pub struct Manifest {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Origin of the order of the classes.
    pub order: ClassOrder,
    /// The samples, sorted by path.
    pub samples: Vec<Sample>,
    /// Episodes that come with the dataset.
    pub official: Vec<OfficialEpisode>,
    /// Warnings for a person: counts that are not those published, and the like.
    pub notes: Vec<String>,
    /// Version of the files, where a name alone says little: the commit of a repository.
    pub origin: Option<String>,
    /// Details for a person who looks at the data: what was detected, and what was passed over.
    pub details: Vec<String>,
}

/// The choice of samples that a task uses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subset {
    /// Splits to keep; empty keeps all. Default: all.
    pub splits: Vec<Split>,
    /// Number of samples kept of each class in each split, the first ones by path; absent keeps all.
    pub first_per_class: Option<u32>,
    /// Number of samples kept of each class in each split, drawn with `seed`; absent keeps all.
    pub limit_per_class: Option<u32>,
    /// Share of each split that is kept (at least one sample), drawn with `seed`; absent keeps all.
    pub fraction: Option<f64>,
    /// Seed of the draws.
    pub seed: u64,
}

impl Manifest {
    /// Computes the digest of everything that can change a result: contents of images and target files, labels, boxes, splits and official
    /// episodes, in order. Names of files and folders are not in it.
    pub fn digest(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        // What has labels alone is written as it was before there were other targets, so that its digest is still the same.
        let labels_alone = self.samples.iter().all(|s| s.targets.is_label_alone());
        hasher.update(if labels_alone { b"assay manifest 1" } else { b"assay manifest 2" });
        self.digest_counts(&mut hasher);
        for sample in &self.samples {
            hasher.update(sample.digest.as_bytes());
            match &sample.targets.label {
                Some(Label::Class(class)) if labels_alone => {
                    hasher.update(&class.to_le_bytes());
                }
                Some(Label::MultiLabel(classes)) if labels_alone => {
                    hasher.update(&u32::MAX.to_le_bytes());
                    hasher.update(&classes.iter().map(|c| *c as u8).collect::<Vec<_>>());
                }
                _ => sample.targets.digest_into(&mut hasher),
            }
            hasher.update(&[sample.split as u8]);
        }
        hasher.finalize()
    }

    /// Adds the number of classes and samples, and the official episodes.
    fn digest_counts(&self, hasher: &mut blake3::Hasher) {
        let mut number = |n: usize| {
            hasher.update(&(n as u64).to_le_bytes());
        };
        number(self.classes.len());
        number(self.samples.len());
        number(self.official.len());
        for episode in &self.official {
            number(episode.support.len());
            for way in &episode.support {
                number(way.len());
                way.iter().for_each(|s| number(*s as usize));
            }
            number(episode.queries.len());
            episode.queries.iter().for_each(|(s, w)| {
                number(*s as usize);
                number(*w as usize);
            });
        }
    }

    /// Keeps the part of it that a task uses, in the order it has. Class indices stay; official episodes are kept only when every
    /// sample is. Samples without a class of their own count as of one class.
    pub fn subset(self, subset: &Subset) -> Self {
        if *subset == Subset::default() {
            return self;
        }
        let mut groups: BTreeMap<(Split, Option<u32>), Vec<usize>> = BTreeMap::new();
        for (i, sample) in self.samples.iter().enumerate() {
            if subset.splits.is_empty() || subset.splits.contains(&sample.split) {
                groups.entry((sample.split, sample.class())).or_default().push(i);
            }
        }
        let mut splits: BTreeMap<Split, Vec<usize>> = BTreeMap::new();
        for ((split, class), mut members) in groups {
            if let Some(limit) = subset.limit_per_class {
                let name = class.map_or(u64::MAX, u64::from);
                let mut stream = Stream::new("limit per class", &[subset.seed, split as u64, name]);
                let keep = members.len().min(limit as usize);
                members = stream.choose(&mut members, keep);
                members.sort_unstable();
            }
            members.truncate(subset.first_per_class.map_or(usize::MAX, |n| n as usize));
            splits.entry(split).or_default().extend(members);
        }
        let mut keep = vec![false; self.samples.len()];
        for (split, mut members) in splits {
            if let Some(fraction) = subset.fraction {
                members.sort_unstable();
                let count = ((fraction * members.len() as f64).round() as usize).clamp(1, members.len());
                members = Stream::new("fraction", &[subset.seed, split as u64]).choose(&mut members, count);
            }
            members.into_iter().for_each(|i| keep[i] = true);
        }
        let official = if keep.iter().all(|k| *k) { self.official } else { Vec::new() };
        let samples = self.samples.into_iter().zip(keep).filter_map(|(s, keep)| keep.then_some(s)).collect();
        Self { samples, official, ..self }
    }

    /// Tells whether images show several classes.
    pub fn is_multi_label(&self) -> bool {
        self.samples.iter().any(|s| matches!(s.label(), Some(Label::MultiLabel(_))))
    }

    /// Counts for each class the samples among these that show it.
    pub fn images_showing(&self, samples: &[u32]) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for sample in samples {
            match self.samples[*sample as usize].label() {
                Some(Label::Class(class)) => counts[*class as usize] += 1,
                Some(Label::MultiLabel(classes)) => {
                    let present = classes.iter().enumerate().filter(|(_, c)| **c == Presence::Present);
                    present.for_each(|(class, _)| counts[class] += 1);
                }
                None => {}
            }
        }
        counts
    }

    /// Lists the samples of each class by index.
    pub fn by_class(&self) -> Vec<Vec<u32>> {
        let mut lists = vec![Vec::new(); self.classes.len()];
        for (i, sample) in self.samples.iter().enumerate() {
            if let Some(class) = sample.class() {
                lists[class as usize].push(i as u32);
            }
        }
        lists
    }

    /// Counts the samples of a split.
    pub fn count(&self, split: Split) -> usize {
        self.samples.iter().filter(|s| s.split == split).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{BoundingBox, MaskTarget, TargetFile};

    fn manifest(labels: &[(u32, Split)]) -> Manifest {
        let sample = |(i, (class, split)): (usize, &(u32, Split))| Sample {
            path: i.to_string(),
            digest: blake3::hash(&[i as u8]),
            targets: Targets::class(*class),
            split: *split,
            source: ImageSource::File(i.to_string().into()),
        };
        Manifest {
            classes: vec!["a".into(), "b".into()],
            samples: labels.iter().enumerate().map(sample).collect(),
            ..Manifest::default()
        }
    }

    #[test]
    fn subset_keeps_the_first_of_each_class() {
        use Split::{Test, Train};
        let all = manifest(&[(0, Train), (0, Test), (1, Test), (0, Test), (1, Test), (0, Test)]);
        let subset = Subset { splits: vec![Test], first_per_class: Some(2), ..Subset::default() };
        let kept: Vec<String> = all.clone().subset(&subset).samples.into_iter().map(|s| s.path).collect();
        assert_eq!(kept, ["1", "2", "3", "4"]);
        assert_eq!(all.clone().subset(&Subset::default()).samples.len(), all.samples.len());
    }

    #[test]
    fn drawn_subsets_follow_their_seed_and_keep_the_order() {
        use Split::{Test, Train};
        let labels: Vec<(u32, Split)> = (0..60).map(|i| (i % 2, if i < 40 { Train } else { Test })).collect();
        let kept = |subset: Subset| -> Vec<usize> {
            manifest(&labels).subset(&subset).samples.iter().map(|s| s.path.parse().unwrap()).collect()
        };
        let limit = |seed| Subset { limit_per_class: Some(3), seed, ..Subset::default() };
        let few = kept(limit(0));
        assert!(few.is_sorted() && few.len() == 12, "{few:?}");
        assert_eq!(few, kept(limit(0)));
        assert_ne!(few, kept(limit(1)));
        let share = kept(Subset { fraction: Some(0.25), ..Subset::default() });
        assert_eq!((share.iter().filter(|i| **i < 40).count(), share.len()), (10, 15));
    }

    #[test]
    fn digest_sees_labels_and_order_but_not_names() {
        use Split::Whole;
        let a = manifest(&[(0, Whole), (1, Whole)]);
        let mut renamed = a.clone();
        renamed.samples[0].path = "else".into();
        assert_eq!(a.digest(), renamed.digest());
        assert_ne!(a.digest(), manifest(&[(1, Whole), (1, Whole)]).digest());
        let mut swapped = a.clone();
        swapped.samples.swap(0, 1);
        assert_ne!(a.digest(), swapped.digest());
    }

    /// Stores that exist name their features by these.
    #[test]
    fn digests_of_labelled_images_are_pinned() {
        use Split::{Test, Train};
        let mut all = manifest(&[(0, Train), (1, Test), (1, Train)]);
        let plain = all.digest();
        all.official.push(OfficialEpisode { support: vec![vec![0], vec![1]], queries: vec![(2, 1)] });
        let official = all.digest();
        all.samples[1].targets = Label::MultiLabel([Presence::Difficult, Presence::Present].into()).into();
        let short = [plain, official, all.digest()].map(|d| d.to_hex()[..16].to_owned());
        assert_eq!(short, ["81bf80a14c204eab", "1d6e1bdd097fd27a", "6518fff4dfe7a69f"]);
    }

    #[test]
    fn every_part_of_every_target_is_in_the_digest() {
        let file = |n: u8| TargetFile { source: ImageSource::File("x".into()), digest: blake3::hash(&[n]) };
        let mask = |n: u8, first_class, ignore| MaskTarget { file: file(n), first_class, ignore };
        let object = BoundingBox { x0: 1.0, y0: 2.0, x1: 3.0, y1: 4.0, class: 0, difficult: false, crowd: false };
        let boxes = |list: &[BoundingBox]| Targets { boxes: Some(list.into()), ..Targets::default() };
        let masked = |m: MaskTarget| Targets { mask: Some(m), ..Targets::default() };
        let all = [
            Targets::default(),
            Targets::class(0),
            Targets { boxes: Some([].into()), ..Targets::class(0) },
            boxes(&[]),
            boxes(&[object]),
            boxes(&[object, object]),
            boxes(&[BoundingBox { x0: 0.0, ..object }]),
            boxes(&[BoundingBox { y0: 0.0, ..object }]),
            boxes(&[BoundingBox { x1: 0.0, ..object }]),
            boxes(&[BoundingBox { y1: 0.0, ..object }]),
            boxes(&[BoundingBox { class: 1, ..object }]),
            boxes(&[BoundingBox { difficult: true, ..object }]),
            boxes(&[BoundingBox { crowd: true, ..object }]),
            masked(mask(0, 0, 255)),
            masked(mask(1, 0, 255)),
            masked(mask(0, 1, 255)),
            masked(mask(0, 0, 0)),
            Targets { normals: Some(file(0)), ..Targets::default() },
            Targets { normals: Some(file(1)), ..Targets::default() },
            Label::MultiLabel([Presence::Present, Presence::Absent].into()).into(),
        ];
        let digest = |targets: &Targets| {
            let mut one = manifest(&[(0, Split::Train), (1, Split::Test)]);
            one.samples[0].targets = targets.clone();
            one.digest()
        };
        let different: std::collections::HashSet<_> = all.iter().map(digest).collect();
        assert_eq!(different.len(), all.len());
        assert_eq!(all.iter().map(|t| t.files().count()).sum::<usize>(), 6);
    }
}
