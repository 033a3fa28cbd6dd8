//! Contenders that live in tokio's runtime, on a clock that stands still until it is moved.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, Sleep, advance, sleep_until};
use tokio_util::time::DelayQueue;
use tokio_util::time::delay_queue::Key;

use super::{Keeper, arranged};

/// A runtime of this thread, and when its clock started.
pub(in super::super) struct Paused {
    pub(in super::super) runtime: Runtime,
    origin: Instant,
    now: u64,
}

impl Paused {
    pub(in super::super) fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        let origin = runtime.block_on(async { Instant::now() });
        Self { runtime, origin, now: 0 }
    }

    pub(in super::super) fn at(&self, due: u64) -> Instant {
        self.origin + Duration::from_millis(due)
    }

    /// Moves the clock.
    pub(in super::super) fn go_on(&mut self, until: u64) {
        let step = Duration::from_millis(until - self.now);
        self.runtime.block_on(advance(step));
        self.now = until;
    }
}

/// `DelayQueue` of tokio-util.
pub(super) struct Queue {
    paused: Paused,
    queue: DelayQueue<u32>,
    keys: Vec<Key>,
}

impl Keeper for Queue {
    const NAME: &'static str = "tokio-util DelayQueue";

    fn open(timers: usize) -> Self {
        let paused = Paused::new();
        let entered = paused.runtime.enter();
        let any = DelayQueue::new().insert_at(0, paused.at(1));
        drop(entered);
        Self { paused, queue: DelayQueue::new(), keys: vec![any; timers] }
    }

    fn insert(&mut self, dues: &[u64]) {
        let _entered = self.paused.runtime.enter();
        for (nth, &due) in dues.iter().enumerate() {
            self.keys[nth] = self.queue.insert_at(nth as u32, self.paused.at(due));
        }
    }

    fn arrange(&mut self, order: &[u32]) {
        self.keys = arranged(&self.keys, order);
    }

    fn cancel(&mut self) {
        let _entered = self.paused.runtime.enter();
        for key in &self.keys {
            self.queue.remove(key);
        }
    }

    fn fire(&mut self, until: u64) -> usize {
        self.paused.go_on(until);
        let queue = &mut self.queue;
        let all = async {
            let mut fired = 0;
            while poll_fn(|context| queue.poll_expired(context)).await.is_some() {
                fired += 1;
            }
            fired
        };
        self.paused.runtime.block_on(tokio::task::unconstrained(all))
    }
}

/// Futures of `tokio::time::sleep_until`, each polled once.
pub(super) struct Sleeps {
    paused: Paused,
    sleeps: Vec<Option<Pin<Box<Sleep>>>>,
}

impl Keeper for Sleeps {
    const NAME: &'static str = "tokio sleep";

    fn open(timers: usize) -> Self {
        Self { paused: Paused::new(), sleeps: (0..timers).map(|_| None).collect() }
    }

    fn insert(&mut self, dues: &[u64]) {
        let _entered = self.paused.runtime.enter();
        let mut context = Context::from_waker(Waker::noop());
        for (place, &due) in self.sleeps.iter_mut().zip(dues) {
            let mut sleep = Box::pin(sleep_until(self.paused.at(due)));
            assert!(sleep.as_mut().poll(&mut context).is_pending());
            *place = Some(sleep);
        }
    }

    fn arrange(&mut self, order: &[u32]) {
        let sleeps = &mut self.sleeps;
        self.sleeps = order.iter().map(|nth| sleeps[*nth as usize].take()).collect();
    }

    fn cancel(&mut self) {
        self.sleeps.iter_mut().for_each(|sleep| *sleep = None);
    }

    fn fire(&mut self, until: u64) -> usize {
        self.paused.go_on(until);
        let is_over = |place: &mut Option<Pin<Box<Sleep>>>| {
            place.take().is_some_and(|sleep| sleep.is_elapsed())
        };
        self.sleeps.iter_mut().map(is_over).filter(|over| *over).count()
    }
}
