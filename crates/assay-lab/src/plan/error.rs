//! What only data and weights can show to be wrong.

/// Something that can only be known once data and weights have been looked at.
pub(crate) struct PlanError {
    /// Path in the experiment.
    pub path: String,
    pub message: String,
    pub help: Option<String>,
}
