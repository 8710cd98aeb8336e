//! Lists of names in an order that matters, and lists of several answers for each image.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::column::Column;
use crate::regular::read_regular;

/// Most bytes of a list in JSON.
const MAX_JSON_BYTES: u64 = 256 << 20;

/// Names in the order of a file: a line each, of which the first word counts where every line begins with a WordNet id
/// (`n01440764 tench`), an array of text, or JSON: a list of names, or an object of numbers with a name, or with a list whose first
/// is the name (`{"0": ["n01440764", "tench"], …}`).
///
/// # Errors
/// When the file is none of these, or a number is missing.
pub fn name_list(path: &Path) -> anyhow::Result<Vec<String>> {
    let read = || {
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) {
            return names_of(&json(path)?);
        }
        let names = Column::read(path, "classes")?.into_texts()?;
        let first = |line: &String| line.split([' ', '\t', ',']).next().filter(|word| is_wnid(word)).map(str::to_owned);
        Ok(names.iter().map(first).collect::<Option<Vec<_>>>().unwrap_or(names))
    };
    read().with_context(|| format!("reading {}", path.display()))
}

/// For each image of a numbered list, the classes that are right: JSON, a list of lists of numbers, as ReaL has it.
///
/// # Errors
/// When the file is something else.
pub fn answer_lists(path: &Path) -> anyhow::Result<Vec<Vec<u32>>> {
    let read = || -> anyhow::Result<Vec<Vec<u32>>> {
        serde_json::from_value(json(path)?).context("a list of lists of class numbers was expected")
    };
    read().with_context(|| format!("reading {}", path.display()))
}

fn json(path: &Path) -> anyhow::Result<Value> {
    let bytes = read_regular(path, MAX_JSON_BYTES)?.context("it is too large for a list")?;
    serde_json::from_slice(&bytes).context("it is not JSON")
}

/// Tells whether a word is the id of a noun of WordNet.
fn is_wnid(word: &str) -> bool {
    word.len() == 9 && word.starts_with('n') && word[1..].bytes().all(|b| b.is_ascii_digit())
}

fn names_of(value: &Value) -> anyhow::Result<Vec<String>> {
    let name = |value: &Value| value.as_str().map(str::to_owned).context("a name was expected");
    match value {
        Value::Array(names) => names.iter().map(name).collect(),
        Value::Object(fields) => {
            let mut numbered = Vec::with_capacity(fields.len());
            for (number, value) in fields {
                let number: usize =
                    number.parse().ok().with_context(|| format!("{number:?} is no number of a class"))?;
                numbered.push((number, name(value.get(0).unwrap_or(value))?));
            }
            numbered.sort_unstable();
            let is_whole = numbered.iter().enumerate().all(|(i, (number, _))| i == *number);
            ensure!(is_whole, "its numbers are not those from 0 to {}", numbered.len().saturating_sub(1));
            Ok(numbered.into_iter().map(|(_, name)| name).collect())
        }
        _ => bail!("a list of names was expected"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_the_order_of_their_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let read = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            name_list(&path).map_err(|error| format!("{error:#}"))
        };
        let wanted = ["n01440764", "n01443537"].map(str::to_owned).to_vec();
        for (name, text) in [
            ("a.txt", "n01440764\nn01443537\n"),
            ("a.txt", "n01440764 tench, Tinca tinca\nn01443537 goldfish\n"),
            ("a.json", r#"["n01440764", "n01443537"]"#),
            ("a.json", r#"{"1": ["n01443537", "goldfish"], "0": ["n01440764", "tench"]}"#),
            ("a.json", r#"{"1": "n01443537", "0": "n01440764"}"#),
        ] {
            assert_eq!(read(name, text).unwrap(), wanted, "{text}");
        }
        assert_eq!(read("a.txt", "great white shark\nn01440764 x\n").unwrap()[0], "great white shark");
        for (name, text, said) in [
            ("a.json", r#"{"0": "a", "2": "b"}"#, "from 0 to 1"),
            ("a.json", r#"{"zero": "a"}"#, "no number"),
            ("a.json", "[1]", "a name was expected"),
            ("a.json", "{", "not JSON"),
        ] {
            let error = read(name, text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
        let real = dir.path().join("real.json");
        std::fs::write(&real, "[[3], [], [1, 2]]").unwrap();
        assert_eq!(answer_lists(&real).unwrap(), [vec![3], vec![], vec![1, 2]]);
    }
}
