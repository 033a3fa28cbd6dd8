//! Time is injected: the engine asks a [`Clock`], and only this file knows a real one.

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::task::Waker;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::sync::Ordering;
use crate::sync::plain::{AtomicU64, Mutex, MutexGuard};

/// A monotonic clock with an arbitrary origin.
///
/// It must never step backwards. It need not be precise: leases and windows are kept in
/// milliseconds, and logical order comes from fencing tokens, never from time.
///
/// ```
/// use std::time::Duration;
/// use oncegate::{Clock, ManualClock};
///
/// let clock = ManualClock::new();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(clock.now() - before, Duration::from_secs(1));
/// ```
pub trait Clock: Send + Sync + fmt::Debug {
    /// The time since this clock's origin.
    ///
    /// ```
    /// use oncegate::{Clock, PreciseClock};
    /// assert!(PreciseClock.now() <= PreciseClock.now());
    /// ```
    fn now(&self) -> Duration;

    /// Wall time since 1970. It is read once, when an engine opens, for the upper part of its
    /// fencing tokens; the default is the system's. It should not be set back between two
    /// engines; within a process, later engines have higher tokens even then.
    ///
    /// ```
    /// use oncegate::{Clock, CoarseClock};
    /// assert!(CoarseClock.unix_time().as_secs() > 1_600_000_000);
    /// ```
    fn unix_time(&self) -> Duration {
        read(ClockId::Realtime)
    }

    /// Asks a clock that can jump to wake `waker` at its next jump. Called by a thread that is
    /// about to sleep until a time on this clock; it sleeps no longer than that much real time.
    ///
    /// Clocks that run by themselves have nothing to do, which is the default.
    ///
    /// ```
    /// use std::task::Waker;
    /// use oncegate::{Clock, ManualClock};
    ///
    /// let clock = ManualClock::new();
    /// clock.wake_on_jump(Waker::noop());
    /// ```
    fn wake_on_jump(&self, waker: &Waker) {
        let _ = waker;
    }
}

/// The kernel's coarse monotonic clock: about 3 ns a call, a resolution of 1 to 10 ms.
///
/// The default. It stops while the machine is suspended.
///
/// ```
/// use oncegate::{Clock, CoarseClock};
/// assert!(CoarseClock.now() <= CoarseClock.now());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct CoarseClock;

impl Clock for CoarseClock {
    #[inline]
    fn now(&self) -> Duration {
        read(COARSE)
    }
}

/// The kernel's precise monotonic clock: about 25 ns a call.
///
/// For leases of a few milliseconds. It stops while the machine is suspended.
///
/// ```
/// use oncegate::{Clock, PreciseClock};
/// assert!(PreciseClock.now() <= PreciseClock.now());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct PreciseClock;

impl Clock for PreciseClock {
    #[inline]
    fn now(&self) -> Duration {
        read(ClockId::Monotonic)
    }
}

/// A clock that moves when told to, for tests. Clones show the same time. Its wall time starts
/// with the year 2020.
///
/// Moving it wakes the threads that wait for an attempt, so that they notice a lapsed lease or
/// their own time limit. Futures notice a lapsed lease at the next
/// [`Engine::sweep`](crate::Engine::sweep).
///
/// ```
/// use std::time::Duration;
/// use oncegate::{Clock, ManualClock};
///
/// let clock = ManualClock::new();
/// let same = clock.clone();
/// clock.advance(Duration::from_millis(250));
/// assert_eq!(same.now(), clock.now());
/// ```
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    shared: Arc<Manual>,
}

#[derive(Debug, Default)]
struct Manual {
    nanos: AtomicU64,
    sleepers: Mutex<Vec<Waker>>,
}

impl ManualClock {
    /// A clock that shows zero.
    ///
    /// ```
    /// # use oncegate::{Clock, ManualClock};
    /// assert!(ManualClock::new().now().is_zero());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the time forward by `step`; it stays at the end of its range (584 years).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use oncegate::{Clock, ManualClock};
    /// let clock = ManualClock::new();
    /// clock.advance(Duration::from_secs(3));
    /// assert_eq!(clock.now().as_secs(), 3);
    /// ```
    pub fn advance(&self, step: Duration) {
        let step = u64::try_from(step.as_nanos()).unwrap_or(u64::MAX);
        // Relaxed, both: the time orders nothing; whoever advances it synchronises by other means.
        let _ = self.shared.nanos.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
            Some(now.saturating_add(step))
        });
        // The lock orders this jump and a sleeper: either it is in the list, or it sees the time.
        let sleepers = std::mem::take(&mut *self.sleepers());
        sleepers.into_iter().for_each(Waker::wake);
    }

    fn sleepers(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.shared.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        // Relaxed: see `advance`.
        Duration::from_nanos(self.shared.nanos.load(Ordering::Relaxed))
    }

    fn unix_time(&self) -> Duration {
        Duration::from_millis(START_OF_2020_MS).saturating_add(self.now())
    }

    fn wake_on_jump(&self, waker: &Waker) {
        let mut sleepers = self.sleepers();
        if !sleepers.iter().any(|other| other.will_wake(waker)) {
            sleepers.push(waker.clone());
        }
    }
}

/// The clock of an engine: the two built-in ones without a virtual call.
#[derive(Clone, Debug)]
pub(crate) enum TimeSource {
    Coarse,
    Precise,
    Given(Arc<dyn Clock>),
}

impl TimeSource {
    #[inline]
    pub(crate) fn now(&self) -> Duration {
        match self {
            Self::Coarse => CoarseClock.now(),
            Self::Precise => PreciseClock.now(),
            Self::Given(clock) => clock.now(),
        }
    }

    /// The same in whole milliseconds, rounded down, and less than the largest number. Every call
    /// reads it.
    #[inline(always)]
    pub(crate) fn now_ms(&self) -> u64 {
        match self {
            Self::Coarse => read_ms(COARSE),
            other => other.other_ms(),
        }
    }

    #[inline(never)]
    fn other_ms(&self) -> u64 {
        match self {
            Self::Given(clock) => millis(clock.now()).min(u64::MAX - 1),
            _ => read_ms(ClockId::Monotonic),
        }
    }

    /// The same by the precise clock, where it is one of the two built-in ones.
    pub(crate) fn exact_ms(&self) -> u64 {
        match self {
            Self::Coarse => read_ms(ClockId::Monotonic),
            other => other.other_ms(),
        }
    }

    /// Milliseconds of wall time since the start of 2020.
    pub(crate) fn wall_ms(&self) -> u64 {
        let since_1970 = match self {
            Self::Coarse | Self::Precise => PreciseClock.unix_time(),
            Self::Given(clock) => clock.unix_time(),
        };
        u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX).saturating_sub(START_OF_2020_MS)
    }

    pub(crate) fn wake_on_jump(&self, waker: &Waker) {
        if let Self::Given(clock) = self {
            clock.wake_on_jump(waker);
        }
    }
}

fn read(id: ClockId) -> Duration {
    let time = clock_gettime(id);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

#[inline(always)]
fn read_ms(id: ClockId) -> u64 {
    let time = clock_gettime(id);
    // A monotonic clock shows no time before its origin.
    (time.tv_sec as u64).wrapping_mul(1_000).wrapping_add(time.tv_nsec as u64 / 1_000_000)
}

/// Whole milliseconds, rounded down, without a division of 128 bits.
fn millis(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000).saturating_add(duration.subsec_millis().into())
}

#[cfg(target_os = "linux")]
const COARSE: ClockId = ClockId::MonotonicCoarse;
#[cfg(not(target_os = "linux"))]
const COARSE: ClockId = ClockId::Monotonic;

/// Milliseconds of wall time since 1970, of a time that is told since 2020.
pub(crate) fn unix_ms(since_2020_ms: u64) -> u64 {
    since_2020_ms.saturating_add(START_OF_2020_MS)
}

const START_OF_2020_MS: u64 = 1_577_836_800_000;
