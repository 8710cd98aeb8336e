//! The course of the learning rate.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Course of the learning rate over the steps of training, as a factor of the rate that was set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// Fall of the rate. Default: `Cosine`.
    pub decay: Decay,
    /// Steps at the beginning over which the rate rises in a line from 1/`warmup_steps` of itself; the fall begins after
    /// them. Default: 0.
    pub warmup_steps: u32,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { decay: Decay::Cosine, warmup_steps: 0 }
    }
}

/// Fall of the learning rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub enum Decay {
    /// No fall.
    Constant,
    /// Half a cosine from the rate to zero, step by step: ½(1 + cos(πt/T)) (Loshchilov & Hutter 2017).
    Cosine,
    /// (1 − t/T) to this power, step by step: `Poly(0.9)`.
    Poly(f64),
    /// A factor at each of some steps, counted from 0: `MultiStep(at: [3000, 4000], factor: 0.1)`.
    MultiStep {
        /// Steps from which the factor applies.
        at: Vec<u32>,
        /// The factor.
        factor: f64,
    },
}

impl Schedule {
    /// The factor of the learning rate in step `step` of `steps`, both counted with the warm-up.
    pub fn factor(&self, step: u32, steps: u32) -> f64 {
        if step < self.warmup_steps {
            return f64::from(step + 1) / f64::from(self.warmup_steps);
        }
        let progress = f64::from(step - self.warmup_steps) / f64::from(steps.saturating_sub(self.warmup_steps).max(1));
        match &self.decay {
            Decay::Constant => 1.0,
            Decay::Cosine => 0.5 * (1.0 + libm::cos(std::f64::consts::PI * progress)),
            Decay::Poly(power) => libm::pow((1.0 - progress).max(0.0), *power),
            Decay::MultiStep { at, factor } => {
                libm::pow(*factor, at.iter().filter(|from| **from <= step).count() as f64)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_by_step() {
        let multi = Decay::MultiStep { at: vec![2, 3], factor: 0.1 };
        let half = libm::sqrt(0.5);
        let cases = [
            (Decay::Constant, 0, [1.0; 4]),
            (Decay::Constant, 2, [0.5, 1.0, 1.0, 1.0]),
            (Decay::Cosine, 0, [1.0, 0.5 + half / 2.0, 0.5, 0.5 - half / 2.0]),
            (Decay::Cosine, 2, [0.5, 1.0, 1.0, 0.5]),
            (Decay::Poly(2.0), 0, [1.0, 0.5625, 0.25, 0.0625]),
            (multi, 0, [1.0, 1.0, 0.1, 0.01]),
        ];
        for (decay, warmup_steps, expected) in cases {
            let schedule = Schedule { decay, warmup_steps };
            for (step, expected) in (0..).zip(expected) {
                let factor = schedule.factor(step, 4);
                assert!((factor - expected).abs() < 1e-15, "{schedule:?} at {step}: {factor}");
            }
        }
    }
}
