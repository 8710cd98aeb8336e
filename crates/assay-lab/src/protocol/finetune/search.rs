//! The values among which the best are chosen.

use assay_config::Checker;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Values that are tried. Each is a training of its own, and what is the same in two searches is trained once.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub enum Search {
    /// The 40 of Ericsson et al. (CVPR 2021): learning rates 0.1 to 0.0001, weight decays of 0, 10⁻⁶, 10⁻⁵, 10⁻⁴ and 10⁻³
    /// divided by the learning rate, each with and without augmentation.
    Study,
    /// Eight of these: the four learning rates with augmentation, with weight decays of 0 and of 10⁻⁴ divided by the learning
    /// rate.
    #[default]
    Coarse,
    /// One, which is not tried before: there is no choice, and no temperature is fitted.
    Single {
        /// Learning rate.
        lr: f64,
        /// Weight decay. Default: 0.0.
        #[serde(default)]
        weight_decay: f64,
        /// Training on random views of the images. Default: true.
        #[serde(default = "augment")]
        augment: bool,
    },
    /// All combinations of some values; of two equally good ones, the one that comes first is chosen.
    Grid {
        /// Learning rates.
        lr: Vec<f64>,
        /// Weight decays. Default: `[0.0]`.
        #[serde(default = "no_decay")]
        weight_decay: Vec<f64>,
        /// Training on random views of the images, or on the images themselves. Default: `[true]`.
        #[serde(default = "augmented")]
        augment: Vec<bool>,
    },
}

fn augment() -> bool {
    true
}

fn no_decay() -> Vec<f64> {
    vec![0.0]
}

fn augmented() -> Vec<bool> {
    vec![true]
}

/// Values of one training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hyperparameters {
    /// Learning rate, before the schedule.
    pub lr: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// True if it learns from random views of the images.
    pub augment: bool,
}

/// Most combinations.
const MAX_CANDIDATES: usize = 1_000;

impl Search {
    pub(super) fn check(&self, at: &Checker<'_>) {
        let (is_rate, is_decay) = (|lr: &f64| *lr >= 0.0 && lr.is_finite(), |wd: &f64| *wd >= 0.0 && wd.is_finite());
        match self {
            Self::Study | Self::Coarse => {}
            Self::Single { lr, weight_decay, .. } => {
                let fits = is_rate(lr) && is_decay(weight_decay);
                at.expect(fits, "must have a learning rate and a weight decay that are not negative");
            }
            Self::Grid { lr, weight_decay, augment } => {
                let fits = lr.iter().all(is_rate) && weight_decay.iter().all(is_decay);
                at.expect(fits, "must have learning rates and weight decays that are not negative");
                let count = lr.len().saturating_mul(weight_decay.len()).saturating_mul(augment.len());
                at.expect((1..=MAX_CANDIDATES).contains(&count), "must come to 1 to 1,000 combinations");
            }
        }
    }

    /// The candidates, the preferred of two equally good ones first.
    pub(super) fn candidates(&self) -> Vec<Hyperparameters> {
        match self {
            Self::Study => study(&[0.0, 1e-6, 1e-5, 1e-4, 1e-3], &[true, false]),
            Self::Coarse => study(&[0.0, 1e-4], &[true]),
            Self::Single { lr, weight_decay, augment } => {
                vec![Hyperparameters { lr: *lr, weight_decay: *weight_decay, augment: *augment }]
            }
            Self::Grid { lr, weight_decay, augment } => {
                let mut all = Vec::new();
                for augment in augment {
                    for lr in lr {
                        all.extend(weight_decay.iter().map(|wd| Hyperparameters {
                            lr: *lr,
                            weight_decay: *wd,
                            augment: *augment,
                        }));
                    }
                }
                all
            }
        }
    }
}

/// The learning rates of the study, the largest first, with these numerators of weight decays. Its code takes both from
/// single-precision `torch.logspace`, and keeps the first of equals.
fn study(numerators: &[f32], augment: &[bool]) -> Vec<Hyperparameters> {
    let mut all = Vec::new();
    for augment in augment {
        for lr in [1e-1_f32, 1e-2, 1e-3, 1e-4] {
            let lr = f64::from(lr);
            let one =
                |numerator: &f32| Hyperparameters { lr, weight_decay: f64::from(*numerator) / lr, augment: *augment };
            all.extend(numerators.iter().map(one));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_in_order() {
        let study = Search::Study.candidates();
        assert_eq!(study.len(), 40);
        let near = |one: Hyperparameters, lr: f64, wd: f64, augment: bool| {
            (one.lr / lr - 1.0).abs() < 1e-6 && (one.weight_decay - wd).abs() <= 1e-6 * wd && one.augment == augment
        };
        assert!(near(study[0], 0.1, 0.0, true) && near(study[4], 0.1, 0.01, true), "{study:?}");
        assert!(near(study[19], 1e-4, 10.0, true) && near(study[39], 1e-4, 10.0, false), "{study:?}");
        let coarse = Search::Coarse.candidates();
        assert!(coarse.len() == 8 && coarse.iter().all(|one| study.contains(one)), "a part of the study's");
        let grid = Search::Grid { lr: vec![0.1, 0.2], weight_decay: vec![0.0, 1.0], augment: vec![false] };
        let order: Vec<_> = grid.candidates().iter().map(|one| (one.lr, one.weight_decay)).collect();
        assert_eq!(order, [(0.1, 0.0), (0.1, 1.0), (0.2, 0.0), (0.2, 1.0)]);
    }
}
