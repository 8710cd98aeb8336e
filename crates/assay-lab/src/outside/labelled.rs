//! Images with their labels, for steps that must see some samples and no others.

use std::sync::Arc;

use assay_data::{Label, Manifest, Presence};
use assay_engine::{Content, Digest, FramedHasher};
use assay_probe::Targets;

/// Labels of N images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Labels {
    /// One class each: N indices.
    Classes(Vec<u32>),
    /// N × K entries.
    MultiLabel(Vec<Presence>),
}

/// Some samples of a task, and nothing of the others.
#[derive(Debug)]
pub struct LabelledImages {
    /// Digest of each image.
    pub images: Vec<[u8; 32]>,
    /// Name of each image, for messages.
    pub names: Vec<String>,
    /// Labels of the images; classes are counted among `classes`.
    pub labels: Labels,
    /// Indices of the K classes among those of the dataset. Classes without any image take no part.
    pub classes: Vec<u32>,
}

impl LabelledImages {
    /// The samples of a manifest with these indices, whose classes are all among `classes`.
    pub fn leaf(manifest: &Manifest, samples: &[u32], classes: &[u32]) -> Content<Self> {
        let chosen = || samples.iter().map(|i| &manifest.samples[*i as usize]);
        let images: Vec<[u8; 32]> = chosen().map(|s| *s.digest.as_bytes()).collect();
        let labels = if manifest.is_multi_label() {
            let marks = chosen().flat_map(|s| match s.label() {
                Some(Label::MultiLabel(marks)) => marks.to_vec(),
                Some(Label::Class(class)) => one_mark(*class, manifest.classes.len()),
                None => vec![Presence::Absent; manifest.classes.len()],
            });
            // All classes take part.
            Labels::MultiLabel(marks.collect())
        } else {
            let place =
                |class: u32| classes.binary_search(&class).expect("every class of the samples takes part") as u32;
            Labels::Classes(chosen().filter_map(|s| s.class()).map(place).collect())
        };
        let names = chosen().map(|s| s.path.clone()).collect();
        let all = Self { images, names, labels, classes: classes.to_vec() };
        Content::new(all.digest(), Arc::new(all))
    }

    fn digest(&self) -> Digest {
        let labels: Vec<u8> = match &self.labels {
            Labels::Classes(labels) => labels.iter().flat_map(|l| l.to_le_bytes()).collect(),
            Labels::MultiLabel(marks) => marks.iter().map(|m| *m as u8).collect(),
        };
        let kind: &[u8] = if matches!(self.labels, Labels::Classes(_)) { b"classes" } else { b"marks" };
        let mut hasher = FramedHasher::new("labelled images");
        let classes: Vec<u8> = self.classes.iter().flat_map(|c| c.to_le_bytes()).collect();
        hasher.field(kind).field(&classes).field(self.images.as_flattened()).field(&labels);
        hasher.finish()
    }

    /// The class of each image.
    ///
    /// # Errors
    /// When images show several classes.
    pub fn classes(&self) -> anyhow::Result<&[u32]> {
        match &self.labels {
            Labels::Classes(classes) => Ok(classes),
            Labels::MultiLabel(_) => anyhow::bail!("this is for images of one class each, and these show several"),
        }
    }

    /// The targets that a probe learns. An object marked as difficult counts as absent, as in Ericsson et al. (CVPR
    /// 2021).
    pub fn targets(&self) -> Targets {
        match &self.labels {
            Labels::Classes(labels) => Targets::Classes { labels: labels.clone(), classes: self.classes.len() },
            Labels::MultiLabel(marks) => {
                let marks = marks.iter().map(|m| *m == Presence::Present).collect();
                Targets::MultiLabel { marks, classes: self.classes.len() }
            }
        }
    }
}

fn one_mark(class: u32, classes: usize) -> Vec<Presence> {
    let mark = |k: usize| if k == class as usize { Presence::Present } else { Presence::Absent };
    (0..classes).map(mark).collect()
}

#[cfg(test)]
mod tests {
    use assay_data::{ImageSource, Sample, Split, Targets as Shown};

    use super::*;

    /// Samples of three classes, each an image and what it shows.
    fn manifest(samples: &[(u8, Shown)]) -> Manifest {
        let sample = |(image, targets): &(u8, Shown)| Sample {
            path: format!("{image}.png"),
            digest: blake3::hash(&[*image]),
            targets: targets.clone(),
            split: Split::Train,
            source: ImageSource::File(format!("{image}.png").into()),
        };
        let classes = ["a", "b", "c"].map(str::to_owned).to_vec();
        Manifest { classes, samples: samples.iter().map(sample).collect(), ..Manifest::default() }
    }

    fn shown(marks: [Presence; 3]) -> Shown {
        Label::MultiLabel(marks.to_vec().into()).into()
    }

    #[test]
    fn a_digest_sees_images_labels_classes_and_order_and_no_names() {
        use Presence::{Absent, Difficult, Present};
        let one = [(0, Shown::class(0)), (1, Shown::class(2)), (2, Shown::class(0))];
        let one = manifest(&one);
        let digest = |manifest: &Manifest, samples: &[u32], classes: &[u32]| {
            LabelledImages::leaf(manifest, samples, classes).digest()
        };
        let all = digest(&one, &[0, 1, 2], &[0, 1, 2]);
        let other = manifest(&[(0, Shown::class(0)), (1, Shown::class(1)), (2, Shown::class(0))]);
        let image = manifest(&[(9, Shown::class(0)), (1, Shown::class(2)), (2, Shown::class(0))]);
        let several = manifest(&[
            (0, shown([Present, Absent, Absent])),
            (1, shown([Absent, Absent, Present])),
            (2, shown([Present, Absent, Absent])),
        ]);
        let mut difficult = several.clone();
        difficult.samples[0].targets = shown([Present, Difficult, Absent]);
        let digests = [
            all,
            digest(&one, &[1, 0, 2], &[0, 1, 2]),
            digest(&one, &[0, 1], &[0, 1, 2]),
            digest(&one, &[0, 1, 2], &[0, 2]),
            digest(&other, &[0, 1, 2], &[0, 1, 2]),
            digest(&image, &[0, 1, 2], &[0, 1, 2]),
            digest(&several, &[0, 1, 2], &[0, 1, 2]),
            digest(&difficult, &[0, 1, 2], &[0, 1, 2]),
        ];
        let distinct: std::collections::HashSet<_> = digests.iter().collect();
        assert_eq!(distinct.len(), digests.len());
        let mut renamed = one.clone();
        for sample in &mut renamed.samples {
            sample.path.push('x');
            sample.split = Split::Test;
        }
        renamed.classes = vec!["x".into(), "y".into(), "z".into()];
        assert_eq!(digest(&renamed, &[0, 1, 2], &[0, 1, 2]), all);
    }

    #[test]
    fn classes_are_counted_among_those_that_take_part() {
        let manifest = manifest(&[(0, Shown::class(2)), (1, Shown::class(0)), (2, Shown::class(1))]);
        let images = LabelledImages::leaf(&manifest, &[0, 1], &[0, 2]);
        let images = images.value();
        assert_eq!(images.classes().unwrap(), [1, 0]);
        assert_eq!(images.names, ["0.png", "1.png"]);
        assert_eq!(images.images, [0, 1].map(|i: u8| *blake3::hash(&[i]).as_bytes()));
        assert!(matches!(images.targets(), Targets::Classes { labels, classes: 2 } if labels == [1, 0]));
    }

    #[test]
    fn where_one_image_shows_several_classes_all_have_marks() {
        use Presence::{Absent, Difficult, Present};
        let manifest =
            manifest(&[(0, shown([Present, Difficult, Absent])), (1, Shown::class(2)), (2, Shown::default())]);
        let images = LabelledImages::leaf(&manifest, &[0, 1, 2], &[0, 1, 2]);
        let images = images.value();
        let marks = [Present, Difficult, Absent, Absent, Absent, Present, Absent, Absent, Absent];
        assert_eq!(images.labels, Labels::MultiLabel(marks.to_vec()));
        assert!(images.classes().unwrap_err().to_string().contains("one class each"));
        let Targets::MultiLabel { marks, classes } = images.targets() else { panic!("one class each") };
        let learnt = [true, false, false, false, false, true, false, false, false];
        assert_eq!((marks.as_slice(), classes), (&learnt[..], 3), "difficult objects count as absent");
    }
}
