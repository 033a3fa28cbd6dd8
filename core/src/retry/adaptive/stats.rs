//! What an adaptive backoff saw, and what it made of it.

use crate::retry::Stretch;

/// A snapshot of an [`AdaptiveBackoff`](crate::AdaptiveBackoff), as of its last step.
///
/// ```
/// let stats = oncegate::AdaptiveBackoff::builder().build()?.stats();
/// assert_eq!((stats.factor, stats.decreases, stats.increases), (1.0, 0, 0));
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdaptiveStats {
    /// The least lag of the interval, in seconds.
    pub lag_seconds: InputStats,
    /// The least depth of the ready queue.
    pub ready: InputStats,
    /// The last count of attempts under way.
    pub in_flight: InputStats,
    /// The load in force.
    pub load: InputStats,
    /// The inverse of the rate of retries, before each part of the stretch is bounded.
    pub factor: f64,
    /// What the factor comes to.
    pub stretch: Stretch,
    /// Steps that multiplied the rate.
    pub decreases: u64,
    /// Steps that added to a rate below 1.
    pub increases: u64,
}

/// One input of a step.
///
/// ```
/// let stats = oncegate::AdaptiveBackoff::builder().load_target(0.9).build()?.stats();
/// assert_eq!((stats.load.value, stats.load.target, stats.load.pressed), (None, 0.9, false));
/// # Ok::<(), oncegate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InputStats {
    /// What was observed; `None` where nothing was in the interval.
    pub value: Option<f64>,
    /// What it may be at most without lowering the rate.
    pub target: f64,
    /// Whether it was more than that.
    pub pressed: bool,
}
