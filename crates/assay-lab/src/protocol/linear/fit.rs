//! The final fit with the chosen value.

use assay_engine::{Artifact, ArtifactFiles, Content, Context, Cost, Json, Needs, Output, Step, Threads};
use assay_probe::Linear;
use serde::Serialize;

use super::choose::Choice;
use super::grid::{Candidates, cost};
use super::probe::{Probe, Rows, arrays_of, linear_from, scaled};
use crate::outside::LabelledImages;
use crate::results::SolverReport;
use crate::steps::{FeatureTable, Features, LabStep, Runtime, WrittenIn};

/// Fits the chosen value on all images that are not test images.
#[derive(Serialize)]
pub struct FitProbe {
    /// Features of the images.
    pub features: Vec<Output<Features>>,
    /// Images to fit.
    pub fit: Content<LabelledImages>,
    /// Kind of linear classifier that is fitted.
    pub probe: Probe,
    /// True if rows of features are scaled to length 1, before all else.
    pub normalize: bool,
    /// The value.
    pub choice: Output<Json<Choice>>,
    /// Candidates whose last solution the fit goes on from; absent where it begins anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Output<Candidates>>,
    /// Number of images to fit; for predictions of cost, and told by `fit` already.
    #[serde(skip)]
    pub count: usize,
}

/// A fitted classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedProbe {
    /// For features as they are (scaled, where the step says so).
    pub linear: Linear,
    /// Report of the solver; absent for closed forms.
    pub solver: Option<SolverReport>,
}

impl FittedProbe {
    /// Name of the file with weights and biases.
    pub const WEIGHTS: &'static str = "classifier.safetensors";
}

impl LabStep for FitProbe {
    const WRITTEN_IN: &'static [(&'static str, WrittenIn)] = &[("/fit", WrittenIn::Dataset)];
}

impl Step<Runtime> for FitProbe {
    const KIND: &'static str = "fit";
    const VERSION: u32 = 3; // 1 – went on from the solution of the grid; 2 – depends on the chosen value alone; 3 – means of classes about their middle
    type Output = FittedProbe;

    fn needs(&self) -> Needs {
        Needs { threads: Threads::All, ..Needs::default() }
    }

    fn cost(&self) -> Cost {
        cost(self.count, 1)
    }

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<FittedProbe> {
        let fit = self.fit.value();
        let Json(choice) = context.load(&self.choice)?;
        let start = self.start.as_ref().map(|start| context.load(start)).transpose()?.and_then(|start| start.last);
        let table = FeatureTable::rows(context, &self.features, fit)?;
        let rows = Rows::new(self.probe, scaled(table.values, table.dim, self.normalize), table.dim, fit)?;
        let mut fitted = None;
        let grid: Vec<f64> = choice.value.into_iter().collect();
        rows.fit(self.probe.values(&grid), start.as_ref(), &mut |_, linear, solved| {
            fitted = Some(FittedProbe { linear: rows.for_features(linear), solver: solved.map(SolverReport::from) });
            Ok(context.check_cancelled()?)
        })?;
        fitted.ok_or_else(|| anyhow::anyhow!("the solver gave no classifier"))
    }
}

const REPORT: &str = "fit.json";

impl Artifact for FittedProbe {
    fn write(&self, files: &mut ArtifactFiles) -> anyhow::Result<()> {
        files.put(REPORT, serde_json::to_vec(&self.solver)?)?;
        files.put(Self::WEIGHTS, arrays_of(&self.linear).to_bytes()?)
    }

    fn read(files: &ArtifactFiles) -> anyhow::Result<Self> {
        let solver = serde_json::from_slice(&files.get(REPORT)?)?;
        Ok(Self { linear: linear_from(&files.get(Self::WEIGHTS)?)?, solver })
    }
}
