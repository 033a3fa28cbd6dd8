//! Quotas: what a scope may use, and what nobody takes from it.
//!
//! A limit of live records that a scope was given by name is a reservation too: those records are
//! never evicted for another scope's. So such scopes can neither evict nor exhaust each other, as
//! long as their limits together are within the capacity. All others share the rest and evict each
//! other, within the default quota; traffic that nobody vouches for evicts nobody.

use std::time::Duration;

use dashmap::DashMap;

use super::Engine;
use crate::error::{Error, ErrorCode};
use crate::fingerprint::Scope;
use crate::fork::PerProcess;
use crate::observe::Event;
use crate::region::{Exclusive, header};
use crate::sync::plain::AtomicU64;
use crate::sync::planted::Bug;
use crate::sync::{Mutex, Ordering, lock};
use crate::table::Unsettled;
use crate::table::scope::{GUEST, Refusal, ScopeLimits};

/// What one scope may use. Limits count new records; duplicates and retries are free. (A duplicate
/// that comes while another caller is about to make the last record of a limit may be refused
/// like a new request.)
///
/// A limit of live records that a scope is given by [`Engine::set_quota`] reserves them: nobody
/// else evicts them, and there is room for all of them as long as all such limits, the
/// unauthenticated scope's included, are together within the capacity. All other scopes share what
/// is left, and evict each other's finished records; a default quota only limits them. The bytes
/// of outcomes have one budget for all scopes; reserved records' outcomes are the last to go.
///
/// ```
/// use oncegate::{Engine, Quota, Scope};
///
/// let engine = Engine::builder().capacity(10_000).build()?;
/// let quota = Quota::unlimited().max_live(500).rate(100.0, 50);
/// engine.set_quota(Scope::new("small-tenant")?, quota)?;
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct Quota {
    max_live: Option<u64>,
    rate: Option<(f64, u32)>,
}

impl Quota {
    /// No limits.
    ///
    /// ```
    /// assert_eq!(oncegate::Quota::unlimited(), oncegate::Quota::unlimited());
    /// ```
    pub const fn unlimited() -> Self {
        Self { max_live: None, rate: None }
    }

    /// At most this many live records.
    ///
    /// ```
    /// let _ = oncegate::Quota::unlimited().max_live(1_000);
    /// ```
    pub const fn max_live(mut self, records: u64) -> Self {
        self.max_live = Some(records);
        self
    }

    /// At most `per_second` new records a second in the long run, and `burst` at once.
    ///
    /// ```
    /// let _ = oncegate::Quota::unlimited().rate(50.0, 100);
    /// ```
    pub const fn rate(mut self, per_second: f64, burst: u32) -> Self {
        self.rate = Some((per_second, burst));
        self
    }

    pub(crate) fn check(self, field: &'static str) -> Result<(), Error> {
        let limit = "0.001 to 1e9 a second, a burst of at least 1";
        let refuse = |_| Error::new(ErrorCode::InvalidConfig, field, "a rate out of range", limit);
        self.limits().map(|_| ()).map_err(refuse)
    }

    /// What a region stores, as a quota; a rate as far as whole nanoseconds can tell it.
    fn of_limits(limits: ScopeLimits) -> Self {
        let each = limits.nanos_each;
        let burst = limits.burst_nanos.checked_div(each).map_or(0, |more| more.saturating_add(1));
        let rate = (1e9 / each as f64, u32::try_from(burst).unwrap_or(u32::MAX));
        let max_live = (limits.max_live != u64::MAX).then_some(limits.max_live);
        Self { max_live, rate: (each != 0).then_some(rate) }
    }

    /// The limits as a region stores them.
    pub(crate) fn words(self) -> Result<[u64; 3], Error> {
        let limits = self.limits()?;
        Ok([limits.max_live, limits.nanos_each, limits.burst_nanos])
    }

    fn limits(self) -> Result<ScopeLimits, Error> {
        let (nanos_each, burst_nanos) = match self.rate {
            None => (0, 0),
            Some((per_second, burst)) => {
                if !(MIN_RATE..=MAX_RATE).contains(&per_second) || burst == 0 {
                    let found = "a rate or burst out of range";
                    let limit = "0.001 to 1e9 a second, a burst of at least 1";
                    return Err(Error::new(ErrorCode::InvalidOption, "quota.rate", found, limit));
                }
                // Between 1 ns and 1,000 s.
                let each = (1e9 / per_second).round() as u64;
                (each, each.saturating_mul(u64::from(burst - 1)))
            }
        };
        let max_live = self.max_live.unwrap_or(u64::MAX);
        Ok(ScopeLimits { max_live, nanos_each, burst_nanos, pinned: false })
    }
}

/// What decides lies in the region.
pub(super) struct Quotas {
    /// What this process set by name, as it was given: the region has whole nanoseconds.
    of_scope: PerProcess<DashMap<u64, Quota>>,
    /// One thread of this process sets a quota at a time.
    setting: PerProcess<Mutex<()>>,
    unnamed: Unnamed,
    default: Quota,
    unauthenticated: Quota,
}

impl Quotas {
    pub(super) fn new(default: Quota, unauthenticated: Quota) -> Self {
        Self {
            of_scope: PerProcess::new(DashMap::new()),
            setting: PerProcess::new(Mutex::new(())),
            unnamed: Unnamed::new(),
            default,
            unauthenticated,
        }
    }

    pub(super) fn limits_any(&self) -> bool {
        self.default != Quota::unlimited()
    }

    fn of_scope(&self) -> &DashMap<u64, Quota> {
        self.of_scope.get(DashMap::new)
    }

    /// The quota of a scope that has none by name.
    fn of_unknown(&self, scope: Scope<'_>) -> Quota {
        if is_guest(scope) { self.unauthenticated } else { self.default }
    }

    fn limits_of_unknown(&self, scope: Scope<'_>) -> Result<ScopeLimits, Error> {
        self.of_unknown(scope).limits()
    }
}

impl Engine {
    /// Sets the quota of `scope`, from now on. Records that it has already stay.
    ///
    /// A quota that equals the default one, and reserves nothing, gives back the place of the scope
    /// among [`EngineBuilder::max_scopes`](crate::EngineBuilder::max_scopes), as
    /// [`remove_quota`](Self::remove_quota) does. Of the processes that share a table one sets a
    /// quota at a time, and the last one is obeyed by all.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidOption`] for a rate or burst of zero;
    /// [`ErrorCode::QuotaExceeded`], field `scopes`, when as many scopes have quotas as
    /// [`EngineBuilder::max_scopes`](crate::EngineBuilder::max_scopes) says;
    /// [`ErrorCode::RegionInUse`], field `quotas`, when another process that sets one was stopped
    /// over it for a second; [`ErrorCode::Os`] when the file of a shared table cannot be opened
    /// once more, for want of descriptors for example; [`ErrorCode::Forked`] in a forked child.
    ///
    /// ```
    /// # use oncegate::{Engine, Quota, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// assert!(engine.set_quota(Scope::new("a")?, Quota::unlimited().rate(0.0, 1)).is_err());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn set_quota(&self, scope: Scope<'_>, quota: Quota) -> Result<(), Error> {
        self.enter()?;
        let others = self.quotas.limits_of_unknown(scope)?;
        let own = quota.limits()?;
        let reserves = own.max_live != u64::MAX && !is_guest(scope);
        if quota == self.quotas.of_unknown(scope) && !reserves {
            // Nothing tells it from a scope that was never named.
            return self.remove_quota(scope);
        }
        let hash = self.scope_hash(scope);
        let now = self.now();
        self.one_sets(|| {
            let number = self.region.header(header::QUOTAS);
            // AcqRel, as a whole: before the entry is changed. Whoever reads it until the next
            // change remembers nothing of scopes that had none (see `Unnamed`).
            let odd = number.fetch_or(1, Ordering::AcqRel) | 1;
            let pinned = self.table.pin_scope(hash, own, others, now);
            // Release: pairs with the Acquire of `scope_entry`; the entry comes before.
            number.store(odd.wrapping_add(1).max(FIRST), Ordering::Release);
            pinned.ok_or_else(too_many_scopes)?;
            self.quotas.of_scope().insert(hash, quota);
            Ok(())
        })
    }

    /// Takes back what [`set_quota`](Self::set_quota) gave `scope`, by whichever process: the
    /// default quota applies to it from now on, and nothing is reserved for it. Records that it has
    /// already stay. A scope without a quota of its own stays as it is.
    ///
    /// It counts as one of [`EngineBuilder::max_scopes`](crate::EngineBuilder::max_scopes) for as
    /// long as it has records that were made under the quota, or owes time under its rate.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::RegionInUse`] and [`ErrorCode::Os`], as `set_quota`; [`ErrorCode::Forked`] in a
    /// forked child.
    ///
    /// ```
    /// # use oncegate::{Engine, Quota, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// let tenant = Scope::new("one-that-left")?;
    /// engine.set_quota(tenant, Quota::unlimited().max_live(10))?;
    /// engine.remove_quota(tenant)?;
    /// assert_eq!(engine.quota(tenant)?, Quota::unlimited());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn remove_quota(&self, scope: Scope<'_>) -> Result<(), Error> {
        self.enter()?;
        let others = self.quotas.limits_of_unknown(scope)?;
        let hash = self.scope_hash(scope);
        self.one_sets(|| {
            self.table.unpin_scope(hash, others);
            self.quotas.of_scope().remove(&hash);
            Ok(())
        })
    }

    /// Runs `set` while nobody else sets a quota, of all who share the region.
    fn one_sets(&self, set: impl Fn() -> Result<(), Error>) -> Result<(), Error> {
        let alone = !Bug::SetsTogether.is_planted();
        let _one_thread = alone.then(|| lock(self.quotas.setting.get(Mutex::default)));
        for _ in 0..PATIENCE {
            if self.region.exclusively(Exclusive::Quotas, &set)?.is_some() {
                return Ok(());
            }
            // It takes microseconds, unless that process is stopped.
            std::thread::park_timeout(Duration::from_millis(1));
        }
        let found = "another process in the middle of setting one";
        Err(Error::new(ErrorCode::RegionInUse, "quotas", found, "a second"))
    }

    /// The quota that applies to `scope`.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Forked`] in a forked child.
    ///
    /// ```
    /// # use oncegate::{Engine, Quota, Scope};
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// let scope = Scope::new("acme")?;
    /// assert_eq!(engine.quota(scope)?, Quota::unlimited());
    /// engine.set_quota(scope, Quota::unlimited().max_live(10))?;
    /// assert_eq!(engine.quota(scope)?, Quota::unlimited().max_live(10));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn quota(&self, scope: Scope<'_>) -> Result<Quota, Error> {
        self.enter()?;
        let hash = self.scope_hash(scope);
        // Whichever process set it, or took it back.
        let limits = self.table.known_scope(hash).map(|entry| self.table.scope_limits(entry));
        let Some(limits) = limits.filter(|limits| limits.pinned) else {
            return Ok(self.quotas.of_unknown(scope));
        };
        // As this process gave it, if it still is what the region says: in whole nanoseconds.
        let given = self.quotas.of_scope().get(&hash).map(|quota| *quota);
        let stands = |quota: &Quota| quota.limits().is_ok_and(|own| own.limits_as(&limits));
        Ok(given.filter(stands).unwrap_or_else(|| Quota::of_limits(limits)))
    }

    /// From now on scopes are looked up, by all who share the region.
    pub(super) fn note_quotas(&self) {
        let number = self.region.header(header::QUOTAS);
        // Relaxed, both: a call that does not see it yet came before this one returned. Where it
        // is another number already, that says as much.
        let _ = number.compare_exchange(0, FIRST, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The entry that new records of `scope` are counted in; 0 where nothing limits it.
    pub(super) fn scope_entry(&self, scope: Scope<'_>) -> Result<u16, Error> {
        // Acquire: pairs with the Release of `set_quota`.
        let quotas = self.region.header(header::QUOTAS).load(Ordering::Acquire);
        if quotas == 0 && !is_guest(scope) {
            return Ok(0);
        }
        let hash = self.scope_hash(scope);
        let limits_all = self.quotas.limits_any() || is_guest(scope);
        if !limits_all && self.quotas.unnamed.knows(hash, quotas) {
            return Ok(0);
        }
        let known = self.table.known_scope(hash);
        // Of a scope that lost its quota the old records count, until its entry is given on.
        if let Some(entry) = known.filter(|entry| limits_all || self.table.is_pinned(*entry)) {
            return Ok(entry);
        }
        if !limits_all {
            // An odd number: one is being set, or its process died over it.
            if quotas.is_multiple_of(2) {
                self.quotas.unnamed.note(hash, quotas);
            }
            return Ok(0);
        }
        let limits = self.quotas.limits_of_unknown(scope)?;
        self.table.scope_entry(hash, limits, self.now()).ok_or_else(too_many_scopes)
    }

    /// A scope as a lease and the scheduler know it. Two that meet share a turn, and the retry
    /// budget of the one that has one: both cannot.
    #[inline]
    pub(super) fn scope_tag(&self, scope: Scope<'_>) -> u32 {
        self.scope_hash(scope) as u32
    }

    /// Counts one new record, or refuses it.
    ///
    /// Records that are over count until somebody clears them. So a scope without a live record
    /// left gets a second chance after `tend`, while which nothing of this caller is under way.
    pub(super) fn charge(&self, entry: u16, tend: impl FnOnce()) -> Result<Unsettled<'_>, Refusal> {
        if entry == 0 {
            return Ok(self.table.unsettled(0));
        }
        let charge = || {
            let unsettled = self.table.unsettled(entry);
            self.table.charge_scope(entry, self.now()).map(|()| unsettled)
        };
        charge().or_else(|refusal| match refusal {
            Refusal::Live => {
                tend();
                charge()
            }
            Refusal::Rate { .. } => Err(refusal),
        })
    }

    pub(super) fn refused_by_quota(&self, refusal: Refusal) -> Error {
        self.counters.add(Event::Quota);
        match refusal {
            // Without details, which would allocate: refusals come in storms.
            Refusal::Live => Error::of(ErrorCode::QuotaExceeded, "scope"),
            Refusal::Rate { retry_after } => {
                let wait = retry_after.max(Duration::from_millis(1));
                Error::of(ErrorCode::QuotaExceeded, "scope").with_retry_after(wait)
            }
        }
    }

    /// Scopes are hashed under the region's own salt, whichever secret is in force.
    #[inline]
    pub(super) fn scope_hash(&self, scope: Scope<'_>) -> u64 {
        if is_guest(scope) { GUEST } else { self.scopes.scope_hash(scope) }
    }
}

/// Scopes that had no quota when they were looked up last. Without it each new record of one would
/// walk past the entries of all who ever had one.
struct Unnamed(Box<[AtomicU64]>);

impl Unnamed {
    fn new() -> Self {
        Self((0..UNNAMED).map(|_| AtomicU64::new(0)).collect())
    }

    /// Whether the scope that hashes to `hash` had none when `quotas` had been set.
    fn knows(&self, hash: u64, quotas: u64) -> bool {
        // Relaxed: the word is all there is to it.
        self.of(hash).load(Ordering::Relaxed) == Self::word(hash, quotas)
    }

    fn note(&self, hash: u64, quotas: u64) {
        // Relaxed: as above.
        self.of(hash).store(Self::word(hash, quotas), Ordering::Relaxed);
    }

    fn of(&self, hash: u64) -> &AtomicU64 {
        &self.0[hash as usize % UNNAMED]
    }

    /// Both in one word: hashes are salted, so that nobody can look for two that make one.
    fn word(hash: u64, quotas: u64) -> u64 {
        hash ^ quotas.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

fn is_guest(scope: Scope<'_>) -> bool {
    scope.is_unauthenticated()
}

fn too_many_scopes() -> Error {
    Error::of(ErrorCode::QuotaExceeded, "scopes")
}

/// For so many milliseconds a call waits for another process that sets a quota.
const PATIENCE: usize = 1_000;
/// What the header says where scopes are looked up, and no quota was set yet.
const FIRST: u64 = 2;
/// Scopes without a quota that are remembered.
const UNNAMED: usize = 256;
const MIN_RATE: f64 = 0.001;
const MAX_RATE: f64 = 1e9;
