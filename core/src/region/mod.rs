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
#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
mod prefetch;
#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
mod private;

pub(crate) use geometry::{Geometry, INLINE_STEP, LINE_WORDS, SLOT_WORDS, WAYS};

use crate::error::Error;
use crate::sync::AtomicU64;

/// The words of one region and where everything lies in them.
pub(crate) struct Region {
    #[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
    memory: private::PrivateMemory,
    #[cfg(any(oncegate_loom, oncegate_shuttle))]
    memory: Box<[AtomicU64]>,
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
        let memory = private::PrivateMemory::map(geometry.words(), prefault)?;
        #[cfg(any(oncegate_loom, oncegate_shuttle))]
        let memory = {
            let _ = prefault;
            (0..geometry.words()).map(|_| AtomicU64::new(0)).collect()
        };
        Ok(Self { memory, geometry })
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
    #[inline]
    pub(crate) fn set_line(&self, set: usize) -> &[AtomicU64; LINE_WORDS] {
        self.line_at(self.geometry.line_at(set))
    }

    /// The words of the record in slot `slot`.
    #[inline]
    pub(crate) fn slot(&self, slot: usize) -> &[AtomicU64; SLOT_WORDS] {
        self.line_at(self.geometry.slot_at(slot))
    }

    /// The words beside that record, for its outcome.
    #[inline]
    pub(crate) fn inline(&self, slot: usize) -> &[AtomicU64] {
        let at = self.geometry.slot_at(slot) + SLOT_WORDS;
        &self.words()[at..at + self.geometry.inline_words()]
    }

    #[inline]
    fn line_at(&self, at: usize) -> &[AtomicU64; LINE_WORDS] {
        self.words()[at..].first_chunk().expect("geometry lays out whole lines")
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
    #[inline]
    pub(crate) fn prefetch_set(&self, set: usize) {
        self.prefetch_at(self.geometry.line_at(set));
    }

    /// Asks for the record in `slot` alone.
    #[inline]
    pub(crate) fn prefetch_record(&self, slot: usize) {
        self.prefetch_at(self.geometry.slot_at(slot));
    }

    /// Asks for the record in `slot`, and for the first line of the outcome beside it. (Without
    /// inline outcomes that is the next record: a hint for nothing, but cheaper than to ask.)
    #[inline]
    pub(crate) fn prefetch_slot(&self, slot: usize) {
        let at = self.geometry.slot_at(slot);
        self.prefetch_at(at);
        self.prefetch_at(at + SLOT_WORDS);
    }

    #[inline(always)]
    fn prefetch_at(&self, word: usize) {
        #[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
        prefetch::line(self.words().as_ptr().wrapping_add(word));
        #[cfg(any(oncegate_loom, oncegate_shuttle))]
        let _ = word;
    }

    #[inline]
    fn words(&self) -> &[AtomicU64] {
        #[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
        return self.memory.words();
        #[cfg(any(oncegate_loom, oncegate_shuttle))]
        return &self.memory;
    }
}
