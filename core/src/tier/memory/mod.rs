//! A tier in memory: what the contract means, and a store for tests.
//!
//! | file | what it owns |
//! |---|---|
//! | `record` | one record, and what its holder may do with it |
//! | `store` | the records, and what each operation does to them |
//! | `fault` | what a test lets go wrong |

mod fault;
mod record;
mod store;

pub use fault::Fault;

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;

use self::fault::{Script, refused, unanswered};
use self::store::{Limits, Moment, Store};
use super::{
    Claim, Claimed, End, Ended, Ending, Hazard, Letter, Orphan, Renewal, Renewed, Session,
    Sighting, TableId, Tier, TierError, TierErrorKind, TierKey, Watcher,
};
use crate::clock::{Clock, CoarseClock};
use crate::sync::Ordering;
use crate::sync::plain::{AtomicBool, Mutex, MutexGuard};

/// A tier in the memory of this process, for tests: several engines share one by their clones.
///
/// It keeps what it is told until that is over, and no longer than the process lives; so it is no
/// store for production. All its operations take one lock, and none waits for anything else.
///
/// A clone shares the records, the clock and the faults, and joins sessions for itself: give each
/// engine one of its own. A forked child has a copy of everything, which it shares with nobody.
///
/// ```
/// use std::time::Duration;
/// use oncegate::ManualClock;
/// use oncegate::tier::{Memory, Tier};
///
/// let clock = ManualClock::new();
/// let memory = Memory::with_clock(clock.clone());
/// let (one, other) = (memory.clone(), memory.clone());
/// let session = one.session(Duration::from_secs(1))?;
/// assert_eq!(session, other.session(Duration::from_secs(1))?);
///
/// memory.forget_all();
/// assert!(one.session(Duration::from_secs(1))?.lost);
/// # Ok::<(), oncegate::tier::TierError>(())
/// ```
pub struct Memory {
    shared: Arc<Shared>,
    /// The session that this clone has joined.
    joined: Mutex<Option<u64>>,
    /// Whether this clone is cut off from the store.
    cut_off: AtomicBool,
}

/// What all clones share.
struct Shared {
    clock: Box<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    store: Store,
    session: u64,
    script: Script,
    watchers: FxHashMap<TableId, Arc<dyn Watcher>>,
}

/// What a [`Memory`] had at one moment, for it to go back to.
///
/// ```
/// # use oncegate::tier::Memory;
/// let memory = Memory::new();
/// let before = memory.snapshot();
/// memory.fail_over(&before);
/// ```
#[derive(Clone)]
pub struct Snapshot(Store);

impl Memory {
    /// An empty store on the system's coarse clock, for at most a million records, with outcomes of
    /// at most a mebibyte.
    ///
    /// ```
    /// # use oncegate::tier::Memory;
    /// assert!(Memory::new().is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(CoarseClock)
    }

    /// The same on another clock. Its [`now`](Clock::now) is what leases, delays and windows are
    /// measured by; fencing tokens come from its [`unix_time`](Clock::unix_time).
    ///
    /// ```
    /// use oncegate::ManualClock;
    /// use oncegate::tier::Memory;
    ///
    /// let clock = ManualClock::new();
    /// let memory = Memory::with_clock(clock.clone());
    /// # let _ = memory;
    /// ```
    #[must_use]
    pub fn with_clock(clock: impl Clock + 'static) -> Self {
        let limits = Limits { records: MAX_RECORDS, outcome_bytes: MAX_OUTCOME_BYTES, letters: 0 };
        let state = State {
            store: Store::new(limits),
            session: 1,
            script: Script::default(),
            watchers: FxHashMap::default(),
        };
        let shared = Shared { clock: Box::new(clock), state: Mutex::new(state) };
        Self { shared: Arc::new(shared), joined: Mutex::new(None), cut_off: AtomicBool::new(false) }
    }

    /// How many records it takes. One more is refused by [`TierErrorKind::Unavailable`]; records
    /// that are over make room.
    ///
    /// ```
    /// # use oncegate::tier::Memory;
    /// let memory = Memory::new().max_records(100);
    /// # let _ = memory;
    /// ```
    #[must_use]
    pub fn max_records(self, records: usize) -> Self {
        self.state().store.limits_mut().records = records;
        self
    }

    /// The largest outcome that it keeps, by
    /// [`Outcome::stored_bytes`](crate::Outcome::stored_bytes). Of a larger one the status is lost
    /// too: duplicates get `OutcomeGone`.
    ///
    /// ```
    /// # use oncegate::tier::Memory;
    /// let memory = Memory::new().max_outcome_bytes(64 * 1024);
    /// # let _ = memory;
    /// ```
    #[must_use]
    pub fn max_outcome_bytes(self, bytes: usize) -> Self {
        self.state().store.limits_mut().outcome_bytes = bytes;
        self
    }

    /// How many dead letters its log keeps. Default: none; see [`letters`](Self::letters). Each one
    /// that is entered is compared with all of them. Say so before an engine is built with it.
    ///
    /// ```
    /// # use oncegate::tier::{Memory, Tier};
    /// assert!(Memory::new().dead_letters(100).keeps_letters());
    /// assert!(!Memory::new().keeps_letters());
    /// ```
    #[must_use]
    pub fn dead_letters(self, most: usize) -> Self {
        self.state().store.limits_mut().letters = most;
        self
    }

    /// The log of dead letters, oldest first.
    ///
    /// ```
    /// # use oncegate::tier::Memory;
    /// assert!(Memory::new().dead_letters(100).letters().is_empty());
    /// ```
    #[must_use]
    pub fn letters(&self) -> Vec<Letter> {
        self.state().store.letters()
    }

    /// How many records it has, those that are over and not yet cleared included.
    ///
    /// ```
    /// # use oncegate::tier::Memory;
    /// assert_eq!(Memory::new().len(), 0);
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.state().store.len()
    }

    /// Whether it has none.
    ///
    /// ```
    /// # use oncegate::tier::Memory;
    /// assert!(Memory::new().is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets the next `times` operations fail so, of whichever clone they are; after those that were
    /// asked for before. Each claim of [`claim_all`](Tier::claim_all) is one, and so on;
    /// [`watch`](Tier::watch) is none.
    ///
    /// ```
    /// use std::time::Duration;
    /// use oncegate::tier::{Fault, Memory, Tier, TierErrorKind};
    ///
    /// let memory = Memory::new();
    /// memory.fault(Fault::LoseReply, 2);
    /// let error = memory.session(Duration::ZERO).unwrap_err();
    /// assert_eq!(error.kind(), TierErrorKind::Unknown);
    /// ```
    pub fn fault(&self, fault: Fault, times: usize) {
        self.state().script.add(fault, times);
    }

    /// Cuts this clone off from the store, or joins it again: what goes wrong with one host alone.
    /// All its operations are refused meanwhile, and it hears nothing of what changes.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use oncegate::tier::{Memory, Tier};
    ///
    /// let memory = Memory::new();
    /// let host = Arc::new(memory.clone()); // and `Engine::builder().tier(Arc::clone(&host))`
    /// host.cut_off(true);
    /// assert!(host.session(Duration::ZERO).is_err() && memory.session(Duration::ZERO).is_ok());
    /// ```
    pub fn cut_off(&self, away: bool) {
        // Relaxed: it orders nothing.
        self.cut_off.store(away, Ordering::Relaxed);
    }

    fn is_cut_off(&self) -> bool {
        self.cut_off.load(Ordering::Relaxed)
    }

    /// Whatever faults were still to come do not.
    ///
    /// ```
    /// use std::time::Duration;
    /// use oncegate::tier::{Fault, Memory, Tier};
    ///
    /// let memory = Memory::new();
    /// memory.fault(Fault::Refuse, 1_000);
    /// memory.clear_faults();
    /// assert!(memory.session(Duration::ZERO).is_ok());
    /// ```
    pub fn clear_faults(&self) {
        self.state().script.clear();
    }

    /// Forgets everything: the records, the tables, the fencing tokens. Sessions are over, and
    /// [`Session::lost`] tells whoever had joined one.
    ///
    /// ```
    /// use std::time::Duration;
    /// use oncegate::tier::{Memory, Tier};
    ///
    /// let memory = Memory::new();
    /// memory.session(Duration::ZERO)?;
    /// memory.forget_all();
    /// assert!(memory.session(Duration::ZERO)?.lost);
    /// # Ok::<(), oncegate::tier::TierError>(())
    /// ```
    pub fn forget_all(&self) {
        let mut state = self.state();
        let limits = *state.store.limits_mut();
        self.goes_on_as(&mut state, Store::new(limits));
    }

    /// What it has now, for [`fail_over`](Self::fail_over). Copies everything.
    ///
    /// ```
    /// # use oncegate::tier::Memory;
    /// let snapshot = Memory::new().snapshot();
    /// # let _ = snapshot;
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.state().store.clone())
    }

    /// Goes back to what it had: the store has failed over to a replica that lacked the last
    /// writes. Time does not go back. Sessions are over, as after [`forget_all`](Self::forget_all).
    ///
    /// ```
    /// use std::time::Duration;
    /// use oncegate::tier::{Memory, Tier};
    ///
    /// let memory = Memory::new();
    /// let before = memory.snapshot();
    /// memory.session(Duration::ZERO)?;
    /// memory.fail_over(&before);
    /// assert!(memory.session(Duration::ZERO)?.lost);
    /// # Ok::<(), oncegate::tier::TierError>(())
    /// ```
    pub fn fail_over(&self, to: &Snapshot) {
        let mut state = self.state();
        self.goes_on_as(&mut state, to.0.clone());
    }

    fn goes_on_as(&self, state: &mut State, store: Store) {
        state.store = store;
        state.store.came_back(self.moment());
        state.session += 1;
        // Under the lock: a watcher must not call the tier.
        state.watchers.values().for_each(|watcher| watcher.may_have_missed());
    }

    /// Carries out one operation, or lets it fail as the test asked for, and tells who watches.
    fn operate<T>(
        &self,
        operation: impl FnOnce(&mut State, Moment) -> Result<T, TierError>,
    ) -> Result<T, TierError> {
        if self.is_cut_off() {
            return Err(refused());
        }
        let mut state = self.state();
        let fault = state.script.next();
        if fault == Some(Fault::Refuse) {
            return Err(refused());
        }
        let answer = operation(&mut state, self.moment());
        let mut notices = state.store.take_notices();
        if fault == Some(Fault::LoseNotices) {
            notices.clear();
        }
        let hear: Vec<(Arc<dyn Watcher>, TierKey)> = notices
            .into_iter()
            .filter_map(|(table, key)| Some((Arc::clone(state.watchers.get(&table)?), key)))
            .collect();
        drop(state);
        hear.into_iter().for_each(|(watcher, key)| watcher.changed(key));
        if fault == Some(Fault::LoseReply) { Err(unanswered()) } else { answer }
    }

    fn moment(&self) -> Moment {
        let clock = &self.shared.clock;
        let unix_ms = u64::try_from(clock.unix_time().as_millis()).unwrap_or(u64::MAX);
        Moment { now: clock.now(), unix_ms }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tier for Memory {
    fn session(&self, _within: Duration) -> Result<Session, TierError> {
        let id = self.operate(|state, _| Ok(state.session))?;
        let before = self.joined.lock().unwrap_or_else(PoisonError::into_inner).replace(id);
        Ok(Session { id, lost: before.is_some_and(|before| before != id) })
    }

    fn claim(&self, claim: &Claim, _within: Duration) -> Result<Claimed, TierError> {
        self.operate(|state, at| {
            if claim.session != state.session {
                let what = "the store has forgotten records";
                return Err(TierError::new(TierErrorKind::SessionOver, what));
            }
            state.store.claim(claim, at)
        })
    }

    fn renew(&self, renewal: &Renewal, _within: Duration) -> Result<Renewed, TierError> {
        self.operate(|state, at| state.store.renew(renewal, at))
    }

    fn end(&self, ending: &Ending<'_>, _within: Duration) -> Result<Ended, TierError> {
        self.operate(|state, at| state.store.end(ending, at))
    }

    fn settle(&self, key: TierKey, end: &End<'_>, _within: Duration) -> Result<Ended, TierError> {
        self.operate(|state, at| Ok(state.store.settle(key, end, at)))
    }

    fn read(&self, key: TierKey, _within: Duration) -> Result<Option<Sighting>, TierError> {
        self.operate(|state, at| Ok(state.store.read(key, at)))
    }

    fn watch(&self, table: TableId, watcher: Arc<dyn Watcher>) -> Result<(), TierError> {
        self.state().watchers.insert(table, watcher);
        Ok(())
    }

    fn beat(
        &self,
        table: TableId,
        lasts: Duration,
        _within: Duration,
    ) -> Result<Vec<Hazard>, TierError> {
        self.operate(|state, at| Ok(state.store.beat(table, lasts, at)))
    }

    fn orphans(&self, limit: usize, _within: Duration) -> Result<Vec<Orphan>, TierError> {
        self.operate(|state, at| Ok(state.store.orphans(limit, at)))
    }

    fn keeps_letters(&self) -> bool {
        self.state().store.limits_mut().letters > 0
    }

    fn log_letters(&self, letters: &[Letter], _within: Duration) -> Vec<Result<(), TierError>> {
        let log = |letter| {
            self.operate(|state, _| {
                state.store.log(letter);
                Ok(())
            })
        };
        letters.iter().map(log).collect()
    }
}

impl Clone for Memory {
    /// Shares everything but the session, which each clone joins for itself.
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            joined: Mutex::new(None),
            cut_off: AtomicBool::new(false),
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("records", &self.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("records", &self.0.len()).finish_non_exhaustive()
    }
}

const MAX_RECORDS: usize = 1_000_000;
const MAX_OUTCOME_BYTES: usize = 1 << 20;

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
