//! Makes one step: takes its lease, looks for the same work under another key, runs it, commits it.

use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Instant;

use anyhow::Context as _;

use super::Run;
use super::budget::Grant;
use crate::artifact::{damage_in, is_full};
use crate::plan::Node;
use crate::recipe::{content_digest, parameters_digest, references};
use crate::step::{Cancelled, Context, Seen};
use crate::store::{Claim, Committed, Entry, EntrySlot, Provenance};
use crate::{Digest, Event, Holder, StepKey};

/// What became of a step.
pub(super) enum Done {
    Ran {
        seconds: f64,
        bytes: u64,
    },
    Aliased(StepKey),
    Taken,
    Busy(Option<Holder>),
    /// An input was damaged and has been moved out of the way.
    Damaged {
        input: StepKey,
        message: String,
    },
    Failed {
        message: String,
        is_full: bool,
    },
    Cancelled,
}

impl<W: Sync> Run<'_, W> {
    /// Does what comes through `tasks` until nothing comes any more.
    pub(super) fn work(&self, tasks: &Mutex<Receiver<(usize, Grant)>>, done: &Sender<(usize, Done)>) {
        loop {
            let next = tasks.lock().expect("no panic while locked").recv();
            let Ok((at, grant)) = next else { return };
            let outcome = catch_unwind(AssertUnwindSafe(|| self.make(self.plan.at(at), grant)));
            let outcome = match outcome {
                Ok(Ok(done)) => done,
                Ok(Err(error)) => self.failed(&error),
                Err(panic) => Done::Failed {
                    message: format!("this is a bug in Assay, please report it: {}", panic_text(&*panic)),
                    is_full: false,
                },
            };
            self.tell_moved();
            if done.send((at, outcome)).is_err() {
                return;
            }
        }
    }

    fn failed(&self, error: &anyhow::Error) -> Done {
        if error.downcast_ref::<Cancelled>().is_some() {
            return Done::Cancelled;
        }
        let message = format!("{error:#}");
        match (damage_in(error), self.set_aside(error)) {
            (Some(damage), Ok(true)) => Done::Damaged { input: damage.key, message },
            (_, Err(second)) => Done::Failed { message: format!("{message}; {second:#}"), is_full: is_full(&second) },
            _ => Done::Failed { message, is_full: is_full(error) },
        }
    }

    fn make(&self, node: &Node<W>, grant: Grant) -> anyhow::Result<Done> {
        if self.cancel.is_cancelled() {
            return Ok(Done::Cancelled);
        }
        let slot = match self.store.claim(node.kind, node.key, &self.holder(&node.label))? {
            Claim::Present => return self.take(node),
            Claim::Held(other) => return Ok(Done::Busy(other)),
            Claim::Vacant(slot) => slot,
        };
        let recipe = node.recipe();
        let named = references(&recipe);
        let inputs = named.iter().map(|key| self.output_of(*key)).collect::<anyhow::Result<Vec<_>>>()?;
        if !named.is_empty()
            && let Some(content) = content_of(&recipe, &named, &inputs)
            && let Some((of, entry)) = self.store.same_content(node.kind, parameters_digest(&recipe), content)
        {
            match self.alias(node, slot, &recipe, of, &entry, inputs) {
                Err(error) if damage_in(&error).is_some() => return self.make_anew(node, &recipe, &named, grant),
                aliased => return aliased,
            }
        }
        self.run_and_commit(node, slot, &recipe, &named, grant)
    }

    /// Makes a step whose twin turned out to be damaged.
    fn make_anew(&self, node: &Node<W>, recipe: &str, named: &[StepKey], grant: Grant) -> anyhow::Result<Done> {
        match self.store.claim(node.kind, node.key, &self.holder(&node.label))? {
            Claim::Present => self.take(node),
            Claim::Held(other) => Ok(Done::Busy(other)),
            Claim::Vacant(slot) => self.run_and_commit(node, slot, recipe, named, grant),
        }
    }

    /// Takes what another process has made, with its warnings.
    fn take(&self, node: &Node<W>) -> anyhow::Result<Done> {
        match self.store.glance(node.kind, node.key) {
            Ok(Some(warnings)) => {
                self.tell_warnings(warnings);
                Ok(Done::Taken)
            }
            Ok(None) => Ok(Done::Busy(None)),
            Err(error) if self.set_aside(&error)? => Ok(Done::Busy(None)),
            Err(error) => Err(error),
        }
    }

    /// Digest of the artifact of an input, which ought to be there.
    fn output_of(&self, key: StepKey) -> anyhow::Result<Digest> {
        if let Some(known) = self.outputs.lock().expect("no panic while locked").get(&key) {
            return Ok(*known);
        }
        let node = self.plan.node(key).with_context(|| format!("the plan has no step {key}"))?;
        let digest = self.store.present(node.kind, key)?.provenance.output;
        self.outputs.lock().expect("no panic while locked").insert(key, digest);
        Ok(digest)
    }

    fn alias(
        &self,
        node: &Node<W>,
        mut slot: EntrySlot<'_>,
        recipe: &str,
        of: StepKey,
        entry: &Entry,
        inputs: Vec<Digest>,
    ) -> anyhow::Result<Done> {
        slot.take_from(entry)?;
        let provenance = Provenance {
            alias_of: Some(entry.provenance.alias_of.unwrap_or(of)),
            label: node.label.clone(),
            finished_unix: (self.options.now_unix)(),
            inputs,
            ..entry.provenance.clone()
        };
        let (_, provenance) = slot.commit(recipe, provenance)?;
        self.tell_warnings(provenance.warnings);
        Ok(Done::Aliased(of))
    }

    fn run_and_commit(
        &self,
        node: &Node<W>,
        mut slot: EntrySlot<'_>,
        recipe: &str,
        named: &[StepKey],
        grant: Grant,
    ) -> anyhow::Result<Done> {
        self.tell(&Event::Started { label: node.label.clone(), kind: node.kind, key: node.key });
        let events = |event: &Event| self.tell(event);
        let context = Context {
            runtime: self.runtime,
            store: self.store,
            kind: node.kind,
            key: node.key,
            label: &node.label,
            inputs: named,
            cancel: self.cancel,
            events: &events,
            device: grant.device,
            threads: grant.threads,
            opened: RefCell::default(),
            seen: RefCell::default(),
        };
        let started = Instant::now();
        node.run_into(&context, slot.files())?;
        let seconds = started.elapsed().as_secs_f64();
        for place in context.opened.borrow().iter() {
            place.check()?;
        }
        let Seen { outputs, warnings } = context.seen.into_inner();
        let input = |key: &StepKey| outputs.get(key).map_or_else(|| self.output_of(*key), |digest| Ok(*digest));
        let cost = node.cost();
        let provenance = Provenance {
            warnings,
            label: node.label.clone(),
            seconds,
            finished_unix: (self.options.now_unix)(),
            host: self.options.host.clone(),
            device: grant.device.map_or_else(String::new, |device| self.options.devices[device].clone()),
            program: self.options.program.clone(),
            cost_group: cost.group,
            cost_units: cost.units,
            alias_of: None,
            inputs: named.iter().map(input).collect::<anyhow::Result<_>>()?,
            output: Digest::of(b""),
            files: BTreeMap::new(),
        };
        let content = content_of(recipe, named, &provenance.inputs);
        let (committed, provenance) = slot.commit(recipe, provenance).context("committing the result")?;
        if let Committed::Differs { kept } = committed {
            let (label, discarded) = (node.label.clone(), provenance.output);
            self.tell(&Event::Diverged { label, key: node.key, kept, discarded });
        } else if let Some(content) = content.filter(|_| !named.is_empty()) {
            // The entry is committed; without this record it is only not found under other keys.
            let _ = self.store.remember_content(node.kind, parameters_digest(recipe), content, node.key);
        }
        self.store.drop_scratch(node.key);
        Ok(Done::Ran { seconds, bytes: provenance.bytes() })
    }
}

/// Digest of a recipe whose steps are named by the digests of their bytes.
fn content_of(recipe: &str, named: &[StepKey], outputs: &[Digest]) -> Option<Digest> {
    let outputs: HashMap<_, _> = named.iter().zip(outputs).collect();
    content_digest(recipe, |key| outputs.get(&key).map(|digest| **digest))
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("panic")
}
