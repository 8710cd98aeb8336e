//! BLAKE3-256 digests and the keys made of them.

use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A BLAKE3-256 digest; written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Wraps 32 bytes that are a digest already.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first twelve digits, for people.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Hex::of(self).as_str())
    }
}

/// The digits of a digest. Recipes are full of them, so that they are written and read by tables.
pub(crate) struct Hex([u8; 64]);

impl Hex {
    pub(crate) fn of(digest: &Digest) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = [0; 64];
        for (digits, byte) in hex.as_chunks_mut::<2>().0.iter_mut().zip(digest.0) {
            *digits = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
        }
        Self(hex)
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("digits are text")
    }
}

/// The value of each digit, small or capital; 255 for what is none.
const VALUES: [u8; 256] = {
    let mut values = [255; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value] as usize] = value as u8;
        values[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    values
};

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

impl FromStr for Digest {
    type Err = blake3::HexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (digits, []) = text.as_bytes().as_chunks::<2>() else {
            return blake3::Hash::from_hex(text).map(|hash| Self(*hash.as_bytes()));
        };
        let mut bytes = [0; 32];
        let mut is_hex = digits.len() == 32;
        for (byte, [high, low]) in bytes.iter_mut().zip(digits) {
            let (high, low) = (VALUES[usize::from(*high)], VALUES[usize::from(*low)]);
            is_hex &= (high | low) < 16;
            *byte = high << 4 | low & 15;
        }
        // It says what is wrong.
        if is_hex { Ok(Self(bytes)) } else { blake3::Hash::from_hex(text).map(|hash| Self(*hash.as_bytes())) }
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Hex::of(self).as_str())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;
        impl serde::de::Visitor<'_> for Digits {
            type Value = Digest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("64 hexadecimal digits")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Digest, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Digits)
    }
}

/// The identity of a step: the digest of its canonical recipe.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepKey(pub Digest);

impl fmt::Display for StepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for StepKey {
    type Err = blake3::HexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// Tables of keys: a key is a digest, so its first bytes are as good a hash as any.
pub(crate) type KeyMap<V> = std::collections::HashMap<StepKey, V, BuildHasherDefault<KeyHasher>>;
/// Sets of keys, likewise.
pub(crate) type KeySet = std::collections::HashSet<StepKey, BuildHasherDefault<KeyHasher>>;

/// Takes the hash of a key out of the key.
#[derive(Default)]
pub(crate) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    /// The length of the array that a digest is.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Hashes a sequence of fields, each preceded by its length, so that no two sequences run into each other.
#[derive(Default)]
pub struct FramedHasher {
    hasher: blake3::Hasher,
    /// Fields that are still to be hashed: a call of the hasher costs more than a short field.
    fields: Vec<u8>,
}

impl FramedHasher {
    /// A hasher for one purpose; the purpose is the first field.
    pub fn new(purpose: &str) -> Self {
        let mut hasher = Self::default();
        hasher.field(purpose.as_bytes());
        hasher
    }

    /// Adds one field.
    pub fn field(&mut self, bytes: &[u8]) -> &mut Self {
        const ENOUGH: usize = 16 << 10;
        self.fields.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        if bytes.len() < ENOUGH {
            self.fields.extend_from_slice(bytes);
        }
        if self.fields.len() >= ENOUGH || bytes.len() >= ENOUGH {
            self.hasher.update(&self.fields);
            self.fields.clear();
        }
        if bytes.len() >= ENOUGH {
            self.hasher.update(bytes);
        }
        self
    }

    /// The digest of all fields so far.
    pub fn finish(&self) -> Digest {
        if self.hasher.count() == 0 {
            return Digest::of(&self.fields);
        }
        Digest(*self.hasher.clone().update(&self.fields).finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_round_trip() {
        let digest = Digest::of(b"assay");
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        assert_eq!(digest.to_string().to_uppercase().parse::<Digest>().unwrap(), digest);
        assert_eq!(digest.to_string(), blake3::hash(b"assay").to_hex().as_str());
        for wrong in ["", "xyz", &"0".repeat(63), &"0".repeat(65), &"0".repeat(66), &format!("{}g", "0".repeat(63))] {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn frames_are_lengths_and_bytes_however_they_are_hashed() {
        for lengths in [&[0, 5, 32][..], &[100; 1000], &[3, 16 << 10, 1, 40_000, 7], &[16_376, 8]] {
            let mut hasher = FramedHasher::default();
            let mut plain = Vec::new();
            for (i, length) in lengths.iter().enumerate() {
                let field = vec![i as u8; *length];
                hasher.field(&field);
                plain.extend_from_slice(&(*length as u64).to_le_bytes());
                plain.extend_from_slice(&field);
                assert_eq!(hasher.finish(), Digest::of(&plain), "{lengths:?}");
            }
        }
    }

    #[test]
    fn frames_keep_fields_apart() {
        let of = |fields: &[&str]| {
            let mut hasher = FramedHasher::new("test");
            for field in fields {
                hasher.field(field.as_bytes());
            }
            hasher.finish()
        };
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["ab"]), of(&["ab", ""]));
    }
}
