//! Own call: a caller runs every attempt itself, and waits in between in a way of its own.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use super::super::lease::Paid;
use super::super::{Engine, LeaseToken};
use super::calls::Calls;
use super::in_call::GivenUp;
use super::later::AttemptError;
use crate::error::Error;
use crate::fingerprint::Request;
use crate::retry::{RetryPolicy, Withdrawal};

/// The attempts of one call: what [`Engine::run_with_retries`] keeps of them, for callers that run
/// and wait otherwise, as another language does. It decides and pays; it begins and ends nothing.
///
/// ```
/// use std::time::Duration;
/// use oncegate::{
///     Admission, AttemptError, BackoffPolicy, Engine, Failure, Outcome, Request, RetryPolicy,
///     Scope,
/// };
///
/// let engine = Engine::builder().capacity(1_000).build()?;
/// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
/// let policy = RetryPolicy::new(BackoffPolicy::constant(Duration::ZERO));
/// let mut attempts = engine.call_attempts(&request, &policy)?;
/// for number in 1..=2 {
///     let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
///     let token = lease.into_token();
///     attempts.began(&engine, &token);
///     if number == 1 {
///         let delay = attempts.failed(&engine, &token, &AttemptError::new("503"));
///         engine.fail(&token, Failure::retryable_after(delay.expect("two more")))?;
///     } else {
///         engine.complete(&token, &Outcome::new(200, b"done"))?;
///     }
/// }
/// assert_eq!(attempts.count(), 2);
/// # Ok::<(), oncegate::Error>(())
/// ```
#[must_use]
pub struct CallAttempts {
    calls: Calls<'static>,
    /// For the attempt that is to come.
    paid: Option<Withdrawal>,
}

impl Engine {
    /// The attempts of a call for `request`, of which there were none. The retry budgets that are
    /// set now, for its scope, its operation and the engine, are those that pay.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidOption`](crate::ErrorCode) for a policy that is out of its range.
    ///
    /// ```
    /// use oncegate::{Engine, Request, RetryPolicy, Scope};
    ///
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let attempts = engine.call_attempts(&request, &RetryPolicy::aws_standard())?;
    /// assert_eq!(attempts.count(), 0);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn call_attempts(
        &self,
        request: &Request<'_>,
        policy: &RetryPolicy,
    ) -> Result<CallAttempts, Error> {
        Ok(CallAttempts { calls: self.calls(request, Cow::Owned(policy.clone()))?, paid: None })
    }
}

impl CallAttempts {
    /// An attempt of this call has begun, with this token. What was paid for it is spent from now
    /// on, and is settled when it is ended by the token.
    ///
    /// ```
    /// # use oncegate::{Admission, Engine, Request, RetryPolicy, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let mut attempts = engine.call_attempts(&request, &RetryPolicy::aws_standard())?;
    /// if let Admission::Admitted(lease) = engine.begin(&request)? {
    ///     attempts.began(&engine, &lease.into_token());
    /// }
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn began(&mut self, engine: &Engine, token: &LeaseToken) {
        self.calls.count(engine.now());
        if let Some(mut paid) = self.paid.take() {
            paid.start();
            engine.keep_share(token, Paid::Retry(paid));
        }
    }

    /// The attempt of this token has failed, and was not ended yet: how long the next one has to
    /// wait, which is paid for.
    ///
    /// # Errors
    ///
    /// [`GivenUp`]: there is no next one.
    ///
    /// ```
    /// use oncegate::{Admission, AttemptError, Engine, GivenUp, Request, RetryPolicy, Scope};
    ///
    /// let engine = Engine::builder().capacity(1_000).build()?;
    /// let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let once = RetryPolicy::aws_standard().max_attempts(1);
    /// let mut attempts = engine.call_attempts(&request, &once)?;
    /// let Admission::Admitted(lease) = engine.begin(&request)? else { unreachable!() };
    /// attempts.began(&engine, lease.token());
    /// let next = attempts.failed(&engine, lease.token(), &AttemptError::new("503"));
    /// assert_eq!(next, Err(GivenUp::Attempts));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn failed(
        &mut self,
        engine: &Engine,
        token: &LeaseToken,
        error: &AttemptError,
    ) -> Result<Duration, GivenUp> {
        engine.make_way(token);
        let (delay, paid) = engine.decide_call(&self.calls, error)?;
        self.calls.put_off(delay);
        self.paid = Some(paid);
        Ok(delay)
    }

    /// There is no next attempt after all: what was paid for it is given back, as it is when this
    /// value is dropped.
    ///
    /// ```
    /// # use oncegate::{Engine, Request, RetryPolicy, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let mut attempts = engine.call_attempts(&request, &RetryPolicy::aws_standard())?;
    /// attempts.give_back();
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn give_back(&mut self) {
        self.paid = None;
    }

    /// How many attempts there were.
    ///
    /// ```
    /// # use oncegate::{Engine, Request, RetryPolicy, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let attempts = engine.call_attempts(&request, &RetryPolicy::aws_standard())?;
    /// assert_eq!(attempts.count(), 0);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn count(&self) -> u32 {
        self.calls.attempts()
    }

    /// What is left until the policy's deadline; `None`: it has none.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::{Engine, Request, RetryPolicy, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let policy = RetryPolicy::aws_standard().deadline(Duration::from_secs(60));
    /// let attempts = engine.call_attempts(&request, &policy)?;
    /// assert_eq!(attempts.left(&engine), Some(Duration::from_secs(60)));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn left(&self, engine: &Engine) -> Option<Duration> {
        self.calls.left(engine.now())
    }

    /// Whether an attempt that starts now would not end before the policy's deadline, as far as is
    /// known. The first one is never late.
    ///
    /// ```
    /// # use oncegate::{Engine, Request, RetryPolicy, Scope};
    /// # let engine = Engine::builder().capacity(1_000).build()?;
    /// # let request = Request::new(Scope::single_tenant(), "op", "key-1")?;
    /// let attempts = engine.call_attempts(&request, &RetryPolicy::aws_standard())?;
    /// assert!(!attempts.is_late(&engine));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn is_late(&self, engine: &Engine) -> bool {
        self.count() > 0 && engine.is_late(&self.calls, engine.now())
    }
}

impl fmt::Debug for CallAttempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallAttempts").field("count", &self.count()).finish_non_exhaustive()
    }
}
