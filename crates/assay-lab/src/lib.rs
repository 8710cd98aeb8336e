//! The laboratory, where the parts meet: the types that an experiment is written in, and the steps that it becomes.
//!
//! [`Lab::load`] reads a file and reports everything that is wrong with it; [`Lab::plan`] looks at the data and the weights
//! that it names and turns it into a plan; the engine runs that; [`Results`] reads the scores back.

mod lab;
mod outside;
mod plan;
mod protocol;
mod reference;
mod results;
mod spec;
mod steps;

pub use lab::{Exported, Lab, Planned};
pub use outside::{
    ChoiceReport, DataReport, GuessReport, Labels, TensorReport, WeightsReport, check_data, convert_weights,
    inspect_weights,
};
pub use protocol::ProtocolSpec;
pub use reference::{Described, Parameter, models, protocols, split_default, tasks};
pub use results::{
    CellState, Confusion, Evaluation, Exhibit, ExhibitSource, ExportColumn, ExportTable, GridCurve, GridPoint,
    Interval, IntervalMethod, ItemRow, Items, LearningCurve, LeftOut, Measure, PerClass, PerItem, Pictures,
    PlannedCell, PrecisionRecall, Predictions, ProbeSource, Reliability, ReliabilityBin, ResultCell, Results,
    ScoreKind, SeenResults, SolverReport, Summary,
};
pub use spec::{
    About, Cell, DatasetSpec, Experiment, FileWeights, HubWeights, Metric, ModelSpec, Normalization, OnBadImage,
    Polarity, TaskSpec, TorchHubWeights, Weights,
};
pub use steps::{Runtime, TrainBackbone, WeightsArtifact};

pub use assay_stats::metrics::{Better, METRICS, MetricId, MetricInfo, Unit};

/// Devices, from `assay-nn`.
pub use assay_nn::device;
