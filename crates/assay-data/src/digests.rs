//! The way in which datasets ask for digests, so that somebody else may remember them.

use std::io;
use std::path::Path;

use crate::regular::open_regular;

/// Digests of files, and results that depend on nothing but digests. The caller may keep both.
pub trait Digests: Sync {
    /// Computes the digest of a file's content. `table` groups files that are asked for together.
    ///
    /// # Errors
    /// When the file cannot be read.
    fn file(&self, table: &str, path: &Path) -> io::Result<blake3::Hash>;

    /// Gives the bytes that `compute` gives, which depend on `inputs` alone, and on `purpose`, which carries the version of
    /// whatever computes them.
    ///
    /// # Errors
    /// Those of `compute`.
    fn memo(
        &self,
        purpose: &str,
        inputs: &[&[u8]],
        compute: &mut dyn FnMut() -> anyhow::Result<Vec<u8>>,
    ) -> anyhow::Result<Vec<u8>>;
}

/// Computes everything anew.
#[derive(Clone, Copy, Debug, Default)]
pub struct Direct;

impl Digests for Direct {
    fn file(&self, _table: &str, path: &Path) -> io::Result<blake3::Hash> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(open_regular(path)?)?;
        Ok(hasher.finalize())
    }

    fn memo(
        &self,
        _purpose: &str,
        _inputs: &[&[u8]],
        compute: &mut dyn FnMut() -> anyhow::Result<Vec<u8>>,
    ) -> anyhow::Result<Vec<u8>> {
        compute()
    }
}
