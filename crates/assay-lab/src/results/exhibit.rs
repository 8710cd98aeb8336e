//! Exhibits, what there is to look at besides numbers: curves, tables and predictions, each a file of its own that
//! reads back.

use anyhow::{Context as _, ensure};
use assay_data::Presence;
use assay_engine::ArtifactFiles;
use assay_stats::metrics::{CalibrationBin, MetricId};
use safetensors::tensor::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use crate::outside::Labels;
use crate::steps::{Arrays, array};

/// Something to look at.
#[derive(Clone, Debug, PartialEq)]
pub enum Exhibit {
    /// Confidence against accuracy.
    Reliability(Reliability),
    /// Classes that are taken for others.
    Confusion(Confusion),
    /// The metric of each class.
    PerClass(PerClass),
    /// Score of each value of a grid on validation images.
    GridCurve(GridCurve),
    /// Values that trainings were tried with, and their scores on validation images.
    Search(SearchTable),
    /// Loss of training, step by step.
    LearningCurve(LearningCurve),
    /// Precision by recall.
    PrecisionRecall(PrecisionRecall),
    /// Predictions for every image.
    Predictions(Predictions),
    /// Pictures.
    Pictures(Pictures),
}

/// Curves of confidence and accuracy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    /// Bins of the logits as they are.
    pub before: Vec<ReliabilityBin>,
    /// With the logits divided by the fitted temperature; absent where none was fitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Vec<ReliabilityBin>>,
    /// The temperature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
}

/// One bin of a reliability curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Number of images.
    pub count: u64,
    /// Their mean confidence.
    pub confidence: f64,
    /// Share of them that was right.
    pub accuracy: f64,
}

impl From<CalibrationBin> for ReliabilityBin {
    fn from(bin: CalibrationBin) -> Self {
        Self { count: bin.count, confidence: bin.confidence, accuracy: bin.accuracy }
    }
}

/// Counts of images by right and predicted class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Confusion {
    /// Indices of the K classes among those of the dataset.
    pub classes: Vec<u32>,
    /// K rows of right classes, K columns of predicted ones.
    pub counts: Vec<Vec<u64>>,
}

/// A metric in each class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PerClass {
    /// Metric of each class.
    pub metric: MetricId,
    /// Indices of the K classes among those of the dataset.
    pub classes: Vec<u32>,
    /// K values; absent for a class without images.
    pub values: Vec<Option<f64>>,
}

/// Score of each value of a grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GridCurve {
    /// Name of the parameter: `C`, `lambda`, `shrinkage`, a learning rate.
    pub parameter: String,
    /// Metric that the values are judged by.
    pub metric: MetricId,
    /// All values, the preferred of equals first.
    pub points: Vec<GridPoint>,
}

/// One value of a grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GridPoint {
    /// The value; absent where there is nothing to choose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The metric on the validation images.
    pub score: f64,
    /// Report of the solver; absent for closed forms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub solver: Option<SolverReport>,
}

/// Report of a solver on one value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SolverReport {
    /// Σ losses + penalty.
    pub objective: f64,
    /// Largest derivative of the objective.
    pub gradient_norm: f64,
    /// Iterations.
    pub iterations: u32,
    /// True if the largest derivative is small enough.
    pub converged: bool,
}

/// Trainings that were tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchTable {
    /// Metric on the validation images.
    pub metric: MetricId,
    /// The candidates, the preferred of equals first.
    pub candidates: Vec<Candidate>,
    /// Place of the one that was chosen.
    pub chosen: usize,
}

/// A training that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Learning rate, before the schedule.
    pub lr: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// True if it learnt from random views of the images.
    pub augment: bool,
    /// The metric on the validation images; absent when training diverged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Step in which the loss was not finite any more, counted from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diverged_at: Option<u32>,
}

/// Loss of training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LearningCurve {
    /// Name of the loss, for people.
    pub loss: String,
    /// Value of the loss in every step.
    pub values: Vec<f32>,
}

/// Curves of precision by recall, one a class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrecisionRecall {
    /// Indices of the K classes among those of the dataset.
    pub classes: Vec<u32>,
    /// For each class, recalls in rising order with their precisions.
    pub curves: Vec<Vec<(f64, f64)>>,
}

/// Predictions for every image.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    /// Digest of each of N images.
    pub images: Vec<[u8; 32]>,
    /// Labels of the images, counted among `classes`.
    pub labels: Labels,
    /// Indices of the K classes among those of the dataset.
    pub classes: Vec<u32>,
    /// Meaning of the scores.
    pub kind: ScoreKind,
    /// N × K.
    pub scores: Vec<f32>,
    /// N classes that are predicted, counted among `classes`; absent where they are those of the greatest scores.
    pub predicted: Option<Vec<u32>>,
}

/// Meaning of scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScoreKind {
    /// Logits: their softmax (or, of several classes in an image, their sigmoid) are probabilities.
    Logits,
    /// Sums of votes: their shares are probabilities.
    Votes,
}

impl ScoreKind {
    /// Name of the scores in files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Logits => "logits",
            Self::Votes => "votes",
        }
    }
}

/// Pictures of one size.
#[derive(Clone, Debug, PartialEq)]
pub struct Pictures {
    /// Height, width, and channels (1 or 3) of all of them.
    pub shape: [usize; 3],
    /// N × height × width × channels values.
    pub pixels: Vec<u8>,
}

/// Files of the exhibits, in the order of the variants.
const FILES: [&str; 9] = [
    "reliability.json",
    "confusion.json",
    "per_class.json",
    "grid_curve.json",
    "learning_curve.json",
    "precision_recall.json",
    "predictions.safetensors",
    "pictures.safetensors",
    "search.json",
];

impl Exhibit {
    /// The name of the exhibit's file.
    pub fn file(&self) -> &'static str {
        FILES[match self {
            Self::Reliability(_) => 0,
            Self::Confusion(_) => 1,
            Self::PerClass(_) => 2,
            Self::GridCurve(_) => 3,
            Self::LearningCurve(_) => 4,
            Self::PrecisionRecall(_) => 5,
            Self::Predictions(_) => 6,
            Self::Pictures(_) => 7,
            Self::Search(_) => 8,
        }]
    }

    /// The bytes of the exhibit's file.
    ///
    /// # Errors
    /// When its numbers do not fit together, or one is none.
    pub fn to_bytes(&self) -> anyhow::Result<Vec<u8>> {
        fn json<T: Serialize>(value: &T) -> anyhow::Result<Vec<u8>> {
            Ok(serde_json::to_vec(value)?)
        }
        match self {
            Self::Reliability(exhibit) => json(exhibit),
            Self::Confusion(exhibit) => json(exhibit),
            Self::PerClass(exhibit) => json(exhibit),
            Self::GridCurve(exhibit) => json(exhibit),
            Self::LearningCurve(exhibit) => json(exhibit),
            Self::Search(exhibit) => json(exhibit),
            Self::PrecisionRecall(exhibit) => json(exhibit),
            Self::Predictions(exhibit) => exhibit.arrays().to_bytes(),
            Self::Pictures(Pictures { shape, pixels }) => {
                let each = shape.iter().product::<usize>().max(1);
                let shape = [pixels.len() / each, shape[0], shape[1], shape[2]];
                Arrays::new().with("pictures", Dtype::U8, &shape, pixels.iter().map(|p| [*p])).to_bytes()
            }
        }
    }

    /// Reads the exhibit with this file.
    ///
    /// # Errors
    /// When the bytes are damaged, or no exhibit has such a file.
    pub fn from_bytes(file: &str, bytes: &[u8]) -> anyhow::Result<Self> {
        let exhibit = match FILES.iter().position(|known| *known == file) {
            Some(0) => serde_json::from_slice(bytes).map(Self::Reliability)?,
            Some(1) => serde_json::from_slice(bytes).map(Self::Confusion)?,
            Some(2) => serde_json::from_slice(bytes).map(Self::PerClass)?,
            Some(3) => serde_json::from_slice(bytes).map(Self::GridCurve)?,
            Some(4) => serde_json::from_slice(bytes).map(Self::LearningCurve)?,
            Some(5) => serde_json::from_slice(bytes).map(Self::PrecisionRecall)?,
            Some(6) => Self::Predictions(Predictions::from_bytes(bytes)?),
            Some(7) => {
                let file = SafeTensors::deserialize(bytes)?;
                let (shape, pixels) = array(&file, "pictures", |[p]: [u8; 1]| p)?;
                ensure!(shape.len() == 4, "pictures have four axes");
                Self::Pictures(Pictures { shape: [shape[1], shape[2], shape[3]], pixels })
            }
            Some(8) => serde_json::from_slice(bytes).map(Self::Search)?,
            _ => anyhow::bail!("no exhibit is kept in a file called {file}"),
        };
        Ok(exhibit)
    }

    pub(super) fn read(files: &ArtifactFiles, file: &str) -> anyhow::Result<Self> {
        Self::from_bytes(file, &files.get(file)?).with_context(|| format!("{file} is not what was expected"))
    }
}

impl Predictions {
    fn arrays(&self) -> Arrays {
        let (n, k) = (self.images.len(), self.classes.len());
        let mut arrays = Arrays::new()
            .with("images", Dtype::U8, &[n, 32], self.images.iter().copied())
            .with("classes", Dtype::U32, &[k], self.classes.iter().map(|c| c.to_le_bytes()))
            .with(self.kind.word(), Dtype::F32, &[n, k], self.scores.iter().map(|v| v.to_le_bytes()));
        if let Some(predicted) = &self.predicted {
            arrays = arrays.with("predicted", Dtype::U32, &[n], predicted.iter().map(|p| p.to_le_bytes()));
        }
        match &self.labels {
            Labels::Classes(labels) => arrays.with("labels", Dtype::U32, &[n], labels.iter().map(|l| l.to_le_bytes())),
            Labels::MultiLabel(shown) => arrays.with("presence", Dtype::U8, &[n, k], shown.iter().map(|m| [*m as u8])),
        }
    }

    fn from_bytes(bytes: &[u8]) -> anyhow::Result<Self> {
        let file = SafeTensors::deserialize(bytes)?;
        let has = |name: &str| file.tensor(name).is_ok();
        let (_, images) = array(&file, "images", |d: [u8; 32]| d)?;
        let (_, classes) = array(&file, "classes", u32::from_le_bytes)?;
        let kind = if has(ScoreKind::Votes.word()) { ScoreKind::Votes } else { ScoreKind::Logits };
        let (shape, scores) = array(&file, kind.word(), f32::from_le_bytes)?;
        ensure!(shape == [images.len(), classes.len()], "the shape of the scores does not fit");
        let predicted = if has("predicted") { Some(array(&file, "predicted", u32::from_le_bytes)?.1) } else { None };
        let labels = match has("labels") {
            true => Labels::Classes(array(&file, "labels", u32::from_le_bytes)?.1),
            false => Labels::MultiLabel(array(&file, "presence", |[m]: [u8; 1]| Presence::from_code(m))?.1),
        };
        Ok(Self { images, labels, classes, kind, scores, predicted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each kind.
    pub(crate) fn all() -> Vec<Exhibit> {
        let bin = ReliabilityBin { count: 3, confidence: 0.7, accuracy: 0.1 + 0.2 };
        let solver = SolverReport { objective: 1.5, gradient_norm: 1e-5, iterations: 7, converged: true };
        let labels = [
            Labels::Classes(vec![1, 0]),
            Labels::MultiLabel(vec![Presence::Present, Presence::Difficult, Presence::Absent, Presence::Present]),
        ];
        let predictions = labels.map(|labels| {
            Exhibit::Predictions(Predictions {
                images: vec![[1; 32], [2; 32]],
                labels,
                classes: vec![3, 7],
                kind: ScoreKind::Logits,
                scores: vec![0.5, -1.0, 1e-9, 2.0],
                predicted: None,
            })
        });
        let mut all = vec![
            Exhibit::Reliability(Reliability {
                before: vec![bin.clone()],
                after: Some(vec![bin.clone()]),
                temperature: Some(1.25),
            }),
            Exhibit::Reliability(Reliability { before: vec![bin], after: None, temperature: None }),
            Exhibit::Confusion(Confusion { classes: vec![0, 4], counts: vec![vec![5, 1], vec![0, 9]] }),
            Exhibit::PerClass(PerClass {
                metric: MetricId::of("top1"),
                classes: vec![0, 4],
                values: vec![Some(0.5), None],
            }),
            Exhibit::GridCurve(GridCurve {
                parameter: "C".into(),
                metric: MetricId::of("top1"),
                points: vec![
                    GridPoint { value: Some(1e6), score: 0.5, solver: Some(solver) },
                    GridPoint { value: None, score: 0.25, solver: None },
                ],
            }),
            Exhibit::LearningCurve(LearningCurve { loss: "cross-entropy".into(), values: vec![2.0, 0.1] }),
            Exhibit::Search(SearchTable {
                metric: MetricId::of("top1"),
                candidates: vec![
                    Candidate { lr: 0.1, weight_decay: 1e-5, augment: true, score: None, diverged_at: Some(3) },
                    Candidate { lr: 0.01, weight_decay: 0.0, augment: false, score: Some(0.5), diverged_at: None },
                ],
                chosen: 1,
            }),
            Exhibit::PrecisionRecall(PrecisionRecall { classes: vec![2], curves: vec![vec![(0.0, 1.0), (0.5, 0.75)]] }),
            Exhibit::Pictures(Pictures { shape: [1, 2, 3], pixels: (0..12).collect() }),
        ];
        all.push(Exhibit::Predictions(Predictions {
            images: vec![[1; 32]],
            labels: Labels::Classes(vec![0]),
            classes: vec![3, 7],
            kind: ScoreKind::Votes,
            scores: vec![1.0, 1.0],
            predicted: Some(vec![1]),
        }));
        all.extend(predictions);
        all
    }

    #[test]
    fn every_exhibit_reads_back() {
        let mut seen = std::collections::BTreeSet::new();
        for exhibit in all() {
            let bytes = exhibit.to_bytes().unwrap();
            assert_eq!(Exhibit::from_bytes(exhibit.file(), &bytes).unwrap(), exhibit);
            assert!(Exhibit::from_bytes(exhibit.file(), &bytes[..bytes.len() / 2]).is_err(), "{}", exhibit.file());
            seen.insert(exhibit.file());
        }
        assert_eq!(seen.len(), FILES.len(), "an exhibit of every kind");
        assert!(Exhibit::from_bytes("../summary.json", b"{}").is_err());
    }
}
