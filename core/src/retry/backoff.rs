//! Backoff: how the delays between attempts grow.

use std::sync::Arc;
use std::time::Duration;

use super::jitter::{Jitter, Terms, up};
use super::source::JitterSource;
use super::stretch::Stretch;
use crate::config::TEN_YEARS;
use crate::error::{Error, ErrorCode};

/// The delay before each retry: a schedule, a jitter, and a ceiling that no delay exceeds.
///
/// Retry `k` is the one after attempt `k`, from 1 on. Delays are whole milliseconds: rounded so
/// that none is earlier than its formula allows and none is above the ceiling. What would be longer
/// than the range lasts as long as the ceiling; nothing overflows. Nothing is validated until
/// [`check`](Self::check); a policy that it would refuse gives some delay, and no panic.
///
/// ```
/// use std::time::Duration;
/// use oncegate::{BackoffPolicy, Jitter};
///
/// let (initial, max) = (Duration::from_millis(100), Duration::from_secs(1));
/// let backoff = BackoffPolicy::exponential(initial, 2.0, max).jitter(Jitter::Equal);
/// backoff.check()?;
/// let delays: Vec<u128> = (1..=5).map(|retry| backoff.plain(retry).as_millis()).collect();
/// assert_eq!(delays, [100, 200, 400, 800, 1_000]);
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct BackoffPolicy {
    schedule: Schedule,
    max: Duration,
    jitter: Jitter,
}

#[derive(Clone, Debug, PartialEq)]
enum Schedule {
    Exponential { initial: Duration, multiplier: f64 },
    Linear { initial: Duration, increment: Duration },
    Constant(Duration),
    List(Arc<[Duration]>),
}

impl BackoffPolicy {
    /// The longest delay that can be asked for: ten years. A ceiling of this length is none.
    pub const LONGEST: Duration = TEN_YEARS;

    /// How many delays a list may have.
    pub const MAX_LISTED: usize = 1_024;

    /// Retry `k` after `initial × multiplier^(k-1)`, at most `max`: truncated exponential backoff,
    /// as gRPC, Temporal and the SDKs of AWS have it. [`Jitter::Full`], unless set otherwise.
    ///
    /// `initial` is at least 1 ms, and `multiplier` from 1 to 1,000.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::BackoffPolicy;
    /// let second = Duration::from_secs(1);
    /// let backoff = BackoffPolicy::exponential(second, 1.5, 60 * second);
    /// assert_eq!(backoff.plain(3), Duration::from_millis(2_250));
    /// ```
    #[must_use]
    pub fn exponential(initial: Duration, multiplier: f64, max: Duration) -> Self {
        Self::new(Schedule::Exponential { initial, multiplier }, max, Jitter::Full)
    }

    /// Retry `k` after `initial + increment × (k-1)`, at most `max`. [`Jitter::Full`], unless set
    /// otherwise.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::BackoffPolicy;
    /// let second = Duration::from_secs(1);
    /// let backoff = BackoffPolicy::linear(second, 2 * second, 60 * second);
    /// assert_eq!(backoff.plain(3), 5 * second);
    /// ```
    #[must_use]
    pub fn linear(initial: Duration, increment: Duration, max: Duration) -> Self {
        Self::new(Schedule::Linear { initial, increment }, max, Jitter::Full)
    }

    /// The same delay before each retry. No jitter and no ceiling, unless they are set.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::BackoffPolicy;
    /// let second = Duration::from_secs(1);
    /// assert_eq!(BackoffPolicy::constant(second).plain(100), second);
    /// ```
    #[must_use]
    pub fn constant(delay: Duration) -> Self {
        Self::new(Schedule::Constant(delay), Self::LONGEST, Jitter::None)
    }

    /// These delays, one for each retry; the last one is repeated. No jitter and no ceiling, unless
    /// they are set.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::BackoffPolicy;
    /// let backoff = BackoffPolicy::list([0, 5, 30].map(Duration::from_secs));
    /// assert_eq!(backoff.plain(1), Duration::ZERO);
    /// assert_eq!(backoff.plain(9), Duration::from_secs(30));
    /// ```
    #[must_use]
    pub fn list(delays: impl Into<Arc<[Duration]>>) -> Self {
        Self::new(Schedule::List(delays.into()), Self::LONGEST, Jitter::None)
    }

    /// The ceiling: no delay is longer, jitter included. From 1 ms to ten years.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::BackoffPolicy;
    /// let backoff = BackoffPolicy::list([1, 60].map(Duration::from_secs));
    /// let backoff = backoff.max(Duration::from_secs(10));
    /// assert_eq!(backoff.plain(2), Duration::from_secs(10));
    /// ```
    #[must_use]
    pub fn max(mut self, ceiling: Duration) -> Self {
        self.max = ceiling;
        self
    }

    /// How a delay is drawn.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::{BackoffPolicy, Jitter};
    /// let backoff = BackoffPolicy::constant(Duration::from_secs(2));
    /// assert!(backoff.jitter(Jitter::Proportional(0.25)).check().is_ok());
    /// ```
    #[must_use]
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// Validates everything.
    ///
    /// # Errors
    /// `InvalidOption`, naming the field: `initial`, `multiplier`, `increment`, `delay`, `list`,
    /// `max` or `jitter`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::BackoffPolicy;
    /// let second = Duration::from_secs(1);
    /// let error = BackoffPolicy::exponential(second, 0.5, second).check().unwrap_err();
    /// assert_eq!(error.field(), "multiplier");
    /// ```
    pub fn check(&self) -> Result<(), Error> {
        let zero = Duration::ZERO;
        match &self.schedule {
            Schedule::Exponential { initial, multiplier } => {
                lasts("initial", *initial, MILLISECOND)?;
                if !(*multiplier >= 1.0 && *multiplier <= MAX_MULTIPLIER) {
                    let found = "a factor outside its range";
                    return Err(refused("multiplier", found, "1 to 1000"));
                }
            }
            Schedule::Linear { initial, increment } => {
                lasts("initial", *initial, zero)?;
                lasts("increment", *increment, zero)?;
            }
            Schedule::Constant(delay) => lasts("delay", *delay, zero)?,
            Schedule::List(delays) => {
                if delays.is_empty() || delays.len() > Self::MAX_LISTED {
                    let (found, most) = (delays.len(), Self::MAX_LISTED);
                    let found = format!("{found} delays");
                    return Err(refused("list", found, format!("1 to {most}")));
                }
                delays.iter().try_for_each(|delay| lasts("list", *delay, zero))?;
            }
        }
        lasts("max", self.max, MILLISECOND)?;
        self.jitter.check(matches!(self.schedule, Schedule::Exponential { .. }))
    }

    /// The delay before `retry`, drawn from `source`.
    ///
    /// `previous` is the delay before the attempt that has failed, and zero for the first one; only
    /// [`Jitter::Decorrelated`] looks at it.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use oncegate::{BackoffPolicy, JitterSource, Stretch};
    ///
    /// let second = Duration::from_secs(1);
    /// let backoff = BackoffPolicy::exponential(second, 2.0, 20 * second);
    /// let source = JitterSource::new()?;
    /// let delay = backoff.delay(2, Duration::ZERO, Stretch::default(), &source);
    /// assert!(delay <= 2 * second);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn delay(
        &self,
        retry: u32,
        previous: Duration,
        stretch: Stretch,
        source: &JitterSource,
    ) -> Duration {
        let terms = self.terms(retry, previous, stretch);
        Duration::from_millis(self.jitter.draw(&terms, source))
    }

    /// The delay before `retry` without jitter and stretch.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::BackoffPolicy;
    /// let second = Duration::from_secs(1);
    /// let backoff = BackoffPolicy::exponential(second, 2.0, 20 * second);
    /// assert_eq!(backoff.plain(u32::MAX), 20 * second);
    /// ```
    #[must_use]
    pub fn plain(&self, retry: u32) -> Duration {
        let terms = self.terms(retry, Duration::ZERO, Stretch::default());
        Duration::from_millis(up(terms.delay).min(terms.ceiling))
    }

    /// What no delay exceeds under `stretch`, in whole milliseconds.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::{BackoffPolicy, Stretch};
    /// let backoff = BackoffPolicy::constant(Duration::from_secs(1)).max(Duration::from_secs(2));
    /// let stretch = Stretch { ceiling: 3.0, ..Stretch::default() };
    /// assert_eq!(backoff.ceiling(stretch), Duration::from_secs(6));
    /// ```
    #[must_use]
    pub fn ceiling(&self, stretch: Stretch) -> Duration {
        Duration::from_millis(self.ceiling_ms(stretch.bounded()))
    }

    fn new(schedule: Schedule, max: Duration, jitter: Jitter) -> Self {
        Self { schedule, max, jitter }
    }

    fn terms(&self, retry: u32, previous: Duration, stretch: Stretch) -> Terms {
        let (stretch, retry) = (stretch.bounded(), retry.max(1));
        let ceiling = self.ceiling_ms(stretch);
        let named = |retry: u32| self.schedule.delay(retry) * stretch.base;
        Terms {
            first: named(1),
            delay: named(retry).min(ceiling as f64),
            previous: millis(previous),
            multiplier: self.schedule.multiplier(),
            retry,
            ceiling,
            stretch,
        }
    }

    fn ceiling_ms(&self, stretch: Stretch) -> u64 {
        // Down, both times: not even a part of a millisecond is beyond the ceiling.
        let whole = millis(self.max.min(Self::LONGEST)).floor();
        (whole * stretch.ceiling).floor() as u64
    }
}

impl Schedule {
    /// The delay before `retry`, in milliseconds, without its ceiling.
    fn delay(&self, retry: u32) -> f64 {
        let grown = retry.saturating_sub(1);
        match self {
            Self::Exponential { initial, multiplier } => {
                millis(*initial) * power(*multiplier, grown)
            }
            Self::Linear { initial, increment } => {
                millis(*initial) + millis(*increment) * f64::from(grown)
            }
            Self::Constant(delay) => millis(*delay),
            Self::List(delays) => {
                let at = usize::try_from(grown).unwrap_or(usize::MAX);
                delays.get(at).or(delays.last()).map_or(0.0, |delay| millis(*delay))
            }
        }
    }

    fn multiplier(&self) -> f64 {
        if let Self::Exponential { multiplier, .. } = self { *multiplier } else { 1.0 }
    }
}

/// `base` to the power of `exponent` by squaring: multiplications round alike on every machine,
/// and the standard library's `powi` does not promise to. A simulation is to run alike too.
fn power(base: f64, exponent: u32) -> f64 {
    let (mut square, mut rest, mut product) = (base, exponent, 1.0);
    while rest > 0 {
        if rest & 1 == 1 {
            product *= square;
        }
        square *= square;
        rest >>= 1;
    }
    product
}

fn lasts(field: &'static str, found: Duration, least: Duration) -> Result<(), Error> {
    if found >= least && found <= BackoffPolicy::LONGEST {
        return Ok(());
    }
    let limit = format!("{} ms to {} s", least.as_millis(), BackoffPolicy::LONGEST.as_secs());
    Err(refused(field, format!("{} ms", found.as_millis()), limit))
}

fn refused(
    field: &'static str,
    found: impl Into<std::borrow::Cow<'static, str>>,
    limit: impl Into<std::borrow::Cow<'static, str>>,
) -> Error {
    Error::new(ErrorCode::InvalidOption, field, found, limit)
}

fn millis(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e6
}

const MILLISECOND: Duration = Duration::from_millis(1);
const MAX_MULTIPLIER: f64 = 1_000.0;

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
