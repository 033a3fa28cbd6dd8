//! The outcome store: chunks in the region, filled by appending and recycled in turn.
//!
//! A chunk's directory entry is one word:
//!
//! ```text
//!  63          36 35   34 33       26 25        18 17            0
//! +--------------+-------+-----------+------------+----------------+
//! | sequence (28)| state | owner (8) | writers (8)| words filled   |
//! +--------------+-------+-----------+------------+----------------+
//! ```
//!
//! and a second word with the latest window end of its blocks. Equal windows end in the order of
//! writing, so taking the chunks in turn takes the oldest outcomes first and needs no free list.
//!
//! - A writer appends by one compare-and-swap that reserves words and counts itself in; it counts
//!   itself out when its block is published. A chunk with writers is never recycled, so nobody
//!   ever writes into memory that was given to somebody else.
//! - A reader copies the block and looks at the entry again: the same sequence means that nothing
//!   it copied was recycled meanwhile.
//! - All writers of a chunk belong to one process, its owner; another process may append when there
//!   is none. So when the owner dies it is known that all of them are gone. What they reserved and
//!   did not write is a hole: the chunk is then `Torn`, takes nothing more, and is recycled word by
//!   word.
//! - Recycling is exclusive: one compare-and-swap to `Recycling`, during which old references
//!   stay readable. What lives in the chunk is carried to another one first, or given up (see
//!   `room`).

use std::sync::Arc;

use super::Outcome;
use super::block::Header;
use super::reference::{
    CHUNK_BITS, CHUNK_MASK, MAX_CHUNK_WORDS, MAX_SEQUENCE, Place, SEQUENCE_BITS,
};
use crate::observe::{Counters, Event};
use crate::region::Region;
use crate::sync::planted::Bug;
use crate::sync::{AtomicU64, Ordering};
use crate::table::control::Fence;

/// What the store asks of the table when it recycles a chunk.
pub(crate) trait References {
    /// The finished record that refers to this block, if it still does.
    fn live(&self, header: &Header, reference: u64) -> Option<LiveBlock>;
    /// Carries out the end of the attempt that wrote this block, if its record refers to it: its
    /// process died before that.
    fn settle(&self, header: &Header, reference: u64);
    /// Makes that record refer to `to`. False where it has moved on.
    fn redirect(&self, header: &Header, from: u64, to: u64) -> bool;
}

/// A record that refers to a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LiveBlock {
    pub(crate) window_end: u64,
    /// Nobody else's outcome takes its place.
    pub(crate) reserved: bool,
}

/// What may be overwritten to make room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) now_ms: u64,
    /// Whether outcomes inside their window may go.
    pub(crate) evict: bool,
}

/// The outcomes of one region.
pub(crate) struct OutcomeStore {
    pub(super) region: Arc<Region>,
    pub(super) counters: Arc<Counters>,
    /// Per stripe of threads, where it appended last. Only a hint.
    current: Box<[crossbeam_utils::CachePadded<crate::sync::plain::AtomicU64>]>,
}

/// A block that is written and not yet published; its chunk waits for [`OutcomeStore::published`].
#[must_use = "a chunk whose writer never leaves is lost"]
pub(crate) struct Written {
    pub(crate) reference: u64,
    chunk: usize,
}

impl Written {
    /// A place that no record refers to.
    pub(super) fn nothing(place: Place) -> Self {
        Self { reference: place.pack(), chunk: place.chunk }
    }
}

impl OutcomeStore {
    pub(crate) fn new(region: Arc<Region>, counters: Arc<Counters>) -> Self {
        let stripes = (region.geometry().chunks() / CHUNKS_PER_STRIPE).clamp(1, MAX_STRIPES);
        let stripe = |_| crossbeam_utils::CachePadded::new(no_hint());
        Self { region, counters, current: (0..stripes).map(stripe).collect() }
    }

    /// Writes a block. `None`: it is too large, or there is no room.
    pub(crate) fn write(
        &self,
        header: &Header,
        outcome: &Outcome,
        window_end_ms: u64,
        room: Room,
        table: &impl References,
    ) -> Option<Written> {
        let place = self.allocate(header.words(), room, table)?;
        let words = &self.region.chunk(place.chunk)[place.offset..];
        header.write(outcome, words);
        self.outlive(place.chunk, window_end_ms);
        Some(Written { reference: place.pack(), chunk: place.chunk })
    }

    /// Writes the journal of the record in `slot`, which stays until nothing refers to it.
    pub(crate) fn write_journal(
        &self,
        slot: usize,
        fence: Fence,
        journal: Vec<u8>,
        room: Room,
        table: &impl References,
    ) -> Option<Written> {
        let journal = Outcome { bytes: journal, ..Outcome::default() };
        let header = Header::of_journal(slot, fence, &journal);
        self.write(&header, &journal, u64::MAX, room, table)
    }

    /// Copies the journal that `reference` names, of a record in `slot`. `None`: it lies elsewhere
    /// by now.
    pub(crate) fn read_journal(&self, reference: u64, slot: usize) -> Option<Vec<u8>> {
        let (place, words) = self.resolve(reference)?;
        let header = Header::read(words).filter(|header| header.journal && header.slot == slot)?;
        let mut journal = Outcome::default();
        let whole = header.read_data(words, &mut journal);
        (whole && self.sequence(place.chunk) == place.sequence).then_some(journal.bytes)
    }

    /// The block is referred to, or given up: its chunk may be recycled.
    pub(crate) fn published(&self, written: Written) {
        // Release: pairs with the Acquire of `recycle`; whoever finds no writers sees the block
        // and its window.
        self.entry(written.chunk)[ENTRY].fetch_sub(1 << WRITERS_SHIFT, Ordering::Release);
    }

    /// Copies the outcome that `reference` names. False: the block is gone, or the attempt
    /// `(slot, fence)` never wrote it.
    pub(crate) fn read(
        &self,
        reference: u64,
        slot: usize,
        fence: Fence,
        failed: bool,
        into: &mut Outcome,
    ) -> bool {
        let Some((place, words)) = self.resolve(reference) else {
            return false;
        };
        let header = Header::read(words).filter(|header| {
            let own = header.slot == slot && header.fence == fence && !header.journal;
            own && header.failed == failed
        });
        header.is_some_and(|header| header.read_data(words, into))
            && (self.sequence(place.chunk) == place.sequence
                || Bug::ReadsWithoutRevalidation.is_planted())
    }

    /// The header of the block that `reference` names, if the attempt `(slot, fence)` wrote it.
    pub(crate) fn header(&self, reference: u64, slot: usize, fence: Fence) -> Option<Header> {
        let (place, words) = self.resolve(reference)?;
        let header = Header::read(words)?;
        let stands = self.sequence(place.chunk) == place.sequence;
        let own = header.slot == slot && header.fence == fence && !header.journal;
        (stands && own).then_some(header)
    }

    /// The share of chunks that hold an outcome whose window is not over, in thousandths.
    pub(crate) fn fill_per_mille(&self, now_ms: u64) -> u64 {
        let chunks = self.region.geometry().chunks();
        let live = (0..chunks).filter(|chunk| {
            let entry = self.load(*chunk);
            !self.is_over(*chunk, entry, now_ms)
        });
        (live.count() * 1000 / chunks) as u64
    }

    pub(super) fn append(&self, chunk: usize, words: usize) -> Option<Place> {
        let mut entry = self.load(chunk);
        let me = self.region.me();
        loop {
            let full = entry.filled + words > self.region.geometry().chunk_words();
            if entry.state != OPEN || entry.sequence == 0 || full || entry.writers == MAX_WRITERS {
                return None;
            }
            let others = entry.owner != me && entry.writers != 0;
            if others && !Bug::AppendsBesideOthers.is_planted() {
                self.without_the_dead(chunk, entry);
                return None;
            }
            let filled = entry.filled + words;
            let next = Entry { filled, owner: me, writers: entry.writers + 1, ..entry };
            match self.swap(chunk, entry, next) {
                Ok(()) => {
                    return Some(Place { chunk, offset: entry.filled, sequence: entry.sequence });
                }
                Err(found) => entry = found,
            }
        }
    }

    /// What `entry` is when the dead are taken out: nobody writes there any more, or empties it.
    pub(super) fn without_the_dead(&self, chunk: usize, entry: Entry) -> Entry {
        if !entry.is_busy() || !self.region.is_dead(entry.owner) {
            return entry;
        }
        // An entry has no counter: the next process of this number makes the same one.
        let torn = self.region.recover(entry.owner, || {
            let now = self.load(chunk);
            let same = now.is_busy() && now.owner == entry.owner;
            if same { self.tear(chunk, now) } else { now }
        });
        torn.unwrap_or(entry)
    }

    fn tear(&self, chunk: usize, entry: Entry) -> Entry {
        if Bug::DeadWritersStay.is_planted() {
            return entry;
        }
        let torn = Entry { state: TORN, owner: 0, writers: 0, ..entry };
        match self.swap(chunk, entry, torn) {
            Ok(()) => {
                self.counters.add(Event::Recovered);
                torn
            }
            Err(now) => now,
        }
    }

    fn resolve(&self, reference: u64) -> Option<(Place, &[AtomicU64])> {
        let place = Place::unpack(reference)?;
        let known = place.chunk < self.region.geometry().chunks();
        if !known || self.sequence(place.chunk) != place.sequence {
            return None;
        }
        let words = self.region.chunk(place.chunk).get(place.offset..)?;
        Some((place, words))
    }

    pub(super) fn is_over(&self, chunk: usize, entry: Entry, now_ms: u64) -> bool {
        // Relaxed: the entry was loaded with Acquire and had no writers, so every window that
        // counts is visible (see `published`).
        let end = self.entry(chunk)[WINDOW_END].load(Ordering::Relaxed);
        entry.sequence == 0 || end <= now_ms
    }

    pub(super) fn outlive(&self, chunk: usize, window_end_ms: u64) {
        // Relaxed: published by the Release of `published`.
        self.entry(chunk)[WINDOW_END].fetch_max(window_end_ms, Ordering::Relaxed);
    }

    fn sequence(&self, chunk: usize) -> u64 {
        self.load(chunk).sequence
    }

    pub(super) fn chunk_of(&self, turn: u64) -> usize {
        (turn % self.region.geometry().chunks() as u64) as usize
    }

    pub(super) fn entry(&self, chunk: usize) -> &[AtomicU64] {
        self.region.chunk_entry(chunk)
    }

    pub(super) fn load(&self, chunk: usize) -> Entry {
        // Acquire: pairs with the Release of `published` and of `recycle`, and with `swap`.
        Entry::unpack(self.entry(chunk)[ENTRY].load(Ordering::Acquire))
    }

    pub(super) fn swap(&self, chunk: usize, from: Entry, to: Entry) -> Result<(), Entry> {
        // AcqRel: what the chunk held before is visible to whoever takes a part of it, and the
        // taking is visible to whoever sees the words written after it. Acquire on failure: the
        // caller goes on with what it found.
        self.entry(chunk)[ENTRY]
            .compare_exchange(from.pack(), to.pack(), Ordering::AcqRel, Ordering::Acquire)
            .map(|_| ())
            .map_err(Entry::unpack)
    }

    /// Takes the process of entry `dead` out of all chunks, whose entry this process has locked.
    pub(crate) fn bury(&self, dead: u8) {
        for chunk in 0..self.region.geometry().chunks() {
            let mut entry = self.load(chunk);
            while entry.is_busy() && entry.owner == dead {
                let now = self.tear(chunk, entry);
                if now == entry {
                    break;
                }
                entry = now;
            }
        }
    }

    /// Forgets where threads appended last: in a forked child that was its parent.
    pub(crate) fn forget_hints(&self) {
        // Relaxed: hints.
        self.current.iter().for_each(|stripe| stripe.store(NO_HINT, Ordering::Relaxed));
    }

    /// Where this thread appended last: at which turn it was opened, and which chunk.
    pub(super) fn hint(&self) -> Option<(u64, usize)> {
        // Relaxed: a hint.
        let hint = self.stripe().load(Ordering::Relaxed);
        (hint != NO_HINT).then_some((hint >> CHUNK_BITS, (hint & CHUNK_MASK) as usize))
    }

    pub(super) fn set_hint(&self, turn: u64, chunk: usize) {
        // Relaxed: a hint.
        self.stripe().store(turn << CHUNK_BITS | chunk as u64, Ordering::Relaxed);
    }

    fn stripe(&self) -> &crate::sync::plain::AtomicU64 {
        &self.current[crate::observe::stripe_index() % self.current.len()]
    }
}

/// A plain copy of a chunk's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) sequence: u64,
    pub(super) state: u64,
    /// The process whose threads write, or that empties it.
    pub(super) owner: u8,
    pub(super) writers: u64,
    pub(super) filled: usize,
}

impl Entry {
    /// Whether somebody writes there, or empties it.
    fn is_busy(self) -> bool {
        self.state == RECYCLING || self.writers != 0
    }

    /// The sequence of the chunk's next use; never zero.
    pub(super) fn next_sequence(self) -> u64 {
        self.sequence % MAX_SEQUENCE + 1
    }

    pub(super) fn unpack(word: u64) -> Self {
        Self {
            sequence: word >> SEQUENCE_SHIFT,
            state: word >> STATE_SHIFT & 0b11,
            owner: (word >> OWNER_SHIFT) as u8,
            writers: word >> WRITERS_SHIFT & MAX_WRITERS,
            filled: (word & FILLED_MASK) as usize,
        }
    }

    pub(super) fn pack(self) -> u64 {
        self.sequence << SEQUENCE_SHIFT
            | self.state << STATE_SHIFT
            | u64::from(self.owner) << OWNER_SHIFT
            | self.writers << WRITERS_SHIFT
            | self.filled as u64
    }
}

fn no_hint() -> crate::sync::plain::AtomicU64 {
    crate::sync::plain::AtomicU64::new(NO_HINT)
}

const NO_HINT: u64 = u64::MAX;
pub(super) const OPEN: u64 = 0;
pub(super) const RECYCLING: u64 = 1;
pub(super) const TORN: u64 = 2;
pub(super) const ENTRY: usize = 0;
pub(super) const WINDOW_END: usize = 1;
const FILLED_MASK: u64 = (1 << WRITERS_SHIFT) - 1;
const WRITERS_SHIFT: u32 = 18;
const MAX_WRITERS: u64 = (1 << (OWNER_SHIFT - WRITERS_SHIFT)) - 1;
const OWNER_SHIFT: u32 = 26;
const STATE_SHIFT: u32 = OWNER_SHIFT + u8::BITS;
const SEQUENCE_SHIFT: u32 = 36;
const CHUNKS_PER_STRIPE: usize = 8;
const MAX_STRIPES: usize = 16;

const _: () = assert!(SEQUENCE_SHIFT + SEQUENCE_BITS == u64::BITS, "the fields fill the word");
const _: () = assert!(MAX_CHUNK_WORDS <= FILLED_MASK as usize);
