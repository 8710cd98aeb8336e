//! Every value of a grid fitted on some images and judged on others.

use anyhow::Context as _;
use assay_engine::{Artifact, ArtifactFiles, Content, Context, Cost, Needs, Output, Step, Threads};
use assay_probe::{Linear, Solved};
use assay_stats::metrics::best_temperature;
use serde::{Deserialize, Serialize};

use super::probe::{Convergence, Probe, Rows, arrays_of, linear_from, scaled};
use crate::outside::{LabelledImages, Labels};
use crate::results::{Exhibit, GridCurve, GridPoint, SolverReport};
use crate::spec::Metric;
use crate::steps::{FeatureTable, Features, LabStep, Runtime, WrittenIn};

/// Fits every value of a grid on some images and judges it on others. Nothing here names a test image or what one shows.
#[derive(Serialize)]
pub struct SolveGrid {
    /// Features of the images.
    pub features: Vec<Output<Features>>,
    /// Images to fit.
    pub fit: Content<LabelledImages>,
    /// Images to judge by.
    pub validation: Content<LabelledImages>,
    /// Kind of linear classifier that is fitted.
    pub probe: Probe,
    /// The values, the preferred of two equally good ones first; none where there is nothing to choose.
    pub grid: Vec<f64>,
    /// True if rows of features are scaled to length 1, before all else.
    pub normalize: bool,
    /// Metric that values are judged by.
    pub metric: Metric,
    /// Number of images to fit; for predictions of cost, and told by `fit` already.
    #[serde(skip)]
    pub count: usize,
}

/// All values of a grid, judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidates {
    /// Score of each value.
    pub curve: GridCurve,
    /// Temperature that makes the logits of the best fit the validation images best; absent where images show several
    /// classes.
    pub temperature: Option<f64>,
    /// The solution of the last value, where the final fit goes on from there.
    pub last: Option<Linear>,
}

/// The best so far.
struct Best {
    index: usize,
    score: f64,
    linear: Linear,
}

impl LabStep for SolveGrid {
    const WRITTEN_IN: &'static [(&'static str, WrittenIn)] =
        &[("/fit", WrittenIn::Dataset), ("/validation", WrittenIn::Dataset), ("/metric", WrittenIn::Task)];
}

impl Step<Runtime> for SolveGrid {
    const KIND: &'static str = "grid";
    const VERSION: u32 = 2; // 2 – logits in double precision, temperatures of any size
    type Output = Candidates;

    fn needs(&self) -> Needs {
        Needs { threads: Threads::All, ..Needs::default() }
    }

    fn cost(&self) -> Cost {
        cost(self.count, self.grid.len().max(1))
    }

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Candidates> {
        let (fit, validation) = (self.fit.value(), self.validation.value());
        let load = |images| FeatureTable::rows(context, &self.features, images);
        let table = load(fit)?;
        let rows = Rows::new(self.probe, scaled(table.values, table.dim, self.normalize), table.dim, fit)?;
        let judged = rows.place(scaled(load(validation)?.values, table.dim, self.normalize));
        let values = self.probe.values(&self.grid);
        let mut points: Vec<Option<GridPoint>> = vec![None; values.len()];
        let (mut best, mut last): (Option<Best>, Option<Linear>) = (None, None);
        let (mut done, better) = (0, self.metric.id().info().better);
        rows.fit(values, None, &mut |index, linear, solved| {
            let score = self.metric.of(&linear.quick_logits(&judged), &validation.labels, validation.classes.len());
            anyhow::ensure!(
                score.is_finite(),
                "{} on the validation images is not a finite number",
                self.metric.name()
            );
            let is_better = |b: &Best| better.prefers(score, b.score) || (score == b.score && index < b.index);
            if best.as_ref().is_none_or(is_better) {
                best = Some(Best { index, score, linear: linear.clone() });
            }
            if self.probe.goes_on_from_last() {
                last = Some(linear.clone());
            }
            let value = self.grid.get(index).copied();
            points[index] = Some(GridPoint { value, score, solver: solved.map(SolverReport::from) });
            done += 1;
            context.progress(done, values.len() as u64, "values");
            Ok(context.check_cancelled()?)
        })?;
        let best = best.context("no value gave a score")?;
        let points: Vec<GridPoint> = points.into_iter().flatten().collect();
        warn_unsolved(context, self.probe, &points);
        let temperature = match &validation.labels {
            Labels::Classes(truth) => {
                Some(best_temperature(&best.linear.logits(&judged), truth, validation.classes.len()))
            }
            Labels::MultiLabel(_) => None,
        };
        let curve = GridCurve { parameter: self.probe.parameter().to_owned(), metric: self.metric.id(), points };
        Ok(Candidates { curve, temperature, last: last.map(|last| rows.for_features(&last)) })
    }
}

impl From<Solved> for SolverReport {
    fn from(solved: Solved) -> Self {
        Self {
            objective: solved.objective,
            gradient_norm: solved.gradient_norm,
            iterations: solved.iterations as u32,
            converged: solved.converged,
        }
    }
}

/// Cost of fitting `values` values on `rows` images.
pub(super) fn cost(rows: usize, values: usize) -> Cost {
    Cost { group: "probe".to_owned(), units: (rows * values) as f64 }
}

/// Warns of values that are not solved, unless that is how they are meant to be.
fn warn_unsolved(context: &Context<'_, Runtime>, probe: Probe, points: &[GridPoint]) {
    let open: Vec<f64> =
        points.iter().filter(|p| p.solver.is_some_and(|s| !s.converged)).filter_map(|p| p.value).collect();
    if !open.is_empty() && !matches!(probe, Probe::Logistic { convergence: Convergence::WarmStartUnconverged, .. }) {
        context.warn(format!("{} of {} values are not solved to the end: C = {open:?}", open.len(), points.len()));
    }
}

#[derive(Serialize, Deserialize)]
struct Facts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    has_last: bool,
}

impl Candidates {
    /// Name of the file with the curve.
    pub const CURVE: &'static str = "grid_curve.json";
}

const FACTS: &str = "candidates.json";
const LAST: &str = "last.safetensors";

impl Artifact for Candidates {
    fn write(&self, files: &mut ArtifactFiles) -> anyhow::Result<()> {
        let curve = Exhibit::GridCurve(self.curve.clone());
        files.put(curve.file(), curve.to_bytes()?)?;
        let facts = Facts { temperature: self.temperature, has_last: self.last.is_some() };
        files.put(FACTS, serde_json::to_vec(&facts)?)?;
        match &self.last {
            Some(last) => files.put(LAST, arrays_of(last).to_bytes()?),
            None => Ok(()),
        }
    }

    fn read(files: &ArtifactFiles) -> anyhow::Result<Self> {
        let Exhibit::GridCurve(curve) = Exhibit::from_bytes(Self::CURVE, &files.get(Self::CURVE)?)? else {
            anyhow::bail!("{} is damaged", Self::CURVE);
        };
        let facts: Facts = serde_json::from_slice(&files.get(FACTS)?)?;
        let last = if facts.has_last { Some(linear_from(&files.get(LAST)?)?) } else { None };
        Ok(Self { curve, temperature: facts.temperature, last })
    }
}
