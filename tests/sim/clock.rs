//! Virtual time: it moves when the simulation says so. Its wall clock also steps, back as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use oncegate::Clock;

/// Milliseconds of two clocks that all simulated processes of a machine share.
#[derive(Clone, Debug)]
pub(crate) struct VirtualClock {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    monotonic_ms: AtomicU64,
    wall_ms: AtomicU64,
}

impl VirtualClock {
    pub(crate) fn new() -> Self {
        let (monotonic_ms, wall_ms) = (AtomicU64::new(BOOT_MS), AtomicU64::new(START_MS));
        Self { shared: Arc::new(Shared { monotonic_ms, wall_ms }) }
    }

    /// Milliseconds since the machine was started.
    pub(crate) fn ms(&self) -> u64 {
        // Relaxed: one thread simulates all.
        self.shared.monotonic_ms.load(Ordering::Relaxed)
    }

    /// Moves both clocks forward to `ms` of the monotonic one.
    pub(crate) fn move_to(&self, ms: u64) {
        let step = ms.saturating_sub(self.ms());
        // Relaxed, both: as above.
        self.shared.monotonic_ms.fetch_add(step, Ordering::Relaxed);
        self.shared.wall_ms.fetch_add(step, Ordering::Relaxed);
    }

    /// Sets the wall clock forward or back, as its administrator does.
    pub(crate) fn set_wall(&self, by_ms: i64) {
        // Relaxed, both: as above.
        let now = self.shared.wall_ms.load(Ordering::Relaxed);
        self.shared.wall_ms.store(now.saturating_add_signed(by_ms), Ordering::Relaxed);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Duration {
        Duration::from_millis(self.ms())
    }

    fn unix_time(&self) -> Duration {
        // Relaxed: as above.
        Duration::from_millis(self.shared.wall_ms.load(Ordering::Relaxed))
    }
}

/// The machine has been up for a quarter of an hour.
const BOOT_MS: u64 = 900_000;
/// The start of 2026.
const START_MS: u64 = 1_767_225_600_000;
