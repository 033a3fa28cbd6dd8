//! Waiting callers: a queue for each record, off the hot path.
//!
//! A waiter puts itself in the queue and then sets the `W` bit of the record's control word,
//! both under the queue's lock. Whoever changes the record does so by compare-and-swap, learns
//! from the same word whether somebody waits, and only then takes the lock. So a waiter either
//! sees the change, or is in the queue when it happens; and a record that nobody waits for costs
//! its finisher nothing.
//!
//! A failing leader wakes one waiter. A waiter that was woken and gives up before it looked
//! passes the wake-up on, so that none is lost.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Wake, Waker};

use crossbeam_utils::CachePadded;

use crate::fork::ForkGuard;
use crate::sync::plain::AtomicU64;
use crate::sync::planted::Bug;
use crate::sync::{Mutex, Ordering, Thread, current, lock};

/// All waiters of one engine in this process.
pub(crate) struct WaitQueue {
    buckets: Box<[CachePadded<Mutex<VecDeque<Waiter>>>]>,
    waiting: AtomicU64,
    tickets: AtomicU64,
    limit: u64,
    fork: Arc<ForkGuard>,
}

struct Waiter {
    slot: usize,
    ticket: u64,
    /// When it looks again by itself, in milliseconds since the region was opened.
    until_ms: u64,
    waker: Waker,
}

/// A place in the queue. Dropping it leaves the queue and affects nobody else.
pub(crate) struct Ticket {
    queue: Arc<WaitQueue>,
    slot: usize,
    number: u64,
    /// Whether the owner has seen its wake-up, or never got into the queue.
    spent: bool,
}

/// Why a waiter is not in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotQueued {
    /// The record changed: look again.
    Changed,
    /// As many wait as may.
    TooMany,
}

impl WaitQueue {
    pub(crate) fn new(limit: u64, fork: Arc<ForkGuard>) -> Self {
        let buckets = if cfg!(any(oncegate_loom, oncegate_shuttle)) { 1 } else { BUCKETS };
        Self {
            buckets: (0..buckets).map(|_| CachePadded::new(Mutex::default())).collect(),
            waiting: AtomicU64::new(0),
            tickets: AtomicU64::new(0),
            limit,
            fork,
        }
    }

    /// Queues `waker` for `slot`, by itself until `until_ms`. `announce` sets the `W` bit; false
    /// means the record changed.
    pub(crate) fn enter(
        self: &Arc<Self>,
        slot: usize,
        until_ms: u64,
        waker: Waker,
        announce: impl FnOnce() -> bool,
    ) -> Result<Ticket, NotQueued> {
        // Relaxed: the limit is kept to within the number of callers that race for its end.
        if self.waiting.load(Ordering::Relaxed) >= self.limit {
            return Err(NotQueued::TooMany);
        }
        // Relaxed: numbers only have to differ.
        let number = self.tickets.fetch_add(1, Ordering::Relaxed);
        let mut bucket = lock(self.bucket(slot));
        if !Bug::WaiterUnannounced.is_planted() && !announce() {
            return Err(NotQueued::Changed);
        }
        bucket.push_back(Waiter { slot, ticket: number, until_ms, waker });
        // Relaxed: as above.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Ok(Ticket { queue: Arc::clone(self), slot, number, spent: false })
    }

    /// Wakes everybody who waits for `slot`.
    pub(crate) fn wake_all(&self, slot: usize) {
        self.wake(slot, |_| true);
    }

    /// Wakes those who wait for `slot` and would look again only after `until_ms`, the new end of
    /// what they wait for.
    pub(crate) fn wake_sooner(&self, slot: usize, until_ms: u64) {
        let moves = !Bug::ShorterLeaseUnnoticed.is_planted();
        self.wake(slot, |waiter| waiter.until_ms > until_ms && moves);
    }

    fn wake(&self, slot: usize, whom: impl Fn(&Waiter) -> bool) {
        let woken: VecDeque<Waiter> = {
            let mut bucket = lock(self.bucket(slot));
            let (out, keep) =
                bucket.drain(..).partition(|waiter| waiter.slot == slot && whom(waiter));
            *bucket = keep;
            out
        };
        self.left(woken.len());
        woken.into_iter().for_each(|waiter| waiter.waker.wake());
    }

    /// Wakes whoever waits for `slot` the longest. False: nobody does.
    pub(crate) fn wake_one(&self, slot: usize) -> bool {
        if Bug::HandsOffToAll.is_planted() {
            self.wake_all(slot);
            return true;
        }
        let first = {
            let mut bucket = lock(self.bucket(slot));
            let at = bucket.iter().position(|waiter| waiter.slot == slot);
            at.and_then(|at| bucket.remove(at))
        };
        self.left(usize::from(first.is_some()));
        first.map(|waiter| waiter.waker.wake()).is_some()
    }

    /// How many wait now.
    pub(crate) fn len(&self) -> u64 {
        // Relaxed: a count for statistics.
        self.waiting.load(Ordering::Relaxed)
    }

    fn left(&self, count: usize) {
        // Relaxed: as in `enter`.
        self.waiting.fetch_sub(count as u64, Ordering::Relaxed);
    }

    fn bucket(&self, slot: usize) -> &Mutex<VecDeque<Waiter>> {
        &self.buckets[slot % self.buckets.len()]
    }
}

impl Ticket {
    /// Whether the wake-up has come. If not, `waker` is the one to wake from now on.
    pub(crate) fn poll(&mut self, waker: &Waker) -> bool {
        if !self.spent {
            let mut bucket = lock(self.queue.bucket(self.slot));
            match bucket.iter_mut().find(|waiter| waiter.ticket == self.number) {
                Some(waiter) => waiter.waker.clone_from(waker),
                None => self.spent = true,
            }
        }
        self.spent
    }

    /// Leaves the queue. True: the wake-up had come already, and it is the caller's now.
    pub(crate) fn leave(mut self) -> bool {
        let woken = !self.remove();
        self.spent = true;
        woken
    }

    fn remove(&self) -> bool {
        let mut bucket = lock(self.queue.bucket(self.slot));
        let at = bucket.iter().position(|waiter| waiter.ticket == self.number);
        let removed = at.and_then(|at| bucket.remove(at)).is_some();
        drop(bucket);
        self.queue.left(usize::from(removed));
        removed
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // In a forked child the queue is the parent's, and a thread that is not here may hold it.
        if self.queue.fork.check().is_err() {
            return;
        }
        if !self.spent && !self.remove() && !Bug::WakeUpKept.is_planted() {
            self.queue.wake_one(self.slot);
        }
    }
}

/// A waker that wakes the calling thread out of [`park`](crate::sync::park).
pub(crate) fn thread_waker() -> Waker {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    Waker::from(Arc::new(Unpark(current())))
}

/// Buckets of waiters, so that busy records do not meet each other's lock.
const BUCKETS: usize = 64;
