//! Retries: when the next attempt may start, and whether there is one.
//!
//! Policies, budgets and the timer wheel know nothing of the table: they are given the time, and
//! the randomness, and answer. The engine joins them to the record, which alone decides what runs.

mod adaptive;
mod budget;

pub use adaptive::{AdaptiveBackoff, AdaptiveConfig, AdaptiveStats, InputStats, Stretch};
pub use budget::{
    BudgetExhausted, BudgetLevel, Budgets, Charge, ConcurrencyBudget, Deposit, FailureKind, Levels,
    RatioBudget, Receipt, RetryBudget, TokenBucket, Withdrawal,
};
