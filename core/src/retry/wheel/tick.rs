//! Ticks: time as the wheel knows it.

use std::time::Duration;

use crate::error::{Error, ErrorCode};

/// The length of a tick, by which times become ticks and back.
///
/// A wheel counts in ticks and knows no time. Times are those of a clock, since its origin. A due
/// time becomes the first tick that is not before it, and the present the last tick that is not
/// after it: so a timer is never early, and late by less than a tick, and by however long it is
/// until somebody advances the wheel.
///
/// ```
/// use std::time::Duration;
/// use oncegate::Tick;
///
/// let tick = Tick::default();
/// assert_eq!(tick.due(Duration::from_micros(1_001)), 2);
/// assert_eq!(tick.now(Duration::from_micros(1_999)), 1);
/// assert_eq!(tick.start(2), Duration::from_millis(2));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// In nanoseconds; not zero.
    nanos: u64,
}

impl Tick {
    /// A tick of that length, from a microsecond to an hour.
    ///
    /// Levels of the wheel reach 2^40 ticks: 34 years in milliseconds, 12 days in microseconds.
    /// Timers beyond that work too, and take twice the memory until then.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidOption`] outside those limits.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::Tick;
    /// assert!(Tick::new(Duration::from_millis(10)).is_ok());
    /// assert_eq!(Tick::new(Duration::ZERO).unwrap_err().field(), "tick");
    /// ```
    pub fn new(length: Duration) -> Result<Self, Error> {
        let nanos = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        if (SHORTEST..=LONGEST).contains(&nanos) {
            return Ok(Self { nanos });
        }
        let found = format!("{} ns", length.as_nanos());
        Err(Error::new(ErrorCode::InvalidOption, "tick", found, "1 us to 1 h"))
    }

    /// The first tick that is not before `time`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::Tick;
    /// assert_eq!(Tick::default().due(Duration::from_millis(3)), 3);
    /// ```
    #[inline]
    #[must_use]
    pub fn due(self, time: Duration) -> u64 {
        let whole = self.now(time);
        whole.saturating_add(u64::from(self.start(whole) < time))
    }

    /// The last tick that is not after `time`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::Tick;
    /// assert_eq!(Tick::default().now(Duration::from_nanos(2_999_999)), 2);
    /// ```
    #[inline]
    #[must_use]
    pub fn now(self, time: Duration) -> u64 {
        if self.nanos == MILLISECOND {
            // Without a division of 128 bits.
            let seconds = time.as_secs().saturating_mul(1_000);
            return seconds.saturating_add(u64::from(time.subsec_millis()));
        }
        u64::try_from(time.as_nanos() / u128::from(self.nanos)).unwrap_or(u64::MAX)
    }

    /// When `tick` starts; the longest duration if that is beyond it.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::Tick;
    /// assert_eq!(Tick::default().start(7), Duration::from_millis(7));
    /// ```
    #[must_use]
    pub fn start(self, tick: u64) -> Duration {
        let nanos = u128::from(tick) * u128::from(self.nanos);
        let seconds = u64::try_from(nanos / SECOND).ok();
        seconds.map_or(Duration::MAX, |seconds| Duration::new(seconds, (nanos % SECOND) as u32))
    }
}

impl Default for Tick {
    /// A millisecond: what leases and windows are kept in, and finer than any backoff.
    fn default() -> Self {
        Self { nanos: MILLISECOND }
    }
}

const MILLISECOND: u64 = 1_000_000;
const SECOND: u128 = 1_000_000_000;
const SHORTEST: u64 = 1_000;
const LONGEST: u64 = 3_600_000_000_000;

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
