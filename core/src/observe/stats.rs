//! One snapshot of all counters.

use crate::retry::AdaptiveStats;

/// What an engine has done and holds, as far as all threads have told. Plain numbers.
///
/// ```
/// use oncegate::{Engine, Request, Scope};
///
/// let engine = Engine::builder().capacity(1_000).build()?;
/// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
/// let _admission = engine.begin(&request)?;
/// let stats = engine.stats()?;
/// assert_eq!((stats.begun, stats.created, stats.live.running), (1, 1, 1));
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Calls of `begin` and `join` that came to an answer.
    pub begun: u64,
    /// First attempts of new records.
    pub created: u64,
    /// Calls answered from a record: running or finished.
    pub reused: u64,
    /// Attempts that followed a record whose window was over, or a lease that had lapsed.
    pub expired: u64,
    /// Attempts that followed a failed one.
    pub retried: u64,
    /// Outcomes given to duplicates.
    pub replayed: u64,
    /// Duplicates that met a running attempt.
    pub in_progress: u64,
    /// Duplicates that met a record waiting for its next attempt.
    pub scheduled: u64,
    /// Duplicates with another payload.
    pub mismatched: u64,
    /// Duplicates that met an unknown outcome.
    pub unresolved: u64,
    /// Duplicates whose outcome's bytes were gone.
    pub outcome_gone: u64,
    /// Calls of a holder whose token was stale.
    pub fenced: u64,
    /// Leases that lapsed.
    pub lapsed: u64,
    /// Attempts that ended with a stored outcome.
    pub completed: u64,
    /// Records cleared away after their time was over.
    pub evicted_expired: u64,
    /// Finished records evicted inside their window, for room.
    pub evicted_early: u64,
    /// Outcomes dropped inside their window, for room; their records remain.
    pub outcomes_evicted: u64,
    /// Outcomes carried to a new place because they outlast their neighbours.
    pub outcomes_carried: u64,
    /// Leases and half-done steps of dead processes that this one took over or undid.
    pub recovered: u64,
    /// Calls refused for want of room.
    pub full: u64,
    /// Calls refused by a quota.
    pub quota: u64,
    /// What the scheduler does.
    pub retries: RetryStats,
    /// Callers that wait now, in this process.
    pub waiters: u64,
    /// Attempts handed from a failed leader to a waiter.
    pub hand_offs: u64,
    /// Records by state, now.
    pub live: Live,
    /// Bytes of the region, fixed when it was opened.
    pub bytes: u64,
    /// Live records as a share of the capacity; above 1 where the slots held more than promised.
    pub fill: f64,
    /// Share of the outcome budget that holds an outcome inside its window.
    pub outcome_fill: f64,
    /// Sampled latency of `begin`.
    pub begin: Latency,
    /// Sampled latency of `complete`.
    pub complete: Latency,
}

/// What the scheduler of an engine has done and holds, in this process; `retrying` and
/// `dead_letters` are of all that share the table.
///
/// ```
/// let engine = oncegate::Engine::builder().capacity(1_000).build()?;
/// let retries = engine.stats()?.retries;
/// assert_eq!((retries.retrying, retries.dead_letters, retries.in_flight), (0, 0, 0));
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RetryStats {
    /// Failed attempts whose next one was scheduled.
    pub scheduled: u64,
    /// Records that are retried, or whose steps are kept, or that are dead letters.
    pub retrying: u64,
    /// Attempts that are due, and wait for a worker.
    pub ready: u64,
    /// Attempts that workers of this process run.
    pub in_flight: u64,
    /// Dead letters that the table keeps.
    pub dead_letters: u64,
    /// Records that became dead letters.
    pub buried: u64,
    /// Dead letters that were redriven.
    pub redriven: u64,
    /// Dead letters that were discarded.
    pub discarded: u64,
    /// Records that failed for good and for which there was no room among the dead letters, or
    /// whose letters gave way to newer ones.
    pub letters_lost: u64,
    /// Unknown records that the reconciler was asked about.
    pub asked: u64,
    /// Times that a hook cleaned up after a lapse, or undid a step.
    pub compensated: u64,
    /// Transitions that did not end.
    pub stuck: u64,
    /// How late attempts were handed out after they were due.
    pub dispatch_lag: Latency,
    /// What the adaptive backoff has measured, if the engine has one.
    pub adaptive: Option<AdaptiveStats>,
}

/// Records by state.
///
/// ```
/// assert_eq!(oncegate::Live::default().total(), 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Live {
    /// An attempt holds the lease, or held it until it lapsed.
    pub running: u64,
    /// The next attempt may start, or is due later.
    pub waiting: u64,
    /// Finished with success.
    pub succeeded: u64,
    /// Finished for good without success.
    pub failed: u64,
    /// Nobody knows whether the attempt took effect.
    pub unknown: u64,
}

impl Live {
    /// All records.
    ///
    /// ```
    /// assert_eq!(oncegate::Live::default().total(), 0);
    /// ```
    #[must_use]
    pub fn total(&self) -> u64 {
        self.running + self.waiting + self.succeeded + self.failed + self.unknown
    }
}

/// Quantiles of one call in 1,024, in nanoseconds, rounded up by at most 6 %. Zero: no sample yet.
///
/// ```
/// assert_eq!(oncegate::Latency::default().p99_ns, 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Latency {
    /// The median.
    pub p50_ns: u64,
    /// 99 % of the calls took at most this long.
    pub p99_ns: u64,
    /// 99.9 % of the calls took at most this long.
    pub p999_ns: u64,
}
