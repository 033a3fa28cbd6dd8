//! Targets, pace and bounds of an adaptive backoff.

use std::time::Duration;

use super::{AdaptiveBackoff, IN_FLIGHT, LAG, LOAD, LOAD_ONE, READY};
use crate::error::{Error, ErrorCode};

/// Builds an [`AdaptiveBackoff`]. Every setting has a default; [`build`](Self::build) checks them
/// all.
///
/// ```
/// use std::time::Duration;
/// use oncegate::AdaptiveBackoff;
///
/// let adaptive = AdaptiveBackoff::builder()
///     .lag_target(Duration::from_millis(50))
///     .in_flight_target(200)
///     .max_factor(32.0)
///     .build()?;
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct AdaptiveConfig {
    /// In nanoseconds, counts, and parts of [`LOAD_ONE`].
    pub(super) targets: [u64; INPUTS],
    load_target: f64,
    pub(super) interval: Duration,
    pub(super) quiet: Duration,
    pub(super) decrease: f64,
    pub(super) increase: f64,
    pub(super) max_factor: f64,
    pub(super) max_base: f64,
    pub(super) max_ceiling: f64,
    pub(super) max_width: f64,
}

impl AdaptiveConfig {
    pub(super) fn new() -> Self {
        Self {
            // Some ticks of a coarse clock and of a timer: later than that is not noise.
            targets: [100_000_000, 1_000, 1_000, 0],
            // A pool of which a fifth is free still answers at once.
            load_target: 0.8,
            // Long enough for the last change to show, as TCP waits for a round trip.
            interval: Duration::from_secs(1),
            quiet: Duration::from_secs(10),
            // TCP's: half the rate, and back in twenty steps.
            decrease: 0.5,
            increase: 0.05,
            // Four halvings: a first delay of 100 ms becomes 1.6 s.
            max_factor: 16.0,
            max_base: 16.0,
            // A ceiling is a promise to somebody who waits.
            max_ceiling: 4.0,
            max_width: 16.0,
        }
    }

    /// How late ready work may be started. Default: 100 ms.
    ///
    /// ```
    /// use std::time::Duration;
    /// let builder = oncegate::AdaptiveBackoff::builder();
    /// assert!(builder.lag_target(Duration::from_millis(20)).build().is_ok());
    /// ```
    pub fn lag_target(mut self, lag: Duration) -> Self {
        self.targets[LAG] = u64::try_from(lag.as_nanos()).unwrap_or(u64::MAX);
        self
    }

    /// How much ready work may wait. Default: 1,000.
    ///
    /// ```
    /// assert!(oncegate::AdaptiveBackoff::builder().ready_target(0).build().is_ok());
    /// ```
    pub fn ready_target(mut self, depth: usize) -> Self {
        self.targets[READY] = depth as u64;
        self
    }

    /// How many attempts may be under way. Default: 1,000.
    ///
    /// ```
    /// assert!(oncegate::AdaptiveBackoff::builder().in_flight_target(50).build().is_ok());
    /// ```
    pub fn in_flight_target(mut self, attempts: usize) -> Self {
        self.targets[IN_FLIGHT] = attempts as u64;
        self
    }

    /// How high the caller's load may be, from 0 to 1. Default: 0.8.
    ///
    /// ```
    /// assert!(oncegate::AdaptiveBackoff::builder().load_target(1.5).build().is_err());
    /// ```
    pub fn load_target(mut self, load: f64) -> Self {
        self.load_target = load;
        self
    }

    /// How long a change of the rate is left to show before the next one, from 1 ms to an hour.
    /// Default: 1 s.
    ///
    /// ```
    /// use std::time::Duration;
    /// assert!(oncegate::AdaptiveBackoff::builder().interval(Duration::ZERO).build().is_err());
    /// ```
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// After so long without any observation the rate rises by itself, and a load is in force no
    /// more; at most a day. Default: 10 s.
    ///
    /// ```
    /// use std::time::Duration;
    /// assert!(oncegate::AdaptiveBackoff::builder().quiet(Duration::ZERO).build().is_ok());
    /// ```
    pub fn quiet(mut self, quiet: Duration) -> Self {
        self.quiet = quiet;
        self
    }

    /// What the rate is multiplied by where an input presses, from 0.1 to 0.99. Default: 0.5.
    ///
    /// ```
    /// assert!(oncegate::AdaptiveBackoff::builder().decrease(1.0).build().is_err());
    /// ```
    pub fn decrease(mut self, factor: f64) -> Self {
        self.decrease = factor;
        self
    }

    /// What is added to the rate where none presses, from 0.0001 to 1. Default: 0.05.
    ///
    /// ```
    /// assert!(oncegate::AdaptiveBackoff::builder().increase(0.0).build().is_err());
    /// ```
    pub fn increase(mut self, rate: f64) -> Self {
        self.increase = rate;
        self
    }

    /// The inverse of the smallest rate, from 1 to 1,000,000. Default: 16.
    ///
    /// ```
    /// assert!(oncegate::AdaptiveBackoff::builder().max_factor(0.5).build().is_err());
    /// ```
    pub fn max_factor(mut self, factor: f64) -> Self {
        self.max_factor = factor;
        self
    }

    /// The bound of [`Stretch::base`](crate::Stretch::base), from 1 to 1,000,000. Default: 16.
    ///
    /// ```
    /// assert!(oncegate::AdaptiveBackoff::builder().max_base(f64::INFINITY).build().is_err());
    /// ```
    pub fn max_base(mut self, factor: f64) -> Self {
        self.max_base = factor;
        self
    }

    /// The bound of [`Stretch::ceiling`](crate::Stretch::ceiling), from 1 to 1,000,000. Default:
    /// 4.
    ///
    /// ```
    /// assert!(oncegate::AdaptiveBackoff::builder().max_ceiling(1.0).build().is_ok());
    /// ```
    pub fn max_ceiling(mut self, factor: f64) -> Self {
        self.max_ceiling = factor;
        self
    }

    /// The bound of [`Stretch::width`](crate::Stretch::width), from 1 to 1,000,000. Default: 16.
    ///
    /// ```
    /// assert!(oncegate::AdaptiveBackoff::builder().max_width(2.0).build().is_ok());
    /// ```
    pub fn max_width(mut self, factor: f64) -> Self {
        self.max_width = factor;
        self
    }

    /// Makes the controller, with a rate of 1.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidConfig`] with the name of the field, such as `adaptive.interval`.
    ///
    /// ```
    /// let error = oncegate::AdaptiveBackoff::builder().decrease(f64::NAN).build().unwrap_err();
    /// assert_eq!(error.field(), "adaptive.decrease");
    /// ```
    pub fn build(mut self) -> Result<AdaptiveBackoff, Error> {
        let within = |field, given: f64, [least, most]: [f64; 2], limit: &'static str| {
            // Refuses what is not a number, too.
            if (least..=most).contains(&given) {
                return Ok(());
            }
            let found = if given.is_nan() { "not a number" } else { "a number out of range" };
            Err(Error::new(ErrorCode::InvalidConfig, field, found, limit))
        };
        within("adaptive.load_target", self.load_target, [0.0, 1.0], "0 to 1")?;
        within("adaptive.decrease", self.decrease, [0.1, 0.99], "0.1 to 0.99")?;
        within("adaptive.increase", self.increase, [0.0001, 1.0], "0.0001 to 1")?;
        let factors = [
            ("adaptive.max_factor", self.max_factor),
            ("adaptive.max_base", self.max_base),
            ("adaptive.max_ceiling", self.max_ceiling),
            ("adaptive.max_width", self.max_width),
        ];
        for (field, given) in factors {
            within(field, given, [1.0, 1e6], "1 to 1,000,000")?;
        }
        let times = [
            ("adaptive.interval", self.interval, [0.001, 3_600.0], "1 ms to an hour"),
            ("adaptive.quiet", self.quiet, [0.0, 86_400.0], "at most a day"),
        ];
        for (field, given, range, limit) in times {
            within(field, given.as_secs_f64(), range, limit)?;
        }
        self.targets[LOAD] = (self.load_target * LOAD_ONE).round() as u64;
        Ok(AdaptiveBackoff::new(self))
    }

    /// The least rate whose inverse is within the bound.
    pub(super) fn least_rate(&self) -> f64 {
        let rate = 1.0 / self.max_factor;
        if 1.0 / rate > self.max_factor { rate.next_up() } else { rate }
    }
}

/// Lag, ready work, attempts under way, and load.
pub(super) const INPUTS: usize = 4;
