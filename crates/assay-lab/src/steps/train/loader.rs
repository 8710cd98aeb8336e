//! Batches made ahead of the device that learns from them.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use assay_nn::Batch;

/// Batches that may wait, for each thread that makes them: memory is bounded whatever the dataset.
const AHEAD: u32 = 2;

type Made = anyhow::Result<Batch>;

struct State {
    /// The next step whose batch is to be made.
    next: u32,
    /// The step that is waited for.
    wanted: u32,
    made: BTreeMap<u32, Made>,
    stopped: bool,
}

struct Loader<'a> {
    make: &'a (dyn Fn(u32) -> Made + Sync),
    steps: u32,
    ahead: u32,
    state: Mutex<State>,
    turn: Condvar,
}

/// Runs `body`, whose argument gives the batch of a step. `threads` threads make the batches of the steps that follow the one asked
/// for last; what a batch is depends on `make` alone.
pub(crate) fn with_batches_ahead<R>(
    make: &(dyn Fn(u32) -> Made + Sync),
    steps: u32,
    threads: usize,
    body: impl FnOnce(&(dyn Fn(u32) -> Made + Sync)) -> R,
) -> R {
    let threads = threads.max(1);
    let state = State { next: 0, wanted: 0, made: BTreeMap::new(), stopped: false };
    let ahead = AHEAD * threads as u32;
    let loader = Loader { make, steps, ahead, state: Mutex::new(state), turn: Condvar::new() };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| loader.work());
        }
        // Also when `body` panics, the threads are told to end.
        let _stop = Stop(&loader);
        body(&|step| loader.get(step))
    })
}

struct Stop<'l, 'a>(&'l Loader<'a>);

impl Drop for Stop<'_, '_> {
    fn drop(&mut self) {
        self.0.lock().stopped = true;
        self.0.turn.notify_all();
    }
}

impl Loader<'_> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return;
            }
            let step = state.next;
            if step >= self.steps || step >= state.wanted.saturating_add(self.ahead) {
                state = self.turn.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.next += 1;
            drop(state);
            // A panic would leave the training waiting for ever.
            let made = catch_unwind(AssertUnwindSafe(|| (self.make)(step)));
            let made = made.unwrap_or_else(|_| Err(anyhow::anyhow!("making the batch of step {step} panicked")));
            state = self.lock();
            // A training that goes on where it was has no use for what came before.
            if step >= state.wanted {
                state.made.insert(step, made);
            }
            self.turn.notify_all();
        }
    }

    /// The batch of a step. Steps are asked for in rising order, some left out; the first may be asked for again.
    fn get(&self, step: u32) -> Made {
        let mut state = self.lock();
        if step < state.wanted {
            drop(state);
            return (self.make)(step);
        }
        state.wanted = step;
        state.next = state.next.max(step);
        state.made.retain(|made, _| *made >= step);
        self.turn.notify_all();
        loop {
            // The next one is wanted after this one, which may still be asked for again: the shape is learnt from the first.
            if let Some(made) = state.made.remove(&step) {
                state.wanted = step + 1;
                self.turn.notify_all();
                return made;
            }
            state = self.turn.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn batch(step: u32) -> Batch {
        let answers = assay_nn::Answers::Classes(vec![step]);
        Batch { images: vec![step as f32], shape: [1, 1, 1], answers }
    }

    #[test]
    fn batches_come_in_order_whoever_makes_them() {
        for threads in [1, 3] {
            let most = AtomicU32::new(0);
            let asked = AtomicU32::new(0);
            let make = |step: u32| {
                most.fetch_max(step.saturating_sub(asked.load(Ordering::SeqCst)), Ordering::SeqCst);
                Ok(batch(step))
            };
            with_batches_ahead(&make, 50, threads, |get| {
                // The first is asked for twice, and some are left out, as by a training that goes on.
                for step in [0, 0].into_iter().chain(20..50) {
                    asked.store(step, Ordering::SeqCst);
                    assert_eq!(get(step).unwrap().images, [step as f32]);
                }
            });
            assert!(most.load(Ordering::SeqCst) <= AHEAD * threads as u32 + 1, "{most:?}");
        }
    }

    #[test]
    fn an_error_comes_with_its_step_and_ends_nothing_else() {
        let make = |step: u32| if step == 3 { Err(anyhow::anyhow!("no picture")) } else { Ok(batch(step)) };
        with_batches_ahead(&make, 10, 2, |get| {
            assert!((0..3).all(|step| get(step).is_ok()));
            assert_eq!(get(3).unwrap_err().to_string(), "no picture");
        });
    }
}
