//! The resolved list of samples of a dataset.

use std::collections::BTreeMap;

use crate::source::Origin;

/// Which part of a dataset a sample belongs to.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
pub enum Split {
    /// For fitting.
    Train,
    /// For choosing hyper-parameters.
    Val,
    /// For the reported number.
    Test,
    /// The dataset has no splits.
    Whole,
}

/// One image with its label.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Path below the root of the dataset, for people.
    pub path: String,
    /// Digest of the image file's content.
    pub digest: blake3::Hash,
    /// Index into [`Manifest::classes`].
    pub class: u32,
    /// Its split.
    pub split: Split,
    /// Where the image is.
    pub origin: Origin,
}

/// One fixed trial of a dataset that brings its own: indices into [`Manifest::samples`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfficialTrial {
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
    /// The samples, sorted by path.
    pub samples: Vec<Sample>,
    /// Trials that come with the dataset.
    pub official: Vec<OfficialTrial>,
}

/// Which samples of a dataset a task uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subset {
    /// Splits to keep; empty keeps all.
    pub splits: Vec<Split>,
    /// Of each class and split, keep this many, the first by path.
    pub first_per_class: Option<u32>,
}

impl Manifest {
    /// Digest of everything that can change a result: contents, labels, splits and trials, in order. Names of files and
    /// folders are not in it.
    pub fn digest(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"assay manifest 1");
        let mut number = |n: usize| {
            hasher.update(&(n as u64).to_le_bytes());
        };
        number(self.classes.len());
        number(self.samples.len());
        number(self.official.len());
        for trial in &self.official {
            number(trial.support.len());
            for way in &trial.support {
                number(way.len());
                way.iter().for_each(|s| number(*s as usize));
            }
            number(trial.queries.len());
            trial.queries.iter().for_each(|(s, w)| {
                number(*s as usize);
                number(*w as usize);
            });
        }
        for sample in &self.samples {
            hasher.update(sample.digest.as_bytes());
            hasher.update(&sample.class.to_le_bytes());
            hasher.update(&[sample.split as u8]);
        }
        hasher.finalize()
    }

    /// The part of it that a task uses. Class indices stay; official trials are kept only when every sample is.
    pub fn subset(self, subset: &Subset) -> Self {
        if *subset == Subset::default() {
            return self;
        }
        let mut seen: BTreeMap<(Split, u32), u32> = BTreeMap::new();
        let keep = |sample: &Sample| {
            let count = seen.entry((sample.split, sample.class)).or_default();
            *count += 1;
            (subset.splits.is_empty() || subset.splits.contains(&sample.split))
                && subset.first_per_class.is_none_or(|n| *count <= n)
        };
        let before = self.samples.len();
        let mut samples = self.samples;
        let mut keep = keep;
        samples.retain(|s| keep(s));
        let official = if samples.len() == before { self.official } else { Vec::new() };
        Self { classes: self.classes, samples, official }
    }

    /// Indices of the samples of each class.
    pub fn by_class(&self) -> Vec<Vec<u32>> {
        let mut lists = vec![Vec::new(); self.classes.len()];
        for (i, sample) in self.samples.iter().enumerate() {
            lists[sample.class as usize].push(i as u32);
        }
        lists
    }

    /// Number of samples in a split.
    pub fn count(&self, split: Split) -> usize {
        self.samples.iter().filter(|s| s.split == split).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(labels: &[(u32, Split)]) -> Manifest {
        let sample = |(i, (class, split)): (usize, &(u32, Split))| Sample {
            path: i.to_string(),
            digest: blake3::hash(&[i as u8]),
            class: *class,
            split: *split,
            origin: Origin::File(i.to_string().into()),
        };
        Manifest {
            classes: vec!["a".into(), "b".into()],
            samples: labels.iter().enumerate().map(sample).collect(),
            official: vec![],
        }
    }

    #[test]
    fn subset_keeps_the_first_of_each_class() {
        use Split::{Test, Train};
        let all = manifest(&[(0, Train), (0, Test), (1, Test), (0, Test), (1, Test), (0, Test)]);
        let subset = Subset { splits: vec![Test], first_per_class: Some(2) };
        let kept: Vec<String> = all.clone().subset(&subset).samples.into_iter().map(|s| s.path).collect();
        assert_eq!(kept, ["1", "2", "3", "4"]);
        assert_eq!(all.clone().subset(&Subset::default()).samples.len(), all.samples.len());
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
}
