//! Where everything lies in a region: offsets from a few sizes, checked once.

use std::ops::Range;

/// Slots of one set. A model makes sets smaller, so that it can fill them.
#[cfg(not(any(oncegate_loom, oncegate_shuttle)))]
pub(crate) const WAYS: usize = 32;
/// Slots of one set. A model makes sets smaller, so that it can fill them.
#[cfg(any(oncegate_loom, oncegate_shuttle))]
pub(crate) const WAYS: usize = 4;

/// Words of a record: one 64-byte cache line.
pub(crate) const SLOT_WORDS: usize = 8;
/// Words of a set's line: one 64-byte cache line.
pub(crate) const LINE_WORDS: usize = 8;
/// Words of a scope's entry.
pub(crate) const SCOPE_WORDS: usize = 8;
/// Words of a chunk's directory entry.
pub(crate) const CHUNK_ENTRY_WORDS: usize = 2;

/// The step by which a slot grows for inline outcomes: a cache line, and in a model one word.
pub(crate) const INLINE_STEP: usize =
    if cfg!(any(oncegate_loom, oncegate_shuttle)) { 1 } else { LINE_WORDS };

/// The sizes of a region, and the offsets that follow from them. All in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    sets: usize,
    slot_words: usize,
    scopes: usize,
    chunks: usize,
    chunk_words: usize,
    lines_at: usize,
    slots_at: usize,
    scopes_at: usize,
    directory_at: usize,
    chunks_at: usize,
    words: usize,
}

impl Geometry {
    /// Lays out `sets` sets of slots with `inline_words` words for an outcome each, `scopes` scope
    /// entries and `chunks` chunks of `chunk_words` words.
    ///
    /// `None` where the sizes do not fit in the address space, or there is no second set for what
    /// does not fit into the first.
    pub(crate) fn new(
        sets: usize,
        inline_words: usize,
        scopes: usize,
        chunks: usize,
        chunk_words: usize,
    ) -> Option<Self> {
        if sets < 2 {
            return None;
        }
        let lines_at = super::header::WORDS;
        let slot_words = SLOT_WORDS.checked_add(inline_words)?;
        // A record and its inline outcome are neighbours that a processor may fetch as a pair.
        let slots_at = sets.checked_mul(LINE_WORDS)?.checked_add(lines_at)?;
        let slots_at = slots_at.checked_next_multiple_of(2 * LINE_WORDS)?;
        let slots = sets.checked_mul(WAYS)?;
        let scopes_at = slots.checked_mul(slot_words)?.checked_add(slots_at)?;
        let scopes_at = scopes_at.checked_next_multiple_of(LINE_WORDS)?;
        let directory_at = scopes.checked_mul(SCOPE_WORDS)?.checked_add(scopes_at)?;
        let directory = chunks.checked_mul(CHUNK_ENTRY_WORDS)?.checked_add(directory_at)?;
        let chunks_at = directory.checked_next_multiple_of(LINE_WORDS)?;
        let words = chunks.checked_mul(chunk_words)?.checked_add(chunks_at)?;
        words.checked_mul(size_of::<u64>()).filter(|bytes| isize::try_from(*bytes).is_ok())?;
        Some(Self {
            sets,
            slot_words,
            scopes,
            chunks,
            chunk_words,
            lines_at,
            slots_at,
            scopes_at,
            directory_at,
            chunks_at,
            words,
        })
    }

    pub(crate) fn words(&self) -> usize {
        self.words
    }

    pub(crate) fn sets(&self) -> usize {
        self.sets
    }

    pub(crate) fn slots(&self) -> usize {
        self.sets * WAYS
    }

    /// Words beside each record for its outcome.
    #[inline]
    pub(crate) fn inline_words(&self) -> usize {
        self.slot_words - SLOT_WORDS
    }

    pub(crate) fn scopes(&self) -> usize {
        self.scopes
    }

    pub(crate) fn chunks(&self) -> usize {
        self.chunks
    }

    pub(crate) fn chunk_words(&self) -> usize {
        self.chunk_words
    }

    /// The words of all set lines, and those of all slots.
    pub(super) fn lines_and_slots(&self) -> (Range<usize>, Range<usize>) {
        let lines = self.lines_at..self.lines_at + self.sets * LINE_WORDS;
        (lines, self.slots_at..self.slots_at + self.slots() * self.slot_words)
    }

    pub(super) fn scope_at(&self, scope: usize) -> usize {
        debug_assert!(scope < self.scopes, "scope {scope} of {}", self.scopes);
        self.scopes_at + scope * SCOPE_WORDS
    }

    #[inline]
    pub(super) fn chunk_entry_at(&self, chunk: usize) -> usize {
        debug_assert!(chunk < self.chunks, "chunk {chunk} of {}", self.chunks);
        self.directory_at + chunk * CHUNK_ENTRY_WORDS
    }

    #[inline]
    pub(super) fn chunk_at(&self, chunk: usize) -> usize {
        debug_assert!(chunk < self.chunks, "chunk {chunk} of {}", self.chunks);
        self.chunks_at + chunk * self.chunk_words
    }
}

const _: () =
    assert!(super::header::WORDS.is_multiple_of(LINE_WORDS), "lines start on a cache line");
const _: () = assert!(WAYS.is_power_of_two() && WAYS <= u32::BITS as usize, "a bit for each way");
