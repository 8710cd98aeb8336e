//! `Linear`: a linear probe.

mod fit;
mod rule;
mod score;
mod select;

pub use fit::{FitProbe, FittedProbe};
pub use rule::{Convergence, ProbeRule};
pub use score::ScoreProbe;
pub use select::{SelectProbe, Selection};

use std::collections::BTreeSet;

use assay_data::{Manifest, Split};
use assay_engine::{External, Output};
use assay_stats::LegacyNumpy;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::outside::LabelledImages;
use crate::plan::{CellPlan, PlanError, Protocol};
use crate::results::Scores;
use crate::results::{CalibrationRule, Resampling};
use crate::spec::Metric;
use assay_config::Checker;

/// A linear classifier of cached features. The value of its grid is chosen on the validation split (or on a part of the
/// training split), the classifier is fitted again on both, and the test split is looked at once. The metric is the task's.
/// Defaults are those of Ericsson et al. (CVPR 2021).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Linear {
    /// What is fitted.
    pub solver: Solver,
    /// The values that are tried; those of the solver where nothing is said: for `Logistic` the 45 values of C of the study,
    /// for `Ridge` λ from 10⁻⁶ to 10⁶ in 25 steps, for `Lda` eight shrinkages from 0 to 0.9.
    pub grid: Option<Grid>,
    /// How far logistic regression is solved.
    pub convergence: Convergence,
    /// Where validation images come from when the dataset has no validation split.
    pub validation: HoldOut,
    /// Where test images come from when the dataset has no splits at all; the rest is then training images.
    pub test: HoldOut,
    /// How probabilities are made to mean what they say.
    pub calibration: CalibrationRule,
    /// Whether features are scaled to length 1 first.
    pub normalize: bool,
    /// How often the test images are resampled for the intervals.
    pub resamples: u32,
    /// Seed of the resampling.
    pub seed: u64,
}

impl Default for Linear {
    fn default() -> Self {
        Self {
            solver: Solver::default(),
            grid: None,
            convergence: Convergence::default(),
            validation: HoldOut::default(),
            test: HoldOut::default(),
            calibration: CalibrationRule::default(),
            normalize: false,
            resamples: 1000,
            seed: 0,
        }
    }
}

/// What is fitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Solver {
    /// Multinomial logistic regression, or one yes-or-no question for each class; values are C.
    #[default]
    Logistic,
    /// Ridge regression of ±1; values are λ.
    Ridge,
    /// Linear discriminant analysis; values are shrinkages.
    Lda,
    /// The nearest class mean; there are no values.
    NearestCentroid,
}

/// Values that are tried.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
pub enum Grid {
    /// These.
    Values(Vec<f64>),
    /// `count` powers of ten, their exponents evenly spaced from `low` to `high`.
    LogSpace {
        /// Exponent of the first.
        low: f64,
        /// Exponent of the last.
        high: f64,
        /// Number of values.
        count: u32,
    },
}

/// A part of a list of images that becomes a split of its own: the first of the list after `numpy.random.seed(seed);
/// numpy.random.shuffle(list)`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HoldOut {
    /// Share of the images, rounded down.
    pub fraction: f64,
    /// Seed of the shuffle.
    pub seed: u32,
}

impl Default for HoldOut {
    fn default() -> Self {
        Self { fraction: 0.2, seed: 0 }
    }
}

impl HoldOut {
    /// Takes its part out of a list; both keep the order they had.
    fn take(self, list: &mut Vec<u32>) -> Vec<u32> {
        let order = LegacyNumpy::shuffled_range(self.seed, list.len());
        let count = (self.fraction * list.len() as f64) as usize;
        let chosen: BTreeSet<usize> = order[..count].iter().copied().collect();
        let taken = chosen.iter().map(|i| list[*i]).collect();
        let mut at = 0;
        list.retain(|_| {
            at += 1;
            !chosen.contains(&(at - 1))
        });
        taken
    }
}

/// Most values of a grid.
const MAX_VALUES: usize = 1_000;

impl Protocol for Linear {
    fn check(&self, at: &Checker<'_>) {
        let is_shrinkage = self.solver == Solver::Lda;
        let values = self.values();
        let fits = |v: &f64| if is_shrinkage { (0.0..=1.0).contains(v) } else { *v > 0.0 && v.is_finite() };
        let rule = if is_shrinkage { "must hold shrinkages from 0 to 1" } else { "must hold positive numbers" };
        at.field("grid").expect(values.iter().all(fits), rule);
        at.field("grid").expect((1..=MAX_VALUES).contains(&values.len()), "must hold from 1 to 1,000 values");
        at.field("grid").expect(
            self.solver != Solver::NearestCentroid || self.grid.is_none(),
            "must be left out: `NearestCentroid` has nothing to choose",
        );
        at.field("convergence").expect(
            self.convergence == Convergence::default() || self.solver == Solver::Logistic,
            "must be left out: it is for `Logistic` alone",
        );
        for (name, HoldOut { fraction, .. }) in [("validation", self.validation), ("test", self.test)] {
            let is_part = fraction > 0.0 && fraction < 1.0;
            at.field(&format!("{name}.fraction")).expect(is_part, "must be greater than 0 and less than 1");
        }
        at.field("resamples").expect((1..=100_000).contains(&self.resamples), "must be from 1 to 100,000");
    }

    fn plan(&self, cell: &mut CellPlan<'_, '_>) -> Result<Output<Scores>, PlanError> {
        let metric = cell.metric()?;
        if metric.is_multi_label() && matches!(self.solver, Solver::Lda | Solver::NearestCentroid) {
            let message = format!("`{:?}` is for images of one class each, and these show several", self.solver);
            return Err(cell.protocol_error("solver", message));
        }
        let parts = Parts::new(cell.data(), self.validation, self.test).map_err(|message| cell.task_error(message))?;
        parts.check(cell.data(), metric).map_err(|message| cell.task_error(message))?;
        self.add_steps(cell, &parts, metric)
    }
}

impl Linear {
    fn add_steps(
        &self,
        cell: &mut CellPlan<'_, '_>,
        parts: &Parts,
        metric: Metric,
    ) -> Result<Output<Scores>, PlanError> {
        let names = cell.names().clone();
        let label = |step: &str| format!("{step}/{}/{}/{}", names.model, names.task, names.protocol);
        let all = parts.all();
        let classes = classes_of(cell.data(), &all, metric);
        let leaf = |cell: &CellPlan<'_, '_>, part: &[u32]| -> External<LabelledImages> {
            LabelledImages::leaf(cell.data(), part, &classes)
        };
        let (rule, normalize) = (self.rule(), self.normalize);
        let select = SelectProbe {
            features: cell.features_of(&all)?,
            fit: leaf(cell, &parts.fit),
            choose: leaf(cell, &parts.choose),
            rule: rule.clone(),
            normalize,
            metric,
            count: parts.fit.len(),
        };
        let selection = cell.add(label("select"), select)?;
        // The values that were not chosen are no input of the final fit.
        let rule = rule.without_grid();
        let fit = FitProbe {
            features: cell.features_of(&all)?,
            fit: leaf(cell, &all),
            rule,
            normalize,
            selection,
            count: all.len(),
        };
        let classifier = cell.add(label("fit"), fit)?;
        let score = ScoreProbe {
            features: cell.features_of(&parts.test)?,
            test: leaf(cell, &parts.test),
            classifier,
            selection,
            normalize,
            metric,
            calibration: self.calibration,
            resampling: Resampling { resamples: self.resamples, seed: self.seed },
        };
        cell.add_scores(score)
    }

    /// The values, the preferred of two equally good ones first: of C the larger, of the others the smaller.
    fn values(&self) -> Vec<f64> {
        let mut values = match (&self.grid, self.solver) {
            (Some(Grid::Values(values)), _) => values.clone(),
            (Some(Grid::LogSpace { low, high, count }), _) => log_space(*low, *high, *count),
            (None, Solver::Logistic) => study_grid(),
            (None, Solver::Ridge) => log_space(-6.0, 6.0, 25),
            (None, Solver::Lda) => vec![0.0, 0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9],
            (None, Solver::NearestCentroid) => vec![1.0],
        };
        values.sort_by(|a, b| if self.solver == Solver::Logistic { b.total_cmp(a) } else { a.total_cmp(b) });
        values.dedup();
        values
    }

    fn rule(&self) -> ProbeRule {
        let grid = self.values();
        match self.solver {
            Solver::Logistic => ProbeRule::Logistic { grid, convergence: self.convergence },
            Solver::Ridge => ProbeRule::Ridge { grid },
            Solver::Lda => ProbeRule::Lda { grid },
            Solver::NearestCentroid => ProbeRule::NearestCentroid,
        }
    }
}

/// `numpy.logspace(low, high, count)`.
fn log_space(low: f64, high: f64, count: u32) -> Vec<f64> {
    let step = (high - low) / f64::from(count.max(2) - 1);
    // More than can be used are refused, so no more are made.
    (0..count.min(MAX_VALUES as u32 + 1)).map(|i| libm::pow(10.0, low + step * f64::from(i))).collect()
}

/// The 45 values of C of Ericsson et al. (CVPR 2021): 1 / weight decay for single-precision
/// `torch.logspace(-6, 5, 45)` of weight decays.
fn study_grid() -> Vec<f64> {
    log_space(-6.0, 5.0, 45).into_iter().map(|decay| 1.0 / f64::from(decay as f32)).collect()
}

/// Indices of the samples that are fitted, chosen by and tested.
#[derive(Debug, PartialEq)]
struct Parts {
    fit: Vec<u32>,
    choose: Vec<u32>,
    test: Vec<u32>,
}

impl Parts {
    fn new(manifest: &Manifest, validation: HoldOut, test_part: HoldOut) -> Result<Self, String> {
        let of = |split: Split| -> Vec<u32> {
            let samples = manifest.samples.iter().enumerate().filter(|(_, s)| s.split == split);
            samples.map(|(i, _)| i as u32).collect()
        };
        let (mut fit, mut choose, mut test) = (of(Split::Train), of(Split::Val), of(Split::Test));
        if fit.is_empty() && choose.is_empty() && test.is_empty() {
            fit = of(Split::Whole);
            test = test_part.take(&mut fit);
        }
        if fit.is_empty() || test.is_empty() {
            let (train, test) = (fit.len(), test.len());
            return Err(format!(
                "`Linear` needs a train and a test split, and there are {train} and {test} images in them"
            ));
        }
        if choose.is_empty() {
            choose = validation.take(&mut fit);
        }
        if fit.is_empty() || choose.is_empty() {
            let train = fit.len() + choose.len();
            return Err(format!("no validation images can be taken from {train} training images"));
        }
        Ok(Self { fit, choose, test })
    }

    /// What the final classifier is fitted on.
    fn all(&self) -> Vec<u32> {
        let mut all = [self.fit.as_slice(), &self.choose].concat();
        all.sort_unstable();
        all
    }

    /// Whether a classifier can be learnt and judged.
    fn check(&self, manifest: &Manifest, metric: Metric) -> Result<(), String> {
        let classes = |part: &[u32]| -> BTreeSet<u32> {
            part.iter().filter_map(|i| manifest.samples[*i as usize].class()).collect()
        };
        let name = |class: &u32| manifest.classes[*class as usize].as_str();
        if metric.is_multi_label() {
            return self.check_multi_label(manifest);
        }
        let fitted = classes(&self.fit);
        if let (1, Some(one)) = (fitted.len(), fitted.first()) {
            return Err(format!(
                "all training images are of one class, {:?}: there is nothing to tell apart",
                name(one)
            ));
        }
        for (what, part) in [("test", &self.test), ("validation", &self.choose)] {
            let seen = if what == "test" { &classes(&self.all()) } else { &fitted };
            let missing: Vec<&str> = classes(part).difference(seen).map(name).collect();
            if !missing.is_empty() {
                let some = missing.iter().take(5).copied().collect::<Vec<_>>().join(", ");
                return Err(format!(
                    "{} of the classes of the {what} images have no image to learn from: {some}",
                    missing.len()
                ));
            }
        }
        Ok(())
    }

    /// Every class must be shown by some of the images to learn from, and not by all.
    fn check_multi_label(&self, manifest: &Manifest) -> Result<(), String> {
        let images = manifest.images_showing(&self.fit);
        let useless = images.iter().enumerate().filter(|(_, n)| **n == 0 || **n == self.fit.len());
        let names: Vec<&str> = useless.map(|(class, _)| manifest.classes[class].as_str()).collect();
        if names.is_empty() {
            return Ok(());
        }
        let some = names.iter().take(5).copied().collect::<Vec<_>>().join(", ");
        Err(format!("{} classes are shown by none or by all of the images to learn from: {some}", names.len()))
    }
}

/// The classes that take part: all where images show several, else those with an image.
fn classes_of(manifest: &Manifest, samples: &[u32], metric: Metric) -> Vec<u32> {
    if metric.is_multi_label() {
        return (0..manifest.classes.len() as u32).collect();
    }
    let classes: BTreeSet<u32> = samples.iter().filter_map(|i| manifest.samples[*i as usize].class()).collect();
    classes.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use assay_data::{ImageSource, Sample, Targets};

    use super::*;

    fn manifest(labels: &[(u32, Split)]) -> Manifest {
        let sample = |(i, (class, split)): (usize, &(u32, Split))| Sample {
            path: i.to_string(),
            digest: blake3::hash(&(i as u64).to_le_bytes()),
            targets: Targets::class(*class),
            split: *split,
            source: ImageSource::File(i.to_string().into()),
        };
        Manifest {
            classes: vec!["a".into(), "b".into(), "c".into()],
            samples: labels.iter().enumerate().map(sample).collect(),
            ..Manifest::default()
        }
    }

    #[test]
    fn the_grid_is_the_studys() {
        let grid = Linear::default().values();
        assert_eq!(grid.len(), 45);
        assert!(grid.is_sorted_by(|a, b| a > b));
        // As the authors print the values that they chose.
        assert_eq!((grid[8], grid[9], grid[12]), (10_000.000_252_621_256, 5_623.413_277_133_687, 999.999_952_502_551));
    }

    #[test]
    fn validation_images_are_the_first_of_the_shuffled_list() {
        use Split::{Test, Train};
        let labels: Vec<_> = (0..12).map(|i| (i % 2, if i < 10 { Train } else { Test })).collect();
        let parts = Parts::new(&manifest(&labels), HoldOut::default(), HoldOut::default()).unwrap();
        // numpy.random.seed(0); x = list(range(10)); numpy.random.shuffle(x); x[:2] == [2, 8]
        assert_eq!(parts.choose, [2, 8]);
        assert_eq!(parts.test, [10, 11]);
        assert_eq!(parts.all(), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_dataset_without_splits_is_split() {
        let labels: Vec<_> = (0..10).map(|i| (i % 2, Split::Whole)).collect();
        let parts = Parts::new(&manifest(&labels), HoldOut::default(), HoldOut::default()).unwrap();
        assert_eq!((parts.test.as_slice(), parts.choose.len(), parts.fit.len()), (&[2, 8][..], 1, 7));
    }

    #[test]
    fn a_split_of_its_own_is_used_as_it_is() {
        use Split::{Test, Train, Val};
        let parts = Parts::new(
            &manifest(&[(0, Val), (1, Train), (0, Train), (1, Test)]),
            HoldOut::default(),
            HoldOut::default(),
        )
        .unwrap();
        assert_eq!(parts, Parts { fit: vec![1, 2], choose: vec![0], test: vec![3] });
    }

    #[test]
    fn what_cannot_be_learnt_is_said_before_anything_runs() {
        use Split::{Test, Train, Val};
        let message = |labels: &[(u32, Split)]| {
            let manifest = manifest(labels);
            let parts = Parts::new(&manifest, HoldOut::default(), HoldOut::default());
            parts.and_then(|p| p.check(&manifest, Metric::Top1)).unwrap_err()
        };
        assert!(message(&[(0, Train)]).contains("1 and 0 images"));
        assert!(message(&[(0, Train), (0, Test)]).contains("no validation images"));
        assert!(message(&[(1, Train), (1, Val), (1, Test)]).contains("one class, \"b\""));
        let unseen = message(&[(0, Train), (1, Train), (1, Val), (2, Test)]);
        assert!(unseen.contains("1 of the classes of the test images") && unseen.ends_with(": c"), "{unseen}");
        assert!(message(&[(0, Train), (1, Train), (2, Val), (2, Test)]).contains("classes of the validation images"));
    }
}
