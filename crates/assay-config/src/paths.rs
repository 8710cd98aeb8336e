//! Paths as people write them: relative to the file they are in, with `~` and `${NAME:-default}`.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Deserializer};

/// Variables and the home folder, which a path may refer to.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Variables for `${NAME}`.
    pub variables: BTreeMap<String, String>,
    /// Home folder, which `~` stands for.
    pub home: Option<PathBuf>,
}

impl Environment {
    /// Expands `~` and variables in `text` and makes it absolute below `folder`.
    ///
    /// # Errors
    /// A sentence, when a variable is not set and has no default, or the path is empty.
    pub fn resolve(&self, text: &str, folder: &Path) -> Result<PathBuf, String> {
        let expanded = self.expand(text)?;
        if expanded.is_empty() {
            return Err("this path is empty".to_owned());
        }
        let path = match (expanded.strip_prefix('~'), &self.home) {
            (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
                home.join(rest.trim_start_matches('/'))
            }
            (Some(rest), None) if rest.is_empty() || rest.starts_with('/') => {
                return Err("there is no home folder that `~` could stand for".to_owned());
            }
            _ => PathBuf::from(expanded),
        };
        Ok(normal(&folder.join(path)))
    }

    fn expand(&self, text: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            out.push_str(&rest[..start]);
            let inner = &rest[start + 2..];
            let end = inner.find('}').ok_or("`${` has no `}`")?;
            let (name, default) = match inner[..end].split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (&inner[..end], None),
            };
            let value = self.variables.get(name).map(String::as_str).filter(|v| !v.is_empty()).or(default);
            out.push_str(value.ok_or_else(|| {
                format!("the environment variable {name} is not set; `${{{name}:-default}}` gives it a default")
            })?);
            rest = &inner[end + 1..];
        }
        out.push_str(rest);
        Ok(out)
    }
}

/// Removes `.` and `..` without asking the file system, so that messages stay readable.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if out.file_name().is_some() => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

/// A path field of an experiment: relative to the file it is written in; `~` and `${NAME:-default}` are expanded.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct UserPath(pub PathBuf);

impl UserPath {
    pub(crate) const MARK: &'static str = "$assay::UserPath";
}

impl<'de> Deserialize<'de> for UserPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename = "$assay::UserPath")]
        struct Marked(String);
        Marked::deserialize(deserializer).map(|Marked(path)| Self(path.into()))
    }
}

impl schemars::JsonSchema for UserPath {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Path".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "title": "path" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expansion() {
        let environment = Environment {
            variables: [("DATA".to_owned(), "/d".to_owned()), ("EMPTY".to_owned(), String::new())].into(),
            home: Some("/home/me".into()),
        };
        let at = |text: &str| environment.resolve(text, Path::new("/x/y")).map(|p| p.display().to_string());
        assert_eq!(at("a/../b"), Ok("/x/y/b".into()));
        assert_eq!(at("../b"), Ok("/x/b".into()));
        assert_eq!(at("~/b"), Ok("/home/me/b".into()));
        assert_eq!(at("~b"), Ok("/x/y/~b".into()));
        assert_eq!(at("${DATA}/c"), Ok("/d/c".into()));
        assert_eq!(at("${EMPTY:-e}/${NO:-f}"), Ok("/x/y/e/f".into()));
        assert!(at("${NO}").unwrap_err().contains("NO is not set"));
        assert!(at("${DATA").is_err());
        assert!(at("").is_err());
    }
}
