//! Classes that have rows, among those that targets name.

use crate::linear::Linear;
use crate::loss::Targets;

/// The problem without classes that no row is of: nothing bounds their intercepts from below, and weights of theirs would only
/// depend on where a solver stops.
pub(crate) struct Present {
    pub targets: Targets,
    /// Classes that have rows.
    kept: Vec<usize>,
    /// Logit of the others, less the mean intercept of those: that of half a row.
    absent: f64,
    classes: usize,
}

impl Present {
    pub fn of(targets: &Targets) -> Self {
        let classes = targets.classes();
        let all = || Self { targets: targets.clone(), kept: (0..classes).collect(), absent: 0.0, classes };
        let Targets::Classes { labels, .. } = targets else { return all() };
        let counts = targets.counts();
        let kept: Vec<usize> = (0..classes).filter(|k| counts[*k] > 0.0).collect();
        if kept.len() == classes {
            return all();
        }
        let mut new = vec![0; classes];
        kept.iter().enumerate().for_each(|(at, k)| new[*k] = at as u32);
        let labels = labels.iter().map(|l| new[*l as usize]).collect();
        let mean = kept.iter().map(|k| counts[*k].ln()).sum::<f64>() / kept.len() as f64;
        let targets = Targets::Classes { labels, classes: kept.len() };
        Self { targets, kept, absent: 0.5f64.ln() - mean, classes }
    }

    /// The part of a classifier that is for classes with rows.
    pub fn take(&self, linear: &Linear) -> Linear {
        let d = linear.dim();
        let weight = self.kept.iter().flat_map(|k| linear.weight[k * d..][..d].to_vec()).collect();
        Linear { weight, bias: self.kept.iter().map(|k| linear.bias[*k]).collect() }
    }

    /// A classifier for all classes.
    pub fn all(&self, linear: Linear) -> Linear {
        if self.kept.len() == self.classes {
            return linear;
        }
        let (d, mean) = (linear.dim(), linear.bias.iter().sum::<f64>() / linear.bias.len() as f64);
        let mut all = Linear { weight: vec![0.0; self.classes * d], bias: vec![mean + self.absent; self.classes] };
        for (at, k) in self.kept.iter().enumerate() {
            all.weight[k * d..][..d].copy_from_slice(&linear.weight[at * d..][..d]);
            all.bias[*k] = linear.bias[at];
        }
        all
    }
}
