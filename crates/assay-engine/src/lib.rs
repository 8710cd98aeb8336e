//! Content-hashed steps: what they are, how they are named, planned, kept and run.
//!
//! The parts, in the order in which they are used:
//! [`Step`] (the cacheable unit of work; its fields are its recipe) → [`Plan`] (a graph whose edges are read off the
//! recipes) → [`Store`] (what has been done) → [`Executor`] (does the rest) → [`explain`] (why something is done again).
//!
//! **Invariants.** This crate mentions neither Burn nor RON. It prints nothing, reads no environment variable and no wall
//! clock: the time of day comes in through [`Options::now_unix`]. Every key of a plan is known before anything runs.

mod artifact;
mod canonical;
mod content;
mod digest;
mod event;
mod executor;
pub mod explain;
mod external;
mod facts;
mod plan;
mod recipe;
mod step;
mod store;

pub use artifact::{Artifact, ArtifactFiles, FileRecord, Json};
pub use canonical::{CanonicalError, to_canonical_json};
pub use content::Content;
pub use digest::{Digest, FramedHasher, StepKey};
pub use event::{Event, RunLog};
pub use executor::{Executor, Failure, Options, Skipped, Summary};
pub use external::{External, ExternalSource, InputChanged};
pub use facts::{Facts, Stamp, Stamped};
pub use plan::{Estimate, Node, Plan, StepStatus, WrittenAt};
pub use step::{CancelToken, Cancelled, Context, Cost, Needs, Output, Step, Threads};
pub use store::{
    Claim, Committed, Damaged, Entry, EntrySlot, Holder, Listing, LiveRun, Provenance, Scratch, StepWarning, Store,
    Tier, gc, verify,
};
