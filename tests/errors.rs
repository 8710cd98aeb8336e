//! Bad experiments, bad images, bad weights: clear errors, before work where that is possible, and never a panic.

#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use std::fs;
use std::io::Write;

use support::{Outcome, SMALL, Workspace, write_png};

#[test]
fn everything_wrong_with_a_file_is_said_at_once() {
    let place = Workspace::new();
    place.write(
        "e.ron",
        r#"(
    tasks: {
        "glyphs": (dataset: Glyphs(alphabets: 0, characters: 10, drawers: 12), image: (size: 28, resize: Nne, color: Grey)),
        "folder": (dataset: ImageFolder(root: "nowhere"), image: (size: 28, resize: Stretch)),
    },
    models: {
        "pixels": (backbone: Pixels, weights: Random(seed: 1)),
        "conv": (backbone: Conv4(chanels: 1), weights: File(path: "missing.pth")),
        "trained": (backbone: ResNet18, weights: Trained(method: Supervised, on: "glyph", steps: 5)),
        "none": (backbone: ResNet18),
    },
    protocols: {
        "few": FewShot(ways: 1, shot: 3, episodes: Oficial),
        "knn": Knn(temperature: 0.0),
    },
    exclude: [(model: "pixel")],
)"#,
    );
    let outcome = place.run("e.ron").fails(2);
    for expected in [
        "unknown name `Nne`",
        "did you mean `None`?",
        "`alphabets` must be from 1 to 10000",
        "nowhere does not exist",
        "`Pixels` has no weights",
        "unknown field `chanels`",
        "did you mean `channels`?",
        "there is no task called \"glyph\"",
        "did you mean \"glyphs\"?",
        "`ResNet18` needs weights",
        "unknown field `shot`",
        "did you mean `shots`?",
        "expected a number of episodes or `Official`, found `Oficial`",
        "`temperature` must be greater than zero",
        "nothing in models is called \"pixel\"",
        "e.ron:3:",
        "nothing was run",
    ] {
        assert!(outcome.stderr.contains(expected), "{expected}\nis not in\n{}", outcome.stderr);
    }
    assert!(outcome.stdout.is_empty());
    assert!(!place.path().join("cache/steps").read_dir().unwrap().any(|_| true));
}

#[test]
fn a_wrong_command_line_is_code_two() {
    let place = Workspace::new();
    place.write("e.ron", SMALL);
    place.assay(&["run", "none.ron"]).fails(2);
    place.assay(&["run", "e.ron", "--device", "gpu"]).fails(2);
    assert!(place.assay(&["run", "e.ron", "--device", "cuda:7"]).fails(2).stderr.contains("cuda"));
    place.assay(&["run", "e.ron", "--set", "protocols.5w1s.episodes"]).fails(2);
    assert!(
        place.assay(&["run", "e.ron", "--set", "protocols.5w1.episodes=3"]).fails(2).stderr.contains("protocols.5w1s")
    );
    assert!(place.assay(&["why", "e.ron", "scores/x"]).fails(2).stderr.contains("has no step called"));
}

#[test]
fn what_does_not_fit_is_said_before_anything_runs() {
    let place = Workspace::new();
    let check = |file: String, expected: &str| {
        place.write("e.ron", &file);
        let outcome = place.run("e.ron").fails(2);
        assert!(outcome.stderr.contains(expected), "{expected}\nis not in\n{}", outcome.stderr);
    };
    check(SMALL.replace("channels: 1, width: 8", "width: 8"), "its Conv4 takes 3 channels, and images have 1");
    check(SMALL.replace("size: 28, resize: None", "size: 12, resize: Stretch"), "needs images of at least 16×16");
    check(SMALL.replace("ways: 5", "ways: 21"), "21 classes are needed");
    check(SMALL.replace("shots: 1", "shots: 8"), "20 classes have too few: alphabet00/character00 (12)");
    check(SMALL.replace(", test_drawers: 4", ""), "needs a train and a test split");
    check(SMALL.replace("Knn(k: 5)", "Knn(k: 500)"), "`k` is 500, and there are 160 training images");
    check(SMALL.replace("Knn(k: 5)", "Classifier"), "needs weights from a file with a classifier");
}

fn images(place: &Workspace, bad: &[(&str, Vec<u8>)]) {
    for i in 0..24u8 {
        let path = place.path().join(format!("images/class{}/{i:02}.png", i % 2));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        write_png(&path, (20, 16), |x, y| [x as u8 * 3 + i, y as u8 * 9, i * 5]);
    }
    for (name, bytes) in bad {
        fs::write(place.path().join("images").join(name), bytes).unwrap();
    }
}

const FOLDER: &str = r#"(
    tasks: { "images": (dataset: ImageFolder(root: "images"), image: (size: 16, resize: Stretch)ON_BAD) },
    models: { "pixels": (backbone: Pixels) },
    protocols: { "2w1s": FewShot(ways: 2, shots: 1, queries: 3, episodes: 20) },
)"#;

fn bad_images() -> Vec<(&'static str, Vec<u8>)> {
    let reference = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/pictures/rgb.jpg");
    let jpeg = fs::read(reference).unwrap();
    vec![
        ("class0/truncated.jpg", jpeg[..jpeg.len() / 2].to_vec()),
        ("class0/empty.png", Vec::new()),
        ("class1/text.jpg", b"not an image at all".to_vec()),
    ]
}

#[test]
fn a_bad_image_fails_with_its_name() {
    for (name, bytes) in bad_images() {
        let place = Workspace::new();
        images(&place, &[(name, bytes)]);
        place.write("e.ron", &FOLDER.replace("ON_BAD", ""));
        let outcome = place.run("e.ron").fails(1);
        assert!(outcome.stderr.contains(&format!("images/{name}")), "{}", outcome.stderr);
        assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("failed: features/pixels/images/"), "{}", outcome.stderr);
    }
}

#[test]
fn bad_images_can_be_skipped_and_are_reported() {
    let place = Workspace::new();
    images(&place, &bad_images());
    write_png(&place.path().join("images/class1/one.png"), (1, 1), |_, _| [7]);
    place.write("e.ron", &FOLDER.replace("ON_BAD", ", on_bad_image: Skip"));
    let outcome = place.run("e.ron").ok();
    assert!(
        outcome.stderr.contains(
            "3 images cannot be decoded and are left out: class0/empty.png, class0/truncated.jpg, class1/text.jpg"
        ),
        "{}",
        outcome.stderr
    );
    assert_eq!(place.run("e.ron").ok().ran(), 0);
}

#[test]
fn a_bad_folder_is_named() {
    let place = Workspace::new();
    place.write("e.ron", &FOLDER.replace("ON_BAD", ""));
    fs::create_dir_all(place.path().join("images/class0")).unwrap();
    let outcome = place.run("e.ron").fails(2);
    assert!(outcome.stderr.contains("class0 holds no image"), "{}", outcome.stderr);
    images(&place, &[]);
    fs::write(place.path().join("images/class1/x.png"), b"").unwrap();
    // A link to itself cannot be walked.
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(place.path().join("images/class1"), place.path().join("images/class1/loop"))
            .unwrap();
        let outcome = place.run("e.ron").fails(2);
        assert!(outcome.stderr.contains("class1"), "{}", outcome.stderr);
    }
}

fn with_weights(name: &str, bytes: &[u8], backbone: &str) -> Outcome {
    let place = Workspace::new();
    fs::write(place.path().join(name), bytes).unwrap();
    place.write(
        "e.ron",
        &SMALL.replace(
            "Conv4(channels: 1, width: 8), weights: Random(seed: 0)",
            &format!("{backbone}, weights: File(path: \"{name}\")"),
        ),
    );
    if backbone.starts_with("ResNet") {
        let file = fs::read_to_string(place.path().join("e.ron")).unwrap();
        place.write("e.ron", &file.replace("color: Grey", "color: Rgb"));
    }
    let outcome = place.run("e.ron").fails(2);
    assert!(outcome.stderr.contains(name) && !outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    outcome
}

#[test]
fn bad_weights_are_refused_with_a_reason() {
    let conv = "Conv4(channels: 1, width: 8)";
    let check = |name: &str, bytes: &[u8], expected: &str| {
        let outcome = with_weights(name, bytes, conv);
        assert!(outcome.stderr.contains(expected), "{expected}\nis not in\n{}", outcome.stderr);
    };
    check("page.safetensors", b"<!DOCTYPE html><html><body>404</body></html>", "it is a web page");
    check("empty.pth", b"", "it is empty");
    // A pickle that would run a command, inside a zip as torch writes it.
    let evil = b"\x80\x02cposix\nsystem\nq\x00X\x0b\x00\x00\x00touch owned\x85q\x01Rq\x02.";
    let zipped = |bytes: &[u8], method| {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        zip.start_file("archive/data.pkl", zip::write::SimpleFileOptions::default().compression_method(method))
            .unwrap();
        zip.write_all(bytes).unwrap();
        zip.finish().unwrap().into_inner()
    };
    check("evil.pth", &zipped(evil, zip::CompressionMethod::Stored), "`posix.system`, which is refused");
    check("evil.th", evil, "`posix.system`, which is refused");
    check(
        "bomb.pth",
        &zipped(&vec![0; 50 << 20], zip::CompressionMethod::Deflated),
        "compressed, which torch never does",
    );
    let weights = fs::read(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/weights/conv4-simclr.safetensors"),
    )
    .unwrap();
    check("cut.safetensors", &weights[..weights.len() - 100], "it is damaged");
    check("wide.safetensors", &weights, "none of its 24 tensors fits the backbone");
    let outcome = with_weights("other.safetensors", &weights, "ResNet20");
    assert!(outcome.stderr.contains("none of its 24 tensors fits"), "{}", outcome.stderr);
}

/// A text with what a terminal would obey, and with a line that looks like one of ours.
const HOSTILE: &str = "a\u{1b}[31m\u{7}\u{202e}\nerror: forged";
const HARMLESS: &str = "a\\u{1b}[31m\\u{7}\\u{202e}\\nerror: forged";

fn assert_harmless(outcome: &Outcome) {
    for text in [&outcome.stdout, &outcome.stderr] {
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("error: forged")), "{text}");
        assert!(!text.contains("panicked"), "{text}");
    }
}

#[test]
fn a_mistake_at_the_end_of_a_long_line_is_shown() {
    let place = Workspace::new();
    let models: String =
        (0..800).map(|i| format!("\"model number {i}\": (backbone: Pixels, polarity: Inverted), ")).collect();
    let start = format!("(models: {{ {models} }}, tasks: {{}}, protocols: {{}}, ");
    place.write("e.ron", &format!("{start}exclde: [])"));
    let outcome = place.run("e.ron").fails(2);
    assert!(start.len() > 40_000);
    for expected in
        ["unknown field `exclde`", "exclude", &format!("e.ron:1:{}]", start.len() + 1), "protocols: {}, exclde: []"]
    {
        assert!(outcome.stderr.contains(expected), "{expected}\nis not in\n{}", outcome.stderr);
    }
    assert!(outcome.stderr.len() < 2000, "{}", outcome.stderr);
    place.write("e.ron", &"/*".repeat(500_000));
    assert!(place.run("e.ron").fails(2).stderr.contains("this is not valid RON"));
}

#[test]
fn of_very_many_problems_the_first_are_shown_and_all_are_counted() {
    let place = Workspace::new();
    for separator in [" ", "\n"] {
        let wrong: String = (0..20_000).map(|i| format!("wrong{i}: {i},{separator}")).collect();
        place.write("e.ron", &SMALL.replace("Knn(k: 5)", &format!("Knn(k: 5, {wrong})")));
        let start = std::time::Instant::now();
        let outcome = place.run("e.ron").fails(2);
        assert!(start.elapsed() < std::time::Duration::from_secs(10), "{:?}", start.elapsed());
        assert_eq!(outcome.stderr.matches("the fields here are").count(), 50);
        assert_eq!(outcome.stderr.matches("unknown field `").count(), 250);
        for expected in
            ["unknown field `wrong249`", "… and 19750 more", "error: 20000 problems in the experiment; nothing was run"]
        {
            assert!(outcome.stderr.contains(expected), "{expected}\nis not in\n{}", outcome.stderr);
        }
    }
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_refused_at_once() {
    let place = Workspace::new();
    let pipe = |name: &str| {
        assert!(std::process::Command::new("mkfifo").arg(place.path().join(name)).status().unwrap().success());
    };
    pipe("e.ron");
    pipe("w.pth");
    assert!(place.run("e.ron").fails(2).stderr.contains("it is a named pipe"));
    place.write("i.ron", "(include: [\"e.ron\", \"/dev/zero\", \"/etc/passwd\"])");
    let outcome = place.run("i.ron").fails(2);
    assert!(outcome.stderr.contains("it is a named pipe") && !outcome.stderr.contains("root:"), "{}", outcome.stderr);
    for (file, expected) in [("w.pth", "a named pipe"), ("/dev/zero", "a device"), (".", "a folder without one index")]
    {
        let outcome = place.assay(&["weights", "inspect", file]).fails(1);
        assert!(outcome.stderr.contains(expected), "{expected}\nis not in\n{}", outcome.stderr);
    }
    let weights = "Conv4(channels: 1, width: 8), weights: File(path: \"w.pth\")";
    place.write("w.ron", &SMALL.replace("Conv4(channels: 1, width: 8), weights: Random(seed: 0)", weights));
    assert!(place.run("w.ron").fails(2).stderr.contains("a named pipe"));
}

#[cfg(unix)]
#[test]
fn names_of_others_cannot_do_anything() {
    let place = Workspace::new();
    // A file of an image folder.
    images(&place, &[(&format!("class0/{HOSTILE}.png"), b"no image".to_vec())]);
    place.write("e.ron", &FOLDER.replace("ON_BAD", ""));
    let outcome = place.run("e.ron").fails(1);
    assert_harmless(&outcome);
    assert!(outcome.stderr.contains(HARMLESS), "{}", outcome.stderr);
    // A tensor.
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &[0; 4]).unwrap();
    fs::write(place.path().join("w.safetensors"), safetensors::serialize([(HOSTILE, view)], None).unwrap()).unwrap();
    let outcome = place.assay(&["weights", "inspect", "w.safetensors"]).ok();
    assert_harmless(&outcome);
    assert!(outcome.stdout.contains(HARMLESS), "{}", outcome.stdout);
    // A model, in tables and everywhere that its steps are told of.
    let name = format!("{HOSTILE:?}");
    place.write("n.ron", &SMALL.replace("\"pixels\"", &name));
    let outcome = place.run("n.ron").ok();
    assert_harmless(&outcome);
    assert!(outcome.stdout.contains(HARMLESS) && outcome.stderr.contains(HARMLESS), "{}", outcome.stderr);
    for arguments in [
        &["show", "n.ron", "--format", "csv"][..],
        &["show", "n.ron", "--format", "markdown"],
        &["plan", "n.ron", "--all"],
    ] {
        assert_harmless(&place.assay(arguments).ok());
    }
    // The experiment itself, and its text.
    let outcome = place.run(HOSTILE).fails(2);
    assert_harmless(&outcome);
    let file = format!("{HOSTILE}.ron");
    place.write(&file, "(models: {}, /* \u{1b}[31m */ tasks: 1)");
    let outcome = place.run(&file).fails(2);
    assert_harmless(&outcome);
    assert!(outcome.stderr.contains("/* \\u{1b}[31m */ tasks: 1"), "{}", outcome.stderr);
}

#[cfg(unix)]
#[test]
fn a_store_that_is_not_unicode_can_be_told_of_in_json() {
    use std::os::unix::ffi::OsStrExt;
    let place = Workspace::new();
    place.write("e.ron", SMALL);
    let store = std::ffi::OsStr::from_bytes(b"st\xffre");
    for arguments in [
        &["run", "e.ron", "--device", "cpu", "--format", "json"][..],
        &["show", "e.ron", "--format", "json"],
        &["status", "--format", "json"],
        &["doctor", "--format", "json"],
        &["plan", "e.ron", "--format", "json"],
        &["gc", "e.ron", "--format", "json"],
        &["verify", "--format", "json"],
    ] {
        let outcome: Outcome = place.command(arguments).arg("--store").arg(store).output().unwrap().into();
        let value = outcome.ok().json();
        assert!(value["schema"].is_string(), "{arguments:?}");
        if arguments[0] == "run" {
            assert!(value["cells"][0]["folder"].as_str().unwrap().contains("st\u{fffd}re/"), "{value}");
        }
    }
}
