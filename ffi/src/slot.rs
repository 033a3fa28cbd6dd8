//! The slot behind a handle: who may look at what it holds, and when that may go.
//!
//! A call is counted, on one of several lines, before it looks at the word; closing changes the
//! word before it looks at the counts. So either the call sees that the handle is being closed, or
//! whoever closes sees the call, and waits for it.

use std::ops::Deref;

use crossbeam_utils::CachePadded;

use super::sync::{AtomicU64, Cell, Mistake, Ordering, between_sequenced, wait_a_little};

/// A place for an object, with `SHARDS` lines on which calls are counted.
pub(crate) struct Slot<T, const SHARDS: usize> {
    /// Generation, and one of the states below.
    word: AtomicU64,
    calls: [CachePadded<AtomicU64>; SHARDS],
    object: Cell<Option<T>>,
}

// SAFETY: the object is written only by whoever moved the word to `BUSY` and has seen that no call
// is under way, and is read only by calls that were counted before they saw the word open.
unsafe impl<T: Send + Sync, const SHARDS: usize> Sync for Slot<T, SHARDS> {}

/// Why a handle is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It was closed, or never was one.
    Unknown,
    /// A call on it failed inside.
    Poisoned,
}

/// A call on what a handle stands for, which is there until the call is over.
pub(crate) struct Call<'s, T, const SHARDS: usize> {
    slot: &'s Slot<T, SHARDS>,
    open: u64,
    calls: &'s AtomicU64,
}

impl<T, const SHARDS: usize> Slot<T, SHARDS> {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU64::new(FREE),
            calls: std::array::from_fn(|_| CachePadded::new(AtomicU64::new(0))),
            object: Cell::new(None),
        }
    }

    /// Puts an object into a free slot, and gives the generation of its handle. `Err`: it is not
    /// free.
    pub(crate) fn fill(&self, object: T) -> Result<u64, T> {
        // Relaxed: the exchange decides.
        let word = self.word.load(Ordering::Relaxed);
        if word & STATE != FREE {
            return Err(object);
        }
        let next = if Mistake::SameGeneration.is_planted() { 0 } else { NEXT };
        // Acquire: pairs with the Release at the end of `empty`: the object before is gone.
        let (order, failed) = (Ordering::Acquire, Ordering::Relaxed);
        if self.word.compare_exchange(word, word + next | BUSY, order, failed).is_err() {
            return Err(object);
        }
        // SAFETY: the word is `BUSY`, by this thread; calls that are counted look at nothing.
        unsafe { self.object.replace(Some(object)) };
        // Release: pairs with the load of `enter`.
        self.word.store(word + next | OPEN, Ordering::Release);
        Ok((word + next) >> STATE_BITS)
    }

    /// Begins a call, counted on line `shard`.
    #[inline]
    pub(crate) fn enter(
        &self,
        generation: u64,
        shard: usize,
    ) -> Result<Call<'_, T, SHARDS>, Refused> {
        let open = generation << STATE_BITS | OPEN;
        let calls = self.calls.get(shard).ok_or(Refused::Unknown)?;
        if Mistake::LooksBeforeItCounts.is_planted() {
            // SeqCst: as below.
            let word = self.word.load(Ordering::SeqCst);
            let call = self.count(open, calls);
            return if word == open { Ok(call) } else { Err(Refused::Unknown) };
        }
        let call = self.count(open, calls);
        between_sequenced();
        // SeqCst: see `count`. Also Acquire: pairs with the Release of `fill`.
        let word = self.word.load(Ordering::SeqCst);
        if word == open {
            return Ok(call);
        }
        drop(call);
        let poisoned = word == open & !STATE | POISONED;
        Err(if poisoned { Refused::Poisoned } else { Refused::Unknown })
    }

    #[inline]
    fn count<'s>(&'s self, open: u64, calls: &'s AtomicU64) -> Call<'s, T, SHARDS> {
        // SeqCst, as the load after it and both steps of `empty`: either this call sees that the
        // handle is being closed, or whoever closes it sees this call.
        calls.fetch_add(1, Ordering::SeqCst);
        Call { slot: self, open, calls }
    }

    /// Closes the handle of this generation, waits until no call is under way, and gives what was
    /// in it. `None`: it is not open.
    pub(crate) fn empty(&self, generation: u64) -> Option<T> {
        let open = generation << STATE_BITS | OPEN;
        let at = open & !STATE;
        let close = |from| {
            // SeqCst: see `count`. Failing, only the other state is tried.
            let order = Ordering::SeqCst;
            self.word.compare_exchange(from, at | BUSY, order, Ordering::Relaxed).is_ok()
        };
        if !close(open) && !close(at | POISONED) {
            return None;
        }
        between_sequenced();
        // SeqCst: see `count`. Also Acquire: pairs with the Release at the end of a call.
        while self.calls.iter().any(|calls| calls.load(Ordering::SeqCst) != 0) {
            if Mistake::ClosesUnderCalls.is_planted() {
                break;
            }
            // Nothing rings when the last call ends: each would have to look at a word more.
            wait_a_little();
        }
        // SAFETY: the word is `BUSY`, by this thread; calls that come now see it and leave.
        let object = unsafe { self.object.replace(None) };
        // Release: pairs with the Acquire of `fill`.
        self.word.store(at | FREE, Ordering::Release);
        object
    }

    /// In a forked child: the threads that were inside a call are not here.
    pub(crate) fn forget_calls(&self) {
        for calls in &self.calls {
            // Relaxed: there is one thread.
            calls.store(0, Ordering::Relaxed);
        }
    }
}

impl<T, const SHARDS: usize> Call<'_, T, SHARDS> {
    /// Whether nobody has begun to close the handle.
    pub(crate) fn is_open(&self) -> bool {
        // Relaxed: a hint; whoever closes waits for this call.
        self.slot.word.load(Ordering::Relaxed) == self.open
    }
}

impl<T, const SHARDS: usize> Deref for Call<'_, T, SHARDS> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this call was counted before it saw the word open: the object is there, and
        // nobody writes to it, until the call is over.
        let object = unsafe { self.slot.object.get() };
        object.as_ref().expect("an open handle stands for something")
    }
}

impl<T, const SHARDS: usize> Drop for Call<'_, T, SHARDS> {
    #[inline]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let poisoned = self.open & !STATE | POISONED;
            // Relaxed: no data hangs on it. One that is being closed stays so.
            let order = Ordering::Relaxed;
            let _ = self.slot.word.compare_exchange(self.open, poisoned, order, order);
        }
        // Release: pairs with the loads of `empty`: what this call did comes before the end.
        self.calls.fetch_sub(1, Ordering::Release);
    }
}

const STATE_BITS: u32 = 2;
const STATE: u64 = 3;
const FREE: u64 = 0;
const OPEN: u64 = 1;
const POISONED: u64 = 2;
/// Being filled, or being emptied.
const BUSY: u64 = 3;
/// One generation more.
const NEXT: u64 = 1 << STATE_BITS;
