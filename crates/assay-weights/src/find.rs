//! Finding a backbone in all dicts of a file.

use std::path::Path;

use crate::choice::{Choice, Rival, decide, usual_first};
use crate::select::Audit;
use crate::{AuditError, Checkpoint, CheckpointError, Found, TensorFilter, Wanted, derived, select};

/// Why a backbone is not found in a file.
#[derive(Debug)]
pub enum Unfit {
    /// The file cannot be read.
    File(CheckpointError),
    /// The file does not hold the backbone, or holds it more than once. With what was read of it.
    Audit(Box<Checkpoint>, AuditError),
}

/// The places in a file that hold a backbone.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// The places, the field's usual one first.
    pub places: Vec<Choice>,
    /// Why the first one is usual, where that is known.
    pub why: Option<&'static str>,
    /// The line that says that one has to be chosen; absent where they hold the same.
    pub question: Option<AuditError>,
}

/// Reads a weights file and takes the tensors that are wanted out of the dict that holds them: the one called `container`, else the
/// only one that has them.
///
/// # Errors
/// When the file cannot be read, no dict holds them all, or several hold different ones.
pub fn find(
    path: &Path,
    container: Option<&str>,
    filter: &TensorFilter,
    wanted: &Wanted,
) -> Result<(Checkpoint, Found), Unfit> {
    let containers = match container {
        Some(_) => Vec::new(),
        None => weights_containers(path).map_err(Unfit::File)?,
    };
    let (chosen, question) = match containers.as_slice() {
        [] | [_] => (container.map(str::to_owned), None),
        several => match survey(path, several, filter, wanted) {
            Ok((rivals, best)) => match decide(&rivals, wanted.tensors.len()) {
                Ok(Some(chosen)) => (rivals[chosen].choice.container.clone(), None),
                Ok(None) => (best, None),
                Err(question) => (rivals.first().and_then(|rival| rival.choice.container.clone()), Some(question)),
            },
            Err(error) => return Err(Unfit::File(error)),
        },
    };
    let checkpoint = Checkpoint::open(path, chosen.as_deref()).map_err(Unfit::File)?;
    if let Some(question) = question {
        return Err(Unfit::Audit(Box::new(checkpoint), question));
    }
    if let Some(error) = difference(&checkpoint) {
        return Err(Unfit::Audit(Box::new(checkpoint), error));
    }
    match select(&checkpoint, filter, wanted) {
        Ok(found) => Ok((checkpoint, found)),
        Err(error) => Err(Unfit::Audit(Box::new(checkpoint), error)),
    }
}

/// The places in a file that hold a backbone, or at least half of it.
///
/// # Errors
/// When the file cannot be read.
pub fn choices(path: &Path, container: Option<&str>, wanted: &Wanted) -> Result<Choices, CheckpointError> {
    let filter = TensorFilter::default();
    let containers = match container {
        Some(key) => vec![key.to_owned()],
        None => weights_containers(path)?,
    };
    let rivals = match containers.as_slice() {
        [] => Audit::of(&Checkpoint::open(path, None)?, &filter, wanted).rivals(None),
        several => survey(path, several, &filter, wanted)?.0,
    };
    let question = decide(&rivals, wanted.tensors.len()).err();
    let named: Vec<Choice> = rivals.into_iter().filter(|rival| rival.is_named).map(|rival| rival.choice).collect();
    let paths = named.iter().map(|c| format!("{}.{}", c.container.as_deref().unwrap_or_default(), c.prefix));
    let (order, why) = usual_first(&paths.collect::<Vec<_>>());
    Ok(Choices { places: order.iter().map(|i| named[*i].clone()).collect(), why, question })
}

/// The dicts of a file that may hold weights, by their keys.
fn weights_containers(path: &Path) -> Result<Vec<String>, CheckpointError> {
    let all: Vec<String> = Checkpoint::containers(path)?.into_keys().collect();
    let weights: Vec<String> = all.iter().filter(|key| !derived::is_difference(key)).cloned().collect();
    Ok(if weights.is_empty() { all } else { weights })
}

/// The places of all dicts, and the dict that holds most.
fn survey(
    path: &Path,
    containers: &[String],
    filter: &TensorFilter,
    wanted: &Wanted,
) -> Result<(Vec<Rival>, Option<String>), CheckpointError> {
    let mut rivals = Vec::new();
    let mut best: (usize, Option<String>) = (0, None);
    for key in containers {
        let checkpoint = Checkpoint::open(path, Some(key))?;
        let audit = Audit::of(&checkpoint, filter, wanted);
        let count = audit.coverage();
        if count > best.0 {
            best = (count, Some(key.clone()));
        }
        let mut found = audit.rivals(Some(key));
        if key.is_empty() {
            // What lies in another dict is found there.
            let is_inside = |prefix: &str| {
                containers.iter().any(|other| !other.is_empty() && prefix.starts_with(&format!("{other}.")))
            };
            found.retain(|rival| !is_inside(&rival.choice.prefix));
        }
        rivals.extend(found);
    }
    rivals.retain(|rival| 2 * rival.choice.present >= wanted.tensors.len());
    Ok((rivals, best.1))
}

/// What is said of a dict of differences.
fn difference(checkpoint: &Checkpoint) -> Option<AuditError> {
    let key = checkpoint.container.as_deref().filter(|key| derived::is_difference(key))?;
    Some(AuditError {
        lines: vec![format!(
            "its {key:?} holds what is added to weights, or gradients, and not the weights themselves"
        )],
        help: Some("add them to the weights that they belong to, and save the sums".to_owned()),
    })
}
