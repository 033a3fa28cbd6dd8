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
//! | `lane` | how any thread hands timers to whoever advances |
//! | `shared_stamps` | stamps that any thread changes |
//! | `right` | who may advance |
//! | `shared`, `builder` | a wheel for many threads, and its settings |

mod builder;
mod lane;
mod level;
mod owned;
mod pool;
pub(crate) mod raw;
mod right;
mod shared;
mod shared_stamps;
mod stamp;
mod tick;

pub use builder::TimersBuilder;
pub use owned::{Advanced, TimerWheel};
pub use shared::{Rest, Submitted, Timers};
pub use stamp::TimerHandle;
pub use tick::Tick;

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
