//! The engine: the public face of the table.

mod admission;
mod begin;
mod bury;
mod conclude;
mod decide;
mod fill;
mod finish;
mod fleet;
mod join;
mod keep;
pub(crate) mod keys;
mod lease;
mod life;
mod listen;
mod look;
mod open;
mod options;
mod prepare;
mod quota;
mod replay;
mod resolve;
mod retrying;
mod rotation;
mod run;
mod shares;
mod stop;
mod tend;
mod thread;
mod token;

pub use admission::{Admission, Status};
pub use fill::FillEvent;
pub(crate) use fill::FillWatch;
pub use finish::{Completed, Failure};
pub use fleet::TierStats;
pub use join::Join;
pub use lease::Lease;
pub use options::{BeginOptions, OnConflict, OnDrop, OnFull, OnLapse, RunOptions};
pub use prepare::Prepared;
pub use quota::Quota;
pub use resolve::Resolution;
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
pub use retrying::DueDescriptor;
pub(crate) use retrying::OnEvent;
pub use retrying::{
    Attempt, AttemptEnd, AttemptError, Buried, CallAttempts, DeadLetter, DoubtId, Driven, Driver,
    EngineEvent, FinishedStep, GivenUp, LapsedAttempt, Later, LetterFilter, LetterId, LetterPage,
    NextAttempt, OnLettersFull, OperationSettings, PastAttempt, Reconciled, Reconciliation,
    Retried, RetryContext, Step, StuckTransition, Unresolved,
};
pub use run::{Declined, Ran};
pub use tend::{Swept, Ticker};
pub use token::{FencingToken, LeaseToken};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{EngineBuilder, TEN_YEARS};
use crate::error::Error;
use crate::fingerprint::{KeyRules, KeyedHasher};
use crate::fork::{ForkGuard, PerProcess};
use crate::observe::{Counters, Event, Histogram, Latency, Live, Stats};
use crate::outcome::{OutcomePolicy, OutcomeStore, Room};
use crate::region::{Region, header};
use crate::sync::plain::AtomicU64;
use crate::sync::{Mutex, Ordering};
use crate::table::control::State;
use crate::table::{Rules, Table};
use crate::tier::Hazard;
use crate::wait::WaitQueue;

use finish::is_open;
use fleet::Fleet;
use keys::KeyRing;
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
pub(crate) use keys::{KeyState, check_word};
use life::Life;
use listen::Listener;
use open::KeyFile;
#[cfg(all(target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
pub(crate) use open::scope_hasher;
pub(crate) use open::unauthenticated_quota;
use quota::Quotas;
use retrying::Retries;

/// Admits each request once.
///
/// An engine is one table and what belongs to it. Share it by reference or in an
/// [`Arc`]; every method takes `&self` and may be called from any thread. It starts no thread
/// unless asked ([`Engine::ticker`]) and installs no signal handler.
///
/// Its memory is private to the process, unless [`Reach`](crate::Reach) says otherwise. In a forked
/// child every call that comes to a private engine answers
/// [`ErrorCode::Forked`](crate::ErrorCode::Forked): two copies of a table would each admit the
/// same request.
///
/// ```
/// use oncegate::{Admission, Engine, Outcome, Payload, Request, Scope};
///
/// let engine = Engine::builder().capacity(10_000).build()?;
/// let request = Request::new(Scope::new("acme")?, "POST /charges", "key-1")?
///     .payload(Payload::json(br#"{"amount": 100}"#));
/// match engine.begin(&request)? {
///     Admission::Admitted(lease) => {
///         // … charge, passing lease.fencing_token() to the store that books it …
///         lease.complete(&Outcome::new(201, b"charged"))?;
///     }
///     Admission::Replayed(outcome) => println!("again: {}", outcome.status()),
///     other => println!("not now: {other:?}"),
/// }
/// # Ok::<(), oncegate::Error>(())
/// ```
pub struct Engine {
    table: Table,
    store: OutcomeStore,
    region: Arc<Region>,
    waiters: Arc<WaitQueue>,
    counters: Arc<Counters>,
    keys: KeyRing,
    key_rules: KeyRules,
    quotas: Quotas,
    defaults: Defaults,
    scopes: Box<KeyedHasher>,
    life: Life,
    epoch: u64,
    capacity: usize,
    outcome_limit: usize,
    fill: Option<FillWatch>,
    on_event: Option<Box<retrying::OnEvent>>,
    begin_latency: Histogram,
    complete_latency: Histogram,
    dispatch_lag: Histogram,
    rotation: PerProcess<Mutex<()>>,
    listener: PerProcess<Listener>,
    retries: Retries,
    /// Where secrets are kept that nobody gave.
    key_file: Option<KeyFile>,
    patient: stop::Patient,
    /// The part in a fleet, where there is a tier.
    fleet: Option<Arc<Fleet>>,
    /// When the table's file was looked for last.
    looked_ms: AtomicU64,
    /// When the dead were buried last, for a scope at its quota.
    buried_ms: AtomicU64,
    /// When debts were looked into last, for a scope at its quota.
    settled_ms: AtomicU64,
    fork: ForkGuard,
}

/// What a call does that says nothing else.
struct Defaults {
    lease_ms: u64,
    window_ms: u64,
    on_conflict: OnConflict,
    on_lapse: OnLapse,
    on_drop: OnDrop,
    on_full: OnFull,
    policy: OutcomePolicy,
}

impl Engine {
    /// Starts to configure an engine.
    ///
    /// ```
    /// let engine = oncegate::Engine::builder().build()?;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn builder() -> EngineBuilder {
        EngineBuilder::new()
    }

    /// One snapshot of all counters. Reads every counter and every chunk of outcomes: for
    /// metrics, not for the hot path.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Forked`](crate::ErrorCode::Forked) in a forked child.
    ///
    /// ```
    /// let engine = oncegate::Engine::builder().capacity(1_000).build()?;
    /// assert_eq!(engine.stats()?.live.total(), 0);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn stats(&self) -> Result<Stats, Error> {
        self.enter()?;
        let total = |event: Event| self.counters.total(event);
        let live = self.live();
        let duplicates = [
            Event::Replayed,
            Event::InProgress,
            Event::Scheduled,
            Event::Unresolved,
            Event::OutcomeGone,
        ];
        let answers = [Event::Created, Event::Expired, Event::Retried, Event::Mismatched];
        Ok(Stats {
            begun: answers.into_iter().chain(duplicates).map(total).sum(),
            created: total(Event::Created),
            reused: duplicates.into_iter().map(total).sum(),
            expired: total(Event::Expired),
            retried: total(Event::Retried),
            replayed: total(Event::Replayed),
            in_progress: total(Event::InProgress),
            scheduled: total(Event::Scheduled),
            mismatched: total(Event::Mismatched),
            unresolved: total(Event::Unresolved),
            outcome_gone: total(Event::OutcomeGone),
            fenced: total(Event::Fenced),
            lapsed: total(Event::Lapsed),
            completed: total(Event::Completed),
            evicted_expired: total(Event::EvictedExpired),
            evicted_early: total(Event::EvictedEarly),
            recovered: total(Event::Recovered),
            outcomes_evicted: total(Event::OutcomesEvicted),
            outcomes_carried: total(Event::OutcomesCarried),
            full: total(Event::Full),
            quota: total(Event::Quota),
            retries: self.retry_stats(),
            waiters: self.waiters.len(),
            hand_offs: total(Event::HandOff),
            bytes: self.region.bytes(),
            fill: live.total() as f64 / self.capacity as f64,
            outcome_fill: self.store.fill_per_mille(self.now_ms()) as f64 / 1000.0,
            begin: latency(&self.begin_latency),
            complete: latency(&self.complete_latency),
            live,
        })
    }

    /// What the engine and its tier have done, in this process. `None`: it has no tier. Costs a
    /// dozen loads and two locks.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Forked`](crate::ErrorCode::Forked) in a forked child.
    ///
    /// ```
    /// let engine = oncegate::Engine::builder().capacity(1_000).build()?;
    /// assert!(engine.tier_stats()?.is_none());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn tier_stats(&self) -> Result<Option<TierStats>, Error> {
        self.enter()?;
        Ok(self.fleet.as_ref().map(|fleet| fleet.stats()))
    }

    /// What about the tier endangers what is promised, as it was looked at last: every few seconds,
    /// from the first claim on. Empty: nothing is known, or there is no tier.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Forked`](crate::ErrorCode::Forked) in a forked child.
    ///
    /// ```
    /// let engine = oncegate::Engine::builder().capacity(1_000).build()?;
    /// assert!(engine.tier_hazards()?.is_empty());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn tier_hazards(&self) -> Result<Vec<Hazard>, Error> {
        self.enter()?;
        Ok(self.fleet.as_ref().map(|fleet| fleet.hazards()).unwrap_or_default())
    }

    pub(crate) fn has_tier(&self) -> bool {
        self.fleet.is_some()
    }

    /// Records by state, of all processes that share the table.
    fn live(&self) -> Live {
        let census = self.region.is_shared().then(|| self.table.census());
        let count = |state: State| match census {
            Some(counts) => counts[state as usize],
            None => self.counters.in_state(state),
        };
        Live {
            running: count(State::Running),
            waiting: count(State::Waiting),
            succeeded: count(State::Succeeded),
            failed: count(State::Failed),
            unknown: count(State::Unknown),
        }
    }

    /// Time since the region was opened, which counts from a whole millisecond of the clock.
    #[inline]
    fn now(&self) -> Duration {
        self.life.now()
    }

    /// The same in milliseconds, from one on: zero is the state of a fresh region.
    #[inline(always)]
    fn now_ms(&self) -> u64 {
        self.life.now_ms()
    }

    fn on_clock(&self, at_ms: u64) -> Duration {
        self.life.on_clock(at_ms)
    }

    #[inline(always)]
    fn rules(&self) -> Rules {
        Rules {
            now_ms: self.now_ms(),
            idle_retention_ms: self.longest_window_ms(),
            default_lease_ms: self.defaults.lease_ms,
            evict_lru: self.defaults.on_full == OnFull::EvictLru,
        }
    }

    /// The dedup window of what ends with nobody to say another: a lease that lapses, an attempt
    /// that nobody asks for. Whose record it is cannot be told, so that the longest default counts
    /// of all who ever opened the table.
    #[inline(always)]
    fn longest_window_ms(&self) -> u64 {
        // Relaxed: whoever opens the table does so before anything of his lapses.
        let of_all = self.region.header(header::LONGEST_WINDOW_MS).load(Ordering::Relaxed);
        self.defaults.window_ms.max(of_all.min(millis_up(TEN_YEARS)))
    }

    fn room(&self, rules: &Rules) -> Room {
        Room { now_ms: rules.now_ms, evict: rules.evict_lru }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

pub(crate) fn latency(histogram: &Histogram) -> Latency {
    let [p50_ns, p99_ns, p999_ns] = histogram.quantiles([500, 990, 999]);
    Latency { p50_ns, p99_ns, p999_ns }
}

/// Whole milliseconds, rounded up: nothing lasts shorter than asked.
#[inline]
fn millis_up(duration: Duration) -> u64 {
    let rest = duration.subsec_nanos().div_ceil(1_000_000);
    duration.as_secs().saturating_mul(1_000).saturating_add(rest.into())
}

const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Engine>();
};
