//! The engine: the public face of the table.

mod admission;
mod begin;
mod conclude;
mod decide;
mod fill;
mod finish;
mod join;
mod keep;
pub(crate) mod keys;
mod lease;
mod options;
mod prepare;
mod quota;
mod replay;
mod resolve;
mod rotation;
mod run;
mod tend;
mod token;

pub use admission::{Admission, Status};
pub use fill::FillEvent;
pub(crate) use fill::FillWatch;
pub use finish::{Completed, Failure};
pub use join::Join;
pub use lease::Lease;
pub use options::{BeginOptions, OnConflict, OnDrop, OnFull, OnLapse, RunOptions};
pub use prepare::Prepared;
pub use quota::Quota;
pub use resolve::Resolution;
pub use run::{Declined, Ran};
pub use tend::{Swept, Ticker};
pub use token::{FencingToken, LeaseToken};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::TimeSource;
use crate::config::EngineBuilder;
use crate::error::Error;
use crate::fingerprint::{KeyRules, Secret};
use crate::fork::ForkGuard;
use crate::observe::{Counters, Event, Histogram, Latency, Live, Stats};
use crate::outcome::{Header, LiveBlock, OutcomePolicy, OutcomeStore, References, Room};
use crate::region::{Geometry, Region, header};
use crate::sync::plain::AtomicU64;
use crate::sync::planted::Bug;
use crate::sync::{Mutex, Ordering};
use crate::table::control::State;
use crate::table::scope::RoomOf;
use crate::table::slot::Kind;
use crate::table::{Rules, Table};
use crate::wait::WaitQueue;

use keys::KeyRing;
use quota::Quotas;

/// Admits each request once.
///
/// An engine is one table and what belongs to it. Share it by reference or in an
/// [`Arc`]; every method takes `&self` and may be called from any thread. It starts no thread
/// unless asked ([`Engine::ticker`]) and installs no signal handler.
///
/// Its memory is private to the process. In a forked child every call that comes to it answers
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
    time: TimeSource,
    origin_ms: u64,
    epoch: u64,
    capacity: usize,
    outcome_limit: usize,
    fill: Option<FillWatch>,
    begin_latency: Histogram,
    complete_latency: Histogram,
    rotation: Mutex<()>,
    fork: Arc<ForkGuard>,
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

    pub(crate) fn open(config: EngineBuilder, geometry: Geometry) -> Result<Self, Error> {
        let secret = match config.secret {
            Some(secret) => secret,
            None => Secret::generate()?,
        };
        let region = Arc::new(Region::private(geometry, config.prefault)?);
        let epoch = new_epoch(config.time.wall_ms());
        // Relaxed: nobody else has the region yet; sharing the engine publishes it.
        region.header(header::EPOCH).store(epoch, Ordering::Relaxed);
        let counters = Arc::new(Counters::new());
        let fork = Arc::new(ForkGuard::new()?);
        let waiters = Arc::new(WaitQueue::new(config.max_waiters, Arc::clone(&fork)));
        let unauthenticated = config
            .unauthenticated_quota
            .unwrap_or_else(|| Quota::unlimited().max_live((config.capacity as u64 / 16).max(1)));
        Ok(Self {
            table: Table::new(Arc::clone(&region), Arc::clone(&counters), Arc::clone(&waiters)),
            store: OutcomeStore::new(Arc::clone(&region), Arc::clone(&counters)),
            keys: KeyRing::new(&secret, config.mode),
            key_rules: config.key_rules,
            quotas: Quotas::new(config.default_quota, unauthenticated),
            defaults: Defaults {
                lease_ms: millis_up(config.lease),
                window_ms: millis_up(config.window),
                on_conflict: config.on_conflict,
                on_lapse: config.on_lapse,
                on_drop: config.on_drop,
                on_full: config.on_full,
                policy: config.policy,
            },
            origin_ms: config.time.now_ms(),
            time: config.time,
            epoch,
            capacity: config.capacity,
            outcome_limit: config.outcome_limit,
            fill: config.fill,
            begin_latency: Histogram::new(),
            complete_latency: Histogram::new(),
            rotation: Mutex::new(()),
            fork,
            region,
            counters,
            waiters,
        })
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
        self.fork.check()?;
        let total = |event: Event| self.counters.total(event);
        let live = Live {
            running: self.counters.in_state(State::Running),
            waiting: self.counters.in_state(State::Waiting),
            succeeded: self.counters.in_state(State::Succeeded),
            failed: self.counters.in_state(State::Failed),
            unknown: self.counters.in_state(State::Unknown),
        };
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
            outcomes_evicted: total(Event::OutcomesEvicted),
            outcomes_carried: total(Event::OutcomesCarried),
            full: total(Event::Full),
            quota: total(Event::Quota),
            waiters: self.waiters.len(),
            hand_offs: total(Event::HandOff),
            bytes: (self.region.geometry().words() * size_of::<u64>()) as u64,
            fill: live.total() as f64 / self.capacity as f64,
            outcome_fill: self.store.fill_per_mille(self.now_ms()) as f64 / 1000.0,
            begin: latency(&self.begin_latency),
            complete: latency(&self.complete_latency),
            live,
        })
    }

    /// Time since the region was opened, which counts from a whole millisecond of the clock.
    #[inline]
    fn now(&self) -> Duration {
        self.time.now().saturating_sub(self.origin())
    }

    fn origin(&self) -> Duration {
        Duration::from_millis(self.origin_ms)
    }

    /// The same in milliseconds, from one on: zero is the state of a fresh region.
    #[inline(always)]
    fn now_ms(&self) -> u64 {
        // No overflow: times end before the largest number.
        self.time.now_ms().saturating_sub(self.origin_ms) + 1
    }

    #[inline(always)]
    fn rules(&self) -> Rules {
        Rules {
            now_ms: self.now_ms(),
            idle_retention_ms: self.defaults.window_ms,
            default_lease_ms: self.defaults.lease_ms,
            evict_lru: self.defaults.on_full == OnFull::EvictLru,
        }
    }

    fn room(&self, rules: &Rules) -> Room {
        Room { now_ms: rules.now_ms, evict: rules.evict_lru }
    }
}

impl References for Table {
    fn live(&self, header: &Header, reference: u64) -> Option<LiveBlock> {
        if header.slot >= self.slots() {
            return None;
        }
        let slot = self.slot(header.slot);
        let seen = slot.control().load();
        let deadline = slot.deadline();
        let refers = seen.state().is_finished()
            && seen.fence() == header.fence
            && slot.outcome() == reference
            && deadline.belongs_to(seen.fence());
        // A window that is still being written has not ended.
        let window_end = if deadline.kind == Kind::Window { deadline.at_ms } else { u64::MAX };
        let reserved = self.room_of(slot.scope()) == RoomOf::Reserved;
        refers.then_some(LiveBlock { window_end, reserved })
    }

    fn redirect(&self, header: &Header, from: u64, to: u64) -> bool {
        let slot = self.slot(header.slot);
        let seen = slot.control().load();
        seen.state().is_finished()
            && seen.fence() == header.fence
            && slot.change_outcome(from, to).is_ok()
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

/// What fencing counters of a new private region are added to.
///
/// Wall time, with room for four million attempts per millisecond and home: a region that is
/// opened later has higher tokens than any that an earlier one gave out, as long as the wall
/// clock was not set back meanwhile.
fn new_epoch(wall_ms: u64) -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let wall_ms = if Bug::EpochNotOfWallTime.is_planted() { 0 } else { wall_ms };
    let next = |last: u64| wall_ms.min(MAX_EPOCH_MS).max(last.saturating_add(1));
    // Relaxed, both: the epochs of one process only have to differ and grow.
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
    next(last.unwrap_or_else(|same| same)) << EPOCH_SHIFT
}

fn latency(histogram: &Histogram) -> Latency {
    let [p50_ns, p99_ns, p999_ns] = histogram.quantiles([500, 990, 999]);
    Latency { p50_ns, p99_ns, p999_ns }
}

/// Whole milliseconds, rounded up: nothing lasts shorter than asked.
#[inline]
fn millis_up(duration: Duration) -> u64 {
    let rest = duration.subsec_nanos().div_ceil(1_000_000);
    duration.as_secs().saturating_mul(1_000).saturating_add(rest.into())
}

/// A token is an epoch of 41 bits and a counter that overlaps it, below 2^63.
const EPOCH_SHIFT: u32 = 22;
const MAX_EPOCH_MS: u64 = (1 << 40) - 1;

const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Engine>();
};
