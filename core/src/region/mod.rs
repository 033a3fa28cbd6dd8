//! The memory: one contiguous region of atomic words, addressed by offsets.
//!
//! Nothing in it is a pointer and nothing is larger than a word, so the same code runs on
//! private memory, on memory inherited over `fork`, and on a mapped file. All sizes are fixed
//! when the region is opened. A fresh region is all zeroes, and zero is the vacant state of
//! everything that lies in it.
//!
//! ```text
//! header | set lines | slots, each with its inline outcome | scopes | chunk directory | chunks
//! ```

mod geometry;
mod memory;
#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
mod prefetch;
#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
mod private;

pub(crate) use geometry::{Geometry, INLINE_STEP, LINE_WORDS, SLOT_WORDS, WAYS};

use crate::error::Error;
use crate::sync::AtomicU64;
use memory::Memory;

/// The words of one region and where everything lies in them.
pub(crate) struct Region {
    memory: Memory,
    geometry: Geometry,
}

/// Words of the header. Those that change lie on lines of their own.
pub(crate) mod header {
    /// What every fencing counter of this region is added to, to make a token.
    pub(crate) const EPOCH: usize = 0;
    /// No new fencing counter is at or below this; raised when a rotation moves keys to new homes.
    pub(crate) const FENCE_FLOOR: usize = 1;
    /// Generation and key ids of the secrets in force.
    pub(crate) const KEYS: usize = 2;
    /// The next chunk to recycle.
    pub(crate) const CHUNK_CURSOR: usize = 16;
    /// One more than the chunk that takes what is carried on; zero: there is none.
    pub(crate) const CARRY_CHUNK: usize = 24;
    /// The next set to sweep.
    pub(crate) const SWEEP_CURSOR: usize = 32;
    /// How many words the header takes.
    pub(crate) const WORDS: usize = 48;
}

impl Region {
    /// Private memory for `geometry`, all zeroes. Faults pages in at once if `prefault`.
    pub(crate) fn private(geometry: Geometry, prefault: bool) -> Result<Self, Error> {
        #[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
        let words = private::PrivateMemory::map(geometry.words(), prefault)?;
        #[cfg(any(oncegate_loom, oncegate_shuttle))]
        let words = {
            let _ = prefault;
            (0..geometry.words()).map(|_| AtomicU64::new(0)).collect()
        };
        Ok(Self { memory: Memory::new(words, &geometry), geometry })
    }

    pub(crate) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    #[inline]
    pub(crate) fn header(&self, word: usize) -> &AtomicU64 {
        debug_assert!(word < header::WORDS, "word {word} is no header word");
        &self.words()[word]
    }

    /// The line of set `set`: tags, ages, arbitration word, fencing clock.
    #[inline(always)]
    pub(crate) fn set_line(&self, set: usize) -> &[AtomicU64; LINE_WORDS] {
        self.memory.set(set)
    }

    /// The words of the record in slot `slot`.
    #[inline(always)]
    pub(crate) fn slot(&self, slot: usize) -> &[AtomicU64; SLOT_WORDS] {
        self.memory.slot(slot).0
    }

    /// The same, and the words beside that record, for its outcome.
    #[inline(always)]
    pub(crate) fn slot_and_inline(&self, slot: usize) -> (&[AtomicU64; SLOT_WORDS], &[AtomicU64]) {
        self.memory.slot(slot)
    }

    /// The words of scope entry `scope`.
    pub(crate) fn scope(&self, scope: usize) -> &[AtomicU64] {
        let at = self.geometry.scope_at(scope);
        &self.words()[at..at + geometry::SCOPE_WORDS]
    }

    /// The directory entry of chunk `chunk`.
    #[inline]
    pub(crate) fn chunk_entry(&self, chunk: usize) -> &[AtomicU64] {
        let at = self.geometry.chunk_entry_at(chunk);
        &self.words()[at..at + geometry::CHUNK_ENTRY_WORDS]
    }

    /// The bytes of chunk `chunk`, as words.
    #[inline]
    pub(crate) fn chunk(&self, chunk: usize) -> &[AtomicU64] {
        let at = self.geometry.chunk_at(chunk);
        &self.words()[at..at + self.geometry.chunk_words()]
    }

    /// Asks for the line of set `set`. A hint: it changes nothing.
    #[inline(always)]
    pub(crate) fn prefetch_set(&self, set: usize) {
        #[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
        prefetch::line(self.memory.set_hint(set));
        #[cfg(any(oncegate_loom, oncegate_shuttle))]
        let _ = set;
    }

    /// Asks for the record in `slot` alone.
    #[inline(always)]
    pub(crate) fn prefetch_record(&self, slot: usize) {
        #[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
        prefetch::line(self.memory.slot_hint(slot));
        #[cfg(any(oncegate_loom, oncegate_shuttle))]
        let _ = slot;
    }

    /// Asks for the record in `slot`, and for the first line of the outcome beside it. (Without
    /// inline outcomes that is the next record: a hint for nothing, but cheaper than to ask.)
    #[inline(always)]
    pub(crate) fn prefetch_slot(&self, slot: usize) {
        self.prefetch_record(slot);
        #[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
        prefetch::line(self.memory.slot_hint(slot).wrapping_add(SLOT_WORDS));
    }

    #[inline]
    fn words(&self) -> &[AtomicU64] {
        self.memory.words()
    }
}
