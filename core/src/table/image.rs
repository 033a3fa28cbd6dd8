//! Images: plain copies of slots, of set lines and of the entries of retried records, read from a
//! region's file from outside.
//!
//! Whoever inspects a region reads words that others change meanwhile, or that an accident has
//! changed: every one of them may say anything, and none of it leads anywhere.

use super::control::{Fence, Snapshot, State};
use super::entry::{EntryWord, JournalWord};
use super::places::places_among;
use super::retrying::{IDENTITY, JOURNAL, STEP, STEP_GENERATION_MASK, STEP_SHIFT};
use super::search;
use super::set::{ARBITRATION, Arbitration, CLOCK, TAGS_PER_WORD};
use super::slot::{CONTROL, DEADLINE, Deadline};
use crate::region::geometry::RETRY_WORDS;
use crate::region::{LINE_WORDS, SLOT_WORDS};

/// A copy of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotImage {
    words: [u64; SLOT_WORDS],
}

impl SlotImage {
    pub(crate) fn new(words: [u64; SLOT_WORDS]) -> Self {
        Self { words }
    }

    pub(crate) fn seen(&self) -> Snapshot {
        Snapshot::of_word(self.words[CONTROL])
    }

    pub(crate) fn state(&self) -> State {
        self.seen().state()
    }

    /// The deadline, if it is that of the record's attempt.
    pub(crate) fn deadline(&self) -> Option<Deadline> {
        let deadline = Deadline::unpack(self.words[DEADLINE]);
        deadline.belongs_to(self.seen().fence()).then_some(deadline)
    }

    pub(crate) fn scope(&self) -> u16 {
        (self.words[3] >> 16) as u16
    }

    /// The two sets in which the record may lie, its home first, where there are `sets`.
    pub(crate) fn homes(&self, sets: usize) -> [usize; 2] {
        let (home, other) = search::homes(self.words[0], sets);
        let next = if home + 1 == sets { 0 } else { home + 1 };
        [home, if other == home { next } else { other }]
    }

    /// The tag by which a look-up finds the slot; zero: by none.
    pub(crate) fn tag(&self) -> u8 {
        if self.state() == State::Vacant { 0 } else { search::way_and_tag(self.words[1]).1 }
    }
}

/// A copy of one set's line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LineImage {
    words: [u64; LINE_WORDS],
}

impl LineImage {
    pub(crate) fn new(words: [u64; LINE_WORDS]) -> Self {
        Self { words }
    }

    pub(crate) fn tag(&self, way: usize) -> u8 {
        (self.words[way / TAGS_PER_WORD] >> (way % TAGS_PER_WORD * 8)) as u8
    }

    pub(crate) fn fence_clock(&self) -> u64 {
        self.words[CLOCK]
    }

    /// How many insertions there were, modulo 2^15.
    pub(crate) fn version(&self) -> u16 {
        self.arbitration().version()
    }

    /// The slot of the insertion that is to be finished yet, if there is one.
    pub(crate) fn pending_slot(&self) -> Option<usize> {
        let last = self.arbitration();
        last.pending().then(|| last.slot())
    }

    fn arbitration(&self) -> Arbitration {
        Arbitration::of_word(self.words[ARBITRATION])
    }
}

/// A copy of the entry of a record that is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntryImage {
    word: EntryWord,
    words: [u64; RETRY_WORDS],
}

impl EntryImage {
    /// Its control word, and the words beside it.
    pub(crate) fn new(control: u64, words: [u64; RETRY_WORDS]) -> Self {
        Self { word: EntryWord::of_word(control), words }
    }

    pub(crate) fn word(&self) -> EntryWord {
        self.word
    }

    /// Whether it is one that `Free` leaves: nobody's, and of no slot.
    pub(crate) fn is_blank(&self) -> bool {
        self.word.owner() == 0 && self.word.slot() == 0
    }

    /// Whether a record of its slot would look for it at `index`, of `count`.
    pub(crate) fn is_found_at(&self, index: usize, count: usize) -> bool {
        places_among(count, self.word.slot()).any(|place| place == index)
    }

    /// Whether the words beside it were written by whoever made it.
    pub(crate) fn is_whole(&self) -> bool {
        self.words[STEP] >> STEP_SHIFT == self.word.generation() & STEP_GENERATION_MASK
    }

    /// Whether it is in step with an attempt that comes after the one in its slot.
    pub(crate) fn is_ahead_of(&self, slot: &SlotImage) -> bool {
        self.words[STEP] & Fence::MAX > slot.seen().fence().get()
    }

    /// Whether it belongs to the record in its slot.
    pub(crate) fn belongs_to(&self, slot: &SlotImage) -> bool {
        let fence = self.words[STEP] & Fence::MAX;
        let now = slot.seen().fence().get();
        let sealed = JournalWord::of_word(self.words[JOURNAL]).is_sealed();
        let behind = fence < now && sealed && self.words[IDENTITY] == slot.words[0];
        // Without a journal, its maker was about to take it back.
        slot.state().is_record() && self.journal() != 0 && (fence == now || behind)
    }

    /// Where its journal lies, as a reference says it.
    pub(crate) fn journal(&self) -> u64 {
        JournalWord::of_word(self.words[JOURNAL]).reference()
    }
}
