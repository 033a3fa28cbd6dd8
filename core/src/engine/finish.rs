//! Finish: how an attempt ends, by its holder or by its lapse.

use std::time::Duration;

use super::begin::{SAMPLE_EVERY, nanos};
use super::keep::Ending;
use super::{Engine, LeaseToken, OnDrop, millis_up};
use crate::clock::{Clock, PreciseClock};
use crate::config::{YEAR, check_duration};
use crate::error::{Error, ErrorCode};
use crate::observe::Event;
use crate::outcome::{Inline, Outcome, WindowCode, lapsed};
use crate::sync::planted::Bug;
use crate::table::control::{Fence, Snapshot, State};
use crate::table::slot::Lapse;
use crate::table::{Found, Rules};

/// What became of the outcome of a finished attempt.
///
/// ```
/// use oncegate::{Admission, Completed, Engine, Outcome, Request, Scope};
///
/// let engine = Engine::builder().capacity(1_000).outcome_limit(100).build()?;
/// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
/// let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
/// assert_eq!(lease.complete(&Outcome::new(200, [0; 500]))?, Completed::WithoutBytes);
/// assert!(matches!(engine.begin(&request)?, Admission::OutcomeGone));
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Completed {
    /// Duplicates get the outcome.
    Stored,
    /// The record is finished and never runs again inside its window, but the outcome was
    /// withheld, over the limit, or found no room: duplicates get `OutcomeGone`.
    WithoutBytes,
}

/// How an attempt failed.
///
/// ```
/// use std::time::Duration;
/// use oncegate::{Failure, Outcome};
///
/// let again = Failure::retryable_after(Duration::from_secs(2));
/// let never = Failure::terminal(Outcome::new(402, b"card declined"));
/// # let _ = (again, never);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(How);

#[derive(Clone, Debug, PartialEq, Eq)]
enum How {
    Retryable(Duration),
    Terminal(Outcome),
    Unknown,
}

impl Failure {
    /// The next attempt may start at once. If others wait, one of them gets it.
    ///
    /// ```
    /// let _ = oncegate::Failure::retryable();
    /// ```
    #[must_use]
    pub fn retryable() -> Self {
        Self(How::Retryable(Duration::ZERO))
    }

    /// The next attempt may start after `delay`, at most a year.
    ///
    /// ```
    /// let _ = oncegate::Failure::retryable_after(std::time::Duration::from_secs(1));
    /// ```
    #[must_use]
    pub fn retryable_after(delay: Duration) -> Self {
        Self(How::Retryable(delay))
    }

    /// It failed for good; duplicates get `outcome`.
    ///
    /// ```
    /// let _ = oncegate::Failure::terminal(oncegate::Outcome::new(400, b"no such account"));
    /// ```
    #[must_use]
    pub fn terminal(outcome: Outcome) -> Self {
        Self(How::Terminal(outcome))
    }

    /// Nobody knows whether it took effect; it never runs again until it is resolved.
    ///
    /// ```
    /// let _ = oncegate::Failure::unknown();
    /// ```
    #[must_use]
    pub fn unknown() -> Self {
        Self(How::Unknown)
    }
}

impl Engine {
    /// Ends the attempt with success; duplicates get `outcome` inside the dedup window.
    ///
    /// Costs the copy of the outcome and four compare-and-swaps on two lines.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Fenced`]: a newer attempt holds the record, or this one has ended already;
    /// nothing was changed. [`ErrorCode::Forked`] in a forked child.
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, Outcome, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// let token = lease.into_token();
    /// engine.complete(&token, &Outcome::new(200, b"done"))?;
    /// assert!(engine.complete(&token, &Outcome::new(500, b"")).unwrap_err().is_fenced());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn complete(&self, token: &LeaseToken, outcome: &Outcome) -> Result<Completed, Error> {
        self.fork.check()?;
        let timed = self.counters.own(Event::Completed).is_multiple_of(SAMPLE_EVERY);
        let started = timed.then(|| PreciseClock.now());
        let completed = self.finish(token, outcome, State::Succeeded)?;
        if let Some(started) = started {
            self.complete_latency.record(nanos(PreciseClock.now() - started));
        }
        Ok(completed)
    }

    /// Ends the attempt without success.
    ///
    /// # Errors
    ///
    /// As [`complete`](Self::complete), and [`ErrorCode::InvalidOption`] for a delay above a
    /// year.
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, Failure, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// engine.fail(&lease.into_token(), Failure::retryable())?;
    /// let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// assert_eq!(lease.attempt(), 2);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn fail(&self, token: &LeaseToken, failure: Failure) -> Result<(), Error> {
        self.fork.check()?;
        match failure.0 {
            How::Terminal(outcome) => self.finish(token, &outcome, State::Failed).map(|_| ()),
            How::Unknown => self.give_up(token),
            How::Retryable(delay) => {
                if !delay.is_zero() {
                    let code = ErrorCode::InvalidOption;
                    check_duration(code, "delay", delay.max(Duration::from_millis(1)), YEAR)?;
                }
                self.retry_after(token, delay)
            }
        }
    }

    /// Gives the attempt back: it did nothing, and the next one may start at once.
    ///
    /// # Errors
    ///
    /// As [`complete`](Self::complete).
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// engine.abandon(&lease.into_token())?;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn abandon(&self, token: &LeaseToken) -> Result<(), Error> {
        self.fail(token, Failure::retryable())
    }

    /// Lets the attempt run for `duration` from now on, and says until when, from now.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::Fenced`]: the lease is lost, because somebody noticed that it lapsed, or the
    /// attempt has ended. [`ErrorCode::InvalidOption`]: not between 1 ms and a year.
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, Request, Scope};
    /// # use std::time::Duration;
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// let token = lease.into_token();
    /// engine.renew(&token, Duration::from_secs(60))?;
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn renew(&self, token: &LeaseToken, duration: Duration) -> Result<Duration, Error> {
        self.renew_until(token, duration).map(|_| duration)
    }

    pub(super) fn renew_until(&self, token: &LeaseToken, duration: Duration) -> Result<u64, Error> {
        self.fork.check()?;
        check_duration(ErrorCode::InvalidOption, "lease_duration", duration, YEAR)?;
        let (slot, seen) = self
            .held(token)
            .filter(|(_, seen)| seen.state() == State::Running)
            .ok_or_else(|| self.fenced())?;
        let until_ms = self.now_ms().saturating_add(millis_up(duration));
        if !self.table.renew(slot, seen, until_ms) {
            return Err(self.fenced());
        }
        if self.table.slot(slot).control().load().waiters() {
            // They count on the lease as it was.
            self.waiters.wake_sooner(slot, until_ms);
        }
        Ok(until_ms)
    }

    /// What a dropped lease does.
    pub(super) fn drop_lease(&self, token: &LeaseToken) {
        if self.fork.check().is_err() {
            // The lease is the parent's.
            return;
        }
        // A lease that was taken over meanwhile needs nothing from its former holder.
        let _ = match self.defaults.on_drop {
            OnDrop::Retry => self.retry_after(token, Duration::ZERO),
            OnDrop::Unknown => self.give_up(token),
            OnDrop::Failed => {
                let outcome = Outcome::new(super::options::DROPPED_STATUS, []);
                self.finish(token, &outcome, State::Failed).map(|_| ())
            }
            OnDrop::KeepLease => Ok(()),
        };
    }

    /// Finishes the attempt of `token` with `outcome`.
    pub(super) fn finish(
        &self,
        token: &LeaseToken,
        outcome: &Outcome,
        state: State,
    ) -> Result<Completed, Error> {
        let (slot, seen) = self.held(token).ok_or_else(|| self.fenced())?;
        let state = if Bug::FailureSucceeds.is_planted() { State::Succeeded } else { state };
        self.finish_at(slot, seen, outcome, state, token.window_ms)
    }

    /// Finishes the attempt `seen`, which runs or is unknown: writes the block, refers to it,
    /// and then says so in the control word.
    pub(super) fn finish_at(
        &self,
        slot: usize,
        seen: Snapshot,
        outcome: &Outcome,
        state: State,
        window_ms: u64,
    ) -> Result<Completed, Error> {
        let rules = self.rules();
        let window_end = rules.now_ms.saturating_add(window_ms);
        let ending = Ending { state, window: WindowCode::new(window_ms), window_end };
        let kept = self.keep(slot, seen, outcome, ending, &rules);
        let seen = kept.seen;
        let ended = self.refer(slot, seen.fence(), kept.reference).and_then(|()| {
            let ended = if kept.writing {
                self.end_by(slot, seen, |from| self.table.end_written(slot, from, state))
            } else {
                self.end(slot, seen, state)
            };
            ended.inspect(|_| self.counters.add(Event::Completed))
        });
        if kept.writing && Bug::ReferredBeforeWritten.is_planted() {
            Inline::write(outcome, self.table.inline(slot));
        }
        if kept.writing && ended.is_none() {
            self.table.slot(slot).control().done_writing();
        }
        // A helper that came first has counted it.
        let ended = ended.or_else(|| self.helped(slot, seen.fence(), state, kept.reference));
        if let Some(ended) = ended {
            self.table.open_window(slot, ended, window_end);
        }
        let completed = kept.completed();
        if let Some(block) = kept.block {
            self.store.published(block);
        }
        ended.map(|_| completed).ok_or_else(|| self.fenced())
    }

    /// The record, if somebody else has ended the attempt as its holder decided.
    fn helped(&self, slot: usize, fence: Fence, state: State, reference: u64) -> Option<Snapshot> {
        let at = self.table.slot(slot);
        let now = at.control().load();
        let as_decided = now.fence() == fence && now.state() == state && at.outcome() == reference;
        as_decided.then_some(now)
    }

    /// Makes the record refer to `reference`, unless another call is finishing the same attempt.
    ///
    /// Two calls with one token, and the holder and its lapse, are arbitrated by the reference:
    /// the first one's outcome is the attempt's, and the other helps it to its end.
    fn refer(&self, slot: usize, fence: Fence, reference: u64) -> Option<()> {
        let at = self.table.slot(slot);
        loop {
            let current = at.outcome();
            let seen = at.control().load();
            if seen.fence() != fence || !is_open(seen.state()) {
                return None;
            }
            if let Some((failed, window)) = self.decided(current, slot, fence) {
                let state = if failed { State::Failed } else { State::Succeeded };
                let window_end = self.now_ms().saturating_add(window.ms());
                if let Some(ended) = self.end(slot, seen, state) {
                    self.table.open_window(slot, ended, window_end);
                    self.counters.add(Event::Completed);
                }
                return None;
            }
            if current == lapsed(fence) {
                self.end_lapsed(slot, seen);
                return None;
            }
            if at.change_outcome(current, reference).is_ok() {
                return Some(());
            }
        }
    }

    /// Ends the attempt `seen` in `state` and wakes whoever waits. `None`: it has ended before.
    pub(super) fn end(&self, slot: usize, seen: Snapshot, state: State) -> Option<Snapshot> {
        self.end_by(slot, seen, |from| self.table.end(slot, from, state))
    }

    fn end_by(
        &self,
        slot: usize,
        seen: Snapshot,
        end: impl Fn(Snapshot) -> Result<Snapshot, Snapshot>,
    ) -> Option<Snapshot> {
        let mut from = seen;
        loop {
            match end(from) {
                Ok(ended) => {
                    if from.waiters() {
                        self.waiters.wake_all(slot);
                    }
                    return Some(ended);
                }
                // A waiter announced itself, or the lapse made it unknown: the attempt is ours.
                Err(now) if now.fence() == seen.fence() && is_open(now.state()) => from = now,
                Err(_) => return None,
            }
        }
    }

    fn retry_after(&self, token: &LeaseToken, delay: Duration) -> Result<(), Error> {
        let (slot, seen) = self.held(token).ok_or_else(|| self.fenced())?;
        let rules = self.rules();
        let due_ms = rules.now_ms.saturating_add(millis_up(delay));
        let unknown = seen.state() == State::Unknown;
        let decided = if unknown {
            self.table.set_due_unknown(slot, seen, due_ms)
        } else {
            self.table.set_due(slot, seen, due_ms)
        };
        if !decided {
            return Err(self.fenced());
        }
        let ended = self.end_failing(Found { slot, seen }, due_ms, &rules);
        // Of a running attempt the deadline decided it, whoever has ended it since. Of an unknown
        // one it is the control word that decides between its holder and a resolver.
        if ended || !unknown { Ok(()) } else { Err(self.fenced()) }
    }

    /// Ends in `Waiting` an attempt whose deadline says that its holder gives it back. False:
    /// somebody else has ended it.
    pub(super) fn end_failing(&self, found: Found, due_ms: u64, rules: &Rules) -> bool {
        let Found { slot, mut seen } = found;
        let fence = seen.fence();
        if Bug::WokenTooEarly.is_planted() {
            self.hand_over(slot);
        }
        while let Err(now) = self.table.end(slot, seen, State::Waiting) {
            if now.fence() != fence || !is_open(now.state()) {
                return false;
            }
            seen = now;
        }
        let lost = Bug::HandOffLost.is_planted() || Bug::WokenTooEarly.is_planted();
        if !seen.waiters() || lost {
            return true;
        }
        if due_ms <= rules.now_ms {
            self.hand_over(slot);
        } else {
            // All look at the new due time; the first to find it passed gets the attempt.
            self.waiters.wake_all(slot);
        }
        true
    }

    /// Wakes the one waiter who gets the next attempt.
    pub(super) fn hand_over(&self, slot: usize) {
        if self.waiters.wake_one(slot) {
            self.counters.add(Event::HandOff);
        }
    }

    fn give_up(&self, token: &LeaseToken) -> Result<(), Error> {
        let (slot, seen) = self.held(token).ok_or_else(|| self.fenced())?;
        let running = seen.state() == State::Running;
        let ended = running.then(|| self.end(slot, seen, State::Unknown)).flatten();
        // An attempt that is unknown already is what the caller says.
        if ended.is_some() || !running { Ok(()) } else { Err(self.fenced()) }
    }

    /// Ends an attempt whose lease is closed, by its policy. Does nothing for `Reclaim`.
    pub(super) fn lapse(&self, found: Found, policy: Lapse) {
        let Found { slot, seen } = found;
        match policy {
            Lapse::Reclaim => {}
            Lapse::Unknown => {
                if self.table.end(slot, seen, State::Unknown).is_ok() {
                    self.counters.add(Event::Lapsed);
                    if seen.waiters() {
                        self.waiters.wake_all(slot);
                    }
                }
            }
            Lapse::Failed => {
                if Bug::LapseUnarbitrated.is_planted()
                    || self.refer(slot, seen.fence(), lapsed(seen.fence())).is_some()
                {
                    self.end_lapsed(slot, seen);
                }
            }
        }
    }

    /// Ends in `Failed` an attempt whose reference says that it lapsed.
    fn end_lapsed(&self, slot: usize, seen: Snapshot) {
        if let Some(ended) = self.end(slot, seen, State::Failed) {
            let window = millis_up(self.defaults.window);
            self.table.open_window(slot, ended, self.now_ms().saturating_add(window));
            self.counters.add(Event::Lapsed);
        }
    }

    /// The slot of `token` and what its control word says, if the attempt has not ended.
    fn held(&self, token: &LeaseToken) -> Option<(usize, Snapshot)> {
        let (slot, fence) = self.locate(token)?;
        let at = self.table.slot(slot);
        let seen = at.control().load();
        let attempt = fence.attempt(at.attempt());
        // A recorded number may be too high by four (see `Slot::raise_attempt`).
        let is_attempt = [attempt, attempt.wrapping_sub(4)].contains(&token.attempt);
        let is_mine = seen.fence() == fence && is_attempt || Bug::FenceNotCompared.is_planted();
        (is_mine && is_open(seen.state())).then_some((slot, seen))
    }

    pub(super) fn fenced(&self) -> Error {
        self.counters.add(Event::Fenced);
        Error::of(ErrorCode::Fenced, "lease")
    }

    /// Words of the largest block that may come.
    pub(super) fn largest_block(&self) -> usize {
        Outcome::new(0, []).stored_bytes() / size_of::<u64>()
            + self.outcome_limit.div_ceil(size_of::<u64>())
    }
}

/// Whether the holder of the attempt may still end it.
fn is_open(state: State) -> bool {
    matches!(state, State::Running | State::Unknown)
}
