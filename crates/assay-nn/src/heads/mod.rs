//! Heads: what is put on features to judge them.

mod classifier;
mod few_shot;
mod knn;

pub use classifier::Head;
pub use few_shot::{Episodes, FewShotClassifier, FewShotDistance, FewShotRule, few_shot_accuracies};
pub use knn::{KnnVotes, knn_predictions, knn_votes};

use burn::tensor::{Device, Tensor, TensorData};

/// Rows of `features` (N × `dim`) as a tensor.
fn matrix(features: &[f32], dim: usize, device: &Device) -> Tensor<2> {
    let shape = [features.len() / dim, dim];
    Tensor::from_data(TensorData::new(features.to_vec(), shape), device)
}

/// Scales every row to Euclidean length 1; a row of zeros stays.
pub fn normalise_rows(features: &mut [f32], dim: usize) {
    for row in features.chunks_exact_mut(dim) {
        let norm = row.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
        if norm > 0.0 {
            row.iter_mut().for_each(|v| *v = (f64::from(*v) / norm) as f32);
        }
    }
}
