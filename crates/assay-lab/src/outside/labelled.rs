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
