//! Budgets of concurrent retries: a share of what is under way.
//!
//! The whole state is one word, so that every change is one compare-and-swap:
//!
//! ```text
//!  63                 32 31                  0
//! ┌─────────────────────┬─────────────────────┐
//! │ first attempts      │ retries             │
//! └─────────────────────┴─────────────────────┘
//! ```

use super::exhausted::Shortage;
use super::{MILLI, RetryBudget, Rules, swap, thousandths};
use crate::error::Error;
#[allow(unused_imports, reason = "links of the documentation")]
use crate::error::ErrorCode;
use crate::sync::{AtomicU64, Ordering};

/// Builds a [`RetryBudget`] that limits how many retries are under way at once, by the rule of
/// Envoy's `retry_budget` (`config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget`): a share of
/// active and pending requests, retries included, and at least some.
///
/// A first attempt is active until its [`Deposit`](crate::Deposit) is settled or dropped, and a
/// retry from its withdrawal on until that is.
///
/// ```
/// use std::time::Duration;
/// use oncegate::{FailureKind, RetryBudget};
///
/// let budget = RetryBudget::envoy().build()?;
/// let now = Duration::ZERO;
/// let retry = || budget.try_withdraw(FailureKind::Transient, now);
/// let three = [retry(), retry(), retry()];
/// assert!(retry().is_err());
/// drop(three);
/// assert!(retry().is_ok());
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct ConcurrencyBudget {
    name: String,
    share: f64,
    min_retries: u32,
}

impl RetryBudget {
    /// Envoy's retry budget with its defaults: at most 20 % of active and pending requests
    /// (`budget_percent`), and at least 3 (`min_retry_concurrency`).
    ///
    /// ```
    /// assert!(oncegate::RetryBudget::envoy().build().is_ok());
    /// ```
    pub fn envoy() -> ConcurrencyBudget {
        ConcurrencyBudget { name: String::new(), share: 0.2, min_retries: 3 }
    }
}

impl ConcurrencyBudget {
    /// What errors and debug output call it. Default: nothing.
    ///
    /// ```
    /// assert!(oncegate::RetryBudget::envoy().name("search").build().is_ok());
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Which share of the requests under way may be retries, from 0 to 1, in thousandths.
    /// Default: 0.2.
    ///
    /// ```
    /// assert!(oncegate::RetryBudget::envoy().share(1.1).build().is_err());
    /// ```
    pub fn share(mut self, share: f64) -> Self {
        self.share = share;
        self
    }

    /// So many retries are always allowed at once. Default: 3.
    ///
    /// ```
    /// assert!(oncegate::RetryBudget::envoy().min_retries(0).build().is_ok());
    /// ```
    pub fn min_retries(mut self, retries: u32) -> Self {
        self.min_retries = retries;
        self
    }

    /// Makes the budget.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidConfig`] with the name of the field, such as `retry_budget.share`.
    ///
    /// ```
    /// let error = oncegate::RetryBudget::envoy().share(-0.1).build().unwrap_err();
    /// assert_eq!(error.field(), "retry_budget.share");
    /// ```
    pub fn build(self) -> Result<RetryBudget, Error> {
        let share = thousandths("retry_budget.share", self.share, "0 to 1", [0.0, 1.0])?;
        let gauge = Gauge {
            word: AtomicU64::new(0),
            share: share.into(),
            min_retries: self.min_retries.into(),
        };
        RetryBudget::of(&self.name, Rules::Concurrency(gauge))
    }
}

/// What is under way.
pub(super) struct Gauge {
    word: AtomicU64,
    /// Of what is under way, in thousandths.
    share: u64,
    min_retries: u64,
}

impl Gauge {
    pub(super) fn first_started(&self) {
        self.change(|under_way| Some(Word { firsts: under_way.firsts + 1, ..under_way }));
    }

    pub(super) fn first_ended(&self) {
        let fewer = |firsts: u64| firsts.saturating_sub(1);
        self.change(|under_way| Some(Word { firsts: fewer(under_way.firsts), ..under_way }));
    }

    pub(super) fn retry_ended(&self) {
        let fewer = |retries: u64| retries.saturating_sub(1);
        self.change(|under_way| Some(Word { retries: fewer(under_way.retries), ..under_way }));
    }

    pub(super) fn take(&self) -> Result<u64, Shortage> {
        let taken = self.change(|under_way| {
            let allowed = under_way.retries < self.limit(under_way);
            allowed.then_some(Word { retries: under_way.retries + 1, ..under_way })
        });
        if taken {
            return Ok(0);
        }
        Err(Shortage { needed: MILLI, left: 0, refills_in: None })
    }

    pub(super) fn left(&self) -> u64 {
        // Relaxed: the word is all there is to it.
        let under_way = Word::of(self.word.load(Ordering::Relaxed));
        self.limit(under_way).saturating_sub(under_way.retries)
    }

    /// How many retries may be under way beside that.
    fn limit(&self, under_way: Word) -> u64 {
        let all = under_way.firsts + under_way.retries;
        (all * self.share / MILLI).max(self.min_retries).min(MOST)
    }

    /// Whether `to` wanted a change.
    fn change(&self, to: impl Fn(Word) -> Option<Word>) -> bool {
        // Relaxed: the word is all there is to it.
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            let Some(word) = to(Word::of(seen)) else { return false };
            match swap(&self.word, seen, word.pack()) {
                Ok(()) => return true,
                Err(other) => seen = other,
            }
        }
    }
}

/// The word, unpacked.
#[derive(Clone, Copy)]
struct Word {
    firsts: u64,
    retries: u64,
}

impl Word {
    fn of(word: u64) -> Self {
        Self { firsts: word >> 32, retries: word & MOST }
    }

    /// Beyond its field a number stays at the end: memory holds fewer guards than that.
    fn pack(self) -> u64 {
        self.firsts.min(MOST) << 32 | self.retries.min(MOST)
    }
}

const MOST: u64 = u32::MAX as u64;
