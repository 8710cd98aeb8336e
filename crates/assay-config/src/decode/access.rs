//! The insides of lists, maps, fields and variants, handed out one by one.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

use super::{Failed, Shape, Value};
use crate::tree::{Body, Tree};

pub(super) struct Items<'a, 's> {
    pub(super) value: Value<'a, 's>,
    pub(super) items: std::slice::Iter<'a, Tree>,
}

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = Failed;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Failed> {
        self.items.next().map(|item| seed.deserialize(self.value.tree(item))).transpose()
    }
}

pub(super) struct Blanks<'a, 's> {
    pub(super) value: Value<'a, 's>,
    pub(super) left: usize,
}

impl<'de> SeqAccess<'de> for Blanks<'_, '_> {
    type Error = Failed;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Failed> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(self.value).map(Some)
    }
}

pub(super) struct Entries<'a, 's> {
    pub(super) value: Value<'a, 's>,
    pub(super) entries: std::slice::Iter<'a, (Tree, Tree)>,
    pub(super) next: Option<&'a Tree>,
}

impl<'de> MapAccess<'de> for Entries<'_, '_> {
    type Error = Failed;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Failed> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        self.next = Some(value);
        seed.deserialize(self.value.tree(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failed> {
        let value = self.next.take().ok_or_else(|| Failed::custom("a value without a key"))?;
        seed.deserialize(self.value.tree(value))
    }
}

pub(super) struct KnownFields<'a, 's> {
    pub(super) value: Value<'a, 's>,
    pub(super) fields: std::vec::IntoIter<(&'static str, Option<&'a Tree>)>,
    pub(super) next: Option<Option<&'a Tree>>,
}

impl<'de> MapAccess<'de> for KnownFields<'_, '_> {
    type Error = Failed;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Failed> {
        let Some((name, value)) = self.fields.next() else { return Ok(None) };
        self.next = Some(value);
        seed.deserialize(name.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failed> {
        match self.next.take().flatten() {
            Some(tree) => seed.deserialize(self.value.tree(tree)),
            None => seed.deserialize(self.value.blank()),
        }
    }
}

pub(super) struct BlankFields<'a, 's> {
    pub(super) value: Value<'a, 's>,
    pub(super) names: &'static [&'static str],
    pub(super) next: usize,
}

impl<'de> MapAccess<'de> for BlankFields<'_, '_> {
    type Error = Failed;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Failed> {
        let Some(name) = self.names.get(self.next) else { return Ok(None) };
        self.next += 1;
        seed.deserialize((*name).into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failed> {
        seed.deserialize(self.value)
    }
}

/// A variant of which only the visitor knows what may be there.
pub(super) struct AnyVariant<'a, 's> {
    pub(super) value: Value<'a, 's>,
    pub(super) name: &'a str,
    pub(super) body: &'a Body,
}

impl<'a, 's, 'de> EnumAccess<'de> for AnyVariant<'a, 's> {
    type Error = Failed;
    type Variant = Variant<'a, 's>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Variant<'a, 's>), Failed> {
        let name: StrDeserializer<'_, Failed> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, Variant { value: self.value, name: "this", body: Some(self.body) }))
    }
}

pub(super) struct Variant<'a, 's> {
    pub(super) value: Value<'a, 's>,
    pub(super) name: &'static str,
    pub(super) body: Option<&'a Body>,
}

impl<'a, 's, 'de> EnumAccess<'de> for Variant<'a, 's> {
    type Error = Failed;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Failed> {
        let name: StrDeserializer<'_, Failed> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'a, 's> Variant<'a, 's> {
    fn body(&self) -> Value<'a, 's> {
        match self.body {
            Some(body) => Value { shape: Shape::Body(body), ..self.value },
            None => self.value.blank(),
        }
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, '_> {
    type Error = Failed;

    fn unit_variant(self) -> Result<(), Failed> {
        match self.body {
            None | Some(Body::None) => {}
            Some(_) => self.value.problem(
                format!("`{}` takes no parameters", self.name),
                "takes none",
                Some(format!("write just `{}`", self.name)),
            ),
        }
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Failed> {
        match self.body {
            Some(Body::Tuple(items)) if items.len() == 1 => seed.deserialize(self.value.tree(&items[0])),
            _ => seed.deserialize(self.body()),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Failed> {
        self.body().deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Failed> {
        self.body().visit_fields(fields, visitor)
    }
}
