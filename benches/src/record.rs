//! Record: what a peer stores for one request, since it knows nothing of leases and windows.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// 64 bytes, as every outcome here has.
pub type Bytes = [u8; 64];

/// In flight until a deadline, or finished and valid until one.
#[derive(Clone, Debug)]
pub struct Record {
    deadline_ms: u64,
    done: bool,
    outcome: Bytes,
}

/// What a record that was met answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// The outcome was copied out.
    Replayed,
    /// Its lease runs.
    InFlight,
    /// Its lease or its window is over: it counts as absent.
    Over,
}

impl Record {
    /// In flight from now on.
    #[inline]
    #[must_use]
    pub fn in_flight() -> Self {
        Self { deadline_ms: now_ms() + LEASE_MS, done: false, outcome: [0; 64] }
    }

    /// Finished just now.
    #[inline]
    #[must_use]
    pub fn done(outcome: &Bytes) -> Self {
        Self { deadline_ms: now_ms() + WINDOW_MS, done: true, outcome: *outcome }
    }

    /// Answers a duplicate.
    #[inline]
    pub fn meet(&self, into: &mut Bytes) -> Met {
        if self.deadline_ms < now_ms() {
            return Met::Over;
        }
        if !self.done {
            return Met::InFlight;
        }
        *into = self.outcome;
        Met::Replayed
    }

    /// Stores the outcome, unless the record is finished already.
    #[inline]
    pub fn complete(&mut self, outcome: &Bytes) {
        if !self.done {
            *self = Self::done(outcome);
        }
    }
}

/// The clock that the engine uses too: about 3 ns a call.
#[inline]
#[must_use]
pub fn now_ms() -> u64 {
    let coarse = if cfg!(target_os = "linux") { COARSE } else { ClockId::Monotonic };
    let now = clock_gettime(coarse);
    now.tv_sec.cast_unsigned() * 1_000 + now.tv_nsec.cast_unsigned() / 1_000_000
}

#[cfg(target_os = "linux")]
const COARSE: ClockId = ClockId::MonotonicCoarse;
#[cfg(not(target_os = "linux"))]
const COARSE: ClockId = ClockId::Monotonic;

/// How long a lease lasts, in every contender.
pub const LEASE: Duration = Duration::from_secs(3_600);
/// How long an outcome is kept, in every contender.
pub const WINDOW: Duration = Duration::from_secs(24 * 3_600);
/// The lease in milliseconds.
pub const LEASE_MS: u64 = LEASE.as_secs() * 1_000;
/// The window in milliseconds.
pub const WINDOW_MS: u64 = WINDOW.as_secs() * 1_000;
