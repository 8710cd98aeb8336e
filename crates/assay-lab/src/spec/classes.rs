//! The order of classes and the folders of splits, as an experiment writes them.

use std::fmt;

use anyhow::Context as _;
use assay_config::{Checker, UserPath};
use assay_data::{FolderOptions, SplitUse, WantedOrder, open_regular};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Order of the classes of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClassesSpec {
    /// These names, in this order.
    Names(Vec<String>),
    /// The lines of a text file.
    File(UserPath),
    /// By value.
    Numeric,
    /// By the bytes of the names.
    Text,
}

/// Most bytes of a list of classes.
const MAX_LIST_BYTES: u64 = 64 << 20;

impl ClassesSpec {
    /// The order, with the names of a file.
    ///
    /// # Errors
    /// When the file cannot be read, or is not UTF-8.
    pub fn wanted(&self) -> anyhow::Result<WantedOrder> {
        Ok(match self {
            Self::Names(names) => WantedOrder::Names(names.clone()),
            Self::File(path) => {
                let text = read_list(path)?;
                WantedOrder::Names(text.lines().map(|line| line.trim().to_owned()).filter(|l| !l.is_empty()).collect())
            }
            Self::Numeric => WantedOrder::Numeric,
            Self::Text => WantedOrder::Text,
        })
    }

    /// Tells whether it lists the names, so that they are all meant.
    pub fn lists_names(&self) -> bool {
        matches!(self, Self::Names(_) | Self::File(_))
    }
}

/// Reads a text file that a task names.
///
/// # Errors
/// When it cannot be read, is too large or not UTF-8.
pub fn read_list(path: &UserPath) -> anyhow::Result<String> {
    use std::io::Read as _;
    let place = path.0.display();
    let file = open_regular(&path.0).with_context(|| format!("reading {place}"))?;
    let mut bytes = Vec::new();
    file.take(MAX_LIST_BYTES + 1).read_to_end(&mut bytes).with_context(|| format!("reading {place}"))?;
    anyhow::ensure!(bytes.len() as u64 <= MAX_LIST_BYTES, "{place} has more than {MAX_LIST_BYTES} bytes");
    let text = String::from_utf8(bytes).with_context(|| format!("{place} is not UTF-8"))?;
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

impl<'de> Deserialize<'de> for ClassesSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Order;
        impl<'de> Visitor<'de> for Order {
            type Value = ClassesSpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of names, `File(\"…\")`, `Numeric` or `Text`")
            }

            fn visit_unit<E: Error>(self) -> Result<ClassesSpec, E> {
                Ok(ClassesSpec::Text)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<ClassesSpec, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = items.next_element()? {
                    names.push(name);
                }
                Ok(ClassesSpec::Names(names))
            }

            fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<ClassesSpec, A::Error> {
                let (name, variant) = data.variant::<String>()?;
                match name.as_str() {
                    "File" => Ok(ClassesSpec::File(variant.newtype_variant()?)),
                    "Numeric" => variant.unit_variant().map(|()| ClassesSpec::Numeric),
                    "Text" => variant.unit_variant().map(|()| ClassesSpec::Text),
                    other => Err(A::Error::custom(format!(
                        "expected a list of names, `File(\"…\")`, `Numeric` or `Text`, found `{other}`"
                    ))),
                }
            }
        }
        deserializer.deserialize_any(Order)
    }
}

impl JsonSchema for ClassesSpec {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ClassesSpec".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let path = generator.subschema_for::<UserPath>();
        json_schema!({
            "title": "[\"a\", \"b\", …] | File(…) | Numeric | Text",
            "description": "Order of the classes of a task; names are those that the dataset has.",
            "oneOf": [
                { "type": "array", "items": { "type": "string" } },
                {
                    "description": "Text file with the name of a class on each line.",
                    "type": "object", "properties": { "File": path }, "required": ["File"]
                },
                {
                    "description": "By value, for names that are all whole numbers: output c is the c-th of them.",
                    "const": "Numeric"
                },
                {
                    "description": "By the bytes of the names, as torchvision's `ImageFolder`: 0, 1, 10, 11, 2, …",
                    "const": "Text"
                }
            ]
        })
    }
}

/// Folders of splits: their names, or what each is used as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FolderSplits(Vec<(String, Option<SplitUse>)>);

impl FolderSplits {
    /// The folders with their uses; those without one are told by [`check`](Self::check).
    pub fn known(&self) -> Vec<(String, SplitUse)> {
        self.0.iter().filter_map(|(name, used_as)| Some((name.clone(), (*used_as)?))).collect()
    }

    pub(crate) fn check(&self, at: &Checker<'_>) {
        for (i, (_, used_as)) in self.0.iter().enumerate() {
            let rule = "must be a folder called train, val or test (or training, validation, testing); a map says of others what they are";
            at.field(&i.to_string()).expect(used_as.is_some(), rule);
        }
    }
}

impl<'de> Deserialize<'de> for FolderSplits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Folders;
        impl<'de> Visitor<'de> for Folders {
            type Value = FolderSplits;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of folders, or a map from folders to `Train`, `Val`, `Test` or `Skip`")
            }

            fn visit_unit<E: Error>(self) -> Result<FolderSplits, E> {
                Ok(FolderSplits::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<FolderSplits, A::Error> {
                let mut folders = Vec::new();
                while let Some(name) = items.next_element::<String>()? {
                    let known = FolderOptions::of_words([name.as_str()]).splits.first().map(|(_, used_as)| *used_as);
                    folders.push((name, known));
                }
                Ok(FolderSplits(folders))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<FolderSplits, A::Error> {
                let mut folders = Vec::new();
                while let Some((name, used_as)) = entries.next_entry::<String, SplitUse>()? {
                    folders.push((name, Some(used_as)));
                }
                Ok(FolderSplits(folders))
            }
        }
        deserializer.deserialize_any(Folders)
    }
}

impl JsonSchema for FolderSplits {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FolderSplits".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let used_as = generator.subschema_for::<SplitUse>();
        json_schema!({
            "title": "list of strings, or {\"name\": Train | Val | Test | Skip}",
            "anyOf": [
                { "type": "array", "items": { "type": "string" } },
                { "type": "object", "additionalProperties": used_as }
            ]
        })
    }
}
