//! What an evaluation leaves behind, and how it is read back.
//!
//! **Invariant.** Nothing here knows of plans or protocols.

mod judge;
mod read;
mod scores;

pub use judge::{CalibrationRule, Measured, Resampling, judge_classes, judge_multi_label};
pub use read::{ResultCell, Results};
pub use scores::{More, Predictions, Scores, Summary};
