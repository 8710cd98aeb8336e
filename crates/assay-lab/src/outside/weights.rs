//! Weights files as the planner sees them: audited, with a digest over tensors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use assay_config::to_ron;
use assay_engine::{Digest, External, ExternalSource, Facts, FramedHasher, InputChanged, Stamped};
use assay_nn::{
    AuditError, Backbone, Checkpoint, CheckpointError, Found, Origin, Padding, RawTensor, Settled, TensorFilter, Unfit,
    Unsaid, find, identify,
};
use serde::{Deserialize, Serialize};

use super::called::called;
use super::{Declared, model_config};
use crate::spec::FileWeights;

/// Place of the tensors of a model.
#[derive(Clone, Debug)]
pub struct CheckpointPlace {
    path: PathBuf,
    container: Option<String>,
    filter: TensorFilter,
    backbone: Backbone,
    stamped: Stamped,
}

/// Version of what is done between a weights file and the digest of its tensors: names, namings, prefixes, heads, conversions.
/// Raise it when the same file and choice come to give other tensors.
/// 1 – as "tensors 1"; 2 – what is loaded is checked against the digest; 3 – with what is known of the origin of the weights;
/// 4 – which of several copies is meant is asked, whole numbers and parts of other forms are refused.
const READER: u32 = 4;

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
    /// What is to be told beside every result: tensors that `drop` has left out.
    pub warnings: Vec<String>,
    /// What the files beside it say of the images that the network takes.
    pub declared: Declared,
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
        let (_, Found { tensors, .. }) = self.read()?;
        let found = digests(&tensors, &self.backbone);
        if !found.contains(&planned) {
            return Err(InputChanged { path: self.path.clone() }.into());
        }
        Ok(tensors)
    }

    /// Reads and audits the tensors: those of the backbone, and of its classifier when they are there.
    fn read(&self) -> Result<(Checkpoint, Found), WeightsProblem> {
        let wanted = self.backbone.wanted();
        find(&self.path, self.container.as_deref(), &self.filter, &wanted).map_err(|unfit| match unfit {
            Unfit::File(error) => unreadable(&self.path, &error),
            Unfit::Audit(checkpoint, error) => self.unfit(&checkpoint, error),
        })
    }

    fn unfit(&self, checkpoint: &Checkpoint, AuditError { lines, help }: AuditError) -> WeightsProblem {
        let name = self.backbone.name();
        // Where the same tensors are wanted, the prefix is wrong, and advice on it is there already.
        let is_other = |backbone: &Backbone| backbone.tensors() != self.backbone.tensors();
        let other = identify(checkpoint).filter(|guess| guess.audit.is_ok() && is_other(&guess.backbone));
        let help = match other {
            Some(guess) => {
                let naming = guess.audit.as_ref().ok().and_then(|found| found.naming);
                let origin = called(&self.path, Origin::of(checkpoint, naming));
                let more = match guess.backbone.settled(&origin) {
                    Ok(Settled { notes, .. }) if notes.is_empty() => String::new(),
                    Ok(Settled { notes, .. }) => format!(" ({})", notes.join("; ")),
                    Err(Unsaid { question, help }) => format!("; {question}: {help}"),
                };
                Some(format!("it holds a {}: change `backbone`{more}", written(&guess.backbone)))
            }
            None => help,
        };
        WeightsProblem {
            message: format!("{} does not hold a {name}: {}", self.path.display(), lines.join("; ")),
            help,
        }
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
    let place = CheckpointPlace {
        path: path.clone(),
        container: file.container.clone(),
        filter,
        backbone: backbone.clone(),
        stamped,
    };
    let asked = serde_json::to_vec(&Asked { container: &place.container, filter: &place.filter, backbone })
        .expect("plain values");
    let version = READER.to_le_bytes();
    let bytes = facts.memo("tensors", &[&version, &contents, &asked], || {
        let (checkpoint, Found { tensors, naming, dropped, .. }) = place.read()?;
        let origin = Origin::of(&checkpoint, naming);
        let known = Known { digests: digests(&tensors, backbone), origin, container: checkpoint.container, dropped };
        Ok(serde_json::to_vec(&known).expect("plain values"))
    })?;
    let known = serde_json::from_slice::<Known>(&bytes).ok().filter(|known| !known.digests.is_empty());
    let Known { digests, mut origin, container, dropped } =
        known.ok_or_else(|| WeightsProblem { message: "the facts kept of it are damaged".to_owned(), help: None })?;
    origin.config = model_config::beside(path);
    let origin = called(path, origin);
    // Which dict it is has been found.
    let place = Arc::new(CheckpointPlace { container: container.or(place.container.clone()), ..place });
    let leaf = |digest: &Digest| External::new(*digest, Arc::clone(&place));
    let padded = padded_otherwise(origin.naming.as_deref(), &place.backbone);
    let warnings = dropped_by_hand(&dropped).into_iter().chain(padded).collect();
    Ok(FileFacts {
        backbone: leaf(&digests[0]),
        with_head: digests.get(1).map(leaf),
        origin,
        warnings,
        declared: Declared::beside(path),
    })
}

/// What is told of tensors that `drop` has left out.
fn dropped_by_hand(dropped: &[String]) -> Option<String> {
    const SHOWN: usize = 3;
    let some = dropped.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if dropped.len() > SHOWN { ", …" } else { "" };
    (!dropped.is_empty()).then(|| {
        format!(
            "`drop` leaves out {} tensors ({some}{more}): if the network of the file computes features with them, these are others",
            dropped.len()
        )
    })
}

/// What is told of a ResNet whose names are those of a library that pads otherwise.
fn padded_otherwise(naming: Option<&str>, backbone: &Backbone) -> Option<String> {
    let usual = match naming? {
        "Haiku" => Padding::TfSame,
        "SimCLR (TensorFlow)" => Padding::TfSamePool,
        _ => return None,
    };
    let has = if let Backbone::ResNet(spec) = backbone { spec.padding } else { Padding::Torch };
    (has != usual).then(|| {
        format!("the names of its tensors are those of {}, which pads as `{usual:?}` does, and the backbone pads as `{has:?}`", naming.unwrap_or_default())
    })
}

/// What is kept of a weights file.
#[derive(Serialize, Deserialize)]
struct Known {
    /// See [`digests`].
    digests: Vec<Digest>,
    origin: Origin,
    /// The dict that it was found in, where the file has several.
    container: Option<String>,
    /// Names of tensors that `drop` has left out.
    dropped: Vec<String>,
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
