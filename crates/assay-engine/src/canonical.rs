//! The one way in which a recipe is written down, so that equal recipes are equal bytes.
//!
//! JSON without white space, object keys sorted by their UTF-8 bytes, numbers in their shortest form that reads back the
//! same. `null` is refused: it is what JSON makes of NaN and infinity, and an absent parameter must be absent.

use serde::Serialize;
use serde_json::Value;

/// Why a recipe cannot be written canonically.
#[derive(Debug)]
pub enum CanonicalError {
    /// A `null` at this JSON pointer: a NaN, an infinity, or an `Option` that is not skipped when it is `None`.
    Null(String),
    /// The value's own `Serialize` failed.
    Serialize(serde_json::Error),
}

impl std::fmt::Display for CanonicalError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null(at) => write!(f, "the recipe holds a null (NaN, infinity or an unskipped None) at {at}"),
            Self::Serialize(error) => write!(f, "the recipe cannot be serialised: {error}"),
        }
    }
}

impl std::error::Error for CanonicalError {}

/// Writes `value` canonically.
///
/// # Errors
/// When the value holds a `null` or cannot be serialised.
pub fn to_canonical_json<T: Serialize + ?Sized>(value: &T) -> Result<String, CanonicalError> {
    let value = serde_json::to_value(value).map_err(CanonicalError::Serialize)?;
    canonical_text(&value)
}

/// Writes an already parsed JSON value canonically.
pub(crate) fn canonical_text(value: &Value) -> Result<String, CanonicalError> {
    let mut text = String::with_capacity(256);
    let mut at = Vec::new();
    write_value(value, &mut text, &mut at)?;
    Ok(text)
}

fn write_value<'a>(value: &'a Value, out: &mut String, at: &mut Vec<&'a str>) -> Result<(), CanonicalError> {
    match value {
        Value::Null => return Err(CanonicalError::Null(format!("/{}", at.join("/")))),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => write_string(text, out)?,
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                at.push("*");
                write_value(item, out, at)?;
                at.pop();
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_unstable_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
            out.push('{');
            for (i, (name, field)) in sorted.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_string(name, out)?;
                out.push(':');
                at.push(name);
                write_value(field, out, at)?;
                at.pop();
            }
            out.push('}');
        }
    }
    Ok(())
}

fn write_string(text: &str, out: &mut String) -> Result<(), CanonicalError> {
    if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::to_string(text).map_err(CanonicalError::Serialize)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn sorted_and_tight() {
        let text =
            to_canonical_json(&json!({"b": [1, 2.5, "x\n"], "a": {"z": true, "Y": 18446744073709551615_u64}})).unwrap();
        assert_eq!(text, r#"{"a":{"Y":18446744073709551615,"z":true},"b":[1,2.5,"x\n"]}"#);
    }

    #[test]
    fn null_is_refused_with_its_place() {
        let error = to_canonical_json(&json!({"a": [{"t": f64::NAN}]})).unwrap_err();
        assert!(error.to_string().ends_with("at /a/*/t"), "{error}");
    }

    proptest! {
        #[test]
        fn reads_back_the_same(x in any::<i64>(), y in -1e300f64..1e300, s in ".*") {
            let value = json!({"x": x, "y": y, s.clone(): s});
            let text = to_canonical_json(&value).unwrap();
            let again: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(canonical_text(&again).unwrap(), text);
        }
    }
}
