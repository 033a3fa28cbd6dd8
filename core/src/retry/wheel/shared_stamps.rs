//! Stamps that many threads change: whether a timer fires or was cancelled is decided here.
//!
//! A change is one compare-and-swap of the word of eight ids (`stamp` has its layout), so that of
//! a cancellation and a firing one wins, and the other sees that it lost.

use std::sync::OnceLock;

use super::pool::MODELLED;
use super::stamp::{IDS, Stamps, TimerHandle};
use crate::region::prefetch;
use crate::sync::Ordering;
use crate::sync::own::AtomicU64;
use crate::sync::planted::Bug;

/// The stamps of all ids. Memory comes in slabs, as ids are used for the first time.
pub(super) struct SharedStamps {
    slabs: Box<[OnceLock<Box<[AtomicU64]>>]>,
}

impl SharedStamps {
    /// Room for that many words of stamps, at most.
    pub(super) fn new(words: usize) -> Self {
        let slabs = words.div_ceil(SLAB);
        Self { slabs: (0..slabs).map(|_| OnceLock::new()).collect() }
    }

    /// How many ids there can be.
    pub(super) fn most_ids(&self) -> usize {
        self.slabs.len() * SLAB * IDS
    }

    /// Makes memory for the stamps of `id`, for the first handle of it. For the owner alone.
    pub(super) fn make(&self, id: u32) {
        let slab = Stamps::word_of(id) / SLAB;
        self.slabs[slab].get_or_init(|| (0..SLAB).map(|_| AtomicU64::new(0)).collect());
    }

    /// Asks the processor for the stamps of `id`.
    #[inline]
    pub(super) fn prefetch(&self, id: u32) {
        if let Some(word) = self.word(id) {
            prefetch::line(std::ptr::from_ref(word).cast());
        }
    }

    /// Cancels the timer of `handle`. False: it has fired, or was cancelled before.
    #[inline]
    pub(super) fn cancel(&self, handle: TimerHandle) -> bool {
        let change = |stamps: Stamps| stamps.cancelled(handle);
        self.word(handle.id()).is_some_and(|word| update(word, change).is_ok())
    }

    /// Whether the entry of `id` that says `generation` is a pending timer's.
    #[inline]
    pub(super) fn is_pending(&self, id: u32, generation: u8) -> bool {
        // Acquire: pairs with the AcqRel of a cancellation in `update`; what its caller did before
        // it comes before whatever is done with the id next.
        let stamps = |word: &AtomicU64| Stamps(word.load(Ordering::Acquire));
        self.word(id).is_some_and(|word| stamps(word).is_pending(id, generation))
    }

    /// Fires the timer of `id` whose entry says `generation`, or drops the entry if it was
    /// cancelled. Gives the stamps before and after it, and whether it fired. For the owner alone.
    #[inline]
    pub(super) fn end(&self, id: u32, generation: u8) -> (Stamps, Stamps, bool) {
        let word = self.word(id).expect("an entry's id has stamps");
        if Bug::FiresAfterCancel.is_planted() {
            // Acquire and Release: as in `update`, but in two steps.
            let before = Stamps(word.load(Ordering::Acquire));
            if let Some(after) = before.fired(id, generation) {
                word.store(after.0, Ordering::Release);
                return (before, after, true);
            }
        }
        if let Ok((before, after)) = update(word, |stamps| stamps.fired(id, generation)) {
            return (before, after, true);
        }
        let (before, after) = self.drop_entry(id);
        (before, after, false)
    }

    /// The entry of a cancelled timer of `id` has come out. Gives the stamps before and after it.
    /// For the owner alone.
    pub(super) fn drop_entry(&self, id: u32) -> (Stamps, Stamps) {
        let word = self.word(id).expect("an entry's id has stamps");
        let dropped = update(word, |stamps| Some(stamps.dropped(id)));
        dropped.unwrap_or_else(|now| (now, now))
    }

    #[inline]
    fn word(&self, id: u32) -> Option<&AtomicU64> {
        let word = Stamps::word_of(id);
        Some(&self.slabs.get(word / SLAB)?.get()?[word % SLAB])
    }
}

/// Changes a word as `change` says. Gives what it was and is; or what it is, where nothing is to
/// be changed.
#[inline]
fn update(
    word: &AtomicU64,
    change: impl Fn(Stamps) -> Option<Stamps>,
) -> Result<(Stamps, Stamps), Stamps> {
    // Acquire: pairs with the AcqRel below, for callers to whom the word says that they are late.
    let mut now = Stamps(word.load(Ordering::Acquire));
    loop {
        let after = change(now).ok_or(now)?;
        if after == now {
            return Ok((now, after));
        }
        // AcqRel: pairs with itself. What was done before a timer's end comes before whatever is
        // done with its id next. Acquire on failure: as in the load.
        let swap = word.compare_exchange(now.0, after.0, Ordering::AcqRel, Ordering::Acquire);
        match swap {
            Ok(_) => return Ok((now, after)),
            // Another of the eight ids has changed, or this one.
            Err(other) => now = Stamps(other),
        }
    }
}

/// Words of a slab: 8 KiB, for 8,192 ids.
const SLAB: usize = if MODELLED { 2 } else { 1 << 10 };
