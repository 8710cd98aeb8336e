//! Display of a run while it goes: a bar on a terminal, a line for each event elsewhere.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use assay_config::printable;
use assay_engine::Event;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::environment;

/// Listens to a run.
pub struct Progress {
    state: Mutex<State>,
    bar: Option<ProgressBar>,
    quiet: bool,
}

struct State {
    total: usize,
    done: usize,
    /// Steps that are running: when they began, when they were last spoken of, units done and in all.
    running: BTreeMap<String, Running>,
}

struct Running {
    since: Instant,
    spoken: Instant,
    done: u64,
    total: u64,
    unit: &'static str,
}

/// Interval between lines about a long step where there is no terminal.
const SPEAK_EVERY: Duration = Duration::from_secs(10);

impl Progress {
    /// A display for standard error.
    pub fn new(quiet: bool) -> Self {
        let bar = (!quiet && environment::is_interactive()).then(|| {
            let style =
                ProgressStyle::with_template("{bar:24} {pos}/{len} steps  {elapsed} elapsed, {eta} left  {msg}");
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(8));
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { state: Mutex::new(State { total: 0, done: 0, running: BTreeMap::new() }), bar, quiet }
    }

    /// Shows an event.
    pub fn show(&self, event: &Event) {
        if self.quiet {
            if is_told_always(event)
                && let Some(line) = describe(event)
            {
                environment::note(&line);
            }
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let spoken = state.take(event);
        match &self.bar {
            Some(bar) => {
                bar.set_length(state.total as u64);
                bar.set_position(state.done as u64);
                bar.set_message(state.message());
                if is_told_always(event)
                    && let Some(line) = describe(event)
                {
                    bar.suspend(|| environment::note(&line));
                }
            }
            None => {
                if let Some(line) = spoken {
                    environment::note(&line);
                }
            }
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl State {
    /// Takes an event in; returns a line where there is something to say.
    fn take(&mut self, event: &Event) -> Option<String> {
        let line = describe(event);
        match event {
            Event::Planned { to_run, .. } => {
                self.total = *to_run;
                return line;
            }
            Event::Started { label, .. } => {
                let now = Instant::now();
                self.running.insert(label.clone(), Running { since: now, spoken: now, done: 0, total: 0, unit: "" });
                return None;
            }
            Event::Progress { label, done, total, unit } => {
                let running = self.running.get_mut(label)?;
                (running.done, running.total, running.unit) = (running.done.max(*done), *total, unit);
                if running.spoken.elapsed() < SPEAK_EVERY {
                    return None;
                }
                running.spoken = Instant::now();
                let text = running.text();
                return Some(format!("{}{}: {text}", self.counter(0), printable(label)));
            }
            Event::Finished { label, .. }
            | Event::Aliased { label, .. }
            | Event::Taken { label, .. }
            | Event::Failed { label, .. } => {
                self.done += 1;
                self.running.remove(label);
            }
            Event::Skipped { .. } => self.done += 1,
            Event::Waiting { .. }
            | Event::Diverged { .. }
            | Event::Damaged(_)
            | Event::Moved { .. }
            | Event::Warning { .. } => return line,
        }
        line.map(|line| format!("{}{line}", self.counter(1)))
    }

    fn counter(&self, least: usize) -> String {
        format!("[{}/{}] ", self.done.max(least), self.total)
    }

    fn message(&self) -> String {
        let slowest = self.running.iter().min_by_key(|(_, r)| r.since);
        slowest.map_or_else(String::new, |(label, r)| format!("{} {}", printable(label), r.text()))
    }
}

impl Running {
    /// `320/1024 images, 210.5 images/s, 3 s left`
    fn text(&self) -> String {
        if self.total == 0 {
            return String::new();
        }
        let rate = self.done as f64 / self.since.elapsed().as_secs_f64().max(1e-3);
        let left = (self.total - self.done.min(self.total)) as f64 / rate.max(1e-9);
        let left = if self.done == 0 { String::new() } else { format!(", {left:.0} s left") };
        format!("{}/{} {unit}, {rate:.1} {unit}/s{left}", self.done, self.total, unit = self.unit)
    }
}

/// Whether a person should see it even where they see nothing else.
fn is_told_always(event: &Event) -> bool {
    matches!(
        event,
        Event::Failed { .. } | Event::Warning { .. } | Event::Diverged { .. } | Event::Damaged(_) | Event::Moved { .. }
    )
}

fn describe(event: &Event) -> Option<String> {
    Some(match event {
        Event::Planned { steps, hits, to_run } => format!("{steps} steps: {hits} in the store, {to_run} to run"),
        Event::Started { .. } | Event::Progress { .. } => return None,
        Event::Finished { label, seconds, bytes, .. } => {
            format!("{}  {seconds:.2} s, {}", printable(label), crate::commands::size(*bytes))
        }
        Event::Aliased { label, of, .. } => {
            format!("{}  same parameters and inputs as {}", printable(label), of.0.short())
        }
        Event::Waiting { label, holder, .. } => match holder {
            Some(h) => {
                format!("{}  is being made by process {} on {}; waiting", printable(label), h.pid, printable(&h.host))
            }
            None => format!("{}  is being made by another process; waiting", printable(label)),
        },
        Event::Taken { label, .. } => format!("{}  made by another process", printable(label)),
        Event::Failed { label, key, message } => format!("failed: {} ({}): {message}", printable(label), key.0.short()),
        Event::Skipped { label, because, .. } => {
            format!("{}  skipped, since {} failed", printable(label), printable(because))
        }
        Event::Diverged { label, kept, discarded, .. } => {
            format!(
                "warning: {} came out differently from what is in the store ({} instead of {}); the store was left as it is",
                printable(label),
                discarded.short(),
                kept.short()
            )
        }
        Event::Damaged(damage) => format!("warning: {}; it is made again", printable(&damage.to_string())),
        Event::Moved { path, to } => {
            let (path, to) = (path.display().to_string(), to.display().to_string());
            format!("warning: {} is no part of a store; it was moved to {}", printable(&path), printable(&to))
        }
        Event::Warning { label, message } => format!("warning: {}: {message}", printable(label)),
    })
}
