//! Cosines of features and class embeddings.

use assay_engine::{Content, Context, Output, Step};
use serde::Serialize;

use crate::outside::{ClassEmbeddings, LabelledImages};
use crate::results::{CalibrationRule, Evaluation, Resampling, evaluate_logits};
use crate::spec::Metric;
use crate::steps::{FeatureTable, Features, LabStep, Runtime, WrittenIn};

/// Classifies by the class embedding with the greatest cosine.
#[derive(Serialize)]
pub struct ScoreZeroShot {
    /// Features of the images.
    pub features: Vec<Output<Features>>,
    /// Images to classify; their classes are all those of the dataset.
    pub images: Content<LabelledImages>,
    /// Embeddings of the classes, in their order.
    pub embeddings: Content<ClassEmbeddings>,
    /// Factor of cosines in logits.
    pub logit_scale: f64,
    /// Metric that is reported first.
    pub metric: Metric,
    /// Resampling that the intervals come from.
    pub resampling: Resampling,
}

impl LabStep for ScoreZeroShot {
    const WRITTEN_IN: &'static [(&'static str, WrittenIn)] =
        &[("/images", WrittenIn::Dataset), ("/metric", WrittenIn::Task)];
}

impl Step<Runtime> for ScoreZeroShot {
    const KIND: &'static str = "zero-shot";
    const VERSION: u32 = 1;
    type Output = Evaluation;

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Evaluation> {
        let (images, embeddings) = (self.images.value(), self.embeddings.value());
        let table = FeatureTable::rows(context, &self.features, images)?;
        anyhow::ensure!(
            table.dim == embeddings.dim,
            "features have {} numbers and class embeddings {}: they are not in one space",
            table.dim,
            embeddings.dim
        );
        let logits = logits(&table.values, &embeddings.values, table.dim, self.logit_scale);
        let rule = (None, CalibrationRule::default());
        evaluate_logits(images, &logits, self.metric, rule, self.resampling, Vec::new())
    }
}

/// N × K cosines of N rows and K embeddings, times `scale`; of a row of zeros, all are 0.
fn logits(rows: &[f32], embeddings: &[f32], dim: usize, scale: f64) -> Vec<f64> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let length = |row: &[f32]| dot(row, row).sqrt();
    let classes: Vec<(&[f32], f64)> = embeddings.chunks_exact(dim).map(|class| (class, length(class))).collect();
    let cosines = |row: &[f32]| -> Vec<f64> {
        let own = length(row);
        let cosine = |(class, length): &(&[f32], f64)| {
            let both = own * length;
            if both > 0.0 { scale * dot(row, class) / both } else { 0.0 }
        };
        classes.iter().map(cosine).collect()
    };
    rows.chunks_exact(dim).flat_map(cosines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logits_are_cosines() {
        // As torch.nn.functional.cosine_similarity has them, times 10.
        let rows = [3.0, 4.0, 0.0, -2.0, 0.0, 0.0];
        let found = logits(&rows, &[1.0, 0.0, 5.0, 5.0, 0.0, 1e-3], 2, 10.0);
        let half = 10.0 * 0.5f64.sqrt();
        let expected = [6.0, 9.899_495, 8.0, 0.0, -half, -10.0, 0.0, 0.0, 0.0];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?}");
    }
}
