//! What a first attempt and a retry hold of their budgets until they end.

use std::fmt;
use std::time::Duration;

use super::{Levels, tokens};
use crate::sync::planted::Bug;

/// A first attempt, as its budgets count it. Dropped, it counts as failed.
///
/// ```
/// use std::time::Duration;
///
/// let budget = oncegate::RetryBudget::envoy().build()?;
/// let deposit = budget.deposit(Duration::ZERO);
/// deposit.failed();
/// # Ok::<(), oncegate::Error>(())
/// ```
#[must_use = "a first attempt that is dropped counts as failed"]
pub struct Deposit {
    levels: Levels,
    open: bool,
}

impl Deposit {
    pub(super) fn of(levels: Levels) -> Self {
        Self { levels, open: true }
    }

    /// The attempt succeeded, without any retry.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let budget = oncegate::RetryBudget::aws_standard().build()?;
    /// budget.deposit(Duration::ZERO).succeeded(Duration::from_millis(3));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn succeeded(mut self, now: Duration) {
        self.open = false;
        self.levels.each(|budget, _| budget.first_ended(Some(now)));
    }

    /// The attempt failed. What the failure costs, a withdrawal says.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let budget = oncegate::RetryBudget::aws_standard().build()?;
    /// budget.deposit(Duration::ZERO).failed();
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn failed(self) {}
}

impl Drop for Deposit {
    fn drop(&mut self) {
        if self.open {
            self.levels.each(|budget, _| budget.first_ended(None));
        }
    }
}

impl fmt::Debug for Deposit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Deposit({:?})", self.levels)
    }
}

/// A retry that was paid for. Say when it [starts](Self::start), and how it ended.
///
/// Dropped before it started, it gives back what it took: no load was made. Dropped after that, as
/// by a panic or a cancelled task, it has failed, and what it took is spent.
///
/// A [`RatioBudget`](crate::RatioBudget) never gives anything for a success; its withdrawals come
/// back when their time is over.
///
/// ```
/// use std::time::Duration;
/// use oncegate::{FailureKind, RetryBudget};
///
/// let budget = RetryBudget::aws_standard().build()?;
/// let now = Duration::ZERO;
/// let retry = budget.try_withdraw(FailureKind::Transient, now).expect("500 tokens");
/// drop(retry); // It never ran.
/// let mut retry = budget.try_withdraw(FailureKind::Transient, now).expect("500 tokens");
/// retry.start();
/// drop(retry); // It ran, and nobody says how it ended.
/// assert_eq!(budget.left(now), 495.0);
/// # Ok::<(), oncegate::Error>(())
/// ```
#[must_use = "a withdrawal that is dropped before it was started gives back what it took"]
pub struct Withdrawal {
    levels: Levels,
    taken: [u64; Levels::MOST],
    started: bool,
    open: bool,
}

impl Withdrawal {
    pub(super) fn of(levels: Levels, taken: [u64; Levels::MOST]) -> Self {
        Self { levels, taken, started: false, open: true }
    }

    /// The attempt starts: from here on what it took is spent, unless it succeeds.
    ///
    /// ```
    /// # use oncegate::{FailureKind, RetryBudget};
    /// # let budget = RetryBudget::aws_standard().build()?;
    /// # let now = std::time::Duration::ZERO;
    /// let mut retry = budget.try_withdraw(FailureKind::Transient, now).expect("500 tokens");
    /// retry.start();
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn start(&mut self) {
        self.started = true;
    }

    /// The attempt succeeded. Its budgets get what they give for that.
    ///
    /// ```
    /// # use oncegate::{FailureKind, RetryBudget};
    /// # let budget = RetryBudget::aws_standard().build()?;
    /// # let now = std::time::Duration::ZERO;
    /// let retry = budget.try_withdraw(FailureKind::Transient, now).expect("500 tokens");
    /// retry.succeeded(now);
    /// assert_eq!(budget.left(now), 500.0);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn succeeded(mut self, now: Duration) {
        self.end(Some(now));
    }

    /// The attempt ran and failed: what it took is spent.
    ///
    /// ```
    /// # use oncegate::{FailureKind, RetryBudget};
    /// # let budget = RetryBudget::aws_standard().build()?;
    /// # let now = std::time::Duration::ZERO;
    /// budget.try_withdraw(FailureKind::Transient, now).expect("500 tokens").failed();
    /// assert_eq!(budget.left(now), 495.0);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn failed(mut self) {
        self.end(None);
    }

    /// What it took of the budget that it took most of: tokens of a bucket, or one retry.
    ///
    /// ```
    /// # use oncegate::{FailureKind, RetryBudget};
    /// # let budget = RetryBudget::aws_standard().build()?;
    /// # let now = std::time::Duration::ZERO;
    /// let retry = budget.try_withdraw(FailureKind::Timeout, now).expect("500 tokens");
    /// assert_eq!(retry.cost(), 10.0);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn cost(&self) -> f64 {
        let mut most = 0;
        self.levels.each(|budget, at| most = most.max(budget.cost(self.taken[at])));
        tokens(most)
    }

    /// Lets go of the budgets without settling: the receipt stands for the withdrawal where no
    /// guard can be kept, as in a record that waits for its next attempt.
    /// [`Levels::redeem`] makes a withdrawal of it again, once.
    ///
    /// ```
    /// use oncegate::{Budgets, FailureKind, Receipt, RetryBudget, Scope};
    ///
    /// let budgets = Budgets::new();
    /// budgets.set_engine(RetryBudget::aws_standard().build()?);
    /// let levels = budgets.levels(Scope::single_tenant(), "op");
    /// let now = std::time::Duration::ZERO;
    /// let retry = levels.try_withdraw(FailureKind::Transient, now).expect("500 tokens");
    /// let stored = retry.detach().to_words();
    /// levels.redeem(Receipt::from_words(stored)).succeeded(now);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn detach(mut self) -> Receipt {
        self.open = false;
        Receipt(self.taken)
    }

    /// The retry does not come to be, and its failure was not this one's to charge: gives back all
    /// that it took.
    pub(crate) fn revoke(mut self) {
        self.open = false;
        self.levels.each(|budget, at| budget.revoke(self.taken[at]));
    }

    /// Whether there is no budget that it took something of.
    pub(crate) fn is_free(&self) -> bool {
        self.levels.is_empty()
    }

    fn end(&mut self, succeeded: Option<Duration>) {
        self.open = false;
        self.levels.each(|budget, at| budget.retry_ended(self.taken[at], succeeded));
    }
}

impl Drop for Withdrawal {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        if self.started || Bug::BudgetLeakedOnPanic.is_planted() {
            self.end(None);
        } else {
            self.levels.each(|budget, at| budget.give_back(self.taken[at]));
        }
    }
}

impl fmt::Debug for Withdrawal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let started = if self.started { ", started" } else { "" };
        write!(f, "Withdrawal({:?}{started})", self.levels)
    }
}

/// What a withdrawal took, as words that can be stored. It settles nothing by itself.
///
/// ```
/// let receipt = oncegate::Receipt::from_words([5_000, 0, 0]);
/// assert_eq!(receipt.to_words(), [5_000, 0, 0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a receipt that is forgotten leaves its withdrawal unsettled"]
pub struct Receipt([u64; Levels::MOST]);

impl Receipt {
    /// The words, one for each level.
    ///
    /// ```
    /// assert_eq!(oncegate::Receipt::from_words([1, 2, 3]).to_words(), [1, 2, 3]);
    /// ```
    #[must_use]
    pub const fn to_words(self) -> [u64; 3] {
        self.0
    }

    /// The receipt of these words. Words that no withdrawal made settle as one that took nothing
    /// or everything: a bucket is never fuller than its capacity, and a ratio budget gives no more
    /// back than was withdrawn.
    ///
    /// ```
    /// assert_eq!(oncegate::Receipt::from_words([1, 2, 3]).to_words(), [1, 2, 3]);
    /// ```
    pub const fn from_words(words: [u64; 3]) -> Self {
        Self(words)
    }
}
