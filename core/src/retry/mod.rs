//! Retries: when the next attempt may start, and whether there is one.
//!
//! Policies, budgets and the timer wheel know nothing of the table: they are given the time, and
//! the randomness, and answer. The engine joins them to the record, which alone decides what runs.
//!
//! | file | what it owns |
//! |---|---|
//! | `policy`, `presets` | whether there is a next attempt, and when; the constants of others |
//! | `backoff`, `jitter`, `stretch` | how delays grow, how they are drawn, and what slows them down |
//! | `source` | the random numbers |
//! | `hint` | what a server says about retrying |
//! | `headers`, `downstream` | what an attempt tells the services that it calls |
//! | `budget` | how many retries are affordable |
//! | `adaptive` | by how much retries slow down, from what is measured |
//! | `wheel` | timers |
//! | `journal` | what is kept of a record that is retried |

mod adaptive;
mod backoff;
mod budget;
mod downstream;
mod headers;
mod hint;
mod jitter;
pub(crate) mod journal;
mod policy;
mod presets;
mod source;
mod stretch;
#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
pub(crate) mod wheel;

pub use adaptive::{AdaptiveBackoff, AdaptiveConfig, AdaptiveStats, InputStats};
pub use backoff::BackoffPolicy;
pub use budget::{
    BudgetExhausted, BudgetLevel, Budgets, Charge, ConcurrencyBudget, Deposit, FailureKind, Levels,
    RatioBudget, Receipt, RetryBudget, TokenBucket, Withdrawal,
};
pub use downstream::DownstreamKey;
pub use headers::AttemptHeaders;
pub use hint::{Hint, HintLimits};
pub use jitter::Jitter;
pub use policy::{Attempted, Decision, Exhaustion, RetryPolicy};
pub use source::JitterSource;
pub use stretch::Stretch;
pub use wheel::{Advanced, Rest, Submitted, Tick, TimerHandle, TimerWheel, Timers, TimersBuilder};
