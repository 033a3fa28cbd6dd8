//! Timers: a hierarchical timing wheel, for one owner or for many threads.
//!
//! | Module | What it holds |
//! |---|---|
//! | `tick` | how times become ticks |
//! | `pool` | chunks of entries, and the queues that they form |
//! | `level` | buckets, and a bitmap of those that are full |
//! | `raw` | the wheel itself, which knows neither live entries from dead ones, nor a clock |
//! | `stamp` | handles, and how a stale one is known |
//! | `owned` | a wheel with handles for one owner |

mod level;
mod owned;
mod pool;
pub(crate) mod raw;
mod stamp;
mod tick;

pub use owned::{Advanced, TimerWheel};
pub use stamp::TimerHandle;
pub use tick::Tick;

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
