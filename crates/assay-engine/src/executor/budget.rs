//! Which of the steps that are ready may begin: threads, memory and devices are never promised twice.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Options;
use crate::{Digest, Needs, Threads};

/// What a running step has been given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) threads: usize,
    bytes: u64,
    pub(super) device: Option<usize>,
}

/// Steps that are ready, and what is left to begin them with.
pub(super) struct Budget {
    threads: usize,
    memory_bytes: u64,
    /// What the last step on each device shared with others.
    devices: Vec<Device>,
    free_threads: usize,
    used_bytes: u64,
    running: usize,
    /// What the last step without a device shared with others.
    last: Option<Digest>,
    /// What each step that is ready needs.
    wants: BTreeMap<usize, (Needs, Option<Digest>)>,
    /// By whether a device and whether all threads are needed.
    ready: BTreeMap<(bool, bool), Ready>,
}

#[derive(Default)]
struct Device {
    is_busy: bool,
    last: Option<Digest>,
}

#[derive(Default)]
struct Ready {
    in_order: BTreeSet<usize>,
    by_affinity: HashMap<Digest, BTreeSet<usize>>,
}

/// How many steps are looked at for one that fits into memory.
const LOOK_AT: usize = 64;

impl Budget {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            threads: options.jobs.max(1),
            memory_bytes: options.memory_bytes.unwrap_or(u64::MAX),
            devices: options.devices.iter().map(|_| Device::default()).collect(),
            free_threads: options.jobs.max(1),
            used_bytes: 0,
            running: 0,
            last: None,
            wants: BTreeMap::new(),
            ready: BTreeMap::new(),
        }
    }

    /// Whether there is a device at all.
    pub(super) fn has_device(&self) -> bool {
        !self.devices.is_empty()
    }

    pub(super) fn add(&mut self, at: usize, needs: Needs, affinity: Option<Digest>) {
        let ready = self.ready.entry(class(needs)).or_default();
        ready.in_order.insert(at);
        if let Some(affinity) = affinity {
            ready.by_affinity.entry(affinity).or_default().insert(at);
        }
        self.wants.insert(at, (needs, affinity));
    }

    /// Takes a step back that is not to begin yet.
    pub(super) fn remove(&mut self, at: usize) {
        let Some((needs, affinity)) = self.wants.remove(&at) else { return };
        let ready = self.ready.entry(class(needs)).or_default();
        ready.in_order.remove(&at);
        if let Some(affinity) = affinity
            && let Some(same) = ready.by_affinity.get_mut(&affinity)
        {
            same.remove(&at);
            if same.is_empty() {
                ready.by_affinity.remove(&affinity);
            }
        }
    }

    /// The next step that may begin, with what it is given: the first of the plan that fits, except that steps with what the
    /// last one shared go first.
    pub(super) fn next(&mut self) -> Option<(usize, Grant)> {
        let classes: Vec<_> = self.ready.keys().copied().collect();
        let mut best: Option<(usize, Grant)> = None;
        for class in classes {
            if let Some(found) = self.candidate(class)
                && best.is_none_or(|(at, _)| found.0 < at)
            {
                best = Some(found);
            }
        }
        let (at, grant) = best?;
        let (_, affinity) = self.wants[&at];
        self.remove(at);
        match grant.device {
            Some(device) => self.devices[device] = Device { is_busy: true, last: affinity },
            None => self.last = affinity,
        }
        self.free_threads -= grant.threads;
        self.used_bytes = self.used_bytes.saturating_add(grant.bytes);
        self.running += 1;
        Some((at, grant))
    }

    fn candidate(&self, class: (bool, bool)) -> Option<(usize, Grant)> {
        let (takes_device, takes_all) = class;
        let threads = match (takes_device, takes_all) {
            (_, false) => 1,
            (false, true) => self.threads,
            // Devices have equal shares, so that all of them can be fed at once.
            (true, true) => (self.threads / self.devices.len().max(1)).max(1),
        };
        if self.free_threads < threads {
            return None;
        }
        let ready = &self.ready[&class];
        if !takes_device {
            let at = self.first_that_fits(ready, self.last)?;
            return Some((at, self.grant(at, threads, None)));
        }
        let free = || self.devices.iter().enumerate().filter(|(_, device)| !device.is_busy);
        let fed = free().find(|(_, d)| d.last.is_some_and(|last| ready.by_affinity.contains_key(&last)));
        let (device, state) = fed.or_else(|| free().next())?;
        let at = self.first_that_fits(ready, state.last)?;
        Some((at, self.grant(at, threads, Some(device))))
    }

    fn first_that_fits(&self, ready: &Ready, last: Option<Digest>) -> Option<usize> {
        let same = last.and_then(|last| ready.by_affinity.get(&last)).into_iter().flatten();
        same.chain(&ready.in_order).take(LOOK_AT).copied().find(|at| self.fits(self.wants[at].0.memory_bytes))
    }

    fn fits(&self, bytes: u64) -> bool {
        self.running == 0 || self.used_bytes.saturating_add(bytes) <= self.memory_bytes
    }

    fn grant(&self, at: usize, threads: usize, device: Option<usize>) -> Grant {
        Grant { threads, bytes: self.wants[&at].0.memory_bytes, device }
    }

    /// Takes back what an ended step was given.
    pub(super) fn give_back(&mut self, grant: Grant) {
        if let Some(device) = grant.device {
            self.devices[device].is_busy = false;
        }
        self.free_threads += grant.threads;
        self.used_bytes = self.used_bytes.saturating_sub(grant.bytes);
        self.running -= 1;
    }
}

fn class(needs: Needs) -> (bool, bool) {
    (needs.device, needs.threads == Threads::All)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(jobs: usize, memory_bytes: Option<u64>, devices: usize) -> Budget {
        let devices = vec![String::new(); devices];
        let (host, program) = (String::new(), String::new());
        Budget::new(&Options { jobs, memory_bytes, devices, keep_going: true, host, program, now_unix: || 0 })
    }

    const ONE: Needs = Needs { threads: Threads::One, memory_bytes: 0, device: false };
    const ALL: Needs = Needs { threads: Threads::All, ..ONE };
    const DEVICE: Needs = Needs { threads: Threads::All, memory_bytes: 0, device: true };

    /// Begins whatever may begin: places, threads and devices.
    fn begin(budget: &mut Budget) -> Vec<(usize, usize, Option<usize>)> {
        std::iter::from_fn(|| budget.next()).map(|(at, grant)| (at, grant.threads, grant.device)).collect()
    }

    #[test]
    fn threads_are_promised_once() {
        let mut budget = budget(4, None, 2);
        [ONE, ALL, ONE].into_iter().enumerate().for_each(|(at, needs)| budget.add(at, needs, None));
        assert_eq!(
            begin(&mut budget),
            [(0, 1, None), (2, 1, None)],
            "what takes all waits, and others do not wait for it"
        );
        [DEVICE, DEVICE].into_iter().enumerate().for_each(|(at, needs)| budget.add(at + 3, needs, None));
        assert_eq!(begin(&mut budget), [(3, 2, Some(0))], "a device has half of the threads");
        for (threads, device) in [(1, None), (1, None), (2, Some(0))] {
            budget.give_back(Grant { threads, bytes: 0, device });
        }
        assert_eq!(begin(&mut budget), [(1, 4, None)]);
        budget.give_back(Grant { threads: 4, bytes: 0, device: None });
        budget.add(5, DEVICE, None);
        budget.add(6, DEVICE, None);
        assert_eq!(begin(&mut budget), [(4, 2, Some(0)), (5, 2, Some(1))]);
    }

    #[test]
    fn memory_is_promised_once_and_too_much_runs_alone() {
        let mut budget = budget(8, Some(10), 0);
        let needs = |memory_bytes| Needs { memory_bytes, ..ONE };
        [6, 20, 5, 4].into_iter().enumerate().for_each(|(at, bytes)| budget.add(at, needs(bytes), None));
        assert_eq!(begin(&mut budget), [(0, 1, None), (3, 1, None)]);
        [6, 4].into_iter().for_each(|bytes| budget.give_back(Grant { threads: 1, bytes, device: None }));
        assert_eq!(begin(&mut budget), [(1, 1, None)], "more than there is, so nothing beside it");
        budget.give_back(Grant { threads: 1, bytes: 20, device: None });
        assert_eq!(begin(&mut budget), [(2, 1, None)]);
    }

    #[test]
    fn what_shares_runs_back_to_back() {
        let mut budget = budget(1, None, 1);
        let shard = |name: &str| Some(Digest::of(name.as_bytes()));
        for (at, name) in ["a", "b", "c", "a", "b"].into_iter().enumerate() {
            budget.add(at, DEVICE, shard(name));
        }
        budget.remove(2);
        let mut order = Vec::new();
        while let Some((at, grant)) = budget.next() {
            order.push(at);
            budget.give_back(grant);
        }
        assert_eq!(order, [0, 3, 1, 4]);
    }
}
