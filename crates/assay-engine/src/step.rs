//! What a step is, what it may see while it runs, and what it leaves behind.

use std::cell::RefCell;
use std::fmt;
use std::fs;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::executor::CancelToken;
use crate::facts::InputChanged;
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

/// The result of a step, as files in a folder of its own.
pub trait Artifact: Sized + Send + Sync + 'static {
    /// Writes the files into `folder`, which exists and is empty.
    ///
    /// # Errors
    /// When writing fails.
    fn write(&self, folder: &Path) -> anyhow::Result<()>;

    /// Reads them back.
    ///
    /// # Errors
    /// When a file is missing or damaged.
    fn read(folder: &Path) -> anyhow::Result<Self>;
}

/// An artifact that is one JSON value, `value.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct Json<T>(pub T);

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Artifact for Json<T> {
    fn write(&self, folder: &Path) -> anyhow::Result<()> {
        Ok(fs::write(folder.join("value.json"), serde_json::to_vec(&self.0)?)?)
    }

    fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("value.json");
        let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let value = serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))?;
        Ok(Self(value))
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
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("$step", &self.key)?;
        map.end()
    }
}

/// Something outside the store that a step reads.
pub trait ExternalSource: Send + Sync + 'static {
    /// Looks whether it is still what it was when its digest was taken.
    ///
    /// # Errors
    /// Names the first file that moved.
    fn check(&self) -> Result<(), InputChanged>;
}

/// A fact about the outside: the digest of its content goes into the recipe, the place where it is found does not.
/// Serialises as `{"$content": "<digest>"}`.
pub struct External<T> {
    digest: Digest,
    place: Arc<T>,
}

impl<T: ExternalSource> External<T> {
    /// `place` is where content with `digest` was found.
    pub fn new(digest: Digest, place: Arc<T>) -> Self {
        Self { digest, place }
    }

    /// Digest of the content.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl<T> Clone for External<T> {
    fn clone(&self) -> Self {
        Self { digest: self.digest, place: Arc::clone(&self.place) }
    }
}

impl<T> Serialize for External<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("$content", &self.digest)?;
        map.end()
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
    pub(crate) key: StepKey,
    pub(crate) label: &'a str,
    pub(crate) inputs: &'a [StepKey],
    pub(crate) cancel: &'a CancelToken,
    pub(crate) events: &'a (dyn Fn(&Event) + Sync),
    pub(crate) device: Option<usize>,
    pub(crate) opened: RefCell<Vec<Arc<dyn ExternalSource>>>,
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
    /// When the entry is damaged, or the handle is not among this step's inputs.
    pub fn load<T: Artifact>(&self, output: &Output<T>) -> anyhow::Result<T> {
        anyhow::ensure!(
            self.inputs.contains(&output.key),
            "step {} reads {}, which its recipe does not name",
            self.label,
            output.key
        );
        self.store.read(output)
    }

    /// Opens something outside the store. After the step it is looked at again: if it moved, nothing is committed.
    pub fn open<'l, T: ExternalSource>(&self, leaf: &'l External<T>) -> &'l T {
        self.opened.borrow_mut().push(Arc::clone(&leaf.place) as Arc<dyn ExternalSource>);
        &leaf.place
    }

    /// A folder of this step alone that outlives an interrupted attempt: for checkpoints to resume from.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn scratch(&self) -> anyhow::Result<PathBuf> {
        self.store.scratch(self.key)
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

    /// Tells something that a person should know and that is no error.
    pub fn warn(&self, message: impl Into<String>) {
        (self.events)(&Event::Warning { label: self.label.to_owned(), message: message.into() });
    }

    /// Returns [`Cancelled`] once the run has been interrupted; long loops call it often.
    ///
    /// # Errors
    /// `Cancelled`, to be passed on with `?`.
    pub fn check_cancelled(&self) -> Result<(), Cancelled> {
        if self.cancel.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }
}
