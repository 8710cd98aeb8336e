//! What a weights file is called: by its name, and by the `config.json` that timm writes beside it.

use std::fs;
use std::path::Path;

use assay_nn::Origin;
use serde::Deserialize;

/// A configuration file larger than this is passed over.
const MAX_BYTES: u64 = 1 << 20;

#[derive(Deserialize)]
struct Config {
    architecture: Option<String>,
}

/// The origin of weights with what their file is called.
pub fn called(path: &Path, origin: Origin) -> Origin {
    let file = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let config = path.with_file_name("config.json");
    let is_small = fs::metadata(&config).is_ok_and(|file| file.is_file() && file.len() <= MAX_BYTES);
    let config = is_small.then(|| fs::read(&config).ok()).flatten();
    let config: Option<Config> = config.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    Origin { file, architecture: config.and_then(|config| config.architecture), ..origin }
}
