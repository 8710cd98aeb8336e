//! The last training, and the score of its network on the test images.

use assay_engine::{Content, Context, Cost, Json, Needs, Output, Step, Threads};
use serde::Serialize;

use super::choose::Chosen;
use super::search::Hyperparameters;
use super::training::{Training, written_in};
use super::trial::Trial;
use crate::outside::{LabelledImages, Labels};
use crate::protocol::linear::warn_left_out;
use crate::results::{
    CalibrationRule, Candidate, Evaluation, Exhibit, LearningCurve, Resampling, SearchTable, evaluate_logits,
};
use crate::spec::Metric;
use crate::steps::{LabStep, Runtime, WeightsArtifact, WrittenIn};

/// Trains the network on all images to learn from, with the values that were chosen.
#[derive(Serialize)]
pub struct FinetuneBackbone {
    /// What all trainings share.
    pub training: Training,
    /// Images to learn from.
    pub fit: Content<LabelledImages>,
    /// Values that were tried.
    pub candidates: Vec<Hyperparameters>,
    /// The one that is taken; absent when there is only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choice: Option<Output<Json<Chosen>>>,
}

/// The candidate that was chosen.
fn chosen(context: &Context<'_, Runtime>, choice: &Option<Output<Json<Chosen>>>) -> anyhow::Result<Chosen> {
    match choice {
        Some(choice) => Ok(context.load(choice)?.0),
        None => Ok(Chosen { index: 0, temperature: None }),
    }
}

impl LabStep for FinetuneBackbone {
    const WRITTEN_IN: &'static [(&'static str, WrittenIn)] = written_in![("/fit", Dataset)];
}

impl Step<Runtime> for FinetuneBackbone {
    const KIND: &'static str = "finetune";
    const VERSION: u32 = 1;
    type Output = WeightsArtifact;

    fn needs(&self) -> Needs {
        Needs { threads: Threads::All, device: true, ..Needs::default() }
    }

    fn cost(&self) -> Cost {
        self.training.cost()
    }

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<WeightsArtifact> {
        let Chosen { index, .. } = chosen(context, &self.choice)?;
        let candidate =
            self.candidates.get(index).ok_or_else(|| anyhow::anyhow!("there is no candidate {}", index + 1))?;
        let trained = self.training.run(context, self.fit.value(), *candidate)?;
        let tensors = trained.tensors.into_iter().chain(trained.head).collect();
        Ok(WeightsArtifact { tensors, losses: trained.losses })
    }
}

/// Classifies the test images and judges the result.
#[derive(Serialize)]
pub struct ScoreFinetuned {
    /// The trained network.
    pub network: Output<WeightsArtifact>,
    /// What its trainings shared; its images are those of the test.
    pub training: Training,
    /// The test images.
    pub test: Content<LabelledImages>,
    /// Values that were tried.
    pub candidates: Vec<Hyperparameters>,
    /// The candidates, judged.
    pub trials: Vec<Output<Json<Trial>>>,
    /// The one that was taken; absent when there is only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choice: Option<Output<Json<Chosen>>>,
    /// Metric that is reported first.
    pub metric: Metric,
    /// Images on which probabilities are calibrated.
    pub calibration: CalibrationRule,
    /// Resampling that the intervals come from.
    pub resampling: Resampling,
}

impl LabStep for ScoreFinetuned {
    const WRITTEN_IN: &'static [(&'static str, WrittenIn)] = written_in![("/test", Dataset), ("/metric", Task)];
}

impl Step<Runtime> for ScoreFinetuned {
    const KIND: &'static str = "score-finetuned";
    const VERSION: u32 = 1;
    type Output = Evaluation;

    fn needs(&self) -> Needs {
        Needs { threads: Threads::All, device: true, ..Needs::default() }
    }

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Evaluation> {
        let test = self.test.value();
        let Chosen { index, temperature } = chosen(context, &self.choice)?;
        let WeightsArtifact { tensors, losses } = context.load(&self.network)?;
        let logits = self.training.logits(context, &tensors, test)?;
        warn_left_out(context, test);
        let loss = match test.labels {
            Labels::Classes(_) => "cross-entropy",
            Labels::MultiLabel(_) => "binary cross-entropy",
        };
        let mut exhibits = vec![Exhibit::LearningCurve(LearningCurve { loss: loss.to_owned(), values: losses })];
        if !self.trials.is_empty() {
            exhibits.push(Exhibit::Search(self.table(context, index)?));
        }
        evaluate_logits(test, &logits, self.metric, (temperature, self.calibration), self.resampling, exhibits)
    }
}

impl ScoreFinetuned {
    fn table(&self, context: &Context<'_, Runtime>, chosen: usize) -> anyhow::Result<SearchTable> {
        let one = |(trial, values): (&Output<Json<Trial>>, &Hyperparameters)| {
            let Json(Trial { score, diverged_at, .. }) = context.load(trial)?;
            let Hyperparameters { lr, weight_decay, augment } = *values;
            Ok(Candidate { lr, weight_decay, augment, score, diverged_at })
        };
        let candidates = self.trials.iter().zip(&self.candidates).map(one).collect::<anyhow::Result<_>>()?;
        Ok(SearchTable { metric: self.metric.id(), candidates, chosen })
    }
}
