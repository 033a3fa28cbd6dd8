//! The refusal of a budget: whose, how much was missing, and when it is there again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::tokens;
use crate::error::{Error, ErrorCode};

/// Whose budget it is: each level bounds what those below it do together.
///
/// ```
/// use std::time::Duration;
/// use oncegate::{BudgetLevel, Budgets, FailureKind, RetryBudget, Scope};
///
/// let budgets = Budgets::new();
/// budgets.set_operation("search", RetryBudget::finagle().min_per_second(0).build()?)?;
/// let levels = budgets.levels(Scope::single_tenant(), "search");
/// let refused = levels.try_withdraw(FailureKind::Transient, Duration::ZERO).unwrap_err();
/// assert_eq!(refused.level(), BudgetLevel::Operation);
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BudgetLevel {
    /// One tenant's.
    Scope,
    /// One operation's, of all tenants.
    Operation,
    /// The engine's. A budget that is used by itself, outside of [`Budgets`](crate::Budgets),
    /// counts as one of these.
    Engine,
}

impl BudgetLevel {
    /// All of them, in the order in which a retry asks them.
    ///
    /// ```
    /// assert_eq!(oncegate::BudgetLevel::ALL.len(), 3);
    /// ```
    pub const ALL: [Self; 3] = [Self::Scope, Self::Operation, Self::Engine];

    /// Its name in errors.
    ///
    /// ```
    /// assert_eq!(oncegate::BudgetLevel::Engine.name(), "engine");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scope => "scope",
            Self::Operation => "operation",
            Self::Engine => "engine",
        }
    }
}

/// A budget did not pay for a retry. The failure that was to be retried is the result.
///
/// ```
/// use std::time::Duration;
/// use oncegate::{Error, ErrorCode, FailureKind, RetryBudget};
///
/// let budget = RetryBudget::finagle().name("search").min_per_second(0).build()?;
/// let refused = budget.try_withdraw(FailureKind::Transient, Duration::ZERO).unwrap_err();
/// assert_eq!((refused.needed(), refused.left()), (1.0, 0.0));
/// assert_eq!(refused.refills_in(), None);
/// let error = Error::from(refused);
/// assert_eq!(error.code(), ErrorCode::BudgetExhausted);
/// assert!(error.is_retriable() && error.to_string().contains("search"));
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetExhausted {
    budget: Arc<str>,
    level: BudgetLevel,
    shortage: Shortage,
}

/// What was missing, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shortage {
    pub(super) needed: u64,
    pub(super) left: u64,
    pub(super) refills_in: Option<Duration>,
}

impl BudgetExhausted {
    pub(super) fn new(budget: &Arc<str>, level: BudgetLevel, shortage: Shortage) -> Self {
        Self { budget: Arc::clone(budget), level, shortage }
    }

    /// The name that the budget was built with.
    ///
    /// ```
    /// # use oncegate::{FailureKind, RetryBudget};
    /// let budget = RetryBudget::finagle().name("search").min_per_second(0).build()?;
    /// let refused = budget.try_withdraw(FailureKind::Timeout, std::time::Duration::ZERO);
    /// assert_eq!(refused.unwrap_err().budget(), "search");
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn budget(&self) -> &str {
        &self.budget
    }

    /// Whose budget it is.
    ///
    /// ```
    /// # use oncegate::{BudgetLevel, FailureKind, RetryBudget};
    /// let budget = RetryBudget::finagle().min_per_second(0).build()?;
    /// let refused = budget.try_withdraw(FailureKind::Timeout, std::time::Duration::ZERO);
    /// assert_eq!(refused.unwrap_err().level(), BudgetLevel::Engine);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn level(&self) -> BudgetLevel {
        self.level
    }

    /// How much must be there before a retry after such a failure is allowed: tokens of a bucket,
    /// its threshold included, or one retry.
    ///
    /// ```
    /// # use oncegate::{FailureKind, RetryBudget};
    /// let budget = RetryBudget::finagle().min_per_second(0).build()?;
    /// let refused = budget.try_withdraw(FailureKind::Timeout, std::time::Duration::ZERO);
    /// assert_eq!(refused.unwrap_err().needed(), 1.0);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn needed(&self) -> f64 {
        tokens(self.shortage.needed)
    }

    /// How much is there.
    ///
    /// ```
    /// # use oncegate::{FailureKind, RetryBudget};
    /// let budget = RetryBudget::finagle().min_per_second(0).build()?;
    /// let refused = budget.try_withdraw(FailureKind::Timeout, std::time::Duration::ZERO);
    /// assert_eq!(refused.unwrap_err().left(), 0.0);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn left(&self) -> f64 {
        tokens(self.shortage.left)
    }

    /// How long until time alone has refilled enough, if nobody else takes it; `None` where only
    /// successes, first attempts or the end of other retries do.
    ///
    /// ```
    /// use std::time::Duration;
    /// use oncegate::{FailureKind, RetryBudget};
    ///
    /// let budget = RetryBudget::finagle().min_per_second(1).ttl(Duration::from_secs(1)).build()?;
    /// let now = Duration::from_secs(5);
    /// budget.try_withdraw(FailureKind::Timeout, now).expect("one a second").failed();
    /// let refused = budget.try_withdraw(FailureKind::Timeout, now).unwrap_err();
    /// assert_eq!(refused.refills_in(), Some(Duration::from_secs(1)));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn refills_in(&self) -> Option<Duration> {
        self.shortage.refills_in
    }
}

impl fmt::Display for BudgetExhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (level, left, needed) = (self.level.name(), self.left(), self.needed());
        write!(f, "the retry budget {:?} of the {level} has {left} left of the ", self.budget)?;
        write!(f, "{needed} that a retry needs")
    }
}

impl std::error::Error for BudgetExhausted {}

impl From<BudgetExhausted> for Error {
    fn from(refused: BudgetExhausted) -> Self {
        let found = format!(
            "{} left in {:?}, of the {}",
            refused.left(),
            refused.budget,
            refused.level.name()
        );
        let limit = format!("{} for a retry", refused.needed());
        let error = Error::new(ErrorCode::BudgetExhausted, "retry_budget", found, limit);
        match refused.refills_in() {
            Some(after) => error.with_retry_after(after),
            None => error,
        }
    }
}
