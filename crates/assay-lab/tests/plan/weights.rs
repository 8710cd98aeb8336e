//! Weights files that fit, and what is said of those that do not.

use std::collections::BTreeMap;

use assay_nn::{Backbone, Conv4, RawTensor};
use insta::assert_snapshot;

use crate::support::{Place, file_of, tensors, zeros};

/// A model of a file on images that it can take.
fn model(backbone: &str, weights: &str) -> Place {
    Place::new(&format!(
        "(
    include: [\"base.ron\"],
    models: {{ \"m\": (backbone: {backbone}, weights: File(path: \"w.safetensors\"{weights})) }},
    evaluate: (tasks: \"rgb\", protocols: \"knn\"),
)"
    ))
}

fn conv() -> Backbone {
    Backbone::Conv4(Conv4 { channels: 3, width: 4 })
}

const CONV: &str = "Conv4(channels: 3, width: 4)";

#[test]
fn all_tensors_under_one_prefix_fit() {
    let prefixed = tensors(&conv()).into_iter().map(|(name, tensor)| (format!("net.{name}"), tensor)).collect();
    assert_snapshot!(model(CONV, "").file("w.safetensors", file_of(&prefixed)).plan(), @"
    features/m/rgb/1  features
    score/m/rgb/knn  knn  <- features/m/rgb/1
    ");
    assert_snapshot!(model(CONV, ", prefix: \"ent.\"").file("w.safetensors", file_of(&prefixed)).plan(), @r#"
    e.ron:3:81: DIR/w.safetensors does not hold a Conv4: 24 of 24 tensors are missing: 0.0.weight, 0.0.bias, 0.1.weight, 0.1.bias, … (20 more)
        help: did you mean `prefix: "net."`?
    "#);
}

#[test]
fn missing_and_misshapen_tensors_are_listed() {
    let mut all = tensors(&conv());
    all.remove("2.0.weight");
    all.insert("1.0.bias".to_owned(), zeros(&[5]));
    all.insert("5.0.weight".to_owned(), zeros(&[1]));
    assert_snapshot!(model(CONV, "").file("w.safetensors", file_of(&all)).plan(), @"
    e.ron:3:81: DIR/w.safetensors does not hold a Conv4: 1 of 24 tensors are missing: 2.0.weight; 1.0.bias has shape [5], and [4] is needed; 1 tensors are left over: 5.0.weight
        help: 22 of 24 tensors fit at best: check `backbone`
    ");
}

#[test]
fn numbers_that_are_none_are_refused() {
    let mut all = tensors(&conv());
    all.get_mut("0.0.bias").unwrap().bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    assert_snapshot!(model(CONV, "").file("w.safetensors", file_of(&all)).plan(), @"e.ron:3:81: DIR/w.safetensors does not hold a Conv4: 0.0.bias holds values that are not finite");
}

#[test]
fn another_backbone_that_fits_is_named() {
    let bytes = file_of(&tensors(&Backbone::ResNet20));
    assert_snapshot!(model("ResNet18", "").file("w.safetensors", &bytes).plan(), @"
    e.ron:3:61: DIR/w.safetensors does not hold a ResNet18: 35 of 100 tensors are missing: layer2.0.downsample.0.weight, layer2.0.downsample.1.weight, layer2.0.downsample.1.bias, layer2.0.downsample.1.running_mean, … (31 more); conv1.weight has shape [16, 3, 3, 3], and [64, 3, 7, 7] is needed; bn1.weight has shape [16], and [64] is needed; bn1.bias has shape [16], and [64] is needed; bn1.running_mean has shape [16], and [64] is needed; bn1.running_var has shape [16], and [64] is needed; layer1.0.conv1.weight has shape [16, 16, 3, 3], and [64, 64, 3, 3] is needed; layer1.0.bn1.weight has shape [16], and [64] is needed; layer1.0.bn1.bias has shape [16], and [64] is needed; … (57 more); 30 tensors are left over: layer1.2.bn1.bias, layer1.2.bn1.running_mean, layer1.2.bn1.running_var, layer1.2.bn1.weight, … (26 more)
        help: it holds a ResNet20: change `backbone`
    ");
    assert_snapshot!(model("ResNet32", "").file("w.safetensors", &bytes).plan(), @"
    e.ron:3:61: DIR/w.safetensors does not hold a ResNet32: 60 of 155 tensors are missing: layer1.3.conv1.weight, layer1.3.bn1.weight, layer1.3.bn1.bias, layer1.3.bn1.running_mean, … (56 more)
        help: it holds a ResNet20: change `backbone`
    ");
    assert_snapshot!(model("ResNet20", "").file("w.safetensors", &bytes).plan(), @"
    features/m/rgb/1  features
    score/m/rgb/knn  knn  <- features/m/rgb/1
    ");
}

#[test]
fn files_that_hold_no_tensors_are_told_apart() {
    assert_snapshot!(model(CONV, "").file("w.safetensors", "").plan(), @"e.ron:3:81: DIR/w.safetensors: it is empty, not a weights file of torch, safetensors, numpy or TensorFlow");
    assert_snapshot!(model(CONV, "").file("w.safetensors", "<html></html>").plan(), @"e.ron:3:81: DIR/w.safetensors: it is a web page (a download link often gives one instead of the file), not a weights file of torch, safetensors, numpy or TensorFlow");
    assert_snapshot!(model(CONV, "").file("w.safetensors", &file_of(&tensors(&conv()))[..900]).plan(), @"e.ron:3:81: DIR/w.safetensors: it is damaged: its header reaches beyond the end of the file");
}

#[test]
fn the_classifier_of_a_file_classifies() {
    let resnet: Backbone = serde_json::from_str(r#"{ "ResNet": { "depths": [1, 1, 1, 1], "width": 2 } }"#).unwrap();
    let mut all = tensors(&resnet);
    let place = |all: &BTreeMap<String, RawTensor>| {
        Place::new(
            r#"(
    include: ["base.ron"],
    models: {
        "end": (backbone: ResNet(depths: (1, 1, 1, 1), width: 2), weights: File(path: "w.safetensors")),
        "layer": (backbone: ResNet(depths: (1, 1, 1, 1), width: 2), weights: File(path: "w.safetensors"), layer: "layer2"),
    },
    evaluate: (tasks: "rgb"),
    protocols: { "own": Classifier() },
)"#,
        )
        .file("w.safetensors", file_of(all))
    };
    assert_snapshot!(place(&all).plan(), @r#"
    e.ron:4:76: protocol "own" needs weights from a file with a classifier, and model "end" has none
        help: leave the pair out with `exclude`
    e.ron:5:18: protocol "own" needs the features that the classifier was trained on, and model "layer" has those of another `layer` or `pool`
        help: leave the pair out with `exclude`
    "#);
    all.insert("fc.weight".to_owned(), zeros(&[4, 16]));
    all.insert("fc.bias".to_owned(), zeros(&[4]));
    assert_snapshot!(place(&all).available(), @r#"
    features/end/rgb/1  features
    score/end/rgb/own  classify  <- features/end/rgb/1
    left out: layer / rgb / own, impossible: protocol "own" needs the features that the classifier was trained on, and model "layer" has those of another `layer` or `pool`
    note: model "end": read with no antialiasing, the stride in the 3×3 convolution, as torchvision has it; the same tensors have timm's resnetaa and resnetblur (`antialias: AvgPool`, `Blur`); Caffe's, with the stride in the 1×1 one (`stride_in: Conv1`)
    note: own on task "rgb": outputs are classes: 0 = alphabet00/character00, 1 = alphabet00/character01, 2 = alphabet00/character02, 3 = alphabet00/character03
    "#);
}

#[test]
fn two_files_with_the_same_tensors_are_one_model() {
    let place = Place::new(
        r#"(
    include: ["base.ron"],
    models: {
        "one": (backbone: Conv4(width: 4), weights: File(path: "one.safetensors")),
        "two": (backbone: Conv4(width: 4), weights: File(path: "two.safetensors", prefix: "net.", drop: ["fc"])),
    },
    evaluate: (tasks: "rgb", protocols: "knn"),
)"#,
    );
    let mut two: BTreeMap<_, _> =
        tensors(&conv()).into_iter().map(|(name, tensor)| (format!("net.{name}"), tensor)).collect();
    two.insert("net.fc.weight".to_owned(), zeros(&[2]));
    let place = place.file("one.safetensors", file_of(&tensors(&conv()))).file("two.safetensors", file_of(&two));
    assert_snapshot!(place.plan(), @"
    features/one/rgb/1 = features/two/rgb/1  features
    score/one/rgb/knn = score/two/rgb/knn  knn  <- features/one/rgb/1
    ");
}

/// What tensors do not tell of a network goes along with its results, or is asked for.
#[test]
fn readings_are_told_and_contradictions_refused() {
    const SPEC: &str = "block: Basic, depths: (1, 1, 1, 1), width: 2";
    let resnet = |fields: &str| -> BTreeMap<String, RawTensor> {
        let json = format!(r#"{{ "ResNet": {{ "block": "Basic", "depths": [1, 1, 1, 1], "width": 2{fields} }} }}"#);
        tensors(&serde_json::from_str(&json).unwrap())
    };
    let place = |file: &str, fields: &str, tensors: &BTreeMap<String, RawTensor>| {
        Place::new(&format!(
            "(
    include: [\"base.ron\"],
    models: {{ \"m\": (backbone: ResNet({SPEC}{fields}), weights: File(path: \"{file}.safetensors\")) }},
    evaluate: (tasks: \"rgb\", protocols: \"knn\"),
)"
        ))
        .file(&format!("{file}.safetensors"), file_of(tensors))
    };
    let (usual, small) = (resnet(""), resnet(r#", "stem": "Small""#));
    let notes =
        |place: &Place| place.planned(&[], false).map(|planned| planned.cells[0].notes.clone()).unwrap_or_default();
    for (file, fields, tensors, expected) in [
        ("w", "", &usual, "model \"m\": read with no antialiasing; the same tensors have timm's resnetaa"),
        ("resnetblur18", ", antialias: Blur", &usual, "read with a blur where it takes steps"),
        ("w", ", stem: Small", &small, "padded by 1 and no max pool first; the same tensors have solo-learn's"),
    ] {
        let notes = notes(&place(file, fields, tensors));
        assert!(notes.len() == 1 && notes[0].contains(expected), "{file} {fields}: {notes:?}");
    }
    let of_timm = place("model", "", &usual).file("config.json", r#"{ "architecture": "resnetaa34" }"#);
    assert!(notes(&of_timm)[0].contains("read with means of 2×2 pixels where it takes steps"), "{:?}", notes(&of_timm));
    for (place, expected) in [
        (place("resnetblur18", "", &usual), "it is called \"resnetblur18\""),
        (
            place("resnetaa34", "", &usual),
            "help: say which it is: `ResNet(antialias: AvgPool)` or `ResNet(antialias: Plain)`",
        ),
        (place("w", "", &small), "stem:Small): change `backbone` (read with a 3×3 convolution padded by 1"),
        (place("w", "", &small), "solo-learn's, padded by 2 (`stem: SmallPadded`)"),
    ] {
        let text = place.plan();
        assert!(text.contains(expected), "{text}");
    }
}

/// Which activation function a CLIP has is in no tensor: it is written, said by a file, or asked for.
#[test]
fn what_tensors_do_not_say_is_asked_for() {
    let clip =
        |more: &str| format!("Clip(size: Custom(width: 12, depth: 1, heads: 2), patch: 16, trained_at: 32{more})");
    let backbone = r#"{"Clip":{"size":{"Custom":{"width":12,"depth":1,"heads":2}},"patch":16,"trained_at":32}}"#;
    let mut all = tensors(&serde_json::from_str(backbone).unwrap());
    let plain = file_of(&all);
    for name in ["input_resolution", "context_length", "vocab_size"] {
        all.insert(name.to_owned(), zeros(&[1]));
    }
    all = all
        .into_iter()
        .map(|(n, t)| (if n.contains('_') && n.len() < 17 && t.shape == [1] { n } else { format!("visual.{n}") }, t))
        .collect();
    let openai = file_of(&all);
    let (quick, gelu) = (r#"{"model_cfg": {"quick_gelu": true}}"#, r#"{"vision_config": {"hidden_act": "gelu"}}"#);
    // Written; the file; a configuration beside it → in the recipe; note; warning. `None` is a question.
    for (written, bytes, config, expected) in [
        ("", &plain, None, None),
        (", activation: QuickGelu", &plain, None, Some(("", 0, 0))),
        (", activation: Gelu", &plain, None, Some(("Gelu", 0, 0))),
        ("", &openai, None, Some(("", 1, 0))),
        (", activation: Gelu", &openai, None, Some(("Gelu", 0, 1))),
        ("", &plain, Some(("open_clip_config.json", quick)), Some(("", 1, 0))),
        ("", &plain, Some(("config.json", gelu)), Some(("Gelu", 1, 0))),
        (", activation: GeluTanh", &plain, Some(("config.json", gelu)), Some(("GeluTanh", 0, 1))),
        ("", &plain, Some(("config.json", "{}")), None),
        ("", &plain, Some(("config.json", "{")), None),
    ] {
        let mut place = model(&clip(written), "").file("w.safetensors", bytes);
        if let Some((name, text)) = config {
            place = place.file(name, text);
        }
        let found = place.planned(&[], false).ok().map(|planned| {
            let recipe = planned.plan.nodes().find(|node| node.kind == "features").unwrap().recipe();
            let activation = recipe.split(r#""activation":""#).nth(1).and_then(|rest| rest.split('"').next());
            (activation.unwrap_or_default().to_owned(), planned.notes.len(), planned.warnings.len())
        });
        let expected = expected.map(|(activation, notes, warnings)| (activation.to_owned(), notes, warnings));
        assert_eq!(found, expected, "{written} {config:?}");
    }
    let asked = model(&clip(""), "").file("w.safetensors", &plain).plan();
    assert!(
        asked.contains("QuickGelu (OpenAI's weights")
            && asked.contains("help: write it as `backbone: Clip(activation:"),
        "{asked}"
    );
}

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A model of weights that are found by name, with the files of a local cache.
fn cached(weights: &str, files: &[(&str, Vec<u8>)]) -> Place {
    let ron = format!(
        "(
    include: [\"base.ron\"],
    models: {{ \"m\": (backbone: {CONV}, weights: {weights}) }},
    evaluate: (tasks: \"rgb\", protocols: \"knn\"),
)"
    );
    let hub = "home/.cache/huggingface/hub/models--org--net";
    let place = Place::new(&ron).file(&format!("{hub}/refs/main"), COMMIT);
    files.iter().fold(place, |place, (name, bytes)| match name.strip_prefix("torch/") {
        Some(name) => place.file(&format!("home/.cache/torch/hub/checkpoints/{name}"), bytes),
        None => place.file(&format!("{hub}/snapshots/{COMMIT}/{name}"), bytes),
    })
}

#[test]
fn weights_are_found_by_name_in_local_caches() {
    let net = || file_of(&tensors(&conv()));
    let says = br#"{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25], "size": 32}"#.to_vec();
    let files = [("model.safetensors", net()), ("preprocessor_config.json", says)];
    let planned = cached("Hub(repo: \"org/net\")", &files).planned(&[], false).unwrap();
    let recipe = planned.plan.nodes().next().unwrap().recipe().to_string();
    assert!(recipe.contains(r#""mean":[0.5,0.5,0.5]"#) && recipe.contains(r#""std":[0.25,0.25,0.25]"#), "{recipe}");
    assert!(planned.notes.iter().any(|note| note.contains("preprocessor_config.json says")), "{:?}", planned.notes);
    let two = [("a.safetensors", net()), ("b.pth", net()), ("torch/net-1234.pth", net())];
    assert_snapshot!(cached("Hub(repo: \"org/net\")", &two).plan(), @"e.ron:3:80: org/net holds several weights files: say which one is meant by `file`: a.safetensors, b.pth");
    for weights in ["Hub(repo: \"org/net\", file: \"b.pth\")", "TorchHub(file: \"net-1234.pth\")"] {
        let steps = "features/m/rgb/1  features\nscore/m/rgb/knn  knn  <- features/m/rgb/1\n";
        assert_eq!(cached(weights, &two).plan(), steps);
    }
    for (weights, expected) in [
        ("Hub(repo: \"org/net\", revision: \"v2\")", "there are \"main\""),
        ("Hub(repo: \"org/net\", file: \"../../refs/main\")", "no path of a file"),
        ("Hub(repo: \"org/net\", file: \"c.pth\")", "c.pth of org/net is not in"),
        ("Hub(repo: \"org/other\")", "hf download org/other` puts it there"),
        ("TorchHub(file: \"../net.pth\")", "is not the name of a file"),
        ("TorchHub(file: \"net.pth\")", "TORCH_HOME names another folder"),
    ] {
        let told = cached(weights, &two).plan();
        assert!(told.contains(expected), "{weights}: {told}");
    }
}

#[test]
fn what_may_make_results_others_is_told_beside_them() {
    let mut all = tensors(&conv());
    all.insert("5.0.weight".to_owned(), zeros(&[1]));
    let place = model(CONV, ", drop: [\"5.\"]").file("w.safetensors", file_of(&all));
    let planned = place.planned(&[], false).unwrap();
    let expected = "model \"m\": `drop` leaves out 1 tensors (5.0.weight)";
    assert!(planned.cells[0].warnings[0].starts_with(expected), "{:?}", planned.cells[0].warnings);
    assert_eq!(planned.warnings, planned.cells[0].warnings);
    let says = r#"{"architecture": "x", "pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}"#;
    let place = place.file("config.json", says).file("e.ron", format!(
        "(include: [\"base.ron\"], models: {{ \"m\": (backbone: {CONV}, weights: File(path: \"w.safetensors\", drop: [\"5.\"]), \
         normalization: ImageNet) }}, evaluate: (tasks: \"rgb\", protocols: \"knn\"))"
    ));
    let told = place.planned(&[], false).unwrap().cells[0].warnings.join(" ");
    assert!(told.contains("and config.json says [0.5, 0.5, 0.5]"), "{told}");
}

#[test]
fn which_of_two_copies_is_meant_is_asked() {
    let mut all = BTreeMap::new();
    for (prefix, number) in [("module.encoder_k.", 1u8), ("module.encoder_q.", 2)] {
        for (name, mut tensor) in tensors(&conv()) {
            tensor.bytes.iter_mut().step_by(4).for_each(|byte| *byte = number);
            all.insert(format!("{prefix}{name}"), tensor);
        }
    }
    assert_snapshot!(model(CONV, "").file("w.safetensors", file_of(&all)).plan(), @r#"
    e.ron:3:81: DIR/w.safetensors does not hold a Conv4: the backbone is in it more than once, with different values: `prefix: "module.encoder_q."`, `prefix: "module.encoder_k."`
        help: say which one is meant, such as `prefix: "module.encoder_q."`: MoCo's authors evaluate the query encoder (`encoder_q`, `base_encoder`), of which the other is a momentum copy
    "#);
}

/// No tensor tells how positions are resized; where images make it matter, the default is told.
#[test]
fn resized_positions_are_told() {
    let vit = |more: &str| format!("ViT(size: Custom(width: 12, depth: 1, heads: 2), patch: 16, trained_at: 64{more})");
    let json = r#"{"ViT":{"size":{"Custom":{"width":12,"depth":1,"heads":2}},"patch":16,"trained_at":64}}"#;
    let bytes = file_of(&tensors(&serde_json::from_str(json).unwrap()));
    let warnings = |more: &str| {
        let planned = model(&vit(more), "").file("w.safetensors", &bytes).planned(&[], false).unwrap();
        planned.warnings
    };
    let found = warnings("");
    assert!(found.len() == 1 && found[0].contains("images of 32×32 are not those of 64×64"), "{found:?}");
    assert_eq!(warnings(", positions: Bicubic"), Vec::<String>::new());
}
