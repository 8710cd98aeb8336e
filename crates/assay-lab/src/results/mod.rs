//! Results: what an evaluation leaves in the store, and how it is read back.
//!
//! **Invariant.** Nothing here knows of plans or protocols.

mod evaluation;
mod exhibit;
mod export;
mod items;
mod judge;
mod read;

pub use evaluation::{Evaluation, Interval, IntervalMethod, Items, Measure, PerItem, Summary};
pub use exhibit::{
    Candidate, Confusion, Exhibit, GridCurve, GridPoint, LearningCurve, PerClass, Pictures, PrecisionRecall,
    Predictions, Reliability, ReliabilityBin, ScoreKind, SearchTable, SolverReport,
};
pub use export::{ExportColumn, ExportTable, exported_features, exported_predictions, exported_probe};
pub use items::{ItemRow, item_rows};
pub use judge::{CalibrationRule, Resampling, evaluate_logits};
pub use read::{CellState, ExhibitSource, LeftOut, PlannedCell, ProbeSource, ResultCell, Results, SeenResults};
