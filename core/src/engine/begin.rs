//! Begin: a request asks to be run.

use std::time::Duration;

use super::decide::Answer;
use super::lease::Paid;
use super::millis_up;
use super::replay::{Glance, Hint};
use super::{Admission, BeginOptions, Engine, Lease, LeaseToken, OnConflict, Prepared, Status};
use crate::clock::{Clock, PreciseClock};
use crate::error::Error;
#[allow(unused_imports, reason = "links of the documentation")]
use crate::error::ErrorCode;
use crate::fingerprint::Request;
use crate::observe::Event;
use crate::outcome::Outcome;
use crate::sync::planted::Bug;

impl Engine {
    /// Asks to run `request`, with the engine's own options.
    ///
    /// Costs a keyed hash of the request, and a look-up that waits for memory once or twice.
    /// A replay allocates one buffer, for the outcome.
    ///
    /// # Errors
    ///
    /// The record, if there is one, is as it was: [`ErrorCode::InvalidKey`] by the key rules,
    /// [`ErrorCode::InvalidPayload`], [`ErrorCode::Full`], [`ErrorCode::QuotaExceeded`],
    /// [`ErrorCode::TooManyWaiters`], [`ErrorCode::Exhausted`], [`ErrorCode::Forked`]. With a tier:
    /// [`ErrorCode::TierUnavailable`] and [`ErrorCode::TierUnsafe`], and nothing is run. In a
    /// forked child the first call takes a place in the table that it shares with its parent, and
    /// there may be none: [`ErrorCode::RegistryFull`], [`ErrorCode::Os`].
    ///
    /// ```
    /// use oncegate::{Admission, Engine, Outcome, Request, Scope};
    ///
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// if let Admission::Admitted(lease) = engine.begin(&request)? {
    ///     lease.complete(&Outcome::new(200, b"done"))?;
    /// }
    /// let Admission::Replayed(outcome) = engine.begin(&request)? else { unreachable!() };
    /// assert_eq!(outcome.body(), b"done");
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn begin(&self, request: &Request<'_>) -> Result<Admission<'_>, Error> {
        self.begin_with(request, &BeginOptions::new())
    }

    /// [`begin`](Self::begin) with options of its own.
    ///
    /// # Errors
    ///
    /// As [`begin`](Self::begin), and [`ErrorCode::InvalidOption`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use oncegate::{BeginOptions, Engine, Request, Scope};
    ///
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let options = BeginOptions::new().lease_duration(Duration::from_secs(300));
    /// let admission = engine.begin_with(&request, &options)?;
    /// # drop(admission);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn begin_with(
        &self,
        request: &Request<'_>,
        options: &BeginOptions,
    ) -> Result<Admission<'_>, Error> {
        let prepared = self.prepare(request)?;
        self.begin_prepared(&prepared, options)
    }

    /// [`begin_with`](Self::begin_with) for a request that was prepared before.
    ///
    /// # Errors
    ///
    /// As [`begin_with`](Self::begin_with).
    ///
    /// ```
    /// # use oncegate::{BeginOptions, Engine, Request, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let prepared = engine.prepare(&request)?;
    /// let admission = engine.begin_prepared(&prepared, &BeginOptions::new())?;
    /// # drop(admission);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn begin_prepared(
        &self,
        prepared: &Prepared<'_>,
        options: &BeginOptions,
    ) -> Result<Admission<'_>, Error> {
        let mut outcome = Outcome::default();
        self.enter()?;
        options.check()?;
        let fresh;
        let prepared = if self.is_current(prepared) {
            prepared
        } else {
            fresh = self.refresh(prepared)?;
            &fresh
        };
        let answer = match self.glance(prepared, Hint::Nothing, || self.now_ms(), &mut outcome) {
            Glance::Replayed => return Ok(Admission::Replayed(outcome)),
            other if self.has_tier() => {
                self.answer_in_fleet(prepared, other, options, &mut outcome)?
            }
            other => self.answer(prepared, other, options, &mut outcome)?,
        };
        Ok(self.admission(answer, prepared, options, outcome))
    }

    /// [`begin_prepared`](Self::begin_prepared) with a replay into the caller's buffer, whose
    /// memory is used again: nothing is allocated once it has grown to the largest outcome.
    ///
    /// Unless the answer is `Replayed`, nothing is said about what `buffer` then holds.
    ///
    /// # Errors
    ///
    /// As [`begin_with`](Self::begin_with).
    ///
    /// ```
    /// use oncegate::{Admission, BeginOptions, Engine, Outcome, Request, Scope};
    ///
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let prepared = engine.prepare(&request)?;
    /// let (options, mut buffer) = (BeginOptions::new(), Outcome::default());
    /// if let Admission::Admitted(lease) = engine.begin_into(&prepared, &options, &mut buffer)? {
    ///     lease.complete(&Outcome::new(200, b"done"))?;
    /// }
    /// let again = engine.begin_into(&prepared, &options, &mut buffer)?;
    /// assert!(matches!(again, Admission::Replayed(outcome) if outcome.body() == b"done"));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn begin_into<'e, 'b>(
        &'e self,
        prepared: &Prepared<'_>,
        options: &BeginOptions,
        buffer: &'b mut Outcome,
    ) -> Result<Admission<'e, &'b Outcome>, Error> {
        self.enter()?;
        options.check()?;
        if !self.is_current(prepared) {
            return self.begin_refreshed(prepared, options, buffer);
        }
        match self.glance(prepared, Hint::Nothing, || self.now_ms(), buffer) {
            Glance::Replayed => Ok(Admission::Replayed(buffer)),
            other => self.begin_further(prepared, other, options, buffer),
        }
    }

    /// Begins many requests, and hands each answer to `each` with its place in `batch`.
    ///
    /// The lines of all of them are asked for before the first is waited for, which in a large
    /// table saves most of the time of a look-up. A replayed outcome is lent: `buffer` serves the
    /// next one. The requests are independent: each gets the answer that
    /// [`begin_into`](Self::begin_into) would give. The time is read once for each 32: where `each`
    /// takes long, a lease or a window that has ended since may count as lasting.
    ///
    /// With a tier, one round trip serves 128 claims, and answers come in another order than the
    /// requests: first what needs no network, last what had to be waited for. A lease counts from
    /// its admission, also while others are waited for: see
    /// [`Lease::remaining`](crate::Lease::remaining).
    ///
    /// ```
    /// use oncegate::{Admission, BeginOptions, Engine, Outcome, Request, Scope};
    ///
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// let keys = ["key-1", "key-2", "key-1"];
    /// let prepare = |key| engine.prepare(&Request::new(Scope::single_tenant(), "op", key)?);
    /// let batch = keys.into_iter().map(prepare).collect::<Result<Vec<_>, _>>()?;
    /// let mut leases = Vec::new();
    /// engine.begin_batch(&batch, &BeginOptions::new(), &mut Outcome::default(), |_, answer| {
    ///     if let Ok(Admission::Admitted(lease)) = answer {
    ///         leases.push(lease);
    ///     }
    /// });
    /// assert_eq!(leases.len(), 2);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn begin_batch<'e>(
        &'e self,
        batch: &[Prepared<'_>],
        options: &BeginOptions,
        buffer: &mut Outcome,
        mut each: impl FnMut(usize, Result<Admission<'e, &Outcome>, Error>),
    ) {
        if let Err(error) = self.enter().and_then(|()| options.check()) {
            (0..batch.len()).for_each(|index| each(index, Err(error.clone())));
            return;
        }
        if let Some(fleet) = &self.fleet {
            self.begin_batch_in_fleet(fleet, batch, options, buffer, each);
            return;
        }
        for (at, part) in batch.chunks(IN_FLIGHT).enumerate() {
            let probe = |prepared: &Prepared<'_>| self.table.probe(prepared.fingerprint);
            part.iter().for_each(|prepared| self.table.prefetch_sets(&probe(prepared)));
            let mut hints = [Hint::Nothing; IN_FLIGHT];
            for (hint, prepared) in hints.iter_mut().zip(part) {
                *hint = match self.table.prefetch_named(&probe(prepared)) {
                    Ok(slot) => Hint::Slot(slot),
                    Err(seen) => Hint::Absent(seen),
                };
            }
            let now_ms = self.now_ms();
            for (i, (prepared, hint)) in part.iter().zip(hints).enumerate() {
                let answer = if self.is_current(prepared) {
                    self.begin_hinted(prepared, hint, now_ms, options, buffer)
                } else {
                    self.begin_refreshed(prepared, options, buffer)
                };
                each(at * IN_FLIGHT + i, answer);
            }
        }
    }

    /// Begins `prepared`, which is current.
    #[inline]
    fn begin_hinted<'e, 'b>(
        &'e self,
        prepared: &Prepared<'_>,
        hint: Hint,
        now_ms: u64,
        options: &BeginOptions,
        buffer: &'b mut Outcome,
    ) -> Result<Admission<'e, &'b Outcome>, Error> {
        match self.glance(prepared, hint, || now_ms, buffer) {
            Glance::Replayed => Ok(Admission::Replayed(buffer)),
            other => self.begin_further(prepared, other, options, buffer),
        }
    }

    /// Begins a request that was prepared under other keys, or by another engine.
    #[cold]
    fn begin_refreshed<'e, 'b>(
        &'e self,
        prepared: &Prepared<'_>,
        options: &BeginOptions,
        buffer: &'b mut Outcome,
    ) -> Result<Admission<'e, &'b Outcome>, Error> {
        self.begin_further(&self.refresh(prepared)?, Glance::Unclear, options, buffer)
    }

    #[inline(never)]
    fn begin_further<'e, 'b>(
        &'e self,
        prepared: &Prepared<'_>,
        glance: Glance,
        options: &BeginOptions,
        buffer: &'b mut Outcome,
    ) -> Result<Admission<'e, &'b Outcome>, Error> {
        if self.has_tier() {
            return self.begin_in_fleet(prepared, glance, options, buffer);
        }
        let answer = self.answer(prepared, glance, options, buffer)?;
        Ok(self.admission(answer, prepared, options, &*buffer))
    }

    /// Apart, so that an engine without a tier pays for a look whether it has one, and no more.
    #[cold]
    #[inline(never)]
    fn begin_in_fleet<'e, 'b>(
        &'e self,
        prepared: &Prepared<'_>,
        glance: Glance,
        options: &BeginOptions,
        buffer: &'b mut Outcome,
    ) -> Result<Admission<'e, &'b Outcome>, Error> {
        let answer = self.answer_in_fleet(prepared, glance, options, buffer)?;
        Ok(self.admission_apart(answer, prepared, options, &*buffer))
    }

    /// The answer to `prepared` of all tables that share the tier.
    #[cold]
    #[inline(never)]
    fn answer_in_fleet(
        &self,
        prepared: &Prepared<'_>,
        glance: Glance,
        options: &BeginOptions,
        outcome: &mut Outcome,
    ) -> Result<Answer, Error> {
        let begun = self.now();
        let answer = self.answer(prepared, glance, options, outcome)?;
        self.confirm(answer, prepared, options, outcome, begun)
    }

    /// The answer to `prepared`, waiting for it where the options say so.
    #[inline(always)]
    pub(super) fn answer(
        &self,
        prepared: &Prepared<'_>,
        glance: Glance,
        options: &BeginOptions,
        outcome: &mut Outcome,
    ) -> Result<Answer, Error> {
        if let Glance::Running(answer) = glance {
            let waits = options.on_conflict.unwrap_or(self.defaults.on_conflict);
            if waits == OnConflict::Conflict {
                return Ok(answer);
            }
            return self.answer_thoroughly(prepared, options, outcome);
        }
        if self.counters.own(Event::Begun).is_multiple_of(SAMPLE_EVERY) {
            return self.answer_timed(prepared, glance, options, outcome);
        }
        if let Glance::Absent(looked) = glance
            && let Some(answer) = self.create_at_once(prepared, options, looked)?
        {
            return Ok(answer);
        }
        self.answer_thoroughly(prepared, options, outcome)
    }

    #[inline(never)]
    fn answer_thoroughly(
        &self,
        prepared: &Prepared<'_>,
        options: &BeginOptions,
        outcome: &mut Outcome,
    ) -> Result<Answer, Error> {
        let mut prepared = *prepared;
        let answer = self.decide(&mut prepared, options, outcome)?;
        self.wait_if_asked(answer, &mut prepared, options, outcome)
    }

    #[cold]
    fn answer_timed(
        &self,
        prepared: &Prepared<'_>,
        glance: Glance,
        options: &BeginOptions,
        outcome: &mut Outcome,
    ) -> Result<Answer, Error> {
        let started = PreciseClock.now();
        let created = match glance {
            Glance::Absent(looked) => self.create_at_once(prepared, options, looked)?,
            _ => None,
        };
        let mut prepared = *prepared;
        let answer = match created {
            Some(answer) => answer,
            None => self.decide(&mut prepared, options, outcome)?,
        };
        // Without the time that it waits.
        self.note_latency(started);
        self.wait_if_asked(answer, &mut prepared, options, outcome)
    }

    fn wait_if_asked(
        &self,
        answer: Answer,
        prepared: &mut Prepared<'_>,
        options: &BeginOptions,
        outcome: &mut Outcome,
    ) -> Result<Answer, Error> {
        match options.on_conflict.unwrap_or(self.defaults.on_conflict) {
            OnConflict::Conflict => Ok(answer),
            OnConflict::Wait(limit) => self.wait_for(answer, prepared, options, limit, outcome),
        }
    }

    #[cold]
    pub(super) fn note_latency(&self, started: Duration) {
        self.begin_latency.record(nanos_since(started));
    }

    /// [`admission`](Self::admission) where the network was waited for.
    #[cold]
    #[inline(never)]
    pub(super) fn admission_apart<O>(
        &self,
        answer: Answer,
        prepared: &Prepared<'_>,
        options: &BeginOptions,
        outcome: O,
    ) -> Admission<'_, O> {
        self.admission(answer, prepared, options, outcome)
    }

    /// Counts an answer, and makes it the caller's.
    #[inline(always)]
    pub(super) fn admission<O>(
        &self,
        answer: Answer,
        prepared: &Prepared<'_>,
        options: &BeginOptions,
        outcome: O,
    ) -> Admission<'_, O> {
        // A clock for sampling: what is told as begun is the sum of all answers.
        self.counters.add(Event::Begun);
        let from_now = |ms: u64| Duration::from_millis(ms.saturating_sub(self.now_ms()));
        let is_new = matches!(answer, Answer::Admitted { attempt: 1, .. });
        let (event, mut admission) = match answer {
            Answer::Admitted { slot, seen, attempt, status, until_ms, by } => {
                let event = match status {
                    Status::Created => Event::Created,
                    Status::Retried => Event::Retried,
                    Status::Expired => Event::Expired,
                };
                let token = LeaseToken {
                    slot: slot as u64,
                    fencing: self.fencing_token(seen.fence()),
                    window_ms: options.window.map_or(self.defaults.window_ms, millis_up),
                    attempt,
                    scope: self.scope_tag(prepared.scope()),
                    counter: 0,
                    alone: false,
                };
                let token = token.granted(seen.fence(), by);
                (event, Admission::Admitted(Lease::new(self, token, status, until_ms)))
            }
            Answer::Replayed => (Event::Replayed, Admission::Replayed(outcome)),
            Answer::InProgress { attempt, until_ms, .. } => {
                let remaining = from_now(until_ms);
                (Event::InProgress, Admission::InProgress { attempt, remaining })
            }
            Answer::Scheduled { next_attempt, due_ms, .. } => {
                let due_in = from_now(due_ms);
                (Event::Scheduled, Admission::Scheduled { next_attempt, due_in })
            }
            Answer::Mismatched => (Event::Mismatched, Admission::Mismatched),
            Answer::Unresolved => (Event::Unresolved, Admission::Unresolved),
            Answer::OutcomeGone => (Event::OutcomeGone, Admission::OutcomeGone),
        };
        let takes_over = Bug::TendedByTakeover.is_planted() && matches!(event, Event::Expired);
        if is_new || takes_over {
            // Behind the lease, which is given back if the callback for a fill level, or a clock,
            // panics.
            self.after_creation();
            if self.retries.is_budgeted() {
                self.deposit(&mut admission, prepared);
            }
        } else if matches!(event, Event::Retried)
            && let Admission::Admitted(lease) = &mut admission
        {
            self.pay_from_share(lease);
        }
        self.counters.add(event);
        admission
    }
}

impl Engine {
    /// Tells the retry budgets of a first attempt.
    #[cold]
    fn deposit<O>(&self, admission: &mut Admission<'_, O>, prepared: &Prepared<'_>) {
        let Admission::Admitted(lease) = admission else { return };
        let operation = prepared.request().map_or("", |request| request.operation());
        let levels = self.retries.levels(self.scope_tag(prepared.scope()), operation);
        if !levels.is_empty() {
            lease.pay(Paid::First(levels.deposit(self.now())));
        }
    }
}

/// How long it is since `started`, by the precise clock; zero where that has gone back. It may not,
/// and on some virtual machines it does: a call is worth more than its latency.
pub(super) fn nanos_since(started: Duration) -> u64 {
    nanos(PreciseClock.now().saturating_sub(started))
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// One call in so many is timed: few enough to leave the percentiles of all calls as they are.
pub(super) const SAMPLE_EVERY: u64 = 1024;
/// How many requests of a batch wait for their lines at once: about what a core can have under
/// way, and few enough to stay in its first cache.
const IN_FLIGHT: usize = 32;

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
