//! Weights files as the planner sees them: audited, with a digest over tensors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use assay_config::to_ron;
use assay_engine::{Digest, External, ExternalSource, Facts, FramedHasher, InputChanged, Stamped};
use assay_nn::{AuditError, Backbone, Checkpoint, CheckpointError, Origin, RawTensor, TensorFilter, identify, select};
use serde::{Deserialize, Serialize};

use super::model_config;
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
/// 1 – as "tensors 1"; 2 – what is loaded is checked against the digest; 3 – with what is known of the origin of the weights.
const READER: u32 = 3;

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
    /// What is known of where the weights come from.
    pub origin: Origin,
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
        let (tensors, _) = self.read()?;
        let found = digests(&tensors, &self.backbone);
        if !found.contains(&planned) {
            return Err(InputChanged { path: self.path.clone() }.into());
        }
        Ok(tensors)
    }

    /// Reads and audits the tensors: those of the backbone, and of its classifier when they are there.
    fn read(&self) -> Result<(BTreeMap<String, RawTensor>, Origin), WeightsProblem> {
        let checkpoint =
            Checkpoint::open(&self.path, self.container.as_deref()).map_err(|e| unreadable(&self.path, &e))?;
        let name = self.backbone.name();
        let found = select(&checkpoint, &self.filter, &self.backbone.wanted());
        let found = found.map(|found| {
            let origin = Origin::of(&checkpoint, found.naming);
            (found.tensors, origin)
        });
        found.map_err(|AuditError { lines, help }| {
            // Where the same tensors are wanted, the prefix is wrong, and advice on it is there already.
            let is_other = |backbone: &Backbone| backbone.tensors() != self.backbone.tensors();
            let other =
                identify(&checkpoint).filter(|guess| guess.present == guess.needed && is_other(&guess.backbone));
            let help = match other {
                Some(guess) => Some(format!("it holds a {}: change `backbone`", written(&guess.backbone))),
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
        let (tensors, origin) = place.read()?;
        let known = Known { digests: digests(&tensors, backbone), origin };
        Ok(serde_json::to_vec(&known).expect("plain values"))
    })?;
    let known = serde_json::from_slice::<Known>(&bytes).ok().filter(|known| !known.digests.is_empty());
    let Known { digests, mut origin } =
        known.ok_or_else(|| WeightsProblem { message: "the facts kept of it are damaged".to_owned(), help: None })?;
    origin.config = model_config::beside(path);
    let leaf = |digest: &Digest| External::new(*digest, Arc::clone(&place));
    Ok(FileFacts { backbone: leaf(&digests[0]), with_head: digests.get(1).map(leaf), origin })
}

/// What is kept of a weights file.
#[derive(Serialize, Deserialize)]
struct Known {
    /// See [`digests`].
    digests: Vec<Digest>,
    origin: Origin,
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
fn digests(tensors: &BTreeMap<String, RawTensor>, backbone: &Backbone) -> Vec<Digest> {
    let is_head = |name: &str| backbone.classifier().is_some_and(|head| name.starts_with(&format!("{head}.")));
    let digest = |with_head: bool| {
        let mut hasher = FramedHasher::new("tensors");
        for (name, tensor) in tensors.iter().filter(|(name, _)| with_head || !is_head(name)) {
            let shape: Vec<u8> = tensor.shape.iter().flat_map(|d| (*d as u64).to_le_bytes()).collect();
            hasher.field(name.as_bytes()).field(tensor.dtype.name().as_bytes()).field(&shape).field(&tensor.bytes);
        }
        hasher.finish()
    };
    let mut digests = vec![digest(false)];
    if tensors.keys().any(|name| is_head(name)) {
        digests.push(digest(true));
    }
    digests
}
