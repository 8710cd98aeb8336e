//! Evaluations, what a protocol reports of one model on one task: a headline among measures, the contribution of each
//! item, and exhibits.

use anyhow::{Context as _, ensure};
use assay_engine::{Artifact, ArtifactFiles, FramedHasher};
use assay_stats::mean_interval;
use assay_stats::metrics::MetricId;
use safetensors::tensor::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use super::exhibit::{Exhibit, Predictions};
use crate::outside::Labels;
use crate::steps::{Arrays, array};

/// Evaluation of one model on one task by one protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The numbers; the headline is among them.
    pub summary: Summary,
    /// Contribution of each item to the headline, so that two models can be compared item by item.
    pub per_item: Option<PerItem>,
    /// Exhibits to look at; each is a file of its own.
    pub exhibits: Vec<Exhibit>,
}

/// The numbers of an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The metric that tables show.
    pub headline: MetricId,
    /// Measures, the headline first.
    pub measures: Vec<Measure>,
    /// Kind of the items whose contributions are kept; absent where none are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_item: Option<Items>,
    /// Files of the exhibits.
    #[serde(default)]
    pub exhibits: Vec<String>,
}

/// One metric of one evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Metric of the measure.
    pub metric: MetricId,
    /// Value, in the unit of the metric.
    pub value: f64,
    /// 95 % interval of the value; absent where none was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// Kind of the items that the value is a mean or a count over.
    pub over: Items,
    /// Number of those items.
    pub count: usize,
}

/// A 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Half of its width.
    pub half_width: f64,
    /// Method by which the interval was found.
    pub method: IntervalMethod,
}

/// Method by which an interval is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntervalMethod {
    /// Mean ± 1.96 σ / √n, σ over n.
    Normal,
    /// The middle 95 % over resampled items (percentile bootstrap, Efron 1979).
    Bootstrap,
}

/// Kind of the items that a metric is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Items {
    /// Images.
    Images,
    /// Few-shot episodes.
    Episodes,
    /// Classes.
    Classes,
    /// Pixels.
    Pixels,
    /// Boxes of objects.
    Objects,
}

impl Items {
    /// The word for the items in tables and files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Episodes => "episodes",
            Self::Classes => "classes",
            Self::Pixels => "pixels",
            Self::Objects => "objects",
        }
    }
}

/// Contribution of each item.
#[derive(Clone, Debug, PartialEq)]
pub struct PerItem {
    /// Kind of the items.
    pub over: Items,
    /// Name of each of N items that is the same for every model: the digest of an image, of an episode's images, or of the
    /// index of a class. An image that counts twice is there twice.
    pub digests: Vec<[u8; 32]>,
    /// N values, in the unit of the headline: the accuracy of an episode, 1 for an image that was right and 0 for another, the
    /// average precision of a class.
    pub values: Vec<f64>,
}

impl PerItem {
    /// Name of the class with this index as an item.
    pub fn class_digest(class: u32) -> [u8; 32] {
        let mut hasher = FramedHasher::new("class");
        hasher.field(&class.to_le_bytes());
        *hasher.finish().as_bytes()
    }

    /// Name of an episode as an item: the digests of its support images by way, then of its queries with their ways.
    pub fn episode_digest<'a>(
        support: impl IntoIterator<Item = &'a [u8; 32]>,
        queries: impl IntoIterator<Item = (&'a [u8; 32], u32)>,
    ) -> [u8; 32] {
        let mut hasher = FramedHasher::new("episode");
        support.into_iter().for_each(|image| {
            hasher.field(image);
        });
        queries.into_iter().for_each(|(image, way)| {
            hasher.field(image).field(&way.to_le_bytes());
        });
        *hasher.finish().as_bytes()
    }
}

impl Measure {
    /// A metric without an interval.
    pub fn new(metric: MetricId, value: f64, over: Items, count: usize) -> Self {
        Self { metric, value, interval: None, over, count }
    }
}

impl Summary {
    /// The measure that tables show.
    pub fn headline(&self) -> &Measure {
        self.measures.iter().find(|m| m.metric == self.headline).expect("checked when it was made and when it was read")
    }

    /// Looks whether the headline is there and every number is one.
    fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.measures.iter().any(|m| m.metric == self.headline),
            "the headline {} is not among the measures",
            self.headline
        );
        for measure in &self.measures {
            let interval = measure.interval.map_or([0.0; 3], |i| [i.low, i.high, i.half_width]);
            ensure!(
                measure.value.is_finite() && interval.iter().all(|v| v.is_finite()),
                "{} is not a finite number ({}): features or logits are too large, or no item has what it measures",
                measure.metric,
                measure.value
            );
        }
        Ok(())
    }

    /// Reads the numbers alone.
    ///
    /// # Errors
    /// When they are damaged.
    pub fn from_bytes(bytes: &[u8]) -> anyhow::Result<Self> {
        let summary: Self = serde_json::from_slice(bytes).context("summary.json is damaged")?;
        summary.check().context("summary.json is damaged")?;
        Ok(summary)
    }
}

impl Evaluation {
    /// Name of the file with the numbers.
    pub const SUMMARY: &'static str = "summary.json";

    /// An evaluation whose headline is the mean of what its items contribute, with the interval of Ericsson et al. (CVPR 2021).
    ///
    /// # Errors
    /// When the mean is not a finite number.
    pub fn of_mean(metric: MetricId, per_item: PerItem) -> anyhow::Result<Self> {
        let assay_stats::Interval { mean, half_width } = mean_interval(&per_item.values);
        let interval =
            Interval { low: mean - half_width, high: mean + half_width, half_width, method: IntervalMethod::Normal };
        let measure = Measure {
            metric,
            value: mean,
            interval: Some(interval),
            over: per_item.over,
            count: per_item.values.len(),
        };
        Self::new(metric, vec![measure], Some(per_item), Vec::new())
    }

    /// An evaluation by predicted classes of images of one class each.
    ///
    /// # Errors
    /// When there is no image, or images show several classes.
    pub fn of_predictions(predictions: Predictions) -> anyhow::Result<Self> {
        let (Labels::Classes(truth), Some(predicted)) = (&predictions.labels, &predictions.predicted) else {
            anyhow::bail!("predictions of one class for each image were expected");
        };
        ensure!(!truth.is_empty(), "there is no image to classify");
        let values = predicted.iter().zip(truth).map(|(p, t)| f64::from(u8::from(p == t))).collect();
        let per_item = PerItem { over: Items::Images, digests: predictions.images.clone(), values };
        let mut evaluation = Self::of_mean(MetricId::of("accuracy"), per_item)?;
        let exhibit = Exhibit::Predictions(predictions);
        evaluation.summary.exhibits.push(exhibit.file().to_owned());
        evaluation.exhibits.push(exhibit);
        Ok(evaluation)
    }

    /// An evaluation of these parts; the headline comes first whatever the order of `measures`.
    ///
    /// # Errors
    /// When the headline is not among the measures, a number is not finite, or values and items do not fit.
    pub fn new(
        headline: MetricId,
        mut measures: Vec<Measure>,
        per_item: Option<PerItem>,
        exhibits: Vec<Exhibit>,
    ) -> anyhow::Result<Self> {
        measures.sort_by_key(|m| m.metric != headline);
        let summary = Summary {
            headline,
            measures,
            per_item: per_item.as_ref().map(|items| items.over),
            exhibits: exhibits.iter().map(|e| e.file().to_owned()).collect(),
        };
        summary.check()?;
        if let Some(items) = &per_item {
            ensure!(items.digests.len() == items.values.len(), "every item has one value");
            ensure!(items.values.iter().all(|v| v.is_finite()), "{headline} of an item is not a finite number");
        }
        Ok(Self { summary, per_item, exhibits })
    }
}

const ITEMS: &str = "items.safetensors";

impl Artifact for Evaluation {
    fn write(&self, files: &mut ArtifactFiles) -> anyhow::Result<()> {
        files.put(Self::SUMMARY, serde_json::to_vec(&self.summary)?)?;
        if let Some(items) = &self.per_item {
            let bytes = Arrays::new()
                .with("digests", Dtype::U8, &[items.digests.len(), 32], items.digests.iter().copied())
                .with("values", Dtype::F64, &[items.values.len()], items.values.iter().map(|v| v.to_le_bytes()))
                .to_bytes()?;
            files.put(ITEMS, bytes)?;
        }
        for exhibit in &self.exhibits {
            files.put(exhibit.file(), exhibit.to_bytes()?)?;
        }
        Ok(())
    }

    fn read(files: &ArtifactFiles) -> anyhow::Result<Self> {
        let summary = Summary::from_bytes(&files.get(Self::SUMMARY)?)?;
        let per_item = match summary.per_item {
            None => None,
            Some(over) => {
                let bytes = files.get(ITEMS)?;
                let file = SafeTensors::deserialize(&bytes).context("items.safetensors is damaged")?;
                let (_, digests) = array(&file, "digests", |d: [u8; 32]| d)?;
                let (_, values) = array(&file, "values", f64::from_le_bytes)?;
                ensure!(digests.len() == values.len(), "items.safetensors is damaged");
                Some(PerItem { over, digests, values })
            }
        };
        let exhibits = summary.exhibits.iter().map(|name| Exhibit::read(files, name)).collect::<anyhow::Result<_>>()?;
        Ok(Self { summary, per_item, exhibits })
    }
}
