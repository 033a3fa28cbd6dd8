//! Mortal words: any write to them may be the last thing that a process does.
//!
//! What others see of a process is what it wrote to the region, word by word. So whoever is killed
//! before its first write, before its second, and so on, has been killed at every moment that can
//! be told apart. Under `oncegate_failpoints` the words of the region count the writes, and end the
//! process by SIGKILL before the one that was asked for; in a model they end the thread.

use super::Ordering;
use super::words::AtomicU64 as Word;

/// A word of the region.
#[repr(transparent)]
#[derive(Debug)]
pub(crate) struct AtomicU64(Word);

impl AtomicU64 {
    pub(crate) fn new(value: u64) -> Self {
        Self(Word::new(value))
    }

    #[inline]
    pub(crate) fn load(&self, ordering: Ordering) -> u64 {
        self.0.load(ordering)
    }

    pub(crate) fn store(&self, value: u64, ordering: Ordering) {
        fate::before_write();
        self.0.store(value, ordering);
    }

    pub(crate) fn swap(&self, value: u64, ordering: Ordering) -> u64 {
        fate::before_write();
        self.0.swap(value, ordering)
    }

    pub(crate) fn compare_exchange(
        &self,
        from: u64,
        to: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        fate::before_write();
        self.0.compare_exchange(from, to, success, failure)
    }

    pub(crate) fn compare_exchange_weak(
        &self,
        from: u64,
        to: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        fate::before_write();
        self.0.compare_exchange_weak(from, to, success, failure)
    }

    pub(crate) fn fetch_update(
        &self,
        set: Ordering,
        fetch: Ordering,
        change: impl FnMut(u64) -> Option<u64>,
    ) -> Result<u64, u64> {
        fate::before_write();
        self.0.fetch_update(set, fetch, change)
    }

    pub(crate) fn fetch_add(&self, value: u64, ordering: Ordering) -> u64 {
        fate::before_write();
        self.0.fetch_add(value, ordering)
    }

    pub(crate) fn fetch_sub(&self, value: u64, ordering: Ordering) -> u64 {
        fate::before_write();
        self.0.fetch_sub(value, ordering)
    }

    pub(crate) fn fetch_and(&self, value: u64, ordering: Ordering) -> u64 {
        fate::before_write();
        self.0.fetch_and(value, ordering)
    }

    pub(crate) fn fetch_or(&self, value: u64, ordering: Ordering) -> u64 {
        fate::before_write();
        self.0.fetch_or(value, ordering)
    }

    pub(crate) fn fetch_xor(&self, value: u64, ordering: Ordering) -> u64 {
        fate::before_write();
        self.0.fetch_xor(value, ordering)
    }

    pub(crate) fn fetch_max(&self, value: u64, ordering: Ordering) -> u64 {
        fate::before_write();
        self.0.fetch_max(value, ordering)
    }

    #[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
    pub(crate) fn as_ptr(&self) -> *mut u64 {
        self.0.as_ptr()
    }
}

/// Of the process.
#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
pub mod fate {
    use std::sync::atomic::{AtomicU64, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    /// How many writes are left; the largest number: no end is in sight.
    static LEFT: AtomicU64 = AtomicU64::new(u64::MAX);

    /// The process is killed before its `writes`-th write to a region from now on; zero: never.
    pub fn die_before_write(writes: u64) {
        let left = if writes == 0 { u64::MAX } else { writes };
        // Relaxed: the thread that asked for it makes the writes.
        LEFT.store(left, Ordering::Relaxed);
    }

    pub(crate) fn before_write() {
        // Relaxed, both: as above.
        if LEFT.load(Ordering::Relaxed) != u64::MAX && LEFT.fetch_sub(1, Ordering::Relaxed) == 1 {
            let killed = kill_process(getpid(), Signal::KILL);
            unreachable!("a process outlives SIGKILL: {killed:?}");
        }
    }
}

/// Of a thread, which stands for a process.
#[cfg(any(oncegate_loom, oncegate_shuttle))]
pub mod fate {
    use std::cell::Cell;

    #[cfg(oncegate_loom)]
    use loom::thread_local as of_thread;
    #[cfg(oncegate_shuttle)]
    use shuttle::thread_local as of_thread;

    of_thread! {
        static LEFT: Cell<u64> = Cell::new(u64::MAX);
    }

    /// What a thread that dies panics with.
    #[derive(Debug)]
    pub struct Died;

    /// The calling thread dies before its `writes`-th write to a region from now on; zero: never.
    pub fn die_before_write(writes: u64) {
        LEFT.with(|left| left.set(if writes == 0 { u64::MAX } else { writes }));
    }

    pub(super) fn before_write() {
        let left = LEFT.with(Cell::get);
        if left == u64::MAX || std::thread::panicking() {
            return;
        }
        LEFT.with(|cell| cell.set(left - 1));
        if left == 1 {
            LEFT.with(|cell| cell.set(u64::MAX));
            std::panic::resume_unwind(Box::new(Died));
        }
    }
}
