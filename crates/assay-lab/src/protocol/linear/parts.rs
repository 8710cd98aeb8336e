//! The samples that a probe is fitted on, chosen by and tested on.

use std::collections::BTreeSet;

use assay_config::Checker;
use assay_data::{Manifest, Split};
use assay_stats::LegacyNumpy;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::spec::Metric;

/// A part of a list of images that becomes a split of its own: the first of the list after `numpy.random.seed(seed);
/// numpy.random.shuffle(list)`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HoldOut {
    /// Share of the images, such as 0.2; the number of images is rounded down. Default: 0.2.
    pub fraction: f64,
    /// Seed of the shuffle. Default: 0.
    pub seed: u32,
}

impl Default for HoldOut {
    fn default() -> Self {
        Self { fraction: 0.2, seed: 0 }
    }
}

impl HoldOut {
    /// Takes its part out of a list; both keep the order they had.
    fn take(self, list: &mut Vec<u32>) -> Vec<u32> {
        let order = LegacyNumpy::shuffled_range(self.seed, list.len());
        let count = (self.fraction * list.len() as f64) as usize;
        let chosen: BTreeSet<usize> = order[..count].iter().copied().collect();
        let taken = chosen.iter().map(|i| list[*i]).collect();
        let mut at = 0;
        list.retain(|_| {
            at += 1;
            !chosen.contains(&(at - 1))
        });
        taken
    }
}

/// Checks the fields `validation`, `test` and `resamples` of a protocol that learns, chooses and tests.
pub(in crate::protocol) fn check_parts(at: &Checker<'_>, validation: HoldOut, test: HoldOut, resamples: u32) {
    for (name, HoldOut { fraction, .. }) in [("validation", validation), ("test", test)] {
        let is_part = fraction > 0.0 && fraction < 1.0;
        at.field(&format!("{name}.fraction")).expect(is_part, "must be greater than 0 and less than 1");
    }
    at.field("resamples").expect((1..=100_000).contains(&resamples), "must be from 1 to 100,000");
}

/// Indices of the samples that are fitted, chosen by and tested.
#[derive(Debug, PartialEq)]
pub(in crate::protocol) struct Parts {
    pub fit: Vec<u32>,
    pub validation: Vec<u32>,
    pub test: Vec<u32>,
}

impl Parts {
    pub fn new(manifest: &Manifest, validation: HoldOut, test_part: HoldOut) -> Result<Self, String> {
        let of = |split: Split| -> Vec<u32> {
            let samples = manifest.samples.iter().enumerate().filter(|(_, s)| s.split == split);
            samples.map(|(i, _)| i as u32).collect()
        };
        let (mut fit, mut validation_images, mut test) = (of(Split::Train), of(Split::Val), of(Split::Test));
        if fit.is_empty() && validation_images.is_empty() && test.is_empty() {
            fit = of(Split::Whole);
            test = test_part.take(&mut fit);
        }
        if fit.is_empty() || test.is_empty() {
            let (train, test) = (fit.len(), test.len());
            return Err(format!(
                "a train and a test split are needed, and there are {train} and {test} images in them"
            ));
        }
        if validation_images.is_empty() {
            validation_images = validation.take(&mut fit);
        }
        if fit.is_empty() || validation_images.is_empty() {
            let train = fit.len() + validation_images.len();
            return Err(format!("no validation images can be taken from {train} training images"));
        }
        Ok(Self { fit, validation: validation_images, test })
    }

    /// The samples that the final classifier is fitted on.
    pub fn all(&self) -> Vec<u32> {
        let mut all = [self.fit.as_slice(), &self.validation].concat();
        all.sort_unstable();
        all
    }

    /// Checks that a classifier can be learnt and judged.
    pub fn check(&self, manifest: &Manifest, metric: Metric) -> Result<(), String> {
        let classes = |part: &[u32]| -> BTreeSet<u32> {
            part.iter().filter_map(|i| manifest.samples[*i as usize].class()).collect()
        };
        let name = |class: &u32| manifest.classes[*class as usize].as_str();
        if metric.is_multi_label() {
            return self.check_multi_label(manifest);
        }
        let fitted = classes(&self.fit);
        if let (1, Some(one)) = (fitted.len(), fitted.first()) {
            return Err(format!(
                "all training images are of one class, {:?}: there is nothing to tell apart",
                name(one)
            ));
        }
        for (what, part) in [("test", &self.test), ("validation", &self.validation)] {
            let seen = if what == "test" { &classes(&self.all()) } else { &fitted };
            let missing: Vec<&str> = classes(part).difference(seen).map(name).collect();
            if !missing.is_empty() {
                let some = missing.iter().take(5).copied().collect::<Vec<_>>().join(", ");
                return Err(format!(
                    "{} of the classes of the {what} images have no image to learn from: {some}",
                    missing.len()
                ));
            }
        }
        Ok(())
    }

    /// Warns of classes that no image shows which the metric is taken on, so that they take no part in its mean.
    pub fn warnings(&self, manifest: &Manifest, metric: Metric) -> Vec<String> {
        if metric == Metric::Top1 {
            return Vec::new();
        }
        let learnt = manifest.images_showing(&self.all());
        let without = |part: &[u32]| -> Vec<&str> {
            let shown = manifest.images_showing(part);
            let absent = (0..learnt.len()).filter(|class| learnt[*class] > 0 && shown[*class] == 0);
            absent.map(|class| manifest.classes[class].as_str()).collect()
        };
        let what = if metric.is_multi_label() { "average precision" } else { "accuracy" };
        let taking_part = learnt.iter().filter(|images| **images > 0).count();
        let mut warnings = Vec::new();
        for (name, part) in [("test", &self.test), ("validation", &self.validation)] {
            let absent = without(part);
            if absent.is_empty() {
                continue;
            }
            let some = absent.iter().take(5).copied().collect::<Vec<_>>().join(", ");
            let (count, rest) = (absent.len(), taking_part - absent.len());
            warnings.push(format!(
                "{count} of the {taking_part} classes are shown by no {name} image ({some}): their {what} is undefined, and the mean is taken \
                 over the other {rest} (scikit-learn counts such classes as 0)"
            ));
        }
        warnings
    }

    /// Every class must be shown by some of the images to learn from, and not by all.
    fn check_multi_label(&self, manifest: &Manifest) -> Result<(), String> {
        let images = manifest.images_showing(&self.fit);
        let useless = images.iter().enumerate().filter(|(_, n)| **n == 0 || **n == self.fit.len());
        let names: Vec<&str> = useless.map(|(class, _)| manifest.classes[class].as_str()).collect();
        if names.is_empty() {
            return Ok(());
        }
        let some = names.iter().take(5).copied().collect::<Vec<_>>().join(", ");
        Err(format!("{} classes are shown by none or by all of the images to learn from: {some}", names.len()))
    }
}

/// The classes that take part: all where images show several, else those with an image.
pub(in crate::protocol) fn classes_of(manifest: &Manifest, samples: &[u32], metric: Metric) -> Vec<u32> {
    if metric.is_multi_label() {
        return (0..manifest.classes.len() as u32).collect();
    }
    let classes: BTreeSet<u32> = samples.iter().filter_map(|i| manifest.samples[*i as usize].class()).collect();
    classes.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use assay_data::{ImageSource, Sample, Targets};

    use super::*;

    fn manifest(labels: &[(u32, Split)]) -> Manifest {
        let sample = |(i, (class, split)): (usize, &(u32, Split))| Sample {
            path: i.to_string(),
            digest: blake3::hash(&(i as u64).to_le_bytes()),
            targets: Targets::class(*class),
            split: *split,
            source: ImageSource::File(i.to_string().into()),
        };
        Manifest {
            classes: vec!["a".into(), "b".into(), "c".into()],
            samples: labels.iter().enumerate().map(sample).collect(),
            ..Manifest::default()
        }
    }

    #[test]
    fn validation_images_are_the_first_of_the_shuffled_list() {
        use Split::{Test, Train};
        let labels: Vec<_> = (0..12).map(|i| (i % 2, if i < 10 { Train } else { Test })).collect();
        let parts = Parts::new(&manifest(&labels), HoldOut::default(), HoldOut::default()).unwrap();
        // numpy.random.seed(0); x = list(range(10)); numpy.random.shuffle(x); x[:2] == [2, 8]
        assert_eq!(parts.validation, [2, 8]);
        assert_eq!(parts.test, [10, 11]);
        assert_eq!(parts.all(), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_dataset_without_splits_is_split() {
        let labels: Vec<_> = (0..10).map(|i| (i % 2, Split::Whole)).collect();
        let parts = Parts::new(&manifest(&labels), HoldOut::default(), HoldOut::default()).unwrap();
        assert_eq!((parts.test.as_slice(), parts.validation.len(), parts.fit.len()), (&[2, 8][..], 1, 7));
    }

    #[test]
    fn a_split_of_its_own_is_used_as_it_is() {
        use Split::{Test, Train, Val};
        let parts = Parts::new(
            &manifest(&[(0, Val), (1, Train), (0, Train), (1, Test)]),
            HoldOut::default(),
            HoldOut::default(),
        )
        .unwrap();
        assert_eq!(parts, Parts { fit: vec![1, 2], validation: vec![0], test: vec![3] });
    }

    #[test]
    fn what_cannot_be_learnt_is_said_before_anything_runs() {
        use Split::{Test, Train, Val};
        let message = |labels: &[(u32, Split)]| {
            let manifest = manifest(labels);
            let parts = Parts::new(&manifest, HoldOut::default(), HoldOut::default());
            parts.and_then(|p| p.check(&manifest, Metric::Top1)).unwrap_err()
        };
        assert!(message(&[(0, Train)]).contains("1 and 0 images"));
        assert!(message(&[(0, Train), (0, Test)]).contains("no validation images"));
        assert!(message(&[(1, Train), (1, Val), (1, Test)]).contains("one class, \"b\""));
        let unseen = message(&[(0, Train), (1, Train), (1, Val), (2, Test)]);
        assert!(unseen.contains("1 of the classes of the test images") && unseen.ends_with(": c"), "{unseen}");
        assert!(message(&[(0, Train), (1, Train), (2, Val), (2, Test)]).contains("classes of the validation images"));
    }
}
