//! Retries: when the next attempt may start, and whether there is one.
//!
//! Policies, budgets and the timer wheel know nothing of the table: they are given the time, and
//! the randomness, and answer. The engine joins them to the record, which alone decides what runs.

pub(crate) mod wheel;

pub use wheel::{Advanced, Rest, Submitted, Tick, TimerHandle, TimerWheel, Timers, TimersBuilder};
