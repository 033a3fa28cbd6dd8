//! The slot behind a handle: who may look at what it holds, and when that may go.
//!
//! Calls are counted on several lines. Each line is one word: how many calls are under way on it,
//! and which handle they may be made on. So counting a call tells whether the handle is open: it is
//! counted before the line is closed, and whoever closes waits for it, or it sees that.
//!
//! It tells, too, whether the call is alone on its line. The one that was has what the line keeps
//! for its calls, memory to work with, until it ends: while it is counted nobody else is alone.

use std::ops::Deref;

use crossbeam_utils::CachePadded;

use super::sync::{AtomicU64, Cell, Mistake, Ordering, wait_a_little};

/// A place for an object, with `LINES` lines on which calls are counted, and which keep an `S` each
/// for whoever is alone there.
pub(crate) struct Slot<T, S, const LINES: usize> {
    /// Generation and state: who may fill it, or empty it.
    word: AtomicU64,
    lines: [CachePadded<Line<S>>; LINES],
    object: Cell<Option<T>>,
}

/// Where calls are counted.
struct Line<S> {
    /// Generation and state, above a count.
    word: AtomicU64,
    kept: Cell<S>,
}

// SAFETY: the object is written only by whoever moved the word to `BUSY` while no line is open and
// no call is counted as one, and is read only by calls that were counted on an open line. What a
// line keeps is used only by the call that was alone there, until it ends.
unsafe impl<T: Send + Sync, S: Send, const LINES: usize> Sync for Slot<T, S, LINES> {}

/// Why a handle is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It was closed, or never was one.
    Unknown,
    /// A call on it failed inside.
    Poisoned,
}

/// A call on what a handle stands for, which is there until the call is over.
pub(crate) struct Call<'s, T, S, const LINES: usize> {
    slot: &'s Slot<T, S, LINES>,
    open: u64,
    line: &'s Line<S>,
    alone: bool,
}

impl<T, S: Default, const LINES: usize> Slot<T, S, LINES> {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU64::new(FREE),
            lines: std::array::from_fn(|_| CachePadded::new(Line::new())),
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
        self.lines.iter().for_each(|line| retag(&line.word, next | OPEN, Ordering::Release));
        // Relaxed: only whoever has the handle looks at it, and he got that from this thread.
        self.word.store(next | OPEN, Ordering::Relaxed);
        Ok(next >> STATE_BITS)
    }

    /// Begins a call, counted on line `at`.
    #[inline]
    pub(crate) fn enter(
        &self,
        generation: u64,
        at: usize,
    ) -> Result<Call<'_, T, S, LINES>, Refused> {
        let open = generation << STATE_BITS | OPEN;
        let line: &Line<S> = self.lines.get(at).ok_or(Refused::Unknown)?;
        if Mistake::LooksBeforeItCounts.is_planted() {
            // Acquire: as below.
            let found = line.word.load(Ordering::Acquire) >> COUNT_BITS;
            // Relaxed: planted.
            line.word.fetch_add(1, Ordering::Relaxed);
            let call = Call { slot: self, open, line, alone: false };
            return if found == open { Ok(call) } else { Err(Refused::Unknown) };
        }
        // Acquire: pairs with the Release of `fill`: the object is there; and with that at the end
        // of the calls before: what the line keeps is as they left it.
        let word = line.word.fetch_add(1, Ordering::Acquire);
        let found = word >> COUNT_BITS;
        let alone = word & COUNT == 0 || Mistake::SharesWhatIsKept.is_planted();
        let call = Call { slot: self, open, line, alone };
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
        self.lines.iter().for_each(|line| retag(&line.word, at | BUSY, Ordering::Relaxed));
        // SAFETY: the word is `BUSY`, by this thread: nobody else writes.
        if let Some(object) = unsafe { self.object.get() } {
            hurry(object);
        }
        for line in &self.lines {
            // Acquire: pairs with the Release at the end of a call: what it did comes before.
            while line.word.load(Ordering::Acquire) & COUNT != 0 {
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

    /// In a forked child: the threads that were inside a call are not here.
    pub(crate) fn forget_calls(&self) {
        for line in &self.lines {
            // Relaxed: there is one thread.
            if line.word.fetch_and(!COUNT, Ordering::Relaxed) & COUNT != 0 {
                // One of them may have been in the midst of a change of it: it is not even dropped.
                // SAFETY: there is one thread, and no call of its own is under way.
                std::mem::forget(unsafe { line.kept.replace(S::default()) });
            }
        }
    }
}

impl<T, S, const LINES: usize> Slot<T, S, LINES> {
    /// Has every later call refused: one has failed inside.
    #[cold]
    fn poison(&self, open: u64) {
        let poisoned = open & TAG | POISONED;
        // Relaxed: no data hangs on it. One that is being emptied stays so.
        let order = Ordering::Relaxed;
        if self.word.compare_exchange(open, poisoned, order, order).is_ok() {
            for line in &self.lines {
                // Relaxed: as above.
                let _ = line.word.fetch_update(order, order, |found| {
                    (found >> COUNT_BITS == open).then_some(found & COUNT | poisoned << COUNT_BITS)
                });
            }
        }
    }
}

impl<S: Default> Line<S> {
    fn new() -> Self {
        Self { word: AtomicU64::new(FREE << COUNT_BITS), kept: Cell::new(S::default()) }
    }
}

/// Says on a line which handle calls may be made on, whatever is counted there.
fn retag(line: &AtomicU64, tag: u64, order: Ordering) {
    let change = |found: u64| Some(found & COUNT | tag << COUNT_BITS);
    // Relaxed on failure: it is tried again.
    let _ = line.fetch_update(order, Ordering::Relaxed, change);
}

impl<T, S, const LINES: usize> Call<'_, T, S, LINES> {
    /// Whether nobody has begun to close the handle.
    pub(crate) fn is_open(&self) -> bool {
        // Relaxed: a hint; whoever closes waits for this call.
        self.line.word.load(Ordering::Relaxed) >> COUNT_BITS == self.open
    }

    /// The call, and what its line keeps, if it is alone there.
    #[inline]
    pub(crate) fn with_kept(&mut self) -> (&Self, Option<&mut S>) {
        let call: &Self = self;
        // SAFETY: whoever found no call counted on the line has what it keeps until he is no longer
        // counted, and this is the only reference to it: the call is borrowed mutably.
        let kept = self.alone.then(|| unsafe { &mut *call.line.kept.place() });
        (call, kept)
    }
}

impl<T, S, const LINES: usize> Deref for Call<'_, T, S, LINES> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this call was counted on an open line: the object is there, and nobody writes to
        // it, until the call is over.
        let object = unsafe { self.slot.object.get() };
        object.as_ref().expect("an open handle stands for something")
    }
}

impl<T, S, const LINES: usize> Drop for Call<'_, T, S, LINES> {
    #[inline]
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.slot.poison(self.open);
        }
        // Release: pairs with the Acquire of `empty`, and of the next who is alone: what this call
        // did comes before the end.
        self.line.word.fetch_sub(1, Ordering::Release);
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
