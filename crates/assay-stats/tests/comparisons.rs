//! Tests, intervals and correlations against scipy, statsmodels, scikit-posthocs and baycomp
//! (`tests/reference/comparisons.py`).

#![allow(clippy::unwrap_used)]

use assay_stats::compare::{benjamini_hochberg, holm, mcnemar, paired_bootstrap, paired_t, sign_flips};
use assay_stats::correlate::{
    Correlation, bca_interval, compare_dependent, fisher_interval, kendall, logit, pearson, pearson_p, spearman,
    weighted_tau,
};
use assay_stats::distributions::{
    beta_cdf, chi_squared_upper, f_upper, normal_cdf, normal_quantile, studentised_range_upper, t_quantile, t_two_sided,
};
use assay_stats::metrics::stratified_bootstrap;
use assay_stats::rank::{
    SignedRankRule, bayesian_signed_rank, critical_difference, friedman, groups, nemenyi, ranks, signed_rank,
    signed_rank_pairs, signed_rank_pairs_cannot_reject,
};
use assay_stats::{clopper_pearson, normal_interval, over_seeds, t_interval, wilson};
use serde_json::Value;

fn reference() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference/comparisons.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect()
}

/// Within `relative` of the expected, or both not numbers.
#[track_caller]
fn close(found: f64, expected: f64, relative: f64, what: &str) {
    let same = (found.is_nan() && expected.is_nan())
        || found == expected
        || (found - expected).abs() <= relative * expected.abs() + 1e-16;
    assert!(same, "{what}: {found:e} where {expected:e} was expected");
}

#[test]
fn distributions_are_scipys() {
    type Function = fn(&[f64]) -> f64;
    let json = &reference()["distributions"];
    let functions: [(&str, Function, f64); 8] = [
        ("normal_cdf", |a| normal_cdf(a[0]), 1e-12),
        ("normal_quantile", |a| normal_quantile(a[0]), 1e-11),
        ("t", |a| t_two_sided(a[0], a[1]), 1e-10),
        // Near the middle scipy has nine digits: 2.66666671037e-4 where the series gives 2.66666670617e-4.
        ("t_quantile", |a| t_quantile(a[0], a[1]), 2e-9),
        ("f", |a| f_upper(a[0], a[1], a[2]), 1e-10),
        ("chi2", |a| chi_squared_upper(a[0], a[1]), 1e-10),
        ("beta", |a| beta_cdf(a[0], a[1], a[2]), 1e-10),
        ("studentised_range", |a| studentised_range_upper(a[0], a[1] as usize), 1e-6),
    ];
    for (name, function, tolerance) in functions {
        for row in json[name].as_array().unwrap().iter().map(floats) {
            let (expected, arguments) = row.split_last().unwrap();
            close(function(arguments), *expected, tolerance, &format!("{name} {arguments:?}"));
        }
    }
}

#[test]
fn intervals_are_those_of_statsmodels_and_scipy() {
    let json = reference();
    for row in json["intervals"].as_array().unwrap().iter().map(floats) {
        let (right, all) = (row[0] as u64, row[1] as u64);
        for (bounds, at) in [(wilson(right, all, row[2]), 3), (clopper_pearson(right, all, row[2]), 5)] {
            for (found, expected) in [(bounds.low, row[at]), (bounds.high, row[at + 1])] {
                assert!((found - expected).abs() < 1e-10, "{right} of {all}: {found} and not {expected}");
            }
        }
    }
    assert_eq!((wilson(0, 0, 0.95).low, wilson(0, 0, 0.95).high), (0.0, 1.0));
    let means = &json["means"];
    let values = floats(&means["values"]);
    for (name, (_, bounds)) in [("t", t_interval(&values, 0.95)), ("normal", normal_interval(&values, 0.95))] {
        let expected = floats(&means[name]);
        close(bounds.low, expected[0], 1e-12, name);
        close(bounds.high, expected[1], 1e-12, name);
    }
    assert!(t_interval(&[1.0], 0.95).1.low.is_nan());
    // Three seeds of two items, by hand: means 1, 2, 4; variances of means 1, 0, 0.25.
    let seeds = over_seeds(&[vec![0.0, 2.0], vec![2.0, 2.0], vec![3.5, 4.5]], 0.95);
    close(seeds.mean, 7.0 / 3.0, 1e-14, "mean");
    close(seeds.within, 1.25 / 3.0, 1e-14, "within");
    close(seeds.between, 7.0 / 3.0 - 1.25 / 3.0, 1e-13, "between");
    close(seeds.bounds.high, t_interval(&[1.0, 2.0, 4.0], 0.95).1.high, 1e-14, "bounds");
}

#[test]
fn a_stratified_bootstrap_holds_class_sizes() {
    let strata: Vec<u32> = (0..400).map(|i| u32::from(i % 8 == 0)).collect();
    let right: Vec<bool> = (0..400).map(|i| i % 3 != 0).collect();
    let of_class = |counts: &[u32], class: u32, only_right: bool| -> f64 {
        let kept = |i: &usize| strata[*i] == class && (right[*i] || !only_right);
        (0..400).filter(kept).map(|i| f64::from(counts[i])).sum()
    };
    let mean =
        |counts: &[u32]| (0..2).map(|k| of_class(counts, k, true) / of_class(counts, k, false)).sum::<f64>() / 2.0;
    let sizes = |counts: &[u32]| of_class(counts, 1, false);
    let found = stratified_bootstrap(&strata, 4000, 0, &[&mean, &sizes]);
    assert_eq!((found[1].low, found[1].high), (50.0, 50.0));
    // se² = K⁻² Σ p (1 − p) / n.
    let once = vec![1; 400];
    let part = |k: u32| {
        let (n, p) = (of_class(&once, k, false), of_class(&once, k, true) / of_class(&once, k, false));
        p * (1.0 - p) / n
    };
    let half = 1.96 * (part(0) + part(1)).sqrt() / 2.0;
    assert!((found[0].high - found[0].low - 2.0 * half).abs() < 0.1 * half, "{found:?} {half}");
}

#[test]
fn paired_tests_are_those_of_statsmodels_and_scipy() {
    let json = reference();
    for row in json["mcnemar"].as_array().unwrap().iter().map(floats) {
        let found = mcnemar(row[0] as u64, row[1] as u64, 20_000);
        close(found.exact, row[2], 1e-9, &format!("exact {row:?}"));
        close(found.mid, row[3], 1e-9, &format!("mid-p {row:?}"));
        close(found.difference, (row[0] - row[1]) / 20_000.0, 1e-12, "difference");
    }
    let paired = &json["paired"];
    let (first, second) = (floats(&paired["first"]), floats(&paired["second"]));
    let found = paired_t(&first, &second);
    close(found.p, paired["t"].as_f64().unwrap(), 1e-10, "t");
    close(found.bounds.low, floats(&paired["interval"])[0], 1e-10, "interval");
    let small = floats(&paired["small"]);
    close(sign_flips(&small, &[0.0; 9], 0, 0), paired["sign_flips"].as_f64().unwrap(), 1e-12, "sign flips");
    // What is drawn comes near to what is counted, and to Student's.
    let (drawn, t) = (sign_flips(&first, &second, 20_000, 0), found.p);
    assert!((drawn - t).abs() < 0.02, "{drawn} {t}");
    assert_eq!((paired_t(&[1.0, 2.0], &[1.0, 2.0]).p, paired_t(&[1.0, 2.0], &[0.5, 1.5]).p), (1.0, 0.0));
    assert_eq!(sign_flips(&[0.3; 4], &[0.3; 4], 0, 0), 1.0);
    // A bootstrap of means is near to Student's interval.
    let mean =
        |values: &[f64], counts: &[u32]| values.iter().zip(counts).map(|(v, c)| v * f64::from(*c)).sum::<f64>() / 40.0;
    let drawn = paired_bootstrap(40, 5000, 0, &|c| mean(&first, c), &|c| mean(&second, c));
    assert!((drawn.p - t).abs() < 0.05 && (drawn.bounds.low - found.bounds.low).abs() < 0.004, "{drawn:?} {found:?}");
    assert_eq!(paired_bootstrap(40, 100, 0, &|c| mean(&first, c), &|c| mean(&first, c)).p, 1.0);
}

#[test]
fn families_are_corrected_as_by_statsmodels() {
    for family in reference()["families"].as_array().unwrap() {
        let p = floats(&family["p"]);
        for (name, found) in [("holm", holm(&p)), ("bh", benjamini_hochberg(&p))] {
            for (f, e) in found.iter().zip(floats(&family[name])) {
                close(*f, e, 1e-12, name);
            }
        }
    }
    assert!(holm(&[]).is_empty() && benjamini_hochberg(&[]).is_empty());
}

#[test]
fn many_models_are_compared_as_by_scipy_and_scikit_posthocs() {
    for case in reference()["tables"].as_array().unwrap() {
        let (table, k) = (floats(&case["table"]), case["models"].as_u64().unwrap() as usize);
        let n = table.len() / k;
        let found = friedman(&table, k);
        let both = |(a, b): (f64, f64), name: &str, tolerance| {
            close(a, floats(&case[name])[0], tolerance, name);
            close(b, floats(&case[name])[1], tolerance, name);
        };
        both(found.chi_squared, "chi2", 1e-9);
        both(found.f, "F", 1e-9);
        found.mean_ranks.iter().zip(floats(&case["mean_ranks"])).for_each(|(f, e)| close(*f, e, 1e-12, "rank"));
        close(critical_difference(k, n, 0.05), case["cd"].as_f64().unwrap(), 1e-6, "CD");
        let pairs: Vec<(usize, usize)> = (0..k).flat_map(|a| (a + 1..k).map(move |b| (a, b))).collect();
        for (i, (a, b)) in pairs.into_iter().enumerate() {
            let at = |name: &str| floats(&case[name])[i];
            close(nemenyi(found.mean_ranks[a] - found.mean_ranks[b], k, n), at("nemenyi"), 1e-5, "Nemenyi");
            let differences: Vec<f64> = table.chunks_exact(k).map(|row| row[a] - row[b]).collect();
            let p = |rule| signed_rank(&differences, rule).1;
            close(p(SignedRankRule::Exact), at("exact"), 1e-9, &format!("exact {a} {b} {differences:?}"));
            close(p(SignedRankRule::Normal), at("normal"), 1e-9, &format!("normal {a} {b} {differences:?}"));
        }
    }
    assert_eq!(signed_rank(&[0.0, 0.0], SignedRankRule::Exact), (0.0, 1.0));
    assert!(friedman(&[1.0; 6], 3).chi_squared.0.is_nan());
}

#[test]
fn eleven_tasks_and_fourteen_models_can_reject_nothing() {
    assert_eq!(signed_rank(&[1.0; 11], SignedRankRule::Exact).1, 2f64.powi(-10));
    let table: Vec<f64> = (0..11).flat_map(|_| (0..14).map(f64::from)).collect();
    assert!(signed_rank_pairs(&table, 14).iter().all(|(_, p)| *p > 0.05));
    for (models, tasks, cannot) in [(14, 11, true), (14, 12, false), (10, 11, false), (2, 5, true), (2, 6, false)] {
        assert_eq!(signed_rank_pairs_cannot_reject(models, tasks, 0.05), cannot, "{models} {tasks}");
    }
    assert!((critical_difference(14, 11, 0.05) - 5.982_066_539).abs() < 1e-8);
}

#[test]
fn groups_are_the_longest_runs_that_do_not_differ() {
    let apart = |limit: f64, ranks: &'static [f64]| groups(ranks, &move |a, b| (ranks[a] - ranks[b]).abs() > limit);
    assert_eq!(apart(1.5, &[3.0, 1.0, 2.0, 6.0]), [vec![1, 2], vec![2, 0]]);
    assert_eq!(apart(9.0, &[3.0, 1.0, 2.0]), [vec![1, 2, 0]]);
    assert!(apart(0.5, &[3.0, 1.0, 2.0]).is_empty() && apart(0.5, &[]).is_empty());
    assert_eq!(ranks(&[0.2, 0.9, 0.2, 0.1]), [2.5, 1.0, 2.5, 4.0]);
}

#[test]
fn the_bayesian_signed_rank_is_baycomps() {
    let json = reference();
    let case = &json["tables"][1];
    let (table, k) = (floats(&case["table"]), case["models"].as_u64().unwrap() as usize);
    let differences: Vec<f64> = table.chunks_exact(k).map(|row| row[0] - row[6]).collect();
    for (rope, expected) in [0.1, 0.5].iter().zip(json["bayes"].as_array().unwrap().iter().map(floats)) {
        let found = bayesian_signed_rank(&differences, *rope, 20_000, 0);
        for (f, e) in [found.first, found.same, found.second].iter().zip(&expected) {
            assert!((f - e).abs() < 0.015, "{found:?} {expected:?}");
        }
        assert_eq!(found, bayesian_signed_rank(&differences, *rope, 20_000, 0));
    }
}

#[test]
fn correlations_are_scipys() {
    let json = reference();
    for case in json["correlations"].as_array().unwrap() {
        let (x, y) = (floats(&case["x"]), floats(&case["y"]));
        let at = |name: &str| case[name].as_f64().unwrap_or(f64::NAN);
        // scipy warns of a loss of precision where values are tiny; ours does not depend on their size.
        close(pearson(&x, &y), at("pearson"), 1e-10, "Pearson");
        close(spearman(&x, &y), at("spearman"), 1e-12, "Spearman");
        close(kendall(&x, &y), at("kendall"), 1e-12, "Kendall");
        close(weighted_tau(&x, &y), at("weighted"), 1e-12, "weighted");
        if at("pearson").abs() < 0.999_999 {
            close(pearson_p(at("pearson"), x.len()), at("pearson_p"), 1e-8, "p");
            let bounds = fisher_interval(at("pearson"), x.len(), Correlation::Pearson);
            close(bounds.low, floats(&case["fisher"])[0], 1e-9, "Fisher");
            close(bounds.high, floats(&case["fisher"])[1], 1e-9, "Fisher");
        }
    }
    let (x, y) = (floats(&json["correlations"][1]["x"]), floats(&json["correlations"][1]["y"]));
    let (found, expected) = (bca_interval(&x, &y, &pearson, 20_000, 0), floats(&json["bca"]));
    assert!((found.low - expected[0]).abs() < 0.015 && (found.high - expected[1]).abs() < 0.015, "{found:?}");
    assert!(pearson(&[1.0, 1.0, 1.0], &[1.0, 2.0, 3.0]).is_nan() && kendall(&[1.0; 3], &[1.0, 2.0, 3.0]).is_nan());
    assert!(pearson(&[0.1 + 0.2, 0.3, 0.3], &[1.0, 2.0, 3.0]).is_nan(), "what differs by rounding is equal");
    let fisher = fisher_interval(0.606, 14, Correlation::Pearson);
    assert!((fisher.low - 0.11115).abs() < 2e-5 && (fisher.high - 0.86005).abs() < 1e-5, "{fisher:?}");
    assert!(fisher_interval(0.5, 3, Correlation::Pearson).low.is_nan());
    for (share, expected) in [(1.0, 99f64.ln()), (0.0, -99f64.ln())] {
        close(logit(share, Some(50)), expected, 1e-13, "logit");
    }
}

#[test]
fn dependent_correlations_are_compared_by_the_published_formulas() {
    // Steiger (1980), his example: r = .40 and .50 with .10 between, n = 103; t(100) = −0.89 to two digits by Williams.
    let found = compare_dependent(0.4, 0.5, 0.1, 103);
    assert!((found.williams.0 + 0.89).abs() < 0.01, "{found:?}");
    // All three agree that equal correlations do not differ, and are odd in their order.
    let (same, swapped) = (compare_dependent(0.3, 0.3, 0.2, 30), compare_dependent(0.5, 0.4, 0.1, 103));
    assert_eq!((same.williams.1, same.meng.1, same.steiger.1), (1.0, 1.0, 1.0));
    assert_eq!((swapped.meng.0, swapped.steiger.0), (-found.meng.0, -found.steiger.0));
    for p in [found.williams.1, found.meng.1, found.steiger.1] {
        assert!((p - found.williams.1).abs() < 0.01, "{found:?}");
    }
}
