//! Tending: the sweep, driven by callers or by a thread that was asked for.

use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use super::thread::OwnThread;
use crate::config::{YEAR, check_duration};
use crate::error::{Error, ErrorCode};
use crate::region::WAYS;
use crate::sync::Ordering;
use crate::table::slot::{Kind, Lapse};
use crate::table::{Found, Lapsed, Met, Open, PART, Rules};

/// What one call of [`Engine::sweep`] did.
///
/// ```
/// let engine = oncegate::Engine::builder().capacity(1_000).build()?;
/// assert_eq!(engine.sweep(64)?.cleared, 0);
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// Slots that were visited.
    pub visited: usize,
    /// Records that were over, and are gone.
    pub cleared: usize,
    /// Leases that were found lapsed.
    pub lapsed: usize,
}

impl Engine {
    /// Visits at least `slots` slots, in turn: clears records that are over, closes leases that
    /// have lapsed, and wakes those who wait for such records.
    ///
    /// Needed only where nothing else comes by: every new record tends the two sets that it
    /// touches, and now and then others. Costs about 10 ns a slot. Rounds up to eight slots, and
    /// visits none twice.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Forked`] in a forked child.
    ///
    /// ```
    /// use std::time::Duration;
    /// use oncegate::{Admission, Engine, ManualClock, Outcome, Request, Scope};
    ///
    /// let clock = ManualClock::new();
    /// let engine = Engine::builder().capacity(1_000).clock(clock.clone()).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// if let Admission::Admitted(lease) = engine.begin(&request)? {
    ///     lease.complete(&Outcome::new(200, b"done"))?;
    /// }
    /// clock.advance(Duration::from_secs(24 * 3600));
    /// assert_eq!(engine.sweep(usize::MAX)?.cleared, 1);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn sweep(&self, slots: usize) -> Result<Swept, Error> {
        self.enter()?;
        let rules = self.rules();
        self.watch_file(rules.now_ms)?;
        let parts = slots.div_ceil(PART).min(self.table.parts());
        let mut swept = Swept { visited: parts * PART, ..Swept::default() };
        for _ in 0..parts {
            self.sweep_next(&rules, &mut swept);
        }
        Ok(swept)
    }

    /// Starts a thread that sweeps the whole table once in each `period`.
    ///
    /// It lets waiting futures notice a lapsed lease at most `period` late. It ends, and is
    /// joined, when the [`Ticker`] is dropped; dropping it in a forked child joins nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidOption`]: a period below 1 ms or above a year.
    /// [`ErrorCode::NoMemory`]: the thread was refused. [`ErrorCode::Forked`].
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use oncegate::Engine;
    ///
    /// let engine = Arc::new(Engine::builder().capacity(1_000).build()?);
    /// let ticker = engine.ticker(Duration::from_millis(50))?;
    /// drop(ticker);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn ticker(self: &Arc<Self>, period: Duration) -> Result<Ticker, Error> {
        self.enter()?;
        check_duration(ErrorCode::InvalidOption, "period", period, YEAR)?;
        let engine = Arc::clone(self);
        let thread = OwnThread::start("ticker", move |stopped| {
            loop {
                // It may return early: then there is one sweep more.
                std::thread::park_timeout(period);
                // Relaxed: whoever unparks this thread has stored it before.
                if stopped.load(Ordering::Relaxed) || engine.sweep(usize::MAX).is_err() {
                    return;
                }
            }
        })?;
        Ok(Ticker { _thread: thread })
    }

    /// Sweeps the next `parts` parts.
    pub(super) fn sweep_parts(&self, parts: usize, rules: &Rules) {
        (0..parts).for_each(|_| self.sweep_next(rules, &mut Swept::default()));
    }

    /// Tends a little, after a new record of this thread.
    pub(super) fn after_creation(&self) {
        if self.counters.own_admitted() % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.sweep_next(&self.rules(), &mut Swept::default());
        }
        self.watch_fill();
    }

    /// Clears what is over in `set` and in some sets in turn, for the scope of `entry`, which is at
    /// its quota.
    pub(super) fn tend_for_quota(&self, entry: u16, set: Option<usize>, rules: &Rules) {
        self.bury_for_quota(entry, rules);
        let mut swept = Swept::default();
        let parts = set.into_iter().flat_map(|set| set * WAYS / PART..(set + 1) * WAYS / PART);
        for part in parts {
            self.table.sweep_part(part, rules, |met| self.see_to(met, rules, &mut swept));
        }
        for _ in 0..SWEPT_FOR_QUOTA {
            self.sweep_next(rules, &mut swept);
        }
    }

    /// Sweeps every set, whatever other sweeps are under way.
    pub(super) fn sweep_all(&self, rules: &Rules) {
        let mut swept = Swept::default();
        for part in 0..self.table.parts() {
            self.table.sweep_part(part, rules, |met| self.see_to(met, rules, &mut swept));
        }
    }

    fn sweep_next(&self, rules: &Rules, swept: &mut Swept) {
        self.table.note_time(rules.now_ms);
        let part = self.table.next_part();
        self.table.sweep_part(part, rules, |met| self.see_to(met, rules, swept));
    }

    pub(super) fn see_to(&self, met: Met, rules: &Rules, swept: &mut Swept) {
        match met {
            Met::Nothing => {}
            Met::Cleared => swept.cleared += 1,
            Met::Due(found) => self.hand_over(found.slot),
            Met::Unknown(found) => self.note_unknown(found),
            Met::Lapsed(found) => {
                let closed = self.table.close_lease(found.slot, found.seen, rules);
                swept.lapsed += usize::from(self.see_to_lapse(found, closed));
            }
            Met::Unsettled(found) => {
                if let Some(entry) = self.table.redriven(found.slot, found.seen) {
                    return self.carry_out_redrive(found, entry, rules);
                }
                self.open_window(found, rules);
            }
        }
    }
}

impl Engine {
    /// Writes the window of a finished record whose finisher was paused, or killed, before he did.
    pub(super) fn settle_window(&self, found: Found) {
        let Found { slot, seen } = found;
        let deadline = self.table.slot(slot).deadline();
        let unsettled = deadline.kind != Kind::Window;
        if seen.state().is_finished() && deadline.belongs_to(seen.fence()) && unsettled {
            self.open_window(found, &self.rules());
        }
    }

    fn open_window(&self, found: Found, rules: &Rules) {
        let Found { slot, seen } = found;
        let decided = self.decided(self.table.slot(slot).outcome(), slot, seen.fence());
        let window = decided.map_or(self.longest_window_ms(), |(_, window)| window.ms());
        self.table.open_window(slot, seen, rules.now_ms.saturating_add(window));
    }

    /// Sees to an attempt whose lease was to be closed. True: it has lapsed.
    pub(super) fn see_to_lapse(&self, found: Found, closed: Result<Lapsed, Open>) -> bool {
        let policy = match closed {
            Ok(Lapsed(policy)) => policy,
            Err(Open::Ending) => {
                self.help(found);
                return false;
            }
            Err(Open::Until(_) | Open::Changed) => return false,
        };
        if self.finish_left(found) {
            return true;
        }
        if let Ok(Some(entry)) = self.table.entry_of(found.slot, found.seen)
            && self.table.is_scheduled(entry)
        {
            if self.leaves_lapse(entry) {
                // Whoever looks after attempts sees to it.
                self.announce(entry, self.now_ms());
            } else {
                // Nothing is to be cleaned up here, so that no room is needed.
                let _ = self.lapse_retried(found, entry, policy, &self.rules());
            }
            return true;
        }
        self.lapse(found, policy);
        if policy == Lapse::Reclaim && found.seen.waiters() {
            // The waiter that is woken takes the record over.
            self.hand_over(found.slot);
        }
        true
    }

    /// Notices now and then whether the table's file is gone: whoever opens the path then has
    /// another table.
    #[inline(always)]
    pub(super) fn watch_file(&self, now_ms: u64) -> Result<(), Error> {
        if self.region.is_shared() { self.look_for_file(now_ms) } else { Ok(()) }
    }

    #[inline(never)]
    fn look_for_file(&self, now_ms: u64) -> Result<(), Error> {
        // Relaxed, both: two looks at once do no harm.
        let last = self.looked_ms.load(Ordering::Relaxed);
        if now_ms >= last.saturating_add(LOOK_EVERY_MS) {
            self.looked_ms.store(now_ms, Ordering::Relaxed);
            if self.region.is_removed() {
                self.fork.lose();
                return self.enter();
            }
        }
        Ok(())
    }
}

/// A thread that sweeps an engine. Dropping it ends and joins the thread.
///
/// Made by [`Engine::ticker`].
///
/// ```
/// # use std::{sync::Arc, time::Duration};
/// # use oncegate::{Engine, Ticker};
/// let engine = Arc::new(Engine::builder().capacity(1_000).build()?);
/// let ticker: Ticker = engine.ticker(Duration::from_millis(50))?;
/// drop(ticker); // the thread is gone
/// # Ok::<(), oncegate::Error>(())
/// ```
#[must_use = "a ticker that is dropped stops"]
#[derive(Debug)]
pub struct Ticker {
    _thread: OwnThread,
}

/// The file of a table is looked for once in a second.
const LOOK_EVERY_MS: u64 = 1_000;
/// One new record in so many sweeps one part more.
const SWEEP_EVERY: u64 = 32;
/// How many parts a refused scope sweeps: a microsecond's work.
const SWEPT_FOR_QUOTA: usize = 16;
