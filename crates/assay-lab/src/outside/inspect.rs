//! Report on a weights file, for people who want to name it in an experiment.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use assay_nn::{AuditError, Checkpoint, Found, Guess, identify, to_safetensors};
use serde::Serialize;

use super::weights::{told, written};

/// Report on a weights file.
#[derive(Clone, Debug, Serialize)]
pub struct WeightsReport {
    /// Kind of file, such as `torch zip`.
    pub format: &'static str,
    /// Key under which the tensors were, if they were nested.
    pub container: Option<String>,
    /// Every dict of the file that holds tensors, by its key, with how many; the empty key is the file as a whole.
    pub containers: BTreeMap<String, usize>,
    /// The tensors, by name.
    pub tensors: Vec<TensorReport>,
    /// The backbone that fits best; absent when nothing of any known one is in it.
    pub guess: Option<GuessReport>,
}

/// A tensor of a file.
#[derive(Clone, Debug, Serialize)]
pub struct TensorReport {
    /// Name of the tensor.
    pub name: String,
    /// Type of the numbers, such as `f32`.
    pub dtype: &'static str,
    /// Shape of the tensor.
    pub shape: Vec<usize>,
    /// Number of values that are not finite.
    pub not_finite: usize,
}

/// The backbone that fits a file best.
#[derive(Clone, Debug, Serialize)]
pub struct GuessReport {
    /// The backbone, as it would be written in an experiment.
    pub backbone: String,
    /// Tensors of it that are in the file.
    pub present: usize,
    /// Tensors that it has.
    pub needed: usize,
    /// Beginning of their names; absent when the audit fails.
    pub prefix: Option<String>,
    /// Library whose names the tensors have, where those are not of the backbone's authors.
    pub naming: Option<&'static str>,
    /// True if the backbone's own classifier is in the file as well.
    pub has_classifier: bool,
    /// How the tensors are read, where they fit several networks.
    pub reading: Option<String>,
    /// Problems, line by line.
    pub problems: Vec<String>,
    /// Advice on the problems, or anything else worth knowing.
    pub help: Option<String>,
}

/// Looks at a weights file.
///
/// # Errors
/// When it cannot be read.
pub fn inspect_weights(path: &Path, container: Option<&str>) -> anyhow::Result<WeightsReport> {
    let checkpoint = read(path, container)?;
    let guess = identify(&checkpoint).map(|guess| GuessReport::of(guess, path));
    let tensor = |(name, tensor): (&String, &assay_nn::RawTensor)| TensorReport {
        name: name.clone(),
        dtype: tensor.dtype.name(),
        shape: tensor.shape.clone(),
        not_finite: tensor.not_finite(),
    };
    let tensors = checkpoint.tensors.iter().map(tensor).collect();
    let containers = Checkpoint::containers(&Checkpoint::locate(path)).unwrap_or_default();
    Ok(WeightsReport { format: checkpoint.format, container: checkpoint.container, containers, tensors, guess })
}

impl GuessReport {
    fn of(guess: Guess, path: &Path) -> Self {
        let classifier = guess.backbone.classifier();
        let report = Self {
            backbone: written(&guess.backbone),
            present: guess.present,
            needed: guess.needed,
            prefix: None,
            naming: None,
            has_classifier: false,
            problems: Vec::new(),
            help: None,
            reading: None,
        };
        match guess.audit {
            Ok(Found { tensors, prefix, naming, advice }) => {
                let has_classifier = classifier.is_some_and(|head| tensors.contains_key(&format!("{head}.weight")));
                let found = Self { prefix: Some(prefix), naming, has_classifier, ..report };
                match guess.backbone.reading(&told(path, naming.map(str::to_owned))) {
                    Ok(reading) => Self { reading, help: advice.map(str::to_owned), ..found },
                    Err(AuditError { lines, help }) => Self { problems: lines, help, ..found },
                }
            }
            Err(AuditError { lines, help }) => Self { problems: lines, help, ..report },
        }
    }
}

/// The tensors of a weights file as the bytes of a safetensors file, under their names and in their layout there; a model made
/// of it is the same model. With how many tensors there are.
///
/// # Errors
/// When it cannot be read.
pub fn convert_weights(path: &Path, container: Option<&str>) -> anyhow::Result<(Vec<u8>, usize)> {
    let checkpoint = read(path, container)?;
    Ok((to_safetensors(&checkpoint.tensors)?, checkpoint.tensors.len()))
}

fn read(path: &Path, container: Option<&str>) -> anyhow::Result<Checkpoint> {
    Checkpoint::open(&Checkpoint::locate(path), container).with_context(|| path.display().to_string())
}
