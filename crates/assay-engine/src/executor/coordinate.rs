//! Decides what begins when, and what becomes of the rest when something ends.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use super::Skipped;
use super::budget::{Budget, Grant};
use super::make::Done;
use super::{Failure, Run, Summary};
use crate::plan::Node;
use crate::{Event, StepKey};

/// How a step stands in a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// In the store.
    Present,
    /// Not in the store, and nobody needs it.
    Unneeded,
    /// Needs so many inputs that are being made.
    Waiting(u32),
    /// Could begin.
    Ready,
    /// Runs here.
    Running,
    /// Another process makes it.
    Busy,
    /// Failed, or depends on one that failed.
    Lost,
}

/// How often an input is made again before it is believed that making it does not help.
const MAX_REPAIRS: u32 = 3;
const POLL: Duration = Duration::from_millis(50);

pub(super) struct Coordinator<'c, 'r, W> {
    run: &'c Run<'r, W>,
    state: Vec<State>,
    budget: Budget,
    grants: HashMap<usize, Grant>,
    busy: BTreeSet<usize>,
    announced: BTreeSet<usize>,
    repairs: BTreeMap<usize, u32>,
    stopped: bool,
    summary: Summary,
}

impl<'c, 'r, W: Sync> Coordinator<'c, 'r, W> {
    pub(super) fn new(
        run: &'c Run<'r, W>,
        present: &[bool],
        needed: &[bool],
        budget: Budget,
        summary: Summary,
    ) -> Self {
        let of = |at: usize| match (present[at], needed[at]) {
            (true, _) => State::Present,
            (false, false) => State::Unneeded,
            (false, true) => State::Waiting(run.plan.inputs_of(at).filter(|input| !present[*input]).count() as u32),
        };
        Self {
            run,
            state: (0..run.plan.len()).map(of).collect(),
            budget,
            grants: HashMap::new(),
            busy: BTreeSet::new(),
            announced: BTreeSet::new(),
            repairs: BTreeMap::new(),
            stopped: false,
            summary,
        }
    }

    pub(super) fn run(mut self, tasks: Sender<(usize, Grant)>, done: &Receiver<(usize, Done)>) -> Summary {
        (0..self.state.len()).for_each(|at| self.make_ready_if_complete(at));
        loop {
            self.stopped |= self.run.cancel.is_cancelled();
            self.dispatch(&tasks);
            if self.grants.is_empty() && (self.stopped || self.busy.is_empty()) {
                break;
            }
            match done.recv_timeout(POLL) {
                Ok((at, outcome)) => self.finish(at, outcome),
                Err(RecvTimeoutError::Timeout) => self.look_at_busy(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.summary.cancelled = self.run.cancel.is_cancelled();
        self.summary
    }

    fn node(&self, at: usize) -> &'c Node<W> {
        self.run.plan.at(at)
    }

    fn make_ready_if_complete(&mut self, at: usize) {
        if self.state[at] == State::Waiting(0) {
            self.state[at] = State::Ready;
            let node = self.node(at);
            self.budget.add(at, node.needs(), node.affinity());
        }
    }

    fn dispatch(&mut self, tasks: &Sender<(usize, Grant)>) {
        while !self.stopped
            && let Some((at, grant)) = self.budget.next()
        {
            self.state[at] = State::Running;
            self.grants.insert(at, grant);
            let _ = tasks.send((at, grant));
        }
        if !self.stopped && !self.budget.has_device() {
            self.refuse_devices();
        }
    }

    /// Fails what waits for a device that the run does not have.
    fn refuse_devices(&mut self) {
        let waits = |at: &usize| self.state[*at] == State::Ready && self.node(*at).needs().device;
        let refused: Vec<usize> = (0..self.state.len()).filter(waits).collect();
        for at in refused {
            self.budget.remove(at);
            self.fail(at, "the step needs a device, and the run has none".to_owned());
        }
    }

    fn look_at_busy(&mut self) {
        for at in std::mem::take(&mut self.busy) {
            self.state[at] = State::Waiting(0);
            self.make_ready_if_complete(at);
        }
    }

    fn finish(&mut self, at: usize, outcome: Done) {
        if let Some(grant) = self.grants.remove(&at) {
            self.budget.give_back(grant);
        }
        let (label, key) = (self.node(at).label.clone(), self.node(at).key);
        let event = match outcome {
            Done::Ran { seconds, bytes } => {
                self.summary.ran += 1;
                Event::Finished { label, key, seconds, bytes }
            }
            Done::Aliased(of) => {
                self.summary.aliased += 1;
                Event::Aliased { label, key, of }
            }
            Done::Taken => {
                self.summary.taken += 1;
                Event::Taken { label, key }
            }
            Done::Busy(holder) => {
                self.state[at] = State::Busy;
                self.busy.insert(at);
                if self.announced.insert(at) {
                    self.run.tell(&Event::Waiting { label, key, holder });
                }
                return;
            }
            Done::Damaged { input, message } => return self.repair(at, input, message),
            Done::Failed { message, is_full } => {
                if is_full {
                    self.stopped = true;
                    self.summary.stopped.get_or_insert_with(|| message.clone());
                }
                return self.fail(at, message);
            }
            Done::Cancelled => {
                self.state[at] = State::Waiting(0);
                return;
            }
        };
        self.complete(at);
        self.run.tell(&event);
    }

    fn complete(&mut self, at: usize) {
        self.state[at] = State::Present;
        let users: Vec<usize> = self.run.plan.users_of(at).collect();
        for user in users {
            if let State::Waiting(inputs) = self.state[user] {
                self.state[user] = State::Waiting(inputs - 1);
                self.make_ready_if_complete(user);
            }
        }
    }

    /// An input of `at` was damaged and is out of the way: it is made again, and then `at` runs.
    fn repair(&mut self, at: usize, input: StepKey, message: String) {
        let Some(input) = self.run.plan.place_of(input) else { return self.fail(at, message) };
        let repairs = self.repairs.entry(input).or_default();
        *repairs += 1;
        if *repairs > MAX_REPAIRS {
            return self.fail(at, format!("{message}; it was made again {MAX_REPAIRS} times"));
        }
        self.summary.damaged += 1;
        // One more than the inputs that are counted below, so that it does not begin in between.
        self.state[at] = State::Waiting(1);
        self.demand(input);
        if matches!(self.state[at], State::Waiting(_)) {
            self.state[at] = State::Waiting(self.missing_inputs(at));
            self.make_ready_if_complete(at);
        }
    }

    fn missing_inputs(&self, at: usize) -> u32 {
        self.run.plan.inputs_of(at).filter(|input| self.state[*input] != State::Present).count() as u32
    }

    /// Has a step made that is not there any more, or never was needed before; its inputs too, where they are gone.
    fn demand(&mut self, at: usize) {
        if !matches!(self.state[at], State::Present | State::Unneeded) {
            return;
        }
        let was_present = self.state[at] == State::Present;
        self.state[at] = State::Waiting(1);
        if was_present {
            let users: Vec<usize> = self.run.plan.users_of(at).collect();
            users.into_iter().for_each(|user| self.hold_back(user));
        }
        let inputs: Vec<usize> = self.run.plan.inputs_of(at).collect();
        for input in inputs {
            let node = self.node(input);
            if self.state[input] != State::Present || !self.run.store.contains(node.kind, node.key) {
                self.demand(input);
            }
            if self.state[input] == State::Lost {
                let because = self.node(input).label.clone();
                self.lose(at, &because);
                return;
            }
        }
        self.state[at] = State::Waiting(self.missing_inputs(at));
        self.make_ready_if_complete(at);
    }

    /// One of the inputs of `user` is not there any more.
    fn hold_back(&mut self, user: usize) {
        match self.state[user] {
            State::Waiting(inputs) => self.state[user] = State::Waiting(inputs + 1),
            State::Ready => {
                self.budget.remove(user);
                self.state[user] = State::Waiting(1);
            }
            _ => {}
        }
    }

    fn fail(&mut self, at: usize, message: String) {
        self.stopped |= !self.run.options.keep_going;
        self.state[at] = State::Lost;
        let (label, key) = (self.node(at).label.clone(), self.node(at).key);
        self.summary.failed.push(Failure { label: label.clone(), key, message: message.clone() });
        self.run.tell(&Event::Failed { label: label.clone(), key, message });
        self.lose_users(at, &label);
    }

    fn lose(&mut self, at: usize, because: &str) {
        self.state[at] = State::Lost;
        let (label, key) = (self.node(at).label.clone(), self.node(at).key);
        self.summary.skipped.push(Skipped { key, because: because.to_owned() });
        self.run.tell(&Event::Skipped { label, key, because: because.to_owned() });
        self.lose_users(at, because);
    }

    fn lose_users(&mut self, at: usize, because: &str) {
        let mut stack: Vec<usize> = self.run.plan.users_of(at).collect();
        while let Some(user) = stack.pop() {
            if matches!(self.state[user], State::Waiting(_)) {
                self.state[user] = State::Lost;
                let (label, key) = (self.node(user).label.clone(), self.node(user).key);
                self.summary.skipped.push(Skipped { key, because: because.to_owned() });
                self.run.tell(&Event::Skipped { label, key, because: because.to_owned() });
                stack.extend(self.run.plan.users_of(user));
            }
        }
    }
}
