//! What a protocol reports.

use anyhow::Context as _;
use assay_data::Presence;
use assay_engine::{Artifact, ArtifactFiles};
use assay_stats::{Interval, mean_interval};
use safetensors::tensor::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Measured;
use crate::outside::Labels;
use crate::steps::{Arrays, array};

/// Scores of one model on one task by one protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// The number that is reported.
    pub summary: Summary,
    /// What it is the mean of: accuracies of episodes, 1 for each image that was right and 0 for the others, or the average
    /// precision of each class.
    pub values: Vec<f64>,
    /// What else is known, where the protocol keeps it.
    pub more: Option<More>,
}

/// What a protocol keeps besides its values.
#[derive(Clone, Debug, PartialEq)]
pub struct More {
    /// How the classifier was chosen, accuracies of classes, the confusion matrix, the reliability curve.
    pub detail: Value,
    /// What was predicted for every test image.
    pub predictions: Predictions,
}

/// What was predicted for every test image, so that two models can be compared image by image.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    /// Digest of each image.
    pub images: Vec<[u8; 32]>,
    /// What the images show, counted among `classes`.
    pub labels: Labels,
    /// Indices of the K classes among those of the dataset.
    pub classes: Vec<u32>,
    /// N × K.
    pub logits: Vec<f32>,
}

/// The number that is reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// What is measured: `accuracy`, or the metric of the task.
    pub metric: String,
    /// Its mean, from 0 to 1.
    pub mean: f64,
    /// Half-width of its 95 % interval.
    pub half_width: f64,
    /// How many values it is the mean of.
    pub count: usize,
    /// What the values are of: `episodes`, `images` or `classes`.
    pub of: String,
    /// All metrics, where the protocol has several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Measured>,
}

impl Scores {
    /// Accuracies of episodes.
    pub fn of_episodes(values: Vec<f64>) -> Self {
        Self::new(values, "episodes")
    }

    /// Predictions for images.
    pub fn of_images(predicted: &[u32], truth: &[u32]) -> Self {
        Self::new(predicted.iter().zip(truth).map(|(p, t)| f64::from(u8::from(p == t))).collect(), "images")
    }

    fn new(values: Vec<f64>, of: &str) -> Self {
        let Interval { mean, half_width } = mean_interval(&values);
        let (metric, of) = ("accuracy".to_owned(), of.to_owned());
        let summary = Summary { metric, mean, half_width, count: values.len(), of, metrics: Vec::new() };
        Self { summary, values, more: None }
    }

    /// A judged classifier; `metric` is the one of `metrics` that is reported, `values` those that it is the mean of.
    ///
    /// # Errors
    /// When `metric` is not among `metrics`, or has no finite value.
    pub fn judged(
        metric: &str,
        metrics: Vec<Measured>,
        values: Vec<f64>,
        of: &str,
        more: More,
    ) -> anyhow::Result<Self> {
        let found = metrics.iter().find(|m| m.name == metric).filter(|m| m.value.is_finite());
        let found =
            found.with_context(|| format!("{metric} has no value: the test images show none of the classes"))?;
        let half_width = found.low.zip(found.high).map_or(0.0, |(low, high)| (high - low) / 2.0);
        let (mean, count) = (found.value, values.len());
        let summary = Summary { metric: metric.to_owned(), mean, half_width, count, of: of.to_owned(), metrics };
        Ok(Self { summary, values, more: Some(more) })
    }
}

impl Summary {
    /// Name of the file of an entry that holds it.
    pub const FILE: &str = "summary.json";

    /// Reads that file.
    ///
    /// # Errors
    /// When it is not what this version writes.
    pub fn from_bytes(bytes: &[u8]) -> anyhow::Result<Self> {
        serde_json::from_slice(bytes).context("summary.json is not what was expected")
    }
}

impl Artifact for Scores {
    fn write(&self, files: &mut ArtifactFiles) -> anyhow::Result<()> {
        files.put(Summary::FILE, serde_json::to_vec(&self.summary)?)?;
        files.put("values.json", serde_json::to_vec(&self.values)?)?;
        if let Some(More { detail, predictions }) = &self.more {
            files.put(DETAIL, serde_json::to_vec(detail)?)?;
            files.put(PREDICTIONS, predictions.arrays().bytes()?)?;
        }
        Ok(())
    }

    fn read(files: &ArtifactFiles) -> anyhow::Result<Self> {
        let values = serde_json::from_slice(&files.get("values.json")?).context("values.json is damaged")?;
        let more = if files.contains(DETAIL) {
            let detail = serde_json::from_slice(&files.get(DETAIL)?).context("detail.json is damaged")?;
            Some(More { detail, predictions: Predictions::read(&files.get(PREDICTIONS)?)? })
        } else {
            None
        };
        Ok(Self { summary: Summary::from_bytes(&files.get(Summary::FILE)?)?, values, more })
    }
}

const DETAIL: &str = "detail.json";
const PREDICTIONS: &str = "predictions.safetensors";

impl Predictions {
    fn arrays(&self) -> Arrays {
        let (n, k) = (self.images.len(), self.classes.len());
        let arrays = Arrays::new().with("images", Dtype::U8, &[n, 32], self.images.iter().copied()).with(
            "logits",
            Dtype::F32,
            &[n, k],
            self.logits.iter().map(|v| v.to_le_bytes()),
        );
        match &self.labels {
            Labels::Classes(labels) => arrays.with("labels", Dtype::U32, &[n], labels.iter().map(|l| l.to_le_bytes())),
            Labels::MultiLabel(marks) => arrays.with("marks", Dtype::U8, &[n, k], marks.iter().map(|m| [*m as u8])),
        }
    }

    fn read(bytes: &[u8]) -> anyhow::Result<Self> {
        let file = SafeTensors::deserialize(bytes).context("the predictions are damaged")?;
        let (_, images) = array(&file, "images", |d: [u8; 32]| d)?;
        let (shape, logits) = array(&file, "logits", f32::from_le_bytes)?;
        anyhow::ensure!(shape.len() == 2 && shape[0] == images.len(), "the shape of the predictions does not fit");
        let (_, classes) = array(&file, "classes", u32::from_le_bytes)?;
        let labels = match array(&file, "labels", u32::from_le_bytes) {
            Ok((_, labels)) => Labels::Classes(labels),
            Err(_) => Labels::MultiLabel(array(&file, "marks", |[m]: [u8; 1]| Presence::from_code(m))?.1),
        };
        Ok(Self { images, labels, classes, logits })
    }
}
