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
//!
//! # Between processes
//!
//! Each process has queues of its own. Before a waiter announces itself it marks its queue in the
//! process's entry of the registry; whoever changes the record and finds `W` set rings at every
//! other process that has the mark: it leaves a bit of mail and wakes that process's listener, a
//! thread that sleeps until then (see `engine::listen`). The listener looks at the records that
//! are waited for in the queues that have mail, and wakes those whose record has changed. A ring
//! that comes for another record of the same queue wakes nobody.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Wake, Waker};

use crossbeam_utils::CachePadded;

use crate::fork::{self, PerProcess};
use crate::region::registry::{BELL, MAIL, WAITING};
use crate::region::{Region, bell};
use crate::sync::plain::AtomicU64;
use crate::sync::planted::Bug;
use crate::sync::{Mutex, Ordering, Thread, current, lock};

/// All waiters of one engine in this process.
pub(crate) struct WaitQueue {
    queues: PerProcess<Queues>,
    tickets: AtomicU64,
    limit: u64,
    region: Arc<Region>,
}

/// The queues of one process.
struct Queues {
    buckets: Box<[CachePadded<Mutex<VecDeque<Waiter>>>]>,
    waiting: AtomicU64,
}

/// Somebody who waits for a record.
pub(crate) struct Waiter {
    pub(crate) slot: usize,
    /// The first word of its identity: another record may have come to lie there.
    pub(crate) identity: u64,
    ticket: u64,
    /// When it looks again by itself, in milliseconds since the region was opened.
    pub(crate) until_ms: u64,
    waker: Waker,
}

/// What has become of a record that somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Nothing.
    None,
    /// Whoever waits looks again.
    ForAll,
    /// One of those who wait gets the next attempt.
    ForOne,
}

/// A place in the queue. Dropping it leaves the queue and affects nobody else.
pub(crate) struct Ticket {
    queue: Arc<WaitQueue>,
    slot: usize,
    number: u64,
    /// Whether the owner has seen its wake-up, or never got into the queue.
    spent: bool,
    /// The generation of the process in whose queue it is.
    born: u64,
}

/// Why a waiter is not in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotQueued {
    /// The record changed: look again.
    Changed,
    /// As many wait as may.
    TooMany,
}

#[cfg(test)]
impl Waiter {
    /// One that nobody wakes.
    pub(crate) fn of(slot: usize, identity: u64, until_ms: u64) -> Self {
        Self { slot, identity, until_ms, ticket: 0, waker: Waker::noop().clone() }
    }
}

impl Queues {
    fn new() -> Self {
        let bucket = |_| CachePadded::new(Mutex::default());
        Self { buckets: (0..BUCKETS).map(bucket).collect(), waiting: AtomicU64::new(0) }
    }
}

impl WaitQueue {
    pub(crate) fn new(limit: u64, region: Arc<Region>) -> Self {
        let queues = PerProcess::new(Queues::new());
        Self { queues, tickets: AtomicU64::new(0), limit, region }
    }

    fn queues(&self) -> &Queues {
        self.queues.get(Queues::new)
    }

    /// Queues `waker` for the record of `identity` in `slot`, by itself until `until_ms`.
    /// `announce` sets the `W` bit; false means the record changed.
    pub(crate) fn enter(
        self: &Arc<Self>,
        slot: usize,
        identity: u64,
        until_ms: u64,
        waker: Waker,
        announce: impl FnOnce() -> bool,
    ) -> Result<Ticket, NotQueued> {
        let queues = self.queues();
        // Relaxed: the limit is kept to within the number of callers that race for its end.
        if queues.waiting.load(Ordering::Relaxed) >= self.limit {
            return Err(NotQueued::TooMany);
        }
        // Relaxed: numbers only have to differ.
        let number = self.tickets.fetch_add(1, Ordering::Relaxed);
        let mut bucket = lock(self.bucket(slot));
        self.mark(slot);
        if !Bug::WaiterUnannounced.is_planted() && !announce() {
            return Err(NotQueued::Changed);
        }
        bucket.push_back(Waiter { slot, identity, ticket: number, until_ms, waker });
        // Relaxed: as above.
        queues.waiting.fetch_add(1, Ordering::Relaxed);
        let born = fork::generation();
        Ok(Ticket { queue: Arc::clone(self), slot, number, spent: false, born })
    }

    /// Wakes everybody who waits for `slot`.
    pub(crate) fn wake_all(&self, slot: usize) {
        self.ring(slot);
        self.wake(slot, |_| true);
    }

    /// Wakes those who wait for `slot` and would look again only after `until_ms`, the new end of
    /// what they wait for.
    pub(crate) fn wake_sooner(&self, slot: usize, until_ms: u64) {
        let moves = !Bug::ShorterLeaseUnnoticed.is_planted();
        self.ring(slot);
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

    /// Wakes everybody who waits in this process.
    pub(crate) fn wake_everybody(&self) {
        for bucket in &self.queues().buckets {
            let woken = std::mem::take(&mut *lock(bucket));
            self.left(woken.len());
            woken.into_iter().for_each(|waiter| waiter.waker.wake());
        }
    }

    /// Wakes whoever waits for `slot` the longest, here and in each other process: one of them gets
    /// what it is woken for. False: nobody does here.
    pub(crate) fn wake_one(&self, slot: usize) -> bool {
        self.ring(slot);
        self.wake_one_here(slot)
    }

    fn wake_one_here(&self, slot: usize) -> bool {
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
        self.queues().waiting.load(Ordering::Relaxed)
    }

    fn left(&self, count: usize) {
        // Relaxed: as in `enter`.
        self.queues().waiting.fetch_sub(count as u64, Ordering::Relaxed);
    }

    fn bucket(&self, slot: usize) -> &Mutex<VecDeque<Waiter>> {
        &self.queues().buckets[slot & (BUCKETS - 1)]
    }

    /// Marks the queue of `slot` for other processes, before the announcement that they follow.
    fn mark(&self, slot: usize) {
        if self.region.is_shared() {
            let entry = self.region.process(usize::from(self.region.me()));
            // Relaxed: published by the announcement, a swap of the control word that whoever
            // changes the record reads.
            entry[WAITING].fetch_or(1 << (slot & (BUCKETS - 1)), Ordering::Relaxed);
        }
    }

    /// Rings at the other processes in whose queue of `slot` somebody waits.
    fn ring(&self, slot: usize) {
        if !self.region.is_shared() || Bug::RingsNobody.is_planted() {
            return;
        }
        let bit = 1 << (slot & (BUCKETS - 1));
        for index in (1..=self.region.processes_used()).filter(|i| *i as u8 != self.region.me()) {
            let entry = self.region.process(index);
            // Relaxed: see `mark`.
            if entry[WAITING].load(Ordering::Relaxed) & bit != 0 {
                // Relaxed: the bell publishes it.
                entry[MAIL].fetch_or(bit, Ordering::Relaxed);
                bell::ring(&entry[BELL]);
            }
        }
    }

    /// Looks at the records that somebody here waits for: those of the queues that have mail, or,
    /// for whoever has not been rung for a while, all. False: nobody waits.
    pub(crate) fn deliver(&self, all: bool, news: impl Fn(&Waiter) -> News) -> bool {
        let entry = self.region.process(usize::from(self.region.me()));
        // Relaxed: the bell was read before it.
        let mail = entry[MAIL].swap(0, Ordering::Relaxed);
        let mail = if all { u64::MAX } else { mail };
        let mut anybody = false;
        for (number, bucket) in self.queues().buckets.iter().enumerate() {
            let mut told: Vec<(usize, News)> = Vec::new();
            {
                let bucket = lock(bucket);
                anybody |= !bucket.is_empty();
                if bucket.is_empty() {
                    // Relaxed: under the lock under which it is set.
                    entry[WAITING].fetch_and(!(1 << number), Ordering::Relaxed);
                } else if mail >> number & 1 == 1 {
                    told.extend(bucket.iter().map(|waiter| (waiter.slot, news(waiter))));
                }
            }
            told.retain(|(_, news)| *news != News::None);
            told.sort_unstable_by_key(|(slot, _)| *slot);
            told.dedup_by_key(|(slot, _)| *slot);
            for (slot, news) in told {
                match news {
                    News::ForAll => self.wake(slot, |_| true),
                    News::ForOne => _ = self.wake_one_here(slot),
                    News::None => {}
                }
            }
        }
        anybody
    }
}

impl Ticket {
    /// Whether the wake-up has come. If not, `waker` is the one to wake from now on.
    pub(crate) fn poll(&mut self, waker: &Waker) -> bool {
        if !self.spent && self.is_own() {
            let mut bucket = lock(self.queue.bucket(self.slot));
            match bucket.iter_mut().find(|waiter| waiter.ticket == self.number) {
                Some(waiter) => waiter.waker.clone_from(waker),
                None => self.spent = true,
            }
        }
        self.spent || !self.is_own()
    }

    /// Leaves the queue. True: the wake-up had come already, and it is the caller's now.
    pub(crate) fn leave(mut self) -> bool {
        let woken = self.is_own() && !self.remove();
        self.spent = true;
        woken
    }

    /// In a forked child the place is the parent's.
    fn is_own(&self) -> bool {
        self.born == fork::generation()
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
        let given_up = !self.spent && self.is_own();
        if given_up && !self.remove() && !Bug::WakeUpKept.is_planted() {
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

/// Buckets of waiters, so that busy records do not meet each other's lock: one for each bit of the
/// words by which processes tell each other, a power of two.
const BUCKETS: usize = if cfg!(any(oncegate_loom, oncegate_shuttle)) { 1 } else { 64 };

#[cfg(all(test, target_os = "linux", not(any(oncegate_loom, oncegate_shuttle))))]
mod tests;
