//! Weights files as the planner sees them: audited, with a digest over tensors.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use assay_config::to_ron;
use assay_engine::{Digest, External, ExternalSource, Facts, FramedHasher, InputChanged, Stamped};
use assay_nn::{
    AuditError, Backbone, Checkpoint, CheckpointError, Found, RawTensor, TensorFilter, Told, identify, select,
};
use serde::{Deserialize, Serialize};

use crate::spec::FileWeights;

/// Place of the tensors of a model.
#[derive(Debug)]
pub struct CheckpointPlace {
    path: PathBuf,
    container: Option<String>,
    filter: TensorFilter,
    backbone: Backbone,
    stamped: Stamped,
}

/// Version of what is done between a weights file and the digest of its tensors: names, namings, prefixes, heads, conversions.
/// Raise it when the same file and choice come to give other tensors.
const READER: u32 = 3;
// 1 – as "tensors 1"; 2 – what is loaded is checked against the digest; 3 – the library is told whose names the tensors have

impl ExternalSource for CheckpointPlace {
    fn check(&self) -> Result<(), InputChanged> {
        self.stamped.check()
    }
}

/// A weights file, audited.
#[derive(Clone)]
pub struct FileFacts {
    /// The backbone's tensors.
    pub backbone: External<CheckpointPlace>,
    /// The backbone's tensors with the checkpoint's own classifier, if it has one.
    pub with_head: Option<External<CheckpointPlace>>,
    /// How the tensors are read, where they fit several networks.
    pub reading: Option<String>,
}

/// Why weights cannot be used.
#[derive(Debug)]
pub struct WeightsProblem {
    /// Description of the problem.
    pub message: String,
    /// Advice on the problem.
    pub help: Option<String>,
}

impl std::fmt::Display for WeightsProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for WeightsProblem {}

impl CheckpointPlace {
    /// Reads the tensors that were found with this digest when the experiment was planned: those of the backbone alone, or with
    /// its classifier.
    ///
    /// # Errors
    /// When the file gives other tensors now, or cannot be read.
    pub fn load(&self, planned: Digest) -> anyhow::Result<BTreeMap<String, RawTensor>> {
        let tensors = self.read()?.tensors;
        let found = digests(&tensors, &self.backbone);
        if !found.chunks_exact(32).any(|digest| digest == planned.as_bytes()) {
            return Err(InputChanged { path: self.path.clone() }.into());
        }
        Ok(tensors)
    }

    /// Reads and audits the tensors: those of the backbone, and of its classifier when they are there.
    fn read(&self) -> Result<Found, WeightsProblem> {
        let checkpoint =
            Checkpoint::open(&self.path, self.container.as_deref()).map_err(|e| unreadable(&self.path, &e))?;
        let name = self.backbone.name();
        let found = select(&checkpoint, &self.filter, &self.backbone.wanted());
        found.map_err(|AuditError { lines, help }| {
            // Where the same tensors are wanted, the prefix is wrong, and advice on it is there already.
            let is_other = |backbone: &Backbone| backbone.tensors() != self.backbone.tensors();
            let other =
                identify(&checkpoint).filter(|guess| guess.present == guess.needed && is_other(&guess.backbone));
            let help = match other {
                Some(guess) => {
                    let naming = guess.audit.as_ref().ok().and_then(|found| found.naming).map(str::to_owned);
                    let reading = match guess.backbone.reading(&told(&self.path, naming)) {
                        Ok(reading) => reading.map_or_else(String::new, |reading| format!(" ({reading})")),
                        Err(problem) => format!("; {problem}: {}", problem.help.clone().unwrap_or_default()),
                    };
                    Some(format!("it holds a {}: change `backbone`{reading}", written(&guess.backbone)))
                }
                None => help,
            };
            WeightsProblem {
                message: format!("{} does not hold a {name}: {}", self.path.display(), lines.join("; ")),
                help,
            }
        })
    }
}

/// Audits a weights file for a backbone; what was found before of the same bytes is not read again.
///
/// # Errors
/// When the file cannot be read or does not hold the backbone.
pub fn audit(file: &FileWeights, backbone: &Backbone, facts: &Facts) -> Result<FileFacts, WeightsProblem> {
    let filter = TensorFilter { prefix: file.prefix.clone(), drop: file.drop.clone(), rename: file.rename.clone() };
    let path = &Checkpoint::locate(&file.path.0);
    let files = Checkpoint::files(path).map_err(|error| unreadable(path, &error))?;
    let mut stamped = Stamped { files: Vec::new() };
    let mut contents = Vec::new();
    for file in files {
        let (stamp, digest) =
            facts.file_digest("weights", &file).map_err(|error| unreadable(&file, &CheckpointError::Io(error)))?;
        contents.extend_from_slice(digest.as_bytes());
        stamped.files.push((file, stamp));
    }
    let place = Arc::new(CheckpointPlace {
        path: path.clone(),
        container: file.container.clone(),
        filter,
        backbone: backbone.clone(),
        stamped,
    });
    let asked = serde_json::to_vec(&Asked { container: &place.container, filter: &place.filter, backbone })
        .expect("plain values");
    let version = READER.to_le_bytes();
    let bytes = facts.memo("tensors", &[&version, &contents, &asked], || {
        let found = place.read()?;
        let digests = digests(&found.tensors, backbone);
        Ok([&[digests.len() as u8], digests.as_slice(), found.naming.unwrap_or_default().as_bytes()].concat())
    })?;
    let damaged = || WeightsProblem { message: "the facts kept of it are damaged".to_owned(), help: None };
    let (length, rest) = bytes.split_first().ok_or_else(damaged)?;
    let (digests, naming) = rest.split_at_checked(usize::from(*length)).ok_or_else(damaged)?;
    let naming = Some(String::from_utf8_lossy(naming).into_owned()).filter(|naming| !naming.is_empty());
    let reading = backbone.reading(&told(path, naming)).map_err(|AuditError { lines, help }| WeightsProblem {
        message: format!("{}: {}", path.display(), lines.join("; ")),
        help,
    })?;
    let mut parts = digests.chunks_exact(32).map(|c| Digest::from_bytes(c.try_into().expect("32 bytes")));
    let leaf = |digest| External::new(digest, Arc::clone(&place));
    let backbone = parts.next().map(leaf).ok_or_else(damaged)?;
    Ok(FileFacts { backbone, with_head: parts.next().map(leaf), reading })
}

/// What a weights file tells besides its tensors: whose names they have, its own name, and the architecture that the
/// `config.json` beside it speaks of, as timm writes it.
pub fn told(path: &Path, naming: Option<String>) -> Told {
    #[derive(Deserialize)]
    struct Config {
        architecture: Option<String>,
    }
    const MAX_CONFIG: u64 = 1 << 20;
    let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let config = path.with_file_name("config.json");
    let is_small = fs::metadata(&config).is_ok_and(|file| file.is_file() && file.len() <= MAX_CONFIG);
    let config = is_small.then(|| fs::read(&config).ok()).flatten();
    let config: Option<Config> = config.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    Told { naming, words: name.into_iter().chain(config.and_then(|config| config.architecture)).collect() }
}

#[derive(Serialize)]
struct Asked<'a> {
    container: &'a Option<String>,
    filter: &'a TensorFilter,
    backbone: &'a Backbone,
}

fn unreadable(path: &Path, error: &CheckpointError) -> WeightsProblem {
    WeightsProblem { message: format!("{}: {error}", path.display()), help: None }
}

/// A backbone as an experiment has it.
pub fn written(backbone: &Backbone) -> String {
    to_ron(backbone).unwrap_or_else(|| backbone.name().to_owned())
}

/// Digest of the backbone's tensors, then of all with the classifier, if there is one.
fn digests(tensors: &BTreeMap<String, RawTensor>, backbone: &Backbone) -> Vec<u8> {
    let is_head = |name: &str| backbone.classifier().is_some_and(|head| name.starts_with(&format!("{head}.")));
    let digest = |with_head: bool| {
        let mut hasher = FramedHasher::new("tensors");
        for (name, tensor) in tensors.iter().filter(|(name, _)| with_head || !is_head(name)) {
            let shape: Vec<u8> = tensor.shape.iter().flat_map(|d| (*d as u64).to_le_bytes()).collect();
            hasher.field(name.as_bytes()).field(tensor.dtype.name().as_bytes()).field(&shape).field(&tensor.bytes);
        }
        hasher.finish().as_bytes().to_vec()
    };
    let mut bytes = digest(false);
    if tensors.keys().any(|name| is_head(name)) {
        bytes.extend(digest(true));
    }
    bytes
}
