//! What lies outside the store: told by the digest of its content, looked at again after it was used.

use std::path::PathBuf;
use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::Digest;

/// A file is no longer what it was when its digest was taken.
#[derive(Debug, Clone)]
pub struct InputChanged {
    /// Path of the file.
    pub path: PathBuf,
}

impl std::fmt::Display for InputChanged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} changed while it was in use; nothing was kept of this step, run again", self.path.display())
    }
}

impl std::error::Error for InputChanged {}

/// Something outside the store that a step reads.
pub trait ExternalSource: Send + Sync + 'static {
    /// Looks whether it is still what it was when its digest was taken.
    ///
    /// # Errors
    /// Names the first file that moved.
    fn check(&self) -> Result<(), InputChanged>;
}

/// A fact about the outside: the digest of its content goes into the recipe, the place where it is found does not.
/// Serialises as `{"$content": "<digest>"}`.
pub struct External<T> {
    digest: Digest,
    pub(crate) place: Arc<T>,
}

impl<T: ExternalSource> External<T> {
    /// `place` is where content with `digest` was found.
    pub fn new(digest: Digest, place: Arc<T>) -> Self {
        Self { digest, place }
    }

    /// Digest of the content.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl<T> Clone for External<T> {
    fn clone(&self) -> Self {
        Self { digest: self.digest, place: Arc::clone(&self.place) }
    }
}

impl<T> Serialize for External<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("External", 1)?;
        fields.serialize_field("$content", &self.digest)?;
        fields.end()
    }
}
