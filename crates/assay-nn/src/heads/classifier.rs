//! A checkpoint's own last layer.

use std::collections::BTreeMap;

use assay_weights::RawTensor;

/// A linear classifier: K × D weights and K biases.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    weight: Vec<f32>,
    bias: Vec<f32>,
    dim: usize,
}

impl Head {
    /// Takes `name.weight` and `name.bias` out of `tensors`.
    ///
    /// # Errors
    /// A sentence, when they are not there or do not fit features of length `dim`.
    pub fn take(tensors: &BTreeMap<String, RawTensor>, name: &str, dim: usize) -> Result<Self, String> {
        let get = |part: &str| {
            let name = format!("{name}.{part}");
            tensors.get(&name).ok_or_else(|| format!("the checkpoint has no {name}: it comes without its classifier"))
        };
        let (weight, bias) = (get("weight")?, get("bias")?);
        if weight.shape.len() != 2 || weight.shape[1] != dim || bias.shape != weight.shape[..1] {
            return Err(format!(
                "{name}.weight has shape {:?} and {name}.bias {:?}, which do not fit {dim} features",
                weight.shape, bias.shape
            ));
        }
        Ok(Self { weight: weight.to_f32(), bias: bias.to_f32(), dim })
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.bias.len()
    }

    /// The classifier of these outputs alone, in this order.
    ///
    /// # Panics
    /// When there is no such output.
    pub fn select(&self, outputs: &[u32]) -> Self {
        let row = |k: &u32| self.weight[*k as usize * self.dim..][..self.dim].iter().copied();
        let weight = outputs.iter().flat_map(row).collect();
        Self { weight, bias: outputs.iter().map(|k| self.bias[*k as usize]).collect(), dim: self.dim }
    }

    /// N × K logits of N rows of `features`, rounded, and the class with the greatest one of each row, found before that;
    /// of equals, the first.
    pub fn predict(&self, features: &[f32]) -> (Vec<f32>, Vec<u32>) {
        let logit = |row: &[f32], k: usize| {
            let weights = &self.weight[k * self.dim..][..self.dim];
            f64::from(self.bias[k]) + weights.iter().zip(row).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum::<f64>()
        };
        let (mut logits, mut predicted) = (Vec::new(), Vec::new());
        for row in features.chunks_exact(self.dim) {
            let mut best = (0, f64::NEG_INFINITY);
            for k in 0..self.classes() {
                let logit = logit(row, k);
                logits.push(logit as f32);
                if logit > best.1 {
                    best = (k as u32, logit);
                }
            }
            predicted.push(best.0);
        }
        (logits, predicted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selected_outputs_stand_in_the_order_that_was_asked_for() {
        let head = Head { weight: vec![1.0, 0.0, 0.0, 1.0, 1.0, 1.0], bias: vec![0.0, 0.5, -3.0], dim: 2 };
        let rows = [2.0, 1.0, 0.0, 9.0];
        assert_eq!(head.predict(&rows), (vec![2.0, 1.5, 0.0, 0.0, 9.5, 6.0], vec![0, 1]));
        assert_eq!(head.select(&[2, 0]).predict(&rows), (vec![0.0, 2.0, 6.0, 0.0], vec![1, 0]));
        assert_eq!(head.select(&[2, 0]).classes(), 2);
    }
}
