//! One candidate, trained on some images and judged on others.

use assay_engine::{Content, Context, Cost, Json, Needs, Step, Threads};
use assay_nn::TrainError;
use assay_stats::metrics::best_temperature;
use serde::{Deserialize, Serialize};

use super::search::Hyperparameters;
use super::training::{Network, Training, written_in};
use crate::outside::{LabelledImages, Labels};
use crate::spec::Metric;
use crate::steps::{LabStep, Runtime, WrittenIn};

/// Trains on some images and judges on others. Nothing here names a test image or what one shows.
#[derive(Serialize)]
pub struct TryHyperparameters {
    /// What all trainings share.
    pub training: Training,
    /// Images to learn from.
    pub fit: Content<LabelledImages>,
    /// Images to judge by.
    pub validation: Content<LabelledImages>,
    /// Values that are tried.
    pub candidate: Hyperparameters,
    /// Metric that values are judged by.
    pub metric: Metric,
}

/// A candidate, judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The metric on the validation images; absent when training diverged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Step in which the loss was not finite any more, counted from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diverged_at: Option<u32>,
    /// Temperature that makes the logits fit the validation images best; absent where images show several classes, and when
    /// training diverged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Loss of every step; none when training diverged.
    pub losses: Vec<f32>,
}

impl LabStep for TryHyperparameters {
    const WRITTEN_IN: &'static [(&'static str, WrittenIn)] =
        written_in![("/fit", Dataset), ("/validation", Dataset), ("/metric", Task)];
}

impl Step<Runtime> for TryHyperparameters {
    const KIND: &'static str = "try";
    const VERSION: u32 = 1;
    type Output = Json<Trial>;

    fn needs(&self) -> Needs {
        Needs { threads: Threads::All, device: true, ..Needs::default() }
    }

    fn cost(&self) -> Cost {
        self.training.cost()
    }

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Json<Trial>> {
        let validation = self.validation.value();
        let trained = match self.training.run(context, self.fit.value(), self.candidate) {
            Ok(trained) => trained,
            Err(error) => {
                let Some(TrainError::Diverged { step, .. }) = error.downcast_ref() else { return Err(error) };
                let Hyperparameters { lr, weight_decay, .. } = self.candidate;
                context.warn(format!(
                    "training diverged at step {step} with lr {lr} and weight decay {weight_decay}: it is not chosen"
                ));
                return Ok(Json(Trial {
                    score: None,
                    diverged_at: Some(*step),
                    temperature: None,
                    losses: Vec::new(),
                }));
            }
        };
        let network: Network = trained.tensors.into_iter().chain(trained.head).collect();
        let logits = self.training.logits(context, &network, validation)?;
        let score = self.metric.of(&logits, &validation.labels, validation.classes.len());
        anyhow::ensure!(score.is_finite(), "{} on the validation images is not a finite number", self.metric.name());
        let temperature = match &validation.labels {
            Labels::Classes(truth) => Some(best_temperature(&logits, truth, validation.classes.len())),
            Labels::MultiLabel(_) => None,
        };
        Ok(Json(Trial { score: Some(score), diverged_at: None, temperature, losses: trained.losses }))
    }
}
