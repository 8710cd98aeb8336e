//! What a step is, what it may see while it runs, and what it leaves behind.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::artifact::Artifact;
use crate::external::{External, ExternalSource};
use crate::store::{Scratch, StepWarning};
use crate::{Digest, Event, StepKey, Store};

/// A cacheable unit of work. **Its fields are its recipe**: whatever can change the result is a serialised field, whatever
/// cannot is not. `W` is what the caller lends to running steps (devices, models in memory); nothing in it may change a result.
pub trait Step<W>: Serialize + Send + Sync + 'static {
    /// The folder of this kind in the store, and the first part of its recipe.
    const KIND: &'static str;
    /// Rises when the same fields come to mean another result.
    const VERSION: u32;
    /// What it leaves in the store.
    type Output: Artifact;

    /// What it occupies while it runs.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// Steps with equal affinity run back to back where they can: what one has in memory serves the next.
    fn affinity(&self) -> Option<Digest> {
        None
    }

    /// How much work it is, to predict its duration from that of others in the same group.
    fn cost(&self) -> Cost {
        Cost::default()
    }

    /// Does the work.
    ///
    /// # Errors
    /// Whatever went wrong; the executor adds the step's label and key.
    fn run(&self, context: &Context<'_, W>) -> anyhow::Result<Self::Output>;
}

/// What a running step occupies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Needs {
    /// How many threads it keeps busy.
    pub threads: Threads,
    /// Memory that it takes, in bytes; zero for too little to count.
    pub memory_bytes: u64,
    /// Whether it takes a device: one step at a time on each.
    pub device: bool,
}

/// How many threads a step keeps busy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Threads {
    /// One.
    #[default]
    One,
    /// All that the run has.
    All,
}

/// An amount of work: durations are proportional to `units` within a `group`.
#[derive(Clone, PartialEq, Debug)]
pub struct Cost {
    /// Steps of one kind and group take equally long per unit on one machine.
    pub group: String,
    /// How many units.
    pub units: f64,
}

impl Default for Cost {
    fn default() -> Self {
        Self { group: String::new(), units: 1.0 }
    }
}

/// The typed handle of a planned step; serialises as `{"$step": "<key>"}`, which is where the plan reads its edges.
pub struct Output<T> {
    kind: &'static str,
    key: StepKey,
    artifact: PhantomData<fn() -> T>,
}

impl<T> Output<T> {
    pub(crate) fn new(kind: &'static str, key: StepKey) -> Self {
        Self { kind, key, artifact: PhantomData }
    }

    /// Kind of the step that makes it.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Key of the step that makes it.
    pub fn key(&self) -> StepKey {
        self.key
    }
}

impl<T> Clone for Output<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Output<T> {}

impl<T> fmt::Debug for Output<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Output({})", self.key.0.short())
    }
}

impl<T> Serialize for Output<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Output", 1)?;
        fields.serialize_field("$step", &self.key)?;
        fields.end()
    }
}

/// Tells a run to stop; clones share one flag.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// Asks the run to stop: running steps end at their next check, nothing new begins.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether the run was asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// The run was interrupted; not a failure of the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Cancelled {}

/// What a running step sees: its declared inputs, what it was lent, and a way to tell how far it is.
pub struct Context<'a, W> {
    pub(crate) runtime: &'a W,
    pub(crate) store: &'a Store,
    pub(crate) kind: &'static str,
    pub(crate) key: StepKey,
    pub(crate) label: &'a str,
    /// Steps that the recipe names.
    pub(crate) inputs: &'a [StepKey],
    pub(crate) cancel: &'a CancelToken,
    pub(crate) events: &'a (dyn Fn(&Event) + Sync),
    pub(crate) device: Option<usize>,
    pub(crate) threads: usize,
    pub(crate) opened: RefCell<Vec<Arc<dyn ExternalSource>>>,
    pub(crate) seen: RefCell<Seen>,
}

/// What a step has read and said.
#[derive(Default)]
pub(crate) struct Seen {
    /// Digests of the artifacts that it has loaded.
    pub(crate) outputs: BTreeMap<StepKey, Digest>,
    /// Its own warnings, and those of what it has loaded.
    pub(crate) warnings: Vec<StepWarning>,
}

/// Warnings beyond these are told, and not kept.
const MAX_WARNINGS: usize = 100;

impl Seen {
    pub(crate) fn note(&mut self, warning: StepWarning) {
        if self.warnings.len() < MAX_WARNINGS && !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }
}

impl<W> Context<'_, W> {
    /// What the caller lends to running steps.
    pub fn runtime(&self) -> &W {
        self.runtime
    }

    /// Index of the device that the step may use, among those of the run.
    ///
    /// # Panics
    /// When the step does not say in [`Step::needs`] that it takes one.
    pub fn device(&self) -> usize {
        self.device.expect("a step that takes a device says so")
    }

    /// Reads the artifact of a declared input.
    ///
    /// # Errors
    /// When the handle is not among this step's inputs, or the entry is damaged; pass that on, and the executor makes the
    /// input again before it runs this step once more.
    pub fn load<T: Artifact>(&self, output: &Output<T>) -> anyhow::Result<T> {
        anyhow::ensure!(
            self.inputs.contains(&output.key),
            "step {} reads {}, which its recipe does not name",
            self.label,
            output.key
        );
        let (artifact, provenance) = self.store.read_with_provenance(output)?;
        let mut seen = self.seen.borrow_mut();
        seen.outputs.insert(output.key, provenance.output);
        for warning in provenance.warnings {
            (self.events)(&Event::Warning { label: warning.label.clone(), message: warning.message.clone() });
            seen.note(warning);
        }
        Ok(artifact)
    }

    /// Opens something outside the store. After the step it is looked at again: if it moved, nothing is committed.
    pub fn open<'l, T: ExternalSource>(&self, leaf: &'l External<T>) -> &'l T {
        self.opened.borrow_mut().push(Arc::clone(&leaf.place) as Arc<dyn ExternalSource>);
        &leaf.place
    }

    /// Number of threads that the step may keep busy.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Where this step alone keeps checkpoints that outlive an interrupted attempt.
    ///
    /// # Errors
    /// When the place cannot be made.
    pub fn scratch(&self) -> anyhow::Result<Scratch<'_>> {
        self.store.scratch(self.kind, self.key, self.events)
    }

    /// Tells how far the step is.
    pub fn progress(&self, done: u64, total: u64, unit: &'static str) {
        (self.events)(&Event::Progress { label: self.label.to_owned(), done, total, unit });
    }

    /// A function that tells how far the step is, for other threads to call.
    pub fn ticker(&self, total: u64, unit: &'static str) -> impl Fn(u64) + Sync + '_ {
        let (events, label) = (self.events, self.label);
        move |done| events(&Event::Progress { label: label.to_owned(), done, total, unit })
    }

    /// [`check_cancelled`](Self::check_cancelled), for other threads to call.
    pub fn canceller(&self) -> impl Fn() -> Result<(), Cancelled> + Sync + '_ {
        let cancel = self.cancel;
        move || if cancel.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }

    /// Tells something that a person should know and that is no error. It is kept with the result, and told again when
    /// that is used.
    pub fn warn(&self, message: impl Into<String>) {
        let warning = StepWarning { label: self.label.to_owned(), message: message.into() };
        (self.events)(&Event::Warning { label: warning.label.clone(), message: warning.message.clone() });
        self.seen.borrow_mut().note(warning);
    }

    /// Returns [`Cancelled`] once the run has been interrupted; long loops call it often.
    ///
    /// # Errors
    /// `Cancelled`, to be passed on with `?`.
    pub fn check_cancelled(&self) -> Result<(), Cancelled> {
        if self.cancel.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }
}
