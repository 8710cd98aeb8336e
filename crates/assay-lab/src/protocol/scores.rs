//! What a protocol reports.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use assay_engine::Artifact;
use assay_stats::{Interval, mean_interval};
use serde::{Deserialize, Serialize};

/// Scores of one model on one task by one protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// The number that is reported.
    pub summary: Summary,
    /// What it is the mean of: accuracies of episodes, or 1 for each image that was right and 0 for the others.
    pub values: Vec<f64>,
}

/// The number that is reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// What is measured: `accuracy`.
    pub metric: String,
    /// Its mean, from 0 to 1.
    pub mean: f64,
    /// Half-width of its 95 % interval.
    pub half_width: f64,
    /// How many values it is the mean of.
    pub count: usize,
    /// What the values are of: `episodes` or `images`.
    pub of: String,
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
        let summary =
            Summary { metric: "accuracy".to_owned(), mean, half_width, count: values.len(), of: of.to_owned() };
        Self { summary, values }
    }
}

impl Summary {
    /// Reads the summary alone out of the folder of an entry.
    ///
    /// # Errors
    /// When it is missing or damaged.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("summary.json");
        let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))
    }
}

impl Artifact for Scores {
    fn write(&self, folder: &Path) -> anyhow::Result<()> {
        fs::write(folder.join("summary.json"), serde_json::to_vec(&self.summary)?)?;
        Ok(fs::write(folder.join("values.json"), serde_json::to_vec(&self.values)?)?)
    }

    fn read(folder: &Path) -> anyhow::Result<Self> {
        let values =
            serde_json::from_slice(&fs::read(folder.join("values.json"))?).context("values.json is damaged")?;
        Ok(Self { summary: Summary::read(folder)?, values })
    }
}
