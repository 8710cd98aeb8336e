//! Weights files of every kind through the real binary: looking at them, converting them, and what is said of those that do not fit.

#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::{Outcome, Workspace, shared};

fn reference(part: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference").join(part)
}

fn experiments() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments")
}

const SMALL: &str = "ResNet(depths: (1, 2, 1, 1), width: 2, padding: PADDING)";

/// An experiment with one model of a file.
fn experiment(place: &Workspace, backbone: &str, weights: &str) {
    place.write(
        "e.ron",
        &format!(
            "(tasks: {{ \"t\": (dataset: Glyphs(alphabets: 1, characters: 4, drawers: 4), image: (size: 32, resize: Stretch)) }}, \
             models: {{ \"m\": (backbone: {backbone}, weights: File({weights})) }}, \
             protocols: {{ \"f\": FewShot(ways: 2, shots: 1, queries: 2, episodes: 5) }})"
        ),
    );
}

/// Messages without the breaks of lines that the terminal's width makes.
fn flat(outcome: &Outcome) -> String {
    outcome.stderr.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_conversion_changes_no_key() {
    let place = Workspace::new();
    for (file, padding, weights) in [
        ("byol.pkl", "TfSame", r#"prefix: "online.", container: "experiment_state""#),
        ("simclr-v1", "TfSamePool", r#"prefix: "base_model.""#),
        ("moco-v2.pth.tar", "Torch", r#"prefix: "module.encoder_q.""#),
    ] {
        let from = reference("fourteen").join(file);
        let backbone = SMALL.replace("PADDING", padding);
        experiment(&place, &backbone, &format!("path: {from:?}, {weights}"));
        assert!(place.run("e.ron").ok().ran() > 0, "{file}");
        let to = format!("{file}.safetensors");
        place.assay(&["weights", "convert", from.to_str().unwrap(), "--to", &to]).ok();
        let again = place.assay(&["weights", "convert", from.to_str().unwrap(), "--to", &to]).fails(1);
        assert!(again.stderr.contains(&to), "a file that is there is not written over: {}", again.stderr);
        let weights = weights.replace(r#", container: "experiment_state""#, "");
        experiment(&place, &backbone, &format!("path: {to:?}, {weights}"));
        assert_eq!(place.run("e.ron").ok().ran(), 0, "{file} as safetensors is the same model");
    }
}

#[test]
fn safetensors_in_several_files_are_one_checkpoint() {
    let place = Workspace::new();
    let bytes = fs::read(experiments().join("weights/conv4-simclr.safetensors")).unwrap();
    let all = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let (mut map, mut parts) = (serde_json::Map::new(), [Vec::new(), Vec::new()]);
    for (i, (name, view)) in all.iter().enumerate() {
        map.insert(name.to_owned(), format!("part-{}.safetensors", i % 2).into());
        parts[i % 2].push((name.to_owned(), view));
    }
    for (i, part) in parts.into_iter().enumerate() {
        place.write(&format!("w/part-{i}.safetensors"), "");
        fs::write(place.path().join(format!("w/part-{i}.safetensors")), safetensors::serialize(part, None).unwrap())
            .unwrap();
    }
    let index = |map: serde_json::Value| serde_json::json!({ "metadata": {}, "weight_map": map }).to_string();
    place.write("w/model.safetensors.index.json", &index(map.clone().into()));
    let write = |path: &str| {
        let text = support::SMALL.replace(
            "Conv4(channels: 1, width: 8), weights: Random(seed: 0)",
            &format!("Conv4(channels: 1), weights: File(path: {path:?})"),
        );
        place.write("e.ron", &text);
    };
    write("w/model.safetensors.index.json");
    place.run("e.ron").ok();
    write(experiments().join("weights/conv4-simclr.safetensors").to_str().unwrap());
    assert_eq!(place.run("e.ron").ok().ran(), 0);
    // The folder names the same checkpoint; an index may not point out of its folder.
    write("w");
    assert_eq!(place.run("e.ron").ok().ran(), 0);
    map.insert("x".into(), "../w/part-0.safetensors".into());
    place.write("w/model.safetensors.index.json", &index(map.into()));
    assert!(flat(&place.run("e.ron").fails(2)).contains("is not a file beside it"));
}

#[test]
fn what_is_in_a_file_is_shown() {
    let place = Workspace::new();
    let inspect = |path: PathBuf| place.assay(&["weights", "inspect", path.to_str().unwrap()]).ok().stdout;
    let moco = inspect(reference("fourteen/moco-v1.pth.tar"));
    for part in ["f32   2 × 3 × 7 × 7", "module.encoder_q.conv1.weight", "torch legacy", "container   state_dict"] {
        assert!(moco.contains(part), "{part} is missing in {moco}");
    }
    let text = inspect(reference("fourteen/simclr-v2"));
    assert!(text.contains("TensorFlow checkpoint") && text.contains("base_model/conv2d/kernel"), "{text}");
    let clip = inspect(reference("backbones/hf-clip.safetensors"));
    assert!(clip.contains("visual_projection.weight"), "{clip}");
    let conv = inspect(experiments().join("weights/conv4-simclr.safetensors"));
    assert!(conv.contains("Conv4(channels:1,width:64) (24 of 24 tensors)"), "{conv}");
    let json =
        place.assay(&["weights", "inspect", reference("checkpoints/half.pth").to_str().unwrap(), "--format", "json"]);
    let value = json.ok().json();
    assert_eq!(value["schema"], "assay.weights/1");
    assert_eq!(value["tensors"][0]["dtype"], "f16");
    assert_eq!(value["guess"]["present"], value["guess"]["needed"]);
    let Some(weights) = shared("weights") else { return };
    for (file, parts) in [
        (
            "cifar_resnet/resnet20-12fca82f.th",
            ["ResNet20", "torch legacy", "\"module.\"", "classifier  its own is there"],
        ),
        ("cifar_resnet/resnet32-d509ac18.th", ["ResNet32", "torch legacy", "\"module.\"", "container   state_dict"]),
        ("cifar_resnet/resnet20-12fca82f.safetensors", ["ResNet20", "safetensors", "prefix", "tensors"]),
        ("conv4/protoclr_omniglot.pth.tar", ["Conv4(channels:1,width:64)", "torch", "24 of 24", "prefix"]),
        ("conv4/protoclr_omniglot.safetensors", ["Conv4(channels:1,width:64)", "safetensors", "24 of 24", "prefix"]),
        ("conv4/protoclr_miniimagenet.pth.tar", ["Conv4(channels:3,width:64)", "torch", "24 of 24", "prefix"]),
        ("conv4/random_init.pth.tar", ["Conv4(channels:3,width:64)", "torch", "24 of 24", "prefix"]),
    ] {
        let text = inspect(weights.join(file));
        for part in parts {
            assert!(text.contains(part), "{part} is missing for {file}: {}", &text[text.len().saturating_sub(400)..]);
        }
    }
}

#[test]
fn weights_that_do_not_fit_are_explained() {
    let place = Workspace::new();
    let small = SMALL.replace("PADDING", "Torch");
    let message = |backbone: &str, weights: &str| {
        experiment(&place, backbone, weights);
        flat(&place.run("e.ron").fails(2))
    };
    let file = |name: &str| format!("path: {:?}", reference("fourteen").join(name));
    let wrong = message(&small, &format!("{}, prefix: \"encoder_q.\"", file("moco-v1.pth.tar")));
    assert!(wrong.contains("did you mean `prefix: \"module.encoder_q.\"`?"), "{wrong}");
    let nested = message(&small, &format!("{}, prefix: \"module.module.\"", file("swav.pth.tar")));
    assert!(nested.contains("did you mean `prefix: \"module.\"`?"), "{nested}");
    let container = message(&small, &format!("{}, container: \"model_state\"", file("insdis.pth")));
    assert!(container.contains("there are: opt, model, contrast, optimizer, epoch"), "{container}");
    let large = message("ResNet50", &file("supervised.pth"));
    assert!(
        large.contains("does not hold a ResNet50")
            && large.contains("it holds a ResNet(block:Bottleneck,depths:(1,2,1,1),width:2"),
        "{large}"
    );
    let cifar = place.write("x", "").with_file_name("r20.safetensors");
    if let Some(weights) = shared("weights/cifar_resnet/resnet20-12fca82f.th") {
        let holds = message("ResNet56", &format!("path: {weights:?}"));
        assert!(holds.contains("it holds a ResNet20: change `backbone`"), "{holds}");
    }
    // Cut files of each kind.
    for (name, cut) in [("swav.pth.tar", 4000), ("sela-v2.pth.tar", 4000), ("byol.pkl", 90_000)] {
        let bytes = fs::read(reference("fourteen").join(name)).unwrap();
        fs::write(&cifar, &bytes[..bytes.len() - cut]).unwrap();
        let truncated = message(&small, &format!("path: {cifar:?}"));
        assert!(truncated.contains("it is damaged") && !truncated.contains("panicked"), "{name}: {truncated}");
    }
    for part in ["model.ckpt-225206.index", "model.ckpt-225206.data-00000-of-00001"] {
        fs::create_dir_all(place.path().join("tf")).unwrap();
        fs::copy(reference("fourteen/simclr-v1").join(part), place.path().join("tf").join(part)).unwrap();
    }
    let simclr = r#"path: "tf/model.ckpt-225206", prefix: "base_model.""#;
    experiment(&place, &SMALL.replace("PADDING", "TfSamePool"), simclr);
    place.run("e.ron").ok();
    let data = place.path().join("tf/model.ckpt-225206.data-00000-of-00001");
    let mut bytes = fs::read(&data).unwrap();
    bytes[4000] ^= 1;
    fs::write(&data, &bytes).unwrap();
    assert!(message(&small, simclr).contains("does not have its checksum"));
    bytes[4000] ^= 1;
    fs::write(&data, &bytes[..5000]).unwrap();
    assert!(message(&small, simclr).contains("the file is truncated"));
    fs::remove_file(&data).unwrap();
    assert!(message(&small, simclr).contains("data-00000-of-00001"));
    // A classifier of features that are not those it was trained on.
    experiment(&place, &format!("{small}, layer: \"layer2\""), &file("supervised.pth"));
    let text = fs::read_to_string(place.path().join("e.ron")).unwrap();
    place.write(
        "e.ron",
        &text.replace("FewShot(ways: 2, shots: 1, queries: 2, episodes: 5)", "Classifier(split: Whole)"),
    );
    assert!(flat(&place.run("e.ron").fails(2)).contains("another `layer` or `pool`"));
    // A backbone whose numbers or layers make no sense.
    assert!(message("ResNet(width: 0)", &file("swav.pth.tar")).contains("`width` must be from 1 to 2048"));
    experiment(&place, &format!("{small}, layer: \"layer9\""), &file("swav.pth.tar"));
    assert!(flat(&place.run("e.ron").fails(2)).contains("there are layer1 to layer4"));
}

#[test]
fn networks_of_today_run_with_layers_and_pools() {
    let place = Workspace::new();
    place.write(
        "e.ron",
        r#"(
        tasks: { "t": (dataset: Glyphs(alphabets: 1, characters: 4, drawers: 4), image: (size: 32, resize: Stretch)) },
        models: {
            "resnet": (backbone: ResNet(depths: [1, 1, 1, 1], width: 4), weights: Random(seed: 1), layer: "layer3", pool: GeM()),
            "vit": (backbone: ViT(size: Custom(width: 24, depth: 2, heads: 3), patch: 8, trained_at: 64), weights: Random(seed: 1), layer: "block1", pool: ClsGap),
            "dino": (backbone: DinoV2(size: Custom(width: 24, depth: 2, heads: 3), registers: 4, patch: 8, trained_at: 32), weights: Random(seed: 1)),
            "clip": (backbone: Clip(size: Custom(width: 24, depth: 2, heads: 3), patch: 8, trained_at: 32, projected: 5), weights: Random(seed: 1)),
            "siglip": (backbone: Transformer(family: SigLip, size: Base, depth: 1, trained_at: 32), weights: Random(seed: 1)),
            "dinov3": (backbone: Transformer(family: DinoV3, size: Small, depth: 2), weights: Random(seed: 1), layer: "last2", pool: ClsGap),
            "convnext": (backbone: ConvNeXt(size: Custom(depths: [1, 1, 1, 1], width: 4)), weights: Random(seed: 1), pool: Flat, normalization: None),
            "mobilenet": (backbone: MobileNetV2(width: 0.1), weights: Random(seed: 1)),
            "trained": (backbone: ViT(size: Custom(width: 24, depth: 1, heads: 3), patch: 8, trained_at: 32), weights: Trained(method: Supervised, on: "t", steps: 3, batch: 4)),
        },
        protocols: { "f": FewShot(ways: 2, shots: 1, queries: 2, episodes: 5) },
    )"#,
    );
    assert_eq!(place.run("e.ron").ok().ran(), 1 + 9 + 9 + 1);
    // Weights that were trained here are read back under the names of the original library.
    place.assay(&["export", "e.ron", "trained", "vit.safetensors"]).ok();
    let text = fs::read_to_string(place.path().join("e.ron")).unwrap();
    let at = text.find("weights: Trained").unwrap();
    let read = format!(
        "{}weights: File(path: \"vit.safetensors\")),\n        }},\n{}",
        &text[..at],
        &text[text.find("        protocols").unwrap()..]
    );
    place.write("e.ron", &read);
    let again = place.run("e.ron").ok();
    assert!(again.ran() <= 2, "the same tensors give the same features: {}", again.stderr);
}

#[test]
fn the_study_names_all_files_that_are_missing_and_where_they_are_to_be_had() {
    let place = Workspace::new();
    for (file, tasks) in [("study/linear.ron", 11), ("study/finetune.ron", 11), ("study/fewshot.ron", 14)] {
        let path = experiments().join(file);
        let mut command = place.command(&["plan", path.to_str().unwrap()]);
        command.env("ASSAY_DATA", place.path().join("no-data")).env("ASSAY_WEIGHTS", place.path().join("no-weights"));
        let outcome = Outcome::from(command.output().unwrap()).fails(2);
        let text = flat(&outcome);
        assert_eq!(text.matches("does not exist").count(), 14 + tasks, "{file}: {text}");
        assert_eq!(text.matches("to be had at").count(), 14 + tasks, "{file}: {text}");
        for part in [
            "pretrain_res50x1.pkl does not exist",
            "https://storage.googleapis.com/deepmind-byol",
            "assay data check dtd",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert!(text.contains(&format!("{} problems", 14 + tasks)), "{text}");
    }
}
