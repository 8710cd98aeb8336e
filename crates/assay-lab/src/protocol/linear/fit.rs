//! The final fit with the chosen value.

use assay_engine::{Artifact, ArtifactFiles, Context, Cost, External, Output, Step};
use assay_probe::Linear;
use serde::Serialize;

use super::rule::{ProbeRule, Rows, arrays_of, linear_from, scaled};
use super::select::Selection;
use super::select::{SolverReport, cost};
use crate::outside::LabelledImages;
use crate::steps::{FeatureTable, Features, Runtime};

/// Fits the chosen value on all images that are not test images.
#[derive(Serialize)]
pub struct FitProbe {
    /// Features of the images.
    pub features: Vec<Output<Features>>,
    /// Images to fit.
    pub fit: External<LabelledImages>,
    /// What is fitted.
    pub rule: ProbeRule,
    /// Whether features are scaled to length 1 first.
    pub normalize: bool,
    /// The value.
    pub selection: Output<Selection>,
    /// Number of images to fit; for predictions of cost, and told by `fit` already.
    #[serde(skip)]
    pub count: usize,
}

/// A fitted classifier.
#[derive(Clone, Debug)]
pub struct FittedProbe {
    /// For features as they are (scaled, where the step says so).
    pub linear: Linear,
    /// How the solver left it; absent for closed forms.
    pub solved: Option<SolverReport>,
}

impl Step<Runtime> for FitProbe {
    const KIND: &'static str = "fit";
    const VERSION: u32 = 1;
    type Output = FittedProbe;

    fn cost(&self) -> Cost {
        cost(self.count, 1)
    }

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<FittedProbe> {
        let fit = context.open(&self.fit);
        let Selection { report, start } = context.load(&self.selection)?;
        let table = FeatureTable::rows(context, &self.features, fit)?;
        let rows = Rows::new(&self.rule, scaled(table.values, table.dim, self.normalize), table.dim, fit)?;
        let mut fitted = None;
        rows.fit(&self.rule, &[report.chosen], Some(&start), &mut |_, linear, solved| {
            fitted = Some(FittedProbe { linear: rows.for_features(linear), solved: solved.map(SolverReport::from) });
            Ok(context.check_cancelled()?)
        })?;
        fitted.ok_or_else(|| anyhow::anyhow!("the solver gave no classifier"))
    }
}

const REPORT: &str = "fit.json";
const WEIGHTS: &str = "classifier.safetensors";

impl Artifact for FittedProbe {
    fn write(&self, files: &mut ArtifactFiles) -> anyhow::Result<()> {
        files.put(REPORT, serde_json::to_vec(&self.solved)?)?;
        files.put(WEIGHTS, arrays_of(&self.linear).bytes()?)
    }

    fn read(files: &ArtifactFiles) -> anyhow::Result<Self> {
        let solved = serde_json::from_slice(&files.get(REPORT)?)?;
        Ok(Self { linear: linear_from(&files.get(WEIGHTS)?)?, solved })
    }
}
