//! Calls: what one call with retries knows of its attempts, and what follows each of them.

use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::super::lease::Paid;
use super::super::{Admission, Engine, Failure, Lease, OnConflict, Ran, RunOptions, run};
use super::in_call::{GivenUp, Retried};
use super::later::AttemptError;
use super::retries::hash_of;
use crate::error::Error;
use crate::fingerprint::Request;
use crate::outcome::{Outcome, OutcomePolicy, Verdict};
use crate::retry::{Attempted, Decision, Exhaustion, FailureKind, Levels, RetryPolicy, Withdrawal};
use crate::sync::park;
use crate::wait::thread_waker;

/// The attempts that one call has made.
pub(super) struct Calls<'c> {
    policy: Cow<'c, RetryPolicy>,
    levels: Levels,
    operation: u32,
    began: Duration,
    delay: Duration,
    attempts: u32,
}

/// What follows an attempt.
pub(super) enum Next<E> {
    Ended(Retried<E>),
    Again(Again<E>),
}

/// What somebody else's hold on the record leads to.
pub(super) enum PutOff<E> {
    Ended(Retried<E>),
    Until(Duration),
}

/// Another attempt follows.
pub(super) struct Again<E> {
    /// When it may start.
    pub(super) at: Duration,
    paid: Withdrawal,
    /// What the last one left, if there is no other after all.
    result: Result<Outcome, E>,
}

/// How an attempt of a call is to end.
enum Plan {
    /// For good, or since there is no other.
    End(Option<GivenUp>),
    Again(Retrying),
}

/// What was decided about the attempt after the one that failed.
struct Retrying {
    delay: Duration,
    at: Duration,
    paid: Withdrawal,
}

impl Retrying {
    /// What follows the end of the attempt before, which was `failed`.
    fn after<E>(
        self,
        calls: &mut Calls<'_>,
        failed: Result<(), Error>,
        result: Result<Outcome, E>,
    ) -> Result<Next<E>, Error> {
        match failed {
            Ok(()) => {
                calls.put_off(self.delay);
                Ok(Next::Again(Again { at: self.at, paid: self.paid, result }))
            }
            Err(error) if error.is_fenced() => {
                Ok(Next::Ended(calls.ended(Ran::Fenced(result), None)))
            }
            Err(error) => Err(error),
        }
    }
}

impl Engine {
    pub(super) fn calls<'c>(
        &self,
        request: &Request<'_>,
        policy: Cow<'c, RetryPolicy>,
    ) -> Result<Calls<'c>, Error> {
        policy.check()?;
        let levels = self.retries.levels(self.scope_tag(request.scope()), request.operation());
        let operation = hash_of(request.operation());
        let (began, delay) = (self.now(), Duration::ZERO);
        Ok(Calls { policy, levels, operation, began, delay, attempts: 0 })
    }

    /// The options of the next attempt: its lease is as long as the policy lets it run.
    pub(super) fn call_options(&self, calls: &Calls<'_>, options: &RunOptions) -> RunOptions {
        let now = self.now();
        let mut options = options.clone();
        if options.begin.lease.is_none() {
            let default = Duration::from_millis(self.defaults.lease_ms);
            let lease = calls.policy.lease(calls.elapsed(now), default);
            options.begin = options.begin.lease_duration(lease);
        }
        if calls.attempts > 0 {
            // Whoever took the record meanwhile runs it: its outcome is this call's.
            let waits = options.begin.on_conflict.unwrap_or(OnConflict::Wait(LONGEST_WAIT));
            options.begin = options.begin.on_conflict(match (waits, calls.left(now)) {
                (OnConflict::Wait(limit), Some(left)) => OnConflict::Wait(limit.min(left).max(MS)),
                (waits, _) => waits,
            });
        }
        options
    }

    /// The end of a call whose next attempt, started at that time, would not end before the
    /// deadline. `None`: it would, or this is the first one.
    pub(super) fn late<E>(
        &self,
        calls: &Calls<'_>,
        last: &mut Option<Again<E>>,
        at: Duration,
    ) -> Option<Retried<E>> {
        last.take_if(|_| self.is_late(calls, at))
            .map(|again| calls.given_up(again, GivenUp::Deadline))
    }

    /// Whether an attempt that starts at that time would not end before the deadline.
    pub(super) fn is_late(&self, calls: &Calls<'_>, at: Duration) -> bool {
        !self.fits_measured(&calls.policy, calls.elapsed(at), calls.operation)
    }

    /// Somebody else holds the record, or has put it off.
    pub(super) fn put_off<E>(
        &self,
        calls: &Calls<'_>,
        last: &mut Option<Again<E>>,
        admission: Admission<'_>,
    ) -> PutOff<E> {
        let now = self.now();
        let at = match &admission {
            // What is due is a worker's, or was not when it was looked at.
            Admission::Scheduled { due_in, .. } => now.saturating_add((*due_in).max(MS)),
            // It was waited for, as long as may be.
            Admission::InProgress { .. } => now,
            _ => return PutOff::Ended(calls.declined(admission)),
        };
        if let Some(late) = self.late(calls, last, at) {
            return PutOff::Ended(late);
        }
        match admission {
            Admission::Scheduled { .. } if last.is_some() => PutOff::Until(at),
            other => PutOff::Ended(calls.declined(other)),
        }
    }

    /// Ends the attempt as the outcome policy judges its result, and the retry policy goes on.
    pub(super) fn settle_call<E>(
        &self,
        calls: &mut Calls<'_>,
        mut lease: Lease<'_>,
        result: Result<Outcome, E>,
        options: &RunOptions,
        describe: &mut impl FnMut(&Result<Outcome, E>) -> AttemptError,
    ) -> Result<Next<E>, Error> {
        let policy = options.policy.as_ref().unwrap_or(&self.defaults.policy);
        match self.plan_call(calls, &mut lease, &result, policy, describe) {
            Plan::End(given_up) => {
                let ran = run::settle(lease, result, policy)?;
                Ok(Next::Ended(calls.ended(ran, given_up)))
            }
            Plan::Again(again) => {
                let failed = lease.fail(Failure::retryable_after(again.delay));
                again.after(calls, failed, result)
            }
        }
    }

    /// The same without blocking on a tier.
    pub(super) async fn settle_call_async<E>(
        &self,
        calls: &mut Calls<'_>,
        mut lease: Lease<'_>,
        result: Result<Outcome, E>,
        options: &RunOptions,
        describe: &mut impl FnMut(&Result<Outcome, E>) -> AttemptError,
    ) -> Result<Next<E>, Error> {
        let policy = options.policy.as_ref().unwrap_or(&self.defaults.policy);
        match self.plan_call(calls, &mut lease, &result, policy, describe) {
            Plan::End(given_up) => {
                let ran = run::settle_async(lease, result, policy).await?;
                Ok(Next::Ended(calls.ended(ran, given_up)))
            }
            Plan::Again(again) => {
                let failed = lease.fail_async(Failure::retryable_after(again.delay)).await;
                again.after(calls, failed, result)
            }
        }
    }

    fn plan_call<E>(
        &self,
        calls: &Calls<'_>,
        lease: &mut Lease<'_>,
        result: &Result<Outcome, E>,
        policy: &OutcomePolicy,
        describe: &mut impl FnMut(&Result<Outcome, E>) -> AttemptError,
    ) -> Plan {
        if run::judged(result, policy) != Verdict::Retryable {
            return Plan::End(None);
        }
        let error = describe(result);
        lease.make_way();
        match self.decide_call(calls, &error) {
            Ok((delay, paid)) => {
                Plan::Again(Retrying { delay, at: self.now().saturating_add(delay), paid })
            }
            Err(given_up) => Plan::End(Some(given_up)),
        }
    }

    pub(super) fn decide_call(
        &self,
        calls: &Calls<'_>,
        error: &AttemptError,
    ) -> Result<(Duration, Withdrawal), GivenUp> {
        if error.is_terminal() {
            return Err(GivenUp::Refused);
        }
        self.look_at_shares();
        self.watch_backlog(&self.rules(), false);
        let now = self.now();
        let attempted = Attempted::new(calls.attempts, calls.elapsed(now))
            .previous_delay(calls.delay)
            .stretch(self.retries.stretch(now))
            .hint(error.hint_given());
        let delay = match self.decide_measured(&calls.policy, attempted, calls.operation) {
            Decision::RetryAfter(delay) => delay,
            Decision::Exhausted(exhausted) => {
                calls.levels.failed_for_good(error.kind_given(), now);
                return Err(match exhausted {
                    Exhaustion::Attempts => GivenUp::Attempts,
                    Exhaustion::Deadline => GivenUp::Deadline,
                    Exhaustion::Refused => GivenUp::Refused,
                });
            }
        };
        let paid = calls.levels.try_withdraw(error.kind_given(), now).map_err(GivenUp::Budget)?;
        Ok((delay, paid))
    }

    /// Sleeps until `at`, by the engine's clock.
    pub(super) fn sleep_until(&self, at: Duration) {
        let waker = thread_waker();
        loop {
            self.life.time().wake_on_jump(&waker);
            // A clock of whole milliseconds has come to `at` when it shows it.
            let left = at.saturating_sub(self.now());
            if left.is_zero() {
                return;
            }
            park(Some(left));
        }
    }
}

impl Calls<'_> {
    /// How much of the time has passed. It counts from the start of the first attempt.
    fn elapsed(&self, now: Duration) -> Duration {
        if self.attempts == 0 { Duration::ZERO } else { now.saturating_sub(self.began) }
    }

    /// What is left of it; `None`: there is no deadline.
    pub(super) fn left(&self, now: Duration) -> Option<Duration> {
        self.policy.total().map(|total| total.saturating_sub(self.elapsed(now)))
    }

    pub(super) fn begin<E>(
        &mut self,
        lease: &mut Lease<'_>,
        last: Option<Again<E>>,
        now: Duration,
    ) {
        self.count(now);
        if let Some(Again { mut paid, .. }) = last {
            paid.start();
            lease.pay(Paid::Retry(paid));
        }
    }

    /// An attempt has begun.
    pub(super) fn count(&mut self, now: Duration) {
        if self.attempts == 0 {
            self.began = now;
        }
        self.attempts += 1;
    }

    /// How many there were.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The next one comes after this delay.
    pub(super) fn put_off(&mut self, delay: Duration) {
        self.delay = delay;
    }

    /// There is no other attempt after all. What was paid for it is given back.
    pub(super) fn given_up<E>(&self, again: Again<E>, why: GivenUp) -> Retried<E> {
        let ran = match again.result {
            Ok(outcome) => Ran::Executed(outcome),
            Err(error) => Ran::Failed(error),
        };
        self.ended(ran, Some(why))
    }

    fn ended<E>(&self, ran: Ran<E>, given_up: Option<GivenUp>) -> Retried<E> {
        Retried { ran, attempts: self.attempts, given_up }
    }

    fn declined<E>(&self, admission: Admission<'_>) -> Retried<E> {
        self.ended(super::super::run::declined(admission), None)
    }
}

/// What is known of a failure that nobody describes.
pub(super) fn plain<E>(result: &Result<Outcome, E>) -> AttemptError {
    let throttled = result.as_ref().is_ok_and(|outcome| outcome.status() == TOO_MANY);
    let error = AttemptError::new("");
    if throttled { error.kind(FailureKind::Throttled) } else { error }
}

/// What `first` comes to. `None`: `limit` was over before.
pub(super) async fn unless_over<T, S: Future<Output = ()>>(
    first: impl Future<Output = T>,
    limit: impl FnOnce() -> S,
) -> Option<T> {
    let mut first = pin!(first);
    // Most answers come at once, and need no timer.
    let at_once = poll_fn(|context| Poll::Ready(first.as_mut().poll(context))).await;
    if let Poll::Ready(value) = at_once {
        return Some(value);
    }
    let mut limit = pin!(limit());
    poll_fn(|context| match first.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => limit.as_mut().poll(context).map(|()| None),
    })
    .await
}

/// 429 Too Many Requests.
const TOO_MANY: u16 = 429;
/// How long a call waits for somebody else's attempt, where its options say nothing.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
const MS: Duration = Duration::from_millis(1);
