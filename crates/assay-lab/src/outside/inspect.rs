//! Report on a weights file, for people who want to name it in an experiment.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use assay_nn::{
    AuditError, Checkpoint, Choice, Choices, Config, Found, Guess, Origin, Settled, Unsaid, choices, identify,
    to_safetensors,
};
use serde::Serialize;

use super::called::called;
use super::weights::written;
use super::{Declared, model_config};

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
    /// What is not read among the tensors: what it is, by name.
    pub unread: BTreeMap<String, String>,
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
    /// What the tensors do not say and files beside them do, or where a default was taken.
    pub notes: Vec<String>,
    /// What the tensors do not say, and nothing else does: it has to be written in the experiment.
    pub unsaid: Option<String>,
    /// The places that hold it, the field's usual one first, where there are several.
    pub choices: Vec<ChoiceReport>,
    /// Problems, line by line.
    pub problems: Vec<String>,
    /// Advice on the problems, or anything else worth knowing.
    pub help: Option<String>,
}

/// A place in a file that holds a backbone.
#[derive(Clone, Debug, Serialize)]
pub struct ChoiceReport {
    /// Key of the dict, where the file has dicts.
    pub container: Option<String>,
    /// Beginning of the names there.
    pub prefix: String,
    /// Tensors of the backbone that are there.
    pub present: usize,
}

/// Looks at a weights file.
///
/// # Errors
/// When it cannot be read.
pub fn inspect_weights(path: &Path, container: Option<&str>) -> anyhow::Result<WeightsReport> {
    let path = &Checkpoint::locate(path);
    let containers = Checkpoint::containers(path).unwrap_or_default();
    let chosen = match container {
        Some(_) => container.map(str::to_owned),
        None if containers.len() > 1 => likeliest(path, &containers)?,
        None => None,
    };
    let checkpoint = read(path, chosen.as_deref())?;
    let config = model_config::beside(path);
    let guess = identify(&checkpoint);
    let places = match &guess {
        Some(guess) => {
            choices(path, container, &guess.backbone.wanted()).with_context(|| path.display().to_string())?
        }
        None => Choices::default(),
    };
    let mut guess = guess.map(|guess| GuessReport::of(guess, &checkpoint, config, path).with(places));
    if let Some(guess) = &mut guess {
        guess.notes.extend(Declared::beside(path).notes());
    }
    let tensor = |(name, tensor): (&String, &assay_nn::RawTensor)| TensorReport {
        name: name.clone(),
        dtype: tensor.dtype.name(),
        shape: tensor.shape.clone(),
        not_finite: tensor.not_finite(),
    };
    let tensors = checkpoint.tensors.iter().map(tensor).collect();
    let unread = checkpoint.unread.into_iter().map(|(name, unread)| (name, unread.what)).collect();
    Ok(WeightsReport { format: checkpoint.format, container: checkpoint.container, containers, tensors, unread, guess })
}

/// The dict of a file that a backbone is found in: the field's usual one of those that hold most of it.
fn likeliest(path: &Path, containers: &BTreeMap<String, usize>) -> anyhow::Result<Option<String>> {
    let mut best: Option<(Guess, &String)> = None;
    for key in containers.keys() {
        let Some(guess) = identify(&read(path, Some(key))?) else { continue };
        let rank = |guess: &Guess| (guess.present == guess.needed, guess.present);
        if best.as_ref().is_none_or(|(other, _)| rank(&guess) > rank(other)) {
            best = Some((guess, key));
        }
    }
    let Some((guess, key)) = best else { return Ok(None) };
    let found = choices(path, None, &guess.backbone.wanted()).with_context(|| path.display().to_string())?;
    let whole = found.places.into_iter().find(|place| place.present == guess.needed);
    Ok(whole.and_then(|place| place.container).or_else(|| Some(key.clone())))
}

impl GuessReport {
    fn of(guess: Guess, checkpoint: &Checkpoint, config: Option<Config>, path: &Path) -> Self {
        let classifier = guess.backbone.classifier();
        let report = Self {
            backbone: written(&guess.backbone),
            present: guess.present,
            needed: guess.needed,
            prefix: None,
            naming: None,
            has_classifier: false,
            notes: Vec::new(),
            unsaid: None,
            choices: Vec::new(),
            problems: Vec::new(),
            help: None,
        };
        match guess.audit {
            Ok(Found { tensors, prefix, naming, advice, .. }) => {
                let origin = called(path, Origin { config, ..Origin::of(checkpoint, naming) });
                let report = match guess.backbone.settled(&origin) {
                    Ok(Settled { backbone, notes, .. }) => Self { backbone: written(&backbone), notes, ..report },
                    Err(Unsaid { question, help }) => Self { unsaid: Some(format!("{question}: {help}")), ..report },
                };
                let has_classifier = classifier.is_some_and(|head| tensors.contains_key(&format!("{head}.weight")));
                Self { prefix: Some(prefix), naming, has_classifier, help: advice.map(str::to_owned), ..report }
            }
            Err(AuditError { lines, help }) => Self { problems: lines, help, ..report },
        }
    }

    /// With the places that hold it, and the question which one is meant.
    fn with(self, Choices { places, question, .. }: Choices) -> Self {
        let report = |Choice { container, prefix, present }| ChoiceReport { container, prefix, present };
        let choices = if places.len() > 1 { places.into_iter().map(report).collect() } else { Vec::new() };
        match question {
            Some(AuditError { lines, help }) => Self { choices, problems: lines, help, prefix: None, ..self },
            None => Self { choices, ..self },
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
    if let Some((name, unread)) = checkpoint.unread.iter().find(|(_, unread)| unread.is_tensor) {
        anyhow::bail!("{}: {name} cannot be read: {}; {}", path.display(), unread.what, unread.advice);
    }
    Ok((to_safetensors(&checkpoint.tensors)?, checkpoint.tensors.len()))
}

fn read(path: &Path, container: Option<&str>) -> anyhow::Result<Checkpoint> {
    Checkpoint::open(&Checkpoint::locate(path), container).with_context(|| path.display().to_string())
}
