//! Few-shot episodes per second from cached features: 2048-d, 10,000 images, 5-way 5-shot 15-query.
//!
//! Beside it, the usual way: gather the episode's rows, average, subtract, square and add, one episode after the other.

#![allow(clippy::print_stdout, missing_docs)]

use std::time::Instant;

use assay_nn::device::{DeviceChoice, open};
use assay_nn::{Episodes, FewShotClassifier, FewShotDistance, FewShotRule, few_shot_accuracies};
use assay_stats::Stream;

const IMAGES: usize = 10_000;
const DIM: usize = 2048;
const WAYS: usize = 5;
const SHOTS: usize = 5;
const QUERIES: usize = 75;
const RULE: FewShotRule =
    FewShotRule { classifier: FewShotClassifier::NearestMean, distance: FewShotDistance::Euclidean, normalize: false };

struct Drawn {
    support: Vec<u32>,
    queries: Vec<u32>,
    ways: Vec<u32>,
}

fn draw(episodes: usize) -> Drawn {
    let mut stream = Stream::new("bench", &[episodes as u64]);
    let mut indices = |n: usize| (0..n).map(|_| stream.below(IMAGES) as u32).collect();
    let (support, queries) = (indices(episodes * WAYS * SHOTS), indices(episodes * QUERIES));
    Drawn { support, queries, ways: (0..episodes * QUERIES).map(|i| (i % QUERIES / 15) as u32).collect() }
}

impl Drawn {
    fn episodes(&self) -> Episodes<'_> {
        Episodes { ways: WAYS, shots: SHOTS, support: &self.support, queries: &self.queries, query_ways: &self.ways }
    }
}

fn main() {
    let mut stream = Stream::new("features", &[]);
    let features: Vec<f32> = (0..IMAGES * DIM).map(|_| stream.unit() as f32).collect();
    let device = open(DeviceChoice::Cpu).expect("the CPU is compiled in").device;
    let time = |drawn: &Drawn| {
        let start = Instant::now();
        let accuracies = few_shot_accuracies(&features, DIM, drawn.episodes(), RULE, &device);
        (start.elapsed().as_secs_f64(), accuracies)
    };
    let (few, many) = (draw(40_000), draw(240_000));
    time(&draw(1));
    let (short, _) = time(&few);
    let (long, _) = time(&many);
    let each = (long - short) / 200_000.0;
    println!("few-shot, {DIM}-d, {IMAGES} images, {WAYS}-way {SHOTS}-shot 15-query");
    println!(
        "  assay           {:>9.0} episodes/s, after {:.2} s of set-up (all inner products)",
        1.0 / each,
        short - 40_000.0 * each
    );
    let small = draw(600);
    let (seconds, ours) = time(&small);
    println!("  assay, 600      {:>9.0} episodes/s, set-up included", 600.0 / seconds);
    let start = Instant::now();
    let theirs: Vec<f64> = (0..600).map(|e| usual(&features, &small, e)).collect();
    let usual_rate = 600.0 / start.elapsed().as_secs_f64();
    println!(
        "  the usual way   {usual_rate:>9.0} episodes/s on one thread; assay is {:.0} times as fast",
        1.0 / each / usual_rate
    );
    let worst = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    println!("  largest difference of an episode's accuracy: {worst}");
}

/// One episode as a loop over its rows.
fn usual(features: &[f32], drawn: &Drawn, episode: usize) -> f64 {
    let row = |i: u32| &features[i as usize * DIM..][..DIM];
    let support = &drawn.support[episode * WAYS * SHOTS..][..WAYS * SHOTS];
    let means: Vec<Vec<f32>> = support
        .chunks(SHOTS)
        .map(|way| (0..DIM).map(|d| way.iter().map(|s| row(*s)[d]).sum::<f32>() / SHOTS as f32).collect())
        .collect();
    let range = episode * QUERIES..(episode + 1) * QUERIES;
    let right = range.clone().filter(|q| {
        let query = row(drawn.queries[*q]);
        let distance = |mean: &Vec<f32>| mean.iter().zip(query).map(|(m, x)| (m - x) * (m - x)).sum::<f32>();
        let best = means.iter().enumerate().map(|(w, m)| (distance(m), w)).min_by(|a, b| a.0.total_cmp(&b.0));
        best.is_some_and(|(_, way)| way as u32 == drawn.ways[*q])
    });
    right.count() as f64 / range.len() as f64
}
