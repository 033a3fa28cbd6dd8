//! The service: one worker, a bounded queue, and no idea of who has stopped waiting.

use std::collections::VecDeque;

/// An attempt, as the service knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) request: usize,
    pub(super) attempt: u32,
}

/// What waits, and what is being worked on.
pub(super) struct Service {
    waiting: VecDeque<Arrival>,
    room: usize,
    each_ms: f64,
    /// When the first of those who wait will be done.
    done_at: f64,
    down: bool,
}

impl Service {
    pub(super) fn new(room: usize) -> Self {
        Self { waiting: VecDeque::new(), room, each_ms: 0.0, done_at: 0.0, down: false }
    }

    /// How many requests it does in a second, from the next one on.
    pub(super) fn set_pace(&mut self, per_second: f64) {
        self.each_ms = 1_000.0 / per_second;
    }

    /// Everything that waits is lost.
    pub(super) fn stop(&mut self) {
        self.down = true;
        self.waiting.clear();
    }

    pub(super) fn start(&mut self, now: u64) {
        self.down = false;
        self.done_at = now as f64;
    }

    pub(super) fn is_down(&self) -> bool {
        self.down
    }

    /// Queues an attempt, if there is room.
    pub(super) fn take(&mut self, arrival: Arrival, now: u64) -> bool {
        if self.waiting.len() >= self.room {
            return false;
        }
        if self.waiting.is_empty() {
            self.done_at = self.done_at.max(now as f64) + self.each_ms;
        }
        self.waiting.push_back(arrival);
        true
    }

    /// The next attempt whose work is done by `now`.
    pub(super) fn done_by(&mut self, now: u64) -> Option<Arrival> {
        if self.down || self.done_at > now as f64 {
            return None;
        }
        let done = self.waiting.pop_front()?;
        if !self.waiting.is_empty() {
            self.done_at += self.each_ms;
        }
        Some(done)
    }
}
