//! Adaptive backoff: whoever is behind retries less often.
//!
//! A backoff that is set once is too short for an overload and too long for a hiccup. Four inputs
//! say how this process is doing, each against a target: how late ready work is started, how much
//! of it waits, how much is under way, and a load that the caller measures by itself.
//!
//! **What is governed.** The *rate* of retries, from 1 (what the policy says) down to a smallest
//! one; delays are stretched by its inverse. Once an interval, where an input is above its target,
//! the rate is multiplied by [`decrease`](AdaptiveConfig::decrease); where all are at or below
//! theirs, [`increase`](AdaptiveConfig::increase) is added. That is AIMD: of the linear controls
//! that see no more than "too much" or "not too much", it converges to an efficient and fair share
//! (D.-M. Chiu, R. Jain, "Analysis of the Increase and Decrease Algorithms for Congestion Avoidance
//! in Computer Networks", 1989), as in TCP. It has to be the rate that is added to. If the factor
//! of the delay were raised by multiplication and lowered by subtraction, the rate would grow the
//! faster the higher it is already: from 4 to 3 the load grows by a third, from 2 to 1 it doubles.
//! Two processes with different rates would then not come to the same one.
//!
//! **What an input is taken to be.** The least lag and the least depth that were observed in the
//! interval: a short burst is no overload, and what never drains is a standing queue (K. Nichols,
//! V. Jacobson, "Controlling Queue Delay", 2012). The last count in flight, and the last load: that
//! one stays in force until another is told, or for [`quiet`](AdaptiveConfig::quiet), since whoever
//! measures a load tells it when it changes.
//!
//! **Silence.** An interval without any observation, or load in force, changes nothing, until
//! nothing was heard for [`quiet`](AdaptiveConfig::quiet). From then on each interval adds: there
//! is nothing to be careful about.

mod config;
mod stats;

pub use config::AdaptiveConfig;
pub use stats::{AdaptiveStats, InputStats};

use std::fmt;
use std::sync::PoisonError;
use std::time::Duration;

use super::Stretch;
use crate::error::{Error, ErrorCode};
use crate::sync::Ordering;
use crate::sync::plain::{AtomicU64, Mutex, MutexGuard};
use crate::sync::planted::Bug;
use config::INPUTS;

/// Stretches backoff while this process, or what it calls, has more to do than it can.
///
/// Observations and [`stretch`](Self::stretch) are a few atomic steps, for any thread.
/// [`step`](Self::step) takes a lock of its own and is for whoever dispatches retries, or a timer.
///
/// ```
/// use std::time::Duration;
/// use oncegate::{AdaptiveBackoff, Stretch};
///
/// let adaptive = AdaptiveBackoff::builder().interval(Duration::from_millis(100)).build()?;
/// assert_eq!(adaptive.stretch(), Stretch::NONE);
/// adaptive.observe_lag(Duration::from_secs(2));
/// adaptive.step(Duration::from_millis(100));
/// assert_eq!(adaptive.stretch().base, 2.0);
/// # Ok::<(), oncegate::Error>(())
/// ```
pub struct AdaptiveBackoff {
    config: AdaptiveConfig,
    /// What was observed since the last step; [`NOTHING`] if nothing was.
    observed: [AtomicU64; INPUTS],
    /// The bits of the rate.
    rate: AtomicU64,
    state: Mutex<State>,
}

/// What steps keep from each other.
#[derive(Clone, Copy, Default)]
struct State {
    /// When the last step was that changed something.
    stepped: Option<Duration>,
    /// When an observation was last seen by a step.
    heard: Option<Duration>,
    /// The load that was told last, and when a step first saw it.
    load: Option<(u64, Duration)>,
    /// The inputs of the last step.
    inputs: [Option<u64>; INPUTS],
    decreases: u64,
    increases: u64,
}

impl AdaptiveBackoff {
    /// How it is set up, with defaults for everything.
    ///
    /// ```
    /// assert!(oncegate::AdaptiveBackoff::builder().build().is_ok());
    /// ```
    pub fn builder() -> AdaptiveConfig {
        AdaptiveConfig::new()
    }

    fn new(config: AdaptiveConfig) -> Self {
        Self {
            config,
            observed: [NOTHING; INPUTS].map(AtomicU64::new),
            rate: AtomicU64::new(1_f64.to_bits()),
            state: Mutex::new(State::default()),
        }
    }

    /// Ready work was started so much later than it could have been.
    ///
    /// ```
    /// let adaptive = oncegate::AdaptiveBackoff::builder().build()?;
    /// adaptive.observe_lag(std::time::Duration::from_millis(3));
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn observe_lag(&self, lag: Duration) {
        self.observe_least(LAG, u64::try_from(lag.as_nanos()).unwrap_or(u64::MAX));
    }

    /// So much work is ready and not started.
    ///
    /// ```
    /// let adaptive = oncegate::AdaptiveBackoff::builder().build()?;
    /// adaptive.observe_ready(12);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn observe_ready(&self, depth: usize) {
        self.observe_least(READY, depth as u64);
    }

    /// So many attempts are under way.
    ///
    /// ```
    /// let adaptive = oncegate::AdaptiveBackoff::builder().build()?;
    /// adaptive.observe_in_flight(40);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn observe_in_flight(&self, attempts: usize) {
        self.observe_last(IN_FLIGHT, attempts as u64);
    }

    /// A load from 0 to 1 that the caller measures: the share of time in the garbage collector, of
    /// a pool that is in use, of refused requests. It stays in force until another is told, or for
    /// [`quiet`](AdaptiveConfig::quiet) from the next step on.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidOption`], field `adaptive.load`, for what is not a number from 0 to 1;
    /// nothing was observed then.
    ///
    /// ```
    /// let adaptive = oncegate::AdaptiveBackoff::builder().build()?;
    /// adaptive.set_load(0.3)?;
    /// assert!(adaptive.set_load(f64::NAN).is_err());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn set_load(&self, load: f64) -> Result<(), Error> {
        if !(0.0..=1.0).contains(&load) {
            let found = if load.is_nan() { "not a number" } else { "a number out of range" };
            return Err(Error::new(ErrorCode::InvalidOption, "adaptive.load", found, "0 to 1"));
        }
        self.observe_last(LOAD, (load * LOAD_ONE).round() as u64);
        Ok(())
    }

    /// Looks at what was observed since the last step and moves the rate, at most once an
    /// interval; gives the stretch from now on. Earlier than that nothing is looked at, and
    /// observations go on to gather.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let adaptive = oncegate::AdaptiveBackoff::builder().ready_target(10).build()?;
    /// adaptive.observe_ready(11);
    /// assert!(adaptive.step(Duration::from_secs(1)).base > 1.0);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn step(&self, now: Duration) -> Stretch {
        let mut state = self.state();
        let since = state.stepped.map(|before| now.saturating_sub(before));
        if since.is_some_and(|since| since < self.config.interval) {
            return self.stretch();
        }
        state.stepped = Some(now);
        // Relaxed: each observation is a word of its own, and orders nothing.
        let inputs = self.observed.each_ref().map(|word| word.swap(NOTHING, Ordering::Relaxed));
        state.inputs = inputs.map(|input| (input != NOTHING).then_some(input));
        if state.inputs.iter().any(Option::is_some) || state.heard.is_none() {
            state.heard = Some(now);
        }
        self.hold_load(&mut state, now);
        let is_heard = state.inputs.iter().any(Option::is_some);
        let rate = self.rate();
        let pressed = (0..INPUTS).any(|at| self.presses(&state, at));
        let next = if pressed {
            state.decreases += 1;
            rate * self.config.decrease
        } else {
            let steps = if is_heard { 1.0 } else { self.silent_steps(&state, now, since) };
            state.increases += u64::from(steps > 0.0 && rate < 1.0);
            let relaxes = !Bug::AdaptiveNeverRelaxes.is_planted();
            if relaxes { rate + self.config.increase * steps } else { rate }
        };
        let least = self.config.least_rate();
        let least = if Bug::AdaptiveUnbounded.is_planted() { f64::MIN_POSITIVE } else { least };
        // Relaxed: the word is all there is to it, and only holders of the lock write it.
        self.rate.store(next.clamp(least, 1.0).to_bits(), Ordering::Relaxed);
        drop(state);
        self.stretch()
    }

    /// Whether the next step looks at what was observed.
    pub(crate) fn is_due(&self, now: Duration) -> bool {
        let before = self.state().stepped;
        before.is_none_or(|before| now.saturating_sub(before) >= self.config.interval)
    }

    /// Where no load was told since the last step, the one before counts while it is in force.
    fn hold_load(&self, state: &mut State, now: Duration) {
        if let Some(load) = state.inputs[LOAD] {
            state.load = Some((load, now));
        }
        let in_force = |told: Duration| now.saturating_sub(told) <= self.config.quiet;
        state.inputs[LOAD] = state.load.filter(|(_, told)| in_force(*told)).map(|(load, _)| load);
    }

    /// By how much backoff is stretched at the moment.
    ///
    /// ```
    /// use oncegate::{AdaptiveBackoff, Stretch};
    /// assert_eq!(AdaptiveBackoff::builder().build()?.stretch(), Stretch::NONE);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn stretch(&self) -> Stretch {
        let factor = self.factor();
        let bound = |most: f64| factor.min(most);
        Stretch {
            base: bound(self.config.max_base),
            ceiling: bound(self.config.max_ceiling),
            width: bound(self.config.max_width),
        }
    }

    /// Each input with its target, and what came of them at the last step.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let adaptive = oncegate::AdaptiveBackoff::builder().in_flight_target(100).build()?;
    /// adaptive.observe_in_flight(150);
    /// adaptive.step(Duration::from_secs(1));
    /// let stats = adaptive.stats();
    /// assert_eq!((stats.in_flight.value, stats.in_flight.target), (Some(150.0), 100.0));
    /// assert!(stats.in_flight.pressed && !stats.lag_seconds.pressed);
    /// assert_eq!(stats.factor, 2.0);
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    #[must_use]
    pub fn stats(&self) -> AdaptiveStats {
        let state = *self.state();
        let input = |at: usize, unit: f64| InputStats {
            value: state.inputs[at].map(|value| value as f64 / unit),
            target: self.config.targets[at] as f64 / unit,
            pressed: self.presses(&state, at),
        };
        AdaptiveStats {
            lag_seconds: input(LAG, 1e9),
            ready: input(READY, 1.0),
            in_flight: input(IN_FLIGHT, 1.0),
            load: input(LOAD, LOAD_ONE),
            factor: self.factor(),
            stretch: self.stretch(),
            decreases: state.decreases,
            increases: state.increases,
        }
    }

    /// How many additions a silent step makes: one for each interval beyond the quiet time.
    fn silent_steps(&self, state: &State, now: Duration, since: Option<Duration>) -> f64 {
        let (Some(heard), Some(since)) = (state.heard, since) else { return 0.0 };
        let beyond = now.saturating_sub(heard).saturating_sub(self.config.quiet).min(since);
        (beyond.as_secs_f64() / self.config.interval.as_secs_f64()).floor()
    }

    fn presses(&self, state: &State, at: usize) -> bool {
        state.inputs[at].is_some_and(|value| value > self.config.targets[at])
    }

    fn observe_least(&self, at: usize, value: u64) {
        // Relaxed: see `step`. The largest number stands for nothing.
        self.observed[at].fetch_min(value.min(NOTHING - 1), Ordering::Relaxed);
    }

    fn observe_last(&self, at: usize, value: u64) {
        // Relaxed: see `step`.
        self.observed[at].store(value.min(NOTHING - 1), Ordering::Relaxed);
    }

    fn rate(&self) -> f64 {
        // Relaxed: the word is all there is to it.
        f64::from_bits(self.rate.load(Ordering::Relaxed))
    }

    fn factor(&self) -> f64 {
        1.0 / self.rate()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic of another holder leaves plain data behind, so poison means nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for AdaptiveBackoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AdaptiveBackoff({:?})", self.stretch())
    }
}

const LAG: usize = 0;
const READY: usize = 1;
const IN_FLIGHT: usize = 2;
const LOAD: usize = 3;
/// No observation.
const NOTHING: u64 = u64::MAX;
/// A load of 1, as it is kept.
const LOAD_ONE: f64 = 1e9;

#[cfg(all(test, not(oncegate_loom)))]
mod tests;
