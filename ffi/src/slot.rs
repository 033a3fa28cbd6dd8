//! The slot behind a handle: who may look at what it holds, and when that may go.
//!
//! Calls are counted on several lines. Each line is one word: how many calls are under way on it,
//! and which handle they may be made on. So counting a call tells whether the handle is open: it is
//! counted before the line is closed, and whoever closes waits for it, or it sees that.

use std::ops::Deref;

use crossbeam_utils::CachePadded;

use super::sync::{AtomicU64, Cell, Mistake, Ordering, wait_a_little};

/// A place for an object, with `LINES` lines on which calls are counted.
pub(crate) struct Slot<T, const LINES: usize> {
    /// Generation and state: who may fill it, or empty it.
    word: AtomicU64,
    /// The same, above a count.
    lines: [CachePadded<AtomicU64>; LINES],
    object: Cell<Option<T>>,
}

// SAFETY: the object is written only by whoever moved the word to `BUSY` while no line is open and
// no call is counted as one, and is read only by calls that were counted on an open line.
unsafe impl<T: Send + Sync, const LINES: usize> Sync for Slot<T, LINES> {}

/// Why a handle is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It was closed, or never was one.
    Unknown,
    /// A call on it failed inside.
    Poisoned,
}

/// A call on what a handle stands for, which is there until the call is over.
pub(crate) struct Call<'s, T, const LINES: usize> {
    slot: &'s Slot<T, LINES>,
    open: u64,
    line: &'s AtomicU64,
}

impl<T, const LINES: usize> Slot<T, LINES> {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU64::new(FREE),
            lines: std::array::from_fn(|_| CachePadded::new(AtomicU64::new(FREE << COUNT_BITS))),
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
        let again = if Mistake::SameGeneration.is_planted() { 0 } else { NEXT };
        let next = word.wrapping_add(again) & TAG;
        // Acquire: pairs with the Release at the end of `empty`: the object before is gone.
        let (order, failed) = (Ordering::Acquire, Ordering::Relaxed);
        if self.word.compare_exchange(word, next | BUSY, order, failed).is_err() {
            return Err(object);
        }
        // SAFETY: the word is `BUSY`, by this thread, and no line is open.
        unsafe { self.object.replace(Some(object)) };
        // Release: pairs with the Acquire of `enter`: the object is there.
        self.lines.iter().for_each(|line| retag(line, next | OPEN, Ordering::Release));
        // Relaxed: only whoever has the handle looks at it, and he got that from this thread.
        self.word.store(next | OPEN, Ordering::Relaxed);
        Ok(next >> STATE_BITS)
    }

    /// Begins a call, counted on line `at`.
    #[inline]
    pub(crate) fn enter(&self, generation: u64, at: usize) -> Result<Call<'_, T, LINES>, Refused> {
        let open = generation << STATE_BITS | OPEN;
        let line = self.lines.get(at).ok_or(Refused::Unknown)?;
        if Mistake::LooksBeforeItCounts.is_planted() {
            // Acquire: as below.
            let found = line.load(Ordering::Acquire) >> COUNT_BITS;
            // Relaxed: planted.
            line.fetch_add(1, Ordering::Relaxed);
            let call = Call { slot: self, open, line };
            return if found == open { Ok(call) } else { Err(Refused::Unknown) };
        }
        // Acquire: pairs with the Release of `fill`: the object is there.
        let found = line.fetch_add(1, Ordering::Acquire) >> COUNT_BITS;
        let call = Call { slot: self, open, line };
        if found == open {
            return Ok(call);
        }
        drop(call);
        let poisoned = found == open & !STATE | POISONED;
        Err(if poisoned { Refused::Poisoned } else { Refused::Unknown })
    }

    /// Closes the handle of this generation, has those who wait in a call come back by `hurry`,
    /// waits until no call is under way, and gives what was in it. `None`: it is not open.
    pub(crate) fn empty(&self, generation: u64, hurry: impl FnOnce(&T)) -> Option<T> {
        let at = generation << STATE_BITS;
        let close = |from: u64| {
            // Relaxed: the lines order what was done; failing, only the other state is tried.
            let order = Ordering::Relaxed;
            self.word.compare_exchange(at | from, at | BUSY, order, order).is_ok()
        };
        if !close(OPEN) && !close(POISONED) {
            return None;
        }
        // Relaxed: whoever is counted after it reads nothing.
        self.lines.iter().for_each(|line| retag(line, at | BUSY, Ordering::Relaxed));
        // SAFETY: the word is `BUSY`, by this thread: nobody else writes.
        if let Some(object) = unsafe { self.object.get() } {
            hurry(object);
        }
        for line in &self.lines {
            // Acquire: pairs with the Release at the end of a call: what it did comes before.
            while line.load(Ordering::Acquire) & COUNT != 0 {
                if Mistake::ClosesUnderCalls.is_planted() {
                    break;
                }
                // Nothing rings when the last call ends: each would have to look at a word more.
                wait_a_little();
            }
        }
        // SAFETY: the word is `BUSY`, by this thread; the lines are closed, and nobody who was
        // counted on an open one is left.
        let object = unsafe { self.object.replace(None) };
        // Release: pairs with the Acquire of `fill`.
        self.word.store(at | FREE, Ordering::Release);
        object
    }

    /// Has every later call refused: one has failed inside.
    #[cold]
    fn poison(&self, open: u64) {
        let poisoned = open & TAG | POISONED;
        // Relaxed: no data hangs on it. One that is being emptied stays so.
        let order = Ordering::Relaxed;
        if self.word.compare_exchange(open, poisoned, order, order).is_ok() {
            for line in &self.lines {
                // Relaxed: as above.
                let _ = line.fetch_update(order, order, |found| {
                    (found >> COUNT_BITS == open).then_some(found & COUNT | poisoned << COUNT_BITS)
                });
            }
        }
    }

    /// In a forked child: the threads that were inside a call are not here.
    pub(crate) fn forget_calls(&self) {
        for line in &self.lines {
            // Relaxed: there is one thread.
            line.fetch_and(!COUNT, Ordering::Relaxed);
        }
    }
}

/// Says on a line which handle calls may be made on, whatever is counted there.
fn retag(line: &AtomicU64, tag: u64, order: Ordering) {
    let change = |found: u64| Some(found & COUNT | tag << COUNT_BITS);
    // Relaxed on failure: it is tried again.
    let _ = line.fetch_update(order, Ordering::Relaxed, change);
}

impl<T, const LINES: usize> Call<'_, T, LINES> {
    /// Whether nobody has begun to close the handle.
    pub(crate) fn is_open(&self) -> bool {
        // Relaxed: a hint; whoever closes waits for this call.
        self.line.load(Ordering::Relaxed) >> COUNT_BITS == self.open
    }
}

impl<T, const LINES: usize> Deref for Call<'_, T, LINES> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this call was counted on an open line: the object is there, and nobody writes to
        // it, until the call is over.
        let object = unsafe { self.slot.object.get() };
        object.as_ref().expect("an open handle stands for something")
    }
}

impl<T, const LINES: usize> Drop for Call<'_, T, LINES> {
    #[inline]
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.slot.poison(self.open);
        }
        // Release: pairs with the Acquire of `empty`: what this call did comes before the end.
        self.line.fetch_sub(1, Ordering::Release);
    }
}

/// Calls under way on a line.
const COUNT_BITS: u32 = 20;
const COUNT: u64 = (1 << COUNT_BITS) - 1;

const STATE_BITS: u32 = 2;
const STATE: u64 = 3;
const FREE: u64 = 0;
const OPEN: u64 = 1;
const POISONED: u64 = 2;
/// Being filled, or being emptied.
const BUSY: u64 = 3;
/// One generation more.
const NEXT: u64 = 1 << STATE_BITS;
/// The generation, of 42 bits.
const TAG: u64 = (u64::MAX >> COUNT_BITS) & !STATE;
