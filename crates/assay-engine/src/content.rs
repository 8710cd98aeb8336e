//! Values in memory that are named by their content.

use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::Digest;

/// A value in memory with the digest of what it holds: the digest goes into the recipe, the value stays here. Serialises as
/// `{"$content": "<digest>"}`. Nothing outside can change it, so nothing is looked at again; what lies in files is an
/// [`External`](crate::External).
#[derive(Debug)]
pub struct Content<T> {
    digest: Digest,
    value: Arc<T>,
}

impl<T> Content<T> {
    /// `value` holds content with this digest.
    pub fn new(digest: Digest, value: Arc<T>) -> Self {
        Self { digest, value }
    }

    /// Digest of the content.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The value.
    pub fn value(&self) -> &T {
        &self.value
    }
}

impl<T> Clone for Content<T> {
    fn clone(&self) -> Self {
        Self { digest: self.digest, value: Arc::clone(&self.value) }
    }
}

impl<T> Serialize for Content<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("$content", &self.digest)?;
        map.end()
    }
}
