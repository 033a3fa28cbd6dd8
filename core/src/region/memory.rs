//! Memory: the words of a region, and where its set lines and slots lie in them.
//!
//! Every look-up asks for lines and slots. They are reached with one comparison each, against a
//! number that stays in a register; offsets into all words would cost two, and the geometry.
#![allow(unsafe_code)]

use std::ptr::NonNull;

use super::geometry::{Geometry, LINE_WORDS, SLOT_WORDS};
use crate::sync::AtomicU64;

#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
pub(super) type Words = super::mapping::Mapping;
#[cfg(any(oncegate_loom, oncegate_shuttle))]
pub(super) type Words = std::sync::Arc<[AtomicU64]>;

/// The words of one region.
pub(super) struct Memory {
    /// Stays where it is until it is dropped with the rest, wherever this value moves. (In a model
    /// it is an `Arc`.)
    words: Words,
    sets: NonNull<[AtomicU64; LINE_WORDS]>,
    set_count: usize,
    slots: NonNull<AtomicU64>,
    slot_count: usize,
    /// From one record to the next.
    slot_words: usize,
}

// SAFETY: the pointers lead into `words`, which is owned, and are read only as `&[AtomicU64]`,
// whose elements any thread may use.
unsafe impl Send for Memory {}
// SAFETY: as for `Send`.
unsafe impl Sync for Memory {}

impl Memory {
    /// `words`, laid out by `geometry`.
    pub(super) fn new(words: Words, geometry: &Geometry) -> Self {
        let (lines, slots) = geometry.lines_and_slots();
        let all = all(&words);
        let (lines, slots) = (&all[lines], &all[slots]);
        let (set_count, slot_count) = (geometry.sets(), geometry.slots());
        let slot_words = SLOT_WORDS + geometry.inline_words();
        assert_eq!((lines.len(), slots.len()), (set_count * LINE_WORDS, slot_count * slot_words));
        let sets = NonNull::from(lines).cast();
        let slots = NonNull::from(slots).cast();
        Self { words, sets, set_count, slots, slot_count, slot_words }
    }

    /// The same words once more, for another process of a model.
    #[cfg(any(oncegate_loom, oncegate_shuttle))]
    pub(super) fn share(&self) -> Words {
        std::sync::Arc::clone(&self.words)
    }

    #[inline]
    pub(super) fn words(&self) -> &[AtomicU64] {
        all(&self.words)
    }

    #[inline(always)]
    pub(super) fn set(&self, set: usize) -> &[AtomicU64; LINE_WORDS] {
        assert!(set < self.set_count, "no such set");
        // SAFETY: `new` checked that `set_count` lines lie there, and `words` keeps them in
        // place; they are atomics, initialised and aligned, reached through shared references
        // alone. `set` was compared with their number.
        unsafe { self.sets.add(set).as_ref() }
    }

    /// The words of a record, and those that follow it, for its outcome.
    #[inline(always)]
    pub(super) fn slot(&self, slot: usize) -> (&[AtomicU64; SLOT_WORDS], &[AtomicU64]) {
        assert!(slot < self.slot_count, "no such slot");
        let rest = self.slot_words - SLOT_WORDS;
        // SAFETY: `new` checked that `slot_count` slots lie there, of `slot_words` words, which are
        // those of a record and `rest` more; `words` keeps them in place. They are atomics,
        // initialised and aligned, reached through shared references alone.
        unsafe {
            let record = self.slots.add(slot * self.slot_words);
            let inline = NonNull::slice_from_raw_parts(record.add(SLOT_WORDS), rest);
            (record.cast().as_ref(), inline.as_ref())
        }
    }

    /// Where the line of `set` would lie, to ask for it. A hint needs no line to be there.
    #[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
    #[inline(always)]
    pub(super) fn set_hint(&self, set: usize) -> *const AtomicU64 {
        self.sets.as_ptr().cast_const().wrapping_add(set).cast()
    }

    /// Where the record of `slot` would lie, to ask for it.
    #[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
    #[inline(always)]
    pub(super) fn slot_hint(&self, slot: usize) -> *const AtomicU64 {
        self.slots.as_ptr().cast_const().wrapping_add(slot.wrapping_mul(self.slot_words))
    }
}

fn all(words: &Words) -> &[AtomicU64] {
    #[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
    return words.words();
    #[cfg(any(oncegate_loom, oncegate_shuttle))]
    return words;
}
