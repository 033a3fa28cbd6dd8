//! Run: admit, execute, and end the attempt by the outcome policy, in one call.

use std::future::Future;
use std::time::Duration;

use super::{Admission, BeginOptions, Engine, Failure, Lease, LeaseToken, OnConflict, RunOptions};
use crate::error::Error;
use crate::fingerprint::Request;
use crate::outcome::{Outcome, OutcomePolicy, Verdict};

/// What came of [`Engine::run`].
///
/// ```
/// use oncegate::{Engine, Outcome, Ran, Request, Scope};
///
/// let engine = Engine::builder().capacity(1_000).build()?;
/// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
/// let ran = engine.run(&request, || Ok::<_, String>(Outcome::new(200, b"done")))?;
/// assert!(matches!(ran, Ran::Executed(_)));
/// assert_eq!(ran.outcome().map(Outcome::status), Some(200));
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub enum Ran<E> {
    /// The work ran now, and left this outcome. By the policy it is stored, or will run again.
    Executed(Outcome),
    /// The work had run before: this is what it left.
    Replayed(Outcome),
    /// The work ran now and failed with this error.
    Failed(E),
    /// The work did not run.
    Declined(Declined),
    /// The work ran now, and its lease was lost meanwhile: another attempt has taken over, or has
    /// ended the record. What the work left is here and nowhere else; it may have to be undone.
    Fenced(Result<Outcome, E>),
}

/// Why work did not run.
///
/// ```
/// use oncegate::{Admission, Declined, Engine, Outcome, Ran, Request, Scope};
///
/// let engine = Engine::builder().capacity(1_000).build()?;
/// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
/// let _leader = engine.begin(&request)?;
/// let ran = engine.run(&request, || Ok::<_, String>(Outcome::new(200, b"")))?;
/// assert!(matches!(ran, Ran::Declined(Declined::InProgress { attempt: 1, .. })));
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declined {
    /// Another attempt holds the lease.
    InProgress {
        /// The attempt that runs.
        attempt: u32,
        /// How long its lease lasts at most, unless it is renewed.
        remaining: Duration,
    },
    /// It failed and waits for its next attempt.
    Scheduled {
        /// The attempt that is to come.
        next_attempt: u32,
        /// How long until it may start.
        due_in: Duration,
    },
    /// The same key came with another payload.
    Mismatched,
    /// Nobody knows whether it took effect.
    Unresolved,
    /// It has finished, but the bytes of its outcome are gone.
    OutcomeGone,
}

impl<E> Ran<E> {
    /// What the work left, now or before, if it counts.
    ///
    /// ```
    /// # use oncegate::{Declined, Ran};
    /// assert!(Ran::<()>::Declined(Declined::Mismatched).outcome().is_none());
    /// ```
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Executed(outcome) | Self::Replayed(outcome) => Some(outcome),
            Self::Failed(_) | Self::Declined(_) | Self::Fenced(_) => None,
        }
    }
}

impl Engine {
    /// Runs `work` if `request` has not run, and gives duplicates the stored outcome.
    ///
    /// The outcome policy is the engine's, [`OutcomePolicy::ietf`] unless it was set: a final
    /// result is stored, a retryable one **or an error lets the next attempt start**. Where an
    /// error does not mean that nothing happened, as after a timeout, use a policy with
    /// `on_error(Verdict::Unknown)`. If `work` panics, the record is resolved by
    /// [`OnDrop`](crate::OnDrop) and the panic goes on.
    ///
    /// # Errors
    ///
    /// Those of [`begin`](Self::begin): the work did not run.
    ///
    /// ```
    /// use oncegate::{Engine, Outcome, Payload, Request, Scope};
    /// # fn charge() -> Result<Outcome, String> { Ok(Outcome::new(201, b"charged")) }
    ///
    /// let engine = Engine::builder().build()?;
    /// let request = Request::new(Scope::new("acme")?, "POST /charges", "key-1")?
    ///     .payload(Payload::json(br#"{"amount": 100}"#));
    /// let ran = engine.run(&request, || charge())?;
    /// assert_eq!(ran.outcome().map(Outcome::status), Some(201));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn run<E>(
        &self,
        request: &Request<'_>,
        work: impl FnOnce() -> Result<Outcome, E>,
    ) -> Result<Ran<E>, Error> {
        self.run_with(request, &RunOptions::new(), |_lease| work())
    }

    /// [`run`](Self::run) with options of its own; `work` gets the lease, to renew it and to pass
    /// its fencing token on.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run), and [`ErrorCode::InvalidOption`](crate::ErrorCode::InvalidOption).
    ///
    /// ```
    /// use oncegate::{Engine, Outcome, OutcomePolicy, Ran, Request, RunOptions, Scope};
    ///
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let options = RunOptions::new().policy(OutcomePolicy::stripe_v2());
    /// let work = |status| {
    ///     engine.run_with(&request, &options, |lease| {
    ///         Ok::<_, String>(Outcome::new(status, lease.attempt().to_string()))
    ///     })
    /// };
    /// assert!(matches!(work(402)?, Ran::Executed(_)));
    /// let Ran::Executed(second) = work(200)? else { unreachable!() };
    /// assert_eq!(second.body(), b"2");
    /// assert!(matches!(work(200)?, Ran::Replayed(_)));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn run_with<E>(
        &self,
        request: &Request<'_>,
        options: &RunOptions,
        work: impl FnOnce(&mut Lease<'_>) -> Result<Outcome, E>,
    ) -> Result<Ran<E>, Error> {
        let mut lease = match self.begin_with(request, &options.begin)? {
            Admission::Admitted(lease) => lease,
            other => return Ok(declined(other)),
        };
        let result = work(&mut lease);
        settle(lease, result, self.policy(options))
    }

    fn policy<'o>(&'o self, options: &'o RunOptions) -> &'o OutcomePolicy {
        options.policy.as_ref().unwrap_or(&self.defaults.policy)
    }

    /// [`run_with`](Self::run_with) for asynchronous work, on any runtime.
    ///
    /// A duplicate whose options say [`OnConflict::Wait`] joins the running attempt, without a
    /// time limit of its own (see [`join`](Self::join)); otherwise it is declined at once. If the
    /// future is dropped while the work runs, the record is resolved by
    /// [`OnDrop`](crate::OnDrop).
    ///
    /// # Errors
    ///
    /// As [`run_with`](Self::run_with).
    ///
    /// ```
    /// use std::pin::pin;
    /// use std::future::Future;
    /// use std::task::{Context, Poll, Waker};
    /// use oncegate::{Engine, Outcome, Ran, Request, RunOptions, Scope};
    ///
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let options = RunOptions::new();
    /// let run = engine.run_async(&request, &options, |_token| async {
    ///     Ok::<_, String>(Outcome::new(200, b"done"))
    /// });
    /// let mut context = Context::from_waker(Waker::noop());
    /// let Poll::Ready(ran) = pin!(run).poll(&mut context) else { unreachable!() };
    /// assert!(matches!(ran?, Ran::Executed(_)));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub async fn run_async<E, F>(
        &self,
        request: &Request<'_>,
        options: &RunOptions,
        work: impl FnOnce(LeaseToken) -> F,
    ) -> Result<Ran<E>, Error>
    where
        F: Future<Output = Result<Outcome, E>>,
    {
        let lease = match self.begin_or_join(request, &options.begin).await? {
            Admission::Admitted(lease) => lease,
            other => return Ok(declined(other)),
        };
        let result = work(*lease.token()).await;
        settle_async(lease, result, self.policy(options)).await
    }

    /// `begin`, joining the running attempt where the options say to wait.
    pub(crate) async fn begin_or_join(
        &self,
        request: &Request<'_>,
        options: &BeginOptions,
    ) -> Result<Admission<'_>, Error> {
        match options.on_conflict.unwrap_or(self.defaults.on_conflict) {
            OnConflict::Conflict if self.has_tier() => self.begin_async(request, options).await,
            OnConflict::Conflict => self.begin_with(request, options),
            OnConflict::Wait(_) => self.join(request, options).await,
        }
    }
}

/// Ends the attempt as `policy` judges its result.
pub(super) fn settle<E>(
    lease: Lease<'_>,
    result: Result<Outcome, E>,
    policy: &OutcomePolicy,
) -> Result<Ran<E>, Error> {
    let ended = match (judged(&result, policy), &result) {
        (Verdict::Final, Ok(outcome)) => lease.complete(outcome).map(|_| ()),
        (Verdict::Retryable, _) => lease.fail(Failure::retryable()),
        (Verdict::Unknown, _) | (Verdict::Final, Err(_)) => lease.fail(Failure::unknown()),
    };
    settled(ended, result)
}

/// The same without blocking on a tier.
pub(super) async fn settle_async<E>(
    lease: Lease<'_>,
    result: Result<Outcome, E>,
    policy: &OutcomePolicy,
) -> Result<Ran<E>, Error> {
    let ended = match (judged(&result, policy), &result) {
        (Verdict::Final, Ok(outcome)) => lease.complete_async(outcome).await.map(|_| ()),
        (Verdict::Retryable, _) => lease.fail_async(Failure::retryable()).await,
        (Verdict::Unknown, _) | (Verdict::Final, Err(_)) => {
            lease.fail_async(Failure::unknown()).await
        }
    };
    settled(ended, result)
}

pub(super) fn judged<E>(result: &Result<Outcome, E>, policy: &OutcomePolicy) -> Verdict {
    match result {
        Ok(outcome) => policy.judge(outcome.status()),
        Err(_) => policy.judge_error(),
    }
}

fn settled<E>(ended: Result<(), Error>, result: Result<Outcome, E>) -> Result<Ran<E>, Error> {
    match (ended, result) {
        (Ok(()), Ok(outcome)) => Ok(Ran::Executed(outcome)),
        (Ok(()), Err(error)) => Ok(Ran::Failed(error)),
        (Err(error), result) if error.is_fenced() => Ok(Ran::Fenced(result)),
        (Err(error), _) => Err(error),
    }
}

pub(super) fn declined<E>(admission: Admission<'_>) -> Ran<E> {
    Ran::Declined(match admission {
        Admission::Replayed(outcome) => return Ran::Replayed(outcome),
        Admission::InProgress { attempt, remaining } => Declined::InProgress { attempt, remaining },
        Admission::Scheduled { next_attempt, due_in } => {
            Declined::Scheduled { next_attempt, due_in }
        }
        Admission::Mismatched => Declined::Mismatched,
        Admission::Unresolved => Declined::Unresolved,
        // A lease never comes here; dropping it would give it back.
        Admission::OutcomeGone | Admission::Admitted(_) => Declined::OutcomeGone,
    })
}
