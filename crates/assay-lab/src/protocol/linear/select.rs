//! Which value of a grid is best on validation images.

use assay_engine::{Artifact, ArtifactFiles, Context, Cost, External, Output, Step};
use assay_probe::{Linear, Solved};
use assay_stats::metrics::best_temperature;
use serde::{Deserialize, Serialize};

use super::rule::{Convergence, ProbeRule, Rows, arrays_of, linear_from, scaled};
use crate::outside::{LabelledImages, Labels};
use crate::spec::Metric;
use crate::steps::{FeatureTable, Features, Runtime};

/// Fits every value on some images and judges it on others. Nothing here names a test image or what one shows.
#[derive(Serialize)]
pub struct SelectProbe {
    /// Features of the images.
    pub features: Vec<Output<Features>>,
    /// Images to fit.
    pub fit: External<LabelledImages>,
    /// Images to judge by.
    pub choose: External<LabelledImages>,
    /// What is fitted.
    pub rule: ProbeRule,
    /// Whether features are scaled to length 1 first.
    pub normalize: bool,
    /// What is judged by.
    pub metric: Metric,
    /// Number of images to fit; for predictions of cost, and told by `fit` already.
    #[serde(skip)]
    pub count: usize,
}

/// One value of a grid.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GridValue {
    /// C, λ or shrinkage.
    pub value: f64,
    /// The metric on the validation images.
    pub score: f64,
    /// How the solver left it; absent for closed forms.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub solved: Option<SolverReport>,
}

/// How a solver left a value.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SolverReport {
    /// Σ losses + penalty.
    pub objective: f64,
    /// Its largest derivative.
    pub gradient_norm: f64,
    /// Iterations.
    pub iterations: u32,
    /// Whether the largest derivative is small enough.
    pub converged: bool,
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

/// What was chosen, and why.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Facts.
    pub report: SelectionReport,
    /// Where the final fit starts, for features as they are.
    pub start: Linear,
}

/// The facts of a selection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SelectionReport {
    /// The chosen value.
    pub chosen: f64,
    /// All values, the preferred of equals first.
    pub grid: Vec<GridValue>,
    /// Temperature that makes the chosen classifier's logits fit the validation images best; absent where images show several
    /// classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
}

/// The best so far.
struct Best {
    index: usize,
    score: f64,
    linear: Linear,
}

impl Step<Runtime> for SelectProbe {
    const KIND: &'static str = "select";
    const VERSION: u32 = 1;
    type Output = Selection;

    fn cost(&self) -> Cost {
        cost(self.count, self.rule.grid().len())
    }

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Selection> {
        let (fit, choose) = (context.open(&self.fit), context.open(&self.choose));
        let load = |images| FeatureTable::rows(context, &self.features, images);
        let table = load(fit)?;
        let rows = Rows::new(&self.rule, scaled(table.values, table.dim, self.normalize), table.dim, fit)?;
        let judged = rows.place(scaled(load(choose)?.values, table.dim, self.normalize));
        let grid = self.rule.grid();
        let mut values: Vec<Option<GridValue>> = vec![None; grid.len()];
        let (mut best, mut last): (Option<Best>, Option<Linear>) = (None, None);
        let keeps_last =
            matches!(self.rule, ProbeRule::Logistic { convergence: Convergence::WarmStartUnconverged, .. });
        let mut done = 0;
        rows.fit(&self.rule, grid, None, &mut |index, linear, solved| {
            let score = self.metric.of(&linear.quick_logits(&judged), &choose.labels, choose.classes.len());
            if best.as_ref().is_none_or(|b| score > b.score || (score == b.score && index < b.index)) {
                best = Some(Best { index, score, linear: linear.clone() });
            }
            if keeps_last {
                last = Some(linear.clone());
            }
            values[index] = Some(GridValue { value: grid[index], score, solved: solved.map(SolverReport::from) });
            done += 1;
            context.progress(done, grid.len() as u64, "values");
            Ok(context.check_cancelled()?)
        })?;
        let best = best.ok_or_else(|| anyhow::anyhow!("no value gave a score"))?;
        let values: Vec<GridValue> = values.into_iter().flatten().collect();
        tell(context, keeps_last, &values);
        let temperature = match &choose.labels {
            Labels::Classes(truth) => Some(best_temperature(&best.linear.logits(&judged), truth, choose.classes.len())),
            Labels::MultiLabel(_) => None,
        };
        let start = rows.for_features(last.as_ref().unwrap_or(&best.linear));
        let report = SelectionReport { chosen: grid[best.index], grid: values, temperature };
        Ok(Selection { report, start })
    }
}

/// Cost of fitting `values` values on `rows` images.
pub(super) fn cost(rows: usize, values: usize) -> Cost {
    Cost { group: "probe".to_owned(), units: (rows * values) as f64 }
}

/// Says which values are not solved, unless that is how they are meant to be.
fn tell(context: &Context<'_, Runtime>, is_meant: bool, values: &[GridValue]) {
    let open: Vec<f64> = values.iter().filter(|v| v.solved.is_some_and(|s| !s.converged)).map(|v| v.value).collect();
    if !open.is_empty() && !is_meant {
        context.warn(format!("{} of {} values are not solved to the end: C = {open:?}", open.len(), values.len()));
    }
}

const REPORT: &str = "selection.json";
const START: &str = "start.safetensors";

impl Artifact for Selection {
    fn write(&self, files: &mut ArtifactFiles) -> anyhow::Result<()> {
        files.put(REPORT, serde_json::to_vec(&self.report)?)?;
        files.put(START, arrays_of(&self.start).bytes()?)
    }

    fn read(files: &ArtifactFiles) -> anyhow::Result<Self> {
        let report = serde_json::from_slice(&files.get(REPORT)?)?;
        Ok(Self { report, start: linear_from(&files.get(START)?)? })
    }
}
