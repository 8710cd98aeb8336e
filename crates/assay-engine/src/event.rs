//! What happens during a run, for whoever listens: a progress display, a log.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::Serialize;

use crate::{Damaged, Digest, Holder, StepKey};

/// One thing that happened. Serialised with its name under `event`.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The plan stands: so many steps are needed, so many of them are there already.
    Planned {
        /// Steps in the plan.
        steps: usize,
        /// Of these, found in the store.
        hits: usize,
        /// Of these, to be made now.
        to_run: usize,
    },
    /// A step begins.
    Started {
        /// Its label.
        label: String,
        /// Its kind.
        kind: &'static str,
        /// Its key.
        key: StepKey,
    },
    /// A running step tells how far it is.
    Progress {
        /// Label of the step.
        label: String,
        /// Units done.
        done: u64,
        /// Units in all.
        total: u64,
        /// What is counted.
        unit: &'static str,
    },
    /// A step is in the store now.
    Finished {
        /// Its label.
        label: String,
        /// Its key.
        key: StepKey,
        /// How long it took.
        seconds: f64,
        /// Size of its artifact.
        bytes: u64,
    },
    /// A step was not run: another one with the same parameters and the same input bytes is in the store.
    Aliased {
        /// Its label.
        label: String,
        /// Its key.
        key: StepKey,
        /// The step that had been run.
        of: StepKey,
    },
    /// Another process makes this step; its result will be taken.
    Waiting {
        /// Label of the step.
        label: String,
        /// Key of the step.
        key: StepKey,
        /// Who makes it.
        holder: Option<Holder>,
    },
    /// Another process made this step.
    Taken {
        /// Label of the step.
        label: String,
        /// Key of the step.
        key: StepKey,
    },
    /// A step failed.
    Failed {
        /// Its label.
        label: String,
        /// Its key.
        key: StepKey,
        /// What went wrong, outermost first.
        message: String,
    },
    /// A step was not run, since one that it depends on failed.
    Skipped {
        /// Its label.
        label: String,
        /// Its key.
        key: StepKey,
        /// Label of the failed one.
        because: String,
    },
    /// A step made twice came out differently; the first result was kept.
    Diverged {
        /// Its label.
        label: String,
        /// Its key.
        key: StepKey,
        /// Digest of the result in the store.
        kept: Digest,
        /// Digest of the new one.
        discarded: Digest,
    },
    /// Something in the store is not what was committed; it is passed over, and made again where it is needed.
    Damaged(Damaged),
    /// Something lay where the store keeps a file or a folder, and was neither; it has been moved out of the way.
    Moved {
        /// Where it lay.
        path: PathBuf,
        /// Where it is now.
        to: PathBuf,
    },
    /// Something that a person should know and that is no error; told by a step, or kept with a result that is used.
    Warning {
        /// Label of the step.
        label: String,
        /// What.
        message: String,
    },
}

/// The log of one run: a line of JSON for each event but progress.
pub struct RunLog {
    file: Mutex<File>,
}

impl RunLog {
    /// Begins `folder/<id>.jsonl`, which must not exist yet; `header` is its first line.
    ///
    /// # Errors
    /// When it exists or cannot be written.
    pub fn create<H: Serialize>(folder: &Path, id: &str, header: &H) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut file = File::options().write(true).create_new(true).open(folder.join(format!("{id}.jsonl")))?;
        writeln!(file, "{}", serde_json::to_string(header)?)?;
        Ok(Self { file: Mutex::new(file) })
    }

    /// Adds an event. A log that cannot be written does not stop a run.
    pub fn write(&self, event: &Event) {
        if matches!(event, Event::Progress { .. }) {
            return;
        }
        if let Ok(mut line) = serde_json::to_vec(event) {
            line.push(b'\n');
            let _ = self.file.lock().expect("no panic while locked").write_all(&line);
        }
    }

    /// Adds a line of the caller's own.
    pub fn note<T: Serialize>(&self, value: &T) {
        if let Ok(mut line) = serde_json::to_vec(value) {
            line.push(b'\n');
            let _ = self.file.lock().expect("no panic while locked").write_all(&line);
        }
    }
}
