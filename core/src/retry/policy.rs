//! Retry policy: whether there is a next attempt, and when it may start.

use std::time::Duration;

use super::backoff::BackoffPolicy;
use super::hint::{Hint, HintLimits};
use super::source::JitterSource;
use super::stretch::Stretch;
use crate::config::{TEN_YEARS, YEAR, check_duration};
use crate::error::{Error, ErrorCode};
use crate::sync::planted::Bug;

/// When to try again, and when to stop: a backoff, and limits of attempts and time.
///
/// It holds no state and no clock, so that one serves all requests and threads:
/// [`decide`](Self::decide) is given what has happened, and answers. Nothing is validated until
/// [`check`](Self::check).
///
/// ```
/// use std::time::Duration;
/// use oncegate::{Attempted, BackoffPolicy, Decision, Exhaustion, JitterSource, RetryPolicy};
///
/// let second = Duration::from_secs(1);
/// let policy = RetryPolicy::new(BackoffPolicy::exponential(second, 2.0, 20 * second))
///     .max_attempts(5)
///     .deadline(60 * second)
///     .expected_duration(2 * second);
/// policy.check()?;
/// let source = JitterSource::new()?;
///
/// let first = Attempted::new(1, Duration::from_millis(300));
/// let again = policy.decide(&first, &source);
/// assert!(matches!(again, Decision::RetryAfter(delay) if delay <= second));
/// let last = Attempted::new(5, 10 * second);
/// assert_eq!(policy.decide(&last, &source), Decision::Exhausted(Exhaustion::Attempts));
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    pub(super) backoff: BackoffPolicy,
    pub(super) max_attempts: u32,
    pub(super) deadline: Option<Duration>,
    pub(super) expected: Option<Duration>,
    pub(super) attempt_timeout: Option<Duration>,
    pub(super) hints: HintLimits,
}

impl RetryPolicy {
    /// A policy of at most three attempts, like most of the presets, and without a deadline.
    /// Server hints are followed within the [limits of their own](HintLimits::new).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::{BackoffPolicy, RetryPolicy};
    /// let policy = RetryPolicy::new(BackoffPolicy::constant(Duration::from_secs(1)));
    /// # assert!(policy.check().is_ok());
    /// ```
    #[must_use]
    pub fn new(backoff: BackoffPolicy) -> Self {
        Self {
            backoff,
            max_attempts: 3,
            deadline: None,
            expected: None,
            attempt_timeout: None,
            hints: HintLimits::new(),
        }
    }

    /// How many attempts there are at most, the first one included, and those that were given back
    /// by `abandon`. At least 1.
    ///
    /// ```
    /// # use oncegate::RetryPolicy;
    /// assert!(RetryPolicy::aws_standard().max_attempts(0).check().is_err());
    /// ```
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// How long all attempts and delays may take together; from 1 ms to ten years. Default: no
    /// deadline. No attempt is started that would not end before it.
    ///
    /// In [`run_with_retries`](crate::Engine::run_with_retries) and its like it counts from the
    /// start of the call's first attempt. Of a record that the engine retries, it counts from when
    /// the engine was first told something to keep: the first finished
    /// [step](crate::Lease::step), or else the first failure, by
    /// [`retry_later`](crate::Lease::retry_later). When its first attempt began is not kept, so
    /// that what it took until then comes on top. A redrive begins anew.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::RetryPolicy;
    /// let policy = RetryPolicy::aws_standard().deadline(Duration::from_secs(30));
    /// # assert!(policy.check().is_ok());
    /// ```
    #[must_use]
    pub fn deadline(mut self, total: Duration) -> Self {
        self.deadline = Some(total);
        self
    }

    /// How long an attempt is expected to take, where the caller does not know better
    /// ([`Attempted::expected`]); at most the attempt timeout. An attempt that would end after the
    /// deadline is not started. Default: nothing.
    ///
    /// The engine knows better once attempts of the operation were handed out in this process by
    /// [`next_attempt`](crate::Engine::next_attempt): it keeps a moving average of how long they
    /// took, however they ended, and takes none to last longer than the attempt timeout. Each
    /// attempt that is refused for that average alone makes it shorter by a quarter, and no longer
    /// than the deadline, so that a slow one ends retries for a few requests at most.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::{Attempted, Decision, Exhaustion, JitterSource, RetryPolicy};
    /// let second = Duration::from_secs(1);
    /// let policy = RetryPolicy::aws_standard().deadline(10 * second);
    /// let policy = policy.expected_duration(6 * second);
    /// let late = Attempted::new(1, 5 * second);
    /// let decision = policy.decide(&late, &JitterSource::seeded(7));
    /// assert_eq!(decision, Decision::Exhausted(Exhaustion::Deadline));
    /// ```
    #[must_use]
    pub fn expected_duration(mut self, duration: Duration) -> Self {
        self.expected = Some(duration);
        self
    }

    /// How long one attempt may run; from 1 ms to a year. An attempt gets a lease of this length,
    /// so that the next one cannot overlap it, or of what is left until the deadline, if that is
    /// less. Default: the lease of the engine.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::RetryPolicy;
    /// let policy = RetryPolicy::grpc_example().attempt_timeout(Duration::from_secs(3));
    /// # assert!(policy.check().is_ok());
    /// ```
    #[must_use]
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = Some(timeout);
        self
    }

    /// How far a server's hint is followed.
    ///
    /// ```
    /// # use oncegate::{HintLimits, RetryPolicy};
    /// let policy = RetryPolicy::aws_standard().hints(HintLimits::ignored());
    /// # assert!(policy.check().is_ok());
    /// ```
    #[must_use]
    pub fn hints(mut self, limits: HintLimits) -> Self {
        self.hints = limits;
        self
    }

    /// How far a hint is followed now: for whoever changes one of those limits and keeps the rest.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::RetryPolicy;
    /// let policy = RetryPolicy::aws_2026();
    /// let limits = policy.hint_limits().max(Duration::from_secs(60));
    /// let policy = policy.hints(limits);
    /// # assert!(policy.check().is_ok());
    /// ```
    pub fn hint_limits(&self) -> HintLimits {
        self.hints
    }

    /// Validates everything.
    ///
    /// # Errors
    /// `InvalidOption`, naming the field: one of this policy's setters, of its backoff or of the
    /// limits for hints.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::RetryPolicy;
    /// let error = RetryPolicy::polly_v8().deadline(Duration::ZERO).check().unwrap_err();
    /// assert_eq!(error.field(), "deadline");
    /// ```
    pub fn check(&self) -> Result<(), Error> {
        let refused = |field, found: String, limit: String| {
            Err(Error::new(ErrorCode::InvalidOption, field, found, limit))
        };
        self.backoff.check()?;
        self.hints.check()?;
        if self.max_attempts == 0 {
            return refused("max_attempts", "0".to_owned(), "at least 1".to_owned());
        }
        let all = [
            ("deadline", self.deadline, TEN_YEARS),
            ("attempt_timeout", self.attempt_timeout, YEAR),
        ];
        for (field, found, most) in all {
            if let Some(found) = found {
                check_duration(ErrorCode::InvalidOption, field, found, most)?;
            }
        }
        let most = self.attempt_timeout.unwrap_or(YEAR);
        match self.expected.filter(|expected| *expected > most) {
            Some(found) => {
                let limit = format!("at most {} ms, the attempt timeout", most.as_millis());
                refused("expected_duration", format!("{} ms", found.as_millis()), limit)
            }
            None => Ok(()),
        }
    }

    /// Decides what follows a failed attempt: the first of these rules that applies.
    ///
    /// 1. The server has said not to retry: `Refused`.
    /// 2. There were as many attempts as there may be: `Attempts`.
    /// 3. A delay is drawn from the backoff. A hint takes its place, clamped to
    ///    [its limits](HintLimits); it may be shorter than what was drawn, unless they say
    ///    otherwise. Nothing else shortens a delay.
    /// 4. The time that has passed, the delay and the expected duration of the next attempt are
    ///    together beyond the deadline: `Deadline`. An attempt that ends exactly with it fits.
    /// 5. `RetryAfter` the delay, in whole milliseconds.
    ///
    /// Reads no clock, waits for nobody and allocates nothing; all threads may ask one policy.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use oncegate::{Attempted, Decision, Hint, JitterSource, RetryPolicy};
    ///
    /// let attempted = Attempted::new(1, Duration::from_millis(80));
    /// let hint = Hint::retry_after("3", Duration::ZERO);
    /// let source = JitterSource::new()?;
    /// let decision = RetryPolicy::aws_standard().decide(&attempted.hint(hint), &source);
    /// assert_eq!(decision, Decision::RetryAfter(Duration::from_secs(3)));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn decide(&self, attempted: &Attempted, source: &JitterSource) -> Decision {
        if self.hints.refuse(attempted.hint) {
            return Decision::Exhausted(Exhaustion::Refused);
        }
        let one_more = u32::from(Bug::AttemptLimitOffByOne.is_planted());
        if attempted.attempt >= self.max_attempts.saturating_add(one_more) {
            return Decision::Exhausted(Exhaustion::Attempts);
        }
        let (previous, stretch) = (attempted.previous_delay, attempted.stretch);
        let drawn = self.backoff.delay(attempted.attempt, previous, stretch, source);
        let delay = self.hints.apply(attempted.hint, drawn);
        let expected = attempted.expected.or(self.expected).unwrap_or_default();
        if !self.fits(attempted.elapsed.saturating_add(delay), expected) {
            return Decision::Exhausted(Exhaustion::Deadline);
        }
        Decision::RetryAfter(delay)
    }

    /// Whether an attempt ends before the deadline that starts when `elapsed` has passed, and lasts
    /// as long as is expected.
    pub(crate) fn fits(&self, elapsed: Duration, expected: Duration) -> bool {
        let ignores = Bug::DeadlineIgnoresDuration.is_planted();
        let ends = elapsed.saturating_add(if ignores { Duration::ZERO } else { expected });
        self.deadline.is_none_or(|deadline| ends <= deadline)
    }

    /// How long an attempt is taken to last: as was measured, or else as this policy says; no
    /// longer than it may, and no shorter than a lease.
    pub(crate) fn expects(&self, measured: Option<Duration>) -> Duration {
        let expected = measured.or(self.expected).unwrap_or_default();
        expected.min(self.attempt_timeout.unwrap_or(Duration::MAX)).max(SHORTEST)
    }

    /// How long the lease of an attempt lasts that starts when `elapsed` has passed: as long as
    /// `default`, if this policy has no timeout, and not beyond the deadline.
    pub(crate) fn lease(&self, elapsed: Duration, default: Duration) -> Duration {
        let longest = self.attempt_timeout.unwrap_or(default);
        let left = self.deadline.map_or(longest, |deadline| deadline.saturating_sub(elapsed));
        longest.min(left).max(SHORTEST)
    }

    pub(crate) fn total(&self) -> Option<Duration> {
        self.deadline
    }

    /// How long an attempt may run that starts when `elapsed` has passed since the first one began:
    /// the attempt timeout, or what is left until the deadline, whichever is shorter. `None`: this
    /// policy sets no limit. Its lease is no longer than that, nor, without a timeout, than the
    /// engine's.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::RetryPolicy;
    /// let second = Duration::from_secs(1);
    /// let policy = RetryPolicy::aws_standard().deadline(10 * second).attempt_timeout(4 * second);
    /// assert_eq!(policy.attempt_limit(Duration::ZERO), Some(4 * second));
    /// assert_eq!(policy.attempt_limit(7 * second), Some(3 * second));
    /// ```
    #[must_use]
    pub fn attempt_limit(&self, elapsed: Duration) -> Option<Duration> {
        let left = self.deadline.map(|deadline| deadline.saturating_sub(elapsed));
        match (self.attempt_timeout, left) {
            (Some(timeout), Some(left)) => Some(timeout.min(left)),
            (timeout, left) => timeout.or(left),
        }
    }
}

/// An attempt that has failed, and what is known at that time.
///
/// ```
/// use std::time::Duration;
/// use oncegate::Attempted;
///
/// let attempted = Attempted::new(2, Duration::from_millis(1_500))
///     .previous_delay(Duration::from_millis(700))
///     .expected(Duration::from_millis(250));
/// # let _ = attempted;
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct Attempted {
    attempt: u32,
    elapsed: Duration,
    previous_delay: Duration,
    expected: Option<Duration>,
    hint: Option<Hint>,
    stretch: Stretch,
}

impl Attempted {
    /// The number of the attempt, from 1 on, and the time since the first attempt began.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let _ = oncegate::Attempted::new(1, Duration::from_millis(40));
    /// ```
    pub fn new(attempt: u32, elapsed: Duration) -> Self {
        Self {
            attempt,
            elapsed,
            previous_delay: Duration::ZERO,
            expected: None,
            hint: None,
            stretch: Stretch::default(),
        }
    }

    /// The delay before this attempt, which [`Jitter::Decorrelated`](crate::Jitter) goes on from.
    /// Default: none, as for the first attempt.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::Attempted;
    /// let attempted = Attempted::new(2, Duration::from_secs(2));
    /// let _ = attempted.previous_delay(Duration::from_secs(1));
    /// ```
    pub fn previous_delay(mut self, delay: Duration) -> Self {
        self.previous_delay = delay;
        self
    }

    /// How long the next attempt is expected to take, as measured. Default: what the policy says.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::Attempted;
    /// let _ = Attempted::new(1, Duration::from_secs(1)).expected(Duration::from_millis(120));
    /// ```
    pub fn expected(mut self, duration: Duration) -> Self {
        self.expected = Some(duration);
        self
    }

    /// What the server said about retrying, if it said something.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::{Attempted, Hint};
    /// let hint = Hint::retry_after("5", Duration::ZERO);
    /// let _ = Attempted::new(1, Duration::from_secs(1)).hint(hint);
    /// ```
    pub fn hint(mut self, hint: Option<Hint>) -> Self {
        self.hint = hint;
        self
    }

    /// By how much a controller slows retries down for now. Default: not at all.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::{Attempted, Stretch};
    /// let stretch = Stretch { base: 2.0, ceiling: 4.0, width: 1.0 };
    /// let _ = Attempted::new(1, Duration::from_secs(1)).stretch(stretch);
    /// ```
    pub fn stretch(mut self, stretch: Stretch) -> Self {
        self.stretch = stretch;
        self
    }
}

/// What follows a failed attempt.
///
/// ```
/// use std::time::Duration;
/// use oncegate::{Attempted, Decision, JitterSource, RetryPolicy};
///
/// let attempted = Attempted::new(1, Duration::from_millis(40));
/// match RetryPolicy::polly_v8().decide(&attempted, &JitterSource::new()?) {
///     Decision::RetryAfter(delay) => println!("again in {delay:?}"),
///     Decision::Exhausted(reason) => println!("given up: {reason:?}"),
/// }
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// The next attempt may start after this delay.
    RetryAfter(Duration),
    /// There is no next attempt.
    Exhausted(Exhaustion),
}

/// Why there is no next attempt.
///
/// ```
/// use std::time::Duration;
/// use oncegate::{Attempted, Decision, Exhaustion, Hint, JitterSource, RetryPolicy};
///
/// let refused = Attempted::new(1, Duration::ZERO).hint(Some(Hint::grpc_pushback("-1")));
/// let decision = RetryPolicy::grpc_example().decide(&refused, &JitterSource::new()?);
/// assert_eq!(decision, Decision::Exhausted(Exhaustion::Refused));
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exhaustion {
    /// There were as many attempts as there may be.
    Attempts,
    /// Another attempt would not end before the deadline.
    Deadline,
    /// The server said not to retry.
    Refused,
}

/// No lease is shorter.
const SHORTEST: Duration = Duration::from_millis(1);

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
