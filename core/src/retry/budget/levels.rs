//! The budgets of one request: up to three, of which all pay for a retry or none.

use std::fmt;
use std::time::Duration;

use super::{BudgetExhausted, BudgetLevel, Deposit, FailureKind, Receipt, RetryBudget, Withdrawal};

/// The budgets that a request of one scope and operation has to ask:
/// [`Budgets::levels`](crate::Budgets::levels) finds them. Cheap to clone, and good to keep: it
/// stays what it was found to be.
///
/// ```
/// use std::time::Duration;
/// use oncegate::{Budgets, FailureKind, RetryBudget, Scope};
///
/// let budgets = Budgets::new();
/// budgets.set_engine(RetryBudget::finagle().build()?);
/// let levels = budgets.levels(Scope::new("acme")?, "search");
/// let deposit = levels.deposit(Duration::ZERO);
/// deposit.failed();
/// let retry = levels.try_withdraw(FailureKind::Transient, Duration::ZERO);
/// assert!(retry.is_ok());
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Levels {
    /// In the order of [`BudgetLevel::ALL`].
    budgets: [Option<RetryBudget>; Self::MOST],
}

impl Levels {
    pub(super) const MOST: usize = BudgetLevel::ALL.len();

    pub(super) fn new(budgets: [Option<RetryBudget>; Self::MOST]) -> Self {
        Self { budgets }
    }

    pub(super) fn one(budget: &RetryBudget) -> Self {
        Self { budgets: [None, None, Some(budget.clone())] }
    }

    /// A first attempt starts: each level counts it.
    ///
    /// ```
    /// # use oncegate::{Budgets, Scope};
    /// let levels = Budgets::new().levels(Scope::single_tenant(), "op");
    /// let now = std::time::Duration::ZERO;
    /// levels.deposit(now).succeeded(now);
    /// ```
    pub fn deposit(&self, now: Duration) -> Deposit {
        self.each(|budget, _| budget.first_started(now));
        Deposit::of(self.clone())
    }

    /// Pays for one retry from every level, or from none: the first that refuses ends it, and
    /// those before it get back what they gave. Without any budget it is free.
    ///
    /// Buckets that charge failures ([`Charge::Failure`](crate::Charge::Failure)) are charged all
    /// the same: the failure has happened, whoever refuses to pay for a retry.
    ///
    /// # Errors
    ///
    /// [`BudgetExhausted`] of the first level that refuses.
    ///
    /// ```
    /// use std::time::Duration;
    /// use oncegate::{Budgets, FailureKind, RetryBudget, Scope};
    ///
    /// let budgets = Budgets::new();
    /// let scopes = RetryBudget::aws_standard().build()?;
    /// budgets.set_scope(Scope::new("acme")?, scopes.clone())?;
    /// budgets.set_engine(RetryBudget::finagle().min_per_second(0).build()?);
    /// let levels = budgets.levels(Scope::new("acme")?, "search");
    /// assert!(levels.try_withdraw(FailureKind::Transient, Duration::ZERO).is_err());
    /// assert_eq!(scopes.left(Duration::ZERO), 500.0);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn try_withdraw(
        &self,
        kind: FailureKind,
        now: Duration,
    ) -> Result<Withdrawal, BudgetExhausted> {
        let taken = self.take(kind, now)?;
        Ok(Withdrawal::of(self.clone(), taken))
    }

    /// An attempt failed that could have been retried, and is not going to be: see
    /// [`RetryBudget::failed_for_good`].
    ///
    /// ```
    /// # use oncegate::{Budgets, FailureKind, Scope};
    /// let levels = Budgets::new().levels(Scope::single_tenant(), "op");
    /// levels.failed_for_good(FailureKind::Throttled, std::time::Duration::ZERO);
    /// ```
    pub fn failed_for_good(&self, kind: FailureKind, now: Duration) {
        self.each(|budget, _| budget.failed_for_good(kind, now));
    }

    /// The withdrawal that was detached into `receipt`, for whoever settles it. Each receipt once:
    /// twice would give back twice. A level whose budget was replaced since then settles with the
    /// new one.
    ///
    /// ```
    /// # use oncegate::{Budgets, FailureKind, Scope};
    /// # let now = std::time::Duration::ZERO;
    /// let levels = Budgets::new().levels(Scope::single_tenant(), "op");
    /// let receipt = levels.try_withdraw(FailureKind::Transient, now).expect("free").detach();
    /// let mut retry = levels.redeem(receipt);
    /// retry.start();
    /// retry.failed();
    /// ```
    pub fn redeem(&self, receipt: Receipt) -> Withdrawal {
        Withdrawal::of(self.clone(), receipt.to_words())
    }

    /// Whether no level has a budget.
    ///
    /// ```
    /// # use oncegate::{Budgets, Scope};
    /// assert!(Budgets::new().levels(Scope::single_tenant(), "op").is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.own().next().is_none()
    }

    /// Takes what a retry costs from every level, or nothing.
    pub(super) fn take(
        &self,
        kind: FailureKind,
        now: Duration,
    ) -> Result<[u64; Self::MOST], BudgetExhausted> {
        let mut taken = [0; Self::MOST];
        for (at, budget) in self.own() {
            match budget.take(kind, now) {
                Ok(word) => taken[at] = word,
                Err(shortage) => {
                    let before = self.own().take_while(|(other, _)| *other < at);
                    before.for_each(|(other, budget)| budget.give_back(taken[other]));
                    let after = self.own().skip_while(|(other, _)| *other <= at);
                    after.for_each(|(_, budget)| budget.failed_for_good(kind, now));
                    let level = BudgetLevel::ALL[at];
                    return Err(BudgetExhausted::new(&budget.shared.name, level, shortage));
                }
            }
        }
        Ok(taken)
    }

    pub(super) fn each(&self, mut act: impl FnMut(&RetryBudget, usize)) {
        self.own().for_each(|(at, budget)| act(budget, at));
    }

    fn own(&self) -> impl Iterator<Item = (usize, &RetryBudget)> {
        let all = self.budgets.iter().enumerate();
        all.filter_map(|(at, budget)| Some((at, budget.as_ref()?)))
    }
}

impl fmt::Debug for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.own().map(|(_, budget)| budget)).finish()
    }
}
