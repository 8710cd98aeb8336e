//! What is found of files without a plan: the files of a task, the tensors of a weights file.

use assay_config::Environment;
use assay_engine::Store;
use assay_lab::{check_data, convert_weights, inspect_weights};
use assay_nn::Backbone;
use insta::assert_snapshot;

use crate::support::{Place, file_of, reference, tensors, zeros};

/// What is found of the files of a task, as a text.
fn data(place: &Place, task: &str) -> String {
    let store = Store::open(&place.root.join("cache")).unwrap();
    let text = match check_data(&place.root.join("e.ron"), task, Environment::default(), &store) {
        Err(problems) => problems.iter().map(|p| format!("{} [{:?}]\n", p.one_line(), p.help_text())).collect(),
        Ok(report) => {
            let splits =
                report.splits.iter().map(|(name, found, published)| format!("{name} {found} of {published:?}\n"));
            let splits: String = splits.collect();
            let root = report.root.unwrap_or_default();
            format!("{root}\n{} classes\n{splits}{:#?}\n{:?}", report.classes, report.notes, report.error)
        }
    };
    text.replace(reference("").to_str().unwrap(), "REFERENCE/").replace(place.root.to_str().unwrap(), "DIR")
}

#[test]
fn the_files_of_a_task() {
    let pets = reference("pets");
    let place = Place::new(&format!(
        "(
    include: [\"base.ron\"],
    tasks: {{
        \"pets\": (dataset: Pets(root: {pets:?}), image: (size: 8, resize: Stretch), on_bad_image: Skip),
        \"gone\": (dataset: Pets(root: \"gone\"), image: (size: 8, resize: Stretch)),
        \"folder\": (dataset: ImageFolder(root: \"images\"), image: (size: 8, resize: Stretch)),
    }},
)"
    ));
    assert_snapshot!(data(&place, "pets"), @r#"
    REFERENCE/pets
    2 classes
    Train 10 of Some(3680)
    Test 4 of Some(3669)
    [
        "2 classes were found, and 37 are published",
        "split Train has 10 images, 3670 fewer than the 3680 published",
        "split Test has 4 images, 3665 fewer than the 3669 published",
    ]
    None
    "#);
    assert_snapshot!(data(&place, "gone"), @r#"
    DIR/gone
    0 classes
    []
    Some("DIR/gone does not exist")
    "#);
    assert_snapshot!(data(&place, "folder"), @r#"

    0 classes
    []
    Some("opening DIR/images: No such file or directory (os error 2)")
    "#);
    let place = place.images("images/a", 0..2).images("images/b", 1..3);
    assert_snapshot!(data(&place, "folder"), @r#"

    2 classes
    Whole 4 of None
    [
        "1 samples have the same image as another",
        "1 images are there with different classes, such as a/00001.pgm (a) and b/00001.pgm (b)",
    ]
    None
    "#);
    assert_snapshot!(data(&place, "glyphs"), @"

    4 classes
    Train 24 of None
    Test 8 of None
    []
    None
    ");
    assert_snapshot!(data(&place, "pet"), @r#"DIR/e.ron has no task called "pet" [Some("did you mean \"pets\"?")]"#);
}

#[test]
fn the_tensors_of_a_weights_file() {
    let mut all = tensors(&Backbone::ResNet20);
    all.insert("linear.weight".to_owned(), zeros(&[4, 64]));
    all.insert("linear.bias".to_owned(), zeros(&[4]));
    let prefixed = all.iter().map(|(name, tensor)| (format!("module.{name}"), tensor.clone())).collect();
    let mut damaged = all.clone();
    damaged.remove("conv1.weight");
    damaged.get_mut("bn1.bias").unwrap().bytes[..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
    let place =
        Place::new("()").file("whole.safetensors", file_of(&prefixed)).file("cut.safetensors", file_of(&damaged));
    let guess = |file: &str| {
        let report = inspect_weights(&place.root.join(file), None).unwrap();
        let not_finite: usize = report.tensors.iter().map(|t| t.not_finite).sum();
        let guess = serde_json::to_string_pretty(&report.guess).unwrap();
        format!("{}, {} tensors, {not_finite} not finite\n{guess}", report.format, report.tensors.len())
    };
    assert_snapshot!(guess("whole.safetensors"), @r#"
    safetensors, 97 tensors, 0 not finite
    {
      "backbone": "ResNet20",
      "present": 95,
      "needed": 95,
      "prefix": "module.",
      "naming": null,
      "has_classifier": true,
      "notes": [],
      "unsaid": null,
      "choices": [],
      "problems": [],
      "help": null
    }
    "#);
    assert_snapshot!(guess("cut.safetensors"), @r#"
    safetensors, 96 tensors, 1 not finite
    {
      "backbone": "ResNet20",
      "present": 94,
      "needed": 95,
      "prefix": null,
      "naming": null,
      "has_classifier": false,
      "notes": [],
      "unsaid": null,
      "choices": [],
      "problems": [
        "1 of 95 tensors are missing: conv1.weight",
        "bn1.bias holds values that are not finite"
      ],
      "help": "94 of 95 tensors fit at best: check `backbone`"
    }
    "#);
    let (bytes, count) = convert_weights(&place.root.join("whole.safetensors"), None).unwrap();
    assert_eq!((bytes, count), (file_of(&prefixed), prefixed.len()), "what is safetensors stays as it is");
    let error = format!("{:#}", inspect_weights(&place.root.join("none.pth"), None).unwrap_err());
    assert!(error.contains("none.pth"), "{error}");
}
