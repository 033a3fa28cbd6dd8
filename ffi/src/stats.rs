//! Statistics: what the engine has counted since it was opened.

use oncegate::Latency;

use crate::engine::{RawEngine, held};
use crate::entry::{ErrorInfo, entry};
use crate::raw::{Growing, OutGrown, Plain};
use crate::status::Status;

/// Quantiles of one call in 1,024, in nanoseconds; zero: no sample yet.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct RawLatency {
    /// The median.
    pub p50_ns: u64,
    /// 99 % of the calls took at most this long.
    pub p99_ns: u64,
    /// 99.9 % of the calls took at most this long.
    pub p999_ns: u64,
}

/// Counts of this process since the engine was opened, and levels of the table.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct RawStats {
    /// `sizeof(oncegate_stats)`.
    pub struct_size: usize,
    /// Requests that were begun.
    pub begun: u64,
    /// Records that were made.
    pub created: u64,
    /// Requests that met a record.
    pub reused: u64,
    /// Attempts that followed a window that was over, or a lease that had lapsed.
    pub expired: u64,
    /// Attempts that followed a failed one.
    pub retried: u64,
    /// Duplicates that got the outcome.
    pub replayed: u64,
    /// Duplicates that met a running attempt.
    pub in_progress: u64,
    /// Duplicates that came before the next attempt was due.
    pub scheduled: u64,
    /// Duplicates with another payload.
    pub mismatched: u64,
    /// Duplicates of a record in doubt.
    pub unresolved: u64,
    /// Duplicates of a record whose outcome is gone.
    pub outcome_gone: u64,
    /// Calls that were refused by the fencing token.
    pub fenced: u64,
    /// Leases that lapsed.
    pub lapsed: u64,
    /// Attempts that were completed.
    pub completed: u64,
    /// Records that gave way when their window was over.
    pub evicted_expired: u64,
    /// Records that gave way before.
    pub evicted_early: u64,
    /// Outcomes that gave way to others.
    pub outcomes_evicted: u64,
    /// Requests that found no room.
    pub full: u64,
    /// Requests that a quota refused.
    pub quota: u64,
    /// Callers that wait.
    pub waiters: u64,
    /// Attempts that were handed over to a waiter.
    pub hand_offs: u64,
    /// Records that run.
    pub live_running: u64,
    /// Records that wait for their next attempt.
    pub live_waiting: u64,
    /// Records that succeeded.
    pub live_succeeded: u64,
    /// Records that failed for good.
    pub live_failed: u64,
    /// Records in doubt.
    pub live_unknown: u64,
    /// Attempts that were put off.
    pub retries_scheduled: u64,
    /// Records that the engine retries now.
    pub retries_waiting: u64,
    /// Attempts that are ready for workers.
    pub retries_ready: u64,
    /// Attempts that workers run.
    pub retries_in_flight: u64,
    /// Dead letters that are there.
    pub dead_letters: u64,
    /// Dead letters that were made.
    pub buried: u64,
    /// Dead letters that were driven again.
    pub redriven: u64,
    /// Dead letters that were discarded.
    pub discarded: u64,
    /// Dead letters that found no room.
    pub letters_lost: u64,
    /// Transitions that stand still.
    pub stuck: u64,
    /// Memory of the table, in bytes.
    pub bytes: u64,
    /// Live records as a share of the capacity.
    pub fill: f64,
    /// Outcomes as a share of their room.
    pub outcome_fill: f64,
    /// The factor of adaptive backoff; zero: it is off.
    pub backoff_factor: f64,
    /// How long beginning takes.
    pub begin: RawLatency,
    /// How long completing takes.
    pub complete: RawLatency,
    /// How long after they were due attempts are handed out.
    pub dispatch_lag: RawLatency,
}

// SAFETY: `repr(C)`, numbers.
unsafe impl Plain for RawStats {}
// SAFETY: the first field is the size.
unsafe impl Growing for RawStats {
    const LEAST: usize = 16;
}

/// Writes the statistics; set `stats->struct_size` before. Sums over all threads of the process:
/// some microseconds, and a look at every slot now and then. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oncegate_engine_stats(
    engine: *const RawEngine,
    stats: *mut RawStats,
    error: *mut ErrorInfo,
) -> Status {
    entry!(error; engine = held; stats = OutGrown::new; => {
        let found = engine.engine.stats()?;
        let (live, retries) = (found.live, found.retries);
        stats.write(RawStats {
            struct_size: 0,
            begun: found.begun,
            created: found.created,
            reused: found.reused,
            expired: found.expired,
            retried: found.retried,
            replayed: found.replayed,
            in_progress: found.in_progress,
            scheduled: found.scheduled,
            mismatched: found.mismatched,
            unresolved: found.unresolved,
            outcome_gone: found.outcome_gone,
            fenced: found.fenced,
            lapsed: found.lapsed,
            completed: found.completed,
            evicted_expired: found.evicted_expired,
            evicted_early: found.evicted_early,
            outcomes_evicted: found.outcomes_evicted,
            full: found.full,
            quota: found.quota,
            waiters: found.waiters,
            hand_offs: found.hand_offs,
            live_running: live.running,
            live_waiting: live.waiting,
            live_succeeded: live.succeeded,
            live_failed: live.failed,
            live_unknown: live.unknown,
            retries_scheduled: retries.scheduled,
            retries_waiting: retries.retrying,
            retries_ready: retries.ready,
            retries_in_flight: retries.in_flight,
            dead_letters: retries.dead_letters,
            buried: retries.buried,
            redriven: retries.redriven,
            discarded: retries.discarded,
            letters_lost: retries.letters_lost,
            stuck: retries.stuck,
            bytes: found.bytes,
            fill: found.fill,
            outcome_fill: found.outcome_fill,
            backoff_factor: retries.adaptive.map_or(0.0, |adaptive| adaptive.factor),
            begin: latency(found.begin),
            complete: latency(found.complete),
            dispatch_lag: latency(retries.dispatch_lag),
        });
        Ok(())
    })
}

fn latency(found: Latency) -> RawLatency {
    RawLatency { p50_ns: found.p50_ns, p99_ns: found.p99_ns, p999_ns: found.p999_ns }
}
