//! Choice of the best of several candidates: a step so small that what comes after it is not done again while it stays
//! the same.

use assay_engine::{Context, Json, Output, Step};
use serde::{Deserialize, Serialize};

use super::grid::Candidates;
use crate::steps::{LabStep, Runtime};

/// Chooses the best value of a grid: that with the highest score, of equals the one that the grid has first.
#[derive(Serialize)]
pub struct ChooseValue {
    /// The values, judged.
    pub candidates: Output<Candidates>,
}

/// Value that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The value; absent where there was nothing to choose.
    pub value: Option<f64>,
    /// Temperature of the chosen classifier; absent where images show several classes.
    pub temperature: Option<f64>,
}

impl LabStep for ChooseValue {}

impl Step<Runtime> for ChooseValue {
    const KIND: &'static str = "choose";
    const VERSION: u32 = 1;
    type Output = Json<Choice>;

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Json<Choice>> {
        let Candidates { curve, temperature, .. } = context.load(&self.candidates)?;
        let better = curve.metric.info().better;
        let best = curve
            .points
            .iter()
            .reduce(|best, point| if better.prefers(point.score, best.score) { point } else { best });
        let value = best.ok_or_else(|| anyhow::anyhow!("there is no candidate"))?.value;
        Ok(Json(Choice { value, temperature }))
    }
}
