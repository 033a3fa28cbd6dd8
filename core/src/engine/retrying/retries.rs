//! What an engine knows of retries beside its table: policies, limits, and its scheduler.

use std::sync::Arc;
use std::time::Duration;

use super::super::Engine;
use super::later::Buried;
use super::scheduler::Scheduler;
use crate::config::EngineBuilder;
use crate::error::Error;
use crate::fork::PerProcess;
use crate::retry::journal::Journal;
use crate::retry::{Attempted, Decision, Exhaustion, JitterSource, RetryPolicy};
use crate::table::{Found, Rules};

/// What gives way where as many dead letters are kept as may.
///
/// ```
/// use oncegate::{Engine, OnLettersFull};
/// let builder = Engine::builder().on_letters_full(OnLettersFull::Reject);
/// # let _ = builder;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLettersFull {
    /// The oldest, which is discarded.
    DropOldest,
    /// The newcomer: its record has failed, and nothing else is kept of it.
    Reject,
}

/// The retries of one engine.
pub(in super::super) struct Retries {
    pub(super) context_limit: usize,
    pub(super) max_letters: u64,
    pub(super) on_letters_full: OnLettersFull,
    policy: RetryPolicy,
    jitter: JitterSource,
    scheduler: PerProcess<Arc<Scheduler>>,
}

impl Retries {
    pub(in super::super) fn new(config: &EngineBuilder, count: usize) -> Result<Self, Error> {
        let sizes = &config.retries;
        Ok(Self {
            context_limit: sizes.context_limit,
            max_letters: sizes.dead_letters(count) as u64,
            on_letters_full: sizes.on_letters_full,
            policy: config.retry_policy.clone(),
            jitter: JitterSource::new()?,
            scheduler: PerProcess::new(Arc::new(Scheduler::new())),
        })
    }

    /// An operation as entries store it.
    pub(super) fn hash_of(&self, operation: &str) -> u32 {
        xxhash_rust::xxh3::xxh3_64(operation.as_bytes()) as u32
    }

    /// Whether as many attempts are under way as may be.
    pub(super) fn is_full(&self, _in_flight: usize) -> bool {
        false
    }

    /// Whether one more attempt of `operation` may be handed out, of which so many run.
    pub(super) fn may_run(&self, _operation: u32, _running: usize) -> bool {
        true
    }

    /// How long until the next attempt of what `journal` tells, or why there is none.
    pub(super) fn decide(
        &self,
        engine: &Engine,
        journal: &Journal,
        found: Found,
        rules: &Rules,
    ) -> Result<Duration, Buried> {
        let attempt = engine.attempt_of(found).saturating_sub(journal.before);
        let elapsed = Duration::from_millis(rules.now_ms.saturating_sub(journal.began_ms));
        let attempted = Attempted::new(attempt, elapsed)
            .previous_delay(Duration::from_millis(journal.delay_ms));
        match self.policy.decide(&attempted, &self.jitter) {
            Decision::RetryAfter(delay) => Ok(delay),
            Decision::Exhausted(Exhaustion::Attempts) => Err(Buried::Attempts),
            Decision::Exhausted(Exhaustion::Deadline) => Err(Buried::Deadline),
            Decision::Exhausted(Exhaustion::Refused) => Err(Buried::FinalError),
        }
    }

    /// How long the lease of the next attempt lasts.
    pub(super) fn lease_ms(&self, engine: &Engine, journal: &Journal, rules: &Rules) -> u64 {
        let elapsed = Duration::from_millis(rules.now_ms.saturating_sub(journal.began_ms));
        let limit = self.policy.attempt_limit(elapsed);
        limit.map_or(engine.defaults.lease_ms, super::super::millis_up).max(1)
    }
}

impl Engine {
    /// An attempt that was due at `due_ms` was handed out.
    pub(super) fn note_dispatch(&self, _due_ms: u64, _rules: &Rules) {}

    pub(in super::super) fn scheduler(&self) -> &Arc<Scheduler> {
        self.retries.scheduler.get(|| Arc::new(Scheduler::new()))
    }
}
