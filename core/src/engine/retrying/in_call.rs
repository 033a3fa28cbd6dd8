//! In one call: the caller runs every attempt itself, and waits in between.

use std::borrow::Cow;
use std::future::Future;
use std::time::Duration;

use super::super::{Admission, Engine, Failure, Lease, LeaseToken, Ran, RunOptions};
use super::calls::{Next, PutOff, plain, unless_over};
use super::later::AttemptError;
use crate::error::Error;
use crate::fingerprint::Request;
use crate::outcome::Outcome;
use crate::retry::{BudgetExhausted, RetryPolicy};

/// What came of [`Engine::run_with_retries`].
///
/// ```
/// use oncegate::{Engine, Outcome, Ran, Request, RetryPolicy, Scope};
///
/// let engine = Engine::builder().capacity(1_000).build()?;
/// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
/// let policy = RetryPolicy::aws_standard();
/// let retried = engine.run_with_retries(&request, &policy, || {
///     Ok::<_, String>(Outcome::new(200, b"done"))
/// })?;
/// assert!(matches!(retried.ran, Ran::Executed(_)));
/// assert_eq!((retried.attempts, retried.given_up), (1, None));
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
#[must_use]
pub struct Retried<E> {
    /// What came of the last attempt, or of somebody else's.
    pub ran: Ran<E>,
    /// How many attempts this call made.
    pub attempts: u32,
    /// Why it made no further one, if the last one failed.
    pub given_up: Option<GivenUp>,
}

/// Why a call made no further attempt. The record is free for the next caller.
///
/// ```
/// assert_ne!(oncegate::GivenUp::Attempts, oncegate::GivenUp::Deadline);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GivenUp {
    /// As many attempts failed as the policy allows.
    Attempts,
    /// No further attempt fits before the policy's deadline.
    Deadline,
    /// The service said not to retry, or the error was described as terminal.
    Refused,
    /// This budget was spent.
    Budget(BudgetExhausted),
}

impl Engine {
    /// Runs `work` if `request` has not run, again and again as `policy` says while it fails, and
    /// gives duplicates the stored outcome. Between attempts the calling thread sleeps, and the
    /// record waits: no other caller runs it before its time.
    ///
    /// Which results are final, and which may be tried again, says the engine's outcome policy, as
    /// for [`run`](Self::run). Each attempt is paid for by the [retry budgets](crate::RetryBudget)
    /// of the request's scope and operation, and of the engine, if there are any. When attempts
    /// are given up, the record is free for the next caller, who starts anew.
    ///
    /// The policy's deadline counts from the start of the first attempt. The call neither sleeps
    /// nor waits for another's attempt beyond it, and starts nothing that would not end before it,
    /// as far as is known: its end is then what the last attempt left, and
    /// [`GivenUp::Deadline`]. Where errors say more than that they are errors, as by a
    /// `Retry-After`, use [`run_with_retries_by`](Self::run_with_retries_by).
    ///
    /// Where the work is to go on after this process, use
    /// [`retry_later`](Self::retry_later).
    ///
    /// # Errors
    ///
    /// Those of [`begin`](Self::begin), and [`ErrorCode::InvalidOption`](crate::ErrorCode) for a
    /// policy that is out of its range.
    ///
    /// ```
    /// use std::time::Duration;
    /// use oncegate::{BackoffPolicy, Engine, Outcome, Ran, Request, RetryPolicy, Scope};
    ///
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let policy = RetryPolicy::new(BackoffPolicy::constant(Duration::from_millis(1)));
    /// let mut calls = 0;
    /// let retried = engine.run_with_retries(&request, &policy, || {
    ///     calls += 1;
    ///     Ok::<_, String>(Outcome::new(if calls < 3 { 503 } else { 200 }, b""))
    /// })?;
    /// assert!(matches!(retried.ran, Ran::Executed(outcome) if outcome.status() == 200));
    /// assert_eq!(retried.attempts, 3);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn run_with_retries<E>(
        &self,
        request: &Request<'_>,
        policy: &RetryPolicy,
        mut work: impl FnMut() -> Result<Outcome, E>,
    ) -> Result<Retried<E>, Error> {
        self.run_with_retries_with(request, &RunOptions::new(), policy, |_lease| work())
    }

    /// [`run_with_retries`](Self::run_with_retries) with options of its own; `work` gets the lease
    /// of each attempt: its number, its fencing token, and to renew it.
    ///
    /// # Errors
    ///
    /// As [`run_with_retries`](Self::run_with_retries).
    ///
    /// ```
    /// use oncegate::{Engine, Outcome, Request, RetryPolicy, RunOptions, Scope};
    ///
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let (options, policy) = (RunOptions::new(), RetryPolicy::aws_standard());
    /// let retried = engine.run_with_retries_with(&request, &options, &policy, |lease| {
    ///     Ok::<_, String>(Outcome::new(200, lease.attempt().to_string()))
    /// })?;
    /// assert_eq!(retried.ran.outcome().map(|outcome| outcome.body()), Some(&b"1"[..]));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn run_with_retries_with<E>(
        &self,
        request: &Request<'_>,
        options: &RunOptions,
        policy: &RetryPolicy,
        mut work: impl FnMut(&mut Lease<'_>) -> Result<Outcome, E>,
    ) -> Result<Retried<E>, Error> {
        self.run_with_retries_by(request, options, policy, plain, |lease| work(lease))
    }

    /// [`run_with_retries_with`](Self::run_with_retries_with), where `describe` says of each result
    /// that may be tried again what kind of failure it was, for the price of the next attempt, and
    /// what the service said about retrying: a [`Retry-After`](crate::Hint) is followed, or ends
    /// the attempts, as the policy allows, and so does an error that is
    /// [terminal](AttemptError::terminal). Its class and its outcome play no part.
    ///
    /// Without this form a response of status 429 counts as throttled, everything else as
    /// transient, and nothing is known of hints.
    ///
    /// # Errors
    ///
    /// As [`run_with_retries`](Self::run_with_retries).
    ///
    /// ```
    /// use std::time::Duration;
    /// use oncegate::{
    ///     AttemptError, Engine, FailureKind, GivenUp, Hint, Outcome, Request, RetryPolicy,
    ///     RunOptions, Scope,
    /// };
    ///
    /// enum Refusal {
    ///     TimedOut,
    ///     TryAfter(String),
    ///     Declined,
    /// }
    ///
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let (options, policy) = (RunOptions::new(), RetryPolicy::aws_standard());
    /// let describe = |result: &Result<Outcome, Refusal>| match result {
    ///     Err(Refusal::TimedOut) => AttemptError::new("timeout").kind(FailureKind::Timeout),
    ///     Err(Refusal::TryAfter(header)) => AttemptError::new("throttled")
    ///         .kind(FailureKind::Throttled)
    ///         .hint(Hint::retry_after(header, Duration::ZERO)),
    ///     Err(Refusal::Declined) => AttemptError::new("declined").terminal(),
    ///     Ok(_) => AttemptError::new("status"),
    /// };
    /// let mut errors = vec![Refusal::Declined, Refusal::TryAfter("0".to_owned())];
    /// let retried = engine.run_with_retries_by(&request, &options, &policy, describe, |_lease| {
    ///     Err(errors.pop().unwrap_or(Refusal::TimedOut))
    /// })?;
    /// assert_eq!((retried.attempts, retried.given_up), (2, Some(GivenUp::Refused)));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn run_with_retries_by<E>(
        &self,
        request: &Request<'_>,
        options: &RunOptions,
        policy: &RetryPolicy,
        mut describe: impl FnMut(&Result<Outcome, E>) -> AttemptError,
        mut work: impl FnMut(&mut Lease<'_>) -> Result<Outcome, E>,
    ) -> Result<Retried<E>, Error> {
        let mut calls = self.calls(request, Cow::Borrowed(policy))?;
        let mut last = None;
        loop {
            if let Some(late) = self.late(&calls, &mut last, self.now()) {
                return Ok(late);
            }
            let begin = self.call_options(&calls, options);
            let mut lease = match self.begin_with(request, &begin.begin)? {
                Admission::Admitted(lease) => lease,
                other => match self.put_off(&calls, &mut last, other) {
                    PutOff::Ended(retried) => return Ok(retried),
                    PutOff::Until(at) => {
                        self.sleep_until(at);
                        continue;
                    }
                },
            };
            if let Some(late) = self.late(&calls, &mut last, self.now()) {
                // It was waited for too long, as for another's attempt.
                let _ = lease.abandon();
                return Ok(late);
            }
            calls.begin(&mut lease, last.take(), self.now());
            let result = work(&mut lease);
            match self.settle_call(&mut calls, lease, result, options, &mut describe)? {
                Next::Ended(retried) => return Ok(retried),
                Next::Again(again) => {
                    self.sleep_until(again.at);
                    last = Some(again);
                }
            }
        }
    }

    /// [`run_with_retries_with`](Self::run_with_retries_with) for asynchronous work, on any
    /// runtime. `sleep` waits for a time of the runtime's own; between attempts the record waits
    /// as long.
    ///
    /// # Errors
    ///
    /// As [`run_with_retries`](Self::run_with_retries).
    ///
    /// ```
    /// use std::future::{Future, ready};
    /// use std::pin::pin;
    /// use std::task::{Context, Poll, Waker};
    /// use oncegate::{Engine, Outcome, Ran, Request, RetryPolicy, RunOptions, Scope};
    ///
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let (options, policy) = (RunOptions::new(), RetryPolicy::aws_standard());
    /// // With tokio: `tokio::time::sleep`.
    /// let sleep = |_duration| ready(());
    /// let run = engine.run_with_retries_async(&request, &options, &policy, sleep, |_token| async {
    ///     Ok::<_, String>(Outcome::new(200, b"done"))
    /// });
    /// let mut context = Context::from_waker(Waker::noop());
    /// let Poll::Ready(retried) = pin!(run).poll(&mut context) else { unreachable!() };
    /// assert!(matches!(retried?.ran, Ran::Executed(_)));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub async fn run_with_retries_async<E, F, S>(
        &self,
        request: &Request<'_>,
        options: &RunOptions,
        policy: &RetryPolicy,
        sleep: impl FnMut(Duration) -> S,
        work: impl FnMut(LeaseToken) -> F,
    ) -> Result<Retried<E>, Error>
    where
        F: Future<Output = Result<Outcome, E>>,
        S: Future<Output = ()>,
    {
        self.run_with_retries_async_by(request, options, policy, sleep, plain, work).await
    }

    /// [`run_with_retries_async`](Self::run_with_retries_async), where `describe` says what kind of
    /// failure each result was, as for [`run_with_retries_by`](Self::run_with_retries_by).
    ///
    /// # Errors
    ///
    /// As [`run_with_retries`](Self::run_with_retries).
    ///
    /// ```
    /// use std::future::{Future, ready};
    /// use std::pin::pin;
    /// use std::task::{Context, Poll, Waker};
    /// use oncegate::{
    ///     AttemptError, Engine, GivenUp, Outcome, Request, RetryPolicy, RunOptions, Scope,
    /// };
    ///
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let (options, policy) = (RunOptions::new(), RetryPolicy::aws_standard());
    /// let (sleep, work) = (|_duration| ready(()), |_token| async { Err("card declined") });
    /// let describe = |result: &Result<Outcome, &str>| match result {
    ///     Err("card declined") => AttemptError::new("declined").terminal(),
    ///     _ => AttemptError::new("other"),
    /// };
    /// let run =
    ///     engine.run_with_retries_async_by(&request, &options, &policy, sleep, describe, work);
    /// let mut context = Context::from_waker(Waker::noop());
    /// let Poll::Ready(retried) = pin!(run).poll(&mut context) else { unreachable!() };
    /// assert_eq!(retried?.given_up, Some(GivenUp::Refused));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub async fn run_with_retries_async_by<E, F, S>(
        &self,
        request: &Request<'_>,
        options: &RunOptions,
        policy: &RetryPolicy,
        mut sleep: impl FnMut(Duration) -> S,
        mut describe: impl FnMut(&Result<Outcome, E>) -> AttemptError,
        mut work: impl FnMut(LeaseToken) -> F,
    ) -> Result<Retried<E>, Error>
    where
        F: Future<Output = Result<Outcome, E>>,
        S: Future<Output = ()>,
    {
        let mut calls = self.calls(request, Cow::Borrowed(policy))?;
        let mut last = None;
        loop {
            if let Some(late) = self.late(&calls, &mut last, self.now()) {
                return Ok(late);
            }
            let begin = self.call_options(&calls, options);
            let join = self.begin_or_join(request, &begin.begin);
            let left = calls.left(self.now()).filter(|_| last.is_some());
            let begun = match left {
                Some(left) => unless_over(join, || sleep(left)).await,
                None => Some(join.await),
            };
            let Some(begun) = begun else {
                // As long as that another's attempt was waited for.
                if let Some(again) = last.take() {
                    return Ok(calls.given_up(again, GivenUp::Deadline));
                }
                continue;
            };
            let mut lease = match begun? {
                Admission::Admitted(lease) => lease,
                other => match self.put_off(&calls, &mut last, other) {
                    PutOff::Ended(retried) => return Ok(retried),
                    PutOff::Until(at) => {
                        sleep(at.saturating_sub(self.now())).await;
                        continue;
                    }
                },
            };
            if let Some(late) = self.late(&calls, &mut last, self.now()) {
                // It was waited for too long, as for another's attempt.
                let _ = lease.fail_async(Failure::retryable()).await;
                return Ok(late);
            }
            calls.begin(&mut lease, last.take(), self.now());
            let result = work(*lease.token()).await;
            let settled =
                self.settle_call_async(&mut calls, lease, result, options, &mut describe).await?;
            match settled {
                Next::Ended(retried) => return Ok(retried),
                Next::Again(again) => {
                    sleep(again.at.saturating_sub(self.now())).await;
                    last = Some(again);
                }
            }
        }
    }
}
