//! The plan: a graph of steps whose edges are read off their recipes.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use serde::Serialize;
use serde_json::Value;

use crate::canonical::{CanonicalError, canonical_text};
use crate::step::{Artifact, Context, Cost, Needs, Output, Step};
use crate::store::Store;
use crate::{Digest, StepKey};

/// Where in the experiment file a part of a recipe was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenAt {
    /// JSON pointer below the recipe's `step`; empty for all of it.
    pub part: String,
    /// Path in the experiment, such as `protocols.5w1s`.
    pub path: String,
}

impl WrittenAt {
    /// `part` of the recipe was written at `path`.
    pub fn new(part: impl Into<String>, path: impl Into<String>) -> Self {
        Self { part: part.into(), path: path.into() }
    }
}

/// A planned step.
pub struct Node<W> {
    /// Its identity.
    pub key: StepKey,
    /// Its kind.
    pub kind: &'static str,
    /// What people call it.
    pub label: String,
    /// Other names, where several places of an experiment come to the same step.
    pub also: Vec<String>,
    /// Its canonical recipe.
    pub recipe: String,
    /// Where the parts of the recipe were written.
    pub written_at: Vec<WrittenAt>,
    pub(crate) inputs: Vec<StepKey>,
    step: Box<dyn AnyStep<W>>,
}

impl<W> Node<W> {
    /// What it occupies while it runs.
    pub fn needs(&self) -> Needs {
        self.step.needs()
    }

    /// How much work it is.
    pub fn cost(&self) -> Cost {
        self.step.cost()
    }

    /// Runs it and writes its artifact into `folder`.
    pub(crate) fn run_into(&self, context: &Context<'_, W>, folder: &Path) -> anyhow::Result<()> {
        self.step.run_into(context, folder)
    }

    /// Digest of the recipe without its inputs, and of the recipe with its inputs named by the digests of their bytes.
    pub(crate) fn content_keys(&self, output_of: &dyn Fn(StepKey) -> Option<Digest>) -> Option<(Digest, Digest)> {
        let recipe: Value = serde_json::from_str(&self.recipe).ok()?;
        let mut parameters = recipe.clone();
        replace_steps(&mut parameters, &mut |_| Some(Digest::of(b"")))?;
        let mut content = recipe;
        replace_steps(&mut content, &mut |key| output_of(key))?;
        Some((digest_of(&parameters)?, digest_of(&content)?))
    }

    pub(crate) fn parameters_digest(&self) -> Option<Digest> {
        let mut parameters: Value = serde_json::from_str(&self.recipe).ok()?;
        replace_steps(&mut parameters, &mut |_| Some(Digest::of(b"")))?;
        digest_of(&parameters)
    }
}

fn digest_of(recipe: &Value) -> Option<Digest> {
    Some(Digest::of(canonical_text(recipe).ok()?.as_bytes()))
}

fn replace_steps(value: &mut Value, by: &mut dyn FnMut(StepKey) -> Option<Digest>) -> Option<()> {
    if let Some(key) = step_reference(value) {
        *value = serde_json::json!({ "$bytes": by(key)? });
        return Some(());
    }
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(|item| replace_steps(item, by)),
        Value::Object(fields) => fields.values_mut().try_for_each(|field| replace_steps(field, by)),
        _ => Some(()),
    }
}

/// The key in `{"$step": "<key>"}`.
pub(crate) fn step_reference(value: &Value) -> Option<StepKey> {
    let fields = value.as_object()?;
    if fields.len() != 1 {
        return None;
    }
    fields.get("$step")?.as_str()?.parse().ok()
}

fn collect_references(value: &Value, found: &mut Vec<StepKey>) {
    if let Some(key) = step_reference(value) {
        if !found.contains(&key) {
            found.push(key);
        }
        return;
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| collect_references(field, found)),
        _ => {}
    }
}

trait AnyStep<W>: Send + Sync {
    fn needs(&self) -> Needs;
    fn cost(&self) -> Cost;
    fn run_into(&self, context: &Context<'_, W>, folder: &Path) -> anyhow::Result<()>;
}

impl<W, S: Step<W>> AnyStep<W> for S {
    fn needs(&self) -> Needs {
        Step::needs(self)
    }

    fn cost(&self) -> Cost {
        Step::cost(self)
    }

    fn run_into(&self, context: &Context<'_, W>, folder: &Path) -> anyhow::Result<()> {
        self.run(context)?.write(folder)
    }
}

#[derive(Serialize)]
struct Recipe<'a, S> {
    kind: &'static str,
    version: u32,
    step: &'a S,
}

/// How a planned step stands with the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StepStatus {
    /// In the store.
    Hit,
    /// Not in the store; an entry with the same parameters is, and may turn out to have had the same input bytes.
    #[serde(rename = "alias?")]
    MaybeReusable,
    /// To be run.
    Run,
    /// Not in the store, and nothing that must run needs it.
    Unneeded,
}

/// What a plan will cost, as far as earlier runs tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// Seconds.
    pub seconds: f64,
    /// Bytes in the store.
    pub bytes: f64,
}

/// A graph of steps. Acyclic by construction: a step can only name outputs that exist.
pub struct Plan<W> {
    graph: DiGraph<Node<W>, ()>,
    index: HashMap<StepKey, NodeIndex>,
    targets: Vec<NodeIndex>,
}

impl<W> Default for Plan<W> {
    fn default() -> Self {
        Self { graph: DiGraph::new(), index: HashMap::new(), targets: Vec::new() }
    }
}

impl<W: 'static> Plan<W> {
    /// Adds a step, or finds the one with the same recipe.
    ///
    /// # Errors
    /// When the recipe holds a NaN or an unskipped `None`.
    ///
    /// # Panics
    /// When the recipe names a step of another plan, which is a bug of the caller.
    pub fn add<S: Step<W>>(
        &mut self,
        label: impl Into<String>,
        step: S,
        written_at: Vec<WrittenAt>,
    ) -> Result<Output<S::Output>, CanonicalError> {
        let recipe = serde_json::to_value(Recipe { kind: S::KIND, version: S::VERSION, step: &step })
            .map_err(CanonicalError::Serialize)?;
        let text = canonical_text(&recipe)?;
        let key = StepKey(Digest::of(text.as_bytes()));
        let label = label.into();
        if let Some(at) = self.index.get(&key) {
            let node = &mut self.graph[*at];
            if node.label != label && !node.also.contains(&label) {
                node.also.push(label);
            }
        } else {
            let mut inputs = Vec::new();
            collect_references(&recipe, &mut inputs);
            let sources: Vec<_> = inputs.iter().map(|input| self.index[input]).collect();
            let node = Node {
                key,
                kind: S::KIND,
                label,
                also: Vec::new(),
                recipe: text,
                written_at,
                inputs,
                step: Box::new(step),
            };
            let at = self.graph.add_node(node);
            self.index.insert(key, at);
            for source in sources {
                self.graph.add_edge(source, at, ());
            }
        }
        Ok(Output::new(S::KIND, key))
    }

    /// Marks a step as one whose result is wanted for itself.
    pub fn want<T>(&mut self, output: &Output<T>) {
        let at = self.index[&output.key()];
        if !self.targets.contains(&at) {
            self.targets.push(at);
        }
    }

    /// Marks many steps at once.
    pub fn want_all<'o, T: 'o>(&mut self, outputs: impl IntoIterator<Item = &'o Output<T>>) {
        let mut seen: std::collections::HashSet<_> = self.targets.iter().copied().collect();
        for output in outputs {
            let at = self.index[&output.key()];
            if seen.insert(at) {
                self.targets.push(at);
            }
        }
    }
}

impl<W> Plan<W> {
    /// Number of steps.
    pub fn len(&self) -> usize {
        self.graph.node_count()
    }

    /// Whether there is no step.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All steps, each after those that it depends on.
    pub fn nodes(&self) -> impl Iterator<Item = &Node<W>> {
        // Indices rise along every edge, since a step is added after its inputs.
        self.graph.node_weights()
    }

    /// The step with this key.
    pub fn node(&self, key: StepKey) -> Option<&Node<W>> {
        self.index.get(&key).map(|at| &self.graph[*at])
    }

    pub(crate) fn at(&self, at: usize) -> &Node<W> {
        &self.graph[NodeIndex::new(at)]
    }

    pub(crate) fn inputs_of(&self, at: usize) -> impl Iterator<Item = usize> {
        self.graph.edges_directed(NodeIndex::new(at), Direction::Incoming).map(|edge| edge.source().index())
    }

    pub(crate) fn users_of(&self, at: usize) -> impl Iterator<Item = usize> {
        self.graph.edges_directed(NodeIndex::new(at), Direction::Outgoing).map(|edge| edge.target().index())
    }

    /// How each step stands with the store, in the order of [`nodes`](Self::nodes). Opens no device and reads no artifact.
    pub fn survey(&self, store: &Store) -> Vec<StepStatus> {
        let present: Vec<bool> = self.nodes().map(|n| store.contains(n.kind, n.key)).collect();
        let mut needed = vec![false; self.len()];
        for target in &self.targets {
            needed[target.index()] = !present[target.index()];
        }
        for at in (0..self.len()).rev() {
            if needed[at] {
                for input in self.inputs_of(at) {
                    needed[input] |= !present[input];
                }
            }
        }
        (0..self.len())
            .map(|at| match (present[at], needed[at]) {
                (true, _) => StepStatus::Hit,
                (false, false) => StepStatus::Unneeded,
                (false, true) if self.may_alias(at, store) => StepStatus::MaybeReusable,
                (false, true) => StepStatus::Run,
            })
            .collect()
    }

    fn may_alias(&self, at: usize, store: &Store) -> bool {
        let node = self.at(at);
        !node.inputs.is_empty()
            && node.parameters_digest().is_some_and(|digest| store.knows_parameters(node.kind, digest))
    }

    /// Predicts what the steps that must run will cost, from the provenance of steps of the same kind and group.
    /// Returns the estimate and how many of the steps it covers.
    pub fn estimate(&self, store: &Store, standings: &[StepStatus]) -> (Estimate, usize) {
        let mut rates: BTreeMap<(&'static str, String), Option<Estimate>> = BTreeMap::new();
        let (mut sum, mut covered) = (Estimate::default(), 0);
        for (node, standing) in self.nodes().zip(standings) {
            if !matches!(standing, StepStatus::Run | StepStatus::MaybeReusable) {
                continue;
            }
            let cost = node.cost();
            let rate = rates
                .entry((node.kind, cost.group.clone()))
                .or_insert_with(|| sample_rate(store, node.kind, &cost.group));
            if let Some(rate) = rate {
                sum.seconds += rate.seconds * cost.units;
                sum.bytes += rate.bytes * cost.units;
                covered += 1;
            }
        }
        (sum, covered)
    }
}

/// Mean cost per unit over some entries of a kind and group.
fn sample_rate(store: &Store, kind: &str, group: &str) -> Option<Estimate> {
    const ENOUGH: usize = 32;
    const LOOK_AT: usize = 512;
    let (mut sum, mut units, mut found) = (Estimate::default(), 0.0, 0);
    let prefixes = fs::read_dir(store.root().join("steps").join(kind)).ok()?;
    let entries = prefixes.flatten().flat_map(|p| fs::read_dir(p.path()).into_iter().flatten().flatten());
    for entry in entries.take(LOOK_AT) {
        let Some(key) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(provenance) = store.provenance(kind, key) else { continue };
        if provenance.alias_of.is_some() || provenance.cost_group != group {
            continue;
        }
        sum.seconds += provenance.seconds;
        sum.bytes += provenance.bytes() as f64;
        units += provenance.cost_units;
        found += 1;
        if found == ENOUGH {
            break;
        }
    }
    (units > 0.0).then(|| Estimate { seconds: sum.seconds / units, bytes: sum.bytes / units })
}
