//! What one run came to.

use std::time::Duration;

use oncegate::RetryStats;
use serde::Serialize;

use super::super::ledger::Entry;
use super::service::Seen;
use super::shape::Shape;
use super::through::Counts;
use super::town::{Progress, Town};

/// The numbers of one run. The field names are those of the JSON object.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Run {
    /// Calls that reached the downstream, up or down.
    pub(super) calls: u64,
    /// Calls that it refused: it was down, or had too much to do.
    pub(super) refused: u64,
    /// Calls whose callers stopped waiting. What it had taken, it worked on all the same.
    pub(super) timed_out: u64,
    /// Calls that were answered with an error.
    pub(super) failed: u64,
    /// The calls of the busiest slice, in times of what the downstream can answer.
    pub(super) peak_load: f64,
    /// The same from the end of the outage on.
    pub(super) peak_load_after: f64,
    /// The most calls that it had at once, in times of those that it works on at once.
    pub(super) most_at_once: f64,
    /// The same from the end of the outage on.
    pub(super) most_at_once_after: f64,
    /// Side effects that the downstream had.
    pub(super) effects: u64,
    /// Side effects beyond the first of each request.
    pub(super) duplicate_effects: u64,
    /// Side effects of each request that had any, on average.
    pub(super) effects_per_request: f64,
    /// Side effects of the request that had the most.
    pub(super) most_effects: u64,
    /// Requests of which somebody heard that they were done.
    pub(super) done: u64,
    /// Deliveries that were answered: through the engine, also by what it knows of the request.
    pub(super) answered: u64,
    /// Deliveries whose callers gave up.
    pub(super) given_up: u64,
    /// Deliveries that were neither when the storm was broken off.
    pub(super) unanswered: u64,
    /// From the start until all was done or given up; nothing, if the storm was broken off.
    pub(super) finished_ms: Option<f64>,
    /// Deliveries that the engine answered by what it knew of the request.
    pub(super) coordinated: u64,
    /// Dead letters: records without a next attempt, for want of attempts or of budget.
    pub(super) dead_letters: u64,
    /// Those of them whose attempts were used up.
    pub(super) out_of_attempts: u64,
    /// Those of them that the retry budget did not pay for.
    pub(super) out_of_budget: u64,
    /// Dead letters that were redriven.
    pub(super) redriven: u64,
    /// Dead letters that were left.
    pub(super) dead_letters_left: u64,
    /// Calls, completions and retries that were refused for a stale fencing token.
    pub(super) fenced: u64,
    /// By how much adaptive backoff stretched delays, at the most.
    pub(super) most_stretch: f64,
    /// Calls in each slice of the storm.
    pub(super) calls_by_slice: Vec<u64>,
    /// Requests that were done by the end of each slice.
    pub(super) done_by_slice: Vec<u64>,
    /// What the engine must not do, in words.
    #[serde(skip)]
    pub(super) wrong: Vec<String>,
}

impl Run {
    /// Adds up a run, after every thread has gone home.
    pub(super) fn of_town(town: Town<'_>) -> Self {
        let (shape, deliveries) = (town.shape, town.plan.order.len() as u64);
        let (service, progress) = town.into_parts();
        let (seen, entries) = service.close();
        let mut run = Self { most_stretch: 1.0, ..Self::default() };
        run.add_calls(&seen, &shape);
        run.add_effects(&entries);
        run.add_progress(&progress, &shape, deliveries);
        run
    }

    /// What was counted where the engine was called.
    pub(super) fn counted(mut self, counts: Counts, stats: &RetryStats) -> Self {
        self.coordinated = counts.coordinated;
        self.dead_letters = stats.buried;
        self.out_of_attempts = counts.out_of_attempts;
        self.out_of_budget = counts.out_of_budget;
        self.redriven = counts.redriven;
        self.dead_letters_left = stats.dead_letters;
        self.fenced += counts.fenced;
        self.most_stretch = rounded(counts.stretch);
        self.wrong.extend(counts.wrong);
        if self.finished_ms.is_some() && self.dead_letters_left != 0 {
            self.wrong.push("a dead letter of a request that is done".to_owned());
        }
        if self.dead_letters != self.out_of_attempts + self.out_of_budget {
            self.wrong.push("dead letters that nobody was told of".to_owned());
        }
        self
    }

    fn add_calls(&mut self, seen: &Seen, shape: &Shape) {
        self.calls = seen.calls.iter().map(|calls| u64::from(*calls)).sum();
        (self.refused, self.timed_out, self.failed) = (seen.refused, seen.timed_out, seen.failed);
        self.fenced = seen.fenced;
        let slice = shape.slice_ms();
        self.calls_by_slice =
            seen.calls.chunks(slice).map(|ms| ms.iter().map(|n| u64::from(*n)).sum()).collect();
        let full = shape.per_second() * slice as f64 / 1e3;
        let back = shape.outage[1].as_millis() as usize;
        let busiest = |from: usize| {
            let slices = self.calls_by_slice.iter().skip(from.div_ceil(slice));
            rounded(slices.copied().max().unwrap_or(0) as f64 / full)
        };
        let most = |from: usize| {
            let most = seen.at_once[from..].iter().copied().max().unwrap_or(0);
            rounded(f64::from(most) / shape.capacity as f64)
        };
        (self.peak_load, self.peak_load_after) = (busiest(0), busiest(back));
        (self.most_at_once, self.most_at_once_after) = (most(0), most(back));
    }

    fn add_effects(&mut self, entries: &[Entry]) {
        let effects = |entry: &Entry| entry.effects.len() as u64;
        let with = entries.iter().filter(|entry| !entry.effects.is_empty()).count() as u64;
        self.effects = entries.iter().map(effects).sum();
        self.duplicate_effects = self.effects - with;
        self.effects_per_request = rounded(self.effects as f64 / with.max(1) as f64);
        self.most_effects = entries.iter().map(effects).max().unwrap_or(0);
        let reused: u64 = entries.iter().map(|entry| entry.reused_tokens).sum();
        if reused > 0 {
            self.wrong.push(format!("{reused} fencing tokens were used twice"));
        }
    }

    fn add_progress(&mut self, progress: &Progress, shape: &Shape, deliveries: u64) {
        let done: Vec<Duration> = progress.done.iter().flatten().copied().collect();
        self.done = done.len() as u64;
        (self.answered, self.given_up) = (progress.answered, progress.given_up);
        self.unanswered = deliveries - self.answered - self.given_up;
        let slice = shape.slice_ms() as u128;
        let by = |end: u128| done.iter().filter(|at| at.as_millis() < end).count() as u64;
        self.done_by_slice =
            (1..=self.calls_by_slice.len() as u128).map(|n| by(n * slice)).collect();
        // Whoever gave up takes no part in what is left to do.
        let is_finished = self.unanswered == 0 && (self.given_up > 0 || progress.is_whole());
        self.finished_ms = is_finished.then(|| rounded(progress.last.as_secs_f64() * 1e3));
    }
}

/// Two digits behind the point: more says nothing here.
fn rounded(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}
