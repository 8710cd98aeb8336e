//! The one way in which a recipe is written down, so that equal recipes are equal bytes.
//!
//! JSON without white space, object keys sorted by their UTF-8 bytes, numbers in their shortest form that reads back the
//! same. `null` is refused: it is what JSON makes of NaN and infinity, and an absent parameter must be absent.
//!
//! The text is written straight from the value, without a tree in between: a plan of 100,000 steps does this as often.

use std::fmt::Display;

use serde::Serialize;
use serde::ser::{
    self, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple, SerializeTupleStruct,
    SerializeTupleVariant, Serializer,
};

use crate::StepKey;
use crate::digest::KeySet;

/// Why a recipe cannot be written canonically.
#[derive(Debug)]
pub enum CanonicalError {
    /// A `null` at this JSON pointer: a NaN, an infinity, or an `Option` that is not skipped when it is `None`.
    Null(String),
    /// The value's own `Serialize` failed.
    Serialize(serde_json::Error),
}

impl Display for CanonicalError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null(at) => write!(f, "the recipe holds a null (NaN, infinity or an unskipped None) at {at}"),
            Self::Serialize(error) => write!(f, "the recipe cannot be serialised: {error}"),
        }
    }
}

impl std::error::Error for CanonicalError {}

impl ser::Error for CanonicalError {
    fn custom<T: Display>(message: T) -> Self {
        Self::Serialize(<serde_json::Error as ser::Error>::custom(message))
    }
}

/// Writes `value` canonically.
///
/// # Errors
/// When the value holds a `null` or cannot be serialised.
pub fn to_canonical_json<T: Serialize + ?Sized>(value: &T) -> Result<String, CanonicalError> {
    let mut writer = Writer::default();
    value.serialize(&mut writer)?;
    writer.into_text()
}

/// Writes recipes, with one set of buffers for all of them.
#[derive(Default)]
pub(crate) struct Writer {
    out: Vec<u8>,
    /// Raw names of the fields of all open objects.
    names: Vec<u8>,
    fields: Vec<Field>,
    path: Vec<PathPart>,
    /// Where an object's fields are copied to while they are put in order.
    sorted: Vec<u8>,
    /// Steps that are named as `{"$step": key}`, each once, in the order in which they are met.
    references: Vec<StepKey>,
    /// The same as a set.
    seen: KeySet,
}

/// One field of an open object: where its name is in `names`, and where `"name":value` is in `out`.
#[derive(Clone, Copy)]
struct Field {
    name: (usize, usize),
    start: usize,
    end: usize,
}

#[derive(Clone, Copy)]
enum PathPart {
    /// Place of the name in `names`.
    Field((usize, usize)),
    Item,
}

impl Writer {
    /// Writes `value`; the text and the steps that it names are there until the next call.
    pub(crate) fn write<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(&str, &[StepKey]), CanonicalError> {
        self.out.clear();
        self.names.clear();
        self.fields.clear();
        self.path.clear();
        self.references.clear();
        self.seen.clear();
        value.serialize(&mut *self)?;
        let text = std::str::from_utf8(&self.out).map_err(ser::Error::custom)?;
        Ok((text, &self.references))
    }

    fn into_text(self) -> Result<String, CanonicalError> {
        String::from_utf8(self.out).map_err(ser::Error::custom)
    }

    fn null(&self) -> CanonicalError {
        let part = |part: &PathPart| match part {
            PathPart::Field((start, end)) => String::from_utf8_lossy(&self.names[*start..*end]).into_owned(),
            PathPart::Item => "*".to_owned(),
        };
        CanonicalError::Null(format!("/{}", self.path.iter().map(part).collect::<Vec<_>>().join("/")))
    }

    fn json<T: Serialize>(&mut self, value: T) -> Result<(), CanonicalError> {
        serde_json::to_writer(&mut self.out, &value).map_err(CanonicalError::Serialize)
    }

    fn string(&mut self, text: &str) -> Result<(), CanonicalError> {
        if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
            self.out.push(b'"');
            self.out.extend_from_slice(text.as_bytes());
            self.out.push(b'"');
            return Ok(());
        }
        self.json(text)
    }

    fn open(&mut self, bracket: u8) -> Open {
        self.out.push(bracket);
        Open { fields: self.fields.len(), names: self.names.len(), start: self.out.len() }
    }

    fn begin_field(&mut self, open: Open, name: &str) -> Result<(), CanonicalError> {
        if self.fields.len() > open.fields {
            self.out.push(b',');
        }
        let at = (self.names.len(), self.names.len() + name.len());
        self.names.extend_from_slice(name.as_bytes());
        self.fields.push(Field { name: at, start: self.out.len(), end: 0 });
        self.path.push(PathPart::Field(at));
        self.string(name)?;
        self.out.push(b':');
        Ok(())
    }

    fn end_field(&mut self) {
        self.path.pop();
        let end = self.out.len();
        self.fields.last_mut().expect("a field was begun").end = end;
    }

    fn field<T: Serialize + ?Sized>(&mut self, open: Open, name: &str, value: &T) -> Result<(), CanonicalError> {
        self.begin_field(open, name)?;
        value.serialize(&mut *self)?;
        self.end_field();
        Ok(())
    }

    fn item<T: Serialize + ?Sized>(&mut self, open: Open, value: &T) -> Result<(), CanonicalError> {
        if self.out.len() > open.start {
            self.out.push(b',');
        }
        self.path.push(PathPart::Item);
        value.serialize(&mut *self)?;
        self.path.pop();
        Ok(())
    }

    fn close_object(&mut self, open: Open) {
        self.note_reference(open);
        let fields = &self.fields[open.fields..];
        let name = |f: &Field| &self.names[f.name.0..f.name.1];
        if !fields.windows(2).all(|pair| name(&pair[0]) < name(&pair[1])) {
            let mut order: Vec<Field> = fields.to_vec();
            order.sort_by(|a, b| name(a).cmp(name(b)));
            self.sorted.clear();
            for (i, field) in order.iter().enumerate() {
                // Of equal names the last one counts, as it does for whoever reads the text back.
                if order.get(i + 1).is_some_and(|next| name(next) == name(field)) {
                    continue;
                }
                if !self.sorted.is_empty() {
                    self.sorted.push(b',');
                }
                self.sorted.extend_from_slice(&self.out[field.start..field.end]);
            }
            self.out.truncate(open.start);
            self.out.extend_from_slice(&self.sorted);
        }
        self.out.push(b'}');
        self.fields.truncate(open.fields);
        self.names.truncate(open.names);
    }

    fn note_reference(&mut self, open: Open) {
        let [field] = self.fields[open.fields..] else { return };
        let text = &self.out[field.start..field.end];
        let key = text.strip_prefix(b"\"$step\":\"").and_then(|rest| rest.strip_suffix(b"\""));
        let Some(key) = key.and_then(|key| std::str::from_utf8(key).ok()?.parse().ok()) else { return };
        if self.seen.insert(key) {
            self.references.push(key);
        }
    }
}

/// Where an object or a list was opened.
#[derive(Clone, Copy)]
struct Open {
    fields: usize,
    names: usize,
    start: usize,
}

/// An object or a list that is being written; `braces` closes what stands around it.
pub(crate) struct Compound<'a> {
    writer: &'a mut Writer,
    open: Open,
    /// The object `{"Variant": …}` around it.
    variant: Option<Open>,
}

impl Compound<'_> {
    fn close_list(self) -> Result<(), CanonicalError> {
        self.writer.out.push(b']');
        self.close_variant()
    }

    fn close_object(self) -> Result<(), CanonicalError> {
        self.writer.close_object(self.open);
        self.close_variant()
    }

    fn close_variant(self) -> Result<(), CanonicalError> {
        if let Some(open) = self.variant {
            self.writer.end_field();
            self.writer.close_object(open);
        }
        Ok(())
    }
}

impl<'a> Serializer for &'a mut Writer {
    type Ok = ();
    type Error = CanonicalError;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = Compound<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Compound<'a>;

    fn serialize_bool(self, v: bool) -> Result<(), CanonicalError> {
        self.json(v)
    }

    fn serialize_i8(self, v: i8) -> Result<(), CanonicalError> {
        self.json(v)
    }

    fn serialize_i16(self, v: i16) -> Result<(), CanonicalError> {
        self.json(v)
    }

    fn serialize_i32(self, v: i32) -> Result<(), CanonicalError> {
        self.json(v)
    }

    fn serialize_i64(self, v: i64) -> Result<(), CanonicalError> {
        self.json(v)
    }

    fn serialize_u8(self, v: u8) -> Result<(), CanonicalError> {
        self.json(v)
    }

    fn serialize_u16(self, v: u16) -> Result<(), CanonicalError> {
        self.json(v)
    }

    fn serialize_u32(self, v: u32) -> Result<(), CanonicalError> {
        self.json(v)
    }

    fn serialize_u64(self, v: u64) -> Result<(), CanonicalError> {
        self.json(v)
    }

    fn serialize_f32(self, v: f32) -> Result<(), CanonicalError> {
        self.serialize_f64(f64::from(v))
    }

    fn serialize_f64(self, v: f64) -> Result<(), CanonicalError> {
        if v.is_finite() { self.json(v) } else { Err(self.null()) }
    }

    fn serialize_char(self, v: char) -> Result<(), CanonicalError> {
        self.string(v.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, v: &str) -> Result<(), CanonicalError> {
        self.string(v)
    }

    fn serialize_bytes(self, v: &[u8]) -> Result<(), CanonicalError> {
        self.json(v)
    }

    fn serialize_none(self) -> Result<(), CanonicalError> {
        Err(self.null())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), CanonicalError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), CanonicalError> {
        Err(self.null())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), CanonicalError> {
        Err(self.null())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), CanonicalError> {
        self.string(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), CanonicalError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), CanonicalError> {
        let open = self.open(b'{');
        self.field(open, variant, value)?;
        self.close_object(open);
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Compound<'a>, CanonicalError> {
        let open = self.open(b'[');
        Ok(Compound { writer: self, open, variant: None })
    }

    fn serialize_tuple(self, length: usize) -> Result<Compound<'a>, CanonicalError> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<Compound<'a>, CanonicalError> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'a>, CanonicalError> {
        let around = self.open(b'{');
        self.begin_field(around, variant)?;
        let open = self.open(b'[');
        Ok(Compound { writer: self, open, variant: Some(around) })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Compound<'a>, CanonicalError> {
        let open = self.open(b'{');
        Ok(Compound { writer: self, open, variant: None })
    }

    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Compound<'a>, CanonicalError> {
        self.serialize_map(Some(length))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'a>, CanonicalError> {
        let around = self.open(b'{');
        self.begin_field(around, variant)?;
        let open = self.open(b'{');
        Ok(Compound { writer: self, open, variant: Some(around) })
    }
}

impl SerializeSeq for Compound<'_> {
    type Ok = ();
    type Error = CanonicalError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CanonicalError> {
        self.writer.item(self.open, value)
    }

    fn end(self) -> Result<(), CanonicalError> {
        self.close_list()
    }
}

impl SerializeTuple for Compound<'_> {
    type Ok = ();
    type Error = CanonicalError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CanonicalError> {
        self.writer.item(self.open, value)
    }

    fn end(self) -> Result<(), CanonicalError> {
        self.close_list()
    }
}

impl SerializeTupleStruct for Compound<'_> {
    type Ok = ();
    type Error = CanonicalError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CanonicalError> {
        self.writer.item(self.open, value)
    }

    fn end(self) -> Result<(), CanonicalError> {
        self.close_list()
    }
}

impl SerializeTupleVariant for Compound<'_> {
    type Ok = ();
    type Error = CanonicalError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CanonicalError> {
        self.writer.item(self.open, value)
    }

    fn end(self) -> Result<(), CanonicalError> {
        self.close_list()
    }
}

impl SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = CanonicalError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), CanonicalError> {
        // Numbers and truth values become text, as in any JSON object.
        let text = serde_json::to_string(key).map_err(CanonicalError::Serialize)?;
        if text.starts_with('"') {
            let name: String = serde_json::from_str(&text).map_err(CanonicalError::Serialize)?;
            self.writer.begin_field(self.open, &name)
        } else {
            self.writer.begin_field(self.open, &text)
        }
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CanonicalError> {
        value.serialize(&mut *self.writer)?;
        self.writer.end_field();
        Ok(())
    }

    fn end(self) -> Result<(), CanonicalError> {
        self.close_object()
    }
}

impl SerializeStruct for Compound<'_> {
    type Ok = ();
    type Error = CanonicalError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), CanonicalError> {
        self.writer.field(self.open, name, value)
    }

    fn end(self) -> Result<(), CanonicalError> {
        self.close_object()
    }
}

impl SerializeStructVariant for Compound<'_> {
    type Ok = ();
    type Error = CanonicalError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), CanonicalError> {
        self.writer.field(self.open, name, value)
    }

    fn end(self) -> Result<(), CanonicalError> {
        self.close_object()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::Digest;

    #[test]
    fn sorted_and_tight() {
        let text =
            to_canonical_json(&json!({"b": [1, 2.5, "x\n"], "a": {"z": true, "Y": 18446744073709551615_u64}})).unwrap();
        assert_eq!(text, r#"{"a":{"Y":18446744073709551615,"z":true},"b":[1,2.5,"x\n"]}"#);
    }

    #[test]
    fn null_is_refused_with_its_place() {
        for value in [json!({"a": [{"t": f64::NAN}]}), json!({"b": 1, "a": [{"s": {"x": 1}, "t": null}]})] {
            let error = to_canonical_json(&value).unwrap_err();
            assert!(error.to_string().ends_with("at /a/*/t"), "{error}");
        }
    }

    #[derive(Serialize)]
    enum Every {
        Unit,
        Newtype(f32),
        Tuple(u8, char),
        Struct { z: i64, a: BTreeMap<i32, bool> },
    }

    #[test]
    fn every_shape_is_what_serde_json_makes_of_it() {
        let map = BTreeMap::from([(-1, true), (10, false), (9, true)]);
        let all =
            (Every::Unit, Every::Newtype(0.1), Every::Tuple(1, '"'), Every::Struct { z: -3, a: map }, -0.0, 1e300);
        let text = to_canonical_json(&all).unwrap();
        assert_eq!(
            text,
            r#"["Unit",{"Newtype":0.10000000149011612},{"Tuple":[1,"\""]},{"Struct":{"a":{"-1":true,"10":false,"9":true},"z":-3}},-0.0,1e+300]"#
        );
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), serde_json::to_value(&all).unwrap());
    }

    #[test]
    fn references_are_found_and_each_once() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let mut writer = Writer::default();
        let value = json!([{"$step": a}, {"x": {"$step": b}}, {"$step": a}, {"$step": b, "y": 1}, {"$step": "no"}]);
        assert_eq!(writer.write(&value).unwrap().1, [StepKey(a), StepKey(b)]);
    }

    proptest! {
        #[test]
        fn reads_back_the_same(x in any::<i64>(), y in -1e300f64..1e300, s in ".*", t in ".*") {
            let value = json!({"x": x, "y": y, t.clone(): {s.clone(): s.clone(), t: [x]}, s: 1});
            let text = to_canonical_json(&value).unwrap();
            let again: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&again, &value);
            prop_assert_eq!(to_canonical_json(&again).unwrap(), text);
        }
    }
}
