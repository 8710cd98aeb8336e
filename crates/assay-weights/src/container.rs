//! Choice of the dict in a pickle that holds the tensors.

use std::collections::{BTreeMap, HashMap};

use assay_pickle::Value;

use crate::{CheckpointError, find_dict, keys};

/// Keys that are usual for a state dict.
const CONTAINERS: [&str; 13] = [
    "state_dict",
    "model",
    "resnet",
    "model_state_dict",
    "net",
    "network",
    "encoder",
    "backbone",
    "weights",
    "teacher",
    "student",
    "ema",
    "model_ema",
];
/// Entries that are looked at; dicts may hold each other, and no published file comes close.
const MAX_VISITS: usize = 1 << 20;
const MAX_DEPTH: usize = 4;
/// Dicts that are listed in a message.
const LISTED: usize = 20;

/// A dict that holds tensors itself.
struct Candidate<'p, 'b> {
    path: String,
    key: String,
    dict: Value<'p, 'b>,
    tensors: usize,
}

/// The dict with the tensors: the one at `container`, else the only one under a usual key, else the whole when it holds tensors
/// itself, else the only one there is.
///
/// # Errors
/// When there is none or more than one; all are listed.
pub fn find<'p, 'b>(
    root: Value<'p, 'b>,
    container: Option<&str>,
) -> Result<(Option<String>, Value<'p, 'b>), CheckpointError> {
    if root.entries().is_none() {
        return Err(CheckpointError::Container(
            "it holds no dict of tensors (a whole model that was pickled as code is not read; save its state_dict)"
                .to_owned(),
        ));
    }
    if let Some(path) = container {
        return Ok((Some(path.to_owned()), find_dict(root, path)?));
    }
    let (own, candidates) = candidates(root)?;
    let usual: Vec<_> = candidates.iter().filter(|found| CONTAINERS.contains(&found.key.as_str())).collect();
    match (usual.as_slice(), candidates.as_slice()) {
        ([only], _) => Ok((Some(only.path.clone()), only.dict)),
        ([], _) if own > 0 => Ok((None, root)),
        ([], [only]) => Ok((Some(only.path.clone()), only.dict)),
        ([], []) => Err(CheckpointError::Container(format!(
            "no dict of tensors was found in it; give `container: \"…\"`, one of: {}",
            keys(root)
        ))),
        _ => Err(ambiguous(&candidates)),
    }
}

/// The paths of all dicts that hold tensors, with how many; the empty path is the whole.
pub fn all(root: Value<'_, '_>) -> Result<BTreeMap<String, usize>, CheckpointError> {
    let (own, candidates) = candidates(root)?;
    let whole = (own > 0).then(|| (String::new(), own));
    Ok(whole.into_iter().chain(candidates.into_iter().map(|found| (found.path, found.tensors))).collect())
}

fn ambiguous(candidates: &[Candidate<'_, '_>]) -> CheckpointError {
    let listed = candidates.iter().take(LISTED).map(|found| format!("{} ({} tensors)", found.path, found.tensors));
    let mut list = listed.collect::<Vec<_>>().join(", ");
    if candidates.len() > LISTED {
        list.push_str(&format!(", … ({} more)", candidates.len() - LISTED));
    }
    CheckpointError::Container(format!(
        "several dicts in it hold tensors: {list}; say which one is meant, such as `container: {:?}`",
        candidates[0].path
    ))
}

/// The tensors that the whole holds itself, and the outermost dicts in it that hold tensors, in their order.
fn candidates<'p, 'b>(root: Value<'p, 'b>) -> Result<(usize, Vec<Candidate<'p, 'b>>), CheckpointError> {
    let mut own = 0;
    let mut found: Vec<Candidate<'p, 'b>> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut visits = 0;
    let mut open = vec![(String::new(), String::new(), root, 0)];
    while let Some((path, key, dict, depth)) = open.pop() {
        let (mut tensors, mut inner) = (0, Vec::new());
        for (name, value) in dict.entries().into_iter().flatten() {
            visits += 1;
            if visits > MAX_VISITS {
                return Err(CheckpointError::TooLarge("its dicts hold too much".to_owned()));
            }
            if value.tensor().is_some() {
                tensors += 1;
            } else if depth < MAX_DEPTH && value.entries().is_some() {
                let below = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                inner.push((below, name.to_owned(), value, depth + 1));
            }
        }
        if depth == 0 {
            own = tensors;
        } else if tensors > 0 {
            let candidate = Candidate { path: path.clone(), key, dict, tensors };
            // The last one under a key counts, as in Python.
            match known.get(&path) {
                Some(index) => found[*index] = candidate,
                None => {
                    known.insert(path, found.len());
                    found.push(candidate);
                }
            }
            continue;
        }
        open.extend(inner.into_iter().rev().filter(|(path, ..)| path.len() < 512));
    }
    Ok((own, found))
}
