//! Choice of the dict in a pickle that holds the tensors.

use std::collections::{BTreeMap, HashMap};

use assay_pickle::Value;

use crate::unread::Unread;
use crate::{CheckpointError, choice, derived, find_dict, keys};

/// Keys that are usual for a state dict; those of averages, teachers and the like are besides (`choice`).
const CONTAINERS: [&str; 14] = [
    "state_dict",
    "model",
    "model_state",
    "resnet",
    "model_state_dict",
    "net",
    "network",
    "encoder",
    "backbone",
    "weights",
    "params",
    "module",
    "generator",
    "ema_state_dict",
];

/// Tells whether weights are usual under this key.
fn is_usual(key: &str) -> bool {
    CONTAINERS.contains(&key) || (choice::is_role(key) && !derived::is_difference(key))
}

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
    if let Some(name) = root.foreign() {
        let Unread { what, advice, .. } = Unread::made_by(name);
        return Err(CheckpointError::NotRead(format!("it holds {what}, and no dict of tensors: {advice}")));
    }
    if root.entries().is_none() {
        return Err(CheckpointError::Container(
            "it holds no dict of tensors: save `{name: tensor}`, such as a `state_dict()`".to_owned(),
        ));
    }
    whole_network(root)?;
    match container {
        Some("") => return Ok((Some(String::new()), root)),
        Some(path) => return Ok((Some(path.to_owned()), find_dict(root, path)?)),
        None => {}
    }
    let (own, candidates) = candidates(root)?;
    let usual: Vec<_> = candidates.iter().filter(|found| is_usual(&found.key)).collect();
    match (usual.as_slice(), candidates.as_slice()) {
        ([only], _) => Ok((Some(only.path.clone()), only.dict)),
        ([], _) if own > 0 => Ok((None, root)),
        ([], [only]) => Ok((Some(only.path.clone()), only.dict)),
        ([], []) => Err(match objects(root) {
            Some(objects) => CheckpointError::NotRead(objects),
            None => {
                CheckpointError::Container(format!("no dict of tensors was found in it; its keys are: {}", keys(root)))
            }
        }),
        _ => Err(ambiguous(&candidates)),
    }
}

/// The paths of all dicts that hold tensors, with how many; the empty path is the whole.
pub fn all(root: Value<'_, '_>) -> Result<BTreeMap<String, usize>, CheckpointError> {
    let (own, candidates) = candidates(root)?;
    let whole = (own > 0).then(|| (String::new(), own));
    Ok(whole.into_iter().chain(candidates.into_iter().map(|found| (found.path, found.tensors))).collect())
}

/// Refuses a piece of a network that was cut over several processes.
fn whole_network(root: Value<'_, '_>) -> Result<(), CheckpointError> {
    let pieces = root.entry("mp_world_size").and_then(Value::int).filter(|pieces| *pieces > 1);
    match pieces {
        Some(pieces) => Err(CheckpointError::NotRead(format!(
            "it is one of {pieces} pieces that its tensors were cut into (`mp_world_size`): join them by the program that wrote them"
        ))),
        None => Ok(()),
    }
}

/// What stands where a state dict would be, and is an object of another library.
fn objects(root: Value<'_, '_>) -> Option<String> {
    let of = |(key, value): (&str, Value<'_, '_>)| value.foreign().map(|name| (key.to_owned(), Unread::made_by(name)));
    let all: Vec<(String, Unread)> = root.entries()?.filter_map(of).collect();
    let (key, Unread { what, advice, .. }) = all.iter().find(|(key, _)| is_usual(key)).or(all.first())?;
    Some(format!("no dict of tensors was found in it, and its {key:?} is {what}: {advice}"))
}

fn ambiguous(candidates: &[Candidate<'_, '_>]) -> CheckpointError {
    let paths: Vec<String> = candidates.iter().map(|found| found.path.clone()).collect();
    let (order, why) = choice::usual_first(&paths);
    let listed = order.iter().take(LISTED).map(|i| &candidates[*i]);
    let listed = listed.map(|found| format!("{} ({} tensors)", found.path, found.tensors));
    let mut list = listed.collect::<Vec<_>>().join(", ");
    if candidates.len() > LISTED {
        list.push_str(&format!(", … ({} more)", candidates.len() - LISTED));
    }
    let asked = match why {
        Some(why) => format!("such as `container: {:?}` ({why})", paths[order[0]]),
        None => "by `container: \"…\"`".to_owned(),
    };
    CheckpointError::Container(format!("several dicts in it hold tensors: {list}; say which one is meant, {asked}"))
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
            if value.tensor().is_some() || value.foreign().is_some_and(|name| Unread::made_by(name).is_tensor) {
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
