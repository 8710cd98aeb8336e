//! Kinds of linear classifiers, and rows of features that they can be fitted on.

use anyhow::Context as _;
use assay_nn::normalise_rows;
use assay_probe::{
    Design, Linear, ProbeError, Solved, Targets, Tolerance, nearest_centroid, solve_grid, solve_lda,
    solve_like_scikit_learn, solve_ridge,
};
use safetensors::tensor::Dtype;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::outside::LabelledImages;
use crate::steps::{Arrays, array};

/// Kind of linear classifier that is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum Probe {
    /// Logistic regression; values are C.
    Logistic {
        /// Point at which the solver stops for each value.
        convergence: Convergence,
        /// Version of the solver.
        solver: u32,
    },
    /// Ridge regression of ±1; values are λ.
    Ridge {
        /// Version of the solver.
        solver: u32,
    },
    /// Linear discriminant analysis; values are shrinkages.
    Lda {
        /// Version of the solver.
        solver: u32,
    },
    /// The nearest class mean by Euclidean distance; there are no values.
    NearestCentroid,
}

/// Point at which the solver of logistic regression stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Convergence {
    /// At the solution: what could still be gained is a millionth of the objective, or less where the weights win less, and
    /// the largest derivative is at most 3 · 10⁻⁴ for each image, for features of size 1.
    #[default]
    Converged,
    /// Where the code of Ericsson et al. (CVPR 2021) with scikit-learn 0.22 stops: after at most 100 iterations of
    /// L-BFGS for each value, each of which starts where the one before ended.
    WarmStartUnconverged,
}

impl Probe {
    /// Name of the parameter whose values are tried.
    pub fn parameter(self) -> &'static str {
        match self {
            Self::Logistic { .. } => "C",
            Self::Ridge { .. } => "lambda",
            Self::Lda { .. } => "shrinkage",
            Self::NearestCentroid => "",
        }
    }

    /// The values to fit for a grid: one that means nothing where there is nothing to choose.
    pub fn values(self, grid: &[f64]) -> &[f64] {
        if self == Self::NearestCentroid { &[0.0] } else { grid }
    }

    /// True if the final fit goes on from the last value of the grid.
    pub fn goes_on_from_last(self) -> bool {
        matches!(self, Self::Logistic { convergence: Convergence::WarmStartUnconverged, .. })
    }
}

/// Rows that can be fitted.
pub(super) struct Rows<'a> {
    probe: Probe,
    images: &'a LabelledImages,
    targets: Targets,
    dim: usize,
    kept: Kept,
}

enum Kept {
    /// In coordinates of their own.
    Turned(Design),
    Plain(Vec<f32>),
}

/// Called with the index of a value, its classifier in the coordinates of [`Rows`], and how it was solved.
pub(super) type Each<'f> = &'f mut dyn FnMut(usize, &Linear, Option<Solved>) -> anyhow::Result<()>;

impl<'a> Rows<'a> {
    pub(super) fn new(probe: Probe, values: Vec<f32>, dim: usize, images: &'a LabelledImages) -> anyhow::Result<Self> {
        let targets = images.targets();
        let kept = if matches!(probe, Probe::Logistic { convergence: Convergence::Converged, .. }) {
            Kept::Turned(Design::new(values, dim).map_err(|e| named(e, images))?)
        } else {
            Kept::Plain(values)
        };
        Ok(Self { probe, images, targets, dim, kept })
    }

    /// Features of other images, in the coordinates of these.
    pub(super) fn place(&self, values: Vec<f32>) -> Vec<f32> {
        match &self.kept {
            Kept::Turned(design) => design.place(values),
            Kept::Plain(_) => values,
        }
    }

    /// A classifier for features as they are.
    pub(super) fn for_features(&self, linear: &Linear) -> Linear {
        match &self.kept {
            Kept::Turned(design) => linear.to_features(design),
            Kept::Plain(_) => linear.clone(),
        }
    }

    /// Fits every value of `grid`; `start` is for features as they are.
    pub(super) fn fit(&self, grid: &[f64], start: Option<&Linear>, each: Each<'_>) -> anyhow::Result<()> {
        let fitted = match (&self.kept, self.probe) {
            (Kept::Turned(design), _) => {
                let start = start.map(|s| s.in_design(design));
                let each = &mut |i: usize, linear: &Linear, solved| each(i, linear, Some(solved));
                solve_grid::<anyhow::Error>(design, &self.targets, grid, start.as_ref(), Tolerance::default(), each)
            }
            (Kept::Plain(values), Probe::Logistic { .. }) => {
                let each = &mut |i: usize, linear: &Linear, solved| each(i, linear, Some(solved));
                solve_like_scikit_learn::<anyhow::Error>(values, self.dim, &self.targets, grid, start, each)
            }
            (Kept::Plain(values), Probe::Ridge { .. }) => {
                let each = &mut |i: usize, linear: &Linear| each(i, linear, None);
                solve_ridge::<anyhow::Error>(values, self.dim, &self.targets, grid, each)
            }
            (Kept::Plain(values), Probe::Lda { .. }) => {
                let (labels, classes) = self.classes()?;
                let each = &mut |i: usize, linear: &Linear| each(i, linear, None);
                solve_lda::<anyhow::Error>(values, self.dim, labels, classes, grid, each)
            }
            (Kept::Plain(values), Probe::NearestCentroid) => {
                let (labels, classes) = self.classes()?;
                let linear = nearest_centroid(values, self.dim, labels, classes).map_err(|e| named(e, self.images))?;
                each(0, &linear, None)
            }
        };
        fitted.map_err(|error| match error.downcast::<ProbeError>() {
            Ok(error) => named(error, self.images),
            Err(error) => error,
        })
    }

    fn classes(&self) -> anyhow::Result<(&[u32], usize)> {
        match &self.targets {
            Targets::Classes { labels, classes } => Ok((labels, *classes)),
            Targets::MultiLabel { .. } => anyhow::bail!("this probe is for images of one class each"),
        }
    }
}

/// An error about a row, with the image that the row is of.
fn named(error: ProbeError, images: &LabelledImages) -> anyhow::Error {
    match error {
        ProbeError::NotFinite { row, feature } => {
            anyhow::anyhow!("feature {feature} of {} is not a finite number", images.names[row])
        }
        error => error.into(),
    }
}

/// Scales each row to length 1 where `normalize`.
pub(super) fn scaled(mut values: Vec<f32>, dim: usize, normalize: bool) -> Vec<f32> {
    if normalize {
        normalise_rows(&mut values, dim);
    }
    values
}

/// Arrays of a classifier.
pub(super) fn arrays_of(linear: &Linear) -> Arrays {
    let (k, d) = (linear.classes(), linear.dim());
    Arrays::new().with("weight", Dtype::F64, &[k, d], linear.weight.iter().map(|v| v.to_le_bytes())).with(
        "bias",
        Dtype::F64,
        &[k],
        linear.bias.iter().map(|v| v.to_le_bytes()),
    )
}

pub(super) fn linear_from(bytes: &[u8]) -> anyhow::Result<Linear> {
    let file = safetensors::SafeTensors::deserialize(bytes).context("the weights are damaged")?;
    let (shape, weight) = array(&file, "weight", f64::from_le_bytes)?;
    let (_, bias) = array(&file, "bias", f64::from_le_bytes)?;
    anyhow::ensure!(shape.len() == 2 && shape[0] == bias.len(), "the shapes of weight and bias do not fit");
    Ok(Linear { weight, bias })
}
