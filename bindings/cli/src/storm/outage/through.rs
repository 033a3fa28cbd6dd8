//! The same deliveries through the engine: it owns the next attempt of each request, and hands it
//! to a worker. The only file that calls the engine while an outage lasts.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use oncegate::{
    AdaptiveBackoff, Admission, AttemptError, Buried, Engine, Error, FailureKind, Later, Lease,
    LetterFilter, Outcome, RetryBudget, RetryContext, RetryPolicy, RetryStats,
};

use super::service::Failed;
use super::shape::Shape;
use super::town::Town;
use crate::input::Line;

/// The engine, and what it has counted.
pub(super) struct Gated<'a> {
    engine: Engine,
    lines: &'a [Line],
    counts: Mutex<Counts>,
}

/// What was counted on the way.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    /// Duplicates that were told of a running or a scheduled attempt, or the outcome.
    pub(super) coordinated: u64,
    /// Records that came to have no next attempt: for their attempts, and for the budget.
    pub(super) out_of_attempts: u64,
    pub(super) out_of_budget: u64,
    /// Completions and retries that were refused for a stale token.
    pub(super) fenced: u64,
    /// Dead letters that were redriven.
    pub(super) redriven: u64,
    /// What the engine must not answer, in words.
    pub(super) wrong: Vec<String>,
    /// By how much backoff was stretched at the most.
    pub(super) stretch: f64,
}

impl<'a> Gated<'a> {
    /// An engine with room for every request of the plan.
    ///
    /// # Errors
    ///
    /// What the engine says of its configuration.
    pub(super) fn new(
        town: &Town<'_>,
        policy: &RetryPolicy,
        lines: &'a [Line],
    ) -> Result<Self, Error> {
        let (shape, distinct) = (&town.shape, town.plan.distinct());
        let adaptive = AdaptiveBackoff::builder()
            .interval(shape.work.max(shape.outage_time() / 60))
            .quiet(shape.outage_time() / 6)
            .lag_target(shape.patience)
            .load_target(LOAD_TARGET);
        let engine = Engine::builder()
            .capacity((2 * distinct).max(1_024))
            .outcome_bytes((distinct * OUTCOME_ROOM).max(8 << 20))
            .outcome_limit(OUTCOME_LIMIT)
            .context_limit(CONTEXT_LIMIT)
            .steps_limit(0)
            .max_retrying(distinct.max(64))
            .max_dead_letters(distinct.max(64))
            .retry_policy(policy.clone())
            .adaptive_backoff(adaptive)
            // Nobody outlives this lease, unless the machine stands still.
            .lease_duration(shape.patience * 4 + Duration::from_secs(5))
            .jitter_seed(shape.seed)
            .precise_clock()
            .build()?;
        engine.set_retry_budget(budget(shape)?)?;
        Ok(Self { engine, lines, counts: Mutex::default() })
    }

    /// Delivers everything, and has workers take the attempts that the engine hands out.
    pub(super) fn run(&self, town: &Town<'_>) {
        thread::scope(|scope| {
            for _ in 0..town.plan.shape.clients {
                scope.spawn(|| self.client(town));
            }
            for _ in 0..town.shape.capacity.clamp(2, MOST_WORKERS) {
                scope.spawn(|| self.worker(town));
            }
            self.operate(town);
        });
    }

    fn client(&self, town: &Town<'_>) {
        while let Some(delivery) = town.next() {
            let line = &self.lines[delivery.line as usize];
            match line.request().and_then(|request| self.engine.begin(&request)) {
                Ok(Admission::Admitted(lease)) => self.attempt(town, delivery.request, lease),
                Ok(Admission::Mismatched) => self.wrong("a delivery was told of a mismatch"),
                // The engine has it: whoever delivered it is told so, and need not come again.
                Ok(_) => self.count(|counts| counts.coordinated += 1),
                Err(error) => self.wrong(&error.to_string()),
            }
            town.note_delivered(true);
        }
    }

    fn worker(&self, town: &Town<'_>) {
        while !town.is_over() {
            match self.engine.next_attempt(LOOKS_UP) {
                Ok(Some(attempt)) => {
                    let request = attempt.context().try_into().map(u32::from_le_bytes);
                    match request {
                        Ok(request) => self.attempt(town, request, attempt.into_lease()),
                        Err(_) => self.wrong("an attempt came with another context"),
                    }
                }
                Ok(None) => {}
                Err(error) => return self.wrong(&error.to_string()),
            }
        }
    }

    /// Calls the downstream under the lease, and completes or leaves the rest to the engine.
    fn attempt(&self, town: &Town<'_>, request: u32, lease: Lease<'_>) {
        let failed = match town.call(request, Some(lease.fencing_token().get())) {
            Ok(receipt) => {
                return match lease.complete(&Outcome::new(200, receipt.to_le_bytes())) {
                    Ok(_) => town.note_done(request),
                    Err(error) => self.refused(&error),
                };
            }
            Err(failed) => failed,
        };
        let (class, kind) = match failed {
            Failed::Refused => ("refused", FailureKind::Throttled),
            Failed::TimedOut => ("timeout", FailureKind::Timeout),
            Failed::Error | Failed::Fenced => ("error", FailureKind::Transient),
        };
        let bytes = request.to_le_bytes();
        let context = RetryContext::new("deliver", &bytes);
        match lease.retry_later(&AttemptError::new(class).kind(kind), &context) {
            Ok(Later::Scheduled { .. }) => {}
            Ok(Later::Buried { reason, kept, .. }) => self.count(|counts| {
                counts.out_of_budget += u64::from(reason == Buried::Budget);
                counts.out_of_attempts += u64::from(reason != Buried::Budget);
                if !kept {
                    counts.wrong.push("a dead letter was not kept".to_owned());
                }
            }),
            Err(error) => self.refused(&error),
        }
    }

    /// What an operator does: tells the engine how the downstream does, and when it answers again,
    /// redrives dead letters, no faster than the budget pays for retries. Ends the storm when all
    /// is done.
    fn operate(&self, town: &Town<'_>) {
        let each = budgeted(&town.shape) * TICK.as_secs_f64();
        let (mut load, mut allowance) = (0.0_f64, 0.0);
        for tick in 1.. {
            town.sleep_until(TICK * tick);
            if town.is_over() || town.is_done() {
                return town.end();
            }
            let failing = town.failing();
            load += (failing.unwrap_or(0.0) - load) * NEWEST_COUNTS;
            let set = self.engine.set_load(load.clamp(0.0, 1.0));
            let stretch = self.engine.adaptive_stats().map_or(1.0, |stats| stats.factor);
            self.count(|counts| counts.stretch = counts.stretch.max(stretch));
            let redriven = set.and_then(|()| {
                if load > HEALTHY {
                    // One now and then finds out whether it is back.
                    allowance = (allowance + PROBES).min(1.0);
                } else {
                    allowance = (allowance + each).min(each.max(1.0) * 2.0);
                }
                let limit = allowance as usize;
                if limit == 0 {
                    Ok(0)
                } else {
                    self.engine.redrive_all(&LetterFilter::all(), limit)
                }
            });
            match redriven {
                Ok(redriven) => {
                    allowance -= redriven as f64;
                    self.count(|counts| counts.redriven += redriven as u64);
                }
                Err(error) => self.wrong(&error.to_string()),
            }
        }
    }

    /// What it has counted, and what the engine has.
    ///
    /// # Errors
    ///
    /// What the engine says when it is asked.
    pub(super) fn into_counts(self) -> Result<(Counts, RetryStats), Error> {
        let stats = self.engine.stats()?.retries;
        Ok((self.counts.into_inner().unwrap_or_else(PoisonError::into_inner), stats))
    }

    fn refused(&self, error: &Error) {
        if error.is_fenced() {
            self.count(|counts| counts.fenced += 1);
        } else {
            self.wrong(&error.to_string());
        }
    }

    fn wrong(&self, what: &str) {
        self.count(|counts| counts.wrong.push(what.to_owned()));
    }

    fn count(&self, note: impl FnOnce(&mut Counts)) {
        note(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// What retries may cost the downstream: a share of what it can do, and a second's worth at once.
fn budget(shape: &Shape) -> Result<RetryBudget, Error> {
    let per_second = budgeted(shape);
    let mut bucket = RetryBudget::bucket().capacity(per_second.max(1.0));
    for kind in FailureKind::ALL {
        bucket = bucket.cost(kind, 1.0);
    }
    bucket.refill_per_second(per_second).build()
}

/// Retries that the budget pays for in a second.
fn budgeted(shape: &Shape) -> f64 {
    shape.per_second() * BUDGET_SHARE
}

/// What share of the downstream's capacity retries may take.
pub(super) const BUDGET_SHARE: f64 = 0.2;
/// Where more of the calls fail, delays are stretched.
const LOAD_TARGET: f64 = 0.2;
/// Where fewer of the calls fail, dead letters are redriven.
const HEALTHY: f64 = 0.5;
/// How much of a dead letter is redriven at each look while it is not so.
const PROBES: f64 = 0.2;
/// The operator looks so often, and the newest look counts so much.
const TICK: Duration = Duration::from_millis(20);
const NEWEST_COUNTS: f64 = 0.25;
/// How often a worker with nothing to do looks whether the storm is over.
const LOOKS_UP: Duration = Duration::from_millis(50);
const MOST_WORKERS: usize = 64;
/// Bytes of the outcome budget for each request: a receipt, a journal, and room for the next ones.
const OUTCOME_ROOM: usize = 8_192;
const OUTCOME_LIMIT: usize = 256;
const CONTEXT_LIMIT: usize = 64;
