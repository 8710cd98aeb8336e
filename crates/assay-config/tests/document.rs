//! Files with everything wrong at once, and files with nothing wrong.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use assay_config::{Document, Environment, Override, Patterns, Renamed, UserPath};
use miette::Diagnostic as _;
use serde::Deserialize;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Shape {
    sides: u32,
    #[serde(default)]
    tags: Vec<String>,
    paint: Paint,
    at: Option<UserPath>,
}

#[derive(Debug, Deserialize, PartialEq)]
enum Paint {
    Plain,
    Flat(Flat),
    Noise(u64),
    Mixed { colour: String, amount: f64 },
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Flat {
    #[serde(default)]
    gloss: f64,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Rest {
    #[serde(default)]
    only: Option<Patterns>,
}

fn load(dir: &Path, file: &str, overrides: &[&str]) -> Document {
    let overrides: Vec<_> = overrides.iter().map(|o| Override((*o).to_owned())).collect();
    Document::load(&dir.join(file), &["shapes"], &overrides, Environment::default())
}

fn shapes(document: &Document) -> Vec<Option<Shape>> {
    document.section("shapes").values().map(|e| document.decode(e).filter(|d| d.is_sound).map(|d| d.value)).collect()
}

fn messages(document: Document) -> Vec<String> {
    let render = |p: &assay_config::Problem| match p.help_text() {
        Some(help) => format!("{} [{help}]", p.message()),
        None => p.message().to_owned(),
    };
    document.problems.into_list().iter().map(render).collect()
}

#[test]
fn all_problems_at_once() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("a.ron"),
        r#"(
    include: ["missing.ron"],
    shapes: {
        "one": (sides: "four", tgas: [], paint: Flt(gloss: 1), at: "x/${NOPE}"),
        "two": (tags: "red", paint: Mixed(color: "red"), sides: -1, sides: 2),
        "two": (sides: 1, paint: Plain),
        "three": (paint: Noise(-3)),
        "four": Paint(sides: 5),
        "five": (sides: 5, paint: Plain(1)),
        6: (),
    },
    only: [1, "["],
    olny: "x",
)"#,
    )
    .unwrap();
    let document = load(dir.path(), "a.ron", &["shapes.too.sides=3", "shapes.one.tags.0=3", "nonsense"]);
    shapes(&document);
    document.decode_rest::<Rest>();
    let found = messages(document);
    let expected = [
        "there is nothing called \"too\" in shapes",
        "--set nonsense has no `=`",
        "missing.ron cannot be included",
        "expected an integer from 0 to 4294967295, found the string \"four\"",
        "unknown field `tgas` [did you mean `tags`?]",
        "unknown name `Flt` [did you mean `Flat`?]",
        "the environment variable NOPE is not set",
        "expected a list, `[…]`, found the string \"red\"",
        "unknown field `color` [did you mean `colour`?]",
        "`colour` is missing",
        "`amount` is missing",
        "`-1` is out of range",
        "`sides` is given twice",
        "there are two shapes called \"two\"",
        "`sides` is missing",
        "`-3` is out of range",
        "expected `Shape(…)`, found `Paint`",
        "`Plain` takes no parameters",
        "expected a name, found the integer `6`",
        "expected a string, found the integer `1`",
    ];
    for message in expected {
        assert!(found.iter().any(|f| f.contains(message)), "{message}\nis not among\n{found:#?}");
    }
}

#[test]
fn includes_and_overrides() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    fs::write(
        dir.path().join("sub/b.ron"),
        r#"(include: ["c.ron"], shapes: { "b": (sides: 3, paint: Plain, at: "data") })"#,
    )
    .unwrap();
    fs::write(dir.path().join("sub/c.ron"), r#"(shapes: { "c": (sides: 3, paint: Flat) })"#).unwrap();
    fs::write(
        dir.path().join("a.ron"),
        r#"(include: ["sub/b.ron", "sub/c.ron"], shapes: { "a.x": (sides: 4, paint: Noise(1)) })"#,
    )
    .unwrap();
    let document =
        load(dir.path(), "a.ron", &["shapes.\"a.x\".sides=7", "shapes.c.paint.gloss=0.5", "shapes.b.tags=[\"t\"]"]);
    let decoded = shapes(&document);
    let names: Vec<_> = document.section("shapes").keys().cloned().collect();
    assert_eq!(names, ["c", "b", "a.x"]);
    let at = document.place("shapes.b.at").unwrap();
    assert!(document.problems.describe(&at).ends_with("b.ron:1:66"), "{}", document.problems.describe(&at));
    assert_eq!(messages(document), Vec::<String>::new());
    assert_eq!(decoded[0].as_ref().unwrap().paint, Paint::Flat(Flat { gloss: 0.5 }));
    assert_eq!(decoded[1].as_ref().unwrap().at, Some(UserPath(dir.path().join("sub/data"))));
    assert_eq!(decoded[1].as_ref().unwrap().tags, ["t"]);
    assert_eq!((decoded[2].as_ref().unwrap().sides, &decoded[2].as_ref().unwrap().paint), (7, &Paint::Noise(1)));
}

#[test]
fn a_cycle_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.ron"), r#"(include: ["b.ron"])"#).unwrap();
    fs::write(dir.path().join("b.ron"), r#"(include: ["a.ron"])"#).unwrap();
    assert_eq!(messages(load(dir.path(), "a.ron", &[])), ["these files include each other: a.ron → b.ron → a.ron"]);
}

#[test]
fn unreadable_files() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("binary.ron"), [0xff, 0xfe, 0]).unwrap();
    fs::write(dir.path().join("list.ron"), "[1]").unwrap();
    fs::write(dir.path().join("open.ron"), "(shapes: {").unwrap();
    let first = |file: &str| messages(load(dir.path(), file, &[]))[0].clone();
    assert!(first("none.ron").contains("cannot be read"));
    assert!(first("binary.ron").contains("not UTF-8"));
    assert!(first("list.ron").contains("expected an experiment"));
    assert!(first("open.ron").contains("not valid RON"));
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Crowd {
    #[serde(default)]
    shapes: Vec<Shape>,
    #[serde(default)]
    flats: Vec<Flat>,
}

/// Thousands of problems, on one line and on many, take no more than a moment.
#[test]
fn many_problems_take_little_time() {
    let dir = tempfile::tempdir().unwrap();
    let start = Instant::now();
    for separator in ["", "\n"] {
        let wrong: String = (0..20_000).map(|i| format!("side{i}x: {i},{separator}")).collect();
        let short = format!("(sides: 1),{separator}").repeat(5000);
        let text = format!("(shapes: {{ \"a\": (sides: 1, paint: Plain, {wrong}), \"b\": (shapes: [{short}]) }})");
        fs::write(dir.path().join("a.ron"), text).unwrap();
        let document = load(dir.path(), "a.ron", &[]);
        document.decode::<Shape>(&document.section("shapes")["a"]);
        document.decode::<Crowd>(&document.section("shapes")["b"]);
        let problems = document.problems.into_list();
        assert_eq!(problems.len(), 25_000);
        let last = problems.last().unwrap();
        assert_eq!(last.message(), "`paint` is missing");
        assert_eq!(problems.iter().filter(|p| p.labels().unwrap().count() == 1).count(), 25_000);
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

/// A type that lacks a field in one place is still read where it has it, and a field with a default is never asked for.
#[test]
fn all_missing_fields_are_found_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let text = r#"(shapes: { "a": (
        shapes: [(sides: 1), (paint: Plain), (sides: 1, paint: Plain), ()],
        flats: [(), (gloss: 1), (gloss: "x")],
    ) })"#;
    fs::write(dir.path().join("a.ron"), text).unwrap();
    let document = load(dir.path(), "a.ron", &[]);
    assert!(!document.decode::<Crowd>(&document.section("shapes")["a"]).unwrap().is_sound);
    let found: Vec<_> = document.problems.into_list().iter().map(|p| p.one_line()).collect();
    let found: Vec<_> = found.iter().map(|line| line.split_once("a.ron:").unwrap().1).collect();
    assert_eq!(
        found,
        [
            "2:18: `paint` is missing",
            "2:30: `sides` is missing",
            "2:72: `sides` is missing",
            "2:72: `paint` is missing",
            "3:41: expected a finite number, found the string \"x\"",
        ]
    );
}

/// What no reader should be kept busy or brought down by.
#[test]
fn hostile_texts_are_refused_soon() {
    let dir = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let deep = |open: &str| format!("(shapes: {{ \"a\": {}", open.repeat(500_000));
    for text in [
        "/*".repeat(500_000),
        "/**/".repeat(500_000),
        "//\n".repeat(500_000),
        "#![enable(implicit_some)]".repeat(100_000),
        "(".repeat(500_000),
        deep("["),
        deep("Some("),
        deep("{1:"),
        deep("a(b:"),
        deep("\"\\n\", "),
        format!("(x{}: 1)", "y".repeat(1 << 20)),
    ] {
        fs::write(dir.path().join("a.ron"), &text).unwrap();
        let document = load(dir.path(), "a.ron", &[]);
        document.decode_rest::<Rest>();
        for problem in document.problems.into_list() {
            assert!(problem.message().len() < 10_000 && problem.labels().is_some(), "{}", &text[..20]);
        }
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[cfg(unix)]
#[test]
fn only_ordinary_files_named_so_are_included() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("sub")).unwrap();
    fs::create_dir(at("folder.ron")).unwrap();
    fs::write(at("secret"), "root:x:0:0").unwrap();
    fs::write(at("secret.ron"), "root:x:0:0").unwrap();
    symlink(at("secret"), at("sub/link.ron")).unwrap();
    symlink("/dev/zero", at("sub/zero.ron")).unwrap();
    symlink(at("secret.ron"), at("sub/within.ron")).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(at("socket.ron")).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(at("pipe.ron")).status().unwrap();
    assert!(pipe.success());
    fs::write(at("large.ron"), vec![b' '; (16 << 20) + 1]).unwrap();
    for (name, expected) in [
        ("/dev/zero", "the name of an included file ends in `.ron`"),
        ("/etc/passwd", "the name of an included file ends in `.ron`"),
        ("link.ron", "ends in `.ron`, and it leads to "),
        ("zero.ron", "ends in `.ron`, and it leads to /dev/zero"),
        ("../folder.ron", "it is a folder, not a file"),
        ("../socket.ron", "it is a socket, not a file"),
        ("../pipe.ron", "it is a named pipe, not a file"),
        ("../large.ron", "it has more than 16 MiB"),
        ("../missing.ron", "cannot be included: "),
        ("../secret.ron", "this is not valid RON"),
        ("within.ron", "this is not valid RON"),
    ] {
        fs::write(at("sub/a.ron"), format!("(include: [{name:?}])")).unwrap();
        let problems = load(&at("sub"), "a.ron", &[]).problems.into_list();
        assert_eq!(problems.len(), 1, "{name}");
        assert!(problems[0].message().contains(expected), "{name}: {}", problems[0]);
        // Nothing of a text from elsewhere is shown unless it is an experiment.
        let is_foreign = expected.contains("valid RON");
        assert_eq!(problems[0].source_code().is_none(), is_foreign, "{name}");
        assert!(!format!("{}{:?}", problems[0], problems[0].help_text()).contains("root"), "{name}");
        assert_eq!(problems[0].to_string().contains(":1:"), is_foreign, "{name}: {}", problems[0]);
    }
    drop(socket);
    // What lies below the experiment's folder is shown, and so is what is an experiment wherever it is.
    fs::write(at("a.ron"), "(include: [\"secret.ron\"])").unwrap();
    assert!(load(dir.path(), "a.ron", &[]).problems.into_list()[0].source_code().is_some());
    fs::write(at("b.ron"), "(shapes: 1)").unwrap();
    fs::write(at("sub/a.ron"), "(include: [\"../b.ron\"])").unwrap();
    assert!(load(&at("sub"), "a.ron", &[]).problems.into_list()[0].source_code().is_some());
    for name in ["folder.ron", "socket.ron", "pipe.ron"] {
        assert!(load(dir.path(), name, &[]).problems.into_list()[0].message().contains("cannot be read: it is a"));
    }
}

#[test]
fn words_that_were_renamed_are_read_and_told() {
    let renamed = [
        Renamed { section: "shapes", old: "colouring", new: "paint" },
        Renamed { section: "shapes", old: "Bare", new: "Plain" },
        Renamed { section: "others", old: "sides", new: "edges" },
    ];
    let dir = tempfile::tempdir().unwrap();
    let text = r#"(
    include: ["b.ron"],
    shapes: {
        "old": (sides: 1, colouring: Flat(gloss: 0.5)),
        "colouring": (sides: 2, paint: Bare, tags: ["Bare"]),
        "set": (sides: 3, paint: Flat(gloss: 0.5)),
        "new": (sides: 4, paint: Plain),
    },
    only: "Bare",
)"#;
    fs::write(dir.path().join("a.ron"), text).unwrap();
    fs::write(dir.path().join("b.ron"), r#"(shapes: { "b": (sides: 5, colouring: Bare) })"#).unwrap();
    let load = |overrides: &[&str]| {
        let overrides: Vec<_> = overrides.iter().map(|o| Override((*o).to_owned())).collect();
        let path = dir.path().join("a.ron");
        Document::load_translated(&path, &["shapes"], &overrides, Environment::default(), &renamed)
    };
    let document = load(&["shapes.set.colouring.gloss=0.25", "shapes.new.paint=Bare"]);
    let decoded: Vec<_> = shapes(&document).into_iter().map(Option::unwrap).collect();
    let paints: Vec<_> = decoded.iter().map(|shape| &shape.paint).collect();
    let (half, quarter) = (Paint::Flat(Flat { gloss: 0.5 }), Paint::Flat(Flat { gloss: 0.25 }));
    assert_eq!(paints, [&Paint::Plain, &half, &Paint::Plain, &quarter, &Paint::Plain]);
    assert_eq!(decoded[2].tags, ["Bare"]);
    let told = " is now called `paint`; the old word will not be read by the next version";
    let places: Vec<_> = document.notes().iter().map(|note| note.rsplit('/').next().unwrap().to_owned()).collect();
    assert_eq!(places[0], format!("b.ron:1:28: `colouring`{told}"));
    assert_eq!(places[2], format!("a.ron:4:27: `colouring`{told}"));
    assert!(places[1].starts_with("b.ron:1:39: `Bare`") && places[3].starts_with("a.ron:5:40: `Bare`"));
    assert!(places[4].starts_with("--set shapes.set.colouring.gloss=0.25:1:1: `colouring`"), "{}", places[4]);
    assert!(places[5].starts_with("--set shapes.new.paint=Bare:1:1: `Bare` is now called `Plain`"), "{}", places[5]);
    assert_eq!(places.len(), 6);
    assert_eq!(messages(document), Vec::<String>::new());
    // Both words at once are one too many.
    fs::write(dir.path().join("b.ron"), r#"(shapes: { "b": (sides: 5, colouring: Plain, paint: Plain) })"#).unwrap();
    let document = load(&[]);
    shapes(&document);
    assert_eq!(messages(document), ["`paint` is given twice"]);
}

/// The excerpt of a problem is read as what shows problems reads it.
#[test]
fn a_mistake_at_the_end_of_a_long_line_has_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let many: String =
        (0..800).map(|i| format!("\"shape number {i}\": (sides: 3, paint: Plain, at: \"ü/ß/{i}\"), ")).collect();
    let text = format!("(shapes: {{ {many} \"last\": (sides: 3, paint: Plian) }})");
    let column = text[..text.find("Plian").unwrap()].chars().count();
    fs::write(dir.path().join("a.ron"), &text).unwrap();
    let document = load(dir.path(), "a.ron", &[]);
    shapes(&document);
    let problems = document.problems.into_list();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].one_line().ends_with(&format!("a.ron:1:{}: unknown name `Plian`", column + 1)));
    let label = problems[0].labels().unwrap().next().unwrap();
    let source = problems[0].source_code().unwrap();
    let header = source.read_span(label.inner(), 0, 0).unwrap();
    assert_eq!((header.line(), header.column(), header.data()), (0, column, &b"Plian"[..]));
    let shown = source.read_span(label.inner(), 1, 1).unwrap();
    assert!(
        shown.data().len() < 500
            && String::from_utf8_lossy(shown.data()).ends_with("\"last\": (sides: 3, paint: Plian) })\n")
    );
}
