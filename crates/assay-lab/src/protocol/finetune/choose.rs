//! Choice of the best of several trainings: a step so small that the last training is not done again while it stays the same.

use assay_engine::{Context, Json, Output, Step};
use serde::{Deserialize, Serialize};

use super::trial::Trial;
use crate::steps::{LabStep, Runtime};

/// Chooses the candidate with the greatest score, of equals the first.
#[derive(Serialize)]
pub struct ChooseTrial {
    /// The candidates, judged.
    pub trials: Vec<Output<Json<Trial>>>,
}

/// Candidate that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chosen {
    /// Its place among the candidates.
    pub index: usize,
    /// Temperature of its logits; absent where images show several classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
}

impl LabStep for ChooseTrial {}

impl Step<Runtime> for ChooseTrial {
    const KIND: &'static str = "choose-trial";
    const VERSION: u32 = 1;
    type Output = Json<Chosen>;

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Json<Chosen>> {
        let mut best: Option<(f64, Chosen)> = None;
        for (index, trial) in self.trials.iter().enumerate() {
            let Json(Trial { score, temperature, .. }) = context.load(trial)?;
            if let Some(score) = score.filter(|score| best.is_none_or(|(best, _)| *score > best)) {
                best = Some((score, Chosen { index, temperature }));
            }
        }
        match best {
            Some((_, chosen)) => Ok(Json(chosen)),
            None => anyhow::bail!("all {} trainings diverged: give smaller learning rates", self.trials.len()),
        }
    }
}
