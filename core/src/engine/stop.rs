//! Stopping to wait: what a process does before it goes.

use super::Engine;
use crate::sync::Ordering;
use crate::sync::own::AtomicU64;
use crate::sync::planted::Bug;

/// Whether anybody of this process may still wait.
pub(super) struct Patient(AtomicU64);

impl Patient {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(1))
    }
}

impl Engine {
    /// Ends all blocking in this process: whoever waits for a running attempt or for the next one
    /// is answered as if his time were over, and whoever would wait from now on is, too.
    ///
    /// For a process that is about to go: its threads come back from
    /// [`begin`](Self::begin) with `InProgress` or `Scheduled`, and from
    /// [`next_attempt`](Self::next_attempt) with `None`. Attempts that are due are still handed
    /// out, and everything else goes on. Futures are not touched: drop them; nor are the pauses
    /// between the attempts of [`run_with_retries`](Self::run_with_retries), nor other processes
    /// that share the table. It cannot be taken back.
    ///
    /// ```
    /// use std::time::Duration;
    /// let engine = oncegate::Engine::builder().capacity(1_000).build()?;
    /// engine.stop_waiting();
    /// assert!(engine.next_attempt(Duration::from_secs(3600))?.is_none());
    /// # Ok::<(), oncegate::Error>(())
    /// ```
    pub fn stop_waiting(&self) {
        // Relaxed: the locks of the queues publish it. Whoever is queued is woken now; whoever
        // queues up later looks at it after that, behind the same lock.
        self.patient.0.store(0, Ordering::Relaxed);
        self.waiters.wake_everybody();
        self.scheduler().wake_workers();
    }

    /// Whether a thread that has queued up may sleep.
    pub(super) fn may_wait(&self) -> bool {
        // Relaxed: see `stop_waiting`.
        self.patient.0.load(Ordering::Relaxed) != 0 || Bug::StopUnseen.is_planted()
    }
}
