//! Which edits change which keys.

use std::collections::BTreeMap;

use crate::support::Place;

/// Layers are of networks that have some.
const RESNET: &str = r#"(
    tasks: { "t": (dataset: Glyphs(alphabets: 1, characters: 4, drawers: 8, test_drawers: 2), image: (size: 32, resize: Stretch)) },
    models: { "m": (backbone: ResNet18, weights: Trained(method: SimClr(), on: "t", steps: 3, batch: 8)) },
    protocols: { "k": Knn(k: 3) },
)"#;

const BEFORE: &str = r#"(
    tasks: { "t": (dataset: Glyphs(alphabets: 1, characters: 4, drawers: 8, test_drawers: 2), image: (size: 28, resize: Stretch, filter: Bilinear, color: Grey)) },
    models: { "m": (backbone: Conv4(channels: 1, width: 4), weights: Random(seed: 0)) },
    protocols: { "f": FewShot(ways: 2, shots: 1, queries: 2), "k": Knn(k: 3), "l": Linear(grid: Values([1.0, 0.1])) },
)"#;

/// Keys by label.
fn keys(ron: &str) -> BTreeMap<String, String> {
    let planned = Place::new(ron).planned(&[], false).unwrap_or_else(|problems| panic!("{ron}: {problems:?}"));
    planned.plan.nodes().map(|node| (node.label.clone(), node.key.to_string())).collect()
}

/// Labels of the steps whose keys change with an edit.
fn changed(before: &str, old: &str, new: &str) -> String {
    assert!(before.contains(old), "{old} is not in the experiment");
    let (old, new) = (keys(before), keys(&before.replacen(old, new, 1)));
    assert_eq!(old.keys().collect::<Vec<_>>(), new.keys().collect::<Vec<_>>(), "the same steps by their labels");
    let changed = old.iter().filter(|(label, key)| new[*label] != **key);
    changed.map(|(label, _)| label.replace("/m/t", "")).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_key_changes_with_what_can_change_the_result_and_with_nothing_else() {
    const FEATURES: &str = "choose/l features/1 fit/l grid/l score/f score/k score/l";
    const ALL: &str = "choose/l episodes/t/f features/1 fit/l grid/l score/f score/k score/l";
    const LINEAR: &str = "choose/l fit/l grid/l score/l";
    for (old, new, expected) in [
        // What is written otherwise and means the same.
        ("(\n", "( // a comment\n", ""),
        ("ways: 2, shots: 1", "shots: 1, ways: 2", ""),
        ("filter: Bilinear, color: Grey", "color: Grey", ""),
        ("queries: 2)", "queries: 2, episodes: 600, seed: 0)", ""),
        ("[1.0, 0.1]", "[0.1, 1, 1.0]", ""),
        ("Random(seed: 0)", "Random(seed: 0), about: (epochs: 3), polarity: AsStored, normalization: Usual", ""),
        ("color: Grey)", "color: Grey), subset: (first_per_class: 6)", ""),
        ("color: Grey)", "color: Grey), metric: Top1", ""),
        ("color: Grey)", "color: Grey), on_bad_image: Skip", ""),
        // The data.
        ("alphabets: 1, characters: 4, drawers: 8", "alphabets: 1, characters: 4, drawers: 8, seed: 1", ALL),
        ("color: Grey)", "color: Grey), subset: (first_per_class: 2)", ALL),
        ("test_drawers: 2", "test_drawers: 3", "choose/l episodes/t/f fit/l grid/l score/f score/k score/l"),
        // How images are prepared.
        ("size: 28", "size: 32", FEATURES),
        ("Stretch, filter: Bilinear", "Stretch, filter: Bicubic", FEATURES),
        ("resize: Stretch", "resize: ShorterSide", FEATURES),
        ("size: 28", "size: 28, crop: 24", FEATURES),
        ("color: Grey)", "color: Grey, before: [Stretch(40, 40, Bicubic)])", FEATURES),
        // The model.
        ("Random(seed: 0)", "Random(seed: 1)", FEATURES),
        ("width: 4", "width: 5", FEATURES),
        ("Random(seed: 0)", "Random(seed: 0), polarity: Inverted", FEATURES),
        ("Random(seed: 0)", "Random(seed: 0), normalization: MeanStd(mean: [0.5], std: [0.5])", FEATURES),
        ("Random(seed: 0)", "Random(seed: 0), range: Symmetric", FEATURES),
        // The protocols.
        ("queries: 2)", "queries: 2, seed: 1)", "episodes/t/f score/f"),
        ("queries: 2)", "queries: 2, episodes: 599)", "episodes/t/f score/f"),
        ("queries: 2)", "queries: 2, normalize: true)", "score/f"),
        ("queries: 2)", "queries: 2, distance: Cosine)", "score/f"),
        ("k: 3", "k: 4", "score/k"),
        ("k: 3", "k: 3, temperature: 0.08", "score/k"),
        ("[1.0, 0.1]", "[1.0, 0.1, 0.01]", LINEAR),
        ("Values([1.0, 0.1])", "Values([1.0, 0.1]), solver: Ridge", LINEAR),
        ("Values([1.0, 0.1])", "Values([1.0, 0.1]), validation: (seed: 1)", LINEAR),
        ("Values([1.0, 0.1])", "Values([1.0, 0.1]), normalize: true", LINEAR),
        ("Values([1.0, 0.1])", "Values([1.0, 0.1]), resamples: 10", "score/l"),
        ("Values([1.0, 0.1])", "Values([1.0, 0.1]), seed: 3", "score/l"),
        ("Values([1.0, 0.1])", "Values([1.0, 0.1]), calibration: TestCrossValidated", "score/l"),
        ("color: Grey)", "color: Grey), metric: MeanPerClass", LINEAR),
    ] {
        assert_eq!(changed(BEFORE, old, new), expected, "{old} → {new}");
    }
}

#[test]
fn what_training_does_changes_the_weights_and_where_features_are_taken_only_the_features() {
    const ALL: &str = "features/1 score/k train/m";
    const FEATURES: &str = "features/1 score/k";
    for (old, new, expected) in [
        ("batch: 8", "batch: 8, lr: 0.001, seed: 0, weight_decay: 0.0", ""),
        ("SimClr()", "SimClr(temperature: 0.2, projection: 64)", ""),
        ("batch: 8))", "batch: 8), layer: \"layer4\", pool: Gap)", ""),
        ("steps: 3", "steps: 4", ALL),
        ("batch: 8", "batch: 7", ALL),
        ("batch: 8", "batch: 8, lr: 0.002", ALL),
        ("batch: 8", "batch: 8, seed: 1", ALL),
        ("batch: 8", "batch: 8, weight_decay: 0.1", ALL),
        ("batch: 8", "batch: 8, views: (shift: 0.3)", ALL),
        ("SimClr()", "Supervised", ALL),
        ("SimClr()", "SimClr(temperature: 0.3)", ALL),
        ("batch: 8))", "batch: 8), polarity: Inverted)", ALL),
        ("size: 32", "size: 64", ALL),
        ("ResNet18", "ResNet34", ALL),
        ("batch: 8))", "batch: 8), layer: \"layer2\")", FEATURES),
        ("batch: 8))", "batch: 8), pool: GeM())", FEATURES),
    ] {
        assert_eq!(changed(RESNET, old, new), expected, "{old} → {new}");
    }
}
