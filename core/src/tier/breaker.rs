//! The breaker of a tier: what has failed a while ago is not asked again at once.

use std::time::Duration;

use crate::retry::JitterSource;
use crate::sync::plain::Mutex;

/// Counts how calls of a tier fare, and refuses them for a while where too many fail.
///
/// Closed, it lets everything through. It opens when half of the last calls failed, of five at
/// least. Open, it refuses. After a while, which doubles each time it opens again, up to half a
/// minute, and has jitter, it lets one call through: that one closes it, or opens it again.
pub(crate) struct Breaker {
    /// A call that takes longer has failed.
    objective: Option<Duration>,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    /// The last calls, the youngest in the lowest bit; set: it failed.
    last: u32,
    /// How many of them there were.
    calls: u32,
    /// How often it opened in a row.
    opened: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    Open {
        until: Duration,
    },
    /// One call is under way; should it never end, another is let through then.
    Probing {
        until: Duration,
    },
}

/// How a call fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fared {
    Well,
    Badly,
}

impl Breaker {
    pub(crate) fn new(objective: Option<Duration>) -> Self {
        let state = State { phase: Phase::Closed, last: 0, calls: 0, opened: 0 };
        Self { objective, state: Mutex::new(state) }
    }

    /// Whether a call may be made at `now`; if not, after how long one may.
    pub(crate) fn admit(&self, now: Duration) -> Result<(), Duration> {
        let mut state = self.state();
        match state.phase {
            Phase::Closed => Ok(()),
            Phase::Open { until } | Phase::Probing { until } if now >= until => {
                state.phase = Phase::Probing { until: now + LONGEST };
                Ok(())
            }
            Phase::Open { until } => Err(until - now),
            Phase::Probing { .. } => Err(FIRST),
        }
    }

    /// A call that was let through has ended, after `took`. True: calls are let through again.
    pub(crate) fn note(
        &self,
        fared: Fared,
        took: Duration,
        now: Duration,
        jitter: &JitterSource,
    ) -> bool {
        let slow = self.objective.is_some_and(|objective| took > objective);
        let failed = fared == Fared::Badly || slow;
        let mut state = self.state();
        if matches!(state.phase, Phase::Probing { .. }) {
            if failed {
                state.open(now, jitter);
            } else {
                *state = State { phase: Phase::Closed, last: 0, calls: 0, opened: 0 };
            }
            return !failed;
        }
        state.last = state.last << 1 | u32::from(failed);
        state.calls = (state.calls + 1).min(REMEMBERED);
        let failures = (state.last & MASK).count_ones();
        if state.phase == Phase::Closed && failures >= LEAST && failures * 2 >= state.calls {
            state.open(now, jitter);
        }
        false
    }

    /// Whether it refuses calls.
    pub(crate) fn is_open(&self) -> bool {
        self.state().phase != Phase::Closed
    }

    fn state(&self) -> crate::sync::plain::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl State {
    fn open(&mut self, now: Duration, jitter: &JitterSource) {
        let whole = FIRST.saturating_mul(1 << self.opened.min(DOUBLED)).min(LONGEST);
        // The upper half has jitter: those who share a store come back one after the other.
        let half = u64::try_from(whole.as_nanos() / 2).unwrap_or(u64::MAX);
        let added = Duration::from_nanos(jitter.draw() % (half + 1));
        self.phase = Phase::Open { until: now + Duration::from_nanos(half) + added };
        self.opened = self.opened.saturating_add(1);
        (self.last, self.calls) = (0, 0);
    }
}

/// How many calls are remembered.
const REMEMBERED: u32 = 20;
const MASK: u32 = (1 << REMEMBERED) - 1;
/// So many failures open it at least.
const LEAST: u32 = 5;
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
const DOUBLED: u32 = 6;

#[cfg(all(test, not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
