//! Hint: what a server says about retrying, and how far it is followed.

mod date;

use std::time::Duration;

use super::backoff::BackoffPolicy;
use crate::error::{Error, ErrorCode};
use crate::sync::planted::Bug;

/// What a server said about the next attempt.
///
/// Whatever the header holds, reading it ends in an answer. A value of more than 64 bytes is none.
///
/// ```
/// use std::time::Duration;
/// use oncegate::Hint;
///
/// let unix_time = Duration::from_secs(784_111_777);
/// let in_three = Some(Hint::After(Duration::from_secs(3)));
/// assert_eq!(Hint::retry_after("3", unix_time), in_three);
/// assert_eq!(Hint::retry_after("Sun, 06 Nov 1994 08:49:40 GMT", unix_time), in_three);
/// assert_eq!(Hint::grpc_pushback("-1"), Hint::Refused);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hint {
    /// Not before this much time has passed.
    After(Duration),
    /// Not at all.
    Refused,
}

impl Hint {
    /// The value of `Retry-After`: seconds, or an HTTP date in any of its three forms (RFC 9110,
    /// sections 10.2.3 and 5.6.7). `unix_time` is the wall time since 1970, as
    /// [`Clock::unix_time`](crate::Clock::unix_time) gives it; a date that has passed means now.
    ///
    /// `None`: it is neither. A time that does not fit is as long as the longest delay.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::Hint;
    /// let two_minutes = Some(Hint::After(Duration::from_secs(120)));
    /// assert_eq!(Hint::retry_after("120", Duration::ZERO), two_minutes);
    /// assert_eq!(Hint::retry_after("soon", Duration::ZERO), None);
    /// ```
    #[must_use]
    pub fn retry_after(value: impl AsRef<[u8]>, unix_time: Duration) -> Option<Self> {
        let value = bounded(value.as_ref())?;
        if let Some(seconds) = digits(value) {
            return Some(Self::after(Duration::from_secs(seconds)));
        }
        let at = date::parse(value, unix_time)?;
        Some(Self::after(at.saturating_sub(unix_time)))
    }

    /// The value of `grpc-retry-pushback-ms` (gRFC A6): milliseconds. A value that is negative, no
    /// number, or beyond 32 bits with a sign means: not at all.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::Hint;
    /// assert_eq!(Hint::grpc_pushback("250"), Hint::After(Duration::from_millis(250)));
    /// assert_eq!(Hint::grpc_pushback("soon"), Hint::Refused);
    /// ```
    #[must_use]
    pub fn grpc_pushback(value: impl AsRef<[u8]>) -> Self {
        let parsed = bounded(value.as_ref()).and_then(digits);
        match parsed.filter(|ms| *ms <= i32::MAX as u64) {
            Some(ms) => Self::After(Duration::from_millis(ms)),
            None => Self::Refused,
        }
    }

    /// The value of `x-amz-retry-after`: milliseconds. `None`: it is no number, and the SDKs of AWS
    /// ignore it too.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::Hint;
    /// assert_eq!(Hint::amz_retry_after("1500"), Some(Hint::After(Duration::from_millis(1_500))));
    /// ```
    #[must_use]
    pub fn amz_retry_after(value: impl AsRef<[u8]>) -> Option<Self> {
        let ms = bounded(value.as_ref()).and_then(digits)?;
        Some(Self::after(Duration::from_millis(ms)))
    }

    fn after(delay: Duration) -> Self {
        Self::After(delay.min(BackoffPolicy::LONGEST))
    }
}

/// How far hints are followed.
///
/// ```
/// use std::time::Duration;
/// use oncegate::{HintLimits, RetryPolicy};
///
/// let limits = HintLimits::new().max(Duration::from_secs(60));
/// let policy = RetryPolicy::celery_backoff().hints(limits);
/// # assert!(policy.check().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct HintLimits {
    honoured: bool,
    min: Duration,
    max: Duration,
    beyond_drawn: Option<Duration>,
}

impl HintLimits {
    /// Hints are followed, up to an hour: no server may put a request off for days, and the rate
    /// limits of public interfaces ask for no more.
    ///
    /// ```
    /// assert_eq!(oncegate::HintLimits::new(), oncegate::HintLimits::default());
    /// ```
    pub fn new() -> Self {
        let (min, max) = (Duration::ZERO, Duration::from_secs(3_600));
        Self { honoured: true, min, max, beyond_drawn: None }
    }

    /// Hints are ignored, a refusal too.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use oncegate::{Attempted, Decision, Hint, HintLimits, JitterSource, RetryPolicy};
    ///
    /// let policy = RetryPolicy::celery().hints(HintLimits::ignored());
    /// let attempted = Attempted::new(1, Duration::ZERO).hint(Some(Hint::Refused));
    /// let decision = policy.decide(&attempted, &JitterSource::seeded(7));
    /// assert_eq!(decision, Decision::RetryAfter(Duration::from_secs(180)));
    /// ```
    pub fn ignored() -> Self {
        Self { honoured: false, ..Self::new() }
    }

    /// A hint that is shorter counts as this long. Default: zero.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let _ = oncegate::HintLimits::new().min(Duration::from_millis(100));
    /// ```
    pub fn min(mut self, least: Duration) -> Self {
        self.min = least;
        self
    }

    /// A hint that is longer counts as this long; at most ten years. The ceiling of the backoff
    /// does not hold for hints. Default: an hour.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let _ = oncegate::HintLimits::new().max(Duration::from_secs(10));
    /// ```
    pub fn max(mut self, most: Duration) -> Self {
        self.max = most;
        self
    }

    /// After the other limits, a hint neither shortens the delay that was drawn nor lengthens it
    /// by more than this. Default: no such limit, and a hint may shorten the delay.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let as_aws = oncegate::HintLimits::new().beyond_drawn(Duration::from_secs(5));
    /// # let _ = as_aws;
    /// ```
    pub fn beyond_drawn(mut self, most: Duration) -> Self {
        self.beyond_drawn = Some(most);
        self
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let longest = BackoffPolicy::LONGEST;
        let all = [
            ("hint_max", self.max, longest),
            ("hint_min", self.min, self.max),
            ("hint_beyond_drawn", self.beyond_drawn.unwrap_or_default(), longest),
        ];
        for (field, found, most) in all {
            if found > most {
                let found = format!("{} ms", found.as_millis());
                let limit = format!("at most {} ms", most.as_millis());
                return Err(Error::new(ErrorCode::InvalidOption, field, found, limit));
            }
        }
        Ok(())
    }

    /// Whether `hint` forbids another attempt.
    pub(super) fn refuse(&self, hint: Option<Hint>) -> bool {
        self.honoured && hint == Some(Hint::Refused)
    }

    /// The delay in whole milliseconds, where `drawn` came from the backoff.
    pub(super) fn apply(&self, hint: Option<Hint>, drawn: Duration) -> Duration {
        let Some(Hint::After(asked)) = hint.filter(|_| self.honoured) else {
            return drawn;
        };
        if Bug::HintUnclamped.is_planted() {
            return asked;
        }
        let max = self.max.min(BackoffPolicy::LONGEST);
        let clamped = whole_up(asked).max(whole_up(self.min)).min(whole(max));
        match self.beyond_drawn {
            Some(beyond) => clamped.min(drawn.saturating_add(whole(beyond))).max(drawn),
            None => clamped,
        }
    }
}

impl Default for HintLimits {
    /// [`HintLimits::new`].
    fn default() -> Self {
        Self::new()
    }
}

/// The value without the white space around it, which is not part of it; `None` where it is empty
/// or too long to be anything that is known.
fn bounded(value: &[u8]) -> Option<&[u8]> {
    let short = (value.len() <= MOST_BYTES).then_some(value)?.trim_ascii();
    (!short.is_empty()).then_some(short)
}

/// The number that all of the bytes spell in decimal digits; the largest one where it is larger.
fn digits(text: &[u8]) -> Option<u64> {
    let value = |byte: &u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    let push = |number: u64, digit| number.saturating_mul(10).saturating_add(digit);
    text.iter().try_fold(0, |number, byte| Some(push(number, value(byte)?)))
}

/// Whole milliseconds, rounded down.
fn whole(duration: Duration) -> Duration {
    duration.saturating_sub(Duration::from_nanos(u64::from(duration.subsec_nanos() % 1_000_000)))
}

/// Whole milliseconds, rounded up; down at the end of the range.
fn whole_up(duration: Duration) -> Duration {
    whole(duration.saturating_add(Duration::from_nanos(999_999)))
}

const MOST_BYTES: usize = 64;

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
