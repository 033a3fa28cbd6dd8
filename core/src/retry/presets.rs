//! Presets: the published constants of what users come from.
//!
//! Each has the schedule, the jitter and the number of attempts of its source. What a source leaves
//! out is as in [`RetryPolicy::new`]: no deadline, and a hint is followed when it is given. Where a
//! source's jitter may go beyond its own ceiling (gRPC's does, by a fifth), this one's does not.

use std::time::Duration;

use super::backoff::BackoffPolicy;
use super::hint::HintLimits;
use super::jitter::Jitter;
use super::policy::RetryPolicy;

impl RetryPolicy {
    /// AWS SDKs, retry mode `standard`: full jitter below 1 s, 2 s, 4 s… and at most 20 s; 3
    /// attempts.
    ///
    /// Source: *Retry behavior* in the AWS SDKs and Tools Reference Guide, and
    /// `botocore/retries/standard.py`, as of August 2026 without the opt-in of
    /// [`aws_2026`](Self::aws_2026). Its retry quota is a budget, and no part of a policy.
    ///
    /// ```
    /// # use oncegate::RetryPolicy;
    /// assert!(RetryPolicy::aws_standard().check().is_ok());
    /// ```
    #[must_use]
    pub fn aws_standard() -> Self {
        Self::aws(Duration::from_secs(1))
    }

    /// AWS SDKs with `AWS_NEW_RETRIES_2026=true`, after an error that is no throttling: full jitter
    /// below 50 ms, 100 ms, 200 ms… and at most 20 s; 3 attempts. A hint in `x-amz-retry-after`
    /// lengthens the drawn delay by at most 5 s and never shortens it.
    ///
    /// Source: as for [`aws_standard`](Self::aws_standard), with the opt-in. `DynamoDB` has 25 ms
    /// and 4 attempts there.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use oncegate::{Attempted, Decision, Hint, JitterSource, RetryPolicy};
    ///
    /// let hint = Hint::amz_retry_after("60000");
    /// let attempted = Attempted::new(1, Duration::ZERO).hint(hint);
    /// let decision = RetryPolicy::aws_2026().decide(&attempted, &JitterSource::new()?);
    /// let most = Duration::from_millis(5_050);
    /// assert!(matches!(decision, Decision::RetryAfter(delay) if delay <= most));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn aws_2026() -> Self {
        Self::aws(Duration::from_millis(50)).hints(HintLimits::new().beyond_drawn(AWS_BEYOND))
    }

    /// The same after a throttling error: full jitter below 1 s, 2 s, 4 s….
    ///
    /// ```
    /// # use oncegate::RetryPolicy;
    /// assert!(RetryPolicy::aws_2026_throttled().check().is_ok());
    /// ```
    #[must_use]
    pub fn aws_2026_throttled() -> Self {
        Self::aws(Duration::from_secs(1)).hints(HintLimits::new().beyond_drawn(AWS_BEYOND))
    }

    /// gRPC, with the values of the service config's `retryPolicy`: ±20 % around
    /// `initialBackoff × backoffMultiplier^(k-1)`, at most `maxBackoff`; `maxAttempts`, of which
    /// more than 5 count as 5.
    ///
    /// Source: gRFC A6 *gRPC Retry Design* (2017, with the jitter of its later revision). There the
    /// jitter may go a fifth beyond `maxBackoff`; and after a pushback the backoff starts over,
    /// which here it does not.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::RetryPolicy;
    /// let (initial, max) = (Duration::from_millis(100), Duration::from_secs(1));
    /// let policy = RetryPolicy::grpc(initial, max, 2.0, 4);
    /// # assert!(policy.check().is_ok());
    /// ```
    #[must_use]
    pub fn grpc(initial: Duration, max: Duration, multiplier: f64, max_attempts: u32) -> Self {
        let backoff = BackoffPolicy::exponential(initial, multiplier, max);
        Self::new(backoff.jitter(Jitter::Proportional(0.2))).max_attempts(max_attempts.min(5))
    }

    /// [`grpc`](Self::grpc) with the values of the example in gRFC A6: 100 ms, doubled up to 1 s, 4
    /// attempts. gRPC itself has no defaults.
    ///
    /// ```
    /// # use oncegate::RetryPolicy;
    /// assert!(RetryPolicy::grpc_example().check().is_ok());
    /// ```
    #[must_use]
    pub fn grpc_example() -> Self {
        Self::grpc(Duration::from_millis(100), Duration::from_secs(1), 2.0, 4)
    }

    /// Resilience4j's exponential random backoff: ±50 % around 500 ms, 750 ms, 1,125 ms…, without a
    /// ceiling; 3 attempts.
    ///
    /// Source: `IntervalFunction.ofExponentialRandomBackoff()` and `RetryConfig`, version 2.4, May
    /// 2026. A `RetryConfig` without an interval function waits 500 ms each time:
    /// `BackoffPolicy::constant`.
    ///
    /// ```
    /// # use oncegate::RetryPolicy;
    /// assert!(RetryPolicy::resilience4j().check().is_ok());
    /// ```
    #[must_use]
    pub fn resilience4j() -> Self {
        let initial = Duration::from_millis(500);
        let backoff = BackoffPolicy::exponential(initial, 1.5, BackoffPolicy::LONGEST);
        Self::new(backoff.jitter(Jitter::Proportional(0.5)))
    }

    /// Polly v8 with `DelayBackoffType.Exponential` and `UseJitter`: a base of 2 s, which makes
    /// delays with medians near 1.8 s, 2.2 s, 4.1 s…, without a ceiling; 3 retries, which are 4
    /// attempts.
    ///
    /// Source: `RetryStrategyOptions`, `RetryConstants` and `RetryHelper`, August 2026. Both
    /// options are off there by default, and the delay is then 2 s each time.
    ///
    /// ```
    /// # use oncegate::RetryPolicy;
    /// assert!(RetryPolicy::polly_v8().check().is_ok());
    /// ```
    #[must_use]
    pub fn polly_v8() -> Self {
        let initial = Duration::from_secs(2);
        let backoff = BackoffPolicy::exponential(initial, 2.0, BackoffPolicy::LONGEST);
        Self::new(backoff.jitter(Jitter::DecorrelatedV2)).max_attempts(4)
    }

    /// Celery's `Task.retry` without a countdown: `default_retry_delay`, 180 s each time;
    /// `max_retries` 3, which are 4 attempts.
    ///
    /// Source: `celery/app/task.py`, version 5.
    ///
    /// ```
    /// # use oncegate::RetryPolicy;
    /// assert!(RetryPolicy::celery().check().is_ok());
    /// ```
    #[must_use]
    pub fn celery() -> Self {
        Self::new(BackoffPolicy::constant(Duration::from_secs(180))).max_attempts(4)
    }

    /// Celery's `autoretry_for` with `retry_backoff=True`: full jitter (`retry_jitter`) below 1 s,
    /// 2 s, 4 s… and at most 600 s (`retry_backoff_max`); `max_retries` 3, which are 4 attempts.
    ///
    /// Source: `celery/app/autoretry.py` and `celery/utils/time.py`, version 5. Celery draws whole
    /// seconds.
    ///
    /// ```
    /// # use oncegate::RetryPolicy;
    /// assert!(RetryPolicy::celery_backoff().check().is_ok());
    /// ```
    #[must_use]
    pub fn celery_backoff() -> Self {
        let (initial, max) = (Duration::from_secs(1), Duration::from_secs(600));
        Self::new(BackoffPolicy::exponential(initial, 2.0, max)).max_attempts(4)
    }

    fn aws(initial: Duration) -> Self {
        Self::new(BackoffPolicy::exponential(initial, 2.0, Duration::from_secs(20)))
    }
}

/// By how much `x-amz-retry-after` may lengthen a delay.
const AWS_BEYOND: Duration = Duration::from_secs(5);

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
