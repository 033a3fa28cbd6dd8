//! In one call: the caller runs every attempt itself, and waits in between.

use super::super::lease::Paid;
use std::future::Future;
use std::time::Duration;

use super::super::{Admission, Engine, Failure, Lease, LeaseToken, OnConflict, Ran, RunOptions};
use crate::error::Error;
use crate::fingerprint::Request;
use crate::outcome::{Outcome, Verdict};
use crate::retry::{
    Attempted, BudgetExhausted, Decision, Exhaustion, FailureKind, Levels, RetryPolicy, Withdrawal,
};
use crate::sync::park;
use crate::wait::thread_waker;

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
    /// The service said not to retry.
    Refused,
    /// This budget was spent.
    Budget(BudgetExhausted),
}

/// The attempts that one call has made.
struct Calls<'c> {
    policy: &'c RetryPolicy,
    levels: Levels,
    began: Duration,
    delay: Duration,
    attempts: u32,
}

/// What follows an attempt.
enum Next<E> {
    Ended(Retried<E>),
    /// Another one, when this time has passed; it is paid for.
    Again(Duration, Withdrawal),
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
        let mut calls = self.calls(request, policy)?;
        let mut paid = None;
        loop {
            let begin = calls.options(options, self.now());
            let mut lease = match self.begin_with(request, &begin.begin)? {
                Admission::Admitted(lease) => lease,
                Admission::Scheduled { due_in, .. } if calls.attempts > 0 => {
                    self.sleep_until(self.now().saturating_add(due_in));
                    continue;
                }
                other => return Ok(calls.declined(other)),
            };
            calls.begin(&mut lease, paid.take());
            let result = work(&mut lease);
            match self.settle_call(&mut calls, lease, result, options)? {
                Next::Ended(retried) => return Ok(retried),
                Next::Again(at, withdrawal) => {
                    self.sleep_until(at);
                    paid = Some(withdrawal);
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
        mut sleep: impl FnMut(Duration) -> S,
        mut work: impl FnMut(LeaseToken) -> F,
    ) -> Result<Retried<E>, Error>
    where
        F: Future<Output = Result<Outcome, E>>,
        S: Future<Output = ()>,
    {
        let mut calls = self.calls(request, policy)?;
        let mut paid = None;
        loop {
            let begin = calls.options(options, self.now());
            let mut lease = match self.begin_async(request, &begin.begin).await? {
                Admission::Admitted(lease) => lease,
                Admission::Scheduled { due_in, .. } if calls.attempts > 0 => {
                    sleep(due_in).await;
                    continue;
                }
                other => return Ok(calls.declined(other)),
            };
            calls.begin(&mut lease, paid.take());
            let result = work(*lease.token()).await;
            match self.settle_call(&mut calls, lease, result, options)? {
                Next::Ended(retried) => return Ok(retried),
                Next::Again(at, withdrawal) => {
                    sleep(at.saturating_sub(self.now())).await;
                    paid = Some(withdrawal);
                }
            }
        }
    }

    fn calls<'c>(
        &self,
        request: &Request<'_>,
        policy: &'c RetryPolicy,
    ) -> Result<Calls<'c>, Error> {
        policy.check()?;
        let levels = self.retries.levels(self.scope_tag(request.scope()), request.operation());
        Ok(Calls { policy, levels, began: self.now(), delay: Duration::ZERO, attempts: 0 })
    }

    /// Ends the attempt as the outcome policy judges its result, and the retry policy goes on.
    fn settle_call<E>(
        &self,
        calls: &mut Calls<'_>,
        mut lease: Lease<'_>,
        result: Result<Outcome, E>,
        options: &RunOptions,
    ) -> Result<Next<E>, Error> {
        let policy = options.policy.as_ref().unwrap_or(&self.defaults.policy);
        let verdict = match &result {
            Ok(outcome) => policy.judge(outcome.status()),
            Err(_) => policy.judge_error(),
        };
        if verdict != Verdict::Retryable {
            let ran = super::super::run::settle(lease, result, policy)?;
            return Ok(Next::Ended(calls.ended(ran, None)));
        }
        let kind = match &result {
            Ok(outcome) if outcome.status() == TOO_MANY => FailureKind::Throttled,
            Ok(_) | Err(_) => FailureKind::Transient,
        };
        lease.make_way();
        match self.decide_call(calls, kind) {
            Ok((delay, withdrawal)) => {
                let at = self.now().saturating_add(delay);
                if let Err(error) = lease.fail(Failure::retryable_after(delay)) {
                    return if error.is_fenced() {
                        Ok(Next::Ended(calls.ended(Ran::Fenced(result), None)))
                    } else {
                        Err(error)
                    };
                }
                calls.delay = delay;
                Ok(Next::Again(at, withdrawal))
            }
            Err(given_up) => {
                let ran = super::super::run::settle(lease, result, policy)?;
                Ok(Next::Ended(calls.ended(ran, Some(given_up))))
            }
        }
    }

    fn decide_call(
        &self,
        calls: &Calls<'_>,
        kind: FailureKind,
    ) -> Result<(Duration, Withdrawal), GivenUp> {
        self.look_at_shares();
        let now = self.now();
        let elapsed = now.saturating_sub(calls.began);
        let attempted = Attempted::new(calls.attempts, elapsed)
            .previous_delay(calls.delay)
            .stretch(self.retries.stretch(now));
        let delay = match calls.policy.decide(&attempted, &self.retries.jitter) {
            Decision::RetryAfter(delay) => delay,
            Decision::Exhausted(exhausted) => {
                calls.levels.failed_for_good(kind, now);
                return Err(match exhausted {
                    Exhaustion::Attempts => GivenUp::Attempts,
                    Exhaustion::Deadline => GivenUp::Deadline,
                    Exhaustion::Refused => GivenUp::Refused,
                });
            }
        };
        let withdrawal = calls.levels.try_withdraw(kind, now).map_err(GivenUp::Budget)?;
        Ok((delay, withdrawal))
    }

    /// Sleeps until `at`, by the engine's clock.
    fn sleep_until(&self, at: Duration) {
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
    /// The options of the next attempt: its lease is as long as the policy lets it run.
    fn options(&self, options: &RunOptions, now: Duration) -> RunOptions {
        let limit = self.policy.attempt_limit(now.saturating_sub(self.began));
        let mut options = options.clone();
        if let Some(limit) = limit.filter(|_| options.begin.lease.is_none()) {
            options.begin = options.begin.lease_duration(limit.max(Duration::from_millis(1)));
        }
        if self.attempts > 0 && options.begin.on_conflict.is_none() {
            // Whoever took the record meanwhile runs it: its outcome is this call's.
            options.begin = options.begin.on_conflict(OnConflict::Wait(LONGEST_WAIT));
        }
        options
    }

    fn begin(&mut self, lease: &mut Lease<'_>, paid: Option<Withdrawal>) {
        self.attempts += 1;
        if let Some(mut paid) = paid {
            paid.start();
            lease.pay(Paid::Retry(paid));
        }
    }

    fn ended<E>(&self, ran: Ran<E>, given_up: Option<GivenUp>) -> Retried<E> {
        Retried { ran, attempts: self.attempts, given_up }
    }

    fn declined<E>(&self, admission: Admission<'_>) -> Retried<E> {
        self.ended(super::super::run::declined(admission), None)
    }
}

/// 429 Too Many Requests.
const TOO_MANY: u16 = 429;
/// How long a call waits for somebody else's attempt, where its options say nothing.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
