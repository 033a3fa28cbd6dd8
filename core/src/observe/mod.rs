//! Observation: counters that cost the hot path next to nothing, and the snapshot of them.
//!
//! Observation only reads the engine; nothing in the engine depends on it.

mod counters;
mod histogram;
mod stats;

pub(crate) use counters::{Counters, Event, Mine, stripe_index};
pub(crate) use histogram::Histogram;
pub use stats::{Latency, Live, RetryStats, Stats};
