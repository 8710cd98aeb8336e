//! Every artifact of the crate is written and read back; what is damaged is not read.

use std::collections::BTreeMap;
use std::fmt::Debug;

use assay_data::{Episodes, Presence};
use assay_engine::{Artifact, ArtifactFiles, Json};
use assay_nn::{Dtype, RawTensor};
use assay_probe::Linear;
use assay_stats::metrics::{METRICS, MetricId};
use proptest::collection::vec;
use proptest::num::{f32, f64};
use proptest::option;
use proptest::prelude::*;

use super::few_shot::EpisodeList;
use super::finetune::{Chosen, Trial};
use super::linear::{Candidates, Choice, FittedProbe};
use crate::outside::Labels;
use crate::results::{
    Confusion, Evaluation, Exhibit, GridCurve, GridPoint, Interval, IntervalMethod, Items, Measure, PerItem,
    Predictions, ScoreKind, SolverReport,
};
use crate::steps::{Features, WeightsArtifact};

/// The files of an artifact.
fn files_of<T: Artifact>(value: &T) -> BTreeMap<String, Vec<u8>> {
    let mut files = ArtifactFiles::default();
    value.write(&mut files).unwrap();
    files.names().map(|name| (name.to_owned(), files.get(name).unwrap().into_owned())).collect()
}

fn read<T: Artifact>(files: &BTreeMap<String, Vec<u8>>) -> anyhow::Result<T> {
    let mut all = ArtifactFiles::default();
    for (name, bytes) in files {
        all.put(name.clone(), bytes.clone()).unwrap();
    }
    T::read(&all)
}

/// Writes a value and reads it back; then reads it with each of its files cut in half, and without each.
fn round_trip<T: Artifact + PartialEq + Debug>(value: T) {
    let files = files_of(&value);
    assert_eq!(read::<T>(&files).unwrap(), value);
    assert_eq!(files_of(&read::<T>(&files).unwrap()), files, "the same value has the same bytes");
    for name in files.keys() {
        let mut damaged = files.clone();
        let bytes = damaged.get_mut(name).unwrap();
        bytes.truncate(bytes.len() / 2);
        assert!(read::<T>(&damaged).is_err(), "half of {name} is read");
        damaged.remove(name);
        assert!(read::<T>(&damaged).is_err(), "{name} is not missed");
    }
}

fn finite() -> impl Strategy<Value = f64> {
    f64::NORMAL | f64::SUBNORMAL | f64::ZERO
}

fn float() -> impl Strategy<Value = f32> {
    f32::NORMAL | f32::SUBNORMAL | f32::ZERO
}

fn metric() -> impl Strategy<Value = MetricId> {
    (0..METRICS.len()).prop_map(|i| MetricId::of(METRICS[i].id))
}

fn items() -> impl Strategy<Value = Items> {
    proptest::sample::select(vec![Items::Images, Items::Episodes, Items::Classes, Items::Pixels, Items::Objects])
}

fn measure() -> impl Strategy<Value = Measure> {
    let method = prop_oneof![Just(IntervalMethod::Normal), Just(IntervalMethod::Bootstrap)];
    let interval = (finite(), finite(), finite(), method);
    let interval = interval.prop_map(|(low, high, half_width, method)| Interval { low, high, half_width, method });
    (metric(), finite(), option::of(interval), items(), 0..1_000_000usize)
        .prop_map(|(metric, value, interval, over, count)| Measure { metric, value, interval, over, count })
}

fn per_item() -> impl Strategy<Value = PerItem> {
    (items(), vec((any::<[u8; 32]>(), finite()), 0..6)).prop_map(|(over, items)| {
        let (digests, values) = items.into_iter().unzip();
        PerItem { over, digests, values }
    })
}

fn solver() -> impl Strategy<Value = SolverReport> {
    (finite(), finite(), any::<u32>(), any::<bool>()).prop_map(|(objective, gradient_norm, iterations, converged)| {
        SolverReport { objective, gradient_norm, iterations, converged }
    })
}

fn linear() -> impl Strategy<Value = Linear> {
    (1..4usize, 1..4usize).prop_flat_map(|(k, d)| {
        (vec(finite(), k * d), vec(finite(), k)).prop_map(|(weight, bias)| Linear { weight, bias })
    })
}

fn curve() -> impl Strategy<Value = GridCurve> {
    let point = (option::of(finite()), finite(), option::of(solver()));
    let point = point.prop_map(|(value, score, solver)| GridPoint { value, score, solver });
    ("[a-zA-Z]{0,8}", metric(), vec(point, 0..5)).prop_map(|(parameter, metric, points)| GridCurve {
        parameter,
        metric,
        points,
    })
}

fn labels(n: usize, k: usize) -> impl Strategy<Value = Labels> {
    let shown = proptest::sample::select(vec![Presence::Absent, Presence::Difficult, Presence::Present]);
    prop_oneof![vec(0..k as u32, n).prop_map(Labels::Classes), vec(shown, n * k).prop_map(Labels::MultiLabel)]
}

fn predictions() -> impl Strategy<Value = Predictions> {
    (1..5usize, 1..4usize).prop_flat_map(|(n, k)| {
        let kind = prop_oneof![Just(ScoreKind::Logits), Just(ScoreKind::Votes)];
        let predicted = option::of(vec(0..k as u32, n));
        (vec(any::<[u8; 32]>(), n), labels(n, k), vec(any::<u32>(), k), kind, vec(float(), n * k), predicted).prop_map(
            |(images, labels, classes, kind, scores, predicted)| Predictions {
                images,
                labels,
                classes,
                kind,
                scores,
                predicted,
            },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn evaluations(
        measures in vec(measure(), 1..4),
        per_item in option::of(per_item()),
        curve in option::of(curve()),
        predictions in option::of(predictions()),
        counts in option::of(vec(vec(any::<u64>(), 2), 2)),
    ) {
        let counts = counts.map(|counts| Exhibit::Confusion(Confusion { classes: vec![1, 5], counts }));
        let exhibits = [curve.map(Exhibit::GridCurve), predictions.map(Exhibit::Predictions), counts];
        let headline = measures.last().unwrap().metric;
        round_trip(Evaluation::new(headline, measures, per_item, exhibits.into_iter().flatten().collect()).unwrap());
    }

    #[test]
    fn candidates(curve in curve(), temperature in option::of(finite()), last in option::of(linear())) {
        round_trip(Candidates { curve, temperature, last });
    }

    #[test]
    fn choices(value in option::of(finite()), temperature in option::of(finite())) {
        round_trip(Json(Choice { value, temperature }));
    }

    #[test]
    fn chosen_trials(index in any::<usize>(), temperature in option::of(finite())) {
        round_trip(Json(Chosen { index, temperature }));
    }

    #[test]
    fn trials(
        (score, temperature) in (option::of(finite()), option::of(finite())),
        diverged_at in option::of(any::<u32>()),
        losses in vec(float(), 0..5),
    ) {
        round_trip(Json(Trial { score, diverged_at, temperature, losses }));
    }

    #[test]
    fn fitted_probes(linear in linear(), solver in option::of(solver())) {
        round_trip(FittedProbe { linear, solver });
    }

    #[test]
    fn episodes(
        (ways, shots, support, (queries, query_ways)) in (1..4usize, 1..4usize, 0..4usize, 1..5usize).prop_flat_map(
            |(ways, shots, episodes, queries)| {
                let asked = (vec(any::<u32>(), episodes * queries), vec(0..ways as u32, episodes * queries));
                (Just(ways), Just(shots), vec(any::<u32>(), episodes * ways * shots), asked)
            }
        ),
    ) {
        round_trip(EpisodeList(Episodes { ways, shots, support, queries, query_ways }));
    }

    #[test]
    fn features((dim, digests, values) in (0..6usize, 1..5usize).prop_flat_map(|(n, dim)| {
        (Just(dim), vec(any::<[u8; 32]>(), n), vec(float(), n * dim))
    })) {
        round_trip(Features { digests, values, dim });
    }

    #[test]
    fn trained_weights(
        tensors in proptest::collection::btree_map("[a-z0-9.]{1,12}", vec(float(), 0..5), 0..4),
        losses in vec(float(), 0..5),
    ) {
        let tensor = |values: Vec<f32>| {
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            RawTensor { dtype: Dtype::F32, shape: vec![values.len()], bytes }
        };
        let tensors = tensors.into_iter().map(|(name, values)| (name, tensor(values))).collect();
        round_trip(WeightsArtifact { tensors, losses });
    }
}

#[test]
fn an_evaluation_is_made_of_numbers_and_has_its_headline() {
    let (top1, accuracy) = (MetricId::of("top1"), MetricId::of("accuracy"));
    let measure = |metric, value| Measure::new(metric, value, Items::Images, 3);
    let message = |headline, measures, values: &[f64]| {
        let digests = vec![[0; 32]; 2];
        let items = PerItem { over: Items::Images, digests, values: values.to_vec() };
        Evaluation::new(headline, measures, Some(items), Vec::new()).unwrap_err().to_string()
    };
    let missing = message(accuracy, vec![measure(top1, 0.5)], &[1.0, 0.0]);
    assert_eq!(missing, "the headline accuracy is not among the measures");
    assert!(message(top1, vec![measure(top1, f64::NAN)], &[1.0, 0.0]).starts_with("top1 is not a finite number (NaN)"));
    assert_eq!(message(top1, vec![measure(top1, 0.5)], &[1.0]), "every item has one value");
    let infinite = message(top1, vec![measure(top1, 0.5)], &[1.0, f64::INFINITY]);
    assert_eq!(infinite, "top1 of an item is not a finite number");
    let measures = vec![measure(accuracy, 0.25), measure(top1, 0.5), measure(MetricId::of("nll"), 1.5)];
    let sorted = Evaluation::new(top1, measures, None, Vec::new()).unwrap();
    let order: Vec<_> = sorted.summary.measures.iter().map(|m| m.metric.id()).collect();
    assert_eq!(order, ["top1", "accuracy", "nll"], "the headline comes first, the others stay in order");
    assert_eq!(sorted.summary.headline().value, 0.5);
}

#[test]
fn predictions_are_judged_image_by_image() {
    let of = |images: Vec<[u8; 32]>, predicted: &[u32], truth: &[u32]| {
        Evaluation::of_predictions(Predictions {
            scores: vec![0.0; 3 * images.len()],
            images,
            labels: Labels::Classes(truth.to_vec()),
            classes: vec![0, 1, 2],
            kind: ScoreKind::Votes,
            predicted: Some(predicted.to_vec()),
        })
    };
    let evaluation = of(vec![[1; 32], [2; 32], [3; 32], [4; 32]], &[0, 1, 2, 0], &[0, 1, 1, 2]);
    let Evaluation { summary, per_item, exhibits } = evaluation.unwrap();
    assert_eq!(per_item.unwrap().values, [1.0, 1.0, 0.0, 0.0]);
    let Measure { value, count, interval, .. } = summary.headline();
    // 1.96 σ / √n with σ = 1/2 and n = 4.
    assert_eq!((*value, *count, interval.unwrap().half_width), (0.5, 4, 0.49));
    assert!(matches!(exhibits[..], [Exhibit::Predictions(_)]));
    assert!(of(Vec::new(), &[], &[]).is_err());
}

#[test]
fn items_have_names_that_tell_them_apart() {
    assert_ne!(PerItem::class_digest(0), PerItem::class_digest(1));
    let (a, b) = ([1; 32], [2; 32]);
    let episode = |support: &[[u8; 32]], queries: &[([u8; 32], u32)]| {
        PerItem::episode_digest(support, queries.iter().map(|(image, way)| (image, *way)))
    };
    let names = [
        episode(&[a], &[(b, 0)]),
        episode(&[b], &[(a, 0)]),
        episode(&[a], &[(b, 1)]),
        episode(&[a, b], &[]),
        episode(&[b, a], &[]),
    ];
    let distinct: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!((distinct.len(), episode(&[a], &[(b, 0)])), (5, names[0]));
}
