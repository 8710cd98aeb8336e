//! Content-hashed steps: what they are, how they are named, planned, kept and run.
//!
//! The parts, in the order in which they are used:
//! [`Step`] (the cacheable unit of work; its fields are its recipe) → [`Plan`] (a graph whose edges are read off the
//! recipes) → [`Store`] (what has been done) → [`Executor`] (does the rest) → [`explain`] (why something is done again).
//!
//! **Invariants.** This crate mentions neither Burn nor RON. It prints nothing, reads no environment variable and no wall
//! clock: the time of day comes in through [`Options::now_unix`]. Every key of a plan is known before anything runs.

mod canonical;
mod content;
mod digest;
mod event;
mod executor;
pub mod explain;
mod facts;
pub mod gc;
mod lease;
mod plan;
mod step;
mod store;
pub mod verify;

pub use canonical::{CanonicalError, to_canonical_json};
pub use content::Content;
pub use digest::{Digest, FramedHasher, StepKey};
pub use event::{Event, RunLog};
pub use executor::{CancelToken, Executor, Failure, Options, Skipped, Summary};
pub use facts::{Facts, InputChanged, Stamp, Stamped};
pub use lease::{Holder, Lease};
pub use plan::{Estimate, Node, Plan, StepStatus, WrittenAt};
pub use step::{Artifact, Cancelled, Context, Cost, External, ExternalSource, Json, Needs, Output, Step, Threads};
pub use store::{Committed, EntrySlot, FileRecord, Provenance, Store};
