//! Who may try to connect: after a failure nobody for a while, which grows.

use std::time::Duration;

/// Closed for a time after a connection could not be made.
#[derive(Debug)]
pub(super) struct Gate {
    failures: u32,
    until: Duration,
    jitter: Jitter,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self { failures: 0, until: Duration::ZERO, jitter: Jitter::new() }
    }

    pub(super) fn is_closed(&self, now: Duration) -> bool {
        now < self.until
    }

    pub(super) fn succeeded(&mut self) {
        (self.failures, self.until) = (0, Duration::ZERO);
    }

    pub(super) fn failed(&mut self, now: Duration) {
        let pause = FIRST.saturating_mul(1 << self.failures.min(MOST_DOUBLINGS)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        self.until = now + self.jitter.half_to_all(pause);
    }
}

/// Random parts of a time, so that many clients do not come back at once.
#[derive(Debug)]
pub(in super::super) struct Jitter(u64);

impl Jitter {
    /// Seeded by the operating system; a child of a fork makes its own with its connections.
    pub(in super::super) fn new() -> Self {
        Self(getrandom::u64().unwrap_or(1) | 1)
    }

    /// Between a half of it and all of it.
    pub(in super::super) fn half_to_all(&mut self, time: Duration) -> Duration {
        // Xorshift (Marsaglia, 2003): quality does not matter here.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let part = (self.0 >> 40) as u32;
        time / 2 + (time / 2).mul_f64(f64::from(part) / f64::from(1 << 24))
    }
}

const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(2);
const MOST_DOUBLINGS: u32 = 10;

#[cfg(test)]
mod tests {
    use super::{Duration, Gate};

    /// Goal: a server that is not there is tried less and less often, and again at once when it is
    /// back. Method: failures, one after the other, by a clock of the test's own.
    #[test]
    fn pauses_grow_up_to_a_limit_and_end_with_a_success() {
        let (mut gate, now) = (Gate::new(), Duration::from_secs(1_000));
        assert!(!gate.is_closed(now));
        for failures in 0..40 {
            gate.failed(now);
            let whole = Duration::from_millis(20 << failures.min(10)).min(Duration::from_secs(2));
            assert!(gate.is_closed(now + whole / 2 - Duration::from_millis(1)), "{failures}");
            assert!(!gate.is_closed(now + whole), "{failures}");
        }
        gate.succeeded();
        assert!(!gate.is_closed(now));
    }
}
