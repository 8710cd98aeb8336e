//! Why a step is done again: the difference of two recipes, followed down to the leaves that changed.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::Value;

use crate::plan::Plan;
use crate::recipe::step_reference;
use crate::{StepKey, Store};

/// One leaf that differs between what was done and what is asked for now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Label of the step whose recipe holds the leaf.
    pub label: String,
    /// Kind of that step.
    pub kind: String,
    /// JSON pointer below the recipe's `step`.
    pub part: String,
    /// What it was; absent when it is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What it is; absent when it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<Value>,
    /// Path in the experiment where it is written, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// Lists the leaves that differ between the entry `before` of the store and the planned step `now`.
///
/// # Errors
/// When the earlier recipe is not in the store any more.
pub fn changes<W>(
    plan: &Plan<W>,
    store: &Store,
    kind: &str,
    before: StepKey,
    now: StepKey,
) -> anyhow::Result<Vec<Change>> {
    let mut walk = Walk { plan, store, found: Vec::new(), seen: HashSet::new() };
    walk.steps(kind, before, now)?;
    Ok(walk.found)
}

struct Walk<'a, W> {
    plan: &'a Plan<W>,
    store: &'a Store,
    found: Vec<Change>,
    seen: HashSet<(StepKey, StepKey)>,
}

impl<W> Walk<'_, W> {
    fn steps(&mut self, kind: &str, before: StepKey, now: StepKey) -> anyhow::Result<()> {
        if before == now || !self.seen.insert((before, now)) {
            return Ok(());
        }
        let old: Value = serde_json::from_str(&self.store.recipe(kind, before)?)?;
        let Some(node) = self.plan.node(now) else { return Ok(()) };
        let new: Value = serde_json::from_str(&node.recipe())?;
        let at = StepAt { label: &node.label, kind: node.kind, written_at: now };
        for part in ["kind", "version"] {
            if old[part] != new[part] {
                self.leaf(&at, &format!("({part})"), Some(&old[part]), Some(&new[part]));
            }
        }
        self.values(&at, "", Some(&old["step"]), Some(&new["step"]));
        Ok(())
    }

    fn values(&mut self, at: &StepAt<'_>, part: &str, old: Option<&Value>, new: Option<&Value>) {
        if old == new {
            return;
        }
        let (Some(o), Some(n)) = (old, new) else { return self.leaf(at, part, old, new) };
        match (step_reference(o), step_reference(n)) {
            (Some(before), Some(now)) => {
                let kind = self.plan.node(now).map_or("", |node| node.kind);
                if self.steps(kind, before, now).is_err() {
                    self.leaf(at, part, old, new);
                }
                return;
            }
            (None, None) => {}
            _ => return self.leaf(at, part, old, new),
        }
        match (o, n) {
            (Value::Object(o), Value::Object(n)) => {
                let names: std::collections::BTreeSet<_> = o.keys().chain(n.keys()).collect();
                for name in names {
                    self.values(at, &format!("{part}/{name}"), o.get(name), n.get(name));
                }
            }
            (Value::Array(o), Value::Array(n)) if o.len() == n.len() => {
                for (i, (o, n)) in o.iter().zip(n).enumerate() {
                    self.values(at, &format!("{part}/{i}"), Some(o), Some(n));
                }
            }
            _ => self.leaf(at, part, old, new),
        }
    }

    fn leaf(&mut self, at: &StepAt<'_>, part: &str, before: Option<&Value>, now: Option<&Value>) {
        let path = self.plan.node(at.written_at).and_then(|node| {
            let written = node.written_at.iter().filter(|o| is_below(part, &o.part)).max_by_key(|o| o.part.len())?;
            let rest = part[written.part.len()..].replace('/', ".");
            Some(format!("{}{rest}", written.path))
        });
        let change = Change {
            label: at.label.to_owned(),
            kind: at.kind.to_owned(),
            part: part.to_owned(),
            before: before.cloned(),
            now: now.cloned(),
            path,
        };
        self.found.push(change);
    }
}

fn is_below(part: &str, prefix: &str) -> bool {
    part.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

struct StepAt<'a> {
    label: &'a str,
    kind: &'a str,
    written_at: StepKey,
}
