//! Files with everything wrong at once, and files with nothing wrong.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use assay_config::{Document, Environment, Override, Patterns, UserPath};
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
