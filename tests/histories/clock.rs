//! A clock that is moved by the threads of a history, and that holds them up.
//!
//! The engine reads the clock in the middle of its calls: after it has looked whether a token
//! still holds, before it writes, before it waits. A thread that gives way there leaves its call
//! half done while the others go on, with a time that grows old. So a history overlaps even
//! where there are fewer processors than threads.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;

use oncegate::Clock;

use crate::random::Random;

/// Milliseconds that move when told to. Clones show the same time.
#[derive(Clone, Debug, Default)]
pub(crate) struct HistoryClock {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    ms: AtomicU64,
    sleepers: Mutex<Vec<Waker>>,
}

thread_local! {
    /// How this thread gives way: seed of what comes next, and one time in how many. Zero: never.
    static HOLD: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// From now on the calling thread gives way once in `one_in` readings; zero: never.
pub(crate) fn hold_up(seed: u64, one_in: u64) {
    HOLD.set((seed, one_in));
}

impl HistoryClock {
    /// The time as the engine counts it: milliseconds since it was opened, from one on.
    pub(crate) fn ms(&self) -> u64 {
        // Acquire: pairs with the AcqRel of `advance`. One word never goes backwards for a thread
        // that reads it again, so what a call reads lies between a reading before and one after.
        self.shared.ms.load(Ordering::Acquire) + 1
    }

    /// Moves the time by `step` milliseconds, and says what it is then.
    pub(crate) fn advance(&self, step: u64) -> u64 {
        // AcqRel: see `ms`.
        let now = self.shared.ms.fetch_add(step, Ordering::AcqRel) + step;
        let sleepers = std::mem::take(&mut *self.sleepers());
        sleepers.into_iter().for_each(Waker::wake);
        now + 1
    }

    fn sleepers(&self) -> std::sync::MutexGuard<'_, Vec<Waker>> {
        self.shared.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for HistoryClock {
    fn now(&self) -> Duration {
        let now = self.ms() - 1;
        let (seed, one_in) = HOLD.get();
        if one_in > 0 {
            let mut random = Random::new(seed);
            if random.below(one_in) == 0 {
                (0..=random.below(3)).for_each(|_| std::thread::yield_now());
            }
            HOLD.set((random.next(), one_in));
        }
        Duration::from_millis(now)
    }

    fn wake_on_jump(&self, waker: &Waker) {
        // The lock orders this sleeper and a jump: it is in the list, or it sees the new time.
        let mut sleepers = self.sleepers();
        if !sleepers.iter().any(|other| other.will_wake(waker)) {
            sleepers.push(waker.clone());
        }
    }
}
