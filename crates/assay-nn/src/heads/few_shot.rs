//! Few-shot classification of cached features.
//!
//! All that an episode needs are inner products between its images. Where there are many episodes, the inner products of all
//! images are computed once, as one matrix product; an episode then only looks numbers up.

use assay_stats::accuracy;
use burn::tensor::Device;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{matrix, normalise_rows};

/// Rule that classifies a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FewShotClassifier {
    /// The class whose support images have the closest mean of features (Snell et al. 2017).
    #[default]
    NearestMean,
    /// The class of the closest single support image.
    NearestSupport,
}

/// Distance between two rows of features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FewShotDistance {
    /// Squared Euclidean distance.
    #[default]
    Euclidean,
    /// Cosine of the angle between them; a larger one is closer.
    Cosine,
}

/// Classification of an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FewShotRule {
    /// Rule that classifies a query.
    pub classifier: FewShotClassifier,
    /// Distance between a query and what it is compared with.
    pub distance: FewShotDistance,
    /// Scaling of every row of features to length 1, before all else.
    pub normalize: bool,
}

/// Episodes of one shape, as rows of a feature matrix.
#[derive(Clone, Copy, Debug)]
pub struct Episodes<'a> {
    /// Classes in an episode.
    pub ways: usize,
    /// Support images of each class.
    pub shots: usize,
    /// episodes × ways × shots rows.
    pub support: &'a [u32],
    /// episodes × queries rows.
    pub queries: &'a [u32],
    /// The right way of each query.
    pub query_ways: &'a [u32],
}

/// Above this many images the matrix of all inner products would take more than a gigabyte.
const MAX_IMAGES: usize = 16_384;

/// Accuracy of each episode. `features` is N × `dim`; ties go to the first way.
///
/// # Panics
/// When a row is outside of `features`, or the lengths do not fit.
pub fn few_shot_accuracies(
    features: &[f32],
    dim: usize,
    episodes: Episodes<'_>,
    rule: FewShotRule,
    device: &Device,
) -> Vec<f64> {
    let episode_count = episodes.support.len() / (episodes.ways * episodes.shots);
    if episode_count == 0 {
        return Vec::new();
    }
    let (used, rows) = compact(features, dim, episodes);
    let remapped = Remapped::new(episodes, &rows);
    let mut used = used;
    if rule.normalize {
        normalise_rows(&mut used, dim);
    }
    if rule.distance == FewShotDistance::Euclidean {
        // Distances do not change, and inner products of centred features cancel less.
        center(&mut used, dim);
    }
    to_size_one(&mut used);
    let count = used.len() / dim;
    let each = episodes.ways * episodes.shots + episodes.queries.len() / episode_count;
    let products: Box<dyn Products> = if count <= MAX_IMAGES && count * count <= episode_count * each * each {
        let x = matrix(&used, dim, device);
        let gram = x.clone().matmul(x.transpose()).into_data().iter::<f32>().collect();
        Box::new(Gram { products: gram, count })
    } else {
        Box::new(Rows { features: used, dim })
    };
    let queries_each = episodes.queries.len() / episode_count;
    (0..episode_count)
        .into_par_iter()
        .map(|e| {
            let support = &remapped.support[e * episodes.ways * episodes.shots..][..episodes.ways * episodes.shots];
            let queries = &remapped.queries[e * queries_each..][..queries_each];
            let predicted = products.classify(support, queries, episodes.ways, rule);
            accuracy(&predicted, &episodes.query_ways[e * queries_each..][..queries_each])
        })
        .collect()
}

struct Remapped {
    support: Vec<u32>,
    queries: Vec<u32>,
}

impl Remapped {
    fn new(episodes: Episodes<'_>, rows: &[u32]) -> Self {
        let map = |list: &[u32]| list.iter().map(|i| rows[*i as usize]).collect();
        Self { support: map(episodes.support), queries: map(episodes.queries) }
    }
}

/// The features that some episode uses, and for each row of `features` its row among them.
fn compact(features: &[f32], dim: usize, episodes: Episodes<'_>) -> (Vec<f32>, Vec<u32>) {
    let mut rows = vec![u32::MAX; features.len() / dim];
    episodes.support.iter().chain(episodes.queries).for_each(|i| rows[*i as usize] = 0);
    let mut used = Vec::new();
    for (i, row) in rows.iter_mut().enumerate().filter(|(_, r)| **r == 0) {
        *row = (used.len() / dim) as u32;
        used.extend_from_slice(&features[i * dim..][..dim]);
    }
    (used, rows)
}

fn center(features: &mut [f32], dim: usize) {
    let count = (features.len() / dim) as f64;
    let mut mean = vec![0.0f64; dim];
    for row in features.chunks_exact(dim) {
        mean.iter_mut().zip(row).for_each(|(m, v)| *m += f64::from(*v));
    }
    mean.iter_mut().for_each(|m| *m /= count);
    for row in features.chunks_exact_mut(dim) {
        row.iter_mut().zip(&mean).for_each(|(v, m)| *v = (f64::from(*v) - m) as f32);
    }
}

/// Divides all features by the power of two below the largest: squares of large or small ones leave single precision, and which
/// anchor is the nearest does not depend on the unit.
fn to_size_one(features: &mut [f32]) {
    let largest = features.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    if largest > 0.0 && largest.is_finite() {
        let unit = f64::from_bits(f64::from(largest).to_bits() & f64::INFINITY.to_bits());
        features.iter_mut().for_each(|v| *v = (f64::from(*v) / unit) as f32);
    }
}

/// Inner products of the images of an episode.
trait Products: Sync {
    fn classify(&self, support: &[u32], queries: &[u32], ways: usize, rule: FewShotRule) -> Vec<u32>;
}

/// All inner products, looked up.
struct Gram {
    products: Vec<f32>,
    count: usize,
}

impl Products for Gram {
    fn classify(&self, support: &[u32], queries: &[u32], ways: usize, rule: FewShotRule) -> Vec<u32> {
        let row = |i: u32| &self.products[i as usize * self.count..][..self.count];
        let lengths: Vec<f32> = match rule.classifier {
            FewShotClassifier::NearestSupport => support.iter().map(|s| row(*s)[*s as usize]).collect(),
            FewShotClassifier::NearestMean => support
                .chunks_exact(support.len() / ways)
                .map(|way| {
                    let sum: f32 = way.iter().map(|s| way.iter().map(|t| row(*s)[*t as usize]).sum::<f32>()).sum();
                    sum / (way.len() * way.len()) as f32
                })
                .collect(),
        };
        let mut scores = vec![0.0; lengths.len()];
        let predict = |query: &u32| {
            let products = row(*query);
            match rule.classifier {
                FewShotClassifier::NearestSupport => {
                    scores.iter_mut().zip(support).for_each(|(score, s)| *score = products[*s as usize]);
                }
                FewShotClassifier::NearestMean => {
                    let shots = support.len() / ways;
                    for (score, way) in scores.iter_mut().zip(support.chunks_exact(shots)) {
                        *score = way.iter().map(|s| products[*s as usize]).sum::<f32>() / shots as f32;
                    }
                }
            }
            best_way(&scores, &lengths, ways, rule.distance)
        };
        queries.iter().map(predict).collect()
    }
}

/// The features themselves.
struct Rows {
    features: Vec<f32>,
    dim: usize,
}

impl Products for Rows {
    fn classify(&self, support: &[u32], queries: &[u32], ways: usize, rule: FewShotRule) -> Vec<u32> {
        let row = |i: u32| &self.features[i as usize * self.dim..][..self.dim];
        let anchors: Vec<Vec<f32>> = match rule.classifier {
            FewShotClassifier::NearestSupport => support.iter().map(|s| row(*s).to_vec()).collect(),
            FewShotClassifier::NearestMean => {
                support.chunks_exact(support.len() / ways).map(|way| self.mean(way)).collect()
            }
        };
        let lengths: Vec<f32> = anchors.iter().map(|a| dot(a, a)).collect();
        let predict = |query: &u32| {
            let scores: Vec<f32> = anchors.iter().map(|a| dot(a, row(*query))).collect();
            best_way(&scores, &lengths, ways, rule.distance)
        };
        queries.iter().map(predict).collect()
    }
}

impl Rows {
    fn mean(&self, rows: &[u32]) -> Vec<f32> {
        let mut sum = vec![0.0f32; self.dim];
        for row in rows {
            let row = &self.features[*row as usize * self.dim..][..self.dim];
            sum.iter_mut().zip(row).for_each(|(s, v)| *s += v);
        }
        sum.iter_mut().for_each(|s| *s /= rows.len() as f32);
        sum
    }
}

/// Inner product with sixteen sums, so that it can be done sixteen at a time, in an order that does not depend on the machine.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 16];
    let (a_chunks, b_chunks) = (a.chunks_exact(16), b.chunks_exact(16));
    let rest: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for i in 0..16 {
            sums[i] += x[i] * y[i];
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// The way of the best anchor: least ‖a‖² − 2 q·a, or greatest q·a / ‖a‖; the query's own length changes nothing.
fn best_way(products: &[f32], lengths: &[f32], ways: usize, distance: FewShotDistance) -> u32 {
    let score = |i: usize| match distance {
        FewShotDistance::Euclidean => 2.0 * products[i] - lengths[i],
        FewShotDistance::Cosine if lengths[i] > 0.0 => products[i] / lengths[i].sqrt(),
        FewShotDistance::Cosine => 0.0,
    };
    let mut best = (0, f32::NEG_INFINITY);
    for i in 0..products.len() {
        if score(i) > best.1 {
            best = (i, score(i));
        }
    }
    (best.0 * ways / products.len()) as u32
}

#[cfg(test)]
mod tests {
    use assay_stats::Stream;

    use super::*;
    use crate::device::{DeviceChoice, open};

    const ALL: [FewShotRule; 4] = {
        use FewShotClassifier::{NearestMean, NearestSupport};
        use FewShotDistance::{Cosine, Euclidean};
        [
            FewShotRule { classifier: NearestMean, distance: Euclidean, normalize: false },
            FewShotRule { classifier: NearestMean, distance: Cosine, normalize: false },
            FewShotRule { classifier: NearestSupport, distance: Euclidean, normalize: true },
            FewShotRule { classifier: NearestSupport, distance: Cosine, normalize: false },
        ]
    };

    /// Two classes on the axes; by hand.
    #[test]
    fn by_hand() {
        let device = open(DeviceChoice::Cpu).unwrap().device;
        let features = [1.0, 0.0, 3.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.9, 1.0, 2.0, 0.5f32];
        let episodes = Episodes { ways: 2, shots: 2, support: &[0, 1, 2, 3], queries: &[4, 5], query_ways: &[1, 0] };
        // Means (2, 0) and (0, 1): (0.9, 1) is closer to the second, (2, 0.5) to the first.
        assert_eq!(few_shot_accuracies(&features, 2, episodes, ALL[0], &device), [1.0]);
        let swapped = Episodes { query_ways: &[0, 0], ..episodes };
        assert_eq!(few_shot_accuracies(&features, 2, swapped, ALL[0], &device), [0.5]);
        // Nearest single support of (0.9, 1) by distance: (0, 1) at 0.81, (1, 0) at 1.01.
        let nearest = FewShotRule { normalize: false, ..ALL[2] };
        assert_eq!(few_shot_accuracies(&features, 2, episodes, nearest, &device), [1.0]);
        for unit in [1e-30, 1e30] {
            let scaled = features.map(|v| v * unit);
            let found = ALL.map(|rule| few_shot_accuracies(&scaled, 2, episodes, rule, &device));
            assert_eq!(found, ALL.map(|rule| few_shot_accuracies(&features, 2, episodes, rule, &device)), "{unit:e}");
        }
    }

    #[test]
    fn both_ways_of_computing_agree_with_the_definition() {
        let device = open(DeviceChoice::Cpu).unwrap().device;
        let (count, dim, ways, shots, queries) = (60usize, 19, 4usize, 3usize, 5usize);
        let mut stream = Stream::new("test", &[]);
        let features: Vec<f32> =
            (0..count * dim).map(|i| (stream.normal() + (i / dim % 6) as f64 * 0.4) as f32 + 5.0).collect();
        for episode_count in [2, 40] {
            let draw = |stream: &mut Stream, n: usize| (0..n).map(|_| stream.below(count) as u32).collect::<Vec<_>>();
            let support = draw(&mut stream, episode_count * ways * shots);
            let asked = draw(&mut stream, episode_count * queries);
            let answers: Vec<u32> = (0..episode_count * queries).map(|_| stream.below(ways) as u32).collect();
            let episodes = Episodes { ways, shots, support: &support, queries: &asked, query_ways: &answers };
            for rule in ALL {
                let found = few_shot_accuracies(&features, dim, episodes, rule, &device);
                assert_eq!(found, slow(&features, dim, episodes, rule), "{rule:?} with {episode_count} episodes");
            }
        }
    }

    /// The definition, in f64.
    fn slow(features: &[f32], dim: usize, t: Episodes<'_>, rule: FewShotRule) -> Vec<f64> {
        let length = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
        let row = |i: u32| -> Vec<f64> {
            let v: Vec<f64> = features[i as usize * dim..][..dim].iter().map(|x| f64::from(*x)).collect();
            if rule.normalize { v.iter().map(|x| x / length(&v)).collect() } else { v }
        };
        let episode_count = t.support.len() / (t.ways * t.shots);
        let each = t.queries.len() / episode_count;
        (0..episode_count)
            .map(|e| {
                let mut anchors: Vec<(u32, Vec<f64>)> = Vec::new();
                for (way, list) in t.support[e * t.ways * t.shots..][..t.ways * t.shots].chunks(t.shots).enumerate() {
                    let rows: Vec<Vec<f64>> = list.iter().map(|s| row(*s)).collect();
                    match rule.classifier {
                        FewShotClassifier::NearestSupport => anchors.extend(rows.into_iter().map(|r| (way as u32, r))),
                        FewShotClassifier::NearestMean => {
                            let mean =
                                (0..dim).map(|d| rows.iter().map(|r| r[d]).sum::<f64>() / rows.len() as f64).collect();
                            anchors.push((way as u32, mean));
                        }
                    }
                }
                let right = (e * each..(e + 1) * each).filter(|q| {
                    let query = row(t.queries[*q]);
                    let cost = |a: &[f64]| match rule.distance {
                        FewShotDistance::Euclidean => a.iter().zip(&query).map(|(x, y)| (x - y) * (x - y)).sum::<f64>(),
                        FewShotDistance::Cosine => -a.iter().zip(&query).map(|(x, y)| x * y).sum::<f64>() / length(a),
                    };
                    let best = anchors.iter().min_by(|a, b| cost(&a.1).total_cmp(&cost(&b.1))).unwrap();
                    best.0 == t.query_ways[*q]
                });
                right.count() as f64 / each as f64
            })
            .collect()
    }
}
