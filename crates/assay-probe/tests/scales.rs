//! Solvers at 17 values of C from 1e-8 to 1e8 and features in 5 units from 1e-6 to 1e6, against exact solutions
//! (`tests/reference/solvers.py`).

#![allow(clippy::unwrap_used)]

use assay_probe::{
    Design, Linear, ProbeError, Solved, Targets, Tolerance, nearest_centroid, solve_grid, solve_lda,
    solve_like_scikit_learn, solve_ridge,
};
use serde_json::Value;

const UNITS: [i32; 5] = [-6, -3, 0, 3, 6];

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

struct Case {
    name: String,
    dim: usize,
    features: Vec<f64>,
    targets: Targets,
    /// Best intercepts without weights.
    alone: Vec<f64>,
    path: Vec<Value>,
}

impl Case {
    fn all() -> Vec<Self> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference/solvers.json");
        let json: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        json.as_array().unwrap().iter().map(Self::of).collect()
    }

    fn of(json: &Value) -> Self {
        let classes = json["classes"].as_u64().unwrap() as usize;
        let (targets, alone) = if json["labels"].is_array() {
            let labels: Vec<u32> = floats(&json["labels"]).iter().map(|v| *v as u32).collect();
            let count = |k: usize| labels.iter().filter(|l| **l as usize == k).count() as f64;
            let logs: Vec<f64> = (0..classes).map(|k| count(k).ln()).collect();
            let mean = logs.iter().sum::<f64>() / classes as f64;
            (Targets::Classes { labels, classes }, logs.iter().map(|l| l - mean).collect())
        } else {
            let marks: Vec<bool> = floats(&json["marks"]).iter().map(|v| *v == 1.0).collect();
            let yes = |k: usize| marks.iter().skip(k).step_by(classes).filter(|m| **m).count() as f64;
            let rows = (marks.len() / classes) as f64;
            let alone = (0..classes).map(|k| (yes(k) / (rows - yes(k))).ln()).collect();
            (Targets::MultiLabel { marks, classes }, alone)
        };
        Self {
            name: json["name"].as_str().unwrap().to_owned(),
            dim: json["dim"].as_u64().unwrap() as usize,
            features: floats(&json["features"]),
            targets,
            alone,
            path: json["path"].as_array().unwrap().clone(),
        }
    }

    fn features(&self, unit: i32) -> Vec<f32> {
        self.features.iter().map(|v| (v * 10f64.powi(unit)) as f32).collect()
    }

    fn grid() -> Vec<f64> {
        (-8..=8).map(|e| 10f64.powi(e)).collect()
    }

    fn exact(&self, c: f64, unit: i32) -> &Value {
        &self.path[(c.log10().round() as i32 + 2 * unit + 20) as usize]
    }

    /// Error of the weights and of what the training rows' logits are beyond the intercepts, each relative to the largest.
    fn errors(&self, linear: &Linear, exact: &Value, unit: i32) -> (f64, f64) {
        let (k, d) = (linear.classes(), self.dim);
        let (weight, change) = (floats(&exact["weight"]), floats(&exact["bias_change"]));
        let size = 10f64.powi(unit);
        let largest = |v: &[f64]| v.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let wrong: Vec<f64> = linear.weight.iter().zip(&weight).map(|(f, e)| f * size - e).collect();
        let (mut beyond, mut beyond_wrong) = (0.0f64, 0.0f64);
        let features = self.features(unit);
        for row in features.chunks_exact(d) {
            for class in 0..k {
                let along = |w: &[f64]| -> f64 { row.iter().zip(w).map(|(x, w)| f64::from(*x) * w).sum() };
                let expected = along(&weight[class * d..][..d]) / size + change[class];
                let found = along(&linear.weight[class * d..][..d]) + (linear.bias[class] - self.alone[class]);
                beyond = beyond.max(expected.abs());
                beyond_wrong = beyond_wrong.max((found - expected).abs());
            }
        }
        (largest(&wrong) / largest(&weight), (beyond_wrong - 1e-15).max(0.0) / beyond)
    }
}

fn solve(case: &Case, unit: i32, grid: &[f64], tolerance: Tolerance) -> Vec<(Linear, Solved)> {
    let design = Design::new(case.features(unit), case.dim).unwrap();
    let mut found = vec![None; grid.len()];
    solve_grid::<ProbeError>(&design, &case.targets, grid, None, tolerance, &mut |at, linear, solved| {
        found[at] = Some((linear.to_features(&design), solved));
        Ok(())
    })
    .unwrap();
    found.into_iter().map(Option::unwrap).collect()
}

/// Bounds of the relative error of W, and of logits, by the exponent of C · unit². Beyond 10² separable classes leave W free
/// along flat directions, and the objective is what is promised.
fn bound(exponent: i32, is_separable: bool, is_tight: bool) -> f64 {
    match exponent {
        ..=-6 => 1e-4,
        -5..=2 if is_tight => 1e-3,
        3.. if is_separable => 0.3,
        _ => 3e-3,
    }
}

#[test]
fn every_c_and_unit_has_its_exact_solution() {
    let tight = Tolerance { gradient_per_row: 1e-6, objective: 1e-10, loss_per_row: 1e-13, ..Tolerance::default() };
    for case in Case::all() {
        let is_separable = !["balanced", "questions"].contains(&case.name.as_str());
        for unit in UNITS {
            let grid = Case::grid();
            let path = solve(&case, unit, &grid, Tolerance::default());
            // One value after the other, and each alone.
            let alone = grid.iter().map(|c| solve(&case, unit, &[*c], Tolerance::default()).remove(0));
            let tightly = solve(&case, unit, &grid, tight);
            for (i, (linear, solved)) in path.into_iter().chain(alone).chain(tightly).enumerate() {
                let (exact, c, run) = (case.exact(solved.c, unit), solved.c, i / grid.len());
                let at = format!("{}, C {c:e}, features in 1e{unit}, run {run}: {solved:?}", case.name);
                let (weights, logits) = case.errors(&linear, exact, unit);
                let bound = bound(exact["exponent"].as_i64().unwrap() as i32, is_separable, run == 2);
                assert!(solved.converged && weights <= bound && logits <= bound, "{at} {weights:e} {logits:e}");
                let (best, won) = (exact["objective"].as_f64().unwrap(), exact["won"].as_f64().unwrap());
                let (objective, _) = linear.objective(&case.features(unit), &case.targets, c);
                let rows = case.targets.rows() as f64;
                let per_row = if is_separable { 1e-7 } else { 1e-9 };
                let enough = (1e-6 * best + per_row * rows).min(4e-6 * won) + 1e-11 * best;
                assert!(
                    objective - best <= enough
                        && (objective - solved.objective).abs() <= 1e-5 * objective + 1e-9 * rows,
                    "{at} {best}"
                );
            }
        }
    }
}

#[test]
fn a_power_of_two_in_the_unit_changes_no_bit() {
    for case in Case::all() {
        let features = case.features(0);
        let fit = |shift: i32| {
            let scaled = features.iter().map(|v| v * 2f32.powi(shift)).collect();
            let grid: Vec<f64> = [1e-3, 1.0, 1e2].iter().map(|c| c * 4f64.powi(-shift)).collect();
            let design = Design::new(scaled, case.dim).unwrap();
            let mut found = Vec::new();
            solve_grid::<ProbeError>(&design, &case.targets, &grid, None, Tolerance::default(), &mut |_, l, s| {
                let there = l.to_features(&design);
                found.push((
                    there.weight.iter().map(|w| w * 2f64.powi(shift)).collect::<Vec<_>>(),
                    l.clone(),
                    s.iterations,
                ));
                Ok(())
            })
            .unwrap();
            found
        };
        for shift in [-60, -7, 40] {
            assert_eq!(fit(0), fit(shift), "{} in 2^{shift}", case.name);
        }
    }
}

#[test]
fn features_in_which_nothing_varies_leave_the_shares_of_the_classes() {
    let targets = Targets::Classes { labels: vec![0, 1, 1, 2, 2, 2], classes: 3 };
    for value in [0.0f32, 0.1, 1e30, -1e-30] {
        for dim in [1, 4, 20] {
            let design = Design::new(vec![value; 6 * dim], dim).unwrap();
            solve_grid::<ProbeError>(
                &design,
                &targets,
                &[1e-6, 1e6],
                None,
                Tolerance::default(),
                &mut |_, linear, s| {
                    let linear = linear.to_features(&design);
                    assert!(s.converged && linear.weight.iter().all(|w| *w == 0.0), "{value} {dim} {s:?} {linear:?}");
                    let odds = linear.bias[2] - linear.bias[0];
                    assert!((odds - 3f64.ln()).abs() < 1e-12, "{odds}");
                    Ok(())
                },
            )
            .unwrap();
        }
    }
}

#[test]
fn features_of_any_unit_give_an_answer_or_say_why_not() {
    let case = Case::all().swap_remove(0);
    let fit = |unit: f32, c: f64| {
        let features: Vec<f32> = case.features.iter().map(|v| *v as f32 * unit).collect();
        let design = Design::new(features.clone(), case.dim).unwrap();
        let mut right = 0;
        solve_grid::<ProbeError>(&design, &case.targets, &[c], None, Tolerance::default(), &mut |_, linear, solved| {
            let logits = linear.to_features(&design).logits(&features);
            let best = |row: &[f64]| (0..3).fold(0, |best, k| if row[k] > row[best] { k } else { best });
            right = logits.chunks_exact(3).enumerate().filter(|(i, row)| best(row) == i % 3).count();
            assert!(solved.converged, "{unit:e} {c:e} {solved:?}");
            Ok(())
        })
        .map(|()| right)
    };
    // Under a strong penalty the answer is the same in every unit.
    let expected = fit(1.0, 1e-12);
    assert!(expected.as_ref().is_ok_and(|right| *right >= 10), "{expected:?}");
    for (unit, c) in [(1e-12f32, 1e-3), (1e-6, 1e-8), (1e6, 1e-25), (1e30, 1e-70)] {
        assert_eq!(fit(unit, c), expected, "{unit:e} {c:e}");
    }
    assert_eq!(fit(1e-20, 1e-8), Err(ProbeError::TooStrong { c: 1e-8 }));
}

#[test]
fn a_feature_a_million_times_larger_than_the_others_hides_none_of_them() {
    let case = Case::all().swap_remove(0);
    let wide: Vec<f32> = case
        .features(0)
        .chunks_exact(3)
        .enumerate()
        .flat_map(|(i, row)| {
            let large = if i % 2 == 0 { 1e6 } else { -1e6 };
            [row[0], row[1], row[2], large]
        })
        .collect();
    let objective = |features: &[f32], dim: usize| {
        let design = Design::new(features.to_vec(), dim).unwrap();
        let mut found = f64::NAN;
        solve_grid::<ProbeError>(&design, &case.targets, &[1.0], None, Tolerance::default(), &mut |_, l, s| {
            assert!(s.converged, "{s:?}");
            found = l.to_features(&design).objective(features, &case.targets, 1.0).0;
            Ok(())
        })
        .unwrap();
        found
    };
    // It may help a little; what the others win is not lost.
    let (with, without) = (objective(&wide, 4), objective(&case.features(0), 3));
    assert!(with < without + 1e-5 && with > 0.9 * without, "{with} {without}");
}

#[test]
fn the_study_solver_says_converged_only_where_it_is() {
    let case = Case::all().swap_remove(0);
    for unit in UNITS {
        let mut grid = Case::grid();
        grid.reverse();
        let features = case.features(unit);
        for grid in grid.iter().map(|c| vec![*c]).chain([grid.clone()]) {
            solve_like_scikit_learn::<ProbeError>(
                &features,
                case.dim,
                &case.targets,
                &grid,
                None,
                &mut |_, linear, solved| {
                    let (weights, _) = case.errors(linear, case.exact(solved.c, unit), unit);
                    assert!(!solved.converged || weights < 0.05, "{solved:?} in 1e{unit}: {weights}");
                    Ok(())
                },
            )
            .unwrap();
        }
    }
}

#[test]
fn a_class_without_rows_changes_nothing_and_is_never_predicted() {
    let case = Case::all().swap_remove(1);
    let Targets::Classes { labels, .. } = &case.targets else { unreachable!() };
    let more = Targets::Classes { labels: labels.iter().map(|l| l + u32::from(*l > 0)).collect(), classes: 4 };
    let features = case.features(0);
    let design = Design::new(features.clone(), case.dim).unwrap();
    for c in [1e-8, 1.0, 1e6] {
        let [mut found, mut expected] = [const { Vec::new() }; 2];
        for (targets, logits) in [(&more, &mut found), (&case.targets, &mut expected)] {
            solve_grid::<ProbeError>(&design, targets, &[c], None, Tolerance::default(), &mut |_, linear, _| {
                *logits = linear.to_features(&design).logits(&features);
                Ok(())
            })
            .unwrap();
        }
        for (row, three) in found.chunks_exact(4).zip(expected.chunks_exact(3)) {
            assert_eq!([row[0], row[2], row[3]], three);
            assert!(row[1] < three.iter().copied().fold(f64::MIN, f64::max), "{row:?}");
        }
    }
}

#[test]
fn closed_forms_do_not_know_units_and_offsets() {
    let case = Case::all().swap_remove(0);
    let Targets::Classes { labels, .. } = &case.targets else { unreachable!() };
    let shifted =
        |unit: f32, offset: f32| -> Vec<f32> { case.features(0).iter().map(|v| (v + offset) * unit).collect() };
    let softmax = |logits: &[f64]| -> Vec<f64> {
        logits
            .chunks_exact(3)
            .flat_map(|row| {
                let top = row.iter().copied().fold(f64::MIN, f64::max);
                row.iter().map(move |v| v - top).collect::<Vec<_>>()
            })
            .collect()
    };
    let fit = |which: usize, unit: f32, offset: f32| {
        let features = shifted(unit, offset);
        let mut logits = Vec::new();
        let mut each = |_: usize, linear: &Linear| {
            logits = linear.logits(&features);
            Ok::<(), ProbeError>(())
        };
        let size = f64::from(unit) * f64::from(unit);
        match which {
            0 => solve_ridge(&features, 3, &case.targets, &[0.5 * size], &mut each).unwrap(),
            1 => solve_lda(&features, 3, labels, 3, &[0.1], &mut each).unwrap(),
            2 => solve_lda(&features, 3, labels, 3, &[0.0], &mut each).unwrap(),
            _ => each(0, &nearest_centroid(&features, 3, labels, 3).unwrap()).unwrap(),
        }
        if which == 3 {
            logits.iter_mut().for_each(|l| *l /= size)
        }
        softmax(&logits)
    };
    for which in 0..4 {
        let expected = fit(which, 1.0, 0.0);
        for (unit, offset) in [(1e-6, 0.0), (1e6, 0.0), (1e15, 0.0), (1.0, 4096.0), (1e6, 1024.0)] {
            for (f, e) in fit(which, unit, offset).iter().zip(&expected) {
                assert!(
                    (f - e).abs() < 1e-4 * offset.max(1.0) as f64 / 10.0 + 1e-5,
                    "{which} {unit:e} {offset}: {f} {e}"
                );
            }
        }
    }
    // A duplicated column and a weak penalty: the two share the weight.
    let twice: Vec<f32> = case.features(0).chunks_exact(3).flat_map(|r| [r[0], r[0], r[1], r[2], 0.1]).collect();
    for lambda in [1e-20, 1e-8, 1.0] {
        solve_ridge::<ProbeError>(&twice, 5, &case.targets, &[lambda], &mut |_, linear| {
            let wrong = linear
                .weight
                .chunks_exact(5)
                .any(|w| (w[0] - w[1]).abs() > 1e-9 || w[4].abs() > 1e-9 || w[0].abs() > 10.0);
            assert!(!wrong, "{lambda:e} {linear:?}");
            Ok(())
        })
        .unwrap();
    }
}
