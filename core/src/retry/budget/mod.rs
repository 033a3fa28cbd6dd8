//! Retry budgets: how many retries all requests together may make.
//!
//! A limit of attempts bounds what one request does. It does not bound the load when all of them
//! fail: three attempts each are three times the traffic, at the moment in which the service below
//! has least to spare. A budget bounds the sum. There are three kinds, each with the rules of those
//! who published it:
//!
//! | Kind | What refills it | Source |
//! |---|---|---|
//! | [`TokenBucket`] | successes, and time if asked for | gRPC A6; AWS SDKs, standard mode |
//! | [`RatioBudget`] | first attempts, for a time | Finagle `RetryBudget` |
//! | [`ConcurrencyBudget`] | the end of retries under way | Envoy `retry_budget` |
//!
//! **Who touches a budget.** A first attempt makes a [`Deposit`], and a retry a [`Withdrawal`]. A
//! duplicate that is answered from the record (replayed, in progress, scheduled) runs nothing and
//! so touches no budget.
//!
//! **What a withdrawal that is dropped leaves.** Budgets bound the load on a service. An attempt
//! that never started put none on it: its tokens go back. One that was
//! [started](Withdrawal::start) did, however it ended: they are spent. So a panic or a cancelled
//! task can neither leak tokens nor make load that nobody paid for.
//!
//! A budget belongs to the process: a forked child goes on with a copy of its own.

mod bucket;
mod concurrency;
mod exhausted;
mod levels;
mod ratio;
mod registry;
mod withdrawal;

pub use bucket::{Charge, TokenBucket};
pub use concurrency::ConcurrencyBudget;
pub use exhausted::{BudgetExhausted, BudgetLevel};
pub use levels::Levels;
pub use ratio::RatioBudget;
pub use registry::Budgets;
pub use withdrawal::{Deposit, Receipt, Withdrawal};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorCode};
use crate::sync::planted::Bug;
use crate::sync::{AtomicU64, Ordering};
use bucket::Bucket;
use concurrency::Gauge;
use exhausted::Shortage;
use ratio::Ring;

/// Why an attempt failed, as far as a budget's price depends on it.
///
/// ```
/// use oncegate::{FailureKind, RetryBudget};
///
/// let budget = RetryBudget::aws_standard().build()?;
/// let now = std::time::Duration::ZERO;
/// assert_eq!(budget.try_withdraw(FailureKind::Transient, now).map(|w| w.cost()), Ok(5.0));
/// assert_eq!(budget.try_withdraw(FailureKind::Timeout, now).map(|w| w.cost()), Ok(10.0));
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The service answered that it failed, and may not fail again.
    Transient,
    /// The service answered that it is asked too often.
    Throttled,
    /// The service did not answer in time, or could not be connected to.
    Timeout,
}

impl FailureKind {
    /// All of them.
    ///
    /// ```
    /// assert_eq!(oncegate::FailureKind::ALL.len(), 3);
    /// ```
    pub const ALL: [Self; 3] = [Self::Transient, Self::Throttled, Self::Timeout];
}

/// A budget that many requests share. Clones are the same budget.
///
/// Any thread may use it: nothing locks, and nothing allocates after the budget was built. Time is
/// an argument, counted from any one origin. It may step back: what happened at a later time
/// stays.
///
/// ```
/// use std::time::Duration;
/// use oncegate::{FailureKind, RetryBudget};
///
/// let budget = RetryBudget::grpc(10, 0.1).name("payments").build()?;
/// let now = Duration::from_secs(7);
/// // Five failures leave half of the tokens, and half is where retries stop.
/// for _ in 0..4 {
///     let mut retry = budget.try_withdraw(FailureKind::Transient, now).expect("above half");
///     retry.start();
///     retry.failed();
/// }
/// let refused = budget.try_withdraw(FailureKind::Transient, now).unwrap_err();
/// assert_eq!(refused.budget(), "payments");
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone)]
pub struct RetryBudget {
    shared: Arc<Shared>,
}

struct Shared {
    name: Arc<str>,
    rules: Rules,
}

/// The state of each kind, with the rules that it was built with.
enum Rules {
    Bucket(Bucket),
    Ratio(Box<Ring>),
    Concurrency(Gauge),
}

impl RetryBudget {
    /// A first attempt starts. A [`RatioBudget`] counts it as a deposit, and a
    /// [`ConcurrencyBudget`] as active until the answer is dropped or settled.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let budget = oncegate::RetryBudget::grpc(10, 0.1).build()?;
    /// let deposit = budget.deposit(Duration::ZERO);
    /// deposit.succeeded(Duration::from_millis(20));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn deposit(&self, now: Duration) -> Deposit {
        self.first_started(now);
        Deposit::of(Levels::one(self))
    }

    /// Pays for one retry after a failure of this kind.
    ///
    /// # Errors
    ///
    /// [`BudgetExhausted`] when there is not enough left. Nothing was taken then, but for a bucket
    /// that charges failures ([`Charge::Failure`]), where the failure is charged all the same.
    ///
    /// ```
    /// use std::time::Duration;
    /// use oncegate::{FailureKind, RetryBudget};
    ///
    /// let budget = RetryBudget::finagle().min_per_second(0).build()?;
    /// assert!(budget.try_withdraw(FailureKind::Transient, Duration::ZERO).is_err());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn try_withdraw(
        &self,
        kind: FailureKind,
        now: Duration,
    ) -> Result<Withdrawal, BudgetExhausted> {
        let levels = Levels::one(self);
        let taken = levels.take(kind, now)?;
        Ok(Withdrawal::of(levels, taken))
    }

    /// An attempt failed that could have been retried, and is not going to be, whatever the budget
    /// says: the service asked for that, or a limit of attempts or time is reached. A bucket that
    /// charges failures ([`Charge::Failure`]) charges it (gRPC A6); all others take no notice.
    ///
    /// ```
    /// use std::time::Duration;
    /// use oncegate::{FailureKind, RetryBudget};
    ///
    /// let budget = RetryBudget::grpc(10, 0.1).build()?;
    /// budget.failed_for_good(FailureKind::Transient, Duration::ZERO);
    /// assert_eq!(budget.left(Duration::ZERO), 9.0);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn failed_for_good(&self, kind: FailureKind, now: Duration) {
        if let Rules::Bucket(bucket) = &self.shared.rules {
            bucket.failed_for_good(kind, now);
        }
    }

    /// What is left: tokens of a bucket, or whole retries of the other kinds. A moment later it
    /// may be otherwise: for statistics, and not to decide by.
    ///
    /// ```
    /// let budget = oncegate::RetryBudget::aws_standard().build()?;
    /// assert_eq!(budget.left(std::time::Duration::ZERO), 500.0);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn left(&self, now: Duration) -> f64 {
        match &self.shared.rules {
            Rules::Bucket(bucket) => tokens(bucket.left(now).into()),
            Rules::Ratio(ring) => ring.left(now) as f64,
            Rules::Concurrency(gauge) => gauge.left() as f64,
        }
    }

    /// The name that it was built with; empty if none was given.
    ///
    /// ```
    /// let budget = oncegate::RetryBudget::envoy().name("search").build()?;
    /// assert_eq!(budget.name(), "search");
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    fn of(name: &str, rules: Rules) -> Result<Self, Error> {
        if name.len() > MAX_NAME {
            let (found, limit) = (format!("{} bytes", name.len()), "at most 255 bytes");
            return Err(Error::new(ErrorCode::InvalidConfig, "retry_budget.name", found, limit));
        }
        Ok(Self { shared: Arc::new(Shared { name: name.into(), rules }) })
    }

    /// A first attempt starts.
    fn first_started(&self, now: Duration) {
        match &self.shared.rules {
            Rules::Bucket(_) => {}
            Rules::Ratio(ring) => ring.deposit(now),
            Rules::Concurrency(gauge) => gauge.first_started(),
        }
    }

    /// A first attempt ended; with a time if it succeeded.
    fn first_ended(&self, succeeded: Option<Duration>) {
        match (&self.shared.rules, succeeded) {
            (Rules::Bucket(bucket), Some(now)) => bucket.first_succeeded(now),
            (Rules::Concurrency(gauge), _) => gauge.first_ended(),
            (Rules::Bucket(_) | Rules::Ratio(_), _) => {}
        }
    }

    /// Takes what a retry costs. The word says what to give back.
    fn take(&self, kind: FailureKind, now: Duration) -> Result<u64, Shortage> {
        match &self.shared.rules {
            Rules::Bucket(bucket) => bucket.take(kind, now).map(u64::from),
            Rules::Ratio(ring) => ring.take(now).map(u64::from),
            Rules::Concurrency(gauge) => gauge.take(),
        }
    }

    /// The attempt that was paid for never started.
    fn give_back(&self, taken: u64) {
        match &self.shared.rules {
            Rules::Bucket(bucket) => bucket.give_back(low(taken)),
            Rules::Ratio(ring) => ring.give_back(low(taken)),
            Rules::Concurrency(gauge) => gauge.retry_ended(),
        }
    }

    /// Neither the attempt that was paid for comes to be, nor was its failure to be charged.
    fn revoke(&self, taken: u64) {
        match &self.shared.rules {
            Rules::Bucket(bucket) => bucket.revoke(low(taken)),
            Rules::Ratio(_) | Rules::Concurrency(_) => self.give_back(taken),
        }
    }

    /// The attempt that was paid for ended; with a time if it succeeded.
    fn retry_ended(&self, taken: u64, succeeded: Option<Duration>) {
        match (&self.shared.rules, succeeded) {
            (Rules::Bucket(bucket), Some(now)) => bucket.retry_succeeded(low(taken), now),
            (Rules::Concurrency(gauge), _) => gauge.retry_ended(),
            (Rules::Bucket(_) | Rules::Ratio(_), _) => {}
        }
    }

    /// What was taken, in thousandths of a token.
    fn cost(&self, taken: u64) -> u64 {
        match &self.shared.rules {
            Rules::Bucket(_) => taken,
            Rules::Ratio(_) | Rules::Concurrency(_) => MILLI,
        }
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.shared.rules {
            Rules::Bucket(_) => "token bucket",
            Rules::Ratio(_) => "ratio",
            Rules::Concurrency(_) => "concurrency",
        };
        write!(f, "RetryBudget({kind} {:?})", self.shared.name)
    }
}

/// Swaps a word whose holder decided by what `from` says.
///
/// Release: pairs with the Acquire of whoever reads the word next, so that what was marked in a
/// ring before comes with it; a bucket and a gauge are one word, which needs nothing. Acquire in
/// failure: the caller goes on with what somebody else wrote.
fn swap(word: &AtomicU64, from: u64, to: u64) -> Result<(), u64> {
    if Bug::BudgetOverdrawn.is_planted() {
        // Release: as below; the defect is that nothing is compared.
        word.store(to, Ordering::Release);
        return Ok(());
    }
    // AcqRel and Acquire: as said above.
    word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).map(|_| ())
}

/// Whole milliseconds, rounded down.
fn millis(now: Duration) -> u64 {
    now.as_secs().saturating_mul(1_000).saturating_add(now.subsec_millis().into())
}

/// A setting in tokens, as thousandths, if it is one of at most `most` and at least `least`.
fn thousandths(
    field: &'static str,
    given: f64,
    limit: &'static str,
    [least, most]: [f64; 2],
) -> Result<u32, Error> {
    // Refuses what is not a number, too.
    if !(least..=most).contains(&given) {
        let found = if given.is_nan() { "not a number" } else { "a number out of range" };
        return Err(Error::new(ErrorCode::InvalidConfig, field, found, limit));
    }
    Ok((given * MILLI as f64).round() as u32)
}

/// Thousandths, as tokens.
fn tokens(milli: u64) -> f64 {
    milli as f64 / MILLI as f64
}

/// What was taken fits: whoever took it made it from as much.
fn low(taken: u64) -> u32 {
    u32::try_from(taken).unwrap_or(u32::MAX)
}

/// Budgets count in thousandths, the precision of gRPC's `tokenRatio`.
const MILLI: u64 = 1_000;
const MAX_NAME: usize = 255;

#[cfg(all(test, not(oncegate_loom)))]
mod tests;
