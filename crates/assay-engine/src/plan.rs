//! The plan: a graph of steps whose edges are read off their recipes.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use serde::Serialize;

use crate::artifact::{Artifact, ArtifactFiles};
use crate::canonical::{CanonicalError, Writer, to_canonical_json};
use crate::digest::KeyMap;
use crate::recipe::parameters_digest;
use crate::step::{Context, Cost, Needs, Output, Step};
use crate::store::{Store, Tier};
use crate::{Digest, StepKey};

/// Where in the experiment file a part of a recipe was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WrittenAt {
    /// JSON pointer below the recipe's `step`; empty for all of it.
    pub part: Cow<'static, str>,
    /// Path in the experiment, such as `protocols.5w1s`.
    pub path: Arc<str>,
}

impl WrittenAt {
    /// `part` of the recipe was written at `path`.
    pub fn new(part: impl Into<Cow<'static, str>>, path: impl Into<Arc<str>>) -> Self {
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
    /// Where the parts of the recipe were written.
    pub written_at: Arc<[WrittenAt]>,
    step: Box<dyn AnyStep<W>>,
}

impl<W> Node<W> {
    /// Its canonical recipe, written anew: a plan of 100,000 steps does not hold their texts.
    pub fn recipe(&self) -> String {
        self.step.recipe().expect("it was written without error when the step was planned")
    }

    /// What it occupies while it runs.
    pub fn needs(&self) -> Needs {
        self.step.needs()
    }

    /// What it shares with other steps, see [`Step::affinity`].
    pub fn affinity(&self) -> Option<Digest> {
        self.step.affinity()
    }

    /// How much work it is.
    pub fn cost(&self) -> Cost {
        self.step.cost()
    }

    /// Runs it and puts its artifact into `files`.
    pub(crate) fn run_into(&self, context: &Context<'_, W>, files: &mut ArtifactFiles) -> anyhow::Result<()> {
        self.step.run_into(context, files)
    }
}

trait AnyStep<W>: Send + Sync {
    fn recipe(&self) -> Result<String, CanonicalError>;
    fn needs(&self) -> Needs;
    fn affinity(&self) -> Option<Digest>;
    fn cost(&self) -> Cost;
    fn run_into(&self, context: &Context<'_, W>, files: &mut ArtifactFiles) -> anyhow::Result<()>;
}

impl<W, S: Step<W>> AnyStep<W> for S {
    fn recipe(&self) -> Result<String, CanonicalError> {
        to_canonical_json(&Recipe { kind: S::KIND, version: S::VERSION, step: self })
    }

    fn needs(&self) -> Needs {
        Step::needs(self)
    }

    fn affinity(&self) -> Option<Digest> {
        Step::affinity(self)
    }

    fn cost(&self) -> Cost {
        Step::cost(self)
    }

    fn run_into(&self, context: &Context<'_, W>, files: &mut ArtifactFiles) -> anyhow::Result<()> {
        self.run(context)?.write(files)
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
    /// Edges lead from what a step needs to the step. Each step comes after those that it depends on.
    graph: DiGraph<Node<W>, ()>,
    index: KeyMap<u32>,
    /// Places of the steps that are wanted for themselves, in the order in which they were asked for.
    targets: Vec<u32>,
    /// Whether each step is among them.
    is_target: Vec<bool>,
    writer: Writer,
}

impl<W> Default for Plan<W> {
    fn default() -> Self {
        Self {
            graph: DiGraph::new(),
            index: KeyMap::default(),
            targets: Vec::new(),
            is_target: Vec::new(),
            writer: Writer::default(),
        }
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
        written_at: impl Into<Arc<[WrittenAt]>>,
    ) -> Result<Output<S::Output>, CanonicalError> {
        let (text, inputs) = self.writer.write(&Recipe { kind: S::KIND, version: S::VERSION, step: &step })?;
        let key = StepKey(Digest::of(text.as_bytes()));
        let label = label.into();
        if let Some(at) = self.index.get(&key) {
            let node = &mut self.graph[NodeIndex::new(*at as usize)];
            if node.label != label && !node.also.contains(&label) {
                node.also.push(label);
            }
        } else {
            let inputs: Vec<u32> = inputs.iter().map(|input| self.index[input]).collect();
            let (written_at, step) = (written_at.into(), Box::new(step));
            let node = Node { key, kind: S::KIND, label, also: Vec::new(), written_at, step };
            self.push(node, false, inputs);
        }
        Ok(Output::new(S::KIND, key))
    }

    fn push(&mut self, node: Node<W>, is_target: bool, inputs: impl IntoIterator<Item = u32>) {
        let key = node.key;
        let at = self.graph.add_node(node);
        // Neighbours are listed from the edge that was added last.
        for input in inputs {
            self.graph.add_edge(NodeIndex::new(input as usize), at, ());
        }
        self.is_target.push(is_target);
        self.index.insert(key, at.index() as u32);
    }

    /// Makes room for `more` steps, so that a large plan is not copied while it grows.
    pub fn reserve(&mut self, more: usize) {
        self.graph.reserve_nodes(more);
        self.graph.reserve_edges(more);
        self.index.reserve(more);
    }

    /// Marks a step as one whose result is wanted for itself.
    pub fn want<T>(&mut self, output: &Output<T>) {
        let at = self.index[&output.key()];
        if !std::mem::replace(&mut self.is_target[at as usize], true) {
            self.targets.push(at);
        }
    }

    /// Marks many steps at once.
    pub fn want_all<'o, T: 'o>(&mut self, outputs: impl IntoIterator<Item = &'o Output<T>>) {
        outputs.into_iter().for_each(|output| self.want(output));
    }

    /// Drops the steps that nothing wanted needs.
    pub fn keep_needed(&mut self) {
        let needed = self.reached(|_| true);
        if needed.iter().all(|needed| *needed) {
            return;
        }
        let old = std::mem::take(self);
        let mut inputs: Vec<Vec<usize>> = (0..old.len()).map(|at| old.inputs_of(at).collect()).collect();
        let mut place = vec![0; old.len()];
        for (at, node) in old.graph.into_nodes_edges().0.into_iter().enumerate().filter(|(at, _)| needed[*at]) {
            place[at] = self.len() as u32;
            let inputs = std::mem::take(&mut inputs[at]).into_iter().rev().map(|input| place[input]);
            self.push(node.weight, old.is_target[at], inputs);
        }
        self.targets = old.targets.iter().map(|at| place[*at as usize]).collect();
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
        self.graph.node_weights()
    }

    /// The step with this key.
    pub fn node(&self, key: StepKey) -> Option<&Node<W>> {
        self.index.get(&key).map(|at| self.at(*at as usize))
    }

    pub(crate) fn place_of(&self, key: StepKey) -> Option<usize> {
        self.index.get(&key).map(|at| *at as usize)
    }

    pub(crate) fn at(&self, at: usize) -> &Node<W> {
        &self.graph[NodeIndex::new(at)]
    }

    pub(crate) fn targets(&self) -> impl Iterator<Item = usize> {
        self.targets.iter().map(|at| *at as usize)
    }

    pub(crate) fn inputs_of(&self, at: usize) -> impl Iterator<Item = usize> {
        self.graph.neighbors_directed(NodeIndex::new(at), Direction::Incoming).map(NodeIndex::index)
    }

    pub(crate) fn is_target(&self, at: usize) -> bool {
        self.is_target[at]
    }

    /// The steps whose recipes name a step.
    pub(crate) fn users_of(&self, at: usize) -> impl Iterator<Item = usize> {
        self.graph.neighbors_directed(NodeIndex::new(at), Direction::Outgoing).map(NodeIndex::index)
    }

    /// The targets for which `is_asked`, and the inputs for which it is, and theirs.
    fn reached(&self, is_asked: impl Fn(usize) -> bool) -> Vec<bool> {
        let mut reached = vec![false; self.len()];
        for target in self.targets() {
            reached[target] = is_asked(target);
        }
        for at in (0..self.len()).rev() {
            if reached[at] {
                self.inputs_of(at).for_each(|input| reached[input] |= is_asked(input));
            }
        }
        reached
    }

    /// How each step stands with the store, in the order of [`nodes`](Self::nodes). Opens no device and reads no artifact.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub fn survey(&self, store: &Store) -> anyhow::Result<Vec<StepStatus>> {
        let present = self.present(store)?;
        Ok(self.standings(store, &present, &self.needed(&present)))
    }

    /// Which steps are in the store.
    fn present(&self, store: &dyn Tier) -> anyhow::Result<Vec<bool>> {
        self.present_among(store, |_| true)
    }

    /// Which steps are in the store; those that are not asked for are taken to be there.
    pub(crate) fn present_among(
        &self,
        store: &dyn Tier,
        is_asked: impl Fn(usize) -> bool,
    ) -> anyhow::Result<Vec<bool>> {
        let asked: Vec<usize> = (0..self.len()).filter(|at| is_asked(*at)).collect();
        let keys: Vec<_> = asked.iter().map(|at| (self.at(*at).kind, self.at(*at).key)).collect();
        let missing = store.missing(&keys).map_err(|e| anyhow::Error::new(e).context("listing the store"))?;
        let mut present = vec![true; self.len()];
        asked.into_iter().zip(missing).for_each(|(at, missing)| present[at] = !missing);
        Ok(present)
    }

    /// Which steps are missing and needed, by what is wanted or by what must run.
    pub(crate) fn needed(&self, present: &[bool]) -> Vec<bool> {
        self.reached(|at| !present[at])
    }

    fn standings(&self, store: &Store, present: &[bool], needed: &[bool]) -> Vec<StepStatus> {
        let mut known: HashMap<&'static str, HashSet<Digest>> = HashMap::new();
        let mut may_alias = |at: usize| {
            let node = self.at(at);
            let known = known.entry(node.kind).or_insert_with(|| store.known_parameters(node.kind));
            !known.is_empty()
                && self.inputs_of(at).next().is_some()
                && known.contains(&parameters_digest(&node.recipe()))
        };
        let of = |at: usize| match (present[at], needed[at]) {
            (true, _) => StepStatus::Hit,
            (false, false) => StepStatus::Unneeded,
            (false, true) if may_alias(at) => StepStatus::MaybeReusable,
            (false, true) => StepStatus::Run,
        };
        (0..self.len()).map(of).collect()
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
    let (mut sum, mut units) = (Estimate::default(), 0.0);
    let sample = store.sample(kind, LOOK_AT).filter(|p| p.alias_of.is_none() && p.cost_group == group);
    for provenance in sample.take(ENOUGH) {
        sum.seconds += provenance.seconds;
        sum.bytes += provenance.bytes() as f64;
        units += provenance.cost_units;
    }
    (units > 0.0).then(|| Estimate { seconds: sum.seconds / units, bytes: sum.bytes / units })
}
