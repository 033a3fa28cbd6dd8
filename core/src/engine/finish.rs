//! Finish: how an attempt ends, by its holder or by its lapse.

use std::time::Duration;

use super::begin::{SAMPLE_EVERY, nanos_since};
use super::{Engine, LeaseToken, OnDrop, millis_up};
use crate::clock::{Clock, PreciseClock};
use crate::config::{YEAR, check_duration};
use crate::error::{Error, ErrorCode};
use crate::observe::Event;
use crate::outcome::Outcome;
use crate::sync::planted::Bug;
use crate::table::control::{Snapshot, State};
use crate::table::{Found, LAST_RETRIED};

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
    /// Duplicates on this host get the outcome. The tier could not be reached; it is told as soon
    /// as it can be, and until then another host may run the request again once the lease has
    /// lapsed there.
    StoredHere,
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
pub struct Failure(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Retryable(Duration),
    Terminal(Outcome),
    Unknown,
}

impl Failure {
    /// The next attempt may start at once, of a record that the engine retries, too: leave that to
    /// its policy by [`retry_later`](Engine::retry_later). If others wait, one of them gets it.
    ///
    /// ```
    /// let _ = oncegate::Failure::retryable();
    /// ```
    #[must_use]
    pub fn retryable() -> Self {
        Self(Kind::Retryable(Duration::ZERO))
    }

    /// The next attempt may start after `delay`, at most a year.
    ///
    /// ```
    /// let _ = oncegate::Failure::retryable_after(std::time::Duration::from_secs(1));
    /// ```
    #[must_use]
    pub fn retryable_after(delay: Duration) -> Self {
        Self(Kind::Retryable(delay))
    }

    /// It failed for good; duplicates get `outcome`.
    ///
    /// ```
    /// let _ = oncegate::Failure::terminal(oncegate::Outcome::new(400, b"no such account"));
    /// ```
    #[must_use]
    pub fn terminal(outcome: Outcome) -> Self {
        Self(Kind::Terminal(outcome))
    }

    /// Nobody knows whether it took effect; it never runs again until it is resolved.
    ///
    /// ```
    /// let _ = oncegate::Failure::unknown();
    /// ```
    #[must_use]
    pub fn unknown() -> Self {
        Self(Kind::Unknown)
    }

    pub(super) fn kind(&self) -> &Kind {
        &self.0
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        match &self.0 {
            Kind::Retryable(delay) if !delay.is_zero() => {
                let delay = (*delay).max(Duration::from_millis(1));
                check_duration(ErrorCode::InvalidOption, "delay", delay, YEAR)
            }
            _ => Ok(()),
        }
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
    /// nothing was changed. [`ErrorCode::TierUnavailable`]: the lease was lost here while the tier
    /// gave no answer; the end is told later, and whether it counts, duplicates will hear.
    /// [`ErrorCode::Forked`] in a forked child.
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
        let completed = self.complete_held(token, outcome);
        self.settle_token(token, &completed, true);
        completed
    }

    /// [`complete`](Self::complete) without blocking on the tier, where there is one. On any
    /// runtime. A future that is dropped before it is ready has ended the attempt all the same.
    ///
    /// # Errors
    ///
    /// As [`complete`](Self::complete).
    ///
    /// ```
    /// # use oncegate::{Completed, Engine, Error, LeaseToken, Outcome};
    /// async fn done(engine: &Engine, token: &LeaseToken) -> Result<Completed, Error> {
    ///     engine.complete_async(token, &Outcome::new(204, b"")).await
    /// }
    /// # let _ = done;
    /// ```
    pub async fn complete_async(
        &self,
        token: &LeaseToken,
        outcome: &Outcome,
    ) -> Result<Completed, Error> {
        let Some(fleet) = &self.fleet else { return self.complete(token, outcome) };
        self.enter()?;
        let completed = self.finish_in_fleet_async(fleet, token, outcome).await;
        self.settle_token(token, &completed, true);
        completed
    }

    /// [`fail`](Self::fail) without blocking on the tier, where there is one. As
    /// [`complete_async`](Self::complete_async).
    ///
    /// # Errors
    ///
    /// As [`fail`](Self::fail).
    ///
    /// ```
    /// # use oncegate::{Engine, Error, Failure, LeaseToken};
    /// async fn again(engine: &Engine, token: &LeaseToken) -> Result<(), Error> {
    ///     engine.fail_async(token, Failure::retryable()).await
    /// }
    /// # let _ = again;
    /// ```
    pub async fn fail_async(&self, token: &LeaseToken, failure: Failure) -> Result<(), Error> {
        let Some(fleet) = &self.fleet else { return self.fail(token, failure) };
        self.enter()?;
        failure.check()?;
        let failed = self.fail_in_fleet_async(fleet, token, failure).await;
        self.settle_token(token, &failed, false);
        failed
    }

    /// [`complete`](Self::complete) for a guard, which knows what it is to the budgets.
    pub(super) fn complete_held(
        &self,
        token: &LeaseToken,
        outcome: &Outcome,
    ) -> Result<Completed, Error> {
        self.enter()?;
        let timed = self.counters.own(Event::Completed).is_multiple_of(SAMPLE_EVERY);
        let started = timed.then(|| PreciseClock.now());
        let completed = match &self.fleet {
            Some(fleet) => self.finish_in_fleet(fleet, token, outcome)?,
            None => self.finish(token, outcome, State::Succeeded)?,
        };
        if let Some(started) = started {
            self.complete_latency.record(nanos_since(started));
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
        let failed = self.fail_held(token, failure);
        self.settle_token(token, &failed, false);
        failed
    }

    /// [`fail`](Self::fail) for a guard.
    pub(super) fn fail_held(&self, token: &LeaseToken, failure: Failure) -> Result<(), Error> {
        self.enter()?;
        failure.check()?;
        match &self.fleet {
            Some(fleet) => self.fail_in_fleet(fleet, token, failure),
            None => self.fail_here(token, failure),
        }
    }

    /// Ends the attempt without success, in this table.
    pub(super) fn fail_here(&self, token: &LeaseToken, failure: Failure) -> Result<(), Error> {
        match failure.0 {
            Kind::Terminal(outcome) => self.finish(token, &outcome, State::Failed).map(|_| ()),
            Kind::Unknown => self.give_up(token),
            Kind::Retryable(delay) => self.retry_after(token, delay),
        }
    }

    /// Gives the attempt back: it did nothing, and the next one may start at once, of a record that
    /// the engine retries, too. It counts as an attempt all the same: once one of them fails, those
    /// that were given back are among the [`max_attempts`](crate::RetryPolicy::max_attempts) of its
    /// policy.
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
    /// [`ErrorCode::TierUnavailable`]: the tier gave no answer; the lease lasts as long as before.
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

    #[inline]
    pub(super) fn renew_until(&self, token: &LeaseToken, duration: Duration) -> Result<u64, Error> {
        self.enter()?;
        check_duration(ErrorCode::InvalidOption, "lease_duration", duration, YEAR)?;
        let (slot, seen) = self
            .held(token)
            .filter(|(_, seen)| seen.state() == State::Running)
            .ok_or_else(|| self.fenced())?;
        let until_ms = match &self.fleet {
            Some(fleet) => self.renew_in_fleet(fleet, token, Found { slot, seen }, duration)?,
            None => self.now_ms().saturating_add(millis_up(duration)),
        };
        let is_retried = token.may_be_retry() && self.table.retries_any();
        let sooner = is_retried && until_ms < self.table.slot(slot).deadline().at_ms;
        if !self.table.renew(slot, seen, until_ms) {
            return Err(self.fenced());
        }
        if sooner {
            self.ends_sooner(Found { slot, seen }, until_ms);
        }
        if self.table.slot(slot).control().load().waiters() {
            // They count on the lease as it was.
            self.waiters.wake_sooner(slot, until_ms);
        }
        Ok(until_ms)
    }

    /// What a dropped lease does.
    pub(super) fn drop_lease(&self, token: &LeaseToken) {
        if !self.fork.is_own() {
            // The lease is the parent's.
            return;
        }
        self.tell_dropped(token);
        // A lease that was taken over meanwhile needs nothing from its former holder.
        let _ = match self.defaults.on_drop {
            OnDrop::Retry => self.retry_dropped(token),
            OnDrop::Unknown => self.give_up(token),
            OnDrop::Failed => {
                let outcome = Outcome::new(super::options::DROPPED_STATUS, []);
                self.finish(token, &outcome, State::Failed).map(|_| ())
            }
            OnDrop::KeepLease => Ok(()),
        };
    }

    /// What the engine retries goes on by its policy: a drop is a failure, and where a payload
    /// makes each attempt fail that way, they have to come to an end.
    fn retry_dropped(&self, token: &LeaseToken) -> Result<(), Error> {
        let (slot, seen) = self.held(token).ok_or_else(|| self.fenced())?;
        if !self.is_scheduled(slot, seen) || Bug::DropUnpaid.is_planted() {
            return self.retry_after(token, Duration::ZERO);
        }
        self.go_on_after(token, "dropped");
        Ok(())
    }

    /// Tells the tier, when it can be reached, what a dropped lease does.
    fn tell_dropped(&self, token: &LeaseToken) {
        let Some((slot, seen)) = self.held(token).filter(|_| self.fleet.is_some()) else { return };
        let parcel = self.parcel_of_token(token);
        match self.defaults.on_drop {
            // What the scheduler decides it tells itself.
            OnDrop::Retry if self.is_scheduled(slot, seen) => {}
            OnDrop::Retry => self.tell_due(parcel),
            OnDrop::Unknown => self.tell_unknown(parcel),
            OnDrop::Failed => {
                self.tell_failed(parcel, &Outcome::new(super::options::DROPPED_STATUS, []));
            }
            OnDrop::KeepLease => {}
        }
    }

    /// Whether the engine looks after the next attempt of the one that was found.
    fn is_scheduled(&self, slot: usize, seen: Snapshot) -> bool {
        let entry = self.table.entry_of(slot, seen);
        matches!(entry, Ok(Some(entry)) if self.table.is_scheduled(entry))
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
        let completed = self.finish_at(slot, seen, outcome, state, token.window_ms);
        if completed.is_ok() {
            self.note_token_over(token, slot);
        }
        completed
    }

    fn retry_after(&self, token: &LeaseToken, delay: Duration) -> Result<(), Error> {
        let (slot, seen) = self.held(token).ok_or_else(|| self.fenced())?;
        if token.attempt >= LAST_RETRIED && self.is_scheduled(slot, seen) {
            // Nobody could start another, and it would wait for ever.
            self.go_on_after(token, "given back");
            return Ok(());
        }
        let rules = self.rules();
        let due_ms = rules.now_ms.saturating_add(millis_up(delay));
        let decided = if seen.state() == State::Unknown {
            self.table.set_due_unknown(slot, seen, due_ms)
        } else {
            self.table.set_due(slot, seen, due_ms)
        };
        if !decided {
            return Err(self.fenced());
        }
        // Whoever carries it out: it is decided.
        self.end_failing(Found { slot, seen }, due_ms, &rules);
        self.note_token_over(token, slot);
        Ok(())
    }

    /// The attempt of `token` has ended: the scheduler may have handed it out.
    #[inline]
    fn note_token_over(&self, token: &LeaseToken, slot: usize) {
        if token.may_be_retry() && self.table.retries_any() {
            self.note_retried_over(token, slot);
        }
    }

    #[inline(never)]
    fn note_retried_over(&self, token: &LeaseToken, slot: usize) {
        if let Some((_, fence)) = self.locate(token) {
            self.token_over(slot, fence);
        }
    }

    fn give_up(&self, token: &LeaseToken) -> Result<(), Error> {
        let (slot, mut seen) = self.held(token).ok_or_else(|| self.fenced())?;
        loop {
            if self.help(Found { slot, seen }) {
                return Err(self.fenced());
            }
            if seen.state() == State::Unknown {
                // It is what the caller says.
                return Ok(());
            }
            match self.table.end(slot, seen, State::Unknown) {
                Ok(unknown) => {
                    if seen.waiters() {
                        self.waiters.wake_all(slot);
                    }
                    self.note_token_over(token, slot);
                    self.note_unknown(Found { slot, seen: unknown });
                    return Ok(());
                }
                Err(now) if now.fence() == seen.fence() && is_open(now.state()) => seen = now,
                Err(_) => return Err(self.fenced()),
            }
        }
    }

    /// Takes back the attempt of `token`, as one that a tier has not granted, for the models.
    #[cfg(any(oncegate_loom, oncegate_shuttle))]
    #[doc(hidden)]
    pub fn take_back_token(&self, token: &LeaseToken) -> bool {
        self.held(token).is_some_and(|(slot, seen)| self.table.withdraw(slot, seen))
    }

    /// The slot of `token` and what its control word says, if the attempt has not ended.
    pub(super) fn held(&self, token: &LeaseToken) -> Option<(usize, Snapshot)> {
        let (slot, fence) = self.locate(token)?;
        let at = self.table.slot(slot);
        let seen = at.control().load();
        let attempt = fence.attempt(at.attempt());
        // A recorded number may be too high by four (see `Slot::raise_attempt`).
        let is_attempt = [attempt, attempt.wrapping_sub(4)].contains(&token.attempt);
        // A tier counts attempts of its own; the counter of the table is compared all the same.
        let is_attempt = is_attempt || token.counter != 0;
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
pub(super) fn is_open(state: State) -> bool {
    matches!(state, State::Running | State::Unknown)
}
