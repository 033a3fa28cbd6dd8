//! Images: plain copies of chunks' entries and of journals, read from a region's file from outside.
//!
//! As in `table::image`: every word may say anything, and none of it is believed.

use super::block::{HEADER_WORDS, Header};
use super::reference::Place;
use super::store::{ENTRY, Entry, RECYCLING, TORN, WINDOW_END};
use crate::region::geometry::CHUNK_ENTRY_WORDS;

/// A chunk's directory entry as it was read from a file, whatever it says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkImage {
    entry: Entry,
    window_end: u64,
}

impl ChunkImage {
    pub(crate) fn read(words: &[u64; CHUNK_ENTRY_WORDS]) -> Self {
        Self { entry: Entry::unpack(words[ENTRY]), window_end: words[WINDOW_END] }
    }

    /// Whether it was ever written to.
    pub(crate) fn is_used(&self) -> bool {
        self.entry.sequence != 0
    }

    pub(crate) fn is_recycling(&self) -> bool {
        self.entry.state == RECYCLING
    }

    pub(crate) fn is_torn(&self) -> bool {
        self.entry.state == TORN
    }

    /// Whether it holds an outcome whose window is not over at `now_ms`.
    pub(crate) fn is_live(&self, now_ms: u64) -> bool {
        self.is_used() && self.window_end > now_ms
    }

    /// The process that writes to it or empties it; zero: none does.
    pub(crate) fn busy_process(&self) -> u8 {
        if self.is_recycling() || self.entry.writers != 0 { self.entry.owner } else { 0 }
    }

    pub(crate) fn filled_words(&self) -> usize {
        self.entry.filled
    }

    /// Whether no step of the store leads to such an entry, where a chunk has `words` words and
    /// `processes` may share the region.
    pub(crate) fn is_impossible(&self, words: usize, processes: usize) -> bool {
        let Entry { state, owner, writers, filled, .. } = self.entry;
        state > TORN
            || filled > words
            || usize::from(owner) > processes
            || state == TORN && writers != 0
            || owner == 0 && writers != 0
    }
}

/// The place of a journal, as a reference that was read from a file says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JournalImage {
    place: Place,
}

impl JournalImage {
    /// The place that `reference` names. `None`: it names none.
    pub(crate) fn at(reference: u64) -> Option<Self> {
        Place::unpack(reference).map(|place| Self { place })
    }

    pub(crate) fn chunk(&self) -> usize {
        self.place.chunk
    }

    /// The first word of its block in the chunk.
    pub(crate) fn offset(&self) -> usize {
        self.place.offset
    }

    /// Whether the chunk is still what it was when the reference was made.
    pub(crate) fn is_in(&self, chunk: &ChunkImage) -> bool {
        chunk.entry.sequence == self.place.sequence
    }

    /// How many words of data follow the header of a journal of the record in `slot`, and how many
    /// bytes they are. `None`: it is no such header.
    pub(crate) fn data(header: [u64; HEADER_WORDS], slot: usize) -> Option<(usize, usize)> {
        let header = Header::of_words(header)?;
        let own = header.journal && header.slot == slot && !header.has_metadata;
        own.then(|| (header.data_len.div_ceil(size_of::<u64>()), header.data_len))
    }
}

/// Words of a block before its data.
pub(crate) const JOURNAL_HEADER_WORDS: usize = HEADER_WORDS;
