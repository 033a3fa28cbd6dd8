//! The bell of a thread that parks for other reasons, too: who talks to a store is parked while it
//! answers, and takes the call that was meant for later along.

use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

use crate::sync::plain::AtomicBool;
use crate::sync::{Ordering, park};
use crate::wait::thread_waker;

/// What was called stays called until the thread has looked.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: AtomicBool,
}

impl Bell {
    /// Has the next [`rest`](Self::rest) be none. Whoever rings unparks the thread after that: it
    /// may be resting already.
    pub(super) fn ring(&self) {
        // Release: pairs with the Acquire of `rest`, after which the thread looks.
        self.rung.store(true, Ordering::Release);
    }

    /// A waker that rings, and wakes the calling thread.
    pub(super) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::new(Caller { bell: Arc::clone(self), thread: thread_waker() }))
    }

    /// Parks the calling thread for `limit`, unless it was rung since the last rest, or `stopped`.
    pub(super) fn rest(&self, stopped: &AtomicBool, limit: Duration) {
        // Acquire: pairs with the Release of `ring`: what it was rung for is seen by the next look.
        let rung = self.rung.swap(false, Ordering::Acquire);
        // Relaxed: who stops the thread unparks it after that, and nothing here has parked since.
        if !rung && !stopped.load(Ordering::Relaxed) {
            park(Some(limit));
        }
    }
}

struct Caller {
    bell: Arc<Bell>,
    thread: Waker,
}

impl Wake for Caller {
    fn wake(self: Arc<Self>) {
        self.bell.ring();
        self.thread.wake_by_ref();
    }
}

#[cfg(all(test, not(oncegate_loom), not(oncegate_shuttle)))]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    const EVER: Duration = Duration::from_secs(3_600);
    const PATIENCE: Duration = Duration::from_secs(60);

    /// Goal: a call that comes while the thread is parked for another reason is not lost. Method:
    /// it rings, the thread is parked once in between, and rests for an hour; by each way to call.
    #[test]
    fn no_call_is_lost() {
        let calls: [fn(&Arc<Bell>, &AtomicBool); 3] = [
            |bell, _| {
                bell.ring();
                thread_waker().wake();
            },
            |bell, _| bell.waker().wake(),
            |_, stopped| {
                // Relaxed: this thread reads it.
                stopped.store(true, Ordering::Relaxed);
                thread_waker().wake();
            },
        ];
        let (rested, rests) = channel();
        std::thread::spawn(move || {
            for call in calls {
                let (bell, stopped) = (Arc::new(Bell::default()), AtomicBool::new(false));
                call(&bell, &stopped);
                // As a store does that has to be waited for.
                park(Some(EVER));
                bell.rest(&stopped, EVER);
                rested.send(()).expect("the test waits");
            }
        });
        for _ in calls {
            rests.recv_timeout(PATIENCE).expect("the call was lost");
        }
    }
}
