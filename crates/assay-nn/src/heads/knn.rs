//! Weighted nearest neighbours, as in the evaluation of DINO (Caron et al. 2021, `eval_knn.py`; after Wu et al. 2018).

use burn::tensor::Device;
use rayon::prelude::*;

use super::{matrix, normalise_rows};

/// Rows of the test set that are compared with the whole training set at a time.
const CHUNK: usize = 256;

/// Votes for each test row.
#[derive(Clone, Debug, PartialEq)]
pub struct KnnVotes {
    /// N × K sums of votes.
    pub votes: Vec<f32>,
    /// N classes with the most votes, found before votes are rounded.
    pub predicted: Vec<u32>,
}

/// Predicted class of each test row, see [`knn_votes`].
///
/// # Panics
/// When `k` is greater than the number of training rows.
pub fn knn_predictions(
    train: &[f32],
    labels: &[u32],
    test: &[f32],
    dim: usize,
    rule: (usize, f64),
    device: &Device,
) -> Vec<u32> {
    let classes = labels.iter().max().map_or(0, |m| *m as usize + 1);
    knn_votes((train, labels), test, (dim, classes), rule, device).predicted
}

/// Votes for each test row: the `k` training rows with the greatest cosine vote for their class, each with weight
/// exp(cosine / `temperature`). Equal cosines count in the order of the training rows; equal votes go to the lower class.
///
/// # Panics
/// When `k` is greater than the number of training rows.
pub fn knn_votes(
    (train, labels): (&[f32], &[u32]),
    test: &[f32],
    (dim, classes): (usize, usize),
    (k, temperature): (usize, f64),
    device: &Device,
) -> KnnVotes {
    assert!((1..=labels.len()).contains(&k), "k is between 1 and the number of training rows");
    let (mut train, mut test) = (train.to_vec(), test.to_vec());
    normalise_rows(&mut train, dim);
    normalise_rows(&mut test, dim);
    let bank = matrix(&train, dim, device).transpose();
    let mut all = KnnVotes { votes: Vec::new(), predicted: Vec::with_capacity(test.len() / dim) };
    for chunk in test.chunks(CHUNK * dim) {
        let similarities: Vec<f32> =
            matrix(chunk, dim, device).matmul(bank.clone()).into_data().iter::<f32>().collect();
        let rows = similarities.par_chunks(labels.len()).map(|row| vote(row, labels, classes, k, temperature));
        for votes in rows.collect::<Vec<Vec<f64>>>() {
            let better = |best: usize, class: usize| if votes[class] > votes[best] { class } else { best };
            all.predicted.push((0..classes).fold(0, better) as u32);
            all.votes.extend(votes.iter().map(|v| *v as f32));
        }
    }
    all
}

fn vote(similarities: &[f32], labels: &[u32], classes: usize, k: usize, temperature: f64) -> Vec<f64> {
    let mut order: Vec<u32> = (0..similarities.len() as u32).collect();
    let closer = |a: &u32, b: &u32| similarities[*b as usize].total_cmp(&similarities[*a as usize]).then(a.cmp(b));
    if k < order.len() {
        order.select_nth_unstable_by(k - 1, closer);
        order.truncate(k);
    }
    // Summed in one order, whatever the filter left.
    order.sort_unstable_by(closer);
    let similarity = |i: u32| f64::from(similarities[i as usize]);
    let nearest = similarity(order[0]);
    let mut votes = vec![0.0f64; classes];
    for i in order {
        // Relative to the nearest, whose vote is 1: a low temperature leaves no vote that is infinite.
        votes[labels[i as usize] as usize] += libm::exp((similarity(i) - nearest) / temperature);
    }
    votes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{DeviceChoice, open};

    #[test]
    fn by_hand() {
        let device = open(DeviceChoice::Cpu).unwrap().device;
        let train = [1.0, 0.0, 0.0, 1.0, 1.0, 1.0f32];
        let predict = |query: [f32; 2], k, temperature| {
            knn_predictions(&train, &[0, 1, 1], &query, 2, (k, temperature), &device)[0]
        };
        assert_eq!(predict([2.0, 0.1], 1, 0.07), 0);
        assert_eq!(predict([2.0, 0.1], 3, 0.07), 0);
        // A high temperature makes all votes alike: two against one.
        assert_eq!(predict([2.0, 0.1], 3, 100.0), 1);
        assert_eq!(predict([0.0, 1.0], 2, 0.07), 1);
        // Near zero, the nearest decides; beyond all bounds, the number of neighbours does. The length changes nothing.
        for (temperature, expected) in [(1e-300, 0), (1e-4, 0), (1e300, 1)] {
            for length in [1e-30, 1e30] {
                assert_eq!(predict([2.0 * length, 0.1 * length], 3, temperature), expected, "{temperature:e}");
            }
        }
        // A row of zeros is as far from everything as everything else: the votes are one against two.
        assert_eq!(predict([0.0, 0.0], 3, 1e-3), 1);
    }
}
