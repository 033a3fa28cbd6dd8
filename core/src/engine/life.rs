//! The time of a region: milliseconds from one on, told from the clock of the process.

use std::time::Duration;

use crate::clock::TimeSource;

/// The clock of an engine, and what its region's time hangs on.
#[derive(Clone, Debug)]
pub(super) struct Life {
    time: TimeSource,
    /// Milliseconds of the clock at which the region's time was `first_ms`. Below zero where the
    /// clock, in a time namespace of its own, began later than the region.
    origin_ms: i64,
    /// Zero is the state of a fresh region, so that time begins at one.
    first_ms: u64,
    /// What is taken off the clock's time: `origin_ms` less `first_ms`, which may be below zero.
    behind_ms: u64,
}

impl Life {
    pub(super) fn new(time: TimeSource, origin_ms: i64, first_ms: u64) -> Self {
        let behind_ms = origin_ms.cast_unsigned().wrapping_sub(first_ms);
        Self { time, origin_ms, first_ms, behind_ms }
    }

    /// The time in milliseconds.
    #[inline(always)]
    pub(super) fn now_ms(&self) -> u64 {
        // Never before the first, whatever a given clock shows.
        let clock_ms = self.time.now_ms().cast_signed().max(self.origin_ms);
        clock_ms.cast_unsigned().wrapping_sub(self.behind_ms)
    }

    /// The time since it was one, by the clock's own precision.
    #[inline]
    pub(super) fn now(&self) -> Duration {
        let apart = Duration::from_millis(self.origin_ms.unsigned_abs());
        let clock = self.time.now();
        let since = if self.origin_ms < 0 {
            clock.saturating_add(apart)
        } else {
            clock.saturating_sub(apart)
        };
        since.saturating_add(Duration::from_millis(self.first_ms.saturating_sub(1)))
    }

    /// What the clock of the process shows at `at_ms`.
    pub(super) fn on_clock(&self, at_ms: u64) -> Duration {
        let since_ms = at_ms.saturating_sub(self.first_ms);
        Duration::from_millis(since_ms.saturating_add_signed(self.origin_ms))
    }

    pub(super) fn time(&self) -> &TimeSource {
        &self.time
    }
}
