//! Files that systems and editors leave in folders and archives, which are no part of a dataset.

use std::collections::BTreeMap;
use std::path::Path;

/// Litter that was passed over: how many of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Litter(BTreeMap<&'static str, usize>);

impl Litter {
    /// Tells whether a path inside a dataset is litter by any of its parts, and counts it.
    pub fn takes(&mut self, inside: &Path) -> bool {
        let kind = inside.components().find_map(|part| kind_of(&part.as_os_str().to_string_lossy()));
        if let Some(kind) = kind {
            *self.0.entry(kind).or_default() += 1;
        }
        kind.is_some()
    }

    /// Counts what another has passed over.
    pub fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|(kind, count)| *self.0.entry(kind).or_default() += count);
    }

    /// Tells what was passed over, if anything was.
    pub fn detail(&self) -> Option<String> {
        let listed: Vec<String> = self.0.iter().map(|(kind, count)| format!("{count} × {kind}")).collect();
        (!listed.is_empty()).then(|| format!("passed over: {}", listed.join(", ")))
    }
}

/// The kind of litter that a file or folder of this name is.
fn kind_of(name: &str) -> Option<&'static str> {
    match name.to_lowercase().as_str() {
        "__macosx" => Some("__MACOSX"),
        ".ds_store" => Some(".DS_Store"),
        "thumbs.db" | "ehthumbs.db" => Some("Thumbs.db"),
        "desktop.ini" => Some("desktop.ini"),
        ".ipynb_checkpoints" => Some(".ipynb_checkpoints"),
        "@eadir" => Some("@eaDir"),
        "$recycle.bin" | "system volume information" | "lost+found" => Some("folder of a system"),
        other if other.starts_with("._") => Some("._* (AppleDouble)"),
        other if other.starts_with('.') => Some("hidden file or folder"),
        _ => None,
    }
}
