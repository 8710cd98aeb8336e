//! Which tensors of a file are taken for a backbone, what is asked first, and what is refused.

#![allow(clippy::unwrap_used)]

mod torch;

use std::fs;
use std::path::Path;

use assay_weights::{Checkpoint, TensorFilter, TensorShape, Unfit, Wanted, choices, find};
use torch::{Dict, Floats, Node, Of, Program, dict, foreign, torch_zip, torch_zip_called, under};

fn wanted() -> Wanted {
    let tensors = [("conv1.weight", vec![2, 3]), ("bn1.weight", vec![2]), ("layer1.0.bn1.bias", vec![3])];
    let tensors = tensors.map(|(n, shape)| TensorShape { name: n.into(), shape }).into();
    Wanted { tensors, optional: vec!["fc.weight".into()], ..Wanted::default() }
}

/// The backbone with one value everywhere.
fn net(value: f32) -> Node {
    dict(&[
        ("conv1.weight", Floats(&[2, 3], value)),
        ("bn1.weight", Floats(&[2], value)),
        ("layer1.0.bn1.bias", Floats(&[3], value)),
    ])
}

fn with(node: Node, more: &[(&str, Node)]) -> Node {
    let Dict(mut entries) = node else { panic!("it is no dict") };
    entries.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    Dict(entries)
}

fn both(a: &str, b: &str) -> Node {
    Dict([under(a, &net(1.0)), under(b, &net(2.0))].concat())
}

/// Where the tensors were, their value, and what `drop` has left out; or what is said.
fn found(path: &Path, container: Option<&str>, filter: &TensorFilter) -> Result<String, String> {
    match find(path, container, filter, &wanted()) {
        Ok((checkpoint, found)) => {
            let value = found.tensors["bn1.weight"].to_f32()[0];
            let at = checkpoint.container.unwrap_or_default();
            Ok([&at, found.prefix.as_str(), &value.to_string(), &found.dropped.join("+")].join("|"))
        }
        Err(Unfit::File(error)) => Err(error.to_string()),
        Err(Unfit::Audit(_, error)) => Err(format!("{error} [{}]", error.help.clone().unwrap_or_default())),
    }
}

fn check(node: &Node, filter: &TensorFilter, container: Option<&str>, expected: Result<&str, &[&str]>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.pth");
    fs::write(&path, torch_zip(node)).unwrap();
    match (found(&path, container, filter), expected) {
        (Ok(found), Ok(expected)) => assert_eq!(found, expected),
        (Err(error), Err(parts)) => {
            parts.iter().for_each(|part| assert!(error.contains(part), "{part} is not in {error}"));
            assert!(!error.contains("damaged"), "{error}");
        }
        (found, expected) => panic!("{expected:?} was expected, and it is {found:?}"),
    }
}

fn plain(node: &Node, expected: Result<&str, &[&str]>) {
    check(node, &TensorFilter::default(), None, expected);
}

#[test]
fn copies_with_other_values_are_asked_about() {
    let ema = dict(&[("state_dict", net(1.0)), ("state_dict_ema", net(2.0))]);
    plain(&ema, Err(&["with different values", "such as `container: \"state_dict_ema\"`: timm"]));
    check(&ema, &TensorFilter::default(), Some("state_dict"), Ok("state_dict||1|"));
    plain(
        &dict(&[("model", net(1.0)), ("epoch", Program(b"K\x07".to_vec())), ("optimizer", net(1.0))]),
        Ok("model||1|"),
    );
    plain(&dict(&[("model", net(2.0)), ("ema", net(2.0))]), Ok("ema||2|"));
    // Whatever the keys are, and however deep.
    plain(
        &dict(&[("a", net(1.0)), ("b", net(2.0))]),
        Err(&["`container: \"a\"`, `container: \"b\"`", "nothing in the file"]),
    );
    let deep =
        dict(&[("state_dict", net(1.0)), ("callbacks", dict(&[("EMA", dict(&[("ema_state_dict", net(2.0))]))]))]);
    plain(&deep, Err(&["such as `container: \"callbacks.EMA.ema_state_dict\"`"]));
    // The whole file, and a dict in it.
    let inside = with(net(1.0), &[("ema", net(2.0))]);
    plain(&inside, Err(&["such as `container: \"ema\"`"]));
    check(
        &inside,
        &TensorFilter { prefix: Some(String::new()), ..TensorFilter::default() },
        Some(""),
        Err(&["left over: ema."]),
    );
    // One that is no copy is no choice, and one that holds most of it is.
    plain(&dict(&[("model", net(1.0)), ("queue", dict(&[("x", Floats(&[2], 9.0))]))]), Ok("model||1|"));
    let parameters = dict(&[("conv1.weight", Floats(&[2, 3], 2.0)), ("bn1.weight", Floats(&[2], 2.0))]);
    plain(
        &dict(&[("model", net(1.0)), ("model_ema", parameters)]),
        Err(&[
            "`container: \"model_ema\"` (2 of 3 tensors)",
            "it is not whole here",
            "`container: \"model\"` says that",
        ]),
    );
    for (a, b, usual) in [
        ("module.encoder_k.", "module.encoder_q.", "module.encoder_q."),
        ("encoder.", "target_encoder.", "target_encoder."),
        ("backbone.", "momentum_backbone.", "backbone."),
        ("student.", "teacher.", "teacher."),
    ] {
        let node = dict(&[("state_dict", both(a, b))]);
        plain(&node, Err(&["with different values", &format!("such as `prefix: {usual:?}`")]));
        let said = TensorFilter { prefix: Some(b.to_owned()), ..TensorFilter::default() };
        check(&node, &said, None, Ok(&format!("state_dict|{b}|2|")));
    }
    // Both kinds at once: a prefix in two dicts.
    let four = dict(&[("student", both("backbone.", "other.")), ("teacher", net(3.0))]);
    plain(&four, Err(&["such as `container: \"teacher\"", "`container: \"student\", prefix: \"backbone.\"`"]));
}

#[test]
fn an_average_whose_names_have_lost_their_dots_is_not_overlooked() {
    for flat in [
        [("model_ema.conv1weight", "model_ema.bn1weight", "model_ema.layer10bn1bias")],
        [("ema_conv1_weight", "ema_bn1_weight", "ema_layer1_0_bn1_bias")],
    ] {
        let (conv, bn, bias) = flat[0];
        let average = [(conv, Floats(&[2, 3], 2.0)), (bn, Floats(&[2], 2.0)), (bias, Floats(&[3], 2.0))];
        let raw = Dict(under("model.", &net(1.0)));
        let node = dict(&[("state_dict", with(raw, &average))]);
        plain(
            &node,
            Err(&["under names that have lost their dots", "`prefix: \"model.\"` says that what is whole is meant"]),
        );
        let said = TensorFilter { prefix: Some("model.".to_owned()), ..TensorFilter::default() };
        check(&node, &said, None, Ok("state_dict|model.|1|"));
    }
}

#[test]
fn what_is_not_the_weights_themselves_is_refused_by_name() {
    let instead = |of: Node| with(net(1.0), &[]).replaced("conv1.weight", of);
    for (node, parts) in [
        (instead(Of("QInt8Storage", &[2, 3])), &["conv1.weight cannot be read: quantised numbers", "rounded"][..]),
        (instead(Of("ComplexFloatStorage", &[2, 3])), &["complex numbers"]),
        (instead(foreign("torch._utils._rebuild_qtensor")), &["quantised"]),
        (instead(foreign("torch._utils._rebuild_sparse_tensor")), &["a sparse tensor", "to_dense"]),
        (instead(foreign("torch._utils._rebuild_meta_tensor_no_storage")), &["a meta tensor"]),
        (
            instead(foreign("foo.Bar")),
            &["conv1.weight cannot be read: an object of Python code, foo.Bar", "state_dict()"],
        ),
        (instead(Of("CharStorage", &[2, 3])), &["conv1.weight holds whole numbers (i8)"]),
        (with(net(1.0), &[("layer1.0.conv1.lora_A.weight", Floats(&[1], 1.0))]), &["LoRA", "merge"]),
        (
            with(instead(Of("CharStorage", &[2, 3])), &[("conv1.SCB", Floats(&[2], 1.0))]),
            &["quantised weights with their scales"],
        ),
        (
            dict(&[
                ("conv1.weight_orig", Floats(&[2, 3], 1.0)),
                ("conv1.weight_mask", Floats(&[2, 3], 1.0)),
                ("bn1.weight", Floats(&[2], 1.0)),
            ]),
            &["pruned", "prune.remove"],
        ),
        (dict(&[("flat_param", Floats(&[9], 1.0))]), &["FSDP"]),
        (dict(&[("base_model.model.conv1.lora_A.weight", Floats(&[9], 1.0))]), &["LoRA"]),
        (dict(&[("delta", net(1.0))]), &["\"delta\" holds what is added to weights"]),
        (dict(&[("module", instead(Floats(&[0], 1.0)))]), &["zero_to_fp32"]),
        (dict(&[("module", dict(&[("conv1.weight", Floats(&[0], 1.0))]))]), &["zero_to_fp32"]),
        (dict(&[("module", net(1.0)), ("mp_world_size", Program(b"K\x02".to_vec()))]), &["one of 2 pieces"]),
        (foreign("torchvision.models.resnet.ResNet"), &["torchvision.models.resnet.ResNet", "save its `state_dict()`"]),
        (
            dict(&[("epoch", Program(b"K\x02".to_vec())), ("model", foreign("my.Net"))]),
            &["its \"model\" is an object of Python code, my.Net"],
        ),
        (dict(&[("model", foreign("my.StateDict"))]), &["my.StateDict"]),
    ] {
        plain(&node, Err(parts));
    }
    check(&dict(&[("model", foreign("my.Net"))]), &TensorFilter::default(), Some("model"), Err(&["my.Net"]));
    // What has nothing to do with the backbone is in nobody's way.
    let beside = [
        ("epoch", foreign("numpy.float64")),
        ("head.last.weight_g", Of("QInt8Storage", &[2])),
        ("x._extra_state", foreign("a.B")),
    ];
    plain(&with(net(1.0), &beside), Ok("||1|"));
    plain(&dict(&[("grads", net(2.0)), ("model", net(1.0))]), Ok("model||1|"));
}

#[test]
fn what_is_left_over_is_no_part_until_somebody_says_so() {
    let extra = with(net(1.0), &[("layer9.weight", Floats(&[2], 1.0)), ("fc_norm.weight", Floats(&[2], 1.0))]);
    plain(
        &extra,
        Err(&["2 tensors are left over: fc_norm.weight, layer9.weight", "computes other features with them"]),
    );
    let drop = TensorFilter { drop: vec!["layer9".into(), "fc".into()], ..TensorFilter::default() };
    check(&extra, &drop, None, Ok("||1|fc_norm.weight+layer9.weight"));
    // A usual head is no loss.
    check(&with(net(1.0), &[("fc.weight", Floats(&[2], 1.0))]), &drop, None, Ok("||1|"));
}

#[test]
fn wrappers_are_no_part_of_names_wherever_they_are() {
    let all = |rename: fn(&str) -> String| {
        let Dict(entries) = net(1.0) else { panic!("it is no dict") };
        Dict(entries.into_iter().map(|(name, node)| (rename(&name), node)).collect())
    };
    let inner = all(|name| name.replace("layer1.", "layer1._orig_mod.").replace("bn1.bias", "module.bn1.bias"));
    plain(&inner, Ok("||1|"));
    let outer = all(|name| format!("module._orig_mod.{name}"));
    plain(&outer, Ok("|module.|1|"));
    let written = TensorFilter { prefix: Some("module._orig_mod.".into()), ..TensorFilter::default() };
    check(&outer, &written, None, Ok("|module.|1|"));
}

#[test]
fn weights_in_several_files_of_torch() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let Dict(entries) = net(1.0) else { panic!("it is no dict") };
    let map: Vec<String> =
        entries.iter().enumerate().map(|(i, (name, _))| format!("{name:?}: \"p-{}.bin\"", i % 2)).collect();
    for part in 0..2 {
        let some = entries.iter().enumerate().filter(|(i, _)| i % 2 == part).map(|(_, entry)| entry.clone());
        fs::write(at(&format!("p-{part}.bin")), torch_zip(&Dict(some.collect()))).unwrap();
    }
    let index = |map: &[String]| {
        fs::write(at("m.bin.index.json"), format!("{{\"weight_map\": {{{}}}}}", map.join(", "))).unwrap()
    };
    index(&map);
    let path = at("m.bin.index.json");
    assert_eq!(found(&path, None, &TensorFilter::default()).unwrap(), "||1|");
    assert_eq!(Checkpoint::open(&path, None).unwrap().format, "torch in several files");
    assert_eq!(Checkpoint::locate(dir.path()), path);
    assert_eq!(Checkpoint::files(&path).unwrap().len(), 3);
    for (more, expected) in [
        ("\"x\": \"../p-0.bin\"", "is not a file beside it"),
        ("\"x\": \"/etc/passwd\"", "is not a file beside it"),
        ("\"x\": \"m.bin.index.json\"", "is not a file beside it"),
        ("\"x\": \"p-0.bin\"", "its index says that x is in p-0.bin"),
    ] {
        index(&[map.clone(), vec![more.to_owned()]].concat());
        let error = Checkpoint::open(&path, None).unwrap_err().to_string();
        assert!(error.contains(expected), "{more}: {error}");
    }
}

/// torch writes a record and its place (76 bytes) between the list of members and the end, and the list's entries are 76 bytes long
/// where the file's name has 21 letters.
#[test]
fn no_name_of_a_file_keeps_it_from_being_read() {
    for letters in 1..60 {
        let mut bytes = torch_zip_called(&"n".repeat(letters), &net(1.0));
        let end = bytes.len() - 22;
        assert!(bytes[end..].starts_with(b"PK\x05\x06"));
        bytes.splice(end..end, [0; 76]);
        assert_eq!(Checkpoint::from_bytes(&bytes, None).unwrap().tensors.len(), 3, "{letters} letters");
    }
}

#[test]
fn the_places_of_a_backbone_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.pth");
    fs::write(&path, torch_zip(&dict(&[("model", net(1.0)), ("model_ema", net(2.0))]))).unwrap();
    let found = choices(&path, None, &wanted()).unwrap();
    let places: Vec<_> =
        found.places.iter().map(|place| (place.container.as_deref().unwrap(), place.present)).collect();
    assert_eq!(places, [("model_ema", 3), ("model", 3)]);
    assert!(found.why.is_some() && found.question.is_some());
}

#[test]
fn the_weights_of_a_repository_are_those_with_the_usual_name_or_the_only_ones() {
    for (names, expected) in [
        (&["config.json", "pytorch_model.bin", "model.safetensors"][..], Ok("model.safetensors")),
        (&["a/x.txt", "pytorch_model.bin.index.json", "pytorch_model-1.bin"], Ok("pytorch_model.bin.index.json")),
        (&["README.md", "dinov2.pth", "training_args.bin"], Ok("dinov2.pth")),
        (&["a.pth", "b.safetensors"], Err(2)),
        (&["README.md"], Err(0)),
    ] {
        assert_eq!(Checkpoint::among(names).map_err(|all| all.len()), expected, "{names:?}");
    }
}

impl Node {
    /// With another value under a key.
    fn replaced(self, key: &str, node: Node) -> Self {
        let Dict(entries) = self else { panic!("it is no dict") };
        Dict(
            entries
                .into_iter()
                .map(|(name, old)| if name == key { (name, node.clone()) } else { (name, old) })
                .collect(),
        )
    }
}
