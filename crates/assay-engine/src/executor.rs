//! Runs what a plan needs and the store lacks.
//!
//! One coordinator decides, worker threads do: `jobs` of them for steps on the CPU, one for each device slot. A step whose
//! lease another process holds occupies no worker; it is looked at again until the result can be taken.

use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::plan::{Node, Plan, StepStatus};
use crate::step::{Cancelled, Context};
use crate::store::{Committed, Provenance, Store};
use crate::{Digest, Event, Holder, Lease, StepKey};

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

/// How to run. Nothing in here can change a result, and nothing of it can be serialised into a recipe.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads for steps on the CPU.
    pub jobs: usize,
    /// Devices: steps that use one run on this many threads.
    pub device_slots: usize,
    /// Go on with other branches after a failure.
    pub keep_going: bool,
    /// Name of this machine, for leases and provenance.
    pub host: String,
    /// What steps that use a device run on, for provenance.
    pub device: String,
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
    /// Whether the run was interrupted.
    pub cancelled: bool,
}

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
    /// How to stop.
    pub cancel: &'a CancelToken,
}

enum Done {
    Ran { seconds: f64, bytes: u64 },
    Aliased(StepKey),
    Taken,
    Busy(Option<Holder>),
    Failed(String),
    Cancelled,
}

const POLL: Duration = Duration::from_millis(50);

impl<W: Sync> Executor<'_, W> {
    /// Runs until nothing is left that can be run.
    pub fn run(&self) -> Summary {
        let standings = self.plan.survey(self.store);
        let to_run: Vec<bool> =
            standings.iter().map(|s| matches!(s, StepStatus::Run | StepStatus::MaybeReusable)).collect();
        let hits = standings.iter().filter(|s| **s == StepStatus::Hit).count();
        let summary = Summary { hits, ..Summary::default() };
        (self.events)(&Event::Planned { steps: self.plan.len(), hits, to_run: to_run.iter().filter(|x| **x).count() });
        if !to_run.contains(&true) {
            return summary;
        }
        let outputs = Mutex::new(BTreeMap::new());
        std::thread::scope(|scope| {
            let (done_tx, done_rx) = channel();
            let mut queues = Queues::default();
            for (device, workers) in [(false, self.options.jobs), (true, self.options.device_slots)] {
                let (tx, rx) = channel::<usize>();
                let rx = Arc::new(Mutex::new(rx));
                for _ in 0..workers.max(1) {
                    let (rx, done) = (Arc::clone(&rx), done_tx.clone());
                    let outputs = &outputs;
                    scope.spawn(move || self.work(&rx, &done, outputs));
                }
                queues.add(device, tx, workers.max(1));
            }
            drop(done_tx);
            Coordinator::new(self, to_run, queues, summary).run(&done_rx)
        })
    }

    fn work(
        &self,
        queue: &Mutex<Receiver<usize>>,
        done: &Sender<(usize, Done)>,
        outputs: &Mutex<BTreeMap<StepKey, Digest>>,
    ) {
        loop {
            let next = queue.lock().expect("no panic while locked").recv();
            let Ok(at) = next else { return };
            let outcome = catch_unwind(AssertUnwindSafe(|| self.make(self.plan.at(at), outputs)));
            let outcome = match outcome {
                Ok(Ok(done)) => done,
                Ok(Err(error)) if error.downcast_ref::<Cancelled>().is_some() => Done::Cancelled,
                Ok(Err(error)) => Done::Failed(format!("{error:#}")),
                Err(panic) => {
                    Done::Failed(format!("this is a bug in Assay, please report it: {}", panic_text(&*panic)))
                }
            };
            if done.send((at, outcome)).is_err() {
                return;
            }
        }
    }

    fn make(&self, node: &Node<W>, outputs: &Mutex<BTreeMap<StepKey, Digest>>) -> anyhow::Result<Done> {
        if self.cancel.is_cancelled() {
            return Ok(Done::Cancelled);
        }
        let holder = Holder { host: self.options.host.clone(), pid: std::process::id(), label: node.label.clone() };
        let lease = match self.store.lease(node.key, &holder)? {
            Ok(lease) => lease,
            Err(other) => return Ok(Done::Busy(other)),
        };
        if self.store.contains(node.kind, node.key) {
            return Ok(Done::Taken);
        }
        let content = node.content_keys(&|key| self.output_digest(key, outputs));
        if let Some(of) =
            content.and_then(|(parameters, content)| self.store.same_content(node.kind, parameters, content))
        {
            self.alias(node, of, &lease)?;
            return Ok(Done::Aliased(of));
        }
        let done = self.run_and_commit(node, &lease)?;
        if let Some((parameters, content)) = content {
            // The entry is committed; without this record it is only not found under other keys.
            let _ = self.store.remember_content(node.kind, parameters, content, node.key);
        }
        Ok(done)
    }

    fn output_digest(&self, key: StepKey, outputs: &Mutex<BTreeMap<StepKey, Digest>>) -> Option<Digest> {
        if let Some(known) = outputs.lock().expect("no panic while locked").get(&key) {
            return Some(*known);
        }
        let kind = self.plan.node(key)?.kind;
        let digest = self.store.provenance(kind, key).ok()?.output;
        outputs.lock().expect("no panic while locked").insert(key, digest);
        Some(digest)
    }

    fn alias(&self, node: &Node<W>, of: StepKey, lease: &Lease) -> anyhow::Result<()> {
        let mut provenance = self.store.provenance(node.kind, of)?;
        let making = self.store.begin(node.kind, node.key, lease)?;
        making.link_files(of, &provenance.files)?;
        provenance.alias_of = Some(provenance.alias_of.unwrap_or(of));
        provenance.label.clone_from(&node.label);
        provenance.finished_unix = (self.options.now_unix)();
        making.commit(&node.recipe, &provenance)?;
        Ok(())
    }

    fn run_and_commit(&self, node: &Node<W>, lease: &Lease) -> anyhow::Result<Done> {
        (self.events)(&Event::Started { label: node.label.clone(), kind: node.kind, key: node.key });
        let making = self.store.begin(node.kind, node.key, lease)?;
        let context = Context {
            runtime: self.runtime,
            store: self.store,
            key: node.key,
            label: &node.label,
            inputs: &node.inputs,
            cancel: self.cancel,
            events: self.events,
            device: node.needs().device.then_some(0),
            opened: RefCell::default(),
        };
        let started = Instant::now();
        node.run_into(&context, making.folder())?;
        let seconds = started.elapsed().as_secs_f64();
        for place in context.opened.borrow().iter() {
            place.check()?;
        }
        let (output, files) = making.files().context("hashing the result")?;
        let cost = node.cost();
        let provenance = Provenance {
            label: node.label.clone(),
            seconds,
            finished_unix: (self.options.now_unix)(),
            host: self.options.host.clone(),
            device: if node.needs().device { self.options.device.clone() } else { String::new() },
            program: self.options.program.clone(),
            cost_group: cost.group,
            cost_units: cost.units,
            alias_of: None,
            output,
            files,
        };
        let committed = making.commit(&node.recipe, &provenance).context("committing the result")?;
        if let Committed::Differs { kept } = committed {
            (self.events)(&Event::Diverged { label: node.label.clone(), key: node.key, kept, discarded: output });
        }
        let _ = std::fs::remove_dir_all(self.store.root().join("work").join(format!("{}.resume", node.key)));
        Ok(Done::Ran { seconds, bytes: provenance.bytes() })
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("panic")
}

/// Steps that are ready, by what they need, in the order of the plan.
#[derive(Default)]
struct Queues(Vec<Queue>);

struct Queue {
    device: bool,
    sender: Sender<usize>,
    free: usize,
    ready: BTreeSet<usize>,
}

impl Queues {
    fn add(&mut self, device: bool, sender: Sender<usize>, workers: usize) {
        self.0.push(Queue { device, sender, free: workers, ready: BTreeSet::new() });
    }

    fn of(&mut self, device: bool) -> &mut Queue {
        self.0.iter_mut().find(|q| q.device == device).expect("a queue with devices, and one without")
    }
}

struct Coordinator<'e, 'a, W> {
    executor: &'e Executor<'a, W>,
    to_run: Vec<bool>,
    missing_inputs: Vec<usize>,
    queues: Queues,
    busy: BTreeSet<usize>,
    announced: BTreeSet<usize>,
    running: usize,
    stopped: bool,
    summary: Summary,
}

impl<'e, 'a, W: Sync> Coordinator<'e, 'a, W> {
    fn new(executor: &'e Executor<'a, W>, to_run: Vec<bool>, queues: Queues, summary: Summary) -> Self {
        let plan = executor.plan;
        let missing_inputs = (0..plan.len()).map(|at| plan.inputs_of(at).filter(|i| to_run[*i]).count()).collect();
        Self {
            executor,
            to_run,
            missing_inputs,
            queues,
            busy: BTreeSet::new(),
            announced: BTreeSet::new(),
            running: 0,
            stopped: false,
            summary,
        }
    }

    fn run(mut self, done: &Receiver<(usize, Done)>) -> Summary {
        for at in 0..self.to_run.len() {
            if self.to_run[at] && self.missing_inputs[at] == 0 {
                self.make_ready(at);
            }
        }
        loop {
            self.stopped |= self.executor.cancel.is_cancelled();
            self.dispatch();
            if self.running == 0 && (self.stopped || self.busy.is_empty()) {
                break;
            }
            match done.recv_timeout(POLL) {
                Ok((at, outcome)) => self.finish(at, outcome),
                Err(RecvTimeoutError::Timeout) => self.look_at_busy(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.summary.cancelled = self.executor.cancel.is_cancelled();
        self.summary
    }

    fn node(&self, at: usize) -> &'e Node<W> {
        self.executor.plan.at(at)
    }

    fn make_ready(&mut self, at: usize) {
        self.queues.of(self.node(at).needs().device).ready.insert(at);
    }

    fn dispatch(&mut self) {
        if self.stopped {
            return;
        }
        for queue in &mut self.queues.0 {
            while queue.free > 0 {
                let Some(at) = queue.ready.pop_first() else { break };
                queue.free -= 1;
                self.running += 1;
                let _ = queue.sender.send(at);
            }
        }
    }

    fn look_at_busy(&mut self) {
        for at in std::mem::take(&mut self.busy) {
            self.make_ready(at);
        }
    }

    fn finish(&mut self, at: usize, outcome: Done) {
        let node = self.node(at);
        self.queues.of(node.needs().device).free += 1;
        self.running -= 1;
        let (label, key) = (node.label.clone(), node.key);
        let event = match outcome {
            Done::Ran { seconds, bytes } => {
                self.summary.ran += 1;
                self.release_users(at);
                Event::Finished { label, key, seconds, bytes }
            }
            Done::Aliased(of) => {
                self.summary.aliased += 1;
                self.release_users(at);
                Event::Aliased { label, key, of }
            }
            Done::Taken => {
                self.summary.taken += 1;
                self.release_users(at);
                Event::Taken { label, key }
            }
            Done::Busy(holder) => {
                self.busy.insert(at);
                if !self.announced.insert(at) {
                    return;
                }
                Event::Waiting { label, key, holder }
            }
            Done::Failed(message) => {
                self.stopped |= !self.executor.options.keep_going;
                self.summary.failed.push(Failure { label: label.clone(), key, message: message.clone() });
                (self.executor.events)(&Event::Failed { label: label.clone(), key, message });
                self.skip_users(at, &label);
                return;
            }
            Done::Cancelled => return,
        };
        (self.executor.events)(&event);
    }

    fn release_users(&mut self, at: usize) {
        let plan = self.executor.plan;
        for user in plan.users_of(at) {
            self.missing_inputs[user] -= 1;
            if self.to_run[user] && self.missing_inputs[user] == 0 {
                self.make_ready(user);
            }
        }
    }

    fn skip_users(&mut self, at: usize, because: &str) {
        let plan = self.executor.plan;
        let mut stack: Vec<usize> = plan.users_of(at).collect();
        while let Some(user) = stack.pop() {
            if std::mem::take(&mut self.to_run[user]) {
                let node = self.node(user);
                self.summary.skipped.push(Skipped { key: node.key, because: because.to_owned() });
                (self.executor.events)(&Event::Skipped {
                    label: node.label.clone(),
                    key: node.key,
                    because: because.to_owned(),
                });
                stack.extend(plan.users_of(user));
            }
        }
    }
}
