//! Runs what a plan needs and the store lacks.
//!
//! One [coordinator](coordinate) decides, worker threads [do](make). Steps begin as far as the [budget](budget) of threads,
//! memory and devices goes. A step whose lease another process holds occupies nothing; it is looked at again until the result
//! can be taken.
//!
//! What is damaged is as good as absent. Results that are wanted for themselves are verified before anything runs, everything
//! that a step loads is verified before the step sees it: a damaged input is set aside and made again, and the step that
//! asked for it runs after that. So no result of a run can have been computed from damaged bytes.

mod budget;
mod coordinate;
mod make;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use crate::artifact::damage_in;
use crate::plan::Plan;
use crate::store::{Entry, Index, Learnt, StepWarning, Store};
use crate::{CancelToken, Digest, Event, Holder, StepKey};

use budget::Budget;
use coordinate::Coordinator;

/// How to run. Nothing in here can change a result, and nothing of it can be serialised into a recipe.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads for all steps together.
    pub jobs: usize,
    /// Memory for all steps together, in bytes; no limit when absent. A step that needs more than that runs alone.
    pub memory_bytes: Option<u64>,
    /// Names of the devices, for provenance. Steps are told the index of theirs.
    pub devices: Vec<String>,
    /// Go on with other branches after a failure.
    pub keep_going: bool,
    /// Name of this machine, for leases and provenance.
    pub host: String,
    /// Program and version, for provenance.
    pub program: String,
    /// Seconds since 1970.
    pub now_unix: fn() -> u64,
}

/// One step that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its label.
    pub label: String,
    /// Its key.
    pub key: StepKey,
    /// What went wrong, outermost first.
    pub message: String,
}

/// One step that was not run because of a failure.
#[derive(Clone, Debug)]
pub struct Skipped {
    /// Its key.
    pub key: StepKey,
    /// Label of the step that failed.
    pub because: String,
}

/// What a run did.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Needed steps found in the store.
    pub hits: usize,
    /// Steps run here.
    pub ran: usize,
    /// Steps taken from an entry with the same parameters and input bytes.
    pub aliased: usize,
    /// Steps made by another process meanwhile.
    pub taken: usize,
    /// Steps that failed.
    pub failed: Vec<Failure>,
    /// Steps not run because of a failure.
    pub skipped: Vec<Skipped>,
    /// Entries that were damaged and are being made again.
    pub damaged: usize,
    /// Why nothing more was begun, when the store takes no more results.
    pub stopped: Option<String>,
    /// Whether the run was interrupted.
    pub cancelled: bool,
}

/// Told of each wanted result: the key of its step, the bytes of its headline, and its warnings.
pub type Found<'a> = dyn Fn(StepKey, &[u8], &[StepWarning]) + Sync + 'a;

/// Runs a plan against a store.
pub struct Executor<'a, W> {
    /// What to do.
    pub plan: &'a Plan<W>,
    /// Where results are.
    pub store: &'a Store,
    /// What steps are lent.
    pub runtime: &'a W,
    /// How to run.
    pub options: &'a Options,
    /// Who listens; called from several threads.
    pub events: &'a (dyn Fn(&Event) + Sync),
    /// The small file of wanted results that `found` is shown.
    pub headline: &'static str,
    /// Is shown every wanted result that is in the store already and whole, by its key, its headline and its warnings, so
    /// that nobody need read it again; called from several threads.
    pub found: &'a Found<'a>,
    /// How to stop.
    pub cancel: &'a CancelToken,
}

/// An [`Executor`] at work.
struct Run<'r, W> {
    plan: &'r Plan<W>,
    store: &'r Store,
    runtime: &'r W,
    options: &'r Options,
    cancel: &'r CancelToken,
    listener: &'r (dyn Fn(&Event) + Sync),
    headline: &'static str,
    found: &'r Found<'r>,
    /// Warnings that have been told: each is told once in a run, however many results it came with.
    told: Mutex<BTreeSet<StepWarning>>,
    /// Digests of artifacts, as far as they were looked at.
    outputs: Mutex<BTreeMap<StepKey, Digest>>,
}

/// What the look at a wanted result came to.
enum Look {
    /// It is known from the index.
    Known,
    Whole(Vec<StepWarning>, Option<Learnt>),
    Absent,
    Damaged,
    Failed(String),
}

impl<W: Sync> Executor<'_, W> {
    /// Runs until nothing is left that can be run.
    ///
    /// # Errors
    /// When the store can be neither listed nor locked. What goes wrong with a step is told in the summary.
    pub fn run(&self) -> anyhow::Result<Summary> {
        let _live = self.store.use_shared(&self.options.host, self.plan.nodes().map(|node| node.key))?;
        let run = Run {
            plan: self.plan,
            store: self.store,
            runtime: self.runtime,
            options: self.options,
            cancel: self.cancel,
            listener: self.events,
            headline: self.headline,
            found: self.found,
            told: Mutex::default(),
            outputs: Mutex::default(),
        };
        run.tell_moved();
        let summary = run.run()?;
        self.store.remember_verified();
        run.tell_moved();
        Ok(summary)
    }
}

impl<W: Sync> Run<'_, W> {
    fn run(&self) -> anyhow::Result<Summary> {
        // Wanted results are looked at below, which tells whether they are there.
        let mut present = self.plan.present_among(self.store, |at| !self.plan.is_target(at))?;
        let mut summary = Summary::default();
        self.verify_targets(&mut present, &mut summary);
        let needed = self.plan.needed(&present);
        summary.hits = present.iter().filter(|present| **present).count();
        let to_run = needed.iter().filter(|needed| **needed).count();
        self.tell(&Event::Planned { steps: self.plan.len(), hits: summary.hits, to_run });
        if to_run == 0 {
            return Ok(summary);
        }
        Ok(std::thread::scope(|scope| {
            let (task_tx, task_rx) = channel();
            let (done_tx, done_rx) = channel();
            let task_rx = Arc::new(Mutex::new(task_rx));
            for _ in 0..self.options.jobs.clamp(1, to_run) {
                let (tasks, done) = (Arc::clone(&task_rx), done_tx.clone());
                scope.spawn(move || self.work(&tasks, &done));
            }
            drop(done_tx);
            Coordinator::new(self, &present, &needed, Budget::new(self.options), summary).run(task_tx, &done_rx)
        }))
    }

    /// Verifies the results that are wanted for themselves; tells what is damaged and sets it aside.
    fn verify_targets(&self, present: &mut [bool], summary: &mut Summary) {
        let targets: Vec<usize> = self.plan.targets().collect();
        let index = self.store.index(targets.iter().map(|at| (self.plan.at(*at).kind, self.plan.at(*at).key)));
        let each = targets.len().div_ceil(self.options.jobs.max(1)).max(64);
        let look = |part: usize| {
            let places = (part * each..).zip(targets[part * each..].iter().take(each));
            places.map(|(place, at)| self.look(*at, place, index.as_ref())).collect::<Vec<_>>()
        };
        let looks: Vec<Look> = std::thread::scope(|scope| {
            if targets.len() <= each {
                return look(0);
            }
            let look = &look;
            let parts: Vec<_> = (0..targets.len().div_ceil(each)).map(|part| scope.spawn(move || look(part))).collect();
            parts.into_iter().flat_map(|part| part.join().expect("looking at an entry does not panic")).collect()
        });
        let mut learnt = Vec::new();
        for (at, look) in targets.into_iter().zip(looks) {
            match look {
                Look::Known => {}
                Look::Whole(warnings, news) => {
                    self.tell_warnings(warnings);
                    learnt.extend(news);
                }
                Look::Absent => present[at] = false,
                Look::Damaged => {
                    present[at] = false;
                    summary.damaged += 1;
                }
                Look::Failed(message) => {
                    let (label, key) = (self.plan.at(at).label.clone(), self.plan.at(at).key);
                    self.tell(&Event::Failed { label: label.clone(), key, message: message.clone() });
                    summary.failed.push(Failure { label, key, message });
                }
            }
        }
        if let Some(index) = index {
            self.store.remember_index(&index, learnt);
        }
    }

    fn look(&self, at: usize, place: usize, index: Option<&Index>) -> Look {
        let node = self.plan.at(at);
        if let Some(headline) = index.and_then(|index| index.headline(self.store, place, node.kind, node.key)) {
            (self.found)(node.key, headline, &[]);
            return Look::Known;
        }
        // From before it is read: should it change meanwhile, it will have another.
        let stamp = self.store.stamp(node.kind, node.key);
        let entry = self.store.entry(node.kind, node.key);
        match entry.and_then(|entry| entry.map(|entry| entry.files.look().map(|()| entry)).transpose()) {
            Ok(Some(Entry { provenance, files, .. })) => {
                let headline = files.get(self.headline).ok();
                if let Some(headline) = &headline {
                    (self.found)(node.key, headline, &provenance.warnings);
                }
                let is_plain = provenance.warnings.is_empty() && !provenance.files.values().any(|file| file.apart);
                let headline = headline.filter(|_| is_plain).map(|headline| headline.as_ref().into());
                let learnt = stamp.zip(headline).map(|(stamp, headline)| (place, stamp, headline));
                Look::Whole(provenance.warnings, learnt.filter(|_| index.is_some()))
            }
            Ok(None) => Look::Absent,
            Err(error) => match self.set_aside(&error) {
                Ok(true) => Look::Damaged,
                Ok(false) => Look::Failed(format!("{error:#}")),
                Err(second) => Look::Failed(format!("{error:#}; {second:#}")),
            },
        }
    }

    /// Tells of the damage that an error says, and moves the entry out of the way; false when it says none.
    fn set_aside(&self, error: &anyhow::Error) -> anyhow::Result<bool> {
        let Some(damage) = damage_in(error) else { return Ok(false) };
        let Some(node) = self.plan.node(damage.key) else { return Ok(false) };
        self.tell(&Event::Damaged(damage.clone()));
        self.outputs.lock().expect("no panic while locked").remove(&damage.key);
        self.store.set_aside(node.kind, node.key, &self.holder(&node.label))?;
        Ok(true)
    }

    fn holder(&self, label: &str) -> Holder {
        Holder { host: self.options.host.clone(), pid: std::process::id(), label: label.to_owned() }
    }

    fn tell_warnings(&self, warnings: Vec<StepWarning>) {
        for StepWarning { label, message } in warnings {
            self.tell(&Event::Warning { label, message });
        }
    }

    /// Tells what has been moved out of the way.
    fn tell_moved(&self) {
        self.store.take_moved().iter().for_each(|event| self.tell(event));
    }

    /// Tells the listener, each warning once.
    fn tell(&self, event: &Event) {
        if let Event::Warning { label, message } = event {
            let warning = StepWarning { label: label.clone(), message: message.clone() };
            if !self.told.lock().expect("no panic while locked").insert(warning) {
                return;
            }
        }
        (self.listener)(event);
    }
}
