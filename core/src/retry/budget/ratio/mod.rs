//! Ratio budgets: a share of the first attempts of the last seconds may be retried.

mod ring;

pub(super) use ring::Ring;

use std::time::Duration;

use super::{MILLI, RetryBudget, Rules, thousandths};
use crate::error::{Error, ErrorCode};

/// Builds a [`RetryBudget`] by the rule of Finagle's `RetryBudget`
/// (`com.twitter.finagle.service.RetryBudget`): within the time-to-live, so many retries as its
/// share of the first attempts, and so many a second beside that.
///
/// Deposits and withdrawals alike are forgotten when they are as old as the time-to-live, so each
/// bounds the retries of any such stretch of time. It is cut into [slices](Self::slices), each
/// forgotten as a whole: what is in a slice counts up to one slice less. Every retry costs one,
/// after whichever failure, and a success gives nothing back.
///
/// ```
/// use std::time::Duration;
/// use oncegate::{FailureKind, RetryBudget};
///
/// let budget = RetryBudget::finagle().ratio(0.5).min_per_second(0).build()?;
/// let now = Duration::from_secs(1);
/// budget.deposit(now).failed();
/// assert!(budget.try_withdraw(FailureKind::Transient, now).is_err());
/// budget.deposit(now).failed();
/// assert!(budget.try_withdraw(FailureKind::Transient, now).is_ok());
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct RatioBudget {
    name: String,
    ratio: f64,
    min_per_second: u32,
    ttl: Duration,
    slices: u32,
}

impl RetryBudget {
    /// Finagle's retry budget with its defaults: 20 % of the first attempts of the last 10 seconds,
    /// and 10 retries a second beside that.
    ///
    /// ```
    /// assert!(oncegate::RetryBudget::finagle().build().is_ok());
    /// ```
    pub fn finagle() -> RatioBudget {
        let ttl = Duration::from_secs(10);
        RatioBudget { name: String::new(), ratio: 0.2, min_per_second: 10, ttl, slices: 10 }
    }
}

impl RatioBudget {
    /// What errors and debug output call it. Default: nothing.
    ///
    /// ```
    /// assert!(oncegate::RetryBudget::finagle().name("search").build().is_ok());
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How many retries each first attempt allows, from 0 to 1,000, in thousandths. Default: 0.2.
    ///
    /// ```
    /// assert!(oncegate::RetryBudget::finagle().ratio(-0.1).build().is_err());
    /// ```
    pub fn ratio(mut self, ratio: f64) -> Self {
        self.ratio = ratio;
        self
    }

    /// How many retries a second are allowed without any first attempt, from 0 to 1,000,000: for
    /// callers that have just started, or make few requests. All of a time-to-live may come at
    /// once. Default: 10.
    ///
    /// ```
    /// assert!(oncegate::RetryBudget::finagle().min_per_second(0).build().is_ok());
    /// ```
    pub fn min_per_second(mut self, retries: u32) -> Self {
        self.min_per_second = retries;
        self
    }

    /// How long deposits and withdrawals count, from 1 to 60 seconds. Default: 10 s.
    ///
    /// ```
    /// use std::time::Duration;
    /// use oncegate::RetryBudget;
    /// assert!(RetryBudget::finagle().ttl(Duration::from_millis(999)).build().is_err());
    /// ```
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Into how many slices the time-to-live is cut, from 2 to 60. A withdrawal looks at them one
    /// after the other in the worst case, and 16 bytes each are kept. Default: 10.
    ///
    /// ```
    /// assert!(oncegate::RetryBudget::finagle().slices(1).build().is_err());
    /// ```
    pub fn slices(mut self, slices: u32) -> Self {
        self.slices = slices;
        self
    }

    /// Makes the budget.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidConfig`] with the name of the field, such as `retry_budget.ttl`.
    ///
    /// ```
    /// use std::time::Duration;
    /// let error = oncegate::RetryBudget::finagle().ttl(Duration::MAX).build().unwrap_err();
    /// assert_eq!(error.field(), "retry_budget.ttl");
    /// ```
    pub fn build(self) -> Result<RetryBudget, Error> {
        let refuse = |field, found: &'static str, limit: &'static str| {
            Err(Error::new(ErrorCode::InvalidConfig, field, found, limit))
        };
        let ratio = thousandths("retry_budget.ratio", self.ratio, "0 to 1,000", [0.0, 1_000.0])?;
        if self.min_per_second > MOST_PER_SECOND {
            let field = "retry_budget.min_per_second";
            return refuse(field, "more than the limit", "0 to 1,000,000 a second");
        }
        if self.ttl < SHORTEST || self.ttl > LONGEST {
            return refuse("retry_budget.ttl", "a time out of range", "1 to 60 seconds");
        }
        if !(2..=MOST_SLICES).contains(&self.slices) {
            return refuse("retry_budget.slices", "a number out of range", "2 to 60");
        }
        // At most 60,000, which fits.
        let ttl_ms = self.ttl.as_millis() as u64;
        let slice_ms = ttl_ms.div_ceil(self.slices.into());
        let reserve = u64::from(self.min_per_second) * ttl_ms / 1_000;
        let ring = Ring::new(self.slices, slice_ms, reserve * MILLI, ratio.into());
        RetryBudget::of(&self.name, Rules::Ratio(Box::new(ring)))
    }
}

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
const MOST_SLICES: u32 = 60;
const MOST_PER_SECOND: u32 = 1_000_000;
